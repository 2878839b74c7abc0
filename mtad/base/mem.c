/*
 * base/mem.c - the only place of the pure rooms that asks libc for memory.
 *
 * Arena invariants: head is the block that small requests are cut from; a
 * request that does not fit a block of the usual size gets a block of its own
 * behind head, so that head's rest is not wasted. used <= max.
 */
#include <sys/mman.h>

#include "base/base.h"

#define ARENA_ALIGN 16

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	_Alignas(ARENA_ALIGN) char data[];
};

static _Thread_local int64_t live;

int64_t
mem_live(void)
{
	return live;
}

void *
mem_get(size_t n)
{
	void *p = mem_try(n);

	ASSERT(p != NULL);
	return p;
}

/* Above this, an allocation has pages of its own, all but the first and last
 * few of which may be huge. */
#define OWN_PAGES_BYTES (2 * MEM_HUGE_BYTES)

/* Up to here the C library keeps what is freed at hand for its thread. */
#define SMALL_BYTES 1024

static bool prefers_huge;

void
mem_prefer_huge(void)
{
	prefers_huge = true;
}

/* That whole huge pages of it be huge. Only a wish: what the system says to it
 * does not matter. */
static void *
wish_huge(void *p, size_t n)
{
	uintptr_t from = ((uintptr_t)p + MEM_HUGE_BYTES - 1) &
	    ~(uintptr_t)(MEM_HUGE_BYTES - 1);
	uintptr_t to = ((uintptr_t)p + n) & ~(uintptr_t)(MEM_HUGE_BYTES - 1);

	if (prefers_huge && p != NULL && n >= OWN_PAGES_BYTES)
		(void)madvise((void *)from, to - from, MADV_HUGEPAGE);
	return p;
}

/* calloc passes by the thread's cache of free pieces, which malloc takes small
 * ones from. */
void *
mem_try(size_t n)
{
	void *p;

	if (n > SMALL_BYTES)
		p = wish_huge(calloc(1, n), n);
	else if ((p = malloc(n ? n : 1)) != NULL)
		memset(p, 0, n);
	live += p != NULL;
	return p;
}

void *
mem_grow(void *p, size_t n)
{
	bool is_new = p == NULL;

	p = wish_huge(realloc(p, n ? n : 1), n);
	live += is_new && p != NULL;
	return p;
}

static size_t
whole_huge(size_t n)
{
	return (n + MEM_HUGE_BYTES - 1) & ~(MEM_HUGE_BYTES - 1);
}

void *
mem_huge_try(size_t n)
{
	size_t all = whole_huge(n) + MEM_HUGE_BYTES, before;
	char *p = mmap(NULL, all, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	live++;
	before = -(uintptr_t)p & (MEM_HUGE_BYTES - 1);
	if (before > 0)
		(void)munmap(p, before);
	(void)munmap(p + before + whole_huge(n), MEM_HUGE_BYTES - before);
	if (prefers_huge)
		(void)madvise(p + before, whole_huge(n), MADV_HUGEPAGE);
	return p + before;
}

void
mem_huge_free(void *p, size_t n)
{
	if (p == NULL)
		return;
	live--;
	(void)munmap(p, whole_huge(n));
}

void
mem_free(void *p)
{
	live -= p != NULL;
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
