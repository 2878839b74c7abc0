/*
 * daemon/suppress_do.c - questions about the suppressed, and orders.
 */
#include <stdio.h>

#include "daemon/suppress_do.h"

#define LOOKS_MAX 200000u /* entries that one answer of a list looks at */

struct run {
	struct suppress_db *d;
	struct suppress_q *q;
	const struct suppress_ear *ear;
	struct jsonw *w;
	const char **why;
};

void
suppress_q_free(struct suppress_q *q)
{
	mem_free(q->lines);
	mem_free(q);
}

static int
broken(struct run *r)
{
	*r->why = suppress_why(r->d);
	return 503;
}

static int
wrong(struct run *r, const char *why)
{
	*r->why = why;
	return 400;
}

/* ---- orders ---------------------------------------------------------------------- */

static int
put(struct run *r, const struct suppress_entry *e)
{
	if (suppress_put(r->d, e))
		return broken(r);
	r->q->done++;
	if (r->ear)
		r->ear->came(r->ear->ctx, e);
	return 0;
}

static int
do_add(struct run *r)
{
	struct suppress_q *q = r->q;
	struct suppress_entry e = { .tenant = slice_str(q->tenant),
		.reason = slice_str(q->reason),
		.source = slice_str(q->source),
		.added_s = q->now_s };
	char name[SUPPRESS_NAME_MAX + 1];
	int status;

	if (suppress_name(slice_str(q->name), name, &e.name, &e.is_domain))
		return wrong(r,
		    "name: expected an address, a domain or *.domain");
	if (suppress_time(slice_str(q->expires), q->now_s, &e.expires_s))
		return wrong(r,
		    "expires: expected a time (RFC 3339), a date, a duration "
		    "or never");
	status = put(r, &e);
	if (status == 0)
		suppress_json(r->w, &e);
	return status;
}

static int
do_remove(struct run *r)
{
	struct suppress_q *q = r->q;
	char text[SUPPRESS_NAME_MAX + 1];
	struct slice name;
	bool is_domain;
	int err;

	if (suppress_name(slice_str(q->name), text, &name, &is_domain))
		return wrong(r,
		    "name: expected an address, a domain or *.domain");
	err = suppress_del(r->d, slice_str(q->tenant), is_domain, name);
	if (err == E_NOTFOUND) {
		*r->why = q->tenant[0] ?
		    "that tenant has no such entry" :
		    "there is no such entry for all; name the tenant of one";
		return 404;
	}
	/* What it was suppressed for counts no more. */
	if (err || suppress_unstrike(r->d, slice_str(q->tenant), name))
		return broken(r);
	q->done++;
	if (r->ear)
		r->ear->went(r->ear->ctx, 1);
	jw_kstr(r->w, "removed", name);
	jw_kstr(r->w, "tenant", slice_str(q->tenant));
	return 0;
}

static int
import_line(struct run *r, struct slice line, uint64_t number,
    const struct suppress_line_conf *lc)
{
	enum suppress_format f = r->q->is_json ? SUPPRESS_JSON : SUPPRESS_CSV;
	struct suppress_line one;
	const char *why = NULL;
	int err = suppress_line_read(f, line, lc, &one, &why);

	if (err == 0)
		return put(r, &one.e);
	if (err == E_NOTFOUND)
		return 0;
	r->q->failed++;
	jw_open(r->w, '{');
	jw_ku64(r->w, "line", number);
	jw_kstr(r->w, "error", slice_str(why));
	jw_close(r->w, '}');
	return 0;
}

static int
do_import(struct run *r)
{
	struct suppress_q *q = r->q;
	struct suppress_line_conf lc = { .tenant = slice_str(q->tenant),
		.reason = slice_str(q->reason),
		.source = slice_str(q->source),
		.now_s = q->now_s };
	struct slice rest = slice_of(q->lines, q->nlines_bytes), line;
	uint64_t number = 0;
	int status = 0;

	if (q->lines == NULL)
		return wrong(r, "lines: expected entries, one a line");
	if (suppress_time(slice_str(q->expires), q->now_s, &lc.expires_s))
		return wrong(r,
		    "expires: expected a time (RFC 3339), a date, a duration "
		    "or never");
	jw_key(r->w, "errors");
	jw_open(r->w, '[');
	while (rest.n > 0 && status == 0) {
		line = slice_of(rest.p, slice_index(rest, '\n'));
		status = import_line(r, line, ++number, &lc);
		rest = slice_skip(rest, MIN(line.n + 1, rest.n));
	}
	jw_close(r->w, ']');
	jw_ku64(r->w, "added", q->done);
	jw_ku64(r->w, "refused", q->failed);
	return status;
}

/* ---- questions ------------------------------------------------------------------- */

static bool
is_live(const struct run *r, const struct suppress_entry *e)
{
	return e->expires_s == 0 || e->expires_s > r->q->now_s;
}

static void
print_entry(struct run *r, const struct suppress_entry *e)
{
	jw_open(r->w, '{');
	suppress_json(r->w, e);
	if (!is_live(r, e))
		jw_kbool(r->w, "expired", true);
	jw_close(r->w, '}');
}

/* The entry of a tenant for that name, if there is one. */
static int
show_one(struct run *r, struct slice tenant, bool is_domain, struct slice name)
{
	struct suppress_entry e;
	int err = suppress_get(r->d, tenant, is_domain, name, &e);

	if (err == E_NOTFOUND)
		return 0;
	if (err)
		return broken(r);
	r->q->done += is_live(r, &e);
	print_entry(r, &e);
	return 0;
}

/* What bears upon an address or domain, of one tenant. */
static int
show_tenant(struct run *r, struct slice tenant, bool is_domain,
    struct slice name)
{
	struct slice domain = is_domain ? name : mailbox_domain(name);
	char below[SUPPRESS_NAME_MAX + 3];
	int status = 0;
	size_t n;

	if (!is_domain)
		status = show_one(r, tenant, false, name);
	if (status == 0)
		status = show_one(r, tenant, true, domain);
	if (slice_has_prefix(domain, SL("*.")))
		domain = slice_skip(domain, 2);
	while (status == 0 && slice_cut(&domain, '.').n > 0 && domain.n > 0) {
		n = (size_t)snprintf(below, sizeof(below), "*.%.*s",
		    SLF(domain));
		status = show_one(r, tenant, true, slice_of(below, n));
	}
	return status;
}

static int
do_show(struct run *r)
{
	struct suppress_q *q = r->q;
	char text[SUPPRESS_NAME_MAX + 1], tenant[NAME_MAX_BYTES + 1] = "";
	struct slice name, next;
	bool is_domain;
	int status, err;

	if (suppress_name(slice_str(q->name), text, &name, &is_domain))
		return wrong(r,
		    "name: expected an address, a domain or *.domain");
	jw_kstr(r->w, "name", name);
	jw_key(r->w, "entries");
	jw_open(r->w, '[');
	status = show_tenant(r, SL(""), is_domain, name);
	if (q->has_tenant && q->tenant[0] && status == 0)
		status = show_tenant(r, slice_str(q->tenant), is_domain, name);
	while (!q->has_tenant && status == 0) {
		err = suppress_tenant(r->d, slice_str(tenant), &next);
		if (err == E_NOTFOUND)
			break;
		if (err)
			return broken(r);
		slice_copy(next, tenant, sizeof(tenant));
		status = show_tenant(r, slice_str(tenant), is_domain, name);
	}
	jw_close(r->w, ']');
	jw_kbool(r->w, "suppressed", q->done > 0);
	return status;
}

/* A place is written as "a:3:ann" and the name, or "d:..." of a domain: kind,
 * bytes of the tenant's name, it, and the entry's. */
static bool
place_read(struct slice s, struct suppress_place *p)
{
	struct slice kind = slice_cut(&s, ':'), bytes = slice_cut(&s, ':');
	uint64_t n;

	p->is_domain = slice_eq(kind, SL("d"));
	if ((!p->is_domain && !slice_eq(kind, SL("a"))) ||
	    slice_u64(bytes, NAME_MAX_BYTES, &n) || n >= s.n)
		return false;
	p->tenant = slice_of(s.p, n);
	p->name = slice_skip(s, n);
	return true;
}

static void
place_write(struct jsonw *w, const struct suppress_place *p)
{
	char text[512];

	snprintf(text, sizeof(text), "%c:%zu:%.*s%.*s",
	    p->is_domain ? 'd' : 'a', p->tenant.n, SLF(p->tenant),
	    SLF(p->name));
	jw_kstr(w, "next", slice_str(text));
}

static bool
is_of_domain(const struct suppress_entry *e, struct slice domain)
{
	struct slice d = e->is_domain ? e->name : mailbox_domain(e->name);

	if (slice_has_prefix(d, SL("*.")))
		d = slice_skip(d, 2);
	return domain.n == 0 || slice_eq(d, domain);
}

/* Prints up to n; where to go on is left in *at. */
static int
list_rows(struct run *r, struct suppress_walk *walk, struct slice domain,
    struct suppress_place *at, char *tenant, char *name)
{
	struct suppress_entry e;
	uint64_t looks = 0, rows = 0;
	int more = 0;

	while (rows < r->q->n && looks++ < LOOKS_MAX &&
	    (more = suppress_next(walk, &e)) > 0) {
		if (r->q->has_tenant &&
		    !slice_eq(e.tenant, slice_str(r->q->tenant)))
			return 0;
		at->is_domain = e.is_domain;
		at->tenant = slice_of(tenant,
		    slice_copy(e.tenant, tenant, NAME_MAX_BYTES + 1));
		at->name = slice_of(name,
		    slice_copy(e.name, name, SUPPRESS_NAME_MAX + 1));
		if (!is_of_domain(&e, domain))
			continue;
		print_entry(r, &e);
		rows++;
	}
	return more;
}

static int
do_list(struct run *r)
{
	struct suppress_q *q = r->q;
	char text[SUPPRESS_NAME_MAX + 1], tenant[NAME_MAX_BYTES + 1];
	char last[SUPPRESS_NAME_MAX + 1];
	struct suppress_place at = { .tenant = slice_str(q->tenant) };
	struct slice domain = SL("");
	struct suppress_walk *walk;
	bool is_domain = true;
	int more;

	if (q->domain[0] &&
	    (suppress_name(slice_str(q->domain), text, &domain, &is_domain) ||
		!is_domain))
		return wrong(r, "domain: expected one");
	if (q->cursor[0] && !place_read(slice_str(q->cursor), &at))
		return wrong(r, "cursor: expected `next` of the last answer");
	walk = suppress_walk(r->d, &at);
	if (walk == NULL)
		return broken(r);
	jw_key(r->w, "entries");
	jw_open(r->w, '[');
	more = list_rows(r, walk, domain, &at, tenant, last);
	jw_close(r->w, ']');
	suppress_walk_end(walk);
	if (more < 0)
		return broken(r);
	if (more > 0)
		place_write(r->w, &at);
	return 0;
}

static int
do_stats(struct run *r)
{
	uint64_t n = 0;

	if (suppress_count(r->d, &n))
		return broken(r);
	jw_ku64(r->w, "entries", n);
	return 0;
}

static int
run_verb(struct run *r)
{
	switch (r->q->verb) {
	case SUPPRESS_SHOW:
		return do_show(r);
	case SUPPRESS_LIST:
		return do_list(r);
	case SUPPRESS_STATS:
		return do_stats(r);
	case SUPPRESS_ADD:
		return do_add(r);
	case SUPPRESS_REMOVE:
		return do_remove(r);
	case SUPPRESS_IMPORT:
		return do_import(r);
	case SUPPRESS_REFRESH:
		return 0;
	}
	return 0;
}

int
suppress_do(struct suppress_db *d, struct suppress_q *q,
    const struct suppress_ear *ear, struct jsonw *w, const char **why)
{
	struct run r = { d, q, ear, w, why };
	int status = run_verb(&r);

	suppress_rest(d);
	return status;
}
