/*
 * base/mem.h - memory. mem_get dies at boot; in service mem_try says no and
 * the edge answers 452. Arenas give many small things one life.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* n bytes, zeroed; aborts when there are none. For boot and for sizes that a
 * ceiling already bounds. Free with mem_free. */
void *mem_get(size_t n);
/* n bytes, zeroed, or NULL. */
void *mem_try(size_t n);
/* p made n bytes long (old content kept, growth not zeroed), or NULL with p
 * untouched. */
void *mem_grow(void *p, size_t n);
void mem_free(void *p);
/* How many pieces this thread has taken and not given back, those that it gave
 * back for others left out: who gives back all he took is where he began. */
int64_t mem_live(void);
/* From here on what is large lies on huge pages, where the system has some:
 * faster for millions of messages, and larger by up to 2 MB for each table. For
 * a process that has memory to spare, which a daemon has not. */
void mem_prefer_huge(void);
/* For tables that grow large and are touched here and there: n bytes, zeroed,
 * that begin where a huge page may. NULL when there are none. Free with
 * mem_huge_free, of the same n. */
#define MEM_HUGE_BYTES ((size_t)2 << 20)
void *mem_huge_try(size_t n);
void mem_huge_free(void *p, size_t n);

/* Asks for what lies at p, n bytes, without waiting: it is needed soon, and may
 * be far. n is a constant, at most 128. */
static inline void
mem_ask(const void *p, size_t n)
{
	__builtin_prefetch(p, 1);
	__builtin_prefetch((const char *)p + n - 1, 1);
}

/* An arena: grows by blocks, frees everything at once, has a ceiling. */
struct arena {
	struct arena_block *head;
	size_t used;  /* bytes given */
	size_t max;   /* ceiling on bytes given */
	size_t block; /* size of a block */
};
void arena_init(struct arena *a, size_t block_bytes, size_t max_bytes);
/* n zeroed bytes aligned to 16, or NULL at the ceiling. */
void *arena_get(struct arena *a, size_t n);
/* Copy of n bytes with a NUL after them, or NULL at the ceiling. */
char *arena_str(struct arena *a, const char *p, size_t n);
void arena_free(struct arena *a);

#endif
