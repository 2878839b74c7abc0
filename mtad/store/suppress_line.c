/*
 * store/suppress_line.c - one entry as a line: CSV (RFC 4180) or JSON.
 *
 * Lines come from other systems, so nothing about them is taken for granted: each
 * is checked whole before anything of it counts, and what is too long is refused
 * rather than cut, for a name that is cut is another one.
 */
#include <jansson.h>

#include "store/suppress_i.h"

/* The columns of a CSV line and the members of a JSON object. */
enum column {
	COL_NAME,
	COL_TENANT,
	COL_REASON,
	COL_EXPIRES,
	COL_SOURCE,
	COL_ADDED,
	COL_N
};
static const char *const titles[COL_N] = {
	[COL_NAME] = "address",
	[COL_TENANT] = "tenant",
	[COL_REASON] = "reason",
	[COL_EXPIRES] = "expires",
	[COL_SOURCE] = "source",
	[COL_ADDED] = "added",
};
#define CELL_MAX 512u /* longer than any that is right */

/* p NULL: it does not say. */
struct cells {
	struct slice v[COL_N];
	char text[COL_N][CELL_MAX];
};

#define TIME_MAX INT64_C(253402300799) /* the end of the year 9999 */

static bool
take_date(struct slice text, int64_t *out_s)
{
	char date[32] = "";
	int64_t us;

	if (text.n == 10) { /* a date alone */
		slice_copy(text, date, sizeof(date));
		slice_copy(SL("T00:00:00Z"), date + 10, sizeof(date) - 10);
		text = slice_str(date);
	}
	if (parse_date_iso(text, &us) != 0)
		return false;
	*out_s = MIN(MAX(us / US_PER_S, 1), TIME_MAX);
	return true;
}

int
suppress_time(struct slice text, int64_t now_s, int64_t *out_s)
{
	int64_t us;

	*out_s = 0;
	if (text.n == 0 || slice_ieq(text, SL("never")) ||
	    take_date(text, out_s))
		return 0;
	if (text.p[0] == '+')
		text = slice_skip(text, 1);
	if (parse_duration(text, &us) != 0 || us < 0)
		return E_SYNTAX;
	*out_s = MIN(now_s + us / US_PER_S, TIME_MAX);
	return 0;
}

/* ---- what cells say -------------------------------------------------------------- */

/* Printable, so that it can stand in a reply; UTF-8 goes through. */
static bool
take_text(struct slice s, char *dst, size_t cap, struct slice *out)
{
	if (s.n >= cap)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	*out = slice_of(dst, slice_copy(s, dst, cap));
	return true;
}

static const char *
take_cells(const struct cells *c, const struct suppress_line_conf *lc,
    struct suppress_line *out)
{
	struct suppress_entry *e = &out->e;
	const struct slice *v = c->v;

	if (suppress_name(slice_trim(v[COL_NAME]), out->name, &e->name,
		&e->is_domain))
		return "expected an address, a domain or *.domain";
	if (!take_text(v[COL_TENANT].n ? v[COL_TENANT] : lc->tenant,
		out->tenant, sizeof(out->tenant), &e->tenant))
		return "the tenant is no name of up to 64 characters";
	if (!take_text(v[COL_REASON].n ? v[COL_REASON] : lc->reason,
		out->reason, sizeof(out->reason), &e->reason))
		return "the reason is longer than 255 bytes, or not printable";
	if (!take_text(v[COL_SOURCE].n ? v[COL_SOURCE] : lc->source,
		out->source, sizeof(out->source), &e->source))
		return "the source is longer than 255 bytes, or not printable";
	e->expires_s = lc->expires_s;
	if (v[COL_EXPIRES].n > 0 &&
	    suppress_time(slice_trim(v[COL_EXPIRES]), lc->now_s, &e->expires_s))
		return "expires: expected a time (RFC 3339), a date, a "
		       "duration or never";
	e->added_s = lc->now_s;
	if (v[COL_ADDED].n > 0 &&
	    suppress_time(slice_trim(v[COL_ADDED]), lc->now_s, &e->added_s))
		return "added: expected a time (RFC 3339) or a date";
	return NULL;
}

/* ---- CSV --------------------------------------------------------------------------- */

/* Takes the next cell off; false: its quotes are wrong or it is too long. */
static bool
csv_cell(struct slice *rest, char *dst, struct slice *out)
{
	size_t n = 0, i = 0;
	bool quoted = rest->n > 0 && rest->p[0] == '"';

	for (i = quoted; i < rest->n; i++) {
		if (!quoted && rest->p[i] == ',')
			break;
		if (rest->p[i] == '"') {
			if (!quoted)
				return false;
			if (i + 1 == rest->n || rest->p[i + 1] != '"')
				break;
			i++;
		}
		if (n == CELL_MAX)
			return false;
		dst[n++] = rest->p[i];
	}
	if (quoted && i++ == rest->n)
		return false; /* its end is missing */
	if (i < rest->n && rest->p[i] != ',')
		return false;
	*out = slice_of(dst, n);
	*rest = i < rest->n ? slice_skip(*rest, i + 1) : slice_of(NULL, 0);
	return true;
}

static int
csv_read(struct slice line, struct cells *c, const char **why)
{
	for (int i = 0; i < COL_N && line.p != NULL; i++)
		if (!csv_cell(&line, c->text[i], &c->v[i])) {
			*why = "a field is too long, or its quotes are wrong";
			return E_SYNTAX;
		}
	if (line.p != NULL) {
		*why = "too many fields: expected address, tenant, reason, "
		       "expires, source, added";
		return E_SYNTAX;
	}
	return slice_ieq(c->v[COL_NAME], SL("address")) ? E_NOTFOUND : 0;
}

static void
csv_put(struct buf *out, struct slice s)
{
	bool plain = true;

	for (size_t i = 0; i < s.n; i++)
		plain &= s.p[i] != ',' && s.p[i] != '"';
	if (plain && (s.n == 0 || (s.p[0] != ' ' && s.p[0] != '#'))) {
		buf_adds(out, s);
		return;
	}
	buf_addc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			buf_addc(out, '"');
		buf_addc(out, s.p[i]);
	}
	buf_addc(out, '"');
}

/* ---- JSON -------------------------------------------------------------------------- */

static int
json_cells(const json_t *o, struct cells *c, const char **why)
{
	const char *key;
	json_t *v;
	int i;

	json_object_foreach((json_t *)(uintptr_t)o, key, v) {
		for (i = 0; i < COL_N; i++)
			if (strcmp(key, titles[i]) == 0 ||
			    (i == COL_NAME && strcmp(key, "domain") == 0))
				break;
		if (i == COL_N || c->v[i].p != NULL) {
			*why = "a member is not known, or there twice";
			return E_SYNTAX;
		}
		if (json_is_null(v))
			continue;
		if (!json_is_string(v) || json_string_length(v) > CELL_MAX) {
			*why = "a member is no text, or too long";
			return E_SYNTAX;
		}
		memcpy(c->text[i], json_string_value(v), json_string_length(v));
		c->v[i] = slice_of(c->text[i], json_string_length(v));
	}
	return 0;
}

static int
json_read(struct slice line, struct cells *c, const char **why)
{
	json_t *o = json_loadb(line.p, line.n,
	    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	int err;

	if (!json_is_object(o)) {
		json_decref(o);
		*why = "not a JSON object";
		return E_SYNTAX;
	}
	err = json_cells(o, c, why);
	json_decref(o);
	return err;
}

/* ---- lines ------------------------------------------------------------------------- */

int
suppress_line_read(enum suppress_format f, struct slice line,
    const struct suppress_line_conf *lc, struct suppress_line *out,
    const char **why)
{
	struct cells c;
	int err;

	while (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	line = slice_trim(line);
	if (line.n == 0 || line.p[0] == '#')
		return E_NOTFOUND;
	memset(c.v, 0, sizeof(c.v));
	err = f == SUPPRESS_CSV ? csv_read(line, &c, why) :
				  json_read(line, &c, why);
	if (err)
		return err;
	*why = take_cells(&c, lc, out);
	return *why ? E_SYNTAX : 0;
}

static struct slice
time_text(char *dst, int64_t s)
{
	size_t n = s ? date_iso(dst, s * US_PER_S) : 0;

	/* "2026-11-24T02:00:00.000000Z": the fraction says nothing here. */
	if (n == 27)
		n = 19 + slice_copy(SL("Z"), dst + 19, 2);
	return slice_of(dst, n);
}

void
suppress_json(struct jsonw *w, const struct suppress_entry *e)
{
	char text[32];

	jw_kstr(w, e->is_domain ? "domain" : "address", e->name);
	jw_kstr(w, "tenant", e->tenant);
	jw_kstr(w, "reason", e->reason);
	jw_kstr(w, "source", e->source);
	if (e->expires_s)
		jw_kstr(w, "expires", time_text(text, e->expires_s));
	jw_kstr(w, "added", time_text(text, e->added_s));
}

void
suppress_line_write(enum suppress_format f, const struct suppress_entry *e,
    struct buf *out)
{
	struct jsonw w;
	char text[32];

	if (f == SUPPRESS_JSON) {
		jw_init(&w, out);
		jw_open(&w, '{');
		suppress_json(&w, e);
		jw_close(&w, '}');
		buf_addc(out, '\n');
		return;
	}
	csv_put(out, e->name);
	buf_addc(out, ',');
	csv_put(out, e->tenant);
	buf_addc(out, ',');
	csv_put(out, e->reason);
	buf_addc(out, ',');
	buf_adds(out, time_text(text, e->expires_s));
	buf_addc(out, ',');
	csv_put(out, e->source);
	buf_addc(out, ',');
	buf_adds(out, time_text(text, e->added_s));
	buf_addc(out, '\n');
}
