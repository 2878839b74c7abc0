/*
 * engine/session.c - sessions: opened, filled, closed, gone.
 *
 * A session is in its path's list for the number of transactions that it
 * holds while it may take another, and in the idle list while it holds none.
 * Room that an opening session promises is counted as pending in the lane that
 * asked for it, so that a burst opens no more sessions than it can use.
 */
#include "engine/standing_i.h"
#include "engine/sticky_i.h"
#include "engine/warm_i.h"

static void
relist_out(struct eng *e, uint32_t i, struct sess *x)
{
	struct path *p = pool_at(&e->paths, x->path);

	if (x->level == LEVEL_NONE)
		return;
	il_remove(K_ROOM(e), &p->room[x->level], i);
	if (x->level == 0)
		il_remove(K_SESSIDLE(e), &e->idle_sessions, i);
	x->level = LEVEL_NONE;
}

void
eng_sess_relist(struct eng *e, uint32_t i)
{
	struct sess *x = pool_at(&e->sessions, i);
	struct path *p = pool_at(&e->paths, x->path);

	relist_out(e, i, x);
	if (x->state == SESS_UP && !x->is_closing &&
	    x->txns.n < eng_ahead(eng_path_shape(e, p))) {
		x->level = (uint8_t)x->txns.n;
		il_push_tail(K_ROOM(e), &p->room[x->level], i);
		if (x->level == 0)
			il_push_tail(K_SESSIDLE(e), &e->idle_sessions, i);
	}
	eng_path_relist(e, x->path);
}

/* What the lane hoped for from an opening session is settled. */
static void
promise_end(struct eng *e, struct sess *x)
{
	struct lane *l;
	uint32_t lane = x->lane;

	if (lane == 0)
		return;
	l = pool_at(&e->lanes, lane);
	l->pending -= x->pending;
	x->lane = 0;
	if (l->nring != 0)
		eng_lane_kick(e, lane);
	eng_lane_give_if_empty(e, lane);
}

/* Transactions of the session, by the policy and by what its host takes. */
static uint32_t
msgs_max(const struct eng_shape *s, const struct sess *x)
{
	uint32_t max = s->msgs_per_conn;

	if (x->bye_after != 0 && (max == 0 || x->bye_after < max))
		max = x->bye_after;
	return max != 0 ? max : UINT32_MAX;
}

void
eng_sess_open(struct eng *e, uint32_t lane, uint32_t path, int target)
{
	struct lane *l = pool_at(&e->lanes, lane);
	struct path *p = pool_at(&e->paths, path);
	struct site *s = pool_at(&e->sites, p->site);
	const struct queue *q = pool_at(&e->queues, eng_lane_next(e, l));
	const struct dom *d = pool_at(&e->doms, eng_rcpt(e, q->fifo.head)->dom);
	const struct target *t = &s->targets[target];
	struct host *h = pool_at(&e->hosts, t->host);
	const struct eng_shape *shape;
	struct eng_cmd *c;
	struct sess *x;
	uint32_t i;

	x = eng_slot(&e->sessions, &i);
	x->path = path;
	x->host = t->host;
	x->lane = lane;
	x->bye_after = h->bye_until_us > e->now ? h->bye_after : 0;
	shape = eng_path_shape(e, p);
	x->pending = MIN(eng_ahead(shape), msgs_max(shape, x));
	x->level = LEVEL_NONE;
	x->opened_us = e->now;
	l->pending += x->pending;
	h->nrefs++;
	if (h->fails != 0)
		h->probe = i;
	p->nsess++;
	p->nopening++;
	if (eng_path_is_young(e, p)) {
		eng_warm_opening(e, p, 1);
		if (l->is_engaged && l->claim != 0)
			eng_claim_renew(e, l);
	}
	s->nsess++;
	x->is_stranger = !p->is_known;
	e->nstrangers += x->is_stranger;
	il_push_tail(K_SESSIDLE(e), &e->opening, i);
	e->srcs[p->src].nsess++;
	il_push_tail(K_SESS(e), &p->sessions, i);
	eng_path_busy(e, path);
	e->totals.sessions_total++;
	if (eng_caps_concern(e, p, l, q)) {
		struct asker a = { .path = path,
			.queue = eng_lane_next(e, l),
			.lane = lane,
			.src = p->src,
			.host = t->host };

		x->queue = pool_handle(&e->queues, a.queue);
		eng_caps_open(e, &a, i);
	}
	c = eng_emit(e, CMD_OPEN);
	c->open.session = pool_handle(&e->sessions, i);
	c->open.source = e->srcs[p->src].conf;
	c->open.domain = d->name;
	c->open.site = p->site;
	c->open.target = (struct eng_target){ .host = t->name,
		.pref = t->pref,
		.ip = h->ip,
		.port = h->port };
	c->open.is_clear = h->clear_until_us > e->now;
}

void
eng_sess_close(struct eng *e, uint32_t i)
{
	struct sess *x = pool_at(&e->sessions, i);

	if (x->is_closing)
		return;
	x->is_closing = true;
	e->nclosing++;
	eng_emit(e, CMD_CLOSE)->close = pool_handle(&e->sessions, i);
	eng_sess_relist(e, i);
}

void
eng_path_take_back(struct eng *e, uint32_t path)
{
	const struct path *p = pool_at(&e->paths, path);

	for (uint32_t i = p->sessions.head; i != 0;) {
		const struct sess *x = pool_at(&e->sessions, i);

		if (x->txns.n > 1)
			eng_emit(e, CMD_TAKE_BACK)->close =
			    pool_handle(&e->sessions, i);
		i = x->link.next;
	}
}

/* ---- assignment --------------------------------------------------------------- */

/* The head of the line belongs elsewhere now: its time is up, or its domain
 * has moved, to another site or another source. */
static bool
is_stale(struct eng *e, uint32_t i, struct lane *l)
{
	const struct rcpt *r = eng_rcpt(e, i);
	const struct dom *d = pool_at(&e->doms, r->dom);

	return eng_msg(e, r->msg)->expires_us <= e->now || d->state != DOM_OK ||
	    d->site != l->site ||
	    (eng_lane_sticks(e, l) && !eng_lane_suits(e, l, i));
}

static bool
goes_along(struct eng *e, uint32_t i, uint32_t msg, uint32_t dom)
{
	const struct rcpt *r;

	if (i == 0)
		return false;
	e->totals.comparisons_total++;
	r = eng_rcpt(e, i);
	return r->msg == msg && r->dom == dom;
}

static void
assign_emit(struct eng *e, uint32_t ti)
{
	struct txn *t = pool_at(&e->txns, ti);
	uint32_t i = t->rcpts.head;
	const struct rcpt *r = eng_rcpt(e, i);
	struct eng_cmd *c = eng_emit(e, CMD_ASSIGN);

	c->assign.session = pool_handle(&e->sessions, t->sess);
	c->assign.txn = pool_handle(&e->txns, ti);
	c->assign.msg = t->msg;
	c->assign.n = (uint16_t)t->rcpts.n;
	c->assign.rcpt = r->rcpt;
	c->assign.attempt = (uint16_t)(r->attempts + 1);
	for (i = r->link.next; i != 0; i = r->link.next) {
		r = eng_rcpt(e, i);
		eng_emit(e, CMD_ASSIGN_RCPT)->assign_rcpt.rcpt = r->rcpt;
	}
}

/* The head of the queue's line and those behind it that travel along. */
static void
txn_fill(struct eng *e, uint32_t ti, uint32_t qi, uint32_t max)
{
	struct txn *t = pool_at(&e->txns, ti);
	struct queue *q = pool_at(&e->queues, qi);
	uint32_t i = q->fifo.head;
	uint32_t msg = eng_rcpt(e, i)->msg, dom = eng_rcpt(e, i)->dom;

	if (eng_msg_has_one(eng_msg(e, msg)))
		max = 1;
	do {
		eng_rcpt_leave(e, i);
		eng_rcpt_enter(e, i, qi, R_ASSIGNED, false, 0);
		il_push_tail(K_FIFO(e), &t->rcpts, i);
		i = q->fifo.head;
	} while (t->rcpts.n < max && goes_along(e, i, msg, dom));
}

/* The same, spent at the policy's limits. */
static void
capped_fill(struct eng *e, const struct asker *a, uint32_t ti, uint32_t max,
    struct again *g)
{
	struct txn *t = pool_at(&e->txns, ti);

	eng_caps_take(e, a, LINE_SEND, g);
	txn_fill(e, ti, t->queue, eng_caps_rcpts(e, a, max));
	eng_caps_spend(e, a, ti);
	eng_promises_end(e, t->sess, true);
}

static struct asker
asker_of(const struct eng *e, uint32_t path, uint32_t lane, const struct txn *t)
{
	const struct sess *x = pool_at(&e->sessions, t->sess);

	return (struct asker){ .path = path,
		.queue = t->queue,
		.lane = lane,
		.src = ((struct path *)pool_at(&e->paths, path))->src,
		.host = x->host,
		.sess = t->sess,
		.bytes = eng_msg_bytes(eng_msg(e, t->msg)) };
}

void
eng_sess_assign(struct eng *e, uint32_t path, uint32_t lane)
{
	struct path *p = pool_at(&e->paths, path);
	struct lane *l = pool_at(&e->lanes, lane);
	uint32_t si = p->room[p->level].head, qi = eng_lane_next(e, l), ti, i;
	const struct eng_shape *shape = eng_path_shape(e, p);
	uint32_t max = shape->rcpts_per_txn;
	bool is_young = eng_path_is_young(e, p);
	struct queue *q = pool_at(&e->queues, qi);
	struct sess *x = pool_at(&e->sessions, si);
	struct again g = { .line = LINE_SEND };
	struct asker a;
	struct txn *t;
	bool is_capped;

	i = q->fifo.head;
	if (is_stale(e, i, l)) {
		eng_rcpt_leave(e, i);
		eng_rcpt_place(e, i, false);
		eng_lane_unskip(e);
		return;
	}
	eng_dom_touch(e, eng_rcpt(e, i)->dom);
	t = eng_slot(&e->txns, &ti);
	t->sess = si;
	t->msg = eng_rcpt(e, i)->msg;
	t->queue = qi;
	t->assigned_us = x->assigned_us = e->now;
	max = MIN(max ? max : ENG_TXN_RCPTS_MAX, (uint32_t)ENG_TXN_RCPTS_MAX);
	if (is_young)
		max = MIN(max, eng_warm_room(e, p));
	is_capped = x->promises != 0 || eng_caps_concern(e, p, l, q);
	if (is_capped) {
		a = asker_of(e, path, lane, t);
		capped_fill(e, &a, ti, max, &g);
	} else
		txn_fill(e, ti, qi, max);
	if (is_young) {
		eng_warm_spend(e, p, t->rcpts.n);
		if (l->is_engaged && l->claim != 0)
			eng_claim_renew(e, l);
	}
	il_push_tail(K_TXN(e), &x->txns, ti);
	x->nassigned++;
	p->inflight++;
	eng_path_spend(e, p);
	assign_emit(e, ti);
	eng_lane_unskip(e);
	eng_lane_served(e, lane, qi, &e->srcs[p->src]);
	if (is_capped)
		eng_caps_again(e, &a, &g);
	if (x->nassigned >= msgs_max(shape, x))
		eng_sess_close(e, si);
	else
		eng_sess_relist(e, si);
}

/* ---- up and down ------------------------------------------------------------------ */

void
eng_on_up(struct eng *e, const struct ev_session_up *ev)
{
	struct sess *x = pool_get(&e->sessions, ev->session);
	uint32_t path;
	struct path *p;
	struct host *h;

	if (x == NULL || x->state != SESS_OPENING)
		return;
	x->state = SESS_UP;
	x->takes_dsn = (ev->caps & ENG_CAP_DSN) != 0;
	il_remove(K_SESSIDLE(e), &e->opening, ev->session.index);
	h = pool_at(&e->hosts, x->host);
	if (ev->is_tls) {
		h->tls_fails = 0;
		h->clear_until_us = 0;
	}
	path = x->path;
	p = pool_at(&e->paths, path);
	p->nopening--;
	if (eng_path_is_young(e, p))
		eng_warm_opening(e, p, -1);
	p->setup_us = MIN(e->now - x->opened_us, SETUP_MAX_US);
	eng_host_up(e, x->host);
	eng_path_uncrowd(p, x->opened_us);
	eng_sess_relist(e, ev->session.index);
	if (x->promises != 0)
		eng_queue_meets(e, x->queue);
	eng_path_pump(e, path);
	promise_end(e, x);
	eng_promises_end(e, ev->session.index, false);
}

/* Did it fail before anything was known of its host? */
static bool
is_unsent(const struct outcome *o)
{
	return o->klass == OUTCOME_UNSENT && o->stage != STAGE_CONNECT;
}

/* Why a session did not come up: the host could not be had, or the peer does
 * not want this path. */
static void
never_up(struct eng *e, struct sess *x, const struct outcome *o)
{
	struct path *p = pool_at(&e->paths, x->path);
	struct host *h = pool_at(&e->hosts, x->host);
	bool refused = o->code != 0 &&
	    (o->stage == STAGE_BANNER || o->stage == STAGE_EHLO ||
		o->stage == STAGE_AUTH);

	e->totals.sessions_failed_total++;
	if (o->klass == OUTCOME_UNSENT) {
		eng_path_failed(e, x->path, x->opened_us, HINT_NONE);
		return;
	}
	if (o->stage == STAGE_STARTTLS || o->stage == STAGE_TLS) {
		eng_host_up(e, x->host); /* but for its TLS */
		h->probe = 0;
		eng_host_tls_failed(e, x->host, x->opened_us);
		return;
	}
	if (!refused) {
		eng_host_failed(e, x->host, x->opened_us);
		return;
	}
	eng_host_up(e, x->host); /* it answered */
	h->probe = 0;
	p->shun = x->host;
	if (p->nsess > 1) {
		eng_path_crowded(e, p, x->opened_us);
		return;
	}
	p->crowd = p->crowd_fails = 0; /* it is not their number */
	eng_path_failed(e, x->path, x->opened_us, HINT_NONE);
}

/* The first in line stands for all in the books. */
static void
log_failure(struct eng *e, const struct sess *x, const struct outcome *o)
{
	const struct lane *l = x->lane ? pool_at(&e->lanes, x->lane) : NULL;
	const struct path *p = pool_at(&e->paths, x->path);
	const struct host *h = pool_at(&e->hosts, x->host);
	struct outcome t = *o;
	struct queue *q;
	int64_t due;

	if (l == NULL || l->nring == 0)
		return;
	q = pool_at(&e->queues, eng_lane_next(e, l));
	t.klass = OUTCOME_TRANSIENT;
	due = MAX(h->dead_until_us, p->backoff_until_us);
	e->totals.transient_total++;
	eng_rcpt_remember(eng_rcpt(e, q->fifo.head), &t);
	eng_log_shared(e, q->fifo.head, &t, p->src, due);
}

static void
sess_free(struct eng *e, uint32_t i)
{
	struct sess *x = pool_at(&e->sessions, i);
	struct path *p = pool_at(&e->paths, x->path);
	struct site *s = pool_at(&e->sites, p->site);
	struct host *h = pool_at(&e->hosts, x->host);

	relist_out(e, i, x);
	eng_path_relist(e, x->path);
	il_remove(K_SESS(e), &p->sessions, i);
	p->nsess--;
	if (x->state == SESS_OPENING) {
		p->nopening--;
		if (eng_path_is_young(e, p))
			eng_warm_opening(e, p, -1);
		il_remove(K_SESSIDLE(e), &e->opening, i);
	}
	eng_stranger_leave(e, x);
	eng_promises_end(e, i, false);
	eng_caps_close(e, i);
	p->nproven -= x->ndone != 0;
	s->nsess--;
	e->srcs[p->src].nsess--;
	if (x->is_closing)
		e->nclosing--;
	if (h->probe == i) { /* all that share the host wait for its end */
		h->probe = 0;
		eng_host_wake(e, x->host);
	}
	eng_path_reopen(e, p);
	eng_host_drop(e, x->host);
	pool_give(&e->sessions, i);
}

void
eng_on_down(struct eng *e, const struct ev_session_down *ev)
{
	struct sess *x = pool_get(&e->sessions, ev->session);
	const struct outcome *o = &ev->outcome;
	uint32_t path, site;
	struct path *p;
	bool is_probe;

	if (x == NULL)
		return;
	path = x->path;
	p = pool_at(&e->paths, path);
	site = p->site;
	while (x->txns.n != 0)
		eng_txn_return(e, x->txns.tail);
	if (x->state == SESS_OPENING && o->klass != OUTCOME_DELIVERED &&
	    !is_unsent(o) && e->srcs[p->src].conf != SRC_NONE) {
		never_up(e, x, o);
		log_failure(e, x, o);
	} else if (o->code == 421 && o->klass != OUTCOME_DELIVERED)
		/* While it was idle this is the peer's way to say goodbye. */
		if (x->ndone == 0)
			eng_path_failed(e, path, x->opened_us, HINT_NONE);
	/* Else it is what a transaction has met, and was told then. */
	if (!x->is_heard && eng_hits_any(&ev->hits))
		eng_react(e,
		    &(struct refused){ path, x->host, 0, ev->reply,
			x->opened_us },
		    &ev->hits, o);
	promise_end(e, x);
	eng_site_hold(e, site); /* until all is said */
	is_probe = ((struct host *)pool_at(&e->hosts, x->host))->probe ==
	    ev->session.index;
	sess_free(e, ev->session.index);
	eng_path_idle(e, path);
	/* A path that waits at a limit opens no other, whatever ends. */
	if (is_probe || !eng_path_waits(e, p)) {
		eng_path_ready(e, p);
		eng_site_look(e, site);
	}
	eng_limit_wake(e);
	eng_site_drop(e, site);
}
