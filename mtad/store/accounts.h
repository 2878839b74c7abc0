/*
 * store/accounts.h - accounts in an SQLite file: who may log in, beside those of the
 * configuration. share/doc/submission.md has the table, which others may write to
 * as well.
 *
 * Whoever calls may wait for the disk, and for others who write (2 s at most):
 * never a worker. A file that is open belongs to one thread.
 */
#ifndef STORE_ACCOUNTS_H
#define STORE_ACCOUNTS_H

#include "conf/conf.h"

struct accounts;

/* A row, as text; what is not said is empty or 0. */
struct account_row {
	struct slice name, secret, tenant, campaign, pool;
	struct slice from; /* with blanks between them */
	struct slice rate; /* "100/1h" */
	uint64_t size_max;
	uint32_t rcpts_max;
};

/* Opens the file, to write: makes it if it is not there. E_NOTFOUND, E_VERSION,
 * or as SQLite says, with words in why. */
int accounts_open(struct accounts **out, const char *path, bool writes,
    char *why, size_t cap) MUST_CHECK;
void accounts_close(struct accounts *a);
/* Is the file at path another one than that which is open? */
bool accounts_is_stale(const struct accounts *a, const char *path);

/* The account of a name, the caller's: mem_free. E_NOTFOUND: there is none;
 * E_CORRUPT: its row makes no sense. */
int accounts_get(struct accounts *a, struct slice name,
    struct conf_account **out, char *why, size_t cap) MUST_CHECK;
/* What a name that is not there is answered like: a server key that only this
 * file has, and the numbers of one that is there. */
int accounts_like(struct accounts *a, struct conf_account *out, char *why,
    size_t cap) MUST_CHECK;
/* A row as an account: NULL, with words in why, when it makes no sense. */
struct conf_account *account_of_row(const struct account_row *r, char *why,
    size_t cap);

/* Durable when it returns 0. E_EXISTS unless it replaces. */
int accounts_put(struct accounts *a, const struct account_row *r, bool replaces,
    char *why, size_t cap) MUST_CHECK;
/* E_NOTFOUND: nothing was there. */
int accounts_remove(struct accounts *a, struct slice name, char *why,
    size_t cap) MUST_CHECK;
/* All of them, by name; texts are good during the call. */
int accounts_each(struct accounts *a,
    void (*row)(void *ctx, const struct account_row *r), void *ctx, char *why,
    size_t cap) MUST_CHECK;

#endif
