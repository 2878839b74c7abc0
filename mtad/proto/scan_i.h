/*
 * proto/scan_i.h - looks at many bytes of a message at once.
 *
 * A message body is scanned once on its way in (line ends, dots, NUL, 8-bit
 * bytes) and, when it has dots, once on its way out. Both scans ask of 16 or 64
 * bytes at a time whether there is anything in them that needs thought, without
 * a branch per line end; whoever gets "yes" looks byte by byte.
 *
 * The vectors are the compiler's own, so this is SSE2 on every x86-64, NEON on
 * ARM, and correct everywhere.
 */
#ifndef PROTO_SCAN_I_H
#define PROTO_SCAN_I_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SCAN_VECTOR 16
#define SCAN_BLOCK 64 /* four of them */

typedef signed char scan_bytes __attribute__((vector_size(SCAN_VECTOR)));
typedef uint64_t scan_words __attribute__((vector_size(SCAN_VECTOR)));

static inline scan_bytes
scan_load(const char *p)
{
	scan_bytes v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Is any bit set? */
static inline bool
scan_any(scan_bytes v)
{
	scan_words w = (scan_words)v;

	return (w[0] | w[1]) != 0;
}

/* Bytes of which the byte before must be known: bits are set where a CR is not
 * followed by LF, an LF does not follow CR, a dot begins a line, or a NUL is.
 * p[-1] is read; a CR in p[15] is judged with the byte behind it. */
static inline scan_bytes
scan_oddities(const char *p, scan_bytes *all)
{
	scan_bytes before = scan_load(p - 1), here = scan_load(p);

	*all |= here;
	return ((before == '\r') ^ (here == '\n')) | (here == 0) |
	    ((before == '\n') & (here == '.'));
}

/* The same for n bytes, SCAN_VECTOR or SCAN_BLOCK: is there any? */
static inline bool
scan_is_odd(const char *p, size_t n, bool *has_8bit)
{
	scan_bytes all = { 0 }, odd = { 0 };

	for (size_t i = 0; i < n; i += SCAN_VECTOR)
		odd |= scan_oddities(p + i, &all);
	if (scan_any(odd))
		return true;
	*has_8bit |= scan_any(all < 0);
	return false;
}

/* Has any of the SCAN_VECTOR bytes at p a dot behind an LF? p[16] is read. */
static inline bool
scan_has_lf_dot(const char *p)
{
	return scan_any((scan_load(p) == '\n') & (scan_load(p + 1) == '.'));
}

/* Index of the first '.' that stands behind a '\n' in p, or n. */
static inline size_t
scan_lf_dot(const char *p, size_t n)
{
	size_t i = 0;

	while (n - i > SCAN_VECTOR && !scan_has_lf_dot(p + i))
		i += SCAN_VECTOR;
	for (; i + 1 < n; i++)
		if (p[i] == '\n' && p[i + 1] == '.')
			return i + 1;
	return n;
}

/* Is every byte printable ASCII (space to tilde)? */
static inline bool
scan_is_printable(const char *p, size_t n)
{
	unsigned char bad = 0;

	for (size_t i = 0; i < n; i++)
		bad |= (unsigned char)((unsigned char)(p[i] - ' ') > '~' - ' ');
	return bad == 0;
}

#endif
