/*
 * relay/core_policy.c - configuration to the engine's policy: texts become
 * names, the rest is copied.
 */
#include <stdio.h>
#include <stdlib.h>

#include "conf/shaping.h"
#include "relay/core_i.h"

/* The part of the net that a source's neighbours are taken for. */
static uint32_t
netblock(struct core *c, const struct ip *ip)
{
	struct cidr net = { .ip = *ip, .bits = ip->family == 4 ? 24 : 64 };
	char text[64];

	if (ip->family == 0)
		return 0;
	for (size_t i = net.bits / 8; i < sizeof(net.ip.b); i++)
		net.ip.b[i] = 0;
	return core_tag(c, slice_of(text, cidr_format(text, &net)));
}

/* The index of a plan + 1, 0 = none. */
static uint32_t
warmup_of(const struct conf *conf, struct slice name)
{
	for (uint32_t i = 0; i < MIN(conf->nwarmups, ENG_WARMUPS_MAX); i++)
		if (slice_eq(conf->warmups[i].name, name))
			return i + 1;
	return 0;
}

static void
compile_warmups(struct core *c, const struct conf *conf, struct eng_policy *p)
{
	p->nwarmups = MIN(conf->nwarmups, ENG_WARMUPS_MAX);
	for (uint32_t i = 0; i < p->nwarmups; i++) {
		const struct conf_warmup *in = &conf->warmups[i];
		struct eng_warmup_conf *out = &p->warmups[i];

		*out = (struct eng_warmup_conf){
			.name = core_tag(c, in->name),
			.zone = in->zone,
			.nstages = (uint16_t)in->nmost,
			.steps_back = in->steps_back,
			.prefers_engaged = in->prefers_engaged,
			.idle_days =
			    (uint32_t)(in->idle_us / (86400 * US_PER_S)),
			.hour_ppm = in->hour_ppm,
			.advance_ppm = in->advance_ppm,
			.defer_ppm = in->defer_ppm,
			.bounce_ppm = in->bounce_ppm,
			.complaint_ppm = in->complaint_ppm,
			.attempts_min = in->attempts_min,
		};
		memcpy(out->most, in->most, sizeof(out->most));
	}
}

static void
compile_sources(struct core *c, const struct conf *conf, struct eng_policy *p)
{
	p->nsources = MIN(conf->nsources, ENG_SOURCES_MAX);
	for (uint32_t i = 0; i < p->nsources; i++) {
		const struct conf_source *s = &conf->sources[i];
		bool is_any = s->address.family == 0;

		p->sources[i] = (struct eng_source_conf){
			.name = core_tag(c, s->name),
			.has_v4 =
			    conf->is_ipv4 && (is_any || s->address.family == 4),
			.has_v6 =
			    conf->is_ipv6 && (is_any || s->address.family == 6),
			.netblock = netblock(c, &s->address),
			.warmup = (uint16_t)warmup_of(conf, s->warmup),
			.warm_stage = (uint16_t)(MAX(s->warmup_stage, 1u) - 1),
			.warm_from_us = s->warmup_from_us,
			.hash = hash_bytes(0, s->name.p, s->name.n),
		};
	}
}

static void
compile_pools(struct core *c, const struct conf *conf, struct eng_policy *p)
{
	p->npools = MIN(conf->npools, ENG_POOLS_MAX);
	for (uint32_t i = 0; i < p->npools; i++) {
		const struct conf_pool *in = &conf->pools[i];
		struct eng_pool_conf *out = &p->pools[i];

		out->name = core_tag(c, in->name);
		out->nsources =
		    (uint16_t)MIN(in->nsources, ARRAY_LEN(out->sources));
		for (uint32_t k = 0; k < out->nsources; k++) {
			out->sources[k] = in->sources[k];
			out->weights[k] = in->weights[k];
		}
		out->is_sticky = in->is_sticky;
		for (uint32_t k = 0; k < p->npools && in->overflow.n; k++)
			if (slice_eq(conf->pools[k].name, in->overflow))
				out->overflow = (uint16_t)(k + 1);
	}
	p->default_pool = core_tag(c, conf->default_pool);
}

static void
compile_zones(struct core *c, const struct conf *conf, struct eng_policy *p)
{
	p->nzones = conf->nzones;
	for (uint32_t i = 0; i < p->nzones; i++) {
		p->zones[i].name = core_tag(c, conf->zones[i]->name);
		p->zones[i].zone = conf->zones[i]->zone;
	}
}

static int
by_name(const void *a, const void *b)
{
	const struct eng_tenant_conf *x = a, *y = b;

	return (x->name > y->name) - (x->name < y->name);
}

static int
by_tenant(const void *a, const void *b)
{
	const struct eng_campaign_conf *x = a, *y = b;

	if (x->tenant != y->tenant)
		return x->tenant > y->tenant ? 1 : -1;
	return (x->name > y->name) - (x->name < y->name);
}

static void
compile_tenants(struct core *c, const struct conf *conf, struct eng_policy *p)
{
	p->ntenants = conf->ntenants;
	for (uint32_t i = 0; i < p->ntenants; i++) {
		const struct conf_tenant *t = &conf->tenants[i];

		p->tenants[i] = (struct eng_tenant_conf){
			.name = i > 0 ? core_tag(c, t->name) : 0,
			.weight = t->weight,
			.zone = t->zone,
			.nquiet = (uint8_t)t->nquiet,
		};
		memcpy(p->tenants[i].quiet, t->quiet, sizeof(t->quiet));
		for (uint32_t k = 0; i > 0 && k < t->ncampaigns &&
		     p->ncampaigns < ENG_CAMPAIGNS_MAX;
		     k++)
			p->campaigns[p->ncampaigns++] =
			    (struct eng_campaign_conf){
				    .tenant = p->tenants[i].name,
				    .name = core_tag(c, t->campaigns[k].name),
				    .weight = t->campaigns[k].weight,
			    };
	}
	qsort(p->tenants + 1, p->ntenants - 1, sizeof(*p->tenants), by_name);
	qsort(p->campaigns, p->ncampaigns, sizeof(*p->campaigns), by_tenant);
}

/* ---- layers of limits -------------------------------------------------------- */

/* A configuration with more of them than fit is refused. */
static uint16_t
layer_add(const struct conf *conf, const struct conf_shape *s,
    struct eng_policy *p)
{
	uint32_t i = p->nshapes;

	if (i == ENG_SHAPES_MAX)
		return 0;
	p->sets[i] = conf_layer_sets(conf, s, &p->shapes[i]);
	return (uint16_t)p->nshapes++;
}

/* Where a layer stands in the policy; 0: it says nothing. */
static uint16_t
layer(const struct conf *conf, const struct conf_shape *s, struct eng_policy *p)
{
	return s->sets | s->unsets ? layer_add(conf, s, p) : 0;
}

static void
compile_pair(const struct conf *conf, uint32_t provider, uint32_t source,
    struct eng_policy *p)
{
	const struct conf_provider *in = &conf->providers[provider];

	for (uint32_t k = 0; k < in->nsources; k++)
		if (slice_eq(in->sources[k].pattern,
			conf->sources[source].name) &&
		    p->npairs < ENG_PAIRS_MAX)
			p->pairs[p->npairs++] =
			    (struct eng_pair_conf){ (uint16_t)provider,
				    (uint16_t)source,
				    layer(conf, &in->sources[k], p) };
}

static void
compile_providers(struct core *c, const struct conf *conf, struct eng_policy *p)
{
	p->nproviders = MIN(conf->nproviders, ENG_PROVIDERS_MAX);
	for (uint32_t i = 1; i < p->nproviders; i++) {
		p->providers[i] = (struct eng_provider_conf){
			.name = core_tag(c, conf->providers[i].name),
			.shape = layer(conf, &conf->providers[i].limits, p),
		};
		if (conf->providers[i].nsources == 0)
			continue;
		for (uint32_t k = 0; k < p->nsources; k++)
			compile_pair(conf, i, k, p);
	}
}

static void
compile_layers(struct core *c, const struct conf *conf, struct eng_policy *p)
{
	p->nshapes = 1;
	p->shapes[0] = conf->shapes[0].shape;
	compile_providers(c, conf, p);
	p->ndests = MIN(conf->nshapes, ENG_DESTS_MAX);
	for (uint32_t i = 1; i < p->ndests; i++)
		p->dests[i].shape = layer(conf, &conf->shapes[i], p);
	/* These are named by their index there, and stand in a row. */
	c->sites_at = p->nshapes;
	for (uint32_t i = 1; i < conf->nsites; i++)
		(void)layer_add(conf, &conf->sites[i], p);
	for (uint32_t i = 0; i < p->nsources; i++)
		p->sources[i].shape = layer(conf, &conf->source_shapes[i], p);
}

/* ---- limits on tuples ---------------------------------------------------------- */

static struct eng_rate
rate(uint64_t count, int64_t period_us, uint64_t burst)
{
	uint64_t a = count, b = (uint64_t)period_us;

	while (b != 0) {
		uint64_t r = a % b;

		a = b;
		b = r;
	}
	if (count == 0)
		return (struct eng_rate){ 0, 0, 0 };
	return (struct eng_rate){ count / a, burst, period_us / (int64_t)a };
}

static uint64_t
size_most(const struct conf *conf)
{
	uint64_t most = conf->listen_default.smtp.size_max;

	for (uint32_t i = 0; i < conf->nlisten; i++)
		most = MAX(most, conf->listen[i].smtp.size_max);
	return most;
}

static void
compile_caps(struct core *c, const struct conf *conf, struct eng_policy *p)
{
	p->ncaps = MIN(conf->ncaps, ENG_CAPS_MAX);
	for (uint32_t i = 0; i < p->ncaps; i++) {
		const struct conf_limit *in = &conf->caps[i];
		struct eng_limit_conf *out = &p->caps[i];

		out->name = core_tag(c, in->name);
		for (uint32_t k = 0; k < in->nper; k++)
			out->dims |= (uint16_t)(1u << in->per[k]);
		for (int d = 0; d < DIM_N; d++)
			out->where[d] = d == DIM_TENANT || d == DIM_CAMPAIGN ||
				d == DIM_SOURCE || d == DIM_POOL ||
				d == DIM_PROVIDER ?
			    core_tag(c, in->where[d]) :
			    core_tag_lower(c, in->where[d]);
		out->zone = in->zone;
		out->conns_max = in->conns_max;
		out->conns =
		    rate(in->conn_rate, in->conn_period_us, in->conn_burst);
		out->ramp = rate(in->ramp, in->ramp_period_us, in->ramp_start);
		out->msgs = rate(in->rate, in->period_us, in->burst);
		out->rcpts =
		    rate(in->rcpt_rate, in->rcpt_period_us, in->rcpt_burst);
		out->bytes = rate(in->byte_rate, in->byte_period_us,
		    in->byte_burst ? in->byte_burst : size_most(conf));
		out->quota = in->quota;
		out->quota_us = in->quota_us;
		c->cap_dims |= out->dims;
		for (int d = 0; d < DIM_N; d++)
			if (out->where[d] != 0)
				c->cap_dims |= 1u << d;
	}
}

/* All that goes to a provider together is a limit on a tuple. */
static void
compile_cap(struct core *c, const struct conf_provider *in,
    const struct conf_cap *cap, uint32_t dims, struct eng_policy *p)
{
	struct eng_limit_conf *out = &p->caps[p->ncaps];
	char name[MAILBOX_MAX + 1];
	int n;

	if ((cap->conns_max == 0 && cap->rate_count == 0) ||
	    p->ncaps == ENG_CAPS_MAX)
		return;
	n = snprintf(name, sizeof(name), "provider %.*s%s", SLF(in->name),
	    dims != 0 ? ", each source" : "");
	p->ncaps++;
	c->cap_dims |= dims | 1u << DIM_PROVIDER;
	out->name = core_tag(c, slice_of(name, (size_t)n));
	out->dims = (uint16_t)dims;
	out->where[DIM_PROVIDER] = core_tag(c, in->name);
	out->conns_max = cap->conns_max;
	if (cap->rate_count != 0)
		out->msgs = (struct eng_rate){ .count = cap->rate_count,
			.burst = 1,
			.period_us = cap->rate_period_us };
}

static void
compile_provider_caps(struct core *c, const struct conf *conf,
    struct eng_policy *p)
{
	for (uint32_t i = 1; i < p->nproviders; i++) {
		const struct conf_provider *in = &conf->providers[i];

		compile_cap(c, in, &in->source, 1u << DIM_SOURCE, p);
		compile_cap(c, in, &in->total, 0, p);
	}
}

/* ---- reactions ----------------------------------------------------------------- */

static void
compile_automations(struct core *c, const struct conf *conf,
    struct eng_policy *p)
{
	p->nautomations = MIN(conf->nautomations, ENG_AUTOMATIONS_MAX);
	for (uint32_t i = 0; i < p->nautomations; i++) {
		const struct conf_automation *in = &conf->automations[i];
		struct eng_automation_conf *out = &p->automations[i];

		out->name = core_tag(c, in->name);
		out->action = in->action;
		out->goes_on = in->goes_on;
		out->ramps = !in->opens_at_once;
		out->for_us = in->for_us;
		out->count = in->ratio_ppm == 0 ? in->count : 0;
		out->ratio_ppm = in->ratio_ppm;
		out->replies_min = in->replies_min;
		out->value = in->action == ACT_CONNS ? in->conns_max :
		    in->action == ACT_SLOW           ? in->factor_ppm :
						       0;
		out->period_us = in->ratio_ppm ? in->window_us : in->period_us;
		out->dims = conf_automation_dims(in);
		c->cap_dims |= out->dims & 1u << DIM_SENDER_DOMAIN;
		for (uint32_t k = 0; k < in->ncategories; k++)
			out->categories |= 1u
			    << category_find(in->categories[k]);
		for (uint32_t k = 0; k < in->nkinds; k++)
			out->kinds |= 1u << kind_find(in->kinds[k]);
		for (uint32_t k = 1; k < p->nproviders; k++)
			for (uint32_t n = 0; n < in->nproviders; n++)
				if (slice_eq(conf->providers[k].name,
					in->providers[n]))
					out->providers[k / 64] |= UINT64_C(1)
					    << (k % 64);
	}
}

struct eng_policy *
core_policy_compile(struct core *c, const struct conf *conf)
{
	struct eng_policy *p = mem_try(sizeof(*p));

	if (!p)
		return NULL;
	eng_policy_default(p);
	p->generation = ++c->generation;
	compile_sources(c, conf, p);
	compile_pools(c, conf, p);
	compile_zones(c, conf, p);
	compile_warmups(c, conf, p);
	compile_layers(c, conf, p);
	c->cap_dims = 0;
	compile_caps(c, conf, p);
	compile_provider_caps(c, conf, p);
	compile_tenants(c, conf, p);
	compile_automations(c, conf, p);
	p->retry = conf->retry;
	p->dns_retry_min_us = conf->dns_retry_min_us;
	p->dns_retry_max_us = conf->dns_retry_max_us;
	p->host_retry_min_us = conf->host_retry_min_us;
	p->host_retry_max_us = conf->host_retry_max_us;
	return p;
}
