/*
 * sim/host_meters.c - the daemon's limits on tuples: what leaves is told to the
 * referee, and what the daemon says that its limits count is compared with what
 * the referee has counted.
 */
#include <stdio.h>

#include "engine/usage.h"
#include "sim/host_i.h"

static uint32_t
number_of(struct slice name)
{
	return name.n == 2 ? (uint32_t)(name.p[1] - '0') : MET_UNKNOWN;
}

void
host_meters_opened(struct sim *s, const struct core_open *o, uint32_t site,
    uint32_t host)
{
	uint32_t source = number_of(o->source_name);
	struct met_who w = { .val = { [MET_SOURCE] = source,
				 [MET_NETBLOCK] = plan_netblock(source),
				 [MET_SITE] = plan_place(s, site, o->domain),
				 [MET_HOST] = site * SIM_HOSTS + host,
				 [MET_PROVIDER] = plan_provider(site) } };

	met_opened(s->meters, o->session, &w, s->now_us, sim_wall(s));
}

/* The ledger takes no name for the fourth. */
static uint32_t
known(uint32_t number)
{
	return number == 3 ? MET_UNKNOWN : number;
}

void
host_meters_assigned(struct sim *s, const struct job *j)
{
	struct led_flow f = { 3, 3, 3, true, 0, 0, false };
	struct met_who w = { .nrcpts = j->n };

	led_flow(s->ledger, &j->id, &f);
	w.val[MET_TENANT] = known(f.tenant);
	w.val[MET_CAMPAIGN] = known(f.campaign);
	w.val[MET_POOL] = known(f.pool);
	w.val[MET_SENDER] = f.is_null ? MET_NONE : f.sender;
	w.bytes = f.bytes;
	met_assigned(s->meters, j->session, j->txn, &w, s->now_us, sim_wall(s));
}

/* ---- what the daemon says ------------------------------------------------------ */

/* "d1.g3.example", or a host of that site. */
static bool
place(struct slice name, unsigned *number, unsigned *site)
{
	char text[64];

	slice_copy(name, text, sizeof(text));
	return sscanf(text, "%*[a-z]%u.g%u.example", number, site) == 2;
}

/* Are there sites whose names do not tell which they are? */
static bool
sites_hide(const struct sim *s)
{
	return s->plan.apart != 0 ||
	    (s->plan.entries != 0 && sim_has(s, SIM_F_dns_move));
}

/* A site has the name of its best host, of the entry of its domains or, not rolled
 * up, of its domain. */
static uint32_t
site_of(const struct sim *s, struct slice name)
{
	unsigned number, site;
	char text[64];

	if (sites_hide(s))
		return MET_UNKNOWN;
	slice_copy(name, text, sizeof(text));
	if (sscanf(text, "*.g%u.example", &site) == 1)
		return plan_place_of(s, site, site);
	return place(name, &number, &site) ? site : MET_UNKNOWN;
}

/* UINT32_MAX: what the referee has no number for. */
static uint32_t
value(const struct sim *s, enum met_val v, struct slice name)
{
	unsigned number = 0, site = 0, block;
	struct ip ip;
	char text[64];

	switch (v) {
	case MET_TENANT:
	case MET_CAMPAIGN:
	case MET_POOL:
		return known(number_of(name));
	case MET_SENDER:
		return place(name, &number, &site) ?
		    site * SIM_DOMAINS + number :
		    MET_UNKNOWN;
	case MET_SITE:
		return site_of(s, name);
	case MET_NETBLOCK:
		slice_copy(name, text, sizeof(text));
		return sscanf(text, "10.0.%u.0/24", &block) == 1 ? block :
								   MET_UNKNOWN;
	case MET_HOST:
		return ip_parse(name, &ip) == 0 &&
			peer_of_ip(&ip, &site, &number) ?
		    site * SIM_HOSTS + number :
		    MET_UNKNOWN;
	default:
		return number_of(name);
	}
}

static void
on_row(void *ctx, struct slice limit, const struct slice name[DIM_N],
    const struct eng_limit_row *r)
{
	struct sim *s = ctx;
	uint32_t val[MET_VALS];

	for (int v = 0; v < MET_VALS; v++) {
		struct slice n = name[met_dim((enum met_val)v)];

		val[v] = n.n ? value(s, (enum met_val)v, n) : MET_NONE;
	}
	met_said(s->meters, limit, val, r->conns.now);
}

/* A path that its receiver slows down goes as slowly as its floor, and not
 * slower. */
static void
on_path(void *ctx, struct slice source, struct slice host,
    const struct eng_path_view *p)
{
	struct sim *s = ctx;
	unsigned number, site;
	struct eng_shape shape;
	int64_t most_us;

	if (p->why != WHY_SLOWED || !place(host, &number, &site))
		return;
	shape = plan_shape(s, site, number_of(source));
	s->marks->n[MARK_slowed]++;
	if (shape.floor_count == 0)
		return;
	most_us = shape.floor_period_us / shape.floor_count + US_PER_S;
	if (p->until_us > s->now_us + most_us)
		check_fail("a slowed path keeps its floor", 0,
		    "source %.*s may not send to site %u for %.3f s|its floor "
		    "is %u in %.3f s",
		    SLF(source), site,
		    (double)(p->until_us - s->now_us) / US_PER_S,
		    shape.floor_count,
		    (double)shape.floor_period_us / US_PER_S);
}

void
host_meters_audit(struct sim *s, struct core *core)
{
	core_limit_rows(core, on_row, s);
	met_all_said(s->meters, sites_hide(s));
	for (uint32_t i = 0; i < s->plan.nsources; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%u", i);
		core_path_rows(core, slice_str(name), on_path, s);
	}
}
