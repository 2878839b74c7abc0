/*
 * base/heap.h - intrusive min-heap on (key, seq): ties leave in the order
 * they came. A node knows its place, so it can be removed or rekeyed.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct heap_node {
	int64_t key;
	uint64_t seq;
	uint32_t at; /* 1-based place in the heap; 0 = in none */
};

/* A place in the heap: what is compared stands in it, so that order is found
 * without a look at the nodes. */
struct heap_place {
	int64_t key;
	uint64_t seq;
	struct heap_node *node;
};

struct heap {
	struct heap_place *v;
	uint32_t n, cap, max;
	uint64_t next_seq;
	uint64_t compares, moves; /* work done so far */
};

/* An empty heap of at most max (below 2^31) nodes. */
void heap_init(struct heap *h, uint32_t max);
void heap_free(struct heap *h);
/* 0, E_FULL or E_NOMEM. */
int heap_push(struct heap *h, struct heap_node *n, int64_t key);
/* Smallest, left in; NULL when empty. */
struct heap_node *heap_peek(const struct heap *h);
struct heap_node *heap_pop(struct heap *h);
void heap_remove(struct heap *h, struct heap_node *n);
/* As if removed and pushed again: it comes last among its new equals. */
void heap_rekey(struct heap *h, struct heap_node *n, int64_t key);

/* Does a come before b? */
static inline bool
heap_is_before(const struct heap_place *a, const struct heap_place *b)
{
	return a->key < b->key || (a->key == b->key && a->seq < b->seq);
}

#define HEAP_CHILDREN 4u

/* The place above a place; that of the first is 0. */
static inline uint32_t
heap_parent(uint32_t at)
{
	return (at + HEAP_CHILDREN - 2) / HEAP_CHILDREN;
}

static inline bool
heap_has(const struct heap_node *n)
{
	return n->at != 0;
}

#endif
