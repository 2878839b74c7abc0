/*
 * What a receiver remembers: each way to hold clients to something, in virtual
 * time, as its YAML says it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "world/guard.h"
#include "world/keys.h"

#define DAY (86400 * US_PER_S)

struct rig {
	struct behave b;
	struct guard_memory m;
	struct arena arena;
	struct yaml_doc *doc;
	struct guard_ask a;
};

static void
quiet(void *ctx, const char *line)
{
	snprintf(ctx, 200, "%s", line);
}

/* Errors that the text has. */
static uint32_t
rig_read(struct rig *r, const char *text, char why[200])
{
	struct conf_errors errs = { .report = quiet, .ctx = why };
	struct keys k = { .errs = &errs };

	behave_init(&r->b);
	arena_init(&r->arena, 4096, 1u << 20);
	guard_memory_init(&r->m, 1);
	r->doc = yaml_parse("t", slice_str(text), &errs);
	assert_non_null(r->doc);
	k.doc = r->doc;
	guards_take(&k, yaml_root(r->doc), &r->b, &r->arena);
	(void)ip_parse(SL("192.0.2.1"), &r->a.ip);
	r->a.source = SL("a");
	r->a.sender = SL("s.example");
	r->a.rcpt = SL("u@r.example");
	r->a.domain = SL("r.example");
	return errs.n;
}

static struct rig
rig_make(const char *text)
{
	struct rig r = { 0 };
	char why[200] = "";

	if (rig_read(&r, text, why) != 0)
		fail_msg("%s", why);
	return r;
}

static void
rig_free(struct rig *r)
{
	guard_memory_free(&r->m);
	yaml_doc_free(r->doc);
	arena_free(&r->arena);
}

static bool
asks(struct rig *r, enum sim_stage stage, int64_t at_us)
{
	r->a.now_us = at_us;
	return guards_ask(&r->b, &r->m, stage, &r->a) == NULL;
}

/* How many of n in a row at one instant are let in. */
static uint32_t
lets_in(struct rig *r, enum sim_stage stage, int64_t at_us, uint32_t n)
{
	uint32_t yes = 0;

	for (uint32_t i = 0; i < n; i++)
		yes += asks(r, stage, at_us);
	return yes;
}

static void
from(struct rig *r, const char *ip)
{
	assert_int_equal(ip_parse(slice_str(ip), &r->a.ip), 0);
}

static void
a_bucket_fills_at_its_rate(void **state)
{
	struct rig r = rig_make("v: { bucket: 2/s, burst: 5, at: eom }");

	(void)state;
	assert_int_equal(lets_in(&r, AT_EOM, 0, 9), 5);
	assert_int_equal(lets_in(&r, AT_EOM, US_PER_S, 9), 2);
	assert_int_equal(lets_in(&r, AT_EOM, US_PER_S * 100, 9), 5);
	assert_int_equal(lets_in(&r, AT_MAIL, US_PER_S * 100, 9), 9);
	from(&r, "192.0.2.2");
	assert_int_equal(lets_in(&r, AT_EOM, US_PER_S * 100, 9), 5);
	rig_free(&r);
}

static void
a_rate_steps_in_time(void **state)
{
	struct rig r =
	    rig_make("v: { bucket: 60/m, burst: 1, steps: [ { at: "
		     "10s, rate: 30/m }, { at: 20s, rate: 120/m } ] }");
	uint32_t n[3] = { 0 };

	(void)state;
	for (int64_t t = 0; t < 30 * US_PER_S; t += 100 * US_PER_MS)
		n[t / (10 * US_PER_S)] += asks(&r, AT_MAIL, t);
	assert_int_equal(n[0], 10);
	assert_int_equal(n[1], 5);
	assert_in_range(n[2], 19, 20);
	rig_free(&r);
}

static void
windows_stand_on_the_clock_or_slide(void **state)
{
	struct rig w = rig_make("v: { window: 10/m }");
	struct rig s = rig_make("v: { sliding: 10/m }");

	(void)state;
	assert_int_equal(lets_in(&w, AT_MAIL, 59 * US_PER_S, 20), 10);
	assert_int_equal(lets_in(&w, AT_MAIL, 60 * US_PER_S, 20), 10);
	assert_int_equal(lets_in(&s, AT_MAIL, 30 * US_PER_S, 6), 6);
	assert_int_equal(lets_in(&s, AT_MAIL, 59 * US_PER_S, 20), 4);
	assert_int_equal(lets_in(&s, AT_MAIL, 60 * US_PER_S, 20), 0);
	assert_int_equal(lets_in(&s, AT_MAIL, 91 * US_PER_S, 20), 6);
	assert_int_equal(lets_in(&s, AT_MAIL, 1000 * US_PER_S, 20), 10);
	rig_free(&w);
	rig_free(&s);
}

static void
who_goes_over_is_shut_out(void **state)
{
	struct rig r = rig_make("v: { window: 5/h, penalty: 2h }");

	(void)state;
	assert_int_equal(lets_in(&r, AT_MAIL, 0, 5), 5);
	assert_true(!asks(&r, AT_MAIL, 60 * US_PER_S));
	assert_true(!asks(&r, AT_MAIL, 7200 * US_PER_S));
	assert_true(asks(&r, AT_MAIL, 7260 * US_PER_S));
	rig_free(&r);
}

static void
retries_may_prolong_a_penalty(void **state)
{
	struct rig r =
	    rig_make("v: { batch: 1, penalty: 10m, retries_prolong: yes }");
	int64_t t = 0;

	(void)state;
	assert_true(asks(&r, AT_MAIL, 0));
	for (; t < 7200 * US_PER_S; t += 590 * US_PER_S)
		assert_true(!asks(&r, AT_MAIL, t));
	assert_true(asks(&r, AT_MAIL, t + 20 * US_PER_S));
	rig_free(&r);
}

static void
retries_may_count(void **state)
{
	struct rig r = rig_make("v: { window: 5/h, retries_count: yes }");
	struct rig s = rig_make("v: { sliding: 60/h, retries_count: yes }");
	uint32_t yes = 0;

	(void)state;
	assert_int_equal(lets_in(&r, AT_MAIL, 0, 50), 5);
	assert_true(asks(&r, AT_MAIL, 3600 * US_PER_S));
	/* Who keeps knocking at more than the rate gets nothing any more. */
	for (int64_t t = 0; t < 4 * 3600; t += 30)
		yes += asks(&s, AT_MAIL, t * US_PER_S);
	assert_int_equal(yes, 60);
	assert_true(asks(&s, AT_MAIL, 6 * 3600 * US_PER_S));
	rig_free(&r);
	rig_free(&s);
}

static void
a_penalty_may_be_met_earlier(void **state)
{
	struct rig r = rig_make(
	    "v: { at: eom, shut_at: connect, window: 2/h, penalty: 3h }");

	(void)state;
	assert_int_equal(lets_in(&r, AT_CONNECT, 0, 5), 5);
	assert_int_equal(lets_in(&r, AT_EOM, 0, 5), 2);
	assert_true(!asks(&r, AT_CONNECT, 3 * 3600 * US_PER_S - 1));
	assert_true(asks(&r, AT_CONNECT, 3 * 3600 * US_PER_S));
	rig_free(&r);
}

static void
a_batch_is_let_in_between_penalties(void **state)
{
	struct rig r = rig_make("v: { batch: 8, penalty: 1h }");

	(void)state;
	for (int64_t h = 0; h < 5; h++)
		assert_int_equal(lets_in(&r, AT_MAIL, h * 3601 * US_PER_S, 100),
		    8);
	rig_free(&r);
}

static void
a_penalty_may_last_the_day(void **state)
{
	struct rig r = rig_make("v: { window: 10/1d, penalty: day }");

	(void)state;
	assert_int_equal(lets_in(&r, AT_MAIL, DAY / 2, 50), 10);
	assert_int_equal(lets_in(&r, AT_MAIL, DAY - 1, 50), 0);
	assert_int_equal(lets_in(&r, AT_MAIL, DAY, 50), 10);
	rig_free(&r);
}

static void
connections_are_counted_by_netblock(void **state)
{
	struct rig r = rig_make("v: { connections: 2, by: netblock }");

	(void)state;
	assert_true(asks(&r, AT_CONNECT, 0));
	from(&r, "192.0.2.250");
	assert_true(asks(&r, AT_CONNECT, 0));
	assert_true(!asks(&r, AT_CONNECT, 0));
	from(&r, "192.0.3.1");
	assert_true(asks(&r, AT_CONNECT, 0));
	from(&r, "192.0.2.1");
	guards_leave(&r.b, &r.m, &r.a);
	assert_true(asks(&r, AT_CONNECT, 0));
	assert_true(!asks(&r, AT_CONNECT, 0));
	rig_free(&r);
}

static void
a_guard_may_open_again_slowly(void **state)
{
	struct rig r =
	    rig_make("v: { at: eom, batch: 1, penalty: 10m, reopens: 5m }");

	(void)state;
	assert_true(asks(&r, AT_CONNECT, 0));
	assert_int_equal(lets_in(&r, AT_EOM, 0, 2), 1);
	guards_leave(&r.b, &r.m, &r.a);
	/* From 10:00 on one connection, from 15:00 on two. */
	assert_true(asks(&r, AT_CONNECT, 600 * US_PER_S));
	assert_true(!asks(&r, AT_CONNECT, 899 * US_PER_S));
	assert_true(!asks(&r, AT_EOM, 1490 * US_PER_S));
	assert_true(asks(&r, AT_CONNECT, 2300 * US_PER_S));
	rig_free(&r);
}

static void
a_young_source_has_so_much_a_day(void **state)
{
	struct rig r = rig_make("v: { days: [5, 20] }");

	(void)state;
	assert_int_equal(lets_in(&r, AT_MAIL, 0, 50), 5);
	assert_int_equal(lets_in(&r, AT_MAIL, DAY, 50), 20);
	assert_int_equal(lets_in(&r, AT_MAIL, 2 * DAY, 50), 50);
	from(&r, "192.0.2.9");
	r.a.born_us = -DAY;
	assert_int_equal(lets_in(&r, AT_MAIL, 0, 50), 20);
	rig_free(&r);
}

static void
a_greylist_knows_triplets(void **state)
{
	struct rig r = rig_make("v: { at: rcpt, greylist: 5m, within: 2h, "
				"known: 1d, trusts_after: 2 }");
	int64_t m = 60 * US_PER_S;

	(void)state;
	assert_true(!asks(&r, AT_RCPT, 0));
	assert_true(!asks(&r, AT_RCPT, 4 * m));
	from(&r, "192.0.2.77"); /* a neighbour is the same client */
	assert_true(asks(&r, AT_RCPT, 5 * m));
	r.a.rcpt = SL("v@r.example");
	assert_true(!asks(&r, AT_RCPT, 6 * m));
	from(&r, "192.0.3.77"); /* another netblock is not */
	assert_true(!asks(&r, AT_RCPT, 20 * m));
	from(&r, "192.0.2.77");
	assert_true(!asks(&r, AT_RCPT, 127 * m)); /* too late: begins anew */
	assert_true(asks(&r, AT_RCPT, 133 * m));
	/* Two triplets, more than an hour apart: the client is known. */
	r.a.rcpt = SL("w@r.example");
	assert_true(asks(&r, AT_RCPT, 134 * m));
	from(&r, "192.0.3.77");
	assert_true(!asks(&r, AT_RCPT, 134 * m));
	rig_free(&r);
}

static void
trust_is_counted_once_an_hour(void **state)
{
	struct rig r =
	    rig_make("v: { at: rcpt, greylist: 5m, trusts_after: 2 }");
	static const char *const rcpts[] = { "a@r", "b@r", "c@r" };
	int64_t m = 60 * US_PER_S;

	(void)state;
	for (int64_t t = 0; t <= 5; t += 5)
		for (size_t i = 0; i < ARRAY_LEN(rcpts); i++) {
			r.a.rcpt = slice_str(rcpts[i]);
			assert_true(asks(&r, AT_RCPT, t * m) == (t == 5));
		}
	r.a.rcpt = SL("d@r");
	assert_true(!asks(&r, AT_RCPT, 6 * m));
	assert_true(asks(&r, AT_RCPT, 66 * m));
	r.a.rcpt = SL("e@r");
	assert_true(asks(&r, AT_RCPT, 67 * m));
	rig_free(&r);
}

static void
a_recipient_has_a_rate_of_its_own(void **state)
{
	struct rig r =
	    rig_make("v: { at: rcpt, by: [sender, recipient], sliding: 3/h }");

	(void)state;
	assert_int_equal(lets_in(&r, AT_RCPT, 0, 9), 3);
	r.a.rcpt = SL("v@r.example");
	assert_int_equal(lets_in(&r, AT_RCPT, 0, 9), 3);
	from(&r, "203.0.113.1"); /* whatever the source */
	assert_int_equal(lets_in(&r, AT_RCPT, 0, 9), 0);
	r.a.sender = SL("t.example");
	assert_int_equal(lets_in(&r, AT_RCPT, 0, 9), 3);
	rig_free(&r);
}

static void
time_that_begins_anew_forgets(void **state)
{
	struct rig r = rig_make("v: { batch: 1, penalty: 1d }");

	(void)state;
	assert_int_equal(lets_in(&r, AT_MAIL, US_PER_S, 5), 1);
	assert_int_equal(lets_in(&r, AT_MAIL, 0, 5), 1);
	rig_free(&r);
}

static void
some_sources_only(void **state)
{
	struct rig r = rig_make("v: { at: connect, deny: yes, only: new* }");

	(void)state;
	assert_true(asks(&r, AT_CONNECT, 0));
	r.a.source = SL("new1");
	assert_true(!asks(&r, AT_CONNECT, 0));
	rig_free(&r);
}

static void
what_is_wrong_is_told(void **state)
{
	static const char *const wrong[] = { "v: {}", "v: { bucket: 5 }",
		"v: { window: 0/s }", "v: { deny: maybe }",
		"v: { connections: 2, at: mail }", "v: { batch: x }",
		"v: { bucket: 1/s, by: moon }", "v: { days: [] }",
		"v: { bucket: 1/s, steps: [ { at: 2h } ] }",
		"v: { bucket: 1/s, steps: [ { at: 2h, rate: 1/s }, { at: 1h, "
		"rate: 2/s } ] }",
		"v: { bucket: 1/s, at: mail, shut_at: eom }",
		"v: { bucket: 1/s, nonsense: 1 }", "[1]" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct rig r = { 0 };
		char why[200] = "";

		assert_true(rig_read(&r, wrong[i], why) > 0);
		assert_non_null(strstr(why, "expected"));
		rig_free(&r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_fills_at_its_rate),
		cmocka_unit_test(a_rate_steps_in_time),
		cmocka_unit_test(windows_stand_on_the_clock_or_slide),
		cmocka_unit_test(who_goes_over_is_shut_out),
		cmocka_unit_test(retries_may_prolong_a_penalty),
		cmocka_unit_test(retries_may_count),
		cmocka_unit_test(a_penalty_may_be_met_earlier),
		cmocka_unit_test(a_batch_is_let_in_between_penalties),
		cmocka_unit_test(a_penalty_may_last_the_day),
		cmocka_unit_test(connections_are_counted_by_netblock),
		cmocka_unit_test(a_guard_may_open_again_slowly),
		cmocka_unit_test(a_young_source_has_so_much_a_day),
		cmocka_unit_test(a_greylist_knows_triplets),
		cmocka_unit_test(trust_is_counted_once_an_hour),
		cmocka_unit_test(a_recipient_has_a_rate_of_its_own),
		cmocka_unit_test(time_that_begins_anew_forgets),
		cmocka_unit_test(some_sources_only),
		cmocka_unit_test(what_is_wrong_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
