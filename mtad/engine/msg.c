/*
 * engine/msg.c - messages: the table that the driver's indices point into,
 * and when a message has come to its end.
 *
 * A message is dropped when no recipient is still to be announced, none is
 * live and no notice is owed; DROP is the last command about it. Recipients
 * that are final stay in their message's chain (singly linked, so that a
 * recipient fits its 48 bytes) until they are more than the live ones; then
 * the chain is swept, which costs O(1) per recipient over its life.
 */
#include "engine/engine_i.h"
#include "engine/notice_i.h"
#include "engine/standing_i.h"

#define MSG_TIME_MAX ((INT64_C(1) << 53) - 1)

struct msg *
eng_msg(const struct eng *e, uint32_t msg)
{
	struct msg *m = pages_at(&e->msgs, msg);

	return m != NULL && m->is_used ? m : NULL;
}

void
eng_on_message(struct eng *e, const struct ev_message *ev)
{
	uint64_t kib = MIN((ev->size + 1023) >> 10, UINT64_C(0xfffff));
	struct flow f = { .pool = ev->pool,
		.tenant = ev->tenant,
		.campaign = ev->campaign,
		.klass = ev->klass,
		.is_engaged = ev->is_engaged };
	struct msg *m;

	ASSERT(ev->msg != 0);
	ASSERT(ev->nrcpt <= RCPTS_MAX);
	/* Without memory it dies; the spool brings everything back. */
	ASSERT(pages_make(&e->msgs, ev->msg >> PAGE_SHIFT) != NULL);
	m = pages_at(&e->msgs, ev->msg);
	ASSERT(!m->is_used);
	if (e->cap_dims >> DIM_SENDER_DOMAIN & 1)
		f.sender_domain = ev->sender_domain;
	if (e->cap_dims >> DIM_SIGNING_DOMAIN & 1)
		f.signing_domain = ev->signing_domain;
	/* Mail for another zone stands in a line of its own. */
	if (e->has_quiet)
		f.zone = ev->zone;
	*m = (struct msg){
		.arrival_us = MIN(ev->arrival_us, MSG_TIME_MAX),
		.expires_us = MIN(ev->expires_us, MSG_TIME_MAX),
		.size_hi = kib >> 10,
		.size_lo = kib & 0x3ff,
		.flow = eng_flow_take(e, &f),
		.nexpect = (uint16_t)ev->nrcpt,
		.is_used = true,
		.is_null_sender = ev->is_null_sender,
	};
	e->totals.messages++;
	e->totals.received_total++;
}

void
eng_msg_drop_if_done(struct eng *e, uint32_t msg, struct msg *m)
{
	if (m->nexpect != 0 || m->nlive != 0 || m->nowed != 0)
		return;
	ASSERT(m->ndone == 0 && m->head == 0);
	eng_flow_drop(e, m->flow);
	if (m->is_watched)
		eng_delay_end(e, msg, m);
	m->is_used = false;
	e->totals.messages--;
	eng_emit(e, CMD_DROP)->drop = msg;
}

/* Gives the slots of final recipients back. */
static void
msg_sweep(struct eng *e, struct msg *m)
{
	uint32_t *at = &m->head;

	while (*at != 0) {
		uint32_t i = *at;
		struct rcpt *r = eng_rcpt(e, i);

		if (r->state != R_DONE) {
			at = &r->sib;
			continue;
		}
		*at = r->sib;
		e->nstate[R_DONE]--;
		pool_give(&e->rcpts, i);
	}
	m->ndone = 0;
}

/* From R_NONE to R_DONE: out of everything but its message's chain. */
static void
rcpt_end(struct eng *e, uint32_t i, struct msg *m)
{
	struct rcpt *r = eng_rcpt(e, i);

	ASSERT(r->state == R_NONE && m->nlive > 0);
	wheel_cancel(&e->wheel, i);
	if (r->is_marked)
		eng_mark_forget(e, i);
	if (r->queue != 0) { /* 0: it never came as far as a queue */
		const struct queue *q = pool_at(&e->queues, r->queue);

		eng_study_tried(e, q, r->attempts, false);
		if (q->study != 0) {
			eng_study_left(e, r->queue, r->attempts);
			eng_ages_left(e, r->queue, r, m->arrival_us);
		}
		eng_queue_depth_sub(e, r->queue);
	}
	eng_dom_drop(e, r->dom);
	r->state = R_DONE;
	e->nstate[R_DONE]++;
	e->totals.recipients--;
	m->nlive--;
	m->ndone++;
}

void
eng_rcpt_free(struct eng *e, uint32_t i)
{
	uint32_t msg = eng_rcpt(e, i)->msg;
	struct msg *m = eng_msg(e, msg);

	rcpt_end(e, i, m);
	if (m->ndone > m->nlive)
		msg_sweep(e, m);
	eng_msg_drop_if_done(e, msg, m);
}

/* ---- recipients come ---------------------------------------------------------- */

static uint32_t
rcpt_new(struct eng *e, struct msg *m, const struct ev_recipient *ev)
{
	uint32_t i;
	struct rcpt *r = eng_slot(&e->rcpts, &i);

	r->msg = ev->msg;
	r->rcpt = ev->rcpt;
	r->attempts = MIN(ev->attempts, ATTEMPTS_MAX);
	r->dom = eng_dom_take(e, ev->domain);
	r->is_mute = (ev->dsn & ENG_DSN_MUTE) != 0;
	r->wants_success = (ev->dsn & ENG_DSN_SUCCESS) != 0;
	if ((ev->dsn & ENG_DSN_DELAY) && !m->is_null_sender) {
		r->wants_delay = true;
		eng_delay_watch(e, ev->msg, m, ev->delay_us);
	}
	r->sib = m->head;
	m->head = i;
	m->nlive++;
	e->totals.recipients++;
	return i;
}

/* The message's flow, but for what the recipient says itself; one more
 * reference to it. */
static uint32_t
flow_of(struct eng *e, const struct msg *m, const struct ev_recipient *ev)
{
	struct flow *f = pool_at(&e->flows, m->flow), own;

	if ((ev->pool | ev->tenant | ev->campaign) == 0) {
		f->nrefs++;
		return m->flow;
	}
	own = *f;
	own.pool = ev->pool ? ev->pool : f->pool;
	own.tenant = ev->tenant ? ev->tenant : f->tenant;
	own.campaign = ev->campaign ? ev->campaign : f->campaign;
	return eng_flow_take(e, &own);
}

void
eng_on_recipient(struct eng *e, const struct ev_recipient *ev)
{
	struct msg *m = eng_msg(e, ev->msg);
	uint32_t i, flow;

	if (m == NULL)
		return;
	ASSERT(ev->rcpt < RCPTS_MAX);
	if (m->nexpect > 0)
		m->nexpect--;
	if (ev->dsn & ENG_DSN_OWED) {
		eng_notice_owe(e, ev->msg, ev->rcpt);
		return;
	}
	flow = e->flow_new = flow_of(e, m, ev);
	i = rcpt_new(e, m, ev);
	if (ev->due_us == TIME_NEVER)
		eng_rcpt_rest(e, i, R_HELD, TIME_NEVER);
	else if (ev->due_us > e->now && !eng_rcpt_bounce(e, i))
		eng_rcpt_rest(e, i, R_DEFERRED, ev->due_us);
	else if (ev->due_us <= e->now)
		eng_rcpt_place(e, i, false);
	e->flow_new = 0;
	eng_flow_drop(e, flow);
}

/* ---- a message that cannot be read --------------------------------------------- */

void
eng_on_damaged(struct eng *e, uint32_t msg)
{
	struct msg *m = eng_msg(e, msg);
	uint32_t next;

	if (m == NULL)
		return;
	m->is_damaged = true;
	m->nexpect = 0;
	m->nowed = 0;
	for (uint32_t i = m->head; i != 0; i = next) {
		struct rcpt *r = eng_rcpt(e, i);

		next = r->sib;
		if (r->state == R_DONE || r->state == R_ASSIGNED)
			continue;
		eng_rcpt_leave(e, i);
		rcpt_end(e, i, m);
	}
	msg_sweep(e, m);
	eng_msg_drop_if_done(e, msg, m);
}
