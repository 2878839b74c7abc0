/*
 * Notices: one whole, compared to the letter, and what must hold of any,
 * however hostile what goes into it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/proto.h"

#define ID "00000000000000000000000000"

static struct dsn_in
sample(const struct dsn_rcpt *rcpts, uint32_t n)
{
	return (struct dsn_in){
		.action = DSN_FAILED,
		.hostname = SL("mx.example"),
		.to = SL("smith@bar.example"),
		.id = msgid_make(0, 0, 0),
		.original_id = msgid_make(0, 0, 0),
		.arrival_us = 1 * US_PER_S,
		.now_us = 2 * US_PER_S,
		.original = SL("Subject: x\r\n"),
		.rcpts = rcpts,
		.nrcpt = n,
	};
}

static void
check(const struct dsn_in *in, const char *want)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	assert_int_equal(dsn_build(&out, in), 0);
	buf_addc(&out, '\0');
	assert_string_equal(buf_slice(&out).p, want);
	buf_free(&out);
}

/* Long, because the notice is compared whole. */
static void
failure_notice(void **state)
{
	const struct dsn_rcpt r[] = {
		{
		    .address = SL("jones@foo.example"),
		    .orcpt = SL("rfc822;Jones+2B1@Foo.example"),
		    .outcome = { .klass = OUTCOME_BOUNCED,
			.stage = STAGE_RCPT,
			.code = 550,
			.enh = { 5, 1, 1 } },
		    .text = SL("no such user\nreally"),
		    .remote_mta = SL("mx.foo.example"),
		    .last_attempt_us = 2 * US_PER_S,
		},
		{
		    .address = SL("late@foo.example"),
		    .outcome = { .klass = OUTCOME_EXPIRED,
			.stage = STAGE_RCPT,
			.code = 450,
			.enh = { 4, 2, 1 } },
		    .text = SL("busy"),
		},
	};
	struct dsn_in in = sample(r, 2);

	(void)state;
	in.envid = SL("QQ+2B1");
	check(&in,
	    "From: Mail Delivery System <postmaster@mx.example>\r\n"
	    "To: <smith@bar.example>\r\n"
	    "Subject: Undelivered Mail Returned to Sender\r\n"
	    "Date: Thu, 01 Jan 1970 00:00:02 +0000\r\n"
	    "Message-ID: <" ID "@mx.example>\r\n"
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"mtad-" ID "\"\r\n"
	    "\r\n--mtad-" ID "\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n"
	    "\r\n"
	    "This is the mail system at host mx.example.\r\n"
	    "\r\n"
	    "Your message could not be delivered to the recipients below.\r\n"
	    "\r\n"
	    "<jones@foo.example>\r\n"
	    "    the host mx.foo.example said:\r\n"
	    "    550 5.1.1 no such user really\r\n"
	    "\r\n"
	    "<late@foo.example>\r\n"
	    "    450 4.2.1 busy\r\n"
	    "\r\n--mtad-" ID "\r\n"
	    "Content-Type: message/delivery-status\r\n"
	    "\r\n"
	    "Reporting-MTA: dns; mx.example\r\n"
	    "Original-Envelope-Id: QQ+1\r\n"
	    "X-Mtad-Id: " ID "\r\n"
	    "Arrival-Date: Thu, 01 Jan 1970 00:00:01 +0000\r\n"
	    "\r\n"
	    "Original-Recipient: rfc822; Jones+1@Foo.example\r\n"
	    "Final-Recipient: rfc822; jones@foo.example\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Remote-MTA: dns; mx.foo.example\r\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 no such user really\r\n"
	    "Last-Attempt-Date: Thu, 01 Jan 1970 00:00:02 +0000\r\n"
	    "\r\n"
	    "Final-Recipient: rfc822; late@foo.example\r\n"
	    "Action: failed\r\n"
	    "Status: 4.4.7\r\n"
	    "Diagnostic-Code: x-mtad; 450 4.2.1 busy\r\n"
	    "\r\n--mtad-" ID "\r\n"
	    "Content-Type: text/rfc822-headers\r\n"
	    "\r\n"
	    "Subject: x\r\n"
	    "\r\n--mtad-" ID "--\r\n");
}

static bool
has(const struct buf *out, const char *text)
{
	return memmem(buf_slice(out).p, out->n, text, strlen(text)) != NULL;
}

static void
delay_notice(void **state)
{
	const struct dsn_rcpt r = {
		.address = SL("jones@foo.example"),
		.outcome = { .klass = OUTCOME_TRANSIENT, .code = 451 },
		.text = SL("later"),
		.retry_until_us = 3 * US_PER_S,
	};
	struct dsn_in in = sample(&r, 1);
	struct buf out;

	(void)state;
	in.action = DSN_DELAYED;
	in.postmaster = SL("ops@mx.example");
	in.original = SL("Subject: x\r\n\r\nbody \xe4\r\n");
	in.whole = true;
	buf_init(&out, 1 << 20);
	assert_int_equal(dsn_build(&out, &in), 0);
	assert_true(has(&out, "From: Mail Delivery System <ops@mx.example>"));
	assert_true(has(&out, "Subject: Delayed Mail"));
	assert_true(has(&out, "Action: delayed\r\nStatus: 4.0.0\r\n"));
	assert_true(has(&out, "Diagnostic-Code: x-mtad; 451 later\r\n"));
	assert_true(
	    has(&out, "Will-Retry-Until: Thu, 01 Jan 1970 00:00:03 +0000\r\n"));
	assert_true(has(&out,
	    "Content-Type: message/rfc822\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n"
	    "Subject: x\r\n\r\nbody \xe4\r\n"));
	buf_free(&out);
}

static void
relay_notice(void **state)
{
	const struct dsn_rcpt r = {
		.address = SL("jones@foo.example"),
		.outcome = { .klass = OUTCOME_DELIVERED,
		    .code = 250,
		    .enh = { 2, 1, 5 } },
		.text = SL("taken"),
		.remote_mta = SL("mx.foo.example"),
	};
	struct dsn_in in = sample(&r, 1);
	struct buf out;

	(void)state;
	in.action = DSN_RELAYED;
	buf_init(&out, 1 << 20);
	assert_int_equal(dsn_build(&out, &in), 0);
	assert_true(has(&out, "Subject: Mail Relay Report\r\n"));
	assert_true(has(&out,
	    "Action: relayed\r\nStatus: 2.1.5\r\n"
	    "Remote-MTA: dns; mx.foo.example\r\n"
	    "Diagnostic-Code: smtp; 250 2.1.5 taken\r\n"));
	buf_free(&out);
}

/* RFC 2852: what the sender's own time did to it. */
static void
deadline_notices(void **state)
{
	const struct dsn_rcpt r = { .address = SL("jones@foo.example"),
		.outcome = { .klass = OUTCOME_EXPIRED, .code = 451 } };
	struct dsn_in in = sample(&r, 1);
	struct buf out;

	(void)state;
	in.is_by = true;
	buf_init(&out, 1 << 20);
	assert_int_equal(dsn_build(&out, &in), 0);
	assert_true(has(&out, "Action: failed\r\nStatus: 5.4.7\r\n"));
	in.action = DSN_DELAYED;
	assert_int_equal(dsn_build(&out, &in), 0);
	assert_true(has(&out, "Action: delayed\r\nStatus: "));
	buf_free(&out);
}

/* RFC 6533: parts of another type, and addresses as they are. */
static void
utf8_notice(void **state)
{
	const struct dsn_rcpt r[] = {
		{ .address = SL("j\xc3\xb6nes@foo.example"),
		    .orcpt = SL("utf-8;J\xc3\xb6nes@foo.example") },
		{ .address = SL("smith@foo.example"),
		    .orcpt = SL("utf-8;sm\\x{ED}th@foo.example") },
		{ .address = SL("broken\xc3@foo.example") },
	};
	struct dsn_in in = sample(r, 3);
	struct buf out;

	(void)state;
	in.original = SL("Subject: \xc3\xb6\r\n");
	in.is_utf8 = true;
	buf_init(&out, 1 << 20);
	assert_int_equal(dsn_build(&out, &in), 0);
	assert_true(has(&out,
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n"));
	assert_true(has(&out,
	    "Content-Type: message/global-delivery-status\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n"));
	assert_true(has(&out,
	    "Original-Recipient: utf-8; J\xc3\xb6nes@foo.example\r\n"
	    "Final-Recipient: utf-8; j\xc3\xb6nes@foo.example\r\n"));
	assert_true(has(&out,
	    "Original-Recipient: utf-8; sm\\x{ED}th@foo.example\r\n"
	    "Final-Recipient: rfc822; smith@foo.example\r\n"));
	assert_true(has(&out, "Final-Recipient: rfc822; broken?@foo.example"));
	assert_true(has(&out, "Content-Type: message/global-headers\r\n"));
	in.nrcpt = 0;
	in.is_utf8 = false;
	buf_cut(&out, 0);
	assert_int_equal(dsn_build(&out, &in), 0);
	assert_true(has(&out, "Content-Type: message/delivery-status\r\n"));
	assert_true(has(&out, "Content-Type: text/rfc822-headers\r\n"));
	buf_free(&out);
}

/* No bare CR or LF, no NUL, no long line; and, outside the original, ASCII. */
static void
assert_wholesome(const struct buf *out, size_t original_at)
{
	struct slice s = buf_slice(out);
	size_t line = 0;

	assert_true(s.n > 2 && s.p[s.n - 2] == '\r');
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		line = c == '\n' ? 0 : line + (c != '\r');
		assert_true(c != '\0' && line <= 998);
		assert_true(c != '\n' || (i > 0 && s.p[i - 1] == '\r'));
		assert_true(c != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
		assert_true(i >= original_at || (c & 0x80) == 0);
	}
}

static void
assert_utf8(struct slice s)
{
	uint32_t code;
	size_t n;

	for (; s.n > 0; s = slice_skip(s, n)) {
		n = slice_utf8(s, &code);
		assert_true(n > 0);
	}
}

/* How often a line begins with text. */
static unsigned int
lines_with(const struct buf *out, const char *text)
{
	struct slice s = buf_slice(out);
	unsigned int n = 0;

	while (s.n > 0) {
		n += slice_has_iprefix(s, slice_str(text));
		s = slice_skip(s, slice_index(s, '\n') + 1);
	}
	return n;
}

static void
hostile_inputs(void **state)
{
	static char noise[3000];
	struct rng rng;

	(void)state;
	rng_seed(&rng, 7);
	for (int round = 0; round < 2000; round++) {
		const char evil[] =
		    "\r\nStatus: 2.0.0\r\n\r\n--mtad-" ID "--\r\n\r\nX";
		struct dsn_rcpt r = { 0 };
		struct dsn_in in = sample(&r, 1);
		struct buf out;
		const char *at;
		bool is_global;

		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = rng_below(&rng, 4) == 0 ?
			    "\r\n. "[rng_below(&rng, 4)] :
			    (char)rng_below(&rng, 256);
		memcpy(noise + rng_below(&rng, 2000), evil, sizeof(evil));
#define SOME(max) slice_of(noise + rng_below(&rng, 1500), rng_below(&rng, max))
		r.address = SOME(400);
		r.orcpt = SOME(500);
		r.text = SOME(600);
		r.remote_mta = SOME(300);
		r.outcome.code = (uint16_t)rng_below(&rng, 1000);
		in.to = SOME(400);
		in.envid = SOME(120);
		in.original = SOME(1500);
#undef SOME
		buf_init(&out, 1 << 20);
		assert_int_equal(dsn_build(&out, &in), 0);
		at =
		    memmem(buf_slice(&out).p, out.n, "text/rfc822-headers", 19);
		assert_non_null(at);
		is_global = has(&out, "message/global-delivery-status");
		assert_wholesome(&out,
		    is_global ? 0 : (size_t)(at - buf_slice(&out).p));
		buf_cut(&out, (size_t)(at - buf_slice(&out).p));
		assert_utf8(buf_slice(&out));
		assert_int_equal(lines_with(&out, "Status:"), 1);
		assert_int_equal(lines_with(&out, "--mtad-"), 3);
		buf_free(&out);
	}
}

/* Long texts are folded at blanks, and cut where there are none. */
static void
long_texts_are_folded(void **state)
{
	static char words[3000];
	struct dsn_rcpt r = { .address = SL("a@b.example") };
	struct dsn_in in = sample(&r, 1);
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof(words); i++)
		words[i] = i > 1000 && i < 2999 ? 'x' : i % 10 ? 'w' : ' ';
	r.text = slice_of(words, sizeof(words));
	buf_init(&out, 1 << 20);
	assert_int_equal(dsn_build(&out, &in), 0);
	assert_wholesome(&out, out.n);
	assert_true(
	    has(&out,
		"Diagnostic-Code: x-mtad; wwwwwwwww wwwwwwwww wwwwwwwww "
		"wwwwwwwww wwwwwwwww wwwww\r\n") ||
	    has(&out,
		"\r\n wwwwwwwww wwwwwwwww wwwwwwwww wwwwwwwww "
		"wwwwwwwww wwwwwwwww wwwwwwwww wwwwwwwww\r\n"));
	buf_free(&out);
}

static void
without_room(void **state)
{
	const struct dsn_rcpt r = { .address = SL("a@b.example") };
	struct dsn_in in = sample(&r, 1);
	struct buf out;

	(void)state;
	buf_init(&out, 300);
	assert_int_equal(dsn_build(&out, &in), E_FULL);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failure_notice),
		cmocka_unit_test(delay_notice),
		cmocka_unit_test(relay_notice),
		cmocka_unit_test(deadline_notices),
		cmocka_unit_test(utf8_notice),
		cmocka_unit_test(hostile_inputs),
		cmocka_unit_test(long_texts_are_folded),
		cmocka_unit_test(without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
