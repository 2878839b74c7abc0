/*
 * world/worldfile.h - a simulated outside world read from YAML; mtasim(1) has
 * the keys.
 */
#ifndef WORLD_WORLDFILE_H
#define WORLD_WORLDFILE_H

#include "conf/conf.h"
#include "world/guard.h"
#include "world/nameset.h"
#include "world/zone.h"

#define WORLD_PROVIDERS_MAX 4096
#define PROVIDER_ADDRS_MAX 32

struct provider {
	struct slice name;
	struct slice hostname; /* banner */
	struct slice cert, key;
	struct behave behave;
	uint32_t naddrs;
	struct ip addrs[PROVIDER_ADDRS_MAX]; /* where it listens */
};

struct world {
	struct yaml_doc *doc; /* texts live there */
	struct endpoint dns;
	uint16_t port; /* of every receiver */
	uint64_t seed;
	struct zone *zone;
	uint32_t nproviders;
	struct provider *providers;
	struct nameset domains; /* to index of provider + 1 */
	struct arena arena;     /* guards */
};

/* NULL with every error reported as file:line:column. */
struct world *world_load(const char *path, struct conf_errors *errs);
/* The same from memory; `name` stands for the file in errors. */
struct world *world_parse(const char *name, struct slice text,
    struct conf_errors *errs);
void world_free(struct world *w);
/* The provider of a domain in any case, or NULL. */
const struct provider *world_provider(const struct world *w,
    struct slice domain);
/* Prints an error's line to stderr: what struct conf_errors wants. */
void world_report(void *ctx, const char *line);

#endif
