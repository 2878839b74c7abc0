/*
 * base/map.h - hash map from a 64-bit key, or from bytes, to a u32 value.
 *
 * Open addressing, linear probing, power-of-two capacity, grows by doubling
 * at 7/8 full, a few slots with each change: no change of a map of millions
 * takes longer than that of a small one. The value is usually a pool index. There is no iteration, on
 * purpose: nothing may depend on the layout of a hash table. For keys that a
 * stranger chooses, seed it (map_init).
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* u64 key -> u32 value. */
struct map {
	struct map_slot *slots;
	struct map_slot *old; /* outgrown: what is not yet in slots; or NULL */
	uint32_t old_cap, moved; /* of its slots, the first so many are done */
	uint32_t cap, n, max;
	uint64_t seed;
};
void map_init(struct map *m, uint64_t seed, uint32_t max);
void map_free(struct map *m);
/* The value, or 0 when absent (so 0 is no value). */
uint32_t map_get(const struct map *m, uint64_t key);
/* Sets key to a value that is not 0. 0, E_FULL or E_NOMEM. */
int map_put(struct map *m, uint64_t key, uint32_t value);
/* Removes; returns the old value or 0. */
uint32_t map_del(struct map *m, uint64_t key);
size_t map_bytes(const struct map *m);

/*
 * Interned names: bytes <-> a small id (1, 2, ...). Ids are reused after
 * names_drop brings a name's count to zero. Names are stored once.
 */
struct names {
	struct name_slot *by_id;
	uint32_t *table; /* open addressing: ids */
	uint32_t cap, n, table_cap, max, free_head;
	uint64_t seed;
	size_t bytes; /* of texts */
};
void names_init(struct names *t, uint64_t seed, uint32_t max);
void names_free(struct names *t);
/* The id of a name (added when new), its count raised by one; 0 at the
 * ceiling or out of memory. */
uint32_t names_take(struct names *t, struct slice name);
/* Raises the count of a known id. */
void names_hold(struct names *t, uint32_t id);
/* Lowers it; the id is free for another name at zero. */
void names_drop(struct names *t, uint32_t id);
/* The id without touching its count, or 0. */
uint32_t names_find(const struct names *t, struct slice name);
/* The name of a live id; an empty slice for id 0. NUL-terminated behind. */
struct slice names_text(const struct names *t, uint32_t id);

#endif
