/* Addresses in lists, the lines of local programs, and fields that are missing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/proto.h"

/* ---- addresses ---------------------------------------------------------------- */

/* The addresses with commas between them, "!" where one is none. */
static void
list_is(const char *text, const char *want)
{
	struct slice rest = slice_str(text);
	char one[MAILBOX_MAX + 2];
	struct buf got;
	int n;

	buf_init(&got, 4096);
	while ((n = addrlist_next(&rest, one)) > 0)
		buf_addf(&got, "%s%s", got.n ? "," : "", one);
	if (n < 0)
		buf_addc(&got, '!');
	buf_addc(&got, '\0');
	assert_string_equal(got.p + got.off, want);
	buf_free(&got);
}

static void
addresses_are_found(void **state)
{
	(void)state;
	list_is("a@b.example", "a@b.example");
	list_is(" a@b.example , c@d.example;", "a@b.example,c@d.example");
	list_is("", "");
	list_is(" ,, ;\t\r\n ", "");
	list_is("root", "root");
	list_is("root, A B <a@b.example>", "root,a@b.example");
	list_is("\"B, A\" <a@b.example>", "a@b.example");
	list_is("\"x\\\"y\" <a@b.example> (c(d\\))e)", "a@b.example");
	list_is("(comment) a@b.example (more)", "a@b.example");
	list_is("a (x) @ (y) b . (z) example", "a@b.example");
	list_is("Team: a@b.example, X <c@d.example>;, e@f.example",
	    "a@b.example,c@d.example,e@f.example");
	list_is("undisclosed-recipients:;", "");
	list_is("<@r1.example,@r2.example:a@b.example>", "a@b.example");
	list_is("\"a b\"@c.example", "\"a b\"@c.example");
	list_is("\"a,b\" <\"x@y\"@c.example>", "\"x@y\"@c.example");
	list_is("a@[192.0.2.1], <b@[IPv6:::1]>", "a@[192.0.2.1],b@[IPv6:::1]");
	list_is("=?utf-8?q?J=C3=BC?= <a@b.example>", "a@b.example");
	list_is("J\xc3\xbc <j\xc3\xbc@b\xc3\xbc.example>",
	    "j\xc3\xbc@b\xc3\xbc.example");
	list_is("A\r\n\tB <a@b.example>,\r\n c@d.example",
	    "a@b.example,c@d.example");
	list_is("A very long name, without quotes but fine <a@b.example>", "!");
}

static void
what_is_no_address_is_said(void **state)
{
	(void)state;
	list_is("a b", "!");
	list_is("a@b@c", "!");
	list_is("<a@b.example", "!");
	list_is("a@b.example>", "!");
	list_is("<>", "!");
	list_is("<a@b.example> junk", "!");
	list_is("<a@b.example><c@d.example>", "!");
	list_is("\"open <a@b.example>", "!");
	list_is("(open a@b.example", "!");
	list_is("a@[open", "!");
	list_is("ok@b.example, a b", "ok@b.example!");
	list_is("a@", "!");
	list_is("@b", "!");
	list_is("a@-b.example", "!");
	list_is("a@b.example\x01", "!");
}

static void
what_is_long_ends(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1u << 20);
	for (int i = 0; i < 100000; i++)
		buf_addc(&b, '(');
	buf_addc(&b, '\0');
	list_is(b.p + b.off, "!");
	buf_reset(&b);
	for (int i = 0; i < 400; i++)
		buf_addc(&b, 'x');
	buf_addz(&b, "@b.example");
	buf_addc(&b, '\0');
	list_is(b.p + b.off, "!");
	/* A name may be as long as it likes. */
	buf_reset(&b);
	for (int i = 0; i < 400; i++)
		buf_addz(&b, "name ");
	buf_addz(&b, "<a@b.example>");
	buf_addc(&b, '\0');
	list_is(b.p + b.off, "a@b.example");
	buf_free(&b);
}

/* ---- lines ----------------------------------------------------------------------- */

static void
lines_are_in(struct slice in, bool dot_ends, size_t step, const char *want,
    bool is_over)
{
	struct submit_lines l = { .dot_ends = dot_ends };
	struct buf out;

	buf_init(&out, 4096);
	for (; in.n > 0; in = slice_skip(in, step))
		assert_int_equal(submit_lines_feed(&l,
				     slice_of(in.p, MIN(step, in.n)), &out),
		    0);
	assert_int_equal(submit_lines_end(&l, &out), 0);
	assert_int_equal(l.is_over, is_over);
	buf_addc(&out, '\0');
	assert_string_equal(out.p + out.off, want);
	buf_free(&out);
}

static void
lines_are(const char *in, bool dot_ends, const char *want, bool is_over)
{
	for (size_t step = 1; step <= strlen(in) + 1; step++)
		lines_are_in(slice_str(in), dot_ends, step, want, is_over);
}

static void
lines_end_in_crlf(void **state)
{
	(void)state;
	lines_are("", true, "", false);
	lines_are("a\nb", true, "a\r\nb\r\n", false);
	lines_are("a\r\nb\r\n", true, "a\r\nb\r\n", false);
	lines_are("\n\r\n\n", true, "\r\n\r\n\r\n", false);
	lines_are("a\rb\n", true, "a\rb\r\n", false);
	lines_are("a\r", true, "a\r\n", false);
	lines_are("a\r\r\n", true, "a\r\r\n", false);
}

static void
a_dot_alone_ends_if_it_may(void **state)
{
	(void)state;
	lines_are("a\n.\nb\n", true, "a\r\n", true);
	lines_are("a\n.\r\nb\n", true, "a\r\n", true);
	lines_are(".\nb\n", true, "", true);
	lines_are("a\n.", true, "a\r\n", true);
	lines_are("a\n.\r", true, "a\r\n", true);
	lines_are("a\n..\n.b\n.\rb\n", true, "a\r\n..\r\n.b\r\n.\rb\r\n",
	    false);
	lines_are("a.\n.\n", true, "a.\r\n", true);
	lines_are("a\n.\nb\n", false, "a\r\n.\r\nb\r\n", false);
	lines_are("a\r.\n", true, "a\r.\r\n", false);
}

static void
a_nul_is_seen(void **state)
{
	struct submit_lines l = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 64);
	assert_int_equal(submit_lines_feed(&l, slice_of("ab\0c", 4), &out), 0);
	assert_true(l.has_nul);
	buf_free(&out);
}

/* ---- recipients and fields ---------------------------------------------------------- */

static void
rcpts_are(const char *header, const char *want, int want_err)
{
	struct buf list;
	struct submit_rcpts r = { .to = &list };

	buf_init(&list, 4096);
	assert_int_equal(submit_find_rcpts(slice_str(header), &r), want_err);
	for (size_t i = 0; i < list.n; i++)
		if (list.p[list.off + i] == '\0')
			list.p[list.off + i] = ',';
	buf_addc(&list, '\0');
	assert_string_equal(list.p + list.off, want);
	buf_free(&list);
}

static void
the_header_names_recipients(void **state)
{
	(void)state;
	rcpts_are("To: a@b.example\r\nCC: c@d.example,\r\n e@f.example\r\n"
		  "X-To: no@no.example\r\nbcc: root\r\n\r\nTo: x@y.example\r\n",
	    "a@b.example,c@d.example,e@f.example,root,", 0);
	rcpts_are("To: a@b.example\r\nResent-To: r@b.example\r\n"
		  "Resent-Bcc: s@b.example\r\n\r\n",
	    "r@b.example,s@b.example,", 0);
	rcpts_are("Subject: x\r\n\r\n", "", 0);
	rcpts_are("To: a b\r\n\r\n", "", E_SYNTAX);
}

static void
fields_are(const char *header, const char *want)
{
	struct submit_fill f = { .unix_us = 1795863600000000,
		.hostname = SL("h.example"),
		.from = SL("me@h.example"),
		.from_name = SL("M\"e\n") };
	struct submit_look look = { 0 };
	struct slice rest = slice_str(header);
	struct buf out;
	struct hdr h;

	while (hdr_next(&rest, &h))
		submit_see(&look, h.name, h.value);
	buf_init(&out, 4096);
	assert_int_equal(submit_add(&out, &look, &f), 0);
	buf_addc(&out, '\0');
	assert_string_equal(out.p + out.off, want);
	buf_free(&out);
}

static void
only_what_is_missing_is_added(void **state)
{
	(void)state;
	fields_are("From: x\r\nDATE: y\r\nMessage-Id: z\r\n\r\n", "");
	fields_are("From: x\r\nMessage-ID: z\r\n\r\n",
	    "Date: Sat, 28 Nov 2026 11:00:00 +0000\r\n");
	fields_are("Date: x\r\nMessage-ID: z\r\n\r\n",
	    "From: \"M\\\"e\" <me@h.example>\r\n");
	fields_are("Date: x\r\nFrom: z\r\n\r\nMessage-ID: body\r\n",
	    "Message-ID: <00000000000000000000000000@h.example>\r\n");
	assert_true(submit_is_secret(SL("bcc")));
	assert_true(submit_is_secret(SL("Resent-Bcc")));
	assert_false(submit_is_secret(SL("Cc")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_found),
		cmocka_unit_test(what_is_no_address_is_said),
		cmocka_unit_test(what_is_long_ends),
		cmocka_unit_test(lines_end_in_crlf),
		cmocka_unit_test(a_dot_alone_ends_if_it_may),
		cmocka_unit_test(a_nul_is_seen),
		cmocka_unit_test(the_header_names_recipients),
		cmocka_unit_test(only_what_is_missing_is_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
