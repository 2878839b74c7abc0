/*
 * base/image.c - images in memory. The containers' own are with them.
 */
#include "base/base.h"

static void
put(void *ctx, const void *p, size_t n)
{
	int err = buf_add(ctx, p, n);

	(void)err; /* latched */
}

static bool
get(void *ctx, void *p, size_t n)
{
	struct cursor *c = ctx;
	struct slice s = cursor_take(c, n);

	if (!c->bad && n > 0)
		memcpy(p, s.p, n);
	return !c->bad;
}

struct image_out
image_to_buf(struct buf *b)
{
	return (struct image_out){ put, b };
}

struct image_in
image_from_cursor(struct cursor *c)
{
	return (struct image_in){ get, c };
}
