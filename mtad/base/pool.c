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

/* Zeroed, from a cache line on: a slot of 64 bytes is one line, not two. The byte
 * before it says how far it is from where its memory begins. */
#define LINE_BYTES 64
static char *
lined_try(size_t n)
{
	char *p = mem_try(n + LINE_BYTES);
	size_t skip;

	if (p == NULL)
		return NULL;
	skip = LINE_BYTES - (uintptr_t)p % LINE_BYTES;
	p[skip - 1] = (char)skip;
	return p + skip;
}

static void
lined_free(char *p)
{
	mem_free(p - p[-1]);
}

/* Chunk i in its turn: one of the first has memory of its own; of the others,
 * those of a huge page lie one behind the other. */
static char *
chunk_new(const struct pool *p, uint32_t i)
{
	uint32_t n = huge_chunks(p);

	if (i < n || n == 0)
		return lined_try(chunk_bytes(p));
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
			lined_free(p->chunks[i]);
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

/* ---- image -------------------------------------------------------------------- */

struct pool_head {
	uint32_t slot_bytes, chunk_shift, max, next_new, free_head, live;
};

/* Slots of chunk i that have ever been given, slot 0 among them. */
static uint32_t
chunk_used(const struct pool *p, uint32_t next_new, uint32_t i)
{
	return MIN(next_new - (i << p->chunk_shift), p->chunk_slots);
}

static uint32_t
chunks_used(const struct pool *p, uint32_t next_new)
{
	return next_new > 1 ? ((next_new - 1) >> p->chunk_shift) + 1 : 0;
}

size_t
pool_image_bytes(const struct pool *p)
{
	size_t n = p->next_new > 1 ? p->next_new : 0;

	return sizeof(struct pool_head) +
	    n * (p->slot_bytes + sizeof(*p->gens));
}

static void
put_slots(const struct pool *p, uint32_t chunk, size_t hole, size_t hole_bytes,
    const struct image_out *out)
{
	static const char zero[64];
	uint32_t n = chunk_used(p, p->next_new, chunk);
	const char *slot = p->chunks[chunk];

	if (hole_bytes == 0) {
		out->put(out->ctx, slot, (size_t)n * p->slot_bytes);
		return;
	}
	ASSERT(hole_bytes <= sizeof(zero));
	for (; n > 0; n--, slot += p->slot_bytes) {
		out->put(out->ctx, slot, hole);
		out->put(out->ctx, zero, hole_bytes);
		out->put(out->ctx, slot + hole + hole_bytes,
		    p->slot_bytes - hole - hole_bytes);
	}
}

void
pool_image_put(const struct pool *p, size_t hole, size_t hole_bytes,
    const struct image_out *out)
{
	struct pool_head h = { p->slot_bytes, p->chunk_shift, p->max,
		p->next_new, p->free_head, p->live };

	out->put(out->ctx, &h, sizeof(h));
	for (uint32_t i = 0; i < chunks_used(p, p->next_new); i++) {
		out->put(out->ctx, p->gens + ((size_t)i << p->chunk_shift),
		    chunk_used(p, p->next_new, i) * sizeof(*p->gens));
		put_slots(p, i, hole, hole_bytes, out);
	}
}

/* The free list goes through every slot that is not live, once. */
static bool
free_list_is_whole(const struct pool *p)
{
	uint32_t left = p->next_new - 1 - p->live, i = p->free_head, n = 0;

	for (uint32_t k = 0; p->next_new > 1 && k < p->next_new; k++)
		n += p->gens[k] & 1;
	if (n != p->live || (p->next_new > 1 && p->gens[0] != 0))
		return false;
	for (; i != 0 && left > 0; left--) {
		if (i >= p->next_new || (p->gens[i] & 1))
			return false;
		memcpy(&i, pool_at(p, i), sizeof(i));
	}
	return i == 0 && left == 0;
}

int
pool_image_get(struct pool *p, const struct image_in *in)
{
	struct pool_head h;
	uint32_t n;

	if (!in->get(in->ctx, &h, sizeof(h)) || h.slot_bytes != p->slot_bytes ||
	    h.chunk_shift != p->chunk_shift || h.max != p->max ||
	    h.next_new == 0 || h.next_new - 1 > p->max ||
	    h.live > h.next_new - 1)
		return E_CORRUPT;
	for (uint32_t i = 0; i < chunks_used(p, h.next_new); i++) {
		if (pool_grow(p) != 0)
			return E_NOMEM;
		n = chunk_used(p, h.next_new, i);
		if (!in->get(in->ctx, p->gens + ((size_t)i << p->chunk_shift),
			n * sizeof(*p->gens)) ||
		    !in->get(in->ctx, p->chunks[i], (size_t)n * p->slot_bytes))
			return E_CORRUPT;
	}
	p->next_new = h.next_new;
	p->free_head = h.free_head;
	p->live = h.live;
	return free_list_is_whole(p) ? 0 : E_CORRUPT;
}
