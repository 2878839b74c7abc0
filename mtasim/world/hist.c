/*
 * world/hist.c - log-linear buckets.
 *
 * Values below 64 have a bucket each; above, an octave [2^k, 2^(k+1)) has 64
 * buckets of equal width.
 */
#include "world/hist.h"

#define SUB (1u << HIST_SUB_BITS)

static uint32_t
bucket_of(uint64_t v)
{
	uint32_t top;

	if (v < SUB)
		return (uint32_t)v;
	top = 63 - (uint32_t)__builtin_clzll(v);
	if (top - HIST_SUB_BITS >= HIST_OCTAVES)
		return HIST_BUCKETS - 1;
	return ((top - HIST_SUB_BITS + 1) << HIST_SUB_BITS) +
	    (uint32_t)((v >> (top - HIST_SUB_BITS)) - SUB);
}

/* The largest value that falls into a bucket. */
static int64_t
bucket_edge(uint32_t b)
{
	uint32_t octave = b >> HIST_SUB_BITS;

	if (octave == 0)
		return b;
	return (int64_t)(((uint64_t)SUB + (b & (SUB - 1)) + 1)
		   << (octave - 1)) -
	    1;
}

void
hist_add(struct hist *h, int64_t us)
{
	if (us < 0)
		us = 0;
	h->count[bucket_of((uint64_t)us)]++;
	h->n++;
	h->max = MAX(h->max, us);
}

void
hist_merge(struct hist *into, const struct hist *from)
{
	for (uint32_t b = 0; b < HIST_BUCKETS; b++)
		into->count[b] += from->count[b];
	into->n += from->n;
	into->max = MAX(into->max, from->max);
}

int64_t
hist_quantile(const struct hist *h, uint32_t permyriad)
{
	/* The rank of the quantile, rounded up; at least the first value. */
	uint64_t rank = (h->n * permyriad + 9999) / 10000;
	uint64_t seen = 0;

	if (h->n == 0)
		return 0;
	rank = MAX(rank, 1);
	for (uint32_t b = 0; b < HIST_BUCKETS; b++) {
		seen += h->count[b];
		/* The last step has no upper edge. */
		if (seen >= rank && b < HIST_BUCKETS - 1)
			return MIN(bucket_edge(b), h->max);
	}
	return h->max;
}
