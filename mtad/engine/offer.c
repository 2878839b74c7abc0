/*
 * engine/offer.c - what a lane has for a path, by the limits of the policy.
 *
 * A queue that a limit of its own refuses is parked there, out of the lane's
 * ring, and the next one is looked at; a path that is refused waits itself. What
 * only the two together may not do is left for another source, if there is one.
 */
#include "engine/engine_i.h"

/* Queues that an offer looks at when limits that speak of more than a queue
 * refuse one after the other. */
#define OFFER_MAX 16

struct asker
eng_asker(const struct eng *e, uint32_t lane, uint32_t queue, uint32_t path)
{
	const struct queue *q = pool_at(&e->queues, queue);
	const struct rcpt *r = eng_rcpt(e, q->fifo.head);
	const struct path *p = path != 0 ? pool_at(&e->paths, path) : NULL;

	return (struct asker){ .lane = lane,
		.queue = queue,
		.path = path,
		.src = p != NULL ? p->src : 0,
		.bytes = eng_msg_bytes(eng_msg(e, r->msg)) };
}

/* Some other source of the pool may have it; else *r is the refusal that ends
 * first. */
static bool
is_for_another(struct eng *e, uint32_t lane, struct asker a, struct refusal *r)
{
	struct lane *l = pool_at(&e->lanes, lane);
	const struct epool *pool = eng_lane_pool(e, l);
	struct refusal k;

	a.path = 0;
	for (uint16_t i = 0; pool != NULL && i < pool->n; i++) {
		if (pool->src[i] == a.src ||
		    !eng_lane_serves(e, l, &e->srcs[pool->src[i]]))
			continue;
		a.src = pool->src[i];
		e->totals.decisions_total++;
		if (eng_caps_allow(e, &a, LINE_SEND, &k))
			return true;
		if (k.until_us < r->until_us)
			*r = k;
	}
	return false;
}

/* Does it go only on a session that has nothing to do, while one may be had? */
static bool
must_be_idle(struct eng *e, uint32_t queue, struct path *p)
{
	const struct eng_shape *s = eng_path_shape(e, p);

	if (p->level == 0 || (s->conns_max && p->nsess >= s->conns_max))
		return false;
	return eng_path_meters(e, p)->is_metered ||
	    eng_queue_meters(e, pool_at(&e->queues, queue))->is_metered;
}

uint32_t
eng_lane_offer(struct eng *e, uint32_t lane, uint32_t path)
{
	struct lane *l = pool_at(&e->lanes, lane);
	struct path *p = pool_at(&e->paths, path);
	struct refusal r;
	struct asker a;
	uint32_t next;

	eng_lane_hush(e, l);
	next = eng_lane_next(e, l);
	if (next == 0 || !eng_caps_concern(e, p, l, pool_at(&e->queues, next)))
		return next;
	for (int left = OFFER_MAX, n = 0; l->nring != 0 && left > 0; n++) {
		uint32_t si = p->room[p->level].head, q;
		const struct sess *x = pool_at(&e->sessions, si);

		eng_lane_hush(e, l);
		q = eng_lane_next(e, l);
		if (q == 0 || must_be_idle(e, q, p))
			break;
		/* The path's own gate and the first of these are one. */
		e->totals.decisions_total += n != 0;
		if (eng_queue_stands_aside(e, q, si))
			continue;
		a = eng_asker(e, lane, q, path);
		a.host = x->host;
		a.sess = si;
		if (eng_caps_allow(e, &a, LINE_SEND, &r))
			return q;
		if (r.level == CAP_PATH || r.level == CAP_HOST) {
			eng_path_wait(e, path, &r, &a);
			break;
		}
		if (r.level == CAP_BOTH && is_for_another(e, lane, a, &r)) {
			if (p->waiter == 0)
				eng_wait(e, WAITER_PATH, path, &r, &a);
			eng_lane_skip(e, q);
			left--;
			continue;
		}
		eng_wait(e, WAITER_QUEUE, q, &r, &a);
	}
	eng_lane_unskip(e);
	return 0;
}

bool
eng_lane_admits(struct eng *e, uint32_t lane)
{
	struct lane *l = pool_at(&e->lanes, lane);
	struct refusal r;
	uint32_t q;

	eng_lane_hush(e, l);
	if (e->caps_at[CAP_QUEUE] == 0)
		return l->nring != 0;
	while ((q = eng_lane_next(e, l)) != 0) {
		struct asker a;

		if (eng_waiter_is_roused(e,
			((struct queue *)pool_at(&e->queues, q))->waiter))
			return true;
		if (eng_queue_stands_aside(e, q, 0))
			continue;
		a = eng_asker(e, lane, q, 0);
		e->totals.decisions_total++;
		if (eng_caps_allow(e, &a, LINE_SEND, &r))
			return true;
		eng_wait(e, WAITER_QUEUE, q, &r, &a);
		eng_lane_hush(e, l);
	}
	return false;
}

bool
eng_path_waits(const struct eng *e, const struct path *p)
{
	return p->shut == WHY_CAP && p->waiter != 0 &&
	    !eng_waiter_is_told(e, p->waiter);
}

bool
eng_path_at_limit(const struct eng *e, const struct path *p)
{
	const struct sess *x;

	if (p->shut != WHY_CAP ||
	    !eng_waiter_is_in_line(e, p->waiter, LINE_SEND))
		return false;
	if (p->level == LEVEL_NONE)
		return true;
	x = pool_at(&e->sessions, p->room[p->level].head);
	return x->promises == 0;
}
