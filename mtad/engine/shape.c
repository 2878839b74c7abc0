/*
 * engine/shape.c - paths and their limits: connections, rate, back-off.
 *
 * The rate is a token bucket in integers: credit is counted in microseconds
 * times rate_count, a transaction costs rate_period_us, and at most burst
 * transactions' worth is kept. So in any window W at most
 * burst + count * W / period transactions start. A path that a limit refuses
 * has a timer for the time that the limit opens; nothing is polled.
 */
#include "engine/react_i.h"
#include "engine/standing_i.h"
#include "engine/warm_i.h"

/* Successes are counted over about so long. */
#define OK_US (60 * US_PER_S)
#define SLOW_MAX 3
#define SLOW_US (900 * US_PER_S)

static void refill(struct eng *e, struct path *p);

static uint64_t
path_key(uint32_t site, uint32_t src)
{
	return ((uint64_t)site << 32) | src;
}

uint32_t
eng_ahead(const struct eng_shape *s)
{
	return MIN(MAX(s->assign_ahead, 1u), (uint32_t)AHEAD_MAX);
}

void
eng_rates_spent(struct eng *e)
{
	e->begins_spent = true;
}

uint32_t
eng_path_find(const struct eng *e, uint32_t site, uint32_t src)
{
	return map_get(&e->path_map, path_key(site, src));
}

/* The policy is new, and what the site is in it will be known in a moment: what
 * the old one said of this source is forgotten, so as little is done as may be. */
static struct eng_shape
careful(const struct eng *e, const struct site *s)
{
	struct eng_shape shape =
	    ((const struct form *)pool_at(&e->forms, s->shape))->shape;

	shape.conns_max = shape.msgs_per_conn = shape.rcpts_per_txn = 1;
	shape.rate_count = shape.rate_burst = 1;
	shape.rate_period_us = MAX(shape.rate_period_us, 60 * US_PER_S);
	return shape;
}

/* What the path of a source to the site shall be, held once more. A site that
 * has not heard of the present policy yet says so for all sources alike; it will
 * before anything else happens. */
static uint32_t
form_of(struct eng *e, const struct site *s, uint32_t src)
{
	struct eng_shape shape;

	if (s->generation == e->generation)
		eng_policy_shape(e->policy, &s->where, e->srcs[src].conf,
		    &shape);
	else
		shape = careful(e, s);
	return eng_form_take(e, &shape);
}

uint32_t
eng_path_get(struct eng *e, uint32_t site, uint32_t src)
{
	uint32_t i = eng_path_find(e, site, src);
	struct site *s = pool_at(&e->sites, site);
	const struct eng_shape *shape;
	struct path *p;

	if (i != 0)
		return i;
	p = eng_slot(&e->paths, &i);
	p->site = site;
	p->src = src;
	p->level = LEVEL_NONE;
	p->shape = form_of(e, s, src);
	shape = eng_path_shape(e, p);
	p->rate_count = shape->rate_count;
	p->rate_period = shape->rate_period_us;
	p->rate_burst = shape->rate_burst;
	p->credit = p->rate_period * MAX(p->rate_burst, 1u);
	p->credit_us = e->now;
	if (e->begins_spent) {
		p->credit = 0;
		p->credit_us = e->start_us;
		refill(e, p);
	}
	ASSERT(map_put(&e->path_map, path_key(site, src), i) == 0);
	il_push_tail(K_PATH(e), &s->paths, i);
	eng_site_hold(e, site);
	e->srcs[src].npaths++;
	e->totals.paths++;
	if (e->recalled.n != 0)
		eng_adapt_resume(e, p);
	eng_path_idle(e, i);
	return i;
}

/* ---- the rate ------------------------------------------------------------------- */

static int64_t
credit_max(const struct path *p)
{
	return p->rate_period * MAX(p->rate_burst, 1u);
}

/* Brings credit up to date, and to the present shape: what was saved under
 * another rate is not carried over. */
static void
refill(struct eng *e, struct path *p)
{
	const struct eng_shape *s = eng_path_shape(e, p);
	int64_t max, passed;

	if ((p->rate_count | s->rate_count) == 0)
		return; /* it has none, and had none */
	passed = e->now - p->credit_us;
	if (p->rate_count != s->rate_count ||
	    p->rate_period != s->rate_period_us ||
	    p->rate_burst != s->rate_burst) {
		p->rate_count = s->rate_count;
		p->rate_period = s->rate_period_us;
		p->rate_burst = s->rate_burst;
		p->credit = 0;
		passed = 0;
	}
	p->credit_us = e->now;
	if (p->rate_count == 0)
		return;
	max = credit_max(p);
	if (passed >= (max - p->credit) / p->rate_count + 1)
		p->credit = max;
	else
		p->credit = MIN(p->credit + passed * p->rate_count, max);
}

static bool
is_rated(const struct path *p)
{
	return p->rate_count != 0 && p->rate_period > 0;
}

void
eng_path_spend(struct eng *e, struct path *p)
{
	refill(e, p);
	if (is_rated(p))
		p->credit -= p->rate_period;
	if (eng_acts(e, ACT_SLOW))
		eng_path_pace(e, p, true);
	if (p->adapt != 0)
		eng_adapt_spend(e, p);
}

void
eng_path_unspend(struct eng *e, struct path *p)
{
	refill(e, p);
	if (is_rated(p))
		p->credit = MIN(p->credit + p->rate_period, credit_max(p));
	if (eng_acts(e, ACT_SLOW))
		eng_path_pace(e, p, false);
	if (p->adapt != 0)
		eng_adapt_unspend(e, p);
}

/* By a reaction, when it was asked last. */
static bool
is_paced(const struct eng *e, const struct path *p)
{
	return eng_acts(e, ACT_SLOW) && p->pace_us != 0;
}

/* ---- the gates -------------------------------------------------------------------- */

/* What is learnt of the path, and how old its source is there. */
static enum eng_why
learnt_gate(struct eng *e, struct path *p, int64_t *until_us)
{
	enum eng_why why = WHY_NONE;

	if (eng_acts(e, ACT_SLOW))
		why = eng_path_pace_gate(e, p, until_us);
	if (why == WHY_NONE && p->adapt != 0)
		why = eng_adapt_gate(e, p, until_us);
	if (why == WHY_NONE && eng_path_is_young(e, p))
		why = eng_warm_gate(e, p, until_us);
	return why;
}

enum eng_why
eng_path_gate(struct eng *e, struct path *p, int64_t *until_us)
{
	int64_t missing;

	e->totals.decisions_total++;
	*until_us = 0;
	if (e->kinds.acts != 0 && eng_path_suspended(e, p, until_us) != 0)
		return WHY_SUSPENDED;
	if (p->backoff_until_us > e->now) {
		*until_us = p->backoff_until_us;
		return WHY_BACKOFF;
	}
	/* After a refusal one goes first. */
	if (p->fails != 0 && p->inflight != 0)
		return WHY_BACKOFF;
	refill(e, p);
	if (!is_rated(p) || p->credit >= p->rate_period)
		return learnt_gate(e, p, until_us);
	missing = p->rate_period - p->credit;
	*until_us = e->now + (missing + p->rate_count - 1) / p->rate_count;
	return WHY_RATE;
}

bool
eng_path_has_room(const struct eng *e, const struct path *p)
{
	const struct eng_shape *s = eng_path_shape(e, p);

	if (p->level == LEVEL_NONE || p->level == 0)
		return p->level != LEVEL_NONE;
	if (p->adapt != 0 || is_paced(e, p))
		return false;
	if (!is_rated(p) && !p->meters.is_metered)
		return true;
	return s->conns_max && p->nsess >= s->conns_max;
}

/* A session that the rate leaves nothing to send on is opened for nothing: as
 * many as wait for work already have a transaction's credit each. */
static enum eng_why
spare_gate(const struct eng *e, const struct path *p, int64_t *until_us)
{
	int64_t spare = (int64_t)p->nopening + p->room[0].n;
	int64_t missing = (spare + 1) * p->rate_period - p->credit;

	if (missing <= 0)
		return WHY_NONE;
	if (spare < (int64_t)p->rate_burst)
		*until_us =
		    e->now + (missing + p->rate_count - 1) / p->rate_count;
	return WHY_RATE; /* else until one of them has work or is gone */
}

/* With no session to spare, one is opened so long before the rate lets it send
 * as the last one took to be set up: a bucket that holds little would run over
 * meanwhile. */
static enum eng_why
rate_gate(const struct eng *e, const struct path *p, enum eng_why why,
    int64_t *until_us)
{
	if ((why != WHY_RATE && why != WHY_SLOWED && why != WHY_PACED) ||
	    p->nopening != 0 || p->room[0].n != 0)
		return why;
	*until_us -= p->setup_us;
	return *until_us <= e->now ? WHY_NONE : why;
}

/* As many as the peer lets stand, and now and then one more. */
static bool
is_crowded(const struct eng *e, const struct path *p, int64_t *until_us)
{
	if (p->crowd == 0 || p->nsess < p->crowd)
		return false;
	if (p->crowd_until_us > e->now)
		*until_us = p->crowd_until_us;
	return p->crowd_until_us > e->now || p->nopening != 0;
}

enum eng_why
eng_path_open_gate(struct eng *e, struct path *p, int64_t *until_us)
{
	const struct eng_shape *s = eng_path_shape(e, p);
	enum eng_why why = eng_path_gate(e, p, until_us);
	uint32_t max;

	why = rate_gate(e, p, why, until_us);
	if (why != WHY_NONE)
		return why;
	*until_us = 0;
	max = s->conns_max;
	if (eng_acts(e, ACT_CONNS))
		max = eng_path_conns_max(e, p, max);
	if (max != 0 && p->nsess >= max)
		return WHY_CONN;
	if (p->nsess - p->nproven >= MAX(p->nproven, UNPROVEN_MAX))
		return WHY_CONN;
	if (is_crowded(e, p, until_us))
		return WHY_CONN;
	if (p->ramp != 0 && p->nsess >= p->ramp)
		return WHY_BACKOFF;
	/* After a refusal one session goes first, until it has delivered. */
	if (p->fails != 0 && p->nsess != 0)
		return WHY_BACKOFF;
	if (p->adapt != 0 &&
	    p->nopening + p->room[0].n >= eng_adapt_spare(e, p))
		return WHY_SLOWED;
	if (is_paced(e, p) && p->nopening + p->room[0].n != 0)
		return WHY_PACED;
	return is_rated(p) && p->credit >= p->rate_period ?
	    spare_gate(e, p, until_us) :
	    WHY_NONE;
}

void
eng_path_park(struct eng *e, uint32_t path, enum eng_why why, int64_t until_us)
{
	struct path *p = pool_at(&e->paths, path);

	e->totals.parks_total++;
	if (why == WHY_WARMUP && until_us == 0)
		eng_warm_wait(e, path);
	if (why == WHY_SUSPENDED || why == WHY_PACED)
		eng_standing_wait(e, path, why);
	if (p->shut == why && heap_has(&p->timer.node) &&
	    p->timer.node.key == until_us)
		return; /* as it is */
	p->why = (uint8_t)why;
	eng_path_shut(e, p, why);
	if (until_us > e->now)
		eng_timer_set(e, &p->timer, TIMER_PATH, path, until_us);
}

void
eng_path_wait(struct eng *e, uint32_t path, const struct refusal *r,
    const struct asker *a)
{
	struct path *p = pool_at(&e->paths, path);

	eng_wait(e, WAITER_PATH, path, r, a);
	p->why = WHY_CAP;
	if (p->shut != WHY_CAP)
		eng_path_shut(e, p, WHY_CAP);
}

/* One that does not say so may be an outage; several within a quarter of an hour,
 * with mail going out in between, are none. */
static bool
is_of_rate(const struct eng *e, struct path *p, enum hint hint)
{
	if (hint != HINT_VAGUE || p->adapt != 0)
		return hint != HINT_NONE;
	if (p->fails > 1)
		return false;
	if (p->slow_us + SLOW_US < e->now)
		p->nslow = 0;
	p->slow_us = e->now;
	if (p->nslow + 1 < SLOW_MAX)
		p->nslow++;
	else
		return true;
	return false;
}

void
eng_path_failed(struct eng *e, uint32_t path, int64_t began_us, enum hint hint)
{
	struct path *p = pool_at(&e->paths, path);
	const struct eng_shape *s = eng_path_shape(e, p);
	int64_t pause = 0;

	if (hint != HINT_NONE && p->adapt != 0)
		eng_adapt_count(e, p);
	if (p->fails != 0 && began_us < p->fail_us)
		return; /* began before the failure that is known */
	p->fails++;
	p->fail_us = e->now;
	if (s->floor_count != 0 && is_of_rate(e, p, hint))
		pause = eng_adapt_refused(e, p, began_us);
	if (pause == 0)
		pause =
		    eng_doubled(s->backoff_min_us, s->backoff_max_us, p->fails);
	p->backoff_until_us = e->now + pause;
	eng_path_park(e, path, WHY_BACKOFF, p->backoff_until_us);
}

void
eng_path_crowded(struct eng *e, struct path *p, int64_t opened_us)
{
	const struct eng_shape *s = eng_path_shape(e, p);

	p->crowd = p->nsess - 1;
	if (p->crowd_fails != 0 && opened_us <= p->crowd_us)
		return; /* opened before the refusal that is known */
	p->crowd_fails++;
	p->crowd_us = e->now;
	p->crowd_until_us = e->now +
	    eng_doubled(s->backoff_min_us, s->backoff_max_us, p->crowd_fails);
}

void
eng_path_uncrowd(struct path *p, int64_t opened_us)
{
	uint32_t up = p->nsess - p->nopening;

	if (p->crowd == 0 || up <= p->crowd || opened_us <= p->crowd_us)
		return;
	p->crowd_fails = 0;
	p->crowd = 2 * up;
}

/* Of late: what is longer ago fades. */
static void
count_ok(const struct eng *e, struct path *p)
{
	if (p->nok == 0) {
		p->ok_us = e->now;
	} else if (e->now >= p->ok_us + OK_US) {
		p->nok /= 2;
		p->ok_us = e->now - OK_US / 2;
	}
	p->nok++;
}

void
eng_path_works(struct eng *e, struct path *p, int64_t began_us)
{
	count_ok(e, p);
	if (began_us < p->fail_us)
		return;
	if (p->fails != 0 && p->adapt != 0)
		eng_adapt_works(e, p, began_us);
	p->fails = 0;
	p->shun = 0;
}

/* ---- lists ---------------------------------------------------------------------------- */

void
eng_path_relist(struct eng *e, uint32_t path)
{
	struct path *p = pool_at(&e->paths, path);
	struct site *s = pool_at(&e->sites, p->site);
	uint8_t level = 0;

	while (level < AHEAD_MAX && p->room[level].n == 0)
		level++;
	if (level == AHEAD_MAX)
		level = LEVEL_NONE;
	if (level == p->level)
		return;
	if (p->level != LEVEL_NONE)
		il_remove(K_OPEN(e), &s->open[p->level], path);
	if (level != LEVEL_NONE && p->turn != 0)
		il_push_head(K_OPEN(e), &s->open[level], path);
	else if (level != LEVEL_NONE)
		il_push_tail(K_OPEN(e), &s->open[level], path);
	p->level = level;
}

void
eng_path_busy(struct eng *e, uint32_t path)
{
	struct path *p = pool_at(&e->paths, path);

	if (!p->is_idle)
		return;
	p->is_idle = false;
	il_remove(K_PATHIDLE(e), &e->idle_paths, path);
}

void
eng_path_idle(struct eng *e, uint32_t path)
{
	struct path *p = pool_at(&e->paths, path);

	if (p->is_idle || p->nsess != 0 || p->inflight != 0)
		return;
	p->is_idle = true;
	p->idle_us = e->now;
	il_push_tail(K_PATHIDLE(e), &e->idle_paths, path);
}

/* Is a pause that began at from_us over, and as long again? The next one shall
 * be longer. */
static bool
is_past(const struct eng *e, int64_t from_us, int64_t until_us)
{
	return until_us + (until_us - from_us) <= e->now;
}

/* What it remembers would be lost: a back-off, how many sessions the peer lets
 * stand, or a bucket that is not full. */
static bool
remembers(struct eng *e, struct path *p)
{
	refill(e, p);
	if (p->fails != 0 && !is_past(e, p->fail_us, p->backoff_until_us))
		return true;
	if (p->crowd != 0 && !is_past(e, p->crowd_us, p->crowd_until_us))
		return true;
	if (p->adapt != 0 && eng_adapt_remembers(e, p))
		return true;
	if (eng_acts(e, ACT_SLOW) && p->pace_us > e->now)
		return true;
	/* Somebody may count on its timer; but who waits for a young source has
	 * a wake of its own. */
	return p->backoff_until_us > e->now || p->waiter != 0 ||
	    p->standing != 0 ||
	    (heap_has(&p->timer.node) && p->why != WHY_WARMUP) ||
	    (is_rated(p) && p->credit < credit_max(p));
}

static void
path_free(struct eng *e, uint32_t i)
{
	struct path *p = pool_at(&e->paths, i);
	struct site *s = pool_at(&e->sites, p->site);
	uint32_t site = p->site;

	ASSERT(p->sessions.n == 0 && p->level == LEVEL_NONE);
	/* Lanes that counted on it look again, and find the source's own wake. */
	if (heap_has(&p->timer.node) || p->wait_warm != 0)
		eng_site_look(e, site);
	eng_timer_cancel(e, &p->timer);
	eng_warm_unwait(e, p, i);
	eng_standing_unwait(e, i);
	eng_path_ready(e, p);
	eng_unwait(e, &p->waiter);
	eng_meters_drop(e, &p->meters);
	eng_path_unshut(e, p);
	eng_adapt_end(e, p);
	eng_form_drop(e, p->shape);
	map_del(&e->path_map, path_key(p->site, p->src));
	il_remove(K_PATH(e), &s->paths, i);
	e->srcs[p->src].npaths--;
	e->totals.paths--;
	pool_give(&e->paths, i);
	eng_site_drop(e, site);
}

void
eng_paths_idle_run(struct eng *e)
{
	for (int left = PUMP_MAX; left > 0 && e->idle_paths.n != 0; left--) {
		uint32_t i = e->idle_paths.head;
		struct path *p = pool_at(&e->paths, i);

		if (p->idle_us + IDLE_US > e->now)
			return;
		il_remove(K_PATHIDLE(e), &e->idle_paths, i);
		if (remembers(e, p)) {
			p->idle_us = e->now;
			il_push_tail(K_PATHIDLE(e), &e->idle_paths, i);
			continue;
		}
		p->is_idle = false;
		path_free(e, i);
	}
}

void
eng_path_recount(struct eng *e, uint32_t path)
{
	const struct path *p = pool_at(&e->paths, path);

	for (uint32_t k = p->sessions.head; k != 0;) {
		const struct sess *x = pool_at(&e->sessions, k);

		eng_session_rebind(e, k);
		k = x->link.next;
	}
}

void
eng_path_reshape(struct eng *e, uint32_t path)
{
	struct path *p = pool_at(&e->paths, path);
	uint32_t old = p->shape;

	p->shape = form_of(e, pool_at(&e->sites, p->site), p->src);
	eng_form_drop(e, old);
	if (p->shape == old)
		return;
	for (uint32_t k = p->sessions.head; k != 0;) {
		uint32_t next =
		    ((struct sess *)pool_at(&e->sessions, k))->link.next;

		eng_sess_relist(e, k);
		k = next;
	}
}
