/*
 * world/hist.h - a histogram of times whose quantiles are off by 1.6 % at
 * most: 64 steps to the octave, from 1 us to 12 days. Histograms add up;
 * quantiles are taken from the sum, never averaged.
 */
#ifndef WORLD_HIST_H
#define WORLD_HIST_H

#include "base/base.h"

#define HIST_SUB_BITS 6
#define HIST_OCTAVES 34
#define HIST_BUCKETS ((HIST_OCTAVES + 1) << HIST_SUB_BITS)

struct hist {
	uint64_t n;
	int64_t max;
	uint64_t count[HIST_BUCKETS];
};

void hist_add(struct hist *h, int64_t us);
void hist_merge(struct hist *into, const struct hist *from);
/* The value that a share of `permyriad` / 10,000 does not exceed (9990: p99.9);
 * the upper edge of its step, at most the maximum seen. 0 when empty. */
int64_t hist_quantile(const struct hist *h, uint32_t permyriad);

#endif
