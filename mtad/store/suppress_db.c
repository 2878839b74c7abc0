/*
 * store/suppress_db.c - the suppressed in SQLite.
 *
 * One row an entry, in the order of its key, in a file of its own: it may hold
 * ten million of them, and is read by every worker that takes mail. A write-ahead
 * log lets readers go on beside the writer; it is synced at every commit.
 * Refusals that count towards an entry (`strike`) stand in a second table.
 * PRAGMA user_version is the format's number: a newer one is refused.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_i.h"
#include "store/suppress_i.h"

#define FORMAT 1
#define BUSY_MS 10000

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS suppressed ("
    "tenant TEXT NOT NULL," /* empty: for all */
    "is_domain INTEGER NOT NULL, name TEXT NOT NULL,"
    "reason TEXT NOT NULL, source TEXT NOT NULL,"
    "added INTEGER NOT NULL, expires INTEGER NOT NULL,"
    "PRIMARY KEY (tenant, is_domain, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS strike ("
    "tenant TEXT NOT NULL, name TEXT NOT NULL, at_us INTEGER NOT NULL,"
    "PRIMARY KEY (tenant, name, at_us)) WITHOUT ROWID;"
    "PRAGMA user_version = 1;";

static const char *const sql[SQL_N] = {
	[SQL_GET] = "SELECT tenant, is_domain, name, reason, source, added, "
		    "expires FROM suppressed "
		    "WHERE tenant=? AND is_domain=? AND name=?",
	[SQL_PUT] = "INSERT OR REPLACE INTO suppressed VALUES (?,?,?,?,?,?,?)",
	[SQL_DEL] = "DELETE FROM suppressed "
		    "WHERE tenant=? AND is_domain=? AND name=?",
	[SQL_STRIKE] = "INSERT OR IGNORE INTO strike VALUES (?,?,?)",
	[SQL_STRIKES] = "SELECT count(*) FROM strike "
			"WHERE tenant=? AND name=? AND at_us>=?",
	[SQL_UNSTRIKE] = "DELETE FROM strike WHERE tenant=? AND name=?",
	[SQL_FORGET] = "DELETE FROM strike WHERE at_us < ?",
	[SQL_EXPIRE] = "DELETE FROM suppressed WHERE tenant=? AND is_domain=? "
		       "AND name=? AND expires>0 AND expires<=?",
	[SQL_COUNT] = "SELECT count(*) FROM suppressed",
	[SQL_TENANT] = "SELECT tenant FROM suppressed WHERE tenant > ? "
		       "ORDER BY tenant LIMIT 1",
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_BEGIN_READ] = "BEGIN",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
};

struct suppress_walk {
	struct suppress_db *d;
	sqlite3_stmt *q;
};

/* ---- statements ---------------------------------------------------------------- */

sqlite3_stmt *
suppress_stmt(struct suppress_db *d, enum suppress_sql which)
{
	sqlite3_stmt **q = &d->stmt[which];

	d->rc = SQLITE_OK;
	if (*q == NULL)
		d->rc = sqlite3_prepare_v3(d->db, sql[which], -1,
		    SQLITE_PREPARE_PERSISTENT, q, NULL);
	return d->rc == SQLITE_OK ? *q : NULL;
}

void
suppress_bind(sqlite3_stmt *q, int at, struct slice s)
{
	sqlite3_bind_text(q, at, s.n ? s.p : "", (int)s.n, SQLITE_STATIC);
}

static void
bind_key(sqlite3_stmt *q, struct slice tenant, bool is_domain,
    struct slice name)
{
	suppress_bind(q, 1, tenant);
	sqlite3_bind_int(q, 2, is_domain);
	suppress_bind(q, 3, name);
}

/* Runs a statement that gives no rows. */
static int
run(struct suppress_db *d, sqlite3_stmt *q)
{
	if (q == NULL)
		return store_err(d->rc);
	d->rc = sqlite3_step(q);
	sqlite3_reset(q);
	if (d->rc == SQLITE_DONE)
		d->rc = SQLITE_OK;
	return store_err(d->rc);
}

struct slice
suppress_text(sqlite3_stmt *q, int at)
{
	const char *p = (const char *)sqlite3_column_text(q, at);

	return slice_of(p ? p : "", (size_t)sqlite3_column_bytes(q, at));
}

void
suppress_row(sqlite3_stmt *q, struct suppress_entry *e)
{
	e->tenant = suppress_text(q, 0);
	e->is_domain = sqlite3_column_int(q, 1) != 0;
	e->name = suppress_text(q, 2);
	e->reason = suppress_text(q, 3);
	e->source = suppress_text(q, 4);
	e->added_s = sqlite3_column_int64(q, 5);
	e->expires_s = sqlite3_column_int64(q, 6);
}

/* ---- opening ------------------------------------------------------------------- */

static int
format_of(struct suppress_db *d, int64_t *out)
{
	sqlite3_stmt *q = NULL;

	d->rc = sqlite3_prepare_v2(d->db, "PRAGMA user_version", -1, &q, NULL);
	if (d->rc == SQLITE_OK && (d->rc = sqlite3_step(q)) == SQLITE_ROW) {
		*out = sqlite3_column_int64(q, 0);
		d->rc = SQLITE_OK;
	}
	sqlite3_finalize(q);
	return store_err(d->rc);
}

static int
set_up(struct suppress_db *d, enum suppress_mode mode, size_t cache_bytes,
    size_t mmap_bytes)
{
	char text[256];

	snprintf(text, sizeof(text),
	    "PRAGMA cache_size=-%zu; PRAGMA mmap_size=%zu;%s",
	    cache_bytes / 1024, mmap_bytes,
	    mode == SUPPRESS_WRITE ?
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
		"PRAGMA journal_size_limit=16777216;" :
		"");
	d->rc = sqlite3_exec(d->db, text, NULL, NULL, NULL);
	if (d->rc == SQLITE_OK && mode == SUPPRESS_WRITE)
		d->rc = sqlite3_exec(d->db, schema, NULL, NULL, NULL);
	return store_err(d->rc);
}

static int
open_file(struct suppress_db *d, const char *path, enum suppress_mode mode,
    size_t cache_bytes, size_t mmap_bytes, char *why, size_t cap)
{
	int flags = mode == SUPPRESS_READ ?
	    SQLITE_OPEN_READONLY :
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	bool is_new = access(path, F_OK) != 0;
	int64_t format = 0;
	int err;

	if (is_new && mode == SUPPRESS_READ) {
		snprintf(why, cap, "there is no such file");
		return E_NOTFOUND;
	}
	d->rc = sqlite3_open_v2(path, &d->db,
	    flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
	if (d->rc == SQLITE_OK)
		d->rc = sqlite3_busy_timeout(d->db, BUSY_MS);
	err = store_err(d->rc);
	if (!err)
		err = format_of(d, &format);
	if (!err && format > FORMAT) {
		snprintf(why, cap,
		    "its format is number %lld, this program knows those up to "
		    "%d",
		    (long long)format, FORMAT);
		return E_VERSION;
	}
	if (!err && is_new)
		store_give_away(path);
	return err ? err : set_up(d, mode, cache_bytes, mmap_bytes);
}

int
suppress_open(struct suppress_db **out, const char *path,
    enum suppress_mode mode, size_t cache_bytes, size_t mmap_bytes, char *why,
    size_t cap)
{
	struct suppress_db *d = mem_get(sizeof(*d));
	int err;

	why[0] = '\0';
	err = open_file(d, path, mode, cache_bytes, mmap_bytes, why, cap);
	*out = d;
	if (!err)
		return 0;
	if (why[0] == '\0')
		snprintf(why, cap, "%s", suppress_why(d));
	suppress_close(d);
	*out = NULL;
	return err;
}

void
suppress_close(struct suppress_db *d)
{
	for (int i = 0; i < SQL_N; i++)
		sqlite3_finalize(d->stmt[i]);
	sqlite3_close(d->db);
	mem_free(d);
}

const char *
suppress_why(struct suppress_db *d)
{
	return d->db ? sqlite3_errmsg(d->db) : sqlite3_errstr(d->rc);
}

/* ---- one by one ---------------------------------------------------------------- */

/* A statement that stands on a row holds what it read: its view of the file would
 * outlive the transaction. */
void
suppress_rest(struct suppress_db *d)
{
	sqlite3_reset(d->stmt[SQL_GET]);
	sqlite3_reset(d->stmt[SQL_TENANT]);
}

int
suppress_begin(struct suppress_db *d)
{
	suppress_rest(d);
	return run(d, suppress_stmt(d, SQL_BEGIN));
}

int
suppress_commit(struct suppress_db *d)
{
	suppress_rest(d);
	return run(d, suppress_stmt(d, SQL_COMMIT));
}

void
suppress_rollback(struct suppress_db *d)
{
	suppress_rest(d);
	if (!sqlite3_get_autocommit(d->db))
		(void)run(d, suppress_stmt(d, SQL_ROLLBACK));
}

int
suppress_put(struct suppress_db *d, const struct suppress_entry *e)
{
	sqlite3_stmt *q = suppress_stmt(d, SQL_PUT);

	if (q != NULL) {
		bind_key(q, e->tenant, e->is_domain, e->name);
		suppress_bind(q, 4, e->reason);
		suppress_bind(q, 5, e->source);
		sqlite3_bind_int64(q, 6, e->added_s);
		sqlite3_bind_int64(q, 7, e->expires_s);
	}
	return run(d, q);
}

int
suppress_del(struct suppress_db *d, struct slice tenant, bool is_domain,
    struct slice name)
{
	sqlite3_stmt *q = suppress_stmt(d, SQL_DEL);
	int err;

	if (q != NULL)
		bind_key(q, tenant, is_domain, name);
	err = run(d, q);
	return err ? err : sqlite3_changes(d->db) ? 0 : E_NOTFOUND;
}

int
suppress_get(struct suppress_db *d, struct slice tenant, bool is_domain,
    struct slice name, struct suppress_entry *out)
{
	sqlite3_stmt *q = suppress_stmt(d, SQL_GET);

	if (q == NULL)
		return store_err(d->rc);
	sqlite3_reset(q); /* its last row was good until now */
	bind_key(q, tenant, is_domain, name);
	d->rc = sqlite3_step(q);
	if (d->rc == SQLITE_ROW) {
		suppress_row(q, out);
		d->rc = SQLITE_OK;
		return 0;
	}
	sqlite3_reset(q);
	if (d->rc != SQLITE_DONE)
		return store_err(d->rc);
	d->rc = SQLITE_OK;
	return E_NOTFOUND;
}

static int
number_of(struct suppress_db *d, sqlite3_stmt *q, uint64_t *n)
{
	if (q == NULL)
		return store_err(d->rc);
	d->rc = sqlite3_step(q);
	if (d->rc == SQLITE_ROW) {
		*n = (uint64_t)sqlite3_column_int64(q, 0);
		d->rc = SQLITE_OK;
	}
	sqlite3_reset(q);
	return store_err(d->rc);
}

int
suppress_strike(struct suppress_db *d, struct slice tenant, struct slice name,
    int64_t at_us, int64_t since_us, uint64_t *n)
{
	sqlite3_stmt *q = suppress_stmt(d, SQL_STRIKE);
	int err;

	if (q != NULL) {
		suppress_bind(q, 1, tenant);
		suppress_bind(q, 2, name);
		sqlite3_bind_int64(q, 3, at_us);
	}
	err = run(d, q);
	if (err)
		return err;
	q = suppress_stmt(d, SQL_STRIKES);
	if (q != NULL) {
		suppress_bind(q, 1, tenant);
		suppress_bind(q, 2, name);
		sqlite3_bind_int64(q, 3, since_us);
	}
	return number_of(d, q, n);
}

int
suppress_unstrike(struct suppress_db *d, struct slice tenant, struct slice name)
{
	sqlite3_stmt *q = suppress_stmt(d, SQL_UNSTRIKE);

	if (q != NULL) {
		suppress_bind(q, 1, tenant);
		suppress_bind(q, 2, name);
	}
	return run(d, q);
}

int
suppress_count(struct suppress_db *d, uint64_t *n)
{
	return number_of(d, suppress_stmt(d, SQL_COUNT), n);
}

int
suppress_tenant(struct suppress_db *d, struct slice behind, struct slice *out)
{
	sqlite3_stmt *q = suppress_stmt(d, SQL_TENANT);

	if (q == NULL)
		return store_err(d->rc);
	sqlite3_reset(q);
	sqlite3_bind_text(q, 1, behind.n ? behind.p : "", (int)behind.n,
	    SQLITE_TRANSIENT);
	d->rc = sqlite3_step(q);
	if (d->rc == SQLITE_ROW) {
		*out = suppress_text(q, 0);
		d->rc = SQLITE_OK;
		return 0;
	}
	sqlite3_reset(q);
	return d->rc == SQLITE_DONE ? E_NOTFOUND : store_err(d->rc);
}

/* ---- all ----------------------------------------------------------------------- */

struct suppress_walk *
suppress_walk(struct suppress_db *d, const struct suppress_place *behind)
{
	static const char all[] =
	    "SELECT tenant, is_domain, name, reason, source, added, expires "
	    "FROM suppressed WHERE (tenant, is_domain, name) > (?,?,?) "
	    "ORDER BY tenant, is_domain, name";
	struct suppress_walk *w = mem_get(sizeof(*w));

	w->d = d;
	d->rc = sqlite3_prepare_v2(d->db, all, -1, &w->q, NULL);
	if (d->rc != SQLITE_OK) {
		suppress_walk_end(w);
		return NULL;
	}
	/* No entry has an empty name: this is before all. */
	bind_key(w->q, SL(""), false, SL(""));
	if (behind != NULL) {
		sqlite3_bind_text(w->q, 1,
		    behind->tenant.n ? behind->tenant.p : "",
		    (int)behind->tenant.n, SQLITE_TRANSIENT);
		sqlite3_bind_int(w->q, 2, behind->is_domain);
		sqlite3_bind_text(w->q, 3, behind->name.n ? behind->name.p : "",
		    (int)behind->name.n, SQLITE_TRANSIENT);
	}
	return w;
}

int
suppress_next(struct suppress_walk *w, struct suppress_entry *e)
{
	w->d->rc = sqlite3_step(w->q);
	if (w->d->rc == SQLITE_ROW) {
		suppress_row(w->q, e);
		return 1;
	}
	return store_err(w->d->rc);
}

void
suppress_walk_end(struct suppress_walk *w)
{
	sqlite3_finalize(w->q);
	mem_free(w);
}

int
suppress_expire(struct suppress_db *d, const struct suppress_place *at,
    int64_t now_s)
{
	sqlite3_stmt *q = suppress_stmt(d, SQL_EXPIRE);

	if (q != NULL) {
		bind_key(q, at->tenant, at->is_domain, at->name);
		sqlite3_bind_int64(q, 4, now_s);
	}
	return run(d, q);
}

int
suppress_strikes_forget(struct suppress_db *d, int64_t before_us)
{
	sqlite3_stmt *q = suppress_stmt(d, SQL_FORGET);

	if (q != NULL)
		sqlite3_bind_int64(q, 1, before_us);
	return run(d, q);
}
