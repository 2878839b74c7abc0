/*
 * plan/scenario.c - reads a scenario from YAML.
 */
#include "plan/keys.h"
#include "plan/scenario.h"

#define ARENA_MAX (256u << 20)
#define WEIGHT_MAX 1000000
#define ZIPF_MAX 10
#define ARRIVALS_MAX UINT64_C(10000000000)
#define RATE_EXPECTED                                                          \
	"\"constant 100/s for 1h\", \"poisson 462.96/s for 12h\", "            \
	"\"campaign 100000\", with \"at 500/s\" behind it, or "                \
	"\"closed 1000 of 100000\""

static struct scen_provider *
provider(struct keys *k)
{
	struct scen *s = k->into;

	return &s->providers[s->nproviders - 1];
}

static struct scen_workload *
workload(struct keys *k)
{
	struct scen *s = k->into;

	return &s->workloads[s->nworkloads - 1];
}

/* ---- limits for each source ---------------------------------------------------- */

static void
take_connections(struct keys *k, const struct yaml_node *v)
{
	provider(k)->behave.source_conns_max =
	    (uint32_t)keys_number(k, v, "connections", 1000000);
}

static void
take_rate(struct keys *k, const struct yaml_node *v)
{
	struct behave *b = &provider(k)->behave;

	if (v->kind != YAML_SCALAR ||
	    parse_rate(v->text, &b->rate_count, &b->rate_period_us) != 0 ||
	    b->rate_count == 0)
		keys_wrong(k, v, "rate", "a rate such as 5/s or 300/m");
	if (b->rate_burst == 0)
		b->rate_burst = 1;
}

static void
take_burst(struct keys *k, const struct yaml_node *v)
{
	provider(k)->behave.rate_burst =
	    (uint32_t)keys_number(k, v, "burst", 1000000);
}

static void
take_verdict(struct keys *k, const struct yaml_node *v, const char *what,
    struct verdict *verdict)
{
	char why[160];

	if (v->kind != YAML_SCALAR ||
	    verdict_parse(v->text, verdict, why, sizeof(why)) != 0)
		keys_wrong(k, v, what,
		    "a reply such as \"451 4.7.1 later\", close or silent");
}

static void
take_over(struct keys *k, const struct yaml_node *v)
{
	take_verdict(k, v, "over", &provider(k)->behave.over);
}

static void
take_stage(struct keys *k, const struct yaml_node *v, const char *what,
    uint8_t *stage)
{
	if (v->kind != YAML_SCALAR || stage_parse(v->text, stage) != 0)
		keys_wrong(k, v, what, "connect, mail, rcpt, data or eom");
}

static void
take_over_at(struct keys *k, const struct yaml_node *v)
{
	take_stage(k, v, "over_at", &provider(k)->behave.over_stage);
}

static const struct key source_keys[] = {
	{ "connections", take_connections },
	{ "rate", take_rate },
	{ "burst", take_burst },
	{ "over", take_over },
	{ "over_at", take_over_at },
};

static void
take_per_source(struct keys *k, const struct yaml_node *v)
{
	keys_take(k, v, source_keys, ARRAY_LEN(source_keys), "per_source");
}

/* ---- events -------------------------------------------------------------------- */

static struct spell *
event(struct keys *k)
{
	struct behave *b = &provider(k)->behave;

	return &b->spells[b->nspells];
}

static void
take_event_at(struct keys *k, const struct yaml_node *v)
{
	event(k)->from_us = keys_time(k, v, "at");
}

static void
take_event_for(struct keys *k, const struct yaml_node *v)
{
	event(k)->until_us = keys_time(k, v, "for");
}

static void
take_event_stage(struct keys *k, const struct yaml_node *v)
{
	take_stage(k, v, "stage", &event(k)->stage);
}

static void
take_event_reply(struct keys *k, const struct yaml_node *v)
{
	take_verdict(k, v, "reply", &event(k)->verdict);
}

static const struct key event_keys[] = {
	{ "at", take_event_at },
	{ "for", take_event_for },
	{ "stage", take_event_stage },
	{ "reply", take_event_reply },
};

static void
take_one_event(struct keys *k, const struct yaml_node *v)
{
	struct behave *b = &provider(k)->behave;

	if (b->nspells == SPELLS_MAX) {
		keys_wrong(k, v, "events", "at most 16 of them");
		return;
	}
	*event(k) = (struct spell){ .stage = AT_MAIL,
		.verdict = { .kind = VERDICT_REPLY, .code = 421 } };
	keys_take(k, v, event_keys, ARRAY_LEN(event_keys), "an event");
	if (v->kind != YAML_MAP || !yaml_get(v, "at") || !yaml_get(v, "for"))
		keys_wrong(k, v, "an event", "at and for");
	event(k)->until_us += event(k)->from_us;
	b->nspells++;
}

static void
take_events(struct keys *k, const struct yaml_node *v)
{
	keys_each(k, v, take_one_event);
}

/* ---- providers ----------------------------------------------------------------- */

static bool
add_spec(struct scen *s, struct scen_provider *p, struct slice text, char *why,
    size_t why_cap)
{
	struct expand e;

	if (p->nspecs == SCEN_SPECS_MAX || text.n == 0 ||
	    text.n > DOMAIN_MAX - 16 || memchr(text.p, '*', text.n) != NULL ||
	    expand_parse(text, &e) != 0)
		return false;
	p->specs[p->nspecs].names = e;
	p->specs[p->nspecs].text = text;
	p->ndomains += expand_count(&e);
	p->specs[p->nspecs++].up_to = p->ndomains;
	return nameset_add(&s->domains, text, s->nproviders, why, why_cap) == 0;
}

static void
take_domain(struct keys *k, const struct yaml_node *v)
{
	struct scen *s = k->into;
	char why[160];

	if (v->kind == YAML_SCALAR && nameset_get(&s->domains, v->text) != 0)
		keys_wrong(k, v, "domains", "each name once");
	else if (v->kind != YAML_SCALAR ||
	    !add_spec(s, provider(k), v->text, why, sizeof(why)))
		keys_wrong(k, v, "domains",
		    "up to 32 domains or ranges such as d{1..100}.example");
}

static void
take_domains(struct keys *k, const struct yaml_node *v)
{
	keys_each(k, v, take_domain);
}

static void
take_zipf(struct keys *k, const struct yaml_node *v)
{
	struct scen_provider *p = provider(k);

	if (v->kind != YAML_SCALAR || keys_decimal(v->text, &p->zipf) != 0 ||
	    p->zipf > ZIPF_MAX)
		keys_wrong(k, v, "zipf", "an exponent such as 1.1");
}

static void
take_mx(struct keys *k, const struct yaml_node *v)
{
	bool own = v->kind == YAML_SCALAR && slice_eq(v->text, SL("own"));

	provider(k)->has_own_mx = own;
	if (!own &&
	    (v->kind != YAML_SCALAR || !slice_eq(v->text, SL("shared"))))
		keys_wrong(k, v, "mx", "shared or own");
}

static void
take_messages(struct keys *k, const struct yaml_node *v)
{
	provider(k)->behave.messages_max =
	    (uint32_t)keys_number(k, v, "messages_per_connection", 1000000);
}

static void
take_one_reply(struct keys *k, const struct yaml_node *v)
{
	char why[160];

	if (v->kind != YAML_SCALAR ||
	    behave_add_rule(&provider(k)->behave, v->text, why, sizeof(why)) !=
		0)
		keys_wrong(k, v, "replies",
		    "STAGE:SHARE:REPLY such as \"rcpt:2%:450 4.2.1 full\"");
}

static void
take_replies(struct keys *k, const struct yaml_node *v)
{
	keys_each(k, v, take_one_reply);
}

static void
take_setup(struct keys *k, const struct yaml_node *v)
{
	keys_dist(k, v, "setup", DIST_TIME, &provider(k)->setup);
}

static void
take_per_message(struct keys *k, const struct yaml_node *v)
{
	keys_dist(k, v, "per_message", DIST_TIME, &provider(k)->per_message);
}

static void
take_refusal(struct keys *k, const struct yaml_node *v)
{
	keys_dist(k, v, "refusal", DIST_TIME, &provider(k)->refusal);
}

static const struct key provider_keys[] = {
	{ "domains", take_domains },
	{ "zipf", take_zipf },
	{ "mx", take_mx },
	{ "per_source", take_per_source },
	{ "messages_per_connection", take_messages },
	{ "replies", take_replies },
	{ "setup", take_setup },
	{ "per_message", take_per_message },
	{ "refusal", take_refusal },
	{ "events", take_events },
};

/* The table that domains are drawn by, and where their names lie. */
static bool
domains_make(struct scen *s, struct scen_provider *p)
{
	uint32_t n = (uint32_t)p->ndomains;
	struct buf name;

	if (n == 0)
		return true; /* what was wrong is reported */
	p->names = arena_get(&s->arena, n * sizeof(*p->names));
	if (p->names == NULL || !choice_zipf(&p->domain, p->zipf, n, &s->arena))
		return false;
	buf_init(&name, DOMAIN_MAX + 32);
	for (uint32_t i = 0; i < n; i++) {
		char lower[NAMESET_NAME_MAX + 1];

		buf_reset(&name);
		scen_domain(p, i, &name);
		p->names[i] = names_find(&s->domains.names,
		    nameset_fold(buf_slice(&name), lower));
	}
	buf_free(&name);
	return true;
}

static bool
is_word(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    s.p[i] != '-' && s.p[i] != '_')
			return false;
	return s.n > 0 && s.n <= NAME_MAX_BYTES;
}

static void
take_provider(struct keys *k, struct slice name, const struct yaml_node *v)
{
	struct scen *s = k->into;
	struct scen_provider *p = &s->providers[s->nproviders++];
	struct yaml_node own = { .kind = YAML_SCALAR };
	struct buf text;

	p->name = name;
	if (!is_word(name))
		keys_wrong(k, v, "provider",
		    "a name of up to 64 letters, digits, - and _");
	behave_init(&p->behave);
	dist_constant(&p->setup, 100 * US_PER_MS);
	dist_constant(&p->per_message, 100 * US_PER_MS);
	dist_constant(&p->refusal, 50 * US_PER_MS);
	keys_take(k, v, provider_keys, ARRAY_LEN(provider_keys), "a provider");
	if (p->nspecs == 0 && v->kind == YAML_MAP && !yaml_get(v, "domains")) {
		buf_init(&text, DOMAIN_MAX);
		(void)buf_addf(&text, "%.*s.example", SLF(name));
		own.text.n = buf_slice(&text).n;
		own.text.p =
		    arena_str(&s->arena, buf_slice(&text).p, own.text.n);
		own.line = v->line;
		own.column = v->column;
		buf_free(&text);
		take_domain(k, &own);
	}
	if (!domains_make(s, p))
		keys_wrong(k, v, "domains", "fewer of them");
}

static void
take_providers(struct keys *k, const struct yaml_node *v)
{
	struct scen *s = k->into;

	if (v->kind != YAML_MAP || v->n == 0 || v->n > SCEN_PROVIDERS_MAX) {
		keys_wrong(k, v, "provider", "a map of 1 to 64 providers");
		return;
	}
	s->providers = mem_get(v->n * sizeof(*s->providers));
	for (uint32_t i = 0; i < v->n; i++)
		take_provider(k, v->keys[i], v->items[i]);
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
	    zipf > ZIPF_MAX || !slice_has_prefix(text, SL("over ")) ||
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

static const struct key workload_keys[] = {
	{ "arrival", take_arrival },
	{ "start", take_start },
	{ "recipients", take_recipients },
	{ "size", take_size },
	{ "tenants", take_tenants },
	{ "campaign", take_campaign },
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
	{ "provider", take_providers },
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

struct scen *
scen_load(const char *path, const struct scen_set *sets, uint32_t nsets,
    struct conf_errors *errs)
{
	struct scen *s = mem_get(sizeof(*s));

	arena_init(&s->arena, 64u << 10, ARENA_MAX);
	nameset_init(&s->domains);
	s->seed = 1;
	s->name = slice_str(path);
	dist_constant(&s->dns, 20 * US_PER_MS);
	s->doc = yaml_load(path, errs);
	if (s->doc != NULL && scen_apply(s, sets, nsets, errs))
		read_all(s, path, errs);
	if (errs->n == 0)
		return s;
	scen_free(s);
	return NULL;
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

struct slice
scen_domain_draw(const struct scen *s, const struct scen_provider *p,
    struct rng *rng)
{
	return names_text(&s->domains.names,
	    p->names[choice_draw(&p->domain, rng)]);
}
