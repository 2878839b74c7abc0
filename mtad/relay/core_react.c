/*
 * relay/core_react.c - reactions that hold, as JSON, and the end of one by an
 * operator.
 */
#include <stdio.h>

#include "relay/view_i.h"

static void
put_target(const struct core *c, struct jsonw *w,
    const struct eng_standing_row *r)
{
	jw_key(w, "target");
	jw_open(w, '{');
	for (int d = 0; d < DIM_N; d++)
		if (r->dims >> d & 1 && r->val[d] != 0)
			view_name(c, w, eng_dim_name((enum eng_dim)d),
			    r->val[d]);
	jw_close(w, '}');
}

static void
put_reply(const struct core *c, struct jsonw *w,
    const struct eng_standing_row *r)
{
	const struct enh *e = &r->outcome.enh;
	char enh[32];

	snprintf(enh, sizeof(enh), "%u.%u.%u", e->klass, e->subject, e->detail);
	jw_key(w, "reply");
	jw_open(w, '{');
	jw_ku64(w, "code", r->outcome.code);
	jw_kstr(w, "enhanced", e->klass ? slice_str(enh) : SL(""));
	jw_kstr(w, "stage", slice_str(stage_name(outcome_stage(&r->outcome))));
	view_name(c, w, "text", r->reply);
	jw_close(w, '}');
}

/* Members of the object that is open. */
static void
put_members(const struct core *c, struct jsonw *w,
    const struct eng_standing_row *r)
{
	const struct conf_automation *a =
	    r->automation < c->conf->nautomations ?
	    &c->conf->automations[r->automation] :
	    NULL;

	jw_ku64(w, "id", r->id);
	put_target(c, w, r);
	jw_kstr(w, "action",
	    slice_str(eng_action_name((enum eng_action)r->action)));
	view_moment(c, w, "until", "until_s", r->until_us, true);
	view_name(c, w, "rule", r->rule);
	jw_kstr(w, "file", a ? c->conf->files[a->at.file] : SL(""));
	jw_ku64(w, "line", a ? a->at.line : 0);
	view_moment(c, w, "first", "first_s", r->first_us, false);
	view_moment(c, w, "last", "last_s", r->last_us, false);
	jw_ku64(w, "count", r->count);
	put_reply(c, w, r);
}

void
view_reaction(const struct core *c, struct jsonw *w,
    const struct eng_standing_row *r)
{
	jw_key(w, "reaction");
	jw_open(w, '{');
	put_members(c, w, r);
	jw_close(w, '}');
}

void
core_view_reactions(const struct core *c, uint64_t cursor, uint32_t n,
    struct buf *out)
{
	struct eng_standing_row *v;
	struct jsonw w;
	uint32_t have = 0;

	n = MIN(n, VIEW_ROWS_MAX);
	v = mem_try((n + 1) * sizeof(*v));
	if (v)
		have = eng_standing_rows(c->eng, (uint32_t)cursor, v, n);
	jw_init(&w, out);
	jw_open(&w, '{');
	jw_ku64(&w, "total", eng_standings(c->eng));
	jw_key(&w, "reactions");
	jw_open(&w, '[');
	for (uint32_t i = 0; i < have; i++) {
		jw_open(&w, '{');
		put_members(c, &w, &v[i]);
		jw_close(&w, '}');
	}
	jw_close(&w, ']');
	jw_key(&w, "cursor");
	if (have == n && n != 0)
		jw_u64(&w, v[n - 1].id);
	else
		jw_null(&w);
	jw_close(&w, '}');
	mem_free(v);
}

uint32_t
core_standings(const struct core *c, struct core_standing *v, uint32_t n)
{
	struct eng_standing_row *rows = mem_get((n + 1) * sizeof(*rows));

	n = eng_standing_rows(c->eng, 0, rows, n);
	for (uint32_t i = 0; i < n; i++) {
		v[i] = (struct core_standing){ .id = rows[i].id,
			.rule = names_text(&c->names, rows[i].rule),
			.dims = rows[i].dims,
			.until_us = rows[i].until_us };
		for (int d = 0; d < DIM_N; d++)
			v[i].val[d] = names_text(&c->names, rows[i].val[d]);
	}
	mem_free(rows);
	return n;
}

int
core_end(struct core *c, uint64_t id, struct slice user, struct slice reason)
{
	struct eng_event ev = { .kind = EV_END };
	struct eng_standing_row row;
	char text[64];

	if (id == 0 ||
	    eng_standing_rows(c->eng, (uint32_t)id - 1, &row, 1) == 0 ||
	    row.id != id)
		return E_NOTFOUND;
	snprintf(text, sizeof(text), "end reaction %llu",
	    (unsigned long long)id);
	core_book_order(c, slice_str(text), user, reason);
	ev.end = (uint32_t)id;
	core_step(c, &ev);
	return 0;
}
