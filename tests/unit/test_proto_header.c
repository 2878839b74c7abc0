/*
 * Header fields in place, and the trace field that we write.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/proto.h"

static void
fields_one_by_one(void **state)
{
	struct slice rest =
	    SL("Subject: one\r\n two\r\n\tthree\r\n"
	       "To:a\r\nX-Odd \t: \r\nLast: x\r\n\r\nBody: y\r\n");
	struct hdr h;

	(void)state;
	assert_true(hdr_next(&rest, &h));
	assert_true(slice_eq(h.name, SL("Subject")));
	assert_true(slice_eq(h.value, SL(" one\r\n two\r\n\tthree")));
	assert_true(
	    slice_eq(h.whole, SL("Subject: one\r\n two\r\n\tthree\r\n")));
	assert_true(hdr_next(&rest, &h));
	assert_true(slice_eq(h.name, SL("To")) && slice_eq(h.value, SL("a")));
	assert_true(hdr_next(&rest, &h));
	assert_true(
	    slice_eq(h.name, SL("X-Odd")) && slice_eq(h.value, SL(" ")));
	assert_true(hdr_next(&rest, &h));
	assert_true(slice_eq(h.name, SL("Last")));
	assert_false(hdr_next(&rest, &h));
	assert_true(slice_eq(rest, SL("\r\nBody: y\r\n")));
}

static void
what_is_no_field(void **state)
{
	static const char *const bad[] = { "", "\r\n", ": x\r\n", " x: y\r\n",
		"no colon\r\n", "From smith Mon\r\n", "a b: c\r\n",
		"na\x80me: x\r\n", "Name", "Name " };
	struct hdr h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct slice rest = slice_str(bad[i]);

		assert_false(hdr_next(&rest, &h));
		assert_int_equal(rest.n, strlen(bad[i]));
	}
}

static void
a_field_may_be_the_last_thing(void **state)
{
	struct slice rest = SL("A: b");
	struct hdr h;

	(void)state;
	assert_true(hdr_next(&rest, &h));
	assert_true(slice_eq(h.value, SL(" b")));
	assert_int_equal(rest.n, 0);
}

static void
check_section(const char *msg, size_t want, bool want_none)
{
	bool is_none = !want_none;

	assert_int_equal(hdr_section(slice_str(msg), &is_none), want);
	assert_int_equal(is_none, want_none);
}

static void
sections(void **state)
{
	(void)state;
	check_section("A: b\r\n\r\nbody\r\n", 8, false);
	check_section("A: b\r\n c\r\n\r\n", 12, false);
	check_section("A: b\n\nbody\n", 6, false);
	check_section("\r\nbody", 2, false);
	check_section("A: b\r\nno field\r\n\r\n", 6, false);
	check_section("no field\r\n", 0, true);
	/* Not yet known. */
	check_section("", 0, false);
	check_section("A: b\r\n", 0, false);
	check_section("A: b\r\n\r", 0, false);
	check_section("A: b\r\nno fie", 0, false);
	check_section("no fie", 0, false);
}

static void
unfolded(void **state)
{
	char text[16];

	(void)state;
	assert_int_equal(hdr_unfold(SL(" one\r\n two \t"), text, 16), 7);
	assert_string_equal(text, "one two");
	assert_int_equal(hdr_unfold(SL("\r\n\tone\r\n\t\r\n "), text, 16), 3);
	assert_string_equal(text, "one");
	assert_int_equal(hdr_unfold(SL("\r\n \r\n"), text, 16), 0);
	assert_int_equal(hdr_unfold(SL("0123456789"), text, 5), 4);
	assert_string_equal(text, "0123");
	assert_int_equal(hdr_unfold(SL(" "), text, 1), 0);
	assert_string_equal(text, "");
}

static void
check_received(const struct trace_field *t, const char *want)
{
	struct buf out;

	buf_init(&out, 4096);
	assert_int_equal(hdr_received(&out, t), 0);
	buf_addc(&out, '\0');
	assert_string_equal(buf_slice(&out).p, want);
	buf_free(&out);
}

static struct trace_field
trace(void)
{
	return (struct trace_field){
		.helo = SL("client.example"),
		.by = SL("mx.example"),
		.client = { .b = { 192, 0, 2, 7 }, .family = 4 },
		.id = msgid_make(0, 0, 0),
		.for_rcpt = SL("jones@foo.example"),
		.is_esmtp = true,
		.unix_us = 0,
	};
}

#define ID "00000000000000000000000000"
#define EPOCH ";\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n"

static void
received_over_every_protocol(void **state)
{
	struct trace_field t = trace();

	(void)state;
	check_received(&t,
	    "Received: from client.example ([192.0.2.7])\r\n"
	    "\tby mx.example with ESMTP id " ID "\r\n"
	    "\tfor <jones@foo.example>" EPOCH);
	t.tls = SL("TLSv1.3 TLS_AES_256_GCM_SHA384");
	t.for_rcpt = SL("");
	check_received(&t,
	    "Received: from client.example ([192.0.2.7])\r\n"
	    "\tby mx.example with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384) "
	    "id " ID EPOCH);
	t.is_auth = true;
	t.is_utf8 = true;
	t.client = (struct ip){ .b = { 0x20, 1, [15] = 1 }, .family = 6 };
	check_received(&t,
	    "Received: from client.example ([IPv6:2001::1])\r\n"
	    "\tby mx.example with UTF8SMTPSA "
	    "(TLSv1.3 TLS_AES_256_GCM_SHA384) id " ID EPOCH);
	t = trace();
	t.is_esmtp = false;
	t.helo = t.for_rcpt = SL("");
	check_received(&t,
	    "Received: from unknown ([192.0.2.7])\r\n"
	    "\tby mx.example with SMTP id " ID EPOCH);
}

/* A client cannot write our trace field. */
static void
received_is_ours_alone(void **state)
{
	struct trace_field t = trace();

	(void)state;
	t.helo = SL("a\r\nX: (b) <c>\x80\"\\");
	t.for_rcpt = SL("\"x> (y\"@foo.example");
	check_received(&t,
	    "Received: from aX:bc ([192.0.2.7])\r\n"
	    "\tby mx.example with ESMTP id " ID EPOCH);
}

static void
received_from_a_program_names_its_user(void **state)
{
	struct trace_field t = trace();

	(void)state;
	t.is_local = true;
	t.uid = 65534;
	t.for_rcpt = SL("");
	check_received(&t,
	    "Received: by mx.example (mtad, by uid 65534) id " ID EPOCH);
}

static void
received_without_room(void **state)
{
	struct trace_field t = trace();
	struct buf out;

	(void)state;
	buf_init(&out, 50);
	assert_int_equal(hdr_received(&out, &t), E_FULL);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_one_by_one),
		cmocka_unit_test(what_is_no_field),
		cmocka_unit_test(a_field_may_be_the_last_thing),
		cmocka_unit_test(sections),
		cmocka_unit_test(unfolded),
		cmocka_unit_test(received_over_every_protocol),
		cmocka_unit_test(received_is_ours_alone),
		cmocka_unit_test(received_from_a_program_names_its_user),
		cmocka_unit_test(received_without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
