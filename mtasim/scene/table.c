/*
 * scene/table.c - what the sender did, minute by minute.
 */
#include <stdio.h>

#include "scene/scene.h"

#define MINUTE_US (60 * US_PER_S)
#define SOURCES_SHOWN 8

struct row {
	uint32_t came, attempts, delivered, deferred, bounced, opened, refused;
	uint32_t open[SOURCES_SHOWN]; /* most at once */
	const struct verdict *reply;  /* the first refusal */
};

void
scene_reply(const struct verdict *v, char *dst, size_t cap)
{
	if (v->kind == VERDICT_CLOSE)
		snprintf(dst, cap, "(closes)");
	else if (v->kind == VERDICT_SILENT)
		snprintf(dst, cap, "(says nothing)");
	else
		snprintf(dst, cap, "%u %s%s%s", v->code, v->enh,
		    v->enh[0] ? " " : "", v->text);
}

static void
count(struct row *r, const struct trial_event *ev, uint32_t open[SOURCES_SHOWN])
{
	uint32_t at = ev->source < SOURCES_SHOWN ? ev->source : 0;

	switch ((enum trial_deed)ev->what) {
	case DEED_ARRIVE:
		r->came++;
		break;
	case DEED_OPEN:
		r->opened++;
		open[at]++;
		r->open[at] = MAX(r->open[at], open[at]);
		break;
	case DEED_REFUSED:
		r->refused++;
		open[at]--;
		break;
	case DEED_DOWN:
		open[at]--;
		break;
	case DEED_ATTEMPT:
		r->attempts++;
		break;
	case DEED_ANSWER:
		r->delivered += ev->klass == OUTCOME_DELIVERED;
		r->deferred += ev->klass == OUTCOME_TRANSIENT;
		break;
	case DEED_FINAL:
		r->bounced += ev->klass != OUTCOME_DELIVERED;
		break;
	case DEED_UP:
	case DEED_N:
		break;
	}
	if (ev->verdict != NULL && r->reply == NULL &&
	    (ev->what == DEED_REFUSED || ev->what == DEED_ANSWER))
		r->reply = ev->verdict;
}

static bool
is_quiet(const struct row *r)
{
	return r->came + r->attempts + r->delivered + r->deferred + r->bounced +
	    r->opened + r->refused ==
	    0;
}

/* The queue at the end of a minute, and what most of it waited for. */
static uint64_t
depth_at(const struct scene *s, uint32_t minute, uint8_t *why)
{
	const struct scene_log *l = &s->log;
	uint32_t n = s->scen->nproviders;
	uint64_t depth = 0, most = 0;

	*why = WHY_NONE;
	for (uint32_t p = 0; minute < l->nminutes && p < n; p++) {
		const struct minute *m = &l->minutes[(size_t)minute * n + p];

		depth += m->depth;
		if (m->why != WHY_NONE && m->depth >= most) {
			most = m->depth;
			*why = m->why;
		}
	}
	return depth;
}

static void
put_row(const struct scene *s, uint32_t minute, const struct row *r,
    const uint32_t open[SOURCES_SHOWN], struct buf *out)
{
	uint32_t n = MIN(s->scen->conf->nsources, (uint32_t)SOURCES_SHOWN);
	uint8_t why;
	uint64_t depth = depth_at(s, minute, &why);
	char reply[REPLY_BYTES_MAX + 32] = "", conns[100] = "";

	for (uint32_t i = 0, at = 0; i < n && at + 12 < sizeof(conns); i++)
		at += (uint32_t)snprintf(conns + at, sizeof(conns) - at, "%s%u",
		    i ? "/" : "", MAX(r->open[i], open[i]));
	if (r->reply)
		scene_reply(r->reply, reply, sizeof(reply));
	(void)buf_addf(out,
	    "%6u %6u %6u %6u %6u %6u %7llu %5u %5u  %-11s %-10s %.44s\n",
	    minute + 1, r->came, r->attempts, r->delivered, r->deferred,
	    r->bounced, (unsigned long long)depth, r->opened, r->refused, conns,
	    why == WHY_NONE ? depth ? "retry" : "-" :
			      eng_why_name((enum eng_why)why),
	    reply);
}

static void
put_quiet(uint32_t from, uint32_t to, const char *why, struct buf *out)
{
	if (to > from)
		(void)buf_addf(out, "%6u to %u: nothing (%s)\n", from + 1, to,
		    why);
}

void
scene_table(const struct scene *s, struct buf *out)
{
	const struct scene_log *l = &s->log;
	uint32_t open[SOURCES_SHOWN] = { 0 }, i = 0, quiet = 0, minute = 0;
	uint8_t why = WHY_NONE;

	(void)buf_addz(out,
	    "minute   came   sent    250    4xx   lost  queued  "
	    "conn    no  at once     waits for  first refusal\n");
	for (; i < l->n; minute++) {
		struct row r = { 0 };
		uint32_t before[SOURCES_SHOWN];

		memcpy(before, open, sizeof(before));
		for (; i < l->n &&
		     l->v[i].at_us < (int64_t)(minute + 1) * MINUTE_US;
		     i++)
			count(&r, &l->v[i], open);
		if (is_quiet(&r)) {
			(void)depth_at(s, minute, &why);
			continue;
		}
		put_quiet(quiet, minute,
		    why == WHY_NONE ? "retry" : eng_why_name((enum eng_why)why),
		    out);
		put_row(s, minute, &r, before, out);
		quiet = minute + 1;
	}
	if (s->still)
		(void)buf_addf(out, "%llu are still in the queue\n",
		    (unsigned long long)s->still);
}
