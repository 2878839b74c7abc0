/*
 * daemon/counter_feedback.c - complaints: by which source the message left, and
 * to whom, from the index on disk and the event log; then the core counts it.
 */
#include <jansson.h>

#include "daemon/daemon_i.h"

#define HITS_MAX 16u  /* messages of an address that are looked at */
#define LINES_MAX 64u /* of one message */

static struct slice
member(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		return slice_of("", 0);
	return slice_of(json_string_value(v), json_string_length(v));
}

/* A line about a delivery, to that address if one is said: it has the rest. */
static bool
take_line(struct ask *a, const json_t *line)
{
	struct slice to = member(line, "recipient");

	if (!slice_eq(member(line, "type"), SL("Delivery")) ||
	    (a->name[0] && !slice_ieq(to, slice_str(a->name))))
		return false;
	slice_copy(member(line, "tenant"), a->texts[2], sizeof(a->texts[2]));
	slice_copy(to, a->name, sizeof(a->name));
	if (a->source[0]) /* it was said; the rest is wanted */
		return true;
	slice_copy(member(line, "source"), a->source, sizeof(a->source));
	slice_copy(member(line, "mx"), a->mx, sizeof(a->mx));
	return a->source[0] != '\0';
}

static bool
take_lines(struct ask *a, struct slice lines)
{
	json_t *all = json_loadb(lines.p, lines.n, JSON_ALLOW_NUL, NULL), *line;
	bool found = false;
	size_t i;

	json_array_foreach(all, i, line) {
		if (!found)
			found = take_line(a, line);
	}
	json_decref(all);
	return found;
}

static bool
find_sent(struct clerk *c, struct ask *a, const struct msgid *id,
    struct find_rec *v)
{
	struct buf lines;
	bool found;

	buf_init(&lines, 1u << 20);
	(void)buf_addc(&lines, '[');
	(void)counter_lines(c, id, v, LINES_MAX, &lines);
	(void)buf_addc(&lines, ']');
	found = !lines.failed && take_lines(a, buf_slice(&lines));
	buf_free(&lines);
	return found;
}

/* Is the address or its tenant not said, by which it is to be suppressed? */
static bool
wants_all(const struct daemon *d, const struct ask *a)
{
	const struct conf_suppression *s = &d->clerk.conf->suppression;

	return s->is_on && s->takes_complaints &&
	    (!a->name[0] || (!s->complaint_for_all && !a->texts[2][0]));
}

void
counter_sent(struct daemon *d, struct ask *a)
{
	struct clerk *c = &d->clerk;
	struct msgid id[HITS_MAX];
	struct find_rec *v;
	uint32_t n = 0;

	if (c->finder == NULL || (a->source[0] && !wants_all(d, a)))
		return;
	v = mem_try(FIND_RECORDS_MAX * sizeof(*v));
	if (v == NULL)
		return;
	if (a->sel.id.n > 0) {
		n = msgid_parse(a->sel.id, &id[0]) == 0;
	} else if (a->name[0]) {
		n = finder_get(c->finder, find_key_address(slice_str(a->name)),
		    0, v, HITS_MAX);
		for (uint32_t i = 0; i < n; i++)
			id[i] = v[i].id;
	}
	for (uint32_t i = 0; i < n; i++)
		if (find_sent(c, a, &id[i], v))
			break;
	mem_free(v);
}

void
counter_feedback(struct worker *w, struct ask *a)
{
	struct core_complaint x = { .source = slice_str(a->source),
		.provider = slice_str(a->provider),
		.host = slice_str(a->mx) };
	char domain[DOMAIN_MAX + 1];
	struct slice at = mailbox_domain(slice_str(a->name));
	int err;

	for (size_t i = 0; i < at.n && i < DOMAIN_MAX; i++) /* as queues */
		domain[i] = ascii_lower(at.p[i]);
	x.domain = slice_of(domain, MIN(at.n, DOMAIN_MAX));
	suppressor_complained(w, slice_str(a->texts[2]), slice_str(a->name),
	    x.provider);
	if (x.source.n == 0) {
		counter_refuse(w, a, 404,
		    "no delivery of that message or to that address is "
		    "known; say the source");
		return;
	}
	if ((x.provider.n | x.domain.n) == 0) {
		counter_refuse(w, a, 400,
		    "provider: expected a name, - for none, or an address");
		return;
	}
	err = core_complain(w->core, &x, slice_str(a->user),
	    slice_str(a->reason), &a->out);
	if (err == E_NOTFOUND)
		counter_refuse(w, a, 404, "no source has that name or address");
	else if (err != 0)
		counter_refuse(w, a, 404, "no provider has that name");
	else
		counter_answer_json(w, a);
}
