/*
 * check/ledger_dsn.c - who is told what: RFC 3461.
 *
 * Who says nothing is told of failures. Of a delivery tells whoever is the last
 * to know the wish; of a delay once, whatever happens in between.
 */
#include "check/ledger_i.h"

/* An attempt under way, and a daemon that was down, may put it off. */
#define LATE_SLACK_US (1800 * US_PER_S)

bool
led_must_tell(const struct led_inst *in, const struct led_rcpt *c,
    uint8_t klass)
{
	if (in->is_null || klass == OUTCOME_DELETED)
		return false;
	if (klass == OUTCOME_DELIVERED)
		return (c->notify & NOTIFY_SUCCESS) != 0 && !c->is_passed;
	return c->notify == 0 || (c->notify & NOTIFY_FAILURE) != 0;
}

void
led_wished(struct ledger *l, uint32_t k, uint8_t notify, struct slice id)
{
	struct msgid of;
	struct led_inst *in = msgid_parse(id, &of) ? NULL : led_by_id(l, &of);

	for (uint32_t i = 0; in && i < in->nrcpt; i++)
		if (in->rcpt[i].k == k && in->rcpt[i].notify != notify)
			check_fail("what a sender asks for is kept", in->n,
			    "m%u r%u is spooled with NOTIFY %u|its sender gave "
			    "%u",
			    in->n, k, in->rcpt[i].notify, notify);
}

void
led_late(struct ledger *l, int64_t late_us)
{
	l->late_us = late_us;
}

/* The record that says so has gone bad: it may be said again. */
static bool
is_forgotten(const struct ledger *l, const struct led_rcpt *c)
{
	return c->late_payer == 0 || l->inst[c->late_payer - 1].is_rotten;
}

void
led_pay_late(struct ledger *l, const struct led_inst *notice,
    struct led_inst *orig)
{
	for (uint32_t i = 0; i < notice->npays; i++) {
		struct led_rcpt *c = &orig->rcpt[notice->pays_rcpts[i]];

		if (orig->is_null || !(c->notify & NOTIFY_DELAY))
			check_fail("nobody else is told", orig->n,
			    "a notice says that m%u r%u is late|its sender did "
			    "not ask for that",
			    orig->n, c->k);
		if (!is_forgotten(l, c))
			check_fail("that mail is late is told once", orig->n,
			    "a notice says that m%u r%u is late|another one "
			    "has",
			    orig->n, c->k);
		c->late_payer = (uint32_t)(notice - l->inst) + 1;
		l->sums.notices++;
		l->marks->n[MARK_told_late]++;
	}
}

void
led_check_late(struct ledger *l, const struct led_inst *in,
    const struct led_rcpt *c)
{
	if (l->late_us == 0 || in->is_null || !(c->notify & NOTIFY_DELAY) ||
	    c->late_payer != 0 || in->not_before_us != 0 ||
	    l->now_us - in->submitted_us <= l->late_us + LATE_SLACK_US)
		return;
	check_fail("who wants to know that mail is late is told", in->n,
	    "m%u r%u is over after %.0f s|nobody was told that it was late",
	    in->n, c->k, (double)(l->now_us - in->submitted_us) / US_PER_S);
}
