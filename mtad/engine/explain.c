/*
 * engine/explain.c - the chain of gates that stands before a recipient, each
 * open or shut, until when, and because of what.
 *
 * The gates are asked as the scheduler asks them, on copies of what they would
 * change. Nothing here walks a queue: a recipient costs a look at each source of
 * its pool, of which the caller says how many there may be.
 */
#include "engine/standing_i.h"
#include "engine/warm_i.h"

static const char *const gate_names[ENG_GATE_N] = {
#define X(name, text) [name] = text,
	ENG_GATE_TABLE(X)
#undef X
};

const char *
eng_gate_name(enum eng_gate_kind k)
{
	return gate_names[k];
}

static const char *const eta_names[ENG_ETA_N] = {
#define X(name, text) [name] = text,
	ENG_ETA_TABLE(X)
#undef X
};

const char *
eng_eta_name(enum eng_eta_kind k)
{
	return eta_names[k];
}

/* At which gate stands what waits for that? */
static enum eng_gate_kind
gate_of(enum eng_why why)
{
	switch (why) {
	case WHY_RATE:
		return GATE_RATE;
	case WHY_CONN:
	case WHY_LIMIT:
		return GATE_CONN;
	case WHY_CAP:
		return GATE_LIMIT;
	case WHY_WARMUP:
		return GATE_WARMUP;
	case WHY_SUSPENDED:
	case WHY_PACED:
		return GATE_REACTION;
	case WHY_HOST:
		return GATE_HOST;
	case WHY_NO_SOURCE:
	case WHY_PROXY:
		return GATE_SOURCE;
	default:
		return GATE_PATH;
	}
}

static bool
opens_before(int64_t a, int64_t b)
{
	return (a ? a : TIME_NEVER) < (b ? b : TIME_NEVER);
}

static void
shut(struct eng_reasons *r, enum eng_gate_kind k, enum eng_why why,
    int64_t until_us)
{
	r->gate[k].is_shut = true;
	r->gate[k].why = why;
	r->gate[k].until_us = until_us;
}

/* ---- one source ----------------------------------------------------------------- */

/* What stops one source, with the name of the host if it is one. */
struct obstacle {
	enum eng_why why;
	int64_t until_us, since_us;
	uint32_t host, limit, standing;
	uint32_t path; /* that was refused at since_us */
};

/* No address of the site that the source reaches can be tried. */
static void
look_at_hosts(const struct eng *e, const struct site *s, const struct src *src,
    int64_t now_us, struct obstacle *o)
{
	bool reaches = false;

	for (uint16_t k = 0; k < s->ntargets; k++) {
		const struct host *h = pool_at(&e->hosts, s->targets[k].host);
		int64_t until =
		    h->dead_until_us > now_us ? h->dead_until_us : 0;
		uint32_t skip;

		if (h->ip.family == 6 ? !src->has_v6 : !src->has_v4)
			continue;
		skip = eng_host_skipped(e, s, (uint32_t)(src - e->srcs),
		    s->targets[k].name, &until);
		if (skip != 0) {
			if (!reaches || opens_before(until, o->until_us)) {
				o->until_us = until;
				o->since_us = eng_standing_since(e, skip);
				o->host = s->targets[k].name;
				o->standing = skip;
			}
			reaches = true;
			continue;
		}
		if (h->fails == 0 || (until == 0 && h->probe == 0)) {
			*o = (struct obstacle){ .why = WHY_NONE };
			return;
		}
		if (!reaches || opens_before(until, o->until_us)) {
			o->until_us = until;
			o->since_us = h->fail_us;
			o->host = s->targets[k].name;
			o->standing = 0;
		}
		reaches = true;
	}
	o->why = !reaches    ? WHY_NO_SOURCE :
	    o->standing != 0 ? WHY_SUSPENDED :
			       WHY_HOST;
}

/* Who waits at a limit does so by its name; 0: it waits at none, or may go. */
static uint32_t
limit_of(const struct eng *e, uint32_t waiter)
{
	const struct waiter *w;

	if (waiter == 0 || eng_waiter_is_told(e, waiter))
		return 0;
	w = pool_at(&e->waiters, waiter);
	return eng_meter(e, w->meter)->name;
}

/* The path's own gates, as the scheduler asks them: of a copy, and uncounted. */
static void
look_at_path(struct eng *e, uint32_t path, int64_t now_us, struct obstacle *o)
{
	const struct path *p = pool_at(&e->paths, path);
	struct path copy = *p;
	uint64_t decisions = e->totals.decisions_total;

	o->limit = limit_of(e, p->waiter);
	if (o->limit != 0) {
		o->why = WHY_CAP;
		o->since_us = p->shut == WHY_CAP ? p->shut_us : 0;
		return;
	}
	o->why = eng_path_has_room(e, p) ?
	    eng_path_gate(e, &copy, &o->until_us) :
	    eng_path_open_gate(e, &copy, &o->until_us);
	e->totals.decisions_total = decisions;
	if (o->until_us != 0 && o->until_us <= now_us)
		*o = (struct obstacle){ .why = WHY_NONE };
	if (o->why == WHY_SUSPENDED)
		o->standing = eng_path_suspended(e, p, &(int64_t){ 0 });
	else if (o->why == WHY_PACED)
		o->standing = eng_path_paced_by(e, p);
	if (o->standing != 0)
		o->since_us = eng_standing_since(e, o->standing);
	else if (o->why == WHY_BACKOFF) {
		o->since_us = p->fail_us;
		o->path = path;
	} else if (o->why != WHY_NONE && o->why == p->shut)
		o->since_us = p->shut_us;
}

uint32_t
eng_session_path(const struct eng *e, struct handle session)
{
	const struct sess *x = pool_get(&e->sessions, session);

	return x ? x->path : 0;
}

int64_t
eng_path_refused_us(const struct eng *e, uint32_t path)
{
	const struct path *p;

	if (path == 0 || !pool_is_live(&e->paths, path))
		return 0;
	p = pool_at(&e->paths, path);
	return p->fails != 0 ? p->fail_us : 0;
}

/* One that may take a transaction. */
static bool
has_session(const struct eng *e, uint32_t path)
{
	const struct path *p = pool_at(&e->paths, path);

	return eng_path_has_room(e, p) &&
	    !eng_sess_is_skipped(e, p->room[p->level].head);
}

static struct obstacle
look_at_source(struct eng *e, uint32_t site, const struct src *src,
    int64_t now_us)
{
	uint32_t si = (uint32_t)(src - e->srcs);
	uint32_t path = eng_path_find(e, site, si);
	const struct site *s = pool_at(&e->sites, site);
	struct obstacle o = { .why = WHY_NONE };

	if (src->conf == SRC_NONE) {
		o.why = WHY_NO_SOURCE;
		return o;
	}
	if (src->is_down && (path == 0 || !has_session(e, path))) {
		o.why = WHY_PROXY;
		o.since_us = src->down_us;
		return o;
	}
	if (path != 0) {
		look_at_path(e, path, now_us, &o);
		if (o.why != WHY_NONE || has_session(e, path))
			return o;
	}
	o.why = eng_warm_look(e, si, site, &o.until_us);
	if (o.why != WHY_NONE)
		return o;
	look_at_hosts(e, s, src, now_us, &o);
	if (o.why == WHY_NONE && e->sessions.live >= e->limits.sessions_max)
		o.why = WHY_LIMIT;
	return o;
}

/* ---- the sources of a lane ------------------------------------------------------- */

/* One source has come as far as a gate, and stops there. */
static void
stop_at(struct eng_gate *g, enum eng_gate_kind at, const struct obstacle *o,
    uint32_t source)
{
	bool is_first;

	for (int k = GATE_SOURCE; k <= (int)at; k++)
		g[k].of++;
	for (int k = GATE_SOURCE; k < (int)at; k++)
		g[k].open++;
	is_first = g[at].of - g[at].open == 1;
	if (!is_first && !opens_before(o->until_us, g[at].until_us))
		return;
	g[at].why = o->why;
	g[at].until_us = o->until_us;
	g[at].since_us = o->since_us;
	g[at].host = o->host;
	g[at].limit = o->limit;
	g[at].standing = o->standing;
	g[at].path = o->path;
	g[at].source = source;
}

static void
pass_all(struct eng_gate *g, uint32_t source)
{
	for (int k = GATE_SOURCE; k < GATE_SESSION; k++) {
		g[k].of++;
		g[k].open++;
	}
	if (g[GATE_SESSION].source == 0)
		g[GATE_SESSION].source = source;
}

const struct epool *
eng_lane_looks(const struct eng *e, const struct lane *l)
{
	uint32_t name = l->pool_name ? l->pool_name : e->policy->default_pool;

	for (uint32_t i = 0; i < e->npools; i++)
		if (e->pools[i].name == name)
			return &e->pools[i];
	return NULL;
}

/* A limit that the lane's mail, or the queue, waits at whatever the source. */
static void
own_gates(const struct eng *e, const struct queue *q, const struct lane *l,
    struct eng_reasons *r)
{
	const struct park *k = q->park ? pool_at(&e->parks, q->park) : NULL;
	uint32_t limit = limit_of(e, l->waiter);

	if (k != NULL && k->why == WHY_SUSPENDED) {
		shut(r, GATE_REACTION, k->why, k->until_us);
		r->gate[GATE_REACTION].is_known = true;
		r->gate[GATE_REACTION].standing =
		    eng_queue_standing(e, q, &(int64_t){ 0 });
	} else if (k != NULL) {
		shut(r, GATE_TENANT, k->why, k->until_us);
		r->gate[GATE_TENANT].limit = limit_of(e, q->waiter);
		r->gate[GATE_TENANT].since_us = 0;
	}
	if (limit == 0)
		return;
	shut(r, GATE_LIMIT, WHY_CAP, 0);
	r->gate[GATE_LIMIT].is_known = true;
	r->gate[GATE_LIMIT].limit = limit;
}

static void
lane_gates(struct eng *e, const struct lane *l, int64_t now_us,
    uint32_t *budget, struct eng_gate *g)
{
	const struct epool *pool = eng_lane_looks(e, l);

	for (uint32_t k = 0; pool != NULL && k<pool->n && * budget> 0; k++) {
		const struct src *src = &e->srcs[pool->src[k]];
		struct obstacle o;

		if (l->pin != 0 && src->name != l->pin)
			continue;
		o = look_at_source(e, l->site, src, now_us);
		(*budget)--;
		if (o.why == WHY_NONE)
			pass_all(g, src->name);
		else
			stop_at(g, gate_of(o.why), &o, src->name);
	}
	for (int k = GATE_SOURCE; k < GATE_SESSION; k++) {
		g[k].is_known = g[k].of != 0;
		g[k].is_shut = g[k].of != 0 && g[k].open == 0;
		if (!g[k].is_shut && g[k].of == g[k].open)
			g[k].why = WHY_NONE;
	}
	if (pool == NULL || pool->n == 0)
		g[GATE_SOURCE] = (struct eng_gate){ .is_known = true,
			.is_shut = true,
			.why = WHY_NO_SOURCE };
}

/* ---- the chain -------------------------------------------------------------------- */

static void
dom_gate(const struct eng *e, uint32_t dom, struct eng_reasons *r)
{
	const struct dom *d = pool_at(&e->doms, dom);

	if (d->state == DOM_FAILED)
		shut(r, GATE_DNS, WHY_DNS_FAILED,
		    heap_has(&d->timer.node) ? d->timer.node.key : 0);
	else if (d->state == DOM_NEW || d->state == DOM_ASKED)
		shut(r, GATE_DNS, WHY_DNS, 0);
}

/* Which gate is the first, and when the next attempt may be. */
static void
conclude(struct eng_reasons *r, int64_t now_us)
{
	int64_t next = now_us;

	r->first = ENG_GATE_N;
	for (int k = ENG_GATE_N; k-- > 0;) {
		const struct eng_gate *g = &r->gate[k];

		if (!g->is_shut)
			continue;
		r->first = k;
		/* Who waits for an event does so behind whatever is timed. */
		if (g->until_us == 0)
			next = 0;
		else if (next != 0)
			next = MAX(next, g->until_us);
	}
	r->next_us = r->gate[GATE_HOLD].is_shut ? TIME_NEVER : next;
}

/* The gates of queue q, behind those that are a recipient's own. */
static void
queue_gates(struct eng *e, const struct queue *q, int64_t now_us,
    uint32_t *budget, struct eng_reasons *r)
{
	const struct lane *l;

	for (int k = 0; k <= GATE_CAMPAIGN; k++)
		r->gate[k].is_known = true;
	if (q->home & HOME_DOM) {
		dom_gate(e, q->home & ~HOME_DOM, r);
		return;
	}
	if (e->is_disk_full)
		shut(r, GATE_DISK, WHY_DISK, 0);
	l = pool_at(&e->lanes, q->lane);
	r->gate[GATE_TENANT].ahead = l->nring;
	lane_gates(e, l, now_us, budget, r->gate);
	own_gates(e, q, l, r);
}

void
eng_queue_reasons(struct eng *e, uint32_t queue, int64_t now_us,
    uint32_t *budget, struct eng_reasons *out)
{
	memset(out, 0, sizeof(*out));
	queue_gates(e, pool_at(&e->queues, queue), now_us, budget, out);
	conclude(out, now_us);
}

/* Those that stand before it in line, as far as it is worth counting. */
static uint32_t
ahead_of(const struct eng *e, const struct rcpt *r)
{
	uint32_t n = 0;

	for (uint32_t i = r->link.prev; i != 0 && n < ENG_AHEAD_LOOK; n++)
		i = eng_rcpt(e, i)->link.prev;
	return n;
}

static void
rcpt_gates(struct eng *e, uint32_t i, const struct eng_rcpt_row *row,
    int64_t now_us, uint32_t *budget, struct eng_reasons *out)
{
	const struct rcpt *r = eng_rcpt(e, i);
	const struct queue *q = pool_at(&e->queues, r->queue);

	memset(out, 0, sizeof(*out));
	queue_gates(e, q, now_us, budget, out);
	if (r->state == R_HELD)
		shut(out, GATE_HOLD, WHY_HELD, 0);
	if (r->state == R_DEFERRED)
		shut(out, GATE_RETRY, WHY_RETRY, row->due_us);
	if (r->state == R_READY || r->state == R_WAIT)
		out->gate[GATE_CAMPAIGN].ahead = ahead_of(e, r);
	if (r->state == R_ASSIGNED) {
		for (int k = 0; k < GATE_SESSION; k++)
			out->gate[k].is_shut = false;
		out->gate[GATE_SESSION].is_known = true;
		out->gate[GATE_SESSION].why = WHY_SESSION;
	}
	conclude(out, now_us);
}

uint32_t
eng_explain_message(struct eng *e, uint32_t msg, uint32_t from, uint32_t to,
    int64_t now_us, uint32_t *budget, struct eng_explained *v, uint32_t n)
{
	const struct msg *m = eng_msg(e, msg);
	uint32_t have = 0;

	for (uint32_t i = m ? m->head : 0; i != 0 && have < n;
	     i = eng_rcpt(e, i)->sib) {
		const struct rcpt *r = eng_rcpt(e, i);
		const struct queue *q;
		const struct site *s;

		if (r->state == R_DONE || r->state == R_NONE ||
		    r->rcpt < from || r->rcpt >= to)
			continue;
		q = pool_at(&e->queues, r->queue);
		v[have] = (struct eng_explained){ .queue_due = q->fifo.n };
		eng_view_rcpt(e, i, &v[have].row);
		rcpt_gates(e, i, &v[have].row, now_us, budget, &v[have].why);
		v[have].eta = eng_eta_rcpt(e, i, &v[have].why,
		    v[have].row.due_us, now_us);
		if (!(q->home & HOME_DOM)) {
			s = pool_at(&e->sites, q->home);
			v[have].site = q->home;
			v[have].site_host =
			    s->ntargets ? s->targets[0].name : 0;
		}
		have++;
	}
	return have;
}

/* ---- how fast it may be ------------------------------------------------------------- */

static uint64_t
milli_of(const struct eng_shape *s)
{
	if (s->rate_count == 0 || s->rate_period_us <= 0)
		return 0;
	return (uint64_t)((unsigned __int128)s->rate_count * 1000 * US_PER_S /
	    (uint64_t)s->rate_period_us);
}

/* One path of the lane. */
static void
add_path(struct eng *e, uint32_t path, int64_t now_us, struct eng_flow_view *v,
    uint64_t *conns_max, uint64_t *conns)
{
	const struct path *p = pool_at(&e->paths, path);
	const struct eng_shape *s = eng_path_shape(e, p);
	struct obstacle o = { .why = WHY_NONE };

	look_at_path(e, path, now_us, &o);
	v->declared += milli_of(s);
	if (o.why == WHY_NONE || o.why == WHY_RATE || o.why == WHY_CONN)
		v->open += milli_of(s);
	*conns_max += s->conns_max;
	*conns += p->nsess - p->nopening;
}

static void
view_flow(struct eng *e, const struct queue *q, int64_t now_us,
    uint32_t *budget, struct eng_flow_view *v)
{
	uint64_t conns_max = 0, conns = 0;
	const struct site *s;

	*v = (struct eng_flow_view){ .measured = eng_pace_rate_milli(&q->pace,
					 now_us) };
	if (q->home & HOME_DOM)
		return;
	s = pool_at(&e->sites, q->home);
	for (uint32_t i = s->paths.head; i != 0 && *budget > 0; (*budget)--) {
		const struct path *p = pool_at(&e->paths, i);

		add_path(e, i, now_us, v, &conns_max, &conns);
		i = p->link.next;
	}
	if (conns != 0 && conns_max != 0)
		v->conns = v->measured * conns_max / conns;
	v->is_unreachable = v->conns != 0 && v->declared > v->conns;
	eng_blocked_sums(e, q->home, v->blocked_us);
}

/* ---- domains, queues --------------------------------------------------------------- */

static const char *
dom_state_name(uint8_t state)
{
	static const char *const names[] = { [DOM_NEW] = "new",
		[DOM_ASKED] = "asked",
		[DOM_FAILED] = "failed",
		[DOM_OK] = "ok",
		[DOM_NEGATIVE] = "negative" };

	return names[state];
}

static void
view_targets(const struct eng *e, const struct site *s, int64_t now_us,
    struct eng_domain_view *out)
{
	out->ntargets = MIN(s->ntargets, ENG_TARGETS_MAX);
	for (uint32_t k = 0; k < out->ntargets; k++) {
		const struct host *h = pool_at(&e->hosts, s->targets[k].host);

		out->target[k] =
		    (struct eng_target_view){ .host = s->targets[k].name,
			    .ip = h->ip,
			    .pref = s->targets[k].pref,
			    .fails = h->fails,
			    .fail_us = h->fails ? h->fail_us : 0,
			    .dead_until_us =
				h->fails && h->dead_until_us > now_us ?
				h->dead_until_us :
				0 };
	}
}

bool
eng_explain_domain(const struct eng *e, uint32_t domain, int64_t now_us,
    struct eng_domain_view *out)
{
	uint32_t i = map_get(&e->dom_map, domain);
	const struct dom *d;
	const struct site *s;

	memset(out, 0, sizeof(*out));
	if (i == 0)
		return false;
	d = pool_at(&e->doms, i);
	out->state = dom_state_name(d->state);
	out->recipients = d->nrcpts;
	out->expires_us = d->expires_us;
	if (d->state == DOM_FAILED && heap_has(&d->timer.node))
		out->retry_us = d->timer.node.key;
	if (d->site == 0)
		return true;
	s = pool_at(&e->sites, d->site);
	out->site = d->site;
	out->site_host = s->ntargets ? s->targets[0].name : 0;
	out->conns = s->nsess;
	view_targets(e, s, now_us, out);
	return true;
}

uint32_t
eng_explain_queues(struct eng *e, uint32_t domain, uint32_t *cursor,
    uint32_t looks, int64_t now_us, uint32_t *budget, struct eng_queue_view *v,
    uint32_t n)
{
	uint32_t dom = map_get(&e->dom_map, domain), site, have = 0;
	uint32_t i = MAX(*cursor, 1u);

	*cursor = 0;
	if (dom == 0)
		return 0;
	site = ((const struct dom *)pool_at(&e->doms, dom))->site;
	for (; i < e->queues.next_new && have < n && looks > 0; i++, looks--) {
		const struct queue *q = pool_at(&e->queues, i);

		if (!pool_is_live(&e->queues, i) || q->depth == 0 ||
		    !((site != 0 && q->home == site) ||
			q->home == (dom | HOME_DOM)))
			continue;
		eng_view_queue(e, i, now_us, &v[have].row);
		eng_ages(e, i, now_us, &v[have].ages);
		eng_queue_reasons(e, i, now_us, budget, &v[have].why);
		view_flow(e, q, now_us, budget, &v[have].flow);
		v[have].eta = eng_eta_queue(e, i, &v[have].why, now_us);
		have++;
	}
	*cursor = i < e->queues.next_new ? i : 0;
	return have;
}

/* ---- sources ------------------------------------------------------------------------ */

static void
view_path(struct eng *e, const struct path *p, int64_t now_us,
    struct eng_path_view *v)
{
	const struct src *src = &e->srcs[p->src];
	const struct site *s = pool_at(&e->sites, p->site);
	struct obstacle o = look_at_source(e, p->site, src, now_us);

	*v = (struct eng_path_view){ .site = p->site,
		.site_host = s->ntargets ? s->targets[0].name : 0,
		.conns = p->nsess,
		.inflight = p->inflight,
		.fails = p->fails,
		.why = o.why,
		.until_us = o.until_us,
		.since_us = o.since_us,
		.path = o.path };
	for (uint32_t i = s->hungry.head, n = 0; i != 0 && n < ENG_AHEAD_LOOK;
	     n++) {
		const struct lane *l = pool_at(&e->lanes, i);
		const struct epool *pool = eng_lane_looks(e, l);
		uint32_t at = pool ? (uint32_t)(pool - e->pools) : 0;

		if (pool && src->pools[at / 64] >> (at % 64) & 1 &&
		    (l->pin == 0 || l->pin == src->name))
			v->waiting += l->nready;
		i = l->hungry.next;
	}
}

bool
eng_explain_source(struct eng *e, uint32_t source, uint32_t *cursor,
    uint32_t looks, int64_t now_us, struct eng_source_row *row,
    struct eng_path_view *v, uint32_t cap, uint32_t *n)
{
	uint32_t si = 1, i = MAX(*cursor, 1u);

	*n = *cursor = 0;
	while (si < e->nsrcs && e->srcs[si].name != source)
		si++;
	if (si == e->nsrcs || source == 0)
		return false;
	eng_view_source(&e->srcs[si], now_us, row);
	for (; i < e->paths.next_new && *n < cap && looks > 0; i++, looks--) {
		const struct path *p = pool_at(&e->paths, i);

		if (pool_is_live(&e->paths, i) && p->src == si)
			view_path(e, p, now_us, &v[(*n)++]);
	}
	*cursor = i < e->paths.next_new ? i : 0;
	return true;
}
