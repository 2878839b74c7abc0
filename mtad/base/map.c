/*
 * base/map.c - u64 -> u32, open addressing with linear probing.
 *
 * Invariants: a slot with value 0 is empty; from a key's home slot to the slot
 * it is in there is no empty slot; n <= 7/8 of cap, so a probe ends. Removal
 * closes the gap by moving later slots of the run back (no tombstones), so the
 * table does not wear out however long it lives.
 */
#include "base/base.h"

#define MAP_CAP_FIRST 16
#define MAP_CAP_MAX (UINT32_C(1) << 31)

struct map_slot {
	uint64_t key;
	uint32_t value;
};

void
map_init(struct map *m, uint64_t seed, uint32_t max)
{
	*m = (struct map){ .seed = seed, .max = max };
}

void
map_free(struct map *m)
{
	mem_free(m->slots);
	map_init(m, m->seed, m->max);
}

static uint32_t
map_home(const struct map *m, uint64_t key)
{
	return (uint32_t)hash_u64(key ^ m->seed) & (m->cap - 1);
}

/* The slot of key, or the empty slot where it would go. cap is not 0. */
static uint32_t
map_find(const struct map *m, uint64_t key)
{
	uint32_t i = map_home(m, key);

	while (m->slots[i].value != 0 && m->slots[i].key != key)
		i = (i + 1) & (m->cap - 1);
	return i;
}

uint32_t
map_get(const struct map *m, uint64_t key)
{
	return m->cap ? m->slots[map_find(m, key)].value : 0;
}

static int
map_grow(struct map *m)
{
	struct map old = *m;
	struct map_slot *slots;

	if (old.cap == MAP_CAP_MAX)
		return E_FULL;
	m->cap = old.cap ? 2 * old.cap : MAP_CAP_FIRST;
	slots = mem_try((size_t)m->cap * sizeof(*slots));
	if (slots == NULL) {
		*m = old;
		return E_NOMEM;
	}
	m->slots = slots;
	for (uint32_t i = 0; i < old.cap; i++)
		if (old.slots[i].value != 0)
			slots[map_find(m, old.slots[i].key)] = old.slots[i];
	mem_free(old.slots);
	return 0;
}

int
map_put(struct map *m, uint64_t key, uint32_t value)
{
	uint32_t at = 0;
	int err;

	ASSERT(value != 0);
	if (m->cap != 0) {
		at = map_find(m, key);
		if (m->slots[at].value != 0) {
			m->slots[at].value = value;
			return 0;
		}
	}
	if (m->n >= m->max)
		return E_FULL;
	if (m->n >= m->cap - m->cap / 8) {
		err = map_grow(m);
		if (err != 0)
			return err;
		at = map_find(m, key);
	}
	m->slots[at] = (struct map_slot){ .key = key, .value = value };
	m->n++;
	return 0;
}

/*
 * Slot gap has become free. A later slot of the run may move into it unless
 * its home lies behind the gap; then its own slot is the gap.
 */
static void
map_close_gap(struct map *m, uint32_t gap)
{
	uint32_t mask = m->cap - 1;
	uint32_t i = gap;

	for (;;) {
		i = (i + 1) & mask;
		if (m->slots[i].value == 0)
			break;
		if (((i - map_home(m, m->slots[i].key)) & mask) >=
		    ((i - gap) & mask)) {
			m->slots[gap] = m->slots[i];
			gap = i;
		}
	}
	m->slots[gap].value = 0;
}

uint32_t
map_del(struct map *m, uint64_t key)
{
	uint32_t at, value;

	if (m->cap == 0)
		return 0;
	at = map_find(m, key);
	value = m->slots[at].value;
	if (value == 0)
		return 0;
	map_close_gap(m, at);
	m->n--;
	return value;
}

size_t
map_bytes(const struct map *m)
{
	return (size_t)m->cap * sizeof(struct map_slot);
}

/* ---- image -------------------------------------------------------------------- */

struct map_pair {
	uint64_t key;
	uint32_t value, zero;
};

size_t
map_image_bytes(const struct map *m)
{
	return sizeof(uint32_t) + m->n * sizeof(struct map_pair);
}

void
map_image_put(const struct map *m, const struct image_out *out)
{
	struct map_pair pair = { 0 };

	out->put(out->ctx, &m->n, sizeof(m->n));
	for (uint32_t i = 0; i < m->cap; i++) {
		if (m->slots[i].value == 0)
			continue;
		pair.key = m->slots[i].key;
		pair.value = m->slots[i].value;
		out->put(out->ctx, &pair, sizeof(pair));
	}
}

int
map_image_get(struct map *m, const struct pool *of, const struct image_in *in)
{
	struct map_pair pair;
	uint32_t n;
	int err;

	if (!in->get(in->ctx, &n, sizeof(n)))
		return E_CORRUPT;
	for (uint32_t i = 0; i < n; i++) {
		if (!in->get(in->ctx, &pair, sizeof(pair)) ||
		    !pool_is_live(of, pair.value))
			return E_CORRUPT;
		err = map_put(m, pair.key, pair.value);
		if (err != 0)
			return err == E_FULL ? E_CORRUPT : err;
	}
	return m->n == n ? 0 : E_CORRUPT; /* else a key came twice */
}
