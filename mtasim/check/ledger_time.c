/*
 * check/ledger_time.c - nothing is sent before it is due or after it expired,
 * nothing expires early, and a failure is not tried again at once.
 *
 * Times are kept by the monotonic clock; what a start finds was written by the
 * wall clock, and is turned back by the wall clock of the start.
 */
#include <stdio.h>

#include "check/ledger_i.h"

/* The engine's wheel turns in steps of 10 ms; so late may an expiry be seen,
 * and the core's thread may be woken late. */
#define LATE_US (2 * US_PER_S)
/* Rounding of a due time on its way through the wall clock. */
#define ROUND_US 2

/* The shortest delay that a schedule allows after so many failures. */
static int64_t
delay_min(const struct eng_retry *r, uint32_t failures)
{
	int64_t us = r->first_us;

	if (r->nlist)
		us = r->list_us[MIN(failures, r->nlist) - 1];
	for (uint32_t i = 1; !r->nlist && i < failures && us < r->max_us; i++)
		us = us / 100 * r->factor_pct;
	if (!r->nlist)
		us = MIN(us, r->max_us);
	return us / 100 * (100 - (int64_t)r->jitter_pct) - us / 100;
}

static void
check_delay(struct ledger *l, const struct led_inst *in,
    const struct led_rcpt *c)
{
	int64_t min = MIN(delay_min(&l->retry, c->failures),
	    delay_min(&l->old_retry, c->failures));

	if (c->due_us - l->now_us >= min - ROUND_US)
		return;
	check_fail("a failure waits for its retry", in->n,
	    "m%u r%u failed for the %u. time and is due in %.3f s|its schedule "
	    "says at least %.3f s",
	    in->n, c->k, c->failures,
	    (double)(c->due_us - l->now_us) / US_PER_S, (double)min / US_PER_S);
}

void
led_time_outcome(struct ledger *l, const struct led_inst *in,
    struct led_rcpt *c, const struct spool_rcpt *r)
{
	if (r->outcome.klass == OUTCOME_EXPIRED && in->expires_us > l->now_us)
		check_fail("nothing expires early", in->n,
		    "m%u r%u is expired|its lifetime ends in %.3f s", in->n,
		    c->k, (double)(in->expires_us - l->now_us) / US_PER_S);
	if (r->is_final)
		return;
	c->is_held = r->due_us == TIME_NEVER;
	if (c->is_held) {
		l->marks->n[MARK_held]++;
		return;
	}
	c->due_us = r->due_us ? r->due_us - l->wall_us + l->now_us : 0;
	if (r->outcome.klass != OUTCOME_TRANSIENT || c->due_us == 0)
		return;
	if (r->attempts <= c->failures)
		return; /* an operator's action repeats the state */
	c->failures = r->attempts;
	check_delay(l, in, c);
}

void
led_time_schedule(struct ledger *l, const struct led_inst *in,
    struct led_rcpt *c)
{
	if (in->not_before_us == 0)
		return;
	c->due_us = MAX(c->due_us, in->not_before_us - l->wall_us + l->now_us);
	l->marks->n[MARK_scheduled]++;
}

bool
led_is_quiet(const struct ledger *l, const struct led_inst *in, int64_t wall_us)
{
	const struct conf_tenant *t;
	char name[16] = "";
	int64_t utc_s = wall_us / US_PER_S, minute;
	uint32_t zone;

	if (in->tenant != LED_TENANTS - 1)
		snprintf(name, sizeof(name), "t%u", in->tenant);
	t = conf_tenant_find(l->conf, slice_str(name));
	if (in->zone[0])
		zone = conf_zone_find(l->conf, slice_str(in->zone));
	else
		zone = t->zone;
	minute = (utc_s + zone_offset_s(&l->conf->zones[zone]->zone, utc_s)) /
	    60 % 1440;
	for (uint32_t i = 0; i < t->nquiet; i++) {
		int64_t from = t->quiet[i].from_min, to = t->quiet[i].to_min;

		if (from < to ? minute >= from && minute < to :
				minute >= from || minute < to)
			return true;
	}
	return false;
}

void
led_time_assigned(struct ledger *l, const struct led_inst *in,
    const struct led_rcpt *c)
{
	if (c->due_us > l->now_us + ROUND_US)
		check_fail("nothing is sent before it is due", in->n,
		    "m%u r%u is assigned|it is due in %.3f s", in->n, c->k,
		    (double)(c->due_us - l->now_us) / US_PER_S);
	/* Whatever a second before and behind: clocks are told now and then. */
	if (led_is_quiet(l, in, l->wall_us) &&
	    led_is_quiet(l, in, l->wall_us - LATE_US) &&
	    led_is_quiet(l, in, l->wall_us + LATE_US))
		check_fail("quiet hours are kept", in->n,
		    "m%u r%u is assigned|its tenant t%u is quiet", in->n, c->k,
		    in->tenant);
	l->marks->n[MARK_zoned] += in->zone[0] != 0;
	if (in->expires_us + LATE_US < l->now_us)
		check_fail("nothing is sent after it expired", in->n,
		    "m%u r%u is assigned|it expired %.3f s ago", in->n, c->k,
		    (double)(l->now_us - in->expires_us) / US_PER_S);
}

void
led_time_restored(struct ledger *l, struct led_inst *in, struct led_rcpt *c,
    const struct spool_rcpt *r)
{
	in->expires_us = in->expires_wall_us - l->wall_us + l->now_us;
	c->is_held = r->due_us == TIME_NEVER && !r->is_final;
	c->due_us = 0;
	if (r->due_us && r->due_us != TIME_NEVER)
		c->due_us = r->due_us - l->wall_us + l->now_us;
	c->failures = r->attempts;
	led_time_schedule(l, in, c);
}
