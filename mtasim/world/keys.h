/*
 * world/keys.h - YAML maps by tables: each key is a row with the function that
 * takes its value. Reading goes on after an error, so that all are reported.
 */
#ifndef WORLD_KEYS_H
#define WORLD_KEYS_H

#include "conf/conf.h"
#include "world/dist.h"

struct keys {
	const struct yaml_doc *doc;
	struct conf_errors *errs;
	void *into;
};

struct key {
	const char *name;
	void (*take)(struct keys *k, const struct yaml_node *v);
};

/* "WHAT, expected EXPECTED, got GOT" at a value. */
void keys_wrong(struct keys *k, const struct yaml_node *at, const char *what,
    const char *expected);
/* Takes every pair of a map by the table; what names the map. */
void keys_take(struct keys *k, const struct yaml_node *map,
    const struct key *table, size_t n, const char *what);
/* Calls take for a scalar, or for each of a list. */
void keys_each(struct keys *k, const struct yaml_node *v,
    void (*take)(struct keys *k, const struct yaml_node *v));
/* Values; after an error the second argument's text is in the report and what
 * is returned is harmless. */
struct slice keys_text(struct keys *k, const struct yaml_node *v,
    const char *what);
uint64_t keys_number(struct keys *k, const struct yaml_node *v,
    const char *what, uint64_t max);
int64_t keys_time(struct keys *k, const struct yaml_node *v, const char *what);
void keys_dist(struct keys *k, const struct yaml_node *v, const char *what,
    enum dist_unit unit, struct dist *d);
/* "462.96": 0 or E_SYNTAX. */
int keys_decimal(struct slice s, double *v) MUST_CHECK;

#endif
