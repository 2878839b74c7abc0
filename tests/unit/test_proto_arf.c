/*
 * test_proto_arf - reports of abuse: what they say is found, and what is none is
 * told apart.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/proto.h"

#define HEAD                                                                   \
	"From: <a@b.example>\r\n"                                              \
	"Content-Type: multipart/report; report-type=feedback-report;\r\n"     \
	"\tboundary=\"x y\"\r\n\r\npreamble\r\n--x y\r\n"                      \
	"Content-Type: text/plain\r\n\r\nSee below\r\n--x y\r\n"
#define REPORT "Content-Type: message/feedback-report\r\n\r\n"
#define ID "0036A6008HAH4000040000028K"

static void
what_a_report_says_is_found(void **state)
{
	struct msgid id;
	struct arf a;

	(void)state;
	assert_true(
	    arf_read(SL(HEAD REPORT
			 "Feedback-Type: abuse\r\nUser-Agent: Any/1\r\n"
			 "Source-IP: 192.0.2.1\r\n"
			 "Original-Rcpt-To: <u@p.example>\r\n"
			 "Original-Rcpt-To: v@p.example\r\n--x y\r\n"
			 "Content-Type: message/rfc822\r\n\r\n"
			 "Received: from x by y id 12345; today\r\n"
			 "Received: from w by us\r\n\twith ESMTP id " ID
			 "\r\n\tfor <u@p.example>; yesterday\r\n"
			 "Subject: id " ID "\r\n\r\nid " ID "\r\n--x y--\r\n"),
		&a));
	assert_true(arf_complains(&a));
	assert_true(slice_eq(a.type, SL("abuse")));
	assert_true(slice_eq(a.agent, SL("Any/1")));
	assert_int_equal(a.source.family, 4);
	assert_int_equal(a.source.b[0], 192);
	assert_int_equal(a.nrcpts, 2);
	assert_true(slice_eq(a.rcpt[0], SL("u@p.example")));
	assert_true(slice_eq(a.rcpt[1], SL("v@p.example")));
	assert_int_equal(msgid_parse(SL(ID), &id), 0);
	assert_int_equal(a.nids, 1);
	assert_memory_equal(&a.id[0], &id, sizeof(id));
}

static void
lines_may_end_in_a_newline_alone(void **state)
{
	struct arf a;

	(void)state;
	assert_true(arf_read(
	    SL("Content-Type: multipart/report; boundary=b; charset=x\n\n"
	       "--b\nContent-Type: Message/Feedback-Report\n\n"
	       "feedback-type:  Fraud \nSource-IP: 2001:db8::1\n--b--\n"),
	    &a));
	assert_true(arf_complains(&a));
	assert_int_equal(a.source.family, 6);
}

static void
what_complains_of_nothing_is_told_apart(void **state)
{
	struct arf a;

	(void)state;
	assert_true(
	    arf_read(SL(HEAD REPORT "Feedback-Type: not-spam\r\n--x y--\r\n"),
		&a));
	assert_false(arf_complains(&a));
	assert_true(
	    arf_read(SL(HEAD REPORT "Feedback-Type: auth-failure\r\n"), &a));
	assert_false(arf_complains(&a));
}

static void
what_is_no_report_is_none(void **state)
{
	struct arf a;

	(void)state;
	assert_false(arf_read(SL(""), &a));
	assert_false(arf_read(SL("\r\n"), &a));
	assert_false(arf_read(SL("Subject: x\r\n\r\nhello\r\n"), &a));
	assert_false(
	    arf_read(SL("Content-Type: multipart/report\r\n\r\n"), &a));
	assert_false(
	    arf_read(SL("Content-Type: multipart/report; boundary="), &a));
	assert_false(arf_read(SL(HEAD), &a));
	assert_false(arf_read(SL(HEAD REPORT "Source-IP: 192.0.2.1\r\n"), &a));
	/* The end of all parts is one; what follows is none. */
	assert_false(arf_read(SL("Content-Type: multipart/report; boundary=b"
				 "\r\n\r\n--b--\r\n--b\r\n" REPORT
				 "Feedback-Type: abuse\r\n"),
	    &a));
}

static void
one_that_is_cut_anywhere_is_read_as_far(void **state)
{
	struct slice all = SL(HEAD REPORT
	    "Feedback-Type: abuse\r\nOriginal-Rcpt-To: <u@p.example>\r\n"
	    "--x y\r\nContent-Type: text/rfc822-headers\r\n\r\n"
	    "Received: by us id " ID "\r\n--x y--\r\n");
	struct arf a;
	bool was = false;

	(void)state;
	for (size_t n = 0; n <= all.n; n++) {
		bool is = arf_read(slice_of(all.p, n), &a);

		assert_true(is || !was);
		was = is;
		assert_true(a.nids <= 1 && a.nrcpts <= 1);
	}
	assert_int_equal(a.nids, 1);
}

static void
no_more_than_a_few_are_kept(void **state)
{
	struct arf a;
	struct buf b;

	(void)state;
	buf_init(&b, 1u << 20);
	buf_addz(&b, HEAD REPORT "Feedback-Type: abuse\r\n");
	for (int i = 0; i < 1000; i++)
		buf_addz(&b, "Original-Rcpt-To: u@p.example\r\n");
	buf_addz(&b, "--x y\r\nContent-Type: message/rfc822\r\n\r\n");
	for (int i = 0; i < 1000; i++)
		buf_addz(&b, "Received: by us id " ID "\r\n");
	for (int i = 0; i < 1000; i++)
		buf_addz(&b, "--x y\r\n");
	assert_true(arf_read(buf_slice(&b), &a));
	assert_int_equal(a.nrcpts, ARF_RCPTS_MAX);
	assert_int_equal(a.nids, ARF_IDS_MAX);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_report_says_is_found),
		cmocka_unit_test(lines_may_end_in_a_newline_alone),
		cmocka_unit_test(what_complains_of_nothing_is_told_apart),
		cmocka_unit_test(what_is_no_report_is_none),
		cmocka_unit_test(one_that_is_cut_anywhere_is_read_as_far),
		cmocka_unit_test(no_more_than_a_few_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
