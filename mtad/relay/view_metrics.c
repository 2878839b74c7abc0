/*
 * relay/view_metrics.c - the same numbers for Prometheus (text format 0.0.4).
 *
 * Totals are exact. Single queues and sources appear for the top
 * VIEW_METRIC_QUEUES and VIEW_METRIC_SOURCES only, so the number of series is
 * bounded whatever the number of domains: 24 totals, 100 queues x 10, 100
 * sources x 6 and at most 128 limits x 4 (by their names, whatever the number of
 * their tuples) are under 2,500 with room for what the daemon adds.
 *
 * Two queues may look alike in their labels (they differ in class, or one is
 * not resolved yet); a series must be there once, so such rows are added up.
 */
#include "relay/view_i.h"

/* ---- totals ----------------------------------------------------------------- */

/* What each total means, in the words of the metric's HELP. */
#define TOTAL_HELP(X)                                                          \
	X(messages, "Messages that are not over.")                             \
	X(recipients, "Recipients that are not final.")                        \
	X(due, "Recipients that could be sent to now.")                        \
	X(deferred, "Recipients waiting for their next attempt.")              \
	X(held, "Recipients held by an operator.")                             \
	X(inflight, "Recipients assigned to a session.")                       \
	X(resolving, "Domains being looked up.")                               \
	X(sessions, "Outbound sessions.")                                      \
	X(domains, "Recipient domains known.")                                 \
	X(sites, "Sites (sets of MX hosts) known.")                            \
	X(queues, "Queues that hold mail.")                                    \
	X(paths, "Paths (source x site) known.")                               \
	X(received_total, "Recipients taken in.")                              \
	X(delivered_total, "Recipients delivered.")                            \
	X(transient_total, "Attempts that will be repeated.")                  \
	X(bounced_total, "Recipients bounced.")                                \
	X(expired_total, "Recipients whose time was up.")                      \
	X(admin_total, "Recipients ended by an operator.")                     \
	X(sessions_total, "Outbound sessions begun.")                          \
	X(sessions_failed_total, "Outbound sessions that failed.")             \
	X(resolve_total, "Look-ups asked for.")                                \
	X(steps_total, "Events the engine has taken.")                         \
	X(commands_total, "Commands the engine has given.")                    \
	X(parks_total, "Times a path was parked on a limit.")                  \
	X(decisions_total,                                                     \
	    "Times that it was asked whether something may go.")               \
	X(comparisons_total, "Comparisons of timers and of neighbours.")       \
	X(moves_total, "Places that timers moved to.")

static bool
is_counter(const char *name)
{
	return slice_has_isuffix(slice_str(name), SL("_total"));
}

void
view_metric_head(struct buf *out, const char *name, const char *help)
{
	buf_addf(out, "# HELP mtad_%s %s\n# TYPE mtad_%s %s\n", name, help,
	    name, is_counter(name) ? "counter" : "gauge");
}

static void
metric(struct buf *out, const char *name, const char *help, uint64_t v)
{
	view_metric_head(out, name, help);
	buf_addf(out, "mtad_%s %llu\n", name, (unsigned long long)v);
}

static void
metrics_totals(const struct core *c, struct buf *out)
{
	static const struct {
#define X(name) const char *name;
		ENG_TOTALS(X)
#undef X
	} help = {
#define X(total, text) .total = text,
		TOTAL_HELP(X)
#undef X
	};
	struct eng_totals t;

	eng_totals(c->eng, &t);
#define X(name) metric(out, #name, help.name ? help.name : #name, t.name);
	ENG_TOTALS(X)
#undef X
	metric(out, "recipients_free", "Recipients there is room for.",
	    eng_rcpts_free(c->eng));
	metric(out, "engine_bytes", "Memory of the engine.",
	    eng_memory(c->eng));
	metric(out, "notices_waiting", "Notices that could not be committed.",
	    c->nowed);
	metric(out, "notices_total", "Delivery status notifications made.",
	    c->notices_total);
	metric(out, "complaints_total", "Complaints told by mtad feedback.",
	    c->complaints);
}

/* ---- labels ----------------------------------------------------------------- */

/* A label's value: backslash, quote and newline escaped, UTF-8 only. */
void
view_label(struct buf *out, char before, const char *name, struct slice s)
{
	uint32_t code;
	size_t n;

	buf_addf(out, "%c%s=\"", before, name);
	while (s.n > 0) {
		n = slice_utf8(s, &code);
		if (n == 0)
			buf_addz(out, "\xef\xbf\xbd");
		else if (s.p[0] == '\n')
			buf_addz(out, "\\n");
		else if (s.p[0] == '\\' || s.p[0] == '"')
			buf_addf(out, "\\%c", s.p[0]);
		else
			buf_add(out, s.p, n);
		s = slice_skip(s, n ? n : 1);
	}
	buf_addc(out, '"');
}

/* ---- rows ------------------------------------------------------------------- */

/* One metric of every row: a counter or a gauge that stands at an offset. */
struct series {
	const char *name, *help;
	size_t offset, size;
};

#define SERIES(name, row, field, help)                                         \
	{                                                                      \
		name, help, offsetof(struct row, field),                       \
		    sizeof(((struct row *)NULL)->field)                        \
	}

static uint64_t
series_get(const struct series *s, const void *row)
{
	const char *at = (const char *)row + s->offset;
	uint32_t narrow;
	uint64_t wide;

	if (s->size == sizeof(wide)) {
		memcpy(&wide, at, sizeof(wide));
		return wide;
	}
	ASSERT(s->size == sizeof(narrow));
	memcpy(&narrow, at, sizeof(narrow));
	return narrow;
}

static void
series_set(const struct series *s, void *row, uint64_t v)
{
	char *at = (char *)row + s->offset;
	uint32_t narrow = (uint32_t)MIN(v, UINT32_MAX);

	if (s->size == sizeof(v))
		memcpy(at, &v, sizeof(v));
	else
		memcpy(at, &narrow, sizeof(narrow));
}

/* ---- queues ----------------------------------------------------------------- */

static const struct series queue_series[] = {
	SERIES("queue_depth", eng_queue_row, depth, "Recipients in the queue."),
	SERIES("queue_due", eng_queue_row, due,
	    "Recipients that could be sent to now."),
	SERIES("queue_deferred", eng_queue_row, deferred,
	    "Recipients waiting for their next attempt."),
	SERIES("queue_held", eng_queue_row, held,
	    "Recipients held by an operator."),
	SERIES("queue_inflight", eng_queue_row, inflight,
	    "Recipients assigned to a session."),
	SERIES("queue_delivered_total", eng_queue_row, delivered,
	    "Recipients delivered."),
	SERIES("queue_transient_total", eng_queue_row, transient,
	    "Attempts that will be repeated."),
	SERIES("queue_bounced_total", eng_queue_row, bounced,
	    "Recipients bounced."),
};

static bool
same_labels(const struct eng_queue_row *a, const struct eng_queue_row *b)
{
	return a->domain == b->domain && a->site_host == b->site_host &&
	    a->pool == b->pool && a->tenant == b->tenant &&
	    a->campaign == b->campaign;
}

static void
queue_add(struct eng_queue_row *to, const struct eng_queue_row *q)
{
	for (size_t i = 0; i < ARRAY_LEN(queue_series); i++) {
		const struct series *s = &queue_series[i];

		series_set(s, to, series_get(s, to) + series_get(s, q));
	}
	if (to->oldest_us == 0 ||
	    (q->oldest_us != 0 && q->oldest_us < to->oldest_us))
		to->oldest_us = q->oldest_us;
}

/* Adds up the rows that look alike; returns how many are left. */
static uint32_t
queues_merge(struct eng_queue_row *rows, uint32_t n)
{
	uint32_t kept = 0, at;

	for (uint32_t i = 0; i < n; i++) {
		at = 0;
		while (at < kept && !same_labels(&rows[at], &rows[i]))
			at++;
		if (at < kept)
			queue_add(&rows[at], &rows[i]);
		else
			rows[kept++] = rows[i];
	}
	return kept;
}

/* The beginning of a queue's line, up to the closing brace. */
static void
queue_line(const struct core *c, struct buf *out, const char *name,
    const struct eng_queue_row *q)
{
	const struct names *names = &c->names;

	buf_addf(out, "mtad_%s", name);
	view_label(out, '{', "domain", names_text(names, q->domain));
	view_label(out, ',', "site", names_text(names, q->site_host));
	view_label(out, ',', "pool", names_text(names, q->pool));
	view_label(out, ',', "tenant", names_text(names, q->tenant));
	view_label(out, ',', "campaign", names_text(names, q->campaign));
}

static void
queues_oldest(const struct core *c, struct buf *out,
    const struct eng_queue_row *rows, uint32_t n)
{
	view_metric_head(out, "queue_oldest_seconds",
	    "Age of the oldest recipient.");
	for (uint32_t i = 0; i < n; i++) {
		if (rows[i].oldest_us == 0)
			continue;
		queue_line(c, out, "queue_oldest_seconds", &rows[i]);
		buf_addf(out, "} %lld\n",
		    (long long)((c->now_us - rows[i].oldest_us) / US_PER_S));
	}
}

static void
queues_why(const struct core *c, struct buf *out,
    const struct eng_queue_row *rows, uint32_t n)
{
	view_metric_head(out, "queue_waits",
	    "1 with what the queue waits for.");
	for (uint32_t i = 0; i < n; i++) {
		queue_line(c, out, "queue_waits", &rows[i]);
		view_label(out, ',', "why",
		    slice_str(eng_why_name(rows[i].why)));
		buf_addz(out, "} 1\n");
	}
}

static void
metrics_queues(struct core *c, struct buf *out)
{
	struct eng_queue_row *rows;
	uint32_t n;

	rows = mem_try(VIEW_METRIC_QUEUES * sizeof(*rows));
	if (rows == NULL)
		return;
	n = eng_top_queues(c->eng, SORT_DEPTH, c->now_us, rows,
	    VIEW_METRIC_QUEUES);
	n = queues_merge(rows, n);
	for (size_t k = 0; k < ARRAY_LEN(queue_series); k++) {
		const struct series *s = &queue_series[k];

		view_metric_head(out, s->name, s->help);
		for (uint32_t i = 0; i < n; i++) {
			queue_line(c, out, s->name, &rows[i]);
			buf_addf(out, "} %llu\n",
			    (unsigned long long)series_get(s, &rows[i]));
		}
	}
	queues_oldest(c, out, rows, n);
	queues_why(c, out, rows, n);
	mem_free(rows);
}

/* ---- sources ---------------------------------------------------------------- */

static const struct series source_series[] = {
	SERIES("source_sessions", eng_source_row, conns,
	    "Outbound sessions of the source."),
	SERIES("source_paths", eng_source_row, paths,
	    "Sites that the source has to do with."),
	SERIES("source_paths_backoff", eng_source_row, paths_backoff,
	    "Sites that refused the source and are left alone for now."),
	SERIES("source_delivered_total", eng_source_row, delivered,
	    "Recipients delivered."),
	SERIES("source_transient_total", eng_source_row, transient,
	    "Attempts that will be repeated."),
	SERIES("source_bounced_total", eng_source_row, bounced,
	    "Recipients bounced."),
};

static void
sources_suspended(const struct core *c, struct buf *out,
    const struct eng_source_row *rows, uint32_t n)
{
	view_metric_head(out, "source_suspended",
	    "1 while none of the source's proxies is well.");
	for (uint32_t i = 0; i < n; i++) {
		buf_addz(out, "mtad_source_suspended");
		view_label(out, '{', "source",
		    names_text(&c->names, rows[i].name));
		buf_addf(out, "} %d\n", rows[i].why == WHY_PROXY);
	}
}

static void
metrics_sources(struct core *c, struct buf *out)
{
	struct eng_source_row *rows;
	uint32_t n;

	rows = mem_try(VIEW_METRIC_SOURCES * sizeof(*rows));
	if (rows == NULL)
		return;
	n = eng_top_sources(c->eng, SOURCE_SORT_ORDER, c->now_us, rows,
	    VIEW_METRIC_SOURCES);
	for (size_t k = 0; k < ARRAY_LEN(source_series); k++) {
		const struct series *s = &source_series[k];

		view_metric_head(out, s->name, s->help);
		for (uint32_t i = 0; i < n; i++) {
			buf_addf(out, "mtad_%s", s->name);
			view_label(out, '{', "source",
			    names_text(&c->names, rows[i].name));
			buf_addf(out, "} %llu\n",
			    (unsigned long long)series_get(s, &rows[i]));
		}
	}
	if (core_has_proxies(c))
		sources_suspended(c, out, rows, n);
	mem_free(rows);
}

void
core_view_metrics(struct core *c, struct buf *out)
{
	view_metric_head(out, "info", "1 with the version of the daemon.");
	buf_addz(out, "mtad_info");
	view_label(out, '{', "version", slice_str(mta_version()));
	buf_addz(out, "} 1\n");
	metrics_totals(c, out);
	metrics_queues(c, out);
	metrics_sources(c, out);
	view_metrics_limits(c, out);
}
