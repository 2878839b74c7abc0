/*
 * engine/pick.c - which source opens the next session of a lane, and whose turn
 * it is to take the next transaction.
 *
 * A lane knows which of its pool's sources may be asked: all at first; not those
 * whose path has refused since, until that path says that it may be over. So where most of a pool's 256 sources are shut the others are
 * found without asking one of those.
 *
 * Sources of equal weight take turns. Of others the one is next at which the
 * fraction of n times the golden ratio points, on a scale where each of those
 * that are left has its weight: for any set of them and any n the shares are
 * those of the weights, but for a few.
 */
#include "engine/engine_i.h"

#define GOLDEN UINT32_C(2654435769) /* 2^32 over the golden ratio */

/* What the present policy makes of it: its pool, and the source that it is
 * pinned to, unless that has gone from the pool. */
static void
lane_bind(struct eng *e, struct lane *l)
{
	uint32_t name = l->pool_name ? l->pool_name : e->policy->default_pool;

	l->generation = e->generation;
	l->pool = POOL_NONE;
	l->pin_src = 0;
	for (uint32_t i = 0; i < e->npools; i++)
		if (e->pools[i].name == name)
			l->pool = (uint16_t)i;
	eng_lane_ready(l);
	if (l->pin == 0 || l->pool == POOL_NONE)
		return;
	for (uint16_t i = 0; i < e->pools[l->pool].n; i++) {
		uint16_t src = e->pools[l->pool].src[i];

		if (e->srcs[src].name == l->pin)
			l->pin_src = src;
	}
}

const struct epool *
eng_lane_pool(struct eng *e, struct lane *l)
{
	if (l->generation != e->generation)
		lane_bind(e, l);
	return l->pool == POOL_NONE ? NULL : &e->pools[l->pool];
}

bool
eng_lane_serves(struct eng *e, struct lane *l, const struct src *src)
{
	const struct epool *p = eng_lane_pool(e, l);

	if (p == NULL || src->conf == SRC_NONE)
		return false;
	if (l->pin_src != 0 && src != &e->srcs[l->pin_src])
		return false;
	if (src->pools[l->pool / 64] >> (l->pool % 64) & 1)
		return true;
	/* What left by the overflow may be pinned to it. */
	return (l->is_over || l->pin_src != 0) && p->over != POOL_NONE &&
	    (src->pools[p->over / 64] >> (p->over % 64) & 1);
}

bool
eng_lane_has_choice(struct eng *e, struct lane *l)
{
	const struct epool *pool = eng_lane_pool(e, l);

	return pool != NULL && pool->n > 1 && l->pin_src == 0;
}

void
eng_pool_order(struct epool *p)
{
	p->is_weighted = false;
	for (uint16_t i = 0; i < p->n; i++) {
		uint16_t at = i;

		p->is_weighted |= p->weight[i] != p->weight[0];
		for (; at > 0 && p->src[p->order[at - 1]] > p->src[i]; at--)
			p->order[at] = p->order[at - 1];
		p->order[at] = (uint8_t)i;
	}
}

/* The place of a source, or -1. */
static int
place_of(const struct epool *p, uint32_t src)
{
	uint32_t lo = 0, hi = p->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (p->src[p->order[mid]] < src)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->n && p->src[p->order[lo]] == src ? p->order[lo] : -1;
}

/* ---- sessions ----------------------------------------------------------------- */

static void
keep_only(struct turns *t, int place)
{
	for (uint32_t w = 0; w < ARRAY_LEN(t->left); w++)
		t->left[w] &= place >= 0 && (uint32_t)place / 64 == w ?
		    UINT64_C(1) << (place % 64) :
		    0;
}

/* All below n, of the 64 from `from` on. */
static uint64_t
below(uint32_t n, uint32_t from)
{
	if (n <= from)
		return 0;
	return n - from >= 64 ? UINT64_MAX : (UINT64_C(1) << (n - from)) - 1;
}

void
eng_turns_begin(const struct lane *l, const struct epool *p, bool is_over,
    struct turns *t)
{
	t->from = is_over ? p->nown : 0;
	t->to = is_over || l->pin_src != 0 ? p->n : p->nown;
	t->point = l->cursor * GOLDEN;
	for (uint32_t w = 0; w < ARRAY_LEN(t->left); w++) {
		uint64_t all = below(t->to, w * 64) & ~below(t->from, w * 64);

		t->left[w] = l->ready[w] & all;
	}
	if (l->pin_src != 0)
		keep_only(t, place_of(p, l->pin_src));
}

/* The first place from `from` on that is left, or -1. */
static int
next_from(const struct turns *t, uint32_t from)
{
	for (uint32_t w = from / 64; w < ARRAY_LEN(t->left); w++) {
		uint64_t bits = t->left[w];

		if (w == from / 64)
			bits &= UINT64_MAX << (from % 64);
		if (bits != 0)
			return (int)(w * 64) + __builtin_ctzll(bits);
	}
	return -1;
}

static int
next_equal(const struct lane *l, const struct turns *t)
{
	uint32_t n = (uint32_t)(t->to - t->from);
	int at = n == 0 ? -1 : next_from(t, t->from + l->cursor % n);

	return at >= 0 ? at : next_from(t, 0);
}

/* What is left of the point within the one that was picked points among the
 * others, if that one does not do. */
static int
next_by_weight(const struct epool *p, struct turns *t)
{
	uint64_t sum = 0, lo = 0, goal;
	int at, last = -1;

	for (at = next_from(t, 0); at >= 0; at = next_from(t, (uint32_t)at + 1))
		sum += p->weight[at];
	goal = t->point * sum; /* of 2^32 a unit of weight */
	for (at = next_from(t, 0); at >= 0;
	     at = next_from(t, (uint32_t)at + 1)) {
		last = at;
		if (lo + p->weight[at] > goal >> 32)
			break;
		lo += p->weight[at];
	}
	if (last >= 0)
		t->point = (uint32_t)((goal - (lo << 32)) / p->weight[last]);
	return last;
}

int
eng_turns_next(const struct lane *l, const struct epool *p, struct turns *t)
{
	int at = p->is_weighted ? next_by_weight(p, t) : next_equal(l, t);

	if (at >= 0)
		t->left[at / 64] &= ~(UINT64_C(1) << (at % 64));
	return at;
}

void
eng_turn_taken(struct lane *l, const struct epool *p, int at)
{
	if (p->is_weighted)
		l->cursor++;
	else if ((uint32_t)at < p->nown)
		l->cursor = ((uint32_t)at + 1) % p->nown;
	else
		l->cursor = (uint32_t)at - p->nown + 1;
	if ((uint32_t)at < p->nown)
		l->is_over = false;
}

/* ---- who may be asked ---------------------------------------------------------- */

void
eng_turn_shut(const struct eng *e, struct lane *l, int at, enum eng_why why,
    int64_t until_us)
{
	int64_t mine = l->shut_until_us ? l->shut_until_us : TIME_NEVER;
	int64_t its = until_us ? until_us : TIME_NEVER;

	/* Where there is but one, what it said before is over; and so is a time
	 * that has passed. */
	if (l->shut == WHY_NONE || its < mine || mine <= e->now ||
	    l->pin_src != 0) {
		l->shut = (uint8_t)why;
		l->shut_until_us = until_us;
	}
	l->ready[at / 64] &= ~(UINT64_C(1) << (at % 64));
}

void
eng_lane_ready(struct lane *l)
{
	memset(l->ready, 0xff, sizeof(l->ready));
	l->shut = WHY_NONE;
	l->shut_until_us = 0;
	l->is_cold = l->is_over = false;
}

void
eng_path_ready(struct eng *e, const struct path *p)
{
	struct site *s = pool_at(&e->sites, p->site);

	for (uint32_t i = s->lanes.head; i != 0;) {
		struct lane *l = pool_at(&e->lanes, i);
		const struct epool *pool;
		int at;

		i = l->link.next;
		if (l->shut == WHY_NONE)
			continue; /* all are */
		pool = eng_lane_pool(e, l);
		at = pool != NULL ? place_of(pool, p->src) : -1;
		if (at >= 0)
			l->ready[at / 64] |= UINT64_C(1) << (at % 64);
	}
}

/* ---- transactions --------------------------------------------------------------- */

bool
eng_turn_over(struct eng *e, struct lane *l, struct path *p)
{
	const struct epool *pool = eng_lane_pool(e, l);
	int at;

	if (pool == NULL || !pool->is_weighted)
		return true;
	if (p->turn == 0) {
		at = place_of(pool, p->src);
		p->turn = at >= 0 ? pool->weight[at] : 1;
	}
	return --p->turn == 0;
}
