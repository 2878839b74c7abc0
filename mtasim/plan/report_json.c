/*
 * plan/report_json.c - the same as JSON: times in seconds, shares in percent.
 */
#include "plan/calib.h"
#include "plan/forecast.h"

static void
put_number(struct jsonw *w, enum metric m, int64_t v)
{
	switch (metric_unit(m)) {
	case UNIT_COUNT:
	case UNIT_BYTES:
		jw_i64(w, v);
		return;
	case UNIT_TIME:
		if (v < 0)
			jw_null(w);
		else
			jw_milli(w, v / 1000);
		return;
	case UNIT_MILLI:
	case UNIT_SHARE:
		jw_milli(w, v);
	}
}

static void
put_band(struct jsonw *w, const struct forecast *f, const struct side *side,
    enum metric m)
{
	struct band b = forecast_band(f, side, m);

	jw_key(w, metric_name(m));
	jw_open(w, '{');
	jw_key(w, "median");
	put_number(w, m, b.median);
	jw_key(w, "p5");
	put_number(w, m, b.p5);
	jw_key(w, "p95");
	put_number(w, m, b.p95);
	jw_close(w, '}');
}

static void
put_blocked(struct jsonw *w, const struct side *s)
{
	jw_key(w, "blocked");
	jw_open(w, '{');
	for (uint32_t i = 0; i < ENG_WHY_N; i++) {
		const struct eng_blocked *b = &s->blocked[i];

		if (b->refusals == 0 && b->path_us == 0 && b->rcpt_us == 0)
			continue;
		jw_key(w, eng_why_name((enum eng_why)i));
		jw_open(w, '{');
		jw_ku64(w, "refusals", b->refusals);
		jw_key(w, "path_seconds");
		jw_milli(w, (int64_t)(b->path_us / 1000));
		jw_key(w, "recipient_seconds");
		jw_milli(w, (int64_t)(b->rcpt_us / 1000));
		jw_close(w, '}');
	}
	jw_close(w, '}');
}

static void
put_side(struct jsonw *w, const struct forecast *f, const struct side *s)
{
	int64_t share;
	const char *why = forecast_binds(s, &share);

	jw_open(w, '{');
	for (int m = 0; m < METRIC_N; m++)
		put_band(w, f, s, (enum metric)m);
	jw_key(w, "binds");
	if (why)
		jw_str(w, slice_str(why));
	else
		jw_null(w);
	jw_key(w, "binds_share");
	jw_milli(w, share);
	jw_key(w, "reasons");
	jw_open(w, '{');
	for (uint32_t r = 0; r < REASON_N; r++) {
		if (s->reason_us[r] == 0)
			continue;
		jw_key(w, reason_name(r));
		jw_milli(w,
		    (int64_t)((unsigned __int128)s->reason_us[r] * 100000 /
			s->total_us));
	}
	jw_close(w, '}');
	put_blocked(w, s);
	jw_close(w, '}');
}

static void
put_course(struct jsonw *w, const struct outlook *o)
{
	jw_key(w, "course");
	jw_open(w, '{');
	jw_ku64(w, "seed", o->seed);
	jw_key(w, "bucket_seconds");
	jw_milli(w, o->bucket_us / 1000);
	jw_key(w, "buckets");
	jw_open(w, '[');
	for (uint32_t i = 0; i < o->nbuckets; i++) {
		const struct bucket *b = &o->buckets[i];

		jw_open(w, '{');
		jw_ku64(w, "arrived", b->arrived);
		jw_ku64(w, "delivered", b->delivered);
		jw_ku64(w, "deferred", b->deferred);
		jw_ku64(w, "queue", b->depth);
		jw_ku64(w, "queue_max", b->depth_max);
		jw_close(w, '}');
	}
	jw_close(w, ']');
	jw_close(w, '}');
}

void
report_json(const struct forecast *f, struct jsonw *w)
{
	jw_open(w, '{');
	jw_kstr(w, "name", f->s->name);
	jw_kstr(w, "config", f->s->config);
	jw_ku64(w, "seed", f->first_seed);
	jw_ku64(w, "seeds", f->done);
	jw_kstr(w, "model", f->calib ? SL("calibrated") : SL("uncalibrated"));
	jw_key(w, "calibration");
	calib_json(f->calib, w);
	jw_ku64(w, "refused_at_door", f->refused_at_door);
	jw_key(w, "littles_law");
	jw_open(w, '{');
	jw_ku64(w, "queues", f->nqueues);
	jw_ku64(w, "broken", f->nbroken);
	jw_close(w, '}');
	jw_key(w, "all");
	put_side(w, f, &f->sides[f->nsides - 1]);
	jw_key(w, "provider");
	jw_open(w, '{');
	for (uint32_t i = 0; i + 1 < f->nsides; i++) {
		char name[NAME_MAX_BYTES + 1];

		slice_copy(f->sides[i].name, name, sizeof(name));
		jw_key(w, name);
		put_side(w, f, &f->sides[i]);
	}
	jw_close(w, '}');
	put_course(w, f->first);
	report_warm_json(f, w);
}
