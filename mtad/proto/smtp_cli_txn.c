/*
 * proto/smtp_cli_txn.c - transactions of the SMTP client.
 *
 * What is written and what is answered are two cursors over the same steps
 * (proto/smtp_cli_i.h). With PIPELINING (RFC 2920) a whole transaction up to
 * DATA leaves at once, and, when chaining, together with the final dot of the
 * one before it; without, a step is written when the one before is answered.
 * The result gathers as the answers come; refusals of one recipient leave the
 * others alone.
 */
#include "proto/scan_i.h"
#include "proto/smtp_cli_i.h"

/* ---- steps ----------------------------------------------------------------- */

static uint16_t
step_data(const struct cli_txn *t)
{
	return (uint16_t)(STEP_RCPT + t->t.nrcpt);
}

static uint16_t
step_eom(const struct cli_txn *t)
{
	return (uint16_t)(step_data(t) + 1);
}

static bool
is_skipped(const struct cli_txn *t, uint32_t i)
{
	return (t->skip[i / 64] >> (i % 64) & 1) != 0;
}

/* The step behind this one, past recipients that are not sent. */
static uint16_t
step_after(const struct cli_txn *t, uint16_t step)
{
	do
		step++;
	while (step >= STEP_RCPT && step < step_data(t) &&
	    is_skipped(t, step - STEP_RCPT));
	return step;
}

static enum stage
step_stage(const struct cli_txn *t, uint16_t step)
{
	if (step == STEP_RSET)
		return STAGE_RSET;
	if (step == STEP_MAIL)
		return STAGE_MAIL;
	if (step < step_data(t))
		return STAGE_RCPT;
	return step == step_data(t) ? STAGE_DATA : STAGE_EOM;
}

static bool
is_awaited(const struct cli_txn *t)
{
	return t->answered < t->sent;
}

enum stage
cli_txn_stage(const struct smtp_cli *c)
{
	const struct cli_txn *t = &c->txn[c->oldest];

	if (c->ntxns == 0)
		return STAGE_NONE;
	return c->body_is_open ? STAGE_BODY : step_stage(t, t->answered);
}

int64_t
cli_txn_patience_ms(const struct smtp_cli *c)
{
	switch (cli_txn_stage(c)) {
	case STAGE_RSET:
		return c->conf->rset_ms;
	case STAGE_MAIL:
		return c->conf->mail_ms;
	case STAGE_RCPT:
		return c->conf->rcpt_ms;
	case STAGE_DATA:
		return c->conf->data_ms;
	case STAGE_BODY:
		return c->conf->body_ms;
	default:
		return c->conf->eom_ms;
	}
}

bool
cli_txn_is_over(const struct cli_txn *t)
{
	if (t->local != TXN_SENDABLE)
		return true;
	return !is_awaited(t) && (t->is_dead || t->answered > step_eom(t));
}

/* ---- results --------------------------------------------------------------- */

/* Keeps a text, once for all recipients that have it. */
static void
text_keep(struct smtp_cli_result *res, struct smtp_cli_answer *a,
    struct slice text)
{
	size_t room = sizeof(res->text) - res->text_n;

	for (const struct smtp_cli_answer *b = res->rcpt; b < a; b++) {
		if (b->text_n != text.n ||
		    !slice_eq(slice_of(res->text + b->text_at, b->text_n),
			text))
			continue;
		a->text_at = b->text_at;
		a->text_n = b->text_n;
		return;
	}
	a->text_at = (uint16_t)res->text_n;
	a->text_n = (uint16_t)MIN(text.n, room);
	if (a->text_n > 0)
		memcpy(res->text + a->text_at, text.p, a->text_n);
	res->text_n += a->text_n;
}

static void
answer_set(struct smtp_cli_result *res, uint32_t i, struct outcome outcome,
    struct slice text)
{
	if (res->rcpt[i].outcome.klass != OUTCOME_NONE)
		return;
	text_keep(res, &res->rcpt[i], text);
	res->rcpt[i].outcome = outcome;
}

static struct outcome
outcome_local(uint16_t code, uint16_t subject, uint16_t detail)
{
	return (struct outcome){ .klass = OUTCOME_BOUNCED,
		.stage = STAGE_LOCAL,
		.code = code,
		.enh = { 5, subject, detail } };
}

/* The result of the oldest transaction. Recipients that are not sent have
 * their outcome from the beginning. */
static struct smtp_cli_result *
result_open(struct smtp_cli *c)
{
	struct smtp_cli_result *res = &c->result;
	const struct cli_txn *t = cli_oldest(c);

	if (c->result_is_open)
		return res;
	c->result_is_open = true;
	res->cookie = t->t.cookie;
	res->n = t->t.nrcpt;
	res->is_sent = res->in_doubt = false;
	res->text_n = 0;
	memset(res->rcpt, 0, res->n * sizeof(res->rcpt[0]));
	for (uint32_t i = 0; i < res->n; i++)
		if (is_skipped(t, i))
			answer_set(res, i, outcome_local(501, 1, 3),
			    SL("recipient address is malformed"));
	return res;
}

/* For every recipient that has no outcome yet. Was there any? */
static bool
answer_all(struct smtp_cli *c, struct outcome outcome, struct slice text)
{
	struct smtp_cli_result *res = result_open(c);
	uint32_t i = 0, first;

	while (i < res->n && res->rcpt[i].outcome.klass != OUTCOME_NONE)
		i++;
	if (i == res->n)
		return false;
	first = i;
	answer_set(res, first, outcome, text);
	for (i = first + 1; i < res->n; i++)
		if (res->rcpt[i].outcome.klass == OUTCOME_NONE)
			res->rcpt[i] = res->rcpt[first];
	return true;
}

static struct outcome
outcome_of(const struct reply *r, enum stage stage)
{
	static const uint8_t classes[10] = {
		[2] = OUTCOME_DELIVERED,
		[4] = OUTCOME_TRANSIENT,
		[5] = OUTCOME_BOUNCED,
	};

	return (struct outcome){ .klass = classes[r->code / 100],
		.stage = (uint8_t)stage,
		.code = r->code,
		.enh = r->enh };
}

/* Outcomes that need no peer. */
static void
answer_local(struct smtp_cli *c, const struct cli_txn *t)
{
	switch (t->local) {
	case TXN_TOO_BIG:
		answer_all(c, outcome_local(552, 3, 4),
		    SL("message is larger than the peer takes"));
		break;
	case TXN_NEEDS_UTF8:
		answer_all(c, outcome_local(550, 6, 7),
		    SL("the peer does not offer SMTPUTF8"));
		break;
	case TXN_BAD_SENDER:
		answer_all(c, outcome_local(501, 1, 7),
		    SL("sender address is malformed"));
		break;
	default:
		break;
	}
}

/* The session went: see "how outcomes come about" in proto/smtp_cli.h. */
static void
answer_fallen(struct smtp_cli *c, const struct cli_txn *t)
{
	struct outcome why = c->down;
	bool is_silent = t->answered == t->first, had_some;

	if (t->sent == t->first || c->oldest_was_hurt ||
	    (c->is_lost && is_silent && c->txns_done > 0))
		why = (struct outcome){ .klass = OUTCOME_UNSENT,
			.stage = c->down.stage };
	had_some = answer_all(c, why, slice_of(c->down_text, c->down_text_n));
	c->result.in_doubt = had_some && t->sent > step_eom(t);
	if (t->sent > t->first)
		c->oldest_was_hurt = true;
}

void
cli_txn_finish(struct smtp_cli *c, int64_t now_us)
{
	struct cli_txn *t = cli_oldest(c);
	struct smtp_cli_result *res = result_open(c);

	answer_local(c, t);
	if (!cli_txn_is_over(t))
		answer_fallen(c, t);
	res->is_sent = t->sent > t->first;
	res->began_us = t->began_us;
	res->ended_us = now_us;
	/* The peer took MAIL and never saw an end of it. */
	c->needs_rset |= t->mail_accepted && t->answered <= step_eom(t);
	c->result_is_open = false;
	c->oldest = (uint8_t)((c->oldest + 1) % CLI_TXNS);
	c->ntxns--;
	if (res->is_sent)
		c->txns_done++;
	c->since_us = now_us;
	if (c->state == CLI_ST_UP)
		cli_pump(c, now_us);
}

/* ---- writing --------------------------------------------------------------- */

/* Bytes that would end the line, or hide something in it. */
static bool
is_clean(struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f)
			return false;
	return true;
}

static char *
put(char *p, struct slice s)
{
	memcpy(p, s.p, s.n);
	return p + s.n;
}

#define MAIL_ROOM 160 /* MAIL without sender and envid: all parameters */

static void
write_mail(struct smtp_cli *c, const struct smtp_cli_txn *t)
{
	char *start = buf_room(&c->out, t->sender.n + t->envid.n + MAIL_ROOM);
	char *p = start;

	if (start == NULL)
		return;
	p = put(p, SL("MAIL FROM:<"));
	p = put(p, t->sender.n > 0 ? t->sender : SL(""));
	*p++ = '>';
	if ((c->caps & CAP_SIZE) && t->size > 0) {
		p = put(p, SL(" SIZE="));
		p += fmt_u64(p, t->size);
	}
	/* To a peer without 8BITMIME the bytes go as they are: what RFC 6152 3
	 * would have us do, recode or bounce, serves nobody any more. */
	if ((c->caps & CAP_8BITMIME) && (t->flags & ENV_8BIT))
		p = put(p, SL(" BODY=8BITMIME"));
	if (t->flags & ENV_SMTPUTF8)
		p = put(p, SL(" SMTPUTF8"));
	if (c->caps & CAP_DSN) {
		if (t->flags & (ENV_RET_FULL | ENV_RET_HDRS))
			p = put(p,
			    t->flags & ENV_RET_FULL ? SL(" RET=FULL") :
						      SL(" RET=HDRS"));
		if (t->envid.n > 0 && is_clean(t->envid)) {
			p = put(p, SL(" ENVID="));
			p = put(p, t->envid);
		}
	}
	p = put(p, SL("\r\n"));
	buf_grew(&c->out, (size_t)(p - start));
}

/* RFC 3461 4.1: NEVER stands alone. */
static void
write_notify(struct buf *out, uint8_t notify)
{
	char sep = '=';

	buf_adds(out, SL(" NOTIFY"));
	if (notify & NOTIFY_NEVER) {
		buf_adds(out, SL("=NEVER"));
		return;
	}
	if (notify & NOTIFY_SUCCESS) {
		buf_addc(out, sep);
		buf_adds(out, SL("SUCCESS"));
		sep = ',';
	}
	if (notify & NOTIFY_FAILURE) {
		buf_addc(out, sep);
		buf_adds(out, SL("FAILURE"));
		sep = ',';
	}
	if (notify & NOTIFY_DELAY) {
		buf_addc(out, sep);
		buf_adds(out, SL("DELAY"));
	}
}

static void
write_rcpt(struct smtp_cli *c, const struct smtp_cli_rcpt *r)
{
	buf_adds(&c->out, SL("RCPT TO:<"));
	buf_adds(&c->out, r->address);
	buf_addc(&c->out, '>');
	if (c->caps & CAP_DSN) {
		if (r->notify != 0)
			write_notify(&c->out, r->notify);
		if (r->orcpt.n > 0 && is_clean(r->orcpt)) {
			buf_adds(&c->out, SL(" ORCPT="));
			buf_adds(&c->out, r->orcpt);
		}
	}
	buf_adds(&c->out, SL("\r\n"));
}

static void
write_step(struct smtp_cli *c, struct cli_txn *t, int64_t now_us)
{
	if (t->sent == t->first)
		t->began_us = now_us;
	/* The peer's time runs from the first command that it owes a reply. */
	if (!is_awaited(t) && t == cli_oldest(c))
		c->since_us = now_us;
	switch (step_stage(t, t->sent)) {
	case STAGE_RSET:
		buf_adds(&c->out, SL("RSET\r\n"));
		break;
	case STAGE_MAIL:
		write_mail(c, &t->t);
		break;
	case STAGE_RCPT:
		write_rcpt(c, &t->t.rcpts[t->sent - STEP_RCPT]);
		break;
	case STAGE_DATA:
		buf_adds(&c->out, SL("DATA\r\n"));
		break;
	default:
		buf_adds(&c->out, SL(".\r\n"));
	}
	t->sent = step_after(t, t->sent);
}

static bool
does_pipeline(const struct smtp_cli *c)
{
	return c->conf->pipelines && (c->caps & CAP_PIPELINING) != 0;
}

/* May the next step of t be written now? `before` is the transaction that
 * stands before it, or NULL. The final dot is not written from here. */
static bool
may_write(const struct smtp_cli *c, const struct cli_txn *t,
    const struct cli_txn *before)
{
	if (t->local != TXN_SENDABLE || t->is_dead || t->sent >= step_eom(t))
		return false;
	if (before != NULL &&
	    (!c->conf->chains || !does_pipeline(c) ||
		before->local != TXN_SENDABLE ||
		before->sent <= step_eom(before)))
		return false;
	return does_pipeline(c) || !is_awaited(t);
}

/* Begins t when it is its turn: only now it is known whether RSET is due. */
static void
settle_first(struct smtp_cli *c, struct cli_txn *t)
{
	if (t->sent != t->first || !c->needs_rset)
		return;
	c->needs_rset = false;
	t->first = STEP_RSET;
	t->sent = t->answered = STEP_RSET;
}

void
cli_pump(struct smtp_cli *c, int64_t now_us)
{
	const struct cli_txn *before = NULL;

	for (uint32_t i = 0; i < c->ntxns; i++) {
		struct cli_txn *t = &c->txn[(c->oldest + i) % CLI_TXNS];

		while (may_write(c, t, before)) {
			settle_first(c, t);
			write_step(c, t, now_us);
		}
		before = t;
	}
	if (c->quits && c->ntxns == 0) {
		buf_adds(&c->out, SL("QUIT\r\n"));
		c->state = CLI_ST_QUIT;
		c->since_us = now_us;
	}
}

/* ---- queueing -------------------------------------------------------------- */

static enum txn_local
judge(const struct smtp_cli *c, struct cli_txn *t)
{
	uint32_t skipped = 0;

	for (uint32_t i = 0; i < t->t.nrcpt; i++) {
		const struct slice *address = &t->t.rcpts[i].address;

		if (address->n > 0 && is_clean(*address))
			continue;
		t->skip[i / 64] |= UINT64_C(1) << (i % 64);
		skipped++;
	}
	if (skipped == t->t.nrcpt)
		return TXN_NOBODY;
	if (!is_clean(t->t.sender))
		return TXN_BAD_SENDER;
	if (c->size_max > 0 && t->t.size > c->size_max)
		return TXN_TOO_BIG;
	if ((t->t.flags & ENV_SMTPUTF8) && !(c->caps & CAP_SMTPUTF8))
		return TXN_NEEDS_UTF8;
	return TXN_SENDABLE;
}

void
smtp_cli_begin(struct smtp_cli *c, const struct smtp_cli_txn *txn,
    int64_t now_us)
{
	struct cli_txn *t = &c->txn[(c->oldest + c->ntxns) % CLI_TXNS];

	ASSERT(smtp_cli_room(c) > 0);
	ASSERT(txn->nrcpt >= 1 && txn->nrcpt <= SMTP_TXN_RCPTS_MAX);
	*t = (struct cli_txn){ .t = *txn,
		.first = STEP_MAIL,
		.sent = STEP_MAIL,
		.answered = STEP_MAIL,
		.began_us = now_us };
	t->local = (uint8_t)judge(c, t);
	if (c->ntxns++ == 0)
		c->since_us = now_us;
	cli_pump(c, now_us);
}

/* ---- the body -------------------------------------------------------------- */

/* RFC 5321 4.5.2: a dot that begins a line is doubled. */
static void
write_stuffed(struct smtp_cli *c, struct slice piece)
{
	bool at_start = c->body_last[1] == '\n';

	if (at_start && piece.n > 0 && piece.p[0] == '.')
		buf_addc(&c->out, '.');
	while (piece.n > 0) {
		size_t n = scan_lf_dot(piece.p, piece.n);

		buf_add(&c->out, piece.p, n);
		piece = slice_skip(piece, n);
		if (piece.n > 0)
			buf_addc(&c->out, '.');
		/* The next search must not find this dot again. */
	}
}

static void
last_bytes(struct smtp_cli *c, struct slice piece)
{
	if (piece.n == 0)
		return;
	c->body_last[0] = piece.n > 1 ? piece.p[piece.n - 2] : c->body_last[1];
	c->body_last[1] = piece.p[piece.n - 1];
}

void
smtp_cli_body(struct smtp_cli *c, struct slice piece, bool has_dots, bool last,
    int64_t now_us)
{
	if (c->state == CLI_ST_DOWN)
		return;
	ASSERT(c->body_is_open && piece.n <= SMTP_CLI_PIECE_MAX);
	if (has_dots)
		write_stuffed(c, piece);
	else
		buf_adds(&c->out, piece);
	last_bytes(c, piece);
	c->since_us = now_us;
	if (!last)
		return;
	if (c->body_last[1] == '\r')
		buf_addc(&c->out, '\n');
	else if (c->body_last[0] != '\r' || c->body_last[1] != '\n')
		buf_adds(&c->out, SL("\r\n"));
	c->body_is_open = false;
	write_step(c, cli_oldest(c), now_us);
	cli_pump(c, now_us);
}

void
smtp_cli_body_broken(struct smtp_cli *c)
{
	cli_fall(c,
	    (struct outcome){ .klass = OUTCOME_TRANSIENT,
		.stage = STAGE_LOCAL },
	    SL("the message cannot be read"));
}

/* ---- replies --------------------------------------------------------------- */

/* A reply that answers nothing we can make sense of. */
static void
reply_nonsense(struct smtp_cli *c, const struct reply *r)
{
	struct outcome why = { .klass = OUTCOME_TRANSIENT,
		.stage = (uint8_t)cli_txn_stage(c) };
	char text[64];
	size_t n = slice_copy(SL("unexpected reply "), text, 32);

	n += fmt_u64(text + n, r->code);
	cli_fall(c, why, slice_of(text, n));
}

/* The peer speaks though nothing was asked: before the end of the body, or
 * while there is nothing to do. Either way it is leaving. */
static void
reply_unasked(struct smtp_cli *c, const struct reply *r)
{
	struct outcome why = outcome_of(r, cli_txn_stage(c));

	if (why.klass != OUTCOME_TRANSIENT && why.klass != OUTCOME_BOUNCED) {
		reply_nonsense(c, r);
		return;
	}
	/* A refusal of this body is no verdict on the session. */
	if (c->body_is_open)
		answer_all(c, why, reply_text(r));
	why.klass = c->body_is_open ? OUTCOME_TRANSIENT : OUTCOME_NONE;
	cli_fall(c, why, reply_text(r));
}

static void
reply_rset(struct smtp_cli *c, struct cli_txn *t, const struct reply *r)
{
	struct outcome why = outcome_of(r, STAGE_RSET);

	(void)t;
	if (why.klass == OUTCOME_DELIVERED)
		return;
	/* A peer that cannot even forget is of no use. */
	why.klass = OUTCOME_TRANSIENT;
	cli_fall(c, why, reply_text(r));
}

static void
reply_mail(struct smtp_cli *c, struct cli_txn *t, const struct reply *r)
{
	struct outcome what = outcome_of(r, STAGE_MAIL);

	t->mail_accepted = what.klass == OUTCOME_DELIVERED;
	t->is_dead = !t->mail_accepted;
	if (t->is_dead)
		answer_all(c, what, reply_text(r));
}

static void
reply_rcpt(struct smtp_cli *c, struct cli_txn *t, uint32_t i,
    const struct reply *r)
{
	struct outcome what = outcome_of(r, STAGE_RCPT);

	if (what.klass != OUTCOME_DELIVERED)
		answer_set(result_open(c), i, what, reply_text(r));
	else
		t->accepted++;
	if (t->answered == step_data(t) && t->accepted == 0)
		t->is_dead = true;
}

/* 354 or a refusal. With nobody to send to, an empty message satisfies a
 * server that said 354 all the same (RFC 2920 3.1). */
static void
reply_data(struct smtp_cli *c, struct cli_txn *t, const struct reply *r,
    int64_t now_us)
{
	if (r->code != 354) {
		t->is_dead = true;
		answer_all(c, outcome_of(r, STAGE_DATA), reply_text(r));
		return;
	}
	if (t->is_dead) {
		write_step(c, t, now_us);
		return;
	}
	c->body_is_open = true;
	c->body_last[0] = '\r';
	c->body_last[1] = '\n';
}

/* Is it an answer, of whatever kind, to this step? */
static bool
makes_sense(const struct reply *r, enum stage stage)
{
	int klass = r->code / 100;

	if (klass == 4 || klass == 5)
		return true;
	return stage == STAGE_DATA ? r->code == 354 : klass == 2;
}

void
cli_txn_reply(struct smtp_cli *c, const struct reply *r, int64_t now_us)
{
	struct cli_txn *t = cli_oldest(c);
	uint16_t step;

	if (t == NULL || !is_awaited(t)) {
		reply_unasked(c, r);
		return;
	}
	step = t->answered;
	if (!makes_sense(r, step_stage(t, step))) {
		reply_nonsense(c, r);
		return;
	}
	if (r->code == 421) {
		answer_all(c, outcome_of(r, step_stage(t, step)),
		    reply_text(r));
		cli_fall(c, outcome_of(r, step_stage(t, step)), reply_text(r));
		return;
	}
	t->answered = step_after(t, step);
	c->since_us = now_us;
	switch (step_stage(t, step)) {
	case STAGE_RSET:
		reply_rset(c, t, r);
		break;
	case STAGE_MAIL:
		reply_mail(c, t, r);
		break;
	case STAGE_RCPT:
		reply_rcpt(c, t, step - (uint32_t)STEP_RCPT, r);
		break;
	case STAGE_DATA:
		reply_data(c, t, r, now_us);
		break;
	default:
		/* The lone dot for nobody finds nobody without an outcome. */
		answer_all(c, outcome_of(r, STAGE_EOM), reply_text(r));
	}
	if (c->state == CLI_ST_UP)
		cli_pump(c, now_us);
}
