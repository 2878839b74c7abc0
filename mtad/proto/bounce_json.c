/*
 * proto/bounce_json.c - notifications of Amazon SES, which SNS mails as JSON.
 *
 * Only what is needed of JSON is read: members by name, in objects without
 * objects of their own; text that mail systems have broken elsewhere is passed
 * over. Names that come twice are looked for behind the ones that they follow.
 */
#include "proto/bounce_i.h"

/* What stands behind the member's colon; empty: there is none. */
static struct slice
behind(struct slice text, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i + n + 2 <= text.n; i++) {
		struct slice s;

		if (text.p[i] != '"' || memcmp(text.p + i + 1, name, n) != 0 ||
		    text.p[i + 1 + n] != '"')
			continue;
		s = slice_trim(slice_skip(text, i + n + 2));
		if (s.n > 0 && s.p[0] == ':')
			return slice_trim(slice_skip(s, 1));
	}
	return slice_of("", 0);
}

/* A string member, its escapes undone where they are of one letter. */
static struct slice
member(struct reading *r, struct slice text, const char *name)
{
	struct slice s = behind(text, name);

	buf_reset(&r->scratch);
	if (s.n == 0 || s.p[0] != '"')
		return slice_of("", 0);
	for (size_t i = 1; i < s.n && s.p[i] != '"'; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		buf_addc(&r->scratch, s.p[i]);
	}
	return bounce_keep(r, buf_slice(&r->scratch), BOUNCE_DIAG_MAX);
}

/* The list of the objects, up to its bracket. */
static struct slice
list_of(struct slice text, const char *name)
{
	struct slice s = behind(text, name);

	return s.n > 0 && s.p[0] == '[' ? slice_of(s.p, slice_index(s, ']')) :
					  slice_of("", 0);
}

static void
take_bounced(struct reading *r, struct slice one)
{
	struct slice rest = member(r, one, "emailAddress"), address;
	struct slice action = member(r, one, "action");
	struct slice status = member(r, one, "status");
	struct bounce_rcpt *x = NULL;

	if (bounce_address(&rest, &address))
		x = bounce_add(r, address);
	if (x == NULL)
		return;
	x->action = slice_has_iprefix(action, SL("delay")) ? BOUNCE_DELAYED :
							     BOUNCE_FAILED;
	x->diagnostic = member(r, one, "diagnosticCode");
	if (slice_has_iprefix(x->diagnostic, SL("smtp;")))
		x->diagnostic = slice_trim(slice_skip(x->diagnostic, 5));
	bounce_codes(x->diagnostic, &x->code, &x->enh);
	bounce_codes(status, &(uint16_t){ 0 }, &x->enh);
	x->has_status = x->enh.klass != 0;
}

static void
take_delivered(struct reading *r, struct slice list)
{
	struct slice address;

	while (list.n > 0 && bounce_address(&list, &address)) {
		struct bounce_rcpt *x = bounce_add(r, address);

		if (x != NULL)
			x->action = BOUNCE_DELIVERED;
	}
}

static void
take_complaint(struct reading *r, struct slice all)
{
	struct arf *a = &r->out->arf;
	struct slice list = list_of(all, "complainedRecipients"), address;
	struct slice from;

	*a = (struct arf){ .type = member(r, all, "complaintFeedbackType"),
		.agent = member(r, all, "userAgent"),
		.arrival = member(r, all, "arrivalDate") };
	from = member(r, all, "source");
	if (bounce_address(&from, &address))
		a->mail_from = address;
	while (a->nrcpts < ARF_RCPTS_MAX && bounce_address(&list, &address))
		a->rcpt[a->nrcpts++] = bounce_keep(r, address, MAILBOX_MAX);
	if (a->type.n == 0)
		a->type = SL("abuse");
}

bool
bounce_read_json(struct reading *r)
{
	struct slice all = slice_trim(buf_slice(&r->text)), type, list;
	struct bounce *b = r->out;

	while (all.n > 0 && all.p[0] == '\n')
		all = slice_skip(all, 1);
	if (all.n == 0 || all.p[0] != '{')
		return false;
	type = member(r, all, "notificationType");
	if (slice_eq(type, SL("Bounce"))) {
		list = list_of(all, "bouncedRecipients");
		while (list.n > 0)
			take_bounced(r, slice_cut(&list, '}'));
	} else if (slice_eq(type, SL("Delivery"))) {
		take_delivered(r, list_of(all, "recipients"));
	} else if (slice_eq(type, SL("Complaint"))) {
		take_complaint(r, all);
		b->type = BOUNCE_COMPLAINT;
	}
	if (b->nrcpts > 0)
		b->type = BOUNCE_DELIVERY;
	if (b->type != BOUNCE_OTHER)
		b->message_id = member(r, all, "messageId");
	return b->type != BOUNCE_OTHER;
}
