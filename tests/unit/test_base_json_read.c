/* Reading JSON in place: what is one, what is none, and what it says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"
#include "base/json_read.h"

static void
what_is_json_is_told_from_what_is_not(void **state)
{
	static const char *const good[] = { "1", " null ", "\"\"", "[]", "{}",
		"[1,-0.5e+10,true,false,null,\"\"]", "{\"a\":{\"b\":[[]]}}",
		"\"\\u00fc\\ud83d\\ude00\\n\\/\"", "\"\xc3\xbc\"", "0", "-1E2",
		"{\"a\" : 1 , \"a\" : 2}", "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]" };
	static const char *const bad[] = { "", " ", "nul", "[", "]", "[1,]",
		"{,}", "{\"a\"}", "{\"a\":}", "{1:2}", "{\"a\":1,}", "01", "+1",
		"1.", ".5", "1e", "--1", "\"", "\"\\x\"", "\"\\u12\"",
		"\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\n\"",
		"\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "1 2", "[1}",
		"{\"a\":1]", "'a'", "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]" };
	size_t at;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(json_check(slice_str(good[i]), &at), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(json_check(slice_str(bad[i]), &at), E_SYNTAX);
	assert_int_equal(json_check(SL("\"a\0b\""), &at), E_SYNTAX);
	assert_int_equal(at, 2);
}

static void
members_and_items_come_in_their_order(void **state)
{
	struct slice text = SL(" { \"a\" : [ 1 , \"]\\\"\" ,{\"x\":[]} ],"
			       "\"b\\\"\":null , \"c\":12 } ");
	struct slice v = json_value(text), rest, key, value, items, item;

	(void)state;
	assert_int_equal(json_kind_of(v), JSON_KIND_OBJECT);
	rest = json_inside(v);
	assert_true(json_member(&rest, &key, &value));
	assert_true(json_is(key, SL("a")));
	items = json_inside(value);
	assert_true(json_item(&items, &item) && slice_eq(item, SL("1")));
	assert_true(json_item(&items, &item) && json_is(item, SL("]\"")));
	assert_true(
	    json_item(&items, &item) && slice_eq(item, SL("{\"x\":[]}")));
	assert_false(json_item(&items, &item));
	assert_true(json_member(&rest, &key, &value));
	assert_true(json_is(key, SL("b\"")));
	assert_int_equal(json_kind_of(value), JSON_KIND_NULL);
	assert_true(json_member(&rest, &key, &value));
	assert_true(slice_eq(value, SL("12")));
	assert_false(json_member(&rest, &key, &value));
	assert_true(slice_eq(json_get(v, SL("c")), SL("12")));
	assert_null(json_get(v, SL("d")).p);
}

/* Whatever the piece's size, characters are whole. */
static void
a_string_comes_in_pieces(void **state)
{
	struct slice s =
	    SL("\"a\xc3\xbc\\u20ac\\ud83d\\ude00\\\\\\t\xe2\x82\xac-\"");
	static const char want[] =
	    "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\\\t\xe2\x82\xac-";
	char got[64];

	(void)state;
	for (size_t cap = 4; cap < 30; cap++) {
		struct json_text t = json_text_of(s);
		size_t n = 0, k;

		while ((k = json_text_next(&t, got + n, cap)) > 0)
			n += k;
		assert_true(slice_eq(slice_of(got, n), slice_str(want)));
	}
	assert_true(json_is(s, slice_str(want)));
	assert_false(json_is(s, SL("a")));
	assert_false(json_is(SL("\"a\""), SL("ab")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_json_is_told_from_what_is_not),
		cmocka_unit_test(members_and_items_come_in_their_order),
		cmocka_unit_test(a_string_comes_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
