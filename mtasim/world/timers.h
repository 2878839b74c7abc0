/*
 * world/timers.h - deadlines of the simulated world, finer than those of
 * connections: they fire in order, never early, as late as the loop turns.
 */
#ifndef WORLD_TIMERS_H
#define WORLD_TIMERS_H

#include "base/base.h"

struct timer {
	struct heap_node node;
	void (*fire)(void *ctx, int64_t now_us);
	void *ctx;
};

struct timers {
	struct heap heap;
};

void timers_init(struct timers *t);
void timers_free(struct timers *t);
/* Sets or moves a timer; fire and ctx have been filled in. */
void timer_set(struct timers *t, struct timer *tm, int64_t at_us);
/* Harmless when not set. */
void timer_cancel(struct timers *t, struct timer *tm);
bool timer_is_set(const struct timer *tm);
/* When the next one is due, or TIME_NEVER. */
int64_t timers_next(const struct timers *t);
/* Fires what is due; a timer set anew inside waits for the next call, unless
 * it is due too. */
void timers_run(struct timers *t, int64_t now_us);

#endif
