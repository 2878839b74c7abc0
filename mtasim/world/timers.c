/*
 * world/timers.c - a heap of deadlines.
 */
#include "world/timers.h"

#define TIMERS_MAX (1u << 22) /* sessions, delayed answers, one each */

void
timers_init(struct timers *t)
{
	heap_init(&t->heap, TIMERS_MAX);
}

void
timers_free(struct timers *t)
{
	heap_free(&t->heap);
}

void
timer_set(struct timers *t, struct timer *tm, int64_t at_us)
{
	if (heap_has(&tm->node)) {
		heap_rekey(&t->heap, &tm->node, at_us);
		return;
	}
	if (heap_push(&t->heap, &tm->node, at_us) != 0) {
		fprintf(stderr, "mtasim: no memory for a timer\n");
		exit(1);
	}
}

void
timer_cancel(struct timers *t, struct timer *tm)
{
	if (heap_has(&tm->node))
		heap_remove(&t->heap, &tm->node);
}

bool
timer_is_set(const struct timer *tm)
{
	return heap_has(&tm->node);
}

int64_t
timers_next(const struct timers *t)
{
	struct heap_node *n = heap_peek(&t->heap);

	return n != NULL ? n->key : TIME_NEVER;
}

void
timers_run(struct timers *t, int64_t now_us)
{
	struct heap_node *n;

	while ((n = heap_peek(&t->heap)) != NULL && n->key <= now_us) {
		struct timer *tm = container_of(n, struct timer, node);

		heap_remove(&t->heap, n);
		tm->fire(tm->ctx, now_us);
	}
}
