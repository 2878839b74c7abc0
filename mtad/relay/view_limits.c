/*
 * relay/view_limits.c - how far the limits on tuples are used, and who waits for
 * them: as JSON, and the sums for Prometheus.
 */
#include "engine/usage.h"
#include "relay/view_i.h"

/* Tuples that one answer looks at, with a filter or without: at 300 ns each
 * about 3 ms of the core. */
#define LOOKS_MAX 8192u
#define ROWS_AT_ONCE 64u

/* ---- names ---------------------------------------------------------------------- */

/* The value of a dim, as text; ip is a buffer for it. */
static struct slice
value(const struct core *c, const struct eng_limit_row *r, int d,
    char ip[IP_TEXT_MAX])
{
	if (d == DIM_HOST)
		return slice_of(ip, ip_format(ip, &r->host));
	return names_text(&c->names, r->val[d]);
}

static bool
speaks_of(const struct eng_limit_row *r, int d)
{
	return (r->dims >> d & 1) != 0 && d != DIM_NODE;
}

static bool
contains(struct slice s, struct slice part)
{
	for (; s.n >= part.n; s = slice_skip(s, 1)) {
		if (slice_has_iprefix(s, part))
			return true;
	}
	return false;
}

/* Of the limit or of a value. */
static bool
is_meant(const struct core *c, const struct eng_limit_row *r,
    struct slice filter)
{
	char ip[IP_TEXT_MAX];

	if (filter.n == 0 || contains(names_text(&c->names, r->name), filter))
		return true;
	for (int d = 0; d < DIM_N; d++)
		if (speaks_of(r, d) && contains(value(c, r, d, ip), filter))
			return true;
	return false;
}

/* ---- JSON ----------------------------------------------------------------------- */

static void
put_usage(struct jsonw *w, const char *key, const struct eng_usage *t)
{
	if (t->most == 0)
		return;
	jw_key(w, key);
	jw_open(w, '{');
	jw_ku64(w, "now", t->now);
	jw_ku64(w, "most", t->most);
	jw_close(w, '}');
}

static void
put_blocked(struct jsonw *w, uint32_t waiting, const struct eng_blocked *b)
{
	jw_ku64(w, "waiting", waiting);
	jw_ku64(w, "refusals", b->refusals);
	jw_key(w, "blocked_path_s");
	jw_milli(w, (int64_t)(b->path_us / US_PER_MS));
	jw_key(w, "blocked_recipient_s");
	jw_milli(w, (int64_t)(b->rcpt_us / US_PER_MS));
}

static void
put_row(const struct core *c, struct jsonw *w, const struct eng_limit_row *r)
{
	char ip[IP_TEXT_MAX];

	jw_open(w, '{');
	view_name(c, w, "limit", r->name);
	jw_key(w, "tuple");
	jw_open(w, '{');
	for (int d = 0; d < DIM_N; d++)
		if (speaks_of(r, d))
			jw_kstr(w, eng_dim_name((enum eng_dim)d),
			    value(c, r, d, ip));
	jw_close(w, '}');
	put_usage(w, "connections", &r->conns);
	put_usage(w, "connection_rate", &r->opens);
	put_usage(w, "rate", &r->msgs);
	put_usage(w, "recipient_rate", &r->rcpts);
	put_usage(w, "byte_rate", &r->bytes);
	put_usage(w, "quota", &r->quota);
	jw_kbool(w, "is_shut", r->is_shut);
	view_moment(c, w, "until", "until_s", r->until_us, true);
	put_blocked(w, r->waiting, &r->blocked);
	jw_close(w, '}');
}

static void
put_sums(const struct core *c, struct jsonw *w, struct slice filter)
{
	struct eng_limit_sum *v = mem_try(ENG_CAPS_MAX * sizeof(*v));
	uint32_t n = v ? eng_limit_sums(c->eng, c->now_us, v) : 0;

	jw_key(w, "limits");
	jw_open(w, '[');
	for (uint32_t i = 0; i < n; i++) {
		if (!contains(names_text(&c->names, v[i].name), filter))
			continue;
		jw_open(w, '{');
		view_name(c, w, "limit", v[i].name);
		put_blocked(w, v[i].waiting, &v[i].blocked);
		jw_close(w, '}');
	}
	jw_close(w, ']');
	mem_free(v);
}

void
core_view_limits(const struct core *c, struct slice filter, uint64_t cursor,
    uint32_t n, struct buf *out)
{
	struct eng_limit_row v[ROWS_AT_ONCE];
	uint32_t at = (uint32_t)MIN(cursor, UINT32_MAX), have, put = 0;
	struct jsonw w;

	n = MIN(n, VIEW_ROWS_MAX);
	jw_init(&w, out);
	jw_open(&w, '{');
	view_now(c, &w);
	put_sums(c, &w, filter);
	jw_key(&w, "tuples");
	jw_open(&w, '[');
	for (uint32_t looks = 0; looks < LOOKS_MAX && put < n;
	     looks += ROWS_AT_ONCE) {
		have = eng_limit_rows(c->eng, &at, ROWS_AT_ONCE, c->now_us, v,
		    MIN(ROWS_AT_ONCE, n - put));
		for (uint32_t i = 0; i < have; i++) {
			if (!is_meant(c, &v[i], filter))
				continue;
			put_row(c, &w, &v[i]);
			put++;
		}
		if (at == 0)
			break;
	}
	jw_close(&w, ']');
	jw_key(&w, "cursor");
	if (at != 0)
		jw_u64(&w, at);
	else
		jw_null(&w);
	jw_close(&w, '}');
}

/* ---- all of them, for the simulator ------------------------------------------------ */

void
core_limit_rows(const struct core *c,
    void (*row)(void *ctx, struct slice limit, const struct slice val[DIM_N],
	const struct eng_limit_row *r),
    void *ctx)
{
	struct eng_limit_row v[ROWS_AT_ONCE];
	uint32_t at = 0, n;

	do {
		n = eng_limit_rows(c->eng, &at, UINT32_MAX, c->now_us, v,
		    ROWS_AT_ONCE);
		for (uint32_t i = 0; i < n; i++) {
			struct slice val[DIM_N] = { 0 };
			char ip[IP_TEXT_MAX];

			for (int d = 0; d < DIM_N; d++)
				if (speaks_of(&v[i], d))
					val[d] = value(c, &v[i], d, ip);
			row(ctx, names_text(&c->names, v[i].name), val, &v[i]);
		}
	} while (at != 0);
}

void
core_path_rows(struct core *c, struct slice source,
    void (*row)(void *ctx, struct slice source, struct slice site,
	const struct eng_path_view *p),
    void *ctx)
{
	struct eng_path_view v[ROWS_AT_ONCE];
	struct eng_source_row self;
	uint32_t at = 0, n, name = names_find(&c->names, source);

	do {
		if (!eng_explain_source(c->eng, name, &at, UINT32_MAX,
			c->now_us, &self, v, ROWS_AT_ONCE, &n))
			return;
		for (uint32_t i = 0; i < n; i++)
			row(ctx, source, names_text(&c->names, v[i].site_host),
			    &v[i]);
	} while (at != 0);
}

/* ---- metrics -------------------------------------------------------------------------- */

static void
put_series(const struct core *c, struct buf *out, const char *name,
    const char *help, const struct eng_limit_sum *v, uint32_t n,
    uint64_t (*get)(const struct eng_limit_sum *s))
{
	view_metric_head(out, name, help);
	for (uint32_t i = 0; i < n; i++) {
		buf_addf(out, "mtad_%s", name);
		view_label(out, '{', "limit", names_text(&c->names, v[i].name));
		buf_addf(out, "} %llu\n", (unsigned long long)get(&v[i]));
	}
}

static uint64_t
get_waiting(const struct eng_limit_sum *s)
{
	return s->waiting;
}

static uint64_t
get_refusals(const struct eng_limit_sum *s)
{
	return s->blocked.refusals;
}

static uint64_t
get_paths(const struct eng_limit_sum *s)
{
	return s->blocked.path_us / US_PER_S;
}

static uint64_t
get_rcpts(const struct eng_limit_sum *s)
{
	return s->blocked.rcpt_us / US_PER_S;
}

void
view_metrics_limits(const struct core *c, struct buf *out)
{
	struct eng_limit_sum *v = mem_try(ENG_CAPS_MAX * sizeof(*v));
	uint32_t n = v ? eng_limit_sums(c->eng, c->now_us, v) : 0;

	if (n != 0) {
		put_series(c, out, "limit_waiting",
		    "Paths, queues and lanes that wait for the limit.", v, n,
		    get_waiting);
		put_series(c, out, "limit_refusals_total",
		    "Times that the limit refused one of them.", v, n,
		    get_refusals);
		put_series(c, out, "limit_blocked_path_seconds_total",
		    "Seconds that paths waited for the limit.", v, n,
		    get_paths);
		put_series(c, out, "limit_blocked_recipient_seconds_total",
		    "Seconds that due recipients waited for the limit.", v, n,
		    get_rcpts);
	}
	mem_free(v);
}
