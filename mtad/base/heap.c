/*
 * base/heap.c - a heap of four children a place (fewer levels, and the four lie
 * side by side), 1-based so that place 0 can mean "in none".
 *
 * Invariants: v[i].node->at == i for 1 <= i <= n, and v[i] has that node's key
 * and seq; the children of place i are 4i - 2 to 4i + 1; no node precedes its
 * parent in the order (key, seq); seq is unique, so the order is total and the
 * sequence of pops does not depend on the heap's shape.
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

static void
heap_place(struct heap *h, uint32_t at, struct heap_place p)
{
	h->v[at] = p;
	p.node->at = at;
	h->moves++;
}

/* Puts p at a free place or at one above it. */
static void
heap_up(struct heap *h, struct heap_place p, uint32_t at)
{
	uint32_t up;

	for (; (up = heap_parent(at)) != 0; at = up) {
		h->compares++;
		if (!heap_is_before(&p, &h->v[up]))
			break;
		heap_place(h, at, h->v[up]);
	}
	heap_place(h, at, p);
}

/* Key and seq as one number: which of some places comes first nobody can
 * foresee, and numbers are compared without a branch. */
static inline __int128
heap_order(const struct heap_place *p)
{
	return (__int128)((unsigned __int128)p->key << 64 | p->seq);
}

/* The first of the children from place `first` on, of which there is one. */
static uint32_t
first_child(struct heap *h, uint32_t first)
{
	uint32_t end = MIN(first + HEAP_CHILDREN, h->n + 1), best = first;

	for (uint32_t i = first + 1; i < end; i++)
		best =
		    heap_order(&h->v[i]) < heap_order(&h->v[best]) ? i : best;
	h->compares += end - first - 1;
	return best;
}

/* Puts p, from the end of the heap, where it belongs, a place being free. Most
 * of what comes from there belongs near there: so the free place sinks to the
 * bottom first, without a comparison with p, and p rises from it. */
static void
heap_fill(struct heap *h, struct heap_place p, uint32_t at)
{
	uint64_t first;

	while ((first = (uint64_t)HEAP_CHILDREN * (at - 1) + 2) <= h->n) {
		uint32_t child = first_child(h, (uint32_t)first);

		heap_place(h, at, h->v[child]);
		at = child;
	}
	heap_up(h, p, at);
}

static int
heap_reserve(struct heap *h)
{
	struct heap_place *v;
	uint32_t cap;

	if (h->n == h->max)
		return E_FULL;
	if (h->n < h->cap)
		return 0;
	cap = MIN(h->max, MAX(2 * h->cap, HEAP_CAP_FIRST));
	v = mem_grow(h->v, ((size_t)cap + 1) * sizeof(*v));
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
	heap_up(h, (struct heap_place){ key, n->seq, n }, ++h->n);
	return 0;
}

struct heap_node *
heap_peek(const struct heap *h)
{
	return h->n ? h->v[1].node : NULL;
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
	struct heap_place last;

	ASSERT(at >= 1 && at <= h->n && h->v[at].node == n);
	last = h->v[h->n--];
	n->at = 0;
	if (last.node != n)
		heap_fill(h, last, at);
}

void
heap_rekey(struct heap *h, struct heap_node *n, int64_t key)
{
	ASSERT(n->at >= 1 && n->at <= h->n && h->v[n->at].node == n);
	n->key = key;
	n->seq = h->next_seq++;
	heap_fill(h, (struct heap_place){ key, n->seq, n }, n->at);
}
