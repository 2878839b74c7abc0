/*
 * conf/index.c - finds the pattern that a name matches among thousands.
 *
 * A pattern without a star is looked up whole; one that begins with `*.` and has
 * no other star is looked up by what follows, once for each dot of the name: both
 * in one table of hashes. What is neither is tried one by one, and there are few
 * of those.
 */
#include "conf/conf_i.h"

struct conf_key {
	struct slice text; /* lower case */
	uint32_t entry;
	bool is_below; /* of names below it; else of itself */
};
struct conf_glob {
	struct slice pattern;
	uint32_t entry;
};

static int
key_cmp(const struct conf_key *a, const struct conf_key *b)
{
	if (a->is_below != b->is_below)
		return a->is_below ? 1 : -1;
	return slice_cmp(a->text, b->text);
}

static int
by_key(const void *va, const void *vb)
{
	const struct conf_key *a = va, *b = vb;
	int order = key_cmp(a, b);

	if (order != 0)
		return order;
	return a->entry < b->entry ? -1 : a->entry > b->entry;
}

static struct slice
lower(struct arena *arena, struct slice text)
{
	char *p = arena_str(arena, text.p, text.n);

	ASSERT(p != NULL);
	for (size_t i = 0; i < text.n; i++)
		p[i] = ascii_lower(p[i]);
	return slice_of(p, text.n);
}

void
index_begin(struct conf_index *x, struct arena *arena, uint32_t patterns)
{
	*x = (struct conf_index){ 0 };
	x->keys = arena_get(arena, (2 * patterns + 1) * sizeof(*x->keys));
	x->globs = arena_get(arena, (patterns + 1) * sizeof(*x->globs));
	ASSERT(x->keys != NULL && x->globs != NULL);
}

void
index_add(struct conf_index *x, struct arena *arena, struct slice pattern,
    uint32_t entry, bool is_suffix)
{
	bool is_below = slice_has_prefix(pattern, SL("*."));
	struct slice text = is_below ? slice_skip(pattern, 2) : pattern;

	if (slice_index(text, '*') != text.n || text.n == 0) {
		x->globs[x->nglobs++] = (struct conf_glob){ pattern, entry };
		return;
	}
	text = lower(arena, text);
	if (!is_below)
		x->keys[x->nkeys++] = (struct conf_key){ text, entry, false };
	if (is_below || is_suffix)
		x->keys[x->nkeys++] = (struct conf_key){ text, entry, true };
}

/* Text is hashed from its end, so that what stands behind each dot of a name has
 * its hash on the way to that of the whole. */
static uint32_t
hash_begin(bool is_below)
{
	return is_below ? UINT32_C(0x9e3779b9) : UINT32_C(0x85ebca6b);
}

static uint32_t
hash_char(uint32_t h, char c)
{
	return (h ^ (uint8_t)c) * UINT32_C(0x01000193);
}

static uint32_t
hash_place(const struct conf_index *x, uint32_t h)
{
	return (h ^ h >> 15) & x->mask;
}

static uint32_t
hash_key(const struct conf_key *k)
{
	uint32_t h = hash_begin(k->is_below);

	for (size_t i = k->text.n; i > 0; i--)
		h = hash_char(h, k->text.p[i - 1]);
	return h;
}

void
index_end(struct conf_index *x, struct arena *arena)
{
	uint32_t cap = 4;

	qsort(x->keys, x->nkeys, sizeof(*x->keys), by_key);
	while (cap < 2 * x->nkeys)
		cap *= 2;
	x->mask = cap - 1;
	x->table = arena_get(arena, cap * sizeof(*x->table));
	ASSERT(x->table != NULL);
	for (uint32_t i = 0; i < x->nkeys; i++) {
		uint32_t at = hash_place(x, hash_key(&x->keys[i]));

		/* Of equal ones the first is found. */
		while (x->table[at] != 0)
			at = (at + 1) & x->mask;
		x->table[at] = i + 1;
	}
}

/* The first entry with that key, or UINT32_MAX. */
static uint32_t
find(const struct conf_index *x, uint32_t hash, struct slice text,
    bool is_below)
{
	uint32_t at = hash_place(x, hash);

	for (; x->table[at] != 0; at = (at + 1) & x->mask) {
		const struct conf_key *k = &x->keys[x->table[at] - 1];

		if (k->is_below == is_below && slice_eq(k->text, text))
			return k->entry;
	}
	return UINT32_MAX;
}

static uint32_t
find_glob(const struct conf_index *x, struct slice name, uint32_t below)
{
	for (uint32_t i = 0; i < x->nglobs && x->globs[i].entry < below; i++)
		if (slice_glob(x->globs[i].pattern, name))
			return x->globs[i].entry;
	return below;
}

static struct slice
folded(struct slice name, char dst[DOMAIN_MAX + 1])
{
	size_t n = MIN(name.n, (size_t)DOMAIN_MAX);

	for (size_t i = 0; i < n; i++)
		dst[i] = ascii_lower(name.p[i]);
	return slice_of(dst, n);
}

/* The first entry of all that match s (is_first), or that of the longest; or
 * UINT32_MAX. */
static uint32_t
find_all(const struct conf_index *x, struct slice s, bool is_first)
{
	uint32_t whole = hash_begin(false), below = hash_begin(true);
	uint32_t best = UINT32_MAX, at;

	for (size_t i = s.n; i > 0; i--) {
		if (s.p[i - 1] == '.') {
			at = find(x, below, slice_skip(s, i), true);
			if (at < best || (!is_first && at != UINT32_MAX))
				best = at;
		}
		whole = hash_char(whole, s.p[i - 1]);
		below = hash_char(below, s.p[i - 1]);
	}
	at = find(x, whole, s, false);
	if (at < best || (!is_first && at != UINT32_MAX))
		best = at;
	return best;
}

static uint32_t
look_up(const struct conf_index *x, struct slice name, bool is_first)
{
	char text[DOMAIN_MAX + 1];
	uint32_t at = UINT32_MAX;

	if (x->nkeys != 0)
		at = find_all(x, folded(name, text), is_first);
	if (is_first || at == UINT32_MAX)
		at = find_glob(x, name, at);
	return at != UINT32_MAX ? at : 0;
}

uint32_t
index_first(const struct conf_index *x, struct slice name)
{
	return look_up(x, name, true);
}

uint32_t
index_longest(const struct conf_index *x, struct slice name)
{
	return look_up(x, name, false);
}
