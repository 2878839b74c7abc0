/*
 * proto/submit.c - repairs of mail that comes from its author's program.
 *
 * Nothing that is there is changed: a field is added where it is missing, and
 * taken out where it must not be read.
 */
#include "proto/submit.h"
#include "proto/addrlist.h"
#include "proto/header.h"

/* ---- fields that are missing ----------------------------------------------- */

void
submit_see(struct submit_look *l, struct slice name, struct slice value)
{
	l->has_date |= slice_ieq(name, SL("Date"));
	l->has_message_id |= slice_ieq(name, SL("Message-ID"));
	if (!slice_ieq(name, SL("From")))
		return;
	if (l->nfrom++ == 0)
		l->from = value;
}

bool
submit_is_secret(struct slice name)
{
	return slice_ieq(name, SL("Bcc")) || slice_ieq(name, SL("Resent-Bcc"));
}

/* A display name: quoted, for it may hold anything printable. */
static void
add_name(struct buf *out, struct slice name)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (c < ' ' || c == 0x7f)
			continue;
		if (c == '"' || c == '\\')
			buf_addc(out, '\\');
		buf_addc(out, (char)c);
	}
	buf_adds(out, SL("\" "));
}

int
submit_add(struct buf *out, const struct submit_look *l,
    const struct submit_fill *f)
{
	char id[MSGID_TEXT_MAX], date[40];

	if (!l->has_date) {
		buf_adds(out, SL("Date: "));
		buf_add(out, date, date_rfc5322(date, f->unix_us));
		buf_adds(out, SL("\r\n"));
	}
	if (l->nfrom == 0 && f->from.n > 0) {
		buf_adds(out, SL("From: "));
		if (f->from_name.n > 0)
			add_name(out, f->from_name);
		buf_addc(out, '<');
		buf_adds(out, f->from);
		buf_adds(out, SL(">\r\n"));
	}
	if (!l->has_message_id) {
		buf_adds(out, SL("Message-ID: <"));
		buf_add(out, id, msgid_format(id, &f->id));
		buf_addc(out, '@');
		buf_adds(out, f->hostname);
		buf_adds(out, SL(">\r\n"));
	}
	return out->failed ? E_FULL : 0;
}

/* ---- the text of a local program -------------------------------------------- */

/* The dots that were held back are text after all. */
static void
let_dot_go(struct submit_lines *l, struct buf *out)
{
	if (l->dot == 0)
		return;
	buf_add(out, ".\r", l->dot);
	l->is_inside = true;
	l->had_cr = l->dot == 2;
	l->dot = 0;
}

static void
line_end(struct submit_lines *l, struct buf *out)
{
	buf_adds(out, l->had_cr ? SL("\n") : SL("\r\n"));
	l->had_cr = l->is_inside = false;
}

/* One byte where something is to be looked at. */
static void
feed_byte(struct submit_lines *l, char c, struct buf *out)
{
	if (l->dot > 0 && c == '\n') {
		l->is_over = true;
		l->dot = 0;
		return;
	}
	if (l->dot == 1 && c == '\r') {
		l->dot = 2;
		return;
	}
	let_dot_go(l, out);
	if (c == '\n') {
		line_end(l, out);
		return;
	}
	if (c == '.' && l->dot_ends && !l->is_inside) {
		l->dot = 1;
		return;
	}
	l->has_nul |= c == '\0';
	l->had_cr = c == '\r';
	l->is_inside = true;
	buf_addc(out, c);
}

/* Bytes at the front that are plain text, within a line. */
static size_t
plain_length(const struct submit_lines *l, struct slice s)
{
	size_t n = 0;

	if (!l->is_inside || l->had_cr)
		return 0;
	while (n < s.n && s.p[n] != '\n' && s.p[n] != '\r' && s.p[n] != '\0')
		n++;
	return n;
}

int
submit_lines_feed(struct submit_lines *l, struct slice in, struct buf *out)
{
	size_t n;

	while (in.n > 0 && !l->is_over) {
		n = plain_length(l, in);
		buf_add(out, in.p, n);
		in = slice_skip(in, n);
		if (in.n == 0)
			break;
		feed_byte(l, in.p[0], out);
		in = slice_skip(in, 1);
	}
	return out->failed ? E_FULL : 0;
}

int
submit_lines_end(struct submit_lines *l, struct buf *out)
{
	if (l->dot > 0)
		l->is_over = true; /* a dot alone, and no line end */
	l->dot = 0;
	if (l->is_inside)
		line_end(l, out);
	return out->failed ? E_FULL : 0;
}

/* ---- recipients -------------------------------------------------------------- */

static bool
names_rcpts(struct slice name)
{
	return slice_ieq(name, SL("To")) || slice_ieq(name, SL("Cc")) ||
	    slice_ieq(name, SL("Bcc"));
}

static bool
is_resent(struct slice name)
{
	return slice_has_iprefix(name, SL("Resent-")) &&
	    names_rcpts(slice_skip(name, strlen("Resent-")));
}

static int
take_list(struct slice value, struct submit_rcpts *r)
{
	char text[MAILBOX_MAX + 2];
	int n;

	while ((n = addrlist_next(&value, text)) > 0) {
		if (r->n++ >= RCPTS_MAX || buf_add(r->to, text, (size_t)n + 1))
			return E_FULL;
	}
	if (n < 0)
		r->bad = value;
	return n;
}

int
submit_find_rcpts(struct slice header, struct submit_rcpts *r)
{
	struct slice rest = header;
	bool has_resent = false;
	struct hdr h;
	int err = 0;

	while (hdr_next(&rest, &h))
		has_resent |= is_resent(h.name);
	rest = header;
	while (err == 0 && hdr_next(&rest, &h))
		if (has_resent ? is_resent(h.name) : names_rcpts(h.name))
			err = take_list(h.value, r);
	return err;
}
