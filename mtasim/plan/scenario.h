/*
 * plan/scenario.h - what a plan is made for: arrivals, providers, and the
 * configuration whose policy is tried. Read from YAML; share/doc/scenarios.md
 * has the keys.
 */
#ifndef PLAN_SCENARIO_H
#define PLAN_SCENARIO_H

#include "conf/conf.h"
#include "plan/choice.h"
#include "world/dist.h"
#include "world/behave.h"
#include "world/expand.h"
#include "world/nameset.h"

#define SCEN_PROVIDERS_MAX 64
#define SCEN_WORKLOADS_MAX 16
#define SCEN_SPECS_MAX 32 /* names or ranges of one provider */
#define SCEN_SETS_MAX 8
#define SCEN_ZIPF_MAX 10
#define SCEN_EACH_MAX 1000 /* recipients of a message */

#define SCEN_WARM_DAYS_MAX 366

/* What a young source may carry in a day, by its age; without end after the
 * last. Receivers hold it to that, all of them together. */
struct scen_warm {
	uint32_t ndays; /* 0: it is not young */
	uint32_t day;   /* its age when the scenario starts, from 1 */
	const uint32_t *most;
};

struct scen_provider {
	struct slice name;
	uint32_t nspecs;
	struct {
		struct expand names;
		struct slice text;
		uint64_t up_to; /* names up to and with this one */
	} specs[SCEN_SPECS_MAX];
	uint64_t ndomains;
	double zipf; /* exponent; 0: all alike */
	struct choice domain;
	uint32_t *names;      /* of the domains, in scen.domains */
	bool has_own_mx;      /* each domain its own host, else one for all */
	struct slice host;    /* name of the one for all; empty: mx.NAME */
	struct behave behave; /* its spells are the events */
	struct dist setup, per_message, refusal;
};

enum arrival {
	ARRIVAL_CONSTANT,
	ARRIVAL_POISSON,
	ARRIVAL_CAMPAIGN,
	ARRIVAL_CLOSED, /* one comes when one has left */
};

struct scen_workload {
	struct slice name;
	uint8_t arrival; /* enum arrival */
	double rate;     /* messages a second; 0: all at once */
	int64_t for_us;  /* constant, Poisson */
	uint64_t count;  /* campaign, closed */
	uint64_t held;   /* closed: in the queue at a time */
	int64_t start_us;
	struct dist size;
	uint64_t weights;
	uint64_t up_to[SCEN_PROVIDERS_MAX]; /* by provider, cumulative */
	struct slice *tenants;
	struct choice tenant;
	struct slice campaign, pool;
	struct slice sender; /* domain of its mail's sender; empty: none */
	uint32_t each;       /* recipients of a message */
	uint64_t mailboxes;  /* that its recipients are; 0: each another */
};

struct scen {
	const char *path;
	struct yaml_doc *doc; /* texts live there */
	uint32_t ndocs;       /* and in those of receivers */
	struct yaml_doc *docs[SCEN_PROVIDERS_MAX];
	bool has_domains; /* while a receiver is read: they come later */
	struct slice name;
	uint64_t seed;
	int64_t until_us; /* 0: until everything has left */
	struct dist dns;
	struct slice config;    /* as written */
	struct slice policy;    /* its text, in place of that file */
	struct conf *conf;      /* with the pools and limits of this scenario */
	struct scen_warm *warm; /* by source of conf; NULL: none is young */
	uint32_t nproviders, nworkloads;
	struct scen_provider *providers;
	struct scen_workload *workloads;
	struct nameset domains; /* to index of provider + 1 */
	struct arena arena;
};

/* A value in place of what the file says: "pool.bulk.addresses", "40". */
struct scen_set {
	struct slice key, value;
};

/* NULL with every error reported as file:line:column: what, expected, got. */
struct scen *scen_load(const char *path, const struct scen_set *sets,
    uint32_t nsets, struct conf_errors *errs);
/* The same from memory, with the text of the configuration: `path` stands for
 * both files in errors, and other files are looked for beside it. */
struct scen *scen_parse(const char *path, struct slice text,
    struct slice policy, struct conf_errors *errs);
void scen_free(struct scen *s);
/* One of a provider's domains, drawn by its shares: its id in scen.domains. */
uint32_t scen_domain_draw(const struct scen_provider *p, struct rng *rng);
/* Name i of a provider. */
void scen_domain(const struct scen_provider *p, uint64_t i, struct buf *out);

struct keys;
/* scenario_provider.c */
void scen_take_providers(struct keys *k, const struct yaml_node *v);
/* scenario_set.c: puts values in their places; false with errors reported. */
bool scen_apply(struct scen *s, const struct scen_set *sets, uint32_t n,
    struct conf_errors *errs);
/* scenario_conf.c: the path of a file that a scenario names; false when it is
 * too long. */
bool scen_beside(const char *scenario, struct slice name, char *dst,
    size_t cap);
/* Loads the configuration that s->config names beside the
 * scenario and gives each range of domains a limit of its own (with the values
 * that the configuration has for it), so that blocked time can be told apart.
 * pools: the scenario's map, or NULL. */
void scen_conf_load(struct scen *s, const char *path,
    const struct yaml_node *config, const struct yaml_node *pools,
    struct conf_errors *errs);

#endif
