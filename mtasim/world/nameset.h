/*
 * world/nameset.h - names and patterns, each with a number: which node of the
 * zone, which provider.
 *
 * A pattern is a name, a range of names ("d{1..10000}.example"), or a glob
 * ("*.tail.example"). Names win over globs; of two that give the same name the
 * later wins, of two globs the earlier. Letters are folded to lower case and a
 * final dot is dropped when adding; look-ups expect that form.
 */
#ifndef WORLD_NAMESET_H
#define WORLD_NAMESET_H

#include "base/base.h"

#define NAMESET_NAMES_MAX (1u << 21)
#define NAMESET_GLOBS_MAX 4096
#define NAMESET_NAME_MAX 255

struct nameset {
	struct names names;
	uint32_t *value; /* by id; 0: only a parent of a name */
	uint32_t value_cap;
	uint32_t nglobs;
	struct {
		struct slice glob;
		uint32_t value;
	} globs[NAMESET_GLOBS_MAX];
	struct arena arena;
};

void nameset_init(struct nameset *s);
void nameset_free(struct nameset *s);
/* value is not 0. 0, or E_SYNTAX, E_FULL, E_NOMEM and why. */
int nameset_add(struct nameset *s, struct slice pattern, uint32_t value,
    char *why, size_t why_cap) MUST_CHECK;
/* The number that was given for exactly this pattern (of a range: for its
 * first name), or 0. */
uint32_t nameset_get(const struct nameset *s, struct slice pattern);
/* The number of what matches a name, or 0; then *is_parent (may be NULL) says
 * whether known names stand below it. */
uint32_t nameset_find(const struct nameset *s, struct slice name,
    bool *is_parent);
/* A name in the form that look-ups expect, into dst of NAMESET_NAME_MAX + 1
 * bytes; empty when it is too long. */
struct slice nameset_fold(struct slice name, char *dst);

#endif
