/*
 * proto/scan_i.h - looks at many bytes of a message at once.
 *
 * A message body is scanned once on its way in (line ends, dots, NUL, 8-bit
 * bytes) and, when it has dots, once on its way out. Both scans turn a block
 * of 64 bytes into one bit mask per question, so that a line end costs no
 * branch. SSE2 is part of every x86-64; elsewhere a plain loop gives the same
 * masks.
 */
#ifndef PROTO_SCAN_I_H
#define PROTO_SCAN_I_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define SCAN_BLOCK 64

/* Bit i speaks of byte i. */
struct scan_masks {
	uint64_t cr, lf, dot;
	bool has_nul, has_8bit;
};

#if defined(__SSE2__)

static inline uint64_t
scan_equal(const __m128i v[4], char c)
{
	__m128i want = _mm_set1_epi8(c);
	uint64_t m = 0;

	for (int i = 0; i < 4; i++) {
		__m128i eq = _mm_cmpeq_epi8(v[i], want);

		m |= (uint64_t)(uint32_t)_mm_movemask_epi8(eq) << (16 * i);
	}
	return m;
}

static inline void
scan_block(const char *p, struct scan_masks *m)
{
	__m128i v[4], least, any;

	for (int i = 0; i < 4; i++)
		v[i] = _mm_loadu_si128((const __m128i *)(const void *)p + i);
	least =
	    _mm_min_epu8(_mm_min_epu8(v[0], v[1]), _mm_min_epu8(v[2], v[3]));
	any = _mm_or_si128(_mm_or_si128(v[0], v[1]), _mm_or_si128(v[2], v[3]));
	m->cr = scan_equal(v, '\r');
	m->lf = scan_equal(v, '\n');
	m->dot = scan_equal(v, '.');
	m->has_nul =
	    _mm_movemask_epi8(_mm_cmpeq_epi8(least, _mm_setzero_si128())) != 0;
	m->has_8bit = _mm_movemask_epi8(any) != 0;
}

/* Can the 16 bytes at p hold a dot behind a line feed? Reads 17 bytes. */
static inline uint32_t
scan_lf_dot_16(const char *p)
{
	__m128i a = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i b = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));

	return (uint32_t)_mm_movemask_epi8(
	    _mm_and_si128(_mm_cmpeq_epi8(a, _mm_set1_epi8('\n')),
		_mm_cmpeq_epi8(b, _mm_set1_epi8('.'))));
}

#else

static inline void
scan_block(const char *p, struct scan_masks *m)
{
	*m = (struct scan_masks){ 0 };
	for (int i = 0; i < SCAN_BLOCK; i++) {
		m->cr |= (uint64_t)(p[i] == '\r') << i;
		m->lf |= (uint64_t)(p[i] == '\n') << i;
		m->dot |= (uint64_t)(p[i] == '.') << i;
		m->has_nul |= p[i] == '\0';
		m->has_8bit |= (p[i] & 0x80) != 0;
	}
}

static inline uint32_t
scan_lf_dot_16(const char *p)
{
	uint32_t m = 0;

	for (int i = 0; i < 16; i++)
		m |= (uint32_t)(p[i] == '\n' && p[i + 1] == '.') << i;
	return m;
}

#endif

/* Index of the first '.' that stands behind a '\n' in p, or n. */
static inline size_t
scan_lf_dot(const char *p, size_t n)
{
	size_t i = 0;

	for (; n - i > 16; i += 16) {
		uint32_t m = scan_lf_dot_16(p + i);

		if (m != 0)
			return i + (size_t)__builtin_ctz(m) + 1;
	}
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
