/*
 * source/parse.c - the daemon's JSON to a snapshot.
 *
 * A member that is missing or of another kind is unknown; an answer that is
 * no object, or has no list where one belongs, makes no snapshot. Rows beyond
 * ROWS_MAX are not read, whatever was asked for.
 */
#include <jansson.h>

#include "source/source.h"

#define ROWS_MAX 2000u
#define ARENA_BLOCK (64u * 1024)
#define ARENA_MAX (32u * 1024 * 1024)
#define NUMBER_MAX 9e15 /* doubles count exactly up to 2^53 */

static int64_t
get_int(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	json_int_t n = json_integer_value(v);

	return json_is_integer(v) && n >= 0 ? (int64_t)n : SNAP_UNKNOWN;
}

/* A number, times so many, as an integer. */
static int64_t
get_scaled(const json_t *o, const char *key, double scale)
{
	const json_t *v = json_object_get(o, key);
	double n = json_number_value(v) * scale;

	if (!json_is_number(v) || !(n >= 0 && n < NUMBER_MAX))
		return SNAP_UNKNOWN;
	return (int64_t)(n + 0.5);
}

static struct slice
get_text(struct snap *s, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	size_t n = json_string_length(v);
	char *p = n > 0 ? arena_str(&s->arena, json_string_value(v), n) : NULL;

	return p ? slice_of(p, n) : slice_of("", 0);
}

static void
read_status(struct snap *s, const json_t *o)
{
	const json_t *totals = json_object_get(o, "totals");
	struct slice time;

	time = get_text(s, o, "time");
	if (parse_date_iso(time, &s->wall_us) != 0)
		s->wall_us = SNAP_UNKNOWN;
	s->uptime_us = get_scaled(o, "uptime_s", 1e6);
	s->hostname = get_text(s, o, "hostname");
	s->version = get_text(s, o, "version");
	s->is_stopping = json_is_true(json_object_get(o, "is_stopping"));
#define X(name) s->name = get_int(o, #name);
	SNAP_STATUS(X)
#undef X
#define X(name) s->name = get_int(totals, #name);
	SNAP_TOTALS(X)
#undef X
}

static void
read_queue(struct snap *s, const json_t *o, struct snap_queue *q)
{
	q->domain = get_text(s, o, "domain");
	q->site = get_text(s, o, "site");
	q->pool = get_text(s, o, "pool");
	q->tenant = get_text(s, o, "tenant");
	q->campaign = get_text(s, o, "campaign");
	q->pinned_to = get_text(s, o, "pinned_to");
	q->why = get_text(s, o, "why");
	q->depth = get_int(o, "depth");
	q->due = get_int(o, "due");
	q->deferred = get_int(o, "deferred");
	q->held = get_int(o, "held");
	q->inflight = get_int(o, "inflight");
	q->conns = get_int(o, "conns");
	q->delivered = get_int(o, "delivered_total");
	q->transient = get_int(o, "transient_total");
	q->bounced = get_int(o, "bounced_total");
	q->rate_milli = get_scaled(o, "rate", 1e3);
	q->defer_milli = get_scaled(o, "deferral_share", 1e3);
	q->oldest_us = get_scaled(o, "oldest_s", 1e6);
	q->until_us = get_scaled(o, "until_s", 1e6);
	o = json_object_get(o, "eta");
	q->eta = get_text(s, o, "is");
	q->eta_us = get_scaled(o, "at_s", 1e6);
	q->eta_low_us = get_scaled(o, "low_s", 1e6);
	q->eta_high_us = get_scaled(o, "high_s", 1e6);
}

static void
read_source(struct snap *s, const json_t *o, struct snap_source *r)
{
	r->name = get_text(s, o, "source");
	r->address = get_text(s, o, "address");
	r->ehlo = get_text(s, o, "ehlo");
	r->why = get_text(s, o, "why");
	r->reason = get_text(s, o, "reason");
	r->conns = get_int(o, "conns");
	r->paths = get_int(o, "paths");
	r->paths_backoff = get_int(o, "paths_backoff");
	r->delivered = get_int(o, "delivered_total");
	r->transient = get_int(o, "transient_total");
	r->bounced = get_int(o, "bounced_total");
	r->rate_milli = get_scaled(o, "rate", 1e3);
	r->defer_milli = get_scaled(o, "deferral_share", 1e3);
	r->until_us = get_scaled(o, "until_s", 1e6);
}

static bool
read_queues(struct snap *s, const json_t *o)
{
	const json_t *rows = json_object_get(o, "queues");
	size_t n = MIN(json_array_size(rows), ROWS_MAX);

	s->all_queues = get_int(o, "total");
	s->queue_rows =
	    arena_get(&s->arena, MAX(n, 1) * sizeof(*s->queue_rows));
	if (!json_is_array(rows) || s->queue_rows == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		read_queue(s, json_array_get(rows, i), &s->queue_rows[i]);
	s->nqueues = (uint32_t)n;
	return true;
}

static bool
read_sources(struct snap *s, const json_t *o)
{
	const json_t *rows = json_object_get(o, "sources");
	size_t n = MIN(json_array_size(rows), ROWS_MAX);

	s->all_sources = get_int(o, "total");
	s->source_rows =
	    arena_get(&s->arena, MAX(n, 1) * sizeof(*s->source_rows));
	if (!json_is_array(rows) || s->source_rows == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		read_source(s, json_array_get(rows, i), &s->source_rows[i]);
	s->nsources = (uint32_t)n;
	return true;
}

static bool
read_all(struct snap *s, const json_t *status, const json_t *queues,
    const json_t *sources, const char **why)
{
	*why = "the daemon's status is no object";
	if (!json_is_object(status))
		return false;
	read_status(s, status);
	*why = "the daemon's queues are no list";
	if (!read_queues(s, queues))
		return false;
	*why = "the daemon's sources are no list";
	return read_sources(s, sources);
}

struct snap *
snap_parse(struct slice status, struct slice queues, struct slice sources,
    const char **why)
{
	json_t *a = json_loadb(status.p, status.n, JSON_ALLOW_NUL, NULL);
	json_t *b = json_loadb(queues.p, queues.n, JSON_ALLOW_NUL, NULL);
	json_t *c = json_loadb(sources.p, sources.n, JSON_ALLOW_NUL, NULL);
	struct snap *s = mem_get(sizeof(*s));

	arena_init(&s->arena, ARENA_BLOCK, ARENA_MAX);
	s->in_milli = s->out_milli = SNAP_UNKNOWN;
	s->defer_milli = s->bounce_milli = SNAP_UNKNOWN;
	if (!read_all(s, a, b, c, why)) {
		snap_free(s);
		s = NULL;
	}
	json_decref(a);
	json_decref(b);
	json_decref(c);
	return s;
}

void
snap_free(struct snap *s)
{
	if (s == NULL)
		return;
	arena_free(&s->arena);
	mem_free(s);
}

/* Growth of a counter per second x 1000; unknown when it went back, as it
 * does when the daemon has been started anew. */
static int64_t
rate_milli(int64_t before, int64_t now, int64_t us)
{
	if (before < 0 || now < before || us <= 0)
		return SNAP_UNKNOWN;
	if (now - before > INT64_MAX / 1000000000)
		return SNAP_UNKNOWN;
	return (now - before) * 1000 * US_PER_S / us;
}

void
snap_compare(struct snap *s, const struct snap *before)
{
	int64_t us = s->wall_us - before->wall_us;

	if (s->wall_us < 0 || before->wall_us < 0)
		return;
	s->in_milli = rate_milli(before->received_total, s->received_total, us);
	s->out_milli =
	    rate_milli(before->delivered_total, s->delivered_total, us);
	s->defer_milli =
	    rate_milli(before->transient_total, s->transient_total, us);
	s->bounce_milli =
	    rate_milli(before->bounced_total, s->bounced_total, us);
}
