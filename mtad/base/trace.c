/*
 * base/trace.c - reading the flight ring out. Runs when the process is about
 * to die, so it allocates nothing and trusts only the ring.
 */
#include <inttypes.h>

#include "base/base.h"

static void
trace_format(const struct trace_slot *s, char *dst, size_t cap)
{
	snprintf(dst, cap, "%" PRId64 " %s %" PRIu64 " %" PRIu64, s->now_us,
	    s->what, s->a, s->b);
}

void
trace_dump(const struct trace *t, void (*line)(void *ctx, const char *text),
    void *ctx)
{
	char text[160];

	for (uint32_t i = 0; i < TRACE_SLOTS; i++) {
		const struct trace_slot *s =
		    &t->slot[(t->next + i) & (TRACE_SLOTS - 1)];

		if (s->what == NULL)
			continue;
		trace_format(s, text, sizeof(text));
		line(ctx, text);
	}
}
