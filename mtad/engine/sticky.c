/*
 * engine/sticky.c - pools where all mail of a domain leaves by one source.
 *
 * Which one follows from the texts of the two names and the weights alone: each
 * source of the pool draws a lot for the domain, and the best one has it. So it
 * is the same after a restart and on every node, and a source that comes or goes
 * takes its own domains along and no others.
 *
 * A lot is the time until something happens that does so at a rate, the weight:
 * the first of many has a share that is its weight's. -log2 of a uniform number
 * over the weight is such a time.
 *
 * Mail is pinned to that source as what has been greylisted is (struct flow).
 * After a reload what is in line finds out when it comes to the front of it: the
 * source may have left the pool, or the pool be sticky no more.
 */
#include "engine/standing_i.h"
#include "engine/sticky_i.h"

#define LOG_BITS 24

/* -log2(u / 2^32), of which LOG_BITS behind the point; u is not 0. */
static uint64_t
minus_log2(uint32_t u)
{
	int zeros = __builtin_clz(u);
	uint64_t x = (uint64_t)u << zeros, part = 0;

	/* x / 2^31 is in [1, 2): squared, it says the next bit. */
	for (int k = 0; k < LOG_BITS; k++) {
		x = x * x >> 31;
		part = part << 1 | x >> 32;
		x >>= x >> 32;
	}
	return ((uint64_t)(zeros + 1) << LOG_BITS) - part;
}

/* The place in the pool of the domain's source, which has one; of those by which
 * mail may leave for the site (0: all). -1: it leaves by none of them. */
static int
place_of(const struct eng *e, const struct epool *p, uint64_t domain,
    uint32_t site)
{
	uint64_t best = 0, weight = 1;
	bool has = false;
	uint16_t at = 0;

	for (uint16_t k = 0; k < p->nown; k++) {
		const struct src *s = &e->srcs[p->src[k]];
		uint64_t hash = e->policy->sources[s->conf].hash;
		uint32_t u = (uint32_t)(hash_u64(domain ^ hash) >> 32) | 1;
		uint64_t lot;

		/* -log2 u > 1 - u: most lots need not be looked at closely. */
		if (has &&
		    (uint64_t)(~u >> (32 - LOG_BITS)) * weight >=
			best * p->weight[k])
			continue;
		lot = minus_log2(u);
		if (has && lot * weight >= best * p->weight[k])
			continue;
		if (site != 0 && eng_source_is_left(e, p->src[k], site))
			continue;
		has = true;
		best = lot;
		weight = p->weight[k];
		at = k;
	}
	return has ? at : -1;
}

/* The same, of all where there is no other. */
static uint32_t
best_of(const struct eng *e, const struct epool *p, const struct dom *d)
{
	int at = -1;

	if (eng_acts(e, ACT_OTHER))
		at = place_of(e, p, d->hash, d->site);
	if (at < 0)
		at = place_of(e, p, d->hash, 0);
	return e->srcs[p->src[at]].name;
}

/* The name of the source that the domain sticks to in a pool; 0: to none. */
static uint32_t
stick_of(struct eng *e, struct dom *d, uint32_t pool_name)
{
	uint32_t name = pool_name ? pool_name : e->policy->default_pool;
	/* Both only rise. */
	uint32_t generation = e->generation + e->kinds.others;
	const struct epool *p = NULL;

	if (!e->has_sticky)
		return 0;
	if (d->stick_generation == generation && d->stick_pool == name)
		return d->stick;
	for (uint32_t k = 0; k < e->npools; k++)
		if (e->pools[k].name == name)
			p = &e->pools[k];
	d->stick = 0;
	if (p != NULL && p->is_sticky && p->nown != 0)
		d->stick = best_of(e, p, d);
	d->stick_pool = name;
	d->stick_generation = generation;
	return d->stick;
}

/* A pin that is there for another reason does where nothing sticks. */
static bool
is_pinned_to(uint32_t stick, uint32_t pin, bool is_sticky)
{
	return stick == 0 ? !is_sticky : is_sticky && pin == stick;
}

uint32_t
eng_rcpt_queue(struct eng *e, uint32_t i, uint32_t site)
{
	const struct rcpt *r = eng_rcpt(e, i);
	uint32_t flow = eng_rcpt_flow(e, r), queue;
	const struct flow *like = pool_at(&e->flows, flow);
	uint32_t stick;
	struct flow f;

	if (!e->has_sticky && !like->is_sticky)
		return eng_queue_get(e, site, flow);
	stick = stick_of(e, pool_at(&e->doms, r->dom), like->pool);
	if (is_pinned_to(stick, like->pin, like->is_sticky))
		return eng_queue_get(e, site, flow);
	f = *like;
	f.pin = stick;
	f.is_sticky = stick != 0;
	f.nrefs = 0;
	flow = eng_flow_take(e, &f);
	queue = eng_queue_get(e, site, flow);
	eng_flow_drop(e, flow);
	return queue;
}

bool
eng_lane_suits(struct eng *e, struct lane *l, uint32_t i)
{
	struct dom *d = pool_at(&e->doms, eng_rcpt(e, i)->dom);

	return is_pinned_to(stick_of(e, d, l->pool_name), l->pin, l->is_sticky);
}

bool
eng_lane_release(struct eng *e, uint32_t lane)
{
	struct lane *l = pool_at(&e->lanes, lane);
	uint32_t i;

	if (l->is_sticky || eng_lane_pool(e, l) == NULL || l->pin_src == 0 ||
	    !eng_source_is_left(e, l->pin_src, l->site))
		return false;
	i = ((const struct queue *)pool_at(&e->queues, eng_lane_next(e, l)))
		->fifo.head;
	eng_rcpt_leave(e, i);
	eng_rcpt_pin(e, i, 0);
	eng_rcpt_place(e, i, false);
	return true;
}

bool
eng_lane_restick(struct eng *e, uint32_t lane)
{
	struct lane *l = pool_at(&e->lanes, lane);
	uint32_t q = eng_lane_next(e, l), i;

	i = ((const struct queue *)pool_at(&e->queues, q))->fifo.head;
	if (eng_lane_suits(e, l, i))
		return false;
	eng_rcpt_leave(e, i);
	eng_rcpt_place(e, i, false);
	return true;
}
