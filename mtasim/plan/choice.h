/*
 * plan/choice.h - one of many by weight, at the same cost however many there
 * are: an alias table (Walker 1977; built as Vose 1991 shows), two words an
 * entry.
 */
#ifndef PLAN_CHOICE_H
#define PLAN_CHOICE_H

#include "base/base.h"

struct choice_entry {
	uint32_t keep;  /* the entry itself below this part of 2^32 */
	uint32_t other; /* else this one */
};

struct choice {
	uint32_t n; /* 0: nothing to choose from */
	struct choice_entry *v;
};

/* Of n (below 2^31) with the given weights, not all of them 0; false when the
 * arena is full. */
bool choice_make(struct choice *c, const double *weights, uint32_t n,
    struct arena *arena);
/* Weights 1, 1/2^s, 1/3^s ...; s = 0: all alike. */
bool choice_zipf(struct choice *c, double s, uint32_t n, struct arena *arena);
/* An index below n, which is not 0. One alone costs no draw. */
uint32_t choice_draw(const struct choice *c, struct rng *rng);

#endif
