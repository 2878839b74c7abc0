/*
 * world/nameset.c - exact names by hash, globs one after the other.
 */
#include "world/expand.h"
#include "world/nameset.h"

#define GLOB_BYTES_MAX (NAMESET_GLOBS_MAX * (NAMESET_NAME_MAX + 1u))

void
nameset_init(struct nameset *s)
{
	memset(s, 0, sizeof(*s));
	names_init(&s->names, 1, NAMESET_NAMES_MAX);
	arena_init(&s->arena, 16u << 10, GLOB_BYTES_MAX * 2);
}

void
nameset_free(struct nameset *s)
{
	names_free(&s->names);
	arena_free(&s->arena);
	mem_free(s->value);
	s->value = NULL;
}

struct slice
nameset_fold(struct slice name, char *dst)
{
	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n > NAMESET_NAME_MAX)
		return SL("");
	for (size_t i = 0; i < name.n; i++)
		dst[i] = ascii_lower(name.p[i]);
	return slice_of(dst, name.n);
}

static bool
is_glob(struct slice pattern)
{
	return slice_index(pattern, '*') < pattern.n;
}

/* The value's place for an exact name, new ones with 0. NULL at the ceiling. */
static uint32_t *
name_place(struct nameset *s, struct slice name)
{
	uint32_t id = names_find(&s->names, name), cap, *grown;

	if (id == 0)
		id = names_take(&s->names, name);
	if (id == 0)
		return NULL;
	if (id >= s->value_cap) {
		cap = MAX(id + 1, s->value_cap * 2);
		grown = mem_grow(s->value, cap * sizeof(*grown));
		if (grown == NULL)
			return NULL;
		memset(grown + s->value_cap, 0,
		    (cap - s->value_cap) * sizeof(*grown));
		s->value = grown;
		s->value_cap = cap;
	}
	return &s->value[id];
}

static int
add_parents(struct nameset *s, struct slice name)
{
	size_t dot;

	while ((dot = slice_index(name, '.')) < name.n) {
		name = slice_skip(name, dot + 1);
		if (is_glob(name))
			continue;
		if (names_find(&s->names, name) != 0)
			return 0; /* and so are its own parents */
		if (name_place(s, name) == NULL)
			return E_FULL;
	}
	return 0;
}

static int
add_name(struct nameset *s, struct slice name, uint32_t value)
{
	uint32_t *place = name_place(s, name);

	if (place == NULL)
		return E_FULL;
	*place = value;
	return add_parents(s, name);
}

static int
add_glob(struct nameset *s, struct slice glob, uint32_t value)
{
	char *text;

	for (uint32_t i = 0; i < s->nglobs; i++)
		if (slice_eq(s->globs[i].glob, glob)) {
			s->globs[i].value = value;
			return 0;
		}
	if (s->nglobs == NAMESET_GLOBS_MAX)
		return E_FULL;
	text = arena_str(&s->arena, glob.p, glob.n);
	if (text == NULL)
		return E_NOMEM;
	s->globs[s->nglobs].glob = slice_of(text, glob.n);
	s->globs[s->nglobs++].value = value;
	return add_parents(s, glob);
}

static int
add_range(struct nameset *s, const struct expand *e, uint32_t value)
{
	struct buf name;
	int rc = 0;

	buf_init(&name, NAMESET_NAME_MAX);
	for (uint64_t i = 0; rc == 0 && i < expand_count(e); i++) {
		buf_reset(&name);
		rc = expand_name(e, i, &name);
		if (rc == 0)
			rc = add_name(s, buf_slice(&name), value);
	}
	buf_free(&name);
	return rc;
}

int
nameset_add(struct nameset *s, struct slice pattern, uint32_t value, char *why,
    size_t why_cap)
{
	char lower[NAMESET_NAME_MAX + 1];
	struct expand e;
	int rc;

	pattern = nameset_fold(pattern, lower);
	if (pattern.n == 0) {
		snprintf(why, why_cap, "expected a name of at most %d bytes",
		    NAMESET_NAME_MAX);
		return E_SYNTAX;
	}
	if (is_glob(pattern)) {
		rc = add_glob(s, pattern, value);
	} else if (expand_parse(pattern, &e) != 0) {
		snprintf(why, why_cap, "expected a range such as d{1..100}");
		return E_SYNTAX;
	} else {
		rc = add_range(s, &e, value);
	}
	if (rc != 0)
		snprintf(why, why_cap, "too many names");
	return rc;
}

uint32_t
nameset_get(const struct nameset *s, struct slice pattern)
{
	char lower[NAMESET_NAME_MAX + 1];
	struct expand e;
	struct buf first;
	uint32_t id = 0;

	pattern = nameset_fold(pattern, lower);
	for (uint32_t i = 0; i < s->nglobs; i++)
		if (slice_eq(s->globs[i].glob, pattern))
			return s->globs[i].value;
	if (expand_parse(pattern, &e) != 0)
		return 0;
	buf_init(&first, NAMESET_NAME_MAX);
	if (expand_name(&e, 0, &first) == 0)
		id = names_find(&s->names, buf_slice(&first));
	buf_free(&first);
	return id != 0 ? s->value[id] : 0;
}

uint32_t
nameset_find(const struct nameset *s, struct slice name, bool *is_parent)
{
	uint32_t id = names_find(&s->names, name);

	if (is_parent != NULL)
		*is_parent = false;
	if (id != 0 && s->value[id] != 0)
		return s->value[id];
	for (uint32_t i = 0; i < s->nglobs; i++)
		if (slice_glob(s->globs[i].glob, name))
			return s->globs[i].value;
	if (is_parent != NULL)
		*is_parent = id != 0;
	return 0;
}
