/*
 * base/rng.c - xoshiro256** by Blackman and Vigna, seeded by splitmix64.
 *
 * The stream of a seed is part of recordings and of the simulator's seeds: it
 * must never change.
 */
#include "base/base.h"

static uint64_t
rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

void
rng_seed(struct rng *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		seed += UINT64_C(0x9e3779b97f4a7c15);
		r->s[i] = hash_u64(seed);
	}
}

uint64_t
rng_u64(struct rng *r)
{
	uint64_t *s = r->s;
	uint64_t result = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

/*
 * The high half of a 128-bit product spreads 2^64 inputs over n outputs; the
 * 2^64 mod n inputs that would make some outputs likelier are drawn again. How
 * many these are takes a division, and only those below n can be of them.
 */
uint64_t
rng_below(struct rng *r, uint64_t n)
{
	unsigned __int128 m;

	if (n == 0)
		return 0;
	do
		m = (unsigned __int128)rng_u64(r) * n;
	while ((uint64_t)m < n && (uint64_t)m < -n % n);
	return (uint64_t)(m >> 64);
}

int64_t
rng_range(struct rng *r, int64_t lo, int64_t hi)
{
	uint64_t span;

	ASSERT(lo <= hi);
	span = (uint64_t)hi - (uint64_t)lo + 1;
	if (span == 0) /* all of int64_t */
		return (int64_t)rng_u64(r);
	return (int64_t)((uint64_t)lo + rng_below(r, span));
}
