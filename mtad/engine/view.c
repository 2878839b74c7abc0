/*
 * engine/view.c - what viewers see: totals, the top queues, sources, and rows
 * of recipients; and for each of them the gate that is shut and until when.
 */
#include "engine/engine_i.h"

void
eng_totals(const struct eng *e, struct eng_totals *out)
{
	*out = e->totals;
	out->due = e->nstate[R_READY] + e->nstate[R_WAIT];
	out->deferred = e->nstate[R_DEFERRED];
	out->held = e->nstate[R_HELD];
	out->inflight = e->nstate[R_ASSIGNED];
	out->resolving = e->nstate[R_WAIT];
	out->sessions = e->sessions.live;
	out->queues = e->queues.live;
	out->comparisons_total += e->timers.compares;
	out->moves_total = e->timers.moves + e->wheel.moves;
}

/* Why a domain's mail waits, when it waits for the domain. */
static enum eng_why
dom_why(const struct eng *e, uint32_t dom, int64_t *until_us)
{
	const struct dom *d = pool_at(&e->doms, dom);

	*until_us = 0;
	if (d->state != DOM_FAILED)
		return WHY_DNS;
	*until_us = heap_has(&d->timer.node) ? d->timer.node.key : 0;
	return WHY_DNS_FAILED;
}

/* Why a lane's ready mail waits: what it is parked on, or the gate of the
 * paths that serve it. */
static enum eng_why
lane_why(const struct eng *e, uint32_t lane, int64_t *until_us)
{
	const struct lane *l = pool_at(&e->lanes, lane);
	const struct site *s = pool_at(&e->sites, l->site);

	if (e->is_disk_full)
		return WHY_DISK;
	*until_us = l->until_us;
	if (l->is_parked)
		return l->why;
	for (uint32_t i = s->paths.head; i != 0;) {
		const struct path *p = pool_at(&e->paths, i);

		if (heap_has(&p->timer.node)) {
			*until_us = p->timer.node.key;
			return p->why;
		}
		i = p->link.next;
	}
	return s->nsess ? WHY_SESSION : WHY_NONE;
}

static enum eng_why
queue_why(const struct eng *e, const struct queue *q, int64_t *until_us)
{
	*until_us = 0;
	if (q->park != 0) {
		const struct park *k = pool_at(&e->parks, q->park);

		*until_us = k->until_us;
		return k->why;
	}
	if (q->fifo.n != 0)
		return q->home & HOME_DOM ?
		    dom_why(e, q->home & ~HOME_DOM, until_us) :
		    lane_why(e, q->lane, until_us);
	if (q->ninflight != 0)
		return WHY_SESSION;
	if (q->ndeferred != 0)
		return WHY_RETRY;
	return q->nheld != 0 ? WHY_HELD : WHY_NONE;
}

void
eng_view_queue(const struct eng *e, uint32_t i, int64_t now,
    struct eng_queue_row *r)
{
	const struct queue *q = pool_at(&e->queues, i);
	const struct flow *f = pool_at(&e->flows, q->flow);
	const struct site *s = NULL;

	*r = (struct eng_queue_row){ .queue = i,
		.pool = f->pool,
		.tenant = f->tenant,
		.campaign = f->campaign,
		.pin = f->pin,
		.depth = q->depth,
		.due = q->fifo.n,
		.deferred = q->ndeferred,
		.held = q->nheld,
		.inflight = q->ninflight,
		.delivered = q->delivered,
		.transient = q->transient,
		.bounced = q->bounced,
		.rate_milli = eng_pace_rate_milli(&q->pace, now),
		.defer_milli = eng_pace_defer_milli(&q->pace, now),
		.oldest_us = q->depth ? q->oldest_us : 0 };
	if (q->home & HOME_DOM) {
		r->domain =
		    ((const struct dom *)pool_at(&e->doms, q->home & ~HOME_DOM))
			->name;
	} else {
		s = pool_at(&e->sites, q->home);
		r->site = q->home;
		r->site_host = s->ntargets ? s->targets[0].name : 0;
		r->conns = s->nsess;
		if (q->dom && pool_is_live(&e->doms, q->dom))
			r->domain =
			    ((const struct dom *)pool_at(&e->doms, q->dom))
				->name;
	}
	r->why = queue_why(e, q, &r->until_us);
}

bool
eng_queue_row(const struct eng *e, uint32_t queue, int64_t now_us,
    struct eng_queue_row *row)
{
	if (queue == 0 || queue >= e->queues.next_new ||
	    !pool_is_live(&e->queues, queue))
		return false;
	eng_view_queue(e, queue, now_us, row);
	return true;
}

static uint64_t
sort_key(const struct eng *e, uint32_t i, enum eng_sort key, int64_t now)
{
	const struct queue *q = pool_at(&e->queues, i);

	switch (key) {
	case SORT_DUE:
		return q->fifo.n;
	case SORT_RATE:
		return eng_pace_rate_milli(&q->pace, now);
	case SORT_DEFER:
		return eng_pace_defer_milli(&q->pace, now);
	case SORT_CONNS:
		return q->home & HOME_DOM ?
		    0 :
		    ((const struct site *)pool_at(&e->sites, q->home))->nsess;
	case SORT_OLDEST:
		return q->depth && q->oldest_us ?
		    UINT64_MAX / 2 - (uint64_t)q->oldest_us :
		    0;
	case SORT_DEPTH:
	case ENG_SORT_N:
		break;
	}
	return q->depth;
}

struct best {
	uint64_t key;
	uint32_t index;
};

/* Is a worse than b? Ties: the later made is worse. */
static bool
is_worse(const struct best *a, const struct best *b)
{
	return a->key != b->key ? a->key < b->key : a->index > b->index;
}

/* A heap of the n best, the worst of them on top. */
static void
sift_down(struct best *v, uint32_t n, uint32_t at)
{
	for (;;) {
		uint32_t worst = at, l = 2 * at + 1, r = l + 1;
		struct best t;

		if (l < n && is_worse(&v[l], &v[worst]))
			worst = l;
		if (r < n && is_worse(&v[r], &v[worst]))
			worst = r;
		if (worst == at)
			return;
		t = v[at];
		v[at] = v[worst];
		v[worst] = t;
		at = worst;
	}
}

/* One more to a heap of at most n. */
static void
best_add(struct best *v, uint32_t *have, uint32_t n, struct best b)
{
	if (*have < n) {
		v[(*have)++] = b;
		if (*have == n)
			for (uint32_t k = n / 2 + 1; k-- > 0;)
				sift_down(v, n, k);
	} else if (is_worse(&v[0], &b)) {
		v[0] = b;
		sift_down(v, n, 0);
	}
}

/* From a heap, that was full or not, to an array with the best first. */
static void
best_sort(struct best *v, uint32_t have, uint32_t n)
{
	for (uint32_t k = have / 2 + 1; have < n && k-- > 0;)
		sift_down(v, have, k);
	for (uint32_t left = have; left > 1; left--) {
		struct best t = v[0];

		v[0] = v[left - 1];
		v[left - 1] = t;
		sift_down(v, left - 1, 0);
	}
}

uint32_t
eng_top_queues(struct eng *e, enum eng_sort key, int64_t now_us,
    struct eng_queue_row *rows, uint32_t n)
{
	struct best *v = n ? mem_try(n * sizeof(*v)) : NULL;
	uint32_t have = 0;

	if (v == NULL)
		return 0;
	for (uint32_t i = 1; i < e->queues.next_new; i++)
		if (pool_is_live(&e->queues, i))
			best_add(v, &have, n,
			    (struct best){ sort_key(e, i, key, now_us), i });
	best_sort(v, have, n);
	for (uint32_t k = 0; k < have; k++)
		eng_view_queue(e, v[k].index, now_us, &rows[k]);
	mem_free(v);
	return have;
}

/* What keeps a source's paths shut. */
struct refusals {
	uint32_t n;
	int64_t until_us; /* the last of them */
};

static void
refusals_count(const struct eng *e, int64_t now_us, struct refusals *v)
{
	for (uint32_t i = 1; i < e->paths.next_new; i++) {
		const struct path *p = pool_at(&e->paths, i);

		if (!pool_is_live(&e->paths, i) ||
		    p->backoff_until_us <= now_us)
			continue;
		v[p->src].n++;
		v[p->src].until_us =
		    MAX(v[p->src].until_us, p->backoff_until_us);
	}
}

static uint64_t
source_key(const struct src *s, const struct refusals *r,
    enum eng_source_sort key, int64_t now)
{
	switch (key) {
	case SOURCE_SORT_DEFER:
		return eng_pace_defer_milli(&s->pace, now);
	case SOURCE_SORT_CONNS:
		return s->nsess;
	case SOURCE_SORT_PATHS:
		return s->npaths;
	case SOURCE_SORT_REFUSED:
		return r->n;
	case SOURCE_SORT_RATE:
		return eng_pace_rate_milli(&s->pace, now);
	case SOURCE_SORT_ORDER:
	case ENG_SOURCE_SORT_N:
		break;
	}
	return 0; /* ties: the first made is the best */
}

static void
source_fill(const struct src *s, const struct refusals *r, int64_t now_us,
    struct eng_source_row *row)
{
	*row = (struct eng_source_row){ .name = s->name,
		.conns = s->nsess,
		.paths = s->npaths,
		.paths_backoff = r->n,
		.delivered = s->delivered,
		.transient = s->transient,
		.bounced = s->bounced,
		.rate_milli = eng_pace_rate_milli(&s->pace, now_us),
		.defer_milli = eng_pace_defer_milli(&s->pace, now_us),
		.why = s->is_down       ? WHY_PROXY :
		    r->n                ? WHY_BACKOFF :
		    s->conf == SRC_NONE ? WHY_NO_SOURCE :
					  WHY_NONE,
		.until_us = s->is_down ? 0 : r->until_us };
}

bool
eng_source_is_down(const struct eng *e, uint32_t source)
{
	for (uint32_t i = 1; i < e->nsrcs; i++)
		if (e->srcs[i].name == source)
			return e->srcs[i].is_down;
	return false;
}

void
eng_view_source(const struct src *s, int64_t now_us, struct eng_source_row *row)
{
	struct refusals none = { 0 };

	source_fill(s, &none, now_us, row);
}

uint32_t
eng_top_sources(struct eng *e, enum eng_source_sort key, int64_t now_us,
    struct eng_source_row *rows, uint32_t n)
{
	struct refusals *r = mem_try(SRC_SLOTS * sizeof(*r));
	struct best *v = n ? mem_try(n * sizeof(*v)) : NULL;
	uint32_t have = 0;

	if (r == NULL || v == NULL)
		goto out;
	refusals_count(e, now_us, r);
	for (uint32_t i = 1; i < e->nsrcs; i++) {
		const struct src *s = &e->srcs[i];

		if (s->conf != SRC_NONE || s->npaths != 0)
			best_add(v, &have, n,
			    (struct best){ source_key(s, &r[i], key, now_us),
				i });
	}
	best_sort(v, have, n);
	for (uint32_t k = 0; k < have; k++)
		source_fill(&e->srcs[v[k].index], &r[v[k].index], now_us,
		    &rows[k]);
out:
	mem_free(v);
	mem_free(r);
	return have;
}

static enum eng_why
rcpt_why(const struct eng *e, uint32_t i, int64_t *until_us, int64_t *due_us)
{
	const struct rcpt *r = eng_rcpt(e, i);
	const struct queue *q = pool_at(&e->queues, r->queue);

	*until_us = *due_us = 0;
	switch ((enum rcpt_state)r->state) {
	case R_WAIT:
		return dom_why(e, r->dom, until_us);
	case R_READY:
		return queue_why(e, q, until_us);
	case R_DEFERRED:
		*until_us = *due_us =
		    e->start_us + (int64_t)r->timer.tick * WHEEL_TICK_US;
		return WHY_RETRY;
	case R_HELD:
		*due_us = TIME_NEVER;
		return WHY_HELD;
	case R_ASSIGNED:
		return WHY_SESSION;
	case R_NONE:
	case R_DONE:
	case R_STATES:
		break;
	}
	return WHY_NONE;
}

void
eng_view_rcpt(const struct eng *e, uint32_t i, struct eng_rcpt_row *o)
{
	const struct rcpt *r = eng_rcpt(e, i);
	const struct msg *m = eng_msg(e, r->msg);
	const struct flow *f = pool_at(&e->flows, eng_rcpt_flow(e, r));
	const struct dom *d = pool_at(&e->doms, r->dom);

	*o = (struct eng_rcpt_row){ .msg = r->msg,
		.rcpt = r->rcpt,
		.attempts = r->attempts,
		.domain = d->name,
		.tenant = f->tenant,
		.campaign = f->campaign,
		.pool = f->pool,
		.arrival_us = m->arrival_us,
		.expires_us = m->expires_us,
		.last = eng_rcpt_last(r) };
	o->why = rcpt_why(e, i, &o->until_us, &o->due_us);
}

uint32_t
eng_message_rest(const struct eng *e, uint32_t msg, struct eng_rest *v,
    uint32_t n)
{
	const struct msg *m = eng_msg(e, msg);
	uint32_t have = 0;
	int64_t until;

	if (m == NULL || m->nexpect != 0 || m->nowed != 0 || m->is_damaged ||
	    m->nlive > n)
		return 0;
	for (uint32_t i = m->head; i != 0; i = eng_rcpt(e, i)->sib) {
		const struct rcpt *r = eng_rcpt(e, i);

		if (r->state == R_DONE)
			continue;
		if (r->state == R_ASSIGNED || r->state == R_NONE)
			return 0;
		v[have] = (struct eng_rest){ .rcpt = r->rcpt,
			.attempts = r->attempts,
			.is_told = !r->wants_delay,
			.last = eng_rcpt_last(r) };
		rcpt_why(e, i, &until, &v[have++].due_us);
	}
	return have;
}

uint32_t
eng_list(const struct eng *e, const struct eng_selector *sel, uint32_t *cursor,
    uint32_t budget, int64_t now_us, struct eng_rcpt_row *rows, uint32_t n)
{
	uint32_t i = MAX(*cursor, 1u), have = 0;

	(void)now_us;
	for (; i < e->rcpts.next_new && have < n && budget > 0; i++, budget--) {
		const struct rcpt *r;
		const struct msg *m;

		if (!pool_is_live(&e->rcpts, i))
			continue;
		r = eng_rcpt(e, i);
		m = r->state == R_DONE ? NULL : eng_msg(e, r->msg);
		if (m == NULL || !eng_selects(e, sel, r, m))
			continue;
		eng_view_rcpt(e, i, &rows[have]);
		have++;
	}
	*cursor = i < e->rcpts.next_new ? i : 0;
	return have;
}
