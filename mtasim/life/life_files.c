/*
 * life/life_files.c - one scenario, two files: the world for `mtasim world`
 * and the configuration for `mtad run`. Both are JSON, which is YAML.
 */
#include "life/life_i.h"

/* Providers listen at 127.77.0.0/16, sources send from 127.78.0.0/16. */
#define PROVIDER_NET "127.77"
#define SOURCE_NET "127.78"

static void put_text(struct jsonw *w, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
put_text(struct jsonw *w, const char *key, const char *fmt, ...)
{
	struct buf b;
	va_list ap;

	buf_init(&b, 4096);
	va_start(ap, fmt);
	(void)buf_addv(&b, fmt, ap);
	va_end(ap);
	if (key)
		jw_key(w, key);
	jw_str(w, buf_slice(&b));
	buf_free(&b);
}

/* ---- the world ----------------------------------------------------------------- */

static void
verdict_text_of(const struct verdict *v, char *dst, size_t cap)
{
	if (v->kind == VERDICT_REPLY)
		snprintf(dst, cap, "%u %s%s%s", v->code, v->enh,
		    v->enh[0] ? " " : "", v->text);
	else
		snprintf(dst, cap, "%s",
		    v->kind == VERDICT_CLOSE ? "close" : "silent");
}

static void
put_verdict(struct jsonw *w, const char *key, const struct verdict *v)
{
	char text[sizeof(v->text) + 32];

	verdict_text_of(v, text, sizeof(text));
	jw_kstr(w, key, slice_str(text));
}

/* As dist_parse reads it; exact to the microsecond. */
static void
put_dist(struct jsonw *w, const char *key, const char *before,
    const struct dist *d)
{
	long long a = (long long)(d->a + 0.5), b = (long long)(d->b + 0.5);

	switch ((enum dist_kind)d->kind) {
	case DIST_CONSTANT:
		put_text(w, key, "%s%lldus", before, a);
		return;
	case DIST_UNIFORM:
		put_text(w, key, "%suniform %lldus %lldus", before, a, b);
		return;
	case DIST_EXPONENTIAL:
		put_text(w, key, "%sexponential %lldus", before, a);
		return;
	case DIST_GAMMA:
		put_text(w, key, "%sgamma %lldus k %u", before, a, d->k);
		return;
	case DIST_LOGNORMAL:
		put_text(w, key, "%slognormal %lldus p99 %lldus", before, a,
		    (long long)(dist_p99(d) + 0.5));
	}
}

static void
put_source_limits(struct jsonw *w, const struct behave *b)
{
	jw_key(w, "per_source");
	jw_open(w, '{');
	jw_ku64(w, "connections", b->source_conns_max);
	if (b->rate_count) {
		put_text(w, "rate", "%llu/%lldus",
		    (unsigned long long)b->rate_count,
		    (long long)b->rate_period_us);
		jw_ku64(w, "burst", b->rate_burst);
	}
	put_verdict(w, "over", &b->over);
	jw_kstr(w, "over_at", slice_str(sim_stage_name(b->over_stage)));
	jw_close(w, '}');
}

static void
put_spells(struct jsonw *w, const struct behave *b)
{
	jw_key(w, "events");
	jw_open(w, '[');
	for (uint32_t i = 0; i < b->nspells; i++) {
		const struct spell *s = &b->spells[i];

		jw_open(w, '{');
		put_text(w, "at", "%lldus", (long long)s->from_us);
		put_text(w, "for", "%lldus",
		    (long long)(s->until_us - s->from_us));
		jw_kstr(w, "stage", slice_str(sim_stage_name(s->stage)));
		put_verdict(w, "reply", &s->verdict);
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

static void
put_replies(struct jsonw *w, const struct behave *b)
{
	jw_key(w, "replies");
	jw_open(w, '[');
	for (uint32_t i = 0; i < b->nrules; i++) {
		const struct rule *r = &b->rules[i];
		char text[sizeof(r->verdict.text) + 32];

		verdict_text_of(&r->verdict, text, sizeof(text));
		put_text(w, NULL, "%s:%u.%04u%%:%s", sim_stage_name(r->stage),
		    r->share_ppm / 10000, r->share_ppm % 10000, text);
	}
	jw_close(w, ']');
}

static void
put_provider(struct jsonw *w, const struct scen_provider *p, uint32_t i)
{
	const struct behave *b = &p->behave;

	jw_open(w, '{');
	jw_key(w, "domains");
	jw_open(w, '[');
	for (uint32_t k = 0; k < p->nspecs; k++)
		jw_str(w, p->specs[k].text);
	jw_close(w, ']');
	put_text(w, "mx", "10 mx%u.world.example " PROVIDER_NET ".0.%u", i + 1,
	    i + 1);
	put_source_limits(w, b);
	jw_ku64(w, "messages_per_connection", b->messages_max);
	jw_key(w, "delay");
	jw_open(w, '[');
	put_dist(w, NULL, "connect:", &p->setup);
	put_dist(w, NULL, "eom:", &p->per_message);
	jw_close(w, ']');
	put_dist(w, "refusal", "", &p->refusal);
	put_replies(w, b);
	put_spells(w, b);
	jw_close(w, '}');
}

static void
put_named(struct jsonw *w, struct slice name)
{
	char key[NAME_MAX_BYTES + 1];

	slice_copy(name, key, sizeof(key));
	jw_key(w, key);
}

void
life_world(const struct scen *s, struct buf *out)
{
	struct jsonw w;

	jw_init(&w, out);
	jw_open(&w, '{');
	jw_kstr(&w, "dns", SL("127.0.0.1:0"));
	jw_ku64(&w, "port", 0);
	jw_ku64(&w, "seed", s->seed);
	jw_ku64(&w, "ttl", 3600);
	jw_key(&w, "provider");
	jw_open(&w, '{');
	for (uint32_t i = 0; i < s->nproviders; i++) {
		put_named(&w, s->providers[i].name);
		put_provider(&w, &s->providers[i], i);
	}
	jw_close(&w, '}');
	jw_close(&w, '}');
	(void)buf_addc(out, '\n');
}

/* ---- the configuration --------------------------------------------------------- */

/* What is the life's own, and routes, which could lead out of it. */
static const char *const own_keys[] = { "user", "spool", "spool_min_free",
	"spool_max", "control", "log", "listen", "dns", "source", "pool",
	"smtp_port", "route", "stop_timeout" };

static bool
is_own(struct slice key)
{
	for (size_t i = 0; i < ARRAY_LEN(own_keys); i++)
		if (slice_eq(key, slice_str(own_keys[i])))
			return true;
	return false;
}

/* A key may hold what JSON escapes. */
static void
put_key(struct jsonw *w, struct slice key)
{
	struct jsonw quoted;
	struct buf b;

	buf_init(&b, 65536);
	jw_init(&quoted, &b);
	jw_str(&quoted, key);
	buf_cut(&b, b.n - 1);
	(void)buf_addc(&b, '\0');
	jw_key(w, buf_slice(&b).p + 1);
	buf_free(&b);
}

/* As deep as the tree is, which its reader has bounded. */
static void
put_node(struct jsonw *w, const struct yaml_node *v)
{
	switch (v->kind) {
	case YAML_SCALAR:
		if (v->is_null)
			jw_null(w);
		else
			jw_str(w, v->text);
		return;
	case YAML_LIST:
		jw_open(w, '[');
		for (uint32_t i = 0; i < v->n; i++)
			put_node(w, v->items[i]);
		jw_close(w, ']');
		return;
	case YAML_MAP:
		jw_open(w, '{');
		for (uint32_t i = 0; i < v->n; i++) {
			put_key(w, v->keys[i]);
			put_node(w, v->items[i]);
		}
		jw_close(w, '}');
	}
}

static void
put_places(struct jsonw *w, const struct life *l, uint16_t in_port,
    struct slice dns, uint16_t smtp_port)
{
	put_text(w, "spool", "%s/spool", l->dir);
	jw_kstr(w, "spool_min_free", SL("16M"));
	put_text(w, "control", "%s/control", l->dir);
	put_text(w, "log", "%s/log", l->dir);
	jw_key(w, "listen");
	jw_open(w, '{');
	jw_key(w, "in");
	jw_open(w, '{');
	put_text(w, "bind", "127.0.0.1:%u", in_port);
	jw_kstr(w, "relay_from", SL("127.0.0.0/8"));
	jw_close(w, '}');
	jw_close(w, '}');
	jw_key(w, "dns");
	jw_open(w, '{');
	jw_kstr(w, "servers", dns);
	jw_close(w, '}');
	jw_ku64(w, "smtp_port", smtp_port);
	jw_kstr(w, "stop_timeout", SL("1s"));
}

static void
put_sources(struct jsonw *w, const struct conf *c)
{
	jw_key(w, "source");
	jw_open(w, '{');
	for (uint32_t i = 0; i < c->nsources; i++) {
		put_named(w, c->sources[i].name);
		jw_open(w, '{');
		put_text(w, "address", SOURCE_NET ".%u.%u", i / 250,
		    i % 250 + 1);
		jw_close(w, '}');
	}
	jw_close(w, '}');
	jw_key(w, "pool");
	jw_open(w, '{');
	for (uint32_t i = 0; i < c->npools; i++) {
		put_named(w, c->pools[i].name);
		jw_open(w, '{');
		jw_key(w, "sources");
		jw_open(w, '[');
		for (uint32_t k = 0; k < c->pools[i].nsources; k++)
			jw_str(w, c->sources[c->pools[i].sources[k]].name);
		jw_close(w, ']');
		jw_close(w, '}');
	}
	jw_close(w, '}');
}

bool
life_conf(const struct life *l, uint16_t in_port, struct slice dns,
    uint16_t smtp_port, struct buf *out)
{
	struct conf_errors errs = { .report = NULL };
	const struct yaml_node *root;
	struct yaml_doc *doc;
	char path[2 * LIFE_PATH_MAX];
	struct jsonw w;

	if (!scen_beside(l->scenario, l->s->config, path, sizeof(path)))
		return false;
	doc = yaml_load(path, &errs);
	if (doc == NULL)
		return false;
	root = yaml_root(doc);
	jw_init(&w, out);
	jw_open(&w, '{');
	for (uint32_t i = 0; i < root->n; i++) {
		if (is_own(root->keys[i]))
			continue;
		put_key(&w, root->keys[i]);
		put_node(&w, root->items[i]);
	}
	put_places(&w, l, in_port, dns, smtp_port);
	put_sources(&w, l->s->conf);
	jw_close(&w, '}');
	(void)buf_addc(out, '\n');
	yaml_doc_free(doc);
	return !out->failed;
}
