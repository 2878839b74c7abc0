/*
 * engine/eta.c - when what waits in a queue will be gone: an estimate with an
 * interval, or `grows`, or `unknown`.
 *
 * The estimate is of the mail that waits now, all of it. These take time, and
 * each is foretold from what it has done:
 *
 *	the line	recipients that are due and in flight, with those of others
 *			that are served meanwhile, at the rate at which attempts
 *			came to an end while there was a line, or that a path
 *			climbs to that was slowed down (eta_line.c).
 *	the clock	quotas, days of young sources and quiet hours let through
 *			what they let through (eta_clock.c).
 *	retries		of those that are put off some are put off again. The share
 *			of first attempts, of second ones and so on that is put off
 *			says how many rounds of delays the last one will need.
 *	an outage	nothing leaves. How long that lasts nobody knows; it is taken
 *			to last about as long again as it has lasted, which is right
 *			for one that is met at no particular moment of it, and the
 *			interval is accordingly wide. The next attempt is its least.
 *
 * Shares are in thousandths, times in microseconds; a bound is a percentage of the
 * median for each cause of doubt.
 */
#include "engine/eta_i.h"

#define PAUSE_US (60 * US_PER_S)
#define GROWS_STEPS 24u /* that more has come than left */
/* An outage that has lasted longer may last any time. */
#define FORESEEN_US (1500 * US_PER_S)

/* The share of attempts that is put off, in thousandths: at least, likely, at
 * most; of n seen. */
struct chance {
	uint32_t lo, mid, hi;
};
/* Of first attempts, of second ones, and so on. */
struct chances {
	struct chance p[SITE_TRIES];
};

static struct chance
chance_of(uint64_t off, uint64_t n)
{
	uint64_t mid = off * 1000 / n, doubt;

	if (off == 0 && n >= ETA_SEEN_MIN * 3) /* it is no matter here */
		return (struct chance){ 0 };
	/* 1.6 of the deviation of a share, and what few seen leave open. */
	doubt = 1600 * eta_root(off * (n - off) * 1000000 / n) / 1000 / n;
	return (struct chance){ .mid = (uint32_t)mid,
		.lo = (uint32_t)(mid > doubt ? mid - doubt : 0),
		.hi = (uint32_t)MIN(mid + doubt + 2300 / n, 1000u) };
}

/* What is thought of those that nobody has seen, by the attempt before: less
 * are put off, for most of what puts off is over some time. */
static struct chance
chance_next(const struct chance *p)
{
	return (struct chance){ .mid = p->mid / 3, .hi = MIN(p->hi, 500u) };
}

/* First attempts change with what comes in: from the present back, as long as it
 * is one share. n 0: too few to tell. */
struct first {
	uint64_t off, n;
};

static struct first
share_first(const struct study *s, int64_t now_us)
{
	uint32_t now = (uint32_t)(now_us / STUDY_STEP_US);
	struct first a = { 0 };

	for (uint32_t k = 0; k < STUDY_STEPS && k <= now; k++) {
		struct study_step x = eta_step_back(s, now, k);
		uint64_t xn = (uint64_t)x.later + x.left - x.through;

		if (a.n >= 16 && eta_differs(x.later, a.off * xn / a.n))
			break;
		a.off += x.later;
		a.n += xn;
	}
	return a.n >= 16 ? a : (struct first){ 0 };
}

/* What put off the first ones and does so less now puts off the others less, too:
 * in thousandths of what was. */
static uint32_t
eases(const struct chance *now, const struct site_tries *was)
{
	uint64_t then = was->n ? (uint64_t)was->off * 1000 / was->n : 0;

	return then == 0 || now->hi >= then ? 1000 :
					      (uint32_t)(now->hi * 1000 / then);
}

static struct chances
chances_of(const struct eng *e, const struct queue *q, int64_t now_us)
{
	const struct study *s = pool_at(&e->studies, q->study);
	const struct site_tries *t =
	    ((const struct site *)pool_at(&e->sites, q->home))->tries;
	struct first now = share_first(s, now_us);
	struct chances c = { 0 };
	uint32_t part = 1000;

	if (now.n != 0) {
		c.p[0] = chance_of(now.off, now.n);
		part = eases(&c.p[0], &t[0]);
	} else if (t[0].n != 0)
		c.p[0] = chance_of(t[0].off, t[0].n);
	for (uint32_t k = 1; k < SITE_TRIES; k++) {
		struct chance *p = &c.p[k];

		*p = t[k].n >= 4 ? chance_of(t[k].off, t[k].n) :
				   chance_next(&c.p[k - 1]);
		if (t[k].n < 4)
			continue;
		p->lo = p->lo * part / 1000;
		p->mid = p->mid * part / 1000;
		p->hi = p->hi * part / 1000;
	}
	return c;
}

/* ---- the parts ---------------------------------------------------------------------- */

/* How likely is the attempt after so many put off? */
static const struct chance *
chance_after(const struct chances *c, uint32_t attempts)
{
	return &c->p[MIN(attempts, SITE_TRIES - 1)];
}

static uint32_t
share(const struct chance *p, enum bound b)
{
	return b == AT_LEAST ? p->lo : b == LIKELY ? p->mid : p->hi;
}

/* Rounds of delays until fewer than milli / 1000 are left of n that have an
 * attempt now, after so many. */
static int64_t
rounds_us(const struct eng *e, const struct chances *c, uint64_t n,
    uint32_t attempts, enum bound b, uint64_t milli)
{
	uint64_t left = n * share(chance_after(c, attempts), b);
	int64_t all = 0;

	for (int k = 0; k < 40 && left > milli && all < ETA_MAX; k++) {
		attempts++;
		all += eng_retry_delay(&e->policy->retry, attempts,
		    UINT32_MAX / 2);
		left = left * share(chance_after(c, attempts), b) / 1000;
	}
	return all;
}

static void
add(struct guess *g, int64_t us)
{
	for (int b = 0; b < BOUNDS; b++)
		g->at[b] += us;
}

static void
later_of(struct guess *g, const struct guess *o)
{
	for (int b = 0; b < BOUNDS; b++)
		g->at[b] = MAX(g->at[b], o->at[b]);
}

/* The last of n recipients that have an attempt by base, after so many, of which
 * some are put off, and of these some again. */
static struct guess
tail_guess(const struct eng *e, struct guess base, uint64_t n,
    const struct chances *c, uint32_t attempts)
{
	/* At most so many are left over, in thousandths. */
	static const uint32_t milli[BOUNDS] = { 2500, 700, 70 };
	int64_t jitter = MIN(e->policy->retry.jitter_pct, 100u);

	for (int b = 0; b < BOUNDS; b++) {
		int64_t us = rounds_us(e, c, n, attempts, b, milli[b]);

		base.at[b] += us + us / 100 * jitter * (b - LIKELY);
	}
	return base;
}

/* ---- outages ----------------------------------------------------------------------- */

static enum eng_why
why_of(const struct eng_reasons *r)
{
	return r->first < ENG_GATE_N ? r->gate[r->first].why : WHY_NONE;
}

/* What it waits for comes at its time, and is no outage. */
static bool
is_timed(const struct eng_reasons *r)
{
	switch (why_of(r)) {
	case WHY_QUIET:
	case WHY_WARMUP:
	case WHY_CAP:
	case WHY_RATE:
	case WHY_SUSPENDED:
	case WHY_PACED:
		return true;
	default:
		return false;
	}
}

/* Do all paths to the site wait after more than one refusal in a row? */
static bool
is_refused(const struct eng *e, const struct queue *q)
{
	const struct site *s = pool_at(&e->sites, q->home);
	uint32_t left = ETA_SOURCES, n = 0;

	for (uint32_t i = s->paths.head; i != 0 && left > 0; left--) {
		const struct path *p = pool_at(&e->paths, i);

		if (p->fails < 2 && (p->nsess != 0 || p->fails == 1))
			return false;
		n += p->fails >= 2;
		i = p->link.next;
	}
	return n != 0;
}

/* Since when nothing has left though there was something to do; 0: it goes, or
 * stands for a reason that ends by the clock. */
static int64_t
silent_since(const struct eng *e, const struct queue *q, const struct study *s,
    const struct eng_reasons *r, int64_t now_us)
{
	int64_t since = MAX(s->left_us, s->since_us);
	uint32_t now = (uint32_t)(now_us / STUDY_STEP_US);
	struct study_step a = eta_step_back(s, now, 0),
			  b = eta_step_back(s, now, 1);
	bool is_shut = r->gate[GATE_PATH].is_shut || r->gate[GATE_HOST].is_shut;

	if (q->fifo.n != 0 && is_shut &&
	    (r->gate[GATE_HOST].is_shut || is_refused(e, q)))
		return since;
	if (is_timed(r) || now_us - since < 20 * US_PER_S)
		return 0;
	if (q->fifo.n != 0 && (is_shut || now_us - since > 60 * US_PER_S))
		return since;
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

	return (struct guess){ { MAX(next, age / 20), MAX(next, age),
	    MAX(next, 9 * age + 600 * US_PER_S) } };
}

/* ---- all together ------------------------------------------------------------------- */

/* More has come than left for long, and still does. */
static bool
grows(const struct speed *v, const struct study *s, const struct queue *q,
    int64_t now_us)
{
	uint32_t now = (uint32_t)(now_us / STUDY_STEP_US);
	uint64_t in = v->came, out = v->left, came = 0, left = 0;

	for (uint32_t k = 0; k <= 3; k++) {
		struct study_step x = eta_step_back(s, now, k);

		if (k == 1 && x.came <= x.left)
			return false;
		came += x.came;
		left += x.left;
	}
	return q->depth >= 32 && v->nsteps >= GROWS_STEPS &&
	    in > out + out / 4 + 4 * eta_root(in + out) &&
	    came > left + left / 4;
}

/* The gates that are shut until something happens that nobody can foresee. */
static enum eng_why
hopeless(const struct queue *q, const struct eng_reasons *r)
{
	if (r->gate[GATE_DISK].is_shut)
		return WHY_DISK;
	if (r->gate[GATE_SOURCE].is_shut)
		return r->gate[GATE_SOURCE].why;
	/* Until somebody ends it. */
	if (why_of(r) == WHY_SUSPENDED &&
	    (r->next_us == 0 || r->next_us == TIME_NEVER))
		return WHY_SUSPENDED;
	return q->depth == q->nheld ? WHY_HELD : WHY_NONE;
}

/* What is known of a queue. */
struct known {
	const struct queue *q;
	const struct study *s;
	int64_t now_us,
	    next_us;      /* the next attempt at the earliest; 0 unknown */
	bool is_out;      /* nothing gets through now */
	bool has_clock;   /* something that opens by the clock holds it */
	struct guess out; /* how long that lasts */
	struct speed v;
	struct chances p;
	enum eng_why why;
};

/* Something of the queue is on its way, or sessions stand, whatever waits for
 * more of them. */
static bool
is_moving(const struct eng *e, const struct queue *q)
{
	const struct site *s = pool_at(&e->sites, q->home);

	return q->ninflight != 0 || s->nsess != 0;
}

/* Until the nth in line has had its attempt. */
static struct guess
line_of(const struct eng *e, const struct known *k, uint64_t n)
{
	struct guess g = eta_line(e, k->q, &k->v, n, k->now_us);

	if (k->has_clock)
		eta_by_clock(e, k->q, n, k->now_us, &g);
	else if (!k->is_out && k->next_us > k->now_us && !is_moving(e, k->q)) {
		add(&g, k->next_us - k->now_us);
		/* A long pause may be followed by one more. */
		if (k->next_us - k->now_us > PAUSE_US)
			g.at[AT_MOST] += k->next_us - k->now_us;
	}
	return g;
}

/* Those that are deferred: the last of n is due then, after so many attempts,
 * and stands behind what is in line at that time. */
static struct guess
deferred_guess(const struct eng *e, const struct known *k, uint64_t n,
    int64_t due_us, uint32_t attempts, const struct guess *line)
{
	int64_t due = MAX(due_us - k->now_us, 0);
	struct guess g = { { due, due, due } }, l;

	if (n != 0 && due == 0) { /* from before anybody took note */
		g.at[AT_MOST] =
		    eng_retry_delay(&e->policy->retry, 1, UINT32_MAX);
		g.at[LIKELY] = due = g.at[AT_MOST] / 2;
	}
	if (k->v.n >= ETA_SEEN_MIN) {
		l = eta_line(e, k->q, &k->v, n, k->now_us);
		/* They come one by one, and stand in line at the worst. */
		for (int b = 0; b < BOUNDS; b++)
			g.at[b] = MAX(g.at[b], line->at[b] + l.at[b]);
		g.at[AT_MOST] = MAX(g.at[AT_MOST], due + l.at[AT_MOST] / 2);
	}
	return tail_guess(e, g, n, &k->p, attempts);
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
	k->p = chances_of(e, q, now_us);
	k->has_clock = eta_has_clock(e, q);
	since = silent_since(e, q, s, r, now_us);
	if (since != 0 && eta_long_speed(q, s, now_us, &k->v))
		return ETA_TIME;
	if (since != 0 && now_us - since > FORESEEN_US)
		return ETA_UNKNOWN;
	k->is_out = since != 0;
	if (k->is_out)
		k->out = outage_guess(since, r->next_us, now_us);
	/* The step in which it fell silent tells of no rate. */
	k->v = eta_speed(e, q, now_us,
	    since ?
		(uint32_t)(now_us / STUDY_STEP_US - since / STUDY_STEP_US + 1) :
		0,
	    k->has_clock || is_timed(r));
	return !k->is_out && grows(&k->v, s, q, now_us) ? ETA_GROWS : ETA_TIME;
}

static struct eng_eta
conclude(const struct known *k, struct guess w)
{
	int64_t lo = k->out.at[AT_LEAST] + w.at[AT_LEAST];
	int64_t mid = k->out.at[LIKELY] + w.at[LIKELY];
	int64_t hi = k->out.at[AT_MOST] + w.at[AT_MOST] + US_PER_S;

	return (struct eng_eta){ .kind = ETA_TIME,
		.why = k->why,
		.lo_us = k->now_us + MIN(lo, ETA_MAX),
		.at_us = k->now_us + MIN(mid, ETA_MAX),
		.hi_us = k->now_us + MIN(hi, ETA_MAX) };
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
	w = tail_guess(e, w, line, &k.p, 0);
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
	return MAX((uint64_t)eta_mul_div(MIN(m->arrival_us - first->arrival_us,
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

	if (r->gate[GATE_HOLD].is_shut)
		return (struct eng_eta){ .kind = ETA_UNKNOWN, .why = WHY_HELD };
	if (kind == ETA_UNKNOWN && x->state == R_DEFERRED && k.s == NULL &&
	    !r->gate[GATE_DISK].is_shut && !r->gate[GATE_SOURCE].is_shut) {
		/* Alone it is: its timer, and perhaps one more round. */
		add(&w, MAX(due_us - now_us, 0));
		w.at[AT_MOST] += eng_retry_delay(&e->policy->retry,
		    x->attempts + 1, UINT32_MAX);
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
		w = tail_guess(e, w, 1, &k.p, x->attempts);
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
