/*
 * relay/core_policy.c - configuration to the engine's policy: texts become
 * names, the rest is copied.
 */
#include "conf/shaping.h"
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
	compile_layers(c, conf, p);
	p->retry = conf->retry;
	p->dns_retry_min_us = conf->dns_retry_min_us;
	p->dns_retry_max_us = conf->dns_retry_max_us;
	p->host_retry_min_us = conf->host_retry_min_us;
	p->host_retry_max_us = conf->host_retry_max_us;
	return p;
}
