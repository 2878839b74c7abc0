/*
 * engine/sched.c - who goes next, through which source, on which session.
 *
 * A lane (site x pool) with ready mail is pumped when something about it has
 * changed. In turn: a session that holds little takes the next transaction; if
 * there is none, and fewer sessions are on their way than there are
 * transactions to send, one more is opened by the next source that may; if
 * none may, sessions that hold more are filled. A lane for which nothing can
 * be done is parked: every gate that stopped it has a wake registered.
 */
#include "engine/standing_i.h"
#include "engine/sticky_i.h"
#include "engine/warm_i.h"

/* Transactions that a session takes before another session is opened: one on
 * the wire and one to chain behind it. */
#define FILL_FIRST 2

/* Gives the lane's next transaction to a session of one of its paths that
 * holds fewer than `below`. */
static bool
assign_below(struct eng *e, uint32_t lane, uint32_t below)
{
	struct lane *l = pool_at(&e->lanes, lane);
	struct site *s = pool_at(&e->sites, l->site);

	for (uint32_t v = 0; v < below; v++) {
		uint32_t left = s->open[v].n;

		for (uint32_t i = s->open[v].head; left > 0; left--) {
			struct path *p = pool_at(&e->paths, i);
			uint32_t next = p->open.next;
			enum eng_why why;
			int64_t until;

			eng_path_shed(e, i);
			if (p->level != v ||
			    !eng_lane_serves(e, l, &e->srcs[p->src]) ||
			    !eng_path_has_room(e, p) ||
			    eng_path_at_limit(e, p) ||
			    eng_lane_yields(e, lane, p->src, &until)) {
				e->totals.decisions_total++;
				i = next;
				continue;
			}
			why = eng_path_gate(e, p, &until);
			if (why == WHY_NONE &&
			    eng_lane_offer(e, lane, i) == 0) {
				if (l->nring == 0)
					return true; /* all are parked */
				i = next;
				continue;
			}
			if (why == WHY_NONE) {
				if (eng_turn_over(e, l, p)) {
					il_remove(K_OPEN(e), &s->open[v], i);
					il_push_tail(K_OPEN(e), &s->open[v], i);
				}
				eng_sess_assign(e, i, lane);
				return true;
			}
			eng_path_park(e, i, why, until);
			i = next;
		}
	}
	return false;
}

/* What stopped a lane, the gate that opens first in front. */
struct stop {
	enum eng_why why;
	int64_t until_us;
	int64_t wake_us; /* the first of them that no path's timer stands for */
	uint32_t host;
	uint8_t limit;      /* enum limit_kind + 1 */
	struct refusal cap; /* that the lane waits for itself */
	struct asker asker;
	uint16_t by; /* with why WHY_CAP: of the policy's caps */
};

static void
stopped_by(struct stop *st, enum eng_why why, int64_t until_us, uint32_t host)
{
	int64_t a = until_us ? until_us : TIME_NEVER;
	int64_t b = st->until_us ? st->until_us : TIME_NEVER;

	if (host != 0)
		st->host = host;
	if (st->why == WHY_NONE || a < b) {
		st->why = why;
		st->until_us = until_us;
	}
}

/* By what is no path's: the lane looks again by itself. */
static void
stopped_until(struct stop *st, enum eng_why why, int64_t until_us,
    uint32_t host)
{
	stopped_by(st, why, until_us, host);
	if (until_us != 0 && (st->wake_us == 0 || until_us < st->wake_us))
		st->wake_us = until_us;
}

/* By a limit of the policy; when it is not the path's affair alone, the lane
 * waits. */
static void
stopped_by_cap(struct eng *e, struct stop *st, const struct refusal *r,
    const struct asker *a)
{
	int64_t until = r->until_us == TIME_NEVER ? 0 : r->until_us;

	stopped_by(st, WHY_CAP, until, 0);
	if (st->why == WHY_CAP && st->until_us == until)
		st->by = (uint16_t)eng_meter(e, r->meter)->cap;
	if (r->level == CAP_PATH)
		return;
	if (st->cap.meter == 0 || r->until_us < st->cap.until_us) {
		st->cap = *r;
		st->asker = *a;
	}
}

/* May the path open a session for the lane, by the policy's limits? */
static bool
caps_let_open(struct eng *e, uint32_t lane, uint32_t path, int at,
    struct stop *st)
{
	struct lane *l = pool_at(&e->lanes, lane);
	struct refusal r;
	struct asker a;
	uint32_t next;

	next = eng_lane_next(e, l);
	if (!eng_caps_concern(e, pool_at(&e->paths, path), l,
		pool_at(&e->queues, next)))
		return true;
	a = eng_asker(e, lane, next, path);
	if (eng_caps_allow(e, &a, LINE_OPEN, &r))
		return true;
	if (r.level == CAP_PATH) {
		eng_path_wait(e, path, &r, &a);
		if (at >= 0)
			eng_turn_shut(e, l, at, WHY_CAP,
			    r.until_us == TIME_NEVER ? 0 : r.until_us);
		l->shut_by = (uint16_t)eng_meter(e, r.meter)->cap;
	}
	stopped_by_cap(e, st, &r, &a);
	return false;
}

static uint32_t
limit_max(const struct eng *e, enum limit_kind k)
{
	uint32_t max = e->limits.sessions_max;

	if (k == LIMIT_NODE)
		return max;
	max -= max / 4;
	return k == LIMIT_STRANGERS ? max : MAX(max / 2, 1u);
}

static uint32_t
limit_used(const struct eng *e, enum limit_kind k)
{
	return k == LIMIT_NODE ? e->sessions.live : e->nstrangers;
}

/* Some may be slow to say goodbye. */
static bool
may_close(const struct eng *e)
{
	return e->nclosing < MAX(e->limits.sessions_max / 8, 8u);
}

/* Strangers hold what they may: one that has not come up for long makes room,
 * now or later. Returns when to ask again. */
static int64_t
give_up_oldest(struct eng *e)
{
	const struct sess *x;
	uint32_t i = e->opening.head;

	while (i != 0 && (x = pool_at(&e->sessions, i))->is_closing)
		i = x->idle.next;
	if (i == 0)
		return 0;
	if (x->opened_us + OPENING_MAX_US > e->now)
		return x->opened_us + OPENING_MAX_US;
	if (may_close(e)) {
		eng_sess_close(e, i);
		return 0;
	}
	return e->now + US_PER_S;
}

/* May one more session be opened, to that target and by a path that is known to
 * work or not? Else which limit speaks against it. */
static bool
node_has_room(struct eng *e, const struct site *s, int target, bool is_known,
    struct stop *st)
{
	const struct host *h = pool_at(&e->hosts, s->targets[target].host);
	enum limit_kind k = h->fails != 0 ? LIMIT_SUSPECTS : LIMIT_STRANGERS;
	int64_t until = 0;

	if (!is_known && limit_used(e, k) >= limit_max(e, k))
		until = give_up_oldest(e);
	else if (e->sessions.live < e->limits.sessions_max)
		return true;
	else
		k = LIMIT_NODE;
	stopped_until(st, WHY_LIMIT, until, 0);
	st->limit = (uint8_t)(k + 1);
	return false;
}

/* A path that there is not yet is made when a session may be opened by it, as far
 * as its host and the node go: a lane that waits for these makes none for each of
 * its sources. */
static bool
may_be_new(struct eng *e, const struct lane *l, const struct src *src,
    struct stop *st)
{
	const struct site *s = pool_at(&e->sites, l->site);
	enum eng_why why;
	int64_t until;
	uint32_t host;
	int target = eng_site_pick(e, s, src, 0, &why, &until, &host);

	if (target < 0) {
		stopped_until(st, why, until, host);
		return false;
	}
	return node_has_room(e, s, target, false, st);
}

/* The target, if its host may have a session more by the policy's limits, or
 * another one; -2 when none may. */
static int
host_allows(struct eng *e, uint32_t lane, uint32_t path, int target,
    struct stop *st)
{
	struct lane *l = pool_at(&e->lanes, lane);
	const struct site *s = pool_at(&e->sites, l->site);
	struct asker a = eng_asker(e, lane, eng_lane_next(e, l), path);
	const struct src *src = &e->srcs[a.src];
	struct refusal r;

	for (int n = 0; n < s->ntargets; n++) {
		int k = (target + n) % s->ntargets;
		const struct host *h = pool_at(&e->hosts, s->targets[k].host);
		int64_t until;

		if (n > 0 &&
		    (h->fails != 0 ||
			(h->ip.family == 6 ? !src->has_v6 : !src->has_v4) ||
			eng_host_skipped(e, s, a.src, s->targets[k].name,
			    &until) != 0))
			continue;
		a.host = s->targets[k].host;
		e->totals.decisions_total++;
		if (eng_caps_allow(e, &a, LINE_OPEN, &r))
			return k;
		stopped_by_cap(e, st, &r, &a);
	}
	return -2;
}

/* Opens a session for the lane by a source, at that place of its pool or -1; else says
 * what stops it. */
static bool
open_by(struct eng *e, uint32_t lane, uint32_t si, int at, struct stop *st)
{
	struct lane *l = pool_at(&e->lanes, lane);
	struct src *src = &e->srcs[si];
	uint32_t path, host;
	enum eng_why why;
	int64_t until;
	struct site *s;
	struct path *p;
	int target;

	if (src->conf == SRC_NONE)
		return false;
	if (src->is_down) {
		e->totals.decisions_total++;
		if (at >= 0)
			eng_turn_shut(e, l, at, WHY_PROXY, 0);
		stopped_by(st, WHY_PROXY, 0, 0);
		return false;
	}
	if (src->plan != 0 &&
	    (why = eng_warm_open_gate(e, lane, si, &until)) != WHY_NONE) {
		e->totals.decisions_total++;
		if (at >= 0)
			eng_turn_shut(e, l, at, why, until);
		stopped_by(st, why, until, 0);
		return false;
	}
	if (eng_path_find(e, l->site, si) == 0 && !may_be_new(e, l, src, st))
		return false;
	path = eng_path_get(e, l->site, si);
	p = pool_at(&e->paths, path);
	why = eng_path_open_gate(e, p, &until);
	if (why != WHY_NONE) {
		if (until != 0 || why == WHY_SUSPENDED)
			eng_path_park(e, path, why, until);
		else
			eng_path_shut(e, p, why);
		if (at >= 0)
			eng_turn_shut(e, l, at, why, until);
		stopped_by(st, why, until, 0);
		return false;
	}
	if (!caps_let_open(e, lane, path, at, st))
		return false;
	s = pool_at(&e->sites, l->site);
	target = eng_site_pick(e, s, src, p->shun, &why, &until, &host);
	if (target >= 0 && e->caps_at[CAP_HOST] != 0)
		target = host_allows(e, lane, path, target, st);
	if (target == -2)
		return false;
	if (target < 0) {
		stopped_until(st, why, until, host);
		return false;
	}
	if (!node_has_room(e, s, target, p->is_known, st))
		return false;
	eng_sess_open(e, lane, path, target);
	return true;
}

/* By one of the pool's own sources, or of its overflow's. */
static bool
open_of(struct eng *e, uint32_t lane, const struct epool *pool, bool is_over,
    struct stop *st)
{
	struct lane *l = pool_at(&e->lanes, lane);
	const struct site *site = pool_at(&e->sites, l->site);
	struct turns turns;
	int at;

	eng_turns_begin(l, pool, is_over, &turns);
	while (st->limit != LIMIT_NODE + 1 &&
	    (st->limit == 0 || site->paths.n != 0) &&
	    (at = eng_turns_next(l, pool, &turns)) >= 0) {
		if (open_by(e, lane, pool->src[at], at, st)) {
			eng_turn_taken(l, pool, at);
			return true;
		}
	}
	return false;
}

static bool
open_one(struct eng *e, uint32_t lane, struct stop *st)
{
	struct lane *l = pool_at(&e->lanes, lane);
	const struct epool *pool = eng_lane_pool(e, l);

	if (pool == NULL || pool->n == 0) {
		stopped_by(st, WHY_NO_SOURCE, 0, 0);
		return false;
	}
	if (open_of(e, lane, pool, false, st))
		return true;
	if (l->is_cold && pool->n > pool->nown) {
		l->is_over = true;
		if (open_of(e, lane, pool, true, st))
			return true;
	}
	if (l->shut != WHY_NONE)
		stopped_by(st, l->shut, l->shut_until_us, 0);
	if (st->why == WHY_CAP && st->why == l->shut &&
	    st->until_us == l->shut_until_us)
		st->by = l->shut_by;
	if (st->why == WHY_NONE)
		stopped_by(st, WHY_NO_SOURCE, 0, 0);
	return false;
}

static void
wait_host(struct eng *e, uint32_t lane, uint32_t host)
{
	struct lane *l = pool_at(&e->lanes, lane);
	struct host *h;

	if (host == 0 || l->wait_host != 0)
		return;
	h = pool_at(&e->hosts, host);
	l->wait_host = host;
	il_push_tail(K_WAITER(e), &h->waiters, lane);
}

/* limit: enum limit_kind + 1. */
static void
wait_limit(struct eng *e, uint32_t lane, uint8_t limit)
{
	struct lane *l = pool_at(&e->lanes, lane);

	if (limit == 0 || l->in_limit != 0)
		return;
	l->in_limit = limit;
	il_push_tail(K_LIMIT(e), &e->limit[limit - 1], lane);
}

/* Waits for what stopped it: hosts and the node's limits by list and by the
 * earliest time, paths by their own timers and events: when the time of one has
 * come, that one's pump is enough, and no other need be looked at. */
static void
park(struct eng *e, uint32_t lane, const struct stop *st)
{
	struct lane *l = pool_at(&e->lanes, lane);

	eng_lane_count(e, l);
	l->is_parked = true;
	l->why = (uint8_t)st->why;
	l->until_us = st->until_us;
	l->by = st->by;
	if (st->cap.meter != 0)
		eng_wait(e, WAITER_LANE, lane, &st->cap, &st->asker);
	if (st->wake_us > e->now)
		eng_timer_set(e, &l->timer, TIMER_LANE, lane, st->wake_us);
	wait_host(e, lane, st->host);
	wait_limit(e, lane, st->limit);
}

static void
lane_pump(struct eng *e, uint32_t lane)
{
	struct lane *l = pool_at(&e->lanes, lane);

	while (l->nring != 0) {
		struct stop st = { .why = WHY_NONE };

		if (e->budget == 0) {
			eng_lane_kick(e, lane);
			return;
		}
		e->budget--;
		if (eng_lane_sticks(e, l) && eng_lane_restick(e, lane))
			continue;
		if (l->pin != 0 && eng_acts(e, ACT_OTHER) &&
		    eng_lane_release(e, lane))
			continue;
		if (assign_below(e, lane, FILL_FIRST))
			continue;
		if (l->pending >= l->ngroups)
			return; /* enough is on its way */
		if (!eng_lane_admits(e, lane))
			return;
		if (open_one(e, lane, &st))
			continue;
		if (assign_below(e, lane, AHEAD_MAX))
			continue;
		park(e, lane, &st);
		return;
	}
}

/* A lane that was woken for a free session and did not open one leaves it to
 * the next: no more are woken than there is room for. */
void
eng_kicks_run(struct eng *e)
{
	if (e->is_disk_full)
		return; /* they keep */
	do {
		eng_woken_run(e);
		while (e->kicks.n != 0 && e->budget != 0) {
			uint32_t i = e->kicks.head;
			struct lane *l = pool_at(&e->lanes, i);

			il_remove(K_KICK(e), &e->kicks, i);
			l->is_kicked = false;
			lane_pump(e, i);
		}
		if (e->kicks.n == 0)
			eng_limit_wake(e);
		if (e->kicks.n == 0)
			eng_roused_run(e);
		if (e->warm_hot.n != 0)
			eng_warm_wake(e);
		if (e->over.n != 0)
			eng_standings_over(e);
		if (e->prizes_over.n != 0)
			eng_prizes_over(e);
	} while ((e->kicks.n != 0 || e->woken.n != 0) && e->budget != 0);
}

/* A lane that is parked says what a path of its has met, once what it knew is
 * past: its mail moves without it. */
static void
lane_tell(struct eng *e, uint32_t lane, const struct path *p, enum eng_why why,
    int64_t until_us)
{
	struct lane *l = pool_at(&e->lanes, lane);

	if (!l->is_parked || l->until_us > e->now || l->until_us == until_us ||
	    !eng_lane_serves(e, l, &e->srcs[p->src]))
		return;
	eng_lane_count(e, l);
	l->why = (uint8_t)why;
	l->until_us = until_us;
}

/* Lanes that may open a session now, but not those that wait for the node's:
 * as long as it is full they would look in vain, once for each message. */
static void
site_look_again(struct eng *e, uint32_t site)
{
	struct site *s = pool_at(&e->sites, site);

	for (uint32_t i = s->hungry.head; i != 0;) {
		struct lane *l = pool_at(&e->lanes, i);
		uint32_t next = l->hungry.next;

		if (!l->is_parked)
			eng_lane_kick(e, i);
		else if (l->in_limit != LIMIT_NODE + 1 ||
		    e->sessions.live < e->limits.sessions_max)
			eng_lane_wake(e, i);
		i = next;
	}
}

/* What stopped a source of a lane that is parked already: hosts and the node's
 * limits wake the lane, too. */
static void
park_also(struct eng *e, uint32_t lane, const struct stop *st)
{
	struct lane *l = pool_at(&e->lanes, lane);

	if (!l->is_parked || st->why == WHY_NO_SOURCE) {
		eng_lane_unpark(e, lane);
		return;
	}
	if (st->wake_us > e->now &&
	    (!heap_has(&l->timer.node) || l->timer.node.key > st->wake_us))
		eng_timer_set(e, &l->timer, TIMER_LANE, lane, st->wake_us);
	if (st->cap.meter != 0)
		eng_wait(e, WAITER_LANE, lane, &st->cap, &st->asker);
	wait_host(e, lane, st->host);
	wait_limit(e, lane, st->limit);
}

/* What a limit keeps for the path no other can use: it opens a session itself,
 * for the first lane that it can. If others looked again as well, and something
 * else is in the way of all, each would wait in line again and be told again
 * without end. */
static void
told_opens(struct eng *e, uint32_t path)
{
	struct path *p = pool_at(&e->paths, path);
	const struct site *s = pool_at(&e->sites, p->site);
	uint32_t lane, next;

	for (lane = s->hungry.head; lane != 0; lane = next) {
		struct lane *l = pool_at(&e->lanes, lane);
		struct stop st = { .why = WHY_NONE };

		next = l->hungry.next;
		if (p->nopening != 0 && l->pending >= l->ngroups)
			return; /* it is on its way */
		if (e->budget == 0) {
			eng_lane_unpark(e, lane);
			return;
		}
		if (!eng_lane_serves(e, l, &e->srcs[p->src])) {
			e->totals.decisions_total++;
			continue;
		}
		if (!eng_lane_admits(e, lane))
			continue;
		e->budget--;
		if (open_by(e, lane, p->src, -1, &st))
			return;
		park_also(e, lane, &st);
	}
}

/* On a session to a host that is in use. */
static bool
has_room(struct eng *e, uint32_t path)
{
	eng_path_shed(e, path);
	return eng_path_has_room(e, pool_at(&e->paths, path));
}

/* Something about the path changed for the better, or its time has come: fills
 * its sessions, then lets lanes that were parked look again. A lane that it does
 * not serve keeps its place: it is not its turn that has passed. */
void
eng_path_pump(struct eng *e, uint32_t path)
{
	struct path *p = pool_at(&e->paths, path);
	struct site *s = pool_at(&e->sites, p->site);
	const struct src *src = &e->srcs[p->src];
	uint32_t site = p->site, left = s->hungry.n, served = 0;
	uint32_t at = eng_site_first(e, s, src);
	int64_t until;
	enum eng_why why;

	eng_path_reopen(e, p);
	if (eng_path_at_limit(e, p))
		return;
	if (!eng_path_waits(e, p))
		eng_path_ready(e, p);
	if (e->is_disk_full)
		return;
	while (left > 0 && s->hungry.n != 0 && has_room(e, path) &&
	    e->budget != 0) {
		uint32_t lane = at != 0 ? at : s->hungry.head;
		struct lane *l = pool_at(&e->lanes, lane);

		at = l->hungry.next;
		/* That which has just been served need not be asked again. */
		if (lane != served &&
		    (!eng_lane_serves(e, l, src) ||
			eng_lane_yields(e, lane, p->src, &until))) {
			e->totals.decisions_total++;
			left--;
			continue;
		}
		served = lane;
		why = eng_path_gate(e, p, &until);
		if (why != WHY_NONE) {
			eng_path_park(e, path, why, until);
			lane_tell(e, lane, p, why, until);
			return;
		}
		if (eng_lane_offer(e, lane, path) == 0) {
			if (eng_path_at_limit(e, p))
				return;
			left--;
			served = 0;
			continue;
		}
		e->budget--;
		eng_sess_assign(e, path, lane);
		left = s->hungry.n;
		at = eng_site_first(e, s, src);
	}
	if (s->hungry.n == 0)
		return;
	if (eng_waiter_is_roused(e, p->waiter)) {
		told_opens(e, path);
		return;
	}
	if (e->budget != 0 && eng_path_waits(e, p))
		return;
	why = e->budget == 0 ? WHY_NONE : eng_path_open_gate(e, p, &until);
	if (why == WHY_NONE) {
		site_look_again(e, site);
		return;
	}
	if (until != 0 || why == WHY_SUSPENDED)
		eng_path_park(e, path, why, until);
	lane_tell(e, s->hungry.head, p, why, until);
}

/* Lanes that wait for the node's sessions get those that there are; when there
 * are none, idle ones make room, one for each. Some may be slow to say
 * goodbye. */
void
eng_limit_wake(struct eng *e)
{
	uint32_t waiting;

	for (int k = 0; k < LIMITS; k++) {
		uint32_t used, max;

		if (e->limit[k].n == 0)
			continue;
		used = limit_used(e, k);
		max = limit_max(e, k);
		for (; used < max && e->limit[k].n != 0; used++)
			eng_lane_wake(e, e->limit[k].head);
	}
	waiting = e->limit[LIMIT_NODE].n;
	while (e->idle_sessions.n != 0 && e->nclosing < waiting && may_close(e))
		eng_sess_close(e, e->idle_sessions.head);
}

void
eng_next_ask(const struct eng *e, uint32_t path, enum next_step step)
{
	const struct path *p = pool_at(&e->paths, path);
	const struct site *s = pool_at(&e->sites, p->site);
	const struct lane *l;
	const struct queue *q;
	const struct rcpt *r;

	if (s->hungry.n == 0)
		return;
	l = pool_at(&e->lanes, s->hungry.head);
	q = pool_at(&e->queues, eng_lane_next(e, l));
	if (step == NEXT_QUEUE) {
		mem_ask(q, sizeof(*q));
		return;
	}
	r = eng_rcpt(e, q->fifo.head);
	if (step == NEXT_RCPT) {
		mem_ask(r, sizeof(*r));
		return;
	}
	mem_ask(pages_at(&e->msgs, r->msg), sizeof(struct msg));
	if (r->link.next != 0)
		mem_ask(eng_rcpt(e, r->link.next), sizeof(*r));
}

void
eng_stranger_leave(struct eng *e, struct sess *x)
{
	e->nstrangers -= x->is_stranger;
	x->is_stranger = false;
}
