/*
 * relay/view_message.c - one message as JSON: what its envelope in the spool
 * says, and what each of its recipients waits for.
 *
 * The engine knows waiting recipients by number only; the addresses are in the
 * spool. A recipient that the engine no longer has is done.
 */
#include "relay/view_i.h"

/* Rows of the recipients that wait, by their number in the envelope. */
struct waiting {
	struct eng_rcpt_row *rows;
	uint32_t n;
};

static int
by_number(const void *a, const void *b)
{
	const struct eng_rcpt_row *x = a, *y = b;

	return (x->rcpt > y->rcpt) - (x->rcpt < y->rcpt);
}

/* 0, E_NOMEM. rows is the caller's to free. */
static int
waiting_load(struct core *c, const struct eng_selector *sel, uint32_t nrcpt,
    struct waiting *out)
{
	uint32_t n = MIN(nrcpt, RCPTS_MAX), cursor = 0;

	out->n = 0;
	out->rows = mem_try(MAX(n, 1) * sizeof(*out->rows));
	if (out->rows == NULL)
		return E_NOMEM;
	/* Every call but the last fills its budget or the rows. */
	do {
		out->n += eng_list(c->eng, sel, &cursor, VIEW_LIST_BUDGET,
		    c->now_us, out->rows + out->n, n - out->n);
	} while (cursor != 0 && out->n < n);
	qsort(out->rows, out->n, sizeof(*out->rows), by_number);
	return 0;
}

/* What its sender asked for by RFC 3461, if he did. */
static void
view_notify(struct jsonw *w, const struct env_rcpt *r)
{
	static const char *const names[] = { "never", "success", "failure",
		"delay" };

	if (r->orcpt.n > 0)
		jw_kstr(w, "orcpt", r->orcpt);
	if (r->notify == 0)
		return;
	jw_key(w, "notify");
	jw_open(w, '[');
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (r->notify >> i & 1)
			jw_str(w, slice_str(names[i]));
	jw_close(w, ']');
}

static void
view_recipients(const struct core *c, struct jsonw *w, struct cursor *rcpts,
    const struct waiting *waiting)
{
	struct env_rcpt r;
	uint32_t at = 0;

	for (uint32_t i = 0; env_rcpt_next(rcpts, &r); i++) {
		while (at < waiting->n && waiting->rows[at].rcpt < i)
			at++;
		jw_open(w, '{');
		jw_ku64(w, "rcpt", i);
		jw_kstr(w, "address", r.address);
		view_notify(w, &r);
		if (at < waiting->n && waiting->rows[at].rcpt == i) {
			jw_kstr(w, "state", SL("queued"));
			view_steer(c, w, &waiting->rows[at]);
			view_waiting(c, w, &waiting->rows[at]);
		} else {
			jw_kstr(w, "state", SL("done"));
		}
		jw_close(w, '}');
	}
}

static void
view_envelope(const struct core *c, struct jsonw *w, const struct envelope *e)
{
	char id[MSGID_TEXT_MAX], ip[IP_TEXT_MAX];

	jw_kstr(w, "id", slice_of(id, msgid_format(id, &e->id)));
	jw_kstr(w, "sender", e->sender);
	if (e->client.family != 0)
		jw_kstr(w, "client", slice_of(ip, ip_format(ip, &e->client)));
	jw_kstr(w, "listener", e->listener);
	jw_kstr(w, "pool", e->pool);
	jw_kstr(w, "tenant", e->tenant);
	jw_kstr(w, "campaign", e->campaign);
	jw_kbool(w, "is_notice", (e->flags & ENV_DSN) != 0);
	if (e->envid.n > 0)
		jw_kstr(w, "envid", e->envid);
	if (e->flags & (ENV_RET_FULL | ENV_RET_HDRS))
		jw_kstr(w, "ret",
		    e->flags & ENV_RET_FULL ? SL("full") : SL("hdrs"));
	if (e->by_us != 0) {
		view_moment(c, w, "by", "by_s", core_mono(c, e->by_us), true);
		jw_kstr(w, "by_mode",
		    e->flags & ENV_BY_RETURN ? SL("return") : SL("notify"));
	}
	jw_ku64(w, "size_bytes", e->body_bytes);
	view_moment(c, w, "arrival", "age_s", core_mono(c, e->arrival_us),
	    false);
	view_moment(c, w, "expires", "expires_s", core_mono(c, e->expires_us),
	    true);
}

static void
view_message(const struct core *c, const struct envelope *e,
    struct cursor *rcpts, const struct waiting *waiting, struct buf *out)
{
	struct jsonw w;

	jw_init(&w, out);
	jw_open(&w, '{');
	view_now(c, &w);
	view_envelope(c, &w, e);
	jw_key(&w, "recipients");
	jw_open(&w, '[');
	view_recipients(c, &w, rcpts, waiting);
	jw_close(&w, ']');
	jw_close(&w, '}');
}

int
core_view_message(struct core *c, struct slice id, struct buf *out)
{
	struct core_selector text = { .id = id };
	struct waiting waiting = { 0 };
	struct eng_selector sel;
	struct envelope env;
	struct cursor rcpts;
	const struct core_msg *m;
	char *record = NULL;
	int err;

	if (id.n == 0)
		return E_NOTFOUND;
	err = core_selector_compile(c, &text, &sel);
	if (err != 0)
		return err;
	m = core_msg(c, sel.msg);
	if (m == NULL)
		return E_NOTFOUND;
	err = core_read_envelope(c, m, &env, &rcpts, &record);
	if (err == 0)
		err = waiting_load(c, &sel, m->nrcpt, &waiting);
	if (err == 0)
		view_message(c, &env, &rcpts, &waiting, out);
	mem_free(waiting.rows);
	mem_free(record);
	return err;
}
