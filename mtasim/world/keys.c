/*
 * world/keys.c - YAML maps by tables.
 */
#include <stdio.h>

#include "world/keys.h"

#define GOT_MAX 60

void
keys_wrong(struct keys *k, const struct yaml_node *at, const char *what,
    const char *expected)
{
	static const char *const kinds[] = { "a text", "a list", "a map" };

	if (at->kind == YAML_SCALAR)
		yaml_error(k->doc, at, k->errs, "%s, expected %s, got '%.*s'",
		    what, expected, (int)MIN(at->text.n, (size_t)GOT_MAX),
		    at->text.p ? at->text.p : "");
	else
		yaml_error(k->doc, at, k->errs, "%s, expected %s, got %s", what,
		    expected, kinds[at->kind]);
}

static void
unknown(struct keys *k, const struct yaml_node *map, uint32_t i,
    const struct key *table, size_t n, const char *what)
{
	struct yaml_node at = { .kind = YAML_SCALAR,
		.line = map->key_lines[i],
		.column = map->key_columns[i],
		.text = map->keys[i] };
	struct buf words;

	buf_init(&words, 1024);
	for (size_t f = 0; f < n; f++)
		(void)buf_addf(&words, "%s%s",
		    f == 0         ? "" :
			f + 1 == n ? " or " :
				     ", ",
		    table[f].name);
	(void)buf_addc(&words, '\0');
	keys_wrong(k, &at, what, buf_slice(&words).p);
	buf_free(&words);
}

void
keys_take(struct keys *k, const struct yaml_node *map, const struct key *table,
    size_t n, const char *what)
{
	if (map->kind != YAML_MAP) {
		keys_wrong(k, map, what, "a map");
		return;
	}
	for (uint32_t i = 0; i < map->n; i++) {
		const struct yaml_node *v = map->items[i];
		size_t f = 0;

		while (
		    f < n && !slice_eq(map->keys[i], slice_str(table[f].name)))
			f++;
		if (f == n)
			unknown(k, map, i, table, n, what);
		else if (v->kind != YAML_SCALAR || !v->is_null)
			table[f].take(k, v);
	}
}

void
keys_each(struct keys *k, const struct yaml_node *v,
    void (*take)(struct keys *k, const struct yaml_node *v))
{
	if (v->kind != YAML_LIST) {
		take(k, v);
		return;
	}
	for (uint32_t i = 0; i < v->n; i++)
		take(k, v->items[i]);
}

struct slice
keys_text(struct keys *k, const struct yaml_node *v, const char *what)
{
	if (v->kind == YAML_SCALAR && v->text.n > 0)
		return v->text;
	keys_wrong(k, v, what, "a text");
	return SL("");
}

uint64_t
keys_number(struct keys *k, const struct yaml_node *v, const char *what,
    uint64_t max)
{
	char expected[64];
	uint64_t n = 0;

	if (v->kind == YAML_SCALAR && slice_u64(v->text, max, &n) == 0)
		return n;
	snprintf(expected, sizeof(expected), "a number up to %llu",
	    (unsigned long long)max);
	keys_wrong(k, v, what, expected);
	return 0;
}

int64_t
keys_time(struct keys *k, const struct yaml_node *v, const char *what)
{
	int64_t us;

	if (v->kind == YAML_SCALAR && parse_duration(v->text, &us) == 0)
		return us;
	keys_wrong(k, v, what, "a time such as 30s, 5m or 2h");
	return 0;
}

void
keys_dist(struct keys *k, const struct yaml_node *v, const char *what,
    enum dist_unit unit, struct dist *d)
{
	if (v->kind != YAML_SCALAR || dist_parse(v->text, unit, d) != 0)
		keys_wrong(k, v, what, dist_expects(unit));
}

int
keys_decimal(struct slice s, double *v)
{
	struct slice whole = slice_cut(&s, '.');
	uint64_t n, part = 0;
	double scale = 1;

	if (slice_u64(whole, UINT64_C(1000000000), &n) != 0 || s.n > 9)
		return E_SYNTAX;
	if (s.p != NULL && slice_u64(s, UINT64_C(999999999), &part) != 0)
		return E_SYNTAX;
	for (size_t i = 0; i < s.n; i++)
		scale *= 10;
	*v = (double)n + (double)part / scale;
	return 0;
}
