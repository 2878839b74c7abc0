/*
 * proto/smtp_cli_i.h - what the parts of the SMTP client share.
 *
 * smtp_cli.c has the session: states, replies, deadlines, its end.
 * smtp_cli_txn.c has the transactions: what is written, what is answered.
 * smtp_cli_write.c has the longer commands and the body.
 * smtp_cli_result.c has what becomes of the recipients.
 *
 * A transaction is a list of steps: RSET (only where the peer still has the
 * last one open), MAIL, one RCPT per recipient, DATA, end of message. `sent`
 * is the next step to write, `answered` the next one whose reply is awaited.
 * Steps of recipients that are not sent at all are in neither.
 *
 * Invariant: answered <= sent. A body piece is written only between the 354
 * to this transaction's DATA (answered == sent == its end-of-message step) and
 * the final dot, and only when somebody was accepted.
 *
 * A message that goes by BDAT (is_chunk) has no DATA, and its one chunk is its
 * end of message: its body is written right behind the last RCPT, while all of
 * them may still be unanswered. Nothing is chained behind it, for after a
 * refusal the peer has to be asked to forget first.
 */
#ifndef PROTO_SMTP_CLI_I_H
#define PROTO_SMTP_CLI_I_H

#include "proto/smtp_cli.h"

/* State, the deadline it is under, the stage that it is in. */
#define SMTP_CLI_STATES(X)                                                     \
	X(CLI_ST_BANNER, banner_ms, STAGE_BANNER)                              \
	X(CLI_ST_EHLO, ehlo_ms, STAGE_EHLO)                                    \
	X(CLI_ST_HELO, ehlo_ms, STAGE_EHLO)                                    \
	X(CLI_ST_STARTTLS, tls_ms, STAGE_STARTTLS)                             \
	X(CLI_ST_TLS, tls_ms, STAGE_TLS)                                       \
	X(CLI_ST_AUTH, ehlo_ms, STAGE_AUTH)                                    \
	X(CLI_ST_UP, idle_ms, STAGE_NONE)                                      \
	X(CLI_ST_QUIT, quit_ms, STAGE_QUIT)                                    \
	X(CLI_ST_DOWN, idle_ms, STAGE_NONE)

#define X(name, deadline, stage) name,
enum cli_state { SMTP_CLI_STATES(X) };
#undef X

/* Why a transaction is not sent at all. */
enum txn_local {
	TXN_SENDABLE,
	TXN_TOO_BIG,
	TXN_NEEDS_UTF8,
	TXN_NEEDS_8BIT,
	TXN_NEEDS_REQUIRETLS,
	TXN_BAD_SENDER,
	TXN_NOBODY, /* no recipient can be sent */
};

enum txn_step {
	STEP_RSET,
	STEP_MAIL,
	STEP_RCPT, /* + index of the recipient */
};

struct cli_txn {
	struct smtp_cli_txn t;
	uint64_t skip[(SMTP_TXN_RCPTS_MAX + 63) / 64]; /* not to be sent */
	uint8_t local;                                 /* enum txn_local */
	uint8_t first; /* STEP_RSET or STEP_MAIL */
	uint16_t sent, answered;
	uint16_t accepted;
	uint16_t eom_answers; /* LMTP: replies that came to the dot */
	bool mail_accepted;
	bool is_dead;  /* refused as a whole */
	bool is_chunk; /* goes by one BDAT, with its envelope */
	bool is_cut;   /* ... which is not yet written to its end */
	bool
	    is_unclear; /* ... which was refused: RSET comes next, RFC 3030 2 */
	int64_t began_us;
};

#define CLI_TXNS 2

struct smtp_cli {
	const struct smtp_cli_conf *conf;
	struct buf out;
	enum cli_state state;
	bool is_tls;
	bool tells_up;              /* CLI_UP is due */
	bool tells_auth, tells_tls; /* CLI_AUTH, CLI_STARTTLS */
	bool quits;
	bool body_is_open;
	bool needs_rset;      /* the peer has a transaction that is over */
	bool result_is_open;  /* result belongs to the oldest transaction */
	bool refuses_bdat;    /* though it offers it */
	bool is_lost;         /* the connection went, not the patience */
	bool oldest_was_hurt; /* after the end: the blame has been given */
	char body_last[2];    /* the last two bytes of the body */
	uint8_t oldest, ntxns;
	uint32_t caps, caps_seen;
	uint32_t lines_seen;
	uint64_t size_max, size_seen;
	uint16_t auth_code;   /* that CLI_AUTH is about */
	char mechanisms[256]; /* of the latest EHLO; "" without AUTH */
	uint64_t txns_done;
	uint64_t chunk_left; /* bytes of a chunk that are still to come */
	int64_t since_us;    /* what the deadline counts from */
	struct cli_txn txn[CLI_TXNS];
	struct outcome down;
	/* Its last reply holds the words of the end, once the session is down:
	 * see cli_down_text. */
	struct reply_parser parser;
	struct smtp_cli_result result;
};

/* ---- smtp_cli.c ---------------------------------------------------------- */

/* Ends the session. What is still queued gets its outcome from `why`. The last
 * reply is gone: text, which may be its, takes its place. */
void cli_fall(struct smtp_cli *c, struct outcome why, struct slice text);
static inline struct slice
cli_down_text(const struct smtp_cli *c)
{
	return reply_text(&c->parser.now);
}

/* ---- smtp_cli_txn.c ------------------------------------------------------ */

static inline struct cli_txn *
cli_oldest(struct smtp_cli *c)
{
	return c->ntxns > 0 ? &c->txn[c->oldest] : NULL;
}

static inline uint16_t
cli_step_data(const struct cli_txn *t)
{
	return (uint16_t)(STEP_RCPT + t->t.nrcpt);
}

static inline uint16_t
cli_step_eom(const struct cli_txn *t)
{
	return (uint16_t)(cli_step_data(t) + 1);
}

static inline bool
cli_is_skipped(const struct cli_txn *t, uint32_t i)
{
	return (t->skip[i / 64] >> (i % 64) & 1) != 0;
}

static inline bool
cli_is_awaited(const struct cli_txn *t)
{
	return t->answered < t->sent;
}

/* Writes whatever may be written now, QUIT included. */
void cli_pump(struct smtp_cli *c, int64_t now_us);
/* One reply while the session is up. */
void cli_txn_reply(struct smtp_cli *c, const struct reply *r, int64_t now_us);
/* Is the oldest transaction over, and its result due? */
bool cli_txn_is_over(const struct cli_txn *t);
/* Fills in the result of the oldest transaction and forgets it. */
void cli_txn_finish(struct smtp_cli *c, int64_t now_us);
/* Stage of the oldest transaction; STAGE_NONE without any. */
enum stage cli_txn_stage(const struct smtp_cli *c);
/* Milliseconds that the peer has for what it owes now. */
int64_t cli_txn_patience_ms(const struct smtp_cli *c);

/* ---- smtp_cli_write.c ---------------------------------------------------- */

/* Can the address stand between < and > and end there? The null sender can. */
bool cli_is_sendable(struct slice address);
void cli_write_mail(struct smtp_cli *c, const struct smtp_cli_txn *t,
    int64_t now_us);
void cli_write_rcpt(struct smtp_cli *c, const struct smtp_cli_rcpt *r);
/* The body, piece by piece; its end adds the CRLF that it may lack, unless it is
 * a chunk, but not the final dot. */
void cli_body_begin(struct smtp_cli *c);
void cli_body_write(struct smtp_cli *c, struct slice piece, bool has_dots);
void cli_body_end(struct smtp_cli *c, bool is_chunk);

/* ---- smtp_cli_result.c --------------------------------------------------- */

struct outcome cli_outcome_of(const struct reply *r, enum stage stage);
/* For a recipient of the oldest transaction, if it has no outcome yet. */
void cli_answer_one(struct smtp_cli *c, uint32_t i, struct outcome outcome,
    struct slice text);
/* For the first that has none. */
void cli_answer_next(struct smtp_cli *c, struct outcome outcome,
    struct slice text);
/* For every one that has none yet. Was there any? */
bool cli_answer_all(struct smtp_cli *c, struct outcome outcome,
    struct slice text);
/* Everybody has an outcome now; the result is complete. */
void cli_result_settle(struct smtp_cli *c, const struct cli_txn *t,
    int64_t now_us);

#endif
