/*
 * plan/scenario.c - reads a scenario from YAML.
 */
#include "world/keys.h"
#include "plan/scenario.h"

#define ARENA_MAX (256u << 20)
#define WEIGHT_MAX 1000000
#define ARRIVALS_MAX UINT64_C(10000000000)
#define RATE_EXPECTED                                                          \
	"\"constant 100/s for 1h\", \"poisson 462.96/s for 12h\", "            \
	"\"campaign 100000\", with \"at 500/s\" behind it, or "                \
	"\"closed 1000 of 100000\""

static struct scen_workload *
workload(struct keys *k)
{
	struct scen *s = k->into;

	return &s->workloads[s->nworkloads - 1];
}

/* ---- workloads ----------------------------------------------------------------- */

/* "462.96/s for 12h" behind the name of a process. */
static bool
rate_for(struct slice s, struct scen_workload *w)
{
	struct slice rate = slice_cut(&s, ' '), head = slice_cut(&rate, '/');
	uint64_t one;
	int64_t period;
	char per[32];

	if (keys_decimal(head, &w->rate) != 0 || w->rate <= 0 || rate.n == 0 ||
	    rate.n > 16)
		return false;
	snprintf(per, sizeof(per), "1/%.*s", SLF(rate));
	if (parse_rate(slice_str(per), &one, &period) != 0)
		return false;
	w->rate *= (double)US_PER_S / (double)period;
	if (w->arrival == ARRIVAL_CAMPAIGN)
		return s.n == 0;
	s = slice_trim(s);
	if (!slice_has_prefix(s, SL("for ")))
		return false;
	return parse_duration(slice_trim(slice_skip(s, 4)), &w->for_us) == 0;
}

static bool
arrival_parse(struct slice s, struct scen_workload *w)
{
	struct slice name = slice_cut(&s, ' '), count;

	s = slice_trim(s);
	if (slice_eq(name, SL("constant")) || slice_eq(name, SL("poisson"))) {
		w->arrival =
		    name.p[0] == 'c' ? ARRIVAL_CONSTANT : ARRIVAL_POISSON;
		return rate_for(s, w);
	}
	count = slice_cut(&s, ' ');
	if (slice_eq(name, SL("closed"))) {
		w->arrival = ARRIVAL_CLOSED;
		return slice_u64(count, ARRIVALS_MAX, &w->held) == 0 &&
		    w->held > 0 && slice_has_prefix(s, SL("of ")) &&
		    slice_u64(slice_skip(s, 3), ARRIVALS_MAX, &w->count) == 0;
	}
	if (!slice_eq(name, SL("campaign")))
		return false;
	w->arrival = ARRIVAL_CAMPAIGN;
	if (slice_u64(count, ARRIVALS_MAX, &w->count) != 0)
		return false;
	s = slice_trim(s);
	if (s.n == 0)
		return true;
	return slice_has_prefix(s, SL("at ")) &&
	    rate_for(slice_trim(slice_skip(s, 3)), w);
}

static void
take_arrival(struct keys *k, const struct yaml_node *v)
{
	if (v->kind != YAML_SCALAR || !arrival_parse(v->text, workload(k)))
		keys_wrong(k, v, "arrival", RATE_EXPECTED);
}

static void
take_start(struct keys *k, const struct yaml_node *v)
{
	workload(k)->start_us = keys_time(k, v, "start");
}

static void
take_size(struct keys *k, const struct yaml_node *v)
{
	keys_dist(k, v, "size", DIST_SIZE, &workload(k)->size);
}

static void
take_recipients(struct keys *k, const struct yaml_node *v)
{
	struct scen *s = k->into;
	struct scen_workload *w = workload(k);
	uint64_t weight[SCEN_PROVIDERS_MAX] = { 0 };

	if (v->kind != YAML_MAP || v->n == 0) {
		keys_wrong(k, v, "recipients", "a map of providers' weights");
		return;
	}
	for (uint32_t i = 0; i < v->n; i++) {
		struct yaml_node at = { .kind = YAML_SCALAR,
			.line = v->key_lines[i],
			.column = v->key_columns[i],
			.text = v->keys[i] };
		uint32_t p = 0;

		while (p < s->nproviders &&
		    !slice_eq(s->providers[p].name, v->keys[i]))
			p++;
		if (p == s->nproviders)
			keys_wrong(k, &at, "recipients",
			    "the name of a provider");
		else
			weight[p] =
			    keys_number(k, v->items[i], "a weight", WEIGHT_MAX);
	}
	for (uint32_t p = 0; p < s->nproviders; p++)
		w->up_to[p] = w->weights += weight[p];
	if (w->weights == 0)
		keys_wrong(k, v, "recipients", "a weight above 0");
}

/* "zipf 1.0 over t{1..1000}" */
static bool
tenants_by_range(struct scen *s, struct scen_workload *w, struct slice text)
{
	struct slice word = slice_cut(&text, ' '), exponent;
	struct expand e;
	struct buf name;
	double zipf;
	uint32_t n;
	bool ok = true;

	exponent = slice_cut(&text, ' ');
	if (!slice_eq(word, SL("zipf")) || keys_decimal(exponent, &zipf) != 0 ||
	    zipf > SCEN_ZIPF_MAX || !slice_has_prefix(text, SL("over ")) ||
	    expand_parse(slice_skip(text, 5), &e) != 0 ||
	    e.before.n + e.after.n + MAX(e.width, EXPAND_DIGITS) >
		NAME_MAX_BYTES)
		return false;
	n = (uint32_t)expand_count(&e);
	w->tenants = arena_get(&s->arena, n * sizeof(*w->tenants));
	if (w->tenants == NULL || !choice_zipf(&w->tenant, zipf, n, &s->arena))
		return false;
	buf_init(&name, NAME_MAX_BYTES);
	for (uint32_t i = 0; ok && i < n; i++) {
		buf_reset(&name);
		ASSERT(expand_name(&e, i, &name) == 0);
		w->tenants[i] =
		    slice_of(arena_str(&s->arena, buf_slice(&name).p, name.n),
			name.n);
		ok = w->tenants[i].p != NULL;
	}
	buf_free(&name);
	return ok;
}

static void
take_tenants(struct keys *k, const struct yaml_node *v)
{
	struct scen *s = k->into;
	struct scen_workload *w = workload(k);
	double *weights, sum = 0;

	if (v->kind == YAML_SCALAR && tenants_by_range(s, w, v->text))
		return;
	if (v->kind != YAML_MAP) {
		keys_wrong(k, v, "tenants",
		    "a map of weights, or \"zipf 1.0 over t{1..1000}\"");
		return;
	}
	weights = mem_get(v->n * sizeof(*weights));
	for (uint32_t i = 0; i < v->n; i++) {
		weights[i] =
		    (double)keys_number(k, v->items[i], "a weight", WEIGHT_MAX);
		sum += weights[i];
		if (v->keys[i].n > NAME_MAX_BYTES)
			keys_wrong(k, v->items[i], "tenants",
			    "names of up to 64 bytes");
	}
	w->tenants = v->keys;
	if (sum > 0 && !choice_make(&w->tenant, weights, v->n, &s->arena))
		keys_wrong(k, v, "tenants", "fewer of them");
	mem_free(weights);
}

static void
take_campaign(struct keys *k, const struct yaml_node *v)
{
	workload(k)->campaign = keys_text(k, v, "campaign");
}

static void
take_pool_name(struct keys *k, const struct yaml_node *v)
{
	workload(k)->pool = keys_text(k, v, "pool");
}

static void
take_sender(struct keys *k, const struct yaml_node *v)
{
	workload(k)->sender = keys_text(k, v, "sender");
	if (workload(k)->sender.n > DOMAIN_MAX)
		keys_wrong(k, v, "sender", "a domain");
}

static void
take_each(struct keys *k, const struct yaml_node *v)
{
	workload(k)->each = (uint32_t)keys_number(k, v, "each", SCEN_EACH_MAX);
	if (workload(k)->each == 0)
		keys_wrong(k, v, "each", "recipients of a message, 1 to 1000");
}

static void
take_mailboxes(struct keys *k, const struct yaml_node *v)
{
	workload(k)->mailboxes = keys_number(k, v, "mailboxes", ARRIVALS_MAX);
}

static const struct key workload_keys[] = {
	{ "arrival", take_arrival },
	{ "start", take_start },
	{ "recipients", take_recipients },
	{ "size", take_size },
	{ "tenants", take_tenants },
	{ "campaign", take_campaign },
	{ "sender", take_sender },
	{ "each", take_each },
	{ "mailboxes", take_mailboxes },
	{ "pool", take_pool_name },
};

static void
take_workloads(struct keys *k, const struct yaml_node *v)
{
	struct scen *s = k->into;

	if (v->kind != YAML_MAP || v->n == 0 || v->n > SCEN_WORKLOADS_MAX) {
		keys_wrong(k, v, "workload", "a map of 1 to 16 workloads");
		return;
	}
	s->workloads = mem_get(v->n * sizeof(*s->workloads));
	for (uint32_t i = 0; i < v->n; i++) {
		const struct yaml_node *m = v->items[i];
		struct scen_workload *w = &s->workloads[s->nworkloads++];

		w->name = v->keys[i];
		dist_constant(&w->size, 4096);
		w->each = 1;
		keys_take(k, m, workload_keys, ARRAY_LEN(workload_keys),
		    "a workload");
		if (m->kind == YAML_MAP &&
		    (!yaml_get(m, "arrival") || !yaml_get(m, "recipients")))
			keys_wrong(k, m, "a workload",
			    "arrival and recipients");
	}
}

/* ---- the top ------------------------------------------------------------------- */

static void
take_name(struct keys *k, const struct yaml_node *v)
{
	((struct scen *)k->into)->name = keys_text(k, v, "name");
}

static void
take_seed(struct keys *k, const struct yaml_node *v)
{
	((struct scen *)k->into)->seed =
	    keys_number(k, v, "seed", UINT64_MAX / 2);
}

static void
take_until(struct keys *k, const struct yaml_node *v)
{
	struct scen *s = k->into;

	if (v->kind == YAML_SCALAR && slice_eq(v->text, SL("drained")))
		s->until_us = 0;
	else if (v->kind != YAML_SCALAR ||
	    parse_duration(v->text, &s->until_us) != 0 || s->until_us == 0)
		keys_wrong(k, v, "until", "drained, or a time such as 24h");
}

static void
take_dns(struct keys *k, const struct yaml_node *v)
{
	keys_dist(k, v, "dns", DIST_TIME, &((struct scen *)k->into)->dns);
}

/* These wait for others: recipients name providers, limits name domains. */
static void
take_later(struct keys *k, const struct yaml_node *v)
{
	(void)k;
	(void)v;
}

static const struct key top_keys[] = {
	{ "name", take_name },
	{ "seed", take_seed },
	{ "until", take_until },
	{ "config", take_later },
	{ "dns", take_dns },
	{ "workload", take_later },
	{ "pool", take_later },
	{ "provider", scen_take_providers },
};

static void
read_all(struct scen *s, const char *path, struct conf_errors *errs)
{
	struct keys k = { .doc = s->doc, .errs = errs, .into = s };
	const struct yaml_node *root = yaml_root(s->doc), *config, *work;

	keys_take(&k, root, top_keys, ARRAY_LEN(top_keys), "a scenario");
	if (root->kind != YAML_MAP)
		return;
	config = yaml_get(root, "config");
	work = yaml_get(root, "workload");
	if (!config || !work || !yaml_get(root, "provider"))
		keys_wrong(&k, root, "a scenario",
		    "config, workload and provider");
	if (work)
		take_workloads(&k, work);
	if (config) {
		s->config = keys_text(&k, config, "config");
		scen_conf_load(s, path, config, yaml_get(root, "pool"), errs);
	}
}

static struct scen *
scen_new(const char *path)
{
	struct scen *s = mem_get(sizeof(*s));

	arena_init(&s->arena, 64u << 10, ARENA_MAX);
	nameset_init(&s->domains);
	s->seed = 1;
	s->path = path;
	s->name = slice_str(path);
	dist_constant(&s->dns, 20 * US_PER_MS);
	return s;
}

/* It, or NULL where there were errors. */
static struct scen *
scen_whole(struct scen *s, const struct conf_errors *errs)
{
	if (errs->n == 0)
		return s;
	scen_free(s);
	return NULL;
}

struct scen *
scen_load(const char *path, const struct scen_set *sets, uint32_t nsets,
    struct conf_errors *errs)
{
	struct scen *s = scen_new(path);

	s->doc = yaml_load(path, errs);
	if (s->doc != NULL && scen_apply(s, sets, nsets, errs))
		read_all(s, path, errs);
	return scen_whole(s, errs);
}

struct scen *
scen_parse(const char *path, struct slice text, struct slice policy,
    struct conf_errors *errs)
{
	struct scen *s = scen_new(path);

	s->policy = policy;
	s->doc = yaml_parse(path, text, errs);
	if (s->doc != NULL)
		read_all(s, path, errs);
	return scen_whole(s, errs);
}

void
scen_free(struct scen *s)
{
	conf_free(s->conf);
	nameset_free(&s->domains);
	mem_free(s->providers);
	mem_free(s->workloads);
	if (s->doc != NULL)
		yaml_doc_free(s->doc);
	for (uint32_t i = 0; i < s->ndocs; i++)
		yaml_doc_free(s->docs[i]);
	arena_free(&s->arena);
	mem_free(s);
}

/* ---- domains ------------------------------------------------------------------- */

void
scen_domain(const struct scen_provider *p, uint64_t i, struct buf *out)
{
	uint64_t before = 0;
	uint32_t k = 0;

	for (; k + 1 < p->nspecs && i >= p->specs[k].up_to; k++)
		before = p->specs[k].up_to;
	ASSERT(expand_name(&p->specs[k].names, i - before, out) == 0);
}

uint32_t
scen_domain_draw(const struct scen_provider *p, struct rng *rng)
{
	return p->names[choice_draw(&p->domain, rng)];
}
