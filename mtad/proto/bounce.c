/*
 * proto/bounce.c - takes a message apart for those that read what it says of
 * deliveries, and asks them in order; see bounce.h.
 *
 * A complaint (RFC 5965) is that first. Else fields of a delivery-status part are
 * believed before any words. Words are read when there are no such fields, and
 * the message looks like a report from a mail system at all.
 */
#include "proto/bounce_i.h"
#include "proto/header.h"

#define ORIGINAL_MAX (32u << 10) /* of the original message's header */
#define STATUS_MAX (1u << 20)    /* of delivery-status parts */

#define BOUNCE_NAME(name, text) text,
static const char *const actions[] = { BOUNCE_ACTION_TABLE(BOUNCE_NAME) };
static const char *const reasons[] = { BOUNCE_REASON_TABLE(BOUNCE_NAME) };
#undef BOUNCE_NAME

const char *
bounce_action_name(enum bounce_action a)
{
	return a < BOUNCE_ACTION_N ? actions[a] : "?";
}

const char *
bounce_reason_name(enum bounce_reason r)
{
	return r < BOUNCE_REASON_N ? reasons[r] : "?";
}

/* ---- recipients ------------------------------------------------------------------- */

struct bounce_rcpt *
bounce_add(struct reading *r, struct slice address)
{
	struct bounce *b = r->out;
	struct bounce_rcpt *x;

	char *copy;

	if (address.n == 0 || address.n > MAILBOX_MAX)
		return NULL;
	for (uint32_t i = 0; i < b->nrcpts; i++)
		if (slice_ieq(b->rcpt[i].address, address))
			return &b->rcpt[i];
	if (b->nrcpts == BOUNCE_RCPTS_MAX)
		return NULL;
	copy = arena_str(&b->memory, address.p, address.n);
	if (copy == NULL)
		return NULL;
	x = &b->rcpt[b->nrcpts++];
	*x = (struct bounce_rcpt){ .address = slice_of(copy, address.n) };
	return x;
}

bool
bounce_was_sent(struct reading *r, struct slice address)
{
	static const struct slice names[] = { SL("To"), SL("Cc"), SL("Bcc"),
		SL("X-Original-To"), SL("Delivered-To"), SL("Envelope-To"),
		SL("X-RCPT-To"), SL("Apparently-To"), SL("Received") };
	struct slice rest = buf_slice(&r->original), found;
	struct hdr h;

	while (rest.n > 0) {
		if (!hdr_next(&rest, &h)) {
			bounce_line(&rest);
			continue;
		}
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			struct slice v = h.value;

			if (!slice_ieq(h.name, names[i]))
				continue;
			if (i + 1 == ARRAY_LEN(names) &&
			    bounce_has(v, "envelope-"))
				continue;
			while (bounce_address(&v, &found))
				if (slice_ieq(found, address))
					return true;
		}
	}
	return false;
}

/* ---- where the original message begins ---------------------------------------------- */

/* "--- Below this line is a copy of the message." and its like. */
static bool
is_separator(struct slice line)
{
	static const char *const always[] = { "original message follows",
		"is a copy of the message", "is a copy of your message",
		"copy of your message follows", "copy of your message, ",
		"below is a copy", "message headers follow", "unsent message",
		"a copy of the original message",
		"the original message headers", "original message headers",
		"header of the original", "headers of the original",
		"original message header", "included below is",
		"your original message is included", "rejected message follows",
		"undelivered message follows", "returned message follows",
		"a copy of your e-mail", "copy of the original", "" };
	static const char *const ruled[] = { "original message",
		"message original", "mensaje original", "mensagem original",
		"returned message", "message header", "message d'origine",
		"messaggio originale", "message content", "original mail",
		"nachricht", "oorspronkelijk", "undelivered message",
		"message contents", "message follows", "message text",
		"body of message", "" };

	if (line.n > 120)
		return false;
	if (slice_ieq(line, SL("Original Message:")))
		return true;
	if (bounce_says(line, always))
		return true;
	return line.n > 4 && strchr("-=*_+", line.p[0]) != NULL &&
	    line.p[0] == line.p[1] && bounce_says(line, ruled) &&
	    !bounce_has(line, "was received");
}

/* A header section at the front, one that went through a mail system: at least
 * three fields, of which one is of the kind that only those have. */
static bool
is_header(struct slice text)
{
	static const struct slice traces[] = { SL("Received"),
		SL("Return-Path"), SL("Message-ID"), SL("DKIM-Signature"),
		SL("X-Mailer"), SL("MIME-Version") };
	uint32_t n = 0, ntraces = 0;
	struct hdr h;

	while (n < 64 && hdr_next(&text, &h)) {
		n++;
		for (size_t i = 0; i < ARRAY_LEN(traces); i++)
			ntraces += slice_ieq(h.name, traces[i]);
	}
	return n >= 3 && ntraces > 0;
}

/* Cuts the text in two: the report, and the original message behind it. */
static void
split_text(struct reading *r)
{
	struct slice all = buf_slice(&r->text), rest = all;
	uint32_t nheaders = 0;

	while (rest.n > 0) {
		struct slice from = rest, line = bounce_line(&rest);
		size_t at = (size_t)(from.p - all.p);
		bool is_field = line.n > 0 && line.p == from.p &&
		    nheaders < 64 && slice_index(line, ':') < line.n;

		if (is_separator(line)) {
			buf_adds(&r->tail, rest);
			buf_cut(&r->text, at);
			return;
		}
		nheaders += is_field;
		if (is_field && is_header(from)) {
			buf_adds(&r->tail, from);
			buf_cut(&r->text, at);
			return;
		}
	}
}

/* The first header section in what stands behind the report. */
static void
find_original(struct reading *r)
{
	struct slice rest = buf_slice(&r->tail);
	struct hdr h;

	for (uint32_t i = 0; i < 40 && rest.n > 0; i++) {
		struct slice ahead = rest;

		if (hdr_next(&ahead, &h) &&
		    slice_index(h.name, ' ') == h.name.n) {
			buf_adds(&r->original,
			    slice_of(rest.p, MIN(rest.n, ORIGINAL_MAX / 2)));
			return;
		}
		bounce_line(&rest);
	}
}

/* ---- parts ---------------------------------------------------------------------------- */

/* Bytes of a part's decoded body, as far as there is room. */
static void
add_part(struct reading *r, const struct mime_part *p, struct buf *to)
{
	struct slice s;

	buf_reset(&r->scratch);
	(void)!mime_text(p, &r->scratch);
	s = buf_slice(&r->scratch);
	s.n = MIN(s.n, to->max - to->n - 1);
	buf_adds(to, s);
	buf_addc(to, '\n');
}

/* A message within, or its header; the header of a part that is one by mistake. */
static bool
is_original(const struct mime_part *p)
{
	if (p->depth > 0 && mime_field(p->head, SL("Received")).n > 0)
		return true;
	return mime_is(p, SL("message/rfc822")) ||
	    mime_is(p, SL("text/rfc822-headers")) ||
	    mime_is(p, SL("text/rfc822-header")) ||
	    mime_is(p, SL("message/rfc822-headers")) ||
	    mime_is(p, SL("message/global")) ||
	    mime_is(p, SL("message/global-headers")) ||
	    mime_is(p, SL("message/partial"));
}

static void
take_part(struct reading *r, const struct mime_part *p)
{
	if (mime_is(p, SL("message/delivery-status")) ||
	    mime_is(p, SL("message/global-delivery-status")) ||
	    mime_is(p, SL("text/delivery-status"))) {
		r->has_dsn = true;
		add_part(r, p, &r->dsn);
	} else if (mime_is(p, SL("message/feedback-report"))) {
		r->has_report = true;
		add_part(r, p, &r->report);
	} else if (mime_is(p, SL("message/disposition-notification")) ||
	    mime_is(p, SL("message/global-disposition-notification"))) {
		r->has_receipt = true;
		add_part(r, p, &r->receipt);
	} else if (is_original(p)) {
		if (r->original.n == 0 &&
		    mime_field(p->head, SL("Received")).n > 0)
			buf_adds(&r->original,
			    slice_of(p->head.p,
				MIN(p->head.n, ORIGINAL_MAX / 2)));
		else if (r->original.n == 0)
			add_part(r, p, &r->original);
	} else if (mime_is(p, SL("text/html"))) {
		buf_reset(&r->scratch);
		if (mime_text(p, &r->scratch) == 0)
			(void)!mime_html(buf_slice(&r->scratch), &r->html);
		buf_addc(&r->html, '\n');
	} else if (mime_is(p, SL("multipart/")) || mime_is(p, SL("text/")) ||
	    mime_is(p, SL("text")) || mime_is(p, SL("message/")))
		add_part(r, p, &r->text);
}

static bool
is_blank(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((uint8_t)s.p[i] > ' ')
			return false;
	return true;
}

/* Fields of a delivery-status part that stand in a text, as some write them. */
static void
find_fields(struct reading *r)
{
	struct slice rest = buf_slice(&r->text);

	while (rest.n > 0) {
		struct slice from = rest, line = bounce_line(&rest);

		if (!slice_has_iprefix(line, SL("Final-Recipient:")))
			continue;
		buf_adds(&r->dsn, from);
		return;
	}
}

static void
take_parts(struct reading *r)
{
	for (uint32_t i = 0; i < r->m.nparts; i++)
		if (!r->m.part[i].is_multipart)
			take_part(r, &r->m.part[i]);
	/* A multipart that never was: what stands there is all there is. */
	if (r->m.nparts == 1 && r->m.part[0].is_multipart)
		add_part(r, &r->m.part[0], &r->text);
	if (is_blank(buf_slice(&r->text))) {
		buf_reset(&r->text);
		buf_adds(&r->text, buf_slice(&r->html));
	}
	if (!r->has_dsn)
		find_fields(r);
	split_text(r);
	if (is_blank(buf_slice(&r->original))) {
		buf_reset(&r->original);
		find_original(r);
	}
}

/* ---- the message ------------------------------------------------------------------------ */

static struct slice
head_words(struct reading *r, struct slice name)
{
	buf_reset(&r->scratch);
	(void)!mime_words(mime_field(r->head, name), &r->scratch);
	return bounce_keep(r, buf_slice(&r->scratch), 2000);
}

/* Without angle brackets, comments and blanks. */
static struct slice
id_of(struct reading *r, struct slice value)
{
	size_t open = slice_index(value, '<');

	if (open < value.n) {
		value = slice_skip(value, open + 1);
		value.n = MIN(value.n, slice_index(value, '>'));
	}
	return bounce_keep(r, slice_trim(value), 998);
}

static void
take_id(struct reading *r)
{
	struct slice text = buf_slice(&r->text), line;
	struct slice id = r->out->message_id;

	if (id.n == 0)
		id = bounce_field(buf_slice(&r->original), SL("Message-ID"));
	while (id.n == 0 && text.n > 0) {
		line = bounce_line(&text);
		if (slice_has_iprefix(line, SL("message-id:")))
			id = slice_skip(line, 11);
	}
	if (id.n == 0 && r->out->type == BOUNCE_DELIVERY)
		id = mime_field(r->head, SL("In-Reply-To"));
	if (id.n > 0)
		r->out->message_id = id_of(r, id);
}

/* A report that a gateway has attached to one of its own: that one is read. */
static void
open_inner(struct reading *r)
{
	for (uint32_t i = 1; i < r->m.nparts; i++) {
		const struct mime_part *p = &r->m.part[i];

		if (!mime_is(p, SL("message/rfc822")))
			continue;
		if (mime_text(p, &r->inner) != 0)
			return;
		mime_read(buf_slice(&r->inner), &r->m);
		buf_reset(&r->text);
		buf_reset(&r->html);
		buf_reset(&r->original);
		buf_reset(&r->tail);
		take_parts(r);
		return;
	}
}

/* Is the original message, as far as we have it, a report with fields itself? */
static bool
has_inner(struct reading *r)
{
	struct slice original = buf_slice(&r->original);

	return !r->has_dsn && r->inner.n == 0 &&
	    bounce_has(bounce_field(original, SL("Content-Type")),
		"report-type=delivery-status") &&
	    bounce_is_report(r);
}

/* What a report says that names nobody: who has its return path may know. */
static void
say_of_nobody(struct reading *r)
{
	struct bounce_rcpt *x = &r->out->rcpt[0];

	*x = (struct bounce_rcpt){
		.action = bounce_is_delay(r) ? BOUNCE_DELAYED : BOUNCE_FAILED
	};
	bounce_words(r, x, NULL);
}

/* By what we may know the message that it is about. */
static void
take_traces(struct reading *r)
{
	struct slice original = buf_slice(&r->original), v, address;
	struct bounce *b = r->out;

	arf_read_trace(original, &b->arf);
	v = bounce_field(original, SL("Return-Path"));
	if (bounce_address(&v, &address))
		b->return_path = bounce_keep(r, address, MAILBOX_MAX);
	b->envelope_id = b->type == BOUNCE_COMPLAINT ?
	    b->arf.envelope_id :
	    bounce_keep(r,
		bounce_field(buf_slice(&r->dsn), SL("Original-Envelope-Id")),
		ENVID_MAX);
}

static void
decide(struct reading *r)
{
	struct bounce *b = r->out;

	if (bounce_read_json(r))
		return;
	if (!r->has_report && has_inner(r))
		open_inner(r);
	if (r->has_report || bounce_old_complaint(r)) {
		b->type = BOUNCE_COMPLAINT;
		if (r->has_report)
			bounce_read_complaint(r);
		return;
	}
	bounce_read_dsn(r);
	if (b->nrcpts > 0) {
		b->type = BOUNCE_DELIVERY;
		bounce_explain(r);
		return;
	}
	if (bounce_is_refusal(r)) {
		buf_adds(&r->dsn, buf_slice(&r->receipt));
		bounce_read_dsn(r);
		b->type = b->nrcpts > 0 ? BOUNCE_DELIVERY : BOUNCE_OTHER;
		b->reason = BOUNCE_READ_RECEIPT;
		bounce_explain(r);
		return;
	}
	if (r->has_dsn || bounce_is_report(r)) {
		bounce_read_text(r);
		b->type = b->nrcpts > 0 ? BOUNCE_DELIVERY : BOUNCE_OTHER;
		b->reason = BOUNCE_NO_RECIPIENT;
		if (b->nrcpts == 0)
			say_of_nobody(r);
		return;
	}
	b->reason = (uint8_t)bounce_other(r);
}

/* Lines that end in CR alone, and the first lines of a mailbox file: a copy with
 * LF, in *copy, or the message itself. */
static struct slice
even_out(struct slice s, struct buf *copy)
{
	char *p;

	while (s.n > 0 && (s.p[0] == '\n' || s.p[0] == '\r'))
		s = slice_skip(s, 1);
	if (slice_index(s, '\n') == s.n && slice_index(s, '\r') < s.n) {
		p = buf_room(copy, s.n);
		if (p != NULL) {
			for (size_t i = 0; i < s.n; i++)
				p[i] = s.p[i] == '\r' ? '\n' : s.p[i];
			buf_grew(copy, s.n);
			s = buf_slice(copy);
		}
	}
	while (slice_has_prefix(s, SL("From ")) ||
	    slice_has_prefix(s, SL(">From ")))
		s = slice_skip(s, slice_index(s, '\n') + 1);
	return s;
}

int
bounce_read(struct slice message, struct bounce *b)
{
	struct reading *r = mem_try(sizeof(*r));
	struct buf copy,
	    *bufs[] = { &r->text, &r->html, &r->dsn, &r->report, &r->receipt,
		    &r->original, &r->tail, &r->inner, &r->scratch, &copy };
	const size_t max[] = { BOUNCE_TEXT_MAX, BOUNCE_TEXT_MAX, STATUS_MAX,
		STATUS_MAX, STATUS_MAX, ORIGINAL_MAX, BOUNCE_TEXT_MAX,
		message.n + 4096, message.n + 4096, message.n };

	if (r == NULL)
		return E_NOMEM;
	*b = (struct bounce){ .type = BOUNCE_OTHER };
	arena_init(&b->memory, 16u << 10, BOUNCE_MEMORY_MAX);
	r->out = b;
	for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
		buf_init(bufs[i], max[i]);
	message = even_out(message, &copy);
	mime_read(message, &r->m);
	r->head = r->m.part[0].head;
	r->head.n = MIN(r->head.n, BOUNCE_HEAD_MAX);
	r->subject = head_words(r, SL("Subject"));
	r->from = head_words(r, SL("From"));
	r->to = head_words(r, SL("To"));
	take_parts(r);
	if (is_blank(message))
		b->reason = BOUNCE_EMPTY;
	else
		decide(r);
	take_id(r);
	if (b->type != BOUNCE_OTHER || b->reason == BOUNCE_NO_RECIPIENT)
		take_traces(r);
	for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
		buf_free(bufs[i]);
	mem_free(r);
	return 0;
}

void
bounce_free(struct bounce *b)
{
	arena_free(&b->memory);
	b->nrcpts = 0;
}
