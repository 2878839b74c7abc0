/*
 * The generator: its stream is for ever, its ranges are exact.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

static void
a_seed_gives_the_same_stream_for_ever(void **state)
{
	static const uint64_t zero[] = { UINT64_C(0x99ec5f36cb75f2b4),
		UINT64_C(0xbf6e1f784956452a), UINT64_C(0x1a5f849d4933e6e0),
		UINT64_C(0x6aa594f1262d2d2c) };
	static const uint64_t answer[] = { UINT64_C(0x15780b2e0c2ec716),
		UINT64_C(0x6104d9866d113a7e), UINT64_C(0xae17533239e499a1),
		UINT64_C(0xecb8ad4703b360a1) };
	struct rng a, b;

	(void)state;
	rng_seed(&a, 0);
	rng_seed(&b, 42);
	for (int i = 0; i < 4; i++) {
		assert_true(rng_u64(&a) == zero[i]);
		assert_true(rng_u64(&b) == answer[i]);
	}
}

static void
below_is_uniform_and_stays_below(void **state)
{
	unsigned seen[7] = { 0 };
	uint64_t big = UINT64_C(3) << 62, thirds = 0;
	struct rng r;

	(void)state;
	rng_seed(&r, 1);
	assert_int_equal(rng_below(&r, 0), 0);
	assert_int_equal(rng_below(&r, 1), 0);
	for (int i = 0; i < 70000; i++)
		seen[rng_below(&r, 7)]++;
	for (int i = 0; i < 7; i++)
		assert_in_range(seen[i], 9600, 10400);
	/* Of 4 * 2^62 draws for 3 * 2^62 values, every third value would get
	 * two if none were drawn again. */
	for (int i = 0; i < 30000; i++) {
		uint64_t v = rng_below(&r, big);

		assert_true(v < big);
		thirds += v % 3 == 0;
	}
	assert_in_range(thirds, 9600, 10400);
}

static void
ranges_include_both_ends(void **state)
{
	bool low = false, high = false, negative = false;
	struct rng r;

	(void)state;
	rng_seed(&r, 2);
	for (int i = 0; i < 1000; i++) {
		int64_t v = rng_range(&r, -2, 2);

		assert_true(v >= -2 && v <= 2);
		low |= v == -2;
		high |= v == 2;
		negative |= rng_range(&r, INT64_MIN, INT64_MAX) < 0;
		assert_true(rng_range(&r, INT64_MAX, INT64_MAX) == INT64_MAX);
		assert_true(rng_range(&r, INT64_MIN, INT64_MIN) == INT64_MIN);
		assert_true(rng_range(&r, INT64_MIN, 0) <= 0);
	}
	assert_true(low && high && negative);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_gives_the_same_stream_for_ever),
		cmocka_unit_test(below_is_uniform_and_stays_below),
		cmocka_unit_test(ranges_include_both_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
