/*
 * base/pool.c - slots of one size in chunks that never move.
 *
 * Invariants: slots [1, next_new) have been given at least once; those of
 * them with an even generation form the free list, linked through their first
 * four bytes; gens has room for every slot of the nchunks chunks. A chunk is
 * about CHUNK_BYTES, less when the pool's ceiling is small, so that a pool of
 * a few slots costs little and one of millions has few chunks. Once a pool has
 * as many as a huge page takes, they come by the huge page: at millions of slots
 * a fourth of the time went into finding pages.
 */
#include "base/base.h"

#define CHUNK_BYTES (64 * 1024)

void
pool_init(struct pool *p, size_t slot_bytes, uint32_t max)
{
	size_t bytes = (slot_bytes + 3) & ~(size_t)3; /* room for the link */

	ASSERT(slot_bytes >= 4 && bytes <= UINT32_MAX);
	ASSERT(max <= UINT32_MAX - CHUNK_BYTES);
	*p = (struct pool){ .slot_bytes = (uint32_t)bytes, .max = max };
	while (((size_t)2 << p->chunk_shift) * bytes <= CHUNK_BYTES &&
	    ((uint64_t)1 << p->chunk_shift) <= max)
		p->chunk_shift++;
	p->chunk_slots = (uint32_t)1 << p->chunk_shift;
	p->next_new = 1;
}

static size_t
chunk_bytes(const struct pool *p)
{
	return (size_t)p->chunk_slots * p->slot_bytes;
}

/* Chunks on a huge page; 0: a chunk alone is larger. */
static uint32_t
huge_chunks(const struct pool *p)
{
	return (uint32_t)(MEM_HUGE_BYTES / chunk_bytes(p));
}

/* Chunk i in its turn: one of the first has memory of its own; of the others,
 * those of a huge page lie one behind the other. */
static char *
chunk_new(const struct pool *p, uint32_t i)
{
	uint32_t n = huge_chunks(p);

	if (i < n || n == 0)
		return mem_try(chunk_bytes(p));
	if (i % n != 0)
		return p->chunks[i - 1] + chunk_bytes(p);
	return mem_huge_try(n * chunk_bytes(p));
}

static void
chunks_free(struct pool *p)
{
	uint32_t n = huge_chunks(p);

	for (uint32_t i = 0; i < p->nchunks; i++)
		if (i < n || n == 0)
			mem_free(p->chunks[i]);
		else if (i % n == 0)
			mem_huge_free(p->chunks[i], n * chunk_bytes(p));
}

void
pool_free(struct pool *p)
{
	chunks_free(p);
	mem_free(p->chunks);
	mem_free(p->gens);
	pool_init(p, p->slot_bytes, p->max);
}

/* Chunks that the two tables have room for: the next power of two. */
static uint32_t
pool_table_cap(uint32_t nchunks)
{
	uint32_t cap = 1;

	while (cap < nchunks)
		cap *= 2;
	return nchunks ? cap : 0;
}

/* Room in the tables for one chunk more. */
static int
pool_grow_tables(struct pool *p)
{
	size_t cap = pool_table_cap(p->nchunks + 1);
	void *chunks, *gens;

	if (cap == pool_table_cap(p->nchunks))
		return 0;
	chunks = mem_grow(p->chunks, cap * sizeof(*p->chunks));
	if (chunks == NULL)
		return E_NOMEM;
	p->chunks = chunks;
	gens = mem_grow(p->gens, cap * p->chunk_slots * sizeof(*p->gens));
	if (gens == NULL)
		return E_NOMEM;
	p->gens = gens;
	return 0;
}

static int
pool_grow(struct pool *p)
{
	char *chunk;

	if (pool_grow_tables(p) != 0)
		return E_NOMEM;
	chunk = chunk_new(p, p->nchunks);
	if (chunk == NULL)
		return E_NOMEM;
	memset(p->gens + (size_t)p->nchunks * p->chunk_slots, 0,
	    p->chunk_slots * sizeof(*p->gens));
	p->chunks[p->nchunks++] = chunk;
	return 0;
}

static uint32_t
pool_index_free(struct pool *p)
{
	uint32_t index = p->free_head;
	void *slot = pool_at(p, index);

	memcpy(&p->free_head, slot, sizeof(p->free_head));
	memset(slot, 0, p->slot_bytes);
	return index;
}

/* An index never given before, its slot still zero; 0 when out of memory. */
static uint32_t
pool_index_new(struct pool *p)
{
	/* Twice for the first slot, where a chunk holds one: slot 0. */
	while (p->next_new >> p->chunk_shift >= p->nchunks)
		if (pool_grow(p) != 0)
			return 0;
	return p->next_new++;
}

void *
pool_take(struct pool *p, struct handle *h)
{
	uint32_t index;

	*h = HANDLE_NONE;
	if (p->live >= p->max)
		return NULL;
	index = p->free_head ? pool_index_free(p) : pool_index_new(p);
	if (index == 0)
		return NULL;
	p->gens[index]++;
	p->live++;
	ASSERT(p->gens[index] & 1);
	*h = (struct handle){ index, p->gens[index] };
	return pool_at(p, index);
}

void
pool_give(struct pool *p, uint32_t index)
{
	ASSERT(pool_is_live(p, index));
	memcpy(pool_at(p, index), &p->free_head, sizeof(p->free_head));
	p->free_head = index;
	p->gens[index]++;
	p->live--;
}

void *
pool_get(const struct pool *p, struct handle h)
{
	if (!pool_is_live(p, h.index) || p->gens[h.index] != h.gen)
		return NULL;
	return pool_at(p, h.index);
}

bool
pool_is_live(const struct pool *p, uint32_t index)
{
	return index != 0 && index < p->next_new && (p->gens[index] & 1);
}

struct handle
pool_handle(const struct pool *p, uint32_t index)
{
	ASSERT(pool_is_live(p, index));
	return (struct handle){ index, p->gens[index] };
}

size_t
pool_bytes(const struct pool *p)
{
	size_t chunk = chunk_bytes(p);
	size_t row = sizeof(*p->chunks) + p->chunk_slots * sizeof(*p->gens);

	return p->nchunks * chunk + pool_table_cap(p->nchunks) * row;
}
