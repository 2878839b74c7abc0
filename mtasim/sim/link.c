/*
 * sim/link.c - a connection between two ends: bytes that take their time,
 * arrive one by one, are cut off by a reset, or never arrive at all.
 *
 * Each direction is a queue of segments with the time of their arrival. A
 * sender may have WINDOW bytes on the way; the rest waits for the receiver to
 * eat. A link lives until neither end needs it.
 */
#include <errno.h>

#include "sim/sim_i.h"

#define WINDOW (96u * 1024)
#define SEGMENTS 64u

enum segment_kind { SEG_DATA, SEG_FIN, SEG_RESET };

struct segment {
	int64_t at_us;
	uint32_t n;
	enum segment_kind kind;
};

struct way { /* to an end */
	struct link *link;
	int to;
	struct buf wire;
	struct segment seg[SEGMENTS];
	uint32_t first, n;
	struct timer arrive;
};

struct link {
	struct sim *s;
	struct list link;
	struct link_conf conf;
	struct end end[2];
	struct way way[2]; /* way[i] leads to end[i] */
	uint64_t bytes;
	int refused;
	bool answers, is_silent;
	void (*accept)(void *arg, struct end *far);
	void *arg;
	struct timer connect, bury, drained[2];
};

static int
side(const struct end *e)
{
	return e == &e->link->end[1];
}

static struct end *
other(struct end *e)
{
	return &e->link->end[!side(e)];
}

/* ---- its end ------------------------------------------------------------------------ */

static void
link_free(struct link *l)
{
	struct sim *s = l->s;

	for (int i = 0; i < 2; i++) {
		sim_timer_cancel(s, &l->way[i].arrive);
		sim_timer_cancel(s, &l->end[i].deadline);
		sim_timer_cancel(s, &l->drained[i]);
		buf_free(&l->way[i].wire);
		buf_free(&l->end[i].in);
	}
	sim_timer_cancel(s, &l->connect);
	sim_timer_cancel(s, &l->bury);
	list_remove(&l->link);
	mem_free(l);
}

static void
on_bury(void *arg)
{
	link_free(arg);
}

static void
end_leave(struct end *e)
{
	struct link *l = e->link;

	e->is_open = false;
	sim_timer_cancel(l->s, &e->deadline);
	sim_timer_cancel(l->s, &l->drained[side(e)]);
	buf_free(&e->in);
	if (!other(e)->is_open)
		sim_timer_set(l->s, &l->bury, l->s->now_us);
}

/* ---- bytes ---------------------------------------------------------------------------- */

static void
segment_add(struct link *l, int to, enum segment_kind kind, uint32_t n)
{
	struct way *w = &l->way[to];
	int64_t at = l->s->now_us + l->conf.latency_us;
	struct segment *last;

	if (l->is_silent || !l->end[to].is_open)
		return;
	if (w->n) {
		last = &w->seg[(w->first + w->n - 1) % SEGMENTS];
		at = MAX(at, last->at_us);
		if (kind == SEG_DATA && last->kind == SEG_DATA &&
		    (at == last->at_us || w->n >= SEGMENTS - 4)) {
			last->n += n;
			return;
		}
	}
	if (w->n == SEGMENTS)
		return; /* what was closed before it is enough */
	w->seg[(w->first + w->n++) % SEGMENTS] =
	    (struct segment){ at, n, kind };
	if (w->n == 1)
		sim_timer_set(l->s, &w->arrive, at);
}

static void
gone(struct end *e, int err)
{
	if (!e->is_open || e->is_gone)
		return;
	e->is_gone = true;
	e->ops->on_gone(e->user, err);
}

/* Offers what has arrived. */
static void
offer(struct end *e)
{
	size_t eaten;

	while (e->is_open && !e->is_paused && !e->is_gone && e->in.n) {
		eaten = e->ops->on_data(e->user, buf_slice(&e->in));
		if (!e->is_open)
			return;
		ASSERT(eaten <= e->in.n);
		if (eaten < e->in.n)
			e->is_paused = true;
		buf_consume(&e->in, eaten);
		if (other(e)->is_blocked)
			sim_timer_set(e->link->s, &e->link->drained[!side(e)],
			    e->link->s->now_us + e->link->conf.latency_us);
	}
}

static void
reset_both(struct link *l)
{
	for (int i = 0; i < 2; i++) {
		buf_reset(&l->way[i].wire);
		l->way[i].n = 0;
		sim_timer_cancel(l->s, &l->way[i].arrive);
	}
	for (int i = 0; i < 2; i++) {
		segment_add(l, i, SEG_RESET, 0);
		l->way[i].seg[l->way[i].first % SEGMENTS].at_us = l->s->now_us;
		if (l->way[i].n)
			sim_timer_set(l->s, &l->way[i].arrive, l->s->now_us);
	}
	l->is_silent = true;
}

/* The bytes that are through; with a drip, one at a time. */
static void
arrive(struct link *l, int to)
{
	struct way *w = &l->way[to];
	struct segment *g = &w->seg[w->first];
	struct end *e = &l->end[to];
	uint32_t n = g->n;

	if (g->kind == SEG_DATA) {
		if (l->conf.drip_us && n > 1)
			n = 1 + n / 16;
		sim_trace(l->s, w->wire.p + w->wire.off, n);
		if (e->is_open && !e->is_gone &&
		    buf_add(&e->in, w->wire.p + w->wire.off, n))
			ASSERT(!"a window holds it");
		buf_consume(&w->wire, n);
		g->n -= n;
		if (g->n) {
			g->at_us = l->s->now_us + l->conf.drip_us;
			sim_timer_set(l->s, &w->arrive, g->at_us);
			offer(e);
			return;
		}
	}
	w->first = (w->first + 1) % SEGMENTS;
	if (--w->n)
		sim_timer_set(l->s, &w->arrive, w->seg[w->first].at_us);
	if (g->kind == SEG_DATA)
		offer(e);
	else
		gone(e, g->kind == SEG_RESET ? ECONNRESET : 0);
}

static void
on_arrive(void *arg)
{
	struct way *w = arg;

	arrive(w->link, w->to);
}

static void
on_drained(void *arg)
{
	struct end *e = arg;

	if (!e->is_open || !e->is_blocked || e->is_gone)
		return;
	e->is_blocked = false;
	e->ops->on_drained(e->user);
}

/* The link's own fate, by the bytes it has carried. */
static void
carried(struct link *l, size_t n)
{
	l->bytes += n;
	if (l->s->is_healed)
		return;
	if (l->conf.silent_after && l->bytes >= l->conf.silent_after &&
	    !l->is_silent) {
		l->is_silent = true;
		l->s->marks->n[MARK_link_silent]++;
		sim_fault(l->s, "link-silent", SL(""));
	}
	if (l->conf.reset_after && l->bytes >= l->conf.reset_after &&
	    !l->is_silent) {
		l->s->marks->n[MARK_link_reset]++;
		sim_fault(l->s, "link-reset", SL(""));
		reset_both(l);
	}
}

bool
end_send(struct end *e, struct buf *b)
{
	struct link *l = e->link;
	int to = !side(e);
	struct way *w = &l->way[to];
	size_t n, used = w->wire.n + l->end[to].in.n;

	ASSERT(e->is_open);
	if (e->is_blocked)
		return b->n == 0;
	n = MIN(b->n, used < WINDOW ? WINDOW - used : 0);
	if (n && !l->is_silent && l->end[to].is_open) {
		if (buf_add(&w->wire, b->p + b->off, n))
			ASSERT(!"a window holds it");
		segment_add(l, to, SEG_DATA, (uint32_t)n);
	}
	if (l->is_silent || !l->end[to].is_open)
		n = b->n;
	buf_consume(b, n);
	e->is_blocked = b->n != 0;
	carried(l, n);
	return b->n == 0;
}

void
end_resume(struct end *e)
{
	if (!e->is_paused)
		return;
	e->is_paused = false;
	offer(e);
}

/* ---- ends of ends ------------------------------------------------------------------- */

void
end_close(struct end *e)
{
	segment_add(e->link, !side(e), SEG_FIN, 0);
	end_leave(e);
}

void
end_reset(struct end *e)
{
	segment_add(e->link, !side(e), SEG_RESET, 0);
	end_leave(e);
}

void
end_vanish(struct end *e)
{
	e->link->is_silent = true;
	end_leave(e);
}

static void
on_deadline(void *arg)
{
	struct end *e = arg;

	if (e->is_open && !e->is_gone)
		e->ops->on_deadline(e->user);
}

void
end_deadline(struct end *e, int64_t at_us)
{
	sim_timer_set(e->link->s, &e->deadline, at_us);
}

/* ---- beginnings ----------------------------------------------------------------------- */

static void
on_connect(void *arg)
{
	struct link *l = arg;
	struct end *near = &l->end[0];

	if (!near->is_open || !l->answers)
		return;
	near->is_connecting = false;
	if (l->refused) {
		near->is_gone = true;
		near->ops->on_connect(near->user, l->refused);
		return;
	}
	l->end[1].is_open = true;
	near->ops->on_connect(near->user, 0);
	if (near->is_open)
		l->accept(l->arg, &l->end[1]);
}

struct end *
link_connect(struct sim *s, const struct link_conf *conf,
    const struct end_ops *ops, void *user, int refused, bool answers,
    void (*accept)(void *arg, struct end *far), void *arg)
{
	struct link *l = mem_get(sizeof(*l));

	l->s = s;
	l->conf = *conf;
	l->refused = refused;
	l->answers = answers;
	l->accept = accept;
	l->arg = arg;
	for (int i = 0; i < 2; i++) {
		l->way[i].link = l;
		l->way[i].to = i;
		l->end[i].link = l;
		buf_init(&l->way[i].wire, 2 * WINDOW);
		buf_init(&l->end[i].in, 2 * WINDOW);
		sim_timer_init(&l->way[i].arrive, on_arrive, &l->way[i],
		    "bytes");
		sim_timer_init(&l->drained[i], on_drained, &l->end[i],
		    "drained");
		sim_timer_init(&l->end[i].deadline, on_deadline, &l->end[i],
		    "deadline");
	}
	sim_timer_init(&l->connect, on_connect, l, "connect");
	sim_timer_init(&l->bury, on_bury, l, "bury");
	list_push_tail(&s->links, &l->link);
	l->end[0].ops = ops;
	l->end[0].user = user;
	l->end[0].is_open = true;
	l->end[0].is_connecting = true;
	sim_timer_set(s, &l->connect, s->now_us + 2 * conf->latency_us);
	return &l->end[0];
}

void
tls_say(struct end *e, char what)
{
	struct buf b;

	buf_init(&b, 16);
	buf_add(&b, &what, 1);
	end_send(e, &b);
	buf_free(&b);
}

void
links_free(struct sim *s)
{
	LIST_FOREACH_SAFE(n, tmp, &s->links)
		link_free(container_of(n, struct link, link));
}
