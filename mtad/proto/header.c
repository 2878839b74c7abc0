/*
 * proto/header.c - header fields of a message, in place (RFC 5322 2.2), and the
 * trace field that we put on top of it.
 *
 * It reads what is met in practice: blanks before the colon, lines that end in
 * LF, and a line that is no field as the end of the section.
 */
#include "proto/header.h"

/* ---- reading ---------------------------------------------------------------- */

/* A field's name: printable ASCII without colon (RFC 5322 3.6.8). */
static size_t
name_length(struct slice line)
{
	size_t n = 0;

	while (n < line.n && line.p[n] > ' ' && line.p[n] <= '~' &&
	    line.p[n] != ':')
		n++;
	return n;
}

/* Length of the line at the front, its LF included; all when there is none. */
static size_t
line_length(struct slice s)
{
	return MIN(slice_index(s, '\n') + 1, s.n);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_line_end(char c)
{
	return c == '\r' || c == '\n';
}

static bool
is_white(char c)
{
	return is_blank(c) || is_line_end(c);
}

bool
hdr_next(struct slice *rest, struct hdr *h)
{
	struct slice s = *rest, value;
	size_t name = name_length(s), colon = name, end;

	while (colon < s.n && is_blank(s.p[colon]))
		colon++;
	if (name == 0 || colon == s.n || s.p[colon] != ':')
		return false;
	end = line_length(s);
	while (end < s.n && is_blank(s.p[end]))
		end += line_length(slice_skip(s, end));
	value = slice_of(s.p + colon + 1, end - colon - 1);
	while (value.n > 0 && is_line_end(value.p[value.n - 1]))
		value.n--;
	h->whole = slice_of(s.p, end);
	h->name = slice_of(s.p, name);
	h->value = value;
	*rest = slice_skip(s, end);
	return true;
}

size_t
hdr_section(struct slice msg, bool *is_none)
{
	struct slice rest = msg;
	struct hdr h;
	size_t fields;

	while (hdr_next(&rest, &h))
		;
	fields = msg.n - rest.n;
	*is_none = false;
	if (slice_has_prefix(rest, SL("\r\n")))
		return fields + 2;
	if (slice_has_prefix(rest, SL("\n")))
		return fields + 1;
	/* Half a line may become anything yet. */
	if (slice_index(rest, '\n') == rest.n)
		return 0;
	*is_none = fields == 0;
	return fields;
}

size_t
hdr_unfold(struct slice value, char *dst, size_t cap)
{
	size_t n = 0;

	ASSERT(cap > 0);
	/* A fold may stand before the first word, and blanks alone behind the
	 * last one. */
	while (value.n > 0 && is_white(value.p[value.n - 1]))
		value.n--;
	while (value.n > 0 && is_white(value.p[0]))
		value = slice_skip(value, 1);
	for (size_t i = 0; i < value.n && n + 1 < cap; i++)
		if (!is_line_end(value.p[i]))
			dst[n++] = value.p[i];
	dst[n] = '\0';
	return n;
}

/* ---- writing ----------------------------------------------------------------- */

/* What could end the line, a comment or an address. */
static bool
is_clean(char c)
{
	return c > ' ' && c <= '~' && strchr("()<>\\\"", c) == NULL;
}

/* A peer's text inside our own field. */
static void
add_clean(struct buf *out, struct slice s)
{
	char text[DOMAIN_MAX];
	size_t n = 0;

	for (size_t i = 0; i < s.n && n < sizeof(text); i++)
		if (is_clean(s.p[i]))
			text[n++] = s.p[i];
	buf_add(out, text, n);
}

static void
add_for(struct buf *out, struct slice address)
{
	for (size_t i = 0; i < address.n; i++)
		if (!is_clean(address.p[i]))
			return;
	buf_adds(out, SL("\r\n\tfor <"));
	buf_adds(out, address);
	buf_addc(out, '>');
}

/* RFC 3848 and RFC 6531 4.3 name the kinds of transmission. */
static void
add_with(struct buf *out, const struct trace_field *t)
{
	if (t->is_http) {
		buf_adds(out,
		    t->tls.n > 0 ? SL(" with HTTPS") : SL(" with HTTP"));
		return;
	}
	buf_adds(out,
	    t->is_utf8      ? SL(" with UTF8SMTP") :
		t->is_esmtp ? SL(" with ESMTP") :
			      SL(" with SMTP"));
	if (t->is_esmtp && t->tls.n > 0)
		buf_addc(out, 'S');
	if (t->is_esmtp && t->is_auth)
		buf_addc(out, 'A');
}

/* "TLSv1.3 CIPHER" as a comment. */
static void
add_tls(struct buf *out, struct slice tls)
{
	struct slice cipher = tls, version = slice_cut(&cipher, ' ');

	buf_adds(out, SL(" ("));
	add_clean(out, version);
	if (cipher.n > 0) {
		buf_addc(out, ' ');
		add_clean(out, cipher);
	}
	buf_addc(out, ')');
}

static void
add_from(struct buf *out, const struct trace_field *t)
{
	char ip[IP_TEXT_MAX];

	buf_adds(out, SL("Received: from "));
	if (t->helo.n > 0)
		add_clean(out, t->helo);
	else
		buf_adds(out, SL("unknown"));
	buf_adds(out, t->client.family == 6 ? SL(" ([IPv6:") : SL(" (["));
	buf_add(out, ip, ip_format(ip, &t->client));
	buf_adds(out, SL("])\r\n\tby "));
}

int
hdr_received(struct buf *out, const struct trace_field *t)
{
	char id[MSGID_TEXT_MAX], date[40];

	if (t->is_local) {
		buf_adds(out, SL("Received: by "));
		buf_adds(out, t->by);
		buf_addf(out, " (mtad, by uid %u)", t->uid);
	} else {
		add_from(out, t);
		buf_adds(out, t->by);
		add_with(out, t);
	}
	if (t->tls.n > 0)
		add_tls(out, t->tls);
	buf_adds(out, SL(" id "));
	buf_add(out, id, msgid_format(id, &t->id));
	if (t->for_rcpt.n > 0)
		add_for(out, t->for_rcpt);
	buf_adds(out, SL(";\r\n\t"));
	buf_add(out, date, date_rfc5322(date, t->unix_us));
	buf_adds(out, SL("\r\n"));
	return out->failed ? E_FULL : 0;
}
