/*
 * engine/rcpt.c - the life of a recipient, from one state to the next.
 *
 *	         place                 assign              result
 *	  NONE --------> WAIT, READY ----------> ASSIGNED --------> NONE
 *	   |   rest                                                  |
 *	   +----------> DEFERRED, HELD        finish ----> DONE <----+
 *
 * Every way goes through NONE: eng_rcpt_leave takes a recipient out of its
 * state, eng_rcpt_enter puts it into one, and they alone keep the lists, the
 * counts and the timer. In every state but ASSIGNED it has a timer, which is
 * its expiry or, when DEFERRED, what comes first of that and its due time. So
 * a due time needs no field: a timer that fires before the expiry was it.
 */
#include "engine/notice_i.h"
#include "engine/standing_i.h"
#include "engine/sticky_i.h"

void
eng_rcpt_leave(struct eng *e, uint32_t i)
{
	struct rcpt *r = eng_rcpt(e, i);
	struct queue *q = pool_at(&e->queues, r->queue);

	switch ((enum rcpt_state)r->state) {
	case R_WAIT:
	case R_READY:
		eng_fifo_remove(e, r->queue, i);
		break;
	case R_DEFERRED: /* its timer may be due, not expiry */
		q->ndeferred--;
		wheel_cancel(&e->wheel, i);
		break;
	case R_HELD:
		q->nheld--;
		break;
	case R_ASSIGNED: /* the transaction has let go of it */
		q->ninflight--;
		break;
	case R_NONE:
	case R_DONE:
	case R_STATES:
		ASSERT(!"a state that can be left");
	}
	e->nstate[r->state]--;
	r->state = R_NONE;
}

/* Counts the recipient in queue q, and no more in the one it was in. */
static void
rcpt_rebind(struct eng *e, struct rcpt *r, uint32_t q, int64_t arrival_us)
{
	uint32_t old = r->queue;
	struct queue *in = pool_at(&e->queues, q), *from;

	in->dom = r->dom;
	if (old == q)
		return;
	if (old != 0) {
		from = pool_at(&e->queues, old);
		if (from->study != 0)
			eng_ages_left(e, old, r, arrival_us);
	}
	r->queue = q;
	r->aged = 0;
	eng_queue_depth_add(e, q);
	if (in->study != 0)
		eng_ages_came(e, q, r, arrival_us);
	if (old != 0)
		eng_queue_depth_sub(e, old);
}

void
eng_rcpt_enter(struct eng *e, uint32_t i, uint32_t q, enum rcpt_state state,
    bool at_head, int64_t due_us)
{
	struct rcpt *r = eng_rcpt(e, i);
	struct msg *m = eng_msg(e, r->msg);
	struct queue *in = pool_at(&e->queues, q);
	int64_t wake_us = m->expires_us;

	ASSERT(r->state == R_NONE);
	rcpt_rebind(e, r, q, m->arrival_us);
	if (in->oldest_us == 0 || m->arrival_us < in->oldest_us)
		in->oldest_us = m->arrival_us;
	r->state = state;
	e->nstate[state]++;
	switch (state) {
	case R_WAIT:
	case R_READY:
		eng_fifo_push(e, q, i, at_head);
		break;
	case R_DEFERRED:
		in->ndeferred++;
		if (in->study != 0)
			eng_study_due(e, q, r->attempts, due_us);
		wake_us = MIN(wake_us, due_us);
		break;
	case R_HELD:
		in->nheld++;
		break;
	case R_ASSIGNED:
		in->ninflight++;
		wake_us = TIME_NEVER;
		break;
	case R_NONE:
	case R_DONE:
	case R_STATES:
		ASSERT(!"a state that can be entered");
	}
	if (wake_us == TIME_NEVER)
		wheel_cancel(&e->wheel, i);
	else if (!wheel_is_set(&e->wheel, i))
		wheel_set(&e->wheel, i, wake_us);
}

void
eng_rcpt_pin(struct eng *e, uint32_t i, uint32_t src)
{
	struct rcpt *r = eng_rcpt(e, i);
	const struct queue *q = pool_at(&e->queues, r->queue);
	uint32_t home = q->home;
	uint32_t flow = eng_flow_pin(e, q->flow, e->srcs[src].name);

	rcpt_rebind(e, r, eng_queue_get(e, home, flow),
	    eng_msg(e, r->msg)->arrival_us);
	eng_flow_drop(e, flow);
}

/* At its domain's site, or where it waits for that to be known. */
static uint32_t
queue_of(struct eng *e, uint32_t i, bool is_wait)
{
	const struct rcpt *r = eng_rcpt(e, i);
	const struct dom *d = pool_at(&e->doms, r->dom);

	return is_wait ?
	    eng_queue_get(e, r->dom | HOME_DOM, eng_rcpt_flow(e, r)) :
	    eng_rcpt_queue(e, i, d->site);
}

void
eng_rcpt_rest(struct eng *e, uint32_t i, enum rcpt_state state, int64_t due_us)
{
	struct rcpt *r = eng_rcpt(e, i);
	struct dom *d = pool_at(&e->doms, r->dom);
	uint32_t q = r->queue;

	if (q == 0 || d->state == DOM_OK)
		q = queue_of(e, i, d->state != DOM_OK);
	if (state == R_DEFERRED)
		wheel_cancel(&e->wheel, i);
	eng_rcpt_enter(e, i, q, state, false, due_us);
}

void
eng_rcpt_place(struct eng *e, uint32_t i, bool at_head)
{
	struct rcpt *r = eng_rcpt(e, i);
	struct dom *d = pool_at(&e->doms, r->dom);
	struct msg *m = eng_msg(e, r->msg);
	struct outcome o;
	bool is_wait;

	if (m->expires_us <= e->now) {
		eng_rcpt_expire(e, i);
		return;
	}
	eng_dom_touch(e, r->dom);
	if (d->state == DOM_NEGATIVE) {
		o = eng_dns_outcome(d->status);
		eng_rcpt_finish(e, i, ENG_LOG_BOUNCE, &o, 0, 0);
		return;
	}
	if (e->kinds.queue_acts != 0 && eng_rcpt_bounce(e, i))
		return;
	/* Behind those of its domain that still wait to be moved. */
	is_wait = d->state != DOM_OK || d->is_moving;
	eng_rcpt_enter(e, i, queue_of(e, i, is_wait),
	    is_wait ? R_WAIT : R_READY, at_head, 0);
}

/* ---- the end ------------------------------------------------------------------- */

void
eng_log(struct eng *e, uint32_t i, enum eng_log_kind what,
    const struct outcome *o, uint32_t src, int64_t due_us, uint32_t job)
{
	const struct rcpt *r = eng_rcpt(e, i);
	const struct dom *d = pool_at(&e->doms, r->dom);
	const struct flow *f = pool_at(&e->flows, eng_rcpt_flow(e, r));
	struct eng_cmd *c = eng_emit(e, CMD_LOG);

	c->log.what = what;
	c->log.msg = r->msg;
	c->log.rcpt = r->rcpt;
	c->log.attempts = r->attempts;
	c->log.domain = d->name;
	c->log.site = d->site;
	c->log.tenant = f->tenant;
	c->log.campaign = f->campaign;
	c->log.pool = f->pool;
	c->log.source = src ? e->srcs[src].conf : SRC_NONE;
	c->log.outcome = *o;
	c->log.due_us = due_us;
	c->log.job = job;
}

void
eng_log_shared(struct eng *e, uint32_t i, const struct outcome *o, uint32_t src,
    int64_t due_us)
{
	eng_log(e, i, ENG_LOG_TRANSIENT, o, src, due_us, 0);
	e->cmds->v[e->cmds->n - 1].log.attempts = 0;
}

void
eng_persist(struct eng *e, uint32_t i, const struct outcome *o, bool is_final,
    bool is_owed, int64_t due_us)
{
	const struct rcpt *r = eng_rcpt(e, i);
	struct eng_cmd *c = eng_emit(e, CMD_PERSIST);

	c->persist.msg = r->msg;
	c->persist.rcpt = r->rcpt;
	c->persist.attempts = r->attempts;
	c->persist.outcome = *o;
	c->persist.is_final = is_final;
	c->persist.is_owed = is_owed;
	c->persist.due_us = due_us;
}

void
eng_rcpt_finish(struct eng *e, uint32_t i, enum eng_log_kind what,
    const struct outcome *o, uint32_t src, uint32_t job)
{
	struct rcpt *r = eng_rcpt(e, i);
	struct msg *m = eng_msg(e, r->msg);
	bool is_owed = eng_notice_is_due(m, r, what);

	if (m->is_damaged) {
		eng_rcpt_free(e, i);
		return;
	}
	eng_persist(e, i, o, true, is_owed, 0);
	eng_log(e, i, what, o, src, 0, job);
	if (is_owed)
		eng_notice_owe(e, r->msg, r->rcpt);
	switch (what) {
	case ENG_LOG_DELIVERY:
		e->totals.delivered_total++;
		break;
	case ENG_LOG_BOUNCE:
		e->totals.bounced_total++;
		break;
	case ENG_LOG_EXPIRATION:
		e->totals.expired_total++;
		break;
	default:
		e->totals.admin_total++;
	}
	eng_rcpt_free(e, i);
}

/* With the reply that it could not get over. */
void
eng_rcpt_expire(struct eng *e, uint32_t i)
{
	struct outcome o = eng_rcpt_last(eng_rcpt(e, i));

	o.klass = OUTCOME_EXPIRED;
	eng_rcpt_finish(e, i, ENG_LOG_EXPIRATION, &o, 0, 0);
}

struct outcome
eng_rcpt_last(const struct rcpt *r)
{
	struct outcome o = { .klass = OUTCOME_NONE };

	if (r->last_code == 0 && r->last_stage == STAGE_NONE)
		return o;
	o.klass = OUTCOME_TRANSIENT;
	o.stage = r->last_stage;
	o.code = r->last_code;
	if (r->last_has_enh) {
		o.enh.klass = (uint8_t)(o.code ? o.code / 100 : 4);
		o.enh.subject = r->last_subject;
		o.enh.detail = r->last_detail;
	}
	return o;
}

void
eng_rcpt_remember(struct rcpt *r, const struct outcome *o)
{
	r->last_code = MIN(o->code, 999);
	r->last_stage = o->stage;
	r->last_has_enh = o->enh.klass != 0;
	r->last_subject = MIN(o->enh.subject, 63);
	r->last_detail = MIN(o->enh.detail, 1023);
}

/* ---- timers -------------------------------------------------------------------- */

/* Due or expired. The wheel cuts what is more than a year away, so an expiry
 * may still be to come. */
static void
rcpt_woken(struct eng *e, uint32_t i)
{
	struct rcpt *r = eng_rcpt(e, i);
	int64_t expires_us = eng_msg(e, r->msg)->expires_us;

	if (r->state != R_DEFERRED && expires_us > e->now) {
		wheel_set(&e->wheel, i, expires_us);
		return;
	}
	eng_rcpt_leave(e, i);
	eng_rcpt_place(e, i, false);
}

void
eng_wheel_run(struct eng *e)
{
	uint32_t i = 0, moves = WHEEL_MOVES;

	e->is_wheel_behind = true;
	for (uint32_t left = SLICE; left > 0; left--) {
		i = wheel_take(&e->wheel, e->now, &moves);
		if (i == 0) {
			e->is_wheel_behind = wheel_is_behind(&e->wheel);
			return;
		}
		rcpt_woken(e, i);
	}
}
