/*
 * base/pool.h - slots of one size, addressed by handle {index, generation}.
 *
 * Slots live in chunks that never move (pointers stay good until the slot is
 * given back) and are given in index order of a LIFO free list. Generations
 * make a stale handle miss instead of hitting a stranger. Index 0 is never
 * given, so a zero handle is "none".
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

struct handle {
	uint32_t index;
	uint32_t gen;
};

#define HANDLE_NONE ((struct handle){ 0, 0 })

static inline bool
handle_eq(struct handle a, struct handle b)
{
	return a.index == b.index && a.gen == b.gen;
}

static inline bool
handle_is_none(struct handle h)
{
	return h.index == 0;
}

struct pool {
	char **chunks;
	uint32_t *gens; /* per slot; odd while in use */
	uint32_t nchunks;
	uint32_t slot_bytes;
	uint32_t chunk_slots; /* power of two */
	uint32_t chunk_shift;
	uint32_t free_head; /* index of a free slot, 0 = none */
	uint32_t next_new;  /* first index never given */
	uint32_t live;
	uint32_t max; /* ceiling on live slots */
};

/* Slots of slot_bytes (at least 4), at most max (below 2^32 - 2^16) of them.
 * Allocates lazily, in chunks of about 64 KiB, or of one slot when that is
 * larger. */
void pool_init(struct pool *p, size_t slot_bytes, uint32_t max);
void pool_free(struct pool *p);
/* A zeroed slot, or NULL at the ceiling or out of memory; *h is its handle. */
void *pool_take(struct pool *p, struct handle *h);
/* Takes back a live slot. */
void pool_give(struct pool *p, uint32_t index);
/* The slot of a handle, or NULL when it is stale. */
void *pool_get(const struct pool *p, struct handle h);
bool pool_is_live(const struct pool *p, uint32_t index);
/* The handle of a live slot. */
struct handle pool_handle(const struct pool *p, uint32_t index);
size_t pool_bytes(const struct pool *p);

/* The slot at an index that is known to be live. */
static inline void *
pool_at(const struct pool *p, uint32_t index)
{
	return p->chunks[index >> p->chunk_shift] +
	    (size_t)(index & (p->chunk_slots - 1)) * p->slot_bytes;
}

/* Asks for a slot, of n bytes, and for its generation; as mem_ask. */
static inline void
pool_ask(const struct pool *p, uint32_t index, size_t n)
{
	mem_ask(pool_at(p, index), n);
	mem_ask(&p->gens[index], sizeof(*p->gens));
}

#endif
