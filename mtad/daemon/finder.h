/*
 * daemon/finder.h - the index of messages on disk: from a message id or an
 * address to messages, and to the times at which something happened to them.
 *
 * Owned by the clerk's thread; the returner may look, by the clerk's lock. What is new stands in memory and in a file in the
 * order it came; each FINDER_RUN records are sorted into a file of their own,
 * which does not change any more. The oldest of these go when they are too many
 * or too old. Nothing is synced: a crash loses what the page cache had, and a
 * start puts in what the spool holds and the index may lack.
 */
#ifndef DAEMON_FINDER_H
#define DAEMON_FINDER_H

#include "relay/find.h"

struct finder;

#define FINDER_RUN (1u << 15) /* records: 1 MB */

/* Opens what is in dir, which it makes if it must, or begins anew. NULL without memory or
 * when the directory cannot be written, with errno. */
struct finder *finder_open(const char *dir);
void finder_close(struct finder *f);
/* Whole records. E_IO, E_NOSPC: they are lost to the index, and so is what comes
 * until it can be written again. */
int finder_add(struct finder *f, struct slice records) MUST_CHECK;
/* Removes the oldest runs beyond so many bytes, and those whose last record is
 * older than that. */
void finder_prune(struct finder *f, uint64_t bytes_max, int64_t before_s);
/* The time of the newest record, 0 when there is none: what came before is in
 * it. */
int64_t finder_newest_s(const struct finder *f);
/* Up to n records of a key behind the first `skip`: what is fresh, then run by
 * run back. */
uint32_t finder_get(struct finder *f, uint64_t key, uint32_t skip,
    struct find_rec *v, uint32_t n);
/* The lines of the event log in dir about a message, near each of n rising times:
 * up to max JSON objects with commas between them; how many. finder_log.c */
uint32_t finder_events(const char *dir, const struct msgid *id,
    const int64_t *when_s, uint32_t n, uint32_t max, struct buf *out);
/* The same by records of its id: near its arrival and up to 100 of its events. */
uint32_t finder_lines(const char *dir, const struct msgid *id,
    const struct find_rec *v, uint32_t n, uint32_t max, struct buf *out);

#endif
