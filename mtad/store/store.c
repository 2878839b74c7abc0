/*
 * store/store.c - the books in SQLite.
 *
 * One table, one row an entry, its names and numbers in columns of their own,
 * so that a person with sqlite3 can read it. Write-ahead log, synced at every
 * commit: a shelf that was written is durable. PRAGMA user_version is the
 * format's number: a newer one is refused; an older one would be converted in
 * `upgrade`.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_i.h"

#define FORMAT 1
#define BUSY_MS 5000
#define BAD_MAX 1000

struct store {
	sqlite3 *db;
	sqlite3_stmt *put, *drop;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS kept ("
    "book INTEGER NOT NULL, n INTEGER NOT NULL,"
    "k1 TEXT NOT NULL, k2 TEXT NOT NULL, k3 TEXT NOT NULL,"
    "k4 TEXT NOT NULL, k5 TEXT NOT NULL, k6 TEXT NOT NULL,"
    "sub INTEGER NOT NULL,"
    "v1 INTEGER NOT NULL, v2 INTEGER NOT NULL, v3 INTEGER NOT NULL,"
    "v4 INTEGER NOT NULL, v5 INTEGER NOT NULL, v6 INTEGER NOT NULL,"
    "v7 INTEGER NOT NULL, v8 INTEGER NOT NULL,"
    "PRIMARY KEY (book, n, k1, k2, k3, k4, k5, k6, sub)) WITHOUT ROWID;"
    /* Older programs of this format do not look at it. */
    "CREATE TABLE IF NOT EXISTS sts ("
    "domain TEXT PRIMARY KEY NOT NULL, id TEXT NOT NULL,"
    "mode INTEGER NOT NULL, hosts TEXT NOT NULL,"
    "fetched INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;"
    "PRAGMA user_version = 1;";

/* Columns: book, n, the names, sub; then the values. */
#define AT_KEYS 2
#define AT_SUB (AT_KEYS + KEPT_KEYS_MAX)
#define AT_VALUES (AT_SUB + 1)
_Static_assert(KEPT_KEYS_MAX == 6 && KEPT_VALUES_MAX == 8,
    "the table has as many columns");

int
store_err(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_NOMEM:
		return E_NOMEM;
	case SQLITE_FULL:
		return E_NOSPC;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return E_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return E_BUSY;
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return E_DENIED;
	default:
		return E_IO;
	}
}

int
store_told(sqlite3 *db, int rc, char *why, size_t cap)
{
	int err = store_err(rc);

	if (err)
		snprintf(why, cap, "%s",
		    db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
	return err;
}

void
store_give_away(const char *path)
{
	struct slice dir = slice_str(path);
	char text[4096];
	struct stat st;
	int fd;

	while (dir.n > 0 && dir.p[dir.n - 1] != '/')
		dir.n--;
	if (dir.n == 0 || geteuid() != 0)
		return;
	slice_copy(dir, text, sizeof(text));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && stat(text, &st) == 0 && fchown(fd, st.st_uid, st.st_gid))
		log_event(LOG_WARN, "store", "what",
		    "cannot give the file to the owner of its directory",
		    "path", path, NULL);
	if (fd >= 0)
		close(fd);
}

static int
told(struct store *s, int rc, char *why, size_t cap)
{
	return store_told(s->db, rc, why, cap);
}

/* ---- opening ----------------------------------------------------------------- */

/* The single number that a statement gives. */
static int
ask(struct store *s, const char *sql, int64_t *out, char *text, size_t cap)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(q);
	if (rc == SQLITE_ROW && out)
		*out = sqlite3_column_int64(q, 0);
	if (rc == SQLITE_ROW && text)
		snprintf(text, cap, "%s",
		    (const char *)sqlite3_column_text(q, 0));
	sqlite3_finalize(q);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
prepare(struct store *s)
{
	static const char put[] = "INSERT OR REPLACE INTO kept VALUES "
				  "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
	static const char drop[] =
	    "DELETE FROM kept WHERE book=? AND n=? AND k1=? AND k2=? AND "
	    "k3=? AND k4=? AND k5=? AND k6=? AND sub=?";
	int rc = sqlite3_prepare_v3(s->db, put, -1, SQLITE_PREPARE_PERSISTENT,
	    &s->put, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v3(s->db, drop, -1,
		    SQLITE_PREPARE_PERSISTENT, &s->drop, NULL);
	return rc;
}

static int
check_format(struct store *s, char *why, size_t cap)
{
	int64_t format = 0;
	char word[64] = "";
	int rc = ask(s, "PRAGMA user_version", &format, NULL, 0);

	if (rc == SQLITE_OK && format > FORMAT) {
		snprintf(why, cap,
		    "its format is number %lld, this program knows those up to "
		    "%d",
		    (long long)format, FORMAT);
		return E_VERSION;
	}
	if (rc == SQLITE_OK)
		rc = ask(s, "PRAGMA quick_check(1)", NULL, word, sizeof(word));
	if (rc == SQLITE_OK && strcmp(word, "ok") != 0) {
		snprintf(why, cap, "%s", word);
		return E_CORRUPT;
	}
	return told(s, rc, why, cap);
}

static int
open_file(struct store *s, const char *path, char *why, size_t cap)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
	    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	int rc = sqlite3_open_v2(path, &s->db, flags, NULL), err;

	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(s->db, BUSY_MS);
	if (rc != SQLITE_OK)
		return told(s, rc, why, cap);
	err = check_format(s, why, cap);
	if (err)
		return err;
	rc = sqlite3_exec(s->db,
	    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", NULL, NULL,
	    NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(s->db, schema, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = prepare(s);
	return told(s, rc, why, cap);
}

static void
close_file(struct store *s)
{
	sqlite3_finalize(s->put);
	sqlite3_finalize(s->drop);
	sqlite3_close(s->db);
	s->put = s->drop = NULL;
	s->db = NULL;
}

/* Its log and the index of that belong to it. */
static int
set_aside(const char *path, char *why, size_t cap)
{
	static const char *const parts[] = { "", "-wal", "-shm" };
	char from[4096], to[4096];
	int n = 1;

	do
		snprintf(to, sizeof(to), "%s.bad-%d", path, n);
	while (access(to, F_OK) == 0 && ++n < BAD_MAX);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		snprintf(from, sizeof(from), "%s%s", path, parts[i]);
		snprintf(to, sizeof(to), "%s.bad-%d%s", path, n, parts[i]);
		if (rename(from, to) && errno != ENOENT)
			return err_from_errno(errno);
	}
	snprintf(why + strlen(why), cap - strlen(why), "; it is now %s.bad-%d",
	    path, n);
	return 0;
}

int
store_open(struct store **out, const char *path, bool *is_rebuilt, char *why,
    size_t cap)
{
	struct store *s = mem_get(sizeof(*s));
	char again[256];
	int err;

	*is_rebuilt = false;
	why[0] = '\0';
	err = open_file(s, path, why, cap);
	if (err == E_CORRUPT) {
		close_file(s);
		*is_rebuilt = true;
		err = set_aside(path, why, cap);
		if (!err)
			err = open_file(s, path, again, sizeof(again));
		if (err)
			slice_copy(slice_str(again), why, cap);
	}
	*out = s;
	if (err) {
		store_close(s);
		*out = NULL;
	}
	return err;
}

void
store_close(struct store *s)
{
	close_file(s);
	mem_free(s);
}

/* ---- entries ----------------------------------------------------------------- */

static struct slice
text_at(sqlite3_stmt *q, int at)
{
	const char *p = (const char *)sqlite3_column_text(q, at);

	return slice_of(p ? p : "", (size_t)sqlite3_column_bytes(q, at));
}

/* False: no entry of ours, whoever wrote it. */
static bool
row_get(sqlite3_stmt *q, struct kept *k)
{
	int64_t book = sqlite3_column_int64(q, 0);
	int64_t n = sqlite3_column_int64(q, 1);

	*k = (struct kept){ .book = (uint8_t)book, .nkeys = (uint8_t)n };
	if (book <= 0 || book > UINT8_MAX || n < 0 || n > KEPT_KEYS_MAX)
		return false;
	for (int i = 0; i < n; i++) {
		k->key[i] = text_at(q, AT_KEYS + i);
		if (k->key[i].n > KEPT_NAME_MAX)
			return false;
	}
	k->sub = (uint32_t)sqlite3_column_int64(q, AT_SUB);
	for (int i = 0; i < KEPT_VALUES_MAX; i++)
		k->v[i] = sqlite3_column_int64(q, AT_VALUES + i);
	return true;
}

int
store_read(struct store *s, void (*entry)(void *ctx, const struct kept *k),
    void *ctx, char *why, size_t cap)
{
	sqlite3_stmt *q = NULL;
	struct kept k;
	int rc = sqlite3_prepare_v2(s->db,
	    "SELECT * FROM kept ORDER BY book, n, k1, k2, k3, k4, k5, k6, sub",
	    -1, &q, NULL);

	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(q)) == SQLITE_ROW)
			if (row_get(q, &k))
				entry(ctx, &k);
	rc = told(s, rc, why, cap);
	sqlite3_finalize(q);
	return rc;
}

static int
row_put(struct store *s, const struct kept *k)
{
	sqlite3_stmt *q = k->is_gone ? s->drop : s->put;
	int rc, at = 0;

	sqlite3_bind_int(q, ++at, k->book);
	sqlite3_bind_int(q, ++at, k->nkeys);
	for (uint32_t i = 0; i < KEPT_KEYS_MAX; i++)
		sqlite3_bind_text(q, ++at, k->key[i].n ? k->key[i].p : "",
		    (int)k->key[i].n, SQLITE_STATIC);
	sqlite3_bind_int64(q, ++at, k->sub);
	for (uint32_t i = 0; i < KEPT_VALUES_MAX && !k->is_gone; i++)
		sqlite3_bind_int64(q, ++at, k->v[i]);
	rc = sqlite3_step(q);
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int
store_write(struct store *s, const struct shelf *shelf, char *why, size_t cap)
{
	int rc = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	const struct kept *k;
	int err;

	for (uint32_t i = 0; i < shelf->n && rc == SQLITE_OK; i++)
		if ((k = shelf_at(shelf, i)))
			rc = row_put(s, k);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
	err = told(s, rc, why, cap);
	if (err)
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

/* ---- MTA-STS policies -------------------------------------------------------- */

static int
bind_text(sqlite3_stmt *q, int at, struct slice s)
{
	return sqlite3_bind_text(q, at, s.n ? s.p : "", (int)s.n,
	    SQLITE_STATIC);
}

int
store_policy_put(struct store *s, const struct store_policy *p, char *why,
    size_t cap)
{
	static const char sql[] =
	    "INSERT OR REPLACE INTO sts VALUES (?,?,?,?,?,?)";
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL), err;

	if (rc == SQLITE_OK) {
		bind_text(q, 1, p->domain);
		bind_text(q, 2, p->id);
		sqlite3_bind_int(q, 3, p->mode);
		bind_text(q, 4, p->hosts);
		sqlite3_bind_int64(q, 5, p->fetched_us);
		sqlite3_bind_int64(q, 6, p->expires_us);
		rc = sqlite3_step(q);
	}
	err = told(s, rc, why, cap);
	sqlite3_finalize(q);
	return err;
}

static void
give_policy(sqlite3_stmt *q,
    void (*entry)(void *ctx, const struct store_policy *p), void *ctx)
{
	struct store_policy p = {
		.domain = text_at(q, 0),
		.id = text_at(q, 1),
		.mode = (uint8_t)sqlite3_column_int(q, 2),
		.hosts = text_at(q, 3),
		.fetched_us = sqlite3_column_int64(q, 4),
		.expires_us = sqlite3_column_int64(q, 5),
	};

	entry(ctx, &p);
}

int
store_policy_read(struct store *s, int64_t now_us, uint32_t max,
    void (*entry)(void *ctx, const struct store_policy *p), void *ctx,
    char *why, size_t cap)
{
	sqlite3_stmt *q = NULL;
	char sql[80];
	int rc, err;

	snprintf(sql, sizeof(sql), "DELETE FROM sts WHERE expires < %lld",
	    (long long)now_us);
	rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(s->db,
		    "SELECT * FROM sts ORDER BY fetched", -1, &q, NULL);
	if (rc == SQLITE_OK)
		while (max-- > 0 && (rc = sqlite3_step(q)) == SQLITE_ROW)
			give_policy(q, entry, ctx);
	err = told(s, rc, why, cap);
	sqlite3_finalize(q);
	return err;
}
