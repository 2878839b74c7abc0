/*
 * engine/usage.h - how far the limits of the policy are used, tuple by tuple, and
 * who waits for them: rows for viewers. Only what there is to see is told; nothing
 * changes by looking.
 */
#ifndef ENGINE_USAGE_H
#define ENGINE_USAGE_H

#include "engine/engine.h"

/* Of one thing that a limit counts: used, and may be. most 0: it has no such cap.
 * Of a rate, what it has not made good yet, and the burst. */
struct eng_usage {
	uint64_t now, most;
};
/* A tuple of a limit. */
struct eng_limit_row {
	uint32_t cap;  /* index of eng_policy.caps */
	uint32_t name; /* of the limit */
	uint16_t dims;
	uint32_t val[DIM_N]; /* names, of those; of a site its best host */
	struct ip host;      /* with DIM_HOST */
	struct eng_usage conns, opens, msgs, rcpts, bytes, quota;
	uint32_t waiting; /* paths, queues and lanes */
	bool is_shut;     /* one more may not go */
	int64_t until_us; /* 0 = until something is given back */
	struct eng_blocked blocked;
};
/* Tuples that have used something, or at which somebody waits: up to n from *cursor
 * on (0 to begin; then 0: there are no more), of `looks` at most. */
uint32_t eng_limit_rows(const struct eng *e, uint32_t *cursor, uint32_t looks,
    int64_t now_us, struct eng_limit_row *v, uint32_t n);
bool eng_limit_is_used(const struct eng_limit_row *v);
/* A limit with all of its tuples, since the policy came. */
struct eng_limit_sum {
	uint32_t name;
	uint32_t waiting;
	struct eng_blocked blocked;
};
/* One for each of the policy's caps (v: ENG_CAPS_MAX); how many. O(1) each. */
uint32_t eng_limit_sums(const struct eng *e, int64_t now_us,
    struct eng_limit_sum *v);

#endif
