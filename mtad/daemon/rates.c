/*
 * daemon/rates.c - how fast the clients of tokens may post messages: for each
 * token the time at which all it has posted would have been due at its rate
 * (GCRA). Shared by the workers behind a lock, as guests are, and taken only for
 * tokens that have a rate. A token is known by its digest, so that a reload
 * gives nobody a fresh start.
 */
#include "daemon/daemon_i.h"

#define NS_PER_US INT64_C(1000)

void
rates_init(struct rates *r)
{
	pthread_mutex_init(&r->lock, NULL);
	map_init(&r->by_token, (uint64_t)clock_wall_us(), RATES_MAX);
}

void
rates_free(struct rates *r)
{
	map_free(&r->by_token);
	mem_free(r->due_ns);
	pthread_mutex_destroy(&r->lock);
}

/* The token's time; NULL without memory, and then it has none to wait for. */
static int64_t *
due_of(struct rates *r, const struct conf_token *t)
{
	uint32_t i;
	uint64_t key;

	memcpy(&key, t->digest, sizeof(key));
	i = map_get(&r->by_token, key);
	if (i == 0) {
		if (r->n == RATES_MAX)
			return NULL;
		if (r->due_ns == NULL)
			r->due_ns = mem_try(RATES_MAX * sizeof(*r->due_ns));
		if (r->due_ns == NULL ||
		    map_put(&r->by_token, key, r->n + 1) != 0)
			return NULL;
		i = ++r->n;
	}
	return &r->due_ns[i - 1];
}

int64_t
rates_wait_us(struct rates *r, const struct conf_token *t, uint32_t n,
    int64_t now_us)
{
	int64_t period = t->rate_period_us * NS_PER_US;
	int64_t each = period / t->rate_count, now = now_us * NS_PER_US;
	int64_t wait = 0, first, *due;

	/* More than may come at once come when nothing is owed. */
	first = (int64_t)MIN(n, t->rate_count) * each;
	pthread_mutex_lock(&r->lock);
	due = due_of(r, t);
	if (due != NULL) {
		*due = MAX(*due, now);
		wait = *due + first - period - now;
		if (wait <= 0)
			*due += (int64_t)n * each;
	}
	pthread_mutex_unlock(&r->lock);
	return wait <= 0 ? 0 : wait / NS_PER_US + 1;
}
