/*
 * test_engine_source - sources that are down because their proxies are, and
 * sessions that fail before anything is known of the host.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "eng_lab.h"

static void
set_down(struct lab *l, uint32_t source, bool is_down)
{
	struct eng_event ev = { .kind = EV_SOURCE };

	ev.source.source = l->policy->sources[source].name;
	ev.source.is_down = is_down;
	lab_step(l, &ev);
	eng_check(l->e);
}

static uint64_t
taken(struct lab *l, uint32_t source, int64_t us)
{
	uint64_t before = l->of[source].taken;

	lab_run(l, us);
	eng_check(l->e);
	return l->of[source].taken - before;
}

static struct eng_source_row
row_of(const struct lab *l, uint32_t source)
{
	struct eng_source_row rows[LAB_SOURCES];
	uint32_t n =
	    eng_top_sources(l->e, SOURCE_SORT_ORDER, l->now, rows, LAB_SOURCES);

	for (uint32_t i = 0; i < n; i++)
		if (rows[i].name == l->policy->sources[source].name)
			return rows[i];
	fail();
	abort();
}

static struct lab *
lab_of(uint32_t nsources)
{
	struct lab *l = lab_new(nsources);

	l->backlog = 100;
	l->policy->shapes[0].msgs_per_conn = 1;
	return l;
}

static void
others_carry_on(void **state)
{
	struct lab *l = lab_of(2);

	(void)state;
	lab_start(l, 1);
	assert_true(taken(l, 0, 10 * US_PER_S) > 0);
	set_down(l, 0, true);
	lab_run(l, 5 * US_PER_S); /* what was open goes to its end */
	assert_int_equal(row_of(l, 0).why, WHY_PROXY);
	assert_int_equal(taken(l, 0, 60 * US_PER_S), 0);
	assert_true(taken(l, 1, 60 * US_PER_S) > 0);
	set_down(l, 0, false);
	assert_true(taken(l, 0, 10 * US_PER_S) > 0);
	assert_int_equal(row_of(l, 0).why, WHY_NONE);
	lab_free(l);
}

/* It waits, is told why, and no attempt and no time is lost. */
static void
mail_waits_for_the_only_one(void **state)
{
	struct lab *l = lab_of(1);
	struct eng_queue_row row;
	struct eng_queue_view v;
	uint32_t cursor = 0, budget = 100;

	(void)state;
	lab_start(l, 1);
	set_down(l, 0, true);
	lab_run(l, 60 * US_PER_S);
	eng_check(l->e);
	assert_int_equal(l->of[0].opened, 0);
	assert_int_equal(eng_top_queues(l->e, SORT_DEPTH, l->now, &row, 1), 1);
	assert_int_equal(row.why, WHY_PROXY);
	assert_int_equal(eng_explain_queues(l->e, row.domain, &cursor, 100,
			     l->now, &budget, &v, 1),
	    1);
	assert_int_equal(v.why.first, GATE_SOURCE);
	assert_int_equal(v.why.gate[GATE_SOURCE].why, WHY_PROXY);
	assert_int_equal(v.eta.kind, ETA_UNKNOWN);
	assert_int_equal(v.eta.why, WHY_PROXY);
	set_down(l, 0, false);
	assert_true(taken(l, 0, 2 * US_PER_S) > 0);
	assert_int_equal(l->deferred, 0);
	lab_free(l);
}

static struct outcome at_door;
static uint32_t fails; /* so often */

static bool
door(struct lab *l, uint16_t source, struct outcome *o)
{
	(void)l;
	if (source != 0 || fails == 0)
		return false;
	fails--;
	*o = at_door;
	return true;
}

/* Neither the host, nor the path, nor a recipient is made to wait for it. */
static void
a_proxy_that_fails_is_nobodys_refusal(void **state)
{
	struct lab *l = lab_of(1);

	(void)state;
	at_door =
	    (struct outcome){ .klass = OUTCOME_UNSENT, .stage = STAGE_LOCAL };
	fails = 20;
	l->door = door;
	lab_start(l, 1);
	assert_true(taken(l, 0, 30 * US_PER_S) > 0);
	assert_int_equal(fails, 0);
	assert_int_equal(row_of(l, 0).paths_backoff, 0);
	assert_int_equal(l->deferred, 0);
	lab_free(l);
	/* The same of a host that cannot be had: it is left alone for a while. */
	l = lab_of(1);
	at_door = (struct outcome){ .klass = OUTCOME_TRANSIENT,
		.stage = STAGE_CONNECT };
	fails = 20;
	l->door = door;
	lab_start(l, 1);
	assert_int_equal(taken(l, 0, 30 * US_PER_S), 0);
	lab_free(l);
}

/* A way that is refused rests alone: the host is well for others. */
static void
a_way_that_is_denied_rests_alone(void **state)
{
	struct lab *l = lab_of(2);

	(void)state;
	at_door =
	    (struct outcome){ .klass = OUTCOME_UNSENT, .stage = STAGE_CONNECT };
	fails = 1000;
	l->door = door;
	lab_start(l, 1);
	assert_int_equal(taken(l, 0, 30 * US_PER_S), 0);
	assert_true(l->of[1].taken > 0);
	assert_true(l->of[0].opened < 20);
	assert_int_equal(row_of(l, 0).paths_backoff, 1);
	lab_free(l);
}

/* A policy in between changes nothing, but one without it forgets. */
static void
a_policy_keeps_it_down(void **state)
{
	static struct eng_policy same, without, again;
	struct lab *l = lab_of(2);
	struct eng_event ev = { .kind = EV_CONF, .conf = &same };

	(void)state;
	lab_start(l, 1);
	set_down(l, 1, true);
	same = without = again = *l->policy;
	lab_step(l, &ev);
	assert_true(eng_source_is_down(l->e, same.sources[1].name));
	without.nsources = without.pools[0].nsources = 1;
	ev.conf = &without;
	lab_step(l, &ev);
	ev.conf = &again;
	lab_step(l, &ev);
	assert_false(eng_source_is_down(l->e, same.sources[1].name));
	assert_true(taken(l, 1, 10 * US_PER_S) > 0);
	lab_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_carry_on),
		cmocka_unit_test(mail_waits_for_the_only_one),
		cmocka_unit_test(a_proxy_that_fails_is_nobodys_refusal),
		cmocka_unit_test(a_way_that_is_denied_rests_alone),
		cmocka_unit_test(a_policy_keeps_it_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
