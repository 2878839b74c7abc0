/*
 * engine/gate.c - may it go now, by every limit of the policy; who may not waits
 * at the limit that refused it, and is woken when a unit is free.
 *
 * A meter has two lines of waiters: to send, and to open a session. When a unit
 * is free one waiter is told, and nobody else looks. It sends, and stands in line
 * again, unasked, if it has more; or it opens a session, for which a unit is then
 * kept at every meter that counts what will be sent on it (a promise), for a
 * while; or it is refused elsewhere, and waits there. What it has not used when
 * all have looked is the next one's, in the same step.
 *
 * Whose turn it is: tenants share a line by their weights, and of one tenant the
 * first comes first. Who was not told may not pass those who wait. But who was
 * told at one meter is held up at another only when nothing is left there but
 * promises: if it had to wait in line again, two limits with the same waiters
 * could send them to and fro without end.
 */
#include "engine/engine_i.h"

/* So long a unit is kept for a waiter that opens a session for it. */
#define TOLD_MIN_US (2 * US_PER_S)
#define REST_US (100 * US_PER_MS)

static struct waiter *
waiter_at(const struct eng *e, uint32_t i)
{
	return pool_at(&e->waiters, i);
}

/* The field that points to it. */
static uint32_t *
slot_of(const struct eng *e, const struct waiter *w)
{
	uint32_t *slot;

	switch ((enum waiter_kind)w->kind) {
	case WAITER_PATH:
		return &((struct path *)pool_at(&e->paths, w->index))->waiter;
	case WAITER_QUEUE:
		return &((struct queue *)pool_at(&e->queues, w->index))->waiter;
	case WAITER_SESS:
		slot =
		    &((struct sess *)pool_at(&e->sessions, w->index))->promises;
		while (*slot != 0 && waiter_at(e, *slot) != w)
			slot = &waiter_at(e, *slot)->next;
		return slot;
	case WAITER_LANE:
		break;
	}
	return &((struct lane *)pool_at(&e->lanes, w->index))->waiter;
}

/* Of a share of a line. */
static uint32_t
tenant_weight(const struct eng *e, uint32_t tenant)
{
	return MAX(eng_tenant_conf(e, tenant)->weight, 1u);
}

/* ---- shares of a line -------------------------------------------------------------- */

static uint64_t
share_key(uint32_t meter, uint8_t line, uint32_t tenant)
{
	return ((uint64_t)meter << 1 | line) << 32 | tenant;
}

static uint32_t
share_get(struct eng *e, uint32_t meter, uint8_t line, uint32_t tenant)
{
	uint64_t key = share_key(meter, line, tenant);
	uint32_t i = map_get(&e->share_map, key);
	struct share *s;

	if (i != 0)
		return i;
	s = eng_slot(&e->shares, &i);
	s->meter = meter;
	s->line = line;
	s->tenant = tenant;
	s->left = tenant_weight(e, tenant);
	ASSERT(map_put(&e->share_map, key, i) == 0);
	il_push_tail(K_SHARE(e), &eng_meter(e, meter)->line[line].shares, i);
	return i;
}

static void
share_leave(struct eng *e, uint32_t wi)
{
	struct waiter *w = waiter_at(e, wi);
	struct share *s = pool_at(&e->shares, w->share);
	struct line *ln = &eng_meter(e, w->meter)->line[w->line];

	il_remove(K_WAIT(e), &s->waiters, wi);
	ln->n--;
	if (s->waiters.n == 0) {
		il_remove(K_SHARE(e), &ln->shares, w->share);
		map_del(&e->share_map, share_key(s->meter, s->line, s->tenant));
		pool_give(&e->shares, w->share);
	}
	w->share = 0;
}

/* Its tenant has had a turn. */
static void
share_turn(struct eng *e, struct line *ln)
{
	uint32_t i = ln->shares.head;
	struct share *s = pool_at(&e->shares, i);

	if (s->left > 1 || ln->shares.n == 1) {
		s->left -= s->left > 1;
		return;
	}
	s->left = tenant_weight(e, s->tenant);
	il_remove(K_SHARE(e), &ln->shares, i);
	il_push_tail(K_SHARE(e), &ln->shares, i);
}

/* ---- waiters ------------------------------------------------------------------------- */

static struct ilist *
list_of(struct eng *e, uint8_t list)
{
	return list == LIST_WOKEN ? &e->woken : &e->roused;
}

static void
list_leave(struct eng *e, uint32_t wi)
{
	struct waiter *w = waiter_at(e, wi);

	if (w->list != LIST_NONE)
		il_remove(K_WAKE(e), list_of(e, w->list), wi);
	w->list = LIST_NONE;
}

static void
list_enter(struct eng *e, uint32_t wi, enum waiter_list list)
{
	list_leave(e, wi);
	waiter_at(e, wi)->list = (uint8_t)list;
	il_push_tail(K_WAKE(e), list_of(e, (uint8_t)list), wi);
}

static void
waits_change(struct waits *v, const struct waiter *w, bool more)
{
	bool is_path = w->kind == WAITER_PATH;

	v->n += more ? 1 : UINT32_MAX;
	if (!is_path)
		return;
	v->npaths += more ? 1 : UINT32_MAX;
	v->since_us += more ? (uint64_t)w->since_us : -(uint64_t)w->since_us;
}

/* It waits, and is counted at its meter and its limit; or no more. Who was there
 * when the policy changed is not its limit's, as its number may be another's. */
static void
waits_count(struct eng *e, const struct waiter *w, bool more)
{
	struct meter *m = eng_meter(e, w->meter);

	waits_change(&m->waits, w, more);
	if (w->generation == e->generation && m->cap != CAP_NONE)
		waits_change(&e->cap_waits[m->cap], w, more);
}

void
eng_waiter_count(struct eng *e, uint32_t wi, uint64_t rcpt_us)
{
	struct waiter *w = waiter_at(e, wi);
	struct meter *m = eng_meter(e, w->meter);
	struct eng_blocked add = { .rcpt_us = rcpt_us };

	if (w->kind == WAITER_PATH)
		add.path_us = (uint64_t)(e->now - w->since_us);
	if (w->is_told) {
		w->since_us = e->now;
		return;
	}
	waits_count(e, w, false);
	w->since_us = e->now;
	waits_count(e, w, true);
	m->blocked.path_us += add.path_us;
	m->blocked.rcpt_us += add.rcpt_us;
	if (eng_meter_cap(e, m) == NULL)
		return;
	e->cap_blocked[m->cap].path_us += add.path_us;
	e->cap_blocked[m->cap].rcpt_us += add.rcpt_us;
}

static void
waiter_free(struct eng *e, uint32_t wi)
{
	struct waiter *w = waiter_at(e, wi);
	struct meter *m = eng_meter(e, w->meter);
	uint32_t meter = w->meter;

	eng_waiter_count(e, wi, 0);
	list_leave(e, wi);
	if (w->is_told) {
		il_remove(K_WAIT(e), &m->line[w->line].told, wi);
	} else {
		waits_count(e, w, false);
		share_leave(e, wi);
	}
	m->line[w->line].npromised -= w->kind == WAITER_SESS;
	*slot_of(e, w) = w->next;
	pool_give(&e->waiters, wi);
	eng_meter_drop(e, meter);
}

static uint32_t
waiter_new(struct eng *e, enum waiter_kind kind, uint32_t index, uint32_t meter,
    uint8_t line)
{
	uint32_t wi;
	struct waiter *w = eng_slot(&e->waiters, &wi);

	w->meter = meter;
	w->line = line;
	w->kind = (uint8_t)kind;
	w->index = index;
	w->since_us = e->now;
	*slot_of(e, w) = wi;
	eng_meter(e, meter)->nrefs++;
	return wi;
}

/* Nobody had a use for it. When a whole round has not, something else is in the
 * way of all, and they need not be asked at once again. */
static void
line_unused(struct eng *e, struct line *ln)
{
	uint32_t round = 2 * (ln->n + ln->told.n) + 16;

	if (++ln->unused > round)
		ln->rest_until_us = e->now + REST_US;
}

void
eng_unwait(struct eng *e, uint32_t *waiter)
{
	uint32_t wi = *waiter, meter;
	const struct waiter *w;
	struct line *ln;
	bool is_told;

	if (wi == 0)
		return;
	w = waiter_at(e, wi);
	meter = w->meter;
	is_told = w->is_told;
	ln = &eng_meter(e, meter)->line[w->line];
	eng_meter(e, meter)->nrefs++;
	waiter_free(e, wi);
	if (is_told)
		line_unused(e, ln);
	eng_meter_run(e, meter);
	eng_meter_drop(e, meter);
}

/* The tenant that waits: of a path or lane, of the mail that is first in line. */
static uint32_t
tenant_of(const struct eng *e, enum waiter_kind kind, uint32_t index,
    uint32_t queue)
{
	const struct queue *q;

	if (kind == WAITER_QUEUE)
		queue = index;
	if (queue == 0)
		return 0;
	q = pool_at(&e->queues, queue);
	return ((const struct flow *)pool_at(&e->flows, q->flow))->tenant;
}

/* Out of the ring; its meter knows when it comes back. */
static void
queue_park(struct eng *e, uint32_t i, uint32_t meter)
{
	eng_queue_park(e, i, WHY_CAP, 0, eng_meter(e, meter)->cap + 1);
}

bool
eng_queue_stands_aside(struct eng *e, uint32_t i, uint32_t sess)
{
	const struct queue *q = pool_at(&e->queues, i);
	const struct sess *x;

	if (!eng_waiter_is_in_line(e, q->waiter, LINE_SEND))
		return false;
	if (sess != 0) {
		x = pool_at(&e->sessions, sess);
		if (x->promises != 0 && x->queue.index == i)
			return false;
	}
	queue_park(e, i, waiter_at(e, q->waiter)->meter);
	return true;
}

/* A session has come up for it. */
void
eng_queue_meets(struct eng *e, struct handle queue)
{
	const struct queue *q = pool_get(&e->queues, queue);

	if (q != NULL && q->park != 0 &&
	    eng_waiter_is_in_line(e, q->waiter, LINE_SEND))
		eng_queue_unpark(e, queue.index);
}

/* Who stands in line somewhere stays there: where two limits refuse the same
 * ones, they would change places without end. But who may not send on a session
 * that it has does not wait for another one. */
static bool
keeps_place(const struct waiter *w, const struct refusal *r)
{
	return !w->is_told &&
	    (w->kind != WAITER_PATH || w->line == r->line || r->is_opening);
}

/* At the end of its tenant's. */
static void
line_enter(struct eng *e, enum waiter_kind kind, uint32_t index,
    const struct refusal *r, const struct asker *a)
{
	uint32_t wi = waiter_new(e, kind, index, r->meter, r->line);
	struct waiter *w = waiter_at(e, wi);

	w->bytes = a->bytes;
	w->share = share_get(e, r->meter, r->line,
	    tenant_of(e, kind, index, a->queue));
	il_push_tail(K_WAIT(e),
	    &((struct share *)pool_at(&e->shares, w->share))->waiters, wi);
	eng_meter(e, r->meter)->line[r->line].n++;
	w->generation = e->generation;
	waits_count(e, w, true);
}

void
eng_wait(struct eng *e, enum waiter_kind kind, uint32_t index,
    const struct refusal *r, const struct asker *a)
{
	const struct waiter probe = { .kind = (uint8_t)kind, .index = index };
	uint32_t *slot = slot_of(e, &probe), wi = *slot;
	struct meter *m = eng_meter(e, r->meter);
	struct waiter *w;

	e->totals.parks_total++;
	m->blocked.refusals++;
	if (m->cap != CAP_NONE)
		e->cap_blocked[m->cap].refusals++;
	if (wi != 0) {
		w = waiter_at(e, wi);
		if (keeps_place(w, r)) {
			if (kind == WAITER_QUEUE)
				queue_park(e, index, w->meter);
			return;
		}
		eng_unwait(e, slot);
	}
	line_enter(e, kind, index, r, a);
	if (kind == WAITER_QUEUE)
		queue_park(e, index, r->meter);
	eng_meter_run(e, r->meter);
}

/* ---- a unit is free ------------------------------------------------------------------ */

static void
tell(struct eng *e, struct line *ln, uint32_t wi)
{
	struct waiter *w = waiter_at(e, wi);

	eng_waiter_count(e, wi, 0);
	waits_count(e, w, false);
	share_turn(e, ln);
	share_leave(e, wi);
	w->is_told = true;
	w->told_us = e->now;
	il_push_tail(K_WAIT(e), &ln->told, wi);
	list_enter(e, wi, LIST_WOKEN);
}

/* A session may take longer to come up for some. Who was told looks in this step,
 * or when outcomes can be kept again: until then nobody goes anywhere. */
static int64_t
told_until_us(const struct eng *e, const struct waiter *w)
{
	const struct sess *x;
	const struct path *p;

	if (w->kind != WAITER_SESS)
		return e->now + TOLD_MIN_US;
	x = pool_at(&e->sessions, w->index);
	p = pool_at(&e->paths, x->path);
	return w->told_us + TOLD_MIN_US + 2 * p->setup_us;
}

/* One at a time where what one takes is not known before. */
static bool
is_serial(const struct eng_limit_conf *c, enum line_kind k)
{
	return k == LINE_SEND && (c->bytes.count | c->rcpts.count) != 0;
}

static int64_t
told_next_us(const struct eng *e, const struct line *ln)
{
	return ln->told.n != 0 ? told_until_us(e, waiter_at(e, ln->told.head)) :
				 TIME_NEVER;
}

/* Returns when to look again. */
static int64_t
line_run(struct eng *e, uint32_t meter, enum line_kind k)
{
	struct meter *m = eng_meter(e, meter);
	const struct eng_limit_conf *c = eng_meter_cap(e, m);
	struct line *ln = &m->line[k];
	int64_t at = TIME_NEVER, until;

	while (ln->told.n != 0 &&
	    told_until_us(e, waiter_at(e, ln->told.head)) <= e->now)
		waiter_free(e, ln->told.head);
	if (ln->n != 0 && ln->rest_until_us > e->now)
		return MIN(told_next_us(e, ln), ln->rest_until_us);
	while (ln->n != 0) {
		const struct share *s = pool_at(&e->shares, ln->shares.head);
		const struct waiter *w = waiter_at(e, s->waiters.head);

		if (c != NULL && is_serial(c, k) && ln->told.n != 0)
			break;
		if (!eng_meter_allows(e, meter, k, ln->told.n, w->bytes,
			&until)) {
			at = until;
			break;
		}
		tell(e, ln, s->waiters.head);
	}
	return MIN(at, told_next_us(e, ln));
}

void
eng_meter_run(struct eng *e, uint32_t meter)
{
	struct meter *m = eng_meter(e, meter);
	int64_t at;

	m->nrefs++; /* until all is said */
	at = line_run(e, meter, LINE_SEND);
	at = MIN(at, line_run(e, meter, LINE_OPEN));
	if (at == TIME_NEVER)
		eng_timer_cancel(e, &m->timer);
	else
		eng_timer_set(e, &m->timer, TIMER_METER, meter, at);
	eng_meter_drop(e, meter);
}

/* Parked or not, it looks, at what it knows. */
static void
lane_look(struct eng *e, uint32_t lane)
{
	const struct lane *l = pool_at(&e->lanes, lane);

	if (l->is_parked)
		eng_lane_wake(e, lane);
	else
		eng_lane_kick(e, lane);
}

/* It may stand in the ring all the same: a session has come up for it, or it has
 * run empty meanwhile. */
static void
queue_wake(struct eng *e, uint32_t i)
{
	const struct queue *q = pool_at(&e->queues, i);

	if (q->park != 0)
		eng_queue_unpark(e, i);
	else if (q->fifo.n != 0)
		lane_look(e, q->lane);
}

/* It looks again, as a new policy wants it. */
void
eng_waiter_release(struct eng *e, uint32_t wi)
{
	const struct waiter *w = waiter_at(e, wi);
	uint8_t kind = w->kind;
	uint32_t index = w->index;

	eng_unwait(e, slot_of(e, w));
	if (kind == WAITER_PATH)
		eng_path_pump(e, index);
	else if (kind == WAITER_QUEUE)
		queue_wake(e, index);
	else if (kind == WAITER_LANE)
		eng_lane_unpark(e, index);
}

void
eng_woken_run(struct eng *e)
{
	while (e->woken.n != 0 && e->budget != 0) {
		uint32_t wi = e->woken.head;
		struct waiter *w = waiter_at(e, wi);
		uint32_t index = w->index;

		e->budget--;
		w->told_us = e->now;
		list_enter(e, wi, LIST_ROUSED);
		switch ((enum waiter_kind)w->kind) {
		case WAITER_PATH:
			eng_path_pump(e, index);
			break;
		case WAITER_QUEUE:
			queue_wake(e, index);
			break;
		case WAITER_LANE:
			eng_lane_unpark(e, index);
			break;
		case WAITER_SESS: /* is never in line */
			break;
		}
	}
}

/* Everybody has looked: who did not need what was kept for it gives it back, and
 * the next in line is told at once. */
void
eng_roused_run(struct eng *e)
{
	while (e->roused.n != 0)
		eng_unwait(e, slot_of(e, waiter_at(e, e->roused.head)));
}

/* ---- the gate ------------------------------------------------------------------------ */

bool
eng_waiter_is_told(const struct eng *e, uint32_t waiter)
{
	return waiter != 0 && waiter_at(e, waiter)->is_told;
}

bool
eng_waiter_is_in_line(const struct eng *e, uint32_t waiter, enum line_kind line)
{
	return waiter != 0 && !waiter_at(e, waiter)->is_told &&
	    waiter_at(e, waiter)->line == line;
}

bool
eng_waiter_is_roused(const struct eng *e, uint32_t waiter)
{
	return waiter != 0 && waiter_at(e, waiter)->list == LIST_ROUSED;
}

/* Something is kept for it at some meter. */
static bool
asker_is_told(const struct eng *e, const struct asker *a)
{
	if (a->path != 0 &&
	    eng_waiter_is_told(e,
		((struct path *)pool_at(&e->paths, a->path))->waiter))
		return true;
	if (a->queue != 0 &&
	    eng_waiter_is_told(e,
		((struct queue *)pool_at(&e->queues, a->queue))->waiter))
		return true;
	if (a->sess != 0 &&
	    ((struct sess *)pool_at(&e->sessions, a->sess))->promises != 0)
		return true;
	return a->lane != 0 &&
	    eng_waiter_is_told(e,
		((struct lane *)pool_at(&e->lanes, a->lane))->waiter);
}

struct asking {
	const struct asker *a;
	enum line_kind line;
	bool is_told;
	struct refusal *r;
};

/* Units of a line that it may not have. Of those who were told the first to look
 * has them; but what sessions on their way are for stays theirs. */
static uint32_t
kept_from(const struct eng *e, const struct asking *k, uint32_t meter,
    const struct line *ln)
{
	uint32_t n = ln->npromised, i = 0;

	if (!k->is_told)
		return ln->told.n;
	if (n != 0 && k->a->sess != 0)
		i = ((struct sess *)pool_at(&e->sessions, k->a->sess))
			->promises;
	for (; i != 0; i = waiter_at(e, i)->next)
		n -= waiter_at(e, i)->meter == meter;
	return n;
}

/* The one that opens last is the one to wait for. */
static void
ask(struct eng *e, const struct asking *k, uint32_t meter, uint8_t level,
    enum line_kind line)
{
	struct meter *m = eng_meter(e, meter);
	const struct line *ln = &m->line[line];
	int64_t until;

	if (eng_meter_cap(e, m) == NULL)
		return;
	if (eng_meter_allows(e, meter, line, kept_from(e, k, meter, ln),
		k->a->bytes, &until)) {
		if (k->is_told || ln->n == 0)
			return;
		until = heap_has(&m->timer.node) ? m->timer.node.key : e->now;
	}
	if (k->r->meter != 0 && k->r->until_us >= until)
		return;
	*k->r = (struct refusal){ meter, (uint8_t)line, level,
		k->line == LINE_OPEN, until };
}

static void
ask_both(struct eng *e, const struct asking *k, uint32_t meter, uint8_t level)
{
	ask(e, k, meter, level, LINE_SEND);
	if (k->line == LINE_OPEN)
		ask(e, k, meter, level, LINE_OPEN);
}

static void
ask_meters(struct eng *e, const struct asking *k, const struct meters *m,
    uint8_t level)
{
	for (uint32_t i = m->head; i != 0;) {
		const struct charge *c = pool_at(&e->charges, i);

		ask_both(e, k, c->meter, level);
		i = c->next;
	}
}

/* Those that speak of more than a path or a queue. */
static void
ask_level(struct eng *e, const struct asking *k, uint8_t level)
{
	uint32_t meter;

	if (e->caps_at[level] == 0)
		return;
	for (uint32_t i = 0; i < e->policy->ncaps; i++) {
		if (e->cap_level[i] != level)
			continue;
		meter = eng_meter_of(e, i, k->a);
		if (meter != 0)
			ask_both(e, k, meter, level);
	}
}

bool
eng_caps_allow(struct eng *e, const struct asker *a, enum line_kind line,
    struct refusal *r)
{
	struct asking k = { a, line, asker_is_told(e, a), r };

	*r = (struct refusal){ .meter = 0 };
	if (a->path != 0)
		ask_meters(e, &k,
		    eng_path_meters(e, pool_at(&e->paths, a->path)), CAP_PATH);
	if (r->meter == 0 && a->queue != 0)
		ask_meters(e, &k,
		    eng_queue_meters(e, pool_at(&e->queues, a->queue)),
		    CAP_QUEUE);
	if (r->meter == 0 && a->src != 0)
		ask_level(e, &k, CAP_BOTH);
	if (r->meter == 0 && a->host != 0)
		ask_level(e, &k, CAP_HOST);
	return r->meter == 0;
}

/* ---- what was kept is used --------------------------------------------------------- */

/* What was kept for it is used. *meter: where, held. */
static void
take(struct eng *e, uint32_t *waiter, enum line_kind line, uint32_t *meter)
{
	struct waiter *w;

	if (!eng_waiter_is_told(e, *waiter))
		return;
	w = waiter_at(e, *waiter);
	if (w->line != line)
		return;
	eng_meter(e, w->meter)->line[line].unused = 0;
	*meter = w->meter;
	eng_meter(e, w->meter)->nrefs++;
	waiter_free(e, *waiter);
}

void
eng_caps_take(struct eng *e, const struct asker *a, enum line_kind line,
    struct again *g)
{
	struct path *p = pool_at(&e->paths, a->path);
	struct queue *q = pool_at(&e->queues, a->queue);
	struct lane *l = pool_at(&e->lanes, a->lane);

	g->line = (uint8_t)line;
	take(e, &p->waiter, line, &g->path);
	take(e, &q->waiter, line, &g->queue);
	take(e, &l->waiter, line, &g->lane);
}

static void
path_again(struct eng *e, const struct asker *a, uint32_t meter)
{
	struct path *p = pool_at(&e->paths, a->path);
	const struct site *s = pool_at(&e->sites, p->site);
	struct lane *l = pool_at(&e->lanes, a->lane);
	struct refusal r = { .meter = meter, .line = LINE_SEND };
	struct asker next = *a;

	if (p->waiter != 0 || s->hungry.n == 0)
		return;
	if (l->nring == 0)
		l = pool_at(&e->lanes, s->hungry.head);
	next.queue = eng_lane_next(e, l);
	line_enter(e, WAITER_PATH, a->path, &r, &next);
	p->why = WHY_CAP;
	if (p->shut != WHY_CAP)
		eng_path_shut(e, p, WHY_CAP);
}

static void
queue_again(struct eng *e, const struct asker *a, uint32_t meter)
{
	const struct queue *q = pool_at(&e->queues, a->queue);
	struct refusal r = { .meter = meter, .line = LINE_SEND };

	if (q->waiter != 0 || q->fifo.n == 0)
		return;
	line_enter(e, WAITER_QUEUE, a->queue, &r, a);
	queue_park(e, a->queue, meter);
}

/* It may have gone another way than it was told of: then the unit is the next
 * one's. */
static void
told_end(struct eng *e, uint32_t meter)
{
	if (meter == 0)
		return;
	eng_meter_run(e, meter);
	eng_meter_drop(e, meter);
}

void
eng_caps_again(struct eng *e, const struct asker *a, const struct again *g)
{
	const struct queue *q = pool_at(&e->queues, a->queue);

	if (g->path != 0 && g->line == LINE_SEND)
		path_again(e, a, g->path);
	if (g->queue != 0 && g->line == LINE_SEND)
		queue_again(e, a, g->queue);
	told_end(e, g->path);
	told_end(e, g->queue);
	told_end(e, g->lane);
	if (q->fifo.n != 0 && q->park == 0)
		eng_queue_stands_aside(e, a->queue, 0);
}

/* Many could open a session for one unit: while the first does, it is kept for
 * that session. */
void
eng_promise(struct eng *e, uint32_t sess, uint32_t meter)
{
	const struct eng_limit_conf *c = eng_meter_cap(e, eng_meter(e, meter));
	struct line *ln = &eng_meter(e, meter)->line[LINE_SEND];
	uint32_t wi;

	if (c == NULL ||
	    !(eng_cap_is_sent(c) ||
		(eng_cap_counts_txns(c) &&
		    (c->conns_max | c->ramp.count) != 0)))
		return;
	wi = waiter_new(e, WAITER_SESS, sess, meter, LINE_SEND);
	waiter_at(e, wi)->is_told = true;
	waiter_at(e, wi)->told_us = e->now;
	il_push_tail(K_WAIT(e), &ln->told, wi);
	ln->npromised++;
	eng_meter_run(e, meter);
}

void
eng_promises_end(struct eng *e, uint32_t sess, bool is_used)
{
	struct sess *x = pool_at(&e->sessions, sess);

	while (x->promises != 0) {
		const struct waiter *w = waiter_at(e, x->promises);
		struct line *ln = &eng_meter(e, w->meter)->line[LINE_SEND];

		if (is_used)
			ln->unused = 0;
		eng_unwait(e, &x->promises);
	}
}
