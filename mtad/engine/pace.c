/*
 * engine/pace.c - how fast something goes now: counts of the last minute or
 * so that fade by 1/60 each second, in fixed point.
 *
 * In the long run of a steady rate of r a second, a count settles at
 * r / (1 - 59/60) = 60 r, so the rate is the count divided by 60. After a few
 * minutes nothing is left, which the loop's ceiling makes exact.
 */
#include "engine/engine_i.h"

#define FADE_SECONDS 60
#define FADE_ALL 900 /* (59/60)^900 is below 1e-6 */

static uint32_t
pace_second(int64_t now_us)
{
	return (uint32_t)(now_us / US_PER_S);
}

/* x * (59/60)^n, by squaring, in 32-bit fixed point. */
static uint32_t
faded(uint32_t x, uint32_t n)
{
	uint64_t factor = (UINT64_C(59) << 32) / FADE_SECONDS;
	uint64_t all = UINT64_C(1) << 32;

	if (n >= FADE_ALL)
		return 0;
	for (; n != 0; n >>= 1) {
		if (n & 1)
			all = all * (factor >> 1) >> 31;
		factor = (factor >> 1) * (factor >> 1) >> 30;
	}
	return (uint32_t)(x * (all >> 1) >> 31);
}

static struct pace
pace_now(const struct pace *p, int64_t now_us)
{
	uint32_t s = pace_second(now_us), n = s - p->at_s;

	if (n == 0)
		return *p;
	return (struct pace){ s, faded(p->delivered, n), faded(p->transient, n),
		faded(p->other, n) };
}

void
eng_pace_count(struct pace *p, int64_t now_us, enum outcome_class c)
{
	uint32_t *count;

	if (p->at_s != pace_second(now_us))
		*p = pace_now(p, now_us);
	count = c == OUTCOME_DELIVERED ? &p->delivered :
	    c == OUTCOME_TRANSIENT     ? &p->transient :
					 &p->other;
	if (*count <= UINT32_MAX - PACE_ONE)
		*count += PACE_ONE;
}

uint32_t
eng_pace_rate_milli(const struct pace *p, int64_t now_us)
{
	struct pace n = pace_now(p, now_us);

	return (
	    uint32_t)((uint64_t)n.delivered * 1000 / (PACE_ONE * FADE_SECONDS));
}

uint32_t
eng_pace_defer_milli(const struct pace *p, int64_t now_us)
{
	struct pace n = pace_now(p, now_us);
	uint64_t all = (uint64_t)n.delivered + n.transient + n.other;

	return all ? (uint32_t)((uint64_t)n.transient * 1000 / all) : 0;
}
