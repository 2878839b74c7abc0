/*
 * conf/automation.c - reactions to refusals: the configuration's own and behind
 * them the shipped ones (rules/automation.yml), judged, and what they look for
 * compiled.
 */
#include <stdio.h>
#include <unistd.h>

#include "conf/classify_i.h"

#define BIT(d) (1u << (d))
/* A tenant's mail goes by many sources, and a path carries mail of many tenants. */
#define MAIL_DIMS (BIT(DIM_TENANT) | BIT(DIM_CAMPAIGN) | BIT(DIM_SENDER_DOMAIN))
#define PATH_DIMS (BIT(DIM_SOURCE) | BIT(DIM_NETBLOCK))
#define PLACE_DIMS (BIT(DIM_SITE) | BIT(DIM_PROVIDER))
#define QUEUE                                                                  \
	(BIT(DIM_SITE) | BIT(DIM_POOL) | BIT(DIM_TENANT) | BIT(DIM_CAMPAIGN))

/* What each action may be about; what else is refused, with these words. */
static const struct about {
	uint32_t dims;
	const char *expected;
	uint32_t needs; /* one of these */
} about[ENG_ACTION_N] = {
	[ACT_NONE] = { UINT16_MAX, "", 0 },
	[ACT_SUSPEND] = { MAIL_DIMS | PATH_DIMS | PLACE_DIMS | BIT(DIM_NODE),
	    "what is suspended: path, source, netblock, site, provider, "
	    "tenant, campaign, sender_domain or node",
	    0 },
	[ACT_CONNS] = { PATH_DIMS | PLACE_DIMS | BIT(DIM_NODE),
	    "what has connections: path, source, netblock, site, provider or "
	    "node",
	    0 },
	[ACT_SLOW] = { PATH_DIMS | PLACE_DIMS | BIT(DIM_NODE),
	    "what has a rate: path, source, netblock, site, provider or node",
	    0 },
	[ACT_SKIP] = { PATH_DIMS | PLACE_DIMS | BIT(DIM_HOST),
	    "where the host is passed over: path, source, netblock, site, "
	    "provider, or host: everywhere",
	    0 },
	[ACT_OTHER] = { PATH_DIMS | PLACE_DIMS,
	    "which source is left, and where: path, or a source or netblock, "
	    "alone or with a site or provider",
	    PATH_DIMS },
	[ACT_DEFER] = { MAIL_DIMS | QUEUE | PLACE_DIMS | BIT(DIM_NODE),
	    "what tells queues apart: queue, site, provider, tenant, campaign, "
	    "sender_domain or node",
	    0 },
	[ACT_BOUNCE] = { MAIL_DIMS | QUEUE | PLACE_DIMS,
	    "what tells queues apart: queue, site, provider, tenant, campaign "
	    "or sender_domain",
	    0 },
};

struct rules_in {
	struct conf *conf;
	const struct yaml_node *root;
	struct complaints *c;
	bool is_own;
};

void
automation_begin(const struct conf *c, void *entry)
{
	(void)c;
	*(struct conf_automation *)entry =
	    (struct conf_automation){ .window_us = 3600 * US_PER_S,
		    .replies_min = 50,
		    .factor_ppm = 500000,
		    .conns_max = 1 };
}

/* ---- words about it ------------------------------------------------------------- */

/* The map of a rule in its file; NULL: there is none. */
static const struct yaml_node *
map_of(const struct rules_in *in, struct slice name)
{
	const struct yaml_node *all = yaml_get(in->root, "automation");
	uint32_t at;

	if (all == NULL || all->kind != YAML_MAP)
		return NULL;
	at = yaml_find(all, name);
	return at < all->n && all->items[at]->kind == YAML_MAP ?
	    all->items[at] :
	    NULL;
}

static void
wrong(const struct rules_in *in, const struct conf_automation *a,
    const char *key, uint32_t i, const char *expected, struct slice got)
{
	const struct yaml_node *map = map_of(in, a->name);
	const struct yaml_node *node = map ? yaml_get(map, key) : NULL;
	char what[CONF_WHAT_MAX] = "";
	size_t n = option_path_add(what, 0, SL("automation"));

	n = option_path_add(what, n, a->name);
	option_path_add(what, n, slice_str(key));
	if (node != NULL && node->kind == YAML_LIST && i < node->n)
		node = node->items[i];
	node = node ? node : map ? map : in->root;
	complain(in->c, yaml_place(node), what, expected, got);
}

/* ---- what it looks for ------------------------------------------------------------ */

/* Of a rule with mistakes; NULL: nobody wants to hear of them. */
struct hearer {
	const struct rules_in *in;
	const struct conf_automation *a;
};

static void
tell(const struct hearer *h, const char *key, uint32_t i, const char *expected,
    struct slice got)
{
	if (h->in != NULL)
		wrong(h->in, h->a, key, i, expected, got);
}

static bool
add_codes(struct classifier *k, const struct hearer *h, struct class_rule *r)
{
	const struct conf_automation *a = h->a;
	struct class_range *codes;
	struct class_enh *enhs;

	codes = arena_get(&k->arena, (a->ncodes + 1) * sizeof(*codes));
	enhs = arena_get(&k->arena, (a->nenhs + 1) * sizeof(*enhs));
	if (codes == NULL || enhs == NULL)
		return false;
	for (uint32_t i = 0; i < a->ncodes; i++)
		if (!class_code_read(a->codes[i], &codes[i]))
			tell(h, "code", i, "a code such as 421, 4xx or 500-559",
			    a->codes[i]);
	for (uint32_t i = 0; i < a->nenhs; i++)
		if (!class_enh_read(a->enhs[i], &enhs[i]))
			tell(h, "enhanced", i,
			    "an enhanced code such as 4.7.28, x.7.x, or none",
			    a->enhs[i]);
	r->ncodes = (uint16_t)a->ncodes;
	r->nenhs = (uint16_t)a->nenhs;
	r->codes = codes;
	r->enhs = enhs;
	return true;
}

static bool
add_rule(struct classifier *k, const struct hearer *h)
{
	const struct conf_automation *a = h->a;
	struct class_rule r = { .atom = k->natoms };
	char why[200];

	if (!add_codes(k, h, &r))
		return false;
	for (uint32_t i = 0; i < a->nstages; i++) {
		enum stage s = class_stage(a->stages[i]);

		r.stages |= 1u << s;
		if (s == STAGE_NONE)
			tell(h, "stage", i,
			    "a stage such as banner, mail, rcpt or eom",
			    a->stages[i]);
	}
	for (uint32_t i = 0; i < a->ntexts; i++)
		switch (class_atom_add(k, &r, a->texts[i], why, sizeof(why))) {
		case CLASS_ADDED:
			break;
		case CLASS_WRONG:
			tell(h, "text", i, why, a->texts[i]);
			break;
		case CLASS_REFUSED:
			tell(h, "text", i, "a pattern of 1 to 2048 bytes",
			    a->texts[i]);
			return false;
		}
	return class_rule_add(k, &r);
}

struct classifier *
conf_automation_rules(const struct conf *c)
{
	struct classifier *k;
	bool ok = true;

	if (c->nautomations == 0)
		return NULL;
	k = classifier_begin();
	for (uint32_t i = 0; i < c->nautomations && ok; i++)
		ok = add_rule(k, &(struct hearer){ .a = &c->automations[i] });
	if (ok && classifier_end(k))
		return k;
	classifier_free(k);
	return NULL;
}

/* ---- judging ------------------------------------------------------------------------ */

static bool
is_provider(const struct conf *conf, struct slice name)
{
	for (uint32_t i = 1; i < conf->nproviders; i++)
		if (slice_eq(conf->providers[i].name, name))
			return true;
	return false;
}

static void
check_names(const struct rules_in *in, const struct conf_automation *a)
{
	for (uint32_t i = 0; i < a->ncategories; i++)
		if (category_find(a->categories[i]) == CATEGORY_N)
			wrong(in, a, "category", i,
			    "a category such as SpamBlock", a->categories[i]);
	for (uint32_t i = 0; i < a->nkinds; i++)
		if (kind_find(a->kinds[i]) == KIND_N)
			wrong(in, a, "kind", i, "a kind such as throttle",
			    a->kinds[i]);
	for (uint32_t i = 0; i < a->nproviders && in->is_own; i++)
		if (!is_provider(in->conf, a->providers[i]))
			wrong(in, a, "provider", i,
			    "the name of a provider, here or in a shaping file",
			    a->providers[i]);
}

uint16_t
conf_automation_dims(const struct conf_automation *a)
{
	uint32_t dims = 0;

	for (uint32_t i = 0; i < a->non; i++)
		dims |= a->on[i];
	if (a->non == 0)
		dims = a->action == ACT_DEFER || a->action == ACT_BOUNCE ?
		    QUEUE :
		    BIT(DIM_SOURCE) | BIT(DIM_SITE);
	if (a->action == ACT_SKIP)
		dims |= BIT(DIM_HOST);
	return (uint16_t)dims;
}

static void
check_target(const struct rules_in *in, const struct conf_automation *a)
{
	const struct about *may = &about[a->action];

	for (uint32_t i = 0; i < a->non; i++)
		if (a->on[i] & ~may->dims)
			wrong(in, a, "on", i, may->expected,
			    slice_str(eng_action_name(a->action)));
	if (may->needs != 0 && !(conf_automation_dims(a) & may->needs))
		wrong(in, a, "on", 0, may->expected,
		    slice_str(eng_action_name(a->action)));
}

static void
check_rule(const struct rules_in *in, struct conf_automation *a)
{
	struct classifier *k = classifier_begin();
	const struct yaml_node *map = map_of(in, a->name);
	uint16_t dims = conf_automation_dims(a);

	(void)add_rule(k, &(struct hearer){ in, a });
	classifier_free(k);
	check_names(in, a);
	if (a->count > 1 && a->ratio_ppm != 0)
		wrong(in, a, "ratio", 0, "one of `after` and `ratio`",
		    SL("both"));
	if (a->count > 1 && a->period_us < 16 * US_PER_S)
		wrong(in, a, "after", 0, "a period of 16s at least",
		    slice_str(NULL));
	if (__builtin_popcount(dims) > ENG_TARGET_DIMS_MAX)
		wrong(in, a, "on", 0, "at most four of these", slice_str(NULL));
	check_target(in, a);
	if (dims & MAIL_DIMS && dims & PATH_DIMS)
		wrong(in, a, "on", 0,
		    "no path, source or netblock beside a tenant, campaign or "
		    "domain of senders",
		    slice_str(NULL));
	a->at = (struct conf_origin){ map ? map->line : 0,
		in->is_own ? 0 : (uint16_t)(in->conf->nfiles - 1) };
	/* A map begins at its first key: its name stands a line above. */
	if (map != NULL && yaml_get(in->root, "automation") != NULL) {
		const struct yaml_node *all = yaml_get(in->root, "automation");

		a->at.line = all->key_lines[yaml_find(all, a->name)];
	}
}

/* ---- the shipped ones ------------------------------------------------------------------ */

/* Is one of that name there, or said to be left out? */
static bool
is_known(const struct rules_in *own, uint32_t n, struct slice name)
{
	const struct yaml_node *all = yaml_get(own->root, "automation");
	const struct conf *conf = own->conf;
	uint32_t at;

	for (uint32_t i = 0; i < n; i++)
		if (slice_eq(conf->automations[i].name, name))
			return true;
	if (all == NULL || all->kind != YAML_MAP)
		return false;
	at = yaml_find(all, name);
	return at < all->n && all->items[at]->is_null;
}

/* May it ever match? Providers that nobody knows say nothing. */
static bool
has_provider(const struct conf *conf, const struct conf_automation *a)
{
	for (uint32_t i = 0; i < a->nproviders; i++)
		if (is_provider(conf, a->providers[i]))
			return true;
	return a->nproviders == 0;
}

static void
append(const struct rules_in *own, const struct conf_automations *more)
{
	struct conf *conf = own->conf;
	uint32_t n = conf->nautomations;
	struct conf_automation *all =
	    arena_get(&conf->arena, (n + more->n + 1) * sizeof(*all));

	ASSERT(all != NULL);
	if (n > 0)
		memcpy(all, conf->automations, n * sizeof(*all));
	for (uint32_t i = 0; i < more->n; i++)
		if (!is_known(own, conf->nautomations, more->v[i].name) &&
		    has_provider(conf, &more->v[i]))
			all[n++] = more->v[i];
	conf->automations = all;
	conf->nautomations = n;
	if (n > ENG_AUTOMATIONS_MAX)
		complain(own->c, (struct place){ 1, 1 }, "automation",
		    "at most 128 rules, the shipped ones included",
		    slice_str(NULL));
}

static void
read_shipped(const struct rules_in *own, const char *path,
    struct conf_errors *errs)
{
	struct conf *conf = own->conf;
	struct slice *name = &conf->files[conf->nfiles++];
	struct conf_automations says = { .n = 0 };
	struct complaints c;
	struct yaml_doc *doc = NULL;
	struct buf text;

	name->p = arena_str(&conf->arena, path, strlen(path));
	ASSERT(name->p != NULL);
	name->n = strlen(path);
	buf_init(&text, YAML_BYTES_MAX + 1);
	complaints_init(&c, name->p);
	if (file_read(path, &text, &c))
		doc = yaml_read(path, buf_slice(&text), &c);
	if (doc != NULL) {
		struct rules_in in = { conf, yaml_root(doc), &c, false };

		conf_read_group(conf, &automation_file_options, &says, in.root,
		    (uint16_t)(conf->nfiles - 1), &c);
		for (uint32_t i = 0; i < says.n; i++)
			check_rule(&in, &says.v[i]);
		append(own, &says);
	}
	yaml_doc_free(doc);
	complaints_flush(&c, errs);
	buf_free(&text);
}

/* ---- the whole ---------------------------------------------------------------------------- */

static uint64_t
hash_texts(uint64_t h, const struct slice *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		h = hash_bytes(h, v[i].p, v[i].n);
	return hash_u64(h + n);
}

/* Two configurations with the same look for the same in the same order. */
static uint64_t
key_of(const struct conf *conf)
{
	uint64_t h = conf->nautomations;

	for (uint32_t i = 0; i < conf->nautomations; i++) {
		const struct conf_automation *a = &conf->automations[i];

		h = hash_texts(h, &a->name, 1);
		h = hash_texts(h, a->stages, a->nstages);
		h = hash_texts(h, a->codes, a->ncodes);
		h = hash_texts(h, a->enhs, a->nenhs);
		h = hash_texts(h, a->texts, a->ntexts);
	}
	return h != 0 ? h : 1;
}

void
automation_read(struct conf *conf, const struct yaml_node *root,
    bool reads_files, struct complaints *c, struct conf_errors *errs)
{
	struct rules_in own = { conf, root, c, true };
	char path[4096];

	for (uint32_t i = 0; i < conf->nautomations; i++)
		check_rule(&own, &conf->automations[i]);
	if (reads_files && conf->automation_shipped) {
		conf_shipped("automation.yml", path, sizeof(path));
		/* Mail goes out without them, too. */
		if (access(path, R_OK) == 0)
			read_shipped(&own, path, errs);
		else
			complain_warn(c, (struct place){ 1, 1 },
			    "automation_shipped", "its file to be readable",
			    slice_str(path));
	}
	conf->automation_key = key_of(conf);
}
