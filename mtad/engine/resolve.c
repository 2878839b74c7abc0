/*
 * engine/resolve.c - recipient domains: when to ask where their mail goes, and
 * what an answer does to the mail that waits for it.
 *
 *	NEW --touch--> ASKED --ok--> OK          (old answers are refreshed
 *	                 |  \--none-> NEGATIVE    when touched, and used until
 *	                 v                        the new one is there)
 *	              FAILED --timer--> ASKED
 *
 * At most one RESOLVE of a domain is unanswered. Recipients that cannot go on
 * wait in queues whose home is the domain; when it becomes OK or NEGATIVE they
 * go on in slices, the domains taking turns (e->moving).
 */
#include "engine/engine_i.h"

#define MOVE_TURN 256 /* recipients of one domain before the next has a go */

uint32_t
eng_dom_take(struct eng *e, uint32_t name)
{
	uint32_t i = map_get(&e->dom_map, name);
	struct dom *d;

	if (i == 0) {
		d = eng_slot(&e->doms, &i);
		d->name = name;
		ASSERT(map_put(&e->dom_map, name, i) == 0);
	} else {
		d = pool_at(&e->doms, i);
		if (d->nrcpts == 0)
			il_remove(K_DOMIDLE(e), &e->idle_doms, i);
	}
	d->nrcpts++;
	return i;
}

/* An idle domain is forgotten, and the hold on its name with it. */
static void
dom_forget(struct eng *e, uint32_t i)
{
	struct dom *d = pool_at(&e->doms, i);

	ASSERT(d->nrcpts == 0 && d->waiting.n == 0 && !d->is_asked);
	il_remove(K_DOMIDLE(e), &e->idle_doms, i);
	if (d->is_moving)
		il_remove(K_MOVING(e), &e->moving, i);
	eng_timer_cancel(e, &d->timer);
	if (d->site != 0)
		eng_site_drop(e, d->site);
	map_del(&e->dom_map, d->name);
	eng_emit(e, CMD_FORGET)->domain = d->name;
	pool_give(&e->doms, i);
}

/* Forgets the domain that has been idle longest; one whose answer is still
 * to come goes to the end of the line instead. */
static void
dom_forget_oldest(struct eng *e)
{
	uint32_t i = e->idle_doms.head;
	struct dom *d = pool_at(&e->doms, i);

	if (!d->is_asked) {
		dom_forget(e, i);
		return;
	}
	d->idle_us = e->now;
	il_remove(K_DOMIDLE(e), &e->idle_doms, i);
	il_push_tail(K_DOMIDLE(e), &e->idle_doms, i);
}

void
eng_dom_drop(struct eng *e, uint32_t i)
{
	struct dom *d = pool_at(&e->doms, i);

	ASSERT(d->nrcpts > 0);
	if (--d->nrcpts > 0)
		return;
	d->idle_us = e->now;
	il_push_tail(K_DOMIDLE(e), &e->idle_doms, i);
	if (e->idle_doms.n > e->limits.domains_max)
		dom_forget_oldest(e);
}

void
eng_doms_idle_run(struct eng *e)
{
	for (int left = SLICE; left > 0 && e->idle_doms.n != 0; left--) {
		struct dom *d = pool_at(&e->doms, e->idle_doms.head);

		if (d->idle_us + IDLE_US > e->now)
			return;
		dom_forget_oldest(e);
	}
}

/* ---- asking --------------------------------------------------------------------- */

static void
dom_ask(struct eng *e, struct dom *d)
{
	ASSERT(!d->is_asked);
	d->is_asked = true;
	e->totals.resolve_total++;
	eng_emit(e, CMD_RESOLVE)->domain = d->name;
}

static bool
answer_is_old(const struct eng *e, const struct dom *d)
{
	return d->expires_us <= e->now || d->generation != e->generation;
}

void
eng_dom_touch(struct eng *e, uint32_t dom)
{
	struct dom *d = pool_at(&e->doms, dom);

	switch ((enum dom_state)d->state) {
	case DOM_NEW:
		d->state = DOM_ASKED;
		dom_ask(e, d);
		break;
	case DOM_OK:
		if (!d->is_asked && answer_is_old(e, d))
			dom_ask(e, d);
		break;
	case DOM_NEGATIVE:
		if (answer_is_old(e, d)) {
			d->state = DOM_ASKED;
			dom_ask(e, d);
		}
		break;
	case DOM_ASKED:
	case DOM_FAILED:
		break;
	}
}

void
eng_dom_retry(struct eng *e, uint32_t dom)
{
	struct dom *d = pool_at(&e->doms, dom);

	if (d->state != DOM_FAILED)
		return;
	eng_timer_cancel(e, &d->timer);
	d->state = d->nwaiting ? DOM_ASKED : DOM_NEW;
	if (d->nwaiting)
		dom_ask(e, d);
}

/* ---- answers -------------------------------------------------------------------- */

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
	case ENG_DNS_NO_ADDRESS: /* RFC 3463 3.5: unable to route */
		o.code = 550;
		o.enh = (struct enh){ 5, 4, 4 };
		break;
	case ENG_DNS_OK:
	case ENG_DNS_TEMP: /* RFC 3463 3.5: directory server failure */
		o.klass = OUTCOME_TRANSIENT;
		o.code = 451;
		o.enh = (struct enh){ 4, 4, 3 };
		break;
	}
	return o;
}

/* One record stands for all that wait: a look-up is no attempt of theirs. */
static void
log_failure(struct eng *e, const struct dom *d)
{
	struct outcome o = eng_dns_outcome(ENG_DNS_TEMP);
	uint32_t qi = d->waiting.head;

	for (; qi != 0; qi = il_link(K_QUEUE(e), qi)->next) {
		const struct queue *q = pool_at(&e->queues, qi);

		if (q->fifo.n == 0)
			continue;
		e->totals.transient_total++;
		eng_log(e, q->fifo.head, ENG_LOG_TRANSIENT, &o, 0,
		    e->now + d->delay_us, 0);
		return;
	}
}

static void
dom_failed(struct eng *e, uint32_t i, struct dom *d)
{
	const struct eng_policy *p = e->policy;

	d->delay_us = d->delay_us ?
	    MIN(2 * d->delay_us, p->dns_retry_max_us) :
	    MIN(p->dns_retry_min_us, p->dns_retry_max_us);
	d->delay_us = MAX(d->delay_us, US_PER_S);
	if (d->state == DOM_OK) { /* the old answer serves on */
		d->expires_us = e->now + d->delay_us;
		d->generation = e->generation;
		return;
	}
	d->state = DOM_FAILED;
	eng_timer_set(e, &d->timer, TIMER_DOM, i, e->now + d->delay_us);
	log_failure(e, d);
}

static void
dom_answered(struct eng *e, uint32_t i, struct dom *d,
    const struct ev_resolved *ev)
{
	uint32_t old = d->site;
	int64_t ttl = MIN(MAX(ev->ttl_us, TTL_MIN_US), TTL_MAX_US);

	d->delay_us = 0;
	d->expires_us = e->now + ttl;
	d->generation = e->generation;
	d->status = (uint8_t)ev->status;
	d->site = 0;
	d->state = DOM_NEGATIVE;
	if (ev->status == ENG_DNS_OK) {
		d->site = eng_site_take(e, ev);
		d->state = DOM_OK;
	}
	if (old != 0)
		eng_site_drop(e, old);
	if (d->nwaiting != 0 && !d->is_moving) {
		d->is_moving = true;
		il_push_tail(K_MOVING(e), &e->moving, i);
	}
	/* One short backlog needs no tick. */
	eng_moving_run(e);
}

void
eng_on_resolved(struct eng *e, const struct ev_resolved *ev)
{
	uint32_t i = map_get(&e->dom_map, ev->domain);
	struct dom *d;

	if (i == 0)
		return;
	d = pool_at(&e->doms, i);
	if (!d->is_asked)
		return;
	d->is_asked = false;
	if (ev->status == ENG_DNS_TEMP)
		dom_failed(e, i, d);
	else
		dom_answered(e, i, d, ev);
}

/* ---- those who waited go on ------------------------------------------------------ */

/* A turn of one domain; returns how many recipients went on. */
static uint32_t
move_turn(struct eng *e, struct dom *d)
{
	uint32_t n = 0;

	while (n < MOVE_TURN && d->nwaiting != 0 &&
	    (d->state == DOM_OK || d->state == DOM_NEGATIVE)) {
		uint32_t qi = d->waiting.head;
		struct queue *q = pool_at(&e->queues, qi);
		uint32_t i = q->fifo.head;

		if (i == 0) { /* only deferred ones: the next queue */
			il_remove(K_QUEUE(e), &d->waiting, qi);
			il_push_tail(K_QUEUE(e), &d->waiting, qi);
			continue;
		}
		eng_rcpt_leave(e, i);
		eng_rcpt_place(e, i, false);
		n++;
	}
	return n;
}

void
eng_moving_run(struct eng *e)
{
	for (uint32_t done = 0; done < SLICE && e->moving.n != 0;) {
		uint32_t i = e->moving.head;
		struct dom *d = pool_at(&e->doms, i);

		il_remove(K_MOVING(e), &e->moving, i);
		d->is_moving = false;
		/* Its last recipient may bounce: keep it for this turn. */
		if (d->nrcpts == 0)
			continue;
		d->nrcpts++;
		done += 1 + move_turn(e, d);
		if (d->nwaiting != 0 &&
		    (d->state == DOM_OK || d->state == DOM_NEGATIVE)) {
			d->is_moving = true;
			il_push_tail(K_MOVING(e), &e->moving, i);
		}
		eng_dom_drop(e, i);
	}
}
