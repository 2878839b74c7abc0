/*
 * base/names.c - interned names, the second half of base/map.h.
 *
 * Three pieces: by_id[id] knows a name's count, hash and text; each text is an
 * allocation of its own; `table` finds the id of a text by open addressing, as
 * map.c does. Dead ids form a list from free_head; while it is empty the live
 * ids are exactly 1 to n.
 */
#include "base/base.h"

#define NAMES_CAP_FIRST 16
#define NAMES_CAP_MAX (UINT32_C(1) << 31)

struct name_slot {
	struct name_text *text; /* NULL: the id is free */
	uint32_t hash;
	uint32_t count; /* holders; of a free id, the next free one */
};

struct name_text {
	size_t n;
	char p[]; /* and a NUL */
};

void
names_init(struct names *t, uint64_t seed, uint32_t max)
{
	*t = (struct names){ .seed = seed, .max = max };
}

void
names_free(struct names *t)
{
	for (uint32_t id = 1; id < t->cap; id++)
		mem_free(t->by_id[id].text);
	mem_free(t->by_id);
	mem_free(t->table);
	names_init(t, t->seed, t->max);
}

static uint32_t
names_hash(const struct names *t, struct slice name)
{
	return (uint32_t)hash_bytes(t->seed, name.p, name.n);
}

static bool
name_is(const struct name_slot *s, uint32_t hash, struct slice name)
{
	return s->hash == hash && s->text->n == name.n &&
	    memcmp(s->text->p, name.n ? name.p : "", name.n) == 0;
}

/* Place in the table of a name, or the empty one where it would go. */
static uint32_t
names_place(const struct names *t, uint32_t hash, struct slice name)
{
	uint32_t mask = t->table_cap - 1;
	uint32_t i = hash & mask;

	while (t->table[i] != 0 && !name_is(&t->by_id[t->table[i]], hash, name))
		i = (i + 1) & mask;
	return i;
}

uint32_t
names_find(const struct names *t, struct slice name)
{
	if (t->table_cap == 0)
		return 0;
	return t->table[names_place(t, names_hash(t, name), name)];
}

static int
names_grow_table(struct names *t)
{
	uint32_t cap = t->table_cap ? 2 * t->table_cap : NAMES_CAP_FIRST;
	uint32_t *table;

	if (t->table_cap == NAMES_CAP_MAX)
		return E_FULL;
	table = mem_try((size_t)cap * sizeof(*table));
	if (table == NULL)
		return E_NOMEM;
	for (uint32_t i = 0; i < t->table_cap; i++) {
		uint32_t id = t->table[i], at;

		if (id == 0)
			continue;
		at = t->by_id[id].hash & (cap - 1);
		while (table[at] != 0)
			at = (at + 1) & (cap - 1);
		table[at] = id;
	}
	mem_free(t->table);
	t->table = table;
	t->table_cap = cap;
	return 0;
}

static int
names_grow_ids(struct names *t)
{
	uint32_t cap = t->cap ? 2 * t->cap : NAMES_CAP_FIRST;
	struct name_slot *by_id;

	if (t->cap == NAMES_CAP_MAX)
		return E_FULL;
	by_id = mem_grow(t->by_id, (size_t)cap * sizeof(*by_id));
	if (by_id == NULL)
		return E_NOMEM;
	memset(by_id + t->cap, 0, (size_t)(cap - t->cap) * sizeof(*by_id));
	t->by_id = by_id;
	t->cap = cap;
	return 0;
}

/* Room for one name more in both tables. */
static int
names_reserve(struct names *t)
{
	int err = 0;

	if (t->n >= t->max)
		return E_FULL;
	if (t->n >= t->table_cap - t->table_cap / 8)
		err = names_grow_table(t);
	if (err == 0 && t->free_head == 0 && t->n + 1 >= t->cap)
		err = names_grow_ids(t);
	return err;
}

static struct name_text *
name_text_new(struct slice name)
{
	struct name_text *text;

	if (name.n > UINT32_MAX)
		return NULL;
	text = mem_try(sizeof(*text) + name.n + 1);
	if (text == NULL)
		return NULL;
	text->n = name.n;
	if (name.n > 0)
		memcpy(text->p, name.p, name.n);
	return text;
}

static uint32_t
names_add(struct names *t, uint32_t hash, struct slice name)
{
	struct name_text *text;
	uint32_t id;

	if (names_reserve(t) != 0)
		return 0;
	text = name_text_new(name);
	if (text == NULL)
		return 0;
	id = t->free_head;
	if (id != 0)
		t->free_head = t->by_id[id].count;
	else
		id = t->n + 1;
	t->table[names_place(t, hash, name)] = id;
	t->by_id[id] = (struct name_slot){
		.text = text,
		.hash = hash,
		.count = 1,
	};
	t->n++;
	t->bytes += sizeof(*text) + name.n + 1;
	return id;
}

uint32_t
names_take(struct names *t, struct slice name)
{
	uint32_t hash = names_hash(t, name);
	uint32_t id = 0;

	if (t->table_cap != 0)
		id = t->table[names_place(t, hash, name)];
	if (id == 0)
		return names_add(t, hash, name);
	names_hold(t, id);
	return id;
}

static bool
name_is_live(const struct names *t, uint32_t id)
{
	return id != 0 && id < t->cap && t->by_id[id].text != NULL;
}

void
names_hold(struct names *t, uint32_t id)
{
	ASSERT(name_is_live(t, id) && t->by_id[id].count < UINT32_MAX);
	t->by_id[id].count++;
}

/* As map_close_gap: no tombstones. */
static void
names_close_gap(struct names *t, uint32_t gap)
{
	uint32_t mask = t->table_cap - 1;
	uint32_t i = gap;

	while (t->table[i = (i + 1) & mask] != 0) {
		uint32_t home = t->by_id[t->table[i]].hash & mask;

		if (((i - home) & mask) >= ((i - gap) & mask)) {
			t->table[gap] = t->table[i];
			gap = i;
		}
	}
	t->table[gap] = 0;
}

void
names_drop(struct names *t, uint32_t id)
{
	struct name_slot *s;
	uint32_t at;

	ASSERT(name_is_live(t, id));
	s = &t->by_id[id];
	if (--s->count > 0)
		return;
	at = s->hash & (t->table_cap - 1);
	while (t->table[at] != id)
		at = (at + 1) & (t->table_cap - 1);
	names_close_gap(t, at);
	t->bytes -= sizeof(*s->text) + s->text->n + 1;
	mem_free(s->text);
	*s = (struct name_slot){ .count = t->free_head };
	t->free_head = id;
	t->n--;
}

struct slice
names_text(const struct names *t, uint32_t id)
{
	if (id == 0)
		return slice_of("", 0);
	ASSERT(name_is_live(t, id));
	return slice_of(t->by_id[id].text->p, t->by_id[id].text->n);
}
