/*
 * Lines for people: the log, escaped text, the flight ring.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

static char last[4096];
static size_t last_n;
static unsigned lines;
static enum log_level last_level;

static void
keep_line(enum log_level level, const char *line, size_t n)
{
	assert_true(n < sizeof(last));
	memcpy(last, line, n);
	last[n] = '\0';
	last_n = n;
	last_level = level;
	lines++;
}

static void
an_event_is_one_line_of_pairs(void **state)
{
	(void)state;
	log_setup(keep_line, LOG_INFO);
	lines = 0;
	log_event(LOG_WARN, "disk", "what", "no space", "path",
	    "/var/spool/mtad", NULL);
	assert_string_equal(last,
	    "warn disk what=\"no space\" path=/var/spool/mtad");
	assert_int_equal(last_level, LOG_WARN);
	log_event(LOG_ERROR, "net", NULL);
	assert_string_equal(last, "error net");
	log_msg(LOG_INFO, "core", "%d of %s", 3, "\"x\"");
	assert_string_equal(last, "info core msg=\"3 of \\x22x\\x22\"");
	assert_int_equal(lines, 3);
}

static void
levels_above_the_highest_are_silent(void **state)
{
	(void)state;
	log_setup(keep_line, LOG_WARN);
	lines = 0;
	assert_true(log_is_on(LOG_ERROR));
	assert_false(log_is_on(LOG_INFO));
	log_event(LOG_INFO, "x", "a", "b", NULL);
	log_msg(LOG_DEBUG, "x", "y");
	log_setup(NULL, LOG_DEBUG);
	assert_false(log_is_on(LOG_ERROR));
	log_msg(LOG_ERROR, "x", "y");
	assert_int_equal(lines, 0);
	log_setup(keep_line, LOG_DEBUG);
	log_msg(LOG_DEBUG, "x", "y");
	assert_string_equal(last, "debug x msg=y");
}

static void
a_value_cannot_forge_a_line_or_a_pair(void **state)
{
	(void)state;
	log_setup(keep_line, LOG_INFO);
	log_event(LOG_INFO, "net", "reply",
	    "550 no\r\nerror disk what=\"forged\" \x1b[2J", "peer", "", NULL);
	assert_string_equal(last,
	    "info net reply=\"550 no\\x0d\\x0aerror disk "
	    "what=\\x22forged\\x22 \\x1b[2J\" peer=\"\"");
	log_event(LOG_INFO, "net", "a", "b=c", "d", "e\\f", NULL);
	assert_string_equal(last, "info net a=\"b=c\" d=\"e\\x5cf\"");
	log_msg(LOG_INFO, "net", "%s", "%n%s%s");
	assert_string_equal(last, "info net msg=%n%s%s");
}

static void
a_line_that_is_too_long_is_cut_and_closed(void **state)
{
	static char text[5000];

	(void)state;
	log_setup(keep_line, LOG_INFO);
	for (size_t n = 1980; n < 2100; n++) {
		memset(text, 'x', n);
		text[0] = ' ';
		text[n] = '\0';
		log_event(LOG_INFO, "net", "long", text, "next", "a b", NULL);
		assert_true(last_n < 2048);
		assert_int_equal(last_n, strlen(last));
		assert_int_equal(last[last_n - 1], '"');
		log_event(LOG_INFO, "net", "long", text + 1, "next", "a b",
		    "then", "\n\n\n\n", NULL);
		assert_true(last_n < 2048);
	}
	memset(text, '\n', sizeof(text) - 1);
	log_msg(LOG_INFO, "net", "%s", text);
	assert_in_range(last_n, 2040, 2047);
	assert_string_equal(last + last_n - 5, "\\x0a\"");
}

static void
escape(const char *text, size_t n, char *dst, size_t cap)
{
	size_t got = text_escape(slice_of(text, n), dst, cap);

	assert_int_equal(got, strlen(dst));
}

static void
text_for_screens_has_no_power_over_them(void **state)
{
	char dst[100];

	(void)state;
	escape("a\tb\0\x7f", 5, dst, sizeof(dst));
	assert_string_equal(dst, "a\\x09b\\x00\\x7f");
	escape("gr\xc3\xbc\xc3\x9f \xe2\x82\xac", 10, dst, sizeof(dst));
	assert_string_equal(dst, "gr\xc3\xbc\xc3\x9f \xe2\x82\xac");
	escape("\xc3(\xff\xe2\x82", 5, dst, sizeof(dst));
	assert_string_equal(dst, "\\xc3(\\xff\\xe2\\x82");
	/* U+009B, which some terminals take for ESC [. */
	escape("\xc2\x9b", 2, dst, sizeof(dst));
	assert_string_equal(dst, "\\xc2\\x9b");
	/* U+202E, which turns the rest of the line round. */
	escape("\xe2\x80\xae", 3, dst, sizeof(dst));
	assert_string_equal(dst, "\\xe2\\x80\\xae");
	escape("\"\\", 2, dst, sizeof(dst));
	assert_string_equal(dst, "\\x22\\x5c");
	text_one_line(SL("got '\n', \"a\\\"\xc2\x9b"), dst, sizeof(dst));
	assert_string_equal(dst, "got '\\x0a', \"a\\\"\\xc2\\x9b");
}

static void
escaped_text_is_cut_between_characters(void **state)
{
	char dst[16];

	(void)state;
	assert_int_equal(text_escape(SL("abc"), dst, 0), 0);
	for (size_t cap = 1; cap <= sizeof(dst); cap++) {
		memset(dst, '!', sizeof(dst));
		escape("\xe2\x82\xac\x01\x02", 5, dst, cap);
		assert_true(strlen(dst) < cap);
		assert_int_equal(strlen(dst),
		    cap <= 3      ? 0 :
			cap <= 7  ? 3 :
			cap <= 11 ? 7 :
				    11);
		if (cap < sizeof(dst))
			assert_int_equal(dst[cap], '!');
	}
}

struct dump {
	unsigned n;
	char first[160], last[160];
};

static void
keep_dump(void *ctx, const char *text)
{
	struct dump *d = ctx;

	if (d->n++ == 0)
		slice_copy(slice_str(text), d->first, sizeof(d->first));
	slice_copy(slice_str(text), d->last, sizeof(d->last));
}

static void
the_ring_keeps_the_last_steps_oldest_first(void **state)
{
	static struct trace t;
	struct dump d = { 0 };

	(void)state;
	trace_dump(&t, keep_dump, &d);
	assert_int_equal(d.n, 0);
	trace_add(&t, 5, "only", 1, UINT64_MAX);
	trace_dump(&t, keep_dump, &d);
	assert_int_equal(d.n, 1);
	assert_string_equal(d.first, "5 only 1 18446744073709551615");
	t.next = UINT32_MAX - 100; /* the counter wraps */
	for (int i = 0; i < 3000; i++)
		trace_add(&t, i, "step", (uint64_t)i, 0);
	d.n = 0;
	trace_dump(&t, keep_dump, &d);
	assert_int_equal(d.n, TRACE_SLOTS);
	assert_string_equal(d.first, "1976 step 1976 0");
	assert_string_equal(d.last, "2999 step 2999 0");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_is_one_line_of_pairs),
		cmocka_unit_test(levels_above_the_highest_are_silent),
		cmocka_unit_test(a_value_cannot_forge_a_line_or_a_pair),
		cmocka_unit_test(a_line_that_is_too_long_is_cut_and_closed),
		cmocka_unit_test(text_for_screens_has_no_power_over_them),
		cmocka_unit_test(escaped_text_is_cut_between_characters),
		cmocka_unit_test(the_ring_keeps_the_last_steps_oldest_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
