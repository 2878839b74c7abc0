/*
 * engine/resolve.c - domains: who is asked about, what became known, and the
 * recipients that wait for it.
 *
 * A recipient keeps its domain; the domain knows its site. A look-up that
 * fails delays its domain alone. An answer that has become old is asked again
 * when mail touches it, and serves on until the new one is there.
 */
#include "engine/sticky_i.h"

uint32_t
eng_dom_take(struct eng *e, uint32_t name)
{
	uint32_t i = map_get(&e->dom_map, name);
	struct dom *d;

	if (i == 0) {
		d = eng_slot(&e->doms, &i);
		d->name = name;
		ASSERT(map_put(&e->dom_map, name, i) == 0);
		e->totals.domains++;
	} else {
		d = pool_at(&e->doms, i);
		if (d->nrcpts == 0)
			il_remove(K_DOMIDLE(e), &e->idle_doms, i);
	}
	d->nrcpts++;
	return i;
}

void
eng_dom_drop(struct eng *e, uint32_t dom)
{
	struct dom *d = pool_at(&e->doms, dom);

	ASSERT(d->nrcpts > 0);
	if (--d->nrcpts > 0)
		return;
	d->idle_us = e->now;
	il_push_tail(K_DOMIDLE(e), &e->idle_doms, dom);
}

static void
ask(struct eng *e, struct dom *d)
{
	if (d->is_asked)
		return;
	d->is_asked = true;
	e->totals.resolve_total++;
	eng_emit(e, CMD_RESOLVE)->domain = d->name;
}

void
eng_dom_touch(struct eng *e, uint32_t dom)
{
	struct dom *d = pool_at(&e->doms, dom);
	bool is_old = d->expires_us <= e->now || d->generation != e->generation;

	switch ((enum dom_state)d->state) {
	case DOM_NEW:
		d->state = DOM_ASKED;
		ask(e, d);
		return;
	case DOM_NEGATIVE:
		if (is_old) {
			d->state = DOM_ASKED;
			ask(e, d);
		}
		return;
	case DOM_OK:
		if (is_old && !d->is_asked && d->generation != e->generation)
			eng_emit(e, CMD_SHAPE)->domain = d->name;
		if (is_old)
			ask(e, d);
		return;
	case DOM_ASKED:
	case DOM_FAILED: /* its timer asks */
		return;
	}
}

struct outcome
eng_dns_outcome(enum eng_dns status)
{
	struct outcome o = { .klass = OUTCOME_BOUNCED, .stage = STAGE_DNS };

	switch (status) {
	case ENG_DNS_NXDOMAIN: /* RFC 3463 3.2: bad destination system */
		o.code = 550;
		o.enh = (struct enh){ 5, 1, 2 };
		break;
	case ENG_DNS_NULL_MX: /* RFC 7505 4.1 */
		o.code = 556;
		o.enh = (struct enh){ 5, 1, 10 };
		break;
	case ENG_DNS_NO_ADDRESS:
		o.code = 550;
		o.enh = (struct enh){ 5, 4, 4 };
		break;
	case ENG_DNS_UNSAFE: /* RFC 8689 4.2.1, 4.3 */
		o.code = 550;
		o.enh = (struct enh){ 5, 7, 30 };
		break;
	case ENG_DNS_N:
	case ENG_DNS_OK:
	case ENG_DNS_TEMP:
		o.klass = OUTCOME_TRANSIENT;
		o.code = 451;
		o.enh = (struct enh){ 4, 4, 3 };
	}
	return o;
}

/* ---- the answer ------------------------------------------------------------ */

static void
go_on(struct eng *e, uint32_t dom)
{
	struct dom *d = pool_at(&e->doms, dom);

	if (d->nwaiting == 0 || d->is_moving)
		return;
	d->is_moving = true;
	il_push_tail(K_MOVING(e), &e->moving, dom);
}

static void
set_site(struct eng *e, struct dom *d, uint32_t site)
{
	uint32_t old = d->site;

	d->site = site;
	if (old != 0)
		eng_site_drop(e, old);
}

/* The first recipient that waits stands for all in the books. */
static void
log_failure(struct eng *e, const struct dom *d)
{
	struct outcome o = eng_dns_outcome(ENG_DNS_TEMP);
	const struct queue *q;
	uint32_t left = d->waiting.n;

	for (uint32_t i = d->waiting.head; i != 0 && left-- > 0;) {
		q = pool_at(&e->queues, i);
		if (q->fifo.n != 0) {
			e->totals.transient_total++;
			eng_log_shared(e, q->fifo.head, &o, 0,
			    d->timer.node.key);
			return;
		}
		i = q->link.next;
	}
}

static void
failed(struct eng *e, uint32_t dom)
{
	struct dom *d = pool_at(&e->doms, dom);
	const struct eng_policy *p = e->policy;

	d->delay_us = d->delay_us ? MIN(d->delay_us * 2, p->dns_retry_max_us) :
				    p->dns_retry_min_us;
	d->generation = e->generation;
	if (d->state == DOM_OK) { /* the old answer serves on */
		d->expires_us = e->now + d->delay_us;
		return;
	}
	d->state = DOM_FAILED;
	eng_timer_set(e, &d->timer, TIMER_DOM, dom, e->now + d->delay_us);
	log_failure(e, d);
}

/* Of an answer that is of no use. */
static void
forget_targets(struct eng *e, const struct ev_resolved *ev)
{
	for (uint16_t k = 0; k < ev->ntargets; k++)
		eng_emit(e, CMD_FORGET_HOST)->domain = ev->target[k].host;
	if (ev->rollup != 0)
		eng_emit(e, CMD_FORGET_HOST)->domain = ev->rollup;
}

void
eng_on_resolved(struct eng *e, const struct ev_resolved *ev)
{
	uint32_t i = map_get(&e->dom_map, ev->domain);
	struct dom *d = i ? pool_at(&e->doms, i) : NULL;

	if (d == NULL || !d->is_asked) {
		forget_targets(e, ev);
		return;
	}
	d->is_asked = false;
	if (ev->status != ENG_DNS_OK)
		forget_targets(e, ev);
	if (ev->status == ENG_DNS_TEMP ||
	    (ev->status == ENG_DNS_OK && ev->ntargets == 0)) {
		failed(e, i);
		return;
	}
	eng_timer_cancel(e, &d->timer);
	d->delay_us = 0;
	d->generation = e->generation;
	d->expires_us = e->now + MIN(MAX(ev->ttl_us, TTL_MIN_US), TTL_MAX_US);
	d->status = (uint8_t)ev->status;
	d->hash = ev->hash;
	if (ev->status == ENG_DNS_OK) {
		set_site(e, d, eng_site_take(e, ev));
		d->state = DOM_OK;
	} else {
		set_site(e, d, 0);
		d->state = DOM_NEGATIVE;
	}
	go_on(e, i);
	eng_moving_run(e);
}

/* The new policy's limits hold from now on; the answer may take its time. Where
 * the new policy sets the domain apart from others of its site, they are not that
 * site's, and wait for the answer. */
void
eng_on_shape(struct eng *e, uint32_t domain, const struct eng_where *to,
    uint32_t rollup)
{
	uint32_t i = map_get(&e->dom_map, domain);
	const struct dom *d = i ? pool_at(&e->doms, i) : NULL;
	const struct site *s = d ? pool_at(&e->sites, d->site) : NULL;

	if (d != NULL && d->state == DOM_OK && (s->rollup != 0 || rollup == 0))
		eng_site_shape(e, d->site, to);
	if (rollup != 0)
		eng_emit(e, CMD_FORGET_HOST)->domain = rollup;
}

void
eng_dom_timer(struct eng *e, uint32_t dom)
{
	struct dom *d = pool_at(&e->doms, dom);

	if (d->state != DOM_FAILED)
		return;
	if (d->nrcpts == 0) {
		d->state = DOM_NEW;
		return;
	}
	d->state = DOM_ASKED;
	ask(e, d);
}

/* ---- recipients that can go on -------------------------------------------------- */

static void
move_one(struct eng *e, uint32_t dom, uint32_t i)
{
	struct dom *d = pool_at(&e->doms, dom);
	struct msg *m = eng_msg(e, eng_rcpt(e, i)->msg);
	struct outcome o;

	eng_rcpt_leave(e, i);
	if (m->expires_us <= e->now) {
		eng_rcpt_expire(e, i);
	} else if (d->state == DOM_NEGATIVE) {
		o = eng_dns_outcome(d->status);
		eng_rcpt_finish(e, i, ENG_LOG_BOUNCE, &o, 0, 0);
	} else {
		eng_rcpt_enter(e, i, eng_rcpt_queue(e, i, d->site), R_READY,
		    false, 0);
	}
}

/* A queue of the domain with somebody in its line. */
static uint32_t
next_waiting(struct eng *e, struct dom *d)
{
	for (;;) {
		uint32_t i = d->waiting.head;
		struct queue *q = pool_at(&e->queues, i);

		if (q->fifo.n != 0)
			return q->fifo.head;
		il_remove(K_QUEUE(e), &d->waiting, i);
		il_push_tail(K_QUEUE(e), &d->waiting, i);
	}
}

void
eng_moving_run(struct eng *e)
{
	for (uint32_t left = SLICE; left > 0 && e->moving.n != 0; left--) {
		uint32_t i = e->moving.head;
		struct dom *d = pool_at(&e->doms, i);

		if (d->nwaiting == 0 ||
		    (d->state != DOM_OK && d->state != DOM_NEGATIVE)) {
			d->is_moving = false;
			il_remove(K_MOVING(e), &e->moving, i);
			continue;
		}
		move_one(e, i, next_waiting(e, d));
	}
}

/* ---- the idle ------------------------------------------------------------------- */

static void
dom_free(struct eng *e, uint32_t i)
{
	struct dom *d = pool_at(&e->doms, i);

	ASSERT(d->waiting.n == 0);
	if (d->is_moving)
		il_remove(K_MOVING(e), &e->moving, i);
	eng_timer_cancel(e, &d->timer);
	set_site(e, d, 0);
	map_del(&e->dom_map, d->name);
	eng_emit(e, CMD_FORGET)->domain = d->name;
	pool_give(&e->doms, i);
	e->totals.domains--;
}

void
eng_doms_idle_run(struct eng *e)
{
	for (int left = SLICE; left > 0 && e->idle_doms.n != 0; left--) {
		uint32_t i = e->idle_doms.head;
		struct dom *d = pool_at(&e->doms, i);

		if (d->idle_us + IDLE_US > e->now)
			return;
		il_remove(K_DOMIDLE(e), &e->idle_doms, i);
		if (d->is_asked) { /* its answer is still to come */
			d->idle_us = e->now;
			il_push_tail(K_DOMIDLE(e), &e->idle_doms, i);
			continue;
		}
		dom_free(e, i);
	}
}
