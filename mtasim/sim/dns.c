/*
 * sim/dns.c - the name server: domains, the hosts they are at now, and answers
 * that are late, wrong or never come.
 *
 * Every answer gives all hosts of one site, so a host belongs to one site; a
 * domain that moves gets another site's hosts.
 */
#include "sim/sim_i.h"

#define QUESTIONS 512u

struct question {
	struct zone *zone;
	struct timer timer;
	bool is_used;
	uint32_t domain; /* the core's name */
	uint32_t site, number;
	bool is_known;
};

struct zone {
	struct sim *s;
	uint8_t at[SIM_SITES][SIM_DOMAINS]; /* site that a domain is at */
	uint32_t may[SIM_SITES];            /* bitmap: homes that were here */
	bool is_sick[SIM_SITES];            /* SERVFAIL for all of it */
	struct question q[QUESTIONS];
	uint32_t nq;
};

static bool
is_gone(const struct sim *s, uint32_t site, uint32_t number)
{
	/* Of the last site the last domain does not exist. */
	return sim_has(s, SIM_F_dns_fail) && s->plan.nsites > 2 &&
	    site == s->plan.nsites - 1 && s->plan.ndomains[site] > 1 &&
	    number == s->plan.ndomains[site] - 1;
}

/* Some domains are their own hosts. */
void
sim_host_name(uint32_t site, uint32_t i, char *dst)
{
	snprintf(dst, 32, "%s%u.g%u.example",
	    i == 0 && site % 3 == 0 ? "d" : "mx", i, site);
}

static void
fill(struct sim *s, uint32_t site, struct core_answer *a,
    char names[SIM_HOSTS][32])
{
	a->status = ENG_DNS_OK;
	a->ttl_us = rng_range(dice(s, DICE_DNS), 30, 600) * US_PER_S;
	for (uint32_t i = 0; i < s->plan.nhosts[site]; i++) {
		sim_host_name(site, i, names[i]);
		a->target[a->n].host = slice_str(names[i]);
		a->target[a->n].pref = (uint16_t)(10 * (i % 2));
		a->target[a->n++].ip = peer_ip(site, i);
	}
}

static void
on_answer(void *arg)
{
	struct question *q = arg;
	struct zone *z = q->zone;
	struct sim *s = z->s;
	struct core_answer a = { .status = ENG_DNS_TEMP };
	char names[SIM_HOSTS][32], name[32];

	q->is_used = false;
	if (!q->is_known || is_gone(s, q->site, q->number)) {
		a.status = ENG_DNS_NXDOMAIN;
		a.ttl_us = 60 * US_PER_S;
		s->marks->n[MARK_dns_nxdomain]++;
	} else if ((z->is_sick[q->site] ||
		       (sim_has(s, SIM_F_dns_fail) &&
			   sim_chance(s, DICE_DNS, 5 * s->plan.badness))) &&
	    !s->is_healed) {
		s->marks->n[MARK_dns_failed]++;
		s->report->faults++;
	} else {
		fill(s, z->at[q->site][q->number], &a, names);
	}
	if (q->is_known && a.status == ENG_DNS_OK) {
		snprintf(name, sizeof(name), "d%u.g%u", q->number, q->site);
		led_domain(s->ledger, slice_str(name), true);
	}
	sim_trace_u64(s, q->domain + ((uint64_t)a.status << 32));
	host_resolved(s, q->domain, &a);
}

/* "d1.g3.example" */
static bool
parse(const struct sim *s, struct slice name, uint32_t *site, uint32_t *number)
{
	char text[64];
	unsigned d, g;

	slice_copy(name, text, sizeof(text));
	if (sscanf(text, "d%u.g%u.example", &d, &g) != 2 ||
	    g >= s->plan.nsites || d >= s->plan.ndomains[g])
		return false;
	*site = g;
	*number = d;
	return true;
}

void
sim_zone_ask(struct sim *s, uint32_t domain, struct slice name)
{
	struct zone *z = s->zone;
	struct question *q = NULL;
	int64_t late = rng_range(dice(s, DICE_DNS), 100, 50000);

	for (uint32_t i = 0; i < QUESTIONS && !q; i++)
		if (!z->q[i].is_used)
			q = &z->q[i];
	ASSERT(q); /* the core asks once for each domain */
	q->is_used = true;
	q->domain = domain;
	q->is_known = parse(s, name, &q->site, &q->number);
	if (sim_has(s, SIM_F_dns_fail) && sim_chance(s, DICE_DNS, 50)) {
		s->marks->n[MARK_dns_late]++;
		late = rng_range(dice(s, DICE_DNS), 1, 6) * US_PER_S;
	}
	sim_timer_set(s, &q->timer, s->now_us + late);
}

void
sim_zone_forget(struct sim *s)
{
	for (uint32_t i = 0; i < QUESTIONS; i++) {
		sim_timer_cancel(s, &s->zone->q[i].timer);
		s->zone->q[i].is_used = false;
	}
}

void
sim_zone_make(struct sim *s)
{
	struct zone *z = mem_get(sizeof(*z));

	s->zone = z;
	z->s = s;
	for (uint32_t i = 0; i < SIM_SITES; i++) {
		memset(z->at[i], (int)i, SIM_DOMAINS);
		z->may[i] = UINT32_C(1) << i;
	}
	for (uint32_t i = 0; i < QUESTIONS; i++) {
		z->q[i].zone = z;
		sim_timer_init(&z->q[i].timer, on_answer, &z->q[i], "dns");
	}
}

void
sim_zone_free(struct sim *s)
{
	mem_free(s->zone);
}

void
sim_zone_heal(struct sim *s)
{
	memset(s->zone->is_sick, 0, sizeof(s->zone->is_sick));
}

void
sim_zone_move(struct sim *s)
{
	struct rng *r = dice(s, DICE_FAULT);
	uint64_t site = rng_below(r, s->plan.nsites);
	uint64_t d = rng_below(r, s->plan.ndomains[site]);
	uint64_t to = rng_below(r, s->plan.nsites);
	char text[40];

	if (rng_below(r, 3) == 0) {
		s->zone->is_sick[site] = !s->zone->is_sick[site];
		sim_fault(s, "dns-sick", SL(""));
		return;
	}
	s->zone->at[site][d] = (uint8_t)to;
	s->zone->may[to] |= UINT32_C(1) << site;
	s->marks->n[MARK_domain_moved]++;
	snprintf(text, sizeof(text), "d%u.g%u to site %u", (unsigned)d,
	    (unsigned)site, (unsigned)to);
	sim_fault(s, "dns-move", slice_str(text));
}

bool
sim_zone_may(const struct sim *s, uint32_t home, uint32_t site)
{
	return (s->zone->may[site] >> home & 1) != 0;
}
