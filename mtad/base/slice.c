/*
 * base/slice.c - text as pointer and length.
 *
 * Nothing here allocates, and nothing depends on the locale: letters are
 * ASCII letters. Every function takes time linear in its input, slice_glob
 * included, since strangers choose the text that patterns are held against.
 */
#include "base/base.h"

static bool
is_same(char a, char b)
{
	return ascii_lower(a) == ascii_lower(b);
}

bool
slice_ieq(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (!is_same(a.p[i], b.p[i]))
			return false;
	return true;
}

bool
slice_has_prefix(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && slice_eq(slice_of(s.p, prefix.n), prefix);
}

bool
slice_has_iprefix(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && slice_ieq(slice_of(s.p, prefix.n), prefix);
}

bool
slice_has_isuffix(struct slice s, struct slice suffix)
{
	return s.n >= suffix.n &&
	    slice_ieq(slice_skip(s, s.n - suffix.n), suffix);
}

struct slice
slice_skip(struct slice s, size_t n)
{
	n = MIN(n, s.n);
	return n ? slice_of(s.p + n, s.n - n) : s;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct slice
slice_trim(struct slice s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = slice_skip(s, 1);
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

size_t
slice_index(struct slice s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

	return at ? (size_t)(at - s.p) : s.n;
}

struct slice
slice_cut(struct slice *rest, char sep)
{
	struct slice s = *rest;
	size_t at = slice_index(s, sep);

	*rest = at < s.n ? slice_skip(s, at + 1) : slice_of(NULL, 0);
	return slice_of(s.p, at);
}

int
slice_cmp(struct slice a, struct slice b)
{
	size_t n = MIN(a.n, b.n);
	int order = n ? memcmp(a.p, b.p, n) : 0;

	if (order == 0)
		return (a.n > b.n) - (a.n < b.n);
	return order < 0 ? -1 : 1;
}

int
slice_u64(struct slice s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	bool is_over = false;

	if (s.n == 0)
		return E_SYNTAX;
	for (size_t i = 0; i < s.n; i++) {
		if (!ascii_is_digit(s.p[i]))
			return E_SYNTAX;
		is_over |= __builtin_mul_overflow(v, 10, &v);
		is_over |= __builtin_add_overflow(v, s.p[i] - '0', &v);
	}
	if (is_over || v > max)
		return E_RANGE;
	*out = v;
	return 0;
}

size_t
slice_copy(struct slice s, char *dst, size_t cap)
{
	size_t n;

	if (cap == 0)
		return 0;
	n = MIN(s.n, cap - 1);
	if (n > 0)
		memcpy(dst, s.p, n);
	dst[n] = '\0';
	return n;
}

/*
 * Where the greatest suffix of s begins, by the order of bytes or, when
 * is_reversed, by its reverse; *period is the period of that suffix.
 */
static size_t
greatest_suffix(struct slice s, bool is_reversed, size_t *period)
{
	size_t best = 0, rival = 1, k = 0;

	*period = 1;
	while (rival + k < s.n) {
		char a = ascii_lower(s.p[rival + k]);
		char b = ascii_lower(s.p[best + k]);

		if (a == b) {
			if (++k == *period) {
				rival += k;
				k = 0;
			}
		} else if ((a < b) != is_reversed) {
			rival += k + 1;
			k = 0;
			*period = rival - best;
		} else {
			best = rival++;
			k = 0;
			*period = 1;
		}
	}
	return best;
}

/*
 * First place of word, not empty, in text, letter case aside, or text.n: the
 * two-way algorithm of Crochemore and Perrin. The word is split where its
 * local period equals its period; the right part is compared forwards, then
 * the left part backwards. A mismatch on the right at i allows a shift beyond
 * i, one on the left a shift by the period. `known` bytes at the front of the
 * word are known to match after a shift by the period of a periodic word.
 */
static size_t
find_fold(struct slice text, struct slice word)
{
	size_t period, period_rev, i, at = 0, known = 0;
	size_t split = greatest_suffix(word, false, &period);
	size_t split_rev = greatest_suffix(word, true, &period_rev);
	bool is_periodic;

	if (split_rev > split) {
		split = split_rev;
		period = period_rev;
	}
	is_periodic = slice_ieq(slice_of(word.p, split),
	    slice_of(word.p + period, split));
	if (!is_periodic)
		period = MAX(split, word.n - split) + 1;
	while (text.n >= word.n && at <= text.n - word.n) {
		const char *t = text.p + at;

		i = MAX(split, known);
		while (i < word.n && is_same(word.p[i], t[i]))
			i++;
		if (i < word.n) {
			at += i - split + 1;
			known = 0;
			continue;
		}
		i = split;
		while (i > known && is_same(word.p[i - 1], t[i - 1]))
			i--;
		if (i <= known)
			return at;
		at += period;
		known = is_periodic ? word.n - period : 0;
	}
	return text.n;
}

/*
 * The text before the first star is anchored at the front, that behind the
 * last at the end; the words between stars are looked for from left to right,
 * and the leftmost place of each is always as good as any later one.
 */
bool
slice_glob(struct slice pattern, struct slice text)
{
	struct slice word = slice_cut(&pattern, '*');
	size_t at;

	if (pattern.p == NULL)
		return slice_ieq(word, text);
	if (!slice_has_iprefix(text, word))
		return false;
	text = slice_skip(text, word.n);
	for (;;) {
		word = slice_cut(&pattern, '*');
		if (pattern.p == NULL)
			return slice_has_isuffix(text, word);
		if (word.n == 0)
			continue;
		at = find_fold(text, word);
		if (at == text.n)
			return false;
		text = slice_skip(text, at + word.n);
	}
}

/* Bytes of a character by its first byte, 0 when it cannot be the first. */
static size_t
utf8_length(unsigned char first)
{
	size_t ones = (size_t)__builtin_clz(~((unsigned)first << 24));

	if (ones == 0)
		return 1;
	return ones >= 2 && ones <= 4 ? ones : 0;
}

/* The i-th byte of s if it continues a character, else -1. */
static int
utf8_more(struct slice s, size_t i)
{
	unsigned char c = i < s.n ? (unsigned char)s.p[i] : 0;

	return (c & 0xc0) == 0x80 ? c & 0x3f : -1;
}

size_t
slice_utf8(struct slice s, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c = s.n ? (unsigned char)s.p[0] : 0xff;
	size_t len = utf8_length(c);
	uint32_t v;

	if (len == 0)
		return 0;
	v = len == 1 ? c : c & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		int more = utf8_more(s, i);

		if (more < 0)
			return 0;
		v = v << 6 | (uint32_t)more;
	}
	if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return 0;
	*code = v;
	return len;
}
