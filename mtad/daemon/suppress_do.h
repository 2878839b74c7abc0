/*
 * daemon/suppress_do.h - what can be asked and ordered of the suppressed: by the
 * daemon's own thread, or by `mtad suppress` on the file while no daemon runs.
 */
#ifndef DAEMON_SUPPRESS_DO_H
#define DAEMON_SUPPRESS_DO_H

#include "store/store.h"

/* Texts of the lines of one order; as many as fit into a request's body. */
#define SUPPRESS_LINES_MAX (64u << 10)

enum suppress_verb {
	SUPPRESS_SHOW,
	SUPPRESS_LIST,
	SUPPRESS_STATS,
	SUPPRESS_ADD,
	SUPPRESS_REMOVE,
	SUPPRESS_IMPORT,
	SUPPRESS_REFRESH, /* the file was changed beside us */
};

/* A question or an order. Texts are as they were given. */
struct suppress_q {
	enum suppress_verb verb;
	bool has_tenant;
	char tenant[NAME_MAX_BYTES + 1], name[SUPPRESS_NAME_MAX + 1];
	char domain[DOMAIN_MAX + 1]; /* of a list: only what is of that */
	char reason[SUPPRESS_TEXT_MAX + 1], source[SUPPRESS_TEXT_MAX + 1];
	char expires[40], cursor[512];
	uint64_t n;  /* rows of a list */
	char *lines; /* of an import; owned, or NULL */
	size_t nlines_bytes;
	bool is_json; /* the lines are */
	int64_t now_s;
	/* Of an order: what became of it. */
	uint64_t done, failed;
};

static inline bool
suppress_q_writes(const struct suppress_q *q)
{
	return q->verb >= SUPPRESS_ADD;
}

void suppress_q_free(struct suppress_q *q);

/* Told of each entry that comes, and of each that goes (by its name). */
struct suppress_ear {
	void (*came)(void *ctx, const struct suppress_entry *e);
	void (*went)(void *ctx, uint64_t n);
	void *ctx;
};

/*
 * Carries out an order, or answers a question as JSON into out: the members of an
 * object that is open in w. 0; or a status of HTTP with *why: 400 it is malformed,
 * 404 there is none, 503 the file failed. Within a transaction, if it writes.
 */
int suppress_do(struct suppress_db *d, struct suppress_q *q,
    const struct suppress_ear *ear, struct jsonw *w,
    const char **why) MUST_CHECK;

#endif
