/*
 * test_base_filter - what was put in is always found, and of what was not nearly
 * nothing is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

#define KEYS 1000000u

static uint64_t
key(uint64_t i)
{
	return hash_bytes(7, &i, sizeof(i));
}

static void
what_was_put_in_is_found(void **state)
{
	struct filter *f = filter_new(KEYS);
	uint64_t missing = 0;

	(void)state;
	assert_non_null(f);
	for (uint64_t i = 0; i < KEYS; i++)
		filter_add(f, key(i));
	for (uint64_t i = 0; i < KEYS; i++)
		missing += !filter_has(f, key(i));
	assert_int_equal(missing, 0);
	filter_free(f);
}

static void
few_others_are_found(void **state)
{
	struct filter *f = filter_new(KEYS);
	uint64_t found = 0;

	(void)state;
	for (uint64_t i = 0; i < KEYS; i++)
		filter_add(f, key(i));
	for (uint64_t i = KEYS; i < 2 * KEYS; i++)
		found += filter_has(f, key(i));
	/* One in 150: for 12 bits a key in blocks of 512 the theory says 1 in
	 * 200. */
	assert_in_range(found, 100, KEYS / 150);
	assert_in_range(filter_bytes(f), KEYS * 12 / 8, KEYS * 13 / 8);
	filter_free(f);
}

static void
one_without_keys_has_none(void **state)
{
	struct filter *f = filter_new(0);

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		assert_false(filter_has(f, key(i)));
	filter_add(f, key(5));
	assert_true(filter_has(f, key(5)));
	filter_ask(f, key(6));
	filter_free(f);
}

static void
too_many_keys_are_refused(void **state)
{
	(void)state;
	assert_null(filter_new(UINT64_MAX));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_in_is_found),
		cmocka_unit_test(few_others_are_found),
		cmocka_unit_test(one_without_keys_has_none),
		cmocka_unit_test(too_many_keys_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
