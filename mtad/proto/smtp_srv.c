/*
 * proto/smtp_srv.c - the session of the SMTP server: steps, answers,
 * deadlines, and command lines out of a stream of bytes.
 *
 * Invariants:
 * - While an act waits for its answer nothing is read, so s->line and what
 *   points into it stay as they are.
 * - A command line ends in CRLF only. A bare LF is answered with an error at
 *   once and everything up to the next CRLF is dropped, so two parties that
 *   disagree about bare LF never disagree about which commands were given.
 * - has_txn says that the caller knows of a transaction; it ends with SRV_ABORT
 *   or with the answer to SRV_EOM, exactly once.
 */
#include "proto/smtp_srv_i.h"

enum line_fault {
	LINE_FINE,
	LINE_LONG, /* answered at its CRLF */
	LINE_BARE, /* answered already */
};

void
smtp_srv_conf_default(struct smtp_srv_conf *c)
{
	*c = (struct smtp_srv_conf){ .size_max = 50u << 20,
		.rcpts_max = 1000,
		.errors_max = 20,
		.body_line_max = 65536,
#define X(name, dflt) .name = (dflt),
		SMTP_SRV_TIMEOUTS(X)
#undef X
	};
}

void
smtp_srv_init(struct smtp_srv *s, const struct smtp_srv_conf *conf,
    int64_t now_us)
{
	/* The large arrays need no zeroes. */
	memset(s, 0, offsetof(struct smtp_srv, line));
	s->conf = conf;
	s->since_us = now_us;
	buf_init(&s->out, SMTP_SRV_OUT_MAX);
	srv_banner(s);
}

void
smtp_srv_greeted(struct smtp_srv *s)
{
	buf_reset(&s->out);
	s->has_begun = s->is_esmtp = true;
	s->helo_n =
	    (uint16_t)slice_copy(SL("localhost"), s->helo, sizeof(s->helo));
	s->state = SRV_ST_READY;
}

void
srv_banner(struct smtp_srv *s)
{
	buf_adds(&s->out, SL("220 "));
	buf_adds(&s->out, s->conf->hostname);
	buf_addc(&s->out, ' ');
	buf_adds(&s->out,
	    s->conf->banner.n > 0 ? s->conf->banner : SL("ESMTP"));
	buf_adds(&s->out, SL("\r\n"));
}

void
smtp_srv_free(struct smtp_srv *s)
{
	buf_free(&s->out);
}

/* ---- replies -------------------------------------------------------------- */

void
srv_say(struct smtp_srv *s, struct slice reply)
{
	buf_adds(&s->out, reply);
}

static void
errors_add(struct smtp_srv *s)
{
	s->errors++;
	if (s->conf->errors_max == 0 || s->errors < s->conf->errors_max ||
	    s->state == SRV_ST_CLOSED)
		return;
	srv_say(s, SL("421 4.7.0 too many errors\r\n"));
	srv_close(s);
}

void
srv_fail(struct smtp_srv *s, struct slice reply)
{
	srv_say(s, reply);
	errors_add(s);
}

/* Writes "code enh text CRLF" to dst, which has SMTP_REPLY_MAX bytes. */
static struct slice
reply_format(char *dst, int code, const char *enh, struct slice text)
{
	size_t n = 0, room;

	ASSERT(code >= 200 && code <= 599);
	dst[n++] = (char)('0' + code / 100);
	dst[n++] = (char)('0' + code / 10 % 10);
	dst[n++] = (char)('0' + code % 10);
	dst[n++] = ' ';
	if (enh != NULL && enh[0] != '\0') {
		n += slice_copy(slice_str(enh), dst + n, 16);
		dst[n++] = ' ';
	}
	room = SMTP_REPLY_MAX - n - 2;
	text.n = MIN(text.n, room);
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		dst[n++] = c >= ' ' && c <= '~' ? c : '?';
	}
	dst[n++] = '\r';
	dst[n++] = '\n';
	return slice_of(dst, n);
}

enum smtp_srv_act
srv_ask(struct smtp_srv *s, enum smtp_srv_act act)
{
	s->waits_for = (uint8_t)act;
	return act;
}

void
srv_reset(struct smtp_srv *s)
{
	if (s->has_txn)
		s->aborts = true;
	s->has_txn = false;
	s->is_chunked = false;
	s->rcpts = 0;
	if (s->state != SRV_ST_HELO && s->state != SRV_ST_CLOSED)
		s->state = s->helo_n > 0 ? SRV_ST_READY : SRV_ST_HELO;
}

void
srv_close(struct smtp_srv *s)
{
	srv_reset(s);
	s->waits_for = 0;
	s->state = SRV_ST_CLOSED;
}

/* The message is answered: the transaction is over, whatever the answer. */
static void
eom_answered(struct smtp_srv *s, bool is_ok)
{
	s->has_txn = false;
	s->messages++;
	if (is_ok)
		s->errors = 0;
	srv_reset(s);
}

void
smtp_srv_reply(struct smtp_srv *s, int code, const char *enh, struct slice text)
{
	char line[SMTP_REPLY_MAX];
	enum smtp_srv_act act = s->waits_for;
	bool is_ok = code < 300, counts = !is_ok;

	if (s->state == SRV_ST_CLOSED)
		return;
	s->waits_for = 0;
	s->renews = true;
	switch (act) {
	case SRV_MAIL:
		if (is_ok) {
			s->has_txn = true;
			s->state = SRV_ST_MAIL;
		}
		break;
	case SRV_RCPT:
		if (is_ok) {
			s->rcpts++;
			s->state = SRV_ST_RCPT;
		}
		/* A sender with a stale list is no attacker. */
		counts &= s->rcpts == 0;
		break;
	case SRV_DATA:
		ASSERT(!is_ok);
		if (!s->is_chunked)
			break;
		/* The chunk is on its way all the same. */
		s->state = SRV_ST_BODY;
		srv_body_refuse(s, reply_format(line, code, enh, text));
		return;
	case SRV_XCLIENT:
		break;
	case SRV_EOM:
		eom_answered(s, is_ok);
		break;
	default:
		ASSERT(!"an act waits for a reply");
	}
	srv_say(s, reply_format(line, code, enh, text));
	if (code == 421)
		srv_close(s);
	else if (counts)
		errors_add(s);
}

void
smtp_srv_go_ahead(struct smtp_srv *s)
{
	if (s->state == SRV_ST_CLOSED)
		return;
	ASSERT(s->waits_for == SRV_DATA);
	s->waits_for = 0;
	s->renews = true;
	if (!s->is_chunked)
		srv_say(s, SL("354 end with CRLF.CRLF\r\n"));
	srv_body_begin(s);
}

void
smtp_srv_auth_more(struct smtp_srv *s, struct slice challenge)
{
	if (s->state == SRV_ST_CLOSED)
		return;
	ASSERT(s->waits_for == SRV_AUTH);
	s->waits_for = 0;
	s->renews = true;
	s->state = SRV_ST_AUTH;
	srv_say(s, SL("334 "));
	srv_say(s, challenge);
	srv_say(s, SL("\r\n"));
}

void
smtp_srv_auth_done(struct smtp_srv *s, int code, const char *enh,
    struct slice text)
{
	char line[SMTP_REPLY_MAX];

	if (s->state == SRV_ST_CLOSED)
		return;
	ASSERT(s->waits_for == SRV_AUTH);
	s->waits_for = 0;
	s->renews = true;
	s->state = SRV_ST_READY;
	s->is_authenticated = code == 235;
	srv_say(s, reply_format(line, code, enh, text));
	if (s->is_authenticated)
		return;
	errors_add(s);
	if (++s->auth_failures < SMTP_AUTH_TRIES || s->state == SRV_ST_CLOSED)
		return;
	srv_say(s, SL("421 4.7.0 too many failures\r\n"));
	srv_close(s);
}

void
smtp_srv_xclient_done(struct smtp_srv *s, bool login)
{
	if (s->state == SRV_ST_CLOSED)
		return;
	ASSERT(s->waits_for == SRV_XCLIENT);
	s->waits_for = 0;
	s->renews = true;
	s->is_authenticated = login;
	s->is_esmtp = false;
	s->helo_n = 0;
	s->state = SRV_ST_HELO;
	srv_banner(s);
}

void
smtp_srv_refuse_body(struct smtp_srv *s, int code, const char *enh,
    struct slice text)
{
	char line[SMTP_REPLY_MAX];

	ASSERT(s->waits_for == 0 && code >= 400);
	srv_body_refuse(s, reply_format(line, code, enh, text));
}

void
smtp_srv_tls_done(struct smtp_srv *s, bool ok, int64_t now_us)
{
	if (s->state == SRV_ST_CLOSED)
		return;
	ASSERT(s->waits_for == SRV_STARTTLS);
	s->waits_for = 0;
	s->since_us = now_us;
	if (!ok) {
		srv_close(s);
		return;
	}
	/* RFC 3207 4.2: what was learnt in clear text is forgotten. */
	s->is_tls = true;
	s->is_esmtp = s->is_authenticated = false;
	s->helo_n = 0;
	s->state = SRV_ST_HELO;
}

/* ---- the end of a session ------------------------------------------------- */

void
smtp_srv_shut(struct smtp_srv *s, struct slice text, bool gently)
{
	s->shuts_gently = gently && (s->shuts_gently || !s->shuts);
	s->shuts = true;
	s->shut_n = (uint16_t)reply_format(s->shut_text, 421, "4.3.2", text).n;
	/* The banner, if it is still here, whole and alone, is taken back. */
	if (!s->has_begun && s->out.off == 0)
		buf_cut(&s->out, 0);
}

static void
shut_now(struct smtp_srv *s)
{
	srv_say(s, slice_of(s->shut_text, s->shut_n));
	srv_close(s);
}

int64_t
smtp_srv_deadline(const struct smtp_srv *s)
{
	int64_t ms = s->conf->command_ms;

	if (s->state == SRV_ST_CLOSED)
		return TIME_NEVER;
	if (s->waits_for == SRV_STARTTLS)
		ms = s->conf->tls_ms;
	else if (s->waits_for != 0)
		ms = s->conf->eom_ms;
	else if (s->state == SRV_ST_BODY || s->state == SRV_ST_SWALLOW)
		ms = s->conf->body_ms;
	return s->since_us + ms * US_PER_MS;
}

void
smtp_srv_timeout(struct smtp_srv *s)
{
	if (s->state == SRV_ST_CLOSED)
		return;
	/* In the midst of a handshake clear text would be noise. */
	if (s->waits_for != SRV_STARTTLS)
		srv_say(s, SL("421 4.4.2 timed out\r\n"));
	srv_close(s);
}

bool
smtp_srv_in_transaction(const struct smtp_srv *s)
{
	return s->state > SRV_ST_READY && s->state < SRV_ST_CLOSED;
}

/* ---- command lines -------------------------------------------------------- */

/* Drops input up to the CRLF of a line that is at fault. */
static void
line_swallow(struct smtp_srv *s, struct slice *in)
{
	while (in->n > 0) {
		const char *lf = memchr(in->p, '\n', in->n);
		size_t n = lf != NULL ? (size_t)(lf - in->p) : in->n;
		bool cr = n > 0 ? in->p[n - 1] == '\r' : s->line_cr;

		*in = slice_skip(*in, n + 1);
		s->line_cr = cr && lf == NULL;
		if (!cr || lf == NULL)
			continue;
		if (s->line_fault == LINE_LONG)
			srv_fail(s, SL("500 5.5.2 line is too long\r\n"));
		s->line_fault = LINE_FINE;
		return;
	}
}

/* A line is at fault; what has been kept of it is forgotten. A long one is met
 * before its last piece is eaten, a bare LF behind it. */
static bool
line_reject(struct smtp_srv *s, enum line_fault fault)
{
	s->line_cr = fault == LINE_LONG && s->line_n > 0 &&
	    s->line[s->line_n - 1] == '\r';
	s->line_n = 0;
	s->line_fault = (uint8_t)fault;
	if (fault == LINE_BARE)
		srv_fail(s, SL("500 5.5.2 lines end in CRLF\r\n"));
	return false;
}

/* The next whole line without its CRLF: in the input where it came in one
 * piece, else in s->line. False: it is not whole yet, or at fault. */
static bool
line_take(struct smtp_srv *s, struct slice *in, struct slice *line)
{
	const char *lf = memchr(in->p, '\n', in->n);
	size_t n = lf != NULL ? (size_t)(lf - in->p) + 1 : in->n;
	struct slice piece = slice_of(in->p, n);
	char before = s->line_n > 0 ? s->line[s->line_n - 1] : '\0';

	if (s->line_n + n > SMTP_LINE_MAX)
		return line_reject(s, LINE_LONG);
	*in = slice_skip(*in, n);
	if (lf != NULL && (n > 1 ? lf[-1] : before) != '\r')
		return line_reject(s, LINE_BARE);
	if (lf != NULL && s->line_n == 0) {
		*line = slice_of(piece.p, n - 2);
		return true;
	}
	memcpy(s->line + s->line_n, piece.p, n);
	s->line_n = (uint16_t)(s->line_n + n);
	if (lf == NULL)
		return false;
	*line = slice_of(s->line, s->line_n - 2u);
	s->line_n = 0;
	return true;
}

static enum smtp_srv_act
step_command(struct smtp_srv *s, struct slice *in, int64_t now_us)
{
	struct slice line;
	enum smtp_srv_act act;

	s->has_begun = true;
	if (s->line_fault != LINE_FINE) {
		line_swallow(s, in);
		if (s->line_fault == LINE_FINE)
			s->since_us = now_us;
		return SRV_NEED_INPUT;
	}
	if (!line_take(s, in, &line))
		return SRV_NEED_INPUT;
	s->since_us = now_us;
	act = s->state == SRV_ST_AUTH ? srv_auth_line(s, line) :
					srv_command(s, line);
	/* RFC 3207 4.2, CVE-2011-0411: what was sent in clear text behind
	 * STARTTLS must not be read as if it had come through TLS. */
	if (act == SRV_STARTTLS)
		*in = slice_skip(*in, in->n);
	return act;
}

/* ---- steps ---------------------------------------------------------------- */

/* What is due before any input is read. */
static enum smtp_srv_act
step_due(struct smtp_srv *s, struct slice *in)
{
	if (s->out.failed)
		srv_close(s);
	srv_body_settle(s);
	if (s->shuts && s->state != SRV_ST_CLOSED &&
	    !(s->shuts_gently && smtp_srv_in_transaction(s)))
		shut_now(s);
	if (s->refuses) { /* first: the transaction is still known */
		s->refuses = false;
		return SRV_REFUSED;
	}
	if (s->aborts) {
		s->aborts = false;
		return SRV_ABORT;
	}
	if (s->state != SRV_ST_CLOSED)
		return SRV_NEED_INPUT;
	*in = slice_skip(*in, in->n);
	return SRV_CLOSE;
}

enum smtp_srv_act
smtp_srv_step(struct smtp_srv *s, struct slice *in, int64_t now_us)
{
	enum smtp_srv_act act;

	if (s->waits_for != 0)
		return SRV_WAIT;
	if (s->renews)
		s->since_us = now_us;
	s->renews = false;
	for (;;) {
		act = step_due(s, in);
		if (act == SRV_NEED_INPUT && srv_chunk_is_over(s)) {
			act = srv_chunk_end(s);
			if (act == SRV_NEED_INPUT)
				continue;
		}
		if (act != SRV_NEED_INPUT || in->n == 0)
			return act;
		if (s->state == SRV_ST_BODY || s->state == SRV_ST_SWALLOW) {
			s->since_us = now_us;
			act = srv_body(s, in);
		} else {
			act = step_command(s, in, now_us);
		}
		if (act != SRV_NEED_INPUT)
			return act;
	}
}
