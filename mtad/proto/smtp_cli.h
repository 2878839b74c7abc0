/*
 * proto/smtp_cli.h - the sender's half of an SMTP conversation (RFC 5321,
 * 1652, 1870, 2034, 2852, 2920, 3030, 3207, 3461, 4954, 8314, 8689) or LMTP
 * (2033), sans I/O.
 *
 * The sender runs ahead of the receiver's replies: what has been written and
 * what has been answered are two cursors over the same list of commands, so
 * pipelining, partial refusal and chaining fall out of one comparison.
 *
 * Use: smtp_cli_step() eats input and stops at an act; bytes to send gather in
 * c->out. Up to two transactions may be queued: with `chains` the second's
 * MAIL, RCPT and DATA leave in the same write as the first one's final dot.
 */
#ifndef PROTO_SMTP_CLI_H
#define PROTO_SMTP_CLI_H

#include "mail/mail.h"
#include "proto/reply.h"

#define SMTP_TXN_RCPTS_MAX 100         /* recipients of one transaction */
#define SMTP_CLI_TEXTS_MAX 8192        /* bytes of one transaction's answers */
#define SMTP_CLI_CHUNK_MAX (64u << 10) /* a message that goes by BDAT */

/* Deadlines, RFC 5321 4.5.3.2, in ms. */
#define SMTP_CLI_TIMEOUTS(X)                                                   \
	X(banner_ms, 300000)                                                   \
	X(ehlo_ms, 300000)                                                     \
	X(tls_ms, 60000)                                                       \
	X(mail_ms, 300000)                                                     \
	X(rcpt_ms, 300000)                                                     \
	X(data_ms, 120000)                                                     \
	X(body_ms, 180000) /* per block written */                             \
	X(eom_ms, 600000)                                                      \
	X(rset_ms, 20000)                                                      \
	X(quit_ms, 5000)                                                       \
	X(idle_ms, 5000) /* nothing to send: QUIT */

struct smtp_cli_conf {
	struct slice ehlo_name;
	bool pipelines; /* use PIPELINING when offered */
	bool chains;    /* next transaction behind the final dot */
	bool wants_tls; /* STARTTLS when offered */
	/* Nothing goes in clear text: where TLS cannot be had, the session ends
	 * as STAGE_TLS with code 454 and a text that begins with tls_policy. */
	bool needs_tls;
	struct slice tls_policy;
	/* All its mail asks for REQUIRETLS: a peer without STARTTLS ends no
	 * session, for what needs TLS is bounced without having been sent. */
	bool requires_tls;
	bool starts_tls; /* from the first byte on, RFC 8314 3.3 */
	bool is_lmtp;
	bool chunks;       /* BDAT, for messages of up to SMTP_CLI_CHUNK_MAX */
	bool bounces_8bit; /* to a peer without 8BITMIME; else they go as they
			    * are */
	/* Nothing is sent before we are logged in; empty: nobody logs in. What
	 * is said for it is the caller's (CLI_AUTH). */
	struct slice user, password;
	bool auth_in_clear; /* without TLS, too */
#define X(name, dflt) int64_t name;
	SMTP_CLI_TIMEOUTS(X)
#undef X
};
void smtp_cli_conf_default(struct smtp_cli_conf *c);

enum smtp_caps {
	CAP_ESMTP = 1 << 0,
	CAP_PIPELINING = 1 << 1,
	CAP_SIZE = 1 << 2,
	CAP_8BITMIME = 1 << 3,
	CAP_STARTTLS = 1 << 4,
	CAP_ENHANCED = 1 << 5,
	CAP_SMTPUTF8 = 1 << 6,
	CAP_CHUNKING = 1 << 7,
	CAP_DSN = 1 << 8,
	CAP_AUTH = 1 << 9,
	CAP_REQUIRETLS = 1 << 10,
	CAP_DELIVERBY = 1 << 16,
};

enum smtp_cli_act {
	CLI_NEED_INPUT, /* nothing to do until the peer speaks */
	CLI_STARTTLS,   /* flush, handshake, then smtp_cli_tls_done */
	CLI_AUTH,       /* the peer's turn of logging in: smtp_cli_auth_asks */
	CLI_UP,         /* EHLO done (over TLS too, if so): c->caps. Once. */
	CLI_BODY,       /* give body with smtp_cli_body until its end */
	CLI_RESULT,     /* the oldest transaction is over: c->result */
	CLI_DOWN,       /* the session is over: smtp_cli_down; unfinished
			 * transactions gave their CLI_RESULT before */
};

/* An address with a control byte, or with a blank or bracket outside of quotes,
 * is never sent: that recipient (or, when it is the sender's, every one) is
 * bounced with STAGE_LOCAL. */
struct smtp_cli_rcpt {
	struct slice address; /* without <>; must outlive the transaction */
	struct slice orcpt;   /* sent when the peer offers DSN */
	uint8_t notify;
};

struct smtp_cli_txn {
	struct slice sender; /* outlives the transaction */
	struct smtp_cli_rcpt *rcpts;
	uint32_t nrcpt; /* 1 .. SMTP_TXN_RCPTS_MAX */
	uint64_t size;
	uint32_t flags; /* enum env_flags: ENV_8BIT, ENV_SMTPUTF8, ENV_RET_*,
			 * ENV_REQUIRETLS, ENV_BY_* */
	struct slice envid;
	int64_t by_us; /* DELIVERBY, by the caller's clock; 0 = not asked for */
	uint64_t cookie; /* the caller's; comes back with the result */
};

/* One recipient's outcome with the words that the peer used. */
struct smtp_cli_answer {
	struct outcome outcome;
	uint16_t text_at, text_n; /* in result.text */
};

struct smtp_cli_result {
	uint64_t cookie;
	uint32_t n;
	struct smtp_cli_answer *rcpt; /* n */
	uint32_t rcpt_cap;
	bool is_sent;  /* MAIL was written to the peer */
	bool in_doubt; /* final dot written, answer never seen */
	int64_t began_us, ended_us;
	uint32_t text_n, text_cap;
	char *text; /* texts, equal ones once; cut at SMTP_CLI_TEXTS_MAX */
};

/*
 * How outcomes come about:
 * - 2xx to the final dot is delivered, 4xx transient, 5xx bounced, with the
 *   stage of the command that was refused.
 * - The session ends (loss, time-out, 421, or a reply that is no answer to what
 *   was asked): recipients of the oldest transaction that have no outcome yet
 *   are transient, with the stage that had been reached; the code is 0 unless
 *   it was a 421. in_doubt tells that the final dot was on its way.
 * - OUTCOME_UNSENT: the transaction stood behind another one that was hurt, or
 *   nothing of it was written, or the connection was lost before the peer
 *   answered anything of it although an earlier transaction had gone well (a
 *   server that closes after so many messages does no harm). No attempt was
 *   made in any of these cases, even if is_sent is set.
 * - A message over the peer's SIZE is bounced with 552 5.3.4 STAGE_LOCAL, one
 *   that needs SMTPUTF8 of a peer without it with 550 5.6.7, one of 8 bits (if
 *   bounces_8bit) without 8BITMIME with 554 5.6.3, one that needs REQUIRETLS
 *   without it or without TLS with 550 5.7.30.
 * - LMTP: each recipient that was accepted has a reply of its own to the dot.
 */
struct smtp_cli; /* opaque; about 1 KB, and what it has to send */

/* A session over a fresh connection; waits for the banner. Returns NULL
 * without memory. conf must outlive it. */
struct smtp_cli *smtp_cli_new(const struct smtp_cli_conf *conf, int64_t now_us);
void smtp_cli_free(struct smtp_cli *c);
enum smtp_cli_act smtp_cli_step(struct smtp_cli *c, struct slice *in,
    int64_t now_us);

/* Bytes to send; the caller consumes them. */
struct buf *smtp_cli_out(struct smtp_cli *c);
uint32_t smtp_cli_caps(const struct smtp_cli *c);
/* It has answered BDAT as an unknown command. */
bool smtp_cli_refuses_bdat(const struct smtp_cli *c);
uint64_t smtp_cli_peer_size_max(const struct smtp_cli *c); /* 0 = none */
/* Good after CLI_RESULT until the next step. */
const struct smtp_cli_result *smtp_cli_result(const struct smtp_cli *c);
/* Why and where the session ended; text as in replies. Good after CLI_DOWN.
 * klass is OUTCOME_NONE when it ended as it should: after QUIT, or by the peer
 * while there was nothing to do. */
const struct outcome *smtp_cli_down(const struct smtp_cli *c,
    struct slice *text);

/* How many more transactions may be queued now: 2 without any, and so on; 0
 * when the session is not up or is closing. */
uint32_t smtp_cli_room(const struct smtp_cli *c);
/* Queues a transaction. Its arrays and texts live until its CLI_RESULT. */
void smtp_cli_begin(struct smtp_cli *c, const struct smtp_cli_txn *txn,
    int64_t now_us);
/*
 * The next piece of the body for CLI_BODY; `last` with the final piece (may be
 * empty). Dots are stuffed here unless has_dots is false (then bytes are copied
 * as they are). The body must end in CRLF or one is added. The caller gives
 * pieces only while out is small (below 256 KB, say): it is what bounds memory.
 */
void smtp_cli_body(struct smtp_cli *c, struct slice piece, bool has_dots,
    bool last, int64_t now_us);
/* Largest piece, and the ceiling of what waits to be sent; a session that goes
 * over it is broken as if by smtp_cli_body_broken. */
#define SMTP_CLI_PIECE_MAX (1u << 20)
#define SMTP_CLI_OUT_MAX (4u << 20)
/* The body cannot be had (disk, corruption): the final dot is never sent, the
 * session is closed and its transaction is transient with STAGE_LOCAL. */
void smtp_cli_body_broken(struct smtp_cli *c);
/* Forgets the youngest transaction, if there is one before it and nothing of it has
 * been written; true: it has, and gives no result for it. */
bool smtp_cli_take_back(struct smtp_cli *c) MUST_CHECK;
/* QUIT when what is queued is done (at once when idle). */
void smtp_cli_quit(struct smtp_cli *c, int64_t now_us);
/* RFC 3207: the handshake went well, or it failed and the connection is gone
 * (the session is down with STAGE_TLS). */
void smtp_cli_tls_done(struct smtp_cli *c, bool ok, struct slice why,
    int64_t now_us);
/* The transport is gone (why: "connection reset by peer", ...). Steps then
 * give the results still owed and CLI_DOWN. */
/*
 * What CLI_AUTH is about: code 0, the mechanisms that the peer offers; 334, its
 * challenge as it came; 235, it thinks that we are in. The text is good until
 * the next step. The caller says the next line, without CRLF, or ends it: with an
 * empty `why` the session comes up, else it is down with STAGE_AUTH and 454.
 */
uint16_t smtp_cli_auth_asks(const struct smtp_cli *c, struct slice *text);
void smtp_cli_auth_say(struct smtp_cli *c, struct slice line, int64_t now_us);
void smtp_cli_auth_end(struct smtp_cli *c, struct slice why, int64_t now_us);
void smtp_cli_gone(struct smtp_cli *c, struct slice why, int64_t now_us);
int64_t smtp_cli_deadline(const struct smtp_cli *c);
void smtp_cli_timeout(struct smtp_cli *c, int64_t now_us);
/* Tells the machine that `out` has been written to the peer to its end, so
 * that body progress renews the deadline. */
void smtp_cli_flushed(struct smtp_cli *c, int64_t now_us);

#endif
