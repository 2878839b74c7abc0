/*
 * test_proto_mime - messages of parts: nesting, codings, encoded words, and what
 * is left of them when they are broken.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/proto.h"

static struct mime m;

static void
is_part(uint32_t i, const char *type, const char *body)
{
	assert_true(i < m.nparts);
	assert_true(mime_is(&m.part[i], slice_str(type)));
	assert_int_equal(m.part[i].body.n, strlen(body));
	assert_memory_equal(m.part[i].body.p, body, strlen(body));
}

static void
parts_lie_between_boundaries(void **state)
{
	(void)state;
	mime_read(SL("Content-Type: multipart/mixed; boundary=\"a b\"\r\n\r\n"
		     "preamble\r\n--a b\r\n\r\nplain\r\n--a b  \r\n"
		     "Content-Type: Text/HTML; charset=utf-8\r\n\r\n<p>\r\n\r\n"
		     "--a bc\r\n--a b--\r\nepilogue"),
	    &m);
	assert_int_equal(m.nparts, 3);
	is_part(0, "multipart/mixed", "preamble");
	assert_true(m.part[0].is_multipart);
	is_part(1, "text/plain", "plain");
	is_part(2, "text/html", "<p>\r\n\r\n--a bc");
	assert_int_equal(m.part[2].depth, 1);
	assert_true(mime_is(&m.part[2], SL("text/")));
	assert_false(mime_is(&m.part[2], SL("text")));
}

static void
multiparts_nest_and_an_outer_boundary_ends_all_within(void **state)
{
	(void)state;
	mime_read(SL("Content-Type: multipart/mixed; boundary=o\n\n--o\n"
		     "Content-Type: multipart/alternative;\n boundary=i\n\n"
		     "--i\n\none\n--i\n\ntwo\n--o\n"
		     "Content-Type: message/rfc822\n\n"
		     "Content-Type: multipart/mixed; boundary=z\n\n--z\n\nx\n"
		     "--o--\n"),
	    &m);
	assert_int_equal(m.nparts, 5);
	is_part(2, "text/plain", "one");
	is_part(3, "text/plain", "two");
	assert_int_equal(m.part[3].depth, 2);
	assert_int_equal(m.part[4].depth, 1);
	is_part(4, "message/rfc822",
	    "Content-Type: multipart/mixed; boundary=z\n\n--z\n\nx");
}

static void
broken_messages_are_read_as_far_as_they_go(void **state)
{
	(void)state;
	mime_read(SL(""), &m);
	assert_int_equal(m.nparts, 1);
	mime_read(SL("no field\nand a text"), &m);
	is_part(0, "text/plain", "no field\nand a text");
	mime_read(SL("Content-Type: multipart/mixed; boundary=x\n\nall of it"),
	    &m);
	assert_int_equal(m.nparts, 1);
	is_part(0, "multipart/mixed", "all of it");
	/* The parameter stands where no field is. */
	mime_read(SL("Content-Type: multipart/mixed;\nboundary=__part\n\n"
		     "--__part\n\none\n--__part--\n"),
	    &m);
	assert_int_equal(m.nparts, 2);
	is_part(1, "text/plain", "one");
	/* A header that a boundary ends. */
	mime_read(SL("Content-Type: multipart/mixed; boundary=x\n\n--x\n"
		     "Content-Type: text/html\n--x\n\ntwo"),
	    &m);
	assert_int_equal(m.nparts, 3);
	is_part(1, "text/html", "");
	is_part(2, "text/plain", "two");
}

static void
depth_and_number_have_a_ceiling(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 40; i++)
		buf_addf(&b,
		    "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i,
		    i);
	mime_read(buf_slice(&b), &m);
	for (uint32_t i = 0; i < m.nparts; i++)
		assert_true(m.part[i].depth <= MIME_DEPTH_MAX);
	assert_true(m.nparts <= MIME_DEPTH_MAX + 1);
	buf_reset(&b);
	buf_addz(&b, "Content-Type: multipart/mixed; boundary=b\n\n");
	for (int i = 0; i < 1000; i++)
		buf_addz(&b, "--b\n\nx\n");
	mime_read(buf_slice(&b), &m);
	assert_int_equal(m.nparts, MIME_PARTS_MAX);
	assert_true(m.part[MIME_PARTS_MAX - 1].body.n > 5000);
	buf_free(&b);
}

static void
decodes(const char *head, const char *body, const char *want)
{
	struct buf text, all;

	buf_init(&all, 4096);
	buf_init(&text, 4096);
	buf_addf(&all, "%s\n\n%s", head, body);
	mime_read(buf_slice(&all), &m);
	assert_int_equal(mime_text(&m.part[0], &text), 0);
	assert_int_equal(text.n, strlen(want));
	if (text.n > 0)
		assert_memory_equal(text.p, want, text.n);
	buf_free(&all);
	buf_free(&text);
}

static void
transfer_codings_are_undone(void **state)
{
	(void)state;
	decodes("X: y", "a\r\nb", "a\nb");
	decodes("Content-Transfer-Encoding: base64", "aGVs\r\nbG8=\r\n",
	    "hello");
	decodes("Content-Transfer-Encoding: BASE64", "a G!V*s\nbG8", "hello");
	decodes("Content-Transfer-Encoding: quoted-printable",
	    "a=3Db =\r\nc=\nd=4", "a=b cd=4");
	decodes("Content-Transfer-Encoding: quoted-printable\n"
		"Content-Type: text/plain; charset=\"ISO-8859-1\"",
	    "=E9=zz=", "\303\251=zz");
	decodes("Content-Type: text/plain; charset=windows-1252", "\200\222",
	    "\342\202\254\342\200\231");
	decodes("Content-Type: text/plain; charset=utf-8", "\303\251",
	    "\303\251");
}

static void
says(const char *value, const char *want)
{
	struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(mime_words(slice_str(value), &b), 0);
	assert_int_equal(b.n, strlen(want));
	if (b.n > 0)
		assert_memory_equal(b.p, want, b.n);
	buf_free(&b);
}

static void
encoded_words_are_read(void **state)
{
	(void)state;
	says(" plain\r\n folded", "plain folded");
	says("=?utf-8?B?w6k=?= =?ISO-8859-1?q?=E9_x?= y",
	    "\303\251\303\251 x y");
	says("=?utf-8*fr?Q?=C3=A9?=", "\303\251");
	says("=?utf-8?X?no?= =?utf-8?Q?open", "=?utf-8?X?no?= =?utf-8?Q?open");
	says("a =?utf-8?Q?b?= c", "a b c");
}

static void
shows(const char *html, const char *want)
{
	struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(mime_html(slice_str(html), &b), 0);
	assert_int_equal(b.n, strlen(want));
	if (b.n > 0)
		assert_memory_equal(b.p, want, b.n);
	buf_free(&b);
}

static void
html_becomes_a_text(void **state)
{
	(void)state;
	shows("<p>a<br>b</p>", "\na\nb\n");
	shows("<style>p{color:red}</style>x<script>y", "x");
	shows("a&lt;b&amp;&#64;&nbsp;&bogus;&", "a<b&@  &");
	shows("<ann@a.example> <b", "<ann@a.example> <b");
	shows("<a href=\"mailto:x@y\">z</a>", "z");
}

static void
parameters_are_found(void **state)
{
	char v[16];

	(void)state;
	assert_int_equal(mime_param(SL("a/b; X=\"1;\\\"2\"; y = z"), SL("x"), v,
			     sizeof(v)),
	    4);
	assert_string_equal(v, "1;\"2");
	assert_int_equal(mime_param(SL("a/b; X=1 ; y=z;"), SL("Y"), v,
			     sizeof(v)),
	    1);
	assert_int_equal(mime_param(SL("a/b; y"), SL("y"), v, sizeof(v)), 0);
	assert_int_equal(mime_param(SL("a/b; y=0123456789abcdef"), SL("y"), v,
			     sizeof(v)),
	    0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_lie_between_boundaries),
		cmocka_unit_test(
		    multiparts_nest_and_an_outer_boundary_ends_all_within),
		cmocka_unit_test(broken_messages_are_read_as_far_as_they_go),
		cmocka_unit_test(depth_and_number_have_a_ceiling),
		cmocka_unit_test(transfer_codings_are_undone),
		cmocka_unit_test(encoded_words_are_read),
		cmocka_unit_test(html_becomes_a_text),
		cmocka_unit_test(parameters_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
