/*
 * conf/shaping.h - which limits hold for a path, and where they were written.
 *
 * Limits come in layers: the default, the provider, the provider for one source,
 * the site, the domain, the source. Each is merged from the shipped shaping
 * file, the files that the configuration names and the configuration itself, in
 * this order; the later one wins key by key, and `~` sets a key back to what the
 * default says. Then the later layer wins, key by key.
 */
#ifndef CONF_SHAPING_H
#define CONF_SHAPING_H

#include "conf/conf.h"

#define CONF_LAYER_TABLE(X)                                                    \
	X(LAYER_BUILT_IN, "built in")                                          \
	X(LAYER_DEFAULT, "default")                                            \
	X(LAYER_PROVIDER, "provider")                                          \
	X(LAYER_PROVIDER_SOURCE, "provider for this source")                   \
	X(LAYER_SITE, "site")                                                  \
	X(LAYER_DOMAIN, "domain")                                              \
	X(LAYER_SOURCE, "source")                                              \
	X(LAYER_ROUTE, "route")
#define X(name, text) name,
enum conf_layer { CONF_LAYER_TABLE(X) LAYER_N };
#undef X
const char *conf_layer_name(enum conf_layer l);
const char *conf_by_name(enum conf_by by);

/* Where a domain's mail goes, as far as limits go: entries of conf.providers,
 * conf.sites and conf.shapes, 0 being none. */
struct conf_place {
	uint32_t provider, site, domain;
	enum conf_by by;   /* the provider is known by */
	struct slice what; /* this name: a host or the domain */
	bool rollup;       /* false: the domain is a site of its own */
	const struct conf_route
	    *route; /* that says something of TLS; or NULL */
};
/* hosts: names of the hosts of the best preference, n of them. */
void conf_place(const struct conf *c, struct slice domain,
    const struct slice *hosts, uint32_t n, struct conf_place *out);
/* The same of the provider alone: provider, by and what. */
void conf_find_provider(const struct conf *c, struct slice domain,
    const struct slice *hosts, uint32_t n, struct conf_place *out);

struct conf_value {
	enum conf_layer layer;
	bool is_unset; /* set back to the default there, by ~ */
	struct conf_origin at;
};
struct conf_limits {
	struct eng_shape shape;
	bool rollup;
	struct conf_tls_policy tls;
	struct conf_value from[CONF_SHAPE_BITS]; /* by bit */
};
/* The limits of a path; source: index in conf.sources, or any other for one
 * that nothing is said about. */
void conf_limits(const struct conf *c, const struct conf_place *p,
    uint32_t source, struct conf_limits *out);
/* The TLS policy of a place. */
void conf_tls_of(const struct conf *c, const struct conf_place *p,
    struct conf_tls_policy *out);
/* What a layer says to the engine: values where bits are set, ~ being the
 * default's. */
uint32_t conf_layer_sets(const struct conf *c, const struct conf_shape *s,
    struct eng_shape *out);

/* The option that sets the limit of a bit, and its value as one writes it; dst
 * of 64 bytes. NULL: another bit's option sets it too. */
const char *conf_limit_name(uint32_t bit);
void conf_limit_text(const struct conf_limits *l, uint32_t bit, char *dst);

/* The limits of a provider as a whole, by number. */
#define CONF_CAP_KEYS 4
struct conf_cap_value {
	const char *name;
	char text[64];
	struct conf_origin at;
};
/* False: the provider has no such limit. */
bool conf_cap_value(const struct conf_provider *p, uint32_t key,
    struct conf_cap_value *out);

/* conf.shapes was changed: looks for domains are to find what there is now. */
void conf_shapes_index(struct conf *c);

#endif
