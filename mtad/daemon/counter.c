/*
 * daemon/counter.c - control requests: parsed on the clerk's thread, answered
 * by the core on its own, sent by the clerk.
 *
 *	GET  /v1/status /v1/queues /v1/sources /v1/messages /metrics
 *	POST /v1/admin
 */
#include "daemon/daemon_i.h"

#define ASK_OUT_MAX (8u << 20)
#define ROWS_MAX 1000u

static void
take_text(const struct control_params *params, const char *key, char *dst,
    size_t cap, struct slice *out)
{
	struct slice v = control_param(params, key);

	*out = slice_of(dst, slice_copy(v, dst, cap));
}

static bool
is_true(const struct control_params *params, const char *key)
{
	struct slice v = control_param(params, key);

	return v.p &&
	    (v.n == 0 || slice_ieq(v, SL("true")) || slice_eq(v, SL("1")));
}

/* Reads the parameters; false with an error answered. */
static bool
ask_fill(struct ask *a, const struct control_params *params)
{
	struct core_selector *s = &a->sel;
	struct slice v, unused;
	int64_t us;

	take_text(params, "id", a->texts[0], sizeof(a->texts[0]), &s->id);
	take_text(params, "domain", a->texts[1], sizeof(a->texts[1]),
	    &s->domain);
	take_text(params, "tenant", a->texts[2], sizeof(a->texts[2]),
	    &s->tenant);
	take_text(params, "campaign", a->texts[3], sizeof(a->texts[3]),
	    &s->campaign);
	take_text(params, "pool", a->texts[4], sizeof(a->texts[4]), &s->pool);
	take_text(params, "sort", a->sort, sizeof(a->sort), &unused);
	take_text(params, "verb", a->verb, sizeof(a->verb), &unused);
	take_text(params, "reason", a->reason, sizeof(a->reason), &unused);
	s->everything = is_true(params, "all");
	a->dry_run = is_true(params, "dry_run");
	a->n = 100;
	v = control_param(params, "n");
	if (v.n && slice_u64(v, ROWS_MAX, &a->n))
		return false;
	v = control_param(params, "cursor");
	if (v.n && slice_u64(v, UINT32_MAX, &a->cursor))
		return false;
	v = control_param(params, "older_than");
	if (v.n) {
		if (parse_duration(v, &us))
			return false;
		s->older_than_us = us;
	}
	return true;
}

static bool
is_known(struct slice path, bool is_post)
{
	static const char *const gets[] = { "/v1/status", "/v1/queues",
		"/v1/sources", "/v1/messages", "/v1/message", "/metrics" };

	if (is_post)
		return slice_eq(path, SL("/v1/admin"));
	for (size_t i = 0; i < ARRAY_LEN(gets); i++)
		if (slice_eq(path, slice_str(gets[i])))
			return true;
	return false;
}

void
counter_handle(void *ctx, struct control_req *req, bool is_post,
    struct slice path, const struct control_params *params, struct slice user)
{
	struct daemon *d = ctx;
	struct ask *a;

	if (!is_known(path, is_post)) {
		control_error(req, 404, "no such resource; see control.md");
		return;
	}
	a = mem_try(sizeof(*a));
	if (!a) {
		control_error(req, 503, "out of memory");
		return;
	}
	a->post.kind = POST_ASK;
	a->req = req;
	a->is_post = is_post;
	slice_copy(path, a->path, sizeof(a->path));
	slice_copy(user, a->user, sizeof(a->user));
	buf_init(&a->out, ASK_OUT_MAX);
	if (!ask_fill(a, params)) {
		control_error(req, 400, "n, cursor or older_than is malformed");
		mem_free(a);
		return;
	}
	worker_post(d->core_worker, &a->post);
}

/* ---- on the core's thread --------------------------------------------------------- */

static void
answer(struct worker *w, struct ask *a, int status, const char *type)
{
	a->status = status;
	a->type = type;
	a->post.kind = POST_ANSWER;
	clerk_post(&w->d->clerk, &a->post);
}

static void
refuse(struct worker *w, struct ask *a, int status, const char *text)
{
	struct jsonw j;

	buf_reset(&a->out);
	jw_init(&j, &a->out);
	jw_open(&j, '{');
	jw_kstr(&j, "error", slice_str(text));
	jw_close(&j, '}');
	answer(w, a, status, "application/json");
}

static void
admin_done(void *ctx, uint64_t arg, uint32_t n)
{
	struct ask *a = (struct ask *)(uintptr_t)arg;
	struct jsonw j;

	jw_init(&j, &a->out);
	jw_open(&j, '{');
	jw_kstr(&j, "verb", slice_str(a->verb));
	jw_kbool(&j, "dry_run", a->dry_run);
	jw_ku64(&j, "recipients", n);
	jw_close(&j, '}');
	answer(ctx, a, 200, "application/json");
}

static bool
selects_something(const struct core_selector *s)
{
	return s->id.n || s->domain.n || s->tenant.n || s->campaign.n ||
	    s->pool.n || s->older_than_us || s->everything;
}

static void
ask_admin(struct worker *w, struct ask *a)
{
#define X(name, text) [name] = text,
	static const char *const verbs[ENG_VERB_N] = { ENG_VERB_TABLE(X) };
#undef X
	struct slice verb = slice_str(a->verb);
	int v = 0, err;

	while (v < ENG_VERB_N && !slice_eq(verb, slice_str(verbs[v])))
		v++;
	if (v == ENG_VERB_N) {
		refuse(w, a, 400,
		    "verb: expected count, hold, release, retry, bounce or "
		    "delete");
		return;
	}
	if (!selects_something(&a->sel)) {
		refuse(w, a, 400,
		    "nothing selected: give id, domain, tenant, campaign, "
		    "pool, older_than, or all");
		return;
	}
	err = core_admin(w->core, (enum eng_verb)v, a->dry_run, &a->sel,
	    slice_str(a->user), slice_str(a->reason), admin_done, w,
	    (uint64_t)(uintptr_t)a);
	if (err)
		refuse(w, a, 503, "too many actions under way, try again");
}

/* What the core does not know: the spool's and the workers' counters. */
static void
other_metrics(struct worker *w, struct buf *out)
{
	struct daemon *d = w->d;
	struct spool_stats st;
	struct dns_stats dn;

	pthread_mutex_lock(&d->spooler.lock);
	spool_stats_get(d->spooler.spool, &st);
	pthread_mutex_unlock(&d->spooler.lock);
#define X(name)                                                                \
	buf_addf(out,                                                          \
	    "# TYPE mtad_spool_" #name " gauge\nmtad_spool_" #name " %llu\n",  \
	    (unsigned long long)st.name);
	SPOOL_COUNTERS(X)
#undef X
#define X(name, help)                                                          \
	do {                                                                   \
		uint64_t sum = 0;                                              \
		for (uint32_t i = 0; i < d->nworkers; i++)                     \
			sum += atomic_load(&d->worker[i].counters.name);       \
		buf_addf(out,                                                  \
		    "# HELP mtad_" #name "_total " help "\n# TYPE mtad_" #name \
		    "_total counter\n"                                         \
		    "mtad_" #name "_total %llu\n",                             \
		    (unsigned long long)sum);                                  \
	} while (0);
	WORKER_COUNTERS(X)
#undef X
	dns_stats_get(w->dns, &dn);
	buf_addf(out,
	    "# TYPE mtad_dns_lookups_total counter\n"
	    "mtad_dns_lookups_total %llu\n"
	    "# TYPE mtad_dns_inflight gauge\nmtad_dns_inflight %llu\n"
	    "# TYPE mtad_dns_queued gauge\nmtad_dns_queued %llu\n",
	    (unsigned long long)dn.lookups, (unsigned long long)dn.inflight,
	    (unsigned long long)dn.queued);
	buf_addf(out,
	    "# HELP mtad_book_lost_bytes_total Event log bytes that could not "
	    "be written\n# TYPE mtad_book_lost_bytes_total counter\n"
	    "mtad_book_lost_bytes_total %llu\n",
	    (unsigned long long)atomic_load(&d->clerk.lost_bytes));
}

void
counter_ask(struct worker *w, struct ask *a)
{
	struct slice path = slice_str(a->path);
	const char *json = "application/json";
	int err = 0;

	if (a->is_post) {
		ask_admin(w, a);
		return;
	}
	if (slice_eq(path, SL("/metrics"))) {
		core_view_metrics(w->core, &a->out);
		other_metrics(w, &a->out);
		answer(w, a, 200, "text/plain; version=0.0.4");
		return;
	}
	if (slice_eq(path, SL("/v1/status")))
		core_view_status(w->core, &a->out);
	else if (slice_eq(path, SL("/v1/queues")))
		err = core_view_queues(w->core,
		    slice_str(a->sort[0] ? a->sort : "depth"), (uint32_t)a->n,
		    &a->out);
	else if (slice_eq(path, SL("/v1/sources")))
		core_view_sources(w->core, (uint32_t)a->n, &a->out);
	else if (slice_eq(path, SL("/v1/message")))
		err = core_view_message(w->core, a->sel.id, &a->out);
	else if (core_list(w->core, &a->sel, a->cursor, (uint32_t)a->n,
		     &a->out) == E_NOTFOUND)
		err = 0; /* a name that nobody has: an empty list is there */
	if (err == E_NOTFOUND)
		refuse(w, a, 404, "no such message here");
	else if (err)
		refuse(w, a, 400, "sort: unknown key");
	else
		answer(w, a, 200, json);
}

/* ---- back on the clerk's thread ------------------------------------------------------ */

void
counter_answer(struct daemon *d, struct ask *a)
{
	(void)d;
	control_answer(a->req, a->status, a->type, &a->out);
	buf_free(&a->out);
	mem_free(a);
}
