/*
 * replay.c - `mtasim replay --engine DIR`: what `mtad run --record DIR` kept,
 * lived again by the same engine, which must give the same commands.
 *
 * The oldest checkpoint is loaded and every event fed to it; a file that goes
 * on where the last one ended goes on with the same engine. The engine runs in
 * a child process: whatever a rotten file makes it do, the answer is an error.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/tape.h"
#include "mtasim.h"

#define SHOW_MAX 12u /* commands of either side */
#define STUCK_S 60   /* without a step */
#define TEXT_MAX 16384u

struct replay_opts {
	const char *dir;
	bool is_each, is_quiet;
};

/* What the parent sees of its child. */
struct progress {
	_Atomic uint64_t beats;
	uint64_t number, step;
};

struct replay {
	struct replay_opts o;
	struct progress *progress;
	struct eng *e;
	struct eng_policy policy[2]; /* the engine's, and one to come */
	uint32_t now_policy;
	struct eng_cmds cmds;
	unsigned char *bytes; /* of commands */
	size_t cap;
	/* Where the last file ended. */
	uint64_t run, step, hash;
	uint64_t files, steps, commands, gaps;
	const char *name;
};

static struct replay_opts opts_now;

static const struct opt opts[] = {
	{ "engine", "DIR", OPT_TEXT, offsetof(struct replay_opts, dir), NULL,
	    "a directory that mtad run --record wrote" },
	{ "each", NULL, OPT_FLAG, offsetof(struct replay_opts, is_each), NULL,
	    "load the checkpoint of every file, not of the oldest alone" },
	{ "quiet", NULL, OPT_FLAG, offsetof(struct replay_opts, is_quiet), NULL,
	    "no line for each file" },
};

static const struct opt_table table = {
	.command = "replay",
	.usage = "--engine DIR [OPTION ...]",
	.what = "Feeds a recording of the daemon's engine to the same engine "
		"and compares\nwhat it commands.",
	.opts = opts,
	.nopts = ARRAY_LEN(opts),
	.more = "Exit codes: 0 the same commands, 2 the recording cannot be "
		"read, 6 they differ\n(the first event that did is shown).",
};

/* ---- words ----------------------------------------------------------------------- */

/* The next of some recorded commands, as words; an empty text at the end. */
static void
show_next(struct slice *commands, int64_t now_us, struct buf *out)
{
	struct eng_cmd cmd;

	buf_reset(out);
	if (commands->n == 0)
		return;
	if (eng_cmd_get(commands, now_us, &cmd) != 0)
		*commands = slice_of(NULL, 0);
	else
		eng_cmd_show(&cmd, now_us, out);
}

static void
line(const char *what, const struct buf *text)
{
	printf("  %-9s %.*s\n", what, SLF(buf_slice(text)));
}

/* Both sides from the first command that is another. */
static void
differs(struct replay *r, const struct tape *t, const struct tape_step *s,
    struct slice got)
{
	struct slice want = s->commands;
	struct buf text, a, b;
	uint32_t n = 0, shown = 0;

	buf_init(&text, TEXT_MAX);
	buf_init(&a, TEXT_MAX);
	buf_init(&b, TEXT_MAX);
	eng_event_show(&s->ev, s->now_us, &text);
	printf("%s: step %llu, %.6f s after its checkpoint: DIFFERS\n", r->name,
	    (unsigned long long)t->step,
	    (double)(s->now_us - t->header.now_us) / US_PER_S);
	line("event", &text);
	for (; (want.n || got.n) && shown < SHOW_MAX; n++) {
		show_next(&want, s->now_us, &a);
		show_next(&got, s->now_us, &b);
		if (shown == 0 && slice_eq(buf_slice(&a), buf_slice(&b)))
			continue;
		if (shown++ == 0)
			printf("  at its command %u\n", n + 1);
		line("expected", a.n ? &a : (buf_addz(&a, "nothing"), &a));
		line("got", b.n ? &b : (buf_addz(&b, "nothing"), &b));
	}
	if (want.n || got.n)
		printf("  ...\n");
	fflush(stdout);
	buf_free(&text);
	buf_free(&a);
	buf_free(&b);
}

/* ---- one file --------------------------------------------------------------------- */

/* The commands of the last step as a recording has them. */
static struct slice
encoded(struct replay *r, int64_t now_us)
{
	size_t need = (size_t)r->cmds.n * ENG_CMD_WIRE_MAX + 1;
	unsigned char *at;

	if (need > r->cap) {
		r->bytes = mem_grow(r->bytes, need);
		ASSERT(r->bytes != NULL);
		r->cap = need;
	}
	at = r->bytes;
	for (uint32_t i = 0; i < r->cmds.n; i++)
		at = eng_cmd_put(at, &r->cmds.v[i], now_us);
	return slice_of((const char *)r->bytes, (size_t)(at - r->bytes));
}

static void
note(struct replay *r, const struct tape *t)
{
	struct progress *p = r->progress;

	p->number = t->header.number;
	p->step = t->step;
	atomic_fetch_add_explicit(&p->beats, 1, memory_order_relaxed);
}

/* Feeds a file: SIM_PASS, or the code to end with. */
static int
feed(struct replay *r, struct tape *t)
{
	struct tape_step s;
	struct slice got;
	int k;

	while ((k = tape_next(t, &r->policy[!r->now_policy], &s)) == 1) {
		note(r, t);
		r->cmds.n = 0;
		eng_step(r->e, &s.ev, s.now_us, &r->cmds);
		if (s.ev.kind == EV_CONF)
			r->now_policy = !r->now_policy;
		got = encoded(r, s.now_us);
		r->steps++;
		r->commands += r->cmds.n;
		r->hash = tape_hash(r->hash, got.p, got.n);
		if (!slice_eq(got, s.commands)) {
			differs(r, t, &s, got);
			return SIM_DIFFERS;
		}
	}
	if (k < 0)
		return opt_fail(&table, "%s: %s", r->name, t->why);
	return SIM_PASS;
}

/* An engine for this file: the one that came here, or its checkpoint's. */
static int
engine_for(struct replay *r, struct tape *t)
{
	const struct tape_header *h = &t->header;
	bool goes_on = r->e && r->run == h->run && r->step == h->step;

	if (r->e && r->run == h->run && !goes_on) {
		r->gaps++;
		printf("%s: %llu steps before it were not recorded\n", r->name,
		    (unsigned long long)(h->step - r->step));
	}
	if (goes_on && r->hash != h->hash)
		return opt_fail(&table,
		    "%s: its hash is not that of the file "
		    "before",
		    r->name);
	if (goes_on && !r->o.is_each) {
		t->at = (size_t)MIN(h->events_at, t->file.n);
		return SIM_PASS;
	}
	if (r->e)
		eng_free(r->e);
	r->e = NULL;
	if (tape_load(t, &r->policy[r->now_policy], &r->e) != 0)
		return opt_fail(&table, "%s: %s", r->name, t->why);
	r->hash = h->hash;
	return SIM_PASS;
}

static int
play(struct replay *r, struct slice file)
{
	struct tape t;
	uint64_t before = r->steps;
	int code, err = tape_open(&t, file);

	/* The newest file of a daemon that died at once has no checkpoint. */
	if (err == E_CORRUPT && t.is_unborn) {
		printf("%s: its checkpoint was never finished, left out\n",
		    r->name);
		return SIM_PASS;
	}
	if (err != 0)
		return opt_fail(&table, "%s: %s", r->name, t.why);
	code = engine_for(r, &t);
	if (code == SIM_PASS)
		code = feed(r, &t);
	if (code != SIM_PASS)
		return code;
	r->files++;
	r->run = t.header.run;
	r->step = t.step;
	if (!r->o.is_quiet)
		printf("%s: %llu steps%s\n", r->name,
		    (unsigned long long)(r->steps - before),
		    t.is_cut ? ", the last ones cut off" : "");
	return SIM_PASS;
}

/* ---- the ring ----------------------------------------------------------------------- */

static int
is_recording(const struct dirent *e)
{
	struct slice s = slice_str(e->d_name);

	return slice_has_prefix(s, SL("engine-")) &&
	    slice_has_isuffix(s, SL(".rec"));
}

static int
play_path(struct replay *r, const char *path)
{
	int code, fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p = MAP_FAILED;

	if (fd < 0 || fstat(fd, &st))
		return opt_fail(&table, "%s: %s", path,
		    err_text(err_from_errno(errno)));
	if (st.st_size == 0) {
		close(fd);
		return play(r, SL(""));
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return opt_fail(&table, "%s: %s", path,
		    err_text(err_from_errno(errno)));
	code = play(r, slice_of(p, (size_t)st.st_size));
	munmap(p, (size_t)st.st_size);
	return code;
}

static int
play_all(struct replay *r)
{
	struct dirent **v;
	char path[4096];
	int code = SIM_PASS, n = scandir(r->o.dir, &v, is_recording, alphasort);

	if (n < 0)
		return opt_fail(&table, "%s: %s", r->o.dir,
		    err_text(err_from_errno(errno)));
	for (int i = 0; i < n; i++) {
		r->name = v[i]->d_name;
		snprintf(path, sizeof(path), "%s/%s", r->o.dir, r->name);
		if (code == SIM_PASS)
			code = play_path(r, path);
		free(v[i]);
	}
	free(v);
	if (code != SIM_PASS)
		return code;
	if (r->files == 0)
		return opt_fail(&table, "%s: no recording", r->o.dir);
	printf("REPLAY %llu files, %llu steps, %llu commands, %llu gaps: the "
	       "same; hash %016llx\n",
	    (unsigned long long)r->files, (unsigned long long)r->steps,
	    (unsigned long long)r->commands, (unsigned long long)r->gaps,
	    (unsigned long long)r->hash);
	return SIM_PASS;
}

/* ---- the child ------------------------------------------------------------------------ */

static struct progress *progress_now;

static void
stopped(const char *how)
{
	printf("engine-%010llu.rec: step %llu: the engine stopped where it once"
	       " went on: %s\n",
	    (unsigned long long)progress_now->number,
	    (unsigned long long)progress_now->step, how);
	fflush(stdout);
}

static void
on_assert(const char *cond, const char *file, int line_no, const char *func)
{
	char text[400];

	snprintf(text, sizeof(text), "%s:%d: %s: not (%s)", file, line_no, func,
	    cond);
	stopped(text);
	_exit(SIM_DIFFERS);
}

static int
child_main(void)
{
	static struct replay r;
	struct rlimit none = { 0, 0 };
	int code;

	setrlimit(RLIMIT_CORE, &none);
	assert_hook = on_assert;
	r.o = opts_now;
	r.progress = progress_now;
	code = play_all(&r);
	if (r.e)
		eng_free(r.e);
	eng_cmds_free(&r.cmds);
	mem_free(r.bytes);
	return code;
}

/* Until the child has ended; one that makes no step any more is ended. */
static int
wait_for(pid_t pid)
{
	struct timespec ts = { .tv_nsec = 5 * 1000 * 1000 };
	uint64_t seen = 0, beats;
	double idle_s = 0;
	int status;

	for (;; nanosleep(&ts, NULL)) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
		beats = atomic_load(&progress_now->beats);
		idle_s = beats == seen ? idle_s + 0.005 : 0;
		seen = beats;
		if (idle_s > STUCK_S)
			kill(pid, SIGKILL);
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	stopped(strsignal(WTERMSIG(status)));
	return SIM_DIFFERS;
}

int
cmd_replay(int argc, char **argv)
{
	char **rest;
	int nrest, code;
	pid_t pid;

	opts_now = (struct replay_opts){ 0 };
	code = opt_parse(&table, argc, argv, &opts_now, &rest, &nrest);
	if (code >= 0)
		return code;
	if (nrest)
		return opt_fail(&table, "unexpected argument '%s'", rest[0]);
	if (!opts_now.dir)
		return opt_fail(&table, "--engine DIR is missing");
	progress_now = mmap(NULL, sizeof(*progress_now), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress_now == MAP_FAILED || (pid = fork()) < 0)
		return opt_fail(&table, "no memory for a child");
	if (pid == 0)
		exit(child_main());
	return wait_for(pid);
}
