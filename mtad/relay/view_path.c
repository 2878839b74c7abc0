/*
 * relay/view_path.c - the limits that the running configuration gives the paths
 * of a domain's mail, and where each was written; GET /v1/path.
 */
#include "conf/shaping.h"
#include "relay/core_i.h"
#include "relay/view_i.h"

#define GROUPS_MAX 16 /* of sources that are not alike */

/* Sources of a pool whose paths have the same limits, from the same places. */
struct group {
	struct conf_limits limits;
	uint32_t n;
	uint16_t sources[CONF_POOL_SOURCES_MAX];
};

static bool
same_limits(const struct conf_limits *a, const struct conf_limits *b)
{
	for (uint32_t k = 0; k < CONF_SHAPE_BITS; k++) {
		char one[64], two[64];

		if (conf_limit_name(k) == NULL)
			continue;
		conf_limit_text(a, k, one);
		conf_limit_text(b, k, two);
		if (strcmp(one, two) != 0 ||
		    a->from[k].at.line != b->from[k].at.line ||
		    a->from[k].at.file != b->from[k].at.file)
			return false;
	}
	return true;
}

/* False: more of them are unlike than are told. */
static bool
group_add(struct group *v, uint32_t *n, const struct conf_limits *l,
    uint16_t source)
{
	uint32_t i = 0;

	while (i < *n && !same_limits(&v[i].limits, l))
		i++;
	if (i == GROUPS_MAX)
		return false;
	if (i == *n) {
		v[i].limits = *l;
		v[i].n = 0;
		++*n;
	}
	v[i].sources[v[i].n++] = source;
	return true;
}

static void
put_limit(struct jsonw *w, const struct conf *c, const struct conf_limits *l,
    uint32_t bit)
{
	const struct conf_value *v = &l->from[bit];
	char text[64];

	conf_limit_text(l, bit, text);
	jw_open(w, '{');
	jw_kstr(w, "name", slice_str(conf_limit_name(bit)));
	jw_kstr(w, "value", slice_str(text));
	jw_kstr(w, "layer", slice_str(conf_layer_name(v->layer)));
	jw_kstr(w, "file", v->at.line ? c->files[v->at.file] : SL(""));
	jw_ku64(w, "line", v->at.line);
	jw_close(w, '}');
}

static void
put_group(struct jsonw *w, const struct conf *c, const struct group *g)
{
	jw_open(w, '{');
	jw_key(w, "sources");
	jw_open(w, '[');
	for (uint32_t i = 0; i < g->n; i++)
		jw_str(w, c->sources[g->sources[i]].name);
	jw_close(w, ']');
	jw_key(w, "limits");
	jw_open(w, '[');
	for (uint32_t k = 0; k < CONF_SHAPE_BITS; k++)
		if (conf_limit_name(k) != NULL)
			put_limit(w, c, &g->limits, k);
	jw_close(w, ']');
	jw_close(w, '}');
}

static void
put_groups(struct jsonw *w, const struct conf *c, const struct conf_place *p,
    const struct conf_pool *pool)
{
	struct group *v = mem_get(GROUPS_MAX * sizeof(*v));
	bool is_whole = true;
	uint32_t n = 0;

	for (uint32_t i = 0; i < pool->nsources; i++) {
		struct conf_limits l;

		conf_limits(c, p, pool->sources[i], &l);
		is_whole &= group_add(v, &n, &l, pool->sources[i]);
	}
	jw_key(w, "paths");
	jw_open(w, '[');
	for (uint32_t i = 0; i < n; i++)
		put_group(w, c, &v[i]);
	jw_close(w, ']');
	jw_kbool(w, "is_whole", is_whole);
	mem_free(v);
}

static void
put_caps(struct jsonw *w, const struct conf *c, uint32_t provider)
{
	jw_key(w, "provider_limits");
	jw_open(w, '[');
	for (uint32_t i = 0; i < CONF_CAP_KEYS; i++) {
		struct conf_cap_value v;

		if (!conf_cap_value(&c->providers[provider], i, &v))
			continue;
		jw_open(w, '{');
		jw_kstr(w, "name", slice_str(v.name));
		jw_kstr(w, "value", slice_str(v.text));
		jw_kstr(w, "layer", SL("provider"));
		jw_kstr(w, "file", c->files[v.at.file]);
		jw_ku64(w, "line", v.at.line);
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

static const struct conf_pool *
pool_of(const struct conf *c, struct slice name)
{
	if (name.n == 0)
		name = c->default_pool;
	for (uint32_t i = 0; i < c->npools; i++)
		if (slice_eq(c->pools[i].name, name))
			return &c->pools[i];
	return NULL;
}

int
core_view_path(const struct core *c, struct slice domain, struct slice pool,
    struct buf *out)
{
	uint32_t id = names_find(&c->names, domain), n, nbest = 0;
	uint32_t hosts[ENG_TARGETS_MAX];
	struct slice text[ENG_TARGETS_MAX];
	const struct conf_pool *from = pool_of(c->conf, pool);
	struct conf_place p;
	struct jsonw w;

	n = id != 0 ? eng_domain_hosts(c->eng, id, hosts, &nbest) : 0;
	for (uint32_t i = 0; i < MIN(n, nbest); i++)
		text[i] = names_text(&c->names, hosts[i]);
	conf_place(c->conf, domain, text, nbest, &p);
	jw_init(&w, out);
	jw_open(&w, '{');
	jw_kstr(&w, "domain", domain);
	jw_kstr(&w, "pool", from != NULL ? from->name : pool);
	jw_key(&w, "hosts");
	jw_open(&w, '[');
	for (uint32_t i = 0; i < nbest; i++)
		jw_str(&w, text[i]);
	jw_close(&w, ']');
	jw_kstr(&w, "provider", c->conf->providers[p.provider].name);
	put_caps(&w, c->conf, p.provider);
	if (from != NULL)
		put_groups(&w, c->conf, &p, from);
	jw_close(&w, '}');
	return out->failed ? E_FULL : 0;
}
