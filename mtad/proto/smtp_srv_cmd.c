/*
 * proto/smtp_srv_cmd.c - the commands of the SMTP server, one function each.
 *
 * The table `verbs` is the whole language; a verb is told by its first four
 * letters, then compared in full. Arguments are parsed where they lie; those
 * of MAIL and RCPT are moved to s->line first, so that s->path outlives the
 * caller's input until the answer is given.
 */
#include "proto/scan_i.h"
#include "proto/smtp_srv_i.h"

static const struct slice bad_sequence =
    SL("503 5.5.1 command out of sequence\r\n");
static const struct slice not_utf8 =
    SL("553 5.6.7 addresses are ASCII only here\r\n");
static const struct slice wants_tls =
    SL("538 5.7.11 encryption is required\r\n");

static enum smtp_srv_act
fail(struct smtp_srv *s, struct slice reply)
{
	srv_fail(s, reply);
	return SRV_NEED_INPUT;
}

/* Nobody else hears of mail that is refused here. */
static enum smtp_srv_act
refuse(struct smtp_srv *s, enum stage at, struct slice reply)
{
	srv_fail(s, reply);
	s->refused = reply;
	s->refused_at = at;
	return SRV_REFUSED;
}

static enum smtp_srv_act
say(struct smtp_srv *s, struct slice reply)
{
	srv_say(s, reply);
	return SRV_NEED_INPUT;
}

/* The last word of the session. */
static enum smtp_srv_act
say_and_close(struct smtp_srv *s, struct slice reply)
{
	srv_say(s, reply);
	srv_close(s);
	return SRV_NEED_INPUT;
}

static enum smtp_srv_act
cmd_not_here(struct smtp_srv *s, struct slice args)
{
	(void)args;
	return fail(s, SL("502 5.5.1 command not implemented\r\n"));
}

/* Moves args to s->line, where they may stay until the answer. */
static struct slice
keep(struct smtp_srv *s, struct slice args)
{
	ASSERT(args.n <= sizeof(s->line));
	memmove(s->line, args.p, args.n);
	return slice_of(s->line, args.n);
}

/* ---- HELO and EHLO (RFC 5321 4.1.1.1) --------------------------------------- */

/* More than the grammar allows: names with odd letters are met, and must not
 * be refused for that (4.1.4). What has a meaning in trace fields is. */
static bool
helo_is_valid(struct slice name)
{
	if (name.n < 1 || name.n > DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (memchr(" ()<>\\\",;", name.p[i], 9) != NULL)
			return false;
	return true;
}

static bool
hello(struct smtp_srv *s, struct slice args, bool is_esmtp)
{
	if (!helo_is_valid(args)) {
		srv_fail(s, SL("501 5.5.2 your host name, please\r\n"));
		return false;
	}
	srv_reset(s);
	s->helo_n = (uint16_t)slice_copy(args, s->helo, sizeof(s->helo));
	s->is_esmtp = is_esmtp;
	s->state = SRV_ST_READY;
	return true;
}

static enum smtp_srv_act
cmd_helo(struct smtp_srv *s, struct slice args)
{
	if (!hello(s, args, false))
		return SRV_NEED_INPUT;
	srv_say(s, SL("250 "));
	srv_say(s, s->conf->hostname);
	return say(s, SL("\r\n"));
}

/* One more line of the answer to EHLO; a parameter is a text. */
static void
offer(struct smtp_srv *s, struct slice keyword)
{
	srv_say(s, SL("\r\n250-"));
	srv_say(s, keyword);
}

static bool
has_ext(const struct smtp_srv *s, enum smtp_srv_exts ext)
{
	return (s->conf->exts & ext) != 0;
}

/* RFC 4865 4: for how long at most, and until when. */
static void
offer_futurerelease(struct smtp_srv *s)
{
	int64_t last = s->wall_us + HOLD_MAX_S * US_PER_S;
	char text[32];

	offer(s, SL("FUTURERELEASE "));
	buf_addu(&s->out, HOLD_MAX_S);
	buf_addc(&s->out, ' ');
	srv_say(s, slice_of(text, date_iso(text, last)));
}

static void
offer_exts(struct smtp_srv *s)
{
	if (has_ext(s, EXT_CHUNKING))
		offer(s, SL("CHUNKING"));
	if (has_ext(s, EXT_SMTPUTF8))
		offer(s, SL("SMTPUTF8"));
	if (has_ext(s, EXT_DSN))
		offer(s, SL("DSN"));
	if (has_ext(s, EXT_REQUIRETLS) && s->is_tls)
		offer(s, SL("REQUIRETLS"));
	if (has_ext(s, EXT_FUTURERELEASE) && s->wall_us > 0)
		offer_futurerelease(s);
	if (has_ext(s, EXT_MT_PRIORITY))
		offer(s, SL("MT-PRIORITY"));
	if (has_ext(s, EXT_LIMITS)) {
		offer(s, SL("LIMITS RCPTMAX="));
		buf_addu(&s->out, s->conf->rcpts_max);
		if (s->conf->messages_max > 0) {
			srv_say(s, SL(" MAILMAX="));
			buf_addu(&s->out, s->conf->messages_max);
		}
	}
	if (has_ext(s, EXT_DELIVERBY) && s->wall_us > 0)
		offer(s, SL("DELIVERBY"));
	if (s->trusts)
		offer(s, SL("XCLIENT NAME ADDR PORT PROTO HELO LOGIN"));
}

/* Where AUTH may be used, and has not been yet. */
static bool
offers_auth(const struct smtp_srv *s)
{
	return s->conf->auth.n > 0 && !s->is_authenticated &&
	    (s->is_tls || s->conf->auth_in_clear);
}

static enum smtp_srv_act
cmd_ehlo(struct smtp_srv *s, struct slice args)
{
	if (!hello(s, args, true))
		return SRV_NEED_INPUT;
	srv_say(s, SL("250-"));
	srv_say(s, s->conf->hostname);
	offer(s, SL("PIPELINING"));
	offer(s, SL("SIZE"));
	if (s->conf->size_max > 0) {
		buf_addc(&s->out, ' ');
		buf_addu(&s->out, s->conf->size_max);
	}
	if (s->conf->offers_tls && !s->is_tls)
		offer(s, SL("STARTTLS"));
	if (offers_auth(s)) {
		offer(s, SL("AUTH "));
		srv_say(s, s->conf->auth);
	}
	offer_exts(s);
	offer(s, SL("8BITMIME"));
	return say(s, SL("\r\n250 ENHANCEDSTATUSCODES\r\n"));
}

/* RFC 3207 4. */
static enum smtp_srv_act
cmd_starttls(struct smtp_srv *s, struct slice args)
{
	if (!s->conf->offers_tls)
		return fail(s, SL("502 5.5.1 TLS is not offered\r\n"));
	if (s->state != SRV_ST_READY || s->is_tls || !s->is_esmtp)
		return fail(s, bad_sequence);
	if (args.n > 0)
		return fail(s, srv_bad_argument);
	srv_say(s, SL("220 2.0.0 go ahead\r\n"));
	return srv_ask(s, SRV_STARTTLS);
}

/* ---- AUTH (RFC 4954 4) and XCLIENT -------------------------------------------- */

static bool
has_mechanism(const struct smtp_srv *s, struct slice name)
{
	struct slice rest = s->conf->auth;

	while (rest.n > 0)
		if (slice_ieq(slice_cut(&rest, ' '), name))
			return true;
	return false;
}

static enum smtp_srv_act
cmd_auth(struct smtp_srv *s, struct slice args)
{
	struct slice name = slice_of(args.p, slice_index(args, ' '));

	if (s->conf->auth.n == 0)
		return cmd_not_here(s, args);
	if (!s->is_tls && !s->conf->auth_in_clear)
		return fail(s, wants_tls);
	if (s->state != SRV_ST_READY || !s->is_esmtp || s->is_authenticated)
		return fail(s, bad_sequence);
	if (name.n == 0 || name.n > SMTP_MECH_MAX || !has_mechanism(s, name))
		return fail(s, SL("504 5.5.4 mechanism not offered\r\n"));
	args = slice_trim(slice_skip(keep(s, args), name.n));
	slice_copy(slice_of(s->line, name.n), s->mech, sizeof(s->mech));
	s->mechanism = slice_str(s->mech);
	/* "=": an initial response that is empty. */
	if (slice_eq(args, SL("=")))
		args.n = 0;
	else if (args.n == 0)
		args.p = NULL;
	s->auth = args;
	s->auth_begins = true;
	return srv_ask(s, SRV_AUTH);
}

enum smtp_srv_act
srv_auth_line(struct smtp_srv *s, struct slice line)
{
	s->state = SRV_ST_READY;
	if (slice_eq(line, SL("*")))
		return fail(s, SL("501 5.7.0 given up\r\n"));
	if (!scan_is_printable(line.p, line.n))
		return fail(s, SL("501 5.5.2 this is not base64\r\n"));
	s->auth = keep(s, line);
	s->auth_begins = false;
	return srv_ask(s, SRV_AUTH);
}

/* As Postfix has it; only for a client that the caller trusts. */
static enum smtp_srv_act
cmd_xclient(struct smtp_srv *s, struct slice args)
{
	if (!s->trusts)
		return fail(s, SL("550 5.7.0 XCLIENT is not for you\r\n"));
	if (s->state > SRV_ST_READY)
		return fail(s, bad_sequence);
	if (args.n == 0)
		return fail(s, srv_bad_argument);
	s->xclient = keep(s, args);
	return srv_ask(s, SRV_XCLIENT);
}

/* ---- MAIL (RFC 5321 4.1.1.2) ---------------------------------------------- */

/* "FROM:" or "TO:", then a path, then nothing or a blank. A blank before the
 * path is no syntax, but often met. 0 or an error. */
static int
path_argument(struct slice *args, struct slice tag, bool is_rcpt, bool utf8,
    struct smtp_path *path)
{
	int err;

	*args = slice_trim(slice_skip(*args, tag.n));
	err = smtp_path_parse(args, is_rcpt, utf8, path);
	if (err == 0 && args->n > 0 && args->p[0] != ' ')
		err = E_SYNTAX;
	return err;
}

static bool
is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

static enum smtp_srv_act
cmd_mail(struct smtp_srv *s, struct slice args)
{
	struct slice wrong;

	if (s->state != SRV_ST_READY)
		return fail(s, bad_sequence);
	if (s->conf->messages_max > 0 && s->messages >= s->conf->messages_max)
		return say_and_close(s,
		    SL("421 4.7.0 too many messages in one connection\r\n"));
	if (!slice_has_iprefix(args, SL("FROM:")))
		return refuse(s, STAGE_MAIL,
		    SL("501 5.5.2 MAIL FROM:<address>\r\n"));
	args = keep(s, args);
	if (path_argument(&args, SL("FROM:"), false, has_ext(s, EXT_SMTPUTF8),
		&s->path) != 0)
		return refuse(s, STAGE_MAIL,
		    SL("501 5.1.7 sender address is malformed\r\n"));
	wrong = srv_mail_params(s, args);
	if (wrong.n == 0 && !s->wishes.is_utf8 && !is_ascii(s->path.address))
		wrong = not_utf8;
	if (wrong.n > 0)
		return refuse(s, STAGE_MAIL, wrong);
	s->rcpts = 0;
	return srv_ask(s, SRV_MAIL);
}

/* ---- RCPT and DATA (RFC 5321 4.1.1.3, 4.1.1.4) ------------------------------ */

static enum smtp_srv_act
cmd_rcpt(struct smtp_srv *s, struct slice args)
{
	struct slice wrong;

	if (s->state != SRV_ST_MAIL && s->state != SRV_ST_RCPT)
		return fail(s, bad_sequence);
	if (!slice_has_iprefix(args, SL("TO:")))
		return refuse(s, STAGE_RCPT,
		    SL("501 5.5.2 RCPT TO:<address>\r\n"));
	args = keep(s, args);
	if (path_argument(&args, SL("TO:"), true, has_ext(s, EXT_SMTPUTF8),
		&s->path) != 0)
		return refuse(s, STAGE_RCPT,
		    SL("501 5.1.3 recipient address is malformed\r\n"));
	wrong = srv_rcpt_params(s, args);
	/* The null path is a sender only (4.1.1.3). */
	if (s->path.address.n == 0)
		wrong = SL("501 5.1.3 recipient address is malformed\r\n");
	else if (!s->wishes.is_utf8 && !is_ascii(s->path.address))
		wrong = not_utf8;
	if (wrong.n > 0)
		return refuse(s, STAGE_RCPT, wrong);
	/* 4.5.3.1.10. No fault of a client that sends the rest afterwards. */
	if (s->rcpts >= s->conf->rcpts_max) {
		s->refused = SL("452 4.5.3 too many recipients\r\n");
		s->refused_at = STAGE_RCPT;
		srv_say(s, s->refused);
		return SRV_REFUSED;
	}
	return srv_ask(s, SRV_RCPT);
}

static enum smtp_srv_act
cmd_data(struct smtp_srv *s, struct slice args)
{
	if (s->state == SRV_ST_MAIL)
		return fail(s, SL("554 5.5.1 no valid recipients\r\n"));
	if (s->state != SRV_ST_RCPT)
		return fail(s, bad_sequence);
	if (args.n > 0)
		return fail(s, srv_bad_argument);
	return srv_ask(s, SRV_DATA);
}

/* RFC 3030 2. The chunk follows whatever is said here, and is swallowed when
 * it is refused. */
static enum smtp_srv_act
cmd_bdat(struct smtp_srv *s, struct slice args)
{
	struct slice size = slice_cut(&args, ' ');
	bool is_last = slice_ieq(slice_trim(args), SL("LAST"));
	bool goes_on = s->state == SRV_ST_CHUNKS;
	uint64_t n;

	if (!has_ext(s, EXT_CHUNKING))
		return cmd_not_here(s, args);
	/* Its bytes would be taken for commands. */
	if (slice_u64(size, UINT64_MAX / 4, &n) != 0 ||
	    (!is_last && slice_trim(args).n > 0))
		return say_and_close(s,
		    SL("421 4.7.0 size of the chunk cannot be read\r\n"));
	srv_chunk_begin(s, n, is_last);
	if (goes_on) {
		s->state = SRV_ST_BODY;
		return SRV_NEED_INPUT;
	}
	if (s->state == SRV_ST_RCPT)
		return srv_ask(s, SRV_DATA);
	srv_chunk_refuse(s,
	    s->state == SRV_ST_MAIL ? SL("554 5.5.1 no valid recipients\r\n") :
				      bad_sequence);
	return SRV_NEED_INPUT;
}

/* ---- the rest --------------------------------------------------------------- */

static enum smtp_srv_act
cmd_rset(struct smtp_srv *s, struct slice args)
{
	if (args.n > 0)
		return fail(s, srv_bad_argument);
	srv_reset(s);
	return say(s, SL("250 2.0.0 ok\r\n"));
}

static enum smtp_srv_act
cmd_noop(struct smtp_srv *s, struct slice args)
{
	(void)args;
	return say(s, SL("250 2.0.0 ok\r\n"));
}

static enum smtp_srv_act
cmd_help(struct smtp_srv *s, struct slice args)
{
	(void)args;
	return say(s, SL("214 2.0.0 RFC 5321 is all the help there is\r\n"));
}

/* RFC 5321 3.5.3: neither yes nor no. */
static enum smtp_srv_act
cmd_vrfy(struct smtp_srv *s, struct slice args)
{
	if (args.n == 0)
		return fail(s, srv_bad_argument);
	return say(s, SL("252 2.1.5 send some mail, it may arrive\r\n"));
}

static enum smtp_srv_act
cmd_quit(struct smtp_srv *s, struct slice args)
{
	if (args.n > 0)
		return fail(s, srv_bad_argument);
	return say_and_close(s, SL("221 2.0.0 bye\r\n"));
}

/* A browser, or a page that makes one talk to us. It stays an ordinary unknown
 * command once somebody has said EHLO. */
static enum smtp_srv_act
cmd_http(struct smtp_srv *s, struct slice args)
{
	(void)args;
	if (s->state != SRV_ST_HELO)
		return fail(s, SL("500 5.5.1 command not recognised\r\n"));
	return say_and_close(s, SL("421 4.7.0 this is not HTTP\r\n"));
}

struct verb {
	struct slice name;
	enum smtp_srv_act (*run)(struct smtp_srv *s, struct slice args);
};

#define VERB(name, run)                                                        \
	{                                                                      \
		{ name, sizeof(name) - 1 }, run                                \
	}
/* The frequent ones first. */
static const struct verb verbs[] = {
	VERB("RCPT", cmd_rcpt),
	VERB("MAIL", cmd_mail),
	VERB("DATA", cmd_data),
	VERB("BDAT", cmd_bdat),
	VERB("EHLO", cmd_ehlo),
	VERB("QUIT", cmd_quit),
	VERB("RSET", cmd_rset),
	VERB("HELO", cmd_helo),
	VERB("STARTTLS", cmd_starttls),
	VERB("AUTH", cmd_auth),
	VERB("XCLIENT", cmd_xclient),
	VERB("NOOP", cmd_noop),
	VERB("VRFY", cmd_vrfy),
	VERB("HELP", cmd_help),
	VERB("EXPN", cmd_not_here),
	VERB("ETRN", cmd_not_here),
	VERB("TURN", cmd_not_here),
	VERB("SEND", cmd_not_here),
	VERB("SOML", cmd_not_here),
	VERB("SAML", cmd_not_here),
	VERB("GET", cmd_http),
	VERB("POST", cmd_http),
	VERB("HEAD", cmd_http),
	VERB("PUT", cmd_http),
	VERB("CONNECT", cmd_http),
	VERB("OPTIONS", cmd_http),
};

static const struct verb *
verb_find(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (slice_ieq(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

/* Where there must be a greeting first, RFC 5321 4.1.4. */
static bool
is_too_early(const struct smtp_srv *s, const struct verb *v)
{
	return s->state == SRV_ST_HELO &&
	    (v->run == cmd_mail || v->run == cmd_rcpt || v->run == cmd_data ||
		v->run == cmd_starttls || v->run == cmd_auth);
}

/* Bytes that a command may have; the addresses of MAIL and RCPT may be UTF-8
 * (RFC 6531 3.3). */
static bool
is_text(const struct smtp_srv *s, const struct verb *v, struct slice line)
{
	uint32_t code;
	size_t n;

	if (scan_is_printable(line.p, line.n))
		return true;
	if (v == NULL || !has_ext(s, EXT_SMTPUTF8) ||
	    (v->run != cmd_mail && v->run != cmd_rcpt))
		return false;
	for (; line.n > 0; line = slice_skip(line, n)) {
		n = slice_utf8(line, &code);
		if (n == 0 || code < ' ' || (code >= 0x7f && code < 0xa0))
			return false;
	}
	return true;
}

/* The reply to a line with bytes that commands do not have. An address with
 * some is told apart: SMTPUTF8 (RFC 6531) may not be offered. */
static struct slice
no_text(const struct smtp_srv *s, const struct verb *v, struct slice line)
{
	bool is_utf8 = v != NULL && (v->run == cmd_mail || v->run == cmd_rcpt);

	for (size_t i = 0; i < line.n; i++)
		is_utf8 &= (unsigned char)line.p[i] >= ' ' && line.p[i] != 0x7f;
	return is_utf8 && !has_ext(s, EXT_SMTPUTF8) ?
	    not_utf8 :
	    SL("500 5.5.2 no command in this line\r\n");
}

/* Between two chunks only what RFC 3030 2 lets through. */
static bool
is_misplaced(const struct smtp_srv *s, const struct verb *v)
{
	return s->state == SRV_ST_CHUNKS &&
	    (v->run == cmd_mail || v->run == cmd_rcpt || v->run == cmd_data);
}

enum smtp_srv_act
srv_command(struct smtp_srv *s, struct slice line)
{
	const struct verb *v;
	struct slice name;

	/* RFC 5321 4.1.1: blanks before the CRLF are to be tolerated. */
	line = slice_trim(line);
	name = slice_of(line.p, slice_index(line, ' '));
	v = verb_find(name);
	if (line.n == 0 || !is_text(s, v, line))
		return fail(s, no_text(s, v, line));
	if (v == NULL)
		return fail(s, SL("500 5.5.1 command not recognised\r\n"));
	if (is_too_early(s, v))
		return fail(s, SL("503 5.5.1 EHLO first\r\n"));
	if (is_misplaced(s, v))
		return fail(s, bad_sequence);
	return v->run(s, slice_trim(slice_skip(line, name.n)));
}
