/*
 * The SMTP machines beyond what transcripts show: deadlines, answers that come
 * late, back-pressure, room, texts and DSN parameters.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/proto.h"

#define MIN_US (60 * US_PER_S)

static struct smtp_srv srv;
static struct smtp_srv_conf srv_conf;

static enum smtp_srv_act
step(const char *text, int64_t now_us)
{
	struct slice in = slice_str(text);
	enum smtp_srv_act act;

	do
		act = smtp_srv_step(&srv, &in, now_us);
	while (act == SRV_REFUSED);
	return act;
}

static int
srv_setup(void **state)
{
	(void)state;
	smtp_srv_conf_default(&srv_conf);
	srv_conf.hostname = SL("mx.example");
	srv_conf.offers_tls = true;
	smtp_srv_init(&srv, &srv_conf, 0);
	return 0;
}

static int
srv_teardown(void **state)
{
	(void)state;
	smtp_srv_free(&srv);
	return 0;
}

static bool
srv_said(const char *text)
{
	bool is_same = slice_eq(buf_slice(&srv.out), slice_str(text));

	buf_reset(&srv.out);
	return is_same;
}

static void
go_to_data(void)
{
	assert_int_equal(step("EHLO x\r\nMAIL FROM:<a@b.example>\r\n", 0),
	    SRV_MAIL);
	smtp_srv_reply(&srv, 250, "2.1.0", SL("ok"));
	assert_int_equal(step("RCPT TO:<c@d.example>\r\n", 0), SRV_RCPT);
	smtp_srv_reply(&srv, 250, "2.1.5", SL("ok"));
	assert_int_equal(step("DATA\r\n", 0), SRV_DATA);
}

/* What the machine refuses by itself is told, with its stage, one by one. */
static void
srv_tells_what_it_refuses(void **state)
{
	struct slice in = SL("EHLO x\r\nMAIL FROM:<a@b.example> SIZE=99\r\n"
			     "MAIL FROM:<bad\r\nNOOP x\r\n");
	enum smtp_srv_act act;

	(void)state;
	srv_conf.size_max = 10;
	assert_int_equal(smtp_srv_step(&srv, &in, 0), SRV_REFUSED);
	assert_int_equal(srv.refused_at, STAGE_MAIL);
	assert_true(slice_has_prefix(srv.refused, SL("552 5.3.4 ")));
	assert_int_equal(smtp_srv_step(&srv, &in, 0), SRV_REFUSED);
	assert_true(slice_has_prefix(srv.refused, SL("501 5.1.7 ")));
	assert_int_equal(smtp_srv_step(&srv, &in, 0), SRV_NEED_INPUT);
	go_to_data();
	smtp_srv_go_ahead(&srv);
	in = SL("far too long\r\n.\r\nNOOP\r\n");
	do
		act = smtp_srv_step(&srv, &in, 0);
	while (act == SRV_BODY);
	assert_int_equal(act, SRV_REFUSED);
	assert_int_equal(srv.refused_at, STAGE_EOM);
	assert_true(slice_has_prefix(srv.refused, SL("552 5.3.4 ")));
	assert_int_equal(smtp_srv_step(&srv, &in, 0), SRV_ABORT);
	assert_int_equal(smtp_srv_step(&srv, &in, 0), SRV_NEED_INPUT);
}

/* Only whole commands renew the patience for the next one. */
static void
srv_drips_do_not_renew(void **state)
{
	(void)state;
	assert_int_equal(smtp_srv_deadline(&srv), 5 * MIN_US);
	assert_int_equal(step("NO", 1 * MIN_US), SRV_NEED_INPUT);
	assert_int_equal(smtp_srv_deadline(&srv), 5 * MIN_US);
	assert_int_equal(step("OP\r\n", 2 * MIN_US), SRV_NEED_INPUT);
	assert_int_equal(smtp_srv_deadline(&srv), 7 * MIN_US);
}

static void
srv_deadlines_of_acts(void **state)
{
	(void)state;
	go_to_data();
	assert_int_equal(smtp_srv_deadline(&srv), 10 * MIN_US);
	smtp_srv_go_ahead(&srv);
	/* The answer took its time; the client's begins now. */
	assert_int_equal(step("", 9 * MIN_US), SRV_NEED_INPUT);
	assert_int_equal(smtp_srv_deadline(&srv), 12 * MIN_US);
	assert_int_equal(step("x", 11 * MIN_US), SRV_BODY);
	assert_int_equal(smtp_srv_deadline(&srv), 14 * MIN_US);
	assert_int_equal(step("\r\n", 12 * MIN_US), SRV_BODY);
	assert_int_equal(step(".\r\n", 12 * MIN_US), SRV_EOM);
	assert_int_equal(smtp_srv_deadline(&srv), 22 * MIN_US);
}

static void
srv_answer_after_timeout_is_dropped(void **state)
{
	(void)state;
	go_to_data();
	smtp_srv_go_ahead(&srv);
	assert_int_equal(step(".\r\n", 0), SRV_EOM);
	buf_reset(&srv.out);
	smtp_srv_timeout(&srv);
	assert_int_equal(smtp_srv_deadline(&srv), TIME_NEVER);
	smtp_srv_reply(&srv, 250, "2.0.0", SL("queued"));
	assert_true(srv_said("421 4.4.2 timed out\r\n"));
	assert_int_equal(step("NOOP\r\n", 1), SRV_ABORT);
	assert_int_equal(step("NOOP\r\n", 1), SRV_CLOSE);
	assert_int_equal(step("NOOP\r\n", 1), SRV_CLOSE);
	assert_int_equal(srv.out.n, 0);
}

/* No clear text into a handshake that stalls. */
static void
srv_timeout_in_handshake(void **state)
{
	(void)state;
	assert_int_equal(step("EHLO x\r\nSTARTTLS\r\n", 0), SRV_STARTTLS);
	assert_int_equal(smtp_srv_deadline(&srv), 1 * MIN_US);
	buf_reset(&srv.out);
	smtp_srv_timeout(&srv);
	assert_int_equal(srv.out.n, 0);
	assert_int_equal(step("", 1), SRV_CLOSE);
	smtp_srv_tls_done(&srv, true, 2);
	assert_int_equal(step("", 3), SRV_CLOSE);
}

/* A commit that is under way is answered, whatever shuts the server. */
static void
srv_shut_waits_for_the_answer(void **state)
{
	(void)state;
	go_to_data();
	smtp_srv_go_ahead(&srv);
	assert_int_equal(step("x\r\n", 0), SRV_BODY);
	assert_int_equal(step(".\r\n", 0), SRV_EOM);
	buf_reset(&srv.out);
	smtp_srv_shut(&srv, SL("going down"), false);
	assert_int_equal(step("", 0), SRV_WAIT);
	smtp_srv_reply(&srv, 250, "2.0.0", SL("queued"));
	assert_int_equal(step("", 0), SRV_CLOSE);
	assert_true(srv_said("250 2.0.0 queued\r\n421 4.3.2 going down\r\n"));
}

static void
srv_second_shut_is_not_gentle(void **state)
{
	(void)state;
	go_to_data();
	smtp_srv_go_ahead(&srv);
	smtp_srv_shut(&srv, SL("one"), true);
	assert_int_equal(step("", 0), SRV_NEED_INPUT);
	assert_true(smtp_srv_in_transaction(&srv));
	smtp_srv_shut(&srv, SL("two"), false);
	smtp_srv_shut(&srv, SL("two"), true);
	assert_int_equal(step("", 0), SRV_ABORT);
	assert_int_equal(step("", 0), SRV_CLOSE);
}

/* A banner that was sent stays sent. */
static void
srv_shut_behind_the_banner(void **state)
{
	(void)state;
	assert_true(srv_said("220 mx.example ESMTP\r\n"));
	smtp_srv_shut(&srv, SL("full"), false);
	assert_int_equal(step("", 0), SRV_CLOSE);
	assert_true(srv_said("421 4.3.2 full\r\n"));
}

/* Replies that are not yet flushed are not the banner. */
static void
srv_shut_keeps_replies(void **state)
{
	(void)state;
	assert_int_equal(step("NOOP\r\n", 0), SRV_NEED_INPUT);
	smtp_srv_shut(&srv, SL("full"), false);
	assert_int_equal(step("", 0), SRV_CLOSE);
	assert_true(srv_said("220 mx.example ESMTP\r\n250 2.0.0 ok\r\n"
			     "421 4.3.2 full\r\n"));
}

/* RFC 3207 4.2: nothing of the clear text is left. */
static void
srv_forgets_at_starttls(void **state)
{
	(void)state;
	assert_int_equal(step("EHLO x\r\nSTARTTLS\r\n", 0), SRV_STARTTLS);
	smtp_srv_tls_done(&srv, true, 7);
	assert_true(srv.is_tls);
	assert_false(srv.is_esmtp);
	assert_int_equal(srv.helo_n, 0);
	assert_int_equal(smtp_srv_deadline(&srv), 5 * MIN_US + 7);
}

static void
srv_replies_are_one_line(void **state)
{
	static char text[1000];

	(void)state;
	assert_int_equal(step("HELO x\r\nMAIL FROM:<>\r\n", 0), SRV_MAIL);
	buf_reset(&srv.out);
	memset(text, 'x', sizeof(text));
	text[0] = '\r';
	text[1] = '\n';
	text[2] = '\x80';
	smtp_srv_reply(&srv, 550, "5.7.1", slice_of(text, sizeof(text)));
	assert_int_equal(srv.out.n, SMTP_REPLY_MAX);
	assert_memory_equal(srv.out.p, "550 5.7.1 ???xxx", 16);
	assert_memory_equal(srv.out.p + SMTP_REPLY_MAX - 2, "\r\n", 2);
	buf_reset(&srv.out);
	assert_int_equal(step("MAIL FROM:<>\r\n", 0), SRV_MAIL);
	smtp_srv_reply(&srv, 250, "", SL("ok"));
	assert_true(srv_said("250 ok\r\n"));
}

/* A peer that never reads what we say. */
static void
srv_closes_when_replies_pile_up(void **state)
{
	enum smtp_srv_act act = SRV_NEED_INPUT;
	int n = 0;

	(void)state;
	while (act == SRV_NEED_INPUT && n++ < 1000000)
		act = step("NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n", 0);
	assert_int_equal(act, SRV_CLOSE);
	assert_true(srv.out.n <= SMTP_SRV_OUT_MAX);
}

/* The path is good until the answer, whatever becomes of the input. */
static void
srv_path_outlives_the_input(void **state)
{
	char line[] = "EHLO x\r\nMAIL FROM:<a@b.example>\r\n";

	(void)state;
	assert_int_equal(step(line, 0), SRV_MAIL);
	memset(line, 'x', sizeof(line));
	assert_true(slice_eq(srv.path.address, SL("a@b.example")));
	assert_true(slice_eq(srv.path.domain, SL("b.example")));
}

static void
srv_facts(void **state)
{
	(void)state;
	go_to_data();
	assert_true(srv.is_esmtp);
	assert_int_equal(srv.rcpts, 1);
	assert_true(slice_eq(slice_of(srv.helo, srv.helo_n), SL("x")));
	smtp_srv_reply(&srv, 421, "4.3.0", SL("no"));
	assert_int_equal(step("", 0), SRV_ABORT);
	assert_int_equal(step("", 0), SRV_CLOSE);
	assert_false(smtp_srv_in_transaction(&srv));
}

static void
srv_banner_text(void **state)
{
	(void)state;
	smtp_srv_free(&srv);
	srv_conf.banner = SL("ESMTP at your service");
	smtp_srv_init(&srv, &srv_conf, 0);
	assert_true(srv_said("220 mx.example ESMTP at your service\r\n"));
}

/* ---- client ----------------------------------------------------------------- */

static struct smtp_cli *cli;
static struct smtp_cli_conf cli_conf;
static struct smtp_cli_rcpt rcpts[SMTP_TXN_RCPTS_MAX];

static enum smtp_cli_act
cli_step(const char *text, int64_t now_us)
{
	struct slice in = slice_str(text);

	return smtp_cli_step(cli, &in, now_us);
}

static int
cli_setup(void **state)
{
	(void)state;
	smtp_cli_conf_default(&cli_conf);
	cli_conf.ehlo_name = SL("out.example");
	cli = smtp_cli_new(&cli_conf, 0);
	assert_non_null(cli);
	for (size_t i = 0; i < ARRAY_LEN(rcpts); i++)
		rcpts[i] =
		    (struct smtp_cli_rcpt){ .address = SL("c@d.example") };
	return 0;
}

static int
cli_teardown(void **state)
{
	(void)state;
	smtp_cli_free(cli);
	return 0;
}

static bool
cli_said(const char *text)
{
	struct buf *out = smtp_cli_out(cli);
	bool is_same = slice_eq(buf_slice(out), slice_str(text));

	buf_reset(out);
	return is_same;
}

static void
go_up(const char *ehlo)
{
	assert_int_equal(cli_step("220 x\r\n", 0), CLI_NEED_INPUT);
	assert_int_equal(cli_step(ehlo, 0), CLI_UP);
	buf_reset(smtp_cli_out(cli));
}

static void
begin(uint32_t n, uint64_t cookie, int64_t now_us)
{
	struct smtp_cli_txn txn = { .sender = SL("a@b.example"),
		.rcpts = rcpts,
		.nrcpt = n,
		.cookie = cookie };

	smtp_cli_begin(cli, &txn, now_us);
}

static void
cli_deadline_of_every_reply(void **state)
{
	(void)state;
	assert_int_equal(smtp_cli_deadline(cli), 5 * MIN_US);
	/* A drip is no reply. */
	assert_int_equal(cli_step("220-x\r\n220", 1 * MIN_US), CLI_NEED_INPUT);
	assert_int_equal(smtp_cli_deadline(cli), 5 * MIN_US);
	assert_int_equal(cli_step("\r\n", 2 * MIN_US), CLI_NEED_INPUT);
	assert_int_equal(smtp_cli_deadline(cli), 7 * MIN_US);
	assert_int_equal(cli_step("250-x\r\n250 PIPELINING\r\n", 3 * MIN_US),
	    CLI_UP);
	assert_int_equal(smtp_cli_deadline(cli), 3 * MIN_US + 5 * US_PER_S);
	begin(1, 0, 4 * MIN_US);
	assert_int_equal(smtp_cli_deadline(cli), 9 * MIN_US);
	assert_int_equal(cli_step("250 ok\r\n250 ok\r\n", 5 * MIN_US),
	    CLI_NEED_INPUT);
	assert_int_equal(smtp_cli_deadline(cli), 7 * MIN_US); /* DATA */
	assert_int_equal(cli_step("354 ok\r\n", 6 * MIN_US), CLI_BODY);
	assert_int_equal(smtp_cli_deadline(cli), 9 * MIN_US); /* a block */
	smtp_cli_body(cli, SL("x\r\n"), false, false, 7 * MIN_US);
	assert_int_equal(smtp_cli_deadline(cli), 10 * MIN_US);
	smtp_cli_flushed(cli, 8 * MIN_US);
	assert_int_equal(smtp_cli_deadline(cli), 11 * MIN_US);
	smtp_cli_body(cli, SL(""), false, true, 9 * MIN_US);
	assert_int_equal(smtp_cli_deadline(cli), 19 * MIN_US); /* the dot */
	smtp_cli_flushed(cli, 10 * MIN_US);
	assert_int_equal(smtp_cli_deadline(cli), 20 * MIN_US);
	assert_int_equal(cli_step("250 ok\r\n", 11 * MIN_US), CLI_RESULT);
	assert_int_equal(smtp_cli_result(cli)->began_us, 4 * MIN_US);
	assert_int_equal(smtp_cli_result(cli)->ended_us, 11 * MIN_US);
	smtp_cli_quit(cli, 12 * MIN_US);
	assert_int_equal(smtp_cli_deadline(cli), 12 * MIN_US + 5 * US_PER_S);
}

static void
cli_room_for_two(void **state)
{
	(void)state;
	assert_int_equal(smtp_cli_room(cli), 0);
	go_up("250 x\r\n");
	assert_int_equal(smtp_cli_room(cli), 2);
	begin(1, 1, 0);
	assert_int_equal(smtp_cli_room(cli), 1);
	begin(1, 2, 0);
	assert_int_equal(smtp_cli_room(cli), 0);
	assert_int_equal(cli_step("550 no\r\n", 0), CLI_RESULT);
	assert_int_equal(smtp_cli_room(cli), 1);
	/* The result stays while a new transaction is queued. */
	begin(1, 3, 0);
	assert_int_equal(smtp_cli_result(cli)->cookie, 1);
	assert_int_equal(smtp_cli_result(cli)->rcpt[0].outcome.code, 550);
	smtp_cli_quit(cli, 0);
	assert_int_equal(smtp_cli_room(cli), 0);
	assert_int_equal(cli_step("551 no\r\n", 0), CLI_RESULT);
	assert_int_equal(smtp_cli_result(cli)->cookie, 2);
	assert_int_equal(cli_step("552 no\r\n", 0), CLI_RESULT);
	assert_int_equal(smtp_cli_result(cli)->cookie, 3);
	assert_true(cli_said("MAIL FROM:<a@b.example>\r\n"
			     "MAIL FROM:<a@b.example>\r\n"
			     "MAIL FROM:<a@b.example>\r\nQUIT\r\n"));
}

static struct slice
answer_text(uint32_t i)
{
	const struct smtp_cli_result *r = smtp_cli_result(cli);

	return slice_of(r->text + r->rcpt[i].text_at, r->rcpt[i].text_n);
}

/* Equal words are kept once; when there is no more room they are cut. */
static void
cli_texts(void **state)
{
	char line[600];
	uint32_t i;

	(void)state;
	go_up("250-x\r\n250 PIPELINING\r\n");
	begin(SMTP_TXN_RCPTS_MAX, 0, 0);
	assert_int_equal(cli_step("250 ok\r\n", 0), CLI_NEED_INPUT);
	for (i = 0; i < SMTP_TXN_RCPTS_MAX; i++) {
		snprintf(line, sizeof(line), "550 %0*u\r\n", 500, i / 2);
		assert_int_equal(cli_step(line, 0), CLI_NEED_INPUT);
	}
	assert_int_equal(cli_step("554 no\r\n", 0), CLI_RESULT);
	assert_int_equal(smtp_cli_result(cli)->text_n, SMTP_CLI_TEXTS_MAX);
	for (i = 0; i < 32; i++) {
		snprintf(line, sizeof(line), "%0*u", 500, i / 2);
		assert_true(slice_eq(answer_text(i), slice_str(line)));
	}
	assert_int_equal(answer_text(32).n, 8192 - 16 * 500);
	assert_int_equal(answer_text(40).n, 0);
}

static void
cli_dsn_parameters(void **state)
{
	struct smtp_cli_txn txn = { .sender = SL("a@b.example"),
		.rcpts = rcpts,
		.nrcpt = 4,
		.flags = ENV_RET_HDRS,
		.envid = SL("QQ+2B1") };

	(void)state;
	go_up("250-x\r\n250-DSN\r\n250 PIPELINING\r\n");
	rcpts[0].notify = NOTIFY_NEVER;
	rcpts[1].notify = NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY;
	rcpts[1].orcpt = SL("rfc822;C@d.example");
	rcpts[2].notify = NOTIFY_DELAY;
	rcpts[2].orcpt = SL("rfc822;x\r\ny");
	smtp_cli_begin(cli, &txn, 0);
	assert_true(
	    cli_said("MAIL FROM:<a@b.example> RET=HDRS ENVID=QQ+2B1\r\n"
		     "RCPT TO:<c@d.example> NOTIFY=NEVER\r\n"
		     "RCPT TO:<c@d.example> NOTIFY=SUCCESS,FAILURE,DELAY "
		     "ORCPT=rfc822;C@d.example\r\n"
		     "RCPT TO:<c@d.example> NOTIFY=DELAY\r\n"
		     "RCPT TO:<c@d.example>\r\n"
		     "DATA\r\n"));
}

/* RFC 2852: what is left of the time, if the peer wants to know. */
static void
cli_deliver_by(void **state)
{
	static const struct {
		uint32_t flags;
		int64_t by_us;
		const char *want;
	} cases[] = {
		{ ENV_BY_RETURN, 100 * US_PER_S, " BY=90;R" },
		{ ENV_BY_RETURN | ENV_BY_TRACE, 5 * US_PER_S, " BY=1;RT" },
		{ 0, 5 * US_PER_S, " BY=-5;N" },
		{ ENV_BY_TRACE, INT64_MAX / 2, " BY=999999999;NT" },
		{ 0, 0, "" },
	};
	char want[80];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct smtp_cli_txn txn = { .sender = SL("a@b.example"),
			.rcpts = rcpts,
			.nrcpt = 1,
			.flags = cases[i].flags,
			.by_us = cases[i].by_us };

		if (i > 0) {
			cli_teardown(state);
			cli_setup(state);
		}
		go_up("250-x\r\n250 DELIVERBY 60\r\n");
		smtp_cli_begin(cli, &txn, 10 * US_PER_S);
		snprintf(want, sizeof(want), "MAIL FROM:<a@b.example>%s\r\n",
		    cases[i].want);
		assert_true(cli_said(want));
	}
}

/* The same to a peer that does not offer DSN. */
static void
cli_no_dsn_parameters(void **state)
{
	struct smtp_cli_txn txn = { .sender = SL("a@b.example"),
		.rcpts = rcpts,
		.nrcpt = 1,
		.flags = ENV_RET_FULL,
		.envid = SL("QQ314159") };

	(void)state;
	go_up("250 x\r\n");
	rcpts[0].notify = NOTIFY_NEVER;
	rcpts[0].orcpt = SL("rfc822;C@d.example");
	smtp_cli_begin(cli, &txn, 0);
	assert_true(cli_said("MAIL FROM:<a@b.example>\r\n"));
	assert_int_equal(cli_step("250 ok\r\n", 0), CLI_NEED_INPUT);
	assert_true(cli_said("RCPT TO:<c@d.example>\r\n"));
}

/* The second of two, until something of it has been written. */
static void
cli_takes_back_what_has_not_begun(void **state)
{
	(void)state;
	go_up("250-x\r\n250 PIPELINING\r\n");
	assert_false(smtp_cli_take_back(cli));
	begin(1, 0, 0);
	assert_false(smtp_cli_take_back(cli));
	begin(1, 0, 0);
	assert_int_equal(smtp_cli_room(cli), 0);
	assert_true(smtp_cli_take_back(cli));
	assert_int_equal(smtp_cli_room(cli), 1);
	assert_false(smtp_cli_take_back(cli));
	/* The first goes on, and nothing is said of the other. */
	assert_int_equal(cli_step("250 ok\r\n250 ok\r\n354 ok\r\n", 0),
	    CLI_BODY);
	begin(1, 0, 0);
	smtp_cli_body(cli, SL("x\r\n"), false, true, 0);
	/* Its commands go with the final dot. */
	assert_false(smtp_cli_take_back(cli));
	assert_int_equal(cli_step("250 taken\r\n", 0), CLI_RESULT);
	assert_int_equal(smtp_cli_result(cli)->rcpt[0].outcome.code, 250);
}

/* A caller that gives more than there is room for. */
static void
cli_output_overflows(void **state)
{
	static char piece[SMTP_CLI_PIECE_MAX];
	int n = 0;

	(void)state;
	go_up("250-x\r\n250 PIPELINING\r\n");
	begin(1, 0, 0);
	assert_int_equal(cli_step("250 ok\r\n250 ok\r\n354 ok\r\n", 0),
	    CLI_BODY);
	memset(piece, 'x', sizeof(piece));
	while (cli_step("", 0) == CLI_BODY && n++ < 100)
		smtp_cli_body(cli, slice_of(piece, sizeof(piece)), false, false,
		    0);
	assert_int_equal(smtp_cli_result(cli)->rcpt[0].outcome.stage,
	    STAGE_LOCAL);
	assert_int_equal(cli_step("", 0), CLI_DOWN);
	assert_true(smtp_cli_out(cli)->n <= SMTP_CLI_OUT_MAX);
}

static void
cli_stays_down(void **state)
{
	struct slice text, in = SL("250 more\r\n");

	(void)state;
	smtp_cli_gone(cli, SL("refused"), 1);
	smtp_cli_gone(cli, SL("again"), 2);
	smtp_cli_timeout(cli, 3);
	smtp_cli_quit(cli, 4);
	smtp_cli_body(cli, SL("x"), false, true, 5);
	assert_int_equal(smtp_cli_step(cli, &in, 6), CLI_DOWN);
	assert_int_equal(in.n, 0);
	assert_int_equal(cli_step("", 7), CLI_DOWN);
	assert_int_equal(smtp_cli_down(cli, &text)->stage, STAGE_BANNER);
	assert_int_equal(smtp_cli_down(cli, NULL)->klass, OUTCOME_TRANSIENT);
	assert_true(slice_eq(text, SL("refused")));
	assert_int_equal(smtp_cli_out(cli)->n, 0);
	assert_int_equal(smtp_cli_deadline(cli), TIME_NEVER);
}

static void
cli_size_of_the_peer(void **state)
{
	(void)state;
	go_up("250-x\r\n250 SIZE 12345\r\n");
	assert_int_equal(smtp_cli_peer_size_max(cli), 12345);
	assert_int_equal(smtp_cli_caps(cli), CAP_ESMTP | CAP_SIZE);
}

static void
cli_size_that_is_no_number(void **state)
{
	(void)state;
	go_up("250-x\r\n250 SIZE 99999999999999999999999\r\n");
	assert_int_equal(smtp_cli_peer_size_max(cli), 0);
}

#define SRV(test) cmocka_unit_test_setup_teardown(test, srv_setup, srv_teardown)
#define CLI(test) cmocka_unit_test_setup_teardown(test, cli_setup, cli_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SRV(srv_tells_what_it_refuses),
		SRV(srv_drips_do_not_renew),
		SRV(srv_deadlines_of_acts),
		SRV(srv_answer_after_timeout_is_dropped),
		SRV(srv_timeout_in_handshake),
		SRV(srv_shut_waits_for_the_answer),
		SRV(srv_second_shut_is_not_gentle),
		SRV(srv_shut_behind_the_banner),
		SRV(srv_shut_keeps_replies),
		SRV(srv_forgets_at_starttls),
		SRV(srv_replies_are_one_line),
		SRV(srv_closes_when_replies_pile_up),
		SRV(srv_path_outlives_the_input),
		SRV(srv_facts),
		SRV(srv_banner_text),
		CLI(cli_deadline_of_every_reply),
		CLI(cli_room_for_two),
		CLI(cli_texts),
		CLI(cli_dsn_parameters),
		CLI(cli_deliver_by),
		CLI(cli_no_dsn_parameters),
		CLI(cli_takes_back_what_has_not_begun),
		CLI(cli_output_overflows),
		CLI(cli_stays_down),
		CLI(cli_size_of_the_peer),
		CLI(cli_size_that_is_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
