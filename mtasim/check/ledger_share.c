/*
 * check/ledger_share.c - tenants have their shares.
 *
 * Looked at now and then: only mail that could have gone since the last look
 * counts, so that no gate which opened in between is taken for starvation. A
 * domain that is being looked up, or could not be, is such a gate. Where
 * domains move between sites it is not known who stands in which line, and this
 * referee stays away.
 *
 * Three rules, each about one line: the mail of one class at one site and pool.
 * What is served is a transaction, whatever the number of its recipients.
 *
 * By weight: while tenant a has mail in the line that may go, no tenant b is
 * served there more often, by weight, than a at the whole site (what a gets
 * through another pool counts), but for AHEAD rounds. A round is a transaction
 * of who weighs 1: two may be apart by two when it begins (it begins about the
 * average of who stands there, and lanes that share some sources only are apart),
 * by two more for mail of its in other pools, and a round each while it lasts.
 *
 * Campaigns: of one tenant's, each is passed by each of the others as often as
 * that one weighs, while the line of the tenant goes on.
 *
 * In a hurry: while bulk may go at a site, at most HURRY_MAX transactions of the
 * other class go in a row in its pool.
 */
#include <stdio.h>

#include "check/ledger_i.h"

#define AHEAD 6
#define HURRY_MAX 3
/* The engine's wheel turns in steps of 10 ms: what is due has not gone yet. */
#define WHEEL_US (10 * US_PER_MS)

static uint32_t
line_of(const struct led_inst *in, const struct led_rcpt *c)
{
	return ((c->site % LED_SITES) * LED_POOLS + in->pool % LED_POOLS) * 2 +
	    (in->klass != 0);
}

static uint32_t
site_of(uint32_t line)
{
	return line / 2 / LED_POOLS;
}

void
led_share_served(struct ledger *l, const struct led_inst *in,
    const struct led_rcpt *c)
{
	uint32_t line = line_of(in, c), t = in->tenant % LED_TENANTS;
	struct led_line *at = &l->line[line];

	/* Who waits for one source stands in a line of its own, if there are
	 * others: what it gets is not held against anybody, but against it. */
	at->campaign_any[t][in->campaign % LED_CAMPAIGNS]++;
	at->served[t] += !c->is_pinned;
	at->by_campaign[t][in->campaign % LED_CAMPAIGNS] += !c->is_pinned;
	l->site_served[site_of(line)][in->klass != 0][t]++;
	if (in->klass == 0)
		l->site_bulk[site_of(line)]++;
}

/* From here on, what was before does not count. */
static void
line_reset(struct ledger *l, uint32_t line, uint32_t t)
{
	struct led_line *at = &l->line[line];

	memcpy(at->from[t], at->served, sizeof(at->served));
	at->site_from[t] = l->site_served[site_of(line)][line & 1][t];
}

static void
campaign_reset(struct led_line *at, uint32_t t, uint32_t k)
{
	memcpy(at->campaign_from[t][k], at->by_campaign[t],
	    sizeof(at->by_campaign[t]));
	at->any_from[t][k] = at->campaign_any[t][k];
}

static void
bulk_reset(struct ledger *l, uint32_t line)
{
	struct led_line *at = &l->line[line];

	at->bulk_from = l->site_bulk[site_of(line)];
	at->hurry_from = 0;
	for (uint32_t t = 0; t < LED_TENANTS; t++)
		at->hurry_from += l->line[line | 1].served[t];
}

void
led_share_reset(struct ledger *l)
{
	for (uint32_t i = 0; i < LED_LINES; i++) {
		for (uint32_t t = 0; t < LED_TENANTS; t++) {
			line_reset(l, i, t);
			for (uint32_t k = 0; k < LED_CAMPAIGNS; k++)
				campaign_reset(&l->line[i], t, k);
		}
		if (i % 2 == 0)
			bulk_reset(l, i);
	}
	for (uint32_t d = 0; d < LED_SITES * LED_DOMAINS; d++)
		l->known_us[d] = TIME_NEVER;
}

void
led_share_begin(struct ledger *l)
{
	for (uint32_t i = 0; i < LED_LINES; i++)
		for (uint32_t t = 0; t < LED_TENANTS; t++) {
			line_reset(l, i, t);
			for (uint32_t k = 0; k < LED_CAMPAIGNS; k++)
				campaign_reset(&l->line[i], t, k);
		}
}

void
led_weights(struct ledger *l, const struct conf *c)
{
	char name[16];

	l->conf = c;
	for (uint32_t t = 0; t < LED_TENANTS; t++) {
		const struct conf_tenant *x;

		snprintf(name, sizeof(name), "t%u", t);
		if (t == LED_TENANTS - 1)
			name[0] = '\0';
		x = conf_tenant_find(c, slice_str(name));
		l->weight[t] = x->weight;
		for (uint32_t k = 0; k < LED_CAMPAIGNS; k++) {
			snprintf(name, sizeof(name), "c%u", k);
			l->campaign_weight[t][k] = 1;
			for (uint32_t i = 0; i < x->ncampaigns; i++)
				if (slice_eq(x->campaigns[i].name,
					slice_str(name)))
					l->campaign_weight[t][k] =
					    x->campaigns[i].weight;
		}
	}
	/* Lines go over from the old weights one by one. */
	led_share_begin(l);
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

/* Was its tenant quiet since the last look, or just before? */
static bool
was_quiet(const struct ledger *l, const struct led_inst *in)
{
	int64_t us = l->now_us - l->looked_us + 10 * US_PER_S;

	for (int k = 0; k <= 8; k++)
		if (led_is_quiet(l, in, l->wall_us - us / 8 * k))
			return true;
	return false;
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

/* Who has mail that may go: an instance + 1. */
struct ready {
	uint32_t of[LED_LINES][LED_TENANTS][LED_CAMPAIGNS];
};

static void
gather(struct ledger *l, struct ready *r)
{
	for (uint32_t i = 0; i < l->n; i++) {
		const struct led_inst *in = &l->inst[i];

		if (in->state != LED_DURABLE || !in->with_core ||
		    was_quiet(l, in))
			continue;
		for (uint32_t k = 0; k < in->nrcpt; k++)
			if (is_ready(l, in, &in->rcpt[k]))
				r->of[line_of(in, &in->rcpt[k])][in->tenant %
				    LED_TENANTS][in->campaign % LED_CAMPAIGNS] =
				    i + 1;
	}
}

static void
judge_tenant(struct ledger *l, uint32_t line, uint32_t a, uint32_t inst)
{
	const struct led_line *at = &l->line[line];
	uint32_t mine =
	    l->site_served[site_of(line)][line & 1][a] - at->site_from[a];

	for (uint32_t b = 0; b < LED_TENANTS; b++) {
		uint32_t its = at->served[b] - at->from[a][b];

		if (its * l->weight[a] >
		    mine * l->weight[b] + AHEAD * l->weight[a] * l->weight[b])
			check_fail("tenants have their shares", l->inst[inst].n,
			    "m%u of tenant t%u, of weight %u, may go|t%u, of "
			    "weight %u, has been served %u times beside it, "
			    "and it %u times at the whole site",
			    l->inst[inst].n, a, l->weight[a], b, l->weight[b],
			    its, mine);
	}
}

static void
judge_campaigns(struct ledger *l, uint32_t line, uint32_t t,
    const uint32_t ready[LED_CAMPAIGNS])
{
	struct led_line *at = &l->line[line];

	for (uint32_t k = 0; k < LED_CAMPAIGNS; k++) {
		const uint32_t *from = at->campaign_from[t][k];

		if (!ready[k] || at->campaign_any[t][k] != at->any_from[t][k]) {
			campaign_reset(at, t, k);
			continue;
		}
		for (uint32_t o = 0; o < LED_CAMPAIGNS; o++)
			/* As it stands, and as it came anew behind. */
			if (at->by_campaign[t][o] - from[o] >
			    2 * l->campaign_weight[t][o])
				check_fail("campaigns have their shares",
				    l->inst[ready[k] - 1].n,
				    "m%u of tenant t%u, campaign c%u may go|"
				    "campaign c%u has passed it %u times",
				    l->inst[ready[k] - 1].n, t, k, o,
				    at->by_campaign[t][o] - from[o]);
	}
}

static void
judge_hurry(struct ledger *l, uint32_t line, uint32_t inst)
{
	struct led_line *at = &l->line[line];
	uint32_t hurried = 0;

	for (uint32_t t = 0; t < LED_TENANTS; t++)
		hurried += l->line[line | 1].served[t];
	if (inst == 0 || l->site_bulk[site_of(line)] != at->bulk_from)
		bulk_reset(l, line);
	else if (hurried - at->hurry_from > HURRY_MAX)
		check_fail("what is in a hurry does not go alone",
		    l->inst[inst - 1].n,
		    "m%u may go and no bulk has gone at its site|%u in a "
		    "hurry have gone in its pool",
		    l->inst[inst - 1].n, hurried - at->hurry_from);
}

void
led_shares(struct ledger *l)
{
	static struct ready r;

	memset(&r, 0, sizeof(r));
	gather(l, &r);
	for (uint32_t i = 0; i < LED_LINES; i++) {
		uint32_t any = 0;

		for (uint32_t t = 0; t < LED_TENANTS; t++) {
			uint32_t mine = 0;

			for (uint32_t k = 0; k < LED_CAMPAIGNS; k++)
				mine = MAX(mine, r.of[i][t][k]);
			if (mine != 0)
				judge_tenant(l, i, t, mine - 1);
			else
				line_reset(l, i, t);
			judge_campaigns(l, i, t, r.of[i][t]);
			any = MAX(any, mine);
		}
		if (i % 2 == 0)
			judge_hurry(l, i, any);
	}
	l->looked_us = l->now_us;
}

static struct led_flow
flow_of(const struct led_inst *in)
{
	return (struct led_flow){ in->tenant, in->campaign, in->pool,
		in->is_null, in->sender, in->bytes, in->has_tenant };
}

bool
led_flow_at(struct ledger *l, struct handle slot, struct led_flow *out,
    uint32_t *msg)
{
	const struct led_inst *in = led_by_slot(l, slot);

	if (!in)
		return false;
	*out = flow_of(in);
	*msg = in->n;
	return true;
}

bool
led_next_waiting(struct ledger *l, uint64_t *at, struct led_flow *out,
    uint32_t *msg)
{
	for (; *at >> 32 < l->n; *at = ((*at >> 32) + 1) << 32) {
		const struct led_inst *in = &l->inst[*at >> 32];

		while (in->with_core && !in->is_aside &&
		    (uint32_t)*at < in->nrcpt) {
			const struct led_rcpt *c = &in->rcpt[(uint32_t)(*at)++];

			if (c->klass != OUTCOME_NONE || c->is_flying ||
			    c->is_held)
				continue;
			*out = flow_of(in);
			*msg = in->n;
			return true;
		}
	}
	return false;
}

bool
led_flow(struct ledger *l, const struct msgid *id, struct led_flow *out)
{
	const struct led_inst *in = led_by_id(l, id);

	if (!in)
		return false;
	*out = flow_of(in);
	return true;
}
