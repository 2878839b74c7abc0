/*
 * proto/arf.c - reports of abuse, see arf.h.
 *
 * A report is a multipart message. Of its parts one (message/feedback-report)
 * has fields about the complaint, and one (message/rfc822 or
 * text/rfc822-headers) the message. Both are plain text; nothing is decoded, and
 * no part is looked into deeper than that.
 */
#include "proto/arf.h"
#include "proto/header.h"

#define BOUNDARY_MAX 70u /* RFC 2046 5.1.1 */
#define FIELDS_MAX 256u  /* of one part */

/* ---- small pieces ------------------------------------------------------------ */

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice
trim(struct slice s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s = slice_skip(s, 1);
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* The next word, up to a blank or one of the stops. */
static struct slice
take_word(struct slice *s)
{
	size_t n = 0;
	struct slice word;

	*s = trim(*s);
	while (n < s->n && !is_space(s->p[n]) && s->p[n] != ';')
		n++;
	word = slice_of(s->p, n);
	*s = slice_skip(*s, n < s->n ? n + 1 : n);
	return word;
}

/* "multipart/report; a=b; boundary=\"x y\"": the boundary, or nothing. */
static struct slice
boundary_of(struct slice value)
{
	static const char key[] = "boundary=";
	size_t at = 0, n = 0;
	char end;

	while (at + sizeof(key) - 1 < value.n &&
	    !slice_has_iprefix(slice_skip(value, at),
		slice_of(key, sizeof(key) - 1)))
		at++;
	value = slice_skip(value, MIN(at + sizeof(key) - 1, value.n));
	end = value.n > 0 && value.p[0] == '"' ? '"' : ';';
	if (end == '"')
		value = slice_skip(value, 1);
	while (n < value.n && value.p[n] != end && value.p[n] != '\n' &&
	    (end == '"' || !is_space(value.p[n])))
		n++;
	return slice_of(value.p, n <= BOUNDARY_MAX ? n : 0);
}

static struct slice
take_line(struct slice *s)
{
	size_t n = MIN(slice_index(*s, '\n') + 1, s->n);
	struct slice line = slice_of(s->p, n);

	*s = slice_skip(*s, n);
	return line;
}

/* What stands before the next line that is the boundary, which is taken; *more:
 * another part follows. */
static struct slice
take_part(struct slice *s, struct slice boundary, bool *more)
{
	struct slice part = slice_of(s->p, 0);

	*more = false;
	while (s->n > 0) {
		struct slice line = take_line(s);

		if (slice_has_prefix(line, SL("--")) &&
		    slice_has_prefix(slice_skip(line, 2), boundary)) {
			line = slice_skip(line, 2 + boundary.n);
			*more = !slice_has_prefix(line, SL("--"));
			return part;
		}
		part.n += line.n;
	}
	return part;
}

/* ---- parts --------------------------------------------------------------------- */

/* Fields from the front of a text, the blank line behind them taken as well; one
 * that is asked for by name. */
static struct slice
take_fields(struct slice *text, struct slice name)
{
	struct slice found = slice_of("", 0);
	uint32_t left = FIELDS_MAX;
	struct hdr h;

	while (left-- > 0 && hdr_next(text, &h))
		if (found.n == 0 && slice_ieq(h.name, name))
			found = trim(h.value);
	take_line(text);
	return found;
}

static void
read_report(struct arf *a, struct slice text)
{
	uint32_t left = FIELDS_MAX;
	struct hdr h;

	while (left-- > 0 && hdr_next(&text, &h)) {
		struct slice value = trim(h.value);

		if (slice_ieq(h.name, SL("Feedback-Type")))
			a->type = take_word(&value);
		else if (slice_ieq(h.name, SL("User-Agent")))
			a->agent = take_line(&value);
		else if (slice_ieq(h.name, SL("Source-IP"))) {
			if (ip_parse(take_word(&value), &a->source) != 0)
				a->source.family = 0;
		} else if (slice_ieq(h.name, SL("Original-Rcpt-To")) &&
		    a->nrcpts < ARF_RCPTS_MAX) {
			value = take_word(&value);
			if (value.n > 1 && value.p[0] == '<' &&
			    value.p[value.n - 1] == '>')
				value = slice_of(value.p + 1, value.n - 2);
			if (value.n > 0 && value.n <= MAILBOX_MAX)
				a->rcpt[a->nrcpts++] = value;
		}
	}
}

/* Behind each word "id" of a trace field. */
static void
read_trace(struct arf *a, struct slice value)
{
	while (value.n > 0 && a->nids < ARF_IDS_MAX) {
		struct slice word = take_word(&value);

		if (!slice_ieq(word, SL("id")))
			continue;
		word = take_word(&value);
		if (msgid_parse(word, &a->id[a->nids]) == 0)
			a->nids++;
	}
}

static void
read_message(struct arf *a, struct slice text)
{
	uint32_t left = FIELDS_MAX;
	struct hdr h;

	while (left-- > 0 && hdr_next(&text, &h))
		if (slice_ieq(h.name, SL("Received")))
			read_trace(a, h.value);
}

bool
arf_read(struct slice message, struct arf *a)
{
	struct slice type, boundary;
	bool more, is_report = false;

	*a = (struct arf){ 0 };
	type = take_fields(&message, SL("Content-Type"));
	if (!slice_has_iprefix(type, SL("multipart/")))
		return false;
	boundary = boundary_of(type);
	if (boundary.n == 0)
		return false;
	(void)take_part(&message, boundary, &more);
	for (uint32_t n = 0; more && n < ARF_PARTS_MAX; n++) {
		struct slice part = take_part(&message, boundary, &more);

		type = take_fields(&part, SL("Content-Type"));
		type = take_word(&type);
		if (slice_ieq(type, SL("message/feedback-report"))) {
			read_report(a, part);
			is_report = a->type.n > 0;
		} else if (slice_ieq(type, SL("message/rfc822")) ||
		    slice_ieq(type, SL("text/rfc822-headers")))
			read_message(a, part);
	}
	return is_report;
}

bool
arf_complains(const struct arf *a)
{
	return slice_ieq(a->type, SL("abuse")) ||
	    slice_ieq(a->type, SL("fraud")) || slice_ieq(a->type, SL("virus"));
}
