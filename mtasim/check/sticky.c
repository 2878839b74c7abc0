/*
 * check/sticky.c - see sticky.h. Of two sets of sources one has a and the other
 * b for a domain. If both sets have both, then a is b: each is the better one.
 */
#include "check/sticky.h"

struct sticks {
	struct marks *marks;
	/* + 1; by which source is left out. 0 = nothing has been sent. */
	uint8_t by[STK_POOLS][STK_DOMAINS][STK_SOURCES + 1];
};

struct sticks *
stk_new(struct marks *marks)
{
	struct sticks *s = mem_get(sizeof(*s));

	s->marks = marks;
	return s;
}

void
stk_free(struct sticks *s)
{
	mem_free(s);
}

void
stk_assigned(struct sticks *s, uint32_t pool, uint32_t domain, uint32_t without,
    uint32_t source, uint32_t msg)
{
	uint8_t *by = s->by[pool % STK_POOLS][domain % STK_DOMAINS];

	for (uint32_t k = 0; k <= STK_SOURCES; k++) {
		uint32_t other = by[k] - 1u;

		if (by[k] == 0 || other == source || k == source ||
		    other == without)
			continue;
		check_fail("a domain sticks to its source", msg,
		    "m%u leaves by source %u, for domain %u of pool %u|others "
		    "left by source %u, which the pool has, as it had this one",
		    msg, source, domain, pool, other);
	}
	s->marks->n[MARK_stuck]++;
	s->marks->n[MARK_stuck_elsewhere] +=
	    by[without] == 0 && by[STK_ALL] != 0 && by[STK_ALL] - 1u == without;
	by[without] = (uint8_t)(source + 1);
}
