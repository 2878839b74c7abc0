/*
 * store/accounts.c - accounts in SQLite.
 *
 * A rollback journal, not a log beside the file: who only reads needs no right to
 * write there. PRAGMA user_version is the format's number.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fmt.h"
#include "store/accounts.h"
#include "store/store_i.h"

#define FORMAT 1
#define BUSY_MS 2000
#define TEXT_MAX_BYTES 8192u /* of a row's texts together */

struct accounts {
	sqlite3 *db;
	dev_t dev;
	ino_t inode;
};

static const char schema[] =
    "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS account ("
    "name TEXT PRIMARY KEY NOT NULL, secret TEXT NOT NULL,"
    "tenant TEXT, campaign TEXT, pool TEXT,"
    "sender TEXT, message_size_max INTEGER, recipients_max INTEGER,"
    "rate TEXT) WITHOUT ROWID;"
    /* What strangers' salts are made of. */
    "CREATE TABLE IF NOT EXISTS seed (value BLOB NOT NULL);"
    "INSERT INTO seed SELECT randomblob(32) WHERE NOT EXISTS "
    "(SELECT 1 FROM seed);"
    "PRAGMA user_version = 1; COMMIT;";

#define COLUMNS                                                                \
	"name, secret, tenant, campaign, pool, sender, message_size_max, "     \
	"recipients_max, rate"

/* ---- opening --------------------------------------------------------------------- */

static int
format_of(struct accounts *a, int64_t *format)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(a->db, "PRAGMA user_version", -1, &q, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(q)) == SQLITE_ROW)
		*format = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return rc;
}

static int
open_file(struct accounts *a, const char *path, bool writes, char *why,
    size_t cap)
{
	struct stat st;
	int64_t format = 0;
	int rc;

	if (writes && access(path, F_OK) != 0) {
		/* Secrets cannot be told from it, but guessed at. */
		int fd =
		    open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

		if (fd >= 0)
			close(fd);
		store_give_away(path);
	}
	if (stat(path, &st)) {
		snprintf(why, cap, "there is no such file");
		return E_NOTFOUND;
	}
	a->dev = st.st_dev;
	a->inode = st.st_ino;
	rc = sqlite3_open_v2(path, &a->db,
	    (writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
		SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
	    NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(a->db, BUSY_MS);
	if (rc == SQLITE_OK)
		rc = format_of(a, &format);
	if (store_err(rc) == 0 && (format > FORMAT || (!writes && !format))) {
		snprintf(why, cap, "its format is number %lld, expected %d",
		    (long long)format, FORMAT);
		return E_VERSION;
	}
	if (store_err(rc) == 0 && writes)
		rc = sqlite3_exec(a->db, schema, NULL, NULL, NULL);
	return store_told(a->db, rc, why, cap);
}

int
accounts_open(struct accounts **out, const char *path, bool writes, char *why,
    size_t cap)
{
	struct accounts *a = mem_try(sizeof(*a));
	int err;

	*out = NULL;
	if (a == NULL) {
		snprintf(why, cap, "no memory");
		return E_NOMEM;
	}
	err = open_file(a, path, writes, why, cap);
	if (err)
		accounts_close(a);
	else
		*out = a;
	return err;
}

void
accounts_close(struct accounts *a)
{
	if (a == NULL)
		return;
	sqlite3_close(a->db);
	mem_free(a);
}

bool
accounts_is_stale(const struct accounts *a, const char *path)
{
	struct stat st;

	return stat(path, &st) != 0 || st.st_dev != a->dev ||
	    st.st_ino != a->inode;
}

/* ---- rows ---------------------------------------------------------------------------- */

static struct slice
column(sqlite3_stmt *q, int at)
{
	const char *p = (const char *)sqlite3_column_text(q, at);

	return slice_of(p ? p : "", (size_t)sqlite3_column_bytes(q, at));
}

static void
row_of(sqlite3_stmt *q, struct account_row *r)
{
	int64_t size = sqlite3_column_int64(q, 6);
	int64_t rcpts = sqlite3_column_int64(q, 7);

	r->name = column(q, 0);
	r->secret = column(q, 1);
	r->tenant = column(q, 2);
	r->campaign = column(q, 3);
	r->pool = column(q, 4);
	r->from = column(q, 5);
	r->size_max = (uint64_t)MAX(size, 0);
	r->rcpts_max = (uint32_t)MIN(MAX(rcpts, 0), (int64_t)RCPTS_MAX);
	r->rate = column(q, 8);
}

/* A copy behind the account, which grows with its texts. */
static struct slice
keep(struct slice text, char **at)
{
	char *p = *at;

	slice_copy(text, p, text.n + 1);
	*at += text.n + 1;
	return slice_of(p, text.n);
}

/* The words of a list. */
static bool
keep_from(struct conf_account *a, struct slice list, char **at)
{
	while (list.n > 0) {
		struct slice one = slice_cut(&list, ' ');

		if (one.n == 0)
			continue;
		if (a->nfrom == CONF_FROM_MAX)
			return false;
		a->from[a->nfrom++] = keep(one, at);
	}
	return true;
}

static bool
read_rate(struct conf_account *a, struct slice text)
{
	uint64_t n;

	if (text.n == 0)
		return true;
	if (parse_rate(text, &n, &a->rate_period_us) != 0 || n == 0 ||
	    n > UINT32_MAX)
		return false;
	a->rate = (uint32_t)n;
	return true;
}

static bool
is_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return s.n <= NAME_MAX_BYTES;
}

struct conf_account *
account_of_row(const struct account_row *r, char *why, size_t cap)
{
	size_t n = r->name.n + r->secret.n + r->tenant.n + r->campaign.n +
	    r->pool.n + 2 * r->from.n + 64;
	struct conf_account *a;
	const char *fault = NULL;
	char *at;

	if (n > TEXT_MAX_BYTES || !(a = mem_try(sizeof(*a) + n))) {
		snprintf(why, cap, "too long, or no memory");
		return NULL;
	}
	at = (char *)(a + 1);
	a->name = keep(r->name, &at);
	a->secret = keep(r->secret, &at);
	a->tenant = keep(r->tenant, &at);
	a->campaign = keep(r->campaign, &at);
	a->pool = keep(r->pool, &at);
	a->size_max = r->size_max;
	a->rcpts_max = r->rcpts_max;
	if (!is_name(a->tenant) || !is_name(a->campaign) || !is_name(a->pool))
		fault = "tenant, campaign or pool is no name";
	else if (!keep_from(a, r->from, &at))
		fault = "too many senders";
	else if (!read_rate(a, r->rate))
		fault = "rate is none such as 100/1h";
	else if (!conf_account_read(a))
		fault = "secret is none that `mtad account` makes";
	if (fault == NULL)
		return a;
	snprintf(why, cap, "%s", fault);
	mem_free(a);
	return NULL;
}

/* ---- questions ------------------------------------------------------------------------- */

int
accounts_get(struct accounts *a, struct slice name, struct conf_account **out,
    char *why, size_t cap)
{
	sqlite3_stmt *q = NULL;
	struct account_row r;
	int rc = sqlite3_prepare_v2(a->db,
	    "SELECT " COLUMNS " FROM account WHERE name = ?", -1, &q, NULL);
	int err = E_NOTFOUND;

	*out = NULL;
	if (rc == SQLITE_OK)
		rc =
		    sqlite3_bind_text(q, 1, name.p, (int)name.n, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(q);
	if (rc == SQLITE_ROW) {
		row_of(q, &r);
		*out = account_of_row(&r, why, cap);
		err = *out ? 0 : E_CORRUPT;
	}
	if (store_err(rc))
		err = store_told(a->db, rc, why, cap);
	sqlite3_finalize(q);
	return err;
}

int
accounts_like(struct accounts *a, struct conf_account *out, char *why,
    size_t cap)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(a->db,
	    "SELECT value, (SELECT secret FROM account LIMIT 1) FROM seed", -1,
	    &q, NULL);
	int err = E_CORRUPT;

	memset(out, 0, sizeof(*out));
	if (rc == SQLITE_OK)
		rc = sqlite3_step(q);
	if (rc == SQLITE_ROW && sqlite3_column_bytes(q, 0) == 32) {
		out->secret = column(q, 1);
		if (!conf_account_read(out)) {
			out->iterations = 4096;
			out->salt_n = 16;
		}
		memcpy(out->server_key, sqlite3_column_blob(q, 0), 32);
		err = 0;
	} else if (store_err(rc) == 0) {
		snprintf(why, cap, "it has no seed");
	}
	if (store_err(rc))
		err = store_told(a->db, rc, why, cap);
	out->secret = SL("");
	sqlite3_finalize(q);
	return err;
}

int
accounts_each(struct accounts *a,
    void (*row)(void *ctx, const struct account_row *r), void *ctx, char *why,
    size_t cap)
{
	sqlite3_stmt *q = NULL;
	struct account_row r;
	int err,
	    rc = sqlite3_prepare_v2(a->db,
		"SELECT " COLUMNS " FROM account ORDER BY name", -1, &q, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(q);
		if (rc != SQLITE_ROW)
			break;
		row_of(q, &r);
		row(ctx, &r);
	}
	err = store_told(a->db, rc, why, cap);
	sqlite3_finalize(q);
	return err;
}

/* ---- changes ----------------------------------------------------------------------------- */

/* What is empty is nothing. */
static void
bind(sqlite3_stmt *q, int at, struct slice s)
{
	if (s.n > 0)
		sqlite3_bind_text(q, at, s.p, (int)s.n, SQLITE_STATIC);
}

int
accounts_put(struct accounts *a, const struct account_row *r, bool replaces,
    char *why, size_t cap)
{
	sqlite3_stmt *q = NULL;
	struct conf_account *account = account_of_row(r, why, cap);
	int err, rc;

	if (account == NULL)
		return E_SYNTAX;
	mem_free(account);
	rc = sqlite3_prepare_v2(a->db,
	    replaces ? "INSERT OR REPLACE INTO account (" COLUMNS
		       ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)" :
		       "INSERT OR IGNORE INTO account (" COLUMNS
		       ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
	    -1, &q, NULL);
	if (rc == SQLITE_OK) {
		bind(q, 1, r->name);
		bind(q, 2, r->secret);
		bind(q, 3, r->tenant);
		bind(q, 4, r->campaign);
		bind(q, 5, r->pool);
		bind(q, 6, r->from);
		if (r->size_max > 0)
			sqlite3_bind_int64(q, 7, (int64_t)r->size_max);
		if (r->rcpts_max > 0)
			sqlite3_bind_int64(q, 8, r->rcpts_max);
		bind(q, 9, r->rate);
		rc = sqlite3_step(q);
	}
	err = store_told(a->db, rc, why, cap);
	sqlite3_finalize(q);
	if (!err && sqlite3_changes(a->db) == 0) {
		snprintf(why, cap, "there is an account of that name");
		err = E_EXISTS;
	}
	return err;
}

int
accounts_remove(struct accounts *a, struct slice name, char *why, size_t cap)
{
	sqlite3_stmt *q = NULL;
	int err,
	    rc = sqlite3_prepare_v2(a->db, "DELETE FROM account WHERE name = ?",
		-1, &q, NULL);

	if (rc == SQLITE_OK)
		rc =
		    sqlite3_bind_text(q, 1, name.p, (int)name.n, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(q);
	err = store_told(a->db, rc, why, cap);
	sqlite3_finalize(q);
	if (!err && sqlite3_changes(a->db) == 0) {
		snprintf(why, cap, "there is no account of that name");
		err = E_NOTFOUND;
	}
	return err;
}
