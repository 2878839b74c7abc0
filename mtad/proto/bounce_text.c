/*
 * proto/bounce_text.c - reports of deliveries in plain words.
 *
 * There are hundreds of forms of them, but all name the recipients, and most do so
 * in few ways: alone on a line, in front of a colon, behind a label, in a command
 * or a reply of SMTP. So each address of the text is weighed by where it stands,
 * what stands around it, and whether the original message went there; whoever
 * sent that message, or offers help, is no recipient. What is heavy enough is one.
 */
#include "proto/bounce_i.h"
#include "proto/header.h"

#define CANDIDATES_MAX 512u
#define MENTIONS_MAX 4096u
#define AROUND 512u /* bytes of a line on either side of an address */
#define HEAVY 30

struct search {
	struct reading *r;
	uint32_t n;
	uint32_t nmentions;
	struct bounce_place c[CANDIDATES_MAX];
};

static const char *const failure_words[] = { "unknown", "reject", "refuse",
	"undeliver", "not found", "fail", "not exist", "no such", "quota",
	"full", "invalid", "unable", "not be delivered", "bounce", "error",
	"disabled", "not recognized", "unrouteable", "unreachable", "timed out",
	"denied", "blocked", "not listed", "expired", "not reach", "" };
static const char *const contact_words[] = { "contact", "help", "question",
	"please send", "report this", "forward th", "assistance", "support",
	"on behalf", "sent by", "reply to this", "mail to <postmaster",
	"return path", "envelope-from", "envelope sender", "originator", "" };

/* ---- weighing ---------------------------------------------------------------------- */

static bool
ends_with(struct slice s, const char *const *words)
{
	for (; **words != '\0'; words++) {
		struct slice w = slice_str(*words);

		if (slice_has_isuffix(s, w) &&
		    (s.n == w.n || !ascii_is_alpha(s.p[s.n - w.n - 1])))
			return true;
	}
	return false;
}

static int
weigh_before(struct slice before)
{
	static const char *const labels[] = { "rcpt to:", "recipient:",
		"recipients:", "address:", "addresses:", "user:", "mailbox:",
		"delivered to:", "deliver to:", "delivery to:", "to:",
		"recipient address:", "rcpt:", "account:", "undeliverable:",
		"invalid:", "destinatario:", "destinataire:", "empfaenger:",
		"for:", "" };
	static const char *const others[] = { "from:", "sender:", "from", "by",
		"contact", "contact:", "reply-to:", "sender",
		"cc:", "from address", "originator:", "via",
		"at:", "return-path:", "mail from:", "" };
	static const char *const words[] = { "to", "user", "recipient", "for",
		"address", "mailbox", "account", "an", "recipient address",
		"addressee", "alias", "unknown", "rcpt", "addressed", "de",
		"para", "pour", "" };

	if (before.n == 0)
		return 50;
	if (ends_with(before, others))
		return -50;
	if (ends_with(before, labels))
		return 40;
	if (ends_with(before, words))
		return 25;
	return 5;
}

/* The domain alone may be quoted in a reply; who is written to at the sender's own
 * postmaster is not who failed. */
static bool
is_office(struct slice address)
{
	static const struct slice names[] = { SL("postmaster@"),
		SL("mailer-daemon@"), SL("abuse@"), SL("hostmaster@"),
		SL("mailadmin@"), SL("helpdesk@"), SL("noreply@"),
		SL("no-reply@") };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (slice_has_iprefix(address, names[i]))
			return true;
	return false;
}

static bool
is_sender(struct reading *r, struct slice address)
{
	struct slice original = buf_slice(&r->original);

	return bounce_names(r->to, address) || bounce_names(r->from, address) ||
	    bounce_names(bounce_field(original, SL("From")), address) ||
	    bounce_names(bounce_field(original, SL("Return-Path")), address);
}

/* "c=US;a= ;p=Example;dda:SMTP=a@b" of X.400; "rfc822;" in front of it. */
static bool
is_x400(struct slice before)
{
	return slice_has_isuffix(before, SL("smtp")) &&
	    slice_index(before, ';') < before.n;
}

/* "To: a@b", and "Subject:" on the next line: what was sent, not what failed. */
static bool
is_quoted_field(struct slice before, struct slice behind)
{
	struct slice rest = behind, line;

	if (!slice_ieq(before, SL("to:")))
		return false;
	for (int i = 0; i < 3 && rest.n > 0; i++) {
		line = bounce_line(&rest);
		if (slice_has_iprefix(line, SL("subject:")))
			return true;
	}
	return false;
}

static int
weigh(struct reading *r, struct bounce_place *c)
{
	size_t at = (size_t)(c->address.p - c->line.p);
	struct slice before = bounce_strip(slice_of(c->line.p, at));
	int w = weigh_before(before);
	uint16_t code = 0;
	struct enh enh = { 0 };

	c->is_leading = before.n == 0;
	if (bounce_has(before, "rcpt to") && w < 45)
		w = 45;
	if (is_x400(before) && w < 45)
		w = 45;
	bounce_codes(c->line, &code, &enh);
	if (code != 0 || enh.klass != 0)
		w += 25;
	if (bounce_says(c->line, failure_words))
		w += 15;
	if (bounce_says(before, contact_words))
		w -= 40;
	if (is_quoted_field(before, c->behind))
		w -= 60;
	if (bounce_has(before, "message-id") || bounce_has(before, "msgid"))
		w -= 100;
	if (bounce_was_sent(r, c->address))
		w += 30;
	else if (is_sender(r, c->address))
		w -= c->is_leading ? 30 : 70; /* who writes to himself */
	if (is_office(c->address))
		w -= 30;
	return w;
}

/* ---- finding ------------------------------------------------------------------------- */

/* Of a line the part around an address: lines have no ceiling, and the work on each
 * of their addresses has to. */
static struct slice
around(struct slice line, struct slice address)
{
	size_t at = (size_t)(address.p - line.p);
	size_t from = at > AROUND ? at - AROUND : 0;

	return slice_of(line.p + from,
	    MIN(line.n - from, AROUND + address.n + AROUND));
}

/* The same address twice: where it weighs more is its place. */
static void
note(struct search *s, struct slice address, struct slice line,
    struct slice behind)
{
	struct bounce_place x = { .address = address,
		.line = around(line, address),
		.behind = behind };

	x.weight = weigh(s->r, &x);
	for (uint32_t i = 0; i < s->n; i++) {
		if (!slice_ieq(s->c[i].address, address))
			continue;
		if (x.weight > s->c[i].weight)
			s->c[i] = x;
		return;
	}
	if (s->n < CANDIDATES_MAX)
		s->c[s->n++] = x;
}

static void
find_all(struct search *s)
{
	struct slice all = buf_slice(&s->r->text), rest = all;

	while (rest.n > 0) {
		struct slice line = bounce_line(&rest), ahead = line, address;

		while (ahead.n > 0 && s->nmentions++ < MENTIONS_MAX &&
		    bounce_address(&ahead, &address))
			note(s, address, line,
			    slice_of(ahead.p,
				(size_t)(all.p + all.n - ahead.p)));
	}
}

/* ---- choosing --------------------------------------------------------------------------- */

static struct bounce_place *
find(struct search *s, struct slice address)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (slice_ieq(s->c[i].address, address))
			return &s->c[i];
	return NULL;
}

/* Where it stands without its domain, as Exim and others write of their own
 * users. */
static struct bounce_place *
find_name(struct search *s, struct slice address)
{
	struct slice all = buf_slice(&s->r->text), rest = all;
	struct slice name = slice_of(address.p, slice_index(address, '@'));

	while (rest.n > 0 && s->n < CANDIDATES_MAX) {
		struct slice line = bounce_line(&rest);
		struct bounce_place *c = &s->c[s->n];

		if (!slice_ieq(line, name) || rest.p == NULL)
			continue;
		*c = (struct bounce_place){ .address = address,
			.line = line,
			.behind = rest,
			.is_leading = true };
		return c;
	}
	return NULL;
}

static void
take(struct search *s, struct slice address, const struct bounce_place *c)
{
	uint32_t before = s->r->out->nrcpts;
	struct bounce_rcpt *x = bounce_add(s->r, address);

	if (x == NULL || s->r->out->nrcpts == before)
		return;
	if (c == NULL)
		c = find_name(s, x->address);
	bounce_words(s->r, x, c);
	x->action = bounce_is_delay(s->r) ? BOUNCE_DELAYED : BOUNCE_FAILED;
}

/* The header field of Exim and those who write like it. */
static void
take_failed(struct search *s)
{
	struct slice rest = mime_field(s->r->head, SL("X-Failed-Recipients"));
	struct slice address;

	while (rest.n > 0 && bounce_address(&rest, &address))
		take(s, address, find(s, address));
}

/* Sendmail says where it forwarded to, and "(expanded from: <a@b>)" behind it,
 * which is who was written to. */
static struct slice
expanded_from(const struct bounce_place *c)
{
	struct slice rest = c->behind, address;

	for (int i = 0; i < 4 && rest.n > 0; i++) {
		struct slice line = bounce_line(&rest);

		if (slice_has_iprefix(line, SL("(expanded from:")) &&
		    bounce_address(&line, &address))
			return address;
		if (i > 0 && line.n == 0)
			break;
	}
	return c->address;
}

static void
take_heavy(struct search *s)
{
	bool has_leading = false;

	for (uint32_t i = 0; i < s->n; i++)
		has_leading |= s->c[i].is_leading && s->c[i].weight >= HEAVY;
	for (uint32_t i = 0; i < s->n; i++)
		if (s->c[i].weight >= HEAVY &&
		    (s->c[i].is_leading || !has_leading))
			take(s, expanded_from(&s->c[i]), &s->c[i]);
}

/* The only recipient of the original message, where the text names none. */
static void
take_original(struct search *s)
{
	struct slice original = buf_slice(&s->r->original);
	struct slice rest = bounce_field(original, SL("To")), address, more;

	if (rest.n == 0)
		rest = bounce_field(original, SL("X-Original-To"));
	if (!bounce_address(&rest, &address))
		return;
	while (bounce_address(&rest, &more))
		if (!slice_ieq(more, address))
			return;
	take(s, address, find(s, address));
}

void
bounce_read_text(struct reading *r)
{
	struct search *s = mem_try(sizeof(*s));
	struct bounce_place *best = NULL;

	if (s == NULL)
		return;
	s->r = r;
	find_all(s);
	take_failed(s);
	if (r->out->nrcpts == 0)
		take_heavy(s);
	for (uint32_t i = 0; i < s->n; i++)
		if (s->c[i].weight > 0 &&
		    (best == NULL || s->c[i].weight > best->weight))
			best = &s->c[i];
	if (r->out->nrcpts == 0 && best != NULL && best->weight >= HEAVY / 2)
		take(s, best->address, best);
	if (r->out->nrcpts == 0)
		take_original(s);
	mem_free(s);
}

/* Only where the fields have no words of their own. */
void
bounce_explain(struct reading *r)
{
	struct search *s = NULL;

	for (uint32_t i = 0; i < r->out->nrcpts; i++) {
		struct bounce_rcpt *x = &r->out->rcpt[i];
		struct bounce_place *c;

		if (x->diagnostic.n > 0 ||
		    (x->action != BOUNCE_FAILED && x->action != BOUNCE_DELAYED))
			continue;
		if (s == NULL) {
			s = mem_try(sizeof(*s));
			if (s == NULL)
				return;
			s->r = r;
			find_all(s);
		}
		c = find(s, x->address);
		bounce_words(r, x, c != NULL ? c : find_name(s, x->address));
	}
	mem_free(s);
}
