/*
 * store/suppress_load.c - many entries at once.
 *
 * Entries in no order would touch a page of the table each. So they are first
 * appended to a database of SQLite's own that has no name and goes away by itself,
 * read back in the order of the table, by a sort that spills to disk, and put in.
 */
#include <stdio.h>

#include "store/store_i.h"
#include "store/suppress_i.h"

#define LOAD_BATCH 100000u /* entries of one transaction: about 0.2 s */
#define TELL_EVERY 4096u
#define STEPS_PER_TELL 2000000 /* of SQLite's machine: tens of a second */
#define KEY_END '\x01'
#define KEY_MAX (NAME_MAX_BYTES + SUPPRESS_NAME_MAX + 3)
#define STAGE_CACHE_KB 65536

struct suppress_load {
	struct suppress_db *d;
	bool (*told)(void *ctx, uint64_t done);
	void *ctx;
	sqlite3 *stage;
	sqlite3_stmt *add;
	uint64_t n, done;
	int rc;
	bool is_ended; /* told said so */
};

static bool
goes_on(struct suppress_load *l)
{
	if (l->told != NULL && !l->told(l->ctx, l->done))
		l->is_ended = true;
	return !l->is_ended;
}

static int
on_steps(void *arg)
{
	return !goes_on(arg);
}

struct suppress_load *
suppress_load_new(struct suppress_db *d, bool (*told)(void *ctx, uint64_t done),
    void *ctx)
{
	struct suppress_load *l = mem_get(sizeof(*l));
	char text[256];

	l->d = d;
	l->told = told;
	l->ctx = ctx;
	l->rc = sqlite3_open_v2("", &l->stage,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
	    NULL);
	snprintf(text, sizeof(text),
	    "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
	    "PRAGMA cache_size=-%d; PRAGMA threads=2;"
	    "CREATE TABLE stage (key TEXT, reason, source, added, expires); "
	    "BEGIN",
	    STAGE_CACHE_KB);
	if (l->rc == SQLITE_OK)
		l->rc = sqlite3_exec(l->stage, text, NULL, NULL, NULL);
	if (l->rc == SQLITE_OK)
		l->rc = sqlite3_prepare_v2(l->stage,
		    "INSERT INTO stage VALUES (?,?,?,?,?)", -1, &l->add, NULL);
	return l;
}

/* What went wrong with the gathered. */
static int
failed(struct suppress_load *l)
{
	if (l->is_ended)
		return E_CLOSED;
	return store_err(l->rc);
}

/* What the table is sorted by, in one text, which is compared faster than three
 * columns: the tenant, a byte that is in no name, the kind, and the name. */
static size_t
key_write(char *dst, const struct suppress_entry *e)
{
	size_t n = slice_copy(e->tenant, dst, NAME_MAX_BYTES + 1);

	dst[n++] = KEY_END;
	dst[n++] = e->is_domain ? '1' : '0';
	return n + slice_copy(e->name, dst + n, SUPPRESS_NAME_MAX + 1);
}

static void
key_read(struct slice key, struct suppress_entry *e)
{
	e->tenant = slice_cut(&key, KEY_END);
	e->is_domain = key.n > 0 && key.p[0] == '1';
	e->name = slice_skip(key, 1);
}

static void
row_read(sqlite3_stmt *q, struct suppress_entry *e)
{
	key_read(suppress_text(q, 0), e);
	e->reason = suppress_text(q, 1);
	e->source = suppress_text(q, 2);
	e->added_s = sqlite3_column_int64(q, 3);
	e->expires_s = sqlite3_column_int64(q, 4);
}

int
suppress_load_add(struct suppress_load *l, const struct suppress_entry *e)
{
	char key[KEY_MAX];

	if (l->rc != SQLITE_OK)
		return store_err(l->rc);
	suppress_bind(l->add, 1, slice_of(key, key_write(key, e)));
	suppress_bind(l->add, 2, e->reason);
	suppress_bind(l->add, 3, e->source);
	sqlite3_bind_int64(l->add, 4, e->added_s);
	sqlite3_bind_int64(l->add, 5, e->expires_s);
	l->rc = sqlite3_step(l->add);
	sqlite3_reset(l->add);
	if (l->rc == SQLITE_DONE)
		l->rc = SQLITE_OK;
	if (++l->n % TELL_EVERY == 0 && l->rc == SQLITE_OK && !goes_on(l))
		return E_CLOSED;
	return store_err(l->rc);
}

/* Puts in what the query gives, transaction by transaction. */
static int
put_all(struct suppress_load *l, sqlite3_stmt *q)
{
	struct suppress_entry e;
	int err = 0;

	while (!err && (l->rc = sqlite3_step(q)) == SQLITE_ROW) {
		if (l->done % LOAD_BATCH == 0)
			err = suppress_begin(l->d);
		row_read(q, &e);
		if (!err)
			err = suppress_put(l->d, &e);
		if (!err && ++l->done % LOAD_BATCH == 0)
			err = suppress_commit(l->d);
		if (!err && l->done % TELL_EVERY == 0 && !goes_on(l))
			err = E_CLOSED;
	}
	if (!err && l->rc != SQLITE_DONE)
		err = failed(l);
	if (!err && l->done % LOAD_BATCH != 0)
		err = suppress_commit(l->d);
	if (err) {
		suppress_rollback(l->d);
		l->done -= l->done % LOAD_BATCH;
	}
	return err;
}

int
suppress_load_end(struct suppress_load *l, uint64_t *done)
{
	static const char sorted[] =
	    "SELECT key, reason, source, added, expires FROM stage "
	    "ORDER BY key, rowid";
	/* One sync at the end, a write of its own, stands for all before it. */
	static const char fast[] =
	    "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=16384;";
	static const char slow[] =
	    "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=1000;"
	    "PRAGMA user_version=1;";
	sqlite3_stmt *q = NULL;
	int err;

	*done = 0;
	if (l->rc != SQLITE_OK)
		return store_err(l->rc);
	sqlite3_progress_handler(l->stage, STEPS_PER_TELL, on_steps, l);
	l->rc = sqlite3_exec(l->stage, "COMMIT", NULL, NULL, NULL);
	(void)sqlite3_exec(l->d->db, fast, NULL, NULL, NULL);
	if (l->rc == SQLITE_OK)
		l->rc = sqlite3_prepare_v2(l->stage, sorted, -1, &q, NULL);
	err = l->rc == SQLITE_OK ? put_all(l, q) : failed(l);
	sqlite3_finalize(q);
	l->d->rc = sqlite3_exec(l->d->db, slow, NULL, NULL, NULL);
	if (!err)
		err = store_err(l->d->rc);
	*done = l->done;
	return err;
}

const char *
suppress_load_why(struct suppress_load *l)
{
	if (l->rc != SQLITE_OK && l->rc != SQLITE_DONE && l->rc != SQLITE_ROW)
		return l->stage ? sqlite3_errmsg(l->stage) :
				  sqlite3_errstr(l->rc);
	return suppress_why(l->d);
}

void
suppress_load_free(struct suppress_load *l)
{
	sqlite3_finalize(l->add);
	sqlite3_close(l->stage);
	mem_free(l);
}
