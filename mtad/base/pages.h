/*
 * base/pages.h - a table of slots under numbers that its owner gives, low ones
 * first. Slots come by the page, zeroed, when the first of it is wanted; they
 * never move, and stay until the table goes.
 */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT 10
#define PAGE_SLOTS (1u << PAGE_SHIFT)

struct pages {
	char **v;   /* by page; NULL: it is not there */
	uint32_t n; /* entries of v */
	uint32_t slot_bytes;
	size_t bytes; /* of pages and v */
};

/* Slots of at most 2 KB. */
void pages_init(struct pages *p, size_t slot_bytes);
void pages_free(struct pages *p);
/* The page, made when it is not there; NULL without memory. */
void *pages_make(struct pages *p, uint32_t page);

/* The slot, or NULL when its page is not there. */
static inline void *
pages_at(const struct pages *p, uint32_t slot)
{
	uint32_t page = slot >> PAGE_SHIFT;

	if (page >= p->n || p->v[page] == NULL)
		return NULL;
	return p->v[page] + (size_t)(slot % PAGE_SLOTS) * p->slot_bytes;
}

#endif
