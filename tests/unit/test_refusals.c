/*
 * Which reply shut a path: known by the path and the moment, and of the last
 * paths only.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "relay/refusals.h"

static void
put(struct refusals *r, uint32_t path, int64_t at_us, const char *text)
{
	struct refusal one = { .at_us = at_us,
		.path = path,
		.outcome = { .code = 421 },
		.text = slice_str(text),
		.rule = SL("f:1") };

	refusals_put(r, &one);
}

static void
a_path_has_the_reply_of_that_moment(void **state)
{
	struct refusals *r = refusals_new();
	const struct refusal *x;

	(void)state;
	put(r, 7, 100, "slow down");
	x = refusals_get(r, 7, 100);
	assert_non_null(x);
	assert_true(slice_eq(x->text, SL("slow down")));
	assert_true(slice_eq(x->rule, SL("f:1")));
	assert_int_equal(x->outcome.code, 421);
	/* Refused again, or another path that has its number now. */
	assert_null(refusals_get(r, 7, 101));
	assert_null(refusals_get(r, 8, 100));
	assert_null(refusals_get(r, 0, 100));
	put(r, 7, 200, "go away");
	assert_null(refusals_get(r, 7, 100));
	assert_true(slice_eq(refusals_get(r, 7, 200)->text, SL("go away")));
	refusals_free(r);
}

static void
the_last_paths_are_known(void **state)
{
	struct refusals *r = refusals_new();
	const uint32_t n = 3 * REFUSALS + 5;

	(void)state;
	for (uint32_t i = 1; i <= n; i++) {
		put(r, i, i, "no");
		put(r, i, i, "no more"); /* takes no second place */
	}
	for (uint32_t i = 1; i <= n; i++) {
		const struct refusal *x = refusals_get(r, i, i);

		assert_int_equal(x != NULL, i > n - REFUSALS);
		assert_true(x == NULL || slice_eq(x->text, SL("no more")));
	}
	refusals_free(r);
}

static void
long_texts_are_cut(void **state)
{
	struct refusals *r = refusals_new();
	static char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	put(r, 1, 1, text);
	assert_int_equal(refusals_get(r, 1, 1)->text.n, REFUSAL_TEXT);
	assert_true(slice_eq(refusals_get(r, 1, 1)->rule, SL("f:1")));
	refusals_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_has_the_reply_of_that_moment),
		cmocka_unit_test(the_last_paths_are_known),
		cmocka_unit_test(long_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
