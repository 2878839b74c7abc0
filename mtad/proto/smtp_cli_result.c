/*
 * proto/smtp_cli_result.c - what became of the oldest transaction, recipient by
 * recipient (see "how outcomes come about" in proto/smtp_cli.h).
 *
 * An outcome, once set, stays: a recipient that was refused is not touched by
 * what happens to the others. There is one result, filled while its transaction
 * is the oldest; those behind it have no answers yet.
 */
#include "proto/smtp_cli_i.h"

struct outcome
cli_outcome_of(const struct reply *r, enum stage stage)
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

static struct outcome
outcome_local(uint16_t code, uint16_t subject, uint16_t detail)
{
	return (struct outcome){ .klass = OUTCOME_BOUNCED,
		.stage = STAGE_LOCAL,
		.code = code,
		.enh = { 5, subject, detail } };
}

/* Room for n bytes more, fewer at the ceiling or without memory. Most peers
 * say one short line: what a session holds while it is idle grows with what
 * its peer says. */
static size_t
text_room(struct smtp_cli_result *res, size_t n)
{
	size_t want = MIN(res->text_n + n, (size_t)SMTP_CLI_TEXTS_MAX);
	size_t cap = res->text_cap ? res->text_cap : 128;
	char *p;

	while (cap < want)
		cap *= 2;
	if (cap > res->text_cap && (p = mem_grow(res->text, cap)) != NULL) {
		res->text = p;
		res->text_cap = (uint32_t)cap;
	}
	return MIN(n, (size_t)res->text_cap - res->text_n);
}

/* Keeps a text, once for all recipients that have it. */
static void
text_keep(struct smtp_cli_result *res, struct smtp_cli_answer *a,
    struct slice text)
{
	if (text.n == 0)
		return; /* there may be no text at all yet */
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
	a->text_n = (uint16_t)text_room(res, text.n);
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

/* Room for n answers. Most transactions have one recipient; so few sessions
 * ever need more than a few. Without memory it dies: the spool knows all. */
static void
answers_fit(struct smtp_cli_result *res, uint32_t n)
{
	void *p;

	if (n <= res->rcpt_cap)
		return;
	p = mem_grow(res->rcpt, n * sizeof(res->rcpt[0]));
	ASSERT(p != NULL);
	res->rcpt = p;
	res->rcpt_cap = n;
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
	answers_fit(res, res->n);
	memset(res->rcpt, 0, res->n * sizeof(res->rcpt[0]));
	for (uint32_t i = 0; i < res->n; i++)
		if (cli_is_skipped(t, i))
			answer_set(res, i, outcome_local(501, 1, 3),
			    SL("recipient address is malformed"));
	return res;
}

/* For every recipient that has no outcome yet. Was there any? */
bool
cli_answer_all(struct smtp_cli *c, struct outcome outcome, struct slice text)
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

void
cli_answer_next(struct smtp_cli *c, struct outcome outcome, struct slice text)
{
	struct smtp_cli_result *res = result_open(c);

	for (uint32_t i = 0; i < res->n; i++)
		if (res->rcpt[i].outcome.klass == OUTCOME_NONE) {
			answer_set(res, i, outcome, text);
			return;
		}
}

void
cli_answer_one(struct smtp_cli *c, uint32_t i, struct outcome outcome,
    struct slice text)
{
	answer_set(result_open(c), i, outcome, text);
}

/* Outcomes that need no peer. */
static void
answer_local(struct smtp_cli *c, const struct cli_txn *t)
{
	switch (t->local) {
	case TXN_TOO_BIG:
		cli_answer_all(c, outcome_local(552, 3, 4),
		    SL("message is larger than the peer takes"));
		break;
	case TXN_NEEDS_UTF8:
		cli_answer_all(c, outcome_local(550, 6, 7),
		    SL("the peer does not offer SMTPUTF8"));
		break;
	case TXN_NEEDS_8BIT:
		cli_answer_all(c, outcome_local(554, 6, 3),
		    SL("the peer does not offer 8BITMIME"));
		break;
	case TXN_NEEDS_REQUIRETLS:
		cli_answer_all(c, outcome_local(550, 7, 30),
		    SL("REQUIRETLS support required"));
		break;
	case TXN_BAD_SENDER:
		cli_answer_all(c, outcome_local(501, 1, 7),
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
	/* A whole chunk may have been taken, though nothing was answered. */
	bool is_silent = t->answered == t->first && t->sent <= cli_step_eom(t);
	bool had_some;

	if (t->sent == t->first || c->oldest_was_hurt ||
	    (c->is_lost && is_silent && c->txns_done > 0))
		why = (struct outcome){ .klass = OUTCOME_UNSENT,
			.stage = c->down.stage };
	had_some = cli_answer_all(c, why, cli_down_text(c));
	c->result.in_doubt = had_some && t->sent > cli_step_eom(t);
	if (t->sent > t->first)
		c->oldest_was_hurt = true;
}

void
cli_result_settle(struct smtp_cli *c, const struct cli_txn *t, int64_t now_us)
{
	struct smtp_cli_result *res = result_open(c);

	answer_local(c, t);
	if (!cli_txn_is_over(t))
		answer_fallen(c, t);
	res->is_sent = t->sent > t->first;
	res->began_us = t->began_us;
	res->ended_us = now_us;
	c->result_is_open = false;
}
