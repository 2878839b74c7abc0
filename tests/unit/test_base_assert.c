/*
 * What must not be survived: each misuse runs in a child process, which has
 * to die by abort(), its hook run once.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

static int hook_pipe[2];

static void
tell_parent(const char *cond, const char *file, int line, const char *func)
{
	(void)cond;
	(void)file;
	(void)line;
	(void)func;
	if (write(hook_pipe[1], "!", 1) != 1)
		_exit(1);
}

static void
fail_again(const char *cond, const char *file, int line, const char *func)
{
	tell_parent(cond, file, line, func);
	ASSERT(func == NULL);
}

typedef void (*hook_fn)(const char *, const char *, int, const char *);

/* Runs misuse() in a child: did it abort, and how often did the hook run? */
static void
assert_aborts(void (*misuse)(void), hook_fn hook)
{
	char told[8];
	int status;
	pid_t pid;

	assert_int_equal(pipe(hook_pipe), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		assert_hook = hook;
		signal(SIGABRT, SIG_DFL);
		misuse();
		_exit(0);
	}
	close(hook_pipe[1]);
	assert_int_equal(read(hook_pipe[0], told, sizeof(told)), 1);
	close(hook_pipe[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void
plain_failure(void)
{
	ASSERT(hook_pipe[1] < 0);
}

static void
give_a_slot_twice(void)
{
	struct pool p;
	struct handle h;

	pool_init(&p, 16, 4);
	pool_take(&p, &h);
	pool_give(&p, h.index);
	pool_give(&p, h.index);
}

static void
handle_of_a_dead_slot(void)
{
	struct pool p;
	struct handle h;

	pool_init(&p, 16, 4);
	pool_take(&p, &h);
	pool_give(&p, h.index);
	pool_handle(&p, h.index);
}

static void
map_the_value_zero(void)
{
	struct map m;

	map_init(&m, 1, 4);
	(void)map_put(&m, 1, 0);
}

static void
drop_a_name_too_often(void)
{
	struct names t;
	uint32_t id;

	names_init(&t, 1, 4);
	id = names_take(&t, SL("x"));
	names_drop(&t, id);
	names_drop(&t, id);
}

static void
push_a_node_twice(void)
{
	struct heap h;
	struct heap_node n = { 0 };

	heap_init(&h, 4);
	(void)heap_push(&h, &n, 1);
	(void)heap_push(&h, &n, 2);
}

static void
remove_a_node_of_no_heap(void)
{
	struct heap h;
	struct heap_node n = { 0 };

	heap_init(&h, 4);
	heap_remove(&h, &n);
}

static void
grow_beyond_the_room(void)
{
	struct buf b;

	buf_init(&b, 100);
	buf_room(&b, 10);
	buf_grew(&b, 101);
}

static void
close_what_is_not_open(void)
{
	struct jsonw w;
	struct buf b;

	buf_init(&b, 100);
	jw_init(&w, &b);
	jw_close(&w, '}');
}

static void
a_failed_assertion_runs_the_hook_and_aborts(void **state)
{
	(void)state;
	assert_aborts(plain_failure, tell_parent);
}

static void
a_hook_that_fails_itself_does_not_loop(void **state)
{
	(void)state;
	assert_aborts(plain_failure, fail_again);
}

static void
misuse_of_the_containers_aborts(void **state)
{
	static void (*const misuses[])(void) = {
		give_a_slot_twice,
		handle_of_a_dead_slot,
		map_the_value_zero,
		drop_a_name_too_often,
		push_a_node_twice,
		remove_a_node_of_no_heap,
		grow_beyond_the_room,
		close_what_is_not_open,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(misuses); i++)
		assert_aborts(misuses[i], tell_parent);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_assertion_runs_the_hook_and_aborts),
		cmocka_unit_test(a_hook_that_fails_itself_does_not_loop),
		cmocka_unit_test(misuse_of_the_containers_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
