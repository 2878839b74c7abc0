/*
 * conf/read.c - walks the option table over a YAML tree and fills in a struct
 * conf.
 *
 * The table decides the order and the depth of the walk; the tree decides
 * nothing but values. A value that cannot be used is complained about and left
 * at its default, and the walk goes on.
 */
#include <stdio.h>
#include <unistd.h>

#include "conf/conf_i.h"

#define ARENA_MAX ((size_t)256 << 20)

struct reader {
	struct conf *conf;
	struct complaints *c;
	uint16_t file; /* of conf->files */
	size_t path_n;
	char path[CONF_WHAT_MAX]; /* "listen.in.bind": where the walk is */
};

static void read_group(struct reader *r, const struct opt_group *g, void *base,
    const struct yaml_node *map);

/* ---- where we are -------------------------------------------------------- */

/* Goes down by a key; returns what path_leave needs. */
static size_t
path_enter(struct reader *r, struct slice key)
{
	size_t before = r->path_n;

	r->path_n = option_path_add(r->path, before, key);
	return before;
}

static void
path_leave(struct reader *r, size_t before)
{
	r->path_n = before;
	r->path[before] = '\0';
}

static void
complain_value(struct reader *r, const struct opt *o,
    const struct yaml_node *node)
{
	static const char *const kinds[] = { "", "a list", "a map" };
	char expected[160];

	opt_expects(o, expected, sizeof(expected));
	complain(r->c, yaml_place(node), r->path, expected,
	    node->kind == YAML_SCALAR ? node->text :
					slice_str(kinds[node->kind]));
}

/* ---- values -------------------------------------------------------------- */

static void
set_count(const struct opt *o, void *base, uint32_t n)
{
	void *at = (char *)base + o->count_at;

	if (o->count_bytes == sizeof(uint16_t))
		*(uint16_t *)at = (uint16_t)n;
	else
		*(uint32_t *)at = n;
}

/* {a: 3} as the text "a:3". */
static bool
read_pair(struct reader *r, const struct opt *o, const struct yaml_node *node,
    void *base, uint32_t i)
{
	char text[128];
	int n;

	if (node->n != 1 || node->items[0]->kind != YAML_SCALAR ||
	    node->items[0]->is_null)
		return false;
	n = snprintf(text, sizeof(text), "%.*s:%.*s", SLF(node->keys[0]),
	    SLF(node->items[0]->text));
	return n > 0 && (size_t)n < sizeof(text) &&
	    opt_read(r->conf, o, slice_of(text, (size_t)n), base, i);
}

static bool
read_item(struct reader *r, const struct opt *o, const struct yaml_node *node,
    void *base, uint32_t i)
{
	if (o->type == OPT_SHARE && node->kind == YAML_MAP &&
	    read_pair(r, o, node, base, i))
		return true;
	if (node->kind == YAML_SCALAR && !node->is_null &&
	    opt_read(r->conf, o, node->text, base, i))
		return true;
	complain_value(r, o, node);
	return false;
}

/* A list, or one item that stands for a list of one. */
static void
read_list(struct reader *r, const struct opt *o, const struct yaml_node *node,
    void *base)
{
	uint32_t n = 0;
	char expected[32];

	if (node->kind != YAML_LIST) {
		set_count(o, base, read_item(r, o, node, base, 0));
		return;
	}
	if (node->n == 0 && o->is_required)
		complain(r->c, yaml_place(node), r->path, "at least one item",
		    slice_str(NULL));
	for (uint32_t i = 0; i < node->n; i++) {
		if (n == o->list_max) {
			snprintf(expected, sizeof(expected), "at most %u items",
			    o->list_max);
			complain(r->c, yaml_place(node->items[i]), r->path,
			    expected, node->items[i]->text);
			break;
		}
		n += read_item(r, o, node->items[i], base, n);
	}
	set_count(o, base, n);
}

/* ---- maps with the user's names ------------------------------------------ */

static struct place
key_place(const struct yaml_node *map, uint32_t i)
{
	return (struct place){ map->key_lines[i], map->key_columns[i] };
}

static bool
is_first(const struct opt *o, struct slice key)
{
	return o->first != NULL && slice_eq(key, slice_str(o->first));
}

/* Entries to make: those that are not unset, and the first. */
static uint32_t
count_entries(struct reader *r, const struct opt *o,
    const struct yaml_node *map)
{
	uint32_t n = o->first != NULL;
	char expected[32];

	for (uint32_t i = 0; i < map->n; i++) {
		if (map->items[i]->is_null || is_first(o, map->keys[i]))
			continue;
		if (n == o->list_max) {
			snprintf(expected, sizeof(expected),
			    "at most %u entries", n);
			complain(r->c, key_place(map, i), r->path, expected,
			    map->keys[i]);
			break;
		}
		n++;
	}
	return n;
}

static void
read_entry(struct reader *r, const struct opt *o, const struct yaml_node *map,
    uint32_t i, void *entry)
{
	/* The key's field is the entry's first. */
	const struct opt key = { .name = "name", .type = o->key_type };
	char expected[160];
	size_t before;

	if (!opt_read(r->conf, &key, map->keys[i], entry, 0)) {
		opt_expects(&key, expected, sizeof(expected));
		complain(r->c, key_place(map, i), r->path, expected,
		    map->keys[i]);
	}
	before = path_enter(r, map->keys[i]);
	read_group(r, o->group, entry, map->items[i]);
	path_leave(r, before);
}

static void
read_entries(struct reader *r, const struct opt *o, const struct yaml_node *map,
    char *entries, uint32_t n)
{
	uint32_t used = o->first != NULL;
	uint32_t first = o->first ? yaml_find(map, slice_str(o->first)) : 0;

	/* The others begin as copies of it. */
	if (o->first != NULL && first < map->n && !map->items[first]->is_null)
		read_entry(r, o, map, first, entries);
	for (uint32_t i = 0; i < map->n && used < n; i++) {
		char *entry = entries + (size_t)used * o->entry_bytes;

		if (map->items[i]->is_null || is_first(o, map->keys[i]))
			continue;
		if (o->begin != NULL)
			o->begin(r->conf, entry);
		read_entry(r, o, map, i, entry);
		used++;
	}
}

static void
read_map(struct reader *r, const struct opt *o, const struct yaml_node *node,
    void *base)
{
	void **array = (void *)((char *)base + o->at);
	char *entries;
	uint32_t n;

	if (node->kind != YAML_MAP) {
		complain(r->c, yaml_place(node), r->path,
		    "a map from names to what they stand for",
		    node->kind == YAML_LIST ? SL("a list") : node->text);
		return;
	}
	n = count_entries(r, o, node);
	if (n == 0)
		return;
	entries = arena_get(&r->conf->arena, (size_t)n * o->entry_bytes);
	if (entries == NULL) {
		complain(r->c, yaml_place(node), r->path, "less of it",
		    SL("out of memory"));
		return;
	}
	if (o->first != NULL)
		memcpy(entries, *array, o->entry_bytes);
	*array = entries;
	set_count(o, base, n);
	read_entries(r, o, node, entries, n);
}

/* ---- maps with fixed keys ------------------------------------------------ */

static const struct opt *
find_option(const struct opt_group *g, struct slice name)
{
	for (uint32_t i = 0; i < g->n; i++)
		if (slice_eq(slice_str(g->opts[i].name), name))
			return &g->opts[i];
	return NULL;
}

/* The option whose name is nearest to a word, if it is near at all. */
static const char *
nearest_option(const struct opt_group *g, struct slice word)
{
	uint32_t best = MIN((uint32_t)(word.n + 2) / 3, 3) + 1;
	const char *name = NULL;

	for (uint32_t i = 0; i < g->n; i++) {
		uint32_t d =
		    edit_distance(word, slice_str(g->opts[i].name), best);

		if (d < best) {
			best = d;
			name = g->opts[i].name;
		}
	}
	return name;
}

static void
complain_unknown(struct reader *r, const struct opt_group *g,
    const struct yaml_node *map, uint32_t i)
{
	/* Looking for it is slow: only while complaints are still kept. */
	const char *near =
	    r->c->n < CONF_ERRORS_MAX ? nearest_option(g, map->keys[i]) : NULL;
	char expected[CONF_WHAT_MAX + 128];

	snprintf(expected, sizeof(expected), "an option%s%s%s%s%s",
	    r->path_n > 0 ? " of " : "", r->path,
	    near != NULL ? " (did you mean \"" : "", near != NULL ? near : "",
	    near != NULL ? "\"?)" : "");
	complain(r->c, key_place(map, i), "unknown key", expected,
	    map->keys[i]);
}

static void
read_option(struct reader *r, const struct opt *o, void *base,
    const struct yaml_node *node)
{
	size_t before = path_enter(r, slice_str(o->name));

	if (o->type == OPT_GROUP)
		read_group(r, o->group, (char *)base + o->at, node);
	else if (o->type == OPT_MAP)
		read_map(r, o, node, base);
	else if (o->list_max > 0)
		read_list(r, o, node, base);
	else
		read_item(r, o, node, base, 0);
	path_leave(r, before);
}

static void
complain_missing(struct reader *r, const struct opt *o,
    const struct yaml_node *map)
{
	size_t before = path_enter(r, slice_str(o->name));
	char expected[160];

	opt_expects(o, expected, sizeof(expected));
	complain(r->c, yaml_place(map), r->path, expected, slice_str(NULL));
	path_leave(r, before);
}

/* Recursion ends where the option table does: it is a tree four levels deep. */
static void
read_group(struct reader *r, const struct opt_group *g, void *base,
    const struct yaml_node *map)
{
	if (map->kind != YAML_MAP) {
		complain(r->c, yaml_place(map),
		    r->path_n > 0 ? r->path : "file", "a map of options",
		    map->kind == YAML_LIST ? SL("a list") : map->text);
		return;
	}
	for (uint32_t i = 0; i < map->n; i++)
		if (find_option(g, map->keys[i]) == NULL)
			complain_unknown(r, g, map, i);
	for (uint32_t i = 0; i < g->n; i++) {
		const struct opt *o = &g->opts[i];
		const struct yaml_node *node = yaml_get(map, o->name);

		if (node != NULL && !node->is_null)
			read_option(r, o, base, node);
		else if (o->is_required)
			complain_missing(r, o, map);
	}
	if (g->has_shape)
		shape_mark(g, (void *)((char *)base + g->shape_at), map,
		    r->file);
}

void
conf_read_group(struct conf *conf, const struct opt_group *g, void *base,
    const struct yaml_node *map, uint16_t file, struct complaints *c)
{
	struct reader r = { .conf = conf, .c = c, .file = file };

	if (!map->is_null)
		read_group(&r, g, base, map);
}

/* ---- defaults ------------------------------------------------------------ */

static void default_group(struct conf *conf, const struct opt_group *g,
    void *base);

/* The entry that is always there. */
static void
default_first(struct conf *conf, const struct opt *o, void *base)
{
	void **array = (void *)((char *)base + o->at);

	*array = arena_get(&conf->arena, o->entry_bytes);
	ASSERT(*array != NULL);
	default_group(conf, o->group, *array);
	set_count(o, base, 1);
}

static void
default_group(struct conf *conf, const struct opt_group *g, void *base)
{
	for (uint32_t i = 0; i < g->n; i++) {
		const struct opt *o = &g->opts[i];
		bool ok = true;

		if (o->type == OPT_GROUP)
			default_group(conf, o->group, (char *)base + o->at);
		else if (o->type == OPT_MAP && o->first != NULL)
			default_first(conf, o, base);
		else if (o->dflt != NULL)
			ok = opt_read(conf, o, slice_str(o->dflt), base, 0);
		ASSERT(ok);
	}
}

/* The system's name for this host; check.c says so if it will not do. */
static void
default_hostname(struct conf *conf)
{
	char name[DOMAIN_MAX + 1] = "";

	if (gethostname(name, sizeof(name)) != 0)
		name[0] = '\0';
	name[DOMAIN_MAX] = '\0';
	conf->hostname.p = arena_str(&conf->arena, name, strlen(name));
	conf->hostname.n = strlen(name);
}

/* ---- the front door ------------------------------------------------------ */

static struct conf *
conf_new(const char *name)
{
	struct conf *conf = mem_get(sizeof(*conf));

	arena_init(&conf->arena, 16384, ARENA_MAX);
	conf->file.p = arena_str(&conf->arena, name, strlen(name));
	conf->file.n = strlen(name);
	conf->files[0] = conf->file;
	conf->nfiles = 1;
	smtp_srv_conf_default(&conf->listen_default.smtp);
	smtp_cli_conf_default(&conf->client);
	conf->zones[0] = arena_get(&conf->arena, sizeof(*conf->zones[0]));
	ASSERT(conf->zones[0] != NULL);
	conf->zones[0]->name = SL("UTC");
	conf->nzones = 1;
	default_group(conf, &conf_options, conf);
	default_hostname(conf);
	return conf;
}

void
conf_free(struct conf *c)
{
	struct arena arena;

	if (c == NULL)
		return;
	arena = c->arena;
	arena_free(&arena);
	mem_free(c);
}

const struct conf_route *
conf_route_find(const struct conf *c, struct slice domain)
{
	for (uint32_t i = 0; i < c->nroutes; i++)
		if (slice_glob(c->routes[i].pattern, domain))
			return &c->routes[i];
	return NULL;
}

uint32_t
conf_zone_find(const struct conf *c, struct slice name)
{
	uint32_t i = 0;

	while (i < c->nzones && !slice_eq(c->zones[i]->name, name))
		i++;
	return i;
}

const struct conf_tenant *
conf_tenant_find(const struct conf *c, struct slice name)
{
	for (uint32_t i = 1; i < c->ntenants; i++)
		if (slice_eq(c->tenants[i].name, name))
			return &c->tenants[i];
	return &c->tenants[0];
}

bool
conf_has_pool(const struct conf *c, struct slice name)
{
	for (uint32_t i = 0; i < c->npools; i++)
		if (slice_eq(c->pools[i].name, name))
			return true;
	return false;
}

/* Gives the configuration, or NULL with errors in c. */
static struct conf *
parse(const char *name, struct slice text, const struct conf_shaping_in *in,
    struct complaints *c, struct conf_errors *errs)
{
	struct yaml_doc *doc = yaml_read(name, text, c);
	uint32_t before = errs->n;
	struct conf *conf;

	if (doc == NULL)
		return NULL;
	conf = conf_new(name);
	conf_read_group(conf, &conf_options, conf, yaml_root(doc), 0, c);
	conf_check(conf, yaml_root(doc), c);
	shaping_read(conf, yaml_root(doc), in, c, errs);
	conf_check_providers(conf, yaml_root(doc), c);
	warmup_read(conf, yaml_root(doc), in->reads_files, c);
	automation_read(conf, yaml_root(doc), in->reads_files, c, errs);
	dkim_read(conf, yaml_root(doc), c);
	yaml_doc_free(doc);
	if (c->nerrors == 0 && errs->n == before)
		return conf;
	conf_free(conf);
	return NULL;
}

struct conf *
conf_parse_with(const char *name, struct slice text,
    const struct conf_shaping_in *in, struct conf_errors *errs)
{
	struct complaints c;
	struct conf *conf;

	complaints_init(&c, name);
	conf = parse(name, text, in, &c, errs);
	complaints_flush(&c, errs);
	return conf;
}

struct conf *
conf_parse(const char *name, struct slice text, struct conf_errors *errs)
{
	const struct conf_shaping_in none = { .n = 0 };

	return conf_parse_with(name, text, &none, errs);
}

struct conf *
conf_load(const char *path, struct conf_errors *errs)
{
	const struct conf_shaping_in in = { .reads_files = true };
	struct complaints c;
	struct conf *conf = NULL;
	struct buf text;

	buf_init(&text, YAML_BYTES_MAX + 1);
	complaints_init(&c, path);
	if (file_read(path, &text, &c))
		conf = parse(path, buf_slice(&text), &in, &c, errs);
	complaints_flush(&c, errs);
	buf_free(&text);
	return conf;
}

/* ---- other files --------------------------------------------------------- */

struct conf *
conf_load_as(const char *path, const struct opt_group *g, void *base,
    conf_judge *judge, struct conf_errors *errs)
{
	struct conf *conf = conf_new(path);
	struct yaml_doc *doc = NULL;
	struct complaints c;
	struct buf text;
	bool is_good;

	buf_init(&text, YAML_BYTES_MAX + 1);
	complaints_init(&c, path);
	default_group(conf, g, base);
	if (file_read(path, &text, &c))
		doc = yaml_read(path, buf_slice(&text), &c);
	if (doc != NULL) {
		conf_read_group(conf, g, base, yaml_root(doc), 0, &c);
		judge(base, yaml_root(doc), &c);
		yaml_doc_free(doc);
	}
	is_good = doc != NULL && c.nerrors == 0;
	complaints_flush(&c, errs);
	buf_free(&text);
	if (is_good)
		return conf;
	conf_free(conf);
	return NULL;
}
