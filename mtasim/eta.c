/*
 * mtasim eta - is the engine's ETA honest? Each scenario is lived through twice:
 * first to see when its queue is long, then with a question at a moment of that
 * time. What waits then is followed until the last of it has left.
 */
#include <stdio.h>

#include "mtasim.h"
#include "plan/trial.h"

#define DEPTH_MIN 20u /* what is asked about is no shorter */
#define ROWS_MAX 100000

enum verdict_eta { HIT, LOW, HIGH, TOLD, MISTOLD, NOTHING };
static const char *const words[] = { [HIT] = "hit",
	[LOW] = "before",
	[HIGH] = "after",
	[TOLD] = "right",
	[MISTOLD] = "wrong",
	[NOTHING] = "-" };

struct eta {
	uint64_t seed;
	int64_t at_us; /* -1: drawn */
	bool is_json;
	/* Of all scenarios. */
	uint32_t n[NOTHING + 1], nkinds[ENG_ETA_N];
	uint32_t *widths, nwidths; /* of intervals, thousandths of the ETA */
};

static const struct opt opts[] = {
	{ "seed", "N", OPT_COUNT, offsetof(struct eta, seed), NULL,
	    "of the trials and of the moments (1)" },
	{ "at", "TIME", OPT_TIME, offsetof(struct eta, at_us), NULL,
	    "ask then (at a moment drawn from the time that the queue is long)" },
	{ "json", NULL, OPT_FLAG, offsetof(struct eta, is_json), NULL,
	    "a JSON object a line instead of text" },
};

static const struct opt_table table = { "eta", "SCENARIO ... [OPTION ...]",
	"Asks the engine, in the middle of each scenario, when its deepest "
	"queue will\nbe gone, and tells whether it was.",
	opts, ARRAY_LEN(opts),
	"The format of a scenario: scenarios.md. Truth is the end of the last "
	"message\nthat waits when the question is put; `grows` is right when "
	"more wait a quarter\nof an hour later, `unknown` when it takes "
	"longer than that." };

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

/* A moment of the time in which the queue is at least a tenth of its peak; -1:
 * there is no such queue. */
static int64_t
moment(const struct scen *s, uint64_t seed, uint64_t draw)
{
	struct outlook *o = trial_run(s, seed, NULL, NULL);
	const struct tally *all = &o->tallies[o->n];
	uint64_t least = MAX(all->peak / 10, DEPTH_MIN);
	int64_t from = -1, until = -1;
	struct rng rng;

	for (uint32_t i = 0; i < o->nbuckets; i++) {
		if (o->buckets[i].depth < least)
			continue;
		if (from < 0)
			from = (int64_t)i * o->bucket_us;
		until = (int64_t)(i + 1) * o->bucket_us;
	}
	rng_seed(&rng, hash_u64(draw));
	if (from >= 0)
		from += (int64_t)rng_below(&rng, (uint64_t)(until - from));
	outlook_free(o);
	return from;
}

static enum verdict_eta
judge(const struct trial_ask *a, int64_t end_us)
{
	int64_t truth = a->left == 0 ? a->gone_us + TRIAL_START_US : TIME_NEVER;

	/* The scenario is over, and what was told may still come true. */
	if (a->left != 0 && a->eta.kind == ETA_TIME &&
	    a->eta.hi_us > end_us + TRIAL_START_US)
		return NOTHING;
	if (a->n < DEPTH_MIN / 2)
		return NOTHING;
	switch (a->eta.kind) {
	case ETA_TIME:
		return truth < a->eta.lo_us ? LOW :
		    truth > a->eta.hi_us    ? HIGH :
					      HIT;
	case ETA_GROWS:
		return a->depth_later > a->row.depth ? TOLD : MISTOLD;
	case ETA_UNKNOWN:
		return truth > a->at_us + TRIAL_START_US + TRIAL_LATER_US ?
		    TOLD :
		    MISTOLD;
	default:
		return NOTHING;
	}
}

static const char *
span(char text[24], int64_t us)
{
	return us < 0 ? "-" : fmt_duration(text, us);
}

static void
tell(const struct eta *e, const char *path, const struct trial_ask *a,
    enum verdict_eta v)
{
	int64_t now = a->at_us + TRIAL_START_US;
	char t[6][24];

	if (e->is_json) {
		printf(
		    "{\"scenario\":\"%s\",\"at_s\":%.3f,\"n\":%llu,"
		    "\"due\":%u,\"deferred\":%u,\"eta\":\"%s\",\"why\":\"%s\","
		    "\"low_s\":%.3f,\"eta_s\":%.3f,\"high_s\":%.3f,"
		    "\"truth_s\":%.3f,\"verdict\":\"%s\"}\n",
		    path, (double)a->at_us / 1e6, (unsigned long long)a->n,
		    a->row.due, a->row.deferred, eng_eta_name(a->eta.kind),
		    eng_why_name(a->eta.why),
		    a->eta.lo_us ? (double)(a->eta.lo_us - now) / 1e6 : -1,
		    a->eta.lo_us ? (double)(a->eta.at_us - now) / 1e6 : -1,
		    a->eta.lo_us ? (double)(a->eta.hi_us - now) / 1e6 : -1,
		    a->left == 0 ? (double)(a->gone_us - a->at_us) / 1e6 : -1,
		    words[v]);
		return;
	}
	printf("%-8s %-8s %7llu %8s  %8s %8s %8s  %8s  %-11s %s\n", words[v],
	    eng_eta_name(a->eta.kind), (unsigned long long)a->n,
	    span(t[0], a->at_us),
	    span(t[1], a->eta.lo_us ? a->eta.lo_us - now : -1),
	    span(t[2], a->eta.lo_us ? a->eta.at_us - now : -1),
	    span(t[3], a->eta.lo_us ? a->eta.hi_us - now : -1),
	    span(t[4], a->left == 0 ? a->gone_us - a->at_us : -1),
	    eng_why_name(a->eta.why), path);
}

static bool
run(struct eta *e, const char *path, uint32_t number)
{
	struct conf_errors errs = { .report = report };
	struct scen *s = scen_load(path, NULL, 0, &errs);
	uint64_t seed = hash_u64(e->seed + number);
	struct trial_ask a = { .at_us = e->at_us };
	struct trial_watch watch = { .asks = &a, .nasks = 1 };
	enum verdict_eta v;
	struct outlook *o;

	if (s == NULL)
		return false;
	if (a.at_us < 0)
		a.at_us = moment(s, seed, e->seed + number + 77);
	if (a.at_us >= 0) {
		o = trial_run(s, seed, NULL, &watch);
		v = judge(&a, o->end_us);
		outlook_free(o);
		tell(e, path, &a, v);
		e->n[v]++;
		e->nkinds[a.eta.kind] += v != NOTHING;
		if (v <= HIGH)
			e->widths[e->nwidths++] = (uint32_t)MIN(1000000000.0,
			    (double)(a.eta.hi_us - a.eta.lo_us) * 1000 /
				(double)(a.eta.at_us - a.at_us -
				    TRIAL_START_US + 1));
	}
	scen_free(s);
	return true;
}

static int
by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void
sum_up(const struct eta *e)
{
	uint32_t all =
	    e->nwidths + e->nkinds[ETA_GROWS] + e->nkinds[ETA_UNKNOWN];
	uint32_t width;

	qsort(e->widths, e->nwidths, sizeof(*e->widths), by_size);
	width = e->nwidths ? e->widths[e->nwidths / 2] : 0;
	printf(e->is_json ?
		"{\"asked\":%u,\"intervals\":%u,\"hits\":%u,\"before\":%u,"
		"\"after\":%u,\"grows\":%u,\"unknown\":%u,\"told_right\":%u,"
		"\"told_wrong\":%u,\"median_width\":%.3f}\n" :
		"asked %u: %u intervals, of them %u hit, %u before, %u after; "
		"%u grow, %u unknown, of them %u right, %u wrong; median width "
		"%.3f of the ETA\n",
	    all, e->nwidths, e->n[HIT], e->n[LOW], e->n[HIGH],
	    e->nkinds[ETA_GROWS], e->nkinds[ETA_UNKNOWN], e->n[TOLD],
	    e->n[MISTOLD], (double)width / 1000);
}

int
cmd_eta(int argc, char **argv)
{
	struct eta e = { .seed = 1, .at_us = -1 };
	char **operands;
	int n, rc = opt_parse(&table, argc, argv, &e, &operands, &n);

	if (rc >= 0)
		return rc;
	if (n == 0 || n > ROWS_MAX)
		return opt_fail(&table, "expected scenarios");
	e.widths = mem_get((size_t)n * sizeof(*e.widths));
	if (!e.is_json)
		printf("VERDICT  ETA       QUEUED    ASKED    LOWEST   LIKELY  "
		       "HIGHEST     TRUTH  WAITED FOR  SCENARIO\n");
	rc = SIM_PASS;
	for (int i = 0; i < n && rc == SIM_PASS; i++)
		if (!run(&e, operands[i], (uint32_t)i))
			rc = SIM_USAGE;
	if (rc == SIM_PASS)
		sum_up(&e);
	mem_free(e.widths);
	return rc;
}
