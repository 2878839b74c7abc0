/*
 * scene/stage.c - what a scene gives: providers, sources, settings, mail. It
 * becomes a scenario as YAML and a configuration of mtad, and is run.
 */
#include <stdarg.h>
#include <stdio.h>

#include "scene/scene.h"

#define TEXT_MAX (1u << 20)
#define MINUTE_US (60 * US_PER_S)
#define HOURS_DEFAULT 24

struct given_provider {
	struct slice name;
	struct slice model; /* empty: none */
	const struct step *block;
	struct buf events;
};

struct staging {
	struct scene *s;
	const char *receivers;
	struct conf_errors *errs;
	uint32_t nproviders, nsources, nworkloads;
	struct given_provider providers[SCEN_PROVIDERS_MAX];
	struct {
		struct slice name, address;
		const struct step *block; /* or NULL */
	} sources[SCENE_SOURCES_MAX];
	const struct step *settings;
	struct buf workloads;
	uint64_t seed;
	int64_t until_us;
};

static void complain(const struct staging *g, const struct step *at,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void
complain(const struct staging *g, const struct step *at, const char *fmt, ...)
{
	char text[400], line[4400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "%.3900s:%u: %s", g->s->path, at->line,
	    text);
	g->errs->n++;
	if (g->errs->report)
		g->errs->report(g->errs->ctx, line);
}

/* ---- Given ----------------------------------------------------------------------- */

static struct given_provider *
find_provider(struct staging *g, struct slice name)
{
	for (uint32_t i = 0; i < g->nproviders; i++)
		if (slice_eq(g->providers[i].name, name))
			return &g->providers[i];
	return NULL;
}

static struct given_provider *
add_provider(struct staging *g, const struct step *at, struct slice name)
{
	struct given_provider *p = &g->providers[g->nproviders];

	if (g->nproviders == SCEN_PROVIDERS_MAX || find_provider(g, name)) {
		complain(g, at, "expected at most %d providers, each once",
		    SCEN_PROVIDERS_MAX);
		return NULL;
	}
	g->nproviders++;
	*p = (struct given_provider){ .name = name,
		.block = at->block.p ? at : NULL };
	buf_init(&p->events, TEXT_MAX);
	return p;
}

static void
give_model(struct staging *g, const struct step *at, const struct args *a)
{
	struct given_provider *p = add_provider(g, at, a->v[0].text);

	if (p)
		p->model = p->name;
}

static void
give_provider(struct staging *g, const struct step *at, const struct args *a)
{
	if (at->block.p == NULL)
		complain(g, at, "expected \"as modelled\", or : and a block");
	else
		(void)add_provider(g, at, a->v[0].text);
}

static void
add_source(struct staging *g, const struct step *at, struct slice name,
    struct slice address)
{
	if (g->nsources == SCENE_SOURCES_MAX) {
		complain(g, at, "expected at most %d sources",
		    SCENE_SOURCES_MAX);
		return;
	}
	g->sources[g->nsources].name = name;
	g->sources[g->nsources++].address = address;
}

static void
give_sources(struct staging *g, const struct step *at, const struct args *a)
{
	static const char names[] = "abcdefghijklmnopqrstuvwxyz";

	if (a->v[0].v < 1 || a->v[0].v > 26)
		complain(g, at, "expected 1 to 26 sources");
	for (int64_t i = 0; i < a->v[0].v && i < 26; i++)
		add_source(g, at, slice_of(&names[i], 1), SL(""));
}

/* "sources a, b and c", each perhaps with "at ADDRESS" behind it. */
static void
give_named_sources(struct staging *g, const struct step *at,
    const struct args *a)
{
	const struct words *w = &at->words;

	(void)a;
	for (uint32_t i = 1; i < w->n; i++) {
		struct slice address = SL(""), name = w->v[i].text;

		if (slice_eq(name, SL("and")))
			continue;
		if (i + 2 < w->n && slice_eq(w->v[i + 1].text, SL("at"))) {
			address = w->v[i + 2].text;
			i += 2;
		}
		add_source(g, at, name, address);
	}
}

static void
give_source(struct staging *g, const struct step *at, const struct args *a)
{
	uint32_t n = g->nsources;

	add_source(g, at, a->v[0].text,
	    arg_is_set(a, 1) ? a->v[1].text : SL(""));
	if (g->nsources > n && at->block.p != NULL)
		g->sources[n].block = at;
}

static void
give_settings(struct staging *g, const struct step *at, const struct args *a)
{
	(void)a;
	if (g->settings != NULL || at->block.p == NULL)
		complain(g, at, "expected one block of settings");
	g->settings = at;
}

static void
give_seed(struct staging *g, const struct step *at, const struct args *a)
{
	(void)at;
	g->seed = (uint64_t)a->v[0].v;
}

/* ---- When ------------------------------------------------------------------------ */

static void
when_mail(struct staging *g, const struct step *at, const struct args *a)
{
	struct buf *w = &g->workloads;
	int64_t within_us = arg_is_set(a, 3) ? a->v[3].v : 0;

	if (find_provider(g, a->v[1].text) == NULL) {
		complain(g, at, "expected a provider that is given, got '%.*s'",
		    SLF(a->v[1].text));
		return;
	}
	(void)buf_addf(w, "  w%u: { arrival: \"campaign %lld", ++g->nworkloads,
	    (long long)a->v[0].v);
	if (within_us > 0)
		(void)buf_addf(w, " at %.9f/s",
		    (double)a->v[0].v * (double)US_PER_S / (double)within_us);
	(void)buf_addf(w, "\", recipients: { %.*s: 1 }", SLF(a->v[1].text));
	if (arg_is_set(a, 4))
		(void)buf_addf(w, ", start: %llds",
		    (long long)(a->v[4].v / US_PER_S));
	if (arg_is_set(a, 5))
		(void)buf_addf(w, ", sender: %.*s", SLF(a->v[5].text));
	if (arg_is_set(a, 6))
		(void)buf_addf(w, ", tenants: { %.*s: 1 }", SLF(a->v[6].text));
	if (arg_is_set(a, 7))
		(void)buf_addf(w, ", mailboxes: %lld", (long long)a->v[7].v);
	if (arg_is_set(a, 8))
		(void)buf_addf(w, ", each: %lld", (long long)a->v[8].v);
	(void)buf_addz(w, " }\n");
}

static void
when_event(struct staging *g, const struct step *at, const struct args *a)
{
	static const char *const stages[] = { "connect", "mail", "rcpt", "data",
		"eom" };
	struct given_provider *p = find_provider(g, a->v[0].text);

	if (p == NULL) {
		complain(g, at, "expected a provider that is given, got '%.*s'",
		    SLF(a->v[0].text));
		return;
	}
	(void)buf_addf(&p->events,
	    "      - { stage: %s, reply: \"%.*s\", at: %llds, for: %llds }\n",
	    stages[a->v[1].v], SLF(a->v[2].text),
	    (long long)((arg_is_set(a, 3) ? a->v[3].v : 0) / US_PER_S),
	    (long long)(a->v[4].v / US_PER_S));
}

static void
when_over(struct staging *g, const struct step *at, const struct args *a)
{
	(void)at;
	g->until_us = a->v[0].v;
}

/* ---- steps ----------------------------------------------------------------------- */

static const struct {
	uint8_t kind; /* enum step_kind */
	const char *pattern;
	void (*take)(struct staging *g, const struct step *at,
	    const struct args *a);
} table[] = {
	{ STEP_GIVEN, "the provider <w> as modelled [ with ]", give_model },
	{ STEP_GIVEN, "the provider <w>", give_provider },
	{ STEP_GIVEN, "<n> (source|sources)", give_sources },
	{ STEP_GIVEN, "the source <w> [ at <w> ]", give_source },
	{ STEP_GIVEN, "the settings", give_settings },
	{ STEP_GIVEN, "the seed <n>", give_seed },
	{ STEP_WHEN,
	    "<n> messages for <w> (arrive_at_once|arrive) [ in <d> ] "
	    "[ after <d> ] [ from <w> ] [ of tenant <w> ] "
	    "[ to <n> mailboxes ] [ with <n> recipients each ]",
	    when_mail },
	{ STEP_WHEN,
	    "<w> answers (connect|mail|rcpt|data|eom) with <q> [ after <d> ] "
	    "for <d>",
	    when_event },
	{ STEP_WHEN, "all is over after <d>", when_over },
};

static void
take_step(struct staging *g, const struct step *at)
{
	struct args a;

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].kind == at->kind &&
		    words_match(&at->words, 0, table[i].pattern, &a)) {
			table[i].take(g, at, &a);
			return;
		}
	if (at->kind == STEP_GIVEN && at->words.n > 1 &&
	    (slice_eq(at->words.v[0].text, SL("sources")) ||
		slice_eq(at->words.v[0].text, SL("source")))) {
		give_named_sources(g, at, NULL);
		return;
	}
	complain(g, at, "nobody knows this step: '%.*s'",
	    (int)MIN(at->text.n, (size_t)200), at->text.p);
}

/* ---- YAML ------------------------------------------------------------------------ */

static size_t
indent_of(struct slice line)
{
	size_t n = 0;

	while (n < line.n && line.p[n] == ' ')
		n++;
	return n;
}

/* The lines of a block, further in by so much, or as far out as they go. */
static void
put_block(struct buf *out, const struct step *at, uint32_t indent)
{
	struct slice rest = at->block, line;
	size_t least = SIZE_MAX;

	while (rest.p != NULL) {
		line = slice_cut(&rest, '\n');
		if (slice_trim(line).n > 0)
			least = MIN(least, indent_of(line));
	}
	rest = at->block;
	while (rest.p != NULL) {
		line = slice_cut(&rest, '\n');
		(void)buf_addf(out, "%*s%.*s\n", (int)indent, "",
		    SLF(slice_skip(line, least)));
	}
}

static void
put_scenario(struct staging *g, struct buf *out)
{
	(void)buf_addf(out, "config: here\nseed: %llu\nuntil: %llds\n",
	    (unsigned long long)g->seed, (long long)(g->until_us / US_PER_S));
	(void)buf_addz(out, "provider:\n");
	for (uint32_t i = 0; i < g->nproviders; i++) {
		struct given_provider *p = &g->providers[i];

		(void)buf_addf(out, "  %.*s:\n", SLF(p->name));
		if (p->model.n)
			(void)buf_addf(out, "    model: %s/%.*s.yml\n",
			    g->receivers, SLF(p->model));
		if (p->block)
			put_block(out, p->block, 4);
		if (p->events.n)
			(void)buf_addf(out, "    events:\n%.*s",
			    SLF(buf_slice(&p->events)));
	}
	(void)buf_addf(out, "workload:\n%.*s", SLF(buf_slice(&g->workloads)));
}

/* The settings stand at the lines that they have in the scene, where there is
 * room, so that errors name those. */
static void
put_policy(struct staging *g, struct buf *out)
{
	uint32_t lines = 1;

	(void)buf_addz(out, "hostname: mta1.example\nsource:\n");
	for (uint32_t i = 0; i < g->nsources; i++) {
		(void)buf_addf(out, "  %.*s: %s\n", SLF(g->sources[i].name),
		    g->sources[i].address.n || g->sources[i].block ? "" : "{}");
		if (g->sources[i].address.n)
			(void)buf_addf(out, "    address: %.*s\n",
			    SLF(g->sources[i].address));
		if (g->sources[i].block)
			put_block(out, g->sources[i].block, 4);
	}
	(void)buf_addz(out, "pool: { default: { sources: [");
	for (uint32_t i = 0; i < g->nsources; i++)
		(void)buf_addf(out, "%s%.*s", i ? ", " : "",
		    SLF(g->sources[i].name));
	(void)buf_addz(out, "] } }\n");
	if (g->settings == NULL)
		return;
	for (size_t i = 0; i < out->n; i++)
		lines += out->p[out->off + i] == '\n';
	for (; lines < g->settings->block_line; lines++)
		(void)buf_addc(out, '\n');
	put_block(out, g->settings, 0);
}

/* ---- the log --------------------------------------------------------------------- */

static void
on_event(void *ctx, const struct trial_event *ev)
{
	struct scene_log *l = &((struct scene *)ctx)->log;
	struct trial_event *grown;

	if (l->n == l->cap) {
		if (l->n >= SCENE_EVENTS_MAX) {
			l->is_full = true;
			return;
		}
		grown = mem_grow(l->v, MAX(l->cap * 2, 1024u) * sizeof(*grown));
		ASSERT(grown != NULL);
		l->v = grown;
		l->cap = MAX(l->cap * 2, 1024u);
	}
	l->v[l->n++] = *ev;
}

/* What due mail has waited for longest since the last time. */
static void
on_sample(void *ctx, int64_t at_us, uint32_t provider, uint64_t depth,
    const struct eng_blocked blocked[ENG_WHY_N])
{
	struct scene *s = ctx;
	struct scene_log *l = &s->log;
	uint32_t n = s->scen->nproviders;
	uint64_t most = 0;
	struct minute *m;

	(void)at_us;
	if (provider == 0 && l->nminutes++ == l->minutes_cap) {
		l->minutes_cap = MAX(l->minutes_cap * 2, 1024u);
		l->minutes = mem_grow(l->minutes,
		    (size_t)l->minutes_cap * n * sizeof(*m));
		ASSERT(l->minutes != NULL);
	}
	m = &l->minutes[(size_t)(l->nminutes - 1) * n + provider];
	*m = (struct minute){ .depth = depth };
	for (uint32_t w = 1; w < ENG_WHY_N; w++) {
		uint64_t passed =
		    blocked[w].rcpt_us - l->before[provider][w].rcpt_us;

		if (passed > most) {
			most = passed;
			m->why = (uint8_t)w;
		}
	}
	memcpy(l->before[provider], blocked, sizeof(l->before[0]));
}

/* ---- the run --------------------------------------------------------------------- */

static void
stage_run(struct scene *s, uint64_t seed)
{
	struct trial_watch watch = { .event = on_event,
		.sample = on_sample,
		.every_us = MINUTE_US,
		.ctx = s };
	struct outlook *o;

	s->log.before = mem_get(s->scen->nproviders * sizeof(*s->log.before));
	o = trial_run(s->scen, seed, NULL, &watch);
	s->end_us = o->end_us;
	s->still = o->tallies[o->n].depth;
	outlook_free(o);
}

static void
stage_free(struct staging *g)
{
	for (uint32_t i = 0; i < g->nproviders; i++)
		buf_free(&g->providers[i].events);
	buf_free(&g->workloads);
	mem_free(g);
}

bool
scene_run(struct scene *s, const char *receivers, uint64_t seed,
    struct conf_errors *errs)
{
	struct staging *g = mem_get(sizeof(*g));
	struct buf text, policy;

	*g = (struct staging){ .s = s,
		.receivers = receivers,
		.errs = errs,
		.seed = 1,
		.until_us = HOURS_DEFAULT * 3600 * US_PER_S };
	buf_init(&g->workloads, TEXT_MAX);
	buf_init(&text, TEXT_MAX);
	buf_init(&policy, TEXT_MAX);
	for (uint32_t i = 0; i < s->nsteps; i++)
		if (s->steps[i].kind != STEP_THEN)
			take_step(g, &s->steps[i]);
	if (g->nsources == 0)
		add_source(g, &s->steps[0], SL("a"), SL(""));
	put_scenario(g, &text);
	put_policy(g, &policy);
	if (errs->n == 0)
		s->scen = scen_parse(s->path, buf_slice(&text),
		    buf_slice(&policy), errs);
	if (s->scen != NULL)
		stage_run(s, seed ? seed : g->seed);
	buf_free(&text);
	buf_free(&policy);
	stage_free(g);
	return s->scen != NULL;
}

void
scene_free(struct scene *s)
{
	mem_free(s->log.v);
	mem_free(s->log.minutes);
	mem_free(s->log.before);
	if (s->scen)
		scen_free(s->scen);
	s->scen = NULL;
	s->log = (struct scene_log){ .n = 0 };
}
