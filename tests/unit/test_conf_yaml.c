/*
 * The YAML reader: places, kinds and texts of nodes, and hostile documents,
 * which it refuses within its bounds.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_conf.h"

static struct told told;

static struct yaml_doc *
parse_slice(struct slice text)
{
	told_init(&told);
	return yaml_parse("y", text, &told.errs);
}

static struct yaml_doc *
good(const char *text)
{
	struct yaml_doc *d = parse_slice(slice_str(text));

	assert_string_equal(told.text, "");
	assert_non_null(d);
	return d;
}

static void
assert_refused(struct slice text, const char *said)
{
	struct yaml_doc *d = parse_slice(text);

	assert_null(d);
	assert_string_equal(told.text, said);
}

static void
assert_scalar(const struct yaml_node *n, const char *text, uint32_t line,
    uint32_t column)
{
	assert_non_null(n);
	assert_int_equal(n->kind, YAML_SCALAR);
	assert_string_equal(n->text.p, text);
	assert_int_equal(n->text.n, strlen(text));
	assert_int_equal(n->line, line);
	assert_int_equal(n->column, column);
}

static void
nodes_know_their_places(void **state)
{
	struct yaml_doc *d = good("a: 1\n"
				  "b:\n"
				  "  - x\n"
				  "  - { k: \"v w\", l: ~ }\n");
	const struct yaml_node *root = yaml_root(d), *b, *m;

	(void)state;
	assert_int_equal(root->kind, YAML_MAP);
	assert_int_equal(root->n, 2);
	assert_int_equal(root->key_lines[1], 2);
	assert_int_equal(root->key_columns[1], 1);
	assert_scalar(yaml_get(root, "a"), "1", 1, 4);
	b = yaml_get(root, "b");
	assert_int_equal(b->kind, YAML_LIST);
	assert_int_equal(b->n, 2);
	assert_scalar(b->items[0], "x", 3, 5);
	m = b->items[1];
	assert_scalar(yaml_get(m, "k"), "v w", 4, 10);
	assert_false(yaml_get(m, "k")->is_plain);
	assert_true(yaml_get(m, "l")->is_null);
	assert_int_equal(m->key_columns[1], 17);
	assert_null(yaml_get(m, "x"));
	assert_null(yaml_get(b, "x"));
	assert_null(yaml_get(NULL, "x"));
	yaml_doc_free(d);
}

static void
only_plain_words_are_null(void **state)
{
	struct yaml_doc *d =
	    good("[~, null, Null, NULL, \"~\", 'null', \"\", nul]");
	const struct yaml_node *root = yaml_root(d);
	uint32_t nulls = 0;

	(void)state;
	for (uint32_t i = 0; i < root->n; i++)
		nulls += root->items[i]->is_null;
	assert_int_equal(nulls, root->n - 4);
	assert_false(root->items[root->n - 1]->is_null);
	yaml_doc_free(d);
}

static void
an_empty_file_is_a_null(void **state)
{
	static const char *const texts[] = { "", "\n", "# only words\n",
		"---\n", "\xef\xbb\xbf" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct yaml_doc *d = good(texts[i]);

		assert_true(yaml_root(d)->is_null);
		yaml_doc_free(d);
	}
	yaml_doc_free(parse_slice(slice_of(NULL, 0)));
	assert_string_equal(told.text, "");
}

static void
collections_may_be_empty(void **state)
{
	static const char *const texts[] = { "[]", "{}", "# x\n []\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct yaml_doc *d = good(texts[i]);

		assert_int_equal(yaml_root(d)->n, 0);
		yaml_doc_free(d);
	}
}

static void
json_is_read_too(void **state)
{
	struct yaml_doc *d = good("{\"a\": [1, true, null],\n \"b\": {}}");

	(void)state;
	assert_int_equal(yaml_get(yaml_root(d), "a")->n, 3);
	assert_int_equal(yaml_get(yaml_root(d), "b")->n, 0);
	yaml_doc_free(d);
}

static void
an_alias_is_the_node_itself(void **state)
{
	struct yaml_doc *d = good("a: &x [1]\nb: *x\nc: &x 2\nd: *x\n");
	const struct yaml_node *root = yaml_root(d);

	(void)state;
	assert_ptr_equal(yaml_get(root, "a"), yaml_get(root, "b"));
	assert_string_equal(yaml_get(root, "d")->text.p, "2");
	yaml_doc_free(d);
}

struct refusal {
	const char *text, *said;
};

static const struct refusal refusals[] = {
	{ "a: 1\nb: 2\na: 3\nb: 4\n",
	    "y:3:1: duplicate key, expected each key once (the first is on "
	    "line 1), got \"a\"\n"
	    "y:4:1: duplicate key, expected each key once (the first is on "
	    "line 2), got \"b\"\n" },
	{ "a: 1\n---\nb: 2\n",
	    "y:2:1: YAML, expected one document, got \"another\"\n" },
	{ "a: [1, 2\nb: 3\n",
	    "y:2:2: YAML, expected well-formed text, got \"did not find "
	    "expected ',' or ']' while parsing a flow sequence\"\n" },
	{ "a: !!int 5\n",
	    "y:1:4: YAML, expected no tag, got \"tag:yaml.org,2002:int\"\n" },
	{ "a: !x [1]\n", "y:1:4: YAML, expected no tag, got \"!x\"\n" },
	{ "a: *nobody\n",
	    "y:1:4: YAML, expected the name of an anchor that ended before, "
	    "got \"nobody\"\n" },
	{ "a: &x [*x]\n",
	    "y:1:8: YAML, expected the name of an anchor that ended before, "
	    "got \"x\"\n" },
	{ "{ [a]: b }\n",
	    "y:1:3: YAML, expected a word as the key of a map, got \"something "
	    "else\"\n" },
	{ "{ {a: b}: c }\n",
	    "y:1:3: YAML, expected a word as the key of a map, got \"something "
	    "else\"\n" },
	{ "- &a x\n- { *a : b }\n",
	    "y:2:5: YAML, expected a word as the key of a map, got \"something "
	    "else\"\n" },
	{ "a: 1\nb: \xc3\x28\n",
	    "y:2:5: YAML, expected well-formed text, got \"invalid trailing "
	    "UTF-8 octet\"\n" },
	{ "\xc3\xa9: \xed\xa0\x80\n",
	    "y:1:4: YAML, expected well-formed text, got \"invalid Unicode "
	    "character\"\n" },
	{ "a: \x01\n",
	    "y:1:4: YAML, expected well-formed text, got \"control "
	    "characters are not allowed\"\n" },
	{ "\t- a\n",
	    "y:1:1: YAML, expected well-formed text, got \"found character "
	    "that cannot start any token while scanning for the next "
	    "token\"\n" },
};

static void
what_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		assert_refused(slice_str(refusals[i].text), refusals[i].said);
	assert_refused(SL("a: b\0c\n"),
	    "y:1:5: YAML, expected well-formed text, got \"control characters "
	    "are not allowed\"\n");
}

/* Nine lists of nine aliases each: 387 million nodes from 300 bytes. */
static void
a_billion_laughs(void **state)
{
	char text[1024];
	size_t n;

	(void)state;
	n = (size_t)snprintf(text, sizeof(text), "- &a0 ha\n");
	for (int i = 1; i < 10; i++) {
		n +=
		    (size_t)snprintf(text + n, sizeof(text) - n, "- &a%d [", i);
		for (int j = 0; j < 9; j++)
			n += (size_t)snprintf(text + n, sizeof(text) - n,
			    "*a%d%s", i - 1, j < 8 ? "," : "]\n");
	}
	assert_null(parse_slice(slice_of(text, n)));
	assert_non_null(strstr(told.text,
	    "YAML, expected at most 1000000 nodes, aliases written out, got "
	    "\"more\"\n"));
}

/* n opening brackets, a word, n closing ones. */
static struct yaml_doc *
nested(size_t n, char open, char close)
{
	struct buf b;
	struct yaml_doc *d;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < n; i++)
		buf_addc(&b, open);
	buf_addc(&b, 'x');
	for (size_t i = 0; i < n; i++)
		buf_addc(&b, close);
	assert_false(b.failed);
	d = parse_slice(buf_slice(&b));
	buf_free(&b);
	return d;
}

static void
depth_is_bounded(void **state)
{
	struct yaml_doc *d = nested(63, '[', ']');

	(void)state;
	assert_non_null(d);
	yaml_doc_free(d);
	assert_null(nested(64, '[', ']'));
	assert_string_equal(told.text,
	    "y:1:65: YAML, expected at most 64 "
	    "levels of nesting, got \"more\"\n");
	assert_null(nested(100000, '[', ']'));
	assert_null(nested(100000, '{', '}'));
	assert_int_equal(told.nerrors, 1);
}

/* Depth by aliases counts as if it were written out. */
static void
depth_of_aliases_is_bounded(void **state)
{
	char text[4096];
	size_t n;

	(void)state;
	n = (size_t)snprintf(text, sizeof(text), "- &a0 ha\n");
	for (int i = 1; i < 70; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "- &a%d [*a%d]\n", i, i - 1);
	assert_null(parse_slice(slice_of(text, n)));
	assert_string_equal(told.text,
	    "y:64:9: YAML, expected at most 64 "
	    "levels of nesting, got \"more\"\n");
}

static void
anchors_are_bounded(void **state)
{
	char text[8192];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 257; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "- &a%d x\n",
		    i);
	assert_refused(slice_of(text, n),
	    "y:257:3: YAML, expected at most 256 anchors, got \"more\"\n");
}

/* A piece, many times over. */
static struct buf
repeated(const char *piece, size_t times)
{
	struct buf b;

	buf_init(&b, 20u << 20);
	for (size_t i = 0; i < times; i++)
		buf_addz(&b, piece);
	assert_false(b.failed);
	return b;
}

static void
nodes_are_bounded(void **state)
{
	struct buf b = repeated("- a\n", 1000001);

	(void)state;
	assert_null(parse_slice(buf_slice(&b)));
	assert_string_equal(told.text,
	    "y:1000000:3: YAML, expected at most "
	    "1000000 nodes, got \"more\"\n");
	buf_free(&b);
}

static void
bytes_are_bounded(void **state)
{
	struct buf b = repeated("# words\n", (16u << 20) / 8 + 1);

	(void)state;
	assert_refused(buf_slice(&b),
	    "y:1:1: YAML, expected at most 16M, got \"more\"\n");
	buf_free(&b);
}

/* Many keys are compared with one another, and never each with each. */
static void
a_map_of_many_keys(void **state)
{
	struct yaml_doc *d;
	struct buf b;

	(void)state;
	buf_init(&b, 8u << 20);
	for (unsigned i = 0; i < 200000; i++)
		buf_addf(&b, "k%u: 1\n", i * 7919 % 200000);
	d = parse_slice(buf_slice(&b));
	assert_non_null(d);
	assert_int_equal(yaml_root(d)->n, 200000);
	yaml_doc_free(d);
	buf_addz(&b, "k17: 2\n");
	assert_null(parse_slice(buf_slice(&b)));
	assert_int_equal(told.nerrors, 1);
	buf_free(&b);
}

/* No suggestion is looked for once nobody will read it. */
static void
a_file_of_unknown_keys(void **state)
{
	struct conf_errors errs = { .report = NULL };
	struct buf b;

	(void)state;
	buf_init(&b, 8u << 20);
	for (unsigned i = 0; i < 100000; i++)
		buf_addf(&b, "message_size_max_of_something_%u: 1\n", i);
	assert_null(conf_parse("f", buf_slice(&b), &errs));
	assert_int_equal(errs.n, 100000);
	buf_free(&b);
}

static void
errors_at_a_node(void **state)
{
	struct yaml_doc *d = good("a:\n  - 12\n");
	const struct yaml_node *n = yaml_get(yaml_root(d), "a")->items[0];

	(void)state;
	yaml_error(d, n, &told.errs, "a, expected %s, got %d", "less", 12);
	assert_string_equal(told.text, "y:2:5: a, expected less, got 12\n");
	for (int i = 0; i < 200; i++)
		yaml_error(d, n, &told.errs, "again");
	assert_int_equal(told.errs.n, 201);
	assert_int_equal(told.nerrors, 100);
	yaml_doc_free(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_know_their_places),
		cmocka_unit_test(only_plain_words_are_null),
		cmocka_unit_test(an_empty_file_is_a_null),
		cmocka_unit_test(collections_may_be_empty),
		cmocka_unit_test(json_is_read_too),
		cmocka_unit_test(an_alias_is_the_node_itself),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(a_billion_laughs),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(depth_of_aliases_is_bounded),
		cmocka_unit_test(anchors_are_bounded),
		cmocka_unit_test(nodes_are_bounded),
		cmocka_unit_test(bytes_are_bounded),
		cmocka_unit_test(a_map_of_many_keys),
		cmocka_unit_test(a_file_of_unknown_keys),
		cmocka_unit_test(errors_at_a_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
