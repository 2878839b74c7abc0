/*
 * proto/smtp_cli.c - the session of the SMTP client: banner, EHLO, STARTTLS,
 * QUIT, deadlines, and every way in which a session ends.
 *
 * The peer is hostile: replies are bounded by the parser, a reply that answers
 * nothing ends the session, and so does one whose class makes no sense where
 * it stands (a 354 to RCPT, a 250 to DATA). After the end no byte is read or
 * written; what was queued is settled in order, then CLI_DOWN is given for as
 * long as anybody asks.
 */
#include "proto/smtp_cli_i.h"

#define OUT_KEPT 1024 /* bytes of memory that `out` keeps when it is empty */

void
smtp_cli_conf_default(struct smtp_cli_conf *c)
{
	*c = (struct smtp_cli_conf){ .pipelines = true,
		.chains = true,
		.wants_tls = true,
#define X(name, dflt) .name = (dflt),
		SMTP_CLI_TIMEOUTS(X)
#undef X
	};
}

struct smtp_cli *
smtp_cli_new(const struct smtp_cli_conf *conf, int64_t now_us)
{
	struct smtp_cli *c = mem_try(sizeof(*c));

	if (c == NULL)
		return NULL;
	c->conf = conf;
	c->since_us = now_us;
	if (conf->starts_tls) {
		c->state = CLI_ST_TLS;
		c->tells_tls = true;
	}
	buf_init(&c->out, SMTP_CLI_OUT_MAX);
	reply_parser_init(&c->parser);
	return c;
}

void
smtp_cli_free(struct smtp_cli *c)
{
	if (c == NULL)
		return;
	buf_free(&c->out);
	reply_parser_free(&c->parser);
	mem_free(c->result.text);
	mem_free(c->result.rcpt);
	mem_free(c);
}

/* ---- what the caller may look at ----------------------------------------- */

struct buf *
smtp_cli_out(struct smtp_cli *c)
{
	return &c->out;
}

uint32_t
smtp_cli_caps(const struct smtp_cli *c)
{
	return c->caps;
}

bool
smtp_cli_refuses_bdat(const struct smtp_cli *c)
{
	return c->refuses_bdat;
}

uint64_t
smtp_cli_peer_size_max(const struct smtp_cli *c)
{
	return c->size_max;
}

const struct smtp_cli_result *
smtp_cli_result(const struct smtp_cli *c)
{
	return &c->result;
}

const struct outcome *
smtp_cli_down(const struct smtp_cli *c, struct slice *text)
{
	if (text != NULL)
		*text = cli_down_text(c);
	return &c->down;
}

uint32_t
smtp_cli_room(const struct smtp_cli *c)
{
	if (c->state != CLI_ST_UP || c->quits)
		return 0;
	return CLI_TXNS - c->ntxns;
}

/* ---- the end -------------------------------------------------------------- */

static void
enter(struct smtp_cli *c, enum cli_state state, int64_t now_us)
{
	c->state = state;
	c->since_us = now_us;
}

void
cli_fall(struct smtp_cli *c, struct outcome why, struct slice text)
{
	if (c->state == CLI_ST_DOWN)
		return;
	c->down = why;
	reply_say(&c->parser.now, text);
	c->tells_up = c->tells_auth = c->tells_tls = false;
	c->state = CLI_ST_DOWN;
}

/* Where we are: the session's own stage, or that of its oldest message. */
static enum stage
stage_now(const struct smtp_cli *c)
{
	static const uint8_t stages[] = {
#define X(name, deadline, stage) [name] = (stage),
		SMTP_CLI_STATES(X)
#undef X
	};

	return c->state == CLI_ST_UP ? cli_txn_stage(c) : stages[c->state];
}

/* The end because TLS is a must and cannot be had: X.7.4 where it is not
 * offered, X.7.5 where it is and fails (RFC 3463 3.8). */
static void
fall_unsafe(struct smtp_cli *c, uint8_t detail, struct slice text)
{
	struct outcome why = { .klass = OUTCOME_TRANSIENT,
		.stage = STAGE_TLS,
		.code = 454,
		.enh = { 4, 7, detail } };
	struct buf b;

	buf_init(&b, REPLY_TEXT_MAX);
	buf_adds(&b, c->conf->tls_policy);
	buf_adds(&b, SL(": "));
	buf_adds(&b, slice_of(text.p, MIN(text.n, 256u)));
	cli_fall(c, why, buf_slice(&b));
	buf_free(&b);
}

static void
fall_not_offered(struct smtp_cli *c, struct slice text)
{
	buf_adds(&c->out, SL("QUIT\r\n"));
	fall_unsafe(c, 4, text);
}

/* The end by no reply: loss, time-out, nonsense. */
static void
fall_silent(struct smtp_cli *c, struct slice text)
{
	struct outcome why = { .klass = OUTCOME_TRANSIENT,
		.stage = (uint8_t)stage_now(c) };

	if (c->state == CLI_ST_QUIT || (c->state == CLI_ST_UP && c->ntxns == 0))
		why.klass = OUTCOME_NONE;
	/* A peer may refuse a handshake after our side of it is over. */
	if (c->is_tls &&
	    c->state == (c->conf->starts_tls ? CLI_ST_BANNER : CLI_ST_EHLO))
		why.stage = STAGE_TLS;
	if (c->conf->needs_tls &&
	    (why.stage == STAGE_TLS || why.stage == STAGE_STARTTLS))
		fall_unsafe(c, 5, text);
	else
		cli_fall(c, why, text);
}

/* The end by a reply that refuses. */
static void
fall_refused(struct smtp_cli *c, const struct reply *r)
{
	struct outcome why = { .klass = OUTCOME_TRANSIENT,
		.stage = (uint8_t)stage_now(c),
		.code = r->code,
		.enh = r->enh };

	if (r->code / 100 == 5)
		why.klass = OUTCOME_BOUNCED;
	cli_fall(c, why, reply_text(r));
}

/* ---- greetings ------------------------------------------------------------ */

static void go_up(struct smtp_cli *c, int64_t now_us);

static void
say_hello(struct smtp_cli *c, enum cli_state state, int64_t now_us)
{
	c->caps_seen = 0;
	c->size_seen = 0;
	c->lines_seen = 0;
	c->mechanisms[0] = '\0';
	buf_adds(&c->out,
	    state == CLI_ST_HELO ? SL("HELO ") :
		c->conf->is_lmtp ? SL("LHLO ") :
				   SL("EHLO "));
	buf_adds(&c->out, c->conf->ehlo_name);
	buf_adds(&c->out, SL("\r\n"));
	enter(c, state, now_us);
}

/* One line of the answer to EHLO, RFC 5321 4.1.1.1; the first is a greeting. */
static void
on_ehlo_line(void *ctx, struct slice text)
{
	static const struct {
		struct slice keyword;
		uint32_t cap;
	} known[] = {
		{ { "PIPELINING", 10 }, CAP_PIPELINING },
		{ { "SIZE", 4 }, CAP_SIZE },
		{ { "8BITMIME", 8 }, CAP_8BITMIME },
		{ { "STARTTLS", 8 }, CAP_STARTTLS },
		{ { "ENHANCEDSTATUSCODES", 19 }, CAP_ENHANCED },
		{ { "SMTPUTF8", 8 }, CAP_SMTPUTF8 },
		{ { "CHUNKING", 8 }, CAP_CHUNKING },
		{ { "DSN", 3 }, CAP_DSN },
		{ { "AUTH", 4 }, CAP_AUTH },
		{ { "REQUIRETLS", 10 }, CAP_REQUIRETLS },
		{ { "DELIVERBY", 9 }, CAP_DELIVERBY },
	};
	struct smtp_cli *c = ctx;
	struct slice word = slice_of(text.p, slice_index(text, ' '));

	if (c->lines_seen++ == 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (slice_ieq(word, known[i].keyword))
			c->caps_seen |= known[i].cap;
	/* RFC 1870 4: no number, or 0, is no limit. */
	if (slice_ieq(word, SL("SIZE")) &&
	    slice_u64(slice_trim(slice_skip(text, word.n)), UINT64_MAX,
		&c->size_seen) != 0)
		c->size_seen = 0;
	if (slice_ieq(word, SL("AUTH")))
		slice_copy(slice_trim(slice_skip(text, word.n)), c->mechanisms,
		    sizeof(c->mechanisms));
}

/* ---- logging in (RFC 4954) -------------------------------------------------- */

/* Nobody is bounced because our password is wrong: mail waits. */
static void
fall_auth(struct smtp_cli *c, uint16_t code, struct enh enh, struct slice text)
{
	struct outcome why = { .klass = OUTCOME_TRANSIENT,
		.stage = STAGE_AUTH,
		.code = code,
		.enh = enh };
	struct buf b;

	buf_adds(&c->out, SL("QUIT\r\n"));
	buf_init(&b, REPLY_TEXT_MAX);
	buf_adds(&b, SL("logging in: "));
	buf_adds(&b, slice_of(text.p, MIN(text.n, 400u)));
	cli_fall(c, why, buf_slice(&b));
	buf_free(&b);
}

static void
auth_begin(struct smtp_cli *c, int64_t now_us)
{
	struct enh enh = { 4, 7, 0 };

	if (!c->is_tls && !c->conf->auth_in_clear) {
		fall_auth(c, 454, enh,
		    SL("there is no TLS, and the password is not for all to "
		       "read"));
		return;
	}
	if (!(c->caps & CAP_AUTH)) {
		fall_auth(c, 454, enh, SL("the host does not offer AUTH"));
		return;
	}
	enter(c, CLI_ST_AUTH, now_us);
	c->auth_code = 0;
	c->tells_auth = true;
}

uint16_t
smtp_cli_auth_asks(const struct smtp_cli *c, struct slice *text)
{
	*text = c->auth_code == 0 ? slice_str(c->mechanisms) :
				    reply_text(&c->parser.now);
	return c->auth_code;
}

void
smtp_cli_auth_say(struct smtp_cli *c, struct slice line, int64_t now_us)
{
	if (c->state != CLI_ST_AUTH)
		return;
	ASSERT(c->auth_code != 235);
	buf_adds(&c->out, line);
	buf_adds(&c->out, SL("\r\n"));
	c->since_us = now_us;
}

void
smtp_cli_auth_end(struct smtp_cli *c, struct slice why, int64_t now_us)
{
	if (c->state != CLI_ST_AUTH)
		return;
	if (why.n > 0)
		fall_auth(c, 454, (struct enh){ 4, 7, 0 }, why);
	else
		go_up(c, now_us);
}

static void
auth_reply(struct smtp_cli *c, const struct reply *r)
{
	int klass = r->code / 100;

	if (r->code == 334 || r->code == 235) {
		c->auth_code = r->code;
		c->tells_auth = true;
	} else if (klass == 4 || klass == 5) {
		fall_auth(c, r->code, r->enh, reply_text(r));
	} else {
		fall_silent(c, SL("unexpected reply"));
	}
}

/* ---- up --------------------------------------------------------------------- */

static void
go_up_or_in(struct smtp_cli *c, int64_t now_us)
{
	if (c->conf->user.n > 0)
		auth_begin(c, now_us);
	else
		go_up(c, now_us);
}

static void
go_up(struct smtp_cli *c, int64_t now_us)
{
	c->tells_up = true;
	enter(c, CLI_ST_UP, now_us);
	cli_pump(c, now_us);
}

/* Is it the end of the session that the peer does not offer STARTTLS? */
static bool
needs_offer(const struct smtp_cli *c)
{
	return c->conf->needs_tls && !c->is_tls && !c->conf->requires_tls;
}

static void
ehlo_done(struct smtp_cli *c, int64_t now_us)
{
	c->caps = c->caps_seen | CAP_ESMTP;
	c->size_max = c->size_seen;
	if (needs_offer(c) && !(c->caps & CAP_STARTTLS)) {
		fall_not_offered(c, SL("the host does not offer STARTTLS"));
		return;
	}
	if (!c->conf->wants_tls || c->is_tls || !(c->caps & CAP_STARTTLS)) {
		go_up_or_in(c, now_us);
		return;
	}
	buf_adds(&c->out, SL("STARTTLS\r\n"));
	enter(c, CLI_ST_STARTTLS, now_us);
}

/* A reply before the session is up. Which of the four commands it answers is
 * told by the state. */
static void
greeting_reply(struct smtp_cli *c, const struct reply *r, int64_t now_us)
{
	int klass = r->code / 100;
	bool is_refusal = klass == 4 || klass == 5;

	if (c->state == CLI_ST_BANNER && r->code == 220)
		say_hello(c, CLI_ST_EHLO, now_us);
	else if (c->state == CLI_ST_EHLO && r->code == 250)
		ehlo_done(c, now_us);
	else if (c->state == CLI_ST_EHLO && klass == 5 && !c->conf->is_lmtp)
		/* RFC 5321 3.2: the older greeting is worth a try. */
		say_hello(c, CLI_ST_HELO, now_us);
	else if (c->state == CLI_ST_HELO && r->code == 250 && needs_offer(c))
		fall_not_offered(c, SL("the host does not know EHLO"));
	else if (c->state == CLI_ST_HELO && r->code == 250)
		go_up_or_in(c, now_us);
	else if (c->state == CLI_ST_STARTTLS && r->code == 220)
		enter(c, CLI_ST_TLS, now_us);
	else if (c->state == CLI_ST_STARTTLS && is_refusal &&
	    c->conf->needs_tls)
		fall_not_offered(c, reply_text(r));
	else if (c->state == CLI_ST_STARTTLS && is_refusal && r->code != 421)
		go_up_or_in(c, now_us); /* opportunistic: in clear text */
	else if (is_refusal)
		fall_refused(c, r);
	else
		fall_silent(c, SL("unexpected reply"));
}

void
smtp_cli_tls_done(struct smtp_cli *c, bool ok, struct slice why, int64_t now_us)
{
	if (c->state == CLI_ST_DOWN)
		return;
	ASSERT(c->state == CLI_ST_TLS);
	if (!ok) {
		fall_silent(c, why);
		return;
	}
	/* RFC 3207 4.2: what the peer offered in clear text is forgotten. */
	c->is_tls = true;
	c->caps = 0;
	c->size_max = 0;
	if (c->conf->starts_tls)
		enter(c, CLI_ST_BANNER, now_us);
	else
		say_hello(c, CLI_ST_EHLO, now_us);
}

/* ---- time and transport ---------------------------------------------------- */

int64_t
smtp_cli_deadline(const struct smtp_cli *c)
{
	int64_t ms[] = {
#define X(name, deadline, stage) [name] = c->conf->deadline,
		SMTP_CLI_STATES(X)
#undef X
	};
	int64_t patience = ms[c->state];

	if (c->state == CLI_ST_DOWN)
		return TIME_NEVER;
	if (c->state == CLI_ST_UP && c->ntxns > 0)
		patience = cli_txn_patience_ms(c);
	return c->since_us + patience * US_PER_MS;
}

void
smtp_cli_timeout(struct smtp_cli *c, int64_t now_us)
{
	if (c->state == CLI_ST_UP && c->ntxns == 0)
		smtp_cli_quit(c, now_us);
	else
		fall_silent(c, SL("timed out"));
}

void
smtp_cli_flushed(struct smtp_cli *c, int64_t now_us)
{
	enum stage stage = cli_txn_stage(c);

	/* While it only waits for the peer, a session shall hold little. */
	if (!c->body_is_open && c->out.n == 0 && c->out.cap > OUT_KEPT)
		buf_free(&c->out);
	if (c->state == CLI_ST_UP &&
	    (stage == STAGE_BODY || stage == STAGE_EOM))
		c->since_us = now_us;
}

void
smtp_cli_gone(struct smtp_cli *c, struct slice why, int64_t now_us)
{
	(void)now_us;
	c->is_lost = true;
	fall_silent(c, why);
}

void
smtp_cli_quit(struct smtp_cli *c, int64_t now_us)
{
	c->quits = true;
	if (c->state == CLI_ST_UP)
		cli_pump(c, now_us);
}

/* ---- steps ----------------------------------------------------------------- */

static void
take_reply(struct smtp_cli *c, const struct reply *r, int64_t now_us)
{
	if (c->state == CLI_ST_UP)
		cli_txn_reply(c, r, now_us);
	else if (c->state == CLI_ST_QUIT)
		fall_silent(c, reply_text(r));
	else if (c->state == CLI_ST_AUTH)
		auth_reply(c, r);
	else
		greeting_reply(c, r, now_us);
}

/* Eats input up to the end of a reply, and acts on it. */
static void
step_input(struct smtp_cli *c, struct slice *in, int64_t now_us)
{
	int rc = reply_parse(&c->parser, in,
	    c->state == CLI_ST_EHLO ? on_ehlo_line : NULL, c);

	if (rc < 0)
		fall_silent(c, SL("not a reply"));
	else if (rc > 0)
		take_reply(c, &c->parser.now, now_us);
}

/* What is due before any input is read; CLI_NEED_INPUT when nothing is. */
static enum smtp_cli_act
step_due(struct smtp_cli *c, int64_t now_us)
{
	struct cli_txn *t = cli_oldest(c);

	if (c->out.failed)
		smtp_cli_body_broken(c);
	if (c->tells_tls) {
		c->tells_tls = false;
		return CLI_STARTTLS;
	}
	if (c->tells_auth) {
		c->tells_auth = false;
		return CLI_AUTH;
	}
	if (c->tells_up) {
		c->tells_up = false;
		return CLI_UP;
	}
	if (t != NULL && (c->state == CLI_ST_DOWN || cli_txn_is_over(t))) {
		cli_txn_finish(c, now_us);
		return CLI_RESULT;
	}
	return c->state == CLI_ST_DOWN ? CLI_DOWN : CLI_NEED_INPUT;
}

enum smtp_cli_act
smtp_cli_step(struct smtp_cli *c, struct slice *in, int64_t now_us)
{
	for (;;) {
		enum smtp_cli_act act = step_due(c, now_us);

		if (act != CLI_NEED_INPUT) {
			if (act == CLI_DOWN)
				*in = slice_skip(*in, in->n);
			return act;
		}
		if (c->state == CLI_ST_TLS || in->n == 0)
			break;
		step_input(c, in, now_us);
		if (c->state == CLI_ST_TLS) {
			/* CVE-2011-0411: clear text behind the 220 must not be
			 * read as if it had come through TLS. */
			*in = slice_skip(*in, in->n);
			return CLI_STARTTLS;
		}
	}
	return c->body_is_open ? CLI_BODY : CLI_NEED_INPUT;
}
