/*
 * engine/adapt.c - the rate that a receiver bears, found by trying.
 *
 * A path that a receiver slows down gets a rate of its own. It stays at a rate
 * that has gone well for a while (a hold), then tries one that is a little higher;
 * if nothing happens that is the new one, else it goes back. Near the rate that
 * was refused last, the wall, steps are small and holds long; far from it, or
 * beyond it, each step that goes well is followed by a larger one at once. A
 * refusal in a hold, soon after another, means that the limit has fallen: then
 * the rate falls by parts of itself until nothing is refused.
 *
 * What a refusal costs decides how often one may be risked. Where a receiver takes
 * mail again after a moment, a few hundred transactions lie between two trials.
 * Where he takes none for minutes, trials are that much rarer, the time to stay
 * away is remembered and narrowed down, and a refusal in a long hold halves the
 * rate, for a second one would cost as much again.
 *
 * Rates are transactions in 10^6 seconds, whole numbers. Only time in which the
 * rate was used up counts for a trial or a hold.
 */
#include "engine/react_i.h"

#define RATE_ONE UINT64_C(1000000000000) /* period in us = this / rate */
#define COSTLY_US (60 * US_PER_S)
#define OUTAGE_US (7200 * US_PER_S)
#define COST_MAX_US (1800 * US_PER_S)
#define TOLERANCE_US (20 * US_PER_MS)

/* A hold: so many transactions for each that a trial has refused, at the latest
 * after so long; where a refusal is costly, so many times what it costs. */
#define HOLD_N 250
#define HOLD_MAX_US (600 * US_PER_S)
#define HOLD_COSTS 5
#define HOLD_COSTLY_MAX_US (5400 * US_PER_S)
/* A trial. */
#define TRY_N 60
#define TRY_FAST_N 40
#define TRY_US (15 * US_PER_S)
#define TRY_MAX_US (120 * US_PER_S)
#define TRY_COSTLY_N 150
#define TRY_WALL_N 900 /* across the wall */
/* After so many a limit that has been borne is one that has fallen. */
#define BORNE_N 500
/* A burst that a receiver may allow. */
#define BUCKET_MAX 10000u

static const uint8_t steps_pct[ADAPT_STEPS] = { 6, 9, 13, 20, 30, 50 };

static int64_t
period_us(uint64_t rate)
{
	return (int64_t)(RATE_ONE / MAX(rate, 1));
}

static uint64_t
part(uint64_t x, uint32_t pct)
{
	return x * pct / 100;
}

static uint64_t
ceiling(const struct eng_shape *s)
{
	if (s->rate_count == 0 || s->rate_period_us <= 0)
		return ADAPT_RATE_MAX;
	return MIN(s->rate_count * RATE_ONE / (uint64_t)s->rate_period_us,
	    ADAPT_RATE_MAX);
}

static uint64_t
lowest(const struct eng_shape *s)
{
	return s->floor_count * RATE_ONE / (uint64_t)MAX(s->floor_period_us, 1);
}

static bool
is_costly(const struct adapt *a)
{
	return a->ncostly >= 2;
}

/* Where one refusal has been costly, little is risked twice. */
static bool
is_wary(const struct adapt *a)
{
	return a->ncostly != 0;
}

static bool
is_near(const struct adapt *a, uint64_t wall)
{
	return wall != 0 && a->rate >= part(wall, 90) &&
	    a->rate < part(wall, 98);
}

/* So far below what was refused that little is risked. */
static bool
is_far(const struct adapt *a)
{
	uint64_t wall = a->wall != 0 ? a->wall : a->wall2;

	return a->rate < wall / 8;
}

static void
rate_set(struct eng *e, struct adapt *a, uint64_t rate)
{
	a->rate = rate;
	a->n = 0;
	a->since_us = e->now;
}

/* ---- upwards ----------------------------------------------------------------------- */

struct span {
	uint64_t n;
	int64_t min_us, max_us;
};

/* How long the present rate is kept before the next. */
static struct span
span_of(const struct adapt *a)
{
	bool tries = a->rate > a->proven, fast = a->step != 0;
	uint64_t hold = HOLD_N * (uint64_t)MAX(a->per_event, 16) / 16;

	if (is_costly(a) && !tries && !is_far(a))
		return (struct span){ 0,
			MIN(HOLD_COSTS * a->cost_us, HOLD_COSTLY_MAX_US), 0 };
	if (is_wary(a) && tries)
		return (struct span){ fast ? TRY_COSTLY_N : TRY_WALL_N,
			COSTLY_US, fast ? 2 * TRY_MAX_US : 3 * TRY_MAX_US };
	if (tries || fast)
		return (struct span){ fast ? TRY_FAST_N : TRY_N, TRY_US,
			TRY_MAX_US };
	return (struct span){ hold, TRY_US, HOLD_MAX_US };
}

/* Not across a wall in one stride. */
static uint64_t
short_of(uint64_t next, uint64_t rate, uint64_t wall)
{
	uint64_t brink = part(wall, 97);

	return next > brink && part(brink, 93) > rate ? brink : next;
}

static void
climb(struct eng *e, struct path *p, struct adapt *a)
{
	uint64_t top = ceiling(eng_path_shape(e, p)), next;
	uint32_t most = is_costly(a) ? ADAPT_STEPS / 2 : ADAPT_STEPS - 1;
	bool near = is_near(a, a->wall);
	bool held = is_costly(a) && a->rate <= a->proven && !is_far(a);

	if (a->rate > a->proven) {
		a->proven = a->rate;
		/* Where refusals are costly one hold leads to one of them, and
		 * not each step. */
		if (is_near(a, is_costly(a) ? a->wall2 : a->wall)) {
			a->step = 0;
			rate_set(e, a, a->rate);
			return;
		}
	}
	if (a->rate >= top) {
		eng_adapt_end(e, p);
		return;
	}
	a->step = near || held ? 0 : (uint8_t)MIN(a->step + 1u, most);
	next = MAX(part(a->rate, 100u + steps_pct[a->step]), a->rate + 1);
	next = short_of(short_of(next, a->rate, a->wall), a->rate, a->wall2);
	rate_set(e, a, MIN(next, top));
	eng_adapt_keep(e, p, false);
}

void
eng_adapt_spend(struct eng *e, struct path *p)
{
	struct adapt *a = pool_at(&e->adapts, p->adapt);
	int64_t period = period_us(a->rate), passed = e->now - a->since_us;
	int64_t slack = MIN(period, TOLERANCE_US);
	struct span s = span_of(a);
	uint64_t used;

	a->tat_us = MAX(a->tat_us, e->now - slack) + period;
	a->n++;
	if (p->fails != 0 || passed < s.min_us ||
	    (a->n < s.n && passed < s.max_us))
		return;
	used = a->n * (uint64_t)period;
	if (used < (uint64_t)passed / 100 * 80) /* it was not used up */
		rate_set(e, a, a->rate);
	else
		climb(e, p, a);
}

void
eng_adapt_unspend(struct eng *e, struct path *p)
{
	struct adapt *a = pool_at(&e->adapts, p->adapt);

	a->tat_us -= period_us(a->rate);
	a->n -= a->n != 0;
}

/* ---- downwards --------------------------------------------------------------------- */

/* A bucket that was full and is empty after n transactions has been filled at
 * less than the rate, by about its size / n. */
static uint32_t
left_pct(const struct adapt *a)
{
	if (a->n <= 2 * a->bucket)
		return 50;
	return MIN((uint32_t)(97 - 97 * a->bucket / a->n), 94u);
}

/* Where it must be expected that the limit has fallen. */
static bool
is_fall(const struct adapt *a)
{
	return is_costly(a) && a->rate <= a->proven &&
	    (a->n > BORNE_N || a->n <= 2 * a->bucket);
}

/* The rate that follows from a refusal. */
static uint64_t
fallen(const struct adapt *a)
{
	if (is_fall(a))
		return a->rate / 2;
	if (a->rate >
	    a->proven) /* what has hardly been proven may be too much */
		return a->step == 0 || !is_wary(a) ? a->proven :
						     part(a->proven, 96);
	return part(a->rate, left_pct(a));
}

static void
evidence(struct eng *e, struct path *p, struct adapt *a)
{
	uint64_t rate = fallen(a);

	/* What a trial drew from it is the most that it can hold. */
	if (a->rate > a->proven)
		a->bucket =
		    MIN(a->bucket, a->n * (a->rate - a->proven) / a->rate + 1);
	if (is_fall(a)) { /* what was borne before is worth knowing */
		a->wall2 = MAX(MAX(a->wall, a->wall2), a->rate);
		a->wall = 0;
	} else {
		if (a->wall != 0 &&
		    (a->rate < part(a->wall, 80) ||
			part(a->rate, 80) > a->wall))
			a->wall2 = a->wall;
		a->wall = a->rate;
	}
	a->per_event = (3 * a->per_event + 16 * MIN(a->nrefused, 64u)) / 4;
	a->nrefused = 0;
	a->step = 0;
	a->evid_us = a->fail0_us = e->now;
	rate_set(e, a, MAX(rate, lowest(eng_path_shape(e, p))));
	a->proven = a->rate;
	eng_adapt_keep(e, p, true);
}

/* What it was doing when it was slowed down first. */
static uint64_t
measured(const struct eng *e, const struct path *p)
{
	uint64_t us = (uint64_t)MAX(e->now - p->ok_us, US_PER_S);

	return MAX(p->nok * RATE_ONE / us, 1);
}

static void
adapt_begin(struct eng *e, struct path *p)
{
	uint64_t top = ceiling(eng_path_shape(e, p));
	struct adapt *a = eng_slot(&e->adapts, &p->adapt);

	a->rate = a->proven = MIN(measured(e, p), top);
	a->since_us = e->now;
	a->per_event = 16;
	a->bucket = MIN(p->nok, BUCKET_MAX);
	a->tat_us = e->now;
}

void
eng_adapt_end(struct eng *e, struct path *p)
{
	if (p->adapt == 0)
		return;
	eng_adapt_forget(e, p);
	pool_give(&e->adapts, p->adapt);
	p->adapt = 0;
}

void
eng_adapt_fit(struct eng *e, struct path *p)
{
	struct adapt *a = pool_at(&e->adapts, p->adapt);
	const struct eng_shape *s = eng_path_shape(e, p);

	rate_set(e, a, MAX(MIN(a->rate, ceiling(s)), lowest(s)));
	a->proven = MIN(a->proven, a->rate);
	a->tat_us = e->now;
}

/* ---- how long to stay away --------------------------------------------------------- */

/* Between what was too short and what was long enough. */
static int64_t
guess(const struct adapt *a)
{
	if (a->hi_us <= a->lo_us + a->lo_us / 8)
		return a->hi_us;
	return a->lo_us + (a->hi_us - a->lo_us) / 2;
}

static int64_t
first_pause(const struct adapt *a)
{
	if (is_costly(a) && a->hi_us != 0)
		return guess(a);
	return MIN(MAX(4 * period_us(a->rate), US_PER_S), COSTLY_US);
}

/* The receiver was asked again and says no. */
static int64_t
next_pause(struct eng *e, struct path *p, struct adapt *a, int64_t began_us)
{
	const struct eng_shape *s = eng_path_shape(e, p);
	int64_t waited = e->now - a->fail0_us, pause = first_pause(a);

	a->lo_us = MAX(began_us - a->fail0_us, 0);
	if (!is_wary(a) || a->hi_us == 0) {
		a->hi_us = 0;
		if (p->fails <= 4 && pause << 2 * (p->fails - 1) < COSTLY_US)
			return pause << 2 * (p->fails - 1);
		return eng_doubled(s->backoff_min_us, s->backoff_max_us,
		    p->fails - 1);
	}
	if (a->lo_us < a->hi_us)
		return MAX(guess(a) - waited, US_PER_S);
	/* Long enough, had it not been asked in between: that counts anew. Or
	 * it takes longer now. */
	if (p->fails > 3)
		a->hi_us = MIN(2 * a->hi_us, s->backoff_max_us);
	a->lo_us = a->hi_us;
	return a->hi_us;
}

/* A pause that is configured to be long is. */
static int64_t
pause_of(const struct eng *e, const struct path *p, int64_t us)
{
	int64_t min_us = eng_path_shape(e, p)->backoff_min_us;

	return min_us > COSTLY_US ? MAX(us, min_us) : us;
}

int64_t
eng_adapt_refused(struct eng *e, struct path *p, int64_t began_us)
{
	struct adapt *a;

	if (p->fails > 1) {
		if (p->adapt == 0)
			return 0;
		a = pool_at(&e->adapts, p->adapt);
		return pause_of(e, p, next_pause(e, p, a, began_us));
	}
	if (p->adapt == 0) {
		if (p->nok == 0)
			return 0; /* it never did better */
		adapt_begin(e, p);
	}
	a = pool_at(&e->adapts, p->adapt);
	evidence(e, p, a);
	return pause_of(e, p, first_pause(a));
}

void
eng_adapt_count(struct eng *e, struct path *p)
{
	((struct adapt *)pool_at(&e->adapts, p->adapt))->nrefused++;
}

void
eng_adapt_works(struct eng *e, struct path *p, int64_t began_us)
{
	struct adapt *a = pool_at(&e->adapts, p->adapt);
	int64_t cost = began_us - a->fail0_us;

	if (cost > OUTAGE_US) { /* that was no matter of rates */
		eng_adapt_end(e, p);
		return;
	}
	if (cost < MAX(COSTLY_US, 8 * period_us(a->rate))) {
		a->ncostly -= a->ncostly != 0;
		a->lo_us = a->hi_us = 0;
	} else {
		a->ncostly = (uint8_t)MIN(a->ncostly + 1, 4);
		a->hi_us =
		    a->lo_us < a->hi_us || a->hi_us == 0 ? cost : a->hi_us;
		a->cost_us = a->cost_us == 0 ? cost : (a->cost_us + cost) / 2;
		a->cost_us = MIN(a->cost_us, COST_MAX_US);
	}
	a->since_us = e->now;
	a->n = 0;
}

enum eng_why
eng_adapt_gate(const struct eng *e, const struct path *p, int64_t *until_us)
{
	const struct adapt *a = pool_at(&e->adapts, p->adapt);
	int64_t slack = MIN(period_us(a->rate), TOLERANCE_US);

	if (a->tat_us - slack <= e->now)
		return WHY_NONE;
	*until_us = a->tat_us - slack;
	return WHY_SLOWED;
}

uint32_t
eng_adapt_spare(const struct eng *e, const struct path *p)
{
	const struct adapt *a = pool_at(&e->adapts, p->adapt);

	return 1 + (uint32_t)(p->setup_us / period_us(a->rate));
}

bool
eng_adapt_is_bye(struct eng *e, struct path *p, uint32_t n)
{
	struct adapt *a = pool_at(&e->adapts, p->adapt);

	if (n < 2 || n != a->bye_n) {
		a->bye_n = n;
		a->bye_same = 0;
		return false;
	}
	a->bye_same = (uint8_t)MIN(a->bye_same + 1, 3);
	return a->bye_same > 1;
}

bool
eng_adapt_remembers(const struct eng *e, const struct path *p)
{
	const struct adapt *a = pool_at(&e->adapts, p->adapt);

	return a->evid_us + ADAPT_KEEP_US > e->now;
}

/* ---- what is to be expected ------------------------------------------------------------ */

uint64_t
eng_adapt_rate(const struct eng *e, const struct path *p)
{
	return ((struct adapt *)pool_at(&e->adapts, p->adapt))->rate;
}

/* A wall that has been passed, or that nothing has come of for longer than a
 * rate is kept, is none. */
static bool
is_open(const struct eng *e, const struct adapt *a)
{
	int64_t keeps = is_costly(a) ?
	    MIN(HOLD_COSTS * a->cost_us, HOLD_COSTLY_MAX_US) :
	    HOLD_MAX_US;

	return a->proven > a->wall || e->now - a->evid_us > 2 * keeps;
}

/* What connections usually carry. */
static uint64_t
usual(const struct eng_shape *s)
{
	uint64_t conns = s->conns_max != 0 ? MIN(s->conns_max, 1000u) : 10;

	return MIN(conns * CONN_USUAL * 1000, ceiling(s));
}

/* What the receiver is thought to bear: what it refused last, or, if that limit
 * has fallen, before. */
static uint64_t
borne(const struct eng *e, const struct path *p, const struct adapt *a)
{
	if (a->wall == 0)
		return part(MAX(a->wall2, a->proven), 95);
	if (is_open(e, a))
		return MAX(usual(eng_path_shape(e, p)), a->rate);
	return part(a->wall, 95);
}

/* So slow that holds end by the clock: few transactions say little of it. */
static bool
is_doubtful(const struct adapt *a)
{
	return !is_wary(a) && HOLD_N * period_us(a->rate) > HOLD_MAX_US;
}

bool
eng_adapt_climbs(const struct eng *e, const struct path *p)
{
	const struct adapt *a = pool_at(&e->adapts, p->adapt);

	return p->fails == 0 &&
	    (is_doubtful(a) || a->rate < part(borne(e, p, a), 85));
}

/* How long it will stay where it is. */
static int64_t
stay_us(const struct eng *e, const struct adapt *a, uint64_t rate,
    bool is_first)
{
	struct adapt x = *a;
	struct span s;
	int64_t us;

	x.rate = rate;
	if (!is_first) { /* the next ones are tried in quick succession */
		x.proven = rate - 1;
		x.step = 1;
	}
	s = span_of(&x);
	us = s.n != 0 ? (int64_t)(s.n * (uint64_t)period_us(rate)) : s.min_us;
	us = MAX(us, s.min_us);
	us = s.max_us != 0 ? MIN(us, s.max_us) : us;
	return is_first ? MAX(us - (e->now - a->since_us), 0) : us;
}

int64_t
eng_adapt_needs(const struct eng *e, const struct path *p, uint64_t n,
    enum bound b)
{
	/* Of what was refused last: it goes up and down below that. */
	static const uint32_t pct[BOUNDS] = { 100, 78, 64 };
	const struct adapt *a = pool_at(&e->adapts, p->adapt);
	uint64_t rate = a->rate, top = part(borne(e, p, a), pct[b]);
	uint32_t step = a->step;
	int64_t all = 0;

	if (is_open(e, a)) /* at worst it soon meets another */
		top = b == AT_MOST ? 2 * rate : borne(e, p, a);
	if (b == AT_LEAST && is_doubtful(a)) {
		top = usual(eng_path_shape(e, p));
		all = MAX(a->evid_us + HOLD_MAX_US - e->now, 0);
	}
	top = MAX(MIN(top, ceiling(eng_path_shape(e, p))), rate);
	for (int k = 0; k < 64 && rate < top; k++) {
		int64_t us = stay_us(e, a, rate, k == 0);
		uint64_t done = (uint64_t)(us / period_us(rate));

		if (done >= n)
			break;
		n -= done;
		all += us;
		step = MIN(step + 1, ADAPT_STEPS - 1);
		rate =
		    MIN(MAX(part(rate, 100 + steps_pct[step]), rate + 1), top);
	}
	return all + (int64_t)n * period_us(rate);
}
