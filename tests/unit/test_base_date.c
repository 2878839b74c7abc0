/*
 * The calendar, walked day by day and compared with the C library's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

#define S(text) slice_str(text)
#define DAY_US (86400 * US_PER_S)

static bool
is_leap(int y)
{
	return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

/* One day at a time from 0001-01-01, a Monday, for 2,400 years. */
static void
days_follow_each_other_through_all_leap_years(void **state)
{
	static const int month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30,
		31, 30, 31 };
	int64_t us = -719162 * DAY_US;
	struct date d;
	int wday = 1;

	(void)state;
	for (int y = 1; y <= 2400; y++)
		for (int m = 1; m <= 12; m++) {
			int n = month_days[m - 1] + (m == 2 && is_leap(y));

			for (int day = 1; day <= n; day++, us += DAY_US) {
				date_of(us + DAY_US - 1, &d);
				assert_int_equal(d.year, y);
				assert_int_equal(d.mon, m);
				assert_int_equal(d.day, day);
				assert_int_equal(d.wday, wday);
				assert_int_equal(d.us, 999999);
				wday = (wday + 1) % 7;
			}
		}
}

static void
dates_are_those_of_the_c_library(void **state)
{
	struct date d;
	struct tm tm;
	struct rng r;

	(void)state;
	rng_seed(&r, 1);
	for (int i = 0; i < 200000; i++) {
		int64_t us = (int64_t)rng_u64(&r) >> rng_below(&r, 40);
		time_t t = us / US_PER_S - (us % US_PER_S < 0);

		date_of(us, &d);
		assert_non_null(gmtime_r(&t, &tm));
		assert_int_equal(d.year, tm.tm_year + 1900);
		assert_int_equal(d.mon, tm.tm_mon + 1);
		assert_int_equal(d.day, tm.tm_mday);
		assert_int_equal(d.hour, tm.tm_hour);
		assert_int_equal(d.min, tm.tm_min);
		assert_int_equal(d.sec, tm.tm_sec);
		assert_int_equal(d.wday, tm.tm_wday);
		assert_true(t * US_PER_S + d.us == us);
	}
}

static void
texts_are_those_of_the_rfcs(void **state)
{
	int64_t us = INT64_C(1795485600123456); /* 2026-11-24 02:00 UTC */
	char text[40];

	(void)state;
	assert_int_equal(date_rfc5322(text, us), 31);
	assert_string_equal(text, "Tue, 24 Nov 2026 02:00:00 +0000");
	assert_int_equal(date_iso(text, us), 27);
	assert_string_equal(text, "2026-11-24T02:00:00.123456Z");
	date_iso(text, 0);
	assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
	date_iso(text, -1);
	assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
	assert_in_range(date_rfc5322(text, INT64_MAX), 31, 39);
	assert_in_range(date_rfc5322(text, INT64_MIN), 31, 39);
	assert_in_range(date_iso(text, INT64_MAX), 27, 31);
	assert_in_range(date_iso(text, INT64_MIN), 27, 31);
}

static void
iso_texts_come_back(void **state)
{
	char text[40];
	struct rng r;
	int64_t back;

	(void)state;
	rng_seed(&r, 2);
	for (int i = 0; i < 100000; i++) {
		/* The years 0 to 9999. */
		int64_t us = rng_range(&r, INT64_C(-62167219200000000),
		    INT64_C(253402300799999999));

		date_iso(text, us);
		assert_int_equal(parse_date_iso(S(text), &back), 0);
		assert_true(back == us);
	}
}

static const struct {
	const char *text;
	int64_t us;
} isos[] = {
	{ "1970-01-01T00:00:00Z", 0 },
	{ "1970-01-01t00:00:01z", US_PER_S },
	{ "1970-01-01T00:00:00.5Z", 500000 },
	{ "1970-01-01T00:00:00.123456789Z", 123456 },
	{ "1970-01-01T01:30:00+01:30", 0 },
	{ "1969-12-31T23:00:00-01:00", 0 },
	{ "1972-06-30T23:59:60Z", INT64_C(78796800) * US_PER_S },
	{ "2000-02-29T00:00:00Z", INT64_C(951782400) * US_PER_S },
	{ "0000-02-29T00:00:00Z", INT64_C(-62162121600) * US_PER_S },
};

static void
all_forms_of_rfc3339_are_read(void **state)
{
	int64_t us;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(isos); i++) {
		assert_int_equal(parse_date_iso(S(isos[i].text), &us), 0);
		assert_true(us == isos[i].us);
	}
}

static void
impossible_and_unfinished_dates_are_refused(void **state)
{
	static const char *const bad[] = { "", "2026", "2026-11-24",
		"2026-11-24T02:00:00", "2026-11-24T02:00Z",
		"2026-11-24 02:00:00Z", "2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z",
		"2026-01-32T00:00:00Z", "2026-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
		"2026-11-24T24:00:00Z", "2026-11-24T02:60:00Z",
		"2026-11-24T02:00:61Z", "2026-11-24T02:00:00.Z",
		"2026-11-24T02:00:00.1", "2026-11-24T02:00:00+1:00",
		"2026-11-24T02:00:00+24:00", "2026-11-24T02:00:00+01:60",
		"2026-11-24T02:00:00+0100", "2026-11-24T02:00:00Zx",
		"2026-11-24T02:00:00.1234567x", "+026-11-24T02:00:00Z",
		"2026-1-24T02:00:00Z", "20261124T020000Z" };
	int64_t us = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse_date_iso(S(bad[i]), &us), E_SYNTAX);
	assert_int_equal(us, 77);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(days_follow_each_other_through_all_leap_years),
		cmocka_unit_test(dates_are_those_of_the_c_library),
		cmocka_unit_test(texts_are_those_of_the_rfcs),
		cmocka_unit_test(iso_texts_come_back),
		cmocka_unit_test(all_forms_of_rfc3339_are_read),
		cmocka_unit_test(impossible_and_unfinished_dates_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
