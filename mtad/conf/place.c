/*
 * conf/place.c - which entries speak about a path, and what they come to.
 */
#include <stdio.h>

#include "conf/conf_i.h"
#include "conf/shaping.h"

#define TEXT(name, text) text,
static const char *const layer_names[] = { CONF_LAYER_TABLE(TEXT) };

const char *
conf_layer_name(enum conf_layer l)
{
	return (unsigned)l < LAYER_N ? layer_names[l] : "?";
}

const char *
conf_by_name(enum conf_by by)
{
	static const char *const names[] = { "hosts", "mx", "domains" };

	return (unsigned)by < CONF_BY_N ? names[by] : "?";
}

const char *
conf_tls_mode_name(enum conf_tls_mode m)
{
	static const char *const names[] = { CONF_TLS_TABLE(TEXT) };

	return (unsigned)m < CONF_TLS_MODES ? names[m] : "?";
}

bool
conf_tls_is_plain(const struct conf *c, const struct conf_tls_policy *t)
{
	return t->mode ==
	    (c->tls_out ? CONF_TLS_OPPORTUNISTIC : CONF_TLS_NONE) &&
	    t->min == 0 && t->ciphers.n == 0 && t->name.n == 0 &&
	    !t->is_implicit && t->cert.n == 0 &&
	    t->chunks == c->shapes[0].tls.chunks &&
	    t->bounces_8bit == c->shapes[0].tls.bounces_8bit && !t->is_lmtp &&
	    t->user.n == 0;
}

void
conf_tls_copy(struct conf_tls_policy *to, const struct conf_tls_policy *from,
    uint32_t bit)
{
	if (bit == CONF_TLS_BIT)
		to->mode = from->mode;
	else if (bit == CONF_TLS_MIN_BIT)
		to->min = from->min;
	else if (bit == CONF_TLS_CIPHERS_BIT)
		to->ciphers = from->ciphers;
	else if (bit == CONF_TLS_NAME_BIT)
		to->name = from->name;
	else if (bit == CONF_TLS_IMPLICIT_BIT)
		to->is_implicit = from->is_implicit;
	else if (bit == CONF_TLS_CERT_BIT)
		to->cert = from->cert;
	else if (bit == CONF_TLS_KEY_BIT)
		to->key = from->key;
	else if (bit == CONF_CHUNKING_BIT)
		to->chunks = from->chunks;
	else if (bit == CONF_8BIT_BIT)
		to->bounces_8bit = from->bounces_8bit;
}

void
conf_find_provider(const struct conf *c, struct slice domain,
    const struct slice *hosts, uint32_t n, struct conf_place *out)
{
	for (uint32_t by = CONF_BY_HOST; by <= CONF_BY_DOMAIN; by++) {
		bool is_host = by != CONF_BY_DOMAIN;

		for (uint32_t k = 0; k < (is_host ? n : 1); k++) {
			struct slice name = is_host ? hosts[k] : domain;

			out->provider =
			    index_longest(&c->provider_by[by], name);
			out->by = (enum conf_by)by;
			out->what = name;
			if (out->provider != 0)
				return;
		}
	}
}

/* The one value of conf_limits that an answer is asked for. */
static bool
rollup_of(const struct conf *c, const struct conf_place *p)
{
	const struct conf_shape *layers[] = { &c->providers[p->provider].limits,
		&c->sites[p->site], &c->shapes[p->domain] };
	const uint32_t bit = 1u << CONF_ROLLUP_BIT;
	bool rollup = c->shapes[0].rollup;

	/* shapes[0] is the default, which is no later layer. */
	for (uint32_t k = 0; k < (p->domain != 0 ? 3 : 2); k++)
		if (layers[k]->unsets & bit)
			rollup = c->shapes[0].rollup;
		else if (layers[k]->sets & bit)
			rollup = layers[k]->rollup;
	return rollup;
}

void
conf_place(const struct conf *c, struct slice domain, const struct slice *hosts,
    uint32_t n, struct conf_place *out)
{
	uint32_t site = 0;

	*out = (struct conf_place){ .site = 0 };
	conf_find_provider(c, domain, hosts, n, out);
	for (uint32_t k = 0; k < n; k++) {
		uint32_t at = index_first(&c->by_site, hosts[k]);

		if (at != 0 && (site == 0 || at < site))
			site = at;
	}
	out->site = site;
	out->domain = index_first(&c->by_domain, domain);
	if (c->routes_speak)
		out->route = conf_route_find(c, domain);
	out->rollup = rollup_of(c, out);
}

/* ---- values -------------------------------------------------------------- */

static void
copy_value(struct conf_limits *to, const struct conf_shape *from, uint32_t bit)
{
	if (bit == CONF_ROLLUP_BIT)
		to->rollup = from->rollup;
	conf_tls_copy(&to->tls, &from->tls, bit);
#define X(name, type, dflt)                                                    \
	if (bit == ENG_SHAPE_BIT(name))                                        \
		to->shape.name = from->shape.name;
	ENG_SHAPE_TABLE(X)
#undef X
}

static void
lay(const struct conf *c, struct conf_limits *to, const struct conf_shape *s,
    enum conf_layer layer)
{
	const struct conf_shape *dflt = &c->shapes[0];

	for (uint32_t k = 0; k < CONF_SHAPE_BITS; k++) {
		bool is_unset = s->unsets & (1u << k);
		const struct conf_shape *from = is_unset ? dflt : s;

		if (!((s->sets | s->unsets) & (1u << k)))
			continue;
		copy_value(to, from, k);
		to->from[k] = (struct conf_value){ layer, is_unset, s->at[k] };
	}
}

static const struct conf_shape *
for_source(const struct conf_provider *p, struct slice source)
{
	for (uint32_t i = 0; i < p->nsources; i++)
		if (slice_eq(p->sources[i].pattern, source))
			return &p->sources[i];
	return NULL;
}

void
conf_tls_of(const struct conf *c, const struct conf_place *p,
    struct conf_tls_policy *out)
{
	const struct conf_shape *layers[] = { &c->providers[p->provider].limits,
		&c->sites[p->site], NULL, NULL };
	const struct conf_route *r = p->route;

	*out = c->shapes[0].tls;
	if (!c->has_tls)
		return;
	if (p->domain != 0) /* [0] is the default, which is no later layer */
		layers[2] = &c->shapes[p->domain];
	if (r != NULL)
		layers[3] = &r->says;
	for (uint32_t k = 0; k < ARRAY_LEN(layers); k++)
		for (uint32_t b = CONF_TLS_BIT;
		     layers[k] != NULL && b < CONF_SHAPE_BITS; b++)
			if (layers[k]->unsets & (1u << b))
				conf_tls_copy(out, &c->shapes[0].tls, b);
			else if (layers[k]->sets & (1u << b))
				conf_tls_copy(out, &layers[k]->tls, b);
	if (r != NULL) {
		out->is_lmtp = r->is_lmtp;
		out->user = r->auth.user;
		out->password_file = r->auth.password_file;
		out->auth_in_clear = r->auth.in_clear;
	}
	/* A password goes to nobody in clear text by itself. */
	if ((out->is_implicit || (out->user.n > 0 && !out->auth_in_clear)) &&
	    out->mode < CONF_TLS_REQUIRED)
		out->mode = CONF_TLS_REQUIRED;
}

struct slice
conf_password(const struct conf *c, struct slice user, struct slice file)
{
	for (uint32_t i = 0; user.n > 0 && i < c->nroutes; i++) {
		const struct conf_auth *a = &c->routes[i].auth;

		if (a->user.n > 0 && slice_eq(a->user, user) &&
		    slice_eq(a->password_file, file))
			return a->password;
	}
	return slice_of(NULL, 0);
}

void
conf_limits(const struct conf *c, const struct conf_place *p, uint32_t source,
    struct conf_limits *out)
{
	const struct conf_provider *provider = &c->providers[p->provider];
	const struct conf_shape *s = NULL;

	*out = (struct conf_limits){ .shape = c->shapes[0].shape,
		.rollup = c->shapes[0].rollup,
		.tls = c->shapes[0].tls };
	lay(c, out, &c->shapes[0], LAYER_DEFAULT);
	lay(c, out, &provider->limits, LAYER_PROVIDER);
	if (source < c->nsources)
		s = for_source(provider, c->sources[source].name);
	if (s != NULL)
		lay(c, out, s, LAYER_PROVIDER_SOURCE);
	lay(c, out, &c->sites[p->site], LAYER_SITE);
	if (p->domain != 0)
		lay(c, out, &c->shapes[p->domain], LAYER_DOMAIN);
	if (source < c->nsources)
		lay(c, out, &c->source_shapes[source], LAYER_SOURCE);
	if (p->route != NULL)
		lay(c, out, &p->route->says, LAYER_ROUTE);
}

uint32_t
conf_layer_sets(const struct conf *c, const struct conf_shape *s,
    struct eng_shape *out)
{
	uint32_t sets = s->sets | s->unsets;
	struct conf_limits l = { .shape = c->shapes[0].shape };

	lay(c, &l, s, LAYER_DEFAULT);
	*out = l.shape;
	return sets & ENG_SETS_ALL;
}

/* ---- words --------------------------------------------------------------- */

static const struct opt *
option_of(uint32_t bit)
{
	const struct opt_group *g = &layer_options;

	for (uint32_t i = 0; i < g->n; i++) {
		uint32_t bits = shape_bits(g, &g->opts[i]);

		if (bits != 0 && (uint32_t)__builtin_ctz(bits) == bit)
			return &g->opts[i];
	}
	return NULL;
}

const char *
conf_limit_name(uint32_t bit)
{
	const struct opt *o = option_of(bit);

	return o != NULL ? o->name : NULL;
}

static void
rate_text(uint32_t count, int64_t period_us, char *dst)
{
	char period[32];

	fmt_duration_exact(period, period_us);
	if (count == 0)
		snprintf(dst, 64, "none");
	else if (period_us == US_PER_S)
		snprintf(dst, 64, "%u/s", count);
	else
		snprintf(dst, 64, "%u/%s", count, period);
}

static void
tls_text(const struct conf_tls_policy *t, uint32_t bit, char *dst)
{
	struct slice s = bit == CONF_TLS_CIPHERS_BIT ? t->ciphers :
	    bit == CONF_TLS_CERT_BIT                 ? t->cert :
	    bit == CONF_TLS_KEY_BIT                  ? t->key :
						       t->name;

	if (bit == CONF_TLS_BIT)
		snprintf(dst, 64, "%s", conf_tls_mode_name(t->mode));
	else if (bit == CONF_TLS_MIN_BIT && t->min != 0)
		snprintf(dst, 64, "1.%u", t->min - 1u);
	else if (bit == CONF_TLS_MIN_BIT || s.n == 0)
		snprintf(dst, 64, "%s",
		    bit == CONF_TLS_NAME_BIT ? "the host's" :
			bit == CONF_TLS_CERT_BIT || bit == CONF_TLS_KEY_BIT ?
					       "the source's" :
					       "the system's");
	else
		snprintf(dst, 64, "%.*s", SLF(s));
}

void
conf_limit_text(const struct conf_limits *l, uint32_t bit, char *dst)
{
	struct conf_shape s = { .shape = l->shape,
		.rollup = l->rollup,
		.tls = l->tls };
	const struct opt *o = option_of(bit);
	const char *base = (const char *)&s;

	ASSERT(o != NULL);
	if (o->type == OPT_RATE)
		rate_text(*(const uint32_t *)(base + o->at),
		    *(const int64_t *)(base + o->also), dst);
	else if (o->type == OPT_DURATION)
		fmt_duration_exact(dst, *(const int64_t *)(base + o->at));
	else if (o->type == OPT_BOOL)
		snprintf(dst, 64, "%s",
		    *(const bool *)(base + o->at) ? "true" : "false");
	else if (o->type == OPT_CHOICE)
		snprintf(dst, 64, "%s",
		    o->words[*(const bool *)(base + o->at)]);
	else if (o->type == OPT_TLS || o->type == OPT_TLS_MIN ||
	    o->type == OPT_TEXT || o->type == OPT_DOMAIN || o->type == OPT_PATH)
		tls_text(&l->tls, bit, dst);
	else
		snprintf(dst, 64, "%u", *(const uint32_t *)(base + o->at));
}

bool
conf_cap_value(const struct conf_provider *p, uint32_t key,
    struct conf_cap_value *out)
{
	static const char *const names[CONF_CAP_KEYS] = { "source_connections",
		"source_rate", "total_connections", "total_rate" };
	const struct conf_cap *c = key < 2 ? &p->source : &p->total;
	bool is_rate = key % 2 == 1;

	ASSERT(key < CONF_CAP_KEYS);
	out->name = names[key];
	out->at = is_rate ? c->rate_at : c->conns_at;
	if (is_rate)
		rate_text(c->rate_count, c->rate_period_us, out->text);
	else
		snprintf(out->text, sizeof(out->text), "%u", c->conns_max);
	return is_rate ? c->rate_count != 0 : c->conns_max != 0;
}
