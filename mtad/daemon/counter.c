/*
 * daemon/counter.c - control requests: parsed on the clerk's thread, answered
 * by the core on its own, sent by the clerk.
 *
 *	GET  /v1/status /v1/queues /v1/sources /v1/warmup /v1/messages /v1/message
 *		/v1/explain /metrics
 *	GET  /v1/drain /v1/reactions /v1/limits
 *	POST /v1/admin /v1/drain /v1/end /v1/feedback
 * What begins with /v1/suppression goes to the suppressor; counter_suppress.c.
 */
#include "daemon/daemon_i.h"
#include "daemon/tlsrpt.h"

#define ASK_OUT_MAX (8u << 20)
#define ROWS_MAX 1000u

static void
take_text(const struct control_params *params, const char *key, char *dst,
    size_t cap, struct slice *out)
{
	struct slice v = control_param(params, key);

	*out = slice_of(dst, slice_copy(v, dst, cap));
}

/* A word that is neither is no "false": it may have been meant for true. */
static bool
take_bool(const struct control_params *params, const char *key, bool *out)
{
	struct slice v = control_param(params, key);

	*out = slice_eq(v, SL("true")) || slice_eq(v, SL("1"));
	return *out || v.n == 0 || slice_eq(v, SL("false")) ||
	    slice_eq(v, SL("0"));
}

/* A selector that is misspelt must not widen what an order is about. */
static bool
knows_all(const struct control_params *params)
{
	static const char *const keys[] = { "id", "domain", "tenant",
		"campaign", "pool", "older_than", "all", "dry_run", "verb",
		"reason", "sort", "n", "cursor", "what", "name", "to", "tls",
		"source", "provider" };

	for (uint32_t i = 0; i < params->n; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(keys) &&
		    !slice_eq(params->v[i].key, slice_str(keys[k])))
			k++;
		if (k == ARRAY_LEN(keys))
			return false;
	}
	return true;
}

/* Reads the parameters; NULL, or what is wrong with them. */
static const char *
ask_fill(struct ask *a, const struct control_params *params)
{
	static const char bad_number[] = "n, cursor or older_than is malformed";
	struct core_selector *s = &a->sel;
	struct slice v, unused;
	int64_t us;

	if (!knows_all(params))
		return "no such parameter; see control.md";
	take_text(params, "id", a->texts[0], sizeof(a->texts[0]), &s->id);
	take_text(params, "domain", a->texts[1], sizeof(a->texts[1]),
	    &s->domain);
	for (size_t i = 0; i < s->domain.n; i++) /* as the queues have it */
		a->texts[1][i] = ascii_lower(a->texts[1][i]);
	take_text(params, "tenant", a->texts[2], sizeof(a->texts[2]),
	    &s->tenant);
	take_text(params, "campaign", a->texts[3], sizeof(a->texts[3]),
	    &s->campaign);
	take_text(params, "pool", a->texts[4], sizeof(a->texts[4]), &s->pool);
	take_text(params, "sort", a->sort, sizeof(a->sort), &unused);
	take_text(params, "verb", a->verb, sizeof(a->verb), &unused);
	take_text(params, "what", a->what, sizeof(a->what), &unused);
	take_text(params, "name", a->name, sizeof(a->name), &unused);
	take_text(params, "reason", a->reason, sizeof(a->reason), &unused);
	take_text(params, "to", a->to, sizeof(a->to), &unused);
	take_text(params, "source", a->source, sizeof(a->source), &unused);
	take_text(params, "provider", a->provider, sizeof(a->provider),
	    &unused);
	if (!take_bool(params, "all", &s->everything) ||
	    !take_bool(params, "dry_run", &a->dry_run) ||
	    !take_bool(params, "tls", &a->tls))
		return "all, dry_run, tls: expected true or false";
	a->n = 100;
	v = control_param(params, "n");
	if (v.n && slice_u64(v, ROWS_MAX, &a->n))
		return bad_number;
	v = control_param(params, "cursor");
	if (v.n && slice_u64(v, UINT32_MAX, &a->cursor))
		return bad_number;
	v = control_param(params, "older_than");
	if (v.n) {
		if (parse_duration(v, &us))
			return bad_number;
		s->older_than_us = us;
	}
	return NULL;
}

static bool
is_known(struct slice path, bool is_post)
{
	static const char *const gets[] = { "/v1/status", "/v1/queues",
		"/v1/sources", "/v1/messages", "/v1/message", "/v1/explain",
		"/v1/path", "/v1/drain", "/v1/warmup", "/v1/reactions",
		"/v1/limits", "/v1/tlsreport", "/metrics" };

	if (is_post)
		return slice_eq(path, SL("/v1/admin")) ||
		    slice_eq(path, SL("/v1/drain")) ||
		    slice_eq(path, SL("/v1/end")) ||
		    slice_eq(path, SL("/v1/tlsreport")) ||
		    slice_eq(path, SL("/v1/feedback"));
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
	const char *why;
	struct ask *a;

	if (slice_has_prefix(path, SL("/v1/suppression"))) {
		counter_suppress(d, req, is_post, path, params, user);
		return;
	}
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
	why = ask_fill(a, params);
	if (why) {
		control_error(req, 400, why);
		mem_free(a);
		return;
	}
	why = slice_eq(path, SL("/v1/explain")) ? counter_find(d, a) : NULL;
	if (why) {
		control_error(req, 503, why);
		mem_free(a->hits);
		mem_free(a);
		return;
	}
	if (slice_eq(path, SL("/v1/feedback")))
		counter_sent(d, a);
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

void
counter_refuse(struct worker *w, struct ask *a, int status, const char *text)
{
	struct jsonw j;

	buf_reset(&a->out);
	jw_init(&j, &a->out);
	jw_open(&j, '{');
	jw_kstr(&j, "error", slice_str(text));
	jw_close(&j, '}');
	answer(w, a, status, "application/json");
}

void
counter_answer_json(struct worker *w, struct ask *a)
{
	answer(w, a, 200, "application/json");
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
		counter_refuse(w, a, 400,
		    "verb: expected count, hold, release, retry, bounce or "
		    "delete");
		return;
	}
	if (!selects_something(&a->sel)) {
		counter_refuse(w, a, 400,
		    "nothing selected: give id, domain, tenant, campaign, "
		    "pool, older_than, or all");
		return;
	}
	err = core_admin(w->core, (enum eng_verb)v, a->dry_run, &a->sel,
	    slice_str(a->user), slice_str(a->reason), admin_done, w,
	    (uint64_t)(uintptr_t)a);
	if (err)
		counter_refuse(w, a, 503,
		    "too many actions under way, try again");
}

static void
ask_explain(struct worker *w, struct ask *a)
{
	struct core_question q = { .what = slice_str(a->what),
		.name = slice_str(a->name),
		.hits = a->hits,
		.nhits = a->nhits,
		.next = a->next,
		.cursor = a->cursor,
		.n = (uint32_t)a->n };
	int err;

	/* A long search goes on in a later turn. */
	if (a->hits && !core_hits(w->core, a->hits, a->nhits, &a->sought)) {
		worker_post(w, &a->post);
		return;
	}
	if (slice_eq(q.what, SL("domain"))) /* as the queues have it */
		for (size_t i = 0; i < q.name.n; i++)
			a->name[i] = ascii_lower(a->name[i]);
	err = core_explain(w->core, &q, &a->out);
	if (err == 0)
		answer(w, a, 200, "application/json");
	else if (err == E_NOTFOUND)
		counter_refuse(w, a, 404, "nothing of that name is known here");
	else if (err == E_RANGE)
		counter_refuse(w, a, 400,
		    "what: expected message, recipient, domain or source; or "
		    "the cursor is none");
	else
		counter_refuse(w, a, 503, err_text(err));
}

/* What the drain is to do, or how it goes. */
static void
ask_drain(struct worker *w, struct ask *a)
{
	struct slice verb = slice_str(a->verb);
	const char *why = NULL;
	char text[128];

	if (a->is_post && slice_eq(verb, SL("start")))
		why = drain_order_start(w, slice_str(a->to), slice_str(a->name),
		    a->tls);
	else if (a->is_post && slice_eq(verb, SL("stop")))
		why = drain_order_stop(w);
	else if (a->is_post && slice_eq(verb, SL("reclaim")))
		why = drain_order_reclaim(w);
	else if (a->is_post && slice_eq(verb, SL("adopt"))) {
		if (drain_order_adopt(w, slice_str(a->name)) == 0)
			why = "nothing is in trust of a node of that identity";
	} else if (a->is_post)
		why = "verb: expected start, stop, adopt or reclaim";
	if (why) {
		counter_refuse(w, a, 400, why);
		return;
	}
	if (a->is_post) {
		snprintf(text, sizeof(text), "drain %s%s%s", a->verb,
		    a->to[0] ? " to=" : "", a->to);
		core_book_order(w->core, slice_str(text), slice_str(a->user),
		    slice_str(a->reason));
	}
	drain_view(w, &a->out);
	answer(w, a, 200, "application/json");
}

/* Ends a reaction, whose number stands where a message's id does. */
static void
ask_end(struct worker *w, struct ask *a)
{
	uint64_t id = 0;

	if (slice_u64(a->sel.id, UINT32_MAX, &id) != 0) {
		counter_refuse(w, a, 400,
		    "id: expected the number of a reaction");
		return;
	}
	if (core_end(w->core, id, slice_str(a->user), slice_str(a->reason))) {
		counter_refuse(w, a, 404, "no reaction of that number holds");
		return;
	}
	core_view_reactions(w->core, 0, 0, &a->out);
	answer(w, a, 200, "application/json");
}

/* What the report of a domain is so far, or all of them away. */
static void
ask_tlsreport(struct worker *w, struct ask *a)
{
	struct jsonw j;

	if (w->tlsrpt == NULL || w->conf->tls_report.from.n == 0) {
		counter_refuse(w, a, 400, "tls_report is not configured");
		return;
	}
	if (a->is_post && !slice_eq(slice_str(a->verb), SL("send"))) {
		counter_refuse(w, a, 400, "verb: expected send");
		return;
	}
	if (a->is_post) {
		jw_init(&j, &a->out);
		jw_open(&j, '{');
		jw_ku64(&j, "domains", tlsrpt_send_all(w->tlsrpt));
		jw_close(&j, '}');
	} else if (!tlsrpt_show(w->tlsrpt, a->sel.domain, &a->out)) {
		counter_refuse(w, a, 404,
		    "no session of that domain is counted today");
		return;
	}
	answer(w, a, 200, "application/json");
}

/* Those that are about one part of the daemon; false: it is none of them. */
static bool
ask_of_parts(struct worker *w, struct ask *a, struct slice path)
{
	static const struct {
		const char *path;
		void (*ask)(struct worker *w, struct ask *a);
	} parts[] = { { "/v1/drain", ask_drain }, { "/v1/end", ask_end },
		{ "/v1/feedback", counter_feedback },
		{ "/v1/tlsreport", ask_tlsreport } };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (slice_eq(path, slice_str(parts[i].path))) {
			parts[i].ask(w, a);
			return true;
		}
	return false;
}

void
counter_ask(struct worker *w, struct ask *a)
{
	struct slice path = slice_str(a->path);
	const char *json = "application/json";
	int err = 0;

	if (a->q != NULL) {
		counter_suppressed(w, a);
		return;
	}
	if (ask_of_parts(w, a, path))
		return;
	if (a->is_post) {
		ask_admin(w, a);
		return;
	}
	if (slice_eq(path, SL("/metrics"))) {
		core_view_metrics(w->core, &a->out);
		daemon_metrics(w, &a->out);
		answer(w, a, 200, "text/plain; version=0.0.4");
		return;
	}
	if (slice_eq(path, SL("/v1/explain"))) {
		ask_explain(w, a);
		return;
	}
	if (slice_eq(path, SL("/v1/status"))) {
		core_view_status(w->core, &a->out);
		returner_view(w->d, &a->out);
	} else if (slice_eq(path, SL("/v1/queues")))
		err = core_view_queues(w->core, slice_str(a->sort),
		    (uint32_t)a->n, &a->out);
	else if (slice_eq(path, SL("/v1/sources")))
		err = core_view_sources(w->core, slice_str(a->sort),
		    (uint32_t)a->n, &a->out);
	else if (slice_eq(path, SL("/v1/warmup")))
		core_view_warmup(w->core, &a->out);
	else if (slice_eq(path, SL("/v1/limits")))
		core_view_limits(w->core, slice_str(a->name), a->cursor,
		    (uint32_t)a->n, &a->out);
	else if (slice_eq(path, SL("/v1/reactions")))
		core_view_reactions(w->core, a->cursor, (uint32_t)a->n,
		    &a->out);
	else if (slice_eq(path, SL("/v1/path")))
		err = core_view_path(w->core, a->sel.domain, a->sel.pool,
		    &a->out);
	else if (slice_eq(path, SL("/v1/message")))
		err = core_view_message(w->core, a->sel.id, &a->out);
	else if (core_list(w->core, &a->sel, a->cursor, (uint32_t)a->n,
		     &a->out) == E_NOTFOUND)
		err = 0; /* a name that nobody has: an empty list is there */
	if (err == E_NOTFOUND)
		counter_refuse(w, a, 404, "no such message here");
	else if (err)
		counter_refuse(w, a, 400, "sort: unknown key");
	else
		answer(w, a, 200, json);
}

/* ---- back on the clerk's thread ------------------------------------------------------ */

void
counter_answer(struct daemon *d, struct ask *a)
{
	counter_events(d, a);
	control_answer(a->req, a->status, a->type, &a->out);
	buf_free(&a->out);
	mem_free(a->hits);
	if (a->q != NULL)
		suppress_q_free(a->q);
	mem_free(a);
}
