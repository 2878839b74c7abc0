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
#define BLOCK_LINES_MAX 12u
#define AROUND 512u /* bytes of a line on either side of an address */
#define HEAVY 30

struct candidate {
	struct slice address;
	struct slice line;   /* in which it stands */
	struct slice behind; /* all text behind it */
	int weight;
	bool is_leading; /* the line begins with it */
};

struct search {
	struct reading *r;
	uint32_t n;
	uint32_t nmentions;
	struct candidate c[CANDIDATES_MAX];
};

static const char *const failure_words[] = { "unknown", "reject", "refuse",
	"undeliver", "not found", "fail", "not exist", "no such", "quota",
	"full", "invalid", "unable", "not be delivered", "bounce", "error",
	"disabled", "not recognized", "unrouteable", "unreachable", "timed out",
	"denied", "blocked", "not listed", "expired", "not reach", "" };
/* Of those, the ones that say why. */
static const char *const telling_words[] = { "unknown", "not found", "t exist",
	"not exist", "no such", "quota", "full", "disabled", "invalid",
	"reject", "denied", "blocked", "spam", "expire", "timed out", "timeout",
	"refuse", "reachable", "suspended", "too large", "too big",
	"not recognized", "not listed", "unrouteable", "virus", "policy",
	"inactive", "no longer", "exceed", "too long", "retries", "responding",
	"illegal", "no valid", "not accept", "permission", "loop",
	"not a valid", "not known", "couldn't find", "can't find", "connect",
	"n'existe", "inconnu", "unbekannt", "no existe", "desconocid", "" };
static const char *const contact_words[] = { "contact", "help", "question",
	"please send", "report this", "forward th", "assistance", "support",
	"on behalf", "sent by", "reply to this", "mail to <postmaster",
	"return path", "envelope-from", "envelope sender", "originator", "" };

/* ---- weighing ---------------------------------------------------------------------- */

static bool
is_mark(char c)
{
	return c != '\0' && strchr(" \t\r\n<>*-\"'([=|#.,`", c) != NULL;
}

/* What stands before an address on its line, without brackets and bullets. */
static struct slice
strip_marks(struct slice s)
{
	if (s.n >= 7 && slice_has_isuffix(s, SL("mailto:")))
		s.n -= 7;
	while (s.n > 0 && is_mark(s.p[s.n - 1]))
		s.n--;
	while (s.n > 0 && is_mark(s.p[0]))
		s = slice_skip(s, 1);
	return s;
}

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
holds(struct slice text, struct slice address)
{
	struct slice found;

	while (text.n > 0 && bounce_address(&text, &found))
		if (slice_ieq(found, address))
			return true;
	return false;
}

static bool
is_sender(struct reading *r, struct slice address)
{
	struct slice original = buf_slice(&r->original);

	return holds(r->to, address) || holds(r->from, address) ||
	    holds(bounce_field(original, SL("From")), address) ||
	    holds(bounce_field(original, SL("Return-Path")), address);
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
weigh(struct reading *r, struct candidate *c)
{
	size_t at = (size_t)(c->address.p - c->line.p);
	struct slice before = strip_marks(slice_of(c->line.p, at));
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
	struct candidate x = { .address = address,
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

/* ---- words about one ------------------------------------------------------------------ */

static bool
is_rule(struct slice line)
{
	size_t n = 0;

	while (n < line.n && line.p[n] == line.p[0])
		n++;
	return n >= 3 && !ascii_is_alpha(line.p[0]) &&
	    !ascii_is_digit(line.p[0]);
}

/* Does the line begin with an address other than this one? */
static bool
begins_other(struct slice line, struct slice address)
{
	struct slice found, ahead = line;

	return bounce_address(&ahead, &found) && !slice_ieq(found, address) &&
	    strip_marks(slice_of(line.p, (size_t)(found.p - line.p))).n == 0;
}

/* Text behind an address: to a blank line that has words before it, a rule, or a
 * line that begins with the next address. */
static struct slice
block_of(struct slice behind, struct slice address)
{
	struct slice rest = behind;
	size_t end = 0;
	bool has_words = false;

	for (uint32_t i = 0; i < BLOCK_LINES_MAX && rest.n > 0; i++) {
		struct slice line = bounce_line(&rest);

		if (i > 0 && (is_rule(line) || begins_other(line, address)))
			break;
		if (line.n == 0 && has_words)
			break;
		has_words |= strip_marks(line).n > 2;
		end = rest.p != NULL ? (size_t)(rest.p - behind.p) : behind.n;
	}
	return slice_of(behind.p, end);
}

/* The last words before a line, as far as they belong together. */
static struct slice
before_line(struct slice text, struct slice line)
{
	size_t end = (size_t)(line.p - text.p), at = end, blank = 0;

	while (at > 0 && end - at < 600) {
		at--;
		if (text.p[at] != '\n')
			continue;
		/* The blank line in front of the list, and one more. */
		if (at > 0 && text.p[at - 1] == '\n' && ++blank > 2)
			break;
	}
	return slice_of(text.p + at, end - at);
}

static bool
has_codes(struct slice text)
{
	uint16_t code = 0;
	struct enh enh = { 0 };

	bounce_codes(text, &code, &enh);
	return code != 0 || enh.klass != 0;
}

/* Lines of the transcript: replies, of which those that name the address count
 * more, and the last of the others, for the first may be greetings. */
static struct slice
reply_about(struct slice text, struct slice address)
{
	struct slice best = slice_of("", 0), rest = text;
	bool is_named = false;

	while (rest.n > 0) {
		struct slice line = bounce_line(&rest);
		uint16_t code = 0;
		struct enh enh = { 0 };
		bool names;

		bounce_codes(line, &code, &enh);
		if (code == 0 && enh.klass == 0)
			continue;
		names = holds(line, address);
		if (is_named && !names)
			continue;
		if (names == is_named && best.n > 0)
			continue;
		best = line;
		is_named = names;
	}
	return best;
}

static bool
is_telling(const struct buf *words)
{
	return has_codes(buf_slice(words)) ||
	    bounce_says(buf_slice(words), telling_words);
}

/* What the text says of an address: beside it and below, in a transcript, and, where
 * no status has said why, further below, above, in the subject, or anywhere. */
static void
add_words(struct reading *r, const struct candidate *c, bool is_known,
    struct buf *out)
{
	struct slice text = buf_slice(&r->text), block, more;

	if (c == NULL) {
		if (!is_known)
			buf_adds(out,
			    slice_of(text.p, MIN(text.n, BOUNCE_DIAG_MAX)));
		return;
	}
	more = c->is_leading ?
	    c->behind :
	    slice_of(c->line.p, (size_t)(text.p + text.n - c->line.p));
	block = block_of(more, c->address);
	more = slice_skip(more, block.n);
	buf_adds(out, block);
	if (has_codes(buf_slice(out)))
		return;
	buf_addc(out, ' ');
	buf_adds(out, reply_about(text, c->address));
	if (is_known)
		return;
	for (int i = 0; i < 2 && !is_telling(out) && more.n > 0; i++) {
		block = block_of(more, c->address);
		more = slice_skip(more, block.n);
		buf_addc(out, ' ');
		buf_adds(out, block);
		if (block.n == 0)
			break;
	}
	if (!is_telling(out)) {
		buf_addc(out, ' ');
		buf_adds(out, before_line(text, c->line));
	}
	if (!is_telling(out)) {
		buf_addc(out, ' ');
		buf_adds(out, r->subject);
	}
}

/* A status of the text, where there is none that says as much. */
static void
learn_status(struct bounce_rcpt *x, struct enh enh)
{
	if (enh.klass == 0 ||
	    (x->enh.klass != 0 &&
		(x->enh.klass != enh.klass ||
		    x->enh.subject + x->enh.detail != 0)))
		return;
	x->enh = enh;
	x->has_status = true;
}

static void
explain(struct reading *r, struct bounce_rcpt *x, const struct candidate *c)
{
	bool is_known = x->enh.subject + x->enh.detail != 0;
	struct slice words;

	buf_reset(&r->scratch);
	add_words(r, c, is_known, &r->scratch);
	words = buf_slice(&r->scratch);
	if (strip_marks(words).n == 0 && !is_known)
		words = r->subject;
	while (words.n > 0 &&
	    (is_mark(words.p[0]) || words.p[0] == ':' || words.p[0] == ';' ||
		words.p[0] == ')'))
		words = slice_skip(words, 1);
	if (x->code == 0 || x->enh.klass == 0 || x->enh.subject == 0) {
		uint16_t code = 0;
		struct enh enh = { 0 };

		bounce_codes(words, &code, &enh);
		if (enh.klass == 0 && c != NULL)
			bounce_codes(reply_about(buf_slice(&r->text),
					 c->address),
			    &(uint16_t){ 0 }, &enh);
		if (x->code == 0)
			x->code = code;
		learn_status(x, enh);
	}
	x->diagnostic = bounce_keep(r, words, BOUNCE_DIAG_MAX);
}

/* ---- choosing --------------------------------------------------------------------------- */

static struct candidate *
find(struct search *s, struct slice address)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (slice_ieq(s->c[i].address, address))
			return &s->c[i];
	return NULL;
}

/* Where it stands without its domain, as Exim and others write of their own
 * users. */
static struct candidate *
find_name(struct search *s, struct slice address)
{
	struct slice all = buf_slice(&s->r->text), rest = all;
	struct slice name = slice_of(address.p, slice_index(address, '@'));

	while (rest.n > 0 && s->n < CANDIDATES_MAX) {
		struct slice line = bounce_line(&rest);
		struct candidate *c = &s->c[s->n];

		if (!slice_ieq(line, name) || rest.p == NULL)
			continue;
		*c = (struct candidate){ .address = address,
			.line = line,
			.behind = rest,
			.is_leading = true };
		return c;
	}
	return NULL;
}

static void
take(struct search *s, struct slice address, const struct candidate *c)
{
	uint32_t before = s->r->out->nrcpts;
	struct bounce_rcpt *x = bounce_add(s->r, address);

	if (x == NULL || s->r->out->nrcpts == before)
		return;
	if (c == NULL)
		c = find_name(s, x->address);
	explain(s->r, x, c);
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
expanded_from(const struct candidate *c)
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
	struct candidate *best = NULL;

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
		struct candidate *c;

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
		explain(r, x, c != NULL ? c : find_name(s, x->address));
	}
	mem_free(s);
}
