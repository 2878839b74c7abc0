/*
 * conf/check_i.h - between the parts of the check of a whole configuration.
 */
#ifndef MTAD_CONF_CHECK_I_H
#define MTAD_CONF_CHECK_I_H

#include "conf/conf_i.h"

struct check {
	struct conf *conf;
	const struct yaml_node *root;
	struct complaints *c;
};

/* An option, and where it stands in the file. */
struct spot {
	struct place at;
	char what[CONF_WHAT_MAX]; /* "listen.in.bind" */
};

/* The option under n keys. What the file does not say stands where the last
 * key is that it does. */
struct spot check_spot_of(const struct check *k, const struct slice *keys,
    size_t n);
#define KEYS(...)                                                              \
	(const struct slice[])                                                 \
	{                                                                      \
		__VA_ARGS__                                                    \
	}
#define SPOT(k, ...) check_spot_of(k, KEYS(__VA_ARGS__), NKEYS(__VA_ARGS__))
#define NKEYS(...) (sizeof(KEYS(__VA_ARGS__)) / sizeof(struct slice))

/* What stands there does not fit; the second is only a warning. */
void check_wrong(const struct check *k, struct spot s, const char *expected,
    struct slice got);
void check_odd(const struct check *k, struct spot s, const char *expected,
    struct slice got);
/* Does the file say it, at the top level? */
bool check_is_given(const struct check *k, const char *key);
/* A file that is named can be read, as far as can be told now. */
void check_file(const struct check *k, struct spot s, struct slice path);
/* Listeners and who may use them: check_listen.c. */
void check_doors(const struct check *k);

#endif
