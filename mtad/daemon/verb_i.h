/*
 * daemon/verb_i.h - what the verbs that ask a running daemon share: finding
 * its socket, asking, and tables for people.
 */
#ifndef DAEMON_VERB_I_H
#define DAEMON_VERB_I_H

#include <jansson.h>

#include "base/base.h"

#define VERB_CONFIG "/etc/mtad/mtad.yml"
#define VERB_SOCKET "/run/mtad/control.sock" /* the default of `control` */

/* Exit statuses, as verbs.h says. */
enum { VERB_OK = 0, VERB_FAILED = 1, VERB_USAGE = 2, VERB_AWAY = 3 };

/* Whom to ask: -c FILE or -H SOCKET. */
struct verb_peer {
	const char *config; /* NULL: VERB_CONFIG */
	const char *socket; /* NULL: as the configuration says */
	char path[256];     /* found by verb_find */
};

/* Fills path. VERB_OK, or the exit status after a message on stderr. */
int verb_find(struct verb_peer *p);
/* Asks: GET, or POST when there is a body. VERB_OK with the answer's text in
 * out, or the exit status after a message on stderr. */
int verb_ask(struct verb_peer *p, const char *path, struct slice body,
    struct buf *out);
/* Parsed besides; *root is the caller's (json_decref). */
int verb_ask_json(struct verb_peer *p, const char *path, struct slice body,
    struct buf *out, json_t **root);
/* Finds the daemon, asks, and prints: the answer as it is, or what show makes of
 * it. The exit status. */
int verb_show(struct verb_peer *p, const char *path, struct slice body,
    bool as_json, void (*show)(const json_t *root));
/* Prints an answer as it is, as one line or more. */
void verb_print(const struct buf *answer);
/* "try: mtad VERB --help"; returns VERB_USAGE. */
int verb_usage(const char *verb, const char *what, const char *text);
/* The same of the option that getopt has just not known. */
int verb_wrong_option(const char *verb, char **argv);

/* `mtad explain path`; verb_path.c. */
int verb_explain_path(int argc, char **argv);

/* Members of an answer; what is not there reads as 0, "" or NULL. */
uint64_t verb_u64(const json_t *o, const char *key);
double verb_num(const json_t *o, const char *key);
struct slice verb_str(const json_t *o, const char *key);

/* ---- tables: columns as wide as their widest cell ---------------------------- */

#define TABLE_COLUMNS_MAX 16

struct table {
	uint32_t ncolumns;
	uint32_t ncells;
	uint32_t width[TABLE_COLUMNS_MAX]; /* characters */
	bool is_number[TABLE_COLUMNS_MAX]; /* to the right */
	struct buf cells;                  /* each NUL-terminated, row by row */
};
/* Titles begin with '>' for a column of numbers. The titles are row 0. */
void table_init(struct table *t, const char *const *titles, uint32_t n);
/* The next cell; a peer's text is escaped, an empty one becomes "-". */
void table_cell(struct table *t, struct slice text);
void table_count(struct table *t, uint64_t n);
void table_cellf(struct table *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Seconds as a duration. */
void table_seconds(struct table *t, const json_t *o, const char *key);
/* Prints and frees. */
void table_print(struct table *t);

#endif
