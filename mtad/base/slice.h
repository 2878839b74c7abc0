/*
 * base/slice.h - text is a slice: a pointer and a length, owned by somebody
 * else, not NUL-terminated.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *p;
	size_t n;
};

/* A string literal as a slice, its length known at compile time. */
#define SL(lit) ((struct slice){ "" lit, sizeof(lit) - 1 })
/* For printf: printf("%.*s", SLF(s)). */
#define SLF(s) (int)(s).n, (s).p

static inline struct slice
slice_of(const char *p, size_t n)
{
	return (struct slice){ p, n };
}

static inline struct slice
slice_str(const char *cstr)
{
	return (struct slice){ cstr, cstr ? strlen(cstr) : 0 };
}

static inline bool
slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Equal, ASCII letters in either case. */
bool slice_ieq(struct slice a, struct slice b);
bool slice_has_prefix(struct slice s, struct slice prefix);
bool slice_has_iprefix(struct slice s, struct slice prefix);
bool slice_has_isuffix(struct slice s, struct slice suffix);
/* s without its first n (at most all) bytes. */
struct slice slice_skip(struct slice s, size_t n);
/* s without blanks (space, tab) at both ends. */
struct slice slice_trim(struct slice s);
/* Index of c in s, or s.n. */
size_t slice_index(struct slice s, char c);
/* Cuts *rest at the first sep: returns what stands before it and moves *rest
 * behind it (to an empty slice with p = NULL when there is none left). */
struct slice slice_cut(struct slice *rest, char sep);
/* -1, 0, 1: byte order, the shorter first. */
int slice_cmp(struct slice a, struct slice b);
/* Decimal without sign. 0 or -E_SYNTAX, -E_RANGE (E_* are negative). */
int slice_u64(struct slice s, uint64_t max, uint64_t *out);
/* Copies s to dst (cap bytes) with a NUL, cut to fit; returns bytes copied. */
size_t slice_copy(struct slice s, char *dst, size_t cap);
/* Does the text match a glob of literal text and '*'? ASCII case folded.
 * "*.x.example" matches "a.x.example", not "x.example". Linear time. */
bool slice_glob(struct slice pattern, struct slice text);
/* Bytes (1 to 4) of the UTF-8 character that s begins with and its code, or 0
 * when s is empty or begins with no valid one (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
size_t slice_utf8(struct slice s, uint32_t *code);

static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool
ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
ascii_is_alpha(char c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

#endif
