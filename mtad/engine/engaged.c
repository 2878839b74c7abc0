/*
 * engine/engaged.c - where a plan of warm-up prefers engaged recipients, a young
 * source's share goes to them first.
 *
 * Engaged mail stands in lanes of its own. While such a lane has something ready
 * it has a claim to the shares of its pool's young sources at its provider; other
 * mail leaves by these sources only while there is no claim, and by the others,
 * or the overflow, meanwhile. A young source's path serves lanes of engaged mail
 * first at its site.
 *
 * A claim ends with what is ready; and CLAIM_US after its lane has come, or has
 * last had something of a young source: who waits for what others need not wait
 * for (a host that is down, a limit of its tenant) keeps them no longer. So no
 * mail waits for good.
 *
 * Claims of one prize stand in the order of their ends, the last at the tail, and
 * beside them who waits for the end of all.
 */
#include "engine/warm_i.h"

#define CLAIM_US (600 * US_PER_S)

static uint64_t
prize_key(uint32_t pool, uint32_t provider)
{
	return ((uint64_t)pool << 32) | provider;
}

static struct claim *
claim_at(const struct eng *e, uint32_t i)
{
	return pool_at(&e->claims, i);
}

static struct prize *
prize_at(const struct eng *e, uint32_t i)
{
	return pool_at(&e->prizes, i);
}

static uint32_t
prize_of(struct eng *e, uint32_t pool, uint32_t provider)
{
	uint32_t i = map_get(&e->prize_map, prize_key(pool, provider));
	struct prize *z;

	if (i != 0)
		return i;
	z = eng_slot(&e->prizes, &i);
	z->pool = pool;
	z->provider = provider;
	ASSERT(map_put(&e->prize_map, prize_key(pool, provider), i) == 0);
	return i;
}

static bool
is_claimed(const struct eng *e, const struct prize *z)
{
	return z->claims.n != 0 &&
	    claim_at(e, z->claims.tail)->until_us > e->now;
}

/* Its claims have come to an end, perhaps: who waits is told, or nobody is there
 * any more. */
static void
prize_settle(struct eng *e, uint32_t i)
{
	struct prize *z = prize_at(e, i);

	if (z->is_over)
		return;
	if (z->others.n == 0) {
		eng_timer_cancel(e, &z->timer);
		if (z->claims.n != 0)
			return;
		map_del(&e->prize_map, prize_key(z->pool, z->provider));
		pool_give(&e->prizes, i);
	} else if (is_claimed(e, z)) {
		eng_timer_set(e, &z->timer, TIMER_PRIZE, i,
		    claim_at(e, z->claims.tail)->until_us);
	} else {
		eng_timer_cancel(e, &z->timer);
		z->is_over = true;
		il_push_tail(K_PRIZE(e), &e->prizes_over, i);
	}
}

void
eng_prize_timer(struct eng *e, uint32_t i)
{
	prize_settle(e, i);
}

void
eng_claim_begin(struct eng *e, uint32_t lane)
{
	struct lane *l = pool_at(&e->lanes, lane);
	const struct site *s = pool_at(&e->sites, l->site);
	const struct epool *p = eng_lane_pool(e, l);
	struct claim *c;

	if (p == NULL)
		return;
	c = eng_slot(&e->claims, &l->claim);
	c->lane = lane;
	c->until_us = e->now + CLAIM_US;
	c->prize = prize_of(e, p->name, s->provider);
	il_push_tail(K_CLAIM(e), &prize_at(e, c->prize)->claims, l->claim);
}

void
eng_claim_renew(struct eng *e, struct lane *l)
{
	struct claim *c = claim_at(e, l->claim);
	struct prize *z = prize_at(e, c->prize);

	c->until_us = e->now + CLAIM_US;
	il_remove(K_CLAIM(e), &z->claims, l->claim);
	il_push_tail(K_CLAIM(e), &z->claims, l->claim);
}

void
eng_claim_end(struct eng *e, struct lane *l)
{
	const struct claim *c = claim_at(e, l->claim);
	uint32_t prize = c->prize;
	struct prize *z = prize_at(e, prize);

	il_remove(K_CLAIM(e), l->is_engaged ? &z->claims : &z->others,
	    l->claim);
	pool_give(&e->claims, l->claim);
	l->claim = 0;
	prize_settle(e, prize);
}

/* One that is claimed, by a pool that has the source; or 0. */
static uint32_t
claimed_of(const struct eng *e, const struct src *src, uint32_t provider)
{
	for (uint32_t w = 0; w < ARRAY_LEN(src->pools); w++)
		for (uint64_t b = src->pools[w]; b != 0; b &= b - 1) {
			uint32_t k = w * 64 + (uint32_t)__builtin_ctzll(b);
			uint32_t i = map_get(&e->prize_map,
			    prize_key(e->pools[k].name, provider));

			if (i != 0 && is_claimed(e, prize_at(e, i)))
				return i;
		}
	return 0;
}

bool
eng_lane_must_yield(struct eng *e, uint32_t lane, uint32_t src,
    int64_t *until_us)
{
	struct lane *l = pool_at(&e->lanes, lane);
	const struct site *s = pool_at(&e->sites, l->site);
	struct prize *z;
	struct claim *c;
	uint32_t i;

	if (!eng_warm_prefers(e, &e->srcs[src], s->provider))
		return false;
	i = claimed_of(e, &e->srcs[src], s->provider);
	if (i == 0)
		return false;
	z = prize_at(e, i);
	*until_us = claim_at(e, z->claims.tail)->until_us;
	if (l->claim != 0)
		return true; /* there, or for another: then it looks again */
	c = eng_slot(&e->claims, &l->claim);
	c->lane = lane;
	c->prize = i;
	il_push_tail(K_CLAIM(e), &z->others, l->claim);
	if (z->others.n == 1)
		prize_settle(e, i);
	return true;
}

void
eng_prizes_over(struct eng *e)
{
	uint32_t left = PUMP_MAX;

	while (e->prizes_over.n != 0 && left != 0 && e->kicks.n == 0) {
		uint32_t i = e->prizes_over.head;
		struct prize *z = prize_at(e, i);

		if (z->others.n == 0 || is_claimed(e, z)) {
			il_remove(K_PRIZE(e), &e->prizes_over, i);
			z->is_over = false;
			prize_settle(e, i);
			continue;
		}
		for (; left != 0 && z->others.n != 0; left--) {
			uint32_t lane = claim_at(e, z->others.head)->lane;

			eng_claim_end(e, pool_at(&e->lanes, lane));
			eng_lane_look(e, lane);
		}
	}
}
