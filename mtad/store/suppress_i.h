/*
 * store/suppress_i.h - the file of the suppressed, for the files of this room.
 */
#ifndef STORE_SUPPRESS_I_H
#define STORE_SUPPRESS_I_H

#include <sqlite3.h>

#include "store/suppress.h"

enum suppress_sql {
	SQL_GET,
	SQL_PUT,
	SQL_DEL,
	SQL_STRIKE,
	SQL_STRIKES,
	SQL_UNSTRIKE,
	SQL_FORGET,
	SQL_EXPIRE,
	SQL_COUNT,
	SQL_TENANT,
	SQL_BEGIN,
	SQL_BEGIN_READ,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_N
};

struct suppress_db {
	sqlite3 *db;
	int rc;                    /* of the last call */
	sqlite3_stmt *stmt[SQL_N]; /* prepared when first needed */
};

/* NULL: d->rc says why. */
sqlite3_stmt *suppress_stmt(struct suppress_db *d, enum suppress_sql which);
/* The text stays where it is until the statement has run. */
void suppress_bind(sqlite3_stmt *q, int at, struct slice s);
/* A text of the present row. */
struct slice suppress_text(sqlite3_stmt *q, int at);
/* The present row of a statement that selects all columns. */
void suppress_row(sqlite3_stmt *q, struct suppress_entry *e);
/* The same as suppress_name of what is known to be an address, or one without a
 * domain; dst of SUPPRESS_NAME_MAX bytes. Returns the length, and where the domain
 * begins. */
size_t suppress_fold(struct slice address, char *dst, size_t *domain_at);
/* suppress_hash of an address ('a'), a domain ('d'), what is below one ('b'). */
uint64_t suppress_hash_of(uint64_t seed, struct slice tenant, char kind,
    struct slice name);

#endif
