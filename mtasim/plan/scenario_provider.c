/*
 * plan/scenario_provider.c - reads the providers of a scenario: their own keys
 * over those of the receiver's file that they name.
 */
#include <unistd.h>

#include "plan/scenario.h"
#include "world/guard.h"
#include "world/keys.h"

#define MODEL_PATH_MAX 4096

static struct scen_provider *
provider(struct keys *k)
{
	struct scen *s = k->into;

	return &s->providers[s->nproviders - 1];
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
	if (((struct scen *)k->into)->has_domains)
		return;
	keys_each(k, v, take_domain);
}

static void
take_zipf(struct keys *k, const struct yaml_node *v)
{
	struct scen_provider *p = provider(k);

	if (v->kind != YAML_SCALAR || keys_decimal(v->text, &p->zipf) != 0 ||
	    p->zipf > SCEN_ZIPF_MAX)
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
take_full(struct keys *k, const struct yaml_node *v)
{
	take_verdict(k, v, "messages_over", &provider(k)->behave.full);
}

static void
take_guards(struct keys *k, const struct yaml_node *v)
{
	struct scen *s = k->into;

	guards_take(k, v, &provider(k)->behave, &s->arena);
}

static void
take_host(struct keys *k, const struct yaml_node *v)
{
	provider(k)->host = keys_text(k, v, "host");
}

/* Its work is done before the other keys are taken. */
static void
take_model(struct keys *k, const struct yaml_node *v)
{
	(void)k;
	(void)v;
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
	{ "model", take_model },
	{ "domains", take_domains },
	{ "host", take_host },
	{ "zipf", take_zipf },
	{ "mx", take_mx },
	{ "per_source", take_per_source },
	{ "messages_per_connection", take_messages },
	{ "messages_over", take_full },
	{ "guards", take_guards },
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

/* ---- models ---------------------------------------------------------------------- */

/* Where the file of a receiver may be: as a path beside the scenario; by its
 * name, in receivers/ there, or one level up, or among the shipped ones. */
static struct yaml_doc *
model_load(struct scen *s, struct slice name, struct conf_errors *errs)
{
	static const char *const places[] = { "receivers/", "../receivers/" };
	char full[MODEL_PATH_MAX], beside[MODEL_PATH_MAX];

	if (memchr(name.p, '/', name.n) != NULL)
		return scen_beside(s->path, name, full, sizeof(full)) ?
		    yaml_load(full, errs) :
		    NULL;
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(beside, sizeof(beside), "%s%.*s.yml", places[i],
		    SLF(name));
		if (scen_beside(s->path, slice_str(beside), full,
			sizeof(full)) &&
		    access(full, R_OK) == 0)
			return yaml_load(full, errs);
	}
	snprintf(beside, sizeof(beside), "../receivers/%.*s.yml", SLF(name));
	(void)conf_shipped(beside, full, sizeof(full));
	return yaml_load(full, errs);
}

/* What the file says, before the scenario's own keys; its domains make way for
 * those of the scenario. */
static void
model_take(struct keys *k, const struct yaml_node *model,
    const struct yaml_node *own, const struct key *table, size_t n)
{
	struct scen *s = k->into;
	struct keys inner = { .errs = k->errs, .into = s };

	if (model->kind == YAML_SCALAR && model->text.n > 0 &&
	    model->text.n <= DOMAIN_MAX)
		inner.doc = s->docs[s->ndocs] =
		    model_load(s, model->text, k->errs);
	if (inner.doc == NULL) {
		keys_wrong(k, model, "model", "the name of a receiver's file");
		return;
	}
	s->ndocs++;
	s->has_domains = yaml_get(own, "domains") != NULL;
	keys_take(&inner, yaml_root(inner.doc), table, n, "a receiver");
	s->has_domains = false;
}

static void
take_provider(struct keys *k, struct slice name, const struct yaml_node *v)
{
	struct scen *s = k->into;
	struct scen_provider *p = &s->providers[s->nproviders++];
	const struct yaml_node *model;
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
	if (v->kind == YAML_MAP && (model = yaml_get(v, "model")) != NULL)
		model_take(k, model, v, provider_keys,
		    ARRAY_LEN(provider_keys));
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

void
scen_take_providers(struct keys *k, const struct yaml_node *v)
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
