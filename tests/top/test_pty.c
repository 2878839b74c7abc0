/*
 * mtatop on a terminal, against a daemon that answers from files: what a
 * person sees and types, and what is left of the terminal afterwards.
 *
 * parallel: measures no time
 * timeout: 240
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "top/term.h"

#define PATH_CAP 400

/* ---- the daemon --------------------------------------------------------------- */

struct world {
	char dir[200], socket[256], mtatop[300], fake[300];
	pid_t daemon;
	struct term term;
	bool has_term;
};

static void
copy_file(const char *from, const char *to)
{
	char bytes[65536], temp[PATH_CAP + 8];
	FILE *f = fopen(from, "re"), *g;
	size_t n;

	assert_non_null(f);
	n = fread(bytes, 1, sizeof(bytes), f);
	assert_true(n < sizeof(bytes));
	fclose(f);
	/* The daemon reads whole files: it sees the old or the new one. */
	snprintf(temp, sizeof(temp), "%s.new", to);
	g = fopen(temp, "we");
	assert_non_null(g);
	assert_int_equal(fwrite(bytes, 1, n, g), n);
	fclose(g);
	assert_int_equal(rename(temp, to), 0);
}

/* The daemon now answers NAME from tests/top/data/FROM. */
static void
daemon_says(const struct world *w, const char *name, const char *from)
{
	const char *top = getenv("TOP");
	char a[PATH_CAP], b[PATH_CAP];

	snprintf(a, sizeof(a), "%s/tests/top/data/%s.json", top ? top : ".",
	    from);
	snprintf(b, sizeof(b), "%s/%s.json", w->dir, name);
	copy_file(a, b);
}

static void
daemon_start(struct world *w)
{
	char line[16] = "";
	int out[2];

	assert_int_equal(pipe(out), 0);
	w->daemon = fork();
	if (w->daemon == 0) {
		dup2(out[1], 1);
		close(out[0]);
		close(out[1]);
		execl(w->fake, w->fake, w->socket, w->dir, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	assert_true(read(out[0], line, sizeof(line)) > 0);
	assert_memory_equal(line, "ready", 5);
	close(out[0]);
}

static void
daemon_stop(struct world *w, int sig)
{
	if (w->daemon == 0)
		return;
	/* A failed test may have stopped it. It goes on first: while the leak
	 * checker at its end stops it to look, a SIGCONT would undo that, and
	 * both wait for ever. */
	kill(w->daemon, SIGCONT);
	kill(w->daemon, sig);
	waitpid(w->daemon, NULL, 0);
	w->daemon = 0;
}

static bool
daemon_was_asked(const struct world *w, const char *what)
{
	char path[PATH_CAP], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/requests", w->dir);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL)
		found = found || strstr(line, what) != NULL;
	fclose(f);
	return found;
}

struct asked {
	const struct world *w;
	const char *what;
};

static bool
is_asked(void *ctx)
{
	const struct asked *a = ctx;

	return daemon_was_asked(a->w, a->what);
}

static void
wait_asked(struct world *w, const char *what)
{
	term_wait_until(&w->term, is_asked, &(struct asked){ w, what }, what);
}

static int
set_up(void **state)
{
	const char *build = getenv("BUILD"), *tmp = getenv("TMP");
	struct world *w = calloc(1, sizeof(*w));
	char path[PATH_CAP];

	assert_non_null(w);
	snprintf(w->dir, sizeof(w->dir), "%s", tmp ? tmp : "/tmp");
	snprintf(w->socket, sizeof(w->socket), "%s/mtad.sock", w->dir);
	snprintf(w->mtatop, sizeof(w->mtatop), "%s/mtatop",
	    build ? build : "build");
	snprintf(w->fake, sizeof(w->fake), "%s/tests/top/fake_daemon",
	    build ? build : "build");
	snprintf(path, sizeof(path), "%s/requests", w->dir);
	unlink(path);
	unlink(w->socket);
	daemon_says(w, "status", "status");
	daemon_says(w, "queues", "queues");
	daemon_says(w, "sources", "sources");
	daemon_start(w);
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	if (w->has_term)
		term_close(&w->term);
	daemon_stop(w, SIGTERM);
	free(w);
	return 0;
}

static struct term *
open_with(struct world *w, int width, int height, const char *option,
    const char *env)
{
	char *argv[] = { w->mtatop, "-H", w->socket, "-d", "0.25",
		(char *)option, NULL };
	const char *vars[] = { env, NULL };

	term_open(&w->term, width, height, argv, vars);
	w->has_term = true;
	return &w->term;
}

static struct term *
open_top(struct world *w)
{
	struct term *t = open_with(w, 80, 24, NULL, NULL);

	term_wait(t, "gmail.example");
	assert_true(t->is_alternate);
	return t;
}

static bool
is_alternate(void *ctx)
{
	const struct term *t = ctx;

	return t->is_alternate;
}

/* A busy machine may not see each second of it. */
static bool
is_stale_8s(void *ctx)
{
	char text[24];

	for (int i = 8; i < 60; i++) {
		snprintf(text, sizeof(text), "STALE %ds", i);
		if (term_shows(ctx, text))
			return true;
	}
	return false;
}

/* ---- a visit -------------------------------------------------------------------- */

static void
it_shows_queues_and_leaves_no_trace(void **state)
{
	struct term *t = open_top(*state);

	assert_false(t->is_cursor_on);
	assert_false(term_is_restored(t));
	assert_true(term_shows(t, "LIVE"));
	assert_true(term_is_colored(t));
	term_keys(t, "q");
	term_wait_end(t);
	assert_true(WIFEXITED(t->status));
	assert_int_equal(WEXITSTATUS(t->status), 0);
	assert_true(term_is_restored(t));
}

static void
keys_sort_choose_and_change_screens(void **state)
{
	struct world *w = *state;
	struct term *t = open_top(w);

	term_keys(t, ">");
	term_wait(t, "sort due");
	term_wait(t, "DUE^");
	wait_asked(w, "/v1/queues sort=due");
	/* Down and up, as terminals say it in their two modes. */
	term_keys(t, "\033OB");
	term_wait(t, "outlook.example@bulk");
	term_keys(t, "\033[B");
	term_wait(t, "yahoo.example@bulk");
	term_keys(t, "\033[A");
	term_wait(t, "outlook.example@bulk");
	term_keys(t, "k");
	term_wait(t, "gmail.example@bulk");
	term_keys(t, "2");
	term_wait(t, "[2:Sources]");
	term_wait(t, "10.7.0.44");
	term_keys(t, "\t");
	term_wait(t, "[1:Queues]");
}

static void
help_comes_and_goes(void **state)
{
	struct term *t = open_top(*state);

	term_keys(t, "?");
	term_wait(t, "mtatop: keys");
	term_wait_gone(t, "gmail.example");
	term_keys(t, "\033");
	term_wait(t, "gmail.example");
	term_keys(t, "\033OP"); /* F1 */
	term_wait(t, "mtatop: keys");
}

static void
a_filter_is_typed_and_cleared(void **state)
{
	struct term *t = open_top(*state);

	term_keys(t, "/yahoq");
	term_wait(t, "no row holds that text");
	term_keys(t, "\177o\r");
	term_wait(t, "filter yahoo");
	term_wait(t, "yahoo.example");
	assert_false(term_shows(t, "outlook.exam"));
	term_keys(t, "\033");
	term_wait(t, "outlook.exam");
}

static void
it_follows_the_size_of_the_terminal(void **state)
{
	struct term *t = open_top(*state);

	term_resize(t, 160, 50);
	term_wait(t, "CAMPAIGN");
	term_wait(t, "nov-sale");
	term_resize(t, 40, 12);
	term_wait(t, "gmail.exam");
	term_wait(t, "backoff 4m");
	term_resize(t, 30, 10);
	term_wait(t, "mtatop needs 40x12");
	term_resize(t, 1, 1);
	term_resize(t, 80, 24);
	term_wait(t, "outlook.exam");
	term_keys(t, "q");
	term_wait_end(t);
	assert_true(term_is_restored(t));
}

static void
frozen_data_stay_until_it_goes_on(void **state)
{
	struct world *w = *state;
	struct term *t = open_top(w);

	term_keys(t, "z");
	term_wait(t, "FROZEN");
	daemon_says(w, "status", "status_before");
	term_keys(t, ">"); /* sorting goes on */
	term_wait(t, "sort due");
	assert_true(term_shows(t, "10:32:07Z"));
	term_keys(t, "z");
	term_wait(t, "LIVE");
	term_wait(t, "10:32:06Z");
}

/* ---- ways to end ------------------------------------------------------------------ */

static void
ends_by(void **state, int sig)
{
	struct term *t = open_top(*state);

	kill(t->pid, sig);
	term_wait_end(t);
	assert_true(WIFSIGNALED(t->status));
	assert_int_equal(WTERMSIG(t->status), sig);
	assert_true(term_is_restored(t));
}

static void
sigterm_gives_the_terminal_back(void **state)
{
	ends_by(state, SIGTERM);
}

static void
sigint_gives_the_terminal_back(void **state)
{
	ends_by(state, SIGINT);
}

static void
sighup_gives_the_terminal_back(void **state)
{
	ends_by(state, SIGHUP);
}

static void
sigquit_gives_the_terminal_back(void **state)
{
	ends_by(state, SIGQUIT);
}

static void
a_crash_gives_the_terminal_back(void **state)
{
	ends_by(state, SIGSEGV);
}

static void
an_abort_gives_the_terminal_back(void **state)
{
	ends_by(state, SIGABRT);
}

static void
control_c_is_typed(void **state)
{
	struct term *t = open_top(*state);

	term_keys(t, "\003");
	term_wait_end(t);
	assert_int_equal(WTERMSIG(t->status), SIGINT);
	assert_true(term_is_restored(t));
}

static void
control_z_stops_it_and_it_comes_back(void **state)
{
	struct term *t = open_top(*state);

	for (int i = 0; i < 2; i++) {
		term_keys(t, "\032");
		term_wait_stopped(t);
		assert_true(term_is_restored(t));
		t->is_stopped = false;
		kill(t->pid, SIGCONT);
		term_wait_until(t, is_alternate, t, "the alternate screen");
		term_wait(t, "gmail.example");
	}
	term_keys(t, "2");
	term_wait(t, "[2:Sources]");
	term_keys(t, "q");
	term_wait_end(t);
	assert_true(term_is_restored(t));
}

static void
it_ends_when_the_terminal_is_gone(void **state)
{
	struct term *t = open_top(*state);

	/* Nobody has the other side any more. */
	close(t->master);
	t->master = -1;
	term_wait_end(t);
	assert_true(t->is_ended);
}

/* ---- the daemon comes and goes ------------------------------------------------------- */

static void
a_daemon_that_restarts_is_stale_and_then_live(void **state)
{
	struct world *w = *state;
	struct term *t = open_top(w);

	daemon_stop(w, SIGKILL);
	term_wait(t, "STALE");
	term_wait(t, "mtad is not running there");
	assert_true(term_shows(t, "gmail.example"));
	term_keys(t, "2"); /* keys are answered meanwhile */
	term_wait(t, "10.7.0.44");
	daemon_start(w);
	term_wait(t, "LIVE");
	term_wait_gone(t, "STALE");
}

static void
a_daemon_that_hangs_is_stale_and_keys_work(void **state)
{
	struct world *w = *state;
	struct term *t = open_top(w);

	kill(w->daemon, SIGSTOP);
	term_keys(t, "?");
	term_wait(t, "mtatop: keys");
	term_keys(t, "?");
	term_wait(t, "STALE");
	term_wait(t, "timed out");
	/* By now it has been asked again: that is no success yet. */
	term_wait_until(t, is_stale_8s, t, "STALE 8s or more");
	assert_true(term_shows(t, "timed out"));
	kill(w->daemon, SIGCONT);
	term_wait(t, "LIVE");
	term_keys(t, "q");
	term_wait_end(t);
}

static void
it_may_be_started_before_the_daemon(void **state)
{
	struct world *w = *state;
	struct term *t;

	daemon_stop(w, SIGTERM);
	t = open_with(w, 80, 24, NULL, NULL);
	term_wait(t, "Waiting for the daemon");
	daemon_start(w);
	term_wait(t, "gmail.example");
}

static void
answers_that_make_no_sense_do_no_harm(void **state)
{
	struct world *w = *state;
	struct term *t = open_top(w);
	char path[PATH_CAP];

	snprintf(path, sizeof(path), "%s/queues.json", w->dir);
	unlink(path); /* 404 from now on */
	term_wait(t, "the daemon refuses to answer");
	copy_file("/dev/null", path);
	term_wait(t, "queues are no list");
	daemon_says(w, "queues", "queues");
	term_wait(t, "LIVE");
}

/* ---- the link ----------------------------------------------------------------------------- */

/* Until the daemon has been asked all of a new round. */
static void
wait_for_round(struct world *w)
{
	char path[PATH_CAP];

	snprintf(path, sizeof(path), "%s/requests", w->dir);
	for (int i = 0; i < 2; i++) {
		unlink(path);
		wait_asked(w, "/v1/sources");
	}
}

static void
a_screen_that_does_not_change_costs_nothing(void **state)
{
	struct world *w = *state;
	struct term *t = open_top(w);
	size_t before;

	wait_for_round(w);
	before = t->bytes;
	wait_for_round(w);
	assert_in_range(t->bytes - before, 0, 512);
}

static void
no_color_means_none(void **state)
{
	struct term *t = open_with(*state, 80, 24, NULL, "NO_COLOR=1");

	term_wait(t, "gmail.example");
	assert_false(term_is_colored(t));
	term_keys(t, "q");
	term_wait_end(t);
}

static void
ascii_means_ascii(void **state)
{
	struct term *t = open_with(*state, 100, 30, "--ascii", NULL);

	term_wait(t, "gmail.example");
	term_wait(t, "-------");
	term_wait(t, "outlook.examp");
	assert_false(term_shows(t, "\xe2\x80\xa6"));
}

static void
a_dumb_terminal_gets_one_frame(void **state)
{
	struct term *t = open_with(*state, 80, 24, NULL, "TERM=dumb");

	term_wait_end(t);
	assert_int_equal(t->status, 0);
	assert_true(term_shows(t, "TERM is dumb: printing one frame"));
	assert_true(term_shows(t, "gmail.example"));
	assert_false(t->is_alternate);
	assert_true(term_is_restored(t));
}

static void
a_terminal_nobody_knows_gets_one_frame(void **state)
{
	struct term *t =
	    open_with(*state, 80, 24, NULL, "TERM=no-such-terminal");

	term_wait_end(t);
	assert_int_equal(t->status, 0);
	assert_true(term_shows(t, "gmail.example"));
	assert_true(term_is_restored(t));
}

static void
old_terminals_show_it_too(void **state)
{
	static const char *const kinds[] = { "TERM=vt100", "TERM=vt220",
		"TERM=ansi", "TERM=linux", "TERM=xterm-mono",
		"TERM=screen-256color" };
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct term *t = open_with(w, 80, 24, NULL, kinds[i]);

		term_wait(t, "gmail.example");
		term_keys(t, "q");
		term_wait_end(t);
		assert_int_equal(t->status, 0);
		assert_true(term_is_restored(t));
		term_close(t);
		w->has_term = false;
	}
}

/* ---- once ------------------------------------------------------------------------------------ */

/* Runs a program without a terminal; what it printed is in text, stderr too.
 * Returns its exit status. */
static int
run(char *const argv[], char *text, size_t cap)
{
	static char *const env[] = { "LC_ALL=C.UTF-8", "COLUMNS=80", "LINES=24",
		NULL };
	posix_spawn_file_actions_t files;
	int out[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, out[1], 1);
	posix_spawn_file_actions_adddup2(&files, out[1], 2);
	posix_spawn_file_actions_addclose(&files, out[0]);
	assert_int_equal(posix_spawn(&pid, argv[0], &files, NULL, argv, env),
	    0);
	posix_spawn_file_actions_destroy(&files);
	close(out[1]);
	while (n + 1 < cap && (got = read(out[0], text + n, cap - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* One frame, with two more arguments. */
static int
once(struct world *w, const char *a, const char *b, char *text, size_t cap)
{
	char *argv[] = { w->mtatop, "-H", w->socket, "--once", "-d", "0",
		(char *)a, (char *)b, NULL };

	return run(argv, text, cap);
}

static void
once_prints_a_frame_of_text(void **state)
{
	char text[16384];

	assert_int_equal(once(*state, NULL, NULL, text, sizeof(text)), 0);
	assert_non_null(strstr(text, "! gmail.example"));
	assert_null(strchr(text, '\033'));
	assert_int_equal(once(*state, "--screen=sources", "-srefused", text,
			     sizeof(text)),
	    0);
	assert_non_null(strstr(text, "10.7.0.44"));
	assert_true(strstr(text, "10.7.0.44") < strstr(text, "10.7.0.12"));
}

static void
once_without_a_daemon_is_exit_3(void **state)
{
	struct world *w = *state;
	char text[16384];

	daemon_stop(w, SIGTERM);
	assert_int_equal(once(w, NULL, NULL, text, sizeof(text)), 3);
	assert_non_null(strstr(text, "mtad is not running there"));
	assert_non_null(strstr(text, w->socket));
}

static void
wrong_usage_is_exit_2(void **state)
{
	char text[16384];

	assert_int_equal(once(*state, "-s", "nonsense", text, sizeof(text)), 2);
	assert_non_null(strstr(text, "nonsense"));
	assert_int_equal(once(*state, "--wrong", NULL, text, sizeof(text)), 2);
	assert_int_equal(once(*state, "-d", "-1", text, sizeof(text)), 2);
	assert_int_equal(once(*state, "more", NULL, text, sizeof(text)), 2);
	assert_int_equal(once(*state, "--help", NULL, text, sizeof(text)), 0);
}

static void
the_socket_comes_from_the_configuration(void **state)
{
	struct world *w = *state;
	char path[PATH_CAP], text[16384];
	char *argv[] = { w->mtatop, "-c", path, "--once", "-d", "0", NULL };
	FILE *f;

	snprintf(path, sizeof(path), "%s/mtad.yml", w->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f,
	    "listen: { control: { bind: nowhere } }\n"
	    "list: [control, x]\n\"control\": %s\n",
	    w->socket);
	fclose(f);
	assert_int_equal(run(argv, text, sizeof(text)), 0);
	assert_non_null(strstr(text, "gmail.example"));
}

/* ---- a cat on the keyboard ---------------------------------------------------------------------- */

static bool
is_any_screen(void *ctx)
{
	return term_shows(ctx, "mtatop: keys") || term_shows(ctx, "DOMAIN") ||
	    term_shows(ctx, "SOURCE") || term_shows(ctx, "Why the mail");
}

static void
any_keys_at_any_size_leave_it_alive(void **state)
{
	static const char *const keys[] = { "j", "k", "G", "g", "?", "z", ">",
		"<", "I", "1", "2", "\t", "/", "x", "\177", "\r", "\033",
		"\033[A", "\033[B", "\033[5~", "\033[6~", "\033[H", "\033OF",
		"\014", "+", "-", "\033[200~", "\xc3\xa9", "\xff", " " };
	struct term *t = open_top(*state);
	unsigned seed = 1;

	for (int i = 0; i < 400; i++) {
		seed = seed * 1103515245u + 12345u;
		term_keys(t,
		    keys[(seed >> 16) % (sizeof(keys) / sizeof(keys[0]))]);
		if (i % 16 == 0)
			term_resize(t, 1 + (int)((seed >> 8) % 200),
			    1 + (int)((seed >> 20) % 60));
		term_pump(t, 0);
	}
	term_resize(t, 80, 24);
	/* Out of whatever it is in: a filter, the help, a freeze. */
	term_keys(t, "\r");
	term_wait_until(t, is_any_screen, t, "one of its screens");
	term_keys(t, "q");
	term_wait_end(t);
	assert_int_equal(t->status, 0);
	assert_true(term_is_restored(t));
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(it_shows_queues_and_leaves_no_trace),
		WORLD(keys_sort_choose_and_change_screens),
		WORLD(help_comes_and_goes),
		WORLD(a_filter_is_typed_and_cleared),
		WORLD(it_follows_the_size_of_the_terminal),
		WORLD(frozen_data_stay_until_it_goes_on),
		WORLD(sigterm_gives_the_terminal_back),
		WORLD(sigint_gives_the_terminal_back),
		WORLD(sighup_gives_the_terminal_back),
		WORLD(sigquit_gives_the_terminal_back),
		WORLD(a_crash_gives_the_terminal_back),
		WORLD(an_abort_gives_the_terminal_back),
		WORLD(control_c_is_typed),
		WORLD(control_z_stops_it_and_it_comes_back),
		WORLD(it_ends_when_the_terminal_is_gone),
		WORLD(a_daemon_that_restarts_is_stale_and_then_live),
		WORLD(a_daemon_that_hangs_is_stale_and_keys_work),
		WORLD(it_may_be_started_before_the_daemon),
		WORLD(answers_that_make_no_sense_do_no_harm),
		WORLD(a_screen_that_does_not_change_costs_nothing),
		WORLD(no_color_means_none),
		WORLD(ascii_means_ascii),
		WORLD(a_dumb_terminal_gets_one_frame),
		WORLD(a_terminal_nobody_knows_gets_one_frame),
		WORLD(old_terminals_show_it_too),
		WORLD(once_prints_a_frame_of_text),
		WORLD(once_without_a_daemon_is_exit_3),
		WORLD(wrong_usage_is_exit_2),
		WORLD(the_socket_comes_from_the_configuration),
		WORLD(any_keys_at_any_size_leave_it_alive),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
