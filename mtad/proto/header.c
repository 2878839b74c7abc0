/*
 * proto/header.c - header fields of a message, in place (RFC 5322 2.2). Reads
 * what is met in practice: a line that is no field ends the section.
 */
#include "proto/header.h"

/* A field's name: printable ASCII without colon (RFC 5322 3.6.8); blanks
 * before the colon are met and let through. */
static size_t
name_length(struct slice line)
{
	size_t n = 0;

	while (
	    n < line.n && line.p[n] > 32 && line.p[n] < 127 && line.p[n] != ':')
		n++;
	return n;
}

/* Length of the line at the front, its LF included; all when there is none. */
static size_t
line_length(struct slice s)
{
	const char *nl = memchr(s.p, '\n', s.n);

	return nl ? (size_t)(nl - s.p) + 1 : s.n;
}

bool
hdr_next(struct slice *rest, struct hdr *h)
{
	size_t name = name_length(*rest), at = name, end;

	if (name == 0)
		return false;
	while (at < rest->n && (rest->p[at] == ' ' || rest->p[at] == '\t'))
		at++;
	if (at >= rest->n || rest->p[at] != ':')
		return false;
	end = line_length(*rest);
	while (end < rest->n && (rest->p[end] == ' ' || rest->p[end] == '\t'))
		end += line_length(slice_skip(*rest, end));
	h->whole = slice_of(rest->p, end);
	h->name = slice_of(rest->p, name);
	h->value = slice_of(rest->p + at + 1, end - at - 1);
	while (h->value.n &&
	    (h->value.p[h->value.n - 1] == '\n' ||
		h->value.p[h->value.n - 1] == '\r'))
		h->value.n--;
	*rest = slice_skip(*rest, end);
	return true;
}

size_t
hdr_section(struct slice msg, bool *is_none)
{
	struct slice rest = msg;
	struct hdr h;

	*is_none = false;
	while (hdr_next(&rest, &h))
		continue;
	if (rest.n >= 2 && rest.p[0] == '\r' && rest.p[1] == '\n')
		return msg.n - rest.n + 2;
	if (rest.n >= 1 && rest.p[0] == '\n')
		return msg.n - rest.n + 1;
	*is_none = rest.n == msg.n && rest.n > 0;
	return 0;
}

size_t
hdr_unfold(struct slice value, char *dst, size_t cap)
{
	size_t n = 0;

	ASSERT(cap > 0);
	value = slice_trim(value);
	for (size_t i = 0; i < value.n && n + 1 < cap; i++)
		if (value.p[i] != '\r' && value.p[i] != '\n')
			dst[n++] = value.p[i];
	dst[n] = '\0';
	return n;
}

/* Text of a peer's inside our own field: what could end the line, a comment
 * or an address is left out. */
static void
add_clean(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c > 32 && c < 127 && c != '(' && c != ')' && c != '\\')
			buf_addc(out, (char)c);
	}
}

/* with: RFC 3848 and 6531 name the kinds of transmission. */
static void
add_with(struct buf *out, const struct trace_field *t)
{
	buf_adds(out, t->is_utf8 ? SL("UTF8") : SL(""));
	buf_adds(out, t->is_esmtp ? SL("ESMTP") : SL("SMTP"));
	if (t->is_esmtp && t->tls.n)
		buf_addc(out, 'S');
	if (t->is_esmtp && t->is_auth)
		buf_addc(out, 'A');
}

int
hdr_received(struct buf *out, const struct trace_field *t)
{
	char id[MSGID_TEXT_MAX], ip[IP_TEXT_MAX], date[40];
	size_t n = ip_format(ip, &t->client);

	buf_adds(out, SL("Received: from "));
	if (t->helo.n)
		add_clean(out, t->helo);
	else
		buf_adds(out, SL("unknown"));
	buf_adds(out, t->client.family == 6 ? SL(" ([IPv6:") : SL(" (["));
	buf_add(out, ip, n);
	buf_adds(out, SL("])\r\n\tby "));
	buf_adds(out, t->by);
	buf_adds(out, SL(" with "));
	add_with(out, t);
	if (t->tls.n) {
		buf_adds(out, SL(" ("));
		for (size_t i = 0; i < t->tls.n; i++)
			if (t->tls.p[i] >= 32 && t->tls.p[i] < 127 &&
			    t->tls.p[i] != '(' && t->tls.p[i] != ')')
				buf_addc(out, t->tls.p[i]);
		buf_addc(out, ')');
	}
	buf_adds(out, SL(" id "));
	buf_add(out, id, msgid_format(id, &t->id));
	if (t->for_rcpt.n) {
		buf_adds(out, SL("\r\n\tfor <"));
		add_clean(out, t->for_rcpt);
		buf_addc(out, '>');
	}
	buf_adds(out, SL(";\r\n\t"));
	buf_add(out, date, date_rfc5322(date, t->unix_us));
	buf_adds(out, SL("\r\n"));
	return out->failed ? E_FULL : 0;
}
