/*
 * engine/notice.c - delivery status notifications: whether one is owed, and
 * when (RFC 3461).
 *
 * Who says nothing is told of failures. Few ask for more, so what that takes is
 * bits of a recipient; and a message whose sender wants to know when it is late
 * has a timer of its own. A debt counts in its message, which is not dropped
 * before all are paid.
 */
#include "engine/notice_i.h"

/* Whoever is in flight when the message becomes late may be there at once. */
#define IN_FLIGHT_US (60 * US_PER_S)
#define OWED_MAX ((1u << 14) - 1) /* msg.nowed */

bool
eng_notice_is_due(const struct msg *m, const struct rcpt *r,
    enum eng_log_kind what)
{
	if (m->is_null_sender || what == ENG_LOG_ADMIN_DELETE)
		return false;
	return what == ENG_LOG_DELIVERY ? r->wants_success : !r->is_mute;
}

void
eng_notice_owe(struct eng *e, uint32_t msg, uint16_t rcpt)
{
	eng_msg(e, msg)->nowed++;
	if (e->nnotices == e->notices_cap) {
		uint32_t cap = e->notices_cap ? 2 * e->notices_cap : 64;
		void *v = mem_grow(e->notices, cap * sizeof(*e->notices));

		ASSERT(v != NULL);
		e->notices = v;
		e->notices_cap = cap;
	}
	e->notices[e->nnotices].msg = msg;
	e->notices[e->nnotices++].rcpt = rcpt;
}

void
eng_notices_flush(struct eng *e)
{
	for (uint32_t i = 0; i < e->nnotices; i++) {
		struct eng_cmd *c = eng_emit(e, CMD_NOTICE);

		c->notice.msg = e->notices[i].msg;
		c->notice.rcpt = e->notices[i].rcpt;
	}
	e->nnotices = 0;
}

void
eng_on_paid(struct eng *e, uint32_t msg)
{
	struct msg *m = eng_msg(e, msg);

	if (m == NULL || m->nowed == 0)
		return;
	m->nowed--;
	eng_msg_drop_if_done(e, msg, m);
}

/* ---- late mail ------------------------------------------------------------- */

void
eng_delay_watch(struct eng *e, uint32_t msg, struct msg *m, int64_t late_us)
{
	struct delay *d;
	uint32_t i;

	if (m->is_watched)
		return;
	d = eng_slot(&e->delays, &i);
	ASSERT(map_put(&e->delay_map, msg, i) == 0);
	d->msg = msg;
	m->is_watched = true;
	eng_timer_set(e, &d->timer, TIMER_DELAY, i, late_us);
}

void
eng_delay_end(struct eng *e, uint32_t msg, struct msg *m)
{
	uint32_t i = map_del(&e->delay_map, msg);
	struct delay *d = pool_at(&e->delays, i);

	m->is_watched = false;
	eng_timer_cancel(e, &d->timer);
	pool_give(&e->delays, i);
}

static void
say_late(struct eng *e, struct msg *m, struct rcpt *r)
{
	struct eng_cmd *c = eng_emit(e, CMD_DELAYED);

	r->wants_delay = false;
	m->nowed++;
	c->persist.msg = r->msg;
	c->persist.rcpt = r->rcpt;
	c->persist.attempts = r->attempts;
	c->persist.outcome = eng_rcpt_last(r);
}

void
eng_delay_timer(struct eng *e, uint32_t i)
{
	struct delay *d = pool_at(&e->delays, i);
	struct msg *m = eng_msg(e, d->msg);
	uint32_t left = SLICE;
	int64_t again_us = 0;

	for (uint32_t k = m->head; k != 0; k = eng_rcpt(e, k)->sib) {
		struct rcpt *r = eng_rcpt(e, k);

		if (!r->wants_delay || r->state == R_DONE || m->is_damaged)
			continue;
		if (left == 0 || m->nowed == OWED_MAX) {
			again_us = e->now + (left == 0 ? 0 : IN_FLIGHT_US);
			break;
		}
		if (r->state == R_ASSIGNED) {
			again_us = e->now + IN_FLIGHT_US;
			continue;
		}
		say_late(e, m, r);
		left--;
	}
	if (again_us != 0)
		eng_timer_set(e, &d->timer, TIMER_DELAY, i, again_us);
	else
		eng_delay_end(e, d->msg, m);
}
