/*
 * mtasim scenario - scenarios in prose, checked on the daemon's own engine under
 * a virtual clock; TAP on stdout.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/conf.h"
#include "mtasim.h"
#include "scene/scene.h"
#include "world/worldfile.h"

#define TABLE_MAX (8u << 20)
#define LINES_MAX 60 /* of a table below what failed */

struct options {
	const char *receivers;
	uint64_t seed;
	bool has_table;
	uint32_t tests, failed;
};

static const struct opt opts[] = {
	{ "table", NULL, OPT_FLAG, offsetof(struct options, has_table), NULL,
	    "minute by minute what the sender did; else where a check failed" },
	{ "receivers", "DIR", OPT_TEXT, offsetof(struct options, receivers),
	    NULL, "where the models of receivers are (the shipped ones)" },
	{ "seed", "N", OPT_COUNT, offsetof(struct options, seed), NULL,
	    "in place of the scenarios' own" },
};

static const struct opt_table table = { "scenario", "FILE [OPTION ...]",
	"Runs scenarios in prose, with the engine and the policy of an mtad\n"
	"configuration, under a virtual clock; checks what they say.",
	opts, ARRAY_LEN(opts),
	"The steps of a scenario: scenarios.md. Exit codes: 0, 1 (a check does "
	"not\nhold), 2 (an error in a scenario)." };

/* A table as comments of TAP. */
static void
put_table(const struct scene *s, uint32_t lines)
{
	struct buf b;
	struct slice rest;

	buf_init(&b, TABLE_MAX);
	scene_table(s, &b);
	rest = buf_slice(&b);
	for (uint32_t i = 0; i < lines && rest.n > 0; i++) {
		struct slice line = slice_cut(&rest, '\n');

		printf("# %.*s\n", SLF(line));
	}
	if (rest.n > 0)
		printf("# ...\n");
	buf_free(&b);
}

static bool
check(struct options *o, const struct scene *s, const struct step *step)
{
	char why[SCENE_WHY_MAX];
	int ok = scene_check(s, step, why, sizeof(why));

	o->tests++;
	printf("%s %u - %.*s: %.*s\n", ok == 1 ? "ok" : "not ok", o->tests,
	    SLF(s->title), SLF(step->text));
	if (ok == 1)
		return true;
	o->failed++;
	printf("# %s:%u: %s\n", s->path, step->line,
	    ok < 0 ? "nobody knows this step" : why);
	return false;
}

static void
run_scene(struct options *o, struct scene *s)
{
	struct conf_errors errs = { .report = world_report };
	bool ok = true;

	if (!scene_run(s, o->receivers, o->seed, &errs)) {
		printf("not ok %u - %.*s\n", ++o->tests, SLF(s->title));
		o->failed++;
		return;
	}
	for (uint32_t i = 0; i < s->nsteps; i++)
		if (s->steps[i].kind == STEP_THEN)
			ok &= check(o, s, &s->steps[i]);
	if (s->log.is_full) {
		printf("not ok %u - %.*s: there is room for what happens\n",
		    ++o->tests, SLF(s->title));
		o->failed++;
	}
	if (o->has_table || !ok)
		put_table(s, o->has_table ? UINT32_MAX : LINES_MAX);
	scene_free(s);
}

static int
run_file(struct options *o, const char *path)
{
	struct conf_errors errs = { .report = world_report };
	struct scene_file f;
	int code = SIM_PASS;

	if (scene_file_read(&f, path, &errs))
		for (uint32_t i = 0; i < f.n; i++)
			run_scene(o, &f.v[i]);
	else
		code = SIM_USAGE;
	scene_file_free(&f);
	return code;
}

int
cmd_scenario(int argc, char **argv)
{
	struct options o = { .receivers = NULL };
	char receivers[PATH_MAX];
	char **operands;
	int n, code = opt_parse(&table, argc, argv, &o, &operands, &n);

	if (code >= 0)
		return code;
	if (n == 0)
		return opt_fail(&table, "expected a file of scenarios");
	if (o.receivers == NULL)
		o.receivers =
		    conf_shipped("../receivers", receivers, sizeof(receivers));
	code = SIM_PASS;
	for (int i = 0; i < n; i++)
		if (run_file(&o, operands[i]) != SIM_PASS)
			code = SIM_USAGE;
	printf("1..%u\n", o.tests);
	if (code == SIM_PASS && o.failed)
		code = SIM_SLO;
	return code;
}
