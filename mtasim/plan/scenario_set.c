/*
 * plan/scenario_set.c - a value given on the command line in place of one of
 * the file's. The key is the way to it: "pool.bulk.addresses", with a number
 * for a place in a list: "provider.gmail.events.0.for".
 */
#include "plan/scenario.h"

/* Where a part of the key leads: the slot of the value, or NULL. */
static struct yaml_node **
slot_of(struct yaml_node *n, struct slice part)
{
	uint64_t at;

	if (n->kind == YAML_LIST)
		return slice_u64(part, UINT32_MAX, &at) == 0 && at < n->n ?
		    &n->items[at] :
		    NULL;
	for (uint32_t i = 0; n->kind == YAML_MAP && i < n->n; i++)
		if (slice_eq(n->keys[i], part))
			return &n->items[i];
	return NULL;
}

/* One more pair in a map, its value to be filled in. */
static struct yaml_node **
slot_add(struct scen *s, struct yaml_node *map, struct slice key)
{
	uint32_t n = map->n;
	struct yaml_node **items;
	uint32_t *lines, *columns;
	struct slice *keys;

	if (map->kind != YAML_MAP)
		return NULL;
	items = arena_get(&s->arena, (n + 1) * sizeof(*items));
	keys = arena_get(&s->arena, (n + 1) * sizeof(*keys));
	lines = arena_get(&s->arena, (n + 1) * sizeof(*lines));
	columns = arena_get(&s->arena, (n + 1) * sizeof(*columns));
	if (!items || !keys || !lines || !columns)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		items[i] = map->items[i];
		keys[i] = map->keys[i];
		lines[i] = map->key_lines[i];
		columns[i] = map->key_columns[i];
	}
	keys[n] = key;
	lines[n] = map->line;
	columns[n] = map->column;
	map->items = items;
	map->keys = keys;
	map->key_lines = lines;
	map->key_columns = columns;
	map->n = n + 1;
	return &items[n];
}

static bool
apply(struct scen *s, const struct scen_set *set, struct conf_errors *errs)
{
	/* The tree is this scenario's own; nobody else looks at it. */
	struct yaml_node *at = (struct yaml_node *)(uintptr_t)yaml_root(s->doc);
	struct slice rest = set->key;

	while (rest.p != NULL) {
		struct slice part = slice_cut(&rest, '.');
		struct yaml_node **slot = slot_of(at, part), *v;

		if (slot == NULL && rest.p == NULL)
			slot = slot_add(s, at, part);
		if (slot == NULL) {
			yaml_error(s->doc, at, errs,
			    "%.*s, expected a key that is in the file, got "
			    "'%.*s'",
			    SLF(set->key), SLF(part));
			return false;
		}
		if (rest.p != NULL) {
			at = *slot;
			continue;
		}
		v = arena_get(&s->arena, sizeof(*v));
		if (v == NULL)
			return false;
		v->kind = YAML_SCALAR;
		v->text = set->value;
		v->line = *slot ? (*slot)->line : at->line;
		v->column = *slot ? (*slot)->column : at->column;
		*slot = v;
	}
	return true;
}

bool
scen_apply(struct scen *s, const struct scen_set *sets, uint32_t n,
    struct conf_errors *errs)
{
	for (uint32_t i = 0; i < n; i++)
		if (!apply(s, &sets[i], errs))
			return false;
	return true;
}
