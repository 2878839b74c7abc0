/*
 * base/map.c - u64 -> u32, open addressing with linear probing.
 *
 * Invariants: a slot with value 0 is empty; from a key's home slot to the slot
 * it is in there is no empty slot; n <= 7/8 of cap, so a probe ends. Removal
 * closes the gap by moving later slots of the run back (no tombstones), so the
 * table does not wear out however long it lives.
 *
 * A table that has been outgrown is moved to the new one MOVES slots at a time,
 * in their order. Its slots below `moved` have been; they stay as they are, so
 * that a probe passes over them, but mean nothing. What is removed from the
 * others becomes GONE. A key is in one of the two tables only. Since the new one
 * has room for as many keys more as the old one has slots, the move is over long
 * before it is full.
 */
#include "base/base.h"

#define MAP_CAP_FIRST 16
#define MAP_CAP_MAX (UINT32_C(1) << 31)
#define MOVES 16
#define GONE UINT32_MAX /* no value */

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
	mem_free(m->old);
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

/* The slot of key in the table that has been outgrown, or NULL. */
static struct map_slot *
old_find(const struct map *m, uint64_t key)
{
	uint32_t mask = m->old_cap - 1, i;

	if (m->old == NULL)
		return NULL;
	i = (uint32_t)hash_u64(key ^ m->seed) & mask;
	for (; m->old[i].value != 0; i = (i + 1) & mask)
		if (m->old[i].key == key && m->old[i].value != GONE)
			return i >= m->moved ? &m->old[i] : NULL;
	return NULL;
}

uint32_t
map_get(const struct map *m, uint64_t key)
{
	const struct map_slot *old;
	uint32_t value = m->cap ? m->slots[map_find(m, key)].value : 0;

	if (value != 0 || (old = old_find(m, key)) == NULL)
		return value;
	return old->value;
}

/* Some of the outgrown table's slots to the new one. */
static void
map_move(struct map *m)
{
	for (uint32_t k = 0; k < MOVES && m->old != NULL; k++) {
		struct map_slot s = m->old[m->moved];

		if (s.value != 0 && s.value != GONE)
			m->slots[map_find(m, s.key)] = s;
		if (++m->moved < m->old_cap)
			continue;
		mem_free(m->old);
		m->old = NULL;
		m->old_cap = m->moved = 0;
	}
}

static int
map_grow(struct map *m)
{
	uint32_t cap = m->cap ? 2 * m->cap : MAP_CAP_FIRST;
	struct map_slot *slots;

	ASSERT(m->old == NULL);
	if (m->cap == MAP_CAP_MAX)
		return E_FULL;
	slots = mem_try((size_t)cap * sizeof(*slots));
	if (slots == NULL)
		return E_NOMEM;
	m->old = m->slots;
	m->old_cap = m->cap;
	m->moved = 0;
	m->slots = slots;
	m->cap = cap;
	return 0;
}

int
map_put(struct map *m, uint64_t key, uint32_t value)
{
	struct map_slot *old;
	uint32_t at = 0;
	int err;

	ASSERT(value != 0 && value != GONE);
	if (m->cap != 0) {
		at = map_find(m, key);
		if (m->slots[at].value != 0) {
			m->slots[at].value = value;
			return 0;
		}
	}
	old = old_find(m, key);
	if (old != NULL) {
		old->value = value;
		return 0;
	}
	if (m->n >= m->max)
		return E_FULL;
	map_move(m);
	if (m->n >= m->cap - m->cap / 8) {
		err = map_grow(m);
		if (err != 0)
			return err;
	}
	m->slots[map_find(m, key)] =
	    (struct map_slot){ .key = key, .value = value };
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
	struct map_slot *old;
	uint32_t at, value;

	if (m->cap == 0)
		return 0;
	map_move(m);
	at = map_find(m, key);
	value = m->slots[at].value;
	if (value != 0) {
		map_close_gap(m, at);
	} else if ((old = old_find(m, key)) != NULL) {
		value = old->value;
		old->value = GONE;
	}
	m->n -= value != 0;
	return value;
}

size_t
map_bytes(const struct map *m)
{
	return ((size_t)m->cap + m->old_cap) * sizeof(struct map_slot);
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

static void
slots_put(const struct map_slot *v, uint32_t n, const struct image_out *out)
{
	struct map_pair pair = { 0 };

	for (uint32_t i = 0; i < n; i++) {
		if (v[i].value == 0 || v[i].value == GONE)
			continue;
		pair.key = v[i].key;
		pair.value = v[i].value;
		out->put(out->ctx, &pair, sizeof(pair));
	}
}

void
map_image_put(const struct map *m, const struct image_out *out)
{
	out->put(out->ctx, &m->n, sizeof(m->n));
	slots_put(m->slots, m->cap, out);
	if (m->old != NULL)
		slots_put(m->old + m->moved, m->old_cap - m->moved, out);
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
