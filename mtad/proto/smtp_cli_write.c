/*
 * proto/smtp_cli_write.c - the longer commands of the SMTP client, and the body
 * on its way out.
 *
 * This is the last place where something could be smuggled to a receiver: texts
 * with control bytes never get into a command, and every line of the body that
 * begins with a dot gets another one.
 */
#include "proto/scan_i.h"
#include "proto/smtp_cli_i.h"
#include "proto/syntax.h"

/* ---- commands ----------------------------------------------------------------- */

static bool
is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

/* xtext, or at least nothing that ends a parameter. */
static bool
is_word(struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] == ' ' || is_control(text.p[i]))
			return false;
	return true;
}

bool
cli_is_sendable(struct slice address)
{
	bool is_odd = false;

	for (size_t i = 0; i < address.n; i++) {
		char c = address.p[i];

		if (is_control(c))
			return false;
		is_odd |= c == ' ' || c == '<' || c == '>';
	}
	/* These may stand in a quoted local part, and nowhere else. */
	return !is_odd || mailbox_is_valid(address, true);
}

static char *
put(char *p, struct slice s)
{
	memcpy(p, s.p, s.n);
	return p + s.n;
}

/* RFC 2852 4.1.4: what is left of the time. One that has run out comes back
 * before it gets here, or while it does. */
static char *
put_by(char *p, const struct smtp_cli_txn *t, int64_t now_us)
{
	int64_t left_s = (t->by_us - now_us) / US_PER_S;
	bool is_return = t->flags & ENV_BY_RETURN;

	if (is_return)
		left_s = MAX(left_s, 1);
	p = put(p, SL(" BY="));
	if (left_s < 0)
		*p++ = '-';
	p += fmt_u64(p,
	    MIN((uint64_t)(left_s < 0 ? -left_s : left_s),
		UINT64_C(999999999)));
	p = put(p, is_return ? SL(";R") : SL(";N"));
	return t->flags & ENV_BY_TRACE ? put(p, SL("T")) : p;
}

#define MAIL_ROOM 192 /* MAIL without sender and envid: all parameters */

void
cli_write_mail(struct smtp_cli *c, const struct smtp_cli_txn *t, int64_t now_us)
{
	char *start = buf_room(&c->out, t->sender.n + t->envid.n + MAIL_ROOM);
	char *p = start;

	if (start == NULL)
		return;
	p = put(p, SL("MAIL FROM:<"));
	p = put(p, t->sender.n > 0 ? t->sender : SL(""));
	*p++ = '>';
	if ((c->caps & CAP_SIZE) && t->size > 0) {
		p = put(p, SL(" SIZE="));
		p += fmt_u64(p, t->size);
	}
	/* To a peer without 8BITMIME the bytes go as they are: what RFC 6152 3
	 * would have us do, recode or bounce, serves nobody any more. */
	if ((c->caps & CAP_8BITMIME) && (t->flags & ENV_8BIT))
		p = put(p, SL(" BODY=8BITMIME"));
	if (t->flags & ENV_SMTPUTF8)
		p = put(p, SL(" SMTPUTF8"));
	if (t->flags & ENV_REQUIRETLS)
		p = put(p, SL(" REQUIRETLS"));
	if ((c->caps & CAP_DELIVERBY) && t->by_us != 0)
		p = put_by(p, t, now_us);
	if (c->caps & CAP_DSN) {
		if (t->flags & (ENV_RET_FULL | ENV_RET_HDRS))
			p = put(p,
			    t->flags & ENV_RET_FULL ? SL(" RET=FULL") :
						      SL(" RET=HDRS"));
		if (t->envid.n > 0 && is_word(t->envid)) {
			p = put(p, SL(" ENVID="));
			p = put(p, t->envid);
		}
	}
	p = put(p, SL("\r\n"));
	buf_grew(&c->out, (size_t)(p - start));
}

/* RFC 3461 4.1: NEVER stands alone. */
static void
write_notify(struct buf *out, uint8_t notify)
{
	char sep = '=';

	buf_adds(out, SL(" NOTIFY"));
	if (notify & NOTIFY_NEVER) {
		buf_adds(out, SL("=NEVER"));
		return;
	}
	if (notify & NOTIFY_SUCCESS) {
		buf_addc(out, sep);
		buf_adds(out, SL("SUCCESS"));
		sep = ',';
	}
	if (notify & NOTIFY_FAILURE) {
		buf_addc(out, sep);
		buf_adds(out, SL("FAILURE"));
		sep = ',';
	}
	if (notify & NOTIFY_DELAY) {
		buf_addc(out, sep);
		buf_adds(out, SL("DELAY"));
	}
}

void
cli_write_rcpt(struct smtp_cli *c, const struct smtp_cli_rcpt *r)
{
	buf_adds(&c->out, SL("RCPT TO:<"));
	buf_adds(&c->out, r->address);
	buf_addc(&c->out, '>');
	if (c->caps & CAP_DSN) {
		if (r->notify != 0)
			write_notify(&c->out, r->notify);
		if (r->orcpt.n > 0 && is_word(r->orcpt)) {
			buf_adds(&c->out, SL(" ORCPT="));
			buf_adds(&c->out, r->orcpt);
		}
	}
	buf_adds(&c->out, SL("\r\n"));
}

/* ---- the body -------------------------------------------------------------- */

/* RFC 5321 4.5.2: a dot that begins a line is doubled. */
static void
write_stuffed(struct smtp_cli *c, struct slice piece)
{
	bool at_start = c->body_last[1] == '\n';

	if (at_start && piece.n > 0 && piece.p[0] == '.')
		buf_addc(&c->out, '.');
	while (piece.n > 0) {
		size_t n = scan_lf_dot(piece.p, piece.n);

		buf_add(&c->out, piece.p, n);
		piece = slice_skip(piece, n);
		if (piece.n > 0)
			buf_addc(&c->out, '.');
		/* The next search must not find this dot again. */
	}
}

static void
last_bytes(struct smtp_cli *c, struct slice piece)
{
	if (piece.n == 0)
		return;
	c->body_last[0] = piece.n > 1 ? piece.p[piece.n - 2] : c->body_last[1];
	c->body_last[1] = piece.p[piece.n - 1];
}

void
cli_body_begin(struct smtp_cli *c)
{
	c->body_is_open = true;
	c->body_last[0] = '\r';
	c->body_last[1] = '\n';
}

void
cli_body_write(struct smtp_cli *c, struct slice piece, bool has_dots)
{
	/* Once, not by doubling, with room for what follows. */
	buf_room(&c->out, piece.n + 64);
	if (has_dots)
		write_stuffed(c, piece);
	else
		buf_adds(&c->out, piece);
	last_bytes(c, piece);
}

void
cli_body_end(struct smtp_cli *c, bool is_chunk)
{
	c->body_is_open = false;
	if (is_chunk)
		return;
	if (c->body_last[1] == '\r')
		buf_addc(&c->out, '\n');
	else if (c->body_last[0] != '\r' || c->body_last[1] != '\n')
		buf_adds(&c->out, SL("\r\n"));
}
