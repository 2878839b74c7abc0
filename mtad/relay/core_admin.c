/*
 * relay/core_admin.c - what operators do: whom a selector means, the action in
 * the books, and the job that the engine makes of it.
 */
#include "relay/core_i.h"

#define ACTION_TEXT_MAX 1024

uint32_t
core_find(const struct core *c, struct slice text)
{
	struct msgid id;

	if (msgid_parse(text, &id))
		return 0;
	for (uint32_t i = 1; i < c->msgs_end; i++) {
		struct core_msg *m = core_msg(c, i);

		if (m && msgid_eq(&m->id, &id))
			return i;
	}
	return 0;
}

/* Looks a selector's names up. E_NOTFOUND: one is not known, nothing can
 * match. */
int
core_selector_compile(struct core *c, const struct core_selector *s,
    struct eng_selector *out)
{
	const struct {
		struct slice text;
		uint32_t *id;
	} v[] = {
		{ s->domain, &out->domain },
		{ s->tenant, &out->tenant },
		{ s->campaign, &out->campaign },
		{ s->pool, &out->pool },
	};

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		if (v[i].text.n == 0)
			continue;
		*v[i].id = names_find(&c->names, v[i].text);
		if (!*v[i].id)
			return E_NOTFOUND;
	}
	if (s->older_than_us)
		out->arrived_before_us = c->now_us - s->older_than_us;
	out->everything = s->everything;
	if (s->id.n == 0)
		return 0;
	out->msg = core_find(c, s->id);
	return out->msg ? 0 : E_NOTFOUND;
}

/* The action in words: "hold domain=example.com older_than=3600s". */
static void
put_action(struct buf *out, enum eng_verb verb, const struct core_selector *s)
{
#define X(name, text) [name] = text,
	static const char *const verbs[ENG_VERB_N] = { ENG_VERB_TABLE(X) };
#undef X
	const struct {
		const char *name;
		struct slice text;
	} v[] = { { "id", s->id }, { "domain", s->domain },
		{ "tenant", s->tenant }, { "campaign", s->campaign },
		{ "pool", s->pool } };

	buf_addz(out, verbs[verb]);
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		if (v[i].text.n)
			buf_addf(out, " %s=%.*s", v[i].name, SLF(v[i].text));
	if (s->older_than_us)
		buf_addf(out, " older_than=%llds",
		    (long long)(s->older_than_us / US_PER_S));
	if (s->everything)
		buf_addz(out, " all");
}

void
core_book_order(struct core *c, struct slice text, struct slice user,
    struct slice reason)
{
	struct buf *book = c->ops->book(c->ctx);
	struct book_entry e;

	book_entry_init(&e, BOOK_ADMIN);
	e.wall_us = c->wall_us;
	e.serial = c->ops->sequence(c->ctx);
	e.text = text;
	e.user = user;
	e.reason = reason;
	if (!book || book_write(book, &e))
		c->books_dropped++;
}

static void
book_action(struct core *c, enum eng_verb verb, const struct core_selector *s,
    struct slice user, struct slice reason)
{
	struct buf text;

	buf_init(&text, ACTION_TEXT_MAX);
	put_action(&text, verb, s);
	core_book_order(c, buf_slice(&text), user, reason);
	buf_free(&text);
}

int
core_admin(struct core *c, enum eng_verb verb, bool dry_run,
    const struct core_selector *s, struct slice user, struct slice reason,
    void (*done)(void *ctx, uint64_t arg, uint32_t n), void *ctx, uint64_t arg)
{
	struct eng_event ev = { .kind = EV_ADMIN };
	struct core_job *j = NULL;
	uint32_t at;
	int err;

	for (at = 0; at < CORE_JOBS_MAX && !j; at++)
		if (!c->jobs[at].is_used)
			j = &c->jobs[at];
	if (!j)
		return E_BUSY;
	if (!dry_run && verb != VERB_COUNT)
		book_action(c, verb, s, user, reason);
	err = core_selector_compile(c, s, &ev.admin.sel);
	if (err == E_NOTFOUND) {
		done(ctx, arg, 0);
		return 0;
	}
	*j = (struct core_job){ .is_used = true,
		.verb = verb,
		.dry_run = dry_run,
		.done = done,
		.ctx = ctx,
		.arg = arg };
	slice_copy(user, j->user, sizeof(j->user));
	slice_copy(reason, j->reason, sizeof(j->reason));
	ev.admin.job = at; /* from 1 */
	ev.admin.verb = verb;
	ev.admin.dry_run = dry_run;
	core_step(c, &ev);
	return 0;
}
