/*
 * engine/result.c - what became of a transaction.
 *
 * Trouble is kept at its own level (react.c). What is about a recipient delays
 * it by its schedule. What is about the path delays the path; the recipients go
 * back to the head of their line and no attempt of theirs is burned. What the
 * peer never saw goes back at once, and so does what a 421 met that only ends
 * a connection which has carried enough.
 */
#include "engine/react_i.h"
#include "engine/standing_i.h"
#include "engine/warm_i.h"

#define LOCAL_DELAY_US (10 * US_PER_S) /* a fault of ours: memory, disk */

static void
count(struct eng *e, struct txn *t, const struct path *p,
    const struct outcome *o)
{
	struct queue *q = pool_at(&e->queues, t->queue);
	struct src *s = &e->srcs[p->src];
	bool ok = o->klass == OUTCOME_DELIVERED;
	bool later = o->klass == OUTCOME_TRANSIENT;

	eng_pace_count(&q->pace, e->now, o->klass);
	eng_pace_count(&s->pace, e->now, o->klass);
	q->delivered += ok;
	s->delivered += ok;
	q->transient += later;
	s->transient += later;
	q->bounced += !ok && !later;
	s->bounced += !ok && !later;
	e->totals.transient_total += later;
	if (eng_path_is_young(e, p))
		eng_warm_count(e, p, o);
}

/* Back to the head of its line, unless an operator wanted otherwise. */
static void
again(struct eng *e, uint32_t i)
{
	if (!eng_mark_apply(e, i))
		eng_rcpt_place(e, i, true);
}

static void
retry_later(struct eng *e, uint32_t i, const struct outcome *o, uint32_t src,
    uint32_t luck, bool stays)
{
	struct rcpt *r = eng_rcpt(e, i);
	const struct queue *q = pool_at(&e->queues, r->queue);
	int64_t due;

	r->attempts = MIN(r->attempts + 1, ATTEMPTS_MAX);
	eng_rcpt_remember(r, o);
	if (e->kinds.queue_acts != 0 && eng_rcpt_bounce(e, i))
		return;
	due = e->now + eng_retry_delay(&e->policy->retry, r->attempts, luck);
	eng_persist(e, i, o, false, false, due);
	eng_log(e, i, ENG_LOG_TRANSIENT, o, src, due, 0);
	eng_study_tried(e, q, r->attempts, true);
	if (q->study != 0)
		eng_study_later(e, r->queue, r->attempts);
	if (stays)
		eng_rcpt_pin(e, i, src);
	if (!eng_mark_apply(e, i))
		eng_rcpt_rest(e, i, R_DEFERRED, due);
}

static void
finish(struct eng *e, uint32_t i, const struct outcome *o, uint32_t src)
{
	struct rcpt *r = eng_rcpt(e, i);

	r->attempts = MIN(r->attempts + 1, ATTEMPTS_MAX);
	eng_rcpt_finish(e, i,
	    o->klass == OUTCOME_DELIVERED ? ENG_LOG_DELIVERY : ENG_LOG_BOUNCE,
	    o, src, 0);
}

/* Who has been refused so shall be seen from the same address again; where there
 * is but one, it will be. */
static bool
keeps_source(struct eng *e, const struct rcpt *r)
{
	const struct queue *q = pool_at(&e->queues, r->queue);

	return q->lane != 0 &&
	    eng_lane_has_choice(e, pool_at(&e->lanes, q->lane));
}

/* For what its path is. Where that is not only what the first in line meets, it
 * lets others go first the second time. */
static void
wait_for_path(struct eng *e, uint32_t i, const struct outcome *o, uint32_t src,
    bool stays)
{
	struct rcpt *r = eng_rcpt(e, i);
	bool was_here = o->stage > STAGE_MAIL && r->last_code == o->code &&
	    r->last_stage == o->stage;

	eng_rcpt_remember(r, o);
	eng_log_shared(e, i, o, src, 0);
	if (stays)
		eng_rcpt_pin(e, i, src);
	if (!eng_mark_apply(e, i))
		eng_rcpt_place(e, i, !was_here);
}

/* One recipient, out of its transaction, in R_NONE. */
static void
settle(struct eng *e, uint32_t i, const struct outcome *o, enum level level,
    uint32_t src, uint32_t luck)
{
	struct rcpt *r = eng_rcpt(e, i);
	struct msg *m = eng_msg(e, r->msg);
	bool stays = false;

	if (level == LEVEL_GREY || level == LEVEL_BLOCK)
		stays = keeps_source(e, r);
	if (m->is_damaged) {
		eng_rcpt_free(e, i);
		return;
	}
	switch (level) {
	case LEVEL_AGAIN:
		again(e, i);
		return;
	case LEVEL_LOCAL:
		if (e->kinds.queue_acts == 0 || !eng_rcpt_bounce(e, i))
			eng_rcpt_rest(e, i, R_DEFERRED,
			    e->now + LOCAL_DELAY_US);
		return;
	case LEVEL_PATH:
	case LEVEL_BLOCK:
		wait_for_path(e, i, o, src, stays);
		return;
	case LEVEL_RCPT:
	case LEVEL_GREY:
		if (o->klass == OUTCOME_TRANSIENT)
			retry_later(e, i, o, src, luck, stays);
		else
			finish(e, i, o, src);
	}
}

/* The last recipient out of the transaction. */
static uint32_t
txn_pop(struct eng *e, struct txn *t)
{
	uint32_t i = t->rcpts.tail;

	il_remove(K_FIFO(e), &t->rcpts, i);
	eng_rcpt_leave(e, i);
	return i;
}

static void
txn_free(struct eng *e, uint32_t ti)
{
	struct txn *t = pool_at(&e->txns, ti);
	struct sess *x = pool_at(&e->sessions, t->sess);
	struct path *p = pool_at(&e->paths, x->path);
	uint32_t sess = t->sess;

	ASSERT(t->rcpts.n == 0);
	il_remove(K_TXN(e), &x->txns, ti);
	p->inflight--;
	eng_caps_end(e, ti);
	pool_give(&e->txns, ti);
	eng_sess_relist(e, sess);
}

void
eng_txn_return(struct eng *e, uint32_t ti)
{
	struct txn *t = pool_at(&e->txns, ti);
	struct sess *x = pool_at(&e->sessions, t->sess);
	struct path *p = pool_at(&e->paths, x->path);
	struct outcome o = { .klass = OUTCOME_UNSENT };

	eng_path_unspend(e, p);
	eng_caps_unspend(e, ti);
	if (eng_path_is_young(e, p))
		eng_warm_unspend(e, p, t->rcpts.n, t->assigned_us);
	while (t->rcpts.n != 0)
		settle(e, txn_pop(e, t), &o, LEVEL_AGAIN, 0, 0);
	txn_free(e, ti);
}

/* A 421 to the next message of a connection that has delivered some: receivers
 * that take only so many of one say goodbye like this. */
static bool
says_bye(struct eng *e, struct sess *x, const struct ev_result *ev)
{
	struct path *p = pool_at(&e->paths, x->path);
	const struct outcome *o = ev->rcpt;
	uint16_t k = 0;
	uint32_t n;

	while (k + 1 < ev->n && o[k].klass == OUTCOME_BOUNCED)
		k++; /* an address that cannot be sent */
	if (o[k].klass != OUTCOME_TRANSIENT || o[k].code != 421 ||
	    o[k].stage != STAGE_MAIL || eng_level_of(ev, &o[k]) != LEVEL_PATH ||
	    eng_hits_any(&ev->hits[k])) /* a rule knows what it is */
		return false;
	n = x->has_delivered ? x->ndone : 0;
	if (p->adapt != 0 && !eng_adapt_is_bye(e, p, n))
		return false;
	return eng_host_said_bye(e, x->host, n);
}

void
eng_result_ask(const struct eng *e, struct handle session, struct handle txn)
{
	const struct sess *x = pool_get(&e->sessions, session);
	const struct txn *t = pool_get(&e->txns, txn);

	if (x == NULL || t == NULL)
		return;
	pool_ask(&e->rcpts, t->rcpts.head, sizeof(struct rcpt));
	mem_ask(pages_at(&e->msgs, t->msg), sizeof(struct msg));
	mem_ask(pool_at(&e->queues, t->queue), sizeof(struct queue));
	eng_next_ask(e, x->path, NEXT_QUEUE);
}

static void
path_refused(struct eng *e, uint32_t path, uint32_t host, int64_t began,
    enum hint hint)
{
	const struct path *p = pool_at(&e->paths, path);
	bool knew = p->adapt != 0;

	eng_path_failed(e, path, began, hint);
	if (p->adapt != 0 && !knew)
		eng_host_no_bye(e, host);
}

static void
react(struct eng *e, const struct sess *x, const struct refused *r,
    const struct ev_result *ev)
{
	int64_t until;

	if (e->policy->nautomations != 0)
		eng_react_all(e, r, ev);
	if (x->is_heard && e->standings.live != 0 &&
	    eng_path_suspended(e, pool_at(&e->paths, r->path), &until) != 0)
		eng_path_take_back(e, r->path);
}

/* RFC 3461 5.2.1: to tell of the delivery is the duty of who took it. */
static void
pass_on(struct eng *e, uint32_t i, const struct sess *x,
    const struct outcome *o)
{
	if (x->takes_dsn && o->klass == OUTCOME_DELIVERED)
		eng_rcpt(e, i)->wants_success = false;
}

/* From the last to the first, so that what goes back to the head of a line
 * stands there in its order. */
void
eng_on_result(struct eng *e, const struct ev_result *ev)
{
	struct sess *x = pool_get(&e->sessions, ev->session);
	struct txn *t = pool_get(&e->txns, ev->txn);
	bool works = false, fails = false, unsent = false;
	bool blocked = false, bye;
	enum hint hint = HINT_NONE;
	uint32_t path, host, src, luck, n, i, queue, nunsent = 0;
	int64_t began;
	struct path *p;

	if (x == NULL || t == NULL || t->sess != ev->session.index)
		return;
	ASSERT(ev->n == t->rcpts.n);
	path = x->path;
	host = x->host;
	queue = t->queue;
	p = pool_at(&e->paths, path);
	src = p->src;
	eng_next_ask(e, path, NEXT_RCPT);
	began = t->assigned_us;
	luck = (uint32_t)rng_u64(&e->rng);
	bye = says_bye(e, x, ev);
	for (n = ev->n; n-- > 0;) {
		const struct outcome is = eng_outcome_meant(&ev->rcpt[n]);
		const struct outcome *o = &is;
		bool is_bye = bye && o->klass == OUTCOME_TRANSIENT;
		enum level level = is_bye ? LEVEL_AGAIN : eng_level_of(ev, o);

		works |= o->klass == OUTCOME_DELIVERED;
		fails |= level == LEVEL_PATH;
		blocked |= level == LEVEL_BLOCK;
		hint = MAX(hint, eng_hint_of(o));
		unsent |= level == LEVEL_AGAIN;
		nunsent += o->klass == OUTCOME_UNSENT;
		x->is_heard |= eng_hits_any(&ev->hits[n]);
		if (o->klass != OUTCOME_UNSENT && !is_bye)
			count(e, t, p, o);
		i = txn_pop(e, t);
		pass_on(e, i, x, o);
		settle(e, i, o, level, src, luck);
	}
	eng_next_ask(e, path, NEXT_MSG);
	if (unsent && !ev->is_sent) {
		eng_path_unspend(e, p);
		eng_caps_unspend(e, ev->txn.index);
	}
	if (nunsent != 0 && !ev->is_sent && eng_path_is_young(e, p))
		eng_warm_unspend(e, p, nunsent, began);
	x->has_delivered |= works;
	if (bye)
		eng_sess_close(e, ev->session.index);
	if (!unsent && x->ndone++ == 0) {
		p->nproven++;
		p->is_known = true;
		eng_stranger_leave(e, x);
	}
	txn_free(e, ev->txn.index);
	if (works) {
		eng_path_works(e, p, began);
		eng_path_ramp_up(e, p);
	}
	if (blocked)
		eng_path_blocked(e, path, began);
	else if (fails)
		path_refused(e, path, host, began, hint);
	react(e, x, &(struct refused){ path, host, queue, ev->reply, began },
	    ev);
	eng_path_pump(e, path);
}
