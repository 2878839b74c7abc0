/*
 * proto/dsn.c - delivery status notifications: a text for people, a part for
 * machines, and what was sent (RFC 3462, 3464).
 *
 * Whatever the inputs hold, the result has CRLF line ends, no bare CR or LF,
 * and no line that a peer made up: texts are printable ASCII, one line each.
 */
#include "proto/dsn.h"
#include "proto/reply.h"

#define X(name, text) text,
static const char *const action_names[] = { DSN_ACTIONS(X) };
#undef X

/* One line of somebody's text: controls become blanks, 8-bit bytes '?'. */
static void
add_line(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		buf_addc(out,
		    c < 32 || c == 127 ? ' ' :
			c > 127        ? '?' :
					 (char)c);
	}
}

static void
add_field(struct buf *out, const char *name, struct slice value)
{
	buf_addz(out, name);
	buf_adds(out, SL(": "));
	add_line(out, value);
	buf_adds(out, SL("\r\n"));
}

static void
add_date(struct buf *out, const char *name, int64_t us)
{
	char text[40];

	if (us)
		add_field(out, name, slice_of(text, date_rfc5322(text, us)));
}

static void
add_boundary(struct buf *out, const struct dsn_in *in)
{
	char id[MSGID_TEXT_MAX];

	buf_adds(out, SL("mtad-"));
	buf_add(out, id, msgid_format(id, &in->id));
}

static void
add_part(struct buf *out, const struct dsn_in *in, struct slice type)
{
	buf_adds(out, SL("\r\n--"));
	add_boundary(out, in);
	buf_adds(out, SL("\r\nContent-Type: "));
	buf_adds(out, type);
	buf_adds(out, SL("\r\n\r\n"));
}

static void
add_header(struct buf *out, const struct dsn_in *in)
{
	char id[MSGID_TEXT_MAX];

	buf_adds(out, SL("From: Mail Delivery System <"));
	if (in->postmaster.n)
		add_line(out, in->postmaster);
	else {
		buf_adds(out, SL("postmaster@"));
		add_line(out, in->hostname);
	}
	buf_adds(out, SL(">\r\n"));
	add_field(out, "To", in->to);
	add_field(out, "Subject",
	    in->action == DSN_FAILED ?
		SL("Undelivered Mail Returned to Sender") :
		SL("Delayed Mail (still being retried)"));
	add_date(out, "Date", in->now_us);
	buf_adds(out, SL("Message-ID: <"));
	buf_add(out, id, msgid_format(id, &in->id));
	buf_addc(out, '@');
	add_line(out, in->hostname);
	buf_adds(out,
	    SL(">\r\nAuto-Submitted: auto-replied\r\n"
	       "MIME-Version: 1.0\r\n"
	       "Content-Type: multipart/report; "
	       "report-type=delivery-status;\r\n\tboundary=\""));
	add_boundary(out, in);
	buf_adds(out, SL("\"\r\n"));
}

static void
add_text(struct buf *out, const struct dsn_in *in)
{
	add_part(out, in, SL("text/plain; charset=us-ascii"));
	buf_adds(out, SL("This is the mail system at host "));
	add_line(out, in->hostname);
	buf_adds(out,
	    in->action == DSN_FAILED ?
		SL(".\r\n\r\nYour message could not be delivered to the "
		   "recipients below.\r\n") :
		SL(".\r\n\r\nYour message has not been delivered yet. You need "
		   "do nothing:\r\ndelivery is being tried again.\r\n"));
	for (uint32_t i = 0; i < in->nrcpt; i++) {
		const struct dsn_rcpt *r = &in->rcpts[i];

		buf_adds(out, SL("\r\n<"));
		add_line(out, r->address);
		buf_adds(out, SL(">: "));
		if (r->remote_mta.n) {
			buf_adds(out, SL("host "));
			add_line(out, r->remote_mta);
			buf_adds(out, SL(" said: "));
		}
		if (r->outcome.code) {
			buf_addu(out, r->outcome.code);
			buf_addc(out, ' ');
		}
		add_line(out, r->text);
		buf_adds(out, SL("\r\n"));
	}
}

/* RFC 3464 2.3.4: Status must be there; a class alone when no better is
 * known. Its class is the failure's, even when the reply said 4. */
static void
add_status(struct buf *out, const struct dsn_in *in, const struct dsn_rcpt *r)
{
	struct enh e = r->outcome.enh;
	char text[16];

	if (e.klass == 0 && r->outcome.code >= 400)
		e.klass = (uint8_t)(r->outcome.code / 100);
	if (e.klass != 4 && e.klass != 5)
		e.klass = in->action == DSN_FAILED ? 5 : 4;
	if (e.subject == 0 && e.detail == 0) {
		snprintf(text, sizeof(text), "%u.0.0", e.klass);
		add_field(out, "Status", slice_str(text));
		return;
	}
	add_field(out, "Status", slice_of(text, enh_format(text, e)));
}

static void
add_recipient(struct buf *out, const struct dsn_in *in,
    const struct dsn_rcpt *r)
{
	buf_adds(out, SL("\r\n"));
	if (r->orcpt.n)
		add_field(out, "Original-Recipient", r->orcpt);
	buf_adds(out, SL("Final-Recipient: rfc822; "));
	add_line(out, r->address);
	buf_adds(out, SL("\r\n"));
	add_field(out, "Action", slice_str(action_names[in->action]));
	add_status(out, in, r);
	if (r->remote_mta.n) {
		buf_adds(out, SL("Remote-MTA: dns; "));
		add_line(out, r->remote_mta);
		buf_adds(out, SL("\r\n"));
	}
	buf_adds(out,
	    r->remote_mta.n && r->outcome.code ?
		SL("Diagnostic-Code: smtp; ") :
		SL("Diagnostic-Code: x-mtad; "));
	if (r->outcome.code) {
		buf_addu(out, r->outcome.code);
		buf_addc(out, ' ');
	}
	add_line(out, r->text);
	buf_adds(out, SL("\r\n"));
	add_date(out, "Last-Attempt-Date", r->last_attempt_us);
	if (in->action == DSN_DELAYED)
		add_date(out, "Will-Retry-Until", r->retry_until_us);
}

static void
add_machine(struct buf *out, const struct dsn_in *in)
{
	char id[MSGID_TEXT_MAX];

	add_part(out, in, SL("message/delivery-status"));
	buf_adds(out, SL("Reporting-MTA: dns; "));
	add_line(out, in->hostname);
	buf_adds(out, SL("\r\n"));
	if (in->envid.n)
		add_field(out, "Original-Envelope-Id", in->envid);
	add_field(out, "X-Mtad-Id",
	    slice_of(id, msgid_format(id, &in->original_id)));
	add_date(out, "Arrival-Date", in->arrival_us);
	for (uint32_t i = 0; i < in->nrcpt; i++)
		add_recipient(out, in, &in->rcpts[i]);
}

/* The original as it is, but for line ends: a bare CR or LF becomes CRLF, and
 * no line can be taken for our boundary, which holds a fresh id. */
static void
add_original(struct buf *out, const struct dsn_in *in)
{
	const char *p = in->original.p, *end = p + in->original.n, *nl;

	add_part(out, in,
	    in->whole ? SL("message/rfc822") : SL("text/rfc822-headers"));
	while (p < end) {
		nl = p;
		while (nl < end && *nl != '\n' && *nl != '\r')
			nl++;
		buf_add(out, p, (size_t)(nl - p));
		buf_adds(out, SL("\r\n"));
		if (nl < end && *nl == '\r' && nl + 1 < end && nl[1] == '\n')
			nl++;
		p = nl + 1;
	}
}

int
dsn_build(struct buf *out, const struct dsn_in *in)
{
	add_header(out, in);
	add_text(out, in);
	add_machine(out, in);
	add_original(out, in);
	buf_adds(out, SL("\r\n--"));
	add_boundary(out, in);
	buf_adds(out, SL("--\r\n"));
	return out->failed ? E_FULL : 0;
}
