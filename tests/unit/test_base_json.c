/*
 * The JSON writer; a real parser (Jansson) is the judge of what is valid.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "base/base.h"

static void
assert_content(const struct buf *b, const char *expect)
{
	assert_false(b->failed);
	assert_int_equal(b->n, strlen(expect));
	assert_memory_equal(buf_slice(b).p, expect, b->n);
}

static void
commas_and_brackets_come_by_themselves(void **state)
{
	struct buf b;
	struct jsonw w;

	(void)state;
	buf_init(&b, 1000);
	jw_init(&w, &b);
	jw_open(&w, '{');
	jw_kstr(&w, "a", SL("x"));
	jw_key(&w, "b");
	jw_open(&w, '[');
	jw_u64(&w, 1);
	jw_open(&w, '{');
	jw_close(&w, '}');
	jw_open(&w, '[');
	jw_close(&w, ']');
	jw_null(&w);
	jw_close(&w, ']');
	jw_ku64(&w, "c", UINT64_MAX);
	jw_ki64(&w, "d", INT64_MIN);
	jw_kbool(&w, "e", true);
	jw_kbool(&w, "f", false);
	jw_key(&w, "g");
	jw_null(&w);
	jw_kstr(&w, "h", slice_of(NULL, 0));
	jw_close(&w, '}');
	assert_content(&b,
	    "{\"a\":\"x\",\"b\":[1,{},[],null],\"c\":18446744073709551615,"
	    "\"d\":-9223372036854775808,\"e\":true,\"f\":false,\"g\":null,"
	    "\"h\":\"\"}");
	assert_int_equal(w.depth, 0);
	buf_free(&b);
}

static void
thousandths_are_written_without_zeroes_behind(void **state)
{
	static const int64_t values[] = { 0, 1500, 1000, -1, -1050, 120,
		INT64_MAX, INT64_MIN };
	struct buf b;
	struct jsonw w;

	(void)state;
	buf_init(&b, 1000);
	jw_init(&w, &b);
	jw_open(&w, '[');
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		jw_milli(&w, values[i]);
	jw_close(&w, ']');
	assert_content(&b,
	    "[0,1.5,1,-0.001,-1.05,0.12,9223372036854775.807,"
	    "-9223372036854775.808]");
	buf_free(&b);
}

/* What the string s must look like. */
static void
plain_string(struct buf *out, struct slice s)
{
	uint32_t code;
	size_t len;

	buf_addc(out, '"');
	for (; s.n > 0; s = slice_skip(s, len)) {
		unsigned char c = (unsigned char)s.p[0];

		len = slice_utf8(s, &code);
		if (len == 0) {
			buf_addz(out, "\xef\xbf\xbd");
			len = 1;
		} else if (c < 0x20) {
			buf_addf(out, "\\u%04x", c);
		} else {
			if (c == '"' || c == '\\')
				buf_addc(out, '\\');
			buf_add(out, s.p, len);
		}
	}
	buf_addc(out, '"');
}

static void
check_string(struct slice s)
{
	struct buf got, expect;
	struct jsonw w;
	json_t *parsed;

	buf_init(&got, 1 << 20);
	buf_init(&expect, 1 << 20);
	jw_init(&w, &got);
	jw_str(&w, s);
	plain_string(&expect, s);
	assert_int_equal(got.n, expect.n);
	assert_memory_equal(buf_slice(&got).p, buf_slice(&expect).p, got.n);
	parsed = json_loadb(buf_slice(&got).p, got.n,
	    JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_true(json_is_string(parsed));
	json_decref(parsed);
	buf_free(&got);
	buf_free(&expect);
}

static void
every_byte_at_every_place_of_a_word_is_escaped_right(void **state)
{
	char text[24];

	(void)state;
	for (int byte = 0; byte < 256; byte++)
		for (size_t at = 0; at < sizeof(text); at++) {
			memset(text, 'a', sizeof(text));
			text[at] = (char)byte;
			check_string(slice_of(text, sizeof(text)));
			check_string(slice_of(text, at + 1));
			check_string(slice_of(text + at, sizeof(text) - at));
		}
}

static void
utf8_passes_and_broken_utf8_is_replaced(void **state)
{
	static const char *const texts[] = {
		"",
		"gr\xc3\xbc\xc3\x9f dich",
		"\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82",
		"\xf0\x9f\x93\xac mail \xe2\x82\xac",
		"cut \xf0\x9f\x93",
		"\xc3",
		"surrogate \xed\xa0\xbd\xed\xb3\xac",
		"overlong \xc0\xaf \xe0\x80\xaf",
		"\xff\xfe\xfd",
		"latin1 gr\xfc\xdf dich",
	};
	struct buf b;
	struct jsonw w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		check_string(slice_str(texts[i]));
	buf_init(&b, 100);
	jw_init(&w, &b);
	jw_str(&w, SL("a\xff\n\"\xc3\xbc\\"));
	assert_content(&b, "\"a\xef\xbf\xbd\\u000a\\\"\xc3\xbc\\\\\"");
	buf_free(&b);
}

static void
whatever_a_peer_sends_stays_valid(void **state)
{
	static const char alphabet[] =
	    "\0\x01\x1f\"\\\x7f\x80\xbf\xc2\xc3\xe2\xed\xf0\xf4\xff aaaaa";
	char text[100];
	struct rng r;

	(void)state;
	rng_seed(&r, 1);
	for (int i = 0; i < 20000; i++) {
		size_t n = rng_below(&r, sizeof(text));

		for (size_t k = 0; k < n; k++)
			text[k] = i % 2 ?
			    (char)rng_u64(&r) :
			    alphabet[rng_below(&r, sizeof(alphabet))];
		check_string(slice_of(text, n));
	}
}

static void
a_full_buffer_fails_once_and_for_all(void **state)
{
	struct buf b;
	struct jsonw w;

	(void)state;
	for (size_t max = 0; max < 40; max++) {
		buf_init(&b, max);
		jw_init(&w, &b);
		jw_open(&w, '{');
		jw_kstr(&w, "key", SL("value\nvalue"));
		jw_ku64(&w, "n", 12345);
		jw_close(&w, '}');
		assert_int_equal(b.failed, max < 36);
		assert_true(b.n <= max);
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commas_and_brackets_come_by_themselves),
		cmocka_unit_test(thousandths_are_written_without_zeroes_behind),
		cmocka_unit_test(
		    every_byte_at_every_place_of_a_word_is_escaped_right),
		cmocka_unit_test(utf8_passes_and_broken_utf8_is_replaced),
		cmocka_unit_test(whatever_a_peer_sends_stays_valid),
		cmocka_unit_test(a_full_buffer_fails_once_and_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
