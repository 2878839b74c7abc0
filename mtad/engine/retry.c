/*
 * engine/retry.c - when to try again.
 *
 * A recipient's delays are a list, or grow by a factor from the first one to
 * a ceiling; each is moved by up to +-jitter so that mail that failed together
 * does not come back as one wall. The luck for it is drawn once per result:
 * the recipients of one message that were refused together come back together
 * and share a transaction again.
 */
#include "engine/engine_i.h"

/* a * b / c without overflow for delays (2^42 us = 50 days) and percents. */
static int64_t
scale(int64_t a, uint64_t b, uint64_t c)
{
	return (int64_t)((unsigned __int128)(uint64_t)a * b / c);
}

static int64_t
retry_base(const struct eng_retry *r, uint32_t attempts)
{
	int64_t us = r->first_us;

	if (r->nlist > 0)
		return r->list_us[MIN(attempts, r->nlist) - 1];
	/* Grows by at least 1 % or not at all, and ends at its ceiling. */
	for (uint32_t i = 1; i < attempts && us < r->max_us; i++) {
		int64_t next = scale(us, r->factor_pct, 100);

		if (next <= us)
			break;
		us = next;
	}
	return MIN(us, r->max_us);
}

int64_t
eng_retry_delay(const struct eng_retry *r, uint32_t attempts, uint32_t luck)
{
	int64_t us = MAX(retry_base(r, MAX(attempts, 1)), 0);
	uint32_t pct = MIN(r->jitter_pct, 100);
	int64_t swing = scale(us, pct, 100);

	return us - swing + scale(2 * swing, luck, UINT32_MAX);
}

int64_t
eng_doubled(int64_t min_us, int64_t max_us, uint32_t fails)
{
	int64_t us = MAX(min_us, 1);

	for (uint32_t i = 1; i < fails && us < max_us; i++)
		us *= 2;
	return MIN(us, MAX(max_us, 1));
}
