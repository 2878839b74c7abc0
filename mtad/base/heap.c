/*
 * base/heap.c - binary heap of pointers, 1-based so that place 0 can mean "in
 * none".
 *
 * Invariants: v[i]->at == i for 1 <= i <= n; no node precedes its parent in
 * the order (key, seq); seq is unique, so the order is total and the sequence
 * of pops does not depend on the heap's shape.
 */
#include "base/base.h"

#define HEAP_CAP_FIRST 16

void
heap_init(struct heap *h, uint32_t max)
{
	ASSERT(max < UINT32_MAX / 2);
	*h = (struct heap){ .max = max };
}

void
heap_free(struct heap *h)
{
	mem_free(h->v);
	*h = (struct heap){ .max = h->max };
}

static bool
node_is_before(struct heap *h, const struct heap_node *a,
    const struct heap_node *b)
{
	h->compares++;
	return a->key < b->key || (a->key == b->key && a->seq < b->seq);
}

static void
heap_place(struct heap *h, uint32_t at, struct heap_node *n)
{
	h->v[at] = n;
	n->at = at;
	h->moves++;
}

static void
heap_up(struct heap *h, struct heap_node *n, uint32_t at)
{
	for (; at > 1 && node_is_before(h, n, h->v[at / 2]); at /= 2)
		heap_place(h, at, h->v[at / 2]);
	heap_place(h, at, n);
}

static void
heap_down(struct heap *h, struct heap_node *n, uint32_t at)
{
	uint32_t child;

	for (; (child = 2 * at) <= h->n; at = child) {
		if (child < h->n &&
		    node_is_before(h, h->v[child + 1], h->v[child]))
			child++;
		if (!node_is_before(h, h->v[child], n))
			break;
		heap_place(h, at, h->v[child]);
	}
	heap_place(h, at, n);
}

/* Puts n, whose key is new, where it belongs, starting at a free place. */
static void
heap_settle(struct heap *h, struct heap_node *n, uint32_t at)
{
	if (at > 1 && node_is_before(h, n, h->v[at / 2]))
		heap_up(h, n, at);
	else
		heap_down(h, n, at);
}

static int
heap_reserve(struct heap *h)
{
	struct heap_node **v;
	uint32_t cap;

	if (h->n == h->max)
		return E_FULL;
	if (h->n < h->cap)
		return 0;
	cap = MIN(h->max, MAX(2 * h->cap, HEAP_CAP_FIRST));
	v = mem_grow(h->v, ((size_t)cap + 1) * sizeof(struct heap_node *));
	if (v == NULL)
		return E_NOMEM;
	h->v = v;
	h->cap = cap;
	return 0;
}

int
heap_push(struct heap *h, struct heap_node *n, int64_t key)
{
	int err;

	ASSERT(n->at == 0);
	err = heap_reserve(h);
	if (err != 0)
		return err;
	n->key = key;
	n->seq = h->next_seq++;
	heap_up(h, n, ++h->n);
	return 0;
}

struct heap_node *
heap_peek(const struct heap *h)
{
	return h->n ? h->v[1] : NULL;
}

struct heap_node *
heap_pop(struct heap *h)
{
	struct heap_node *n = heap_peek(h);

	if (n != NULL)
		heap_remove(h, n);
	return n;
}

void
heap_remove(struct heap *h, struct heap_node *n)
{
	uint32_t at = n->at;
	struct heap_node *last;

	ASSERT(at >= 1 && at <= h->n && h->v[at] == n);
	last = h->v[h->n--];
	n->at = 0;
	if (last != n)
		heap_settle(h, last, at);
}

void
heap_rekey(struct heap *h, struct heap_node *n, int64_t key)
{
	ASSERT(n->at >= 1 && n->at <= h->n && h->v[n->at] == n);
	n->key = key;
	n->seq = h->next_seq++;
	heap_settle(h, n, n->at);
}
