/*
 * tests/lib/smtp_drive_cli.c - the client half of the SMTP test driver.
 */
#include "lib/smtp_drive.h"

#define DRIVE_BUF_MAX (64u << 20)

static void run(struct cli_drive *d, struct slice in);

void
cli_drive_init(struct cli_drive *d, const struct smtp_cli_conf *conf,
    const struct drive_mail *mails, uint32_t nmails)
{
	memset(d, 0, sizeof(*d));
	d->conf = *conf;
	d->mails = mails;
	d->nmails = nmails;
	buf_init(&d->acts, DRIVE_BUF_MAX);
	buf_init(&d->out, DRIVE_BUF_MAX);
	buf_init(&d->in, DRIVE_BUF_MAX);
	d->cli = smtp_cli_new(&d->conf, d->now_us);
	ASSERT(d->cli != NULL);
	if (conf->starts_tls)
		run(d, SL(""));
}

void
cli_drive_free(struct cli_drive *d)
{
	smtp_cli_free(d->cli);
	buf_free(&d->acts);
	buf_free(&d->out);
	buf_free(&d->in);
}

/* ---- giving work ---------------------------------------------------------------- */

static void
begin_mails(struct cli_drive *d)
{
	while (d->begun < d->nmails && smtp_cli_room(d->cli) > 0) {
		const struct drive_mail *m = &d->mails[d->begun];
		struct smtp_cli_rcpt *rcpts = d->rcpts[d->begun % 2];
		struct smtp_cli_txn txn = {
			.sender = m->sender,
			.rcpts = rcpts,
			.nrcpt = m->nrcpt,
			.size = m->body.n,
			.flags = m->flags,
			.cookie = d->begun,
		};

		for (uint32_t i = 0; i < m->nrcpt; i++)
			rcpts[i] =
			    (struct smtp_cli_rcpt){ .address = m->rcpt[i] };
		d->begun++;
		smtp_cli_begin(d->cli, &txn, d->now_us);
	}
	if (d->quits && d->done == d->nmails)
		smtp_cli_quit(d->cli, d->now_us);
}

static void
give_body(struct cli_drive *d)
{
	const struct drive_mail *m = &d->mails[d->done];
	struct slice rest = slice_skip(m->body, d->body_at);
	size_t n = rest.n;

	d->wants_body = false;
	/* Only a server that has said 354, or takes BDAT, is given a body. */
	ASSERT(memmem(d->in.p, d->in.n, "354", 3) != NULL ||
	    (smtp_cli_caps(d->cli) & CAP_CHUNKING));
	ASSERT(!d->body_is_whole);
	if (d->body_at == 0)
		d->bodies++;
	if (m->is_broken) {
		buf_addz(&d->acts, "body broken\n");
		smtp_cli_body_broken(d->cli);
		return;
	}
	if (d->piece_max > 0)
		n = MIN(n, d->piece_max);
	d->body_at += n;
	d->body_is_whole = n == rest.n;
	smtp_cli_body(d->cli, slice_of(rest.p, n), true, d->body_is_whole,
	    d->now_us);
}

/* ---- writing down ----------------------------------------------------------------- */

static void
add_outcome(struct buf *out, const struct outcome *o, struct slice text)
{
	char escaped[REPLY_TEXT_MAX * 4 + 1], enh[16];

	text_escape(text, escaped, sizeof(escaped));
	enh_format(enh, o->enh);
	buf_addf(out, "%s %s %u %s [%s]\n", outcome_name(o->klass),
	    stage_name(o->stage), o->code, enh, escaped);
}

static void
on_up(struct cli_drive *d)
{
	static const char *const caps[] = { "ESMTP", "PIPELINING", "SIZE",
		"8BITMIME", "STARTTLS", "ENHANCED", "SMTPUTF8", "CHUNKING",
		"DSN", "AUTH", "REQUIRETLS" };

	buf_addz(&d->acts, "up");
	for (size_t i = 0; i < ARRAY_LEN(caps); i++)
		if (smtp_cli_caps(d->cli) >> i & 1)
			buf_addf(&d->acts, " %s", caps[i]);
	buf_addc(&d->acts, '\n');
	begin_mails(d);
}

static void
check_answer(const struct cli_drive *d, const struct smtp_cli_result *r,
    const struct smtp_cli_answer *a)
{
	ASSERT(a->text_at + a->text_n <= r->text_n);
	switch (a->outcome.klass) {
	case OUTCOME_DELIVERED:
		ASSERT(d->body_is_whole && r->is_sent);
		ASSERT(!r->in_doubt || d->conf.is_lmtp);
		ASSERT(a->outcome.stage == STAGE_EOM);
		ASSERT(a->outcome.code / 100 == 2);
		break;
	case OUTCOME_BOUNCED:
		ASSERT(a->outcome.code / 100 == 5);
		break;
	case OUTCOME_TRANSIENT:
		ASSERT(a->outcome.code == 0 || a->outcome.code / 100 == 4 ||
		    a->outcome.stage == STAGE_RSET);
		break;
	case OUTCOME_UNSENT:
		ASSERT(!d->body_is_whole && a->outcome.code == 0);
		break;
	default:
		ASSERT(!"an outcome of an attempt");
	}
}

static void
on_result(struct cli_drive *d)
{
	const struct smtp_cli_result *r = smtp_cli_result(d->cli);

	ASSERT(r->cookie == d->done && d->done < d->begun);
	ASSERT(r->n == d->mails[d->done].nrcpt);
	ASSERT(!r->in_doubt || d->body_is_whole);
	ASSERT(r->ended_us >= r->began_us);
	buf_addf(&d->acts, "result %u%s%s\n", d->done,
	    r->is_sent ? " sent" : "", r->in_doubt ? " doubt" : "");
	for (uint32_t i = 0; i < r->n; i++) {
		const struct smtp_cli_answer *a = &r->rcpt[i];

		check_answer(d, r, a);
		buf_addz(&d->acts, "  ");
		add_outcome(&d->acts, &a->outcome,
		    a->text_n ? slice_of(r->text + a->text_at, a->text_n) :
				slice_of("", 0));
	}
	d->done++;
	d->body_at = 0;
	d->body_is_whole = false;
	begin_mails(d);
}

static void
on_down(struct cli_drive *d)
{
	struct slice text;
	const struct outcome *o = smtp_cli_down(d->cli, &text);

	ASSERT(d->done == d->begun && smtp_cli_room(d->cli) == 0);
	ASSERT(smtp_cli_deadline(d->cli) == TIME_NEVER);
	d->is_down = true;
	buf_addz(&d->acts, "down ");
	add_outcome(&d->acts, o, text);
}

/* Logs in by saying what it was asked for back: it is no mechanism of anybody's.
 * A challenge of "enough" ends it. */
static void
on_auth(struct cli_drive *d)
{
	struct slice text;
	uint16_t code = smtp_cli_auth_asks(d->cli, &text);
	struct buf line;

	buf_addf(&d->acts, "auth %u [%.*s]\n", code, SLF(text));
	if (code == 235 || slice_eq(text, SL("enough"))) {
		smtp_cli_auth_end(d->cli, code == 235 ? SL("") : SL("it is"),
		    d->now_us);
		return;
	}
	buf_init(&line, 4096);
	buf_addf(&line, "%s%.*s", code == 0 ? "AUTH " : "", SLF(text));
	smtp_cli_auth_say(d->cli, buf_slice(&line), d->now_us);
	buf_free(&line);
}

/* ---- running ------------------------------------------------------------------------ */

static void
on_act(struct cli_drive *d, enum smtp_cli_act what)
{
	switch (what) {
	case CLI_AUTH:
		on_auth(d);
		break;
	case CLI_UP:
		on_up(d);
		break;
	case CLI_RESULT:
		on_result(d);
		break;
	case CLI_STARTTLS:
		buf_addz(&d->acts, "starttls\n");
		d->in_tls_wait = true;
		break;
	case CLI_BODY:
		d->wants_body = true;
		break;
	case CLI_DOWN:
		on_down(d);
		break;
	default:
		ASSERT(!"an act of the client");
	}
}

static void
run(struct cli_drive *d, struct slice in)
{
	struct buf *out = smtp_cli_out(d->cli);
	enum smtp_cli_act what;

	d->now_us++;
	d->wants_body = false;
	while (!d->is_down && !d->in_tls_wait && !d->wants_body) {
		what = smtp_cli_step(d->cli, &in, d->now_us);
		if (what == CLI_NEED_INPUT)
			break;
		on_act(d, what);
	}
	ASSERT(in.n == 0);
	buf_adds(&d->out, buf_slice(out));
	buf_reset(out);
}

void
cli_drive_feed(struct cli_drive *d, struct slice piece)
{
	char *copy;

	if (d->in_tls_wait || d->is_down)
		return;
	buf_adds(&d->in, piece);
	copy = mem_get(piece.n + (piece.n == 0));
	memcpy(copy, piece.p, piece.n);
	run(d, slice_of(copy, piece.n));
	mem_free(copy);
}

void
cli_drive_turn(struct cli_drive *d)
{
	if (d->in_tls_wait) {
		d->in_tls_wait = false;
		smtp_cli_tls_done(d->cli, !d->tls_fails, SL("bad certificate"),
		    d->now_us);
	}
	do {
		if (d->wants_body)
			give_body(d);
		if (!d->is_down)
			run(d, SL(""));
	} while (d->wants_body);
}

void
cli_drive_gone(struct cli_drive *d)
{
	d->in_tls_wait = false;
	smtp_cli_gone(d->cli, SL("connection reset"), d->now_us);
	if (!d->is_down)
		run(d, SL(""));
}

void
cli_drive_timeout(struct cli_drive *d)
{
	d->in_tls_wait = false;
	d->now_us = d->is_down ? d->now_us : smtp_cli_deadline(d->cli);
	smtp_cli_timeout(d->cli, d->now_us);
	if (!d->is_down)
		run(d, SL(""));
}
