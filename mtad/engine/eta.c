/*
 * engine/eta.c - when what waits in a queue will be gone: an estimate with an
 * interval, or `grows`, or `unknown`.
 *
 * The estimate is of the mail that waits now, all of it. Three things take time,
 * and each is foretold from what it has done:
 *
 *	the line	recipients that are due and in flight, at the rate at which
 *			attempts were made while there was a line. The rate is taken
 *			from as far back as it has been one rate: a step of it ends
 *			the look back.
 *	retries		of those that are put off some are put off again. The share
 *			of first attempts and of later ones that is put off says how
 *			many rounds of delays the last one will need.
 *	an outage	nothing leaves. How long that lasts nobody knows; it is taken
 *			to last about as long again as it has lasted, which is right
 *			for one that is met at no particular moment of it, and the
 *			interval is accordingly wide. The next attempt is its least.
 *
 * Shares are in thousandths, times in microseconds; a bound is a percentage of the
 * median for each cause of doubt.
 */
#include "engine/engine_i.h"

#define LATE_MAX (5 * INT64_C(86400) * US_PER_S) /* nothing waits longer */
#define SOURCES_LOOK 256u
/* Messages of a connection per 1000 s, before it has shown how many. */
#define CONN_USUAL 1500u
#define GROWS_STEPS 24u /* that more has come than left */
/* An outage that has lasted longer may last any time. */
#define FORESEEN_US (1500 * US_PER_S)
#define SEEN_MIN 8u /* attempts that say something about the rate */

/* What comes and goes by turns, such as a path that backs off, varies less over
 * a few steps together than their number would have it. */
#define BLOCK 4u
#define BLOCK_ROOT 2u

/* How fast attempts come to an end, while there is a line. */
struct speed {
	uint64_t n;      /* attempts seen */
	int64_t span_us; /* in so much time; 0 = not known */
	uint32_t nsteps;
	uint32_t spread; /* of a step, in thousandths of the mean */
	uint64_t came, left, later, again, through;
};

static int64_t
mul_div(int64_t a, uint64_t b, uint64_t c)
{
	__int128 x = c ? (__int128)a * (__int128)b / (__int128)c : LATE_MAX;

	return x > LATE_MAX ? LATE_MAX : (int64_t)x;
}

static uint64_t
root(uint64_t x)
{
	uint64_t r = x, y = x / 2 + 1;

	while (y < r) {
		r = y;
		y = (r + x / r) / 2;
	}
	return r;
}

/* ---- what was measured ------------------------------------------------------------ */

/* The step that is k before the present one; what is before the study or behind
 * its last event is empty. */
static struct study_step
step_back(const struct study *s, uint32_t now, uint32_t k)
{
	uint32_t at = now - k;

	if (at > s->at)
		return (struct study_step){ 0 };
	return s->step[at % STUDY_STEPS];
}

static bool
differs(uint64_t x, uint64_t mean)
{
	uint64_t d = x > mean ? x - mean : mean - x;

	return d > 3 * root(mean + 1) + mean / 8;
}

/* Is a step another time than those behind it: another rate, or another share
 * of attempts that are put off? */
static bool
is_other(const struct speed *v, const struct study_step *x, int64_t span)
{
	uint64_t n = (uint64_t)x->left + x->later + x->again;
	uint64_t off = v->later + v->again;

	if (v->span_us < STUDY_STEP_US / 6 || v->n < SEEN_MIN)
		return false;
	return differs(n, v->n * (uint64_t)span / (uint64_t)v->span_us) ||
	    differs((uint64_t)x->later + x->again, off * n / v->n);
}

/* Does it go and stop by turns, as who meets a limit of the receiver's? */
static bool
is_by_turns(const struct study *s, uint32_t now, uint32_t first, uint32_t skip)
{
	bool was_still = true;
	uint32_t n = 0;

	for (uint32_t k = skip; k < STUDY_STEPS && now - k > first; k++) {
		struct study_step x = step_back(s, now, k);
		bool is_still = x.left == 0;

		n += is_still && !was_still;
		was_still = is_still;
	}
	return n >= 2;
}

/* From the present back, over steps that began with a line, skipping the
 * first `skip`, as long as it is one rate. */
static struct speed
speed_of(const struct study *s, const struct queue *q, int64_t now_us,
    uint32_t skip)
{
	uint32_t now = (uint32_t)(now_us / STUDY_STEP_US), k;
	int64_t part = now_us % STUDY_STEP_US;
	uint32_t first = (uint32_t)(s->since_us / STUDY_STEP_US);
	bool by_turns = is_by_turns(s, now, first, skip);
	struct speed v = { 0 };
	uint64_t squares = 0, sum = 0, nblocks = 0, block = 0;
	uint64_t bsquares = 0, bsum = 0;

	for (k = skip; k < STUDY_STEPS && now - k >= first; k++) {
		struct study_step x = step_back(s, now, k);
		int64_t span = k == 0 ? part : STUDY_STEP_US;
		uint64_t n = (uint64_t)x.left + x.later + x.again;

		if (now - k == first)
			span -= s->since_us % STUDY_STEP_US;
		if (now - k > s->at)
			x.due = q->fifo.n;
		if (x.due == 0 && now - k != first && v.span_us != 0)
			break;
		if (!by_turns && is_other(&v, &x, span))
			break;
		v.n += n;
		v.left += x.left;
		v.later += x.later;
		v.again += x.again;
		v.through += x.through;
		v.came += x.came;
		v.span_us += span;
		if (span == STUDY_STEP_US) {
			v.nsteps++;
			sum += n;
			squares += n * n;
			block += n;
			if (v.nsteps % BLOCK == 0) {
				nblocks++;
				bsum += block;
				bsquares += block * block;
				block = 0;
			}
		}
	}
	v.spread = v.nsteps >= 3 && sum != 0 ?
	    (uint32_t)(root(squares * v.nsteps - sum * sum) * 1000 / sum) :
	    300;
	if (nblocks >= 4 && sum != 0)
		v.spread = MIN(v.spread,
		    (uint32_t)(root(bsquares * nblocks - bsum * bsum) * 1000 *
			BLOCK_ROOT / bsum));
	return v;
}

/* The same over a long time, where mail leaves in most quarters of an hour: then a
 * pause of some minutes is no outage. */
static bool
long_speed(const struct study *s, const struct queue *q, int64_t now_us,
    struct speed *v)
{
	uint32_t now = (uint32_t)(now_us / STUDY_SPAN_US), moving = 0;
	uint32_t first = (uint32_t)(s->since_us / STUDY_SPAN_US);
	uint64_t squares = 0;

	*v = (struct speed){ .span_us = now_us % STUDY_SPAN_US };
	v->n = now == s->span_at ? s->span[now % STUDY_STEPS].left : 0;
	for (uint32_t k = 1; k < STUDY_STEPS && now - k > first; k++) {
		struct study_span x = now - k > s->span_at ?
		    (struct study_span){ .due = q->fifo.n } :
		    s->span[(now - k) % STUDY_STEPS];

		if (x.due == 0)
			break;
		v->n += x.left;
		v->span_us += STUDY_SPAN_US;
		v->nsteps++;
		squares += (uint64_t)x.left * x.left;
		moving += x.left != 0;
	}
	if (v->nsteps < 3 || moving * 2 < v->nsteps || v->n < SEEN_MIN)
		return false;
	v->left = v->n;
	v->spread =
	    (uint32_t)MIN(root(squares * v->nsteps) * 1000 / MAX(v->n, 1u),
		2000u);
	v->spread = v->spread > 1000 ? v->spread - 1000 : 100;
	return true;
}

/* The share of attempts that is put off, in thousandths: at least, likely, at
 * most; of n seen. */
struct chance {
	uint32_t lo, mid, hi;
};

static struct chance
chance_of(uint64_t off, uint64_t n)
{
	struct chance p = { 0 };
	uint64_t mid, doubt;

	if (n == 0 || off == 0)
		return p;
	mid = off * 1000 / n;
	/* 1.6 of the deviation of a share. */
	doubt = 1600 * root(off * (n - off) * 1000000 / n) / 1000 / n;
	doubt += 500 / n;
	p.mid = (uint32_t)mid;
	p.lo = (uint32_t)(mid > doubt ? mid - doubt : 0);
	p.hi = (uint32_t)MIN(mid + doubt, 1000u);
	return p;
}

/* From the present back, as long as it is one share. */
struct chances {
	struct chance first, again;
};

static struct chances
chances_of(const struct study *s, int64_t now_us)
{
	uint32_t now = (uint32_t)(now_us / STUDY_STEP_US);
	uint64_t off[2] = { 0 }, n[2] = { 0 };
	struct chances p;

	for (uint32_t k = 0; k < STUDY_STEPS && k <= now; k++) {
		struct study_step x = step_back(s, now, k);
		uint64_t xoff[2] = { x.later, x.again }, xn[2];

		xn[1] = (uint64_t)x.again + x.through;
		xn[0] = (uint64_t)x.later + x.left - x.through;
		for (int i = 0; i < 2; i++) {
			if (n[i] >= 16 &&
			    differs(xoff[i], off[i] * xn[i] / n[i]))
				goto out;
			off[i] += xoff[i];
			n[i] += xn[i];
		}
	}
out:
	for (int i = 0; i < 2; i++)
		if (n[i] < 16) {
			off[i] = s->tries[i].off;
			n[i] = s->tries[i].n;
		}
	p.first = chance_of(off[0], n[0]);
	p.again = chance_of(off[1], n[1]);
	/* Before any has come again: nothing, or nearly as the first time. */
	if (n[1] < 4) {
		p.again.mid = p.first.mid / 3;
		p.again.hi = MIN(p.first.hi, 700u);
	}
	return p;
}

/* What the paths to the site may carry by their limits, in messages per 1000 s;
 * is_told: by a rate, not by what a connection usually does. */
static uint64_t
capacity_of(const struct eng *e, const struct queue *q, bool *is_told)
{
	const struct site *s = pool_at(&e->sites, q->home);
	uint64_t all = 0;
	uint32_t left = SOURCES_LOOK;

	*is_told = s->paths.n != 0;
	if (s->paths.n == 0)
		return CONN_USUAL * 4;
	for (uint32_t i = s->paths.head; i != 0 && left > 0; left--) {
		const struct path *p = pool_at(&e->paths, i);
		const struct eng_shape *l = eng_path_shape(e, p);

		if (l->rate_count != 0 && l->rate_period_us > 0)
			all += (uint64_t)mul_div(1000 * US_PER_S, l->rate_count,
			    (uint64_t)l->rate_period_us);
		else {
			all += CONN_USUAL * (l->conns_max ? l->conns_max : 10);
			*is_told = false;
		}
		i = p->link.next;
	}
	return all;
}

/* ---- the parts ---------------------------------------------------------------------- */

/* Offsets from now: at best, likely, at worst. */
struct guess {
	int64_t lo, mid, hi;
};

/* So many recipients at a measured rate. */
static struct guess
line_guess(const struct speed *v, uint64_t n)
{
	struct guess g;
	int64_t mid = mul_div(v->span_us, n, MAX(v->n, 1u));
	uint64_t ahead = (uint64_t)(mid / STUDY_STEP_US) + 1;
	uint64_t doubt; /* thousandths */

	/* Of the mean so far, and of the mean to come. */
	doubt = v->spread * 16 / 10;
	doubt = doubt * doubt / MAX(v->nsteps, 1u) + doubt * doubt / ahead;
	doubt += UINT64_C(2560000) / MAX(v->n, 1u); /* 1.6 of sqrt(n) */
	doubt = root(doubt) + 90;
	doubt = MIN(doubt, 700u);
	g.mid = mid;
	g.lo = mul_div(mid, 1000, 1000 + doubt);
	g.hi = mul_div(mid, 1000 + doubt, 1000);
	return g;
}

/* Nothing has been seen of it. */
static struct guess
line_unseen(const struct eng *e, const struct queue *q, uint64_t n)
{
	bool is_told;
	uint64_t cap = capacity_of(e, q, &is_told);
	int64_t mid = cap ? mul_div(1000 * US_PER_S, n, cap) : LATE_MAX / 4;

	if (is_told)
		return (struct guess){ mid - mid / 5, mid, mid + mid / 2 };
	return (struct guess){ mid / 4, mid, 4 * mid };
}

/* Rounds of delays until fewer than milli / 1000 of n are left; the first is
 * taken in any case by those that are already put off. */
static int64_t
rounds_us(const struct eng *e, uint64_t n_milli, uint32_t share,
    uint32_t attempts, uint64_t milli)
{
	int64_t all = 0;

	for (int k = 0; k < 40 && n_milli > milli && all < LATE_MAX; k++) {
		all += eng_retry_delay(&e->policy->retry, attempts + 1,
		    UINT32_MAX / 2);
		attempts++;
		n_milli = n_milli * share / 1000;
	}
	return all;
}

static void
add(struct guess *g, int64_t us)
{
	g->lo += us;
	g->mid += us;
	g->hi += us;
}

static void
later_of(struct guess *g, const struct guess *o)
{
	g->lo = MAX(g->lo, o->lo);
	g->mid = MAX(g->mid, o->mid);
	g->hi = MAX(g->hi, o->hi);
}

/* The last of n recipients that have an attempt by base, of which some are put
 * off, and of these some again. */
static struct guess
tail_guess(const struct eng *e, struct guess base, uint64_t n,
    const struct chance *first, const struct chance *again, uint32_t attempts)
{
	const struct eng_retry *r = &e->policy->retry;
	uint32_t jitter = MIN(r->jitter_pct, 100u);
	struct guess add = {
		rounds_us(e, n * first->lo, again->lo, attempts, 2500),
		rounds_us(e, n * first->mid, again->mid, attempts, 700),
		rounds_us(e, n * first->hi, again->hi, attempts, 70),
	};

	base.lo += add.lo - mul_div(add.lo, jitter, 100);
	base.mid += add.mid;
	base.hi += add.hi + mul_div(add.hi, jitter, 100);
	return base;
}

/* ---- outages ----------------------------------------------------------------------- */

/* Since when nothing has left though there was something to do; 0: it goes. */
static int64_t
silent_since(const struct queue *q, const struct study *s,
    const struct eng_reasons *r, int64_t now_us)
{
	int64_t since = MAX(s->left_us, s->since_us);
	uint32_t now = (uint32_t)(now_us / STUDY_STEP_US);
	struct study_step a = step_back(s, now, 0), b = step_back(s, now, 1);
	bool is_shut = r->gate[GATE_PATH].is_shut || r->gate[GATE_HOST].is_shut;

	if (now_us - since < 20 * US_PER_S)
		return 0;
	if (q->fifo.n != 0 && (is_shut || now_us - since > 60 * US_PER_S))
		return since;
	/* All that is tried is put off. */
	/* All that is tried is put off, where mail has got through before. */
	return s->left_us != 0 && a.later + b.later + a.again + b.again != 0 &&
		a.left + b.left == 0 && now_us - since > 60 * US_PER_S ?
	    since :
	    0;
}

static struct guess
outage_guess(int64_t since_us, int64_t next_us, int64_t now_us)
{
	int64_t age = now_us - since_us, next = MAX(next_us - now_us, 0);

	return (struct guess){ MAX(next, age / 20), MAX(next, age),
		MAX(next, 9 * age + 600 * US_PER_S) };
}

/* ---- all together ------------------------------------------------------------------- */

static enum eng_why
why_of(const struct eng_reasons *r)
{
	return r->first < ENG_GATE_N ? r->gate[r->first].why : WHY_NONE;
}

/* More has come than left for long, and still does. */
static bool
grows(const struct speed *v, const struct study *s, const struct queue *q,
    int64_t now_us)
{
	uint32_t now = (uint32_t)(now_us / STUDY_STEP_US);
	uint64_t in = v->came, out = v->left, came = 0, left = 0;

	for (uint32_t k = 1; k <= 4; k++) {
		struct study_step x = step_back(s, now, k);

		came += x.came;
		left += x.left;
	}
	return q->depth >= 32 && v->nsteps >= GROWS_STEPS &&
	    in > out + out / 4 + 4 * root(in + out) && came > left + left / 4;
}

/* The gates that are shut until something happens that nobody can foresee. */
static enum eng_why
hopeless(const struct queue *q, const struct eng_reasons *r)
{
	if (r->gate[GATE_DISK].is_shut)
		return WHY_DISK;
	if (r->gate[GATE_SOURCE].is_shut)
		return WHY_NO_SOURCE;
	return q->depth == q->nheld ? WHY_HELD : WHY_NONE;
}

/* What is known of a queue. */
struct known {
	const struct queue *q;
	const struct study *s;
	int64_t now_us,
	    next_us;      /* the next attempt at the earliest; 0 unknown */
	bool is_out;      /* nothing gets through now */
	struct guess out; /* how long that lasts */
	struct speed v;
	struct chances p;
	enum eng_why why;
};

/* Until the nth in line has had its attempt. */
static struct guess
line_of(const struct eng *e, const struct known *k, uint64_t n)
{
	struct guess w =
	    k->v.n >= SEEN_MIN ? line_guess(&k->v, n) : line_unseen(e, k->q, n);

	/* Who has been slowed down climbs again. */
	if (k->why == WHY_SLOWED) {
		w.lo = mul_div(w.lo, 76, 100);
		w.mid = mul_div(w.mid, 85, 100);
		w.hi = mul_div(w.hi, 94, 100);
	}
	if (!k->is_out && k->next_us > k->now_us)
		add(&w, k->next_us - k->now_us);
	return w;
}

/* Those that are deferred: the last of n is due then, after so many attempts,
 * and stands behind what is in line at that time. */
static struct guess
deferred_guess(const struct eng *e, const struct known *k, uint64_t n,
    int64_t due_us, uint32_t attempts, const struct guess *line)
{
	int64_t due = MAX(due_us - k->now_us, 0), behind;
	struct guess g = { due, due, due }, l;

	if (n != 0 && due == 0) { /* from before anybody took note */
		g.hi = eng_retry_delay(&e->policy->retry, 1, UINT32_MAX);
		g.mid = due = g.hi / 2;
	}

	if (k->v.n >= SEEN_MIN) {
		l = line_guess(&k->v, n);
		behind = MAX(line->mid - due, 0);
		g.lo += MAX(line->lo - due, 0);
		g.mid += behind + (behind ? l.mid : 0);
		g.hi += MAX(line->hi - due, 0) + (behind ? l.hi : l.hi / 4);
	}
	return tail_guess(e, g, n, &k->p.again, &k->p.again, attempts);
}

/* What there is to know; ETA_TIME, or why no time can be told. */
static enum eng_eta_kind
know(const struct eng *e, uint32_t queue, const struct eng_reasons *r,
    int64_t now_us, struct known *k)
{
	const struct queue *q = pool_at(&e->queues, queue);
	const struct study *s =
	    q->study ? pool_at(&e->studies, q->study) : NULL;
	int64_t since;

	*k = (struct known){ .q = q,
		.s = s,
		.now_us = now_us,
		.next_us = r->next_us,
		.why =
		    hopeless(q, r) != WHY_NONE ? hopeless(q, r) : why_of(r) };
	if (q->depth == 0)
		return ETA_EMPTY;
	if (hopeless(q, r) != WHY_NONE || s == NULL || q->home & HOME_DOM)
		return ETA_UNKNOWN;
	k->p = chances_of(s, now_us);
	since = silent_since(q, s, r, now_us);
	if (since != 0 && long_speed(s, q, now_us, &k->v))
		return ETA_TIME;
	if (since != 0 && now_us - since > FORESEEN_US)
		return ETA_UNKNOWN;
	k->is_out = since != 0;
	if (k->is_out)
		k->out = outage_guess(since, r->next_us, now_us);
	/* The step in which it fell silent tells of no rate. */
	k->v = speed_of(s, q, now_us,
	    since ?
		(uint32_t)(now_us / STUDY_STEP_US - since / STUDY_STEP_US + 1) :
		0);
	return !k->is_out && grows(&k->v, s, q, now_us) ? ETA_GROWS : ETA_TIME;
}

static struct eng_eta
conclude(const struct known *k, struct guess w)
{
	int64_t lo = k->out.lo + w.lo, mid = k->out.mid + w.mid;
	int64_t hi = k->out.hi + w.hi + US_PER_S;

	return (struct eng_eta){ .kind = ETA_TIME,
		.why = k->why,
		.lo_us = k->now_us + MIN(lo, LATE_MAX),
		.at_us = k->now_us + MIN(mid, LATE_MAX),
		.hi_us = k->now_us + MIN(hi, LATE_MAX) };
}

struct eng_eta
eng_eta_queue(const struct eng *e, uint32_t queue, const struct eng_reasons *r,
    int64_t now_us)
{
	struct known k;
	enum eng_eta_kind kind = know(e, queue, r, now_us, &k);
	struct guess w = { 0 }, d;
	uint64_t line;

	if (kind != ETA_TIME)
		return (struct eng_eta){ .kind = kind, .why = k.why };
	line = (uint64_t)k.q->fifo.n + k.q->ninflight;
	if (line != 0)
		w = line_of(e, &k, line);
	d = deferred_guess(e, &k, k.q->ndeferred, k.s->due_last_us,
	    k.s->due_attempts, &w);
	w = tail_guess(e, w, line, &k.p.first, &k.p.again, 0);
	if (k.q->ndeferred != 0)
		later_of(&w, &d);
	return conclude(&k, w);
}

/* Its place in line: counted as far as that is cheap, then by when it came. */
static uint64_t
place_of(const struct eng *e, const struct queue *q, const struct rcpt *r,
    uint32_t ahead)
{
	const struct msg *first, *last, *m;
	int64_t span;

	if (ahead < ENG_AHEAD_LOOK || q->fifo.n == 0)
		return ahead + 1;
	m = eng_msg(e, r->msg);
	first = eng_msg(e, eng_rcpt(e, q->fifo.head)->msg);
	last = eng_msg(e, eng_rcpt(e, q->fifo.tail)->msg);
	span = last->arrival_us - first->arrival_us;
	if (span <= 0 || m->arrival_us < first->arrival_us)
		return q->fifo.n / 2;
	return MAX((uint64_t)mul_div(MIN(m->arrival_us - first->arrival_us,
					 span),
		       q->fifo.n, (uint64_t)span),
	    ahead);
}

struct eng_eta
eng_eta_rcpt(const struct eng *e, uint32_t rcpt, const struct eng_reasons *r,
    int64_t due_us, int64_t now_us)
{
	const struct rcpt *x = eng_rcpt(e, rcpt);
	struct guess w = { 0 };
	struct known k;
	enum eng_eta_kind kind = know(e, x->queue, r, now_us, &k);
	struct chance all = { 1000, 1000, 1000 };

	if (r->gate[GATE_HOLD].is_shut)
		return (struct eng_eta){ .kind = ETA_UNKNOWN, .why = WHY_HELD };
	if (kind == ETA_UNKNOWN && x->state == R_DEFERRED && k.s == NULL &&
	    !r->gate[GATE_DISK].is_shut && !r->gate[GATE_SOURCE].is_shut) {
		/* Alone it is: its timer, and perhaps one more round. */
		w.lo = w.mid = MAX(due_us - now_us, 0);
		w.hi = w.mid + rounds_us(e, all.hi, 0, x->attempts, 0);
		return conclude(&k, w);
	}
	if (kind == ETA_UNKNOWN)
		return (struct eng_eta){ .kind = kind, .why = k.why };
	if (x->state == R_DEFERRED) {
		w = k.q->fifo.n ? line_of(e, &k, k.q->fifo.n) : w;
		w = deferred_guess(e, &k, 1, due_us, x->attempts, &w);
	} else {
		w = line_of(e, &k,
		    x->state == R_ASSIGNED ?
			1 :
			place_of(e, k.q, x, r->gate[GATE_CAMPAIGN].ahead));
		w = tail_guess(e, w, 1, x->attempts ? &k.p.again : &k.p.first,
		    &k.p.again, x->attempts);
	}
	return conclude(&k, w);
}

struct eng_eta
eng_eta(struct eng *e, uint32_t queue, int64_t now_us, uint32_t *budget)
{
	struct eng_reasons r;

	eng_queue_reasons(e, queue, now_us, budget, &r);
	return eng_eta_queue(e, queue, &r, now_us);
}

uint32_t
eng_queue_of(const struct eng *e, uint32_t msg, uint16_t rcpt)
{
	const struct msg *m = eng_msg(e, msg);

	for (uint32_t i = m ? m->head : 0; i != 0; i = eng_rcpt(e, i)->sib) {
		const struct rcpt *r = eng_rcpt(e, i);

		if (r->rcpt == rcpt && r->state != R_DONE)
			return r->queue;
	}
	return 0;
}
