/*
 * world/journal.h - append-only text records of what was sent and received;
 * mtasim(1) documents the lines.
 *
 * One line, one record; fields are separated by one blank and hold none. The
 * writer gathers lines in memory and writes them when there are many, when
 * asked (each second, at the end), never per record.
 */
#ifndef WORLD_JOURNAL_H
#define WORLD_JOURNAL_H

#include "base/base.h"

#define JOURNAL_FIELDS_MAX 12

struct journal {
	int fd; /* -1: none; everything is a no-op */
	struct buf out;
	bool is_broken; /* a write failed; said once */
	const char *path;
};

/* path NULL: a journal that keeps nothing. Truncates an old file and writes
 * the first line, "# mtasim KIND 1". 0 or an E_* with errno set. */
int journal_open(struct journal *j, const char *path,
    const char *kind) MUST_CHECK;
/* Where the next line goes; end it with journal_end. NULL when the journal
 * keeps nothing. */
struct buf *journal_line(struct journal *j);
void journal_end(struct journal *j);
/* What a field may not hold (blanks, commas, control bytes, %) as %XX. */
void journal_add_text(struct buf *b, struct slice text);
void journal_flush(struct journal *j);
/* Flushes and closes; E_IO when any write has failed. */
int journal_close(struct journal *j) MUST_CHECK;

/*
 * Calls line() for each whole record of a file, without comments. A last line
 * that was torn by a crash is left out and *torn is set. 0, or an E_* (errno
 * set), or whatever line() returned that was not 0.
 */
int journal_read(const char *path,
    int (*line)(void *ctx, const struct slice *field, size_t n), void *ctx,
    bool *torn) MUST_CHECK;
/* The first line of a file, which says its kind; false when it has none. */
bool journal_is_kind(const char *path, const char *kind);

#endif
