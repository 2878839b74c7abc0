/*
 * proto/bounce_report.c - complaints: RFC 5965 with what its third part adds, and
 * the form that Hotmail used.
 */
#include "proto/bounce_i.h"
#include "proto/header.h"

static struct slice
keep_field(struct reading *r, struct slice head, struct slice name)
{
	return bounce_keep(r, bounce_field(head, name), 998);
}

static struct slice
address_in(struct reading *r, struct slice value)
{
	struct slice address;

	if (!bounce_address(&value, &address))
		return slice_of("", 0);
	return bounce_keep(r, address, MAILBOX_MAX);
}

/* What the report does not say, the message that it is about may. */
static void
fill_in(struct reading *r)
{
	struct arf *a = &r->out->arf;
	struct slice original = buf_slice(&r->original);

	if (a->mail_from.n == 0)
		a->mail_from =
		    address_in(r, bounce_field(original, SL("Return-Path")));
	if (a->mail_from.n == 0)
		a->mail_from =
		    address_in(r, bounce_field(original, SL("From")));
	if (a->nrcpts == 0) {
		a->rcpt[0] = address_in(r, bounce_field(original, SL("To")));
		a->nrcpts = a->rcpt[0].n > 0;
	}
}

void
bounce_read_complaint(struct reading *r)
{
	struct arf *a = &r->out->arf;
	/* The fields must outlive the reading. */
	char *copy = arena_str(&r->out->memory, r->report.p + r->report.off,
	    r->report.n);

	*a = (struct arf){ 0 };
	if (copy != NULL)
		arf_read_fields(slice_of(copy, r->report.n), a);
	fill_in(r);
}

/* ---- before there was a standard ---------------------------------------------------- */

/* Hotmail: "complaint about message from 192.0.2.1", and the message. */
bool
bounce_old_complaint(struct reading *r)
{
	static const char about[] = "complaint about message from ";
	struct arf *a = &r->out->arf;
	struct slice original = buf_slice(&r->original), ip, to;

	if (!slice_has_iprefix(r->subject,
		slice_of(about, sizeof(about) - 1)) ||
	    original.n == 0)
		return false;
	*a = (struct arf){ .type = SL("abuse") };
	ip = slice_skip(r->subject, sizeof(about) - 1);
	ip.n = slice_index(ip, ' ');
	if (ip_parse(ip, &a->source) != 0)
		a->source.family = 0;
	to = bounce_field(original, SL("X-HmXmrOriginalRecipient"));
	a->rcpt[0] = address_in(r, to);
	a->nrcpts = a->rcpt[0].n > 0;
	a->arrival = keep_field(r, original, SL("Date"));
	fill_in(r);
	return true;
}
