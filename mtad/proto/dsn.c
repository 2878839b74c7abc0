/*
 * proto/dsn.c - delivery status notifications: a text for people, a part for
 * machines, and what was sent (RFC 6522, RFC 3464, RFC 6533).
 *
 * Whatever the inputs hold, the result has CRLF line ends, no bare CR or LF,
 * no line over 998 bytes, and no field or line that a peer made up: its texts
 * become printable ASCII, folded behind a blank. Only the original and
 * addresses in UTF-8 may bring 8-bit bytes, and are then labelled so.
 */
#include "proto/dsn.h"
#include "proto/reply.h"
#include "proto/syntax.h"

#define FOLD_AT 76u      /* columns, at a blank */
#define FOLD_HARD 900u   /* columns, anywhere */
#define ORIGINAL_OF 998u /* bytes of a line, RFC 5322 2.1.1 */

#define X(name, text) { text, sizeof(text) - 1 },
static const struct slice action_names[] = { DSN_ACTIONS(X) };
#undef X

/* ---- texts of others ---------------------------------------------------------- */

/* One text as one or more lines; control bytes become blanks, runs of them one,
 * 8-bit bytes '?'. Further lines begin with a blank. `column` is where the first
 * one stands. */
static void
add_text(struct buf *out, size_t column, struct slice s)
{
	bool is_blank = true, was_blank;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		was_blank = is_blank;
		is_blank = c <= ' ' || c == 0x7f;
		if (is_blank && was_blank)
			continue;
		if ((is_blank && column >= FOLD_AT) || column >= FOLD_HARD) {
			buf_adds(out, SL("\r\n"));
			column = 0;
		}
		if (column == 0 && !is_blank) {
			buf_addc(out, ' ');
			column++;
		}
		buf_addc(out, is_blank ? ' ' : c > 0x7f ? '?' : (char)c);
		column++;
	}
}

/* A word such as a host name: no blanks, no folds. */
static void
add_word(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.n && i < MAILBOX_MAX; i++)
		buf_addc(out, s.p[i] > ' ' && s.p[i] <= '~' ? s.p[i] : '?');
}

static bool
has_8bit(struct slice s)
{
	unsigned char all = 0;

	for (size_t i = 0; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return (all & 0x80) != 0;
}

/* Beyond ASCII, and what it should be there; C1 controls are not. */
static bool
is_utf8(struct slice s)
{
	uint32_t code;
	size_t n;

	if (s.n > MAILBOX_MAX || !has_8bit(s))
		return false;
	for (; s.n > 0; s = slice_skip(s, n)) {
		n = slice_utf8(s, &code);
		if (n == 0 || (code >= 0x7f && code < 0xa0))
			return false;
	}
	return true;
}

static void
add_address(struct buf *out, struct slice s)
{
	if (!is_utf8(s)) {
		add_word(out, s);
		return;
	}
	for (size_t i = 0; i < s.n; i++)
		buf_addc(out, (unsigned char)s.p[i] > ' ' ? s.p[i] : '?');
}

static void
add_field(struct buf *out, struct slice name, struct slice value)
{
	buf_adds(out, name);
	add_text(out, name.n, value);
	buf_adds(out, SL("\r\n"));
}

static void
add_date(struct buf *out, struct slice name, int64_t us)
{
	char text[40];

	if (us != 0)
		add_field(out, name, slice_of(text, date_rfc5322(text, us)));
}

static void
add_id(struct buf *out, const struct msgid *id)
{
	char text[MSGID_TEXT_MAX];

	buf_add(out, text, msgid_format(text, id));
}

/* ---- frame --------------------------------------------------------------------- */

/* Holds the id of the notice, which is younger than anything quoted in it: no
 * line of the original can be taken for it. */
static void
add_boundary(struct buf *out, const struct dsn_in *in)
{
	buf_adds(out, SL("mtad-"));
	add_id(out, &in->id);
}

static void
add_part(struct buf *out, const struct dsn_in *in, struct slice type)
{
	buf_adds(out, SL("\r\n--"));
	add_boundary(out, in);
	buf_adds(out, SL("\r\nContent-Type: "));
	buf_adds(out, type);
	buf_adds(out, SL("\r\n"));
}

static void
add_encoding(struct buf *out, bool is_8bit)
{
	if (is_8bit)
		buf_adds(out, SL("Content-Transfer-Encoding: 8bit\r\n"));
}

static const struct {
	struct slice subject, story;
} words[] = {
	[DSN_FAILED] = { SL(">\r\nSubject: Undelivered Mail Returned to "
			    "Sender\r\n"),
	    SL(".\r\n\r\nYour message could not be delivered to the "
	       "recipients below.\r\n") },
	[DSN_DELAYED] = { SL(">\r\nSubject: Delayed Mail (still being "
			     "retried)\r\n"),
	    SL(".\r\n\r\nYour message has not been delivered yet. You need "
	       "do nothing:\r\ndelivery is being tried again.\r\n") },
	[DSN_DELIVERED] = { SL(">\r\nSubject: Successful Mail Delivery "
			       "Report\r\n"),
	    SL(".\r\n\r\nYour message was delivered to the recipients "
	       "below.\r\n") },
	[DSN_RELAYED] = { SL(">\r\nSubject: Mail Relay Report\r\n"),
	    SL(".\r\n\r\nYour message was handed on to a host that will not "
	       "tell you when it is\r\ndelivered; you will hear of it only if "
	       "it is not.\r\n") },
};

static void
add_header(struct buf *out, const struct dsn_in *in, bool is_8bit)
{
	buf_adds(out, SL("From: Mail Delivery System <"));
	if (in->postmaster.n > 0) {
		add_word(out, in->postmaster);
	} else {
		buf_adds(out, SL("postmaster@"));
		add_word(out, in->hostname);
	}
	buf_adds(out, SL(">\r\nTo: <"));
	add_address(out, in->to);
	buf_adds(out, words[in->action].subject);
	add_date(out, SL("Date: "), in->now_us);
	buf_adds(out, SL("Message-ID: <"));
	add_id(out, &in->id);
	buf_addc(out, '@');
	add_word(out, in->hostname);
	/* RFC 3834 5: so that nobody answers. */
	buf_adds(out,
	    SL(">\r\nAuto-Submitted: auto-replied\r\n"
	       "MIME-Version: 1.0\r\n"
	       "Content-Type: multipart/report; "
	       "report-type=delivery-status;\r\n\tboundary=\""));
	add_boundary(out, in);
	buf_adds(out, SL("\"\r\n"));
	add_encoding(out, is_8bit);
}

/* ---- for people ---------------------------------------------------------------- */

/* "550 5.1.1 text", as far as there is any of it. */
static void
add_words(struct buf *out, size_t column, const struct dsn_rcpt *r)
{
	char enh[16];
	size_t n = enh_format(enh, r->outcome.enh);

	if (r->outcome.code != 0) {
		buf_addu(out, r->outcome.code);
		buf_addc(out, ' ');
		column += 4;
	}
	if (n > 0) {
		buf_add(out, enh, n);
		buf_addc(out, ' ');
		column += n + 1;
	}
	add_text(out, column, r->text);
}

static void
add_story(struct buf *out, const struct dsn_rcpt *r)
{
	buf_adds(out, SL("\r\n<"));
	add_address(out, r->address);
	buf_adds(out, SL(">\r\n"));
	if (r->remote_mta.n > 0) {
		buf_adds(out, SL("    the host "));
		add_word(out, r->remote_mta);
		buf_adds(out, SL(" said:\r\n"));
	}
	buf_adds(out, SL("    "));
	add_words(out, 4, r);
	buf_adds(out, SL("\r\n"));
	if (r->retry_until_us != 0)
		add_date(out, SL("    it will be tried until "),
		    r->retry_until_us);
}

static void
add_human(struct buf *out, const struct dsn_in *in, bool is_global)
{
	add_part(out, in,
	    is_global ? SL("text/plain; charset=utf-8") :
			SL("text/plain; charset=us-ascii"));
	add_encoding(out, is_global);
	buf_adds(out, SL("\r\nThis is the mail system at host "));
	add_word(out, in->hostname);
	buf_adds(out, words[in->action].story);
	for (uint32_t i = 0; i < in->nrcpt; i++)
		add_story(out, &in->rcpts[i]);
}

/* ---- for machines --------------------------------------------------------------- */

/* RFC 3464 2.3.4: there must be a status; where nobody gave one, it is made
 * from the reply, or from what happened. */
static struct enh
status_of(const struct dsn_in *in, const struct outcome *o)
{
	enum dsn_action action = in->action;

	if (action == DSN_DELIVERED || action == DSN_RELAYED)
		return o->enh.klass == 2 ? o->enh : (struct enh){ 2, 0, 0 };
	/* RFC 2852 4.1.2: the sender's own time is over. */
	if (in->is_by && o->klass == OUTCOME_EXPIRED)
		return (struct enh){ 5, 4, 7 };
	if (in->is_by && action == DSN_DELAYED)
		return (struct enh){ 4, 4, 7 };
	if (o->klass == OUTCOME_EXPIRED) /* what it met stands in the words */
		return (struct enh){ 4, 4, 7 };
	if (o->enh.klass == 4 || o->enh.klass == 5)
		return o->enh;
	if (o->code >= 400 && o->code <= 599)
		return (struct enh){ (uint8_t)(o->code / 100), 0, 0 };
	return (struct enh){ action == DSN_FAILED ? 5 : 4, 0, 0 };
}

/* RFC 6533 3: the address stands as it came; where it was written for a path of
 * ASCII (\x{E9}), it can be told from one that was not. */
static void
add_orcpt_utf8(struct buf *out, struct slice address)
{
	buf_adds(out, SL("Original-Recipient: utf-8; "));
	add_address(out, address);
	buf_adds(out, SL("\r\n"));
}

/* RFC 3464 2.3.1: the type that ORCPT had, and what its xtext stood for. */
static void
add_orcpt(struct buf *out, struct slice orcpt)
{
	struct slice xtext = orcpt, type = slice_cut(&xtext, ';');
	struct buf plain;

	if (slice_ieq(type, SL("utf-8"))) {
		add_orcpt_utf8(out, xtext);
		return;
	}
	buf_init(&plain, ORCPT_MAX);
	if (xtext.p != NULL && xtext_decode(xtext, &plain) == 0) {
		buf_adds(out, SL("Original-Recipient: "));
		add_word(out, type);
		buf_adds(out, SL("; "));
		add_text(out, 30, buf_slice(&plain));
		buf_adds(out, SL("\r\n"));
	}
	buf_free(&plain);
}

static void
add_diagnostic(struct buf *out, const struct dsn_rcpt *r)
{
	bool is_reply = r->remote_mta.n > 0 && r->outcome.code != 0;

	if (r->text.n == 0 && r->outcome.code == 0)
		return;
	/* RFC 3464 2.3.6: only what a server said is of type smtp. */
	buf_adds(out,
	    is_reply ? SL("Diagnostic-Code: smtp; ") :
		       SL("Diagnostic-Code: x-mtad; "));
	add_words(out, 24, r);
	buf_adds(out, SL("\r\n"));
}

/* A host by name; one that is known by its address alone (and a port) as RFC
 * 5321 4.1.3 writes it, for RFC 3464 2.3.5 wants no bare address. */
static void
add_host(struct buf *out, struct slice host)
{
	char text[IP_TEXT_MAX];
	struct endpoint at;
	size_t n;

	if (endpoint_parse(host, 25, &at)) {
		add_word(out, host);
		return;
	}
	n = ip_format(text, &at.ip);
	buf_addz(out, at.ip.family == 6 ? "[IPv6:" : "[");
	add_word(out, slice_of(text, n));
	buf_addc(out, ']');
}

static void
add_recipient(struct buf *out, const struct dsn_in *in,
    const struct dsn_rcpt *r)
{
	char status[16];

	buf_adds(out, SL("\r\n"));
	if (r->orcpt.n > 0)
		add_orcpt(out, r->orcpt);
	buf_adds(out,
	    is_utf8(r->address) ? SL("Final-Recipient: utf-8; ") :
				  SL("Final-Recipient: rfc822; "));
	add_address(out, r->address);
	buf_adds(out, SL("\r\n"));
	add_field(out, SL("Action: "), action_names[in->action]);
	enh_format(status, status_of(in, &r->outcome));
	add_field(out, SL("Status: "), slice_str(status));
	if (r->remote_mta.n > 0) {
		buf_adds(out, SL("Remote-MTA: dns; "));
		add_host(out, r->remote_mta);
		buf_adds(out, SL("\r\n"));
	}
	add_diagnostic(out, r);
	add_date(out, SL("Last-Attempt-Date: "), r->last_attempt_us);
	if (in->action == DSN_DELAYED)
		add_date(out, SL("Will-Retry-Until: "), r->retry_until_us);
}

static void
add_machine(struct buf *out, const struct dsn_in *in, bool is_global)
{
	struct buf plain;

	add_part(out, in,
	    is_global ? SL("message/global-delivery-status") :
			SL("message/delivery-status"));
	add_encoding(out, is_global);
	buf_adds(out, SL("\r\nReporting-MTA: dns; "));
	add_word(out, in->hostname);
	buf_adds(out, SL("\r\n"));
	buf_init(&plain, ENVID_MAX);
	if (in->envid.n > 0 && xtext_decode(in->envid, &plain) == 0)
		add_field(out, SL("Original-Envelope-Id: "), buf_slice(&plain));
	buf_free(&plain);
	buf_adds(out, SL("X-Mtad-Id: "));
	add_id(out, &in->original_id);
	buf_adds(out, SL("\r\n"));
	add_date(out, SL("Arrival-Date: "), in->arrival_us);
	for (uint32_t i = 0; i < in->nrcpt; i++)
		add_recipient(out, in, &in->rcpts[i]);
}

/* ---- what was sent ---------------------------------------------------------------- */

/* Length of the stretch that may stand on one line. */
static size_t
stretch_length(struct slice s)
{
	size_t i = 0;

	while (i < s.n && i < ORIGINAL_OF && s.p[i] != '\r' && s.p[i] != '\n' &&
	    s.p[i] != '\0')
		i++;
	return i;
}

/* The original as it is, but for what may not be in a message: bare CR, bare LF
 * and NUL end a line, and so does the 998th byte. */
static void
add_original(struct buf *out, const struct dsn_in *in, bool is_8bit)
{
	struct slice rest = in->original;

	add_part(out, in,
	    in->is_utf8 && is_8bit ?
		(in->whole ? SL("message/global") :
			     SL("message/global-headers")) :
		(in->whole ? SL("message/rfc822") : SL("text/rfc822-headers")));
	add_encoding(out, is_8bit);
	buf_adds(out, SL("\r\n"));
	while (rest.n > 0) {
		size_t n = stretch_length(rest);

		buf_add(out, rest.p, n);
		buf_adds(out, SL("\r\n"));
		rest = slice_skip(rest, n);
		if (slice_has_prefix(rest, SL("\r\n")))
			rest = slice_skip(rest, 2);
		else if (n < ORIGINAL_OF)
			rest = slice_skip(rest, 1);
	}
}

/* Does anything stand in UTF-8 beside the original? */
static bool
needs_global(const struct dsn_in *in)
{
	bool is = is_utf8(in->to);

	for (uint32_t i = 0; i < in->nrcpt && !is; i++)
		is = is_utf8(in->rcpts[i].address) ||
		    is_utf8(in->rcpts[i].orcpt);
	return is;
}

int
dsn_build(struct buf *out, const struct dsn_in *in)
{
	bool is_8bit = has_8bit(in->original), is_global = needs_global(in);

	add_header(out, in, is_8bit || is_global);
	add_human(out, in, is_global);
	add_machine(out, in, is_global);
	add_original(out, in, is_8bit);
	buf_adds(out, SL("\r\n--"));
	add_boundary(out, in);
	buf_adds(out, SL("--\r\n"));
	return out->failed ? E_FULL : 0;
}
