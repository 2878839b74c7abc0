/*
 * mtasim plan - what a scenario will do to a queue: the daemon's own engine
 * and core under a virtual clock, once for each seed and each value of a
 * sweep.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "mtasim.h"
#include "plan/calib.h"
#include "plan/forecast.h"
#include "world/worldfile.h"

#define SWEEP_VALUES_MAX 64
#define SEEDS_MAX 100000
#define PATH_BYTES 4096
#define REPORT_MAX (64u << 20)
#define TELL_AFTER_US US_PER_S

struct sweep {
	struct slice key;
	uint32_t n;
	struct slice values[SWEEP_VALUES_MAX];
};

struct plan {
	uint64_t seeds, seed;
	const char *calibration;
	bool is_json, counts;
	struct calib record;
	bool is_calibrated, is_broken;
	uint32_t nsweeps;
	struct sweep sweeps[SCEN_SETS_MAX];
	/* The progress line. */
	bool tells, has_told;
	int64_t began_us, told_us;
	uint64_t run, runs, before;
	/* What the first run of a scenario costs. */
	struct cost cost;
	int64_t part_us; /* of the processor, at the end of the last part */
};

static int
add_sweep(void *into, const char *value, char *why, size_t why_cap)
{
	struct plan *p = into;
	struct sweep *s = &p->sweeps[p->nsweeps];
	struct slice rest = slice_str(value);

	if (p->nsweeps == SCEN_SETS_MAX) {
		snprintf(why, why_cap, "at most %d of them", SCEN_SETS_MAX);
		return E_FULL;
	}
	s->key = slice_cut(&rest, '=');
	while (rest.p != NULL && s->n < SWEEP_VALUES_MAX) {
		s->values[s->n] = slice_trim(slice_cut(&rest, ','));
		if (s->values[s->n++].n == 0)
			break;
	}
	if (s->key.n == 0 || s->n == 0 || rest.p != NULL ||
	    s->values[s->n - 1].n == 0) {
		snprintf(why, why_cap,
		    "expected KEY=VALUE,... such as pool.bulk.addresses=30,40");
		return E_SYNTAX;
	}
	p->nsweeps++;
	return 0;
}

static const struct opt opts[] = {
	{ "seeds", "N", OPT_COUNT, offsetof(struct plan, seeds), NULL,
	    "run with so many seeds (1); medians and 5-95 % bands" },
	{ "seed", "N", OPT_COUNT, offsetof(struct plan, seed), NULL,
	    "the first of them (the scenario's, or 1)" },
	{ "sweep", "KEY=A,B,C", OPT_CALL, 0, add_sweep,
	    "once for each value; several sweeps: for each combination" },
	{ "calibration", "FILE", OPT_TEXT, offsetof(struct plan, calibration),
	    NULL, "what mtasim calibrate kept (where it keeps it)" },
	{ "counters", NULL, OPT_FLAG, offsetof(struct plan, counts), NULL,
	    "what the first seed's run cost: work a message, speed, memory" },
	{ "json", NULL, OPT_FLAG, offsetof(struct plan, is_json), NULL,
	    "JSON instead of text" },
};

static const struct opt_table table = { "plan", "SCENARIO [OPTION ...]",
	"Predicts queue, delays and limits for a scenario, with the engine and\n"
	"the policy of an mtad configuration, under a virtual clock.",
	opts, ARRAY_LEN(opts),
	"The format of a scenario: scenarios.md. Exit codes: 0, 2 (an error "
	"in the\nscenario or its configuration), 5 (Little's law does not hold: "
	"a fault of mtasim)." };

/* ---- progress ------------------------------------------------------------------ */

static int64_t
clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

static void
tell(void *ctx, int64_t at_us, uint64_t arrived, uint64_t depth)
{
	struct plan *p = ctx;
	int64_t now = clock_us();
	char at[24], n[16], q[16];

	if (now - p->began_us < TELL_AFTER_US ||
	    now - p->told_us < TELL_AFTER_US / 5)
		return;
	p->told_us = now;
	p->has_told = true;
	fprintf(stderr,
	    "\rrun %llu of %llu: %s simulated, %s arrived, %s queued\033[K",
	    (unsigned long long)p->run, (unsigned long long)p->runs,
	    fmt_duration(at, at_us), fmt_count(n, arrived),
	    fmt_count(q, depth));
}

/* ---- what a run costs ---------------------------------------------------------- */

static int64_t
processor_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

static uint64_t
resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long all = 0, resident = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%lu %lu", &all, &resident) != 2)
		resident = 0;
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
part_over(void *ctx, enum trial_part part, uint64_t depth)
{
	struct plan *p = ctx;
	int64_t now = processor_us();

	p->cost.cpu_us[part] = now - p->part_us;
	p->cost.rss[part] = resident_bytes();
	p->cost.depth[part] = depth;
	p->part_us = now;
}

static struct outlook *
run_counted(struct plan *p, const struct scen *s, uint64_t seed)
{
	struct trial_watch watch = { .tell = p->tells ? tell : NULL,
		.part = part_over,
		.ctx = p };

	p->cost = (struct cost){ .rss_before = resident_bytes() };
	p->part_us = processor_us();
	return trial_run(s, seed, NULL, &watch);
}

/* ---- runs ---------------------------------------------------------------------- */

static struct forecast *
foresee(struct plan *p, const struct scen *s)
{
	struct trial_watch watch = { .tell = tell, .ctx = p };
	uint64_t seed = p->seed ? p->seed : s->seed;
	struct forecast *f = forecast_new(s, seed, (uint32_t)p->seeds);

	for (uint64_t i = 0; i < p->seeds; i++) {
		p->run++;
		forecast_add(f,
		    i == 0 && p->counts ?
			run_counted(p, s, seed) :
			trial_run(s, seed + i, NULL, p->tells ? &watch : NULL));
	}
	forecast_close(f);
	p->is_broken |= f->nbroken != 0;
	f->calib = p->is_calibrated ? &p->record : NULL;
	return f;
}

static struct scen *
load(const char *path, const struct scen_set *sets, uint32_t n)
{
	struct conf_errors errs = { .report = world_report };

	return scen_load(path, sets, n, &errs);
}

static void
put_json(const struct plan *p, const struct forecast *f, struct jsonw *w)
{
	report_json(f, w);
	if (p->counts) {
		jw_key(w, "work");
		report_work_json(f->first, &p->cost, w);
	}
	jw_close(w, '}');
}

static const enum metric sweep_columns[] = { METRIC_throughput, METRIC_peak,
	METRIC_drained_at, METRIC_time_p50, METRIC_time_p99,
	METRIC_deferral_share, METRIC_spool_peak };

static void
sweep_head(const struct plan *p, struct buf *out)
{
	calib_text(p->is_calibrated ? &p->record : NULL, out);
	(void)buf_addc(out, '\n');
	for (uint32_t i = 0; i < p->nsweeps; i++)
		(void)buf_addf(out, "%.*s ", SLF(p->sweeps[i].key));
	for (size_t i = 0; i < ARRAY_LEN(sweep_columns); i++)
		(void)buf_addf(out, " %s;", metric_words(sweep_columns[i]));
	(void)buf_addz(out, " limit that binds\n");
}

static void
sweep_row(const struct plan *p, const struct forecast *f,
    const struct scen_set *sets, struct buf *out)
{
	const struct side *all = &f->sides[f->nsides - 1];
	const char *why;
	int64_t share;

	for (uint32_t i = 0; i < p->nsweeps; i++)
		(void)buf_addf(out, "%.*s ", SLF(sets[i].value));
	for (size_t i = 0; i < ARRAY_LEN(sweep_columns); i++) {
		char text[32];

		report_value(text, sweep_columns[i],
		    forecast_band(f, all, sweep_columns[i]).median);
		(void)buf_addf(out, " %s;", text);
	}
	why = forecast_binds(all, &share);
	(void)buf_addf(out, " %s\n", why ? why : "none");
}

static int
run_sweep(struct plan *p, const char *path, struct buf *out)
{
	struct scen_set sets[SCEN_SETS_MAX];
	uint32_t at[SCEN_SETS_MAX] = { 0 }, i;
	struct jsonw w;

	jw_init(&w, out);
	if (p->is_json)
		jw_open(&w, '[');
	else
		sweep_head(p, out);
	do {
		struct forecast *f;
		struct scen *s;

		for (i = 0; i < p->nsweeps; i++)
			sets[i] = (struct scen_set){ p->sweeps[i].key,
				p->sweeps[i].values[at[i]] };
		s = load(path, sets, p->nsweeps);
		if (s == NULL)
			return SIM_USAGE;
		f = foresee(p, s);
		if (p->is_json) {
			jw_open(&w, '{');
			jw_key(&w, "set");
			jw_open(&w, '[');
			for (i = 0; i < p->nsweeps; i++) {
				jw_open(&w, '{');
				jw_kstr(&w, "key", sets[i].key);
				jw_kstr(&w, "value", sets[i].value);
				jw_close(&w, '}');
			}
			jw_close(&w, ']');
			jw_key(&w, "plan");
			put_json(p, f, &w);
			jw_close(&w, '}');
		} else
			sweep_row(p, f, sets, out);
		forecast_free(f);
		scen_free(s);
		for (i = p->nsweeps; i-- > 0 && ++at[i] == p->sweeps[i].n;)
			at[i] = 0;
	} while (i != UINT32_MAX);
	if (p->is_json)
		jw_close(&w, ']');
	return SIM_PASS;
}

static int
run_one(struct plan *p, const char *path, struct buf *out)
{
	struct scen *s = load(path, NULL, 0);
	struct forecast *f;
	struct jsonw w;

	if (s == NULL)
		return SIM_USAGE;
	f = foresee(p, s);
	jw_init(&w, out);
	if (p->is_json)
		put_json(p, f, &w);
	else
		report_text(f, out);
	if (p->counts && !p->is_json)
		report_work_text(f->first, &p->cost, out);
	forecast_free(f);
	scen_free(s);
	return SIM_PASS;
}

/* A file that was named must be there; false with the error said. */
static bool
take_calibration(struct plan *p)
{
	char path[PATH_BYTES];

	if (p->calibration)
		p->is_calibrated = calib_load(p->calibration, &p->record);
	else if (calib_path(path, sizeof(path)))
		p->is_calibrated = calib_load(path, &p->record);
	return p->is_calibrated || p->calibration == NULL;
}

int
cmd_plan(int argc, char **argv)
{
	struct plan p = { .seeds = 1 };
	char **operands;
	struct buf out;
	int n, rc = opt_parse(&table, argc, argv, &p, &operands, &n);

	mem_prefer_huge();
	if (rc >= 0)
		return rc;
	if (n != 1)
		return opt_fail(&table, "expected one scenario");
	if (p.seeds == 0 || p.seeds > SEEDS_MAX)
		return opt_fail(&table, "--seeds: expected 1 to %d", SEEDS_MAX);
	if (!take_calibration(&p))
		return opt_fail(&table, "--calibration: %s is no calibration",
		    p.calibration);
	p.runs = p.seeds;
	for (uint32_t i = 0; i < p.nsweeps; i++)
		p.runs *= p.sweeps[i].n;
	p.tells = isatty(STDERR_FILENO);
	p.began_us = clock_us();
	buf_init(&out, REPORT_MAX);
	rc = p.nsweeps ? run_sweep(&p, operands[0], &out) :
			 run_one(&p, operands[0], &out);
	if (p.has_told)
		fprintf(stderr, "\r\033[K");
	if (rc == SIM_PASS) {
		if (p.is_json)
			(void)buf_addc(&out, '\n');
		fwrite(buf_slice(&out).p, 1, out.n, stdout);
	}
	buf_free(&out);
	return rc == SIM_PASS && p.is_broken ? SIM_BROKEN : rc;
}
