/*
 * relay/refusals.h - which reply shut a path, for those who ask why mail waits.
 *
 * Bounded: REFUSALS paths; the one that was written first makes room. No
 * decision reads them, and a restart forgets them, as it does the pauses.
 */
#ifndef RELAY_REFUSALS_H
#define RELAY_REFUSALS_H

#include "mail/mail.h"

#define REFUSALS 2048u
#define REFUSAL_TEXT 200u /* bytes of the reply that are kept */

struct refusal {
	int64_t at_us;   /* the engine's time */
	int64_t wall_us; /* wall clock */
	uint32_t path;
	struct outcome outcome;
	struct slice text; /* what was said, or what went wrong */
	struct slice rule; /* that judged it, file:line; empty: none */
	char bytes[];
};
struct refusals;

/* NULL without memory. */
struct refusals *refusals_new(void);
void refusals_free(struct refusals *r);
/* A path, by its number in the engine, was shut now. Copies; without memory the
 * path has none. */
void refusals_put(struct refusals *r, const struct refusal *one);
/* What shut it at that time of the engine; NULL: not known. Good until the next
 * put. */
const struct refusal *refusals_get(const struct refusals *r, uint32_t path,
    int64_t at_us);

#endif
