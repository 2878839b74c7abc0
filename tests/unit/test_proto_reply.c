/*
 * Replies of servers, good and bad, and enhanced codes. Each stream is parsed
 * whole, byte by byte and cut at every place.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/proto.h"

static void
on_line(void *ctx, struct slice text)
{
	buf_adds(ctx, text);
	buf_addc(ctx, '|');
}

/* Parses one piece; every reply goes to log as "code enh [text] lines". */
static int
feed(struct reply_parser *p, struct slice in, struct buf *log,
    struct buf *lines)
{
	char enh[16];
	int rc;

	while ((rc = reply_parse(p, &in, on_line, lines)) > 0) {
		enh_format(enh, p->now.enh);
		buf_addf(log, "%u %s [%.*s] %u\n", p->now.code, enh,
		    SLF(reply_text(&p->now)), p->now.lines);
	}
	if (rc < 0)
		buf_addz(log, "error\n");
	return rc;
}

/* Cut: 0 whole, 1 into bytes, else in two at cut - 2. */
static void
check_cut(struct slice in, const char *want, const char *want_lines, size_t cut)
{
	struct reply_parser p;
	struct buf log, lines;
	size_t n = cut == 0 ? in.n : cut == 1 ? 1 : cut - 2;
	int rc = 0;

	reply_parser_init(&p);
	buf_init(&log, 1 << 20);
	buf_init(&lines, 1 << 20);
	while (in.n > 0 && rc >= 0) {
		n = n == 0 || n > in.n ? in.n : n;
		rc = feed(&p, slice_of(in.p, n), &log, &lines);
		in = slice_skip(in, n);
		n = cut == 1 ? 1 : in.n;
	}
	buf_addc(&log, '\0');
	buf_addc(&lines, '\0');
	assert_string_equal(log.p, want);
	assert_string_equal(lines.p, want_lines);
	reply_parser_free(&p);
	buf_free(&log);
	buf_free(&lines);
}

static void
check(struct slice in, const char *want, const char *want_lines)
{
	for (size_t cut = 0; cut < in.n + 2; cut++)
		check_cut(in, want, want_lines, cut);
}

static void
good_replies(void **state)
{
	(void)state;
	check(SL("250 2.1.0 ok\r\n"), "250 2.1.0 [ok] 1\n", "ok|");
	check(SL("250\r\n354 \r\n"), "250  [] 1\n354  [] 1\n", "||");
	check(SL("550-5.1.1 a\r\n550-5.1.1 b\n550 5.1.1 c\r\n"),
	    "550 5.1.1 [a\nb\nc] 3\n", "a|b|c|");
	check(SL("250-x.example\r\n250-SIZE 1\r\n250 HELP\r\n"),
	    "250  [x.example\nSIZE 1\nHELP] 3\n", "x.example|SIZE 1|HELP|");
	check(SL("450-one\r\n450 4.2.0 two\r\n"), "450 4.2.0 [one\ntwo] 2\n",
	    "one|two|");
	check(SL("000 x\r\n999 y\r\n"), "0  [x] 1\n999  [y] 1\n", "x|y|");
	check(SL("250 a\rb\r\n"), "250  [a\rb] 1\n", "a\rb|");
}

static void
bad_replies(void **state)
{
	(void)state;
	check(SL("\r\n"), "error\n", "");
	check(SL("25\r\n"), "error\n", "");
	check(SL("2500 x\r\n"), "error\n", "");
	check(SL("25x x\r\n"), "error\n", "");
	check(SL(" 250 x\r\n"), "error\n", "");
	check(SL("250_x\r\n"), "error\n", "");
	check(SL("250-x\r\n251 y\r\n"), "error\n", "x|");
	check(SL("250 ok\r\nHTTP/1.1 200\r\n"), "250  [ok] 1\nerror\n", "ok|");
}

static void
ceilings(void **state)
{
	struct reply_parser p;
	struct buf in;
	struct slice s;

	(void)state;
	buf_init(&in, 1 << 20);
	for (int i = 0; i < REPLY_LINES_MAX; i++)
		buf_addz(&in, "250-x\r\n");
	buf_addz(&in, "250 x\r\n");
	reply_parser_init(&p);
	s = buf_slice(&in);
	assert_int_equal(reply_parse(&p, &s, NULL, NULL), E_PROTO);
	s = slice_skip(buf_slice(&in), 7);
	assert_int_equal(reply_parse(&p, &s, NULL, NULL), 1);
	assert_int_equal(p.now.lines, REPLY_LINES_MAX);

	buf_reset(&in);
	buf_addz(&in, "250 ");
	for (int i = 0; i < REPLY_LINE_MAX - 6; i++)
		buf_addc(&in, 'x');
	buf_addz(&in, "\r\n");
	s = buf_slice(&in);
	assert_int_equal(reply_parse(&p, &s, NULL, NULL), 1);
	assert_int_equal(p.now.text_n, REPLY_TEXT_MAX);
	buf_cut(&in, in.n - 2);
	buf_addz(&in, "x\r\n");
	s = buf_slice(&in);
	assert_int_equal(reply_parse(&p, &s, NULL, NULL), E_PROTO);
	for (size_t i = 0; i < in.n - 1; i++) {
		s = slice_of(in.p + i, 1);
		assert_int_equal(reply_parse(&p, &s, NULL, NULL),
		    i < REPLY_LINE_MAX ? 0 : E_PROTO);
	}
	reply_parser_free(&p);
	buf_free(&in);
}

static void
enhanced_codes(void **state)
{
	static const char *const bad[] = { "", "2", "2.", "2.1", "2.1.",
		"3.1.0", "2..1", "2.1.0x", "2.1234.0", "2.1.1000", "22.1.0" };
	struct slice s = SL("4.999.10 text");
	struct enh e = { 0 };
	char text[16];

	(void)state;
	assert_int_equal(enh_parse(&s, &e), 0);
	assert_true(slice_eq(s, SL("text")));
	assert_int_equal(enh_format(text, e), 8);
	assert_string_equal(text, "4.999.10");
	s = SL("5.1.1");
	assert_int_equal(enh_parse(&s, &e), 0);
	assert_int_equal(s.n, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		s = slice_str(bad[i]);
		assert_int_equal(enh_parse(&s, &e), E_SYNTAX);
		assert_int_equal(s.n, strlen(bad[i]));
	}
	assert_int_equal(enh_format(text, (struct enh){ 0 }), 0);
	assert_string_equal(text, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_replies),
		cmocka_unit_test(bad_replies),
		cmocka_unit_test(ceilings),
		cmocka_unit_test(enhanced_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
