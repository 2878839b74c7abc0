/*
 * conf/shaping.c - reads shaping files and merges what they say with what the
 * configuration says.
 *
 * Each file is read into a struct conf_shaping of its own; then they are laid
 * over each other, the shipped one first and the configuration last. Of domains
 * and sites the entries of a later file stand before those of an earlier one,
 * since the first that matches counts.
 */
#include <stdio.h>
#include <unistd.h>

#include "conf/classify.h"
#include "conf/conf_i.h"
#include "conf/shaping.h"

/* ---- one file ------------------------------------------------------------ */

/* The limits of struct eng_shape by their place. */
static const uint32_t limit_at[ENG_SHAPE_BITS] = {
#define X(name, type, dflt) offsetof(struct eng_shape, name),
	ENG_SHAPE_TABLE(X)
#undef X
};

/* The rest, by their place in struct conf_shape. */
static const struct {
	uint32_t at, bit;
} other_at[] = {
	{ offsetof(struct conf_shape, rollup), CONF_ROLLUP_BIT },
	{ offsetof(struct conf_shape, tls.mode), CONF_TLS_BIT },
	{ offsetof(struct conf_shape, tls.min), CONF_TLS_MIN_BIT },
	{ offsetof(struct conf_shape, tls.ciphers), CONF_TLS_CIPHERS_BIT },
	{ offsetof(struct conf_shape, tls.name), CONF_TLS_NAME_BIT },
	{ offsetof(struct conf_shape, tls.is_implicit), CONF_TLS_IMPLICIT_BIT },
	{ offsetof(struct conf_shape, tls.cert), CONF_TLS_CERT_BIT },
	{ offsetof(struct conf_shape, tls.key), CONF_TLS_KEY_BIT },
	{ offsetof(struct conf_shape, tls.chunks), CONF_CHUNKING_BIT },
	{ offsetof(struct conf_shape, tls.bounces_8bit), CONF_8BIT_BIT },
};

static uint32_t
bit_at(const struct opt_group *g, uint32_t at)
{
	uint32_t base = g->shape_at + offsetof(struct conf_shape, shape);

	for (uint32_t i = 0; i < ENG_SHAPE_BITS; i++)
		if (at == base + limit_at[i])
			return 1u << i;
	return 0;
}

uint32_t
shape_bits(const struct opt_group *g, const struct opt *o)
{
	if (o->type == OPT_GROUP || o->type == OPT_MAP || o->list_max != 0)
		return 0;
	for (uint32_t i = 0; i < ARRAY_LEN(other_at); i++)
		if (o->at == g->shape_at + other_at[i].at)
			return 1u << other_at[i].bit;
	return bit_at(g, o->at) |
	    (o->type == OPT_RATE ? bit_at(g, o->also) : 0);
}

void
shape_mark(const struct opt_group *g, struct conf_shape *s,
    const struct yaml_node *map, uint16_t file)
{
	for (uint32_t i = 0; i < g->n; i++) {
		const struct opt *o = &g->opts[i];
		uint32_t at = yaml_find(map, slice_str(o->name));
		uint32_t bits = shape_bits(g, o);

		if (at == map->n || bits == 0)
			continue;
		if (map->items[at]->is_null)
			s->unsets |= bits;
		else
			s->sets |= bits;
		for (uint32_t k = 0; k < CONF_SHAPE_BITS; k++)
			if (bits & (1u << k))
				s->at[k] =
				    (struct conf_origin){ map->key_lines[at],
					    file };
	}
}

struct part {
	struct yaml_doc *doc; /* NULL: of the configuration itself */
	const struct yaml_node *root;
	struct conf_shaping says;
	bool is_own;
};
struct parts {
	struct conf *conf;
	struct complaints *c;
	struct conf_errors *errs;
	uint32_t n;
	struct part v[CONF_SHAPING_MAX + 2];
};

static bool
has_source(const struct conf *c, struct slice name)
{
	for (uint32_t i = 0; i < c->nsources; i++)
		if (slice_eq(c->sources[i].name, name))
			return true;
	return false;
}

/* A file may serve several hosts, whose sources are not the same. */
static void
check_sources(const struct conf *conf, const struct yaml_node *map,
    struct complaints *c)
{
	if (map == NULL || map->kind != YAML_MAP)
		return;
	for (uint32_t i = 0; i < map->n; i++)
		if (!has_source(conf, map->keys[i]))
			complain_warn(c,
			    (struct place){ map->key_lines[i],
				map->key_columns[i] },
			    "source", "one that the configuration has",
			    map->keys[i]);
}

static void
check_part(const struct conf *conf, const struct yaml_node *root,
    struct complaints *c)
{
	const struct yaml_node *all = yaml_get(root, "provider");

	check_sources(conf, yaml_get(root, "source"), c);
	if (all == NULL || all->kind != YAML_MAP)
		return;
	for (uint32_t i = 0; i < all->n; i++)
		check_sources(conf, yaml_get(all->items[i], "source"), c);
}

static void
read_text(struct parts *p, struct slice name, struct slice text,
    struct complaints *c)
{
	struct part *x = &p->v[p->n];

	x->doc = yaml_read(name.p, text, c);
	if (x->doc == NULL)
		return;
	x->root = yaml_root(x->doc);
	conf_read_group(p->conf, &shaping_options, &x->says, x->root,
	    (uint16_t)(p->conf->nfiles - 1), c);
	for (uint32_t i = 0; i < x->says.nproviders; i++)
		x->says.providers[i].at.file = (uint16_t)(p->conf->nfiles - 1);
	check_part(p->conf, x->root, c);
	p->n++;
}

/* A file, or with text.p set what stands for it. */
static void
read_file(struct parts *p, const char *path, struct slice text)
{
	struct conf *conf = p->conf;
	struct slice *name = &conf->files[conf->nfiles++];
	struct complaints c;
	struct buf b;

	name->p = arena_str(&conf->arena, path, strlen(path));
	ASSERT(name->p != NULL);
	name->n = strlen(path);
	buf_init(&b, YAML_BYTES_MAX + 1);
	complaints_init(&c, name->p);
	if (text.p != NULL)
		read_text(p, *name, text, &c);
	else if (file_read(path, &b, &c))
		read_text(p, *name, buf_slice(&b), &c);
	complaints_flush(&c, p->errs);
	buf_free(&b);
}

static void
read_all(struct parts *p, const struct conf_shaping_in *in)
{
	const struct conf *conf = p->conf;
	char shipped[4096];

	if (in->reads_files && conf->shaping_shipped) {
		conf_shipped("shaping.yml", shipped, sizeof(shipped));
		/* Mail goes out without it too, by the default limits. */
		if (access(shipped, R_OK) == 0)
			read_file(p, shipped, slice_of(NULL, 0));
		else
			complain_warn(p->c, (struct place){ 1, 1 },
			    "shaping_shipped", "its file to be readable",
			    slice_str(shipped));
	}
	for (uint32_t i = 0; i < conf->nshaping && in->reads_files; i++)
		read_file(p, conf->shaping[i].p, slice_of(NULL, 0));
	for (uint32_t i = 0; i < MIN(in->n, (uint32_t)CONF_SHAPING_MAX); i++)
		read_file(p, in->names[i], in->texts[i]);
}

/* ---- laying one over the other ------------------------------------------- */

static void
copy_limit(struct conf_shape *to, const struct conf_shape *from, uint32_t bit)
{
	if (bit == CONF_ROLLUP_BIT)
		to->rollup = from->rollup;
	conf_tls_copy(&to->tls, &from->tls, bit);
#define X(name, type, dflt)                                                    \
	if (bit == ENG_SHAPE_BIT(name))                                        \
		to->shape.name = from->shape.name;
	ENG_SHAPE_TABLE(X)
#undef X
}

static void
lay_over(struct conf_shape *to, const struct conf_shape *by)
{
	for (uint32_t k = 0; k < CONF_SHAPE_BITS; k++) {
		uint32_t bit = 1u << k;

		if (!((by->sets | by->unsets) & bit))
			continue;
		to->sets = (to->sets & ~bit) | (by->sets & bit);
		to->unsets = (to->unsets & ~bit) | (by->unsets & bit);
		to->at[k] = by->at[k];
		copy_limit(to, by, k);
	}
}

/* A list of entries that grows at its front. */
struct entries {
	uint32_t n;
	struct conf_shape *v;
};

static uint32_t
entries_find(const struct entries *l, struct slice pattern)
{
	uint32_t i = 0;

	while (i < l->n && !slice_ieq(l->v[i].pattern, pattern))
		i++;
	return i;
}

static void
entries_remove(struct entries *l, uint32_t i)
{
	l->n--;
	memmove(&l->v[i], &l->v[i + 1], (l->n - i) * sizeof(*l->v));
}

static void
entries_unset(struct entries *l, const struct yaml_node *map)
{
	if (map == NULL || map->kind != YAML_MAP)
		return;
	for (uint32_t i = 0; i < map->n; i++) {
		uint32_t at = entries_find(l, map->keys[i]);

		if (map->items[i]->is_null && at < l->n)
			entries_remove(l, at);
	}
}

/* What v says goes before what is there, and over it where both speak of the
 * same; map is where it was written. */
static void
entries_merge(struct conf *conf, struct entries *l, const struct conf_shape *v,
    uint32_t n, const struct yaml_node *map)
{
	struct entries to = { .n = n };

	entries_unset(l, map);
	if (n == 0)
		return;
	to.v = arena_get(&conf->arena, (l->n + n) * sizeof(*to.v));
	ASSERT(to.v != NULL);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = entries_find(l, v[i].pattern);

		to.v[i].pattern = v[i].pattern;
		if (at < l->n) {
			to.v[i] = l->v[at];
			entries_remove(l, at);
		}
		lay_over(&to.v[i], &v[i]);
	}
	if (l->n > 0)
		memcpy(&to.v[n], l->v, l->n * sizeof(*to.v));
	to.n += l->n;
	*l = to;
}

/* ---- providers ----------------------------------------------------------- */

struct providers {
	uint32_t n;
	struct conf_provider *v;
};

static uint32_t
provider_find(const struct providers *l, struct slice name)
{
	uint32_t i = 0;

	while (i < l->n && !slice_eq(l->v[i].name, name))
		i++;
	return i;
}

static void
suffixes_lay(struct slice *to, uint32_t *nto, const struct slice *by,
    uint32_t nby, const struct yaml_node *node)
{
	if (node != NULL && node->is_null)
		*nto = 0;
	if (nby == 0)
		return;
	memcpy(to, by, nby * sizeof(*to));
	*nto = nby;
}

/* The limits of providers as a whole: key, and where it stands in a cap. */
static const struct {
	const char *name;
	size_t cap;
	bool is_rate;
} cap_keys[] = {
	{ "source_connections", offsetof(struct conf_provider, source), false },
	{ "source_rate", offsetof(struct conf_provider, source), true },
	{ "total_connections", offsetof(struct conf_provider, total), false },
	{ "total_rate", offsetof(struct conf_provider, total), true },
};

static void
cap_lay(struct conf_provider *provider, const struct conf_provider *says,
    const struct yaml_node *map, size_t i)
{
	struct conf_cap *to = (void *)((char *)provider + cap_keys[i].cap);
	const struct conf_cap *by =
	    (const void *)((const char *)says + cap_keys[i].cap);
	uint32_t key = yaml_find(map, slice_str(cap_keys[i].name));
	struct conf_origin at = { .file = says->at.file };

	if (key == map->n)
		return;
	at.line = map->key_lines[key];
	if (cap_keys[i].is_rate) {
		to->rate_count = by->rate_count;
		to->rate_period_us = by->rate_period_us;
		to->rate_at = at;
	} else {
		to->conns_max = by->conns_max;
		to->conns_at = at;
	}
}

static void
provider_lay(struct conf *conf, struct conf_provider *to,
    const struct conf_provider *by, const struct yaml_node *map)
{
	struct entries sources = { to->nsources, to->sources };

	to->name = by->name;
	suffixes_lay(to->mx, &to->nmx, by->mx, by->nmx, yaml_get(map, "mx"));
	suffixes_lay(to->domains, &to->ndomains, by->domains, by->ndomains,
	    yaml_get(map, "domains"));
	suffixes_lay(to->hosts, &to->nhosts, by->hosts, by->nhosts,
	    yaml_get(map, "hosts"));
	for (size_t i = 0; i < ARRAY_LEN(cap_keys); i++)
		cap_lay(to, by, map, i);
	lay_over(&to->limits, &by->limits);
	entries_merge(conf, &sources, by->sources, by->nsources,
	    yaml_get(map, "source"));
	to->sources = sources.v;
	to->nsources = sources.n;
}

static void
providers_remove(struct providers *l, uint32_t i)
{
	l->n--;
	memmove(&l->v[i], &l->v[i + 1], (l->n - i) * sizeof(*l->v));
}

static void
providers_unset(struct providers *l, const struct yaml_node *map)
{
	for (uint32_t i = 0; i < map->n; i++) {
		uint32_t at = provider_find(l, map->keys[i]);

		if (map->items[i]->is_null && at < l->n)
			providers_remove(l, at);
	}
}

static void
providers_merge(struct conf *conf, struct providers *l,
    const struct conf_provider *v, uint32_t n, const struct yaml_node *map)
{
	struct providers to = { .n = n };

	if (map == NULL || map->kind != YAML_MAP)
		return;
	providers_unset(l, map);
	if (n == 0)
		return;
	to.v = arena_get(&conf->arena, (l->n + n) * sizeof(*to.v));
	ASSERT(to.v != NULL);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = provider_find(l, v[i].name);
		uint32_t key = yaml_find(map, v[i].name);

		if (at < l->n) {
			to.v[i] = l->v[at];
			providers_remove(l, at);
		}
		if (key == map->n)
			continue; /* no name that can be read */
		provider_lay(conf, &to.v[i], &v[i], map->items[key]);
		to.v[i].at =
		    (struct conf_origin){ map->key_lines[key], v[i].at.file };
	}
	if (l->n > 0)
		memcpy(&to.v[n], l->v, l->n * sizeof(*to.v));
	to.n += l->n;
	*l = to;
}

/* ---- the whole ----------------------------------------------------------- */

static void
too_many(const struct parts *p, const char *what, uint32_t most, uint32_t n)
{
	char expected[80], got[16];

	if (n <= most)
		return;
	snprintf(expected, sizeof(expected), "at most %u in all files", most);
	snprintf(got, sizeof(got), "%u", n);
	complain(p->c, (struct place){ 1, 1 }, what, expected, slice_str(got));
}

/* Default and domains: conf.shapes. */
static void
put_domains(struct parts *p, const struct entries *l)
{
	struct conf *conf = p->conf;
	struct conf_shape builtin = { .rollup = true, .tls.chunks = true };
	struct conf_shape all;

	all = (struct conf_shape){ .pattern = SL("*") };
	for (uint32_t i = 0; i < p->n; i++)
		lay_over(&all, &p->v[i].says.dflt);
	eng_shape_default(&builtin.shape);
	builtin.tls.mode =
	    conf->tls_out ? CONF_TLS_OPPORTUNISTIC : CONF_TLS_NONE;
	for (uint32_t k = 0; k < CONF_SHAPE_BITS; k++)
		if (!(all.sets & (1u << k)))
			copy_limit(&all, &builtin, k);
	conf->shapes =
	    arena_get(&conf->arena, (l->n + 1) * sizeof(*conf->shapes));
	ASSERT(conf->shapes != NULL);
	conf->shapes[0] = all;
	conf->nshapes = l->n + 1;
	for (uint32_t i = 0; i < l->n; i++) {
		struct conf_shape *s = &conf->shapes[i + 1];

		*s = l->v[i];
		for (uint32_t k = 0; k < CONF_SHAPE_BITS; k++)
			if (!(s->sets & (1u << k)))
				copy_limit(s, &all, k);
	}
	too_many(p, "limits", ENG_DESTS_MAX - 1, l->n);
}

static uint32_t
caps_of(const struct conf_cap *c)
{
	return c->conns_max != 0 || c->rate_count != 0;
}

static void
put_providers(struct parts *p, const struct providers *l)
{
	struct conf *conf = p->conf;
	uint32_t npairs = 0, ncaps = conf->ncaps;

	conf->providers =
	    arena_get(&conf->arena, (l->n + 1) * sizeof(*conf->providers));
	ASSERT(conf->providers != NULL);
	conf->providers[0] = (struct conf_provider){ .nmx = 0 };
	if (l->n > 0)
		memcpy(&conf->providers[1], l->v, l->n * sizeof(*l->v));
	conf->nproviders = l->n + 1;
	for (uint32_t i = 0; i < l->n; i++) {
		npairs += l->v[i].nsources;
		ncaps += caps_of(&l->v[i].source) + caps_of(&l->v[i].total);
	}
	too_many(p, "provider", ENG_PROVIDERS_MAX - 1, l->n);
	too_many(p, "sources of providers", ENG_PAIRS_MAX, npairs);
	too_many(p, "limit, and limits of whole providers", ENG_CAPS_MAX,
	    ncaps);
}

static void
put_sites(struct parts *p, const struct entries *l)
{
	struct conf *conf = p->conf;

	conf->sites =
	    arena_get(&conf->arena, (l->n + 1) * sizeof(*conf->sites));
	ASSERT(conf->sites != NULL);
	conf->sites[0] = (struct conf_shape){ .sets = 0 };
	if (l->n > 0)
		memcpy(&conf->sites[1], l->v, l->n * sizeof(*l->v));
	conf->nsites = l->n + 1;
	too_many(p, "site", ENG_DESTS_MAX - 1, l->n);
}

static void
put_sources(struct conf *conf, const struct entries *l)
{
	conf->source_shapes = arena_get(&conf->arena,
	    (conf->nsources + 1) * sizeof(*conf->source_shapes));
	ASSERT(conf->source_shapes != NULL);
	for (uint32_t i = 0; i < conf->nsources; i++) {
		uint32_t at = entries_find(l, conf->sources[i].name);

		conf->source_shapes[i] =
		    at < l->n ? l->v[at] : (struct conf_shape){ .sets = 0 };
	}
}

const struct conf_shape *
conf_tls_place(const struct conf *c, uint32_t i, const char **where)
{
	const struct conf_shape *s = NULL;
	const char *name = NULL;

	if (i < c->nshapes) {
		s = &c->shapes[i];
		name = s->pattern.p;
	} else if ((i -= c->nshapes) < c->nsites) {
		s = &c->sites[i];
		name = s->pattern.p;
	} else if ((i -= c->nsites) < c->nproviders) {
		s = &c->providers[i].limits;
		name = c->providers[i].name.p;
	} else if ((i -= c->nproviders) < c->nroutes) {
		s = &c->routes[i].says;
		name = c->routes[i].pattern.p;
	}
	if (where != NULL)
		*where = name;
	return s;
}

/* Does any place ask for more than what is done for everybody? */
static bool
has_tls(const struct conf *c)
{
	const uint32_t bits =
	    ((1u << CONF_SHAPE_BITS) - 1) & ~((1u << CONF_TLS_BIT) - 1);
	const struct conf_shape *s;

	for (uint32_t i = 0; (s = conf_tls_place(c, i, NULL)) != NULL; i++)
		if (s->sets & bits)
			return true;
	return c->routes_speak;
}

static void
merge(struct parts *p)
{
	struct entries domains = { 0 }, sites = { 0 }, sources = { 0 };
	struct providers providers = { 0 };
	struct conf *conf = p->conf;

	for (uint32_t i = 0; i < p->n; i++) {
		const struct part *x = &p->v[i];
		const struct conf_shaping *s = &x->says;

		entries_merge(conf, &domains, s->domains, s->ndomains,
		    yaml_get(x->root, x->is_own ? "limits" : "domain"));
		entries_merge(conf, &sites, s->sites, s->nsites,
		    x->is_own ? NULL : yaml_get(x->root, "site"));
		entries_merge(conf, &sources, s->sources, s->nsources,
		    x->is_own ? NULL : yaml_get(x->root, "source"));
		providers_merge(conf, &providers, s->providers, s->nproviders,
		    yaml_get(x->root, "provider"));
	}
	put_domains(p, &domains);
	put_providers(p, &providers);
	put_sites(p, &sites);
	put_sources(conf, &sources);
	for (uint32_t i = 0; i < conf->nroutes; i++)
		conf->routes_speak |= conf->routes[i].is_lmtp ||
		    conf->routes[i].auth.user.n > 0 ||
		    conf->routes[i].says.sets != 0;
	conf->has_tls = has_tls(conf);
}

/* What the configuration says itself comes last. */
static void
add_own(struct parts *p, const struct yaml_node *root)
{
	struct conf *conf = p->conf;
	struct part *x = &p->v[p->n++];

	x->root = root;
	x->is_own = true;
	x->says = conf->own;
	x->says.dflt = conf->shapes[0];
	x->says.domains = &conf->shapes[1];
	x->says.ndomains = conf->nshapes - 1;
	check_part(conf, root, p->c);
}

static void
index_all(struct conf *conf)
{
	struct conf_index *by = conf->provider_by;
	uint32_t n = 0;

	conf_shapes_index(conf);
	for (uint32_t i = 1; i < conf->nproviders; i++)
		n += conf->providers[i].nmx + conf->providers[i].ndomains +
		    conf->providers[i].nhosts;
	index_begin(&conf->by_site, &conf->arena, conf->nsites);
	for (uint32_t i = 1; i < conf->nsites; i++)
		index_add(&conf->by_site, &conf->arena, conf->sites[i].pattern,
		    i, false);
	index_end(&conf->by_site, &conf->arena);
	for (uint32_t k = 0; k < CONF_BY_N; k++)
		index_begin(&by[k], &conf->arena, n);
	for (uint32_t i = 1; i < conf->nproviders; i++) {
		const struct conf_provider *p = &conf->providers[i];

		for (uint32_t k = 0; k < p->nhosts; k++)
			index_add(&by[CONF_BY_HOST], &conf->arena, p->hosts[k],
			    i, false);
		for (uint32_t k = 0; k < p->nmx; k++)
			index_add(&by[CONF_BY_MX], &conf->arena, p->mx[k], i,
			    true);
		for (uint32_t k = 0; k < p->ndomains; k++)
			index_add(&by[CONF_BY_DOMAIN], &conf->arena,
			    p->domains[k], i, true);
	}
	for (uint32_t k = 0; k < CONF_BY_N; k++)
		index_end(&by[k], &conf->arena);
}

void
conf_shapes_index(struct conf *c)
{
	index_begin(&c->by_domain, &c->arena, c->nshapes);
	for (uint32_t i = 1; i < c->nshapes; i++)
		index_add(&c->by_domain, &c->arena, c->shapes[i].pattern, i,
		    false);
	index_end(&c->by_domain, &c->arena);
}

void
shaping_read(struct conf *conf, const struct yaml_node *root,
    const struct conf_shaping_in *in, struct complaints *c,
    struct conf_errors *errs)
{
	struct parts *p = mem_get(sizeof(*p));

	*p = (struct parts){ .conf = conf, .c = c, .errs = errs };
	read_all(p, in);
	add_own(p, root);
	merge(p);
	index_all(conf);
	for (uint32_t i = 0; i < p->n; i++)
		yaml_doc_free(p->v[i].doc);
	mem_free(p);
}
