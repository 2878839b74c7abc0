/*
 * relay/tail.c - reads lines of the event log as relay/books.c writes them: the
 * first fields are type, time and event_id, in this order.
 */
#include "relay/relay.h"

#define IDS_MAX (1u << 24)

void
tail_init(struct book_tail *t)
{
	memset(t, 0, sizeof(*t));
	t->since_us = TIME_NEVER;
	map_init(&t->ids, 0, IDS_MAX);
}

void
tail_free(struct book_tail *t)
{
	map_free(&t->ids);
}

/* The text of a field that is the next one: {"name":"text" or ,"name":"text" */
static bool
take_field(struct slice *line, struct slice name, struct slice *text)
{
	struct slice s = *line;

	if (s.n < name.n + 6)
		return false;
	s = slice_skip(s, 2); /* a brace or a comma; a quote */
	if (!slice_has_prefix(s, name))
		return false;
	s = slice_skip(s, name.n);
	if (!slice_has_prefix(s, SL("\":\"")))
		return false;
	s = slice_skip(s, 3);
	*text = slice_cut(&s, '"');
	*line = s;
	return true;
}

struct head {
	struct slice type;
	int64_t time_us;
	uint64_t event_id;
	bool at_start;
};

/* False: it is no line of ours. */
static bool
read_head(struct slice line, struct head *h)
{
	struct slice when, id;

	if (!take_field(&line, SL("type"), &h->type) ||
	    !take_field(&line, SL("time"), &when) ||
	    parse_date_iso(when, &h->time_us) ||
	    !take_field(&line, SL("event_id"), &id) ||
	    parse_base32(id, &h->event_id, sizeof(h->event_id)))
		return false;
	h->at_start = slice_has_prefix(line, SL(",\"start\":true"));
	return true;
}

int64_t
tail_line_us(struct slice line, bool *at_start)
{
	struct head h;

	if (!read_head(line, &h))
		return 0;
	*at_start = h.at_start;
	return h.time_us;
}

static void
read_line(struct book_tail *t, struct slice line, int64_t *last_us)
{
	struct head h;

	if (!read_head(line, &h))
		return;
	if (!h.at_start)
		*last_us = h.time_us;
	/* Without memory it is written twice, which can be told. */
	if ((slice_eq(h.type, slice_str(book_kind_name(BOOK_RECEPTION))) ||
		slice_eq(h.type, slice_str(book_kind_name(BOOK_TAKEN_OVER)))) &&
	    map_put(&t->ids, h.event_id, 1))
		return;
}

void
tail_read(struct book_tail *t, struct slice lines)
{
	int64_t last_us = 0;
	const char *end;

	while (lines.n && (end = memchr(lines.p, '\n', lines.n))) {
		size_t n = (size_t)(end - lines.p);

		read_line(t, slice_of(lines.p, n), &last_us);
		lines = slice_skip(lines, n + 1);
	}
	if (t->last_us == 0 && last_us != 0) {
		t->last_us = last_us;
		t->since_us = last_us - TAIL_WINDOW_US;
	}
}

bool
tail_has(const struct book_tail *t, uint64_t event_id)
{
	return map_get(&t->ids, event_id) != 0;
}
