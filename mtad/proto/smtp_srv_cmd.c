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
static const struct slice bad_argument =
    SL("501 5.5.4 argument is wrong or missing\r\n");
static const struct slice bad_param =
    SL("555 5.5.4 parameter not recognised\r\n");

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

static enum smtp_srv_act
cmd_ehlo(struct smtp_srv *s, struct slice args)
{
	if (!hello(s, args, true))
		return SRV_NEED_INPUT;
	srv_say(s, SL("250-"));
	srv_say(s, s->conf->hostname);
	srv_say(s, SL("\r\n250-PIPELINING\r\n250-SIZE"));
	if (s->conf->size_max > 0) {
		buf_addc(&s->out, ' ');
		buf_addu(&s->out, s->conf->size_max);
	}
	if (s->conf->offers_tls && !s->is_tls)
		srv_say(s, SL("\r\n250-STARTTLS"));
	return say(s, SL("\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"));
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
		return fail(s, bad_argument);
	srv_say(s, SL("220 2.0.0 go ahead\r\n"));
	return srv_ask(s, SRV_STARTTLS);
}

/* ---- MAIL (RFC 5321 4.1.1.2) ---------------------------------------------- */

/* Moves args to s->line, where the path may stay until the answer. */
static struct slice
keep(struct smtp_srv *s, struct slice args)
{
	ASSERT(args.n <= sizeof(s->line));
	memmove(s->line, args.p, args.n);
	return slice_of(s->line, args.n);
}

/* "FROM:" or "TO:", then a path, then nothing or a blank. A blank before the
 * path is no syntax, but often met. 0 or an error. */
static int
path_argument(struct slice *args, struct slice tag, bool is_rcpt,
    struct smtp_path *path)
{
	int err;

	*args = slice_trim(slice_skip(*args, tag.n));
	err = smtp_path_parse(args, is_rcpt, false, path);
	if (err == 0 && args->n > 0 && args->p[0] != ' ')
		err = E_SYNTAX;
	return err;
}

/* SIZE=, RFC 1870 3: up to 20 digits. */
static struct slice
param_size(struct smtp_srv *s, struct slice value)
{
	int err = slice_u64(value, UINT64_MAX, &s->size);

	/* What does not fit 64 bits is too large all the same. */
	if (err == E_RANGE)
		s->size = UINT64_MAX;
	else if (err != 0)
		return bad_argument;
	return value.n > 20 ? bad_argument : SL("");
}

/* BODY=, RFC 6152 2. */
static struct slice
param_body(struct smtp_srv *s, struct slice value)
{
	s->is_8bit = slice_ieq(value, SL("8BITMIME"));
	if (!s->is_8bit && !slice_ieq(value, SL("7BIT")))
		return bad_argument;
	return SL("");
}

/* An empty slice, or the reply to what is wrong. */
static struct slice
mail_params(struct smtp_srv *s, struct slice params)
{
	struct slice key, value, wrong = SL("");

	while (wrong.n == 0 && smtp_param_next(&params, &key, &value)) {
		if (slice_ieq(key, SL("SIZE")))
			wrong = param_size(s, value);
		else if (slice_ieq(key, SL("BODY")))
			wrong = param_body(s, value);
		else
			wrong = bad_param;
	}
	if (wrong.n == 0 && s->conf->size_max > 0 &&
	    s->size > s->conf->size_max)
		wrong = SL("552 5.3.4 message is larger than we take\r\n");
	return wrong;
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
	if (path_argument(&args, SL("FROM:"), false, &s->path) != 0)
		return refuse(s, STAGE_MAIL,
		    SL("501 5.1.7 sender address is malformed\r\n"));
	s->size = 0;
	s->is_8bit = s->is_utf8 = false;
	s->rcpts = 0;
	wrong = mail_params(s, args);
	if (wrong.n > 0)
		return refuse(s, STAGE_MAIL, wrong);
	return srv_ask(s, SRV_MAIL);
}

/* ---- RCPT and DATA (RFC 5321 4.1.1.3, 4.1.1.4) ------------------------------ */

static enum smtp_srv_act
cmd_rcpt(struct smtp_srv *s, struct slice args)
{
	if (s->state != SRV_ST_MAIL && s->state != SRV_ST_RCPT)
		return fail(s, bad_sequence);
	if (!slice_has_iprefix(args, SL("TO:")))
		return refuse(s, STAGE_RCPT,
		    SL("501 5.5.2 RCPT TO:<address>\r\n"));
	args = keep(s, args);
	/* The null path is a sender only (4.1.1.3). */
	if (path_argument(&args, SL("TO:"), true, &s->path) != 0 ||
	    s->path.address.n == 0)
		return refuse(s, STAGE_RCPT,
		    SL("501 5.1.3 recipient address is malformed\r\n"));
	if (args.n > 0)
		return refuse(s, STAGE_RCPT, bad_param);
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
		return fail(s, bad_argument);
	return srv_ask(s, SRV_DATA);
}

/* ---- the rest --------------------------------------------------------------- */

static enum smtp_srv_act
cmd_rset(struct smtp_srv *s, struct slice args)
{
	if (args.n > 0)
		return fail(s, bad_argument);
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
		return fail(s, bad_argument);
	return say(s, SL("252 2.1.5 send some mail, it may arrive\r\n"));
}

static enum smtp_srv_act
cmd_quit(struct smtp_srv *s, struct slice args)
{
	if (args.n > 0)
		return fail(s, bad_argument);
	return say_and_close(s, SL("221 2.0.0 bye\r\n"));
}

static enum smtp_srv_act
cmd_not_here(struct smtp_srv *s, struct slice args)
{
	(void)args;
	return fail(s, SL("502 5.5.1 command not implemented\r\n"));
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
	VERB("EHLO", cmd_ehlo),
	VERB("QUIT", cmd_quit),
	VERB("RSET", cmd_rset),
	VERB("HELO", cmd_helo),
	VERB("STARTTLS", cmd_starttls),
	VERB("NOOP", cmd_noop),
	VERB("VRFY", cmd_vrfy),
	VERB("HELP", cmd_help),
	VERB("EXPN", cmd_not_here),
	VERB("AUTH", cmd_not_here),
	VERB("BDAT", cmd_not_here),
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
		v->run == cmd_starttls);
}

/* The reply to a line with bytes that commands do not have. An address with
 * some is told apart: SMTPUTF8 (RFC 6531) is not offered here. */
static struct slice
no_ascii(const struct verb *v, struct slice line)
{
	bool is_utf8 = v != NULL && (v->run == cmd_mail || v->run == cmd_rcpt);

	for (size_t i = 0; i < line.n; i++)
		is_utf8 &= (unsigned char)line.p[i] >= ' ' && line.p[i] != 0x7f;
	return is_utf8 ? SL("553 5.6.7 addresses are ASCII only here\r\n") :
			 SL("500 5.5.2 no command in this line\r\n");
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
	if (line.n == 0 || !scan_is_printable(line.p, line.n))
		return fail(s, no_ascii(v, line));
	if (v == NULL)
		return fail(s, SL("500 5.5.1 command not recognised\r\n"));
	if (is_too_early(s, v))
		return fail(s, SL("503 5.5.1 EHLO first\r\n"));
	return v->run(s, slice_trim(slice_skip(line, name.n)));
}
