/*
 * engine/adapt_keep.c - rates that were learnt survive a restart.
 *
 * An entry is of a source and the best host of a site. It is given to the books
 * when a rate has changed, for one path not more often than once a minute, or ten
 * seconds for one that has fallen: what is lost with a crash is the last little
 * step, and the receiver says so at once. It goes when the rate is forgotten.
 *
 * What comes back waits for its path, as long as a rate is kept without mail, and
 * is then forgotten in the books, too.
 */
#include "engine/react_i.h"

#define RISEN_US (60 * US_PER_S)
#define FALLEN_US (10 * US_PER_S)

enum {
	V_RATE,
	V_PROVEN,
	V_WALL,
	V_WALL2,
	V_LOAD, /* bucket, per_event, ncostly */
	V_STAY, /* hi_us */
	V_COST,
	V_WHEN
};

static uint64_t
rate_key(uint32_t source, uint32_t host)
{
	return (uint64_t)source << 32 | host;
}

static struct eng_entry
entry_of(uint32_t source, uint32_t host)
{
	return (struct eng_entry){ .book = BOOK_ADAPT,
		.nkeys = 2,
		.key = { source, host } };
}

static struct eng_entry
path_entry(const struct eng *e, const struct path *p)
{
	const struct site *s = pool_at(&e->sites, p->site);

	return entry_of(e->srcs[p->src].name,
	    s->ntargets != 0 ? s->targets[0].name : 0);
}

void
eng_adapt_keep(struct eng *e, const struct path *p, bool has_fallen)
{
	struct adapt *a = pool_at(&e->adapts, p->adapt);
	struct eng_entry en = path_entry(e, p);
	int64_t every = has_fallen ? FALLEN_US : RISEN_US;

	if (en.key[1] == 0 || (a->is_kept && e->now < a->kept_us + every))
		return;
	a->is_kept = true;
	a->kept_us = e->now;
	en.v[V_RATE] = (int64_t)a->rate;
	en.v[V_PROVEN] = (int64_t)a->proven;
	en.v[V_WALL] = (int64_t)a->wall;
	en.v[V_WALL2] = (int64_t)a->wall2;
	en.v[V_LOAD] = (int64_t)((uint64_t)MIN(a->bucket, UINT16_MAX) << 32 |
	    MIN(a->per_event, UINT16_MAX) << 8 | a->ncostly);
	en.v[V_STAY] = a->hi_us;
	en.v[V_COST] = a->cost_us;
	en.v[V_WHEN] = eng_wall(e) - (e->now - a->evid_us);
	eng_keep(e, &en, false);
}

void
eng_adapt_forget(struct eng *e, const struct path *p)
{
	const struct adapt *a = pool_at(&e->adapts, p->adapt);
	struct eng_entry en = path_entry(e, p);

	if (a->is_kept)
		eng_keep(e, &en, true);
}

/* ---- a start ------------------------------------------------------------------- */

static bool
is_rate(int64_t v)
{
	return v >= 0 && (uint64_t)v <= ADAPT_RATE_MAX;
}

static bool
is_span(int64_t v)
{
	return v >= 0 && v <= 86400 * US_PER_S;
}

void
eng_adapt_recall(struct eng *e, const struct eng_entry *en)
{
	const int64_t *v = en->v;
	int64_t age = eng_wall(e) - v[V_WHEN];
	uint64_t key;
	struct rate *r;
	uint32_t i;

	if (en->nkeys != 2 || en->key[0] == 0 || en->key[1] == 0)
		return; /* none of ours */
	key = rate_key(en->key[0], en->key[1]);
	if (v[V_RATE] <= 0 || !is_rate(v[V_RATE]) || !is_rate(v[V_PROVEN]) ||
	    !is_rate(v[V_WALL]) || !is_rate(v[V_WALL2]) ||
	    !is_span(v[V_STAY]) || !is_span(v[V_COST]) ||
	    age >= ADAPT_KEEP_US || map_get(&e->rate_map, key) != 0) {
		eng_keep(e, en, true);
		return;
	}
	r = eng_slot(&e->rates, &i);
	r->source = en->key[0];
	r->host = en->key[1];
	r->adapt = (struct adapt){ .rate = (uint64_t)v[V_RATE],
		.proven = (uint64_t)v[V_PROVEN],
		.wall = (uint64_t)v[V_WALL],
		.wall2 = (uint64_t)v[V_WALL2],
		.bucket = (uint64_t)v[V_LOAD] >> 32 & UINT16_MAX,
		.per_event = MAX((uint32_t)v[V_LOAD] >> 8 & UINT16_MAX, 1u),
		.ncostly = (uint8_t)MIN((uint32_t)v[V_LOAD] & 0xff, 4u),
		.hi_us = v[V_STAY],
		.cost_us = v[V_COST],
		.evid_us = e->now - MAX(age, 0),
		.is_kept = true,
		.kept_us = e->now };
	ASSERT(map_put(&e->rate_map, key, i) == 0);
	il_push_tail(K_RATE(e), &e->recalled, i);
}

static void
rate_give(struct eng *e, uint32_t i)
{
	const struct rate *r = pool_at(&e->rates, i);

	map_del(&e->rate_map, rate_key(r->source, r->host));
	il_remove(K_RATE(e), &e->recalled, i);
	pool_give(&e->rates, i);
}

void
eng_adapt_resume(struct eng *e, struct path *p)
{
	struct eng_entry en = path_entry(e, p);
	uint32_t i = map_get(&e->rate_map, rate_key(en.key[0], en.key[1]));
	const struct site *site = pool_at(&e->sites, p->site);
	const struct eng_shape *s = eng_path_shape(e, p);
	struct adapt *a;

	/* Of a site that has not heard of the policy little is known yet. */
	if (i == 0 || s->floor_count == 0 || site->generation != e->generation)
		return;
	a = eng_slot(&e->adapts, &p->adapt);
	*a = ((const struct rate *)pool_at(&e->rates, i))->adapt;
	rate_give(e, i);
	eng_adapt_fit(e, p);
}

void
eng_rates_run(struct eng *e)
{
	if (e->now < e->start_us + ADAPT_KEEP_US)
		return;
	for (int left = PUMP_MAX; left > 0 && e->recalled.n != 0; left--) {
		const struct rate *r = pool_at(&e->rates, e->recalled.head);
		struct eng_entry en = entry_of(r->source, r->host);

		eng_keep(e, &en, true);
		rate_give(e, e->recalled.head);
	}
}
