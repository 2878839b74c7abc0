/*
 * engine/check.c - the full audit: every count against what it counts, every
 * waiting recipient against its wake. For tests; walks everything.
 */
#include "engine/standing_i.h"
#include "engine/warm_i.h"

struct sums {
	uint64_t state[R_STATES];
	uint64_t live;
	uint32_t opening, strangers;
	/* In lanes, and in their turns; turns that take part, and weights. */
	uint64_t nready, nring, ready, ring, weight, weights;
};

static void
check_rcpt(const struct eng *e, uint32_t i, struct sums *t)
{
	const struct rcpt *r = eng_rcpt(e, i);
	const struct msg *m;

	t->state[r->state]++;
	ASSERT(r->state != R_NONE);
	if (r->state == R_DONE)
		return;
	t->live++;
	m = eng_msg(e, r->msg);
	ASSERT(m != NULL && m->nlive > 0);
	ASSERT(pool_is_live(&e->doms, r->dom));
	ASSERT(pool_is_live(&e->queues, r->queue));
	/* A recipient that waits has a timer: at the latest its expiry. */
	ASSERT((r->state == R_ASSIGNED) != wheel_is_set(&e->wheel, i));
}

static void
check_queue(const struct eng *e, const struct queue *q)
{
	const struct lane *l;

	ASSERT(q->depth == q->fifo.n + q->ndeferred + q->nheld + q->ninflight);
	ASSERT((q->fifo.n == 0) == (q->ngroups == 0));
	ASSERT(q->ngroups <= q->fifo.n);
	if (q->home & HOME_DOM)
		return;
	l = pool_at(&e->lanes, q->lane);
	ASSERT(q->fifo.n == 0 || q->park != 0 || l->nring != 0);
	if (q->park != 0) {
		const struct park *k = pool_at(&e->parks, q->park);

		/* No lost wake: its time, or its owner. */
		ASSERT(q->fifo.n != 0);
		ASSERT(heap_has(&k->timer.node) || k->by != 0);
		ASSERT(k->why != WHY_CAP || q->waiter != 0);
	}
}

/* A source that is not to be asked has a path that refused, and says when that
 * may be over. */
static void
check_ready(const struct eng *e, const struct lane *l)
{
	const struct epool *p;

	if (l->generation != e->generation || l->pool == POOL_NONE)
		return;
	p = &e->pools[l->pool];
	for (uint32_t k = 0; k < p->n; k++) {
		uint32_t path = eng_path_find(e, l->site, p->src[k]);

		if (l->ready[k / 64] >> (k % 64) & 1)
			continue;
		if (e->srcs[p->src[k]].plan != 0 &&
		    (l->wait_warm != 0 || l->claim != 0))
			continue;
		/* It is down, or all are about to look again. */
		if (e->srcs[p->src[k]].is_down || e->conf_lane != 0)
			continue;
		ASSERT(path != 0);
		ASSERT(((struct path *)pool_at(&e->paths, path))->shut !=
		    WHY_NONE);
	}
}

/* It will be woken: one that has been told and has looked will not. */
static bool
waits(const struct eng *e, uint32_t waiter)
{
	return waiter != 0 &&
	    (!eng_waiter_is_told(e, waiter) ||
		((const struct waiter *)pool_at(&e->waiters, waiter))->list !=
		    LIST_NONE);
}

/* No lost wake: a lane with ready mail is about to be pumped, is parked with a
 * wake, has sessions on their way, or is served by sessions that are busy or
 * by a path with a timer. */
static void
check_lane(const struct eng *e, const struct lane *l, struct sums *t)
{
	const struct site *s = pool_at(&e->sites, l->site);
	bool wakes = l->is_kicked || l->pending != 0 || s->nsess != 0 ||
	    heap_has(&l->timer.node) || l->wait_host != 0 || l->in_limit != 0 ||
	    l->wait_warm != 0 || (!l->is_engaged && l->claim != 0) ||
	    e->is_disk_full || waits(e, l->waiter);

	for (uint32_t i = s->paths.head; i != 0 && !wakes;) {
		const struct path *p = pool_at(&e->paths, i);

		wakes = heap_has(&p->timer.node) || waits(e, p->waiter) ||
		    p->standing != 0;
		i = p->link.next;
	}
	ASSERT(!l->is_engaged || l->claim == 0 || l->nring != 0);
	t->nready += l->nready;
	t->nring += l->nring;
	t->weights += l->scales[0].weight + l->scales[1].weight;
	for (int band = 0; band < 2; band++)
		if (l->turns[band] != 0) {
			const struct turn *u =
			    pool_at(&e->turns, l->turns[band]);

			ASSERT(u->prev == 0 && u->next == 0);
			ASSERT(u->ring.n != 0 && u->band == band);
		}
	ASSERT((l->nring != 0) == ((l->turns[0] | l->turns[1]) != 0));
	check_ready(e, l);
	ASSERT(l->counted_us <= e->now);
	ASSERT(l->nring != 0 || !l->is_parked);
	/* When a host is skipped no more all look again. */
	wakes |= eng_acts(e, ACT_SKIP) && l->why == WHY_SUSPENDED;
	wakes |= e->conf_lane != 0;
	wakes |= l->why == WHY_PROXY; /* its source comes up: eng_on_source */
	ASSERT(l->nring == 0 || wakes || l->why == WHY_NO_SOURCE);
}

/* A turn stands in its lane's heap exactly while it has a ring. */
static void
check_turn(const struct eng *e, uint32_t i, struct sums *t)
{
	const struct turn *u = pool_at(&e->turns, i);
	const struct lane *l = pool_at(&e->lanes, u->lane);
	const struct turn *p = pool_at(&e->turns, u->prev);

	ASSERT(u->nqueues >= u->ring.n && u->weight > 0);
	if (u->ring.n == 0) {
		ASSERT((u->child | u->next | u->prev) == 0);
		return;
	}
	ASSERT(u->prev != 0 ? p->child == i || p->next == i :
			      l->turns[u->band] == i);
	t->weight += u->weight;
	t->ring += u->ring.n;
	for (uint32_t k = u->ring.head; k != 0;) {
		const struct queue *q = pool_at(&e->queues, k);

		ASSERT(q->turn == i && q->lane == u->lane && q->park == 0);
		t->ready += q->fifo.n;
		k = q->link.next;
	}
}

static void
check_path(const struct eng *e, const struct path *p)
{
	const struct site *s = pool_at(&e->sites, p->site);

	ASSERT(p->shut < ENG_WHY_N && p->shut_us <= e->now);
	ASSERT(p->nsess == p->sessions.n && p->nopening <= p->nsess);
	ASSERT(p->nsess <= s->nsess);
	ASSERT(p->is_idle == (p->nsess == 0 && p->inflight == 0));
}

static void
check_sess(const struct eng *e, const struct sess *x)
{
	const struct path *p = pool_at(&e->paths, x->path);

	ASSERT(x->txns.n <= AHEAD_MAX);
	ASSERT(x->level == LEVEL_NONE || x->level == x->txns.n);
	ASSERT(x->promises == 0 || x->state == SESS_OPENING);
	ASSERT(p->inflight >= x->txns.n);
	ASSERT((x->lane != 0) == (x->state == SESS_OPENING));
}

/* Transactions that a rate has room for now. */
static int64_t
room_of(const struct eng *e, const struct bucket *b, const struct eng_rate *r)
{
	int64_t max = r->period_us * (int64_t)MAX(r->burst, UINT64_C(1));
	int64_t passed = e->now - b->at_us, count = (int64_t)r->count;

	if (passed > (max - b->credit) / count)
		return max / r->period_us;
	return MAX(b->credit + passed * count, 0) / r->period_us;
}

/* What is free while somebody stands in line has been kept for somebody: where
 * nothing but a rate refuses, it can be told from outside. */
static void
check_free(const struct eng *e, const struct meter *m)
{
	const struct eng_limit_conf *c;
	const struct line *ln = &m->line[LINE_SEND];

	if (ln->n == 0 || ln->rest_until_us > e->now || e->conf_waiter != 0 ||
	    e->is_disk_full || m->generation != e->generation ||
	    m->cap == CAP_NONE)
		return;
	c = &e->policy->caps[m->cap];
	if (c->msgs.count == 0 || c->conns_max != 0 || c->ramp.count != 0 ||
	    (c->rcpts.count | c->bytes.count | c->quota) != 0)
		return;
	ASSERT(room_of(e, &m->msgs, &c->msgs) <= (int64_t)ln->told.n);
}

/* Who waits for a limit is woken by it: at a time, by what is given back, or by
 * word that its entry is durable. What is promised or held is held by somebody. */
static void
check_meter(const struct eng *e, const struct meter *m, uint32_t waiters)
{
	ASSERT(m->line[LINE_SEND].n + m->line[LINE_OPEN].n +
		m->line[LINE_SEND].told.n + m->line[LINE_OPEN].told.n ==
	    waiters);
	for (int k = 0; k < LINES; k++) {
		const struct line *ln = &m->line[k];

		ASSERT((ln->n == 0) == (ln->shares.n == 0));
		ASSERT(ln->n == 0 || heap_has(&m->timer.node) ||
		    ln->told.n != 0 || m->conns != 0 || m->is_asking ||
		    e->conf_waiter != 0);
		ASSERT(ln->told.n == 0 || heap_has(&m->timer.node));
	}
	ASSERT(m->nrefs != 0 || heap_has(&m->timer.node));
	check_free(e, m);
}

/* Who was told looks in the same step; only a session has it for longer. */
static void
check_waiter(const struct eng *e, const struct waiter *w)
{
	ASSERT(w->is_told || w->list == LIST_NONE);
	ASSERT(!w->is_told || w->list != LIST_NONE || w->kind == WAITER_SESS);
	ASSERT(w->kind != WAITER_SESS ||
	    ((const struct sess *)pool_at(&e->sessions, w->index))->state ==
		SESS_OPENING);
}

static void
check_meters(const struct eng *e)
{
	uint32_t *n = mem_get(((size_t)e->meters.next_new + 1) * sizeof(*n));

	for (uint32_t i = 1; i < e->waiters.next_new; i++)
		if (pool_is_live(&e->waiters, i)) {
			const struct waiter *w = pool_at(&e->waiters, i);

			check_waiter(e, w);
			n[w->meter]++;
		}
	for (uint32_t i = 1; i < e->meters.next_new; i++)
		if (pool_is_live(&e->meters, i))
			check_meter(e, eng_meter(e, i), n[i]);
	mem_free(n);
}

/* Without a domain, a site and a message there is nothing else. */
static void
check_base(const struct eng *e)
{
	if (e->doms.live != 0 || e->sites.live != 0 || e->totals.messages != 0)
		return;
	ASSERT(e->rcpts.live == 0 && e->flows.live == 0);
	ASSERT(e->hosts.live == 0 || e->meters.live != 0); /* of hosts */
	ASSERT(e->queues.live == 0 && e->lanes.live == 0);
	ASSERT(e->turns.live == 0 && e->parks.live == 0);
	ASSERT(e->paths.live == 0 && e->sessions.live == 0);
	ASSERT(e->txns.live == 0 && e->marks.live == 0 && e->adapts.live == 0);
	ASSERT(e->charges.live == 0 && e->waiters.live == 0);
	ASSERT(
	    e->claims.live == 0 && e->prizes.live == 0 && e->delays.live == 0);
	ASSERT(e->meters.live != 0 || e->standings.live != 0 ||
	    e->tallies.live != 0 || heap_peek(&e->timers) == NULL);
	ASSERT(wheel_next(&e->wheel) == TIME_NEVER);
	ASSERT(e->nstrangers == 0 && e->nclosing == 0);
}

/* Who waits for a young source has a wake: the word that more is kept, its next
 * hour or day, a session that is to come up, or it looks now. */
static void
check_warm(const struct eng *e, const struct warm *w)
{
	bool wakes = w->is_pending || w->is_hot || w->nopening != 0 ||
	    heap_has(&w->timer.node);

	ASSERT(w->sent <= w->granted && w->granted <= w->asked);
	ASSERT(w->lanes.n == 0 || wakes);
	ASSERT(w->paths.n == 0 || w->is_pending || w->is_hot);
	ASSERT(w->plan <= e->policy->nwarmups);
}

/* Who waits for the end of claims is told of it. */
static void
check_prize(const struct eng *e, const struct prize *z)
{
	ASSERT(z->claims.n != 0 || z->others.n != 0 || z->is_over);
	ASSERT(z->others.n == 0 || z->is_over || heap_has(&z->timer.node));
	ASSERT(!z->is_over || e->prizes_over.n != 0);
}

#define EACH(pool, i)                                                          \
	for (uint32_t i = 1; i < (pool).next_new; i++)                         \
		if (pool_is_live(&(pool), i))

void
eng_check(const struct eng *e)
{
	struct sums t = { 0 };

	EACH(e->rcpts, i)
	check_rcpt(e, i, &t);
	for (int k = 0; k < R_STATES; k++)
		ASSERT(t.state[k] == e->nstate[k]);
	ASSERT(t.live == e->totals.recipients);
	EACH(e->queues, i)
	check_queue(e, pool_at(&e->queues, i));
	EACH(e->lanes, i)
	check_lane(e, pool_at(&e->lanes, i), &t);
	EACH(e->turns, i)
	check_turn(e, i, &t);
	ASSERT(t.nready == t.ready && t.nring == t.ring);
	ASSERT(t.weights == t.weight);
	EACH(e->paths, i)
	check_path(e, pool_at(&e->paths, i));
	EACH(e->sessions, i)
	{
		const struct sess *x = pool_at(&e->sessions, i);

		check_sess(e, x);
		t.opening += x->state == SESS_OPENING;
		t.strangers += x->is_stranger;
		ASSERT(!x->is_stranger || x->ndone == 0);
	}
	check_meters(e);
	EACH(e->warms, i)
	check_warm(e, pool_at(&e->warms, i));
	EACH(e->prizes, i)
	check_prize(e, pool_at(&e->prizes, i));
	ASSERT(t.opening == e->opening.n && t.strangers == e->nstrangers);
	check_base(e);
}
