/*
 * engine/tenant.c - whose turn it is: tenants share a site by weight, the
 * campaigns of a tenant what it gets, and mail that is in a hurry goes first.
 *
 * A turn is a tenant's place in a lane, of one class. It stands in its lane's
 * heap exactly while one of its queues is in its ring. The turns of one class in
 * a lane share a scale of time. On it a transaction of a tenant of weight w
 * takes UNIT / w; its next one begins at `start` and is due at the end of that,
 * and of those that may go the first due goes first. What a tenant has had too
 * little or too much is the distance of its start from the present, which is the
 * mean of all starts by weight: so it is a deficit, kept as a time.
 *
 * Who has nothing to send falls back to the present when it returns: nothing is
 * saved up. Who was served and left early keeps his start: nobody gains by
 * sending one by one.
 *
 * The bound. A newcomer of weight w among W in all is due UNIT / w from now.
 * Nobody is served with a later due time first, and until its own time, those
 * who stand there have W / w transactions due at most, its own with them. So at
 * most ceil(W / w) others are assigned before it, and what sessions hold already.
 *
 * The class in a hurry goes first, but where both wait, after HURRY_MAX of its
 * transactions at a site one of the others goes: they have a quarter of it.
 *
 * Lanes that share a source have one scale: the turn that is due first there is
 * that of any of them, and who comes begins at the present of all. A tenant's
 * mail in one of them is charged in the others too, or it would have a share in
 * each.
 *
 * Costs. A turn comes and goes, or is served, in time that grows with the
 * logarithm of the tenants that have ready mail in one lane, and with nothing
 * else.
 */
#include "engine/warm_i.h"

#define UNIT (INT64_C(1) << 20)
#define HURRY_MAX 3
#define APART_MAX 2

static struct turn *
turn_at(const struct eng *e, uint32_t i)
{
	return pool_at(&e->turns, i);
}

static struct scale *
scale_of(const struct eng *e, const struct turn *t)
{
	struct lane *l = pool_at(&e->lanes, t->lane);

	return &l->scales[t->band];
}

static int64_t
due(const struct turn *t)
{
	return t->start + UNIT / t->weight;
}

/* ---- what the policy says ---------------------------------------------------- */

const struct eng_tenant_conf *
eng_tenant_conf(const struct eng *e, uint32_t name)
{
	const struct eng_policy *p = e->policy;
	uint32_t lo = 1, hi = p->ntenants;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (p->tenants[mid].name == name)
			return &p->tenants[mid];
		if (p->tenants[mid].name < name)
			lo = mid + 1;
		else
			hi = mid;
	}
	return &p->tenants[0];
}

uint32_t
eng_campaign_weight(const struct eng *e, uint32_t tenant, uint32_t campaign)
{
	const struct eng_policy *p = e->policy;
	uint32_t lo = 0, hi = p->ncampaigns;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct eng_campaign_conf *c = &p->campaigns[mid];

		if (c->tenant == tenant && c->name == campaign)
			return MAX(c->weight, 1u);
		if (c->tenant < tenant ||
		    (c->tenant == tenant && c->name < campaign))
			lo = mid + 1;
		else
			hi = mid;
	}
	return 1;
}

/* ---- a heap of turns, by index ------------------------------------------------- */

static bool
goes_before(struct eng *e, const struct turn *a, const struct turn *b)
{
	e->totals.comparisons_total++;
	return due(a) < due(b) ||
	    (due(a) == due(b) && (int32_t)(a->seq - b->seq) < 0);
}

/* Of two roots, one of which may be 0. */
static uint32_t
meld(struct eng *e, uint32_t a, uint32_t b)
{
	struct turn *x, *y;

	if (a == 0 || b == 0)
		return a | b;
	if (goes_before(e, turn_at(e, b), turn_at(e, a))) {
		uint32_t c = a;

		a = b;
		b = c;
	}
	x = turn_at(e, a);
	y = turn_at(e, b);
	y->next = x->child;
	y->prev = a;
	if (x->child != 0)
		turn_at(e, x->child)->prev = b;
	x->child = b;
	return a;
}

/* One heap of a root's children: in pairs, then all together. */
static uint32_t
meld_children(struct eng *e, uint32_t first)
{
	uint32_t pairs = 0, root = 0;

	while (first != 0) {
		uint32_t a = first, b = turn_at(e, a)->next, m;

		first = b != 0 ? turn_at(e, b)->next : 0;
		turn_at(e, a)->next = turn_at(e, a)->prev = 0;
		if (b != 0)
			turn_at(e, b)->next = turn_at(e, b)->prev = 0;
		m = meld(e, a, b);
		turn_at(e, m)->next = pairs;
		pairs = m;
	}
	while (pairs != 0) {
		uint32_t next = turn_at(e, pairs)->next;

		turn_at(e, pairs)->next = 0;
		root = meld(e, root, pairs);
		pairs = next;
	}
	return root;
}

static void
heap_in(struct eng *e, uint32_t i)
{
	struct turn *t = turn_at(e, i);
	struct lane *l = pool_at(&e->lanes, t->lane);

	l->turns[t->band] = meld(e, l->turns[t->band], i);
}

static void
heap_out(struct eng *e, uint32_t i)
{
	struct turn *t = turn_at(e, i);
	struct lane *l = pool_at(&e->lanes, t->lane);
	uint32_t *root = &l->turns[t->band], rest;

	if (t->prev != 0) {
		struct turn *p = turn_at(e, t->prev);

		if (p->child == i)
			p->child = t->next;
		else
			p->next = t->next;
		if (t->next != 0)
			turn_at(e, t->next)->prev = t->prev;
	}
	rest = meld_children(e, t->child);
	*root = t->prev != 0 ? meld(e, *root, rest) : rest;
	t->child = t->next = t->prev = 0;
}

/* ---- turns ---------------------------------------------------------------------- */

/* The present of the turns that share a site. */
static int64_t
present(const struct scale *s)
{
	return s->weight != 0 ? s->sum / s->weight : s->idle;
}

/* Takes its weight from the present policy, while it stands in no heap. */
static void
weigh(const struct eng *e, struct turn *t)
{
	if (t->generation == e->generation)
		return;
	t->generation = e->generation;
	t->weight = MAX(eng_tenant_conf(e, t->tenant)->weight, (uint16_t)1);
}

/* Is there a source that may serve both? */
static bool
lanes_meet(struct eng *e, struct lane *l, struct lane *o)
{
	const struct epool *p = eng_lane_pool(e, l);

	return p != NULL && eng_lane_pool(e, o) != NULL &&
	    (p->meets[o->pool / 64] >> (o->pool % 64) & 1);
}

/* When a turn that comes back begins: at the present of all lanes that its shares
 * a source with. But where they share others with others, or those of one may not
 * send for long, they may be far from each other: then it is about that of who
 * stands in its own, or not behind any by more than a transaction. */
static int64_t
entry(struct eng *e, const struct turn *t)
{
	struct lane *l = pool_at(&e->lanes, t->lane);
	const struct site *s = pool_at(&e->sites, l->site);
	const struct scale *own = &l->scales[t->band];
	struct scale all = { .idle = s->idle[t->band] };
	int64_t least = 0;

	for (uint32_t i = s->hungry.head; i != 0;) {
		struct lane *o = pool_at(&e->lanes, i);
		const struct scale *os = &o->scales[t->band];
		uint32_t first = o->turns[t->band];

		i = o->hungry.next;
		if (os->weight == 0 || (o != l && !lanes_meet(e, l, o)))
			continue;
		all.weight += os->weight;
		all.sum += os->sum;
		if (first != 0)
			least = MAX(least, turn_at(e, first)->start - UNIT);
	}
	if (own->weight == 0)
		return MAX(present(&all), least);
	return MIN(MAX(present(&all), present(own) - UNIT),
	    present(own) + UNIT);
}

static void
turn_enter(struct eng *e, uint32_t i)
{
	struct turn *t = turn_at(e, i);
	struct scale *s = scale_of(e, t);
	int64_t now = entry(e, t);

	weigh(e, t);
	/* What it had when its lane was further on than the others are now is
	 * not held against it. */
	t->start = MIN(MAX(t->start, now), now + APART_MAX * UNIT / t->weight);
	s->weight += t->weight;
	s->sum += t->weight * t->start;
	t->seq = e->turn_seq++;
	heap_in(e, i);
}

static void
turn_leave(struct eng *e, uint32_t i)
{
	struct turn *t = turn_at(e, i);
	struct scale *s = scale_of(e, t);
	struct lane *l = pool_at(&e->lanes, t->lane);
	struct site *site = pool_at(&e->sites, l->site);

	heap_out(e, i);
	s->idle = present(s);
	site->idle[t->band] = MAX(site->idle[t->band], s->idle);
	s->weight -= t->weight;
	s->sum -= t->weight * t->start;
	t->left = 0;
}

/* Begins its next transaction at another time. */
static void
restart(struct eng *e, uint32_t i, int64_t start)
{
	struct turn *t = turn_at(e, i);
	struct scale *s = scale_of(e, t);
	bool is_alone; /* in its heap */

	if (t->ring.n == 0) {
		t->start = start;
		return;
	}
	is_alone = (t->prev | t->child) == 0;
	if (!is_alone)
		heap_out(e, i);
	s->weight -= t->weight;
	s->sum -= t->weight * t->start;
	t->start = start;
	weigh(e, t);
	s->weight += t->weight;
	s->sum += t->weight * t->start;
	if (!is_alone)
		heap_in(e, i);
}

/* Its tenant's turn in another lane that takes from the same had a transaction:
 * that is this one's too, unless they are far apart. */
static void
align(struct eng *e, uint32_t i, int64_t start)
{
	struct turn *t = turn_at(e, i);
	int64_t now = present(scale_of(e, t)), step = UNIT / t->weight;

	start = MIN(start, MAX(t->start, now + APART_MAX * step));
	start = MAX(start, MIN(t->start, now - step));
	restart(e, i, MAX(start, 0));
}

static uint64_t
turn_key(uint32_t site, uint32_t tenant)
{
	return ((uint64_t)site << 32) | tenant;
}

uint32_t
eng_turn_take(struct eng *e, uint32_t lane, uint32_t tenant, bool is_hurry)
{
	const struct lane *l = pool_at(&e->lanes, lane);
	uint64_t key = turn_key(l->site, tenant);
	uint32_t first = map_get(&e->turn_map, key), i = first;
	struct turn *t;

	while (i != 0) {
		t = turn_at(e, i);
		if (t->lane == lane && t->band == is_hurry) {
			t->nqueues++;
			return i;
		}
		i = t->twin != first ? t->twin : 0;
	}
	t = eng_slot(&e->turns, &i);
	t->lane = lane;
	t->tenant = tenant;
	t->band = is_hurry;
	t->nqueues = 1;
	t->generation = e->generation - 1;
	weigh(e, t);
	if (first == 0) {
		t->twin = i;
		ASSERT(map_put(&e->turn_map, key, i) == 0);
	} else {
		t->twin = turn_at(e, first)->twin;
		turn_at(e, first)->twin = i;
	}
	return i;
}

void
eng_turn_drop(struct eng *e, uint32_t i)
{
	struct turn *t = turn_at(e, i);
	const struct lane *l = pool_at(&e->lanes, t->lane);
	uint64_t key = turn_key(l->site, t->tenant);
	uint32_t before = t->twin;

	if (--t->nqueues != 0)
		return;
	ASSERT(t->ring.n == 0);
	if (t->twin == i) {
		map_del(&e->turn_map, key);
	} else {
		while (turn_at(e, before)->twin != i)
			before = turn_at(e, before)->twin;
		turn_at(e, before)->twin = t->twin;
		ASSERT(map_put(&e->turn_map, key, before) == 0);
	}
	pool_give(&e->turns, i);
}

void
eng_turn_push(struct eng *e, uint32_t q)
{
	uint32_t i = ((struct queue *)pool_at(&e->queues, q))->turn;
	struct turn *t = turn_at(e, i);

	il_push_tail(K_QUEUE(e), &t->ring, q);
	if (t->ring.n == 1)
		turn_enter(e, i);
}

void
eng_turn_remove(struct eng *e, uint32_t q)
{
	uint32_t i = ((struct queue *)pool_at(&e->queues, q))->turn;
	struct turn *t = turn_at(e, i);

	if (t->ring.head == q)
		t->left = 0;
	il_remove(K_QUEUE(e), &t->ring, q);
	if (t->ring.n == 0)
		turn_leave(e, i);
}

/* ---- who is next -------------------------------------------------------------------- */

static bool
is_hurry_first(const struct site *s)
{
	return s->hurried < HURRY_MAX;
}

/* The turn that is due in a lane; 0 = none. */
static uint32_t
lane_turn(const struct site *s, const struct lane *l)
{
	uint32_t first = l->turns[is_hurry_first(s)];

	return first != 0 ? first : l->turns[!is_hurry_first(s)];
}

uint32_t
eng_lane_next(const struct eng *e, const struct lane *l)
{
	uint32_t i = lane_turn(pool_at(&e->sites, l->site), l);

	return i != 0 ? turn_at(e, i)->ring.head : 0;
}

/* Of two lanes that a source serves. Those that are far apart, as they share others
 * with others, take turns. */
#define APART (64 * UNIT)
static bool
turns_before(struct eng *e, bool first, const struct turn *a,
    const struct turn *b)
{
	int64_t apart = due(a) - due(b);

	if (a->band != b->band)
		return a->band == first;
	if (apart > APART || apart < -APART)
		return (int32_t)(a->seq - b->seq) < 0;
	return goes_before(e, a, b);
}

/* The lane whose turn is due first, what goes first by its class before; and by
 * a young source, where its plan says so, engaged mail before all other. */
uint32_t
eng_site_first(struct eng *e, const struct site *s, const struct src *src)
{
	bool first = is_hurry_first(s), is_engaged = false;
	bool prefers =
	    e->claims.live != 0 && eng_warm_prefers(e, src, s->provider);
	const struct turn *best = NULL;
	uint32_t lane = 0;

	for (uint32_t i = s->hungry.n > 1 ? s->hungry.head : 0; i != 0;) {
		struct lane *l = pool_at(&e->lanes, i);
		uint32_t k = lane_turn(s, l);
		const struct turn *t = turn_at(e, k);

		if (k != 0 && eng_lane_serves(e, l, src) &&
		    (best == NULL ||
			(prefers && l->is_engaged != is_engaged ?
				l->is_engaged :
				turns_before(e, first, t, best)))) {
			best = t;
			is_engaged = l->is_engaged;
			lane = i;
		}
		i = l->hungry.next;
	}
	return lane;
}

/* Does bulk wait in one of the site's lanes? */
static bool
has_bulk(const struct eng *e, const struct site *s)
{
	for (uint32_t i = s->hungry.head; i != 0;) {
		const struct lane *l = pool_at(&e->lanes, i);

		if (l->turns[0] != 0)
			return true;
		i = l->hungry.next;
	}
	return false;
}

/* Of a tenant's campaigns each has as many in a row as it weighs. */
static void
campaign_served(struct eng *e, struct turn *t, uint32_t qi)
{
	const struct queue *q = pool_at(&e->queues, qi);
	const struct flow *f = pool_at(&e->flows, q->flow);
	uint32_t weight;

	if (t->ring.n < 2 || t->ring.head != qi)
		return; /* alone, or it has run empty */
	/* What was left to it by other weights is no more than these give. */
	weight = eng_campaign_weight(e, f->tenant, f->campaign);
	t->left = (uint8_t)(t->left == 0 ? weight : MIN(t->left, weight));
	if (--t->left != 0)
		return;
	il_remove(K_QUEUE(e), &t->ring, qi);
	il_push_tail(K_QUEUE(e), &t->ring, qi);
}

void
eng_lane_served(struct eng *e, uint32_t lane, uint32_t qi,
    const struct src *src)
{
	const struct lane *l = pool_at(&e->lanes, lane);
	struct site *s = pool_at(&e->sites, l->site);
	uint32_t i = ((struct queue *)pool_at(&e->queues, qi))->turn;
	struct turn *t = turn_at(e, i);

	campaign_served(e, t, qi);
	t->seq = e->turn_seq++;
	s->hurried = t->band && has_bulk(e, s) ?
	    (uint8_t)MIN(s->hurried + 1, HURRY_MAX) :
	    0;
	restart(e, i, t->start + UNIT / t->weight);
	for (uint32_t k = t->twin; k != i; k = turn_at(e, k)->twin)
		if (turn_at(e, k)->band == t->band &&
		    eng_lane_serves(e, pool_at(&e->lanes, turn_at(e, k)->lane),
			src))
			align(e, k, t->start);
}

void
eng_lane_skip(struct eng *e, uint32_t qi)
{
	uint32_t i = ((struct queue *)pool_at(&e->queues, qi))->turn;
	struct turn *t = turn_at(e, i);

	if (t->ring.n > 1) {
		il_remove(K_QUEUE(e), &t->ring, qi);
		il_push_tail(K_QUEUE(e), &t->ring, qi);
		t->left = 0;
	}
	ASSERT(e->naside < ARRAY_LEN(e->aside));
	heap_out(e, i);
	e->aside[e->naside++] = i;
}

void
eng_lane_unskip(struct eng *e)
{
	while (e->naside != 0)
		heap_in(e, e->aside[--e->naside]);
}
