/*
 * base/filter.c - a Bloom filter in blocks of a cache line.
 *
 * The high bits of the hash choose the block (as a fraction of all, so that
 * their number need be no power of two), a mix of all of them the bits within
 * it, six for each word.
 */
#include "base/base.h"

#define WORDS 8
#define BLOCK_BITS (WORDS * 64)
#define BLOCKS_MAX (UINT64_C(1) << 34) /* a terabyte */

struct block {
	uint64_t word[WORDS];
};

struct filter {
	uint64_t nblocks;
	struct block *blocks;
};

struct filter *
filter_new(uint64_t keys)
{
	struct filter *f = mem_try(sizeof(*f));
	uint64_t n;

	if (f == NULL)
		return NULL;
	n = keys / BLOCK_BITS * FILTER_BITS_PER_KEY +
	    keys % BLOCK_BITS * FILTER_BITS_PER_KEY / BLOCK_BITS + 1;
	f->nblocks = n;
	if (n <= BLOCKS_MAX)
		f->blocks = mem_huge_try(n * sizeof(*f->blocks));
	if (f->blocks == NULL) {
		mem_free(f);
		return NULL;
	}
	return f;
}

void
filter_free(struct filter *f)
{
	mem_huge_free(f->blocks, f->nblocks * sizeof(*f->blocks));
	mem_free(f);
}

static struct block *
block_of(const struct filter *f, uint64_t hash)
{
	unsigned __int128 at = (unsigned __int128)hash * f->nblocks;

	return &f->blocks[(uint64_t)(at >> 64)];
}

void
filter_add(struct filter *f, uint64_t hash)
{
	struct block *b = block_of(f, hash);
	uint64_t bits = hash_u64(hash);

	for (int i = 0; i < WORDS; i++)
		b->word[i] |= UINT64_C(1) << (bits >> 6 * i & 63);
}

bool
filter_has(const struct filter *f, uint64_t hash)
{
	const struct block *b = block_of(f, hash);
	uint64_t bits = hash_u64(hash), all = 1;

	for (int i = 0; i < WORDS; i++)
		all &= b->word[i] >> (bits >> 6 * i & 63);
	return all != 0;
}

void
filter_ask(const struct filter *f, uint64_t hash)
{
	__builtin_prefetch(block_of(f, hash));
}

size_t
filter_bytes(const struct filter *f)
{
	return sizeof(*f) + f->nblocks * sizeof(*f->blocks);
}
