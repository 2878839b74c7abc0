/*
 * test_conf_warmup - plans of warm-up: shipped, own, grown; and what is wrong
 * with one is said where it stands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_conf.h"

#define HEAD "hostname: mx.example\n"

static struct told told;

/* From a file, so that the shipped plans are at hand. */
static struct conf *
loaded(const char *text)
{
	char path[] = "/tmp/test_conf_warmup.XXXXXX";
	int fd = mkstemp(path);
	struct conf *c;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	told_init(&told);
	c = conf_load(path, &told.errs);
	unlink(path);
	if (c == NULL)
		fail_msg("%s", told.text);
	return c;
}

static void
a_shipped_plan_is_found_by_its_name(void **state)
{
	struct conf *c =
	    loaded(HEAD "source: { a: { address: 10.0.0.1, warmup: sparkpost },"
			" b: { address: 10.0.0.2, warmup: sendgrid },"
			" c: { address: 10.0.0.3 } }\n");

	(void)state;
	assert_int_equal(c->nwarmups, 2);
	assert_int_equal(c->warmups[0].nmost, 29);
	assert_int_equal(c->warmups[0].most[0], 200);
	assert_int_equal(c->warmups[0].most[28], 10000000);
	assert_int_equal(c->warmups[0].advance_ppm, 900000);
	assert_int_equal(c->warmups[1].most[0], 24 * 20);
	assert_int_equal(c->warmups[1].hour_ppm, 41667);
	assert_int_equal(c->warmups[1].attempts_min, 50);
	conf_free(c);
}

static void
every_shipped_plan_rises(void **state)
{
	static const char *const names[] = { "sparkpost", "sendgrid",
		"sitevibes", "mailtrap", "acelle" };
	char text[200];
	struct conf *c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(text, sizeof(text),
		    HEAD "source: { a: { warmup: %s } }\n", names[i]);
		c = loaded(text);
		assert_in_range(c->warmups[0].nmost, 16, 36);
		for (uint32_t k = 1; k < c->warmups[0].nmost; k++)
			assert_true(
			    c->warmups[0].most[k] >= c->warmups[0].most[k - 1]);
		conf_free(c);
	}
}

static void
a_plan_grows_or_is_like_another(void **state)
{
	struct conf *c = loaded(
	    HEAD "source: { a: { address: 10.0.0.1, warmup: g, warmup_stage: 3,"
		 " warmup_start: 2026-12-24 },"
		 " b: { address: 10.0.0.2, warmup: m } }\n"
		 "warmup:\n"
		 "  g: { days: [50, 100], growth: 1.5, last: 1000,"
		 " zone: Europe/Berlin, complaints: 0.25%, otherwise: back }\n"
		 "  m: { like: mailtrap, bounces: 2% }\n"
		 "  f: { first: 10, growth: 2 }\n"
		 "pool: { default: { sources: [a], overflow: o },"
		 " o: { sources: [b] } }\n");
	static const uint32_t grown[] = { 50, 100, 150, 225, 338, 507, 761,
		1000 };

	(void)state;
	assert_int_equal(c->warmups[0].nmost, ARRAY_LEN(grown));
	assert_memory_equal(c->warmups[0].most, grown, sizeof(grown));
	assert_int_equal(c->warmups[0].complaint_ppm, 2500);
	assert_true(c->warmups[0].steps_back);
	assert_int_equal(c->warmups[1].most[20], 57000);
	assert_int_equal(c->warmups[1].hour_ppm, 200000);
	assert_int_equal(c->warmups[1].bounce_ppm, 20000);
	assert_int_equal(c->warmups[2].nmost, 30);
	assert_int_equal(c->warmups[2].most[3], 80);
	assert_int_equal(c->sources[0].warmup_stage, 3);
	/* Midnight in Berlin is an hour before that of UTC. */
	assert_true(c->sources[0].warmup_from_us ==
	    (INT64_C(1798070400) - 3600) * US_PER_S);
	assert_true(slice_eq(c->pools[0].overflow, SL("o")));
	conf_free(c);
}

static void
what_is_wrong_is_said(void **state)
{
	struct conf *c = told_parse(&told,
	    HEAD "source: { a: { warmup: none }, b: { address: 10.0.0.1, "
		 "warmup: w, warmup_start: 2026-13-01 } }\n"
		 "warmup: { w: { hour: 101% } }\n"
		 "pool: { default: { sources: [a, b], overflow: x },\n"
		 " s: { sources: [b], sticky: true, overflow: default } }\n");

	(void)state;
	assert_null(c);
	assert_string_equal(told.text,
	    "f.yml:2:24: source.a.warmup, expected the name of a plan, of "
	    "`warmup` or a shipped one, got \"none\"\n"
	    "f.yml:2:81: source.b.warmup_start, expected a date such as "
	    "2026-12-24, got \"2026-13-01\"\n"
	    "f.yml:3:14: warmup.w.days, expected days, a first one, or a plan "
	    "that it is like, got nothing\n"
	    "f.yml:3:22: warmup.w.hour, expected a share such as 10% or 0.1%, "
	    "from 0.0001% to 100%, got \"101%\"\n"
	    "f.yml:4:47: pool.default.overflow, expected the name of another "
	    "pool, got \"x\"\n"
	    "f.yml:5:45: pool.s.overflow, expected none, for the pool is "
	    "sticky, got \"default\"\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shipped_plan_is_found_by_its_name),
		cmocka_unit_test(every_shipped_plan_rises),
		cmocka_unit_test(a_plan_grows_or_is_like_another),
		cmocka_unit_test(what_is_wrong_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
