/*
 * plan/scenario_conf.c - the configuration whose policy is tried: mtad's own
 * file, read by mtad's own reader. The scenario may give a pool another number
 * of sources.
 */
#include "conf/shaping.h"
#include "plan/scenario.h"
#include "world/keys.h"

#define CONFIG_PATH_MAX 8192

struct pools {
	struct scen *s;
	struct conf_pool *pool; /* the one that is being read */
	uint32_t nyoung;        /* of its sources; 0: all */
	struct scen_warm warm;  /* of these */
};

/* Of one address and day, as SparkPost has published it for years. */
static const uint32_t sparkpost_30d[] = { 200, 500, 1000, 2000, 5000, 10000,
	20000, 40000, 50000, 75000, 100000, 150000, 200000, 250000, 325000,
	400000, 500000, 600000, 750000, 1000000, 1250000, 1750000, 2000000,
	3000000, 4250000, 5000000, 6000000, 7500000, 10000000 };

/* ---- pools --------------------------------------------------------------------- */

/* More of the configuration's sources, each with the next name of the pool. */
static bool
grow(struct scen *s, struct conf_pool *pool, uint32_t n)
{
	struct conf *c = s->conf;
	uint32_t had = c->nsources;
	struct conf_shape *shapes; /* of which nothing is said */
	struct conf_source *all;

	if (had + n > ENG_SOURCES_MAX)
		return false;
	all = arena_get(&s->arena, (had + n) * sizeof(*all));
	shapes = arena_get(&s->arena, (had + n) * sizeof(*shapes));
	if (all == NULL || shapes == NULL)
		return false;
	memcpy(all, c->sources, had * sizeof(*all));
	memcpy(shapes, c->source_shapes, had * sizeof(*shapes));
	for (uint32_t i = 0; i < n; i++) {
		struct buf name;

		buf_init(&name, NAME_MAX_BYTES + 16);
		(void)buf_addf(&name, "%.*s-%u", SLF(pool->name), i + 1);
		all[had + i].name =
		    slice_of(arena_str(&s->arena, buf_slice(&name).p, name.n),
			name.n);
		buf_free(&name);
		pool->sources[i] = (uint16_t)(had + i);
		pool->weights[i] = 1;
	}
	pool->nsources = n;
	c->sources = all;
	c->source_shapes = shapes;
	c->nsources = had + n;
	return true;
}

static void
take_addresses(struct keys *k, const struct yaml_node *v)
{
	struct pools *p = k->into;
	uint64_t n = keys_number(k, v, "addresses", CONF_POOL_SOURCES_MAX);

	if (p->pool == NULL)
		return;
	if (n == 0 || !grow(p->s, p->pool, (uint32_t)n))
		keys_wrong(k, v, "addresses",
		    "1 to 256 for a pool, 1024 in all");
}

static void
take_young(struct keys *k, const struct yaml_node *v)
{
	((struct pools *)k->into)->nyoung =
	    (uint32_t)keys_number(k, v, "count", CONF_POOL_SOURCES_MAX);
}

static void
take_day(struct keys *k, const struct yaml_node *v)
{
	struct pools *p = k->into;

	p->warm.day = (uint32_t)keys_number(k, v, "day", 10000);
	if (p->warm.day == 0)
		keys_wrong(k, v, "day", "a number from 1");
}

static void
take_schedule(struct keys *k, const struct yaml_node *v)
{
	struct pools *p = k->into;
	uint32_t *most;

	if (v->kind == YAML_SCALAR && slice_eq(v->text, SL("sparkpost-30d"))) {
		p->warm.most = sparkpost_30d;
		p->warm.ndays = ARRAY_LEN(sparkpost_30d);
		return;
	}
	if (v->kind != YAML_LIST || v->n == 0 || v->n > SCEN_WARM_DAYS_MAX) {
		keys_wrong(k, v, "schedule",
		    "sparkpost-30d, or a list of numbers, one a day");
		return;
	}
	most = arena_get(&p->s->arena, v->n * sizeof(*most));
	for (uint32_t i = 0; most && i < v->n; i++)
		most[i] = (uint32_t)keys_number(k, v->items[i], "schedule",
		    1000000000);
	p->warm.most = most;
	p->warm.ndays = most ? v->n : 0;
}

static const struct key warming_keys[] = {
	{ "count", take_young },
	{ "schedule", take_schedule },
	{ "day", take_day },
};

static void
take_warming(struct keys *k, const struct yaml_node *v)
{
	struct pools *p = k->into;

	p->warm.day = 1;
	keys_take(k, v, warming_keys, ARRAY_LEN(warming_keys), "warming");
	if (v->kind == YAML_MAP && !yaml_get(v, "schedule"))
		keys_wrong(k, v, "warming", "a schedule");
}

static const struct key pool_keys[] = {
	{ "addresses", take_addresses },
	{ "warming", take_warming },
};

/* The last sources of a pool are young; once it has all of its sources. */
static void
warm_pool(struct pools *p)
{
	const struct conf_pool *pool = p->pool;
	uint32_t n;

	if (pool == NULL || p->warm.ndays == 0)
		return;
	if (p->s->warm == NULL)
		p->s->warm = arena_get(&p->s->arena,
		    ENG_SOURCES_MAX * sizeof(*p->s->warm));
	n = p->nyoung ? MIN(p->nyoung, pool->nsources) : pool->nsources;
	for (uint32_t i = pool->nsources - n; p->s->warm && i < pool->nsources;
	     i++)
		p->s->warm[pool->sources[i]] = p->warm;
}

static struct conf_pool *
pool_find(struct conf *c, struct slice name)
{
	for (uint32_t i = 0; i < c->npools; i++)
		if (slice_eq(c->pools[i].name, name))
			return &c->pools[i];
	return NULL;
}

static void
take_pools(struct scen *s, const struct yaml_node *v, struct conf_errors *errs)
{
	struct pools p = { .s = s };
	struct keys k = { .doc = s->doc, .errs = errs, .into = &p };

	if (v->kind != YAML_MAP) {
		keys_wrong(&k, v, "pool", "a map");
		return;
	}
	for (uint32_t i = 0; i < v->n; i++) {
		struct yaml_node at = { .kind = YAML_SCALAR,
			.line = v->key_lines[i],
			.column = v->key_columns[i],
			.text = v->keys[i] };

		p.pool = pool_find(s->conf, v->keys[i]);
		if (p.pool == NULL)
			keys_wrong(&k, &at, "pool",
			    "the name of a pool of the configuration");
		p.nyoung = 0;
		p.warm = (struct scen_warm){ .ndays = 0 };
		keys_take(&k, v->items[i], pool_keys, ARRAY_LEN(pool_keys),
		    "a pool");
		warm_pool(&p);
	}
}

/* ---- limits -------------------------------------------------------------------- */

static uint32_t
limit_of(const struct conf *c, struct slice domain)
{
	for (uint32_t i = 1; i < c->nshapes; i++)
		if (slice_glob(c->shapes[i].pattern, domain))
			return i;
	return 0;
}

/* The one limit of all names of a range; false: they differ. */
static bool
limit_of_all(const struct conf *c, const struct expand *e, uint32_t *limit)
{
	struct buf name;
	bool same = true;

	buf_init(&name, DOMAIN_MAX + 32);
	for (uint64_t i = 0; same && i < expand_count(e); i++) {
		uint32_t at;

		buf_reset(&name);
		ASSERT(expand_name(e, i, &name) == 0);
		at = limit_of(c, buf_slice(&name));
		if (i == 0)
			*limit = at;
		same = at == *limit;
	}
	buf_free(&name);
	return same;
}

static struct slice
pattern_of(struct scen *s, const struct expand *e, struct slice text)
{
	struct buf b;
	struct slice out;

	if (!e->has_range)
		return text;
	buf_init(&b, DOMAIN_MAX + 32);
	(void)buf_addf(&b, "%.*s*%.*s", SLF(e->before), SLF(e->after));
	out = slice_of(arena_str(&s->arena, buf_slice(&b).p, b.n), b.n);
	buf_free(&b);
	return out;
}

/* Names before ranges: a range's pattern may cover a name. */
static void
split_limits(struct scen *s, const struct yaml_node *config,
    struct conf_errors *errs)
{
	struct conf *c = s->conf;
	uint32_t total = c->nshapes, n = 1, from = 0;
	struct conf_shape *all;

	for (uint32_t p = 0; p < s->nproviders; p++)
		total += s->providers[p].nspecs;
	all = arena_get(&s->arena, total * sizeof(*all));
	if (total > ENG_DESTS_MAX || all == NULL) {
		yaml_error(s->doc, config, errs,
		    "limits and domains, expected at most %d in all, got %u",
		    ENG_DESTS_MAX, total);
		return;
	}
	all[0] = c->shapes[0];
	for (uint32_t k = 0; k < 2 * s->nproviders; k++) {
		const struct scen_provider *p =
		    &s->providers[k % s->nproviders];
		bool ranges = k >= s->nproviders;

		for (uint32_t i = 0; i < p->nspecs; i++) {
			const struct expand *e = &p->specs[i].names;

			if (e->has_range != ranges)
				continue;
			if (!limit_of_all(c, e, &from))
				yaml_error(s->doc, config, errs,
				    "%.*s, expected a range under one limit "
				    "of the configuration, got several",
				    SLF(p->specs[i].text));
			all[n] = c->shapes[from];
			if (from == 0) /* nothing of its own is said */
				all[n].sets = all[n].unsets = 0;
			else
				all[n].whole = c->shapes[from].pattern;
			all[n++].pattern = pattern_of(s, e, p->specs[i].text);
		}
	}
	memcpy(&all[n], &c->shapes[1], (c->nshapes - 1) * sizeof(*all));
	c->shapes = all;
	c->nshapes = total;
	conf_shapes_index(c);
}

bool
scen_beside(const char *scenario, struct slice name, char *dst, size_t cap)
{
	const char *slash = strrchr(scenario, '/');
	int dir = slash && name.p[0] != '/' ? (int)(slash - scenario) + 1 : 0;
	int n = snprintf(dst, cap, "%.*s%.*s", dir, scenario, SLF(name));

	return n >= 0 && (size_t)n < cap;
}

/* ---- the file ------------------------------------------------------------------ */

void
scen_conf_load(struct scen *s, const char *path, const struct yaml_node *config,
    const struct yaml_node *pools, struct conf_errors *errs)
{
	const struct conf_shaping_in files = { .reads_files = true };
	struct keys k = { .doc = s->doc, .errs = errs };
	char full[CONFIG_PATH_MAX];

	if (s->policy.p != NULL)
		s->conf = conf_parse_with(path, s->policy, &files, errs);
	else if (s->config.n == 0)
		return;
	else if (scen_beside(path, s->config, full, sizeof(full)))
		s->conf = conf_load(full, errs);
	if (s->conf == NULL && s->policy.p != NULL)
		return; /* it has said what is wrong with it */
	if (s->conf == NULL) {
		keys_wrong(&k, config, "config",
		    "a configuration of mtad beside the scenario");
		return;
	}
	if (pools)
		take_pools(s, pools, errs);
	for (uint32_t i = 0; i < s->nworkloads; i++)
		if (s->workloads[i].pool.n &&
		    !pool_find(s->conf, s->workloads[i].pool))
			yaml_error(s->doc, config, errs,
			    "workload %.*s, expected a pool of the "
			    "configuration, got '%.*s'",
			    SLF(s->workloads[i].name),
			    SLF(s->workloads[i].pool));
	split_limits(s, config, errs);
}
