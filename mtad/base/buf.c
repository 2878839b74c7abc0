/*
 * base/buf.c - the bounded byte buffer and the little-endian reader.
 *
 * The memory at least doubles when it grows, up to max. Consumed bytes at the front are
 * reclaimed by moving the content down only when that moves no more bytes
 * than were consumed, or when the ceiling leaves no other way; the first kind
 * costs O(1) per byte over time.
 */
#include <endian.h>

#include "base/base.h"

#define BUF_CAP_FIRST 64

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void
buf_free(struct buf *b)
{
	mem_free(b->p);
	buf_init(b, b->max);
}

void
buf_reset(struct buf *b)
{
	b->off = b->n = 0;
	b->failed = false;
}

static void
buf_move_down(struct buf *b)
{
	if (b->n > 0)
		memmove(b->p, b->p + b->off, b->n);
	b->off = 0;
}

static int
buf_fail(struct buf *b, int err)
{
	b->failed = true;
	return err;
}

/* Makes the memory large enough for `need` content bytes, need <= max. */
static int
buf_enlarge(struct buf *b, size_t need)
{
	size_t cap = MAX(2 * b->cap, (size_t)BUF_CAP_FIRST);
	char *p;

	/* One large piece gets what it needs, not the next power of two. */
	cap = MIN(MAX(cap, need), b->max);
	p = mem_grow(b->p, cap);
	if (p == NULL)
		return E_NOMEM;
	b->p = p;
	b->cap = cap;
	return 0;
}

/* Slow path of buf_reserve: the room behind the content is too small. */
static int
buf_make_room(struct buf *b, size_t n)
{
	if (n > b->max - b->n)
		return buf_fail(b, E_FULL);
	if (b->off >= b->n || b->off > b->max - b->n - n)
		buf_move_down(b);
	if (b->p != NULL && n <= b->cap - b->off - b->n)
		return 0;
	if (buf_enlarge(b, b->off + b->n + n) != 0)
		return buf_fail(b, E_NOMEM);
	return 0;
}

/* After success b->p is an address, even if n is 0. */
static inline int
buf_reserve(struct buf *b, size_t n)
{
	if (__builtin_expect(n <= b->cap - b->off - b->n && b->p != NULL, 1))
		return 0;
	return buf_make_room(b, n);
}

char *
buf_room(struct buf *b, size_t n)
{
	if (buf_reserve(b, n) != 0)
		return NULL;
	return b->p + b->off + b->n;
}

void
buf_grew(struct buf *b, size_t n)
{
	ASSERT(n <= b->cap - b->off - b->n);
	b->n += n;
}

int
buf_add(struct buf *b, const void *p, size_t n)
{
	int err;

	if (n == 0)
		return 0;
	err = buf_reserve(b, n);
	if (err != 0)
		return err;
	memcpy(b->p + b->off + b->n, p, n);
	b->n += n;
	return 0;
}

int
buf_adds(struct buf *b, struct slice s)
{
	return buf_add(b, s.p, s.n);
}

int
buf_addz(struct buf *b, const char *cstr)
{
	return buf_add(b, cstr, strlen(cstr));
}

int
buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

int
buf_addu(struct buf *b, uint64_t decimal)
{
	char digits[20];

	return buf_add(b, digits, fmt_u64(digits, decimal));
}

int
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = buf_addv(b, fmt, ap);
	va_end(ap);
	return err;
}

/* A text of n bytes, too long for the stack. */
__attribute__((format(printf, 3, 0))) static int
buf_addv_long(struct buf *b, size_t n, const char *fmt, va_list ap)
{
	char *text;
	int err;

	if (n > b->max - b->n)
		return buf_fail(b, E_FULL);
	text = mem_try(n + 1);
	if (text == NULL)
		return buf_fail(b, E_NOMEM);
	vsnprintf(text, n + 1, fmt, ap);
	err = buf_add(b, text, n);
	mem_free(text);
	return err;
}

/* Not formatted in place: the NUL of snprintf may lie beyond the ceiling. */
int
buf_addv(struct buf *b, const char *fmt, va_list ap)
{
	char text[512];
	va_list again;
	int n, err;

	va_copy(again, ap);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	if (n < 0)
		err = buf_fail(b, E_RANGE);
	else if ((size_t)n < sizeof(text))
		err = buf_add(b, text, (size_t)n);
	else
		err = buf_addv_long(b, (size_t)n, fmt, again);
	va_end(again);
	return err;
}

static int
buf_add_le(struct buf *b, uint64_t v, size_t bytes)
{
	unsigned char le[8];

	for (size_t i = 0; i < bytes; i++)
		le[i] = (unsigned char)(v >> (8 * i));
	return buf_add(b, le, bytes);
}

int
buf_add_u8(struct buf *b, uint8_t v)
{
	return buf_add(b, &v, 1);
}

int
buf_add_u16(struct buf *b, uint16_t v)
{
	return buf_add_le(b, v, 2);
}

int
buf_add_u32(struct buf *b, uint32_t v)
{
	return buf_add_le(b, v, 4);
}

int
buf_add_u64(struct buf *b, uint64_t v)
{
	return buf_add_le(b, v, 8);
}

void
buf_consume(struct buf *b, size_t n)
{
	n = MIN(n, b->n);
	b->n -= n;
	b->off = b->n ? b->off + n : 0;
}

void
buf_cut(struct buf *b, size_t n)
{
	b->n = MIN(n, b->n);
}
