/*
 * tests/lib/smtp_drive.c - the server half of the SMTP test driver.
 */
#include "lib/smtp_drive.h"

#define DRIVE_BUF_MAX (64u << 20)
#define BODY_SHOWN_MAX 128

void
srv_drive_init(struct srv_drive *d, const struct smtp_srv_conf *conf)
{
	memset(d, 0, sizeof(*d));
	d->conf = *conf;
	buf_init(&d->acts, DRIVE_BUF_MAX);
	buf_init(&d->out, DRIVE_BUF_MAX);
	buf_init(&d->body, DRIVE_BUF_MAX);
	smtp_srv_init(&d->srv, &d->conf, d->now_us);
	d->srv.wall_us = INT64_C(1800000000) * US_PER_S;
}

void
srv_drive_free(struct srv_drive *d)
{
	smtp_srv_free(&d->srv);
	buf_free(&d->acts);
	buf_free(&d->out);
	buf_free(&d->body);
}

/* ---- what must hold ---------------------------------------------------------- */

static bool
begins(struct slice s, const char *prefix)
{
	return slice_has_prefix(s, slice_str(prefix));
}

static void
check_replies(struct slice out)
{
	while (out.n > 0) {
		size_t n = slice_index(out, '\n');

		ASSERT(n < out.n && n >= 5 && n < SMTP_REPLY_MAX);
		ASSERT(out.p[n - 1] == '\r');
		for (int i = 0; i < 3; i++)
			ASSERT(ascii_is_digit(out.p[i]));
		ASSERT(out.p[3] == ' ' || out.p[3] == '-');
		for (size_t i = 0; i < n - 1; i++)
			ASSERT(out.p[i] >= ' ' && out.p[i] <= '~');
		out = slice_skip(out, n + 1);
	}
}

static void
check_path(const struct smtp_path *p, bool is_utf8)
{
	ASSERT(p->address.n <= MAILBOX_MAX && p->local.n <= 64);
	ASSERT(p->domain.n <= DOMAIN_MAX);
	for (size_t i = 0; i < p->address.n; i++)
		ASSERT((p->address.p[i] >= ' ' && p->address.p[i] <= '~') ||
		    (is_utf8 && (p->address.p[i] & 0x80) != 0));
}

/* A whole message: CRLF and nothing like it, and the facts about it right. */
static void
check_body(const struct srv_drive *d)
{
	struct slice b = buf_slice(&d->body);
	bool has_8bit = false, has_dots = false;
	uint64_t line = 0;

	ASSERT(d->srv.body_bytes == b.n);
	ASSERT(d->conf.size_max == 0 || b.n <= d->conf.size_max);
	ASSERT(b.n == 0 || (b.n >= 2 && b.p[b.n - 1] == '\n'));
	for (size_t i = 0; i < b.n; i++) {
		char c = b.p[i];

		has_8bit |= (c & 0x80) != 0;
		has_dots |= c == '.' && (i == 0 || b.p[i - 1] == '\n');
		ASSERT(c != '\0');
		ASSERT(c != '\n' || (i > 0 && b.p[i - 1] == '\r'));
		ASSERT(c != '\r' || (i + 1 < b.n && b.p[i + 1] == '\n'));
		line = c == '\n' ? 0 : line + (c != '\r');
		ASSERT(d->conf.body_line_max == 0 ||
		    line <= d->conf.body_line_max);
	}
	ASSERT(d->srv.saw_8bit == has_8bit);
	ASSERT(d->srv.saw_dots == has_dots);
}

/* ---- answers ------------------------------------------------------------------ */

static void
act(struct srv_drive *d, const char *what)
{
	buf_addz(&d->acts, what);
	buf_addc(&d->acts, '\n');
}

static void
act_path(struct srv_drive *d, const char *what)
{
	buf_addz(&d->acts, what);
	buf_addz(&d->acts, " <");
	buf_adds(&d->acts, d->srv.path.address);
	buf_addc(&d->acts, '>');
}

static void
reply(struct srv_drive *d, int code, const char *enh, const char *text)
{
	smtp_srv_reply(&d->srv, code, enh, slice_str(text));
}

static bool
answer_path(struct srv_drive *d)
{
	struct slice local = d->srv.path.local;

	check_path(&d->srv.path, d->srv.wishes.is_utf8);
	if (begins(local, "later"))
		reply(d, 451, "4.3.0", "later");
	else if (begins(local, "bye"))
		reply(d, 421, "4.7.0", "bye");
	else if (begins(local, "no") && !begins(local, "nodata") &&
	    !begins(local, "nobody") && !begins(local, "noeom"))
		reply(d, 550, "5.7.1", "no");
	else
		return true;
	return false;
}

static void
act_wishes(struct srv_drive *d)
{
	const struct smtp_srv_wishes *w = &d->srv.wishes;

	if (w->is_utf8)
		buf_addz(&d->acts, " utf8");
	if (w->ret != 0)
		buf_addz(&d->acts, w->ret == ENV_RET_FULL ? " full" : " hdrs");
	if (w->envid.n > 0)
		buf_addf(&d->acts, " envid=%.*s", SLF(w->envid));
	if (w->requires_tls)
		buf_addz(&d->acts, " requiretls");
	if (w->hold_until_us != 0)
		buf_addf(&d->acts, " hold=%lld",
		    (long long)((w->hold_until_us - d->srv.wall_us) /
			US_PER_S));
	if (w->by_us != 0)
		buf_addf(&d->acts, " by=%lld%s%s",
		    (long long)((w->by_us - d->srv.wall_us) / US_PER_S),
		    w->by & ENV_BY_RETURN ? "R" : "N",
		    w->by & ENV_BY_TRACE ? "T" : "");
	if (w->priority != 0)
		buf_addf(&d->acts, " priority=%d", w->priority);
}

static void
on_mail(struct srv_drive *d)
{
	act_path(d, "mail");
	if (d->srv.wishes.size > 0) {
		buf_addz(&d->acts, " size=");
		buf_addu(&d->acts, d->srv.wishes.size);
	}
	act_wishes(d);
	act(d, d->srv.wishes.is_8bit ? " 8bit" : "");
	ASSERT(!d->is_open);
	slice_copy(d->srv.path.local, d->sender, sizeof(d->sender));
	if (!answer_path(d))
		return;
	d->is_open = true;
	reply(d, 250, "2.1.0", "sender ok");
}

static void
on_rcpt(struct srv_drive *d)
{
	act_path(d, "rcpt");
	if (d->srv.notify != 0)
		buf_addf(&d->acts, " notify=%u", d->srv.notify);
	if (d->srv.orcpt.n > 0)
		buf_addf(&d->acts, " orcpt=%.*s", SLF(d->srv.orcpt));
	act(d, "");
	ASSERT(d->is_open && d->srv.path.address.n > 0);
	if (answer_path(d))
		reply(d, 250, "2.1.5", "recipient ok");
}

static void
on_data(struct srv_drive *d)
{
	act(d, "data");
	ASSERT(d->is_open && d->srv.rcpts > 0);
	buf_reset(&d->body);
	if (begins(slice_str(d->sender), "nodata"))
		reply(d, 452, "4.3.1", "no room");
	else
		smtp_srv_go_ahead(&d->srv);
}

static void
on_body(struct srv_drive *d)
{
	ASSERT(d->is_open && d->srv.body.n > 0);
	buf_adds(&d->body, d->srv.body);
	if (!begins(slice_str(d->sender), "nobody"))
		return;
	buf_reset(&d->body);
	smtp_srv_refuse_body(&d->srv, 452, "4.3.1", SL("no room after all"));
}

static void
on_eom(struct srv_drive *d)
{
	struct slice b = buf_slice(&d->body);
	char text[BODY_SHOWN_MAX * 4 + 1];

	check_body(d);
	/* A long one is shown as its checksum. */
	if (b.n > BODY_SHOWN_MAX)
		snprintf(text, sizeof(text), "%08x", crc32c(0, b.p, b.n));
	else
		text_escape(b, text, sizeof(text));
	buf_addf(&d->acts, "eom %llu%s%s [%s]\n",
	    (unsigned long long)d->srv.body_bytes,
	    d->srv.saw_dots ? " dots" : "", d->srv.saw_8bit ? " 8bit" : "",
	    text);
	d->is_open = false;
	if (d->on_message != NULL)
		d->on_message(d->ctx, b);
	if (begins(slice_str(d->sender), "noeom"))
		reply(d, 554, "5.6.0", "not this\r\none");
	else
		reply(d, 250, "2.0.0", "queued");
}

static void
on_abort(struct srv_drive *d)
{
	ASSERT(d->is_open);
	d->is_open = false;
	buf_addf(&d->acts, "abort %zu\n", d->body.n);
	buf_reset(&d->body);
}

static void
on_close(struct srv_drive *d)
{
	ASSERT(!d->is_open);
	if (!d->is_closed)
		act(d, "close");
	d->is_closed = true;
}

/* The right answer is "ok" in base64, at once or after one question. */
static void
on_auth(struct srv_drive *d)
{
	struct slice said = d->srv.auth;

	buf_addf(&d->acts, "auth %s [", d->srv.mech);
	buf_adds(&d->acts, said);
	act(d, said.p == NULL ? "] none" : "]");
	if (said.p == NULL)
		smtp_srv_auth_more(&d->srv, SL("d2hvPw=="));
	else if (slice_eq(said, SL("b2s=")))
		smtp_srv_auth_done(&d->srv, 235, "2.7.0", SL("welcome"));
	else
		smtp_srv_auth_done(&d->srv, 535, "5.7.8", SL("no"));
}

static void
on_xclient(struct srv_drive *d)
{
	buf_addf(&d->acts, "xclient %.*s\n", SLF(d->srv.xclient));
	if (slice_has_prefix(d->srv.xclient, SL("BAD")))
		smtp_srv_reply(&d->srv, 501, "5.5.4", SL("no attribute"));
	else
		smtp_srv_xclient_done(&d->srv, false);
}

/* An act that waits for its answer holds everything back. */
static void
check_wait(struct srv_drive *d, enum smtp_srv_act what, struct slice in)
{
	struct slice left = in;
	size_t n = d->srv.out.n;

	if (d->srv.waits_for == 0)
		return;
	ASSERT(d->srv.waits_for == (uint8_t)what);
	ASSERT(smtp_srv_step(&d->srv, &left, d->now_us) == SRV_WAIT);
	ASSERT(left.n == in.n && d->srv.out.n == n);
}

static void
on_act(struct srv_drive *d, enum smtp_srv_act what, struct slice in)
{
	check_wait(d, what, in);
	switch (what) {
	case SRV_MAIL:
		on_mail(d);
		break;
	case SRV_RCPT:
		on_rcpt(d);
		break;
	case SRV_DATA:
		on_data(d);
		break;
	case SRV_BODY:
		on_body(d);
		break;
	case SRV_EOM:
		on_eom(d);
		break;
	case SRV_ABORT:
		on_abort(d);
		break;
	case SRV_REFUSED:
		break; /* told by the reply */
	case SRV_AUTH:
		on_auth(d);
		break;
	case SRV_XCLIENT:
		on_xclient(d);
		break;
	case SRV_STARTTLS:
		act(d, "starttls");
		ASSERT(in.n == 0);
		d->in_tls_wait = true;
		break;
	case SRV_CLOSE:
		on_close(d);
		break;
	default:
		ASSERT(!"an act of the server");
	}
}

static void
flush(struct srv_drive *d)
{
	check_replies(buf_slice(&d->srv.out));
	buf_adds(&d->out, buf_slice(&d->srv.out));
	buf_reset(&d->srv.out);
}

static void
run(struct srv_drive *d, struct slice *in)
{
	enum smtp_srv_act what;

	d->now_us++;
	do {
		what = smtp_srv_step(&d->srv, in, d->now_us);
		if (what == SRV_NEED_INPUT)
			break;
		on_act(d, what, *in);
	} while (!d->in_tls_wait && !d->is_closed);
	ASSERT(in->n == 0);
	ASSERT((smtp_srv_deadline(&d->srv) == TIME_NEVER) == d->is_closed);
	flush(d);
}

void
srv_drive_feed(struct srv_drive *d, struct slice piece)
{
	struct slice in;
	char *copy;

	/* In clear text, behind STARTTLS: the caller's TLS layer gets it. */
	if (d->in_tls_wait || d->is_closed)
		return;
	/* Of exactly this size, so that a sanitizer sees a read beyond it. */
	copy = mem_get(piece.n + (piece.n == 0));
	memcpy(copy, piece.p, piece.n);
	in = slice_of(copy, piece.n);
	run(d, &in);
	mem_free(copy);
}

void
srv_drive_turn(struct srv_drive *d)
{
	struct slice none = SL("");

	if (d->in_tls_wait) {
		d->in_tls_wait = false;
		smtp_srv_tls_done(&d->srv, !d->tls_fails, d->now_us);
	}
	if (!d->is_closed)
		run(d, &none);
}
