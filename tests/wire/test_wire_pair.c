/*
 * The SMTP client against the SMTP server, back to back in memory: 10,000 random
 * messages (dots, 8-bit, empty, long lines, many and refused recipients) in
 * sessions with random options (BDAT too) and random fragmentation of both
 * directions.
 * Every message must arrive octet for octet and in order, and every recipient
 * must get the outcome that the server gave it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/smtp_drive.h"

#define MESSAGES 10000
#define SESSION_MAX 20 /* messages of a session */
#define BODY_MAX (256u << 10)
#define PAIR_BUF_MAX (16u << 20)

struct mail {
	struct buf body;
	struct smtp_cli_rcpt rcpts[SMTP_TXN_RCPTS_MAX];
	uint32_t nrcpt;
	char sender[24];
	bool has_dots, is_8bit, arrived;
};

struct pair {
	struct rng rng;
	struct smtp_cli *cli;
	struct smtp_cli_conf cli_conf;
	struct srv_drive srv;
	struct buf to_cli, to_srv;
	struct mail mails[SESSION_MAX];
	uint32_t nmails, begun, done, arrived;
	size_t body_at;
	int64_t now_us;
	bool is_down;
};

static uint64_t
below(struct pair *p, uint64_t n)
{
	return rng_below(&p->rng, n);
}

/* ---- random mail ------------------------------------------------------------------- */

static void
random_line(struct pair *p, struct mail *m, size_t max)
{
	size_t n = below(p, 4) == 0 ? below(p, 3) : below(p, max);
	bool has_8bit = below(p, 20) == 0;

	if (below(p, 6) == 0) {
		buf_addc(&m->body, '.');
		m->has_dots = true;
	}
	for (size_t i = 0; i < n; i++) {
		char c = (char)(below(p, 10) == 0 ? '.' : 'a' + below(p, 26));

		if (has_8bit)
			c = (char)(c | 0x80);
		m->has_dots |= i == 0 && c == '.';
		m->is_8bit |= has_8bit;
		buf_addc(&m->body, c);
	}
	buf_adds(&m->body, SL("\r\n"));
}

static void
random_body(struct pair *p, struct mail *m)
{
	size_t lines = below(p, 8) == 0 ? below(p, 300) : below(p, 12);
	size_t max = below(p, 50) == 0 ? 60000 : 200;

	buf_reset(&m->body);
	m->has_dots = m->is_8bit = m->arrived = false;
	for (size_t i = 0; i < lines && m->body.n < BODY_MAX; i++)
		random_line(p, m, max);
}

static void
random_mail(struct pair *p, struct mail *m)
{
	static const char *const locals[] = { "jones", "no", "later", "brown",
		"..odd..", "postmaster" };
	static const char *const senders[] = { "", "smith@bar.example",
		"no@bar.example", "nodata@bar.example", "noeom@bar.example",
		"nobody@bar.example" };
	static const char *const domain[] = { "foo.example", "[10.1.2.3]" };
	static char addresses[ARRAY_LEN(locals)][2][40];
	uint64_t which = below(p, 30);

	random_body(p, m);
	slice_copy(slice_str(senders[which < 6 ? which : 1]), m->sender,
	    sizeof(m->sender));
	m->nrcpt = 1 + (uint32_t)below(p, below(p, 20) == 0 ? 100 : 4);
	for (uint32_t i = 0; i < m->nrcpt; i++) {
		uint64_t l = below(p, ARRAY_LEN(locals)), d = below(p, 2);

		snprintf(addresses[l][d], sizeof(addresses[l][d]), "%s@%s",
		    locals[l], domain[d]);
		m->rcpts[i] = (struct smtp_cli_rcpt){ .address = slice_str(
							  addresses[l][d]) };
	}
}

/* ---- what must come of it ------------------------------------------------------------ */

static bool
sender_is(const struct mail *m, const char *what)
{
	return slice_has_prefix(slice_str(m->sender), slice_str(what));
}

static bool
any_accepted(const struct mail *m)
{
	for (uint32_t i = 0; i < m->nrcpt; i++)
		if (!slice_has_prefix(m->rcpts[i].address, SL("no@")) &&
		    !slice_has_prefix(m->rcpts[i].address, SL("later")))
			return true;
	return false;
}

/* klass, stage and code that the driver's rules give. */
static struct outcome
expected(const struct mail *m, uint32_t i)
{
	struct slice a = m->rcpts[i].address;

	if (sender_is(m, "no@"))
		return (struct outcome){ .klass = OUTCOME_BOUNCED,
			.stage = STAGE_MAIL,
			.code = 550,
			.enh = { 5, 7, 1 } };
	if (slice_has_prefix(a, SL("no@")))
		return (struct outcome){ .klass = OUTCOME_BOUNCED,
			.stage = STAGE_RCPT,
			.code = 550,
			.enh = { 5, 7, 1 } };
	if (slice_has_prefix(a, SL("later")))
		return (struct outcome){ .klass = OUTCOME_TRANSIENT,
			.stage = STAGE_RCPT,
			.code = 451,
			.enh = { 4, 3, 0 } };
	if (sender_is(m, "nodata"))
		return (struct outcome){ .klass = OUTCOME_TRANSIENT,
			.stage = STAGE_DATA,
			.code = 452,
			.enh = { 4, 3, 1 } };
	if (sender_is(m, "noeom"))
		return (struct outcome){ .klass = OUTCOME_BOUNCED,
			.stage = STAGE_EOM,
			.code = 554,
			.enh = { 5, 6, 0 } };
	/* A body without a byte has no piece that could be refused. */
	if (sender_is(m, "nobody") && m->body.n > 0)
		return (struct outcome){ .klass = OUTCOME_TRANSIENT,
			.stage = STAGE_EOM,
			.code = 452,
			.enh = { 4, 3, 1 } };
	return (struct outcome){ .klass = OUTCOME_DELIVERED,
		.stage = STAGE_EOM,
		.code = 250,
		.enh = { 2, 0, 0 } };
}

static void
on_message(void *ctx, struct slice body)
{
	struct pair *p = ctx;
	struct mail *m;

	/* The next one whose end of message the server can have seen. */
	do
		m = &p->mails[p->arrived++];
	while (!any_accepted(m) || sender_is(m, "no@") ||
	    sender_is(m, "nodata") ||
	    (sender_is(m, "nobody") && m->body.n > 0));
	assert_true(p->arrived <= p->nmails);
	assert_int_equal(body.n, m->body.n);
	assert_true(slice_eq(body, buf_slice(&m->body)));
	assert_int_equal(p->srv.srv.saw_dots, m->has_dots);
	assert_int_equal(p->srv.srv.saw_8bit, m->is_8bit);
	m->arrived = true;
}

static void
check_result(struct pair *p, const struct mail *m)
{
	const struct smtp_cli_result *r = smtp_cli_result(p->cli);
	bool wanted = false;

	assert_int_equal(r->cookie, p->done);
	assert_int_equal(r->n, m->nrcpt);
	assert_true(r->is_sent && !r->in_doubt);
	for (uint32_t i = 0; i < r->n; i++) {
		struct outcome want = expected(m, i);
		const struct outcome *got = &r->rcpt[i].outcome;

		assert_int_equal(got->klass, want.klass);
		/* With BDAT there is no DATA to be refused. */
		if (want.stage == STAGE_DATA && p->cli_conf.chunks &&
		    got->stage == STAGE_EOM)
			want.stage = STAGE_EOM;
		assert_int_equal(got->stage, want.stage);
		assert_int_equal(got->code, want.code);
		assert_int_equal(got->enh.klass, want.enh.klass);
		assert_int_equal(got->enh.subject, want.enh.subject);
		assert_int_equal(got->enh.detail, want.enh.detail);
		wanted |= want.stage == STAGE_EOM && want.code != 452;
	}
	assert_int_equal(m->arrived, wanted);
}

/* ---- the two ends --------------------------------------------------------------------- */

static void
begin(struct pair *p)
{
	while (p->begun < p->nmails && smtp_cli_room(p->cli) > 0) {
		struct mail *m = &p->mails[p->begun];
		struct smtp_cli_txn txn = {
			.sender = slice_str(m->sender),
			.rcpts = m->rcpts,
			.nrcpt = m->nrcpt,
			.size = m->body.n,
			.flags = m->is_8bit ? ENV_8BIT : 0,
			.cookie = p->begun++,
		};

		smtp_cli_begin(p->cli, &txn, p->now_us);
	}
	if (p->done == p->nmails)
		smtp_cli_quit(p->cli, p->now_us);
}

static void
give_body(struct pair *p)
{
	struct mail *m = &p->mails[p->done];
	struct slice rest = slice_skip(buf_slice(&m->body), p->body_at);
	size_t n = below(p, 2) == 0 ? rest.n : below(p, rest.n + 1);

	p->body_at += n;
	smtp_cli_body(p->cli, slice_of(rest.p, n), m->has_dots, n == rest.n,
	    p->now_us);
	if (n == rest.n)
		p->body_at = 0;
}

static bool
client_act(struct pair *p, enum smtp_cli_act act)
{
	switch (act) {
	case CLI_UP:
		begin(p);
		return true;
	case CLI_BODY:
		give_body(p);
		return true;
	case CLI_RESULT:
		check_result(p, &p->mails[p->done]);
		p->done++;
		begin(p);
		return true;
	case CLI_DOWN:
		p->is_down = true;
		return false;
	default:
		assert_int_equal(act, CLI_NEED_INPUT);
		return false;
	}
}

/* A random part of what is on the way. */
static struct slice
some(struct pair *p, const struct buf *b)
{
	size_t n =
	    below(p, 3) == 0 ? b->n : below(p, MIN(b->n + 1, (size_t)100));

	return slice_of(buf_slice(b).p, n);
}

static void
turn_client(struct pair *p)
{
	struct slice piece = some(p, &p->to_cli), in = piece;
	struct buf *out = smtp_cli_out(p->cli);

	while (client_act(p, smtp_cli_step(p->cli, &in, p->now_us)))
		continue;
	buf_consume(&p->to_cli, piece.n - in.n);
	buf_adds(&p->to_srv, buf_slice(out));
	buf_reset(out);
}

static void
turn_server(struct pair *p)
{
	struct slice piece = some(p, &p->to_srv);

	srv_drive_feed(&p->srv, piece);
	buf_consume(&p->to_srv, piece.n);
	buf_adds(&p->to_cli, buf_slice(&p->srv.out));
	buf_reset(&p->srv.out);
	buf_reset(&p->srv.acts);
}

static void
run_session(struct pair *p, struct smtp_srv_conf *conf)
{
	p->cli_conf.pipelines = below(p, 3) > 0;
	p->cli_conf.chains = below(p, 3) > 0;
	p->cli_conf.chunks = below(p, 2) > 0;
	conf->normalises_bare = below(p, 2) == 0;
	srv_drive_init(&p->srv, conf);
	p->srv.on_message = on_message;
	p->srv.ctx = p;
	p->cli = smtp_cli_new(&p->cli_conf, p->now_us);
	assert_non_null(p->cli);
	p->begun = p->done = p->arrived = 0;
	p->is_down = false;
	buf_reset(&p->to_cli);
	buf_reset(&p->to_srv);
	/* Enough for a byte a turn, and far too much for anything else. */
	for (uint64_t i = 0; !p->is_down; i++) {
		assert_true(i < 10u << 20);
		p->now_us++;
		turn_server(p);
		turn_client(p);
	}
	assert_int_equal(p->done, p->nmails);
	assert_int_equal(smtp_cli_down(p->cli, NULL)->klass, OUTCOME_NONE);
	smtp_cli_free(p->cli);
	srv_drive_free(&p->srv);
}

static void
messages_arrive_octet_for_octet(void **state)
{
	struct pair *p = *state;
	struct smtp_srv_conf conf;

	smtp_srv_conf_default(&conf);
	conf.hostname = SL("mx.example");
	conf.errors_max = 0;
	conf.exts |= EXT_CHUNKING;
	smtp_cli_conf_default(&p->cli_conf);
	p->cli_conf.ehlo_name = SL("out.example");
	for (uint32_t n = 0; n < MESSAGES; n += p->nmails) {
		p->nmails = 1 + (uint32_t)below(p, SESSION_MAX);
		for (uint32_t i = 0; i < p->nmails; i++)
			random_mail(p, &p->mails[i]);
		run_session(p, &conf);
	}
}

static int
setup(void **state)
{
	static struct pair p;

	rng_seed(&p.rng, 20261124);
	buf_init(&p.to_cli, PAIR_BUF_MAX);
	buf_init(&p.to_srv, PAIR_BUF_MAX);
	for (size_t i = 0; i < SESSION_MAX; i++)
		buf_init(&p.mails[i].body, PAIR_BUF_MAX);
	*state = &p;
	return 0;
}

static int
teardown(void **state)
{
	struct pair *p = *state;

	buf_free(&p->to_cli);
	buf_free(&p->to_srv);
	for (size_t i = 0; i < SESSION_MAX; i++)
		buf_free(&p->mails[i].body);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(messages_arrive_octet_for_octet,
		    setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
