/*
 * base/pages.c - pages of slots.
 *
 * Pages 0 to k - 1 have memory of their own, k being how many a huge page has
 * room for. Of the others, k that follow a multiple of k come at once, one
 * behind the other on a huge page: what lies here and there in a table of
 * millions is found in a fraction of the time.
 */
#include "base/base.h"

void
pages_init(struct pages *p, size_t slot_bytes)
{
	ASSERT(slot_bytes > 0 && slot_bytes * PAGE_SLOTS <= MEM_HUGE_BYTES);
	*p = (struct pages){ .slot_bytes = (uint32_t)slot_bytes };
}

static size_t
page_bytes(const struct pages *p)
{
	return (size_t)p->slot_bytes * PAGE_SLOTS;
}

/* Pages on a huge page. */
static uint32_t
huge_pages(const struct pages *p)
{
	return (uint32_t)(MEM_HUGE_BYTES / page_bytes(p));
}

void
pages_free(struct pages *p)
{
	uint32_t k = huge_pages(p);

	for (uint32_t i = 0; i < p->n; i++)
		if (i < k)
			mem_free(p->v[i]);
		else if (i % k == 0)
			mem_huge_free(p->v[i], k * page_bytes(p));
	mem_free(p->v);
	pages_init(p, p->slot_bytes);
}

/* Entries up to the end of the page's huge page. */
static bool
grow(struct pages *p, uint32_t page)
{
	uint32_t k = huge_pages(p);
	uint32_t n = MAX(2 * p->n, (page / k + 1) * k);
	char **v;

	if (page < p->n)
		return true;
	v = mem_grow(p->v, n * sizeof(*v));
	if (v == NULL)
		return false;
	memset(v + p->n, 0, (n - p->n) * sizeof(*v));
	p->bytes += (n - p->n) * sizeof(*v);
	p->v = v;
	p->n = n;
	return true;
}

void *
pages_make(struct pages *p, uint32_t page)
{
	uint32_t k = huge_pages(p), first, n;
	char *at;

	if (!grow(p, page))
		return NULL;
	if (p->v[page] != NULL)
		return p->v[page];
	first = page < k ? page : page / k * k;
	n = page < k ? 1 : k;
	at =
	    page < k ? mem_try(page_bytes(p)) : mem_huge_try(n * page_bytes(p));
	for (uint32_t i = 0; at != NULL && i < n; i++)
		p->v[first + i] = at + i * page_bytes(p);
	p->bytes += at != NULL ? n * page_bytes(p) : 0;
	return p->v[page];
}
