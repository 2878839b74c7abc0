/*
 * plan/report.c - a forecast as text: a table of numbers with a column for
 * each provider, what time in the queue went to, and the queue over time.
 */
#include <inttypes.h>
#include <stdio.h>

#include "plan/calib.h"
#include "plan/forecast.h"

#define COLUMNS 5 /* of one block of the table */
#define BAR 32

static void
put_time(char *dst, int64_t us)
{
	int64_t s = us / US_PER_S;

	if (us < 0)
		snprintf(dst, 32, "never");
	else if (us < US_PER_S)
		snprintf(dst, 32, "%" PRId64 ".%" PRId64 "ms", us / 1000,
		    us % 1000 / 100);
	else if (s < 60)
		snprintf(dst, 32, "%" PRId64 ".%03" PRId64 "s", s,
		    us / 1000 % 1000);
	else if (s < 3600)
		snprintf(dst, 32, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
	else
		snprintf(dst, 32, "%" PRId64 "h%02" PRId64 "m%02" PRId64 "s",
		    s / 3600, s / 60 % 60, s % 60);
}

void
report_value(char *dst, enum metric m, int64_t v)
{
	switch (metric_unit(m)) {
	case UNIT_COUNT:
		snprintf(dst, 32, "%" PRId64, v);
		return;
	case UNIT_TIME:
		put_time(dst, v);
		return;
	case UNIT_BYTES:
		fmt_bytes(dst, (uint64_t)v);
		return;
	case UNIT_MILLI:
		snprintf(dst, 32, "%" PRId64 ".%03" PRId64, v / 1000, v % 1000);
		return;
	case UNIT_SHARE:
		snprintf(dst, 32, "%" PRId64 ".%02" PRId64 " %%", v / 1000,
		    v % 1000 / 10);
	}
}

static void
put_cell(const struct forecast *f, const struct side *side, enum metric m,
    struct buf *out)
{
	struct band b = forecast_band(f, side, m);
	char mid[32], lo[32], hi[32];

	report_value(mid, m, b.median);
	if (f->done == 1) {
		(void)buf_addf(out, " %13s", mid);
		return;
	}
	report_value(lo, m, b.p5);
	report_value(hi, m, b.p95);
	(void)buf_addf(out, " %13s [%s %s]", mid, lo, hi);
}

/* The column of all stands first. */
static const struct side *
side_at(const struct forecast *f, uint32_t column)
{
	return &f->sides[column == 0 ? f->nsides - 1 : column - 1];
}

static void
put_block(const struct forecast *f, uint32_t from, uint32_t to, struct buf *out)
{
	(void)buf_addf(out, "\n%-16s", "");
	for (uint32_t i = from; i < to; i++)
		(void)buf_addf(out, " %13.*s", SLF(side_at(f, i)->name));
	(void)buf_addc(out, '\n');
	for (int m = 0; m < METRIC_N; m++) {
		(void)buf_addf(out, "%-16s", metric_words((enum metric)m));
		for (uint32_t i = from; i < to; i++)
			put_cell(f, side_at(f, i), (enum metric)m, out);
		(void)buf_addc(out, '\n');
	}
	(void)buf_addf(out, "%-16s", "limit that binds");
	for (uint32_t i = from; i < to; i++) {
		int64_t share;
		const char *why = forecast_binds(side_at(f, i), &share);

		(void)buf_addf(out, " %13s", why ? why : "none");
	}
	(void)buf_addc(out, '\n');
}

static void
put_reasons(const struct forecast *f, struct buf *out)
{
	(void)buf_addz(out, "\ntime in queue goes to\n");
	for (uint32_t i = 0; i < f->nsides; i++) {
		const struct side *s = side_at(f, i);

		(void)buf_addf(out, "  %-14.*s", SLF(s->name));
		for (uint32_t r = 0; r < REASON_N; r++) {
			uint64_t us = s->reason_us[r], permille;

			if (us == 0)
				continue;
			permille = (uint64_t)((unsigned __int128)us * 1000 /
			    s->total_us);
			(void)buf_addf(out, " %s %" PRIu64 ".%" PRIu64 " %%",
			    reason_name(r), permille / 10, permille % 10);
		}
		(void)buf_addc(out, '\n');
	}
}

static void
put_course(const struct forecast *f, struct buf *out)
{
	const struct outlook *o = f->first;
	uint64_t most = 1;
	char at[32];

	for (uint32_t i = 0; i < o->nbuckets; i++)
		most = MAX(most, o->buckets[i].depth_max);
	(void)buf_addf(out,
	    "\nseed %" PRIu64
	    "\n%10s %9s %9s %9s %9s  queue, most of each time\n",
	    o->seed, "until", "arrived", "delivered", "deferred", "queue");
	for (uint32_t i = 0; i < o->nbuckets; i++) {
		const struct bucket *b = &o->buckets[i];
		uint64_t n = b->depth_max * BAR / most;

		put_time(at, o->bucket_us * (i + 1));
		(void)buf_addf(out,
		    "%10s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64
		    "  ",
		    at, b->arrived, b->delivered, b->deferred, b->depth_max);
		for (uint64_t k = 0; k < n; k++)
			(void)buf_addc(out, '#');
		(void)buf_addc(out, '\n');
	}
}

void
report_text(const struct forecast *f, struct buf *out)
{
	(void)buf_addf(out,
	    "PLAN %.*s  config %.*s  seeds %" PRIu64 "..%" PRIu64 "\n",
	    SLF(f->s->name), SLF(f->s->config), f->first_seed,
	    f->first_seed + f->done - 1);
	calib_text(f->calib, out);
	(void)buf_addc(out, '\n');
	if (f->done > 1)
		(void)buf_addz(out, "median [5 % 95 %] of the seeds\n");
	if (f->refused_at_door)
		(void)buf_addf(out,
		    "REFUSED AT THE DOOR: %" PRIu64
		    " messages: the queue was full\n",
		    f->refused_at_door);
	if (f->nbroken)
		(void)buf_addf(out,
		    "LITTLE'S LAW IS BROKEN in %" PRIu64 " of %" PRIu64
		    " queues: the plan is wrong\n",
		    f->nbroken, f->nqueues);
	for (uint32_t from = 0; from < f->nsides; from += COLUMNS)
		put_block(f, from, MIN(from + COLUMNS, f->nsides), out);
	put_reasons(f, out);
	put_course(f, out);
	report_warm_text(f, out);
}
