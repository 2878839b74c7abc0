/*
 * load_report.c - what `mtasim load` prints: progress, report, verdict.
 */
#include "load.h"
#include "mtasim.h"

static const struct {
	const char *name;
	uint32_t permyriad;
} quantiles[] = {
	{ "p50", 5000 },
	{ "p90", 9000 },
	{ "p99", 9900 },
	{ "p99.9", 9990 },
	{ "max", 10000 },
};

static uint64_t
per_second(uint64_t n, int64_t us)
{
	return us > 0 ? n * (uint64_t)US_PER_S / (uint64_t)us : 0;
}

/* How long the target took to acknowledge all that it did. */
static int64_t
acking_us(const struct load *l)
{
	return l->last_ack_us > 0 ? l->last_ack_us - l->start_us : 0;
}

void
load_progress(struct load *l)
{
	int64_t now = loop_now(l->run.loop);

	fprintf(stderr,
	    "load: %lld s, %llu due, %llu acked (%llu/s), %llu refused,"
	    " %llu in doubt, %llu connections%s%s\n",
	    (long long)((now - l->start_us) / US_PER_S),
	    (unsigned long long)l->scheduled, (unsigned long long)l->n.acked,
	    (unsigned long long)per_second(l->n.acked, now - l->start_us),
	    (unsigned long long)l->n.refused, (unsigned long long)l->n.doubt,
	    (unsigned long long)l->nsess, l->backoff_us > 0 ? "; " : "",
	    l->backoff_us > 0 ? l->trouble : "");
}

static bool
is_limited(const struct load *l)
{
	return hist_quantile(&l->lag, 9990) > l->lag_max_us;
}

static bool
is_unreachable(const struct load *l)
{
	return !l->ever_up || l->n.unsent > 0;
}

static bool
is_slo_missed(const struct load *l, const struct slo *slo)
{
	return l->from_intended.n == 0 ||
	    hist_quantile(&l->from_intended, slo->permyriad) >= slo->limit_us;
}

static int
verdict(const struct load *l)
{
	if (is_unreachable(l))
		return SIM_UNREACHABLE;
	if (is_limited(l))
		return SIM_LIMITED;
	for (uint32_t i = 0; i < l->nslos; i++)
		if (is_slo_missed(l, &l->slos[i]))
			return SIM_SLO;
	return SIM_PASS;
}

static const char *
verdict_name(int code)
{
	switch (code) {
	case SIM_PASS:
		return "PASS";
	case SIM_SLO:
		return "GOAL MISSED";
	case SIM_LIMITED:
		return "GENERATOR TOO SLOW, result void";
	default:
		return "TARGET UNREACHABLE";
	}
}

/* ---- text ---------------------------------------------------------------------- */

static void
print_hist(const char *name, const struct hist *h)
{
	printf("  %-20s", name);
	for (size_t i = 0; i < ARRAY_LEN(quantiles); i++)
		printf(" %9.1f",
		    (double)hist_quantile(h, quantiles[i].permyriad) / 1000);
	printf("\n");
}

static void
print_text(const struct load *l, int code)
{
	const struct load_counts *n = &l->n;
	int64_t span = l->ended_us - l->start_us;

	printf("LOAD run %08x seed %llu  %.1f s  %s (exit %d)\n", l->mix.run,
	    (unsigned long long)l->mix.seed, (double)span / 1e6,
	    verdict_name(code), code);
	printf("offered %llu (%llu/s)  acked %llu (%llu/s)  refused %llu  "
	       "in doubt %llu  unsent %llu  retried %llu\n",
	    (unsigned long long)l->scheduled,
	    (unsigned long long)per_second(l->scheduled, span),
	    (unsigned long long)n->acked,
	    (unsigned long long)per_second(n->acked, acking_us(l)),
	    (unsigned long long)n->refused, (unsigned long long)n->doubt,
	    (unsigned long long)n->unsent, (unsigned long long)n->retried);
	printf("connections: %llu came up, %llu did not, %llu broke%s%s\n",
	    (unsigned long long)n->connected,
	    (unsigned long long)n->unconnected, (unsigned long long)n->broken,
	    l->trouble[0] != '\0' ? "; last trouble: " : "", l->trouble);
	printf("latency ms            ");
	for (size_t i = 0; i < ARRAY_LEN(quantiles); i++)
		printf(" %9s", quantiles[i].name);
	printf("\n");
	print_hist("from intended start", &l->from_intended);
	print_hist("from actual start", &l->from_actual);
	print_hist("generator lag", &l->lag);
	for (uint32_t i = 0; i < l->nslos; i++)
		printf("goal %s: %s\n", l->slos[i].text,
		    is_slo_missed(l, &l->slos[i]) ? "MISSED" : "met");
}

/* ---- JSON ---------------------------------------------------------------------- */

static void
json_hist(struct jsonw *w, const char *key, const struct hist *h)
{
	jw_key(w, key);
	jw_open(w, '{');
	jw_ku64(w, "n", h->n);
	for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
		jw_key(w, quantiles[i].name);
		jw_milli(w, hist_quantile(h, quantiles[i].permyriad));
	}
	jw_close(w, '}');
}

static void
print_json(const struct load *l, int code)
{
	int64_t span = l->ended_us - l->start_us;
	char run[16];
	struct buf b;
	struct jsonw w;

	buf_init(&b, 64u << 10);
	jw_init(&w, &b);
	jw_open(&w, '{');
	snprintf(run, sizeof(run), "%08x", l->mix.run);
	jw_kstr(&w, "run", slice_str(run));
	jw_ku64(&w, "seed", l->mix.seed);
	jw_kstr(&w, "verdict", slice_str(verdict_name(code)));
	jw_ki64(&w, "exit", code);
	jw_key(&w, "seconds");
	jw_milli(&w, span / 1000);
	jw_ku64(&w, "offered", l->scheduled);
	jw_ku64(&w, "offered_per_s", per_second(l->scheduled, span));
	jw_ku64(&w, "acked_per_s", per_second(l->n.acked, acking_us(l)));
#define X(name) jw_ku64(&w, #name, l->n.name);
	LOAD_COUNTS(X)
#undef X
	json_hist(&w, "from_intended_ms", &l->from_intended);
	json_hist(&w, "from_actual_ms", &l->from_actual);
	json_hist(&w, "generator_lag_ms", &l->lag);
	jw_kstr(&w, "trouble", slice_str(l->trouble));
	jw_close(&w, '}');
	printf("%.*s\n", SLF(buf_slice(&b)));
	buf_free(&b);
}

int
load_report(struct load *l)
{
	int code = verdict(l);

	if (l->json)
		print_json(l, code);
	else if (!l->quiet)
		print_text(l, code);
	return code;
}
