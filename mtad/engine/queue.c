/*
 * engine/queue.c - flows, queues and lanes: where ready recipients stand in
 * line.
 *
 * A queue is (home, flow); its FIFO holds recipients of one state, WAIT when
 * the home is a domain and READY when it is a site. A lane is (site, pool):
 * its queues with something ready, but those that are parked, stand in the
 * rings of its tenants' turns (tenant.c), and it is in its site's `hungry` list
 * exactly while there is one.
 *
 * A queue counts runs of neighbours that have one message and one domain: a
 * run can travel as one transaction, so the sum over a lane tells how many
 * transactions are ready. What is added or removed changes only the
 * comparison with its neighbours.
 */
#include "engine/warm_i.h"

#define ENGAGED_SEED UINT64_C(0x656e6761676564)

static uint64_t
pair(uint32_t a, uint32_t b)
{
	return ((uint64_t)a << 32) | b;
}

/* ---- flows ------------------------------------------------------------------ */

static uint64_t
flow_hash(const struct flow *f)
{
	uint64_t h = hash_u64(((uint64_t)f->pool << 32) | f->tenant);

	h = hash_u64(h ^ (((uint64_t)f->campaign << 8) | f->klass));
	if ((f->sender_domain | f->signing_domain) != 0)
		h = hash_u64(h ^
		    (((uint64_t)f->sender_domain << 32) | f->signing_domain));
	if (f->zone != 0)
		h = hash_u64(h ^ f->zone);
	if (f->is_engaged)
		h = hash_u64(h ^ ENGAGED_SEED);
	return f->pin == 0 ? h : hash_u64(h ^ pair(f->is_sticky, f->pin));
}

static bool
flow_is(const struct flow *a, const struct flow *b)
{
	return a->pool == b->pool && a->tenant == b->tenant &&
	    a->campaign == b->campaign && a->klass == b->klass &&
	    a->sender_domain == b->sender_domain &&
	    a->signing_domain == b->signing_domain && a->pin == b->pin &&
	    a->is_sticky == b->is_sticky && a->zone == b->zone &&
	    a->is_engaged == b->is_engaged;
}

uint32_t
eng_flow_take(struct eng *e, const struct flow *like)
{
	uint64_t h = flow_hash(like);
	uint32_t first = map_get(&e->flow_map, h), i;
	struct flow *f;

	for (i = first; i != 0; i = f->twin) {
		f = pool_at(&e->flows, i);
		if (flow_is(f, like)) {
			f->nrefs++;
			return i;
		}
	}
	f = eng_slot(&e->flows, &i);
	*f = *like;
	f->twin = first;
	f->nrefs = 1;
	ASSERT(map_put(&e->flow_map, h, i) == 0);
	return i;
}

uint32_t
eng_flow_pin(struct eng *e, uint32_t flow, uint32_t source)
{
	struct flow f = *(const struct flow *)pool_at(&e->flows, flow);

	f.pin = source;
	f.is_sticky = false;
	return eng_flow_take(e, &f);
}

/* Takes flow i out of the chain of its hash. */
static void
flow_unchain(struct eng *e, uint32_t i)
{
	struct flow *f = pool_at(&e->flows, i), *p;
	uint64_t h = flow_hash(f);
	uint32_t at = map_get(&e->flow_map, h);

	if (at == i && f->twin == 0) {
		map_del(&e->flow_map, h);
	} else if (at == i) {
		ASSERT(map_put(&e->flow_map, h, f->twin) == 0);
	} else {
		for (p = pool_at(&e->flows, at); p->twin != i;)
			p = pool_at(&e->flows, p->twin);
		p->twin = f->twin;
	}
}

void
eng_flow_drop(struct eng *e, uint32_t flow)
{
	struct flow *f = pool_at(&e->flows, flow);

	if (--f->nrefs > 0)
		return;
	flow_unchain(e, flow);
	pool_give(&e->flows, flow);
}

/* ---- lanes ------------------------------------------------------------------- */

static uint64_t
lane_key(const struct lane *l)
{
	uint64_t key = pair(l->site, l->pool_name);

	if (l->is_engaged)
		key ^= hash_u64(ENGAGED_SEED);
	return l->pin == 0 ? key : key ^ hash_u64(pair(l->is_sticky, l->pin));
}

static bool
lane_is(const struct lane *l, uint32_t site, const struct flow *f)
{
	return l->site == site && l->pool_name == f->pool && l->pin == f->pin &&
	    l->is_sticky == f->is_sticky && l->is_engaged == f->is_engaged;
}

static uint32_t
lane_get(struct eng *e, uint32_t site, const struct flow *f)
{
	uint64_t key = lane_key(&(struct lane){ .site = site,
	    .pool_name = f->pool,
	    .pin = f->pin,
	    .is_sticky = f->is_sticky,
	    .is_engaged = f->is_engaged });
	uint32_t first = map_get(&e->lane_map, key), i;
	struct site *s = pool_at(&e->sites, site);
	struct lane *l;

	for (i = first; i != 0; i = l->twin) {
		l = pool_at(&e->lanes, i);
		if (lane_is(l, site, f))
			return i;
	}
	l = eng_slot(&e->lanes, &i);
	l->site = site;
	l->pool_name = f->pool;
	l->pin = f->pin;
	l->is_sticky = f->is_sticky;
	l->is_engaged = f->is_engaged;
	l->twin = first;
	l->counted_us = e->now;
	/* Sources take turns also for a site that is seen now and then, whose
	 * lane is new each time. */
	l->cursor = (uint32_t)hash_u64(e->totals.sessions_total);
	eng_lane_ready(l);
	ASSERT(map_put(&e->lane_map, key, i) == 0);
	il_push_tail(K_LANE(e), &s->lanes, i);
	eng_site_hold(e, site);
	return i;
}

/* Takes the lane out of the chain of its key. */
static void
lane_unchain(struct eng *e, uint32_t lane)
{
	struct lane *l = pool_at(&e->lanes, lane), *p;
	uint64_t key = lane_key(l);
	uint32_t at = map_get(&e->lane_map, key);

	if (at == lane && l->twin == 0) {
		map_del(&e->lane_map, key);
	} else if (at == lane) {
		ASSERT(map_put(&e->lane_map, key, l->twin) == 0);
	} else {
		for (p = pool_at(&e->lanes, at); p->twin != lane;)
			p = pool_at(&e->lanes, p->twin);
		p->twin = l->twin;
	}
}

void
eng_lane_give_if_empty(struct eng *e, uint32_t lane)
{
	struct lane *l = pool_at(&e->lanes, lane);
	struct site *s = pool_at(&e->sites, l->site);
	uint32_t site = l->site;

	if (l->nqueues != 0 || l->pending != 0)
		return;
	ASSERT(l->ngroups == 0 && l->nring == 0);
	eng_lane_unwait(e, lane);
	eng_unwait(e, &l->waiter);
	eng_lane_warm_unwait(e, l, lane);
	if (l->claim != 0)
		eng_claim_end(e, l);
	if (l->is_kicked)
		il_remove(K_KICK(e), &e->kicks, lane);
	lane_unchain(e, lane);
	il_remove(K_LANE(e), &s->lanes, lane);
	pool_give(&e->lanes, lane);
	eng_site_drop(e, site);
}

void
eng_lane_kick(struct eng *e, uint32_t lane)
{
	struct lane *l = pool_at(&e->lanes, lane);

	if (l->is_kicked || l->is_parked)
		return;
	l->is_kicked = true;
	il_push_tail(K_KICK(e), &e->kicks, lane);
}

void
eng_lane_unwait(struct eng *e, uint32_t lane)
{
	struct lane *l = pool_at(&e->lanes, lane);
	struct host *h;

	eng_timer_cancel(e, &l->timer);
	if (l->wait_host != 0) {
		h = pool_at(&e->hosts, l->wait_host);
		il_remove(K_WAITER(e), &h->waiters, lane);
		l->wait_host = 0;
	}
	if (l->in_limit != 0) {
		il_remove(K_LIMIT(e), &e->limit[l->in_limit - 1], lane);
		l->in_limit = 0;
	}
}

void
eng_lane_unpark(struct eng *e, uint32_t lane)
{
	eng_lane_ready(pool_at(&e->lanes, lane));
	eng_lane_wake(e, lane);
}

void
eng_lane_wake(struct eng *e, uint32_t lane)
{
	struct lane *l = pool_at(&e->lanes, lane);

	eng_lane_unwait(e, lane);
	eng_lane_count(e, l);
	l->is_parked = false;
	l->why = WHY_NONE;
	l->until_us = 0;
	if (l->nring != 0)
		eng_lane_kick(e, lane);
}

/* ---- queues ------------------------------------------------------------------ */

uint32_t
eng_queue_get(struct eng *e, uint32_t home, uint32_t flow)
{
	uint32_t i = map_get(&e->queue_map, pair(home, flow));
	struct flow *f = pool_at(&e->flows, flow);
	struct queue *q;

	if (i != 0)
		return i;
	q = eng_slot(&e->queues, &i);
	q->home = home;
	q->flow = flow;
	f->nrefs++;
	ASSERT(map_put(&e->queue_map, pair(home, flow), i) == 0);
	if (home & HOME_DOM) {
		struct dom *d = pool_at(&e->doms, home & ~HOME_DOM);

		il_push_tail(K_QUEUE(e), &d->waiting, i);
		return i;
	}
	q->lane = lane_get(e, home, f);
	((struct lane *)pool_at(&e->lanes, q->lane))->nqueues++;
	q->turn = eng_turn_take(e, q->lane, f->tenant, f->klass != 0);
	q->oldest_us = e->now;
	il_push_tail(K_QUEUE(e), &e->idle_queues, i);
	return i;
}

/* An empty queue, out of every list. */
static void
queue_free(struct eng *e, uint32_t i)
{
	struct queue *q = pool_at(&e->queues, i);
	uint32_t lane = q->lane, turn = q->turn;

	ASSERT(q->depth == 0 && q->fifo.n == 0 && q->ngroups == 0);
	ASSERT(q->park == 0);
	eng_unwait(e, &q->waiter);
	eng_meters_drop(e, &q->meters);
	eng_study_end(e, i);
	map_del(&e->queue_map, pair(q->home, q->flow));
	eng_flow_drop(e, q->flow);
	pool_give(&e->queues, i);
	if (lane != 0) {
		eng_turn_drop(e, turn);
		((struct lane *)pool_at(&e->lanes, lane))->nqueues--;
		eng_lane_give_if_empty(e, lane);
	}
}

void
eng_queue_depth_add(struct eng *e, uint32_t i)
{
	struct queue *q = pool_at(&e->queues, i);

	if (q->depth == 0 && q->lane != 0) {
		il_remove(K_QUEUE(e), &e->idle_queues, i);
		q->oldest_us = 0;
	}
	q->depth++;
	if (q->study != 0 || q->depth > 1)
		eng_study_came(e, i);
}

void
eng_queue_depth_sub(struct eng *e, uint32_t i)
{
	struct queue *q = pool_at(&e->queues, i);

	ASSERT(q->depth > 0);
	if (--q->depth > 0)
		return;
	if (q->lane != 0) {
		q->oldest_us = e->now;
		il_push_tail(K_QUEUE(e), &e->idle_queues, i);
	} else {
		struct dom *d = pool_at(&e->doms, q->home & ~HOME_DOM);

		il_remove(K_QUEUE(e), &d->waiting, i);
		queue_free(e, i);
	}
}

void
eng_queues_idle_run(struct eng *e)
{
	for (int left = SLICE; left > 0 && e->idle_queues.n != 0; left--) {
		uint32_t i = e->idle_queues.head;
		struct queue *q = pool_at(&e->queues, i);

		if (q->oldest_us + IDLE_US > e->now)
			return;
		il_remove(K_QUEUE(e), &e->idle_queues, i);
		queue_free(e, i);
	}
}

/* ---- the line of a queue ------------------------------------------------------- */

/* 1 when two neighbours can share a transaction; 0 stands for no neighbour. */
static uint32_t
same(struct eng *e, uint32_t a, uint32_t b)
{
	const struct rcpt *x, *y;

	if (a == 0 || b == 0)
		return 0;
	e->totals.comparisons_total++;
	x = eng_rcpt(e, a);
	y = eng_rcpt(e, b);
	return x->msg == y->msg && x->dom == y->dom;
}

/* How many runs more there are with i between its two neighbours than
 * without it: 1, 0 or 2 (it splits a run). One that is alone is not held
 * against its neighbours, which may lie far. */
static uint32_t
runs_of(struct eng *e, uint32_t i)
{
	const struct rcpt *r = eng_rcpt(e, i);
	uint32_t prev = r->link.prev, next = r->link.next;
	uint32_t runs = 1 + same(e, prev, next);

	if (eng_msg_has_one(eng_msg(e, r->msg)))
		return runs;
	return runs - same(e, prev, i) - same(e, i, next);
}

/* With something ready it takes part. */
static void
ring_enter(struct eng *e, uint32_t qi)
{
	struct queue *q = pool_at(&e->queues, qi);
	struct lane *l = pool_at(&e->lanes, q->lane);
	struct site *s;

	if (l->nring++ == 0) {
		s = pool_at(&e->sites, l->site);
		il_push_tail(K_HUNGRY(e), &s->hungry, q->lane);
		if (l->is_engaged)
			eng_claim_begin(e, q->lane);
	}
	eng_turn_push(e, qi);
}

static void
ring_leave(struct eng *e, uint32_t qi)
{
	struct queue *q = pool_at(&e->queues, qi);
	struct lane *l = pool_at(&e->lanes, q->lane);
	struct site *s;

	eng_turn_remove(e, qi);
	if (--l->nring != 0)
		return;
	s = pool_at(&e->sites, l->site);
	il_remove(K_HUNGRY(e), &s->hungry, q->lane);
	if (l->is_engaged && l->claim != 0)
		eng_claim_end(e, l);
	/* What is not hungry is not woken: nor may it stay parked. */
	if (l->is_parked)
		eng_lane_wake(e, q->lane);
}

void
eng_queue_park(struct eng *e, uint32_t qi, enum eng_why why, int64_t until_us,
    uint32_t by)
{
	struct queue *q = pool_at(&e->queues, qi);
	struct lane *l = pool_at(&e->lanes, q->lane);
	struct park *k;

	ASSERT(q->lane != 0 && q->fifo.n != 0);
	if (q->park == 0) {
		k = eng_slot(&e->parks, &q->park);
		k->queue = qi;
		k->counted_us = e->now;
		eng_lane_count(e, l);
		l->nready -= q->fifo.n;
		l->ngroups -= q->ngroups;
		ring_leave(e, qi);
	} else {
		k = pool_at(&e->parks, q->park);
		eng_park_count(e, k);
		eng_timer_cancel(e, &k->timer);
	}
	k->why = (uint8_t)why;
	k->by = by;
	k->until_us = until_us;
	if (until_us > e->now)
		eng_timer_set(e, &k->timer, TIMER_QUEUE, q->park, until_us);
}

void
eng_queue_unpark(struct eng *e, uint32_t qi)
{
	struct queue *q = pool_at(&e->queues, qi);
	struct lane *l = pool_at(&e->lanes, q->lane);
	struct park *k = pool_at(&e->parks, q->park);

	eng_park_count(e, k);
	eng_timer_cancel(e, &k->timer);
	pool_give(&e->parks, q->park);
	q->park = 0;
	if (q->fifo.n == 0)
		return;
	eng_lane_count(e, l);
	l->nready += q->fifo.n;
	l->ngroups += q->ngroups;
	ring_enter(e, qi);
	eng_lane_kick(e, q->lane);
}

void
eng_fifo_push(struct eng *e, uint32_t qi, uint32_t i, bool at_head)
{
	struct queue *q = pool_at(&e->queues, qi);
	struct lane *l;
	uint32_t runs;

	if (q->park != 0)
		eng_park_count(e, pool_at(&e->parks, q->park));
	if (at_head)
		il_push_head(K_FIFO(e), &q->fifo, i);
	else
		il_push_tail(K_FIFO(e), &q->fifo, i);
	runs = runs_of(e, i);
	q->ngroups += runs;
	if (q->home & HOME_DOM) {
		struct dom *d = pool_at(&e->doms, q->home & ~HOME_DOM);

		d->nwaiting++;
		return;
	}
	if (q->park != 0)
		return;
	l = pool_at(&e->lanes, q->lane);
	eng_lane_count(e, l);
	l->nready++;
	l->ngroups += runs;
	if (q->fifo.n == 1)
		ring_enter(e, qi);
	eng_lane_kick(e, q->lane);
}

void
eng_fifo_remove(struct eng *e, uint32_t qi, uint32_t i)
{
	struct queue *q = pool_at(&e->queues, qi);
	uint32_t runs = runs_of(e, i);
	struct lane *l;

	if (q->park != 0)
		eng_park_count(e, pool_at(&e->parks, q->park));
	il_remove(K_FIFO(e), &q->fifo, i);
	q->ngroups -= runs;
	if (q->home & HOME_DOM) {
		struct dom *d = pool_at(&e->doms, q->home & ~HOME_DOM);

		d->nwaiting--;
		return;
	}
	if (q->park != 0) {
		if (q->fifo.n == 0)
			eng_queue_unpark(e, qi);
		return;
	}
	l = pool_at(&e->lanes, q->lane);
	eng_lane_count(e, l);
	l->nready--;
	l->ngroups -= runs;
	if (q->fifo.n == 0)
		ring_leave(e, qi);
}
