/*
 * relay/view_explain.c - the reasons why, as JSON: the chain of gates before
 * mail, for one message, a domain or a source.
 *
 * An answer has at most EXPLAIN_ROWS_MAX rows and a cursor, and costs at most
 * EXPLAIN_LOOKS slots of the engine's and EXPLAIN_SOURCES looks at sources:
 * about two milliseconds, however much is queued.
 */
#include "relay/view_i.h"

#define EXPLAIN_ROWS_MAX 100u
#define EXPLAIN_LOOKS 16384u
#define EXPLAIN_SOURCES 4096u
#define EXPLAIN_SCAN 131072u /* ids that one slice of a search compares */

/* ---- gates ------------------------------------------------------------------- */

static const char *
gate_state(const struct eng_gate *g)
{
	return !g->is_known ? "not reached" : g->is_shut ? "shut" : "open";
}

/* "reply": what shut the path, where that is known. */
static void
view_refusal(const struct core *c, struct jsonw *w, uint32_t path,
    int64_t since_us)
{
	const struct refusal *r = c->refusals && path ?
	    refusals_get(c->refusals, path, since_us) :
	    NULL;
	char time[32];

	if (r == NULL)
		return;
	jw_key(w, "reply");
	jw_open(w, '{');
	view_said(w, &r->outcome);
	jw_kstr(w, "text", r->text);
	if (r->outcome.is_judged)
		jw_kstr(w, "kind",
		    slice_str(kind_name((enum kind)r->outcome.judged.kind)));
	if (r->rule.n != 0)
		jw_kstr(w, "rule", r->rule);
	jw_kstr(w, "time", slice_of(time, date_iso(time, r->wall_us)));
	jw_close(w, '}');
}

static void
view_gate(const struct core *c, struct jsonw *w, enum eng_gate_kind k,
    const struct eng_gate *g)
{
	struct eng_standing_row row;

	jw_open(w, '{');
	jw_kstr(w, "gate", slice_str(eng_gate_name(k)));
	jw_kstr(w, "state", slice_str(gate_state(g)));
	if (g->why != WHY_NONE) {
		jw_kstr(w, "why", slice_str(eng_why_name(g->why)));
		view_moment(c, w, "until", "until_s", g->until_us, true);
		view_moment(c, w, "since", "since_s", g->since_us, false);
	}
	if (g->of != 0) {
		jw_ku64(w, "sources", g->of);
		jw_ku64(w, "sources_open", g->open);
	}
	if (g->source != 0)
		view_name(c, w, "source", g->source);
	if (g->host != 0)
		view_name(c, w, "host", g->host);
	if (g->limit != 0)
		view_name(c, w, "limit", g->limit);
	if (eng_standing_row(c->eng, g->standing, &row))
		view_reaction(c, w, &row);
	view_refusal(c, w, g->path, g->since_us);
	if (g->ahead != 0)
		jw_ku64(w, k == GATE_TENANT ? "queues" : "ahead", g->ahead);
	jw_close(w, '}');
}

static void
view_reasons(const struct core *c, struct jsonw *w, const struct eng_reasons *r)
{
	jw_key(w, "shut_by");
	if (r->first < ENG_GATE_N)
		jw_str(w, slice_str(eng_gate_name(r->first)));
	else
		jw_null(w);
	view_moment(c, w, "next", "next_s", r->next_us, true);
	jw_key(w, "gates");
	jw_open(w, '[');
	for (int k = 0; k < ENG_GATE_N; k++)
		view_gate(c, w, k, &r->gate[k]);
	jw_close(w, ']');
}

/* "eta": when it will be gone, or a word why that is not to be told. */
void
view_eta(const struct core *c, struct jsonw *w, const struct eng_eta *e)
{
	jw_key(w, "eta");
	jw_open(w, '{');
	jw_kstr(w, "is", slice_str(eng_eta_name(e->kind)));
	if (e->why != WHY_NONE)
		jw_kstr(w, "why", slice_str(eng_why_name(e->why)));
	if (e->kind == ETA_TIME) {
		view_moment(c, w, "low", "low_s", e->lo_us, true);
		view_moment(c, w, "at", "at_s", e->at_us, true);
		view_moment(c, w, "high", "high_s", e->hi_us, true);
	}
	jw_close(w, '}');
}

static void
view_cursor(struct jsonw *w, uint64_t cursor)
{
	jw_key(w, "cursor");
	if (cursor != 0)
		jw_u64(w, cursor);
	else
		jw_null(w);
}

/* ---- a message ----------------------------------------------------------------- */

/* Members of the object that is open. */
static void
view_explained(const struct core *c, struct jsonw *w,
    const struct eng_explained *x)
{
	view_name(c, w, "domain", x->row.domain);
	view_name(c, w, "site", x->site_host);
	view_steer(c, w, &x->row);
	view_waiting(c, w, &x->row);
	jw_ku64(w, "queue_due", x->queue_due);
	view_eta(c, w, &x->eta);
	view_reasons(c, w, &x->why);
}

/* Their addresses are in the envelope, in order. */
static void
view_recipients(const struct core *c, struct jsonw *w, struct cursor *rcpts,
    uint32_t nrcpt, uint32_t from, const struct eng_explained *v, uint32_t n)
{
	struct env_rcpt r;
	uint32_t end = MIN(nrcpt, from + EXPLAIN_ROWS_MAX);

	for (uint32_t i = 0; i < end && env_rcpt_next(rcpts, &r); i++) {
		const struct eng_explained *x = NULL;

		if (i < from)
			continue;
		for (uint32_t k = 0; k < n && x == NULL; k++)
			if (v[k].row.rcpt == i)
				x = &v[k];
		jw_open(w, '{');
		jw_ku64(w, "rcpt", i);
		jw_kstr(w, "address", r.address);
		jw_kstr(w, "state", x ? SL("queued") : SL("done"));
		if (x)
			view_explained(c, w, x);
		jw_close(w, '}');
	}
	jw_close(w, ']');
	view_cursor(w, end < nrcpt ? end : 0);
}

static int
explain_message(struct core *c, const struct core_question *q, struct buf *out)
{
	uint32_t budget = EXPLAIN_SOURCES, n;
	uint32_t msg = q->nhits ? q->hits[0].msg : core_find(c, q->name);
	const struct core_msg *m = msg ? core_msg(c, msg) : NULL;
	struct eng_explained *v;
	char id[MSGID_TEXT_MAX], *record = NULL;
	struct envelope env;
	struct cursor rcpts;
	struct jsonw w;
	int err;

	if (m == NULL)
		return E_NOTFOUND;
	if (q->cursor >= MAX(m->nrcpt, 1u))
		return E_RANGE;
	v = mem_try(EXPLAIN_ROWS_MAX * sizeof(*v));
	if (v == NULL)
		return E_NOMEM;
	err = core_read_envelope(c, m, &env, &rcpts, &record);
	if (err != 0)
		goto out;
	n = eng_explain_message(c->eng, msg, (uint32_t)q->cursor,
	    (uint32_t)q->cursor + EXPLAIN_ROWS_MAX, c->now_us, &budget, v,
	    EXPLAIN_ROWS_MAX);
	jw_init(&w, out);
	jw_open(&w, '{');
	view_now(c, &w);
	jw_kstr(&w, "what", q->what);
	jw_kstr(&w, "id", slice_of(id, msgid_format(id, &env.id)));
	jw_kstr(&w, "sender", env.sender);
	jw_key(&w, "recipients");
	jw_open(&w, '[');
	view_recipients(c, &w, &rcpts, m->nrcpt, (uint32_t)q->cursor, v, n);
	jw_close(&w, '}');
out:
	mem_free(record);
	mem_free(v);
	return err;
}

/* ---- a recipient ---------------------------------------------------------------- */

bool
core_hits(struct core *c, struct core_hit *v, uint32_t n, uint32_t *at)
{
	const struct core_msg *m;
	uint32_t end, left = 0;

	for (uint32_t i = 0; i < n && *at == 0; i++) {
		m = core_msg(c, v[i].msg);
		v[i].is_sought =
		    !v[i].is_over && (m == NULL || !msgid_eq(&m->id, &v[i].id));
		if (v[i].is_sought || v[i].is_over)
			v[i].msg = 0;
	}
	for (uint32_t i = 0; i < n; i++)
		left += v[i].is_sought;
	end = MIN(*at + EXPLAIN_SCAN / MAX(left, 1u), c->msgs_end);
	/* The index knew a slot of before the last start. */
	for (uint32_t k = MAX(*at, 1u); k < end && left > 0; k++) {
		m = core_msg(c, k);
		for (uint32_t i = 0; m != NULL && i < n; i++) {
			if (!v[i].is_sought || !msgid_eq(&m->id, &v[i].id))
				continue;
			v[i].msg = k;
			v[i].is_sought = false;
			left--;
		}
	}
	*at = end;
	return left == 0 || end >= c->msgs_end;
}

static void
view_hit(struct core *c, struct jsonw *w, const struct core_question *q,
    const struct core_hit *h, uint32_t *budget)
{
	struct eng_explained x;
	char id[MSGID_TEXT_MAX];

	jw_open(w, '{');
	jw_kstr(w, "id", slice_of(id, msgid_format(id, &h->id)));
	jw_ku64(w, "rcpt", h->rcpt);
	jw_kstr(w, "address", q->name);
	if (h->msg != 0 &&
	    eng_explain_message(c->eng, h->msg, h->rcpt, h->rcpt + 1u,
		c->now_us, budget, &x, 1) == 1) {
		jw_kstr(w, "state", SL("queued"));
		view_explained(c, w, &x);
	} else
		jw_kstr(w, "state", SL("done"));
	jw_close(w, '}');
}

static int
explain_recipient(struct core *c, const struct core_question *q,
    struct buf *out)
{
	uint32_t budget = EXPLAIN_SOURCES;
	struct jsonw w;

	jw_init(&w, out);
	jw_open(&w, '{');
	view_now(c, &w);
	jw_kstr(&w, "what", q->what);
	jw_kstr(&w, "address", q->name);
	jw_key(&w, "recipients");
	jw_open(&w, '[');
	for (uint32_t i = 0; i < MIN(q->nhits, EXPLAIN_ROWS_MAX); i++)
		view_hit(c, &w, q, &q->hits[i], &budget);
	jw_close(&w, ']');
	view_cursor(&w, q->next);
	jw_close(&w, '}');
	return 0;
}

/* ---- a domain -------------------------------------------------------------------- */

static void
view_target(const struct core *c, struct jsonw *w,
    const struct eng_target_view *t)
{
	char ip[IP_TEXT_MAX];

	jw_open(w, '{');
	view_name(c, w, "host", t->host);
	jw_kstr(w, "address", slice_of(ip, ip_format(ip, &t->ip)));
	jw_ku64(w, "preference", t->pref);
	jw_kstr(w, "state",
	    t->dead_until_us ? SL("shut") :
		t->fails     ? SL("being tried") :
			       SL("open"));
	jw_ku64(w, "failures", t->fails);
	view_moment(c, w, "since", "since_s", t->fail_us, false);
	view_moment(c, w, "until", "until_s", t->dead_until_us, true);
	jw_close(w, '}');
}

static void
view_domain(const struct core *c, struct jsonw *w,
    const struct eng_domain_view *d)
{
	jw_kstr(w, "dns", slice_str(d->state));
	view_moment(c, w, "dns_retry", "dns_retry_s", d->retry_us, true);
	view_moment(c, w, "dns_expires", "dns_expires_s", d->expires_us, true);
	jw_ku64(w, "recipients", d->recipients);
	view_name(c, w, "site", d->site_host);
	jw_ku64(w, "conns", d->conns);
	jw_key(w, "hosts");
	jw_open(w, '[');
	for (uint32_t i = 0; i < d->ntargets; i++)
		view_target(c, w, &d->target[i]);
	jw_close(w, ']');
}

/* What due mail of its kind has waited at, largest first would be the reader's to
 * sort: share of all that it has waited. */
static void
view_blocked(struct jsonw *w, const uint64_t us[ENG_WHY_N])
{
	uint64_t all = 0;

	for (int k = 0; k < ENG_WHY_N; k++)
		all += us[k];
	jw_key(w, "blocked");
	jw_open(w, '[');
	for (int k = 0; k < ENG_WHY_N; k++) {
		if (us[k] == 0)
			continue;
		jw_open(w, '{');
		jw_kstr(w, "why", slice_str(eng_why_name(k)));
		jw_key(w, "share");
		jw_milli(w, (int64_t)((unsigned __int128)us[k] * 1000 / all));
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

static void
view_rate(struct jsonw *w, const char *key, uint64_t milli)
{
	jw_key(w, key);
	if (milli != 0)
		jw_milli(w, (int64_t)milli);
	else
		jw_null(w);
}

static void
view_flow(struct jsonw *w, const struct eng_flow_view *f)
{
	jw_key(w, "rates");
	jw_open(w, '{');
	view_rate(w, "declared", f->declared);
	view_rate(w, "open", f->open);
	view_rate(w, "connections", f->conns);
	jw_key(w, "measured");
	jw_milli(w, (int64_t)f->measured);
	jw_kbool(w, "is_unreachable", f->is_unreachable);
	jw_close(w, '}');
	view_blocked(w, f->blocked_us);
}

static void
view_reply(const struct core *c, struct jsonw *w, const struct cluster *k)
{
	char time[32];

	jw_open(w, '{');
	jw_ku64(w, "count", k->count);
	jw_ku64(w, "code", k->outcome.code);
	jw_kstr(w, "stage", slice_str(stage_name(outcome_stage(&k->outcome))));
	jw_kstr(w, "text", slice_of(k->text, k->text_n));
	jw_kstr(w, "first", slice_of(time, date_iso(time, k->first_us)));
	jw_kstr(w, "last", slice_of(time, date_iso(time, k->last_us)));
	jw_key(w, "last_s");
	jw_milli(w, MAX(c->wall_us - k->last_us, 0) / US_PER_MS);
	jw_key(w, "sources");
	jw_open(w, '[');
	for (uint32_t i = 0; i < MIN(k->nsources, CLUSTER_SOURCES); i++)
		jw_str(w, names_text(&c->names, k->sources[i]));
	jw_close(w, ']');
	jw_kbool(w, "has_more_sources", k->nsources > CLUSTER_SOURCES);
	jw_close(w, '}');
}

/* Up to the age that each has as `up_to_s`, from the one before on. */
static void
view_ages(struct jsonw *w, const struct eng_ages *a)
{
	static const int64_t edges_us[ENG_AGES] = { ENG_AGE_EDGES };

	jw_key(w, "ages");
	jw_open(w, '[');
	for (int i = 0; i < ENG_AGES; i++) {
		jw_open(w, '{');
		jw_key(w, "up_to_s");
		if (edges_us[i] == TIME_NEVER)
			jw_null(w);
		else
			jw_u64(w, (uint64_t)(edges_us[i] / US_PER_S));
		jw_ku64(w, "recipients", a->n[i]);
		jw_close(w, '}');
	}
	jw_close(w, ']');
	jw_ku64(w, "ages_unknown", a->unknown);
}

static void
view_replies(const struct core *c, struct jsonw *w,
    const struct eng_queue_row *q)
{
	const struct cluster *v[CLUSTERS];
	uint32_t n = c->clusters == NULL ?
	    0 :
	    clusters_get(c->clusters,
		core_queue_key(q->site, q->pool, q->tenant, q->campaign), v);

	jw_key(w, "replies");
	jw_open(w, '[');
	for (uint32_t i = 0; i < n; i++)
		view_reply(c, w, v[i]);
	jw_close(w, ']');
}

static void
view_queues(const struct core *c, struct jsonw *w,
    const struct eng_queue_view *v, uint32_t n)
{
	jw_key(w, "queues");
	jw_open(w, '[');
	for (uint32_t i = 0; i < n; i++) {
		jw_open(w, '{');
		view_queue_members(c, w, &v[i].row);
		view_eta(c, w, &v[i].eta);
		view_flow(w, &v[i].flow);
		view_ages(w, &v[i].ages);
		view_replies(c, w, &v[i].row);
		view_reasons(c, w, &v[i].why);
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

static int
explain_domain(struct core *c, const struct core_question *q, struct buf *out)
{
	uint32_t id = names_find(&c->names, q->name), budget = EXPLAIN_SOURCES;
	uint32_t cursor = (uint32_t)q->cursor, n;
	struct eng_queue_view *v;
	struct eng_domain_view d;
	struct jsonw w;

	if (id == 0 || !eng_explain_domain(c->eng, id, c->now_us, &d))
		return E_NOTFOUND;
	v = mem_try(EXPLAIN_ROWS_MAX * sizeof(*v));
	if (v == NULL)
		return E_NOMEM;
	n = eng_explain_queues(c->eng, id, &cursor, EXPLAIN_LOOKS, c->now_us,
	    &budget, v, MIN(MAX(q->n, 1u), EXPLAIN_ROWS_MAX));
	jw_init(&w, out);
	jw_open(&w, '{');
	view_now(c, &w);
	jw_kstr(&w, "what", q->what);
	jw_kstr(&w, "domain", q->name);
	view_domain(c, &w, &d);
	view_queues(c, &w, v, n);
	view_cursor(&w, cursor);
	jw_close(&w, '}');
	mem_free(v);
	return 0;
}

/* ---- a source -------------------------------------------------------------------- */

static void
view_path(const struct core *c, struct jsonw *w, const struct eng_path_view *p)
{
	jw_open(w, '{');
	view_name(c, w, "site", p->site_host);
	jw_kstr(w, "state", p->why == WHY_NONE ? SL("open") : SL("shut"));
	jw_kstr(w, "why", slice_str(eng_why_name(p->why)));
	view_moment(c, w, "until", "until_s", p->until_us, true);
	view_moment(c, w, "since", "since_s", p->since_us, false);
	jw_ku64(w, "conns", p->conns);
	jw_ku64(w, "inflight", p->inflight);
	jw_ku64(w, "refusals", p->fails);
	jw_ku64(w, "waiting", p->waiting);
	view_refusal(c, w, p->path, p->since_us);
	jw_close(w, '}');
}

static int
explain_source(struct core *c, const struct core_question *q, struct buf *out)
{
	uint32_t id = names_find(&c->names, q->name), n;
	uint32_t cursor = (uint32_t)q->cursor;
	struct eng_source_row row;
	struct eng_path_view *v = mem_try(EXPLAIN_ROWS_MAX * sizeof(*v));
	struct jsonw w;

	if (v == NULL)
		return E_NOMEM;
	if (id == 0 ||
	    !eng_explain_source(c->eng, id, &cursor, EXPLAIN_LOOKS, c->now_us,
		&row, v, MIN(MAX(q->n, 1u), EXPLAIN_ROWS_MAX), &n)) {
		mem_free(v);
		return E_NOTFOUND;
	}
	jw_init(&w, out);
	jw_open(&w, '{');
	view_now(c, &w);
	jw_kstr(&w, "what", q->what);
	view_source_members(c, &w, &row, 0);
	jw_key(&w, "sites");
	jw_open(&w, '[');
	for (uint32_t i = 0; i < n; i++)
		view_path(c, &w, &v[i]);
	jw_close(&w, ']');
	view_cursor(&w, cursor);
	jw_close(&w, '}');
	mem_free(v);
	return 0;
}

int
core_explain(struct core *c, const struct core_question *q, struct buf *out)
{
	if (q->cursor > UINT32_MAX)
		return E_RANGE;
	if (slice_eq(q->what, SL("message")))
		return explain_message(c, q, out);
	if (slice_eq(q->what, SL("recipient")))
		return explain_recipient(c, q, out);
	if (slice_eq(q->what, SL("domain")))
		return explain_domain(c, q, out);
	if (slice_eq(q->what, SL("source")))
		return explain_source(c, q, out);
	return E_RANGE;
}

bool
core_ask(struct core *c, uint32_t queue, struct eng_queue_row *row,
    struct eng_eta *eta)
{
	uint32_t looks = VIEW_ETA_LOOKS;

	if (queue != 0) {
		if (!eng_queue_row(c->eng, queue, c->now_us, row))
			return false;
	} else if (eng_top_queues(c->eng, SORT_DEPTH, c->now_us, row, 1) == 0 ||
	    row->depth == 0)
		return false;
	*eta = eng_eta(c->eng, row->queue, c->now_us, &looks);
	return true;
}

uint32_t
core_queue_of(const struct core *c, struct handle slot)
{
	return eng_queue_of(c->eng, slot.index, 0);
}
