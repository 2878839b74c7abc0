/*
 * test_engine_react - what the engine does about a refusal that says whom it is
 * about, before a receiver that refuses in a given way.
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

/* The first hour of every message meets this. */
static struct outcome refusal;
static uint32_t nasked, seen_by[LAB_MESSAGES];
static int64_t first_us[LAB_MESSAGES];

static bool
refuse_all(struct lab *l, uint16_t source, uint32_t msg, struct outcome *o)
{
	(void)l;
	(void)source;
	(void)msg;
	nasked++;
	*o = refusal;
	return true;
}

/* As greylisting is: a message is taken from an address that tried before. */
static bool
greylist(struct lab *l, uint16_t source, uint32_t msg, struct outcome *o)
{
	if (seen_by[msg] == source + 1u && l->now >= first_us[msg] + MIN_US)
		return false;
	if (seen_by[msg] != source + 1u)
		first_us[msg] = l->now;
	seen_by[msg] = source + 1u;
	nasked++;
	*o = lab_refusal(450, STAGE_RCPT, KIND_GREYLIST, SCOPE_RECIPIENT);
	return true;
}

static struct lab *
lab_of(uint32_t nsources)
{
	struct lab *l = lab_new(nsources);

	nasked = 0;
	memset(seen_by, 0, sizeof(seen_by));
	lab_start(l, 1);
	return l;
}

/* Each greylisted message is seen twice, by one address both times. */
static void
who_was_greylisted_comes_back_from_the_same_address(void **state)
{
	struct lab *l = lab_of(5);

	(void)state;
	l->answer = greylist;
	l->backlog = 0;
	lab_submit(l, 200);
	lab_run(l, 60 * MIN_US);
	assert_int_equal(l->count.taken, 200);
	assert_int_equal(nasked, 200);
	for (uint32_t i = 0; i < 5; i++)
		assert_true(l->of[i].taken > 20);
	lab_free(l);
}

/* What a block refused waits for that address; other mail takes the others. */
static bool
block_first(struct lab *l, uint16_t source, uint32_t msg, struct outcome *o)
{
	(void)l;
	if (seen_by[msg] != 0)
		assert_int_equal(seen_by[msg], source + 1);
	if (source != 0 || l->now > LAB_START + 5 * MIN_US)
		return false;
	seen_by[msg] = 1;
	nasked++;
	*o = refusal;
	return true;
}

static void
a_block_stops_one_path_and_mail_keeps_its_address(void **state)
{
	struct lab *l = lab_of(3);

	(void)state;
	refusal =
	    lab_refusal(421, STAGE_EOM, KIND_REPUTATION_BLOCK, SCOPE_SOURCE);
	l->answer = block_first;
	l->backlog = 0;
	lab_submit(l, 400);
	lab_run(l, 9 * MIN_US);
	assert_true(nasked <= 20);
	assert_int_equal(l->of[0].taken, 0);
	assert_int_equal(l->count.taken + nasked, 400);
	l->of[0] = (struct lab_count){ 0 };
	lab_run(l, 3 * MIN_US);
	assert_int_equal(l->count.taken, 400);
	assert_int_equal(l->of[0].taken, nasked);
	assert_int_equal(l->of[0].most, 1);
	assert_int_equal(l->deferred, 0); /* no attempts of theirs */
	lab_free(l);
}

/* What was on the wire meets the block too; what stood behind it does not. */
static void
what_was_assigned_ahead_of_a_block_leaves_by_others(void **state)
{
	struct lab *l = lab_new(2);

	(void)state;
	nasked = 0;
	memset(seen_by, 0, sizeof(seen_by));
	l->policy->shapes[0].conns_max = 4;
	lab_start(l, 1);
	refusal =
	    lab_refusal(451, STAGE_EOM, KIND_REPUTATION_BLOCK, SCOPE_SOURCE);
	l->answer = block_first;
	l->backlog = 0;
	lab_submit(l, 400);
	lab_run(l, 9 * MIN_US);
	assert_in_range(nasked, 1, 5); /* one had begun with the first reply */
	assert_in_range(l->count.taken_back, 1, 4);
	assert_int_equal(l->of[1].taken, 400 - nasked);
	lab_free(l);
}

/* Ten minutes, one connection; then one more at a time. */
static bool
block_for_five_minutes(struct lab *l, uint16_t source, uint32_t msg,
    struct outcome *o)
{
	(void)source;
	(void)msg;
	if (l->now > LAB_START + 5 * MIN_US)
		return false;
	*o = refusal;
	return true;
}

static void
after_a_block_sessions_come_back_one_by_one(void **state)
{
	struct lab *l = lab_of(1);

	(void)state;
	refusal = lab_refusal(421, STAGE_EOM, KIND_THROTTLE, SCOPE_SOURCE);
	l->answer = block_for_five_minutes;
	lab_run(l, 10 * MIN_US);
	assert_int_equal(l->count.taken, 0);
	for (uint32_t k = 1; k <= 8; k++) {
		l->count.most = l->of[0].most = 0;
		lab_run(l, MIN_US);
		assert_in_range(l->nsess, k == 1 ? 0 : k - 1, k);
	}
	assert_true(l->count.taken > 100);
	lab_free(l);
}

/* Only the recipients are refused, each by its own schedule. */
static void
a_full_mailbox_leaves_the_path_alone(void **state)
{
	struct lab *l = lab_of(1);

	(void)state;
	refusal =
	    lab_refusal(421, STAGE_RCPT, KIND_MAILBOX_FULL, SCOPE_RECIPIENT);
	l->answer = refuse_all;
	l->backlog = 0;
	lab_submit(l, 200);
	lab_run(l, 2 * MIN_US);
	assert_int_equal(nasked, 200);
	assert_int_equal(l->deferred, 200);
	lab_free(l);
}

/* A throttle says it at RCPT and leaves the session up: the path rests, though
 * each of them is a 4xx to a recipient. */
static void
a_throttle_at_rcpt_slows_the_path(void **state)
{
	struct lab *l = lab_of(1);

	(void)state;
	refusal = lab_refusal(452, STAGE_RCPT, KIND_THROTTLE, SCOPE_PATH);
	l->answer = refuse_all;
	l->backlog = 0;
	lab_submit(l, 200);
	lab_run(l, 10 * MIN_US);
	assert_true(nasked < 40);
	assert_int_equal(l->deferred, 0);
	lab_free(l);
}

/* One who is refused alone does not keep the others from going. */
static bool
refuse_one(struct lab *l, uint16_t source, uint32_t msg, struct outcome *o)
{
	(void)l;
	(void)source;
	if (msg != 1)
		return false;
	nasked++;
	*o = refusal;
	return true;
}

static void
the_first_in_line_does_not_hold_up_the_rest(void **state)
{
	struct lab *l = lab_of(1);

	(void)state;
	refusal = lab_refusal(452, STAGE_RCPT, KIND_THROTTLE, SCOPE_PATH);
	l->answer = refuse_one;
	l->backlog = 0;
	lab_submit(l, 100);
	lab_run(l, 60 * MIN_US);
	assert_int_equal(l->count.taken, 99);
	lab_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    who_was_greylisted_comes_back_from_the_same_address),
		cmocka_unit_test(
		    a_block_stops_one_path_and_mail_keeps_its_address),
		cmocka_unit_test(
		    what_was_assigned_ahead_of_a_block_leaves_by_others),
		cmocka_unit_test(after_a_block_sessions_come_back_one_by_one),
		cmocka_unit_test(a_full_mailbox_leaves_the_path_alone),
		cmocka_unit_test(a_throttle_at_rcpt_slows_the_path),
		cmocka_unit_test(the_first_in_line_does_not_hold_up_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
