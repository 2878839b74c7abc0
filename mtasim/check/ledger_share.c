/*
 * check/ledger_share.c - tenants have their shares: while a queue (site, pool,
 * tenant, campaign) has had mail that may go, its neighbours at the same site
 * and pool are not served many times without it.
 *
 * Looked at now and then: only mail that could have gone since the last look
 * counts, so that no gate which opened in between is taken for starvation. A
 * domain that is being looked up, or could not be, is such a gate. Where
 * domains move between sites it is not known who stands in which line, and this
 * referee stays away.
 *
 * The bound. What is served is a transaction, whatever the number of its
 * recipients. Queues with mail that may go stand in a ring; the head is served
 * and goes to the tail, and who comes anew goes to the tail. So who stands in
 * the ring is passed by each of the others at most once, and all that a world
 * has are LED_FLOWS: four tenants with three campaigns or none. A queue loses
 * its place only when its last recipient that may go leaves it unserved.
 */
#include "check/ledger_i.h"

#define PASSED_MAX (LED_FLOWS - 1)
/* The engine's wheel turns in steps of 10 ms: what is due has not gone yet. */
#define WHEEL_US (10 * US_PER_MS)

static uint32_t
lane_of(const struct led_inst *in, const struct led_rcpt *c)
{
	return (c->site % LED_SITES) * LED_POOLS + in->pool % LED_POOLS;
}

static uint32_t
queue_of(const struct led_inst *in, const struct led_rcpt *c)
{
	return lane_of(in, c) * LED_FLOWS +
	    (in->tenant * 4u + in->campaign) % LED_FLOWS;
}

void
led_share_served(struct ledger *l, const struct led_inst *in,
    const struct led_rcpt *c)
{
	/* Who waits for one source stands in a line of its own. */
	l->lane_served[lane_of(in, c)] += !c->is_pinned;
	l->queue_served[queue_of(in, c)] = true;
}

void
led_share_reset(struct ledger *l)
{
	for (uint32_t q = 0; q < LED_QUEUES; q++)
		l->queue_served[q] = true;
	for (uint32_t d = 0; d < LED_SITES * LED_DOMAINS; d++)
		l->known_us[d] = TIME_NEVER;
}

/* "d1.g3.example" */
static int64_t *
known_at(struct ledger *l, struct slice domain)
{
	uint32_t d, g;

	if (domain.n < 2 || domain.p[0] != 'd')
		return NULL;
	domain = slice_skip(domain, 1);
	if (!led_number(&domain, &d) || domain.n < 2 || domain.p[1] != 'g')
		return NULL;
	domain = slice_skip(domain, 2);
	if (!led_number(&domain, &g))
		return NULL;
	return &l->known_us[g % LED_SITES * LED_DOMAINS + d % LED_DOMAINS];
}

void
led_domain(struct ledger *l, struct slice domain, bool is_known)
{
	int64_t *at = known_at(l, domain);

	if (at)
		*at = is_known ? l->now_us : TIME_NEVER;
}

/* Could it have gone since the last look? */
static bool
is_ready(const struct ledger *l, const struct led_inst *in,
    const struct led_rcpt *c)
{
	return c->klass == OUTCOME_NONE && !c->is_flying && !c->is_held &&
	    !c->is_waived && !c->is_pinned && !in->is_aside &&
	    c->due_us + WHEEL_US <= l->looked_us &&
	    in->submitted_us <= l->looked_us && c->told_us <= l->looked_us &&
	    l->known_us[c->site % LED_SITES * LED_DOMAINS + c->number] <=
	    l->looked_us;
}

static void
gather(struct ledger *l, uint32_t *ready)
{
	for (uint32_t i = 0; i < l->n; i++) {
		const struct led_inst *in = &l->inst[i];

		if (in->state != LED_DURABLE || !in->with_core)
			continue;
		for (uint32_t k = 0; k < in->nrcpt; k++)
			if (is_ready(l, in, &in->rcpt[k]))
				ready[queue_of(in, &in->rcpt[k])] = i + 1;
	}
}

void
led_shares(struct ledger *l)
{
	static uint32_t ready[LED_QUEUES]; /* an instance + 1 */

	memset(ready, 0, sizeof(ready));
	gather(l, ready);
	for (uint32_t q = 0; q < LED_QUEUES; q++) {
		uint32_t served = l->lane_served[q / LED_FLOWS];

		if (!ready[q] || l->queue_served[q])
			l->passed_from[q] = served;
		l->queue_served[q] = false;
		if (served - l->passed_from[q] > PASSED_MAX)
			check_fail("tenants have their shares",
			    l->inst[ready[q] - 1].n,
			    "m%u of tenant t%u may go|others at its site and "
			    "pool have been served %u times without it",
			    l->inst[ready[q] - 1].n,
			    l->inst[ready[q] - 1].tenant,
			    served - l->passed_from[q]);
	}
	l->looked_us = l->now_us;
}
