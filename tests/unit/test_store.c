/*
 * test_store - the books: what was written is there again, whatever happens to
 * the process or the file.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"

#define SEEN_MAX 64

static char dir[64], path[128], why[256];

struct seen {
	uint32_t n;
	struct kept v[SEEN_MAX];
	char name[SEEN_MAX][KEPT_KEYS_MAX][KEPT_NAME_MAX + 1];
};

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_store.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/books.db", dir);
	return 0;
}

static int
teardown(void **state)
{
	static const char *const ends[] = { "", "-wal", "-shm", ".bad-1",
		".bad-1-wal", ".bad-1-shm", ".bad-2", ".bad-2-wal",
		".bad-2-shm" };
	char name[160];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
	return rmdir(dir);
}

static struct store *
opened(bool want_rebuilt)
{
	struct store *s;
	bool is_rebuilt;

	if (store_open(&s, path, &is_rebuilt, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	assert_int_equal(is_rebuilt, want_rebuilt);
	return s;
}

static void
see(void *ctx, const struct kept *k)
{
	struct seen *s = ctx;

	assert_true(s->n < SEEN_MAX);
	for (uint32_t i = 0; i < k->nkeys; i++)
		slice_copy(k->key[i], s->name[s->n][i], KEPT_NAME_MAX + 1);
	s->v[s->n++] = *k;
}

static struct seen *
seen_of(struct store *s)
{
	static struct seen seen;

	seen.n = 0;
	assert_int_equal(store_read(s, see, &seen, why, sizeof(why)), 0);
	return &seen;
}

static struct kept
entry(const char *a, const char *b, uint32_t sub, int64_t v)
{
	return (struct kept){ .book = BOOK_WARMUP,
		.nkeys = 2,
		.key = { slice_str(a), slice_str(b) },
		.sub = sub,
		.v = { v, -v, INT64_MAX, INT64_MIN, 0, 1, 2, 3 } };
}

static void
write_one(struct store *s, const struct kept *k)
{
	struct shelf shelf = { 0 };

	shelf_put(&shelf, k);
	assert_int_equal(store_write(s, &shelf, why, sizeof(why)), 0);
	shelf_free(&shelf);
}

static void
what_was_written_is_read(void **state)
{
	struct kept a = entry("s1", "gmail", 0, 5), b = entry("s1", "", 7, 9);
	struct kept c = { .book = BOOK_QUOTA, .v = { 42 } };
	struct store *s = opened(false);
	const struct seen *seen;

	(void)state;
	b.key[1] = slice_of(NULL, 0);
	write_one(s, &a);
	write_one(s, &b);
	write_one(s, &c);
	store_close(s);
	s = opened(false);
	seen = seen_of(s);
	assert_int_equal(seen->n, 3);
	assert_int_equal(seen->v[0].book, BOOK_QUOTA);
	assert_int_equal(seen->v[0].nkeys, 0);
	assert_int_equal(seen->v[0].v[0], 42);
	assert_string_equal(seen->name[1][0], "s1");
	assert_string_equal(seen->name[1][1], "");
	assert_int_equal(seen->v[1].sub, 7);
	assert_string_equal(seen->name[2][1], "gmail");
	assert_true(memcmp(seen->v[2].v, a.v, sizeof(a.v)) == 0);
	store_close(s);
}

static void
an_entry_replaces_its_like_and_can_go(void **state)
{
	struct kept a = entry("s1", "gmail", 0, 5),
		    b = entry("s1", "gmail", 1, 6);
	struct store *s = opened(false);
	const struct seen *seen;

	(void)state;
	write_one(s, &a);
	write_one(s, &b);
	a.v[0] = 77;
	write_one(s, &a);
	seen = seen_of(s);
	assert_int_equal(seen->n, 2);
	assert_int_equal(seen->v[0].v[0], 77);
	a.is_gone = true;
	write_one(s, &a);
	write_one(s, &a);
	seen = seen_of(s);
	assert_int_equal(seen->n, 1);
	assert_int_equal(seen->v[0].sub, 1);
	store_close(s);
}

static void
a_shelf_has_each_entry_once(void **state)
{
	struct shelf shelf = { 0 };
	uint32_t there = 0;
	char name[16];
	struct kept k;

	(void)state;
	for (uint32_t i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "s%u", i % 1000);
		k = entry(name, "x", i % 2, i);
		shelf_put(&shelf, &k);
	}
	assert_int_equal(shelf.n, 1000);
	assert_int_equal(shelf_at(&shelf, 7)->v[0], 2007);
	assert_true(slice_eq(shelf_at(&shelf, 7)->key[0], SL("s7")));
	k = entry("s7", "x", 1, 0);
	k.is_gone = true;
	shelf_apply(&shelf, &k);
	assert_null(shelf_at(&shelf, 7));
	for (uint32_t i = 0; i < shelf.n; i++)
		there += shelf_at(&shelf, i) != NULL;
	assert_int_equal(there, 999);
	k.is_gone = false;
	shelf_apply(&shelf, &k);
	assert_non_null(shelf_at(&shelf, 7));
	shelf_free(&shelf);
}

/* What was told to be durable outlives the process that is killed. */
static void
a_killed_process_keeps_what_it_was_told(void **state)
{
	int fd[2], status;
	struct kept k;
	struct store *s;
	int64_t last = -1, v;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		s = opened(false);
		for (v = 0;; v++) {
			k = entry("s1", "gmail", 0, v);
			write_one(s, &k);
			if (write(fd[1], &v, sizeof(v)) != sizeof(v))
				_exit(1);
		}
	}
	close(fd[1]);
	while (last < 50)
		assert_int_equal(read(fd[0], &last, sizeof(last)),
		    sizeof(last));
	kill(pid, 9);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	while (read(fd[0], &v, sizeof(v)) == sizeof(v))
		last = v;
	close(fd[0]);
	s = opened(false);
	assert_true(seen_of(s)->v[0].v[0] >= last);
	store_close(s);
}

struct policies {
	uint32_t n;
	char text[4][64]; /* domain, id, hosts */
	uint8_t mode[4];
};

static void
policy_seen(void *ctx, const struct store_policy *p)
{
	struct policies *v = ctx;

	assert_true(v->n < ARRAY_LEN(v->text));
	assert_int_equal(p->expires_us - p->fetched_us, 100);
	v->mode[v->n] = p->mode;
	snprintf(v->text[v->n++], sizeof(v->text[0]), "%.*s %.*s %.*s",
	    SLF(p->domain), SLF(p->id), SLF(p->hosts));
}

static void
put_policy(struct store *s, const char *domain, const char *id, uint8_t mode,
    int64_t expires_us)
{
	struct store_policy p = { .domain = slice_str(domain),
		.id = slice_str(id),
		.hosts = SL("a\n*.b\n"),
		.mode = mode,
		.fetched_us = expires_us - 100,
		.expires_us = expires_us };

	assert_int_equal(store_policy_put(s, &p, why, sizeof(why)), 0);
}

/* Each domain has one; what has expired is gone. */
static void
policies_are_kept(void **state)
{
	struct policies v = { .n = 0 };
	struct store *s = opened(false);

	(void)state;
	put_policy(s, "x.example", "1", 1, 5000);
	put_policy(s, "y.example", "1", 2, 1000);
	put_policy(s, "x.example", "2", 2, 6000);
	put_policy(s, "z.example", "9", 1, 7000);
	store_close(s);
	s = opened(false);
	assert_int_equal(store_policy_read(s, 2000, 10, policy_seen, &v, why,
			     sizeof(why)),
	    0);
	assert_int_equal(v.n, 2);
	assert_string_equal(v.text[0], "x.example 2 a\n*.b\n");
	assert_string_equal(v.text[1], "z.example 9 a\n*.b\n");
	assert_int_equal(v.mode[0], 2);
	v.n = 0;
	assert_int_equal(store_policy_read(s, 0, 1, policy_seen, &v, why,
			     sizeof(why)),
	    0);
	assert_int_equal(v.n, 1);
	store_close(s);
}

static void
damage(off_t at, const char *bytes, size_t n)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), (ssize_t)n);
	close(fd);
}

static void
a_damaged_file_is_set_aside(void **state)
{
	struct kept k = entry("s1", "gmail", 0, 1);
	char junk[4096], name[160];
	struct store *s = opened(false);

	(void)state;
	memset(junk, 'x', sizeof(junk));
	write_one(s, &k);
	store_close(s);
	damage(0, "no database at all", 18);
	s = opened(true);
	assert_int_equal(seen_of(s)->n, 0);
	write_one(s, &k);
	store_close(s);
	snprintf(name, sizeof(name), "%s.bad-1", path);
	assert_int_equal(access(name, F_OK), 0);
	damage(4096, junk, sizeof(junk)); /* the table's own page */
	s = opened(true);
	assert_non_null(strstr(why, "books.db.bad-2"));
	write_one(s, &k);
	assert_int_equal(seen_of(s)->n, 1);
	store_close(s);
}

static void
a_newer_format_is_refused(void **state)
{
	struct store *s = opened(false);
	bool is_rebuilt;

	(void)state;
	store_close(s);
	damage(60, "\0\0\0\7", 4); /* user_version */
	assert_int_equal(store_open(&s, path, &is_rebuilt, why, sizeof(why)),
	    E_VERSION);
	assert_null(s);
	assert_false(is_rebuilt);
	assert_non_null(strstr(why, "format is number 7"));
}

static void
what_cannot_be_opened_is_an_error(void **state)
{
	char nowhere[] = "/nonexistent/books.db";
	bool is_rebuilt;
	struct store *s;

	(void)state;
	assert_int_not_equal(store_open(&s, nowhere, &is_rebuilt, why,
				 sizeof(why)),
	    0);
	assert_true(why[0] != '\0');
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_was_written_is_read),
		T(an_entry_replaces_its_like_and_can_go),
		T(a_shelf_has_each_entry_once),
		T(a_killed_process_keeps_what_it_was_told),
		T(policies_are_kept),
		T(a_damaged_file_is_set_aside),
		T(a_newer_format_is_refused),
		T(what_cannot_be_opened_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
