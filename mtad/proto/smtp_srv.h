/*
 * proto/smtp_srv.h - the receiver's half of an SMTP conversation (RFC 5321,
 * 1870, 2034, 2852, 2920, 3030, 3207, 3461, 4865, 4954, 6152, 6531, 6710, 8689, 9422),
 * sans I/O.
 *
 * Use: put bytes into smtp_srv_step(); it consumes what it can and stops at an
 * act. Replies gather in s->out; the caller flushes them once per turn.
 *
 *	while ((act = smtp_srv_step(s, &in, now)) != SRV_NEED_INPUT)
 *		switch (act) ...
 *
 * Acts marked (answer) wait: until the answer is given every further step
 * returns SRV_WAIT and eats nothing, so pipelined input is held back in order.
 *
 * Only CRLF "." CRLF ends a message. What follows a STARTTLS command in clear
 * text is discarded. A bare CR or LF inside a message is refused with
 * 550 5.6.0 after the message has been swallowed to its end, or made CRLF by
 * option. NUL in a message is refused in the same way. This holds for BDAT too
 * (BINARYMIME is not offered): what comes in chunks may leave by DATA. A chunk
 * whose size cannot be read ends the session, for its bytes cannot be told from
 * commands.
 */
#ifndef PROTO_SMTP_SRV_H
#define PROTO_SMTP_SRV_H

#include "mail/mail.h"
#include "proto/syntax.h"

#define SMTP_LINE_MAX 2048 /* command line with CRLF: 512 and extensions */
#define SMTP_MECH_MAX 20   /* name of a SASL mechanism, RFC 4422 3.1 */
#define SMTP_AUTH_TRIES 3  /* refused so often, the session is closed */
#define SMTP_REPLY_MAX 512 /* reply line with CRLF, RFC 5321 4.5.3.1.5 */
/* Replies that wait to be sent; a peer that makes more of them without reading
 * any is closed. */
#define SMTP_SRV_OUT_MAX (256u << 10)

/* Deadlines per state, RFC 5321 4.5.3.2, in ms. */
#define SMTP_SRV_TIMEOUTS(X)                                                   \
	X(command_ms, 300000) /* waiting for a command: 5 min */               \
	X(body_ms, 180000)    /* waiting for the next body block: 3 min */     \
	X(eom_ms, 600000)     /* whole life of an unanswered act: 10 min */    \
	X(tls_ms, 60000)

/* What EHLO may offer beside the five that are always offered, in this order. */
enum smtp_srv_exts {
	EXT_CHUNKING = 1 << 0,      /* RFC 3030 */
	EXT_SMTPUTF8 = 1 << 1,      /* RFC 6531 */
	EXT_DSN = 1 << 2,           /* RFC 3461 */
	EXT_REQUIRETLS = 1 << 3,    /* RFC 8689, under TLS */
	EXT_FUTURERELEASE = 1 << 4, /* RFC 4865, where the wall clock is told */
	EXT_MT_PRIORITY = 1 << 5,   /* RFC 6710 */
	EXT_LIMITS = 1 << 6,        /* RFC 9422 */
	EXT_DELIVERBY = 1 << 7,     /* RFC 2852, where the wall clock is told */
};
#define SMTP_SRV_EXTS_ALL 0xffu

#define HOLD_MAX_S (366u * 86400) /* FUTURERELEASE: a year */

struct smtp_srv_conf {
	struct slice hostname;
	struct slice banner; /* behind "220 hostname "; empty: "ESMTP" */
	uint64_t size_max;   /* bytes of a message; 0 = none */
	uint32_t rcpts_max;  /* accepted recipients of one message: then 452 */
	uint32_t errors_max; /* 4xx/5xx since the last accepted message; then
			      * 421 and close; 0 = none. Not counted: 452 4.5.3,
			      * and refused recipients beside accepted ones */
	uint32_t body_line_max; /* bytes without CRLF; 0 = none */
	uint32_t messages_max;  /* of one connection, then 421; 0 = none */
	uint32_t exts;          /* enum smtp_srv_exts */
	/* SASL mechanisms, blanks between them; empty: AUTH is not offered. It is
	 * only under TLS, unless auth_in_clear. */
	struct slice auth;
	bool auth_in_clear;
	bool offers_tls;
	bool normalises_bare; /* bare CR/LF become CRLF instead of 550 */
#define X(name, dflt) int64_t name;
	SMTP_SRV_TIMEOUTS(X)
#undef X
};
/* Sets every field to its default (hostname and banner empty, sizes 50 MB, 1000
 * recipients, 20 errors, lines of 65,536). */
void smtp_srv_conf_default(struct smtp_srv_conf *c);

enum smtp_srv_act {
	SRV_NEED_INPUT, /* feed more bytes */
	SRV_WAIT,       /* an act is still unanswered */
	SRV_MAIL,       /* (answer) s->path, s->size, s->is_8bit: a sender */
	SRV_RCPT,       /* (answer) s->path: a recipient */
	SRV_DATA,       /* (answer) smtp_srv_go_ahead, or smtp_srv_reply */
	SRV_BODY,       /* s->body: next piece, dots unstuffed, CRLF ends */
	SRV_EOM,        /* (answer) the message is whole; s->body_bytes */
	SRV_ABORT,      /* forget the transaction: RSET, EHLO, QUIT, a refused
			 * body (smtp_srv_refuse_body too), or the session ends */
	SRV_REFUSED,    /* MAIL, RCPT or a body was refused by the machine: for
			 * the books; s->refused, s->refused_at */
	SRV_STARTTLS,   /* (answer) flush, handshake, smtp_srv_tls_done */
	SRV_AUTH,       /* (answer) s->mechanism, s->auth: what the client says,
			 * in base64; smtp_srv_auth_more or _done. s->auth.p is
			 * NULL where AUTH came without an initial response */
	SRV_XCLIENT,    /* (answer) s->xclient: attributes, by a trusted client;
			 * smtp_srv_xclient_done, or smtp_srv_reply */
	SRV_CLOSE,      /* flush, then close */
};

enum smtp_srv_state {
	SRV_ST_HELO,
	SRV_ST_AUTH, /* between two lines of a SASL exchange */
	SRV_ST_READY,
	SRV_ST_MAIL,
	SRV_ST_RCPT,
	SRV_ST_CHUNKS,  /* between two chunks of a message */
	SRV_ST_BODY,    /* in a message, or in a chunk of one */
	SRV_ST_SWALLOW, /* body that is already refused */
	SRV_ST_CLOSED,
};

/* What the parameters of MAIL ask for. Texts point into s->line. */
struct smtp_srv_wishes {
	uint64_t size;         /* SIZE=, 0 = not given */
	uint8_t ret;           /* ENV_RET_HDRS, ENV_RET_FULL or 0 */
	struct slice envid;    /* xtext */
	int64_t hold_until_us; /* FUTURERELEASE, wall clock; 0 = not given */
	/* DELIVERBY: until when, wall clock, 0 = not given; and how: the flags
	 * ENV_BY_RETURN, ENV_BY_TRACE. */
	int64_t by_us;
	uint32_t by;
	int8_t priority; /* MT-PRIORITY: -9 .. 9 */
	bool is_8bit, is_utf8;
	bool requires_tls;
};

struct smtp_srv {
	const struct smtp_srv_conf *conf;
	struct buf out; /* replies to send */
	enum smtp_srv_state state;
	uint8_t waits_for; /* an enum smtp_srv_act, 0 = none */

	/* Facts about the session. */
	char helo[DOMAIN_MAX + 1];
	uint16_t helo_n;
	bool is_esmtp, is_tls, is_authenticated;
	bool trusts;     /* the caller's: XCLIENT is offered to this client */
	int64_t wall_us; /* the caller's, before a step; 0 = not known */
	uint32_t errors, messages, auth_failures;

	/* Facts about the transaction, good at the act that names them. */
	struct smtp_path path; /* into `line`, until the answer */
	struct smtp_srv_wishes wishes;
	/* Of RCPT: NOTIFY= (enum notify_flags), and ORCPT= as it came. */
	uint8_t notify;
	struct slice orcpt;
	struct slice mechanism, auth, xclient;
	bool auth_begins;    /* s->auth came with AUTH itself */
	uint32_t rcpts;      /* accepted so far */
	struct slice body;   /* into the caller's input or a literal, until the
			      * next step */
	uint64_t body_bytes; /* unstuffed, so far */
	bool saw_8bit, saw_dots; /* in the body: for the envelope's flags */
	struct slice refused;    /* at SRV_REFUSED: the reply, with its CRLF */
	enum stage refused_at;

	/* Private to smtp_srv*.c. */
	bool has_begun; /* the peer has said something */
	bool has_txn;   /* the caller knows of a transaction */
	bool aborts;    /* SRV_ABORT is due */
	bool refuses;   /* SRV_REFUSED is due */
	bool renews;    /* the deadline counts from the next step on */
	bool shuts, shuts_gently;
	uint8_t line_fault; /* the command line is swallowed to its CRLF */
	bool line_cr;       /* what was swallowed ends in CR */
	uint8_t eol;        /* how much of CRLF.CRLF has been seen */
	bool is_chunked, is_last_chunk;
	uint64_t chunk_left;
	char mech[SMTP_MECH_MAX + 1];
	bool body_is_over;  /* more bytes came than may: refusal is due */
	uint64_t body_line; /* bytes of the line so far */
	int64_t since_us;   /* last progress, for the deadline */
	uint16_t line_n;
	uint16_t refusal_n;
	uint16_t shut_n;
	char line[SMTP_LINE_MAX];
	char refusal[SMTP_REPLY_MAX]; /* reply at the end of a refused body */
	char shut_text[SMTP_REPLY_MAX];
};

/* A new session; the banner (220) goes to s->out at once. conf outlives it. */
void smtp_srv_init(struct smtp_srv *s, const struct smtp_srv_conf *conf,
    int64_t now_us);
void smtp_srv_free(struct smtp_srv *s);
/* The peer is a part of this program: it needs no greeting, and has given its. */
void smtp_srv_greeted(struct smtp_srv *s);
enum smtp_srv_act smtp_srv_step(struct smtp_srv *s, struct slice *in,
    int64_t now_us);

/*
 * Answers the act that waits. A 2xx accepts; 4xx, 5xx refuse; 421 also closes.
 * enh is like "5.1.1"; text is one line: it is cut to fit, and bytes that are
 * not printable become '?'. An answer to a session that closed in between
 * (time-out, shutdown) is dropped.
 */
void smtp_srv_reply(struct smtp_srv *s, int code, const char *enh,
    struct slice text);
/* Answers SRV_DATA with 354: body pieces follow. */
void smtp_srv_go_ahead(struct smtp_srv *s);
/* Refuses the body that is coming in (too big, no space): the next step gives
 * SRV_ABORT, the rest is swallowed and the reply given at its end. Allowed
 * while in SRV_ST_BODY, before SRV_EOM. The first refusal counts. */
void smtp_srv_refuse_body(struct smtp_srv *s, int code, const char *enh,
    struct slice text);
/* Answers SRV_STARTTLS: the handshake succeeded (session starts over, RFC 3207
 * 4.2) or not (the session is closed). */
void smtp_srv_tls_done(struct smtp_srv *s, bool ok, int64_t now_us);
/* Answers SRV_AUTH: 334 with a challenge (base64, one line; may be empty). */
void smtp_srv_auth_more(struct smtp_srv *s, struct slice challenge);
/* Answers SRV_AUTH: 235 when code is that, else a refusal (RFC 4954 6). */
void smtp_srv_auth_done(struct smtp_srv *s, int code, const char *enh,
    struct slice text);
/* Answers SRV_XCLIENT: the session starts over with a banner. login: the
 * client's client has authenticated itself. */
void smtp_srv_xclient_done(struct smtp_srv *s, bool login);
/*
 * 421 4.3.2 and close, for a shutdown or a limit. It happens in the next step
 * (an empty input will do), but an act that waits is answered first, and when
 * `gently` an open transaction comes to its end first. Before the banner has
 * been sent, the 421 takes its place. text as for smtp_srv_reply.
 */
void smtp_srv_shut(struct smtp_srv *s, struct slice text, bool gently);
/* When the peer must have made progress; past it call smtp_srv_timeout, which
 * writes 421 4.4.2 and closes. */
int64_t smtp_srv_deadline(const struct smtp_srv *s);
void smtp_srv_timeout(struct smtp_srv *s);
/* Is a transaction (MAIL accepted, not yet answered at its end) open? */
bool smtp_srv_in_transaction(const struct smtp_srv *s);

#endif
