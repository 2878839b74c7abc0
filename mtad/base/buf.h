/*
 * base/buf.h - a byte buffer that cannot be born without a ceiling.
 *
 * Invariants: bytes [off, off + n) of p are the content; cap <= max. Adding
 * past max, or out of memory, adds nothing, returns an error and latches
 * `failed`, so that a run of adds is checked once at its end.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <endian.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct buf {
	char *p;
	size_t off; /* content starts here (consumed bytes before it) */
	size_t n;   /* content bytes */
	size_t cap;
	size_t max;
	bool failed;
};

/* An empty buffer of at most max bytes; allocates nothing yet. */
void buf_init(struct buf *b, size_t max);
/* Frees the memory; the buffer is empty and usable again. */
void buf_free(struct buf *b);
/* Forgets the content and `failed`, keeps the memory. */
void buf_reset(struct buf *b);

/* Room for n more bytes at the end: pointer to it, or NULL (failed is set).
 * What was written there becomes content with buf_grew. */
char *buf_room(struct buf *b, size_t n);
void buf_grew(struct buf *b, size_t n);

/* Append. 0, E_FULL or E_NOMEM. */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_adds(struct buf *b, struct slice s);
int buf_addz(struct buf *b, const char *cstr);
int buf_addc(struct buf *b, char c);
int buf_addu(struct buf *b, uint64_t decimal);
int buf_addf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int buf_addv(struct buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
/* Fixed-width little-endian integers, for the disk. */
int buf_add_u8(struct buf *b, uint8_t v);
int buf_add_u16(struct buf *b, uint16_t v);
int buf_add_u32(struct buf *b, uint32_t v);
int buf_add_u64(struct buf *b, uint64_t v);

/* Drops n (at most all) bytes from the front, O(1). */
void buf_consume(struct buf *b, size_t n);
/* Drops content beyond its first n bytes. */
void buf_cut(struct buf *b, size_t n);

static inline struct slice
buf_slice(const struct buf *b)
{
	return slice_of(b->n ? b->p + b->off : "", b->n);
}

/* Reader over fixed-width little-endian data. Reading past the end sets
 * `bad` and gives zeroes; check once at the end. */
struct cursor {
	struct slice s; /* what is left */
	bool bad;
};

static inline struct cursor
cursor_of(struct slice s)
{
	return (struct cursor){ .s = s };
}

/* The place of the next n bytes, which are then behind; NULL and bad when there
 * are fewer. */
static inline const char *
cursor_next(struct cursor *c, size_t n)
{
	const char *p = c->s.p;

	if (c->bad || n > c->s.n) {
		c->bad = true;
		return NULL;
	}
	if (n > 0) {
		c->s.p += n;
		c->s.n -= n;
	}
	return p;
}

/* The next n bytes; an empty slice and bad when there are fewer. */
static inline struct slice
cursor_take(struct cursor *c, size_t n)
{
	const char *p = cursor_next(c, n);

	return c->bad ? slice_of("", 0) : slice_of(p, n);
}

/* A number of up to 8 bytes, little-endian; 0 when it is not there. One load
 * where the compiler knows how many. */
static inline uint64_t
cursor_le(struct cursor *c, size_t bytes)
{
	const char *p = cursor_next(c, bytes);
	uint64_t v = 0;

	if (p == NULL)
		return 0;
	memcpy(&v, p, bytes);
	return le64toh(v);
}

static inline uint8_t
cursor_u8(struct cursor *c)
{
	return (uint8_t)cursor_le(c, 1);
}

static inline uint16_t
cursor_u16(struct cursor *c)
{
	return (uint16_t)cursor_le(c, 2);
}

static inline uint32_t
cursor_u32(struct cursor *c)
{
	return (uint32_t)cursor_le(c, 4);
}

static inline uint64_t
cursor_u64(struct cursor *c)
{
	return cursor_le(c, 8);
}

#endif
