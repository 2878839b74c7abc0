/*
 * relay/core_policy.c - configuration to the engine's policy: texts become
 * names, the rest is copied.
 */
#include "relay/core_i.h"

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
	p->nshapes = MIN(conf->nshapes, ENG_SHAPES_MAX);
	for (uint32_t i = 0; i < p->nshapes; i++)
		p->shapes[i] = conf->shapes[i].shape;
	p->ndests = MIN(p->nshapes, ENG_DESTS_MAX);
	for (uint32_t i = 1; i < p->ndests; i++) {
		p->dests[i].shape = (uint16_t)i;
		p->sets[i] = ENG_SETS_ALL;
	}
	p->retry = conf->retry;
	p->dns_retry_min_us = conf->dns_retry_min_us;
	p->dns_retry_max_us = conf->dns_retry_max_us;
	p->host_retry_min_us = conf->host_retry_min_us;
	p->host_retry_max_us = conf->host_retry_max_us;
	return p;
}
