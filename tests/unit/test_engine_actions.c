/*
 * test_engine_actions - what standing reactions do to paths, hosts and queues,
 * before a receiver in virtual time.
 * timeout: 60
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "eng_lab.h"

#define MIN_US (60 * US_PER_S)
#define RULE 7000u
#define HOST 2000u
#define PATH (1 << DIM_SOURCE | 1 << DIM_SITE)
#define QUEUE                                                                  \
	(1 << DIM_SITE | 1 << DIM_POOL | 1 << DIM_TENANT | 1 << DIM_CAMPAIGN)

static struct eng_automation_conf *
rule_add(struct eng_policy *p, enum eng_action action, uint16_t dims)
{
	struct eng_automation_conf *a = &p->automations[p->nautomations];

	*a = (struct eng_automation_conf){ .name = RULE + p->nautomations,
		.dims = dims,
		.action = (uint8_t)action,
		.for_us = 60 * MIN_US };
	p->nautomations++;
	return a;
}

/* One reply is a refusal that the rules know: the first from the first source
 * after `from_us`, and, where that is set, of a host. */
static int64_t from_us;
static uint32_t bad_host;
static bool has_refused;
static struct outcome refusal;

static bool
refuse_once(struct lab *l, uint16_t source, uint32_t msg, struct outcome *o)
{
	(void)msg;
	if (has_refused || source != 0 || l->now < from_us ||
	    (bad_host != 0 && l->asked_host != bad_host))
		return false;
	has_refused = true;
	*o = refusal;
	return true;
}

static struct lab *
lab_of(uint32_t nsources)
{
	struct lab *l = lab_new(nsources);

	has_refused = false;
	from_us = LAB_START + 5 * MIN_US;
	bad_host = 0;
	refusal = lab_refusal(450, STAGE_RCPT, KIND_OTHER, SCOPE_RECIPIENT);
	l->answer = refuse_once;
	l->hits.v[0] = 1;
	l->backlog = 100;
	l->reply_us = 2 * US_PER_S;
	return l;
}

static void
run_until(struct lab *l, int64_t us)
{
	lab_run(l, us - l->now);
	eng_check(l->e);
}

static struct eng_standing_row
standing(const struct lab *l)
{
	struct eng_standing_row row;

	assert_int_equal(eng_standing_rows(l->e, 0, &row, 1), 1);
	return row;
}

static void
end(struct lab *l, uint32_t id)
{
	struct eng_event ev = { .kind = EV_END, .end = id };

	lab_step(l, &ev);
	eng_check(l->e);
}

/* Taken of a source in the next us. */
static uint64_t
taken(struct lab *l, uint32_t source, int64_t us)
{
	uint64_t before = l->of[source].taken;

	lab_run(l, us);
	eng_check(l->e);
	return l->of[source].taken - before;
}

/* ---- slow ------------------------------------------------------------------------ */

static void
a_path_has_a_part_of_its_rate(void **state)
{
	struct lab *l = lab_of(2);
	struct eng_standing_row row;

	(void)state;
	rule_add(l->policy, ACT_SLOW, PATH)->value = ENG_PPM / 4;
	l->policy->shapes[0].rate_count = 60;
	l->policy->shapes[0].rate_period_us = MIN_US;
	l->policy->shapes[0].rate_burst = 20;
	lab_start(l, 1);
	run_until(l, from_us);
	assert_in_range(taken(l, 1, 10 * MIN_US), 590, 625);
	row = standing(l);
	assert_int_equal(row.action, ACT_SLOW);
	assert_in_range(taken(l, 0, 20 * MIN_US), 295, 301);
	assert_in_range(taken(l, 1, 10 * MIN_US), 590, 625);
	run_until(l, row.until_us);
	assert_int_equal(eng_standings(l->e), 0);
	assert_in_range(taken(l, 0, 10 * MIN_US), 590, 625);
	lab_free(l);
}

static void
a_path_without_a_rate_is_slowed_by_what_it_did(void **state)
{
	struct lab *l = lab_of(1);
	struct eng_standing_row row;
	uint64_t before;

	(void)state;
	rule_add(l->policy, ACT_SLOW, 1 << DIM_SITE)->value = ENG_PPM / 10;
	l->policy->shapes[0].conns_max = 4; /* of which each does 30 a minute */
	l->policy->shapes[0].assign_ahead = 1;
	lab_start(l, 1);
	run_until(l, from_us - MIN_US);
	before = taken(l, 0, MIN_US);
	run_until(l, from_us + MIN_US);
	row = standing(l);
	assert_in_range(taken(l, 0, 20 * MIN_US), before * 18 / 10,
	    before * 22 / 10);
	/* Who ends it lets it go on as before, at once. */
	end(l, row.id);
	assert_in_range(taken(l, 0, MIN_US), before * 9 / 10, before * 11 / 10);
	lab_free(l);
}

static void
what_it_waits_for_is_told(void **state)
{
	struct lab *l = lab_of(1);
	struct eng_queue_row row;
	uint32_t n;

	(void)state;
	rule_add(l->policy, ACT_SLOW, PATH)->value = 1000;
	l->policy->shapes[0].rate_count = 1;
	l->policy->shapes[0].rate_period_us = US_PER_S;
	lab_start(l, 1);
	run_until(l, from_us + MIN_US);
	n = eng_top_queues(l->e, SORT_DEPTH, l->now, &row, 1);
	assert_int_equal(n, 1);
	assert_int_equal(row.why, WHY_PACED);
	assert_true(row.until_us > l->now);
	/* A gap that is longer than the reaction ends with it. */
	run_until(l, standing(l).until_us);
	assert_in_range(taken(l, 0, MIN_US), 50, 61);
	lab_free(l);
}

/* ---- skip a host ------------------------------------------------------------------ */

static bool
hosts_used(struct lab *l, uint16_t source, uint32_t msg, struct outcome *o)
{
	uint32_t *used = (uint32_t *)&l->state[1].used;

	if (l->asked_host == HOST && source == 0)
		++*used;
	return refuse_once(l, source, msg, o);
}

static void
a_host_is_passed_over(void **state)
{
	struct lab *l = lab_of(2);
	uint32_t *used = (uint32_t *)&l->state[1].used;
	struct eng_standing_row row;

	(void)state;
	rule_add(l->policy, ACT_SKIP, PATH | 1 << DIM_HOST);
	l->nhosts = 2;
	bad_host = HOST;
	l->answer = hosts_used;
	lab_start(l, 1);
	run_until(l, from_us + MIN_US);
	row = standing(l);
	assert_int_equal(row.val[DIM_HOST], HOST);
	assert_int_equal(row.val[DIM_SOURCE], 3000);
	assert_true(*used > 10);
	*used = 0;
	assert_true(taken(l, 0, 40 * MIN_US) > 1000);
	assert_int_equal(*used, 0);
	run_until(l, row.until_us + 10 * MIN_US);
	assert_true(*used > 10);
	lab_free(l);
}

static void
without_another_host_mail_waits_for_the_end(void **state)
{
	struct lab *l = lab_of(2);
	struct eng_standing_row row;
	struct eng_queue_row q;

	(void)state;
	rule_add(l->policy, ACT_SKIP, 1 << DIM_HOST);
	lab_start(l, 1);
	run_until(l, from_us + MIN_US);
	row = standing(l);
	assert_int_equal(taken(l, 0, 10 * MIN_US), 0);
	assert_int_equal(taken(l, 1, 10 * MIN_US), 0);
	assert_int_equal(eng_top_queues(l->e, SORT_DEPTH, l->now, &q, 1), 1);
	assert_int_equal(q.why, WHY_SUSPENDED);
	assert_int_equal(q.until_us, row.until_us);
	run_until(l, row.until_us);
	assert_true(taken(l, 0, MIN_US) > 10);
	lab_free(l);
	/* Until somebody ends it. */
	l = lab_of(2);
	rule_add(l->policy, ACT_SKIP, 1 << DIM_HOST)->for_us = 0;
	lab_start(l, 1);
	run_until(l, from_us + 100 * MIN_US);
	assert_int_equal(taken(l, 1, 10 * MIN_US), 0);
	end(l, standing(l).id);
	assert_true(taken(l, 0, MIN_US) > 10);
	lab_free(l);
}

/* ---- another source ---------------------------------------------------------------- */

/* Message 1 meets a block, by the source that it is sent from first. */
static uint16_t blocker;
static uint32_t blocked_by[8], ntaken_by[8];

static bool
block_first(struct lab *l, uint16_t source, uint32_t msg, struct outcome *o)
{
	if (msg == 1 && blocker == UINT16_MAX) {
		blocker = source;
		*o = refusal;
		return true;
	}
	(void)l;
	blocked_by[source] += msg == 1;
	ntaken_by[source]++;
	return false;
}

static struct lab *
lab_of_blocks(enum eng_action action)
{
	struct lab *l = lab_of(3);

	rule_add(l->policy, action, PATH);
	refusal =
	    lab_refusal(550, STAGE_MAIL, KIND_REPUTATION_BLOCK, SCOPE_SOURCE);
	refusal.klass = OUTCOME_TRANSIENT;
	blocker = UINT16_MAX;
	memset(blocked_by, 0, sizeof(blocked_by));
	memset(ntaken_by, 0, sizeof(ntaken_by));
	l->answer = block_first;
	l->backlog = 0;
	lab_start(l, 1);
	lab_submit(l, 60);
	lab_run(l, MIN_US);
	eng_check(l->e);
	return l;
}

static void
mail_leaves_by_another_source_and_what_was_blocked_too(void **state)
{
	struct lab *l = lab_of_blocks(ACT_OTHER);
	struct eng_standing_row row = standing(l);

	(void)state;
	assert_int_equal(row.val[DIM_SOURCE], 3000 + blocker);
	assert_int_equal(l->count.taken, 60);
	assert_int_equal(blocked_by[blocker], 0);
	run_until(l, row.until_us);
	ntaken_by[blocker] = 0;
	lab_submit(l, 60);
	lab_run(l, MIN_US);
	assert_true(ntaken_by[blocker] > 5);
	lab_free(l);
	/* Without such a rule it keeps its address. */
	l = lab_of_blocks(ACT_SUSPEND);
	assert_int_equal(l->count.taken, 59);
	run_until(l, standing(l).until_us + MIN_US);
	assert_int_equal(l->count.taken, 60);
	assert_int_equal(blocked_by[blocker], 1);
	lab_free(l);
}

static void
a_domain_sticks_to_another_meanwhile(void **state)
{
	struct lab *l = lab_of(3);
	uint16_t own;

	(void)state;
	rule_add(l->policy, ACT_OTHER, 1 << DIM_SOURCE);
	l->policy->pools[0].is_sticky = true;
	for (uint32_t i = 0; i < 3; i++)
		l->policy->sources[i].hash = hash_u64(i);
	refusal = lab_refusal(450, STAGE_RCPT, KIND_OTHER, SCOPE_RECIPIENT);
	blocker = UINT16_MAX;
	memset(ntaken_by, 0, sizeof(ntaken_by));
	l->answer = block_first;
	l->backlog = 50;
	lab_start(l, 1);
	lab_run(l, 30 * MIN_US);
	eng_check(l->e);
	own = blocker;
	assert_in_range(ntaken_by[own], 0, 40); /* what it had already */
	assert_int_equal((ntaken_by[0] > 40) + (ntaken_by[1] > 40) +
		(ntaken_by[2] > 40),
	    1);
	run_until(l, standing(l).until_us + MIN_US);
	memset(ntaken_by, 0, sizeof(ntaken_by));
	lab_run(l, 10 * MIN_US);
	assert_true(ntaken_by[own] > 20);
	assert_int_equal(ntaken_by[0] + ntaken_by[1] + ntaken_by[2],
	    ntaken_by[own]);
	lab_free(l);
}

static void
without_another_source_mail_waits(void **state)
{
	struct lab *l = lab_of(1);

	(void)state;
	rule_add(l->policy, ACT_OTHER, PATH);
	lab_start(l, 1);
	run_until(l, from_us + MIN_US);
	assert_int_equal(taken(l, 0, 30 * MIN_US), 0);
	end(l, standing(l).id);
	assert_true(taken(l, 0, MIN_US) > 10);
	lab_free(l);
}

/* ---- defer a queue ------------------------------------------------------------------ */

static bool
refuse_low(struct lab *l, uint16_t source, uint32_t msg, struct outcome *o)
{
	(void)source;
	(void)l;
	if (msg > 20)
		return false;
	*o = refusal;
	return true;
}

static uint32_t tries;
static void
count_try(struct lab *l, uint16_t source, uint32_t msg, uint16_t attempt)
{
	(void)source;
	(void)l;
	if (msg <= 20)
		tries = MAX(tries, attempt);
}

static void
a_queue_waits_and_the_others_go_on(void **state)
{
	struct lab *l = lab_of(2);
	struct eng_standing_row row;

	(void)state;
	rule_add(l->policy, ACT_DEFER, QUEUE)->for_us = 300 * MIN_US;
	l->answer = refuse_low;
	l->assigned = count_try;
	l->backlog = 0;
	tries = 0;
	lab_start(l, 1);
	l->tenant = 5;
	lab_submit(l, 20);
	l->tenant = 0;
	lab_submit(l, 30);
	lab_run(l, MIN_US);
	row = standing(l);
	assert_int_equal(row.val[DIM_TENANT], 5);
	assert_int_equal(row.val[DIM_CAMPAIGN], 0);
	assert_int_equal(row.val[DIM_POOL], 0);
	run_until(l, row.until_us - 1);
	assert_int_equal(l->count.taken, 30);
	/* Their retries came and went: nothing was burnt. */
	assert_int_equal(tries, 1);
	l->answer = NULL;
	run_until(l, row.until_us + 30 * MIN_US);
	assert_int_equal(l->count.taken, 50);
	assert_int_equal(tries, 2);
	lab_free(l);
}

/* ---- bounce a queue ------------------------------------------------------------------ */

static void
a_queue_is_returned_and_what_comes_meanwhile(void **state)
{
	struct lab *l = lab_of(2);
	struct eng_standing_row row;

	(void)state;
	rule_add(l->policy, ACT_BOUNCE, 1 << DIM_TENANT);
	from_us = LAB_START + MIN_US;
	l->policy->shapes[0].rate_count = 1;
	l->policy->shapes[0].rate_period_us = MIN_US;
	refusal = lab_refusal(554, STAGE_MAIL, KIND_POLICY, SCOPE_TENANT);
	refusal.klass = OUTCOME_TRANSIENT;
	l->backlog = 0;
	lab_start(l, 1);
	l->tenant = 5;
	lab_submit(l, 1000);
	run_until(l, from_us + 5 * MIN_US);
	row = standing(l);
	assert_int_equal(row.val[DIM_TENANT], 5);
	/* All but what was taken before or under way. */
	assert_in_range(l->bounced, 990, 999);
	assert_int_equal(l->last_bounce.outcome.stage, STAGE_LOCAL);
	assert_int_equal(l->last_bounce.outcome.code, 554);
	assert_true(l->last_bounce.job & ENG_JOB_STANDING);
	assert_true(l->most_bounces <= 64);
	l->bounced = l->count.taken = 0;
	lab_submit(l, 10);
	assert_int_equal(l->bounced, 10);
	l->tenant = 6;
	lab_submit(l, 3);
	l->tenant = 5;
	lab_run(l, 10 * MIN_US);
	assert_int_equal(l->count.taken, 3);
	run_until(l, row.until_us);
	lab_submit(l, 10);
	lab_run(l, 60 * MIN_US);
	assert_int_equal(l->bounced, 10);
	lab_free(l);
}

static void
what_is_deferred_is_returned_and_what_is_held_is_not(void **state)
{
	struct lab *l = lab_of(2);
	struct eng_event ev = { .kind = EV_ADMIN };

	(void)state;
	rule_add(l->policy, ACT_BOUNCE, QUEUE)->count = 30;
	l->policy->automations[0].period_us = 60 * MIN_US;
	l->answer = refuse_low;
	l->backlog = 0;
	lab_start(l, 1);
	lab_submit(l, 20);
	lab_run(l, MIN_US);
	assert_int_equal(eng_standings(l->e), 0);
	ev.admin.job = 1;
	ev.admin.verb = VERB_HOLD;
	ev.admin.sel.msg = 1;
	lab_step(l, &ev);
	lab_run(l, 30 * MIN_US); /* the second tries */
	assert_int_equal(eng_standings(l->e), 1);
	assert_int_equal(l->bounced, 19);
	eng_check(l->e);
	lab_free(l);
}

/* ---- what a reply comes to -------------------------------------------------------------- */

static void
a_5xx_that_is_not_hard_is_tried_again(void **state)
{
	(void)state;
	for (int hard = 0; hard < 2; hard++) {
		struct lab *l = lab_of(1);

		refusal =
		    lab_refusal(550, STAGE_RCPT, KIND_OTHER, SCOPE_RECIPIENT);
		refusal.judged.is_hard = hard;
		from_us = 0;
		l->backlog = 0;
		lab_start(l, 1);
		lab_submit(l, 1);
		lab_run(l, 60 * MIN_US);
		assert_int_equal(l->bounced, hard ? 1 : 0);
		assert_int_equal(l->deferred, hard ? 0 : 1);
		assert_int_equal(l->count.taken, hard ? 0 : 1);
		lab_free(l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_has_a_part_of_its_rate),
		cmocka_unit_test(
		    a_path_without_a_rate_is_slowed_by_what_it_did),
		cmocka_unit_test(what_it_waits_for_is_told),
		cmocka_unit_test(a_host_is_passed_over),
		cmocka_unit_test(without_another_host_mail_waits_for_the_end),
		cmocka_unit_test(
		    mail_leaves_by_another_source_and_what_was_blocked_too),
		cmocka_unit_test(a_domain_sticks_to_another_meanwhile),
		cmocka_unit_test(without_another_source_mail_waits),
		cmocka_unit_test(a_queue_is_returned_and_what_comes_meanwhile),
		cmocka_unit_test(
		    what_is_deferred_is_returned_and_what_is_held_is_not),
		cmocka_unit_test(a_5xx_that_is_not_hard_is_tried_again),
		cmocka_unit_test(a_queue_waits_and_the_others_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
