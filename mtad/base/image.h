/*
 * base/image.h - containers as bytes and back, for a checkpoint.
 *
 * An image is for a program with the same layout of structures: it is read
 * back slot by slot, as it lay in memory. What reads one trusts nothing: a
 * container that comes back is whole, whatever bytes it came from.
 */
#ifndef BASE_IMAGE_H
#define BASE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/pool.h"

/* Where an image goes. Allocates nothing, so that a forked child can write. */
struct image_out {
	void (*put)(void *ctx, const void *p, size_t n);
	void *ctx;
};
/* Where it comes from; false: there are not so many bytes left. */
struct image_in {
	bool (*get)(void *ctx, void *p, size_t n);
	void *ctx;
};

/* To the end of a buffer, which latches its failure; from a cursor. */
struct image_out image_to_buf(struct buf *b);
struct image_in image_from_cursor(struct cursor *c);

/* All slots, live or free, with their generations and the order in which the
 * free ones will be given. Of each slot the bytes [hole, hole + hole_bytes) are
 * written as zeroes: pointers have no place in an image. */
void pool_image_put(const struct pool *p, size_t hole, size_t hole_bytes,
    const struct image_out *out);
/* Into a pool that pool_init has made, with the same size of slots and the
 * same ceiling. 0, E_CORRUPT or E_NOMEM; the pool can be freed either way. */
int pool_image_get(struct pool *p, const struct image_in *in) MUST_CHECK;
size_t pool_image_bytes(const struct pool *p);

/* The pairs of a map, and into an empty one. Every value must be a live slot
 * of `of`. */
void map_image_put(const struct map *m, const struct image_out *out);
int map_image_get(struct map *m, const struct pool *of,
    const struct image_in *in) MUST_CHECK;
size_t map_image_bytes(const struct map *m);

#endif
