/*
 * daemon/counter_suppress.c - requests about the suppressed:
 *
 *	GET  /v1/suppression /v1/suppression/show /v1/suppression/list
 *	POST /v1/suppression
 *
 * They are read on the clerk's thread and answered by the suppressor; an order's
 * answer comes by way of the workers, which know then, and of the core, which
 * writes the event log.
 */
#include <stdio.h>

#include "daemon/daemon_i.h"

#define ROWS_MAX 1000u
#define ANSWER_MAX (8u << 20)

/* The parameters that each takes; a field's length is its room. */
#define TEXTS(X)                                                               \
	X(tenant)                                                              \
	X(name)                                                                \
	X(domain)                                                              \
	X(reason)                                                              \
	X(source)                                                              \
	X(expires)                                                             \
	X(cursor)

static const char *
take_text(struct slice v, char *dst, size_t cap)
{
	if (v.n >= cap)
		return "a parameter is too long";
	slice_copy(v, dst, cap);
	return NULL;
}

static const char *
take_lines(struct suppress_q *q, struct slice v)
{
	q->lines = mem_try(v.n + 1);
	if (q->lines == NULL)
		return "out of memory";
	memcpy(q->lines, v.p, v.n);
	q->nlines_bytes = v.n;
	return NULL;
}

/* NULL, or what is wrong with it. */
static const char *
take_param(struct suppress_q *q, struct slice key, struct slice v,
    bool *is_verb)
{
	uint64_t n;

#define X(field)                                                               \
	if (slice_eq(key, SL(#field)))                                         \
		return take_text(v, q->field, sizeof(q->field));
	q->has_tenant |= slice_eq(key, SL("tenant"));
	TEXTS(X)
#undef X
	if (slice_eq(key, SL("lines")))
		return take_lines(q, v);
	if (slice_eq(key, SL("n"))) {
		if (slice_u64(v, ROWS_MAX, &n) || n == 0)
			return "n: expected a number from 1 to 1000";
		q->n = n;
		return NULL;
	}
	if (slice_eq(key, SL("format"))) {
		q->is_json = slice_eq(v, SL("json"));
		return q->is_json || slice_eq(v, SL("csv")) ?
		    NULL :
		    "format: expected csv or json";
	}
	*is_verb = slice_eq(key, SL("verb"));
	return *is_verb ? NULL : "no such parameter; see control.md";
}

static const char *
take_verb(struct suppress_q *q, struct slice verb)
{
	static const struct {
		struct slice name;
		enum suppress_verb verb;
	} verbs[] = {
		{ SL("add"), SUPPRESS_ADD },
		{ SL("remove"), SUPPRESS_REMOVE },
		{ SL("import"), SUPPRESS_IMPORT },
		{ SL("refresh"), SUPPRESS_REFRESH },
	};

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (slice_eq(verb, verbs[i].name)) {
			q->verb = verbs[i].verb;
			return NULL;
		}
	return "verb: expected add, remove, import or refresh";
}

static const char *
fill(struct suppress_q *q, bool is_post, const struct control_params *params)
{
	const char *why = NULL;
	bool is_verb = false;

	q->n = 100;
	q->now_s = clock_wall_us() / US_PER_S;
	if (is_post)
		why = take_verb(q, control_param(params, "verb"));
	for (uint32_t i = 0; i < params->n && why == NULL; i++)
		why = take_param(q, params->v[i].key, params->v[i].value,
		    &is_verb);
	return why;
}

/* Which question; false: there is no such resource. */
static bool
find_question(struct slice path, bool is_post, enum suppress_verb *verb)
{
	*verb = SUPPRESS_STATS;
	if (slice_eq(path, SL("/v1/suppression")))
		return true;
	*verb = SUPPRESS_SHOW;
	if (!is_post && slice_eq(path, SL("/v1/suppression/show")))
		return true;
	*verb = SUPPRESS_LIST;
	return !is_post && slice_eq(path, SL("/v1/suppression/list"));
}

static struct ask *
ask_new(struct control_req *req, bool is_post, struct slice path,
    struct slice user)
{
	struct ask *a = mem_try(sizeof(*a));

	if (a == NULL)
		return NULL;
	a->q = mem_try(sizeof(*a->q));
	if (a->q == NULL) {
		mem_free(a);
		return NULL;
	}
	a->post.kind = POST_ASK;
	a->req = req;
	a->is_post = is_post;
	a->status = 200;
	a->type = "application/json";
	slice_copy(path, a->path, sizeof(a->path));
	slice_copy(user, a->user, sizeof(a->user));
	buf_init(&a->out, ANSWER_MAX);
	return a;
}

void
counter_suppress(struct daemon *d, struct control_req *req, bool is_post,
    struct slice path, const struct control_params *params, struct slice user)
{
	enum suppress_verb verb;
	const char *why;
	struct ask *a;

	if (!find_question(path, is_post, &verb)) {
		control_error(req, 404, "no such resource; see control.md");
		return;
	}
	if (d->suppressor.db == NULL) {
		control_error(req, 404,
		    "suppression is not configured; see suppression.md");
		return;
	}
	a = ask_new(req, is_post, path, user);
	if (a == NULL) {
		control_error(req, 503, "out of memory");
		return;
	}
	a->q->verb = verb;
	why = fill(a->q, is_post, params);
	if (why == NULL) {
		suppressor_post(&d->suppressor, &a->post);
		return;
	}
	control_error(req, 400, why);
	suppress_q_free(a->q);
	mem_free(a);
}

void
counter_suppressed(struct worker *w, struct ask *a)
{
	static const char *const verbs[] = {
		[SUPPRESS_ADD] = "add",
		[SUPPRESS_REMOVE] = "remove",
		[SUPPRESS_IMPORT] = "import",
		[SUPPRESS_REFRESH] = "refresh",
	};
	const struct suppress_q *q = a->q;
	char text[SUPPRESS_NAME_MAX + NAME_MAX_BYTES + 80];

	snprintf(text, sizeof(text), "suppress %s%s%s%s%s entries=%llu",
	    verbs[q->verb], q->name[0] ? " name=" : "", q->name,
	    q->tenant[0] ? " tenant=" : "", q->tenant,
	    (unsigned long long)q->done);
	core_book_order(w->core, slice_str(text), slice_str(a->user),
	    slice_str(q->reason));
	a->post.kind = POST_ANSWER;
	clerk_post(&w->d->clerk, &a->post);
}
