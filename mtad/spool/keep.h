/*
 * spool/keep.h - many short texts, laid one behind the other in blocks that
 * have pages of their own: when the last text of a block is dropped, its memory
 * goes back to the system, which pieces of the heap that lie between others do
 * not. Who starts with a full spool takes envelopes from here while the engine
 * grows.
 */
#ifndef SPOOL_KEEP_H
#define SPOOL_KEEP_H

#include "base/base.h"

struct keep {
	struct keep_block *last; /* that is being filled */
	uint64_t all;            /* bytes of all blocks */
	uint64_t live;           /* bytes of texts that are not dropped */
};

/* A copy, which stays where it is until it is dropped; NULL without memory. */
char *keep_put(struct keep *k, struct slice text);
/* n: as long as it was put. p may be NULL. */
void keep_drop(struct keep *k, char *p, size_t n);
/* Most of the memory is held by few texts: it is time to put them anew. */
bool keep_is_sparse(const struct keep *k);
/* Fills no block further: what is put from here on goes to new ones. Dropping
 * the last text then frees everything. */
void keep_turn(struct keep *k);

#endif
