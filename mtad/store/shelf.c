/*
 * store/shelf.c - entries in memory, found by their identity.
 *
 * An entry's texts and numbers lie in one allocation: the identity (book,
 * count of names, sub, and each name with its length) first, which is what is
 * hashed and compared. Slots that were dropped keep their place until the
 * identity comes again.
 */
#include "store/store.h"

#define ID_MAX (8 + KEPT_KEYS_MAX * (2 + KEPT_NAME_MAX))

struct shelf_slot {
	struct kept k; /* keys point into id; is_gone with v unset: dropped */
	char *id;
	uint16_t id_bytes;
	bool is_there;
	uint32_t twin; /* next with the same hash, index + 1 */
};

static size_t
id_make(char *dst, const struct kept *k)
{
	size_t n = 0;

	dst[n++] = (char)k->book;
	dst[n++] = (char)k->nkeys;
	memcpy(dst + n, &k->sub, sizeof(k->sub));
	n += sizeof(k->sub);
	for (uint32_t i = 0; i < k->nkeys; i++) {
		uint16_t len = (uint16_t)MIN(k->key[i].n, KEPT_NAME_MAX);

		memcpy(dst + n, &len, sizeof(len));
		n += sizeof(len);
		if (len)
			memcpy(dst + n, k->key[i].p, len);
		n += len;
	}
	return n;
}

/* The keys of a slot are those of its own identity. */
static void
keys_set(struct shelf_slot *s)
{
	size_t at = 2 + sizeof(s->k.sub);

	for (uint32_t i = 0; i < s->k.nkeys; i++) {
		uint16_t len;

		memcpy(&len, s->id + at, sizeof(len));
		at += sizeof(len);
		s->k.key[i] = slice_of(s->id + at, len);
		at += len;
	}
}

static void
grow(struct shelf *s)
{
	uint32_t cap = s->cap ? 2 * s->cap : 16;
	struct shelf_slot *v = mem_grow(s->v, cap * sizeof(*v));

	ASSERT(v);
	s->v = v;
	s->cap = cap;
}

/* The slot of an identity, made when there is none. */
static struct shelf_slot *
slot_of(struct shelf *s, const struct kept *k)
{
	char id[ID_MAX];
	size_t n = id_make(id, k);
	uint64_t hash = hash_bytes(0, id, n);
	struct shelf_slot *slot;
	uint32_t first, i;

	ASSERT(k->nkeys <= KEPT_KEYS_MAX);
	if (s->n == 0)
		map_init(&s->by_hash, 0, UINT32_C(1) << 31);
	first = map_get(&s->by_hash, hash);
	for (i = first; i != 0; i = s->v[i - 1].twin)
		if (s->v[i - 1].id_bytes == n &&
		    memcmp(s->v[i - 1].id, id, n) == 0)
			return &s->v[i - 1];
	if (s->n == s->cap)
		grow(s);
	slot = &s->v[s->n++];
	*slot = (struct shelf_slot){ .id = mem_get(n),
		.id_bytes = (uint16_t)n,
		.twin = first };
	memcpy(slot->id, id, n);
	ASSERT(map_put(&s->by_hash, hash, s->n) == 0);
	return slot;
}

void
shelf_put(struct shelf *s, const struct kept *k)
{
	struct shelf_slot *slot = slot_of(s, k);

	slot->k = *k;
	slot->is_there = true;
	keys_set(slot);
}

void
shelf_apply(struct shelf *s, const struct kept *k)
{
	shelf_put(s, k);
	if (k->is_gone)
		slot_of(s, k)->is_there = false;
}

const struct kept *
shelf_at(const struct shelf *s, uint32_t i)
{
	return i < s->n && s->v[i].is_there ? &s->v[i].k : NULL;
}

void
shelf_free(struct shelf *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		mem_free(s->v[i].id);
	if (s->n)
		map_free(&s->by_hash);
	mem_free(s->v);
	*s = (struct shelf){ 0 };
}
