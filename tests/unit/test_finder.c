/*
 * The index of messages on disk: what went in is found, whichever file it is in,
 * after it was opened again, and until it is pruned.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/finder.h"

#define N (2 * FINDER_RUN + 1000u)

static char dir[200];

static struct msgid
id_of(uint32_t i)
{
	return msgid_make(INT64_C(1795516327) * US_PER_S, 1, i);
}

static uint64_t
key_of(uint32_t i)
{
	struct msgid id = id_of(i);

	return find_key_id(&id);
}

static int
set_up(void **state)
{
	const char *tmp = getenv("TMP");
	struct finder *f;
	struct buf b;

	snprintf(dir, sizeof(dir), "%s/finder.%d", tmp ? tmp : "/tmp",
	    (int)getpid());
	f = finder_open(dir);
	assert_non_null(f);
	buf_init(&b, 1u << 20);
	for (uint32_t i = 0; i < N; i++) {
		struct msgid id = id_of(i);

		find_put(&b, find_key_id(&id), &id, i, 7, FIND_MESSAGE);
		if (i % 1000 == 0 || i + 1 == N) {
			assert_int_equal(finder_add(f, buf_slice(&b)), 0);
			buf_reset(&b);
		}
	}
	buf_free(&b);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	char path[300];

	finder_prune(*state, 0, 0);
	finder_close(*state);
	snprintf(path, sizeof(path), "%s/find.new", dir);
	assert_int_equal(unlink(path), 0);
	return 0;
}

static void
all_are_there(struct finder *f, uint32_t from)
{
	struct find_rec r;

	for (uint32_t i = from; i < N; i += 97) {
		assert_int_equal(finder_get(f, key_of(i), 0, &r, 1), 1);
		assert_int_equal(r.slot, i);
		assert_int_equal(r.rcpt, 7);
		assert_int_equal(finder_get(f, key_of(i), 1, &r, 1), 0);
	}
	assert_int_equal(finder_get(f, key_of(N + 5), 0, &r, 1), 0);
	assert_int_equal(finder_get(f, 0, 0, &r, 1), 0);
	assert_int_equal(finder_get(f, UINT64_MAX, 0, &r, 1), 0);
}

static void
what_went_in_is_found(void **state)
{
	all_are_there(*state, 0);
	assert_int_equal(finder_newest_s(*state), 1795516327);
}

static void
it_is_there_when_it_is_opened_again(void **state)
{
	finder_close(*state);
	*state = finder_open(dir);
	assert_non_null(*state);
	all_are_there(*state, 0);
}

static void
many_records_of_one_key_come_in_pages(void **state)
{
	struct finder *f = *state;
	struct find_rec v[64];
	struct msgid id = id_of(1);
	uint32_t n = 0, got;
	struct buf b;

	buf_init(&b, 1u << 20);
	for (uint32_t i = 0; i < 300; i++)
		find_put(&b, 42, &id, i, 0, FIND_RCPT);
	assert_int_equal(finder_add(f, buf_slice(&b)), 0);
	buf_free(&b);
	while ((got = finder_get(f, 42, n, v, 64)) > 0)
		n += got;
	assert_int_equal(n, 300);
}

static void
the_oldest_goes_first(void **state)
{
	struct finder *f = *state;
	struct find_rec r;

	finder_prune(f, FINDER_RUN * sizeof(r), 0);
	assert_int_equal(finder_get(f, key_of(3), 0, &r, 1), 0);
	all_are_there(f, FINDER_RUN);
	finder_prune(f, UINT64_MAX, 1795516328);
	assert_int_equal(finder_get(f, key_of(FINDER_RUN + 1), 0, &r, 1), 0);
	all_are_there(f, 2 * FINDER_RUN);
}

static void
damage_is_passed_over(void **state)
{
	char path[300];
	struct find_rec r;
	int fd;

	finder_close(*state);
	snprintf(path, sizeof(path), "%s/find-00000001.run", dir);
	assert_int_equal(truncate(path, 100000), 0);
	snprintf(path, sizeof(path), "%s/find.new", dir);
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "torn", 4), 4);
	close(fd);
	*state = finder_open(dir);
	assert_non_null(*state);
	assert_int_equal(finder_get(*state, key_of(3), 0, &r, 1), 0);
	all_are_there(*state, FINDER_RUN);
}

#define INDEXED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		INDEXED(what_went_in_is_found),
		INDEXED(it_is_there_when_it_is_opened_again),
		INDEXED(many_records_of_one_key_come_in_pages),
		INDEXED(the_oldest_goes_first),
		INDEXED(damage_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
