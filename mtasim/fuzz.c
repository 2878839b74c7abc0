/*
 * fuzz.c - `mtasim fuzz`: worlds by the seed, until one breaks a rule.
 *
 * Each world runs in this process. One that fails says so from inside, prints
 * its story, and then looks for a smaller world that fails in the same way:
 * each try is a child process of its own.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check/check.h"
#include "mtasim.h"
#include "sim/sim.h"

#define STORY_LINES 200
#define SHRINK_S 60
#define TRY_S 20

struct fuzz {
	uint64_t seed, first, last;
	int64_t time_us;
	uint64_t jobs, messages, checkpoint;
	bool is_large, is_json, is_twice, is_quiet, must_mark, no_shrink;
	uint64_t without;
};

static struct fuzz fuzz;
static struct sim_opts now; /* the world that runs */
static struct sim_report running;
static struct story story;
static struct marks marks;
static int child_fd = -1; /* a try of the shrinking: its verdict goes there */

static int64_t
clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

/* ---- options --------------------------------------------------------------------- */

static int
call_seeds(void *into, const char *value, char *why, size_t cap)
{
	struct fuzz *f = into;
	struct slice s = slice_str(value), a = s;
	const char *dots = strstr(value, "..");

	if (dots) {
		a = slice_of(value, (size_t)(dots - value));
		s = slice_str(dots + 2);
	}
	if (slice_u64(a, UINT64_MAX - 1, &f->first) ||
	    slice_u64(s, UINT64_MAX - 1, &f->last) || f->last < f->first) {
		snprintf(why, cap, "expected A..B");
		return E_SYNTAX;
	}
	return 0;
}

static int
call_size(void *into, const char *value, char *why, size_t cap)
{
	struct fuzz *f = into;

	f->is_large = strcmp(value, "large") == 0;
	if (f->is_large || strcmp(value, "small") == 0)
		return 0;
	snprintf(why, cap, "expected small or large");
	return E_SYNTAX;
}

static int
call_without(void *into, const char *value, char *why, size_t cap)
{
	struct fuzz *f = into;
	struct slice rest = slice_str(value), name;

	while ((name = slice_cut(&rest, ',')).n) {
		uint32_t i = 0;

		while (i < SIM_FEATURE_N &&
		    !slice_eq(name,
			slice_str(sim_feature_name((enum sim_feature)i))))
			i++;
		if (i == SIM_FEATURE_N) {
			snprintf(why, cap, "no feature named %.*s", SLF(name));
			return E_SYNTAX;
		}
		f->without |= UINT64_C(1) << i;
		if (!rest.p)
			break;
	}
	return 0;
}

static const struct opt opts[] = {
	{ "seed", "N", OPT_COUNT, offsetof(struct fuzz, seed), NULL,
	    "one world" },
	{ "seeds", "A..B", OPT_CALL, 0, call_seeds, "these worlds" },
	{ "time", "T", OPT_TIME, offsetof(struct fuzz, time_us), NULL,
	    "go on with fresh seeds for so long" },
	{ "size", "SIZE", OPT_CALL, 0, call_size, "small (default) or large" },
	{ "jobs", "N", OPT_COUNT, offsetof(struct fuzz, jobs), NULL,
	    "processes that share the seeds (1)" },
	{ "twice", NULL, OPT_FLAG, offsetof(struct fuzz, is_twice), NULL,
	    "run each world twice and compare the traces" },
	{ "checkpoint", "N", OPT_COUNT, offsetof(struct fuzz, checkpoint), NULL,
	    "again, its engine saved and loaded every N turns" },
	{ "without", "A,B", OPT_CALL, 0, call_without,
	    "leave features of the worlds out" },
	{ "messages", "N", OPT_COUNT, offsetof(struct fuzz, messages), NULL,
	    "offer at most so many messages" },
	{ "marks", NULL, OPT_FLAG, offsetof(struct fuzz, must_mark), NULL,
	    "fail when a mark of the table was never hit" },
	{ "no-shrink", NULL, OPT_FLAG, offsetof(struct fuzz, no_shrink), NULL,
	    "do not look for a smaller failing world" },
	{ "quiet", NULL, OPT_FLAG, offsetof(struct fuzz, is_quiet), NULL,
	    "no line for each seed" },
	{ "json", NULL, OPT_FLAG, offsetof(struct fuzz, is_json), NULL,
	    "lines as JSON" },
};

static const struct opt_table table = {
	.command = "fuzz",
	.usage = "[--seed N | --seeds A..B] [OPTION ...]",
	.what = "Runs the daemon's own engine, relay and spool in made-up "
		"worlds under a\nvirtual clock, with faults, and checks that "
		"its promises hold.",
	.opts = opts,
	.nopts = ARRAY_LEN(opts),
	.more =
	    "Exit codes: 0 all held, 5 a promise was broken, 6 one seed gave "
	    "two traces.",
};

/* ---- one world --------------------------------------------------------------------- */

static void
options_of(uint64_t seed)
{
	now = (struct sim_opts){ .seed = seed,
		.is_large = fuzz.is_large,
		.without = fuzz.without,
		.messages = (uint32_t)fuzz.messages,
		.story = &story,
		.marks = &marks };
}

static void
command_print(FILE *to, const struct sim_opts *o)
{
	const char *sep = " --without ";

	fprintf(to, "mtasim fuzz --seed %llu%s", (unsigned long long)o->seed,
	    o->is_large ? " --size large" : "");
	for (uint32_t i = 0; i < SIM_FEATURE_N; i++)
		if (o->without >> i & 1) {
			fprintf(to, "%s%s", sep,
			    sim_feature_name((enum sim_feature)i));
			sep = ",";
		}
	if (o->messages)
		fprintf(to, " --messages %u", o->messages);
	if (o->checkpoint)
		fprintf(to, " --checkpoint %u", o->checkpoint);
	fprintf(to, "\n");
}

static void
report_print(const struct sim_report *r, int64_t took_us)
{
	if (fuzz.is_quiet)
		return;
	printf(fuzz.is_json ?
		"{\"seed\":%llu,\"events\":%llu,\"attempts\":%llu,"
		"\"faults\":%llu,\"messages\":%llu,\"recipients\":%llu,"
		"\"delivered\":%llu,\"bounced\":%llu,\"expired\":%llu,"
		"\"deleted\":%llu,\"notices\":%llu,\"second\":%llu,"
		"\"crashes\":%llu,\"seconds\":%llu,\"hash\":\"%016llx\","
		"\"ms\":%lld}\n" :
		"seed %llu: %llu events, %llu attempts, %llu faults; %llu "
		"messages, %llu recipients: %llu delivered, %llu bounced, %llu "
		"expired, %llu deleted, %llu notices, %llu twice; %llu crashes "
		"in %llu s; trace %016llx; %lld ms\n",
	    (unsigned long long)r->seed, (unsigned long long)r->events,
	    (unsigned long long)r->attempts, (unsigned long long)r->faults,
	    (unsigned long long)r->messages, (unsigned long long)r->recipients,
	    (unsigned long long)r->delivered, (unsigned long long)r->bounced,
	    (unsigned long long)r->expired, (unsigned long long)r->deleted,
	    (unsigned long long)r->notices,
	    (unsigned long long)r->second_deliveries,
	    (unsigned long long)r->crashes, (unsigned long long)r->seconds,
	    (unsigned long long)r->hash, (long long)(took_us / 1000));
	fflush(stdout);
}

/* ---- failure -------------------------------------------------------------------------- */

/* How a world failed: the rule it broke, and after how much. */
struct failure {
	char rule[64];
	uint64_t events, messages;
};

/* Runs a world in a child. False when it holds, or takes too long. */
static bool
fails(const struct sim_opts *o, struct failure *f)
{
	bool failed;
	int fd[2];
	pid_t pid;

	fflush(stdout);
	if (pipe(fd) || (pid = fork()) < 0)
		return false;
	if (pid == 0) {
		child_fd = fd[1];
		now = *o;
		signal(SIGALRM, SIG_DFL);
		alarm(TRY_S);
		sim_run(o, &running);
		_exit(0);
	}
	close(fd[1]);
	failed = read(fd[0], f, sizeof(*f)) == sizeof(*f);
	close(fd[0]);
	waitpid(pid, NULL, 0);
	return failed;
}

/* The search for the shortest run that fails in the same way. */
struct shrinking {
	struct sim_opts best;
	struct failure how;
	int64_t end_us;
	uint32_t tries;
};

/* Is this one shorter, and breaks the same rule? Then it is the best. */
static bool
shorter(struct shrinking *s, const struct sim_opts *o)
{
	struct failure f;

	s->tries++;
	if (!fails(o, &f) || strcmp(f.rule, s->how.rule) != 0 ||
	    f.events >= s->how.events)
		return false;
	s->best = *o;
	s->how = f;
	return true;
}

static bool
drop_features(struct shrinking *s)
{
	bool any = false;

	for (uint32_t i = 0; i < SIM_FEATURE_N; i++) {
		struct sim_opts o = s->best;

		o.without |= UINT64_C(1) << i;
		if (o.without != s->best.without && clock_us() < s->end_us)
			any |= shorter(s, &o);
	}
	return any;
}

static bool
drop_messages(struct shrinking *s)
{
	uint32_t n = (uint32_t)s->how.messages, part = n / 2;
	bool any = false;

	while (part > 0 && clock_us() < s->end_us) {
		struct sim_opts o = s->best;

		o.messages = n - part;
		if (o.messages && shorter(s, &o)) {
			n -= part;
			any = true;
		} else
			part /= 2;
	}
	return any;
}

/* Leaves out features and messages as long as that helps. */
static void
shrink(const struct sim_opts *o)
{
	struct shrinking s = { .best = *o };
	uint64_t events;
	bool goes_on;

	s.end_us = clock_us() + SHRINK_S * US_PER_S;
	if (!fails(o, &s.how)) {
		printf("it does not fail again: not shrunk\n");
		return;
	}
	events = s.how.events;
	do {
		goes_on = drop_features(&s);
		goes_on |= drop_messages(&s);
	} while (goes_on && clock_us() < s.end_us);
	printf("the shortest run found that fails: %llu events of %llu, %u "
	       "tries\n  ",
	    (unsigned long long)s.how.events, (unsigned long long)events,
	    s.tries);
	command_print(stdout, &s.best);
}

/* A child says how it failed, and no more. */
static void
child_ends(const struct verdict *v)
{
	struct failure f = { .events = story.event,
		.messages = running.messages };

	slice_copy(slice_str(v->rule), f.rule, sizeof(f.rule));
	_exit(write(child_fd, &f, sizeof(f)) == sizeof(f) ? SIM_BROKEN : 1);
}

static void
on_verdict(const struct verdict *v)
{
	struct sim_opts failed = now;

	if (child_fd >= 0)
		child_ends(v);
	printf("seed %llu BROKEN: %s\n  %s\n  but %s\n",
	    (unsigned long long)now.seed, v->rule, v->fact[0], v->fact[1]);
	story_print(&story, stdout, v->msg, STORY_LINES);
	printf("again:\n  ");
	command_print(stdout, &failed);
	if (!fuzz.no_shrink)
		shrink(&failed);
	fflush(stdout);
	_exit(SIM_BROKEN);
}

static void
on_assert(const char *cond, const char *file, int line, const char *func)
{
	struct verdict v = { .rule = "no assertion fails" };

	snprintf(v.fact[0], sizeof(v.fact[0]), "%s:%d: %s", file, line, func);
	snprintf(v.fact[1], sizeof(v.fact[1]), "not (%s)", cond);
	on_verdict(&v);
}

static void
on_signal(int sig)
{
	struct verdict v = { .rule = sig == SIGALRM ? "a world ends" :
						      "nothing crashes" };

	snprintf(v.fact[0], sizeof(v.fact[0]), "signal %d", sig);
	slice_copy(SL("it should not"), v.fact[1], sizeof(v.fact[1]));
	on_verdict(&v);
}

static void
differs(const struct sim_report *a, const struct sim_report *b)
{
	printf("seed %llu DIFFERS: trace %016llx with %llu events\n"
	       "  then %016llx with %llu events\n",
	    (unsigned long long)a->seed, (unsigned long long)a->hash,
	    (unsigned long long)a->events, (unsigned long long)b->hash,
	    (unsigned long long)b->events);
	fflush(stdout);
	_exit(SIM_DIFFERS);
}

/* ---- many worlds ----------------------------------------------------------------------- */

static void
one(uint64_t seed)
{
	struct sim_report r, again;
	int64_t began = clock_us();

	options_of(seed);
	alarm(60);
	sim_run(&now, &r);
	report_print(&r, clock_us() - began);
	if (!fuzz.is_twice && fuzz.checkpoint == 0)
		return;
	options_of(seed);
	now.checkpoint = (uint32_t)fuzz.checkpoint;
	sim_run(&now, &again);
	if (r.hash != again.hash)
		differs(&r, &again);
}

static bool
marks_print(const struct marks *m)
{
	bool all = true;

	printf("what happened, over all seeds:\n");
	for (int i = 0; i < MARK_N; i++) {
		printf("  %-30s %llu%s\n", mark_name((enum mark)i),
		    (unsigned long long)m->n[i], m->n[i] ? "" : "  NEVER");
		all &= m->n[i] != 0;
	}
	return all;
}

/* Seeds first + k, first + k + step, ... */
static void
some(uint64_t k, uint64_t step)
{
	int64_t began = clock_us();

	for (uint64_t seed = fuzz.first + k;; seed += step) {
		if (fuzz.time_us ? clock_us() - began >= fuzz.time_us :
				   seed > fuzz.last)
			return;
		one(seed);
	}
}

/* Children take their share and give their marks back through pipes. */
static int
shared(void)
{
	int fd[64][2], status, code = 0;
	pid_t pid[64];
	struct marks part;

	for (uint64_t k = 0; k < fuzz.jobs; k++) {
		if (pipe(fd[k]) || (pid[k] = fork()) < 0)
			return opt_fail(&table, "cannot fork");
		if (pid[k] == 0) {
			some(k, fuzz.jobs);
			_exit(write(fd[k][1], &marks, sizeof(marks)) !=
			    sizeof(marks));
		}
		close(fd[k][1]);
	}
	for (uint64_t k = 0; k < fuzz.jobs; k++) {
		if (read(fd[k][0], &part, sizeof(part)) == sizeof(part))
			for (int i = 0; i < MARK_N; i++)
				marks.n[i] += part.n[i];
		if (waitpid(pid[k], &status, 0) == pid[k])
			code = MAX(code,
			    WIFEXITED(status) ? WEXITSTATUS(status) :
						SIM_BROKEN);
	}
	return code;
}

int
cmd_fuzz(int argc, char **argv)
{
	char **rest;
	int nrest, code;

	fuzz = (struct fuzz){ .jobs = 1, .seed = UINT64_MAX, .first = 1 };
	fuzz.last = 20;
	code = opt_parse(&table, argc, argv, &fuzz, &rest, &nrest);
	if (code >= 0)
		return code;
	if (nrest)
		return opt_fail(&table, "unexpected argument '%s'", rest[0]);
	if (fuzz.jobs < 1 || fuzz.jobs > 64)
		return opt_fail(&table, "--jobs: expected 1 to 64");
	if (fuzz.seed != UINT64_MAX)
		fuzz.first = fuzz.last = fuzz.seed;
	check_hook = on_verdict;
	assert_hook = on_assert;
	signal(SIGALRM, on_signal);
	signal(SIGSEGV, on_signal);
	if (fuzz.jobs > 1)
		code = shared();
	else {
		some(0, 1);
		code = SIM_PASS;
	}
	if (code == SIM_PASS && !marks_print(&marks) && fuzz.must_mark) {
		printf("something never happened: the worlds are too tame\n");
		code = SIM_BROKEN;
	}
	return code;
}
