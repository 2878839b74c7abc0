/*
 * engine/save_check.c - can what an image held be trusted?
 *
 * A checksum finds rot; this finds lies. Every index points into its pool,
 * every list ends where it says and goes back the way it came, every number
 * that picks a row of a table is below its end, the heap and the wheel are in
 * order. So whatever the bytes were the engine stays inside its memory. Counts
 * that do not fit each other are left to its assertions.
 */
#include "engine/notice_i.h"
#include "engine/react_i.h"
#include "engine/save_i.h"
#include "engine/standing_i.h"
#include "engine/warm_i.h"

#define AT(type, member) offsetof(struct type, member)
/* No site has sent so much, at UNIT (tenant.c) a transaction. */
#define START_MAX (INT64_MAX >> 8)
#define IN_ENG(member) offsetof(struct eng, member)

/* A slot's field that is the index of a slot of another pool. */
#define REF(pool, type, member, to)                                            \
	{                                                                      \
		IN_ENG(pool), AT(type, member), IN_ENG(to), false              \
	}
#define REF_OR_NONE(pool, type, member, to)                                    \
	{                                                                      \
		IN_ENG(pool), AT(type, member), IN_ENG(to), true               \
	}
static const struct ref {
	size_t pool, at, to;
	bool may_be_none;
} refs[] = {
	REF_OR_NONE(rcpts, rcpt, sib, rcpts),
	REF(rcpts, rcpt, dom, doms),
	REF_OR_NONE(rcpts, rcpt, queue, queues),
	REF_OR_NONE(rcpts, rcpt, link.next, rcpts),
	REF_OR_NONE(rcpts, rcpt, link.prev, rcpts),
	REF_OR_NONE(flows, flow, twin, flows),
	REF_OR_NONE(lanes, lane, twin, lanes),
	REF_OR_NONE(sites, site, twin, sites),
	REF_OR_NONE(hosts, host, twin, hosts),
	REF_OR_NONE(hosts, host, probe, sessions),
	REF(queues, queue, flow, flows),
	REF_OR_NONE(queues, queue, lane, lanes),
	REF(queues, queue, dom, doms),
	REF_OR_NONE(queues, queue, study, studies),
	REF(studies, study, queue, queues),
	REF_OR_NONE(doms, dom, site, sites),
	REF(sites, site, shape, forms),
	REF(paths, path, shape, forms),
	REF_OR_NONE(forms, form, twin, forms),
	REF_OR_NONE(queues, queue, park, parks),
	REF_OR_NONE(queues, queue, waiter, waiters),
	REF_OR_NONE(queues, queue, meters.head, charges),
	REF_OR_NONE(paths, path, waiter, waiters),
	REF_OR_NONE(paths, path, meters.head, charges),
	REF_OR_NONE(lanes, lane, waiter, waiters),
	REF_OR_NONE(sessions, sess, charges, charges),
	REF_OR_NONE(sessions, sess, promises, waiters),
	REF_OR_NONE(txns, txn, charges, charges),
	REF_OR_NONE(charges, charge, next, charges),
	REF(charges, charge, meter, meters),
	REF_OR_NONE(meters, meter, twin, meters),
	REF_OR_NONE(meters, meter, window, windows),
	REF(waiters, waiter, meter, meters),
	REF_OR_NONE(waiters, waiter, next, waiters),
	REF_OR_NONE(waiters, waiter, share, shares),
	REF(shares, share, meter, meters),
	REF(parks, park, queue, queues),
	REF_OR_NONE(lanes, lane, wait_warm, warms),
	REF_OR_NONE(lanes, lane, claim, claims),
	REF(claims, claim, lane, lanes),
	REF(claims, claim, prize, prizes),
	REF_OR_NONE(paths, path, wait_warm, warms),
	REF_OR_NONE(paths, path, standing, standings),
	REF_OR_NONE(standings, standing, twin, standings),
	REF_OR_NONE(tallies, tally, twin, tallies),
	REF_OR_NONE(queues, queue, turn, turns),
	REF(turns, turn, lane, lanes),
	REF(turns, turn, twin, turns),
	REF_OR_NONE(turns, turn, child, turns),
	REF_OR_NONE(turns, turn, next, turns),
	REF_OR_NONE(turns, turn, prev, turns),
	REF_OR_NONE(lanes, lane, turns[0], turns),
	REF_OR_NONE(lanes, lane, turns[1], turns),
	REF(lanes, lane, site, sites),
	REF_OR_NONE(lanes, lane, wait_host, hosts),
	REF(paths, path, site, sites),
	REF_OR_NONE(paths, path, shun, hosts),
	REF_OR_NONE(paths, path, adapt, adapts),
	REF(sessions, sess, path, paths),
	REF(sessions, sess, host, hosts),
	REF_OR_NONE(sessions, sess, lane, lanes),
	REF(txns, txn, sess, sessions),
	REF(txns, txn, queue, queues),
};

/* Lists of slots of `of`, `n` of them in a row, whose links stand at `link`. */
#define LIST(pool, type, member, of, node, links)                              \
	{                                                                      \
		IN_ENG(pool), AT(type, member),                                \
		    sizeof(((struct type *)NULL)->member) /                    \
		    sizeof(struct ilist),                                      \
		    IN_ENG(of), AT(node, links)                                \
	}
#define LIST_OF_ENG(member, of, node, links)                                   \
	{                                                                      \
		SIZE_MAX, IN_ENG(member),                                      \
		    sizeof(((struct eng *)NULL)->member) /                     \
		    sizeof(struct ilist),                                      \
		    IN_ENG(of), AT(node, links)                                \
	}
static const struct list_at {
	size_t pool, at, n, of, link;
} lists[] = {
	LIST(queues, queue, fifo, rcpts, rcpt, link),
	LIST(doms, dom, waiting, queues, queue, link),
	LIST(sites, site, lanes, lanes, lane, link),
	LIST(sites, site, hungry, lanes, lane, hungry),
	LIST(sites, site, paths, paths, path, link),
	LIST(sites, site, open, paths, path, open),
	LIST(hosts, host, waiters, lanes, lane, host),
	LIST(turns, turn, ring, queues, queue, link),
	LIST(paths, path, sessions, sessions, sess, link),
	LIST(paths, path, room, sessions, sess, room),
	LIST(sessions, sess, txns, txns, txn, link),
	LIST(txns, txn, rcpts, rcpts, rcpt, link),
	LIST(shares, share, waiters, waiters, waiter, link),
	LIST(meters, meter, line[LINE_SEND].shares, shares, share, link),
	LIST(meters, meter, line[LINE_OPEN].shares, shares, share, link),
	LIST(meters, meter, line[LINE_SEND].told, waiters, waiter, link),
	LIST(meters, meter, line[LINE_OPEN].told, waiters, waiter, link),
	LIST_OF_ENG(woken, waiters, waiter, wake),
	LIST_OF_ENG(roused, waiters, waiter, wake),
	LIST_OF_ENG(asking, meters, meter, asking),
	LIST(prizes, prize, claims, claims, claim, link),
	LIST(prizes, prize, others, claims, claim, link),
	LIST_OF_ENG(prizes_over, prizes, prize, over),
	LIST_OF_ENG(recalled, rates, rate, link),
	LIST(warms, warm, lanes, lanes, lane, warm),
	LIST(warms, warm, paths, paths, path, warm),
	LIST_OF_ENG(warm_pending, warms, warm, pending),
	LIST_OF_ENG(warm_hot, warms, warm, hot),
	LIST(standings, standing, paths, paths, path, stand),
	LIST_OF_ENG(over, standings, standing, over),
	LIST_OF_ENG(kicks, lanes, lane, kick),
	LIST_OF_ENG(moving, doms, dom, moving),
	LIST_OF_ENG(limit, lanes, lane, limit),
	LIST_OF_ENG(opening, sessions, sess, idle),
	LIST_OF_ENG(studied, studies, study, link),
	LIST_OF_ENG(idle_doms, doms, dom, idle),
	LIST_OF_ENG(idle_queues, queues, queue, link),
	LIST_OF_ENG(idle_paths, paths, path, idle),
	LIST_OF_ENG(idle_sessions, sessions, sess, idle),
};

/* A timer in each slot of a pool. */
static const struct {
	size_t pool, at;
	enum timer_kind kind;
} timers[] = {
	{ IN_ENG(doms), AT(dom, timer), TIMER_DOM },
	{ IN_ENG(lanes), AT(lane, timer), TIMER_LANE },
	{ IN_ENG(paths), AT(path, timer), TIMER_PATH },
	{ IN_ENG(parks), AT(park, timer), TIMER_QUEUE },
	{ IN_ENG(meters), AT(meter, timer), TIMER_METER },
	{ IN_ENG(warms), AT(warm, timer), TIMER_WARM },
	{ IN_ENG(prizes), AT(prize, timer), TIMER_PRIZE },
	{ IN_ENG(standings), AT(standing, timer), TIMER_STANDING },
	{ IN_ENG(tallies), AT(tally, timer), TIMER_TALLY },
	{ IN_ENG(delays), AT(delay, timer), TIMER_DELAY },
};

/* What must be 0 or 1, or reading it is undefined. */
#define BOOL(pool, type, member)                                               \
	{                                                                      \
		IN_ENG(pool), AT(type, member)                                 \
	}
static const struct {
	size_t pool, at;
} bools[] = {
	BOOL(doms, dom, is_asked),
	BOOL(doms, dom, is_moving),
	BOOL(sites, site, is_route),
	BOOL(turns, turn, band),
	BOOL(lanes, lane, is_kicked),
	BOOL(lanes, lane, is_parked),
	BOOL(lanes, lane, is_sticky),
	BOOL(lanes, lane, is_engaged),
	BOOL(flows, flow, is_sticky),
	BOOL(flows, flow, is_engaged),
	BOOL(prizes, prize, is_over),
	BOOL(adapts, adapt, is_kept),
	BOOL(rates, rate, adapt.is_kept),
	BOOL(paths, path, is_idle),
	BOOL(paths, path, is_known),
	BOOL(paths, path, meters.is_metered),
	BOOL(queues, queue, meters.is_metered),
	BOOL(charges, charge, is_held),
	BOOL(charges, charge, is_spent),
	BOOL(meters, meter, has_entry),
	BOOL(meters, meter, is_asking),
	BOOL(waiters, waiter, is_told),
	BOOL(warms, warm, is_pending),
	BOOL(warms, warm, is_hot),
	BOOL(tallies, tally, is_dirty),
	BOOL(tallies, tally, has_entry),
	BOOL(standings, standing, is_over),
	BOOL(standings, standing, ramps),
	BOOL(lanes, lane, is_cold),
	BOOL(lanes, lane, is_over),
	BOOL(sessions, sess, is_closing),
	BOOL(sessions, sess, is_stranger),
	BOOL(sessions, sess, is_heard),
	BOOL(sessions, sess, has_delivered),
	BOOL(sessions, sess, takes_dsn),
};

uint64_t
save_check_layout(uint64_t h)
{
	for (size_t i = 0; i < ARRAY_LEN(refs); i++)
		h = hash_u64(h ^ refs[i].at) + refs[i].to;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		h = hash_u64(h ^ lists[i].at) + lists[i].link;
	for (size_t i = 0; i < ARRAY_LEN(timers); i++)
		h = hash_u64(h ^ timers[i].at);
	return h;
}

static const struct pool *
pool_of(const struct eng *e, size_t off)
{
	return (const struct pool *)(const void *)((const char *)e + off);
}

static bool
is_slot(const struct pool *p, uint32_t i)
{
	return i != 0 && i < p->next_new;
}

/* ---- indices and lists ---------------------------------------------------------- */

static bool
ref_holds(const struct eng *e, const struct ref *r)
{
	const struct pool *from = pool_of(e, r->pool), *to = pool_of(e, r->to);
	uint32_t v;

	for (uint32_t i = 1; i < from->next_new; i++) {
		if (!pool_is_live(from, i))
			continue;
		memcpy(&v, (const char *)pool_at(from, i) + r->at, sizeof(v));
		if (!is_slot(to, v) && (v != 0 || !r->may_be_none))
			return false;
	}
	return true;
}

static bool
list_holds(const struct pool *of, size_t off, const struct ilist *l)
{
	uint32_t prev = 0, i = l->head;

	for (uint32_t k = 0; k < l->n; k++) {
		const struct link *n;

		if (!is_slot(of, i) || !pool_is_live(of, i))
			return false;
		n = il_link((struct ikind){ of, off }, i);
		if (n->prev != prev)
			return false;
		prev = i;
		i = n->next;
	}
	return i == 0 && l->tail == prev;
}

/* l->n lists in a row. */
static bool
row_holds(const struct eng *e, const struct list_at *l, const char *at)
{
	const struct ilist *v = (const void *)at;

	for (size_t k = 0; k < l->n; k++)
		if (!list_holds(pool_of(e, l->of), l->link, &v[k]))
			return false;
	return true;
}

static bool
lists_hold(const struct eng *e, const struct list_at *l)
{
	const struct pool *p;

	if (l->pool == SIZE_MAX)
		return row_holds(e, l, (const char *)e + l->at);
	p = pool_of(e, l->pool);
	for (uint32_t i = 1; i < p->next_new; i++)
		if (pool_is_live(p, i) &&
		    !row_holds(e, l, (const char *)pool_at(p, i) + l->at))
			return false;
	return true;
}

/* ---- time -------------------------------------------------------------------------- */

/* The heap's array, from the places that the timers know. */
static int
heap_build(struct eng *e)
{
	struct heap *h = &e->timers;
	uint32_t n = h->n, found = 0;

	h->n = 0;
	if (n > e->meters.live + e->parks.live + e->doms.live + e->lanes.live +
		(uint64_t)e->paths.live + e->warms.live + e->standings.live +
		e->tallies.live + e->prizes.live + e->delays.live)
		return E_CORRUPT;
	h->v = mem_try(((size_t)n + 1) * sizeof(*h->v));
	if (h->v == NULL)
		return E_NOMEM;
	h->cap = n;
	for (size_t k = 0; k < ARRAY_LEN(timers); k++) {
		const struct pool *p = pool_of(e, timers[k].pool);

		for (uint32_t i = 1; i < p->next_new; i++) {
			struct timer *t;

			if (!pool_is_live(p, i))
				continue;
			t = (void *)((char *)pool_at(p, i) + timers[k].at);
			if (t->node.at == 0)
				continue;
			if (t->node.at > n || h->v[t->node.at].node != NULL ||
			    t->kind != timers[k].kind || t->index != i)
				return E_CORRUPT;
			h->v[t->node.at] = (struct heap_place){ t->node.key,
				t->node.seq, &t->node };
			found++;
		}
	}
	if (found != n)
		return E_CORRUPT;
	h->n = n;
	return 0;
}

static bool
heap_holds(const struct heap *h)
{
	for (uint32_t i = 2; i <= h->n; i++)
		if (heap_is_before(&h->v[i], &h->v[heap_parent(i)]))
			return false;
	return true;
}

/* One list of the wheel; returns how many timers, or UINT32_MAX. */
static uint32_t
wheel_list(const struct eng *e, uint32_t head, uint32_t tail, uint32_t where)
{
	uint32_t prev = 0, i = head, n = 0;

	for (; i != 0; n++) {
		const struct wheel_link *l;

		if (!pool_is_live(&e->rcpts, i) || n >= e->rcpts.live)
			return UINT32_MAX;
		l = &eng_rcpt(e, i)->timer;
		if (l->where != where || l->prev != prev)
			return UINT32_MAX;
		prev = i;
		i = l->next;
	}
	return tail == prev ? n : UINT32_MAX;
}

static bool
wheel_holds(const struct eng *e)
{
	const struct wheel *w = &e->wheel;
	uint32_t due = WHEEL_LEVELS * WHEEL_SLOTS + 1, set = 0;
	uint64_t n = wheel_list(e, w->due_head, w->due_tail, due);
	uint32_t open = w->opening - 1;

	if (w->opening >= due)
		return false;
	if (w->opening != 0 &&
	    open % WHEEL_SLOTS !=
		(w->now_tick >> (8 * (open / WHEEL_SLOTS))) % WHEEL_SLOTS)
		return false;
	for (uint32_t k = 0; k < WHEEL_LEVELS; k++)
		for (uint32_t s = 0; s < WHEEL_SLOTS; s++) {
			bool used = w->used[k][s / 64] >> (s % 64) & 1;

			if (used != (w->head[k][s] != 0))
				return false;
			n += wheel_list(e, w->head[k][s], w->tail[k][s],
			    k * WHEEL_SLOTS + s + 1);
		}
	for (uint32_t i = 1; i < e->rcpts.next_new; i++)
		set += pool_is_live(&e->rcpts, i) &&
		    eng_rcpt(e, i)->timer.where != 0;
	return n == w->n && set == w->n && w->next_tick == wheel_first(w);
}

/* ---- rows of tables ------------------------------------------------------------------ */

#define EACH(pool, type, x, i)                                                 \
	for (uint32_t i = 1; i < (pool).next_new; i++)                         \
		for (const struct type *x = pool_is_live(&(pool), i) ?         \
			 pool_at(&(pool), i) :                                 \
			 NULL;                                                 \
		     x != NULL; x = NULL)

static bool
is_bool(const bool *v)
{
	unsigned char c;

	memcpy(&c, v, 1);
	return c <= 1;
}

static bool
bools_hold(const struct eng *e)
{
	for (size_t k = 0; k < ARRAY_LEN(bools); k++) {
		const struct pool *p = pool_of(e, bools[k].pool);

		for (uint32_t i = 1; i < p->next_new; i++)
			if (pool_is_live(p, i) &&
			    !is_bool((const bool *)pool_at(p, i) + bools[k].at))
				return false;
	}
	return true;
}

static bool
level_is_good(uint8_t level)
{
	return level < AHEAD_MAX || level == LEVEL_NONE;
}

static bool
mail_is_good(const struct eng *e)
{
	EACH(e->rcpts, rcpt, r, i)
	if (r->state == R_NONE || r->state >= R_STATES ||
	    eng_msg(e, r->msg) == NULL || (r->queue == 0 && r->state != R_DONE))
		return false;
	EACH(e->queues, queue, q, i)
	if (!is_slot(q->home & HOME_DOM ? &e->doms : &e->sites,
		q->home & ~HOME_DOM) ||
	    (q->lane == 0) != ((q->home & HOME_DOM) != 0) ||
	    (q->turn == 0) != (q->lane == 0))
		return false;
	EACH(e->parks, park, k, i)
	if (k->why >= ENG_WHY_N ||
	    ((const struct queue *)pool_at(&e->queues, k->queue))->lane == 0)
		return false;
	EACH(e->doms, dom, d, i)
	if (d->state > DOM_NEGATIVE || d->status >= ENG_DNS_N ||
	    (d->state == DOM_OK && d->site == 0))
		return false;
	EACH(e->txns, txn, t, i)
	if (eng_msg(e, t->msg) == NULL || t->rcpts.n > ENG_TXN_RCPTS_MAX)
		return false;
	EACH(e->delays, delay, w, i)
	if (eng_msg(e, w->msg) == NULL)
		return false;
	EACH(e->marks, mark, m, i)
	if (m->verb >= ENG_VERB_N)
		return false;
	return true;
}

/* Who stands in a heap of turns has one who points at it, or is a root. */
static bool
is_in_heap(const struct eng *e, const struct turn *t, uint32_t i)
{
	const struct lane *l = pool_at(&e->lanes, t->lane);
	const struct turn *p;

	if (t->ring.n == 0)
		return (t->child | t->next | t->prev) == 0;
	if (t->prev == 0)
		return t->next == 0 && l->turns[t->band] == i;
	p = pool_at(&e->turns, t->prev);
	return t->prev != i && p->lane == t->lane && p->band == t->band &&
	    (p->child == i) != (p->next == i);
}

/* The ring of a tenant's turns at a site, one for each lane and class. */
static bool
twins_hold(const struct eng *e, const struct turn *t, uint32_t i)
{
	uint32_t left = 2 * SRC_SLOTS * ENG_POOLS_MAX;

	for (uint32_t k = t->twin; k != i; k = t->twin) {
		t = pool_at(&e->turns, k);
		if (left-- == 0)
			return false;
	}
	return true;
}

static bool
turns_are_good(const struct eng *e)
{
	EACH(e->turns, turn, t, i)
	{
		const struct turn *c = pool_at(&e->turns, t->child);
		const struct turn *n = pool_at(&e->turns, t->next);

		if (t->weight == 0 || t->start < 0 || t->start > START_MAX ||
		    (t->child != 0 && c->prev != i) ||
		    (t->next != 0 && n->prev != i) || !is_in_heap(e, t, i) ||
		    !twins_hold(e, t, i))
			return false;
	}
	EACH(e->sites, site, s, i)
	for (int band = 0; band < 2; band++)
		if (s->idle[band] < 0 || s->idle[band] > START_MAX)
			return false;
	EACH(e->lanes, lane, l, i)
	for (int band = 0; band < 2; band++) {
		const struct turn *t = pool_at(&e->turns, l->turns[band]);

		if (l->turns[band] != 0 &&
		    (t->lane != i || t->band != band || t->prev != 0))
			return false;
		if (l->scales[band].sum < 0 ||
		    l->scales[band].sum > INT64_MAX / 2 ||
		    l->scales[band].idle < 0 ||
		    l->scales[band].idle > START_MAX)
			return false;
	}
	return true;
}

static bool
is_sane(int64_t v)
{
	return v >= -INT64_MAX / 8 && v <= INT64_MAX / 8;
}

static bool
standings_are_good(const struct eng *e)
{
	if (e->kinds.n > STAND_KINDS_MAX)
		return false;
	for (uint32_t k = 0; k < e->kinds.n; k++)
		if (e->kinds.v[k].action >= ENG_ACTION_N ||
		    e->kinds.v[k].dims >> DIM_N != 0)
			return false;
	EACH(e->standings, standing, s, i)
	if (s->action >= ENG_ACTION_N || s->dims >> DIM_N != 0 ||
	    s->automation >= MAX(e->policy->nautomations, 1u))
		return false;
	EACH(e->tallies, tally, t, i)
	if (t->part_us <= 0 || t->part < 0 || t->dims >> DIM_N != 0)
		return false;
	return true;
}

static bool
warms_are_good(const struct eng *e)
{
	EACH(e->warms, warm, w, i)
	if (w->plan > e->policy->nwarmups || w->stage > ENG_WARM_STAGES_MAX ||
	    w->verdict >= ENG_WARM_N || w->why >= ENG_WARM_WHY_N ||
	    !is_sane(w->from_us) || !is_sane(w->day) ||
	    !is_sane(w->day_end_us) || !is_sane(w->hour_end_us) ||
	    !is_sane(w->asked_hour_us) || !is_sane(w->kept_hour_us) ||
	    w->asked > INT64_MAX / 8 || w->sent > w->granted ||
	    w->granted > w->asked)
		return false;
	return true;
}

static bool
adapt_is_good(const struct adapt *a)
{
	return a->step < ADAPT_STEPS && a->rate <= ADAPT_RATE_MAX &&
	    a->proven <= ADAPT_RATE_MAX && a->wall <= ADAPT_RATE_MAX &&
	    a->wall2 <= ADAPT_RATE_MAX;
}

static bool
roads_are_good(const struct eng *e)
{
	EACH(e->sites, site, s, i)
	{
		if (s->generation == e->generation &&
		    (s->where.dest >= e->policy->ndests ||
			s->where.provider >= e->policy->nproviders ||
			s->where.shape >= e->policy->nshapes))
			return false;
		for (uint16_t k = 0; k < s->ntargets; k++)
			if (!is_slot(&e->hosts, s->targets[k].host))
				return false;
	}
	EACH(e->lanes, lane, l, i)
	if (l->why >= ENG_WHY_N || l->shut >= ENG_WHY_N ||
	    l->in_limit > LIMITS ||
	    (l->pool != POOL_NONE && l->pool >= ENG_POOLS_MAX))
		return false;
	EACH(e->paths, path, p, i)
	if (p->src == 0 || p->src >= SRC_SLOTS || p->why >= ENG_WHY_N ||
	    p->shut >= ENG_WHY_N || !level_is_good(p->level))
		return false;
	EACH(e->adapts, adapt, a, i)
	if (!adapt_is_good(a))
		return false;
	EACH(e->rates, rate, r, i)
	if (!adapt_is_good(&r->adapt))
		return false;
	EACH(e->sessions, sess, x, i)
	if (x->state > SESS_UP || !level_is_good(x->level))
		return false;
	return true;
}

/* Chains of recipients end, and their messages have a flow. */
static bool
chains_hold(const struct eng *e)
{
	for (uint32_t c = 0; c < e->msgs.n; c++) {
		const struct msg *page = (const void *)e->msgs.v[c];

		for (uint32_t k = 0; page && k < PAGE_SLOTS; k++) {
			const struct msg *m = &page[k];
			uint32_t left = RCPTS_MAX, i = m->head;

			if (!m->is_used)
				continue;
			if (!is_slot(&e->flows, m->flow))
				return false;
			for (; i != 0; i = eng_rcpt(e, i)->sib)
				if (left-- == 0 || !pool_is_live(&e->rcpts, i))
					return false;
		}
	}
	return true;
}

/* Chains end, and what a meter says it counts is counted by a row that there
 * is. */
static bool
chain_ends(const struct eng *e, uint32_t i)
{
	uint32_t left = e->charges.live;

	for (; i != 0; left--) {
		if (left == 0 || !pool_is_live(&e->charges, i))
			return false;
		i = ((const struct charge *)pool_at(&e->charges, i))->next;
	}
	return true;
}

static bool
meters_are_good(const struct eng *e)
{
	EACH(e->meters, meter, m, i)
	if (m->generation == e->generation && m->cap != CAP_NONE &&
	    m->cap >= e->policy->ncaps)
		return false;
	EACH(e->waiters, waiter, w, i)
	if (w->kind > WAITER_SESS || w->line >= LINES ||
	    w->list > LIST_ROUSED ||
	    !is_slot(w->kind == WAITER_PATH ? &e->paths :
		    w->kind == WAITER_QUEUE ? &e->queues :
		    w->kind == WAITER_LANE  ? &e->lanes :
					      &e->sessions,
		w->index) ||
	    (w->share == 0) != w->is_told)
		return false;
	EACH(e->shares, share, s, i)
	if (s->line >= LINES)
		return false;
	EACH(e->paths, path, p, i)
	if (!chain_ends(e, p->meters.head))
		return false;
	EACH(e->queues, queue, q, i)
	if (!chain_ends(e, q->meters.head))
		return false;
	EACH(e->sessions, sess, x, i)
	if (!chain_ends(e, x->charges))
		return false;
	EACH(e->txns, txn, t, i)
	if (!chain_ends(e, t->charges))
		return false;
	for (uint32_t k = 0; k < e->policy->ncaps; k++)
		if (e->cap_level[k] >= CAP_LEVELS)
			return false;
	return true;
}

static bool
jobs_hold(const struct eng *e)
{
	for (uint32_t i = 0; i < e->njobs; i++)
		if (e->jobs[i].ev.verb >= ENG_VERB_N ||
		    !is_bool(&e->jobs[i].ev.dry_run) ||
		    !is_bool(&e->jobs[i].ev.sel.everything))
			return false;
	return true;
}

int
save_check_machine(const struct eng *e)
{
	const uint64_t *s = e->rng.s;

	if (e->now < 0 || e->now > INT64_MAX / 4 || e->start_us > e->now ||
	    e->wheel.tick_us != WHEEL_TICK_US || e->wheel.start_us < 0 ||
	    e->wheel.start_us > e->now || (s[0] | s[1] | s[2] | s[3]) == 0 ||
	    e->wall_off_us > INT64_MAX / 4 || e->wall_off_us < -INT64_MAX / 4 ||
	    e->nsrcs > SRC_SLOTS || e->npools > ENG_POOLS_MAX ||
	    !is_bool(&e->is_wheel_behind) || !is_bool(&e->is_disk_full) ||
	    !is_bool(&e->has_quiet) || !is_bool(&e->has_sticky) ||
	    e->naside > ARRAY_LEN(e->aside) || !is_bool(&e->begins_spent))
		return E_CORRUPT;
	for (uint32_t i = 0; i < e->nsrcs; i++)
		if ((e->srcs[i].conf != SRC_NONE &&
			e->srcs[i].conf >= ENG_SOURCES_MAX) ||
		    !is_bool(&e->srcs[i].has_v4) ||
		    !is_bool(&e->srcs[i].has_v6) ||
		    !is_bool(&e->srcs[i].is_down) ||
		    e->srcs[i].plan > e->policy->nwarmups)
			return E_CORRUPT;
	for (uint32_t i = 0; i < e->npools; i++) {
		if (e->pools[i].n > ENG_POOL_SOURCES_MAX)
			return E_CORRUPT;
		if (!is_bool(&e->pools[i].is_weighted) ||
		    e->pools[i].nown > e->pools[i].n ||
		    (e->pools[i].over != POOL_NONE &&
			e->pools[i].over >= ENG_POOLS_MAX))
			return E_CORRUPT;
		for (uint32_t k = 0; k < e->pools[i].n; k++)
			if (e->pools[i].src[k] >= SRC_SLOTS ||
			    e->pools[i].weight[k] == 0 ||
			    e->pools[i].order[k] >= e->pools[i].n)
				return E_CORRUPT;
	}
	return 0;
}

int
save_check(struct eng *e, const char **what)
{
	int err;

	*what = "a claim";
	if (!bools_hold(e))
		return E_CORRUPT;
	*what = "an index";
	for (size_t i = 0; i < ARRAY_LEN(refs); i++)
		if (!ref_holds(e, &refs[i]))
			return E_CORRUPT;
	*what = "a list";
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (!lists_hold(e, &lists[i]))
			return E_CORRUPT;
	*what = "a timer";
	err = heap_build(e);
	if (err != 0)
		return err;
	if (!heap_holds(&e->timers) || !wheel_holds(e))
		return E_CORRUPT;
	*what = "a field";
	return mail_is_good(e) && warms_are_good(e) && standings_are_good(e) &&
		roads_are_good(e) && chains_hold(e) && meters_are_good(e) &&
		turns_are_good(e) && jobs_hold(e) ?
	    0 :
	    E_CORRUPT;
}
