/*
 * Numbers, sizes, durations and rates, as text and back.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

#define S(text) slice_str(text)
#define SEC US_PER_S
#define MIN_US (60 * SEC)
#define HOUR (60 * MIN_US)
#define DAY (24 * HOUR)

static uint64_t
random_magnitude(struct rng *r)
{
	return rng_u64(r) >> rng_below(r, 64);
}

static void
decimals_are_those_of_printf(void **state)
{
	char expect[24], got[24];
	struct rng r;

	(void)state;
	rng_seed(&r, 1);
	for (int i = 0; i < 100000; i++) {
		uint64_t v = i < 2000 ? (uint64_t)i : random_magnitude(&r);

		snprintf(expect, sizeof(expect), "%llu", (unsigned long long)v);
		got[fmt_u64(got, v)] = '\0';
		assert_string_equal(got, expect);
	}
	got[fmt_u64(got, UINT64_MAX)] = '\0';
	assert_string_equal(got, "18446744073709551615");
}

static const struct {
	const char *text;
	uint64_t bytes;
} sizes[] = {
	{ "0", 0 },
	{ "4096", 4096 },
	{ "7B", 7 },
	{ "64K", 65536 },
	{ "64k", 65536 },
	{ "10M", 10 << 20 },
	{ "10MB", 10 << 20 },
	{ "10MiB", 10 << 20 },
	{ "1G", 1 << 30 },
	{ "2T", UINT64_C(2) << 40 },
	{ "15E", UINT64_C(15) << 60 },
	{ "18446744073709551615", UINT64_MAX },
};

static void
sizes_are_read(void **state)
{
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		assert_int_equal(parse_size(S(sizes[i].text), &v), 0);
		assert_true(v == sizes[i].bytes);
	}
}

static void
bad_sizes_are_refused(void **state)
{
	static const char *const bad[] = { "", "M", "1X", "-1", "1 M", "1.5G",
		"10MM", "10iB", "1KBB", "0x10", " 1", "1Mi", "K1" };
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse_size(S(bad[i]), &v), E_SYNTAX);
	assert_int_equal(parse_size(S("16E"), &v), E_RANGE);
	assert_int_equal(parse_size(S("18446744073709551615K"), &v), E_RANGE);
	assert_int_equal(parse_size(S("99999999999999999999"), &v), E_RANGE);
	assert_int_equal(v, 77);
}

static const struct {
	const char *text;
	int64_t us;
} durations[] = {
	{ "0", 0 },
	{ "0s", 0 },
	{ "90", 90 * SEC },
	{ "250ms", 250000 },
	{ "30s", 30 * SEC },
	{ "5m", 5 * MIN_US },
	{ "2h", 2 * HOUR },
	{ "1d", DAY },
	{ "1h30m", 90 * MIN_US },
	{ "1d2h3m4s5ms6us", DAY + 2 * HOUR + 3 * MIN_US + 4 * SEC + 5006 },
	{ "100m", 100 * MIN_US },
	{ "9223372036854775807us", INT64_MAX },
};

static void
durations_are_read(void **state)
{
	int64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
		assert_int_equal(parse_duration(S(durations[i].text), &v), 0);
		assert_true(v == durations[i].us);
	}
}

static void
bad_durations_are_refused(void **state)
{
	static const char *const bad[] = { "", "s", "5x", "-5s", "1h30",
		"30m1h", "1m1m", "1.5h", "5 m", "5M", "1hm", "5min", "5ss",
		"m5", "1h-1m" };
	static const char *const large[] = { "9223372036854775808us",
		"9223372036855", "106751992d", "106751991d5h",
		"99999999999999999999s", "99999999999999999999" };
	int64_t v = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse_duration(S(bad[i]), &v), E_SYNTAX);
	for (size_t i = 0; i < ARRAY_LEN(large); i++)
		assert_int_equal(parse_duration(S(large[i]), &v), E_RANGE);
	assert_int_equal(v, 77);
}

static void
rates_are_read(void **state)
{
	uint64_t n;
	int64_t us;

	(void)state;
	assert_int_equal(parse_rate(S("100/s"), &n, &us), 0);
	assert_true(n == 100 && us == SEC);
	assert_int_equal(parse_rate(S("6000/m"), &n, &us), 0);
	assert_true(n == 6000 && us == MIN_US);
	assert_int_equal(parse_rate(S("360000/h"), &n, &us), 0);
	assert_true(n == 360000 && us == HOUR);
	assert_int_equal(parse_rate(S("5/d"), &n, &us), 0);
	assert_true(n == 5 && us == DAY);
	assert_int_equal(parse_rate(S("7/10m"), &n, &us), 0);
	assert_true(n == 7 && us == 10 * MIN_US);
	assert_int_equal(parse_rate(S("0/1s"), &n, &us), 0);
	assert_true(n == 0 && us == SEC);
}

static void
bad_rates_are_refused(void **state)
{
	static const char *const bad[] = { "", "5", "/", "5/", "/s", "5/x",
		"5/10", "5//s", "5/s/s", "5/1h30m", "-5/s", "5 /s", "5/ s",
		"k/s", "5/sm" };
	uint64_t n = 77;
	int64_t us = 78;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse_rate(S(bad[i]), &n, &us), E_SYNTAX);
	assert_int_equal(parse_rate(S("5/0s"), &n, &us), E_RANGE);
	assert_int_equal(parse_rate(S("5/999999999d"), &n, &us), E_RANGE);
	assert_int_equal(parse_rate(S("99999999999999999999/s"), &n, &us),
	    E_RANGE);
	assert_true(n == 77 && us == 78);
}

static void
exact_texts_are_short_and_mean_the_same(void **state)
{
	char text[32];

	(void)state;
	assert_string_equal(fmt_duration_exact(text, 0), "0s");
	assert_string_equal(fmt_duration_exact(text, 90 * MIN_US), "90m");
	assert_string_equal(fmt_duration_exact(text, DAY), "1d");
	assert_string_equal(fmt_duration_exact(text, 250000), "250ms");
	assert_string_equal(fmt_duration_exact(text, 5 * DAY + MIN_US), "5d1m");
	assert_string_equal(fmt_duration_exact(text, HOUR * 30 + 61 * SEC),
	    "108061s");
	assert_string_equal(fmt_duration_exact(text, 10 * DAY + SEC / 1000),
	    "10d1ms");
	assert_string_equal(fmt_size_exact(text, 0), "0");
	assert_string_equal(fmt_size_exact(text, 1536), "1536");
	assert_string_equal(fmt_size_exact(text, 10 << 20), "10M");
	assert_string_equal(fmt_size_exact(text, UINT64_C(15) << 60), "15E");
	assert_string_equal(fmt_size_exact(text, UINT64_MAX),
	    "18446744073709551615");
}

static void
exact_texts_parse_back_to_the_same_value(void **state)
{
	static const uint64_t factor[] = { 1, 1000, 1000000, 60000000,
		3600000000, 86400000000, 1024, 1 << 20 };
	char text[32];
	uint64_t size;
	int64_t us;
	struct rng r;

	(void)state;
	rng_seed(&r, 2);
	for (int i = 0; i < 200000; i++) {
		uint64_t v = random_magnitude(&r) * factor[rng_below(&r, 8)];

		memset(text, '!', sizeof(text));
		assert_int_equal(parse_size(S(fmt_size_exact(text, v)), &size),
		    0);
		assert_true(size == v);
		v &= INT64_MAX;
		fmt_duration_exact(text, (int64_t)v);
		assert_true(strlen(text) < sizeof(text));
		assert_int_equal(parse_duration(S(text), &us), 0);
		assert_true(us == (int64_t)v);
	}
	assert_true(strlen(fmt_duration_exact(text, INT64_MAX)) < 32);
}

static void
short_forms_fit_their_columns(void **state)
{
	char text[24];

	(void)state;
	assert_string_equal(fmt_bytes(text, 0), "0B");
	assert_string_equal(fmt_bytes(text, 1023), "1023B");
	assert_string_equal(fmt_bytes(text, 1024), "1.0K");
	assert_string_equal(fmt_bytes(text, UINT64_C(154) << 30), "154G");
	assert_string_equal(fmt_bytes(text, 1945555000000), "1.7T");
	assert_string_equal(fmt_bytes(text, 1048575), "1023K");
	assert_string_equal(fmt_bytes(text, UINT64_MAX), "15E");
	assert_string_equal(fmt_count(text, 0), "0");
	assert_string_equal(fmt_count(text, 999), "999");
	assert_string_equal(fmt_count(text, 1000), "1.0k");
	assert_string_equal(fmt_count(text, 9199), "9.1k");
	assert_string_equal(fmt_count(text, 611999), "611k");
	assert_string_equal(fmt_count(text, 999999), "999k");
	assert_string_equal(fmt_count(text, 3410000), "3.41M");
	assert_string_equal(fmt_count(text, 10099999), "10.0M");
	assert_string_equal(fmt_count(text, 2050000000), "2.05G");
	assert_string_equal(fmt_count(text, UINT64_MAX), "18.4E");
	assert_string_equal(fmt_duration(text, 0), "0s");
	assert_string_equal(fmt_duration(text, 999), "999us");
	assert_string_equal(fmt_duration(text, 42 * US_PER_MS), "42ms");
	assert_string_equal(fmt_duration(text, 38 * SEC + 999999), "38s");
	assert_string_equal(fmt_duration(text, 17 * MIN_US), "17m");
	assert_string_equal(fmt_duration(text, 5 * HOUR + 7 * MIN_US), "5h07m");
	assert_string_equal(fmt_duration(text, 12 * DAY + 3 * HOUR), "12d03h");
	assert_string_equal(fmt_duration(text, -5 * SEC), "-5s");
	assert_string_equal(fmt_duration(text, INT64_MAX), "106751991d04h");
	assert_string_equal(fmt_duration(text, INT64_MIN), "-106751991d04h");
}

static void
base32_keeps_the_order_of_bytes(void **state)
{
	unsigned char a[16], b[16], back[16];
	char ta[32], tb[32];
	struct rng r;

	(void)state;
	rng_seed(&r, 3);
	for (int i = 0; i < 20000; i++) {
		size_t n = 1 + rng_below(&r, 16);
		int order;

		for (size_t k = 0; k < n; k++) {
			a[k] = (unsigned char)rng_u64(&r);
			b[k] = rng_below(&r, 4) ? a[k] :
						  (unsigned char)rng_u64(&r);
		}
		order = memcmp(a, b, n);
		assert_int_equal(fmt_base32(ta, a, n), (n * 8 + 4) / 5);
		fmt_base32(tb, b, n);
		assert_int_equal(strcmp(ta, tb) < 0, order < 0);
		assert_int_equal(strcmp(ta, tb) > 0, order > 0);
		assert_int_equal(parse_base32(S(ta), back, n), 0);
		assert_memory_equal(back, a, n);
		for (char *p = ta; *p; p++)
			*p = ascii_lower(*p);
		assert_int_equal(parse_base32(S(ta), back, n), 0);
		assert_memory_equal(back, a, n);
	}
}

static void
base32_has_known_values_and_refuses_others(void **state)
{
	char text[16];
	unsigned char back[8];

	(void)state;
	fmt_base32(text, "foobar", 6); /* RFC 4648 10, without padding */
	assert_string_equal(text, "CPNMUOJ1E8");
	fmt_base32(text, "", 0);
	assert_string_equal(text, "");
	assert_int_equal(parse_base32(S(""), back, 0), 0);
	assert_int_equal(parse_base32(S("CPNMUOJ1E"), back, 6), E_SYNTAX);
	assert_int_equal(parse_base32(S("CPNMUOJ1E80"), back, 6), E_SYNTAX);
	assert_int_equal(parse_base32(S("CPNMUOJ1EW"), back, 6), E_SYNTAX);
	assert_int_equal(parse_base32(S("CPNMUOJ1=="), back, 6), E_SYNTAX);
	/* Bits behind the last byte: a second text for one value. */
	assert_int_equal(parse_base32(S("CPNMUOJ1E9"), back, 6), E_SYNTAX);
}

static void
hexadecimal_is_lower_case(void **state)
{
	char text[16];

	(void)state;
	assert_int_equal(fmt_hex(text, "\x00\x7f\xab\xff", 4), 8);
	assert_string_equal(text, "007fabff");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decimals_are_those_of_printf),
		cmocka_unit_test(sizes_are_read),
		cmocka_unit_test(bad_sizes_are_refused),
		cmocka_unit_test(durations_are_read),
		cmocka_unit_test(bad_durations_are_refused),
		cmocka_unit_test(rates_are_read),
		cmocka_unit_test(bad_rates_are_refused),
		cmocka_unit_test(exact_texts_are_short_and_mean_the_same),
		cmocka_unit_test(exact_texts_parse_back_to_the_same_value),
		cmocka_unit_test(short_forms_fit_their_columns),
		cmocka_unit_test(base32_keeps_the_order_of_bytes),
		cmocka_unit_test(base32_has_known_values_and_refuses_others),
		cmocka_unit_test(hexadecimal_is_lower_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
