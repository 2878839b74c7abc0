/*
 * engine/shape.c - a path (source x site), and whether it may send now.
 *
 * The rate is a token bucket in whole numbers. With N transactions per P
 * microseconds and a burst of B, credit grows by N a microsecond up to B * P
 * and a transaction costs P; so in any window of W microseconds at most
 * B + N * W / P start, without rounding. It is spent when the assignment is
 * given, and given back when the transaction was never sent.
 *
 * A refusal by the peer shuts the path for a time that doubles with each that
 * follows. When that time is over, one session and one transaction alone try
 * the path until there is proof that it works again.
 *
 * A path that a gate refuses has its timer set when that gate opens by itself;
 * else an event of one of its sessions opens it (see eng_path_pump).
 */
#include "engine/engine_i.h"

#define BACKOFF_MIN_US (US_PER_S / 10)
#define CREDIT_MAX     (INT64_MAX / 4)

static struct site *
site_of(const struct eng *e, const struct path *p)
{
	return pool_at(&e->sites, p->site);
}

/* ---- coming and going ---------------------------------------------------------- */

uint32_t
eng_path_find(const struct eng *e, uint32_t site, uint32_t src)
{
	return map_get(&e->path_map, ((uint64_t)site << 32) | src);
}

/* The bucket of a new path is full; unless an earlier life of the engine,
 * whose books are lost, may have emptied it just before this one began. */
static void
credit_init(struct eng *e, struct path *p)
{
	p->level = LEVEL_NONE;
	p->credit_us = e->limits.is_restart ? e->start_us : INT64_MIN;
}

uint32_t
eng_path_get(struct eng *e, uint32_t site, uint32_t src)
{
	uint32_t i = eng_path_find(e, site, src);
	struct site *s = pool_at(&e->sites, site);
	struct path *p;

	if (i != 0)
		return i;
	p = eng_slot(&e->paths, &i);
	p->site = site;
	p->src = src;
	credit_init(e, p);
	ASSERT(map_put(&e->path_map, ((uint64_t)site << 32) | src, i) == 0);
	il_push_tail(K_PATH(e), &s->paths, i);
	eng_site_hold(e, site);
	e->srcs[src].npaths++;
	eng_path_idle(e, i);
	return i;
}

static void
path_free(struct eng *e, uint32_t i)
{
	struct path *p = pool_at(&e->paths, i);
	struct site *s = site_of(e, p);
	uint32_t site = p->site;

	ASSERT(p->nsess == 0 && p->inflight == 0 && p->level == LEVEL_NONE);
	eng_timer_cancel(e, &p->timer);
	map_del(&e->path_map, ((uint64_t)site << 32) | p->src);
	il_remove(K_PATH(e), &s->paths, i);
	e->srcs[p->src].npaths--;
	pool_give(&e->paths, i);
	eng_site_drop(e, site);
}

void
eng_path_busy(struct eng *e, uint32_t i)
{
	struct path *p = pool_at(&e->paths, i);

	if (!p->is_idle)
		return;
	p->is_idle = false;
	il_remove(K_PATHIDLE(e), &e->idle_paths, i);
}

void
eng_path_idle(struct eng *e, uint32_t i)
{
	struct path *p = pool_at(&e->paths, i);

	ASSERT(!p->is_idle);
	p->is_idle = true;
	p->idle_us = e->now;
	il_push_tail(K_PATHIDLE(e), &e->idle_paths, i);
}

/* ---- the rate -------------------------------------------------------------------- */

static int64_t
credit_cap(const struct path *p)
{
	int64_t burst = MAX(p->rate_burst, 1);

	return MIN(burst, CREDIT_MAX / p->rate_period) * p->rate_period;
}

/* Another rate: whole transactions are carried over. A path that had no limit
 * begins with none: what it sent lately is not known. */
static void
rate_change(struct path *p, const struct eng_shape *s, int64_t now_us)
{
	int64_t whole = p->rate_count ? p->credit / p->rate_period : 0;
	bool is_new = p->rate_burst == 0;

	p->rate_count = s->rate_period_us > 0 ? s->rate_count : 0;
	p->rate_period = s->rate_period_us;
	p->rate_burst = MAX(s->rate_burst, 1);
	p->credit = 0;
	if (p->rate_count == 0)
		return;
	if (is_new && p->credit_us == INT64_MIN)
		p->credit = credit_cap(p);
	else if (!is_new)
		p->credit = MIN(whole, credit_cap(p) / p->rate_period) *
		    p->rate_period;
	if (!is_new || p->credit_us == INT64_MIN)
		p->credit_us = now_us;
}

static bool
rate_is_same(const struct path *p, const struct eng_shape *s)
{
	uint32_t count = s->rate_period_us > 0 ? s->rate_count : 0;

	return p->rate_count == count && p->rate_period == s->rate_period_us &&
	    p->rate_burst == MAX(s->rate_burst, 1);
}

static void
credit_sync(const struct eng *e, struct path *p)
{
	const struct eng_shape *s = &site_of(e, p)->shape;
	int64_t need, dt;

	if (p->rate_count != 0 && e->now > p->credit_us) {
		need = credit_cap(p) - p->credit;
		dt = e->now - p->credit_us;
		p->credit += dt > need / p->rate_count ? need :
							  dt * p->rate_count;
		p->credit_us = e->now;
	}
	if (!rate_is_same(p, s)) {
		rate_change(p, s, e->now);
		if (p->rate_count != 0 && e->now > p->credit_us)
			credit_sync(e, p); /* once: the rate is the same now */
	}
}

void
eng_path_spend(struct eng *e, struct path *p)
{
	credit_sync(e, p);
	if (p->rate_count == 0)
		return;
	ASSERT(p->credit >= p->rate_period);
	p->credit -= p->rate_period;
}

void
eng_path_unspend(struct eng *e, struct path *p)
{
	credit_sync(e, p);
	if (p->rate_count != 0)
		p->credit = MIN(p->credit + p->rate_period, credit_cap(p));
}

/* ---- the gates ------------------------------------------------------------------- */

static enum eng_why
rate_gate(struct eng *e, struct path *p, int64_t *until_us)
{
	int64_t need;

	credit_sync(e, p);
	if (p->rate_count == 0 || p->credit >= p->rate_period)
		return WHY_NONE;
	need = p->rate_period - p->credit;
	*until_us = e->now + (need + p->rate_count - 1) / p->rate_count;
	return WHY_RATE;
}

static enum eng_why
backoff_gate(struct eng *e, struct path *p, int64_t *until_us)
{
	*until_us = 0;
	if (e->srcs[p->src].conf == SRC_NONE)
		return WHY_NO_SOURCE;
	if (p->backoff_until_us <= e->now)
		return WHY_NONE;
	*until_us = p->backoff_until_us;
	return WHY_BACKOFF;
}

enum eng_why
eng_path_gate(struct eng *e, struct path *p, int64_t *until_us)
{
	enum eng_why why = backoff_gate(e, p, until_us);

	if (why != WHY_NONE)
		return why;
	if (p->fails > 0 && p->inflight > 0)
		return WHY_BACKOFF; /* the one that tries it tells */
	return rate_gate(e, p, until_us);
}

enum eng_why
eng_path_open_gate(struct eng *e, struct path *p, int64_t *until_us)
{
	const struct eng_shape *s = &site_of(e, p)->shape;
	enum eng_why why = backoff_gate(e, p, until_us);

	if (why != WHY_NONE)
		return why;
	if (p->fails > 0 && p->nsess > 0)
		return WHY_BACKOFF;
	if (s->conns_max != 0 && p->nsess >= s->conns_max)
		return WHY_CONN;
	return rate_gate(e, p, until_us);
}

void
eng_path_park(struct eng *e, uint32_t path, enum eng_why why,
    int64_t until_us)
{
	struct path *p = pool_at(&e->paths, path);

	if (p->why != why)
		e->totals.parks_total++;
	p->why = (uint8_t)why;
	if (until_us != 0)
		eng_timer_set(e, &p->timer, TIMER_PATH, path, until_us);
}

/* ---- what the peer thinks of it ---------------------------------------------------- */

void
eng_path_failed(struct eng *e, uint32_t path, int64_t began_us)
{
	struct path *p = pool_at(&e->paths, path);
	const struct eng_shape *s = &site_of(e, p)->shape;

	/* What was under way when it was refused says nothing new. */
	if (p->fails > 0 && began_us <= p->fail_us)
		return;
	p->fails++;
	p->fail_us = e->now;
	p->backoff_until_us = e->now +
	    eng_doubled(MAX(s->backoff_min_us, BACKOFF_MIN_US),
		MAX(s->backoff_max_us, s->backoff_min_us), p->fails);
	eng_path_relist(e, path);
}

void
eng_path_works(struct path *p, int64_t began_us)
{
	if (p->fails > 0 && began_us > p->fail_us)
		p->fails = 0;
}

/* ---- its place in the site's list of paths that can take work ---------------------- */

static uint8_t
path_level(struct eng *e, uint32_t i, struct path *p)
{
	int64_t until_us = 0;
	uint8_t level = 0;
	enum eng_why why;

	while (level < AHEAD_MAX && p->room[level].n == 0)
		level++;
	if (level == AHEAD_MAX)
		return LEVEL_NONE;
	why = eng_path_gate(e, p, &until_us);
	if (why == WHY_NONE)
		return level;
	eng_path_park(e, i, why, until_us);
	return LEVEL_NONE;
}

void
eng_path_relist(struct eng *e, uint32_t i)
{
	struct path *p = pool_at(&e->paths, i);
	struct site *s = site_of(e, p);
	uint8_t level = path_level(e, i, p);

	if (level == p->level)
		return;
	if (p->level != LEVEL_NONE)
		il_remove(K_OPEN(e), &s->open[p->level], i);
	if (level != LEVEL_NONE)
		il_push_tail(K_OPEN(e), &s->open[level], i);
	p->level = level;
}

uint32_t
eng_ahead(const struct eng_shape *s)
{
	return MIN(MAX(s->assign_ahead, 1), AHEAD_MAX);
}

void
eng_site_reshape(struct eng *e, uint32_t site)
{
	struct site *s = pool_at(&e->sites, site);

	for (uint32_t i = s->paths.head; i != 0;
	     i = il_link(K_PATH(e), i)->next) {
		struct path *p = pool_at(&e->paths, i);

		for (uint32_t k = p->sessions.head; k != 0;
		     k = il_link(K_SESS(e), k)->next)
			eng_sess_relist(e, k);
		eng_path_relist(e, i);
	}
}

/* ---- paths that nobody uses --------------------------------------------------------- */

/* Would a new one know less? */
static bool
path_has_evidence(const struct eng *e, struct path *p)
{
	const struct eng_shape *s = &site_of(e, p)->shape;

	credit_sync(e, p);
	if (p->rate_count != 0 && p->credit < credit_cap(p))
		return true;
	return p->fails > 0 &&
	    p->backoff_until_us + s->backoff_max_us > e->now;
}

void
eng_paths_idle_run(struct eng *e)
{
	for (int left = SLICE; left > 0 && e->idle_paths.n != 0; left--) {
		uint32_t i = e->idle_paths.head;
		struct path *p = pool_at(&e->paths, i);

		if (p->idle_us + IDLE_US > e->now)
			return;
		eng_path_busy(e, i);
		if (path_has_evidence(e, p))
			eng_path_idle(e, i);
		else
			path_free(e, i);
	}
}
