/*
 * control/params.c - the parameters of a request: out of the query string and
 * out of the JSON object that a POST carries.
 *
 * Everything here is a stranger's. A key counts once, there are at most
 * CONTROL_PARAMS_MAX of them, a text never holds a NUL (so it may be read as a
 * C string too), and nested values are refused rather than guessed at.
 */
#include <jansson.h>

#include "control/control_i.h"

/* Texts are shorter than what they come from, but each is rounded up. */
#define ARENA_BLOCK (8u * 1024)
#define ARENA_MAX (4u * CONTROL_BODY_MAX)

void
args_init(struct args *a)
{
	a->params.n = 0;
	arena_init(&a->arena, ARENA_BLOCK, ARENA_MAX);
}

void
args_free(struct args *a)
{
	arena_free(&a->arena);
	a->params.n = 0;
}

struct slice
control_param(const struct control_params *p, const char *key)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (slice_eq(p->v[i].key, slice_str(key)))
			return p->v[i].value;
	return slice_of(NULL, 0);
}

/* Texts that the arena holds already. */
static int
args_put(struct args *a, struct slice key, struct slice value, const char **why)
{
	struct control_params *p = &a->params;

	for (uint32_t i = 0; i < p->n; i++) {
		if (slice_eq(p->v[i].key, key)) {
			*why = "a parameter is given twice";
			return E_EXISTS;
		}
	}
	if (p->n == CONTROL_PARAMS_MAX) {
		*why = "too many parameters";
		return E_FULL;
	}
	p->v[p->n].key = key;
	p->v[p->n].value = value;
	p->n++;
	return 0;
}

static int
hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character at s.p[*at], which moves on; -1: not well-formed. */
static int
decode_char(struct slice s, size_t *at)
{
	int high, low;
	char c = s.p[(*at)++];

	if (c == '+')
		return ' ';
	if (c != '%')
		return c == '\0' ? -1 : (unsigned char)c;
	if (s.n - *at < 2)
		return -1;
	high = hex_digit(s.p[*at]);
	low = hex_digit(s.p[*at + 1]);
	*at += 2;
	if (high < 0 || low < 0 || high + low == 0)
		return -1;
	return high << 4 | low;
}

static int
decode(struct args *a, struct slice s, struct slice *out, const char **why)
{
	char *text = arena_get(&a->arena, s.n + 1);
	size_t at = 0, n = 0;

	if (text == NULL) {
		*why = "the parameters are too long";
		return E_NOMEM;
	}
	while (at < s.n) {
		int c = decode_char(s, &at);

		if (c < 0) {
			*why = "a parameter is not percent-encoded text";
			return E_SYNTAX;
		}
		text[n++] = (char)c;
	}
	*out = slice_of(text, n);
	return 0;
}

int
args_add_query(struct args *a, struct slice query, const char **why)
{
	struct slice piece, name, key, value;
	int err = 0;

	while (err == 0 && query.n > 0) {
		piece = slice_cut(&query, '&');
		if (piece.n == 0)
			continue;
		name = slice_cut(&piece, '=');
		if (name.n == 0) {
			*why = "a parameter has no name";
			return E_SYNTAX;
		}
		err = decode(a, name, &key, why);
		if (err == 0)
			err = decode(a, piece, &value, why);
		if (err == 0)
			err = args_put(a, key, value, why);
	}
	return err;
}

/* The text of a member's value. false: it is of no kind that has one. */
static bool
json_text(const json_t *v, char *number, size_t cap, struct slice *out)
{
	int n;

	switch (json_typeof(v)) {
	case JSON_STRING:
		*out = slice_of(json_string_value(v), json_string_length(v));
		return true;
	case JSON_TRUE:
		*out = SL("true");
		return true;
	case JSON_FALSE:
		*out = SL("false");
		return true;
	case JSON_INTEGER:
		n = snprintf(number, cap, "%" JSON_INTEGER_FORMAT,
		    json_integer_value(v));
		break;
	case JSON_REAL:
		n = snprintf(number, cap, "%.17g", json_real_value(v));
		break;
	default:
		return false;
	}
	*out = slice_of(number, (size_t)n);
	return true;
}

static int
add_member(struct args *a, const char *name, const json_t *v, const char **why)
{
	char number[40];
	const char *key, *text;
	struct slice value;

	if (json_is_null(v))
		return 0;
	if (name[0] == '\0') {
		*why = "a member has no name";
		return E_SYNTAX;
	}
	if (!json_text(v, number, sizeof(number), &value)) {
		*why = "a member is neither text, number nor boolean";
		return E_SYNTAX;
	}
	key = arena_str(&a->arena, name, strlen(name));
	text = arena_str(&a->arena, value.p, value.n);
	if (key == NULL || text == NULL) {
		*why = "the parameters are too long";
		return E_NOMEM;
	}
	return args_put(a, slice_str(key), slice_of(text, value.n), why);
}

int
args_add_json(struct args *a, struct slice body, const char **why)
{
	json_t *root, *v;
	const char *name;
	int err = 0;

	root = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	if (root == NULL || !json_is_object(root)) {
		*why = "the body is not a JSON object";
		json_decref(root);
		return E_SYNTAX;
	}
	json_object_foreach(root, name, v) {
		err = add_member(a, name, v, why);
		if (err != 0)
			break;
	}
	json_decref(root);
	return err;
}
