/*
 * relay/view.c - what the engine knows, as JSON for viewers. The fields are
 * described in share/doc/control.md.
 *
 * Every answer names the moment it was taken at, and every time in it stands
 * twice: as a wall-clock text and as seconds from that moment, so that nobody
 * has to compare clocks. What is not known is null or left out, never 0.
 *
 * Cost: one pass over the queues for the top n, or a stated number of
 * recipients for a list; never the whole of the mail.
 */
#include "relay/view_i.h"

/* ---- times ------------------------------------------------------------------ */

void
view_now(const struct core *c, struct jsonw *w)
{
	char text[32];

	jw_kstr(w, "time", slice_of(text, date_iso(text, c->wall_us)));
}

/* key: the moment; key_s: seconds until then (until) or since then. */
void
view_moment(const struct core *c, struct jsonw *w, const char *key,
    const char *key_s, int64_t mono_us, bool is_ahead)
{
	int64_t us = is_ahead ? mono_us - c->now_us : c->now_us - mono_us;
	char text[32];

	if (mono_us == 0 || mono_us == TIME_NEVER) {
		jw_key(w, key);
		jw_null(w);
		return;
	}
	jw_kstr(w, key, slice_of(text, date_iso(text, core_wall(c, mono_us))));
	jw_key(w, key_s);
	jw_milli(w, MAX(us, 0) / US_PER_MS);
}

static void
view_why(const struct core *c, struct jsonw *w, enum eng_why why,
    int64_t until_us)
{
	jw_kstr(w, "why", slice_str(eng_why_name(why)));
	view_moment(c, w, "until", "until_s", until_us, true);
}

void
view_name(const struct core *c, struct jsonw *w, const char *key, uint32_t id)
{
	jw_kstr(w, key, names_text(&c->names, id));
}

static void
view_milli(struct jsonw *w, const char *key, uint32_t milli)
{
	jw_key(w, key);
	jw_milli(w, milli);
}

/* ---- status ----------------------------------------------------------------- */

void
core_view_status(struct core *c, struct buf *out)
{
	struct eng_totals t;
	struct jsonw w;

	eng_totals(c->eng, &t);
	jw_init(&w, out);
	jw_open(&w, '{');
	view_now(c, &w);
	jw_kstr(&w, "version", slice_str(mta_version()));
	jw_kstr(&w, "hostname", c->conf->hostname);
	jw_ku64(&w, "node", c->conf->node);
	jw_ku64(&w, "generation", c->generation);
	jw_kbool(&w, "is_stopping", c->is_stopping);
	jw_kbool(&w, "is_disk_full", c->is_disk_full);
	jw_ku64(&w, "sources_suspended", core_proxies_down(c));
	jw_key(&w, "uptime_s");
	jw_milli(&w, (c->now_us - c->started_us) / US_PER_MS);
	jw_ku64(&w, "sessions_max", c->conf->sessions_out_max);
	jw_ku64(&w, "recipients_max", c->conf->rcpts_max);
	jw_ku64(&w, "recipients_free", eng_rcpts_free(c->eng));
	jw_ku64(&w, "engine_bytes", eng_memory(c->eng));
	jw_ku64(&w, "notices_total", c->notices_total);
	jw_ku64(&w, "notices_waiting", c->nowed);
	jw_key(&w, "totals");
	jw_open(&w, '{');
#define X(name) jw_ku64(&w, #name, t.name);
	ENG_TOTALS(X)
#undef X
	jw_close(&w, '}');
	jw_close(&w, '}');
}

/* ---- queues ----------------------------------------------------------------- */

void
view_queue_members(const struct core *c, struct jsonw *w,
    const struct eng_queue_row *q)
{
	view_name(c, w, "domain", q->domain);
	view_name(c, w, "site", q->site_host);
	view_name(c, w, "pool", q->pool);
	view_name(c, w, "tenant", q->tenant);
	view_name(c, w, "campaign", q->campaign);
	if (q->pin != 0)
		view_name(c, w, "pinned_to", q->pin);
	jw_ku64(w, "depth", q->depth);
	jw_ku64(w, "due", q->due);
	jw_ku64(w, "deferred", q->deferred);
	jw_ku64(w, "held", q->held);
	jw_ku64(w, "inflight", q->inflight);
	jw_ku64(w, "conns", q->conns);
	jw_ku64(w, "delivered_total", q->delivered);
	jw_ku64(w, "transient_total", q->transient);
	jw_ku64(w, "bounced_total", q->bounced);
	view_milli(w, "rate", q->rate_milli);
	view_milli(w, "deferral_share", q->defer_milli);
	view_moment(c, w, "oldest", "oldest_s", q->oldest_us, false);
	view_why(c, w, q->why, q->until_us);
}

static void
view_queue(const struct core *c, struct jsonw *w, const struct eng_queue_row *q,
    const struct eng_eta *eta)
{
	jw_open(w, '{');
	view_queue_members(c, w, q);
	view_eta(c, w, eta);
	jw_close(w, '}');
}

/* The first is the default; -1: no such key. */
static int
sort_key(struct slice key, const char *const *names, int n)
{
	if (key.n == 0)
		return 0;
	for (int i = 0; i < n; i++)
		if (slice_eq(key, slice_str(names[i])))
			return i;
	return -1;
}

int
core_view_queues(struct core *c, struct slice key, uint32_t n, struct buf *out)
{
	static const char *const names[ENG_SORT_N] = {
#define X(sort, text) [sort] = text,
		ENG_SORT_TABLE(X)
#undef X
	};
	int sort = sort_key(key, names, ENG_SORT_N);
	uint32_t looks = VIEW_ETA_LOOKS;
	struct eng_queue_row *rows;
	struct eng_totals t;
	struct jsonw w;

	if (sort < 0)
		return E_RANGE;
	n = MIN(MAX(n, 1), VIEW_ROWS_MAX);
	rows = mem_try(n * sizeof(*rows));
	if (rows == NULL)
		return E_NOMEM;
	eng_totals(c->eng, &t);
	n = eng_top_queues(c->eng, (enum eng_sort)sort, c->now_us, rows, n);
	jw_init(&w, out);
	jw_open(&w, '{');
	view_now(c, &w);
	jw_ku64(&w, "total", t.queues);
	jw_key(&w, "queues");
	jw_open(&w, '[');
	for (uint32_t i = 0; i < n; i++) {
		struct eng_eta eta =
		    eng_eta(c->eng, rows[i].queue, c->now_us, &looks);

		view_queue(c, &w, &rows[i], &eta);
	}
	jw_close(&w, ']');
	jw_close(&w, '}');
	mem_free(rows);
	return 0;
}

/* ---- sources ---------------------------------------------------------------- */

/* The configured source of that name; hint: where it may well stand. */
static const struct conf_source *
source_conf(const struct core *c, struct slice name, uint32_t hint)
{
	const struct conf *conf = c->conf;

	if (hint < conf->nsources && slice_eq(conf->sources[hint].name, name))
		return &conf->sources[hint];
	for (uint32_t i = 0; i < conf->nsources; i++)
		if (slice_eq(conf->sources[i].name, name))
			return &conf->sources[i];
	return NULL;
}

void
view_source_members(const struct core *c, struct jsonw *w,
    const struct eng_source_row *s, uint32_t at)
{
	struct slice name = names_text(&c->names, s->name);
	const struct conf_source *conf = source_conf(c, name, at);
	char ip[IP_TEXT_MAX];

	jw_kstr(w, "source", name);
	if (conf != NULL) {
		jw_kstr(w, "address",
		    slice_of(ip, ip_format(ip, &conf->address)));
		jw_kstr(w, "ehlo",
		    conf->ehlo.n > 0 ? conf->ehlo : c->conf->hostname);
	}
	jw_ku64(w, "conns", s->conns);
	jw_ku64(w, "paths", s->paths);
	jw_ku64(w, "paths_backoff", s->paths_backoff);
	jw_ku64(w, "delivered_total", s->delivered);
	jw_ku64(w, "transient_total", s->transient);
	jw_ku64(w, "bounced_total", s->bounced);
	view_milli(w, "rate", s->rate_milli);
	view_milli(w, "deferral_share", s->defer_milli);
	view_why(c, w, s->why, s->until_us);
	if (conf != NULL)
		core_proxies_view(c, w, (uint32_t)(conf - c->conf->sources));
}

static void
view_source(const struct core *c, struct jsonw *w,
    const struct eng_source_row *s, uint32_t at)
{
	jw_open(w, '{');
	view_source_members(c, w, s, at);
	jw_close(w, '}');
}

int
core_view_sources(struct core *c, struct slice key, uint32_t n, struct buf *out)
{
	static const char *const names[ENG_SOURCE_SORT_N] = {
#define X(sort, text) [sort] = text,
		ENG_SOURCE_SORT_TABLE(X)
#undef X
	};
	int sort = sort_key(key, names, ENG_SOURCE_SORT_N);
	struct eng_source_row *rows;
	struct jsonw w;

	if (sort < 0)
		return E_RANGE;
	n = MIN(MAX(n, 1), VIEW_ROWS_MAX);
	rows = mem_try(n * sizeof(*rows));
	if (rows == NULL)
		return E_NOMEM;
	n = eng_top_sources(c->eng, (enum eng_source_sort)sort, c->now_us, rows,
	    n);
	jw_init(&w, out);
	jw_open(&w, '{');
	view_now(c, &w);
	jw_ku64(&w, "total", c->conf->nsources);
	jw_key(&w, "sources");
	jw_open(&w, '[');
	for (uint32_t i = 0; i < n; i++)
		view_source(c, &w, &rows[i], i);
	jw_close(&w, ']');
	jw_close(&w, '}');
	mem_free(rows);
	return 0;
}

/* ---- messages --------------------------------------------------------------- */

void
view_said(struct jsonw *w, const struct outcome *o)
{
	char text[24];
	int n;

	jw_kstr(w, "stage", slice_str(stage_name(outcome_stage(o))));
	if (o->code != 0)
		jw_ku64(w, "code", o->code);
	if (o->enh.klass == 0)
		return;
	n = snprintf(text, sizeof(text), "%u.%u.%u", o->enh.klass,
	    o->enh.subject, o->enh.detail);
	jw_kstr(w, "enhanced", slice_of(text, (size_t)n));
}

void
view_outcome(struct jsonw *w, const struct outcome *o)
{
	jw_key(w, "last");
	if (o->klass == OUTCOME_NONE) {
		jw_null(w);
		return;
	}
	jw_open(w, '{');
	jw_kstr(w, "outcome", slice_str(outcome_name(o->klass)));
	view_said(w, o);
	jw_close(w, '}');
}

void
view_waiting(const struct core *c, struct jsonw *w,
    const struct eng_rcpt_row *r)
{
	jw_ku64(w, "attempts", r->attempts);
	view_moment(c, w, "arrival", "age_s", r->arrival_us, false);
	view_moment(c, w, "expires", "expires_s", r->expires_us, true);
	view_moment(c, w, "due", "due_s", r->due_us, true);
	view_why(c, w, r->why, r->until_us);
	view_outcome(w, &r->last);
}

void
view_steer(const struct core *c, struct jsonw *w, const struct eng_rcpt_row *r)
{
	view_name(c, w, "pool", r->pool);
	view_name(c, w, "tenant", r->tenant);
	view_name(c, w, "campaign", r->campaign);
}

static void
view_rcpt(const struct core *c, struct jsonw *w, const struct eng_rcpt_row *r)
{
	const struct core_msg *m = core_msg(c, r->msg);
	char id[MSGID_TEXT_MAX];

	jw_open(w, '{');
	if (m != NULL)
		jw_kstr(w, "id", slice_of(id, msgid_format(id, &m->id)));
	jw_ku64(w, "rcpt", r->rcpt);
	view_name(c, w, "domain", r->domain);
	view_steer(c, w, r);
	view_waiting(c, w, r);
	jw_close(w, '}');
}

/* Collects up to n rows, in slices of VIEW_LIST_BUDGET recipients. */
static uint32_t
list_rows(struct core *c, const struct eng_selector *sel, uint32_t *cursor,
    struct eng_rcpt_row *rows, uint32_t n)
{
	uint32_t got = 0;

	for (int slice = 0; slice < VIEW_LIST_SLICES && got < n; slice++) {
		got += eng_list(c->eng, sel, cursor, VIEW_LIST_BUDGET,
		    c->now_us, rows + got, n - got);
		if (*cursor == 0)
			break;
	}
	return got;
}

static void
view_list(struct core *c, const struct eng_rcpt_row *rows, uint32_t n,
    uint32_t cursor, struct buf *out)
{
	struct jsonw w;

	jw_init(&w, out);
	jw_open(&w, '{');
	view_now(c, &w);
	jw_key(&w, "recipients");
	jw_open(&w, '[');
	for (uint32_t i = 0; i < n; i++)
		view_rcpt(c, &w, &rows[i]);
	jw_close(&w, ']');
	jw_key(&w, "cursor");
	if (cursor != 0)
		jw_u64(&w, cursor);
	else
		jw_null(&w);
	jw_close(&w, '}');
}

static bool
is_unset(const struct core_selector *s)
{
	return s->id.n == 0 && s->domain.n == 0 && s->tenant.n == 0 &&
	    s->campaign.n == 0 && s->pool.n == 0 && s->older_than_us == 0;
}

int
core_list(struct core *c, const struct core_selector *s, uint64_t cursor,
    uint32_t n, struct buf *out)
{
	struct core_selector which = *s;
	struct eng_selector sel;
	struct eng_rcpt_row *rows;
	uint32_t at = (uint32_t)cursor;
	int err;

	if (cursor > UINT32_MAX)
		return E_RANGE;
	/* Looking harms nobody: no selector is all of them. */
	which.everything = is_unset(s);
	err = core_selector_compile(c, &which, &sel);
	if (err != 0) {
		if (err == E_NOTFOUND)
			view_list(c, NULL, 0, 0, out);
		return err;
	}
	n = MIN(MAX(n, 1), VIEW_ROWS_MAX);
	rows = mem_try(n * sizeof(*rows));
	if (rows == NULL)
		return E_NOMEM;
	n = list_rows(c, &sel, &at, rows, n);
	view_list(c, rows, n, at, out);
	mem_free(rows);
	return 0;
}
