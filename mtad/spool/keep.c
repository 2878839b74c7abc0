/*
 * spool/keep.c - texts in blocks. Before each text stands its distance from the
 * begin of its block, by which the block is found when the text is dropped.
 * A block lives as long as a text of it does, or it is the last.
 */
#include "spool/keep.h"

#define BLOCK ((size_t)512 << 10) /* so large that malloc maps it */

struct keep_block {
	uint32_t ntexts;
	uint32_t used, cap; /* bytes, head included */
	char bytes[];
};

static void
block_free(struct keep *k, struct keep_block *b)
{
	k->all -= b->cap;
	mem_free(b);
}

void
keep_turn(struct keep *k)
{
	if (k->last && k->last->ntexts == 0)
		block_free(k, k->last);
	k->last = NULL;
}

static struct keep_block *
block_for(struct keep *k, size_t n)
{
	struct keep_block *b = k->last;

	if (b && n <= b->cap - b->used)
		return b;
	n = MAX(n + sizeof(*b), BLOCK);
	if (n > UINT32_MAX || !(b = mem_try(n)))
		return NULL;
	keep_turn(k);
	b->used = sizeof(*b);
	b->cap = (uint32_t)n;
	k->all += n;
	k->last = b;
	return b;
}

char *
keep_put(struct keep *k, struct slice text)
{
	uint32_t at;
	size_t n = text.n + sizeof(at);
	struct keep_block *b = block_for(k, n);
	char *p;

	if (!b)
		return NULL;
	at = b->used;
	p = (char *)b + at;
	memcpy(p, &at, sizeof(at));
	p += sizeof(at);
	if (text.n)
		memcpy(p, text.p, text.n);
	b->used += (uint32_t)n;
	b->ntexts++;
	k->live += n;
	return p;
}

void
keep_drop(struct keep *k, char *p, size_t n)
{
	struct keep_block *b;
	uint32_t at;

	if (!p)
		return;
	memcpy(&at, p - sizeof(at), sizeof(at));
	b = (struct keep_block *)(void *)(p - sizeof(at) - at);
	k->live -= n + sizeof(at);
	if (--b->ntexts == 0 && b != k->last)
		block_free(k, b);
}

bool
keep_is_sparse(const struct keep *k)
{
	return k->all > 2 * k->live + 8 * BLOCK;
}
