/*
 * engine/eta_clock.c - what opens and shuts by the clock, for an ETA: quotas, the
 * days of young sources, and a tenant's quiet hours. None of it is an outage, and
 * what it does to a line can be reckoned.
 */
#include "engine/eta_i.h"
#include "engine/meter_i.h"
#include "engine/warm_i.h"

#define METERS_LOOK 32u

static const struct flow *
flow_of(const struct eng *e, const struct queue *q)
{
	return pool_at(&e->flows, q->flow);
}

/* ---- quotas -------------------------------------------------------------------- */

/* When the last of n may go, and how many then. */
struct release {
	int64_t at_us;
	uint64_t last;
};

static void
later(struct release *r, int64_t at_us, uint64_t last)
{
	if (at_us <= r->at_us)
		return;
	r->at_us = at_us;
	r->last = last;
}

static void
by_meters(const struct eng *e, const struct meters *m, uint64_t n,
    uint32_t npaths, struct release *r)
{
	uint32_t look = METERS_LOOK;

	if (m->generation != e->generation)
		return;
	for (uint32_t i = m->head; i != 0 && look > 0; look--) {
		const struct charge *k = pool_at(&e->charges, i);
		const struct meter *x = eng_meter(e, k->meter);
		uint64_t part =
		    x->dims >> DIM_SOURCE & 1 ? (n + npaths - 1) / npaths : n;
		uint64_t last;
		int64_t at = eng_quota_when(e, k->meter, part, &last);

		later(r, at, last);
		i = k->next;
	}
}

static void
by_quotas(const struct eng *e, const struct queue *q, uint64_t n,
    struct release *r)
{
	const struct site *s = pool_at(&e->sites, q->home);
	const struct lane *l = pool_at(&e->lanes, q->lane);
	uint32_t look = METERS_LOOK, waiter = q->waiter ? q->waiter : l->waiter;
	uint64_t last;
	int64_t at;

	by_meters(e, &q->meters, n, 1, r);
	for (uint32_t i = s->paths.head; i != 0 && look > 0; look--) {
		const struct path *p = pool_at(&e->paths, i);

		by_meters(e, &p->meters, n, s->paths.n, r);
		i = p->link.next;
	}
	if (waiter != 0) { /* at one that is about more than these */
		const struct waiter *w = pool_at(&e->waiters, waiter);

		at = eng_quota_when(e, w->meter, n, &last);
		later(r, at, last);
	}
}

/* ---- together ------------------------------------------------------------------ */

static bool
is_young(const struct eng *e, const struct queue *q)
{
	const struct lane *l = pool_at(&e->lanes, q->lane);
	const struct epool *pool = eng_lane_looks(e, l);

	for (uint32_t k = 0; pool != NULL && k < pool->n && k < METERS_LOOK;
	     k++) {
		const struct src *s = &e->srcs[pool->src[k]];

		if (s->plan != 0 && (l->pin == 0 || l->pin == s->name))
			return true;
	}
	return false;
}

bool
eta_has_clock(const struct eng *e, const struct queue *q)
{
	bool has_quota = false;

	for (uint32_t k = 0; k < e->policy->ncaps; k++)
		has_quota |= e->policy->caps[k].quota != 0;
	return has_quota || is_young(e, q) ||
	    eng_tenant_conf(e, flow_of(e, q)->tenant)->nquiet != 0;
}

/* The line goes on between what is let through, and what comes last needs its
 * part of the time once it may: little at best, as it may be ready to go. */
static int64_t
let_through(int64_t line_us, uint64_t n, const struct release *r,
    int64_t now_us, enum bound b)
{
	int64_t wait = r->at_us - now_us, last;

	if (wait <= 0)
		return line_us;
	last = eta_mul_div(line_us, r->last, MAX(n, 1u)) * b;
	return MAX(b == AT_LEAST ? 0 : line_us, wait + last);
}

void
eta_by_clock(const struct eng *e, const struct queue *q, uint64_t n,
    int64_t now_us, struct guess *g)
{
	const struct lane *l = pool_at(&e->lanes, q->lane);
	const struct epool *pool = eng_lane_looks(e, l);
	bool young = pool != NULL && is_young(e, q);

	for (int b = 0; b < BOUNDS; b++) {
		struct release r = { .at_us = now_us }, w = r;

		by_quotas(e, q, n, &r);
		if (young)
			w.at_us = eng_warm_when(e, q->lane, pool, n,
			    b == AT_MOST, &w.last);
		later(&r, w.at_us, w.last);
		g->at[b] = let_through(g->at[b], n, &r, now_us, b);
		g->at[b] =
		    eng_quiet_stretch(e, flow_of(e, q), now_us, g->at[b]);
	}
}
