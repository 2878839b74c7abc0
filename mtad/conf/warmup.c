/*
 * conf/warmup.c - plans of warm-up: those that sources name are found, here or
 * among the shipped ones (rules/warmup.yml), and their days written out.
 */
#include <stdio.h>

#include "conf/conf_i.h"

#define DAYS_GROWN 30u /* where nothing says how many */

struct warming {
	struct conf *conf;
	const struct yaml_node *root;
	struct complaints *c;
	bool reads_files, has_read;
	struct conf_warmups shipped;
};

void
warmup_begin(const struct conf *c, void *entry)
{
	const struct opt_group *g = warmup_file_options.opts[0].group;

	for (uint32_t i = 0; i < g->n; i++)
		if (g->opts[i].dflt != NULL)
			ASSERT(opt_read((struct conf *)(uintptr_t)c,
			    &g->opts[i], slice_str(g->opts[i].dflt), entry, 0));
}

/* ---- words about it -------------------------------------------------------- */

/* Where a value stands, or as far as its way can be followed. */
static struct place
place_of(const struct warming *w, const char *map, struct slice name,
    const char *key)
{
	const struct yaml_node *node = yaml_get(w->root, map);
	const struct yaml_node *found;
	uint32_t at;

	if (node == NULL || node->kind != YAML_MAP)
		return yaml_place(w->root);
	at = yaml_find(node, name);
	if (at == node->n)
		return yaml_place(node);
	node = node->items[at];
	found = node->kind == YAML_MAP ? yaml_get(node, key) : NULL;
	return yaml_place(found != NULL ? found : node);
}

static void
wrong(const struct warming *w, const char *map, struct slice name,
    const char *key, const char *expected, struct slice got)
{
	char what[CONF_WHAT_MAX] = "";
	size_t n = option_path_add(what, 0, slice_str(map));

	n = option_path_add(what, n, name);
	option_path_add(what, n, slice_str(key));
	complain(w->c, place_of(w, map, name, key), what, expected, got);
}

/* ---- finding ----------------------------------------------------------------- */

static void
read_shipped(struct warming *w)
{
	struct conf_errors quiet = { 0 };
	struct complaints c;
	struct yaml_doc *doc;
	char path[4096];
	struct buf text;

	w->has_read = true;
	if (!w->reads_files)
		return;
	conf_shipped("warmup.yml", path, sizeof(path));
	buf_init(&text, YAML_BYTES_MAX + 1);
	complaints_init(&c, path);
	doc = file_read(path, &text, &c) ?
	    yaml_read(path, buf_slice(&text), &c) :
	    NULL;
	if (doc != NULL) {
		conf_read_group(w->conf, &warmup_file_options, &w->shipped,
		    yaml_root(doc), 0, &c);
		yaml_doc_free(doc);
	}
	if (c.nerrors != 0)
		complain(w->c, (struct place){ 1, 1 }, "warmup",
		    "the shipped plans to be readable", slice_str(path));
	complaints_flush(&c, &quiet);
	buf_free(&text);
}

static const struct conf_warmup *
find_in(const struct conf_warmup *v, uint32_t n, struct slice name)
{
	for (uint32_t i = 0; i < n; i++)
		if (slice_eq(v[i].name, name))
			return &v[i];
	return NULL;
}

static const struct conf_warmup *
find_shipped(struct warming *w, struct slice name)
{
	if (!w->has_read)
		read_shipped(w);
	return find_in(w->shipped.v, w->shipped.n, name);
}

/* The index of a plan + 1, which joins the configuration's own if it is a
 * shipped one; 0: there is none. */
static uint32_t
plan_of(struct warming *w, struct slice name)
{
	struct conf *conf = w->conf;
	const struct conf_warmup *p =
	    find_in(conf->warmups, conf->nwarmups, name);
	struct conf_warmup *all;

	if (p != NULL)
		return (uint32_t)(p - conf->warmups) + 1;
	p = find_shipped(w, name);
	if (p == NULL || conf->nwarmups == ENG_WARMUPS_MAX)
		return 0;
	all = arena_get(&conf->arena, (conf->nwarmups + 1) * sizeof(*all));
	ASSERT(all != NULL);
	if (conf->nwarmups > 0)
		memcpy(all, conf->warmups, conf->nwarmups * sizeof(*all));
	all[conf->nwarmups] = *p;
	conf->warmups = all;
	return ++conf->nwarmups;
}

/* ---- days ---------------------------------------------------------------------- */

/* Writes out what grows. */
static void
grow(struct conf_warmup *p)
{
	uint32_t most = p->last ? ENG_WARM_STAGES_MAX : DAYS_GROWN;
	uint64_t n;

	if (p->nmost == 0 && p->first != 0)
		p->most[p->nmost++] = p->first;
	else if (p->last == 0)
		return;
	while (p->nmost != 0 && p->nmost < most && p->growth_pct > 100) {
		n = p->most[p->nmost - 1];
		if (p->last != 0 && n >= p->last)
			return;
		n = (n * p->growth_pct + 99) / 100;
		n = p->last ? MIN(n, p->last) : MIN(n, UINT32_MAX / 4);
		p->most[p->nmost++] = (uint32_t)n;
	}
}

static void
check_plan(struct warming *w, struct conf_warmup *p)
{
	const struct conf_warmup *like = NULL;

	if (p->like.n != 0) {
		like = find_shipped(w, p->like);
		if (like == NULL)
			wrong(w, "warmup", p->name, "like",
			    "the name of a shipped plan", p->like);
	}
	if (like != NULL && p->nmost == 0 && p->first == 0) {
		p->nmost = like->nmost;
		memcpy(p->most, like->most, sizeof(p->most));
		p->first = like->first;
		p->last = p->last ? p->last : like->last;
	}
	if (like != NULL && p->hour_ppm == ENG_PPM)
		p->hour_ppm = like->hour_ppm;
	grow(p);
	if (p->nmost == 0)
		wrong(w, "warmup", p->name, "days",
		    "days, a first one, or a plan that it is like",
		    slice_str(NULL));
}

/* ---- sources and pools ----------------------------------------------------------- */

static void
read_start(struct warming *w, struct conf_source *s)
{
	const struct conf_warmup *p =
	    &w->conf->warmups[plan_of(w, s->warmup) - 1];
	struct slice text = s->warmup_start;
	char iso[40];

	if (text.n == 0)
		return;
	snprintf(iso, sizeof(iso), "%.*sT00:00:00Z", (int)MIN(text.n, 16),
	    text.p);
	if (text.n != 10 ||
	    parse_date_iso(slice_str(iso), &s->warmup_from_us) != 0) {
		wrong(w, "source", s->name, "warmup_start",
		    "a date such as 2026-12-24", text);
		return;
	}
	s->warmup_from_us = zone_when_s(&w->conf->zones[p->zone]->zone,
				s->warmup_from_us / US_PER_S) *
	    US_PER_S;
}

static void
check_source(struct warming *w, struct conf_source *s)
{
	if (s->warmup_stage == 0)
		s->warmup_stage = 1;
	if (s->warmup.n == 0) {
		if (s->warmup_start.n != 0)
			wrong(w, "source", s->name, "warmup_start",
			    "a plan (`warmup`) beside it", s->warmup_start);
		return;
	}
	if (plan_of(w, s->warmup) == 0)
		wrong(w, "source", s->name, "warmup",
		    "the name of a plan, of `warmup` or a shipped one",
		    s->warmup);
	else
		read_start(w, s);
}

static void
check_pool(struct warming *w, const struct conf_pool *p)
{
	const struct conf *conf = w->conf;
	uint32_t i = 0;

	if (p->overflow.n == 0)
		return;
	while (i < conf->npools && !slice_eq(conf->pools[i].name, p->overflow))
		i++;
	if (p->is_sticky)
		wrong(w, "pool", p->name, "overflow",
		    "none, for the pool is sticky", p->overflow);
	else if (i == conf->npools || &conf->pools[i] == p)
		wrong(w, "pool", p->name, "overflow",
		    "the name of another pool", p->overflow);
	else if (p->nsources + conf->pools[i].nsources > CONF_POOL_SOURCES_MAX)
		wrong(w, "pool", p->name, "overflow",
		    "a pool with which it has no more than 256 sources",
		    p->overflow);
}

void
warmup_read(struct conf *conf, const struct yaml_node *root, bool reads_files,
    struct complaints *c)
{
	struct warming w = { .conf = conf,
		.root = root,
		.c = c,
		.reads_files = reads_files };

	for (uint32_t i = 0; i < conf->nsources; i++)
		check_source(&w, &conf->sources[i]);
	for (uint32_t i = 0; i < conf->nwarmups; i++)
		check_plan(&w, &conf->warmups[i]);
	for (uint32_t i = 0; i < conf->npools; i++)
		check_pool(&w, &conf->pools[i]);
}
