/*
 * test_conf_zone - time zones: offsets and days from a table, and tables from the
 * bytes of zone files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/zoneinfo.h"

#define HOUR 3600
#define DAY 86400

static struct tzone z;

static int64_t
utc(const char *text)
{
	int64_t us = 0;

	assert_int_equal(parse_date_iso(slice_str(text), &us), 0);
	return us / 1000000;
}

/* ---- tables ---------------------------------------------------------------- */

static void
no_table_is_utc(void **state)
{
	(void)state;
	z = (struct tzone){ 0 };
	assert_int_equal(zone_offset_s(&z, 5), 0);
	assert_int_equal(zone_day(&z, 0), 0);
	assert_int_equal(zone_day(&z, -1), -1);
	assert_int_equal(zone_day_start_s(&z, 20000), 20000 * (int64_t)DAY);
}

/* The clock goes from 00:00 to 01:00 at the beginning of day 10: it begins at
 * 01:00. And back from 00:30 to 23:30 in day 20, which has begun. */
static void
a_day_begins_once(void **state)
{
	int64_t forward = 10 * DAY, back = 20 * DAY + HOUR / 2 - HOUR;

	(void)state;
	z = (struct tzone){ .n = 3,
		.offset_s = { 0, HOUR, 0 },
		.from_s = { 0, forward, back } };
	assert_int_equal(zone_day_start_s(&z, 10), forward);
	assert_int_equal(zone_day(&z, forward - 1), 9);
	assert_int_equal(zone_day(&z, forward), 10);
	assert_int_equal(zone_day_start_s(&z, 11), 11 * DAY - HOUR);
	assert_int_equal(zone_day_start_s(&z, 20), 20 * DAY - HOUR);
	assert_int_equal(zone_day(&z, 20 * DAY - HOUR - 1), 19);
	assert_int_equal(zone_day(&z, 20 * DAY - HOUR), 20);
	assert_int_equal(zone_day(&z, back), 20); /* 23:30 once more */
	assert_int_equal(zone_day(&z, 20 * DAY), 20);
	assert_int_equal(zone_day_start_s(&z, 21), 21 * DAY);
}

/* ---- files ----------------------------------------------------------------- */

static void
load(const char *name)
{
	int err = zoneinfo_load(slice_str(name), &z);

	if (err == E_NOTFOUND && access(ZONEINFO_DIR, R_OK) != 0)
		skip();
	assert_int_equal(err, 0);
}

static void
known_zones_are_right(void **state)
{
	(void)state;
	load("Europe/Berlin");
	assert_int_equal(zone_offset_s(&z, utc("2026-03-29T00:59:59Z")), HOUR);
	assert_int_equal(zone_offset_s(&z, utc("2026-03-29T01:00:00Z")),
	    2 * HOUR);
	assert_int_equal(zone_offset_s(&z, utc("2026-10-25T01:00:00Z")), HOUR);
	/* Long behind what the file lists. */
	assert_int_equal(zone_offset_s(&z, utc("2066-07-01T00:00:00Z")),
	    2 * HOUR);
	load("Australia/Sydney");
	assert_int_equal(zone_offset_s(&z, utc("2027-01-01T00:00:00Z")),
	    11 * HOUR);
	assert_int_equal(zone_offset_s(&z, utc("2027-07-01T00:00:00Z")),
	    10 * HOUR);
	load("Asia/Kathmandu");
	assert_int_equal(zone_offset_s(&z, utc("2027-07-01T00:00:00Z")),
	    5 * HOUR + 45 * 60);
	load("America/Havana"); /* at midnight */
	assert_int_equal(zone_day(&z, utc("2027-03-14T04:59:59Z")),
	    utc("2027-03-13T00:00:00Z") / DAY);
	assert_int_equal(zone_day(&z, utc("2027-03-14T05:00:00Z")),
	    utc("2027-03-14T00:00:00Z") / DAY);
}

/* The C library reads the same files. */
static void
tables_agree_with_the_library(void **state)
{
	static const char *const names[] = { "Europe/Berlin", "Europe/Dublin",
		"America/New_York", "America/St_Johns", "Africa/Casablanca",
		"Africa/Cairo", "Asia/Gaza", "America/Santiago",
		"Australia/Lord_Howe", "Pacific/Chatham", "Asia/Tokyo",
		"America/Nuuk", "Antarctica/Troll", "Etc/GMT+12" };
	const char *before = getenv("TZ");

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		load(names[i]);
		setenv("TZ", names[i], 1);
		tzset();
		for (time_t t = utc("2025-01-01T00:00:00Z");
		     t < utc("2070-12-30T00:00:00Z"); t += 5 * HOUR + 7) {
			struct tm tm;

			assert_non_null(localtime_r(&t, &tm));
			if (tm.tm_gmtoff != zone_offset_s(&z, t))
				fail_msg("%s at %lld: %ld, not %d", names[i],
				    (long long)t, tm.tm_gmtoff,
				    zone_offset_s(&z, t));
		}
	}
	if (before != NULL)
		setenv("TZ", before, 1);
	else
		unsetenv("TZ");
	tzset();
}

static void
names_do_not_lead_out(void **state)
{
	static const char *const bad[] = { "", "/etc/passwd", "../UTC",
		"Europe/../UTC", "Europe//Berlin", "Europe/", "Europe/.x",
		"Europe\\Berlin", "a b", "Europe/-", "zone.tab" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(zoneinfo_name_is_valid(slice_str(bad[i])));
		assert_int_equal(zoneinfo_load(slice_str(bad[i]), &z),
		    E_SYNTAX);
	}
	assert_int_equal(zoneinfo_load(SL("Europe/Atlantis"), &z), E_NOTFOUND);
	assert_int_equal(zoneinfo_load(SL("Europe"), &z), E_NOTFOUND);
	assert_int_equal(zoneinfo_load(SL("UTC"), &z), 0);
}

/* A file of version 2 with one type and no change. */
static size_t
make(char *at, const char *rule)
{
	char *p = at;

	for (int k = 0; k < 2; k++) {
		memset(p, 0, 44 + 6);
		memcpy(p, "TZif2", 5);
		p[39] = 1; /* types */
		p += 44 + 6;
	}
	return (size_t)(p - at) + (size_t)snprintf(p, 100, "\n%s\n", rule);
}

static int
parse(const char *rule)
{
	char bytes[256];

	return zoneinfo_parse(slice_of(bytes, make(bytes, rule)), &z);
}

static void
rules_are_read(void **state)
{
	(void)state;
	assert_int_equal(parse("<-0330>3:30"), 0);
	assert_int_equal(zone_offset_s(&z, 0), -(3 * HOUR + 1800));
	assert_int_equal(parse("AAA0BBB,J60,J300"), 0);
	assert_int_equal(zone_offset_s(&z, utc("2028-03-01T01:59:59Z")), 0);
	assert_int_equal(zone_offset_s(&z, utc("2028-03-01T02:00:00Z")), HOUR);
	assert_int_equal(parse("AAA0BBB,59/0,300"), 0);
	assert_int_equal(zone_offset_s(&z, utc("2028-02-29T00:00:00Z")), HOUR);
	/* Summer all the year round (RFC 8536 3.3.1). */
	assert_int_equal(parse("EST5EDT,0/0,J365/25"), 0);
	assert_int_equal(zone_offset_s(&z, utc("2030-12-31T23:00:00Z")),
	    -4 * HOUR);
	assert_int_equal(zone_offset_s(&z, utc("2031-01-01T05:30:00Z")),
	    -4 * HOUR);
}

static void
broken_files_are_refused(void **state)
{
	static const char *const bad[] = { "", "X", "AB3", "ABC", "ABC25",
		"ABC3DEF", "ABC3DEF,M3.5.0", "ABC3DEF,M13.1.0,M4.1.0",
		"ABC3DEF,M3.6.0,M4.1.0", "ABC3DEF,M3.5.0/168,M4.1.0",
		"ABC3DEF,J0,J4", "ABC3DEF,M3.5.0,M4.1.0x", "<ABC3" };
	char bytes[256];
	size_t n = make(bytes, "CET-1CEST,M3.5.0,M10.5.0/3");

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (parse(bad[i]) == 0)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(zoneinfo_parse(slice_of(bytes, n), &z), 0);
	for (size_t k = 0; k < n; k++)
		assert_int_not_equal(zoneinfo_parse(slice_of(bytes, k), &z), 0);
	bytes[4] = '\0';
	assert_int_equal(zoneinfo_parse(slice_of(bytes, n), &z), E_VERSION);
	bytes[4] = '2';
	memset(bytes + 44 + 6 + 20, 0xff, 24); /* counts */
	assert_int_equal(zoneinfo_parse(slice_of(bytes, n), &z), E_CORRUPT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_table_is_utc),
		cmocka_unit_test(a_day_begins_once),
		cmocka_unit_test(known_zones_are_right),
		cmocka_unit_test(tables_agree_with_the_library),
		cmocka_unit_test(names_do_not_lead_out),
		cmocka_unit_test(rules_are_read),
		cmocka_unit_test(broken_files_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
