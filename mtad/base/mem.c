/*
 * base/mem.c - the only place of the pure rooms that asks libc for memory.
 *
 * Arena invariants: head is the block that small requests are cut from; a
 * request that does not fit a block of the usual size gets a block of its own
 * behind head, so that head's rest is not wasted. used <= max.
 */
#include "base/base.h"

#define ARENA_ALIGN 16

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	_Alignas(ARENA_ALIGN) char data[];
};

void *
mem_get(size_t n)
{
	void *p = mem_try(n);

	ASSERT(p != NULL);
	return p;
}

void *
mem_try(size_t n)
{
	return calloc(1, n ? n : 1);
}

void *
mem_grow(void *p, size_t n)
{
	return realloc(p, n ? n : 1);
}

void
mem_free(void *p)
{
	free(p);
}

void
arena_init(struct arena *a, size_t block_bytes, size_t max_bytes)
{
	*a = (struct arena){ .max = max_bytes, .block = block_bytes };
}

static struct arena_block *
arena_block_new(size_t cap)
{
	struct arena_block *b = mem_try(sizeof(*b) + cap);

	if (b != NULL)
		b->cap = cap;
	return b;
}

/* A block with room for n bytes, or NULL. */
static struct arena_block *
arena_block_for(struct arena *a, size_t n)
{
	struct arena_block *b = a->head;

	if (b != NULL && n <= b->cap - b->used)
		return b;
	b = arena_block_new(MAX(n, a->block));
	if (b == NULL)
		return NULL;
	if (n > a->block && a->head != NULL) {
		b->next = a->head->next;
		a->head->next = b;
	} else {
		b->next = a->head;
		a->head = b;
	}
	return b;
}

void *
arena_get(struct arena *a, size_t n)
{
	struct arena_block *b;
	size_t need = (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	void *p;

	if (need < n || need > a->max - a->used)
		return NULL;
	b = arena_block_for(a, need);
	if (b == NULL)
		return NULL;
	p = b->data + b->used;
	b->used += need;
	a->used += need;
	return p;
}

char *
arena_str(struct arena *a, const char *p, size_t n)
{
	char *s = n < SIZE_MAX ? arena_get(a, n + 1) : NULL;

	if (s != NULL && n > 0)
		memcpy(s, p, n);
	return s;
}

void
arena_free(struct arena *a)
{
	struct arena_block *b = a->head, *next;

	for (; b != NULL; b = next) {
		next = b->next;
		mem_free(b);
	}
	a->head = NULL;
	a->used = 0;
}
