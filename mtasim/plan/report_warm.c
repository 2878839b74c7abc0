/*
 * plan/report_warm.c - what each day of each young source came to at each
 * provider, by the first seed.
 */
#include <stdlib.h>

#include "plan/forecast.h"

static struct slice
source_name(const struct forecast *f, const struct warm_entry *e)
{
	const struct conf *c = f->s->conf;

	return e->source < c->nsources ? c->sources[e->source].name : SL("?");
}

static struct slice
provider_name(const struct forecast *f, const struct warm_entry *e)
{
	const struct conf *c = f->s->conf;

	return e->provider < c->nproviders ? c->providers[e->provider].name :
					     SL("others");
}

static struct slice
verdict_of(const struct warm_entry *e)
{
	return slice_str(eng_warm_name((enum eng_warm_verdict)e->day.verdict));
}

static struct slice
reason_of(const struct warm_entry *e)
{
	return slice_str(eng_warm_why_name((enum eng_warm_why)e->day.why));
}

static bool
is_same_pair(const struct warm_entry *a, const struct warm_entry *b)
{
	return a->source == b->source && a->provider == b->provider;
}

/* "2026-01-31" of a day counted from the epoch. */
static void
put_date(char *dst, int32_t day)
{
	date_iso(dst, (int64_t)day * 86400 * US_PER_S);
	dst[10] = '\0';
}

void
report_warm_text(const struct forecast *f, struct buf *out)
{
	const struct outlook *o = f->first;
	char date[40];

	for (uint32_t i = 0; i < o->nwarm; i++) {
		const struct warm_entry *e = &o->warm[i];
		const struct eng_warm_day *d = &e->day;

		if (i == 0 || !is_same_pair(e, e - 1))
			(void)buf_addf(out,
			    "\nwarm-up of %.*s at %.*s\n%-11s %5s %9s %9s %9s "
			    "%9s %9s\n",
			    SLF(source_name(f, e)), SLF(provider_name(f, e)),
			    "day", "stage", "share", "sent", "delivered",
			    "deferred", "refused");
		put_date(date, d->day);
		(void)buf_addf(out, "%-11s %5u %9u %9u %9u %9u %9u  ", date,
		    d->stage + 1u, d->most, d->sent, d->ok, d->deferred,
		    d->bounced);
		(void)buf_addf(out, "%.*s%s%.*s\n", SLF(verdict_of(e)),
		    reason_of(e).n ? ": " : "", SLF(reason_of(e)));
	}
}

static void
put_day(struct jsonw *w, const struct warm_entry *e)
{
	const struct eng_warm_day *d = &e->day;
	char date[40];

	put_date(date, d->day);
	jw_open(w, '{');
	jw_kstr(w, "day", slice_str(date));
	jw_ku64(w, "stage", d->stage + 1u);
	jw_ku64(w, "share", d->most);
	jw_ku64(w, "sent", d->sent);
	jw_ku64(w, "delivered", d->ok);
	jw_ku64(w, "deferred", d->deferred);
	jw_ku64(w, "refused", d->bounced);
	jw_kstr(w, "verdict", verdict_of(e));
	jw_kstr(w, "because", reason_of(e));
	jw_kbool(w, "is_over", !e->is_open);
	jw_close(w, '}');
}

void
report_warm_json(const struct forecast *f, struct jsonw *w)
{
	const struct outlook *o = f->first;

	jw_key(w, "warmup");
	jw_open(w, '[');
	for (uint32_t i = 0; i < o->nwarm; i++) {
		const struct warm_entry *e = &o->warm[i];

		if (i == 0 || !is_same_pair(e, e - 1)) {
			jw_open(w, '{');
			jw_kstr(w, "source", source_name(f, e));
			jw_kstr(w, "provider", provider_name(f, e));
			jw_key(w, "days");
			jw_open(w, '[');
		}
		put_day(w, e);
		if (i + 1 == o->nwarm || !is_same_pair(e, e + 1)) {
			jw_close(w, ']');
			jw_close(w, '}');
		}
	}
	jw_close(w, ']');
}
