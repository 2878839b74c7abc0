/*
 * base/trace.h - the flight ring: the last TRACE_SLOTS steps of a thread,
 * cheap enough to be always on (two stores and an increment), dumped when an
 * ASSERT fails. One ring per thread; pass it, do not share it.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stdint.h>

#define TRACE_SLOTS 1024

struct trace_slot {
	int64_t now_us;
	const char *what; /* a literal */
	uint64_t a, b;
};

struct trace {
	uint32_t next;
	struct trace_slot slot[TRACE_SLOTS];
};

static inline void
trace_add(struct trace *t, int64_t now_us, const char *what, uint64_t a,
    uint64_t b)
{
	struct trace_slot *s = &t->slot[t->next++ & (TRACE_SLOTS - 1)];

	s->now_us = now_us;
	s->what = what;
	s->a = a;
	s->b = b;
}

/* Calls line() for each slot, oldest first, with a formatted line. */
void trace_dump(const struct trace *t,
    void (*line)(void *ctx, const char *text), void *ctx);

#endif
