/*
 * store/store.h - the books: what survives anything, in an SQLite file.
 *
 *	shelf	entries in memory, one for each identity, the last that was put
 *	store	the file; entries go in by whole shelves, one transaction each
 *
 * Neither has a thread. A write may take as long as the disk does, so whoever
 * calls it may wait for it: never the core, never a worker.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "mail/kept.h"
#include "store/suppress.h"

/* ---- a shelf ----------------------------------------------------------------- */

struct shelf_slot;

/* Begins as all zeroes; no ceiling but the number of identities that there
 * are. Owned by one thread, and handed on whole. */
struct shelf {
	struct shelf_slot *v;
	uint32_t n, cap; /* n counts those that were dropped, too */
	struct map by_hash;
};
/* Puts a copy; replaces what has the same book, names and sub. An entry that is
 * gone is kept as that. */
void shelf_put(struct shelf *s, const struct kept *k);
/* The same, but one that is gone is taken off. */
void shelf_apply(struct shelf *s, const struct kept *k);
/* Entry i of s->n, in the order in which they came first; NULL: nothing there
 * any more. Good until the next put. */
const struct kept *shelf_at(const struct shelf *s, uint32_t i);
/* Nothing is on it; it may be used again. */
void shelf_free(struct shelf *s);

/* ---- the file ---------------------------------------------------------------- */

struct store;

/*
 * Opens or makes the file. What is not a database, or is damaged, is set aside
 * as PATH.bad-1 (-2, ...) and a new one begun: then *is_rebuilt, and why says
 * where the old one is. 0; E_VERSION: written by a newer program; E_IO, E_NOSPC,
 * E_DENIED, E_BUSY with words in why.
 */
int store_open(struct store **out, const char *path, bool *is_rebuilt,
    char *why, size_t why_cap) MUST_CHECK;
/* Every entry, by book, names and sub; the texts are good during the call. */
int store_read(struct store *s, void (*entry)(void *ctx, const struct kept *k),
    void *ctx, char *why, size_t why_cap) MUST_CHECK;
/* All of the shelf or nothing; durable when it returns 0. */
int store_write(struct store *s, const struct shelf *shelf, char *why,
    size_t why_cap) MUST_CHECK;
void store_close(struct store *s);

/* A domain's MTA-STS policy (RFC 8461), times of the wall clock. */
struct store_policy {
	struct slice domain, id, hosts;
	uint8_t mode;
	int64_t fetched_us, expires_us;
};
/* Replaces the domain's. */
int store_policy_put(struct store *s, const struct store_policy *p, char *why,
    size_t why_cap) MUST_CHECK;
/* Forgets what has expired, and gives the rest, up to max; texts as above. */
int store_policy_read(struct store *s, int64_t now_us, uint32_t max,
    void (*entry)(void *ctx, const struct store_policy *p), void *ctx,
    char *why, size_t why_cap) MUST_CHECK;

#endif
