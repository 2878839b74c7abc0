/*
 * proto/smtp_cli_txn.c - transactions of the SMTP client.
 *
 * What is written and what is answered are two cursors over the same steps
 * (proto/smtp_cli_i.h). With PIPELINING (RFC 2920) a whole transaction up to
 * DATA leaves at once, and, when chaining, together with the final dot of the
 * one before it; without, a step is written when the one before is answered.
 * Refusals of one recipient leave the others alone.
 */
#include "proto/smtp_cli_i.h"

/* ---- steps ----------------------------------------------------------------- */

/* The step behind this one, past recipients that are not sent. */
static uint16_t
step_after(const struct cli_txn *t, uint16_t step)
{
	do
		step++;
	while ((step >= STEP_RCPT && step < cli_step_data(t) &&
		   cli_is_skipped(t, step - STEP_RCPT)) ||
	    (t->is_chunk && step == cli_step_data(t)));
	return step;
}

static enum stage
step_stage(const struct cli_txn *t, uint16_t step)
{
	if (step == STEP_RSET)
		return STAGE_RSET;
	if (step == STEP_MAIL)
		return STAGE_MAIL;
	if (step < cli_step_data(t))
		return STAGE_RCPT;
	return step == cli_step_data(t) ? STAGE_DATA : STAGE_EOM;
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
	return !cli_is_awaited(t) && !t->is_cut &&
	    (t->is_dead || t->answered > cli_step_eom(t));
}

/* ---- writing --------------------------------------------------------------- */

static void
write_step(struct smtp_cli *c, struct cli_txn *t, int64_t now_us)
{
	if (t->sent == t->first)
		t->began_us = now_us;
	/* The peer's time runs from the first command that it owes a reply. */
	if (!cli_is_awaited(t) && t == cli_oldest(c))
		c->since_us = now_us;
	switch (step_stage(t, t->sent)) {
	case STAGE_RSET:
		buf_adds(&c->out, SL("RSET\r\n"));
		break;
	case STAGE_MAIL:
		cli_write_mail(c, &t->t, now_us);
		break;
	case STAGE_RCPT:
		cli_write_rcpt(c, &t->t.rcpts[t->sent - STEP_RCPT]);
		break;
	case STAGE_DATA:
		buf_adds(&c->out, SL("DATA\r\n"));
		break;
	default:
		if (!t->is_chunk) /* which has its end from its length */
			buf_adds(&c->out, SL(".\r\n"));
	}
	t->sent = step_after(t, t->sent);
}

/* RFC 3030 2: the one chunk of the message; its end of message, as far as the
 * peer's answer goes. */
static void
write_chunk(struct smtp_cli *c, struct cli_txn *t)
{
	buf_addf(&c->out, "BDAT %llu LAST\r\n", (unsigned long long)t->t.size);
	t->is_cut = true;
	c->chunk_left = t->t.size;
	cli_body_begin(c);
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
	if (t->local != TXN_SENDABLE || t->is_dead ||
	    t->sent >= cli_step_eom(t))
		return false;
	if (before != NULL &&
	    (!c->conf->chains || !does_pipeline(c) || before->is_chunk ||
		before->local != TXN_SENDABLE ||
		before->sent <= cli_step_eom(before)))
		return false;
	return does_pipeline(c) || !cli_is_awaited(t);
}

/* Where it saves a round trip: in the same write as the envelope, and with
 * nothing under way before it. Larger messages, which would be sent in vain when
 * all recipients are refused, go by DATA. */
static bool
goes_by_bdat(const struct smtp_cli *c, const struct cli_txn *t)
{
	return c->conf->chunks && !c->conf->is_lmtp && does_pipeline(c) &&
	    !c->refuses_bdat && (c->caps & CAP_CHUNKING) != 0 &&
	    t->t.size > 0 && t->t.size <= SMTP_CLI_CHUNK_MAX;
}

/* Begins t when it is its turn: only now it is known whether RSET is due, and
 * whether it stands alone. */
static void
settle_first(struct smtp_cli *c, struct cli_txn *t, bool stands_alone)
{
	if (t->sent != t->first)
		return;
	t->is_chunk = stands_alone && goes_by_bdat(c, t);
	if (!c->needs_rset)
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
			settle_first(c, t, before == NULL);
			write_step(c, t, now_us);
		}
		if (t->is_chunk && t->sent == cli_step_eom(t) && !t->is_cut)
			write_chunk(c, t);
		before = t;
	}
	if (c->quits && c->ntxns == 0) {
		buf_adds(&c->out, SL("QUIT\r\n"));
		c->state = CLI_ST_QUIT;
		c->since_us = now_us;
	}
}

/* ---- first and last --------------------------------------------------------- */

static enum txn_local
judge(const struct smtp_cli *c, struct cli_txn *t)
{
	uint32_t skipped = 0;

	for (uint32_t i = 0; i < t->t.nrcpt; i++) {
		const struct slice *address = &t->t.rcpts[i].address;

		if (address->n > 0 && cli_is_sendable(*address))
			continue;
		t->skip[i / 64] |= UINT64_C(1) << (i % 64);
		skipped++;
	}
	if (skipped == t->t.nrcpt)
		return TXN_NOBODY;
	if (!cli_is_sendable(t->t.sender))
		return TXN_BAD_SENDER;
	if (c->size_max > 0 && t->t.size > c->size_max)
		return TXN_TOO_BIG;
	if ((t->t.flags & ENV_SMTPUTF8) && !(c->caps & CAP_SMTPUTF8))
		return TXN_NEEDS_UTF8;
	if ((t->t.flags & ENV_8BIT) && c->conf->bounces_8bit &&
	    !(c->caps & CAP_8BITMIME))
		return TXN_NEEDS_8BIT;
	if ((t->t.flags & ENV_REQUIRETLS) &&
	    (!c->is_tls || !(c->caps & CAP_REQUIRETLS)))
		return TXN_NEEDS_REQUIRETLS;
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

bool
smtp_cli_take_back(struct smtp_cli *c)
{
	const struct cli_txn *t;

	if (c->ntxns < 2)
		return false;
	t = &c->txn[(c->oldest + c->ntxns - 1) % CLI_TXNS];
	if (t->sent > t->first)
		return false;
	c->ntxns--;
	return true;
}

void
cli_txn_finish(struct smtp_cli *c, int64_t now_us)
{
	struct cli_txn *t = cli_oldest(c);

	cli_result_settle(c, t, now_us);
	/* The peer took MAIL and never saw an end of it. */
	c->needs_rset |= t->is_unclear ||
	    (t->mail_accepted && t->answered <= cli_step_eom(t));
	if (t->sent > t->first)
		c->txns_done++;
	c->oldest = (uint8_t)((c->oldest + 1) % CLI_TXNS);
	c->ntxns--;
	c->since_us = now_us;
	if (c->state == CLI_ST_UP)
		cli_pump(c, now_us);
	/* With nothing more to send it holds no room for a message: there may
	 * be thousands that are idle. */
	if (c->ntxns == 0 && c->out.n == 0)
		buf_free(&c->out);
}

static bool
chunk_takes(struct smtp_cli *c, size_t n, bool last)
{
	if (n > c->chunk_left)
		return false;
	c->chunk_left -= n;
	return !last || c->chunk_left == 0;
}

void
smtp_cli_body(struct smtp_cli *c, struct slice piece, bool has_dots, bool last,
    int64_t now_us)
{
	struct cli_txn *t = cli_oldest(c);

	if (c->state == CLI_ST_DOWN)
		return;
	ASSERT(c->body_is_open && piece.n <= SMTP_CLI_PIECE_MAX);
	if (t->is_chunk && !chunk_takes(c, piece.n, last)) {
		smtp_cli_body_broken(c); /* its length was another */
		return;
	}
	cli_body_write(c, piece, has_dots && !t->is_chunk);
	c->since_us = now_us;
	if (!last)
		return;
	t->is_cut = false;
	cli_body_end(c, t->is_chunk);
	write_step(c, t, now_us);
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
	struct outcome why = cli_outcome_of(r, cli_txn_stage(c));

	if (why.klass != OUTCOME_TRANSIENT && why.klass != OUTCOME_BOUNCED) {
		reply_nonsense(c, r);
		return;
	}
	/* A refusal of this body is no verdict on the session. */
	if (c->body_is_open)
		cli_answer_all(c, why, reply_text(r));
	why.klass = c->body_is_open ? OUTCOME_TRANSIENT : OUTCOME_NONE;
	cli_fall(c, why, reply_text(r));
}

static void
reply_rset(struct smtp_cli *c, struct cli_txn *t, const struct reply *r)
{
	struct outcome why = cli_outcome_of(r, STAGE_RSET);

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
	struct outcome what = cli_outcome_of(r, STAGE_MAIL);

	t->mail_accepted = what.klass == OUTCOME_DELIVERED;
	t->is_dead = !t->mail_accepted;
	if (t->is_dead)
		cli_answer_all(c, what, reply_text(r));
}

static void
reply_rcpt(struct smtp_cli *c, struct cli_txn *t, uint32_t i,
    const struct reply *r)
{
	struct outcome what = cli_outcome_of(r, STAGE_RCPT);

	if (what.klass != OUTCOME_DELIVERED)
		cli_answer_one(c, i, what, reply_text(r));
	else
		t->accepted++;
	if (t->answered >= cli_step_data(t) && t->accepted == 0)
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
		cli_answer_all(c, cli_outcome_of(r, STAGE_DATA), reply_text(r));
		return;
	}
	if (t->is_dead && c->conf->is_lmtp) {
		reply_nonsense(c, r); /* to that dot there would be no reply */
		return;
	}
	if (t->is_dead) {
		write_step(c, t, now_us);
		return;
	}
	cli_body_begin(c);
}

/* BDAT was offered, and is no command: what was sent behind it has been read as
 * such. */
static void
fall_bdat(struct smtp_cli *c, const struct reply *r)
{
	struct outcome why = { .klass = OUTCOME_TRANSIENT, .stage = STAGE_EOM };

	c->refuses_bdat = true;
	cli_answer_all(c, why, reply_text(r));
	cli_fall(c, why, reply_text(r));
}

static void
reply_eom(struct smtp_cli *c, struct cli_txn *t, const struct reply *r)
{
	struct outcome what = cli_outcome_of(r, STAGE_EOM);

	if (t->is_chunk && what.klass != OUTCOME_DELIVERED) {
		t->is_unclear = true;
		if (t->accepted > 0 &&
		    (r->code == 500 || r->code == 502 || r->code == 504)) {
			fall_bdat(c, r);
			return;
		}
	}
	if (!c->conf->is_lmtp) {
		/* The lone dot for nobody finds nobody without an outcome. */
		cli_answer_all(c, what, reply_text(r));
		return;
	}
	cli_answer_next(c, what, reply_text(r));
	/* RFC 2033 4.2: as many replies as recipients were accepted. */
	if (++t->eom_answers < t->accepted)
		t->answered = cli_step_eom(t);
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

	if (t == NULL || !cli_is_awaited(t)) {
		reply_unasked(c, r);
		return;
	}
	step = t->answered;
	if (!makes_sense(r, step_stage(t, step))) {
		reply_nonsense(c, r);
		return;
	}
	if (r->code == 421) {
		cli_answer_all(c, cli_outcome_of(r, step_stage(t, step)),
		    reply_text(r));
		cli_fall(c, cli_outcome_of(r, step_stage(t, step)),
		    reply_text(r));
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
		reply_eom(c, t, r);
	}
	if (c->state == CLI_ST_UP)
		cli_pump(c, now_us);
}
