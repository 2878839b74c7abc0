/*
 * engine/eta_line.c - how long a line takes: what ended in it while there was
 * one, and who else is to be served until its end.
 *
 * The rate is that of the whole lane, from as far back as it has been one rate: a
 * step of it ends the look back. Tenants and campaigns share it by weight, so
 * until n recipients of a queue are through, so many of the others' are: all that
 * a small one has, and of a large one its part. What small ones get besides that
 * never stands in line for long goes off the rate. At a limit that lanes share it
 * is the same once more.
 */
#include "engine/eta_i.h"
#include "engine/meter_i.h"
#include "engine/react_i.h"

/* What comes and goes by turns, such as a path that backs off, varies less over
 * a few steps together than their number would have it. */
#define BLOCK 4u
#define BLOCK_ROOT 2u

/* What no rate tells, in thousandths: more often something comes between than
 * that all goes faster. */
#define SLACK_LESS 50u
#define SLACK_MORE 180u
#define HIDDEN_MORE 330u /* where a receiver sets the rate */

#define RIVALS_LOOK 512u /* queues and waiters that are looked at */
#define STACK_MAX 64u
#define RECENT_STEPS 6u
#define RECENT_US (RECENT_STEPS * STUDY_STEP_US)
#define ROUNDS 4 /* of work that takes longer as others' mail comes */

int64_t
eta_mul_div(int64_t a, uint64_t b, uint64_t c)
{
	__int128 x = c ? (__int128)a * (__int128)b / (__int128)c : ETA_MAX;

	return x > ETA_MAX ? ETA_MAX : (int64_t)x;
}

uint64_t
eta_root(uint64_t x)
{
	uint64_t r = x, y = x / 2 + 1;

	while (y < r) {
		r = y;
		y = (r + x / r) / 2;
	}
	return r;
}

bool
eta_differs(uint64_t x, uint64_t mean)
{
	uint64_t d = x > mean ? x - mean : mean - x;

	return d > 3 * eta_root(mean + 1) + mean / 8;
}

/* ---- what was measured ------------------------------------------------------------ */

struct study_step
eta_step_back(const struct study *s, uint32_t now, uint32_t k)
{
	uint32_t at = now - k;

	if (at > s->at)
		return (struct study_step){ 0 };
	return s->step[at % STUDY_STEPS];
}

static uint32_t
own_of(const struct study_step *x)
{
	return x->left + x->later + x->again;
}

/* What has ended in its lane since the last step that the study knows of, as a
 * part of each step since. */
static uint32_t
fresh_of(const struct eng *e, const struct queue *q, const struct study *s,
    uint32_t now)
{
	const struct lane *l;

	if (q->lane == 0 || q->lane != s->lane || now < s->at)
		return 0;
	l = pool_at(&e->lanes, q->lane);
	return (l->nended - s->lane_seen) / (now - s->at + 1);
}

/* Is a step another time than those behind it: another rate, or another share
 * of attempts that are put off? */
static bool
is_other(const struct speed *v, const struct study_step *x, uint64_t n,
    int64_t span)
{
	uint64_t own = own_of(x);

	if (v->span_us < STUDY_STEP_US / 6 || v->n < ETA_SEEN_MIN)
		return false;
	if (eta_differs(n, v->n * (uint64_t)span / (uint64_t)v->span_us))
		return true;
	return v->own != 0 &&
	    eta_differs((uint64_t)x->later + x->again, v->off * own / v->own);
}

/* Does it go and stop by turns, as who meets a limit of the receiver's? Not any
 * more, when it has gone on for longer than it used to. */
static bool
is_by_turns(const struct study *s, uint32_t now, uint32_t first, uint32_t skip)
{
	uint32_t n = 0, run = 0, longest = 0, present = 0;

	for (uint32_t k = skip; k < STUDY_STEPS && now - k > first; k++) {
		struct study_step x = eta_step_back(s, now, k);

		if (x.left != 0) {
			run++;
			continue;
		}
		if (run != 0 && n++ == 0)
			present = run;
		else
			longest = MAX(longest, run);
		run = 0;
	}
	return n >= 2 && present <= 2 * longest + 1;
}

/* How much whole steps vary, one by one and a few together. */
struct variety {
	uint64_t n, sum, squares, nblocks, bsum, bsquares, block;
};

static void
vary(struct variety *x, uint64_t n)
{
	x->n++;
	x->sum += n;
	x->squares += n * n;
	x->block += n;
	if (x->n % BLOCK != 0)
		return;
	x->nblocks++;
	x->bsum += x->block;
	x->bsquares += x->block * x->block;
	x->block = 0;
}

static uint32_t
spread_of(const struct variety *x)
{
	uint64_t spread = 120; /* before anything is seen */

	if (x->n >= 3 && x->sum != 0)
		spread = eta_root(x->squares * x->n - x->sum * x->sum) * 1000 /
		    x->sum;
	if (x->nblocks >= 4 && x->bsum != 0)
		spread = MIN(spread,
		    eta_root(x->bsquares * x->nblocks - x->bsum * x->bsum) *
			1000 * BLOCK_ROOT / x->bsum);
	return (uint32_t)spread;
}

/* Of a long time: the best of the last quarters of an hour in which something
 * left. */
static struct speed
span_speed(const struct study *s)
{
	struct speed v = { 0 };
	uint32_t left = 3;

	for (uint32_t k = 0; k < STUDY_STEPS && k <= s->span_at && left > 0;
	     k++) {
		uint32_t n = s->span[(s->span_at - k) % STUDY_STEPS].left;

		left -= n != 0;
		v.n = MAX(v.n, n);
	}
	v.own = v.left = v.n;
	v.span_us = STUDY_SPAN_US;
	v.nsteps = 1;
	v.spread = 300;
	return v;
}

struct speed
eta_speed(const struct eng *e, const struct queue *q, int64_t now_us,
    uint32_t skip, bool is_moving)
{
	const struct study *s = pool_at(&e->studies, q->study);
	uint32_t now = (uint32_t)(now_us / STUDY_STEP_US);
	uint32_t first = (uint32_t)(s->since_us / STUDY_STEP_US);
	uint32_t fresh = fresh_of(e, q, s, now);
	bool by_turns = is_by_turns(s, now, first, skip);
	struct variety steps = { 0 };
	struct speed v = { 0 };

	for (uint32_t k = skip; k < STUDY_STEPS && k <= now && now - k >= first;
	     k++) {
		struct study_step x = eta_step_back(s, now, k);
		int64_t span = k == 0 ? now_us % STUDY_STEP_US : STUDY_STEP_US;
		uint64_t own = own_of(&x), n;

		if (now - k == first)
			span -= s->since_us % STUDY_STEP_US;
		if (now - k > s->at)
			x.due = q->fifo.n;
		if (now - k >= s->at)
			x.lane += fresh;
		n = MAX(own, x.lane);
		if (is_moving && own == 0)
			continue;
		if (x.due == 0 && now - k != first && k != 0)
			break; /* no more came than could go */
		if (!by_turns && is_other(&v, &x, n, span))
			break;
		v.n += n;
		v.own += own;
		v.off += x.later + x.again;
		v.left += x.left;
		v.came += x.came;
		v.span_us += span;
		if (span != STUDY_STEP_US)
			continue;
		v.nsteps++;
		vary(&steps, n);
	}
	v.spread = spread_of(&steps);
	return is_moving && v.n < ETA_SEEN_MIN ? span_speed(s) : v;
}

bool
eta_long_speed(const struct queue *q, const struct study *s, int64_t now_us,
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
	if (v->nsteps < 3 || moving * 2 < v->nsteps || v->n < ETA_SEEN_MIN)
		return false;
	v->own = v->left = v->n;
	v->spread =
	    (uint32_t)MIN(eta_root(squares * v->nsteps) * 1000 / MAX(v->n, 1u),
		2000u);
	v->spread = v->spread > 1000 ? v->spread - 1000 : 100;
	return true;
}

/* What a path may carry by its limits, in messages per 1000 s; is_told: by a
 * rate, not by what a connection usually does. */
static uint64_t
carries(const struct eng_shape *l, bool *is_told)
{
	if (l->rate_count != 0 && l->rate_period_us > 0)
		return (uint64_t)eta_mul_div(1000 * US_PER_S, l->rate_count,
		    (uint64_t)l->rate_period_us);
	*is_told = false;
	return CONN_USUAL * (l->conns_max ? l->conns_max : 10);
}

/* The same of all paths to the site, or of all sources while there are none. */
static uint64_t
capacity_of(const struct eng *e, const struct queue *q, bool *is_told)
{
	const struct site *s = pool_at(&e->sites, q->home);
	const struct epool *pool =
	    eng_lane_looks(e, pool_at(&e->lanes, q->lane));
	uint64_t all = 0;
	uint32_t left = ETA_SOURCES;

	*is_told = true;
	for (uint32_t i = s->paths.head; i != 0 && left > 0; left--) {
		const struct path *p = pool_at(&e->paths, i);

		all += carries(eng_path_shape(e, p), is_told);
		i = p->link.next;
	}
	if (s->paths.n == 0 && s->shape != 0 && pool != NULL)
		all = pool->n *
		    carries(&((struct form *)pool_at(&e->forms, s->shape))
				 ->shape,
			is_told);
	return all;
}

/* ---- who else is served ------------------------------------------------------------- */

/* What the queue of a study has done in its last whole steps. */
struct recent {
	uint64_t ended, came;
};

static struct recent
recent_of(const struct study *s, int64_t now_us)
{
	uint32_t now = (uint32_t)(now_us / STUDY_STEP_US);
	struct recent r = { 0 };

	for (uint32_t k = 1; k <= RECENT_STEPS; k++) {
		struct study_step x = eta_step_back(s, now, k);

		r.ended += own_of(&x);
		r.came += x.came;
	}
	return r;
}

static uint32_t
weight_of(const struct eng *e, const struct queue *q)
{
	const struct flow *f = pool_at(&e->flows, q->flow);

	return eng_campaign_weight(e, f->tenant, f->campaign);
}

/* A look at those that share with a queue, over a time to come: what comes for
 * them is taken to go on for about as long as it has, in quarters of that. */
struct rivals {
	int64_t now_us, ahead_us;
	uint32_t goes_on;
	uint32_t look; /* so many may still be looked at */
};

static struct rivals
rivals_of(int64_t now_us, int64_t ahead_us, enum bound b)
{
	static const uint8_t goes_on[BOUNDS] = { 1, 4, 16 };

	return (struct rivals){ .now_us = now_us,
		.ahead_us = ahead_us,
		.goes_on = goes_on[b],
		.look = RIVALS_LOOK };
}

/* What a queue has in line, with what will have come, as it does now. */
static uint64_t
demand_of(const struct eng *e, const struct queue *q, const struct rivals *r)
{
	const struct study *s;
	int64_t ahead;

	if (q->study == 0 || r->ahead_us == 0)
		return q->fifo.n;
	s = pool_at(&e->studies, q->study);
	ahead = MIN(r->ahead_us,
	    (r->now_us - s->since_us) * (int64_t)r->goes_on / 4);
	return q->fifo.n +
	    (uint64_t)eta_mul_div(ahead, recent_of(s, r->now_us).came,
		RECENT_US);
}

/* What a tenant's queues in line demand; with `own`, which has n and a weight,
 * only so much as goes until that is through. */
static uint64_t
ring_work(const struct eng *e, const struct turn *t, const struct queue *own,
    uint64_t n, struct rivals *r)
{
	uint32_t weight = own != NULL ? weight_of(e, own) : 1;
	uint64_t all = 0;

	for (uint32_t i = t->ring.head; i != 0 && r->look > 0; r->look--) {
		const struct queue *q = pool_at(&e->queues, i);
		uint64_t have;

		i = q->link.next;
		if (q == own)
			continue;
		have = demand_of(e, q, r);
		if (own != NULL)
			have = MIN(have, n * weight_of(e, q) / weight);
		all += have;
	}
	return all;
}

/* The turns of one heap: of another tenant than `own` so much as goes until that
 * is through, whose work is known. */
static uint64_t
heap_work(const struct eng *e, uint32_t root, const struct turn *own,
    uint64_t work, struct rivals *r)
{
	uint32_t stack[STACK_MAX], n = 0;
	uint64_t all = 0, have;

	if (root != 0)
		stack[n++] = root;
	while (n != 0 && r->look > 0) {
		const struct turn *t = pool_at(&e->turns, stack[--n]);

		if (t->next != 0 && n < STACK_MAX)
			stack[n++] = t->next;
		if (t->child != 0 && n < STACK_MAX)
			stack[n++] = t->child;
		if (t == own)
			continue;
		have = ring_work(e, t, NULL, 0, r);
		if (own != NULL)
			have =
			    MIN(have, work * t->weight / MAX(own->weight, 1u));
		all += have;
	}
	return all;
}

/* What its lane does until n of the queue are through, if that takes so long.
 * Mail in a hurry has three parts of four. */
static uint64_t
lane_work(const struct eng *e, const struct queue *q, uint64_t n,
    int64_t now_us, int64_t ahead_us, enum bound b)
{
	const struct lane *l = pool_at(&e->lanes, q->lane);
	const struct turn *t = pool_at(&e->turns, q->turn);
	struct rivals r = rivals_of(now_us, ahead_us, b);
	uint64_t own = n + ring_work(e, t, q, n, &r), others;

	own += heap_work(e, l->turns[t->band], t, own, &r);
	others = heap_work(e, l->turns[!t->band], NULL, 0, &r);
	return own + MIN(others, t->band ? own / 3 : own * 3);
}

/* What passes through those of the lane's queues that are empty just now, in
 * thousandths of its rate; they are found among those that something has happened
 * to last. */
static uint64_t
passing(const struct eng *e, const struct queue *q, const struct speed *v,
    int64_t now_us)
{
	uint64_t came = 0, all;
	uint32_t look = RIVALS_LOOK;

	for (uint32_t i = e->studied.tail; i != 0 && look > 0; look--) {
		const struct study *s = pool_at(&e->studies, i);
		const struct queue *x = pool_at(&e->queues, s->queue);

		i = s->link.prev;
		if (x != q && x->lane == q->lane && x->fifo.n == 0)
			came += recent_of(s, now_us).came;
	}
	all = (uint64_t)eta_mul_div(RECENT_US, v->n,
	    (uint64_t)MAX(v->span_us, US_PER_S));
	return all != 0 ? MIN(came * 1000 / all, 900u) : 0;
}

/* ---- at a limit that is shared ------------------------------------------------------ */

/* Where the queue's mail waits. */
static const struct waiter *
waiter_of(const struct eng *e, const struct queue *q)
{
	const struct lane *l = pool_at(&e->lanes, q->lane);
	const struct site *s = pool_at(&e->sites, q->home);
	uint32_t look = ETA_SOURCES, at = q->waiter ? q->waiter : l->waiter;
	const struct waiter *w = at != 0 ? pool_at(&e->waiters, at) : NULL;

	for (uint32_t i = s->paths.head;
	     i != 0 && look > 0 && (w == NULL || w->share == 0); look--) {
		const struct path *p = pool_at(&e->paths, i);

		w = p->waiter != 0 ? pool_at(&e->waiters, p->waiter) : NULL;
		i = p->link.next;
	}
	return w != NULL && w->share != 0 ? w : NULL;
}

static uint64_t
lane_demand(const struct eng *e, uint32_t lane, struct rivals *r)
{
	const struct lane *l = pool_at(&e->lanes, lane);

	return heap_work(e, l->turns[0], NULL, 0, r) +
	    heap_work(e, l->turns[1], NULL, 0, r);
}

/* What stands behind a waiter, with what will have come. */
static uint64_t
waiter_demand(const struct eng *e, const struct waiter *w, struct rivals *r)
{
	const struct site *s;
	uint64_t all = 0;
	uint32_t look = 16;

	if (w->kind == WAITER_QUEUE)
		return demand_of(e, pool_at(&e->queues, w->index), r);
	if (w->kind == WAITER_LANE)
		return lane_demand(e, w->index, r);
	s = pool_at(&e->sites,
	    ((struct path *)pool_at(&e->paths, w->index))->site);
	for (uint32_t i = s->lanes.head; i != 0 && look > 0; look--) {
		all += lane_demand(e, i, r);
		i = ((struct lane *)pool_at(&e->lanes, i))->link.next;
	}
	return all / MAX(s->paths.n, 1u);
}

/* Does it wait with mail of the queue's site, lane or own? */
static bool
is_of(const struct eng *e, const struct waiter *w, const struct queue *q)
{
	switch ((enum waiter_kind)w->kind) {
	case WAITER_PATH:
		return ((struct path *)pool_at(&e->paths, w->index))->site ==
		    q->home;
	case WAITER_LANE:
		return w->index == q->lane;
	case WAITER_QUEUE:
		return pool_at(&e->queues, w->index) == q;
	case WAITER_SESS: /* is never in line */
		break;
	}
	return false;
}

/* The waiters of a meter: their weights, and what others than the queue's do
 * until it has done `work`. */
struct crowd {
	uint64_t own, sum, work;
};

static void
crowd_add(const struct eng *e, const struct line *ln, const struct queue *q,
    uint64_t work, struct rivals *r, struct crowd *c)
{
	uint32_t look = RIVALS_LOOK;

	for (uint32_t k = ln->shares.head; k != 0 && look > 0;) {
		const struct share *sh = pool_at(&e->shares, k);
		uint64_t w = (uint64_t)eng_tenant_conf(e, sh->tenant)->weight *
		    1000 / MAX(sh->waiters.n, 1u);

		for (uint32_t i = sh->waiters.head; i != 0 && look > 0;
		     look--) {
			const struct waiter *x = pool_at(&e->waiters, i);

			i = x->link.next;
			if (work != 0 && !is_of(e, x, q))
				c->work += MIN(waiter_demand(e, x, r),
				    work * w / MAX(c->own, 1u));
			else if (work == 0) {
				c->sum += w;
				c->own += is_of(e, x, q) ? w : 0;
			}
		}
		k = sh->link.next;
	}
}

/* A line that would take so long, if the limit that it waits at stayed as crowded
 * as it is. */
static int64_t
less_crowded(const struct eng *e, const struct queue *q, int64_t us,
    uint64_t work, struct rivals *r)
{
	const struct waiter *w = waiter_of(e, q);
	const struct site *s = pool_at(&e->sites, q->home);
	const struct meter *m;
	struct crowd c = { 0 };

	if (w == NULL)
		return us;
	m = eng_meter(e, w->meter);
	if (m->dims >> DIM_SOURCE & 1) /* its part of this one */
		work = work / MAX(s->paths.n, 1u) + 1;
	crowd_add(e, &m->line[w->line], q, 0, r, &c);
	crowd_add(e, &m->line[w->line], q, work, r, &c);
	if (c.own == 0)
		return us;
	return eta_mul_div(us, (work + c.work) * c.own, work * c.sum);
}

/* ---- together ------------------------------------------------------------------------ */

/* Has a receiver slowed a path to the site down? */
static bool
is_hidden(const struct eng *e, const struct queue *q)
{
	const struct site *s = pool_at(&e->sites, q->home);
	uint32_t left = ETA_SOURCES;

	for (uint32_t i = s->paths.head; i != 0 && left > 0; left--) {
		const struct path *p = pool_at(&e->paths, i);

		if (p->adapt != 0)
			return true;
		i = p->link.next;
	}
	return false;
}

/* So much work at a measured rate. */
static struct guess
line_seen(const struct speed *v, int64_t us, bool is_hidden)
{
	uint64_t more = is_hidden ? HIDDEN_MORE : SLACK_MORE;
	uint64_t ahead = (uint64_t)(us / STUDY_STEP_US) + 1;
	uint64_t doubt; /* thousandths */

	/* Of the mean so far, and of the mean to come. */
	doubt = v->spread * 16 / 10;
	doubt = doubt * doubt / MAX(v->nsteps, 1u) + doubt * doubt / ahead;
	doubt += UINT64_C(1280000) / MAX(v->n, 1u); /* 1.6 of sqrt(n / 2) */
	doubt = MIN(eta_root(doubt), 600u);
	return (struct guess){ {
	    eta_mul_div(us, 1000, 1000 + doubt + SLACK_LESS),
	    us,
	    eta_mul_div(us, 1000 + doubt + more, 1000),
	} };
}

/* Nothing has been seen of it while there was a line. */
static struct guess
line_unseen(const struct eng *e, const struct queue *q, uint64_t work)
{
	bool is_told;
	uint64_t cap = capacity_of(e, q, &is_told);
	int64_t us =
	    cap ? eta_mul_div(1000 * US_PER_S, work, cap) : ETA_MAX / 4;

	if (is_told)
		return (struct guess){ { us - us / 5, us, us + us / 2 } };
	return (struct guess){ { us / 4, us, 4 * us } };
}

/* Paths that were slowed down climb again: so long they need for the work. */
static struct guess
line_climbing(const struct eng *e, const struct queue *q, uint64_t work,
    bool *climbs)
{
	const struct site *s = pool_at(&e->sites, q->home);
	const struct path *first = NULL;
	uint64_t all = 0, most = 0;
	uint32_t left = ETA_SOURCES;
	struct guess g = { 0 };

	for (uint32_t i = s->paths.head; i != 0 && left > 0; left--) {
		const struct path *p = pool_at(&e->paths, i);
		uint64_t rate = p->adapt ? eng_adapt_rate(e, p) : 0;

		i = p->link.next;
		all += rate;
		if (rate <= most)
			continue;
		most = rate;
		first = p;
	}
	*climbs = first != NULL && eng_adapt_climbs(e, first);
	if (!*climbs)
		return g;
	work = (uint64_t)eta_mul_div((int64_t)work, most, all);
	for (int b = 0; b < BOUNDS; b++)
		g.at[b] = eng_adapt_needs(e, first, work, b);
	g.at[AT_LEAST] = MIN(g.at[AT_LEAST], g.at[LIKELY]) / 10 * 9;
	g.at[AT_MOST] = MAX(g.at[AT_MOST], g.at[LIKELY]) / 10 * 12;
	return g;
}

/* The work of the lane until n are through, and how long it takes at that rate:
 * the longer, the more comes for others. */
static int64_t
line_takes(const struct eng *e, const struct queue *q, const struct speed *v,
    uint64_t n, int64_t now_us, enum bound b, uint64_t *work)
{
	uint64_t pass = passing(e, q, v, now_us);
	int64_t us = 0;

	for (int k = 0; k < ROUNDS; k++) {
		*work = lane_work(e, q, n, now_us, us, b);
		us =
		    eta_mul_div(v->span_us, *work * 1000 / (1000 - pass), v->n);
	}
	return us;
}

struct guess
eta_line(const struct eng *e, const struct queue *q, const struct speed *v,
    uint64_t n, int64_t now_us)
{
	uint64_t work = lane_work(e, q, n, now_us, 0, LIKELY);
	bool climbs;
	struct guess g = line_climbing(e, q, work, &climbs), x;

	if (climbs)
		return g;
	if (v->n < ETA_SEEN_MIN)
		return line_unseen(e, q, work);
	for (int b = 0; b < BOUNDS; b++) {
		int64_t us = line_takes(e, q, v, n, now_us, b, &work);
		struct rivals r = rivals_of(now_us, us, b);
		int64_t less = less_crowded(e, q, us, work, &r);

		x = line_seen(v, less, is_hidden(e, q));
		g.at[b] = x.at[b];
		/* Others may come where some have gone. */
		if (b == AT_MOST)
			g.at[b] = MAX(g.at[b], us);
	}
	return g;
}
