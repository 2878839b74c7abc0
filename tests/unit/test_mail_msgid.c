/*
 * Message ids: order of time in bytes and text, and back; names of stages and
 * outcomes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mail/mail.h"

static void
text_reads_back(void **state)
{
	struct msgid id = msgid_make(INT64_C(1795000000123456), 513, 77), back;
	char text[MSGID_TEXT_MAX];

	(void)state;
	assert_int_equal(msgid_format(text, &id), 26);
	assert_int_equal(strlen(text), 26);
	assert_int_equal(msgid_parse(slice_str(text), &back), 0);
	assert_true(msgid_eq(&id, &back));
	assert_int_equal(msgid_time_us(&back), INT64_C(1795000000123456));
	assert_int_equal(back.b[8] << 8 | back.b[9], 513);
	assert_int_equal(back.b[15], 77);
}

static void
text_is_unlike_others(void **state)
{
	struct msgid id;

	(void)state;
	assert_int_equal(msgid_parse(SL(""), &id), E_SYNTAX);
	assert_int_equal(msgid_parse(SL("0123456789ABCDEFGHIJKLMNO"), &id),
	    E_SYNTAX);
	assert_int_equal(msgid_parse(SL("0123456789ABCDEFGHIJKLMNOPQ"), &id),
	    E_SYNTAX);
	assert_int_equal(msgid_parse(SL("0123456789ABCDEFGHIJKLMNO!"), &id),
	    E_SYNTAX);
}

/* Later in time, then higher sequence, is later as bytes and as text. */
static void
order_is_the_order_of_time(void **state)
{
	struct rng rng;
	char ta[MSGID_TEXT_MAX], tb[MSGID_TEXT_MAX];

	(void)state;
	rng_seed(&rng, 1);
	for (int i = 0; i < 10000; i++) {
		int64_t us = rng_range(&rng, 0, INT64_MAX / 2);
		uint64_t seq = rng_below(&rng, UINT64_C(1) << 47);
		bool by_time = rng_below(&rng, 2) == 0;
		struct msgid a = msgid_make(us, 7, seq);
		struct msgid b =
		    msgid_make(us + by_time, 7, by_time ? 0 : seq + 1);

		assert_true(memcmp(a.b, b.b, sizeof(a.b)) < 0);
		msgid_format(ta, &a);
		msgid_format(tb, &b);
		assert_true(strcmp(ta, tb) < 0);
		assert_false(msgid_eq(&a, &b));
		assert_true(msgid_hash(&a) != msgid_hash(&b));
	}
}

static void
every_stage_and_outcome_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < STAGE_N; i++)
		assert_true(strlen(stage_name((enum stage)i)) > 1);
	for (int i = 0; i < OUTCOME_N; i++)
		assert_true(strlen(outcome_name((enum outcome_class)i)) > 1);
	assert_string_equal(stage_name(STAGE_EOM), "eom");
	assert_string_equal(stage_name(STAGE_N), "unknown");
	assert_string_equal(outcome_name(OUTCOME_N), "unknown");
	assert_string_equal(outcome_name(OUTCOME_ADMIN), "admin_bounced");
}

static void
final_outcomes(void **state)
{
	(void)state;
	assert_true(outcome_is_final(OUTCOME_DELIVERED));
	assert_true(outcome_is_final(OUTCOME_BOUNCED));
	assert_true(outcome_is_final(OUTCOME_EXPIRED));
	assert_true(outcome_is_final(OUTCOME_ADMIN));
	assert_true(outcome_is_final(OUTCOME_DELETED));
	assert_false(outcome_is_final(OUTCOME_NONE));
	assert_false(outcome_is_final(OUTCOME_TRANSIENT));
	assert_false(outcome_is_final(OUTCOME_UNSENT));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_reads_back),
		cmocka_unit_test(text_is_unlike_others),
		cmocka_unit_test(order_is_the_order_of_time),
		cmocka_unit_test(every_stage_and_outcome_has_a_name),
		cmocka_unit_test(final_outcomes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
