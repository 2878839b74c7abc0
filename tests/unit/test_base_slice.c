/*
 * Slices: comparing, cutting, numbers, globs and UTF-8.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

#define S(text) slice_str(text)

static void
case_is_folded_for_ascii_letters_only(void **state)
{
	(void)state;
	assert_true(slice_ieq(S("Mail.EXAMPLE"), S("mAIL.example")));
	assert_false(slice_ieq(S("a"), S("b")));
	assert_false(slice_ieq(S("a"), S("ab")));
	assert_false(slice_ieq(S("@"), S("`")));
	assert_false(slice_ieq(S("["), S("{")));
	assert_false(slice_ieq(S("\xc4"), S("\xe4")));
	assert_true(slice_ieq(slice_of(NULL, 0), S("")));
}

static void
prefixes_and_suffixes_longer_than_the_text_do_not_match(void **state)
{
	(void)state;
	assert_true(slice_has_prefix(S("abc"), S("ab")));
	assert_true(slice_has_prefix(S("abc"), S("")));
	assert_false(slice_has_prefix(S("abc"), S("AB")));
	assert_false(slice_has_prefix(S("ab"), S("abc")));
	assert_true(slice_has_iprefix(S("abc"), S("AB")));
	assert_false(slice_has_iprefix(S(""), S("a")));
	assert_true(slice_has_isuffix(S("x.Example"), S(".exAMPLE")));
	assert_false(slice_has_isuffix(S("ample"), S("example")));
	assert_true(slice_has_prefix(slice_of(NULL, 0), slice_of(NULL, 0)));
	assert_true(slice_has_isuffix(slice_of(NULL, 0), S("")));
}

static void
skip_trim_and_index_stay_inside(void **state)
{
	(void)state;
	assert_true(slice_eq(slice_skip(S("abc"), 1), S("bc")));
	assert_int_equal(slice_skip(S("abc"), 99).n, 0);
	assert_int_equal(slice_skip(slice_of(NULL, 0), 9).n, 0);
	assert_true(slice_eq(slice_trim(S(" \t a b \t")), S("a b")));
	assert_int_equal(slice_trim(S(" \t ")).n, 0);
	assert_true(slice_eq(slice_trim(S("\ra\n")), S("\ra\n")));
	assert_int_equal(slice_index(S("abc"), 'c'), 2);
	assert_int_equal(slice_index(S("abc"), 'x'), 3);
	assert_int_equal(slice_index(slice_of(NULL, 0), 'x'), 0);
}

static void
cut_walks_over_fields_the_empty_ones_too(void **state)
{
	struct slice rest = S("a,,b,");

	(void)state;
	assert_true(slice_eq(slice_cut(&rest, ','), S("a")));
	assert_true(slice_eq(slice_cut(&rest, ','), S("")));
	assert_true(slice_eq(slice_cut(&rest, ','), S("b")));
	assert_non_null(rest.p); /* there is an empty last field */
	assert_true(slice_eq(slice_cut(&rest, ','), S("")));
	assert_null(rest.p);
	assert_int_equal(slice_cut(&rest, ',').n, 0);
}

static void
order_is_that_of_bytes_the_shorter_first(void **state)
{
	(void)state;
	assert_int_equal(slice_cmp(S("a"), S("b")), -1);
	assert_int_equal(slice_cmp(S("b"), S("a")), 1);
	assert_int_equal(slice_cmp(S("a"), S("ab")), -1);
	assert_int_equal(slice_cmp(S("ab"), S("ab")), 0);
	assert_int_equal(slice_cmp(S("\xff"), S("\x01")), 1);
	assert_int_equal(slice_cmp(slice_of(NULL, 0), S("")), 0);
}

static void
numbers_are_whole_unsigned_and_in_range(void **state)
{
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x1",
		"1a", "1.0", "99999999999999999999x" };
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(slice_u64(S(bad[i]), UINT64_MAX, &v),
		    E_SYNTAX);
	assert_int_equal(slice_u64(S("101"), 100, &v), E_RANGE);
	assert_int_equal(slice_u64(S("18446744073709551616"), UINT64_MAX, &v),
	    E_RANGE);
	assert_int_equal(slice_u64(S("184467440737095516150"), UINT64_MAX, &v),
	    E_RANGE);
	assert_int_equal(v, 77);
	assert_int_equal(slice_u64(S("18446744073709551615"), UINT64_MAX, &v),
	    0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(slice_u64(S("000100"), 100, &v), 0);
	assert_int_equal(v, 100);
}

static void
a_copy_is_cut_to_fit_and_terminated(void **state)
{
	char dst[4] = "zzz";

	(void)state;
	assert_int_equal(slice_copy(S("ab"), dst, sizeof(dst)), 2);
	assert_string_equal(dst, "ab");
	assert_int_equal(slice_copy(S("abcdef"), dst, sizeof(dst)), 3);
	assert_string_equal(dst, "abc");
	assert_int_equal(slice_copy(S("x"), dst, 1), 0);
	assert_string_equal(dst, "");
	dst[0] = 'k';
	assert_int_equal(slice_copy(S("x"), dst, 0), 0);
	assert_int_equal(dst[0], 'k');
	assert_int_equal(slice_copy(slice_of(NULL, 0), dst, 4), 0);
}

static const struct {
	const char *pattern, *text;
	bool matches;
} globs[] = {
	{ "*.x.example", "a.x.example", true },
	{ "*.x.example", "x.example", false },
	{ "*.x.example", ".X.EXAMPLE", true },
	{ "", "", true },
	{ "", "a", false },
	{ "*", "", true },
	{ "***", "anything", true },
	{ "a*", "a", true },
	{ "a*a", "a", false },
	{ "a*a", "aa", true },
	{ "ab*bc", "abc", false },
	{ "*ab*", "xxaabxx", true },
	{ "*aab*aab*", "aaabaab", true },
	{ "*aab*aab*", "aabab", false },
	{ "mx*.google.*", "mx17.Google.com", true },
	{ "abc", "ABC", true },
	{ "abc", "abcd", false },
	{ "*.mail.protection.*", "x.mail.protection.", true },
};

static void
globs_match_the_whole_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(globs); i++)
		assert_int_equal(slice_glob(S(globs[i].pattern),
				     S(globs[i].text)),
		    globs[i].matches);
	assert_true(slice_glob(slice_of(NULL, 0), slice_of(NULL, 0)));
	assert_false(slice_glob(S("a"), slice_of(NULL, 0)));
}

/* The definition, in exponential time. */
static bool
glob_by_definition(struct slice p, struct slice t)
{
	if (p.n == 0)
		return t.n == 0;
	if (p.p[0] == '*')
		return glob_by_definition(slice_skip(p, 1), t) ||
		    (t.n > 0 && glob_by_definition(p, slice_skip(t, 1)));
	return t.n > 0 && ascii_lower(p.p[0]) == ascii_lower(t.p[0]) &&
	    glob_by_definition(slice_skip(p, 1), slice_skip(t, 1));
}

static struct slice
random_text(struct rng *r, char *dst, size_t max, const char *letters)
{
	size_t n = rng_below(r, max + 1);
	size_t kinds = strlen(letters);

	for (size_t i = 0; i < n; i++)
		dst[i] = letters[rng_below(r, kinds)];
	return slice_of(dst, n);
}

static void
globs_agree_with_their_definition(void **state)
{
	char pattern[16], text[24];
	struct rng r;
	unsigned matched = 0;

	(void)state;
	rng_seed(&r, 2);
	for (int i = 0; i < 200000; i++) {
		bool two = i % 2;
		struct slice p =
		    random_text(&r, pattern, 12, two ? "abA*" : "aaab*");
		struct slice t =
		    random_text(&r, text, 20, two ? "aBb" : "aaab");
		bool expect = glob_by_definition(p, t);

		matched += expect;
		assert_int_equal(slice_glob(p, t), expect);
	}
	assert_true(matched > 5000);
}

/* A search that starts anew at each place would take 10^12 steps. */
static void
a_hostile_text_takes_linear_time(void **state)
{
	size_t n = 2000000, m = 1000000;
	char *text = mem_get(n), *pattern = mem_get(m + 2);

	(void)state;
	memset(text, 'a', n);
	memset(pattern, 'a', m + 2);
	pattern[0] = pattern[m + 1] = '*';
	pattern[m / 2] = 'b';
	assert_false(slice_glob(slice_of(pattern, m + 2), slice_of(text, n)));
	pattern[m / 2] = 'a';
	pattern[m] = 'b';
	assert_false(slice_glob(slice_of(pattern, m + 2), slice_of(text, n)));
	pattern[m] = 'a';
	pattern[1] = 'b';
	assert_false(slice_glob(slice_of(pattern, m + 2), slice_of(text, n)));
	text[n - m] = 'B';
	assert_true(slice_glob(slice_of(pattern, m + 2), slice_of(text, n)));
	mem_free(text);
	mem_free(pattern);
}

static size_t
utf8_encode(uint32_t code, char *dst)
{
	if (code < 0x80) {
		dst[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		dst[0] = (char)(0xc0 | code >> 6);
		dst[1] = (char)(0x80 | (code & 63));
		return 2;
	}
	if (code < 0x10000) {
		dst[0] = (char)(0xe0 | code >> 12);
		dst[1] = (char)(0x80 | (code >> 6 & 63));
		dst[2] = (char)(0x80 | (code & 63));
		return 3;
	}
	dst[0] = (char)(0xf0 | code >> 18);
	dst[1] = (char)(0x80 | (code >> 12 & 63));
	dst[2] = (char)(0x80 | (code >> 6 & 63));
	dst[3] = (char)(0x80 | (code & 63));
	return 4;
}

static void
every_character_is_read_and_none_when_cut(void **state)
{
	char text[4];
	uint32_t code;

	(void)state;
	for (uint32_t c = 0; c < 0x110100; c++) {
		size_t n = utf8_encode(c, text);
		bool is_valid = c < 0x110000 && (c < 0xd800 || c > 0xdfff);

		assert_int_equal(slice_utf8(slice_of(text, n), &code),
		    is_valid ? n : 0);
		if (is_valid)
			assert_int_equal(code, c);
		assert_int_equal(slice_utf8(slice_of(text, n - 1), &code), 0);
	}
}

static void
broken_characters_are_refused(void **state)
{
	static const char *const broken[] = { "\x80", "\xbf", "\xc0\x80",
		"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xed\xa0\x80",
		"\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff", "\xfe",
		"\xc3(", "\xe2\x82(", "\xe2(\xac", "\xf0\x9f\x98(" };
	uint32_t code;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(broken); i++)
		assert_int_equal(slice_utf8(S(broken[i]), &code), 0);
	assert_int_equal(slice_utf8(S(""), &code), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(case_is_folded_for_ascii_letters_only),
		cmocka_unit_test(
		    prefixes_and_suffixes_longer_than_the_text_do_not_match),
		cmocka_unit_test(skip_trim_and_index_stay_inside),
		cmocka_unit_test(cut_walks_over_fields_the_empty_ones_too),
		cmocka_unit_test(order_is_that_of_bytes_the_shorter_first),
		cmocka_unit_test(numbers_are_whole_unsigned_and_in_range),
		cmocka_unit_test(a_copy_is_cut_to_fit_and_terminated),
		cmocka_unit_test(globs_match_the_whole_text),
		cmocka_unit_test(globs_agree_with_their_definition),
		cmocka_unit_test(a_hostile_text_takes_linear_time),
		cmocka_unit_test(every_character_is_read_and_none_when_cut),
		cmocka_unit_test(broken_characters_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
