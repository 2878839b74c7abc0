/*
 * conf/index.c - finds the pattern that a name matches among thousands.
 *
 * A pattern without a star is looked up whole; one that begins with `*.` and has
 * no other star is looked up by what follows, once for each dot of the name. What
 * is neither is tried one by one, and there are few of those.
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

void
index_end(struct conf_index *x)
{
	qsort(x->keys, x->nkeys, sizeof(*x->keys), by_key);
}

/* The first entry with that key, or UINT32_MAX. */
static uint32_t
find(const struct conf_index *x, struct slice text, bool is_below)
{
	const struct conf_key key = { text, 0, is_below };
	uint32_t lo = 0, hi = x->nkeys;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (key_cmp(&x->keys[mid], &key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < x->nkeys && key_cmp(&x->keys[lo], &key) == 0 ?
	    x->keys[lo].entry :
	    UINT32_MAX;
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

uint32_t
index_first(const struct conf_index *x, struct slice name)
{
	char text[DOMAIN_MAX + 1];
	struct slice s = folded(name, text);
	uint32_t best = find(x, s, false);

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '.')
			best = MIN(best, find(x, slice_skip(s, i + 1), true));
	best = find_glob(x, name, best);
	return best != UINT32_MAX ? best : 0;
}

uint32_t
index_longest(const struct conf_index *x, struct slice name)
{
	char text[DOMAIN_MAX + 1];
	struct slice s = folded(name, text);
	uint32_t at = find(x, s, false);

	for (size_t i = 0; i < s.n && at == UINT32_MAX; i++)
		if (s.p[i] == '.')
			at = find(x, slice_skip(s, i + 1), true);
	if (at == UINT32_MAX)
		at = find_glob(x, name, UINT32_MAX);
	return at != UINT32_MAX ? at : 0;
}
