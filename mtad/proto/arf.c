/*
 * proto/arf.c - reports of abuse, see arf.h.
 *
 * A report is a multipart message. Of its parts one (message/feedback-report)
 * has fields about the complaint, and one (message/rfc822 or
 * text/rfc822-headers) the message. Both are plain text; nothing is decoded here,
 * and no part is looked into deeper than that.
 */
#include "proto/arf.h"
#include "proto/header.h"
#include "proto/mime.h"

#define FIELDS_MAX 256u /* of one part */

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

static struct slice
take_line(struct slice *s)
{
	size_t n = MIN(slice_index(*s, '\n') + 1, s->n);
	struct slice line = slice_of(s->p, n);

	*s = slice_skip(*s, n);
	return line;
}

/* ---- parts --------------------------------------------------------------------- */

static struct slice
unbracket(struct slice s)
{
	if (s.n > 1 && s.p[0] == '<' && s.p[s.n - 1] == '>')
		return slice_of(s.p + 1, s.n - 2);
	return s;
}

static void
take_rcpt(struct arf *a, struct slice value)
{
	value = unbracket(take_word(&value));
	if (value.n > 0 && value.n <= MAILBOX_MAX && a->nrcpts < ARF_RCPTS_MAX)
		a->rcpt[a->nrcpts++] = value;
}

/* Fields that are one word, or all of a line. */
static void
take_text(struct arf *a, struct slice name, struct slice value)
{
	const struct {
		struct slice name;
		struct slice *to;
		bool is_line;
	} fields[] = {
		{ SL("Feedback-Type"), &a->type, false },
		{ SL("User-Agent"), &a->agent, true },
		{ SL("Original-Mail-From"), &a->mail_from, false },
		{ SL("Reported-Domain"), &a->domain, false },
		{ SL("Reported-URI"), &a->uri, false },
		{ SL("Arrival-Date"), &a->arrival, true },
		{ SL("Received-Date"), &a->arrival, true },
		{ SL("Reporting-MTA"), &a->mta, true },
		{ SL("Original-Envelope-Id"), &a->envelope_id, false },
		{ SL("Authentication-Results"), &a->results, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (!slice_ieq(name, fields[i].name) || fields[i].to->n > 0)
			continue;
		*fields[i].to = fields[i].is_line ? trim(take_line(&value)) :
						    take_word(&value);
		return;
	}
}

void
arf_read_fields(struct slice text, struct arf *a)
{
	uint32_t left = FIELDS_MAX;
	struct hdr h;

	while (left-- > 0) {
		struct slice value;

		if (!hdr_next(&text, &h)) {
			if (text.n == 0)
				break;
			take_line(&text); /* blank, or no field */
			continue;
		}
		value = trim(h.value);
		if (slice_ieq(h.name, SL("Source-IP"))) {
			if (ip_parse(take_word(&value), &a->source) != 0)
				a->source.family = 0;
		} else if (slice_ieq(h.name, SL("Incidents"))) {
			if (slice_u64(take_word(&value), UINT32_MAX,
				&a->incidents) != 0)
				a->incidents = 0;
		} else if (slice_ieq(h.name, SL("Original-Rcpt-To")))
			take_rcpt(a, value);
		else
			take_text(a, h.name, value);
	}
	a->mail_from = unbracket(a->mail_from);
	if (slice_has_iprefix(a->mta, SL("dns;")))
		a->mta = trim(slice_skip(a->mta, 4));
}

/* Behind each word "id" of a trace field. */
static void
read_ids(struct arf *a, struct slice value)
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

void
arf_read_trace(struct slice text, struct arf *a)
{
	uint32_t left = FIELDS_MAX;
	struct hdr h;

	while (left-- > 0 && hdr_next(&text, &h))
		if (slice_ieq(h.name, SL("Received")))
			read_ids(a, h.value);
}

bool
arf_read(struct slice message, struct arf *a)
{
	struct mime m;
	bool is_report = false;

	*a = (struct arf){ 0 };
	mime_read(message, &m);
	for (uint32_t i = 1; i < m.nparts; i++) {
		const struct mime_part *p = &m.part[i];

		if (mime_is(p, SL("message/feedback-report"))) {
			arf_read_fields(p->body, a);
			is_report = a->type.n > 0;
		} else if (mime_is(p, SL("message/rfc822")) ||
		    mime_is(p, SL("text/rfc822-headers")))
			arf_read_trace(p->body, a);
	}
	return is_report;
}

bool
arf_complains(const struct arf *a)
{
	return slice_ieq(a->type, SL("abuse")) ||
	    slice_ieq(a->type, SL("fraud")) || slice_ieq(a->type, SL("virus"));
}
