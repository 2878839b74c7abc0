/*
 * plan/report_work.c - what a trial has cost: counts a message, which are the
 * same on every machine, and what this machine took for them.
 */
#include <inttypes.h>
#include <stdio.h>

#include "plan/forecast.h"

static const char *const part_names[PART_N] = {
	[PART_FILL] = "fill",
	[PART_FULL] = "full",
	[PART_DRAIN] = "drain",
};

/* A count for each message, in thousandths. */
static uint64_t
each_milli(uint64_t count, const struct work *w)
{
	return w->messages ? count * 1000 / w->messages : 0;
}

static uint64_t
speed(const struct work *w, const struct cost *c, int part)
{
	if (c->cpu_us[part] <= 0)
		return 0;
	return w->messages * US_PER_S / (uint64_t)c->cpu_us[part];
}

static uint64_t
bytes_each(const struct cost *c)
{
	uint64_t n = c->depth[PART_FILL];

	if (n == 0 || c->rss[PART_FILL] < c->rss_before)
		return 0;
	return (c->rss[PART_FILL] - c->rss_before) / n;
}

/* Did more happen than one part? Then the first one filled the queue. */
static bool
is_closed(const struct outlook *o)
{
	return o->work[PART_FULL].messages || o->work[PART_DRAIN].messages;
}

static void
put_row(struct buf *out, const char *name, const struct outlook *o, size_t at)
{
	(void)buf_addf(out, "%-22s", name);
	for (int p = 0; p < PART_N; p++) {
		const struct work *w = &o->work[p];
		uint64_t count, milli;

		memcpy(&count, (const char *)w + at, sizeof(count));
		milli = each_milli(count, w);
		(void)buf_addf(out, " %9" PRIu64 ".%03" PRIu64, milli / 1000,
		    milli % 1000);
	}
	(void)buf_addc(out, '\n');
}

void
report_work_text(const struct outlook *o, const struct cost *c, struct buf *out)
{
	(void)buf_addf(out, "\n%-22s", "work");
	for (int p = 0; p < PART_N; p++)
		(void)buf_addf(out, " %13s", part_names[p]);
	(void)buf_addf(out, "\n%-22s", "messages");
	for (int p = 0; p < PART_N; p++)
		(void)buf_addf(out, " %13" PRIu64, o->work[p].messages);
	(void)buf_addc(out, '\n');
	put_row(out, "decisions each", o, offsetof(struct work, decisions));
	put_row(out, "comparisons each", o, offsetof(struct work, comparisons));
	put_row(out, "moves each", o, offsetof(struct work, moves));
	put_row(out, "steps each", o, offsetof(struct work, steps));
	put_row(out, "commands each", o, offsetof(struct work, commands));
	(void)buf_addf(out, "%-22s", "messages/s, this CPU");
	for (int p = 0; p < PART_N; p++)
		(void)buf_addf(out, " %13" PRIu64, speed(&o->work[p], c, p));
	(void)buf_addc(out, '\n');
	if (is_closed(o))
		(void)buf_addf(out,
		    "%-22s %13" PRIu64 "  with %" PRIu64 " queued\n",
		    "bytes each", bytes_each(c), c->depth[PART_FILL]);
}

void
report_work_json(const struct outlook *o, const struct cost *c, struct jsonw *w)
{
	jw_open(w, '{');
	for (int p = 0; p < PART_N; p++) {
		const struct work *k = &o->work[p];

		jw_key(w, part_names[p]);
		jw_open(w, '{');
#define X(name) jw_ku64(w, #name, k->name);
		TRIAL_WORK(X)
#undef X
		jw_key(w, "cpu_seconds");
		jw_milli(w, c->cpu_us[p] / 1000);
		jw_ku64(w, "messages_per_cpu_second", speed(k, c, p));
		jw_ku64(w, "queued_at_end", c->depth[p]);
		jw_close(w, '}');
	}
	if (is_closed(o))
		jw_ku64(w, "bytes_per_queued", bytes_each(c));
	jw_close(w, '}');
}
