/*
 * test_suppress - how names are written, what lines say, and that a question at a
 * desk is answered as the file would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "store/store.h"

#define SEED 11
#define NOW 1000000

static char dir[64], path[128], why[256];

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_suppress.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/suppression.db", dir);
	return 0;
}

static int
teardown(void **state)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char name[160];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
	return rmdir(dir);
}

static struct suppress_db *
opened(void)
{
	struct suppress_db *d;

	if (suppress_open(&d, path, SUPPRESS_WRITE, 1u << 20, 0, why,
		sizeof(why)))
		fail_msg("%s", why);
	return d;
}

static struct suppress_entry
entry(const char *tenant, const char *name, int64_t expires_s)
{
	return (struct suppress_entry){ .tenant = slice_str(tenant),
		.is_domain = strchr(name, '@') == NULL,
		.name = slice_str(name),
		.reason = SL("why"),
		.source = SL("test"),
		.added_s = NOW,
		.expires_s = expires_s };
}

static void
add(struct suppress_db *d, const char *tenant, const char *name,
    int64_t expires_s)
{
	struct suppress_entry e = entry(tenant, name, expires_s);

	assert_int_equal(suppress_begin(d), 0);
	assert_int_equal(suppress_put(d, &e), 0);
	assert_int_equal(suppress_commit(d), 0);
}

static struct suppress_desk *
desk(void)
{
	struct suppress_desk *k;

	if (suppress_desk_open(&k, path, SEED, 1u << 20, 0, why, sizeof(why)))
		fail_msg("%s", why);
	return k;
}

/* Of all that is in the file. */
static struct suppress_set *
set_of(struct suppress_db *d)
{
	struct suppress_walk *w = suppress_walk(d, NULL);
	struct suppress_set *s = suppress_set_new(SEED, 100);
	struct suppress_entry e;

	while (suppress_next(w, &e) > 0)
		suppress_set_add(s, &e);
	suppress_walk_end(w);
	return s;
}

static struct suppress_hit hit;

static bool
is_hit(struct suppress_desk *k, const char *tenant, const char *address)
{
	int found =
	    suppress_ask(k, slice_str(tenant), slice_str(address), NOW, &hit);

	assert_in_range(found, 0, 1);
	return found == 1;
}

/* ---- names ----------------------------------------------------------------------- */

static void
names_are_written_in_one_way(void **state)
{
	static const struct {
		const char *text, *name;
		bool is_domain;
	} v[] = {
		{ "Bob@Example.ORG", "bob@example.org", false },
		{ "\"b\\ob\"@x.example", "bob@x.example", false },
		{ "\"A b\"@x.example", "\"a b\"@x.example", false },
		{ "\"\\\"Pb\\\"\"@x.example", "\"\\\"pb\\\"\"@x.example",
		    false },
		{ "o'neil+Tag.x@x.example", "o'neil+tag.x@x.example", false },
		{ "u@[IPv6:2001:DB8::1]", "u@[ipv6:2001:db8::1]", false },
		{ "u@b\xc3\xbc"
		  "cher.example",
		    "u@xn--bcher-kva.example", false },
		{ "EXAMPLE.org", "example.org", true },
		{ "*.Example.org", "*.example.org", true },
		{ "*.example", "*.example", true },
	};
	static const char *const wrong[] = { "", "@", "a@", "@b.example",
		"word", "a b@c.example", "a@b..example", "*.", "*x.example",
		"a@*.example", "x.*.example", "a@b@c.example" };
	char text[SUPPRESS_NAME_MAX + 1];
	struct slice name;
	bool is_domain;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		assert_int_equal(suppress_name(slice_str(v[i].text), text,
				     &name, &is_domain),
		    0);
		assert_string_equal(text, v[i].name);
		assert_int_equal(name.n, strlen(v[i].name));
		assert_int_equal(is_domain, v[i].is_domain);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (suppress_name(slice_str(wrong[i]), text, &name,
			&is_domain) != E_SYNTAX)
			fail_msg("%s is taken", wrong[i]);
}

/* ---- lines ----------------------------------------------------------------------- */

static const struct suppress_line_conf lc = { .now_s = NOW,
	.tenant = { "ann", 3 },
	.reason = { "said", 4 } };

static void
lines_say_what_they_say(void **state)
{
	static const struct {
		enum suppress_format f;
		const char *line, *name, *tenant, *reason;
		int64_t expires_s;
	} v[] = {
		{ SUPPRESS_CSV, "A@b.example", "a@b.example", "ann", "said",
		    0 },
		{ SUPPRESS_CSV, " a@b.example ,bob,\"x, \"\"y\"\"\",30s\r",
		    "a@b.example", "bob", "x, \"y\"", NOW + 30 },
		{ SUPPRESS_CSV, "b.example,,,1970-01-02", "b.example", "ann",
		    "said", 86400 },
		{ SUPPRESS_CSV, "\"#x@b.example\",,,never", "#x@b.example",
		    "ann", "said", 0 },
		{ SUPPRESS_CSV,
		    "a@b.example,,,1970-01-01T00:01:00Z,s,1970-01-01",
		    "a@b.example", "ann", "said", 60 },
		{ SUPPRESS_JSON,
		    "{\"domain\":\"*.b.example\",\"tenant\":\"bob\","
		    "\"expires\":\"1h\",\"reason\":null}",
		    "*.b.example", "bob", "said", NOW + 3600 },
	};
	struct suppress_line one;
	const char *what;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		if (suppress_line_read(v[i].f, slice_str(v[i].line), &lc, &one,
			&what))
			fail_msg("%s: %s", v[i].line, what);
		assert_string_equal(one.name, v[i].name);
		assert_string_equal(one.tenant, v[i].tenant);
		assert_string_equal(one.reason, v[i].reason);
		assert_int_equal(one.e.expires_s, v[i].expires_s);
	}
}

static void
what_is_no_entry_is_refused(void **state)
{
	static const char *const csv[] = { "a b", "\"a@b.example",
		"\"a@b.example\"x", "a@b.example,t,r,e,s,d,more",
		"a@b.example,,,yesterday", "a@b.example,,\x01",
		"a@b.example,,a\"b" };
	static const char *const json[] = { "{", "[]", "{}", "{\"address\":1}",
		"{\"address\":\"a@b.example\",\"tennant\":\"x\"}",
		"{\"address\":\"a@b.example\",\"domain\":\"b.example\"}",
		"{\"address\":\"a\\u0000@b.example\"}",
		"{\"address\":\"a@b.example\",\"expires\":\"soon\"}" };
	char text[1000];
	struct suppress_line one;
	const char *what;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(csv); i++) {
		what = NULL;
		assert_int_equal(suppress_line_read(SUPPRESS_CSV,
				     slice_str(csv[i]), &lc, &one, &what),
		    E_SYNTAX);
		assert_non_null(what);
	}
	for (size_t i = 0; i < ARRAY_LEN(json); i++) {
		what = NULL;
		assert_int_equal(suppress_line_read(SUPPRESS_JSON,
				     slice_str(json[i]), &lc, &one, &what),
		    E_SYNTAX);
		assert_non_null(what);
	}
	memset(text, 'x', sizeof(text));
	memcpy(text, "a@b.example,,", 13);
	assert_int_equal(suppress_line_read(SUPPRESS_CSV,
			     slice_of(text, 13 + 256), &lc, &one, &what),
	    E_SYNTAX);
	assert_int_equal(suppress_line_read(SUPPRESS_CSV,
			     slice_of(text, 13 + 255), &lc, &one, &what),
	    0);
	assert_int_equal(suppress_line_read(SUPPRESS_CSV, SL("address,tenant"),
			     &lc, &one, &what),
	    E_NOTFOUND);
	assert_int_equal(suppress_line_read(SUPPRESS_CSV, SL("# a word"), &lc,
			     &one, &what),
	    E_NOTFOUND);
}

/* ---- the file -------------------------------------------------------------------- */

static void
an_entry_is_replaced_removed_and_kept(void **state)
{
	struct suppress_db *d = opened();
	struct suppress_entry e;
	uint64_t n;

	(void)state;
	add(d, "", "a@b.example", 0);
	add(d, "", "a@b.example", 77);
	add(d, "ann", "a@b.example", 0);
	suppress_close(d);
	d = opened();
	assert_int_equal(suppress_count(d, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(suppress_get(d, SL(""), false, SL("a@b.example"), &e),
	    0);
	assert_int_equal(e.expires_s, 77);
	assert_int_equal(suppress_del(d, SL(""), false, SL("a@b.example")), 0);
	assert_int_equal(suppress_del(d, SL(""), false, SL("a@b.example")),
	    E_NOTFOUND);
	assert_int_equal(suppress_get(d, SL("ann"), false, SL("a@b.example"),
			     &e),
	    0);
	suppress_close(d);
}

static void
a_commit_outlives_the_process(void **state)
{
	struct suppress_db *d;
	struct suppress_entry e;
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		d = opened();
		add(d, "", "a@b.example", 0);
		if (suppress_begin(d))
			_exit(1);
		e = entry("", "half@b.example", 0);
		_exit(suppress_put(d, &e) ? 1 : 0); /* without a commit */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	d = opened();
	assert_int_equal(suppress_get(d, SL(""), false, SL("a@b.example"), &e),
	    0);
	assert_int_equal(suppress_get(d, SL(""), false, SL("half@b.example"),
			     &e),
	    E_NOTFOUND);
	suppress_close(d);
}

static void
strikes_count_within_their_period(void **state)
{
	struct suppress_db *d = opened();
	uint64_t n = 0;

	(void)state;
	for (int64_t at = 10; at <= 30; at += 10)
		assert_int_equal(suppress_strike(d, SL("ann"),
				     SL("a@b.example"), at, at - 15, &n),
		    0);
	assert_int_equal(n, 2);
	assert_int_equal(suppress_strike(d, SL("bob"), SL("a@b.example"), 30, 0,
			     &n),
	    0);
	assert_int_equal(n, 1);
	assert_int_equal(suppress_unstrike(d, SL("ann"), SL("a@b.example")), 0);
	assert_int_equal(suppress_strike(d, SL("ann"), SL("a@b.example"), 40, 0,
			     &n),
	    0);
	assert_int_equal(n, 1);
	suppress_close(d);
}

static bool
ends_at_once(void *ctx, uint64_t done)
{
	(void)done;
	return --*(int *)ctx > 0;
}

static void
many_come_in_order_and_the_last_counts(void **state)
{
	struct suppress_db *d = opened();
	struct suppress_load *l = suppress_load_new(d, NULL, NULL);
	struct suppress_walk *w;
	struct suppress_entry e;
	char text[64], last[64] = "";
	uint64_t n;

	(void)state;
	for (uint64_t i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "u%llu@b.example",
		    (unsigned long long)(i * 7919 % 2500));
		e = entry("", text, (int64_t)i + 1);
		assert_int_equal(suppress_load_add(l, &e), 0);
	}
	assert_int_equal(suppress_load_end(l, &n), 0);
	assert_int_equal(n, 5000);
	suppress_load_free(l);
	assert_int_equal(suppress_count(d, &n), 0);
	assert_int_equal(n, 2500);
	w = suppress_walk(d, NULL);
	while (suppress_next(w, &e) > 0) {
		assert_true(slice_cmp(slice_str(last), e.name) < 0);
		assert_true(e.expires_s > 2500);
		slice_copy(e.name, last, sizeof(last));
	}
	suppress_walk_end(w);
	suppress_close(d);
}

static void
an_import_that_is_ended_says_so(void **state)
{
	struct suppress_db *d = opened();
	int looks = 2;
	struct suppress_load *l = suppress_load_new(d, ends_at_once, &looks);
	struct suppress_entry e = entry("", "a@b.example", 0);
	int err = 0;

	(void)state;
	for (uint64_t i = 0; i < 20000 && !err; i++)
		err = suppress_load_add(l, &e);
	assert_int_equal(err, E_CLOSED);
	suppress_load_free(l);
	suppress_close(d);
}

/* ---- desks ----------------------------------------------------------------------- */

static void
check_answers(struct suppress_desk *k)
{
	assert_true(is_hit(k, "ann", "A@b.example"));
	assert_string_equal(hit.reason, "why");
	assert_int_equal(hit.tenant.n, 0);
	assert_true(is_hit(k, "", "a@b.example"));
	assert_true(is_hit(k, "ann", "b@b.example"));
	assert_int_equal(hit.tenant.n, 3);
	assert_false(is_hit(k, "bob", "b@b.example"));
	assert_false(is_hit(k, "", "b@b.example"));
	assert_true(is_hit(k, "bob", "any@Dom.example"));
	assert_false(is_hit(k, "bob", "any@sub.dom.example"));
	assert_true(is_hit(k, "bob", "any@x.y.tree.example"));
	assert_string_equal(hit.name, "*.tree.example");
	assert_true(is_hit(k, "bob", "any@y.tree.example"));
	assert_false(is_hit(k, "bob", "any@tree.example"));
	assert_false(is_hit(k, "bob", "any@xtree.example"));
	assert_false(is_hit(k, "", "old@b.example"));
	assert_true(is_hit(k, "", "young@b.example"));
	assert_false(is_hit(k, "", "postmaster"));
	assert_false(is_hit(k, "", ""));
}

static void
a_desk_answers_as_the_file(void **state)
{
	struct suppress_db *d = opened();
	struct suppress_desk *k = desk();
	uint64_t asked, vain, before;

	(void)state;
	add(d, "", "a@b.example", 0);
	add(d, "ann", "b@b.example", 0);
	add(d, "", "dom.example", 0);
	add(d, "bob", "*.tree.example", 0);
	add(d, "", "old@b.example", NOW);
	add(d, "", "young@b.example", NOW + 1);
	check_answers(k); /* without a set: the file */
	suppress_desk_rest(k);
	suppress_desk_swap(k, set_of(d));
	suppress_desk_counts(k, &before, &vain);
	check_answers(k);
	for (int i = 0; i < 1000; i++)
		assert_false(is_hit(k, "ann", "nobody@elsewhere.example"));
	suppress_desk_counts(k, &asked, &vain);
	assert_in_range(asked - before, 8, 11); /* the hits, not the misses */
	suppress_desk_close(k);
	suppress_close(d);
}

static void
what_is_fresh_is_seen_and_what_is_gone_is_not(void **state)
{
	struct suppress_db *d = opened();
	struct suppress_desk *k = desk();
	struct suppress_entry e = entry("", "*.new.example", 0);
	struct suppress_news news = suppress_news(SEED, &e);

	(void)state;
	add(d, "", "a@b.example", 0);
	suppress_desk_swap(k, set_of(d));
	assert_true(is_hit(k, "", "a@b.example")); /* reads from here on */
	add(d, "", "*.new.example", 0);
	assert_false(is_hit(k, "", "x@sub.new.example"));
	suppress_desk_add(k, &news, 1);
	assert_true(is_hit(k, "", "x@sub.new.example"));
	assert_int_equal(suppress_del(d, SL(""), false, SL("a@b.example")), 0);
	suppress_desk_rest(k);
	assert_false(is_hit(k, "", "a@b.example"));
	suppress_desk_close(k);
	suppress_close(d);
}

static void
too_many_fresh_ones_ask_the_file(void **state)
{
	struct suppress_db *d = opened();
	struct suppress_desk *k = desk();

	(void)state;
	suppress_desk_swap(k, set_of(d));
	add(d, "", "a@b.example", 0);
	assert_false(is_hit(k, "", "a@b.example"));
	for (uint64_t i = 0; i <= SUPPRESS_FRESH_MAX; i++)
		suppress_desk_add(k, &(struct suppress_news){ .hash = i + 1 },
		    1);
	assert_true(is_hit(k, "", "a@b.example"));
	suppress_desk_swap(k, set_of(d)); /* a new set knows it */
	assert_true(is_hit(k, "", "a@b.example"));
	suppress_desk_close(k);
	suppress_close(d);
}

static void
a_file_of_a_newer_program_is_refused(void **state)
{
	struct suppress_db *d = opened();
	sqlite3 *raw;

	(void)state;
	suppress_close(d);
	assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
	assert_int_equal(sqlite3_exec(raw, "PRAGMA user_version=9", NULL, NULL,
			     NULL),
	    SQLITE_OK);
	sqlite3_close(raw);
	assert_int_equal(suppress_open(&d, path, SUPPRESS_WRITE, 1u << 20, 0,
			     why, sizeof(why)),
	    E_VERSION);
	assert_int_equal(suppress_open(&d, "/nowhere/x", SUPPRESS_READ,
			     1u << 20, 0, why, sizeof(why)),
	    E_NOTFOUND);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_written_in_one_way),
		cmocka_unit_test(lines_say_what_they_say),
		cmocka_unit_test(what_is_no_entry_is_refused),
		T(an_entry_is_replaced_removed_and_kept),
		T(a_commit_outlives_the_process),
		T(strikes_count_within_their_period),
		T(many_come_in_order_and_the_last_counts),
		T(an_import_that_is_ended_says_so),
		T(a_desk_answers_as_the_file),
		T(what_is_fresh_is_seen_and_what_is_gone_is_not),
		T(too_many_fresh_ones_ask_the_file),
		T(a_file_of_a_newer_program_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
