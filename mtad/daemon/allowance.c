/*
 * daemon/allowance.c - how much accounts may still send, over all workers and
 * connections: for each that has a rate, the time at which it would have used up
 * what it has had (the generic cell rate algorithm: one number an account).
 *
 * Behind a lock, as the guests are and for the same reason: workers share it. It
 * is held for a look at a few places of a table that never grows; a place is free
 * again when its account has all it may have.
 */
#include "daemon/daemon_i.h"

#define TRIES 32u /* places where an account may be */

void
allowances_init(struct allowances *a)
{
	pthread_mutex_init(&a->lock, NULL);
}

void
allowances_free(struct allowances *a)
{
	pthread_mutex_destroy(&a->lock);
}

/* Its place, one that is free, or NULL: too many are under way. */
static struct allowance *
find(struct allowances *a, uint64_t key, int64_t now_us)
{
	struct allowance *one, *unused = NULL;

	for (uint32_t i = 0; i < TRIES; i++) {
		one = &a->v[(key + i) % ARRAY_LEN(a->v)];
		if (one->key == key)
			return one;
		if (!unused && one->used_us <= now_us)
			unused = one;
	}
	return unused;
}

bool
allowances_take(struct allowances *a, const struct conf_account *account,
    int64_t now_us)
{
	uint64_t key = hash_bytes(0, account->name.p, account->name.n) | 1;
	int64_t each = MAX(account->rate_period_us / account->rate, 1);
	struct allowance *one;
	bool may = false;

	pthread_mutex_lock(&a->lock);
	one = find(a, key, now_us);
	if (one != NULL) {
		if (one->key != key || one->used_us < now_us)
			one->used_us = now_us;
		one->key = key;
		may = one->used_us + each - now_us <= account->rate_period_us;
		if (may)
			one->used_us += each;
	}
	pthread_mutex_unlock(&a->lock);
	return may;
}
