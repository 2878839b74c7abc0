/*
 * test_engine_standing - what rules make of refusals, and what holds because of
 * it, before a receiver in virtual time.
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
#define PATH (1 << DIM_SOURCE | 1 << DIM_SITE)

/* One source is refused until then; when it was tried. */
static int64_t refused_until_us, tried_us[100];
static uint32_t ntried;
static struct outcome refusal;

static bool
refuse_first(struct lab *l, uint16_t source, uint32_t msg, struct outcome *o)
{
	(void)msg;
	if (source != 0)
		return false;
	if (ntried < ARRAY_LEN(tried_us))
		tried_us[ntried++] = l->now;
	if (l->now >= refused_until_us)
		return false;
	*o = refusal;
	return true;
}

static struct eng_automation_conf *
rule_add(struct eng_policy *p, uint16_t dims, int64_t for_us)
{
	struct eng_automation_conf *a = &p->automations[p->nautomations];

	*a = (struct eng_automation_conf){ .name = RULE + p->nautomations,
		.dims = dims,
		.action = ACT_SUSPEND,
		.for_us = for_us };
	p->nautomations++;
	return a;
}

/* Two sources, the first of which is refused for the first minute; rules are added
 * to it before it is started. */
static struct lab *
lab_of(void)
{
	struct lab *l = lab_new(2);

	ntried = 0;
	refused_until_us = LAB_START + MIN_US;
	refusal = lab_refusal(421, STAGE_MAIL, KIND_THROTTLE, SCOPE_PATH);
	l->answer = refuse_first;
	l->hits.v[0] = 1;
	l->backlog = 100;
	l->reply_us = 2 * US_PER_S;
	return l;
}

static uint32_t
standings(const struct lab *l, struct eng_standing_row *row)
{
	uint32_t n = eng_standing_rows(l->e, 0, row, 1);

	assert_int_equal(n, MIN(eng_standings(l->e), 1u));
	return eng_standings(l->e);
}

/* How many messages the first source had between two times. */
static uint32_t
tried(int64_t from, int64_t to)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ntried; i++)
		n += tried_us[i] >= from && tried_us[i] < to;
	return n;
}

static void
a_suspended_path_is_left_alone_and_the_others_are_not(void **state)
{
	struct lab *l = lab_of();
	struct eng_standing_row row;
	uint64_t opened;
	int64_t began;

	(void)state;
	rule_add(l->policy, PATH, 120 * MIN_US)->ramps = true;
	lab_start(l, 1);
	lab_run(l, MIN_US);
	assert_int_equal(standings(l, &row), 1);
	began = row.first_us;
	assert_int_equal(row.rule, RULE);
	assert_int_equal(row.dims, PATH);
	assert_int_equal(row.val[DIM_SOURCE], 3000);
	assert_int_equal(row.val[DIM_SITE], 2000);
	assert_int_equal(row.until_us, began + 120 * MIN_US);
	assert_int_equal(row.outcome.code, 421);
	opened = l->of[0].opened;
	lab_run(l, began + 120 * MIN_US - 1 - l->now);
	assert_int_equal(l->of[0].opened, opened);
	/* What was handed to its sessions by then may still be answered. */
	assert_int_equal(tried(began + 20 * US_PER_S, l->now), 0);
	assert_true(l->of[1].taken > 1000);
	eng_check(l->e);
	/* It comes back with one connection. */
	l->of[0].most = 0;
	lab_run(l, 1 + MIN_US / 2);
	assert_int_equal(standings(l, &row), 0);
	assert_true(l->of[0].opened > opened);
	assert_int_equal(l->of[0].most, 1);
	assert_true(l->of[0].taken > 5);
	lab_free(l);
}

/* A 421 to the next message of a connection that has carried some is no goodbye
 * when a rule knows it. */
static bool
goodbye(struct lab *l, uint16_t source, uint32_t msg, struct outcome *o)
{
	(void)msg;
	if (source != 0 || l->of[0].taken < 5)
		return false;
	ntried++;
	*o = refusal;
	return true;
}

static void
a_goodbye_that_a_rule_knows_is_none(void **state)
{
	struct lab *l = lab_of();
	struct eng_standing_row row;

	(void)state;
	rule_add(l->policy, PATH, 60 * MIN_US);
	l->answer = goodbye;
	lab_start(l, 1);
	lab_run(l, 30 * MIN_US);
	assert_int_equal(standings(l, &row), 1);
	/* One for each session that stood. */
	assert_true(ntried <= 20);
	lab_free(l);
}

static void
the_first_rule_that_matches_counts(void **state)
{
	struct lab *l = lab_of();
	struct eng_standing_row row;

	(void)state;
	rule_add(l->policy, PATH, 60 * MIN_US)->kinds = 1u << KIND_GREYLIST;
	rule_add(l->policy, PATH, 60 * MIN_US)->action = ACT_NONE;
	rule_add(l->policy, PATH, 60 * MIN_US);
	l->hits.v[0] = 7;
	lab_start(l, 1);
	lab_run(l, MIN_US);
	assert_int_equal(standings(l, &row), 0);
	lab_free(l);
	l = lab_of();
	rule_add(l->policy, PATH, 60 * MIN_US)->providers[0] = 2;
	rule_add(l->policy, PATH, 60 * MIN_US)->action = ACT_NONE;
	l->policy->automations[1].goes_on = true;
	rule_add(l->policy, 1 << DIM_SOURCE, 60 * MIN_US);
	l->hits.v[0] = 7;
	lab_start(l, 1);
	lab_run(l, MIN_US);
	assert_int_equal(standings(l, &row), 1);
	assert_int_equal(row.rule, RULE + 2);
	assert_int_equal(row.dims, 1 << DIM_SOURCE);
	lab_free(l);
}

static void
a_reply_that_came_later_prolongs_it_and_one_under_way_does_not(void **state)
{
	struct lab *l = lab_of();
	struct eng_standing_row row;
	int64_t until;

	(void)state;
	refused_until_us = LAB_START + 61 * MIN_US;
	rule_add(l->policy, PATH, 60 * MIN_US);
	lab_start(l, 1);
	lab_run(l, MIN_US);
	assert_int_equal(standings(l, &row), 1);
	assert_true(row.count > 1);
	assert_int_equal(row.last_us, row.first_us);
	until = row.until_us;
	assert_int_equal(until, row.first_us + 60 * MIN_US);
	assert_int_equal(l->kept, 1);
	lab_run(l, until + 10 * US_PER_S - l->now);
	assert_int_equal(standings(l, &row), 1);
	assert_true(row.first_us >= until);
	assert_int_equal(row.id, 2);
	lab_free(l);
}

static void
so_many_connections_are_left(void **state)
{
	struct lab *l = lab_of();
	struct eng_standing_row row;

	(void)state;
	rule_add(l->policy, PATH, 60 * MIN_US);
	l->policy->automations[0].action = ACT_CONNS;
	l->policy->automations[0].value = 2;
	refusal = lab_refusal(450, STAGE_RCPT, KIND_OTHER, SCOPE_RECIPIENT);
	refused_until_us = LAB_START + 5 * US_PER_S;
	lab_start(l, 1);
	lab_run(l, 10 * MIN_US);
	assert_int_equal(standings(l, &row), 1);
	l->of[0].most = l->of[1].most = 0;
	l->of[0].taken = 0;
	lab_run(l, 40 * MIN_US);
	assert_true(l->of[0].most <= 2);
	assert_true(l->of[0].taken > 500);
	assert_true(l->of[1].most > 2);
	lab_run(l, 30 * MIN_US);
	assert_int_equal(standings(l, &row), 0);
	assert_true(l->of[0].most > 2);
	lab_free(l);
}

/* Mail of one tenant is refused, by whatever source. */
static bool
refuse_tenant(struct lab *l, uint16_t source, uint32_t msg, struct outcome *o)
{
	(void)source;
	if (msg > 100 || l->now > LAB_START + 90 * MIN_US)
		return false;
	ntried++;
	*o = refusal;
	return true;
}

static void
a_tenant_waits_and_the_others_go_on(void **state)
{
	struct lab *l = lab_of();
	struct eng_event ev = { .kind = EV_END };
	struct eng_standing_row row;

	(void)state;
	rule_add(l->policy, 1 << DIM_TENANT, 60 * MIN_US);
	refusal = lab_refusal(450, STAGE_RCPT, KIND_POLICY, SCOPE_TENANT);
	l->answer = refuse_tenant;
	l->backlog = 0;
	lab_start(l, 1);
	l->tenant = 5;
	lab_submit(l, 100);
	l->tenant = 6;
	lab_submit(l, 100);
	lab_run(l, 59 * MIN_US);
	assert_int_equal(standings(l, &row), 1);
	assert_int_equal(row.val[DIM_TENANT], 5);
	assert_in_range(ntried, 1, 50); /* what was under way */
	assert_int_equal(l->count.taken, 100);
	eng_check(l->e);
	lab_run(l, 10 * MIN_US);
	assert_int_equal(standings(l, &row), 1);
	assert_int_equal(row.id, 2);
	ev.end = row.id;
	lab_step(l, &ev);
	eng_check(l->e);
	assert_int_equal(standings(l, &row), 0);
	lab_run(l, 24 * 60 * MIN_US);
	assert_int_equal(l->count.taken, 200);
	lab_free(l);
}

/* One refusal of the first source every so often. */
static int64_t gap_us, next_us;

static bool
refuse_now_and_then(struct lab *l, uint16_t source, uint32_t msg,
    struct outcome *o)
{
	(void)msg;
	if (source != 0 || l->now < next_us)
		return false;
	next_us = l->now + gap_us;
	ntried++;
	*o = refusal;
	return true;
}

static void
so_many_in_a_period_are_needed(void **state)
{
	struct lab *l = lab_of();
	struct eng_standing_row row;

	(void)state;
	rule_add(l->policy, PATH, 300 * MIN_US);
	l->policy->automations[0].count = 4;
	l->policy->automations[0].period_us = 60 * MIN_US;
	refusal = lab_refusal(450, STAGE_RCPT, KIND_OTHER, SCOPE_RECIPIENT);
	l->answer = refuse_now_and_then;
	gap_us = 21 * MIN_US;
	next_us = LAB_START;
	lab_start(l, 1);
	lab_run(l, 240 * MIN_US); /* three an hour */
	assert_true(ntried > 9);
	assert_int_equal(standings(l, &row), 0);
	gap_us = 15 * MIN_US;
	ntried = 0;
	lab_run(l, 60 * MIN_US);
	assert_int_equal(standings(l, &row), 1);
	assert_in_range(ntried, 2, 4);
	assert_int_equal(row.count, 1);
	lab_free(l);
}

static void
such_a_part_of_enough_replies_is_needed(void **state)
{
	struct lab *l = lab_of();
	struct eng_standing_row row;

	(void)state;
	rule_add(l->policy, PATH, 300 * MIN_US);
	l->policy->automations[0].ratio_ppm = ENG_PPM / 10;
	l->policy->automations[0].replies_min = 100;
	l->policy->automations[0].period_us = 60 * MIN_US;
	l->policy->shapes[0].rate_count = 10;
	l->policy->shapes[0].rate_period_us = MIN_US;
	refusal = lab_refusal(450, STAGE_RCPT, KIND_OTHER, SCOPE_RECIPIENT);
	l->answer = refuse_now_and_then;
	gap_us = 3 * MIN_US; /* a thirtieth */
	next_us = LAB_START;
	lab_start(l, 1);
	lab_run(l, 120 * MIN_US);
	assert_true(ntried > 30);
	assert_int_equal(standings(l, &row), 0);
	gap_us = MIN_US / 2; /* a fifth */
	lab_run(l, 50 * MIN_US);
	assert_int_equal(standings(l, &row), 1);
	lab_free(l);
	/* However many of few. */
	l = lab_of();
	rule_add(l->policy, PATH, 300 * MIN_US);
	l->policy->automations[0].ratio_ppm = ENG_PPM / 10;
	l->policy->automations[0].replies_min = 100;
	l->policy->automations[0].period_us = 60 * MIN_US;
	l->policy->shapes[0].rate_count = 1;
	l->policy->shapes[0].rate_period_us = MIN_US;
	refusal = lab_refusal(450, STAGE_RCPT, KIND_OTHER, SCOPE_RECIPIENT);
	l->answer = refuse_now_and_then;
	gap_us = 2 * MIN_US;
	next_us = LAB_START;
	lab_start(l, 1);
	lab_run(l, 240 * MIN_US);
	assert_true(ntried > 30);
	assert_int_equal(standings(l, &row), 0);
	lab_free(l);
}

static void
who_ends_it_lets_mail_go_at_once(void **state)
{
	struct lab *l = lab_of();
	struct eng_event ev = { .kind = EV_END };
	struct eng_standing_row row;
	uint64_t opened;

	(void)state;
	rule_add(l->policy, 1 << DIM_NODE, 0);
	lab_start(l, 1);
	lab_run(l, 10 * MIN_US);
	assert_int_equal(standings(l, &row), 1);
	assert_int_equal(row.until_us, 0);
	opened = l->count.opened;
	lab_run(l, 100 * MIN_US);
	assert_int_equal(l->count.opened, opened);
	ev.end = row.id + 1;
	lab_step(l, &ev);
	assert_int_equal(standings(l, &row), 1);
	ev.end = row.id;
	lab_step(l, &ev);
	assert_int_equal(standings(l, &row), 0);
	assert_true(l->keep[0].keep.is_gone);
	eng_check(l->e);
	lab_run(l, 3 * US_PER_S);
	assert_true(l->count.opened > opened);
	lab_free(l);
}

/* The entry that an engine gave to be kept brings it back in the next. */
static void
it_survives_and_so_does_its_number(void **state)
{
	struct lab *l = lab_of(), *next;
	struct eng_event ev = { .kind = EV_RECALL };
	struct eng_standing_row row, back;
	const struct eng_cmd *k;

	(void)state;
	rule_add(l->policy, PATH, 120 * MIN_US);
	lab_start(l, 1);
	lab_run(l, MIN_US);
	assert_int_equal(standings(l, &row), 1);
	k = &l->keep[0];
	assert_int_equal(k->keep.book, BOOK_STANDING);
	ev.recall = (struct eng_entry){ .book = k->keep.book,
		.nkeys = k->keep.nkeys,
		.sub = k->keep.sub };
	memcpy(ev.recall.key, k->keep.key, sizeof(ev.recall.key));
	memcpy(ev.recall.v, l->keep[1].keep_values.v, sizeof(ev.recall.v));
	next = lab_of();
	rule_add(next->policy, PATH, 120 * MIN_US);
	next->now += 30 * MIN_US;
	refused_until_us = 0;
	lab_start(next, 1);
	lab_step(next, &ev);
	assert_int_equal(standings(next, &back), 1);
	assert_int_equal(back.until_us, row.until_us);
	assert_int_equal(back.id, row.id);
	assert_int_equal(back.first_us, row.first_us);
	assert_int_equal(back.outcome.code, 421);
	lab_run(next, 80 * MIN_US);
	assert_int_equal(next->of[0].opened, 0);
	assert_true(next->of[1].taken > 100);
	lab_run(next, 20 * MIN_US);
	assert_int_equal(standings(next, &back), 0);
	assert_true(next->of[0].taken > 100);
	lab_free(next);
	/* Under a policy without the rule it is forgotten. */
	next = lab_of();
	lab_start(next, 1);
	lab_step(next, &ev);
	assert_int_equal(standings(next, &back), 0);
	assert_true(next->keep[0].keep.is_gone);
	lab_free(next);
	lab_free(l);
}

/* What was counted comes back, and nothing more than that: two more are needed
 * after a start, as before it. */
static void
counts_survive(void **state)
{
	struct lab *l = lab_of(), *next;
	struct eng_event ev = { .kind = EV_RECALL };
	struct eng_standing_row row;
	const struct eng_cmd *k;

	(void)state;
	rule_add(l->policy, PATH, 300 * MIN_US)->count = 6;
	l->policy->automations[0].period_us = 60 * MIN_US;
	refusal = lab_refusal(450, STAGE_RCPT, KIND_OTHER, SCOPE_RECIPIENT);
	l->answer = refuse_now_and_then;
	gap_us = 10 * US_PER_S;
	next_us = LAB_START;
	lab_start(l, 1);
	lab_run(l, 39 * US_PER_S);
	assert_int_equal(ntried, 4);
	k = &l->keep[0];
	assert_int_equal(k->keep.book, BOOK_TALLY);
	ev.recall = (struct eng_entry){ .book = k->keep.book,
		.nkeys = k->keep.nkeys,
		.sub = k->keep.sub };
	memcpy(ev.recall.key, k->keep.key, sizeof(ev.recall.key));
	memcpy(ev.recall.v, l->keep[1].keep_values.v, sizeof(ev.recall.v));
	/* Half an hour later, and after so long that all of it is past. */
	for (int late = 0; late < 2; late++) {
		next = lab_of();
		rule_add(next->policy, PATH, 300 * MIN_US)->count = 6;
		next->policy->automations[0].period_us = 60 * MIN_US;
		next->now += (late ? 61 : 30) * MIN_US;
		next_us = next->now + 60 * US_PER_S;
		next->answer = refuse_now_and_then;
		refusal =
		    lab_refusal(450, STAGE_RCPT, KIND_OTHER, SCOPE_RECIPIENT);
		lab_start(next, 1);
		lab_step(next, &ev);
		eng_check(next->e);
		lab_run(next, 65 * US_PER_S);
		assert_int_equal(ntried, 1);
		assert_int_equal(standings(next, &row), 0);
		lab_run(next, 10 * US_PER_S);
		assert_int_equal(ntried, 2);
		assert_int_equal(standings(next, &row), late ? 0 : 1);
		lab_run(next, 35 * US_PER_S);
		assert_int_equal(standings(next, &row), late ? 0 : 1);
		lab_free(next);
	}
	lab_free(l);
}

static void
a_reload_ends_what_has_no_rule_any_more(void **state)
{
	struct lab *l = lab_of();
	struct eng_event ev = { .kind = EV_CONF };
	struct eng_policy *p = malloc(sizeof(*p)), *old = l->policy;
	struct eng_standing_row row;
	int64_t until;

	(void)state;
	rule_add(l->policy, 1 << DIM_SOURCE, 120 * MIN_US);
	lab_start(l, 1);
	lab_run(l, MIN_US);
	assert_int_equal(standings(l, &row), 1);
	until = row.until_us;
	*p = *old;
	p->automations[1] = p->automations[0];
	p->automations[0].name = RULE + 100;
	p->nautomations = 2;
	ev.conf = p;
	lab_step(l, &ev);
	assert_int_equal(standings(l, &row), 1);
	assert_int_equal(row.automation, 1);
	assert_int_equal(row.until_us, until);
	old->nautomations = 0;
	ev.conf = old;
	lab_step(l, &ev);
	assert_int_equal(standings(l, &row), 0);
	lab_run(l, 10 * US_PER_S);
	assert_true(tried(LAB_START + MIN_US, l->now) > 0);
	lab_free(l);
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_suspended_path_is_left_alone_and_the_others_are_not),
		cmocka_unit_test(a_goodbye_that_a_rule_knows_is_none),
		cmocka_unit_test(the_first_rule_that_matches_counts),
		cmocka_unit_test(
		    a_reply_that_came_later_prolongs_it_and_one_under_way_does_not),
		cmocka_unit_test(so_many_connections_are_left),
		cmocka_unit_test(a_tenant_waits_and_the_others_go_on),
		cmocka_unit_test(so_many_in_a_period_are_needed),
		cmocka_unit_test(such_a_part_of_enough_replies_is_needed),
		cmocka_unit_test(who_ends_it_lets_mail_go_at_once),
		cmocka_unit_test(it_survives_and_so_does_its_number),
		cmocka_unit_test(counts_survive),
		cmocka_unit_test(a_reload_ends_what_has_no_rule_any_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
