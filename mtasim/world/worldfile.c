/*
 * world/worldfile.c - reads a world from YAML.
 *
 * Every key is a row of a table with the function that takes its value, so
 * unknown keys can be named together with what was expected. Reading goes on
 * after an error: all of them are reported.
 */
#include "world/keys.h"
#include "world/worldfile.h"

#define DNS_DEFAULT "127.0.0.1:5353"
#define PORT_DEFAULT 2526
#define GUARDS_MAX_BYTES (256u << 20)
#define FACT_MAX (NAMESET_NAME_MAX + 64)

struct reader {
	struct world *w;
	struct provider *p; /* the one being read */
	struct conf_errors *errs;
	char why[256];
};

struct field {
	const char *key;
	void (*take)(struct reader *r, const struct yaml_node *v);
};

static void
complain(struct reader *r, const struct yaml_node *at, const char *what)
{
	yaml_error(r->w->doc, at, r->errs, "%s", what);
}

/* The position of a key, for errors about the key itself. */
static struct yaml_node
key_node(const struct yaml_node *map, uint32_t i)
{
	struct yaml_node n = *map->items[i];

	n.line = map->key_lines[i];
	n.column = map->key_columns[i];
	return n;
}

static void
take_fields(struct reader *r, const struct yaml_node *map,
    const struct field *fields, size_t nfields, const char *what)
{
	if (map->kind != YAML_MAP) {
		yaml_error(r->w->doc, map, r->errs, "%s: expected a map", what);
		return;
	}
	for (uint32_t i = 0; i < map->n; i++) {
		struct yaml_node at = key_node(map, i);
		size_t f = 0;

		while (f < nfields &&
		    !slice_eq(map->keys[i], slice_str(fields[f].key)))
			f++;
		if (f == nfields)
			yaml_error(r->w->doc, &at, r->errs,
			    "%.*s: unknown key of %s; mtasim(1) lists them",
			    SLF(map->keys[i]), what);
		else if (map->items[i]->kind != YAML_SCALAR ||
		    !map->items[i]->is_null)
			fields[f].take(r, map->items[i]);
	}
}

/* A scalar's text, or an error and an empty slice. */
static struct slice
text_of(struct reader *r, const struct yaml_node *v)
{
	if (v->kind == YAML_SCALAR)
		return v->text;
	complain(r, v, "expected a text");
	return SL("");
}

/* Calls take for a scalar, or for each of a list. */
static void
take_each(struct reader *r, const struct yaml_node *v,
    void (*take)(struct reader *r, const struct yaml_node *v))
{
	if (v->kind != YAML_LIST) {
		take(r, v);
		return;
	}
	for (uint32_t i = 0; i < v->n; i++)
		take(r, v->items[i]);
}

static uint64_t
number_of(struct reader *r, const struct yaml_node *v, uint64_t max)
{
	uint64_t n = 0;

	if (slice_u64(text_of(r, v), max, &n) != 0)
		yaml_error(r->w->doc, v, r->errs,
		    "expected a number up to %llu, got '%.*s'",
		    (unsigned long long)max, SLF(v->text));
	return n;
}

static bool
bool_of(struct reader *r, const struct yaml_node *v)
{
	struct slice s = text_of(r, v);

	if (slice_ieq(s, SL("yes")) || slice_ieq(s, SL("true")))
		return true;
	if (!slice_ieq(s, SL("no")) && !slice_ieq(s, SL("false")))
		complain(r, v, "expected yes or no");
	return false;
}

/* ---- behaviour of a provider --------------------------------------------------- */

static void
take_domain(struct reader *r, const struct yaml_node *v)
{
	uint32_t at = (uint32_t)(r->p - r->w->providers) + 1;

	if (nameset_add(&r->w->domains, text_of(r, v), at, r->why,
		sizeof(r->why)) != 0)
		complain(r, v, r->why);
}

static void
take_domains(struct reader *r, const struct yaml_node *v)
{
	take_each(r, v, take_domain);
}

static void
take_hostname(struct reader *r, const struct yaml_node *v)
{
	r->p->hostname = text_of(r, v);
}

static void
take_connections(struct reader *r, const struct yaml_node *v)
{
	r->p->behave.conns_max = (uint32_t)number_of(r, v, 1000000);
}

static void
take_messages(struct reader *r, const struct yaml_node *v)
{
	r->p->behave.messages_max = (uint32_t)number_of(r, v, 1000000);
}

static void
take_recipients(struct reader *r, const struct yaml_node *v)
{
	r->p->behave.rcpts_max = (uint32_t)number_of(r, v, 1000);
}

static void
take_size(struct reader *r, const struct yaml_node *v)
{
	if (parse_size(text_of(r, v), &r->p->behave.size_max) != 0)
		complain(r, v, "expected a size such as 25M");
}

static void
take_one_delay(struct reader *r, const struct yaml_node *v)
{
	if (behave_add_delay(&r->p->behave, text_of(r, v), r->why,
		sizeof(r->why)) != 0)
		complain(r, v, r->why);
}

static void
take_delay(struct reader *r, const struct yaml_node *v)
{
	take_each(r, v, take_one_delay);
}

static void
take_refusal(struct reader *r, const struct yaml_node *v)
{
	r->p->behave.has_refusal = true;
	if (dist_parse(text_of(r, v), DIST_TIME, &r->p->behave.refusal) != 0)
		complain(r, v, "expected a time such as 50ms");
}

static void
take_one_reply(struct reader *r, const struct yaml_node *v)
{
	if (behave_add_rule(&r->p->behave, text_of(r, v), r->why,
		sizeof(r->why)) != 0)
		complain(r, v, r->why);
}

static void
take_replies(struct reader *r, const struct yaml_node *v)
{
	take_each(r, v, take_one_reply);
}

static void
take_silent(struct reader *r, const struct yaml_node *v)
{
	r->p->behave.is_silent = bool_of(r, v);
}

static void
take_pipelining(struct reader *r, const struct yaml_node *v)
{
	r->p->behave.hides_pipelining = !bool_of(r, v);
}

static void
take_busy(struct reader *r, const struct yaml_node *v)
{
	if (verdict_parse(text_of(r, v), &r->p->behave.busy, r->why,
		sizeof(r->why)) != 0)
		complain(r, v, r->why);
}

/* ---- limits per client address ------------------------------------------------- */

static void
take_source_connections(struct reader *r, const struct yaml_node *v)
{
	r->p->behave.source_conns_max = (uint32_t)number_of(r, v, 1000000);
}

static void
take_rate(struct reader *r, const struct yaml_node *v)
{
	struct behave *b = &r->p->behave;

	if (parse_rate(text_of(r, v), &b->rate_count, &b->rate_period_us) !=
		0 ||
	    b->rate_count == 0)
		complain(r, v, "expected a rate such as 10/s");
}

static void
take_burst(struct reader *r, const struct yaml_node *v)
{
	r->p->behave.rate_burst = (uint32_t)number_of(r, v, 1000000);
}

static void
take_over(struct reader *r, const struct yaml_node *v)
{
	if (verdict_parse(text_of(r, v), &r->p->behave.over, r->why,
		sizeof(r->why)) != 0)
		complain(r, v, r->why);
}

static void
take_over_at(struct reader *r, const struct yaml_node *v)
{
	if (stage_parse(text_of(r, v), &r->p->behave.over_stage) != 0)
		complain(r, v, "expected connect, mail, rcpt, data or eom");
}

static const struct field source_fields[] = {
	{ "connections", take_source_connections },
	{ "rate", take_rate },
	{ "burst", take_burst },
	{ "over", take_over },
	{ "over_at", take_over_at },
};

static void
take_per_source(struct reader *r, const struct yaml_node *v)
{
	take_fields(r, v, source_fields, ARRAY_LEN(source_fields),
	    "per_source");
}

static void
take_guards(struct reader *r, const struct yaml_node *v)
{
	struct keys k = { .doc = r->w->doc, .errs = r->errs };

	guards_take(&k, v, &r->p->behave, &r->w->arena);
}

/* ---- events -------------------------------------------------------------------- */

static struct spell *
spell(struct reader *r)
{
	return &r->p->behave.spells[r->p->behave.nspells];
}

static int64_t
time_of(struct reader *r, const struct yaml_node *v)
{
	int64_t us = 0;

	if (parse_duration(text_of(r, v), &us) != 0)
		complain(r, v, "expected a time such as 30s");
	return us;
}

static void
take_event_at(struct reader *r, const struct yaml_node *v)
{
	spell(r)->from_us = time_of(r, v);
}

static void
take_event_for(struct reader *r, const struct yaml_node *v)
{
	spell(r)->until_us = time_of(r, v);
}

static void
take_event_stage(struct reader *r, const struct yaml_node *v)
{
	if (stage_parse(text_of(r, v), &spell(r)->stage) != 0)
		complain(r, v, "expected connect, mail, rcpt, data or eom");
}

static void
take_event_reply(struct reader *r, const struct yaml_node *v)
{
	if (verdict_parse(text_of(r, v), &spell(r)->verdict, r->why,
		sizeof(r->why)) != 0)
		complain(r, v, r->why);
}

static const struct field event_fields[] = {
	{ "at", take_event_at },
	{ "for", take_event_for },
	{ "stage", take_event_stage },
	{ "reply", take_event_reply },
};

static void
take_one_event(struct reader *r, const struct yaml_node *v)
{
	if (r->p->behave.nspells == SPELLS_MAX) {
		complain(r, v, "expected at most 16 events");
		return;
	}
	*spell(r) = (struct spell){ .stage = AT_MAIL,
		.verdict = { .kind = VERDICT_REPLY, .code = 421 } };
	take_fields(r, v, event_fields, ARRAY_LEN(event_fields), "an event");
	if (v->kind != YAML_MAP || !yaml_get(v, "at") || !yaml_get(v, "for"))
		complain(r, v, "an event: expected at and for");
	spell(r)->until_us += spell(r)->from_us;
	r->p->behave.nspells++;
}

static void
take_events(struct reader *r, const struct yaml_node *v)
{
	take_each(r, v, take_one_event);
}

/* ---- TLS ----------------------------------------------------------------------- */

static void
take_cert(struct reader *r, const struct yaml_node *v)
{
	r->p->cert = text_of(r, v);
}

static void
take_key(struct reader *r, const struct yaml_node *v)
{
	r->p->key = text_of(r, v);
}

static const struct field tls_fields[] = {
	{ "cert", take_cert },
	{ "key", take_key },
};

static void
take_tls(struct reader *r, const struct yaml_node *v)
{
	take_fields(r, v, tls_fields, ARRAY_LEN(tls_fields), "tls");
	if (r->p->cert.n == 0 || r->p->key.n == 0)
		complain(r, v, "tls: expected cert and key");
}

/* ---- MX hosts ------------------------------------------------------------------ */

static int
host_address(struct reader *r, struct slice host, struct slice text,
    bool is_dead)
{
	struct provider *p = r->p;
	char fact[IP_TEXT_MAX + 8];
	struct ip ip;

	if (ip_parse(text, &ip) != 0) {
		snprintf(r->why, sizeof(r->why), "'%.*s' is no address",
		    SLF(text));
		return E_SYNTAX;
	}
	snprintf(fact, sizeof(fact), "%s %.*s", ip.family == 4 ? "A" : "AAAA",
	    SLF(text));
	if (!is_dead && p->naddrs == PROVIDER_ADDRS_MAX) {
		snprintf(r->why, sizeof(r->why), "more than %d addresses",
		    PROVIDER_ADDRS_MAX);
		return E_FULL;
	}
	if (!is_dead)
		p->addrs[p->naddrs++] = ip;
	return zone_add(r->w->zone, host, slice_str(fact), r->why,
	    sizeof(r->why));
}

/* "10 mx1.x.example 127.1.0.1 127.1.0.2"; with "dead" at its end nobody
 * listens there. */
static int
mx_host(struct reader *r, struct slice text)
{
	struct slice pref = slice_cut(&text, ' '), host, word;
	bool is_dead = slice_has_isuffix(text, SL(" dead"));
	uint64_t v;

	if (is_dead)
		text.n -= SL(" dead").n;
	text = slice_trim(text);
	host = slice_cut(&text, ' ');
	if (slice_u64(pref, UINT16_MAX, &v) != 0 || host.n == 0 ||
	    slice_trim(text).n == 0) {
		snprintf(r->why, sizeof(r->why),
		    "expected \"PREFERENCE HOST ADDRESS ... [dead]\"");
		return E_SYNTAX;
	}
	while (text.n > 0) {
		word = slice_cut(&text, ' ');
		if (word.n > 0 && host_address(r, host, word, is_dead) != 0)
			return E_SYNTAX;
	}
	return 0;
}

static void
take_mx_host(struct reader *r, const struct yaml_node *v)
{
	if (mx_host(r, text_of(r, v)) != 0)
		complain(r, v, r->why);
}

static void
take_mx(struct reader *r, const struct yaml_node *v)
{
	take_each(r, v, take_mx_host);
}

/* The MX records of one domain: once hosts and domains are both known. */
static void
publish_mx(struct reader *r, const struct yaml_node *domain,
    const struct yaml_node *mx)
{
	uint32_t n = mx->kind == YAML_LIST ? mx->n : 1;
	char fact[FACT_MAX];

	for (uint32_t i = 0; i < n; i++) {
		const struct yaml_node *v =
		    mx->kind == YAML_LIST ? mx->items[i] : mx;
		struct slice text = v->text, pref = slice_cut(&text, ' '), host;

		text = slice_trim(text);
		host = slice_cut(&text, ' ');
		snprintf(fact, sizeof(fact), "MX %.*s %.*s", SLF(pref),
		    (int)MIN(host.n, (size_t)NAMESET_NAME_MAX), host.p);
		if (zone_add(r->w->zone, domain->text, slice_str(fact), r->why,
			sizeof(r->why)) != 0)
			complain(r, domain, r->why);
	}
}

static const struct field provider_fields[] = {
	{ "domains", take_domains },
	{ "mx", take_mx },
	{ "hostname", take_hostname },
	{ "connections", take_connections },
	{ "busy", take_busy },
	{ "per_source", take_per_source },
	{ "messages_per_connection", take_messages },
	{ "recipients", take_recipients },
	{ "size", take_size },
	{ "delay", take_delay },
	{ "refusal", take_refusal },
	{ "events", take_events },
	{ "replies", take_replies },
	{ "guards", take_guards },
	{ "silent", take_silent },
	{ "pipelining", take_pipelining },
	{ "tls", take_tls },
};

static void
take_provider(struct reader *r, struct slice name, const struct yaml_node *v)
{
	struct provider *p = &r->w->providers[r->w->nproviders++];
	const struct yaml_node *domains, *mx;
	uint32_t before = r->errs->n;

	p->name = p->hostname = name;
	behave_init(&p->behave);
	r->p = p;
	take_fields(r, v, provider_fields, ARRAY_LEN(provider_fields),
	    "a provider");
	if (r->errs->n > before)
		return;
	domains = yaml_get(v, "domains");
	mx = yaml_get(v, "mx");
	if (domains == NULL || mx == NULL) {
		complain(r, v, "expected domains and mx");
		return;
	}
	for (uint32_t i = 0; domains->kind == YAML_LIST && i < domains->n; i++)
		publish_mx(r, domains->items[i], mx);
	if (domains->kind == YAML_SCALAR)
		publish_mx(r, domains, mx);
}

static void
take_providers(struct reader *r, const struct yaml_node *v)
{
	if (v->kind != YAML_MAP || v->n > WORLD_PROVIDERS_MAX) {
		complain(r, v, "expected a map of providers");
		return;
	}
	r->w->providers = mem_get(v->n * sizeof(*r->w->providers) + 1);
	for (uint32_t i = 0; i < v->n; i++)
		take_provider(r, v->keys[i], v->items[i]);
}

/* ---- the top ------------------------------------------------------------------- */

static void
take_names(struct reader *r, const struct yaml_node *v)
{
	if (v->kind != YAML_MAP) {
		complain(r, v, "expected a map of names");
		return;
	}
	for (uint32_t i = 0; i < v->n; i++) {
		const struct yaml_node *facts = v->items[i];
		uint32_t n = facts->kind == YAML_LIST ? facts->n : 1;

		for (uint32_t k = 0; k < n; k++) {
			const struct yaml_node *f =
			    facts->kind == YAML_LIST ? facts->items[k] : facts;

			if (zone_add(r->w->zone, v->keys[i], text_of(r, f),
				r->why, sizeof(r->why)) != 0)
				complain(r, f, r->why);
		}
	}
}

static void
take_dns(struct reader *r, const struct yaml_node *v)
{
	if (endpoint_parse(text_of(r, v), 53, &r->w->dns) != 0)
		complain(r, v, "expected ADDRESS:PORT");
}

static void
take_port(struct reader *r, const struct yaml_node *v)
{
	r->w->port = (uint16_t)number_of(r, v, UINT16_MAX);
}

static void
take_seed(struct reader *r, const struct yaml_node *v)
{
	r->w->seed = number_of(r, v, UINT64_MAX / 2);
}

static void
take_ttl(struct reader *r, const struct yaml_node *v)
{
	zone_set_ttl(r->w->zone, (uint32_t)number_of(r, v, INT32_MAX));
}

static const struct field world_fields[] = {
	{ "dns", take_dns },
	{ "port", take_port },
	{ "seed", take_seed },
	{ "ttl", take_ttl },
	{ "names", take_names },
	{ "provider", take_providers },
};

/* The world that a document tells; takes it over. NULL for NULL. */
static struct world *
world_read(struct yaml_doc *doc, struct conf_errors *errs)
{
	struct world *w = mem_get(sizeof(*w));
	struct reader r = { .w = w, .errs = errs };

	w->zone = zone_new();
	nameset_init(&w->domains);
	arena_init(&w->arena, 64u << 10, GUARDS_MAX_BYTES);
	(void)endpoint_parse(SL(DNS_DEFAULT), 0, &w->dns);
	w->port = PORT_DEFAULT;
	w->seed = 1;
	w->doc = doc;
	if (w->doc != NULL)
		take_fields(&r, yaml_root(w->doc), world_fields,
		    ARRAY_LEN(world_fields), "a world");
	if (errs->n == 0)
		return w;
	world_free(w);
	return NULL;
}

struct world *
world_load(const char *path, struct conf_errors *errs)
{
	return world_read(yaml_load(path, errs), errs);
}

struct world *
world_parse(const char *name, struct slice text, struct conf_errors *errs)
{
	return world_read(yaml_parse(name, text, errs), errs);
}

void
world_free(struct world *w)
{
	if (w == NULL)
		return;
	zone_free(w->zone);
	nameset_free(&w->domains);
	arena_free(&w->arena);
	mem_free(w->providers);
	yaml_doc_free(w->doc);
	mem_free(w);
}

const struct provider *
world_provider(const struct world *w, struct slice domain)
{
	char lower[NAMESET_NAME_MAX + 1];
	struct slice name = nameset_fold(domain, lower);
	uint32_t at = nameset_find(&w->domains, name, NULL);

	return at != 0 ? &w->providers[at - 1] : NULL;
}

void
world_report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}
