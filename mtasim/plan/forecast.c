/*
 * plan/forecast.c - numbers of trials, put together.
 */
#include <stdlib.h>

#include "plan/forecast.h"

#define BINDS_MIN_PCT 5 /* of all time in queue */

static const struct {
	const char *name, *words;
	enum metric_unit unit;
} metrics[] = {
#define X(name, words, unit) { #name, words, unit },
	METRICS(X)
#undef X
};

const char *
metric_name(enum metric m)
{
	return metrics[m].name;
}

const char *
metric_words(enum metric m)
{
	return metrics[m].words;
}

enum metric_unit
metric_unit(enum metric m)
{
	return metrics[m].unit;
}

const char *
reason_name(uint32_t reason)
{
	switch (reason) {
	case REASON_SENDING:
		return "sending";
	case REASON_RETRY:
		return "retry";
	case REASON_OTHER:
		return "dns";
	default:
		return eng_why_name((enum eng_why)reason);
	}
}

struct forecast *
forecast_new(const struct scen *s, uint64_t first_seed, uint32_t nseeds)
{
	struct forecast *f = mem_get(sizeof(*f));

	f->s = s;
	f->first_seed = first_seed;
	f->nseeds = nseeds;
	f->nsides = s->nproviders + 1;
	f->sides = mem_get(f->nsides * sizeof(*f->sides));
	for (uint32_t i = 0; i < f->nsides; i++) {
		f->sides[i].name =
		    i < s->nproviders ? s->providers[i].name : SL("all");
		for (int m = 0; m < METRIC_N; m++)
			f->sides[i].value[m] =
			    mem_get(nseeds * sizeof(int64_t));
	}
	return f;
}

void
forecast_free(struct forecast *f)
{
	for (uint32_t i = 0; i < f->nsides; i++)
		for (int m = 0; m < METRIC_N; m++)
			mem_free(f->sides[i].value[m]);
	mem_free(f->sides);
	if (f->first)
		outlook_free(f->first);
	mem_free(f);
}

/* a * scale / b without overflow; 0 when b is 0. */
static int64_t
ratio(uint64_t a, uint64_t scale, uint64_t b)
{
	return b ? (int64_t)((unsigned __int128)a * scale / b) : 0;
}

/* What still has mail works to the end, also when nothing leaves. */
static int64_t
works_until(const struct outlook *o, const struct tally *a)
{
	return a->depth ? o->end_us : a->final_us;
}

static int64_t
metric_of(const struct outlook *o, const struct tally *a, enum metric m)
{
	uint64_t done = a->delivered + a->bounced + a->expired;

	switch (m) {
	case METRIC_arrived:
		return (int64_t)a->arrived;
	case METRIC_delivered:
		return (int64_t)a->delivered;
	case METRIC_bounced:
		return (int64_t)a->bounced;
	case METRIC_expired:
		return (int64_t)a->expired;
	case METRIC_queued:
		return (int64_t)a->depth;
	case METRIC_throughput:
		return ratio(a->delivered, 1000 * US_PER_S,
		    (uint64_t)(works_until(o, a) - a->first_us));
	case METRIC_peak:
		return (int64_t)a->peak;
	case METRIC_peak_at:
		return a->peak_us;
	case METRIC_mean_depth:
		return ratio(a->depth_us, 1000, (uint64_t)o->end_us);
	case METRIC_drained_at:
		return a->depth ? -1 : a->drained_us;
	case METRIC_drain_time:
		return a->depth ? -1 : MAX(a->drained_us - a->last_us, 0);
	case METRIC_time_mean:
		return ratio(a->stay_us, 1, done);
	case METRIC_time_p50:
		return hist_quantile(&a->stay, 5000);
	case METRIC_time_p90:
		return hist_quantile(&a->stay, 9000);
	case METRIC_time_p95:
		return hist_quantile(&a->stay, 9500);
	case METRIC_time_p99:
		return hist_quantile(&a->stay, 9900);
	case METRIC_time_max:
		return a->stay.max;
	case METRIC_waited:
		return ratio(a->waited, 100000, a->arrived);
	case METRIC_attempts:
		return (int64_t)a->attempts;
	case METRIC_deferrals:
		return (int64_t)a->deferrals;
	case METRIC_deferral_share:
		return ratio(a->deferrals, 100000, a->attempts);
	case METRIC_sessions:
		return (int64_t)a->sessions;
	case METRIC_refused:
		return (int64_t)a->refused;
	case METRIC_connections:
		return ratio(a->conn_us, 1000, (uint64_t)o->end_us);
	case METRIC_spool_peak:
		return (int64_t)a->bytes_peak;
	case METRIC_N:
		break;
	}
	return 0;
}

static void
reasons_add(struct side *side, const struct tally *a)
{
	uint64_t known = a->flight_us + a->retry_us;

	for (int w = 0; w < ENG_WHY_N; w++) {
		struct eng_blocked *b = &side->blocked[w];

		b->refusals += a->blocked[w].refusals;
		b->path_us += a->blocked[w].path_us;
		b->rcpt_us += a->blocked[w].rcpt_us;
		side->reason_us[w] += a->blocked[w].rcpt_us;
		known += a->blocked[w].rcpt_us;
	}
	side->reason_us[REASON_SENDING] += a->flight_us;
	side->reason_us[REASON_RETRY] += a->retry_us;
	if (a->depth_us > known)
		side->reason_us[REASON_OTHER] += a->depth_us - known;
	side->total_us += MAX(a->depth_us, known);
}

void
forecast_add(struct forecast *f, struct outlook *o)
{
	ASSERT(f->done < f->nseeds);
	for (uint32_t i = 0; i < f->nsides; i++) {
		for (int m = 0; m < METRIC_N; m++)
			f->sides[i].value[m][f->done] =
			    metric_of(o, &o->tallies[i], (enum metric)m);
		reasons_add(&f->sides[i], &o->tallies[i]);
		f->nqueues++;
		f->nbroken += !tally_keeps_little(o, &o->tallies[i]);
	}
	f->refused_at_door += o->refused_at_door;
	f->done++;
	if (f->first)
		outlook_free(o);
	else
		f->first = o;
}

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

void
forecast_close(struct forecast *f)
{
	for (uint32_t i = 0; i < f->nsides; i++)
		for (int m = 0; m < METRIC_N; m++)
			qsort(f->sides[i].value[m], f->done, sizeof(int64_t),
			    by_value);
}

struct band
forecast_band(const struct forecast *f, const struct side *side, enum metric m)
{
	const int64_t *v = side->value[m];
	uint32_t last = f->done - 1;

	return (struct band){ v[(5 * last + 50) / 100], v[last / 2],
		v[(95 * last + 50) / 100] };
}

const char *
forecast_binds(const struct side *side, int64_t *share)
{
	uint64_t waiting = side->total_us - side->reason_us[REASON_SENDING];
	uint32_t best = REASON_OTHER;

	*share = 0;
	for (uint32_t r = 0; r < REASON_N; r++)
		if (r != REASON_SENDING &&
		    side->reason_us[r] > side->reason_us[best])
			best = r;
	if (waiting < side->total_us / 100 * BINDS_MIN_PCT)
		return NULL;
	*share = ratio(side->reason_us[best], 100000, waiting);
	return reason_name(best);
}
