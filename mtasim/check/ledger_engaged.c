/*
 * check/ledger_engaged.c - a young source's share goes to engaged mail first.
 *
 * The referee knows no gates. But what has let one engaged message of a pool pass
 * to a site by a source lets the next one pass soon: so while there is mail that
 * could have gone then, and has not, no other goes there by that source.
 */
#include "check/ledger_i.h"

/* The engine keeps a claim for ten minutes. */
#define SOON_US (300 * US_PER_S)
/* Its wheel turns in steps of 10 ms. */
#define WHEEL_US (10 * US_PER_MS)

static bool
is_quiet_since(const struct ledger *l, const struct led_inst *in,
    int64_t from_us)
{
	int64_t us = l->now_us - from_us + 10 * US_PER_S;

	for (int k = 0; k <= 8; k++)
		if (led_is_quiet(l, in, l->wall_us - us / 8 * k))
			return true;
	return false;
}

/* Could it have gone at that time, and could it since? */
static bool
was_ready(const struct ledger *l, const struct led_rcpt *c, int64_t at_us)
{
	return c->klass == OUTCOME_NONE && !c->is_flying && !c->is_held &&
	    !c->is_waived && !c->is_pinned && c->due_us + WHEEL_US <= at_us &&
	    c->told_us < at_us &&
	    l->known_us[c->site % LED_SITES * LED_DOMAINS + c->number] < at_us;
}

static void
judge(struct ledger *l, const struct led_inst *other, uint32_t site,
    uint32_t source, int64_t at_us)
{
	for (uint32_t i = 0; i < l->n; i++) {
		const struct led_inst *in = &l->inst[i];

		if (!in->is_engaged || in->state != LED_DURABLE ||
		    !in->with_core || in->is_aside || in->pool != other->pool ||
		    in->submitted_us >= at_us || is_quiet_since(l, in, at_us))
			continue;
		for (uint32_t k = 0; k < in->nrcpt; k++)
			if (in->rcpt[k].site == site &&
			    was_ready(l, &in->rcpt[k], at_us))
				check_fail("engaged mail has a young source's "
					   "share first",
				    in->n,
				    "m%u r%u is engaged and might go by source "
				    "%u|m%u, which is not, does",
				    in->n, in->rcpt[k].k, source, other->n);
	}
}

void
led_engaged(struct ledger *l, const struct job *j, uint32_t source)
{
	const struct led_inst *in = led_by_id(l, &j->id);
	uint32_t site = 0;
	int64_t *at;

	for (uint32_t k = 0; k < in->nrcpt; k++)
		if (in->rcpt[k].is_flying)
			site = in->rcpt[k].site;
	if (in->is_notice)
		return;
	at = &l->engaged_us[source % LED_SOURCES][site % LED_SITES]
			   [in->pool % LED_POOLS];
	l->marks->n[MARK_engaged] += in->is_engaged;
	if (in->is_engaged)
		*at = l->now_us;
	else if (*at != 0 && *at + SOON_US > l->now_us)
		judge(l, in, site, source, *at);
}

void
led_engaged_reset(struct ledger *l)
{
	memset(l->engaged_us, 0, sizeof(l->engaged_us));
}
