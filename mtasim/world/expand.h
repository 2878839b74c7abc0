/*
 * world/expand.h - many names from one pattern: "d{1..10000}.tail.example".
 *
 * At most one range in a pattern; its numbers keep leading zeros when the
 * lower bound has them ("{001..100}"). Patterns with '*' are left to globs.
 */
#ifndef WORLD_EXPAND_H
#define WORLD_EXPAND_H

#include "base/base.h"

#define EXPAND_MAX 1000000u /* names of one pattern */
#define EXPAND_DIGITS 10    /* of a number, without leading zeros */

struct expand {
	struct slice before, after;
	uint64_t lo, hi; /* both included */
	uint32_t width;  /* of the number, 0: as short as it is */
	bool has_range;
};

/* 0, E_SYNTAX (a brace that is no range), E_RANGE (more than EXPAND_MAX). */
int expand_parse(struct slice pattern, struct expand *e) MUST_CHECK;
uint64_t expand_count(const struct expand *e);
/* Name i (below expand_count), appended to out. */
int expand_name(const struct expand *e, uint64_t i, struct buf *out) MUST_CHECK;

#endif
