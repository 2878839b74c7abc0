/*
 * mail/mail.h - the nouns of outbound mail, with no behaviour but encoding.
 *
 * Names follow RFC 5321 and RFC 5598. Every list of alternatives is an
 * X-macro table, so that its names in logs, metrics and screens are born with
 * it.
 */
#ifndef MAIL_MAIL_H
#define MAIL_MAIL_H

#include "base/base.h"
#include "mail/judgement.h"

/* ---- message id: 128 bits, sorts by time --------------------------------- */

struct msgid {
	uint8_t b[16]; /* big-endian: time_us (8), node (2), sequence (6) */
};

#define MSGID_TEXT_MAX 27 /* 26 digits of base32hex and a NUL */

struct msgid msgid_make(int64_t unix_us, uint16_t node, uint64_t sequence);
int64_t msgid_time_us(const struct msgid *id);
bool msgid_eq(const struct msgid *a, const struct msgid *b);
uint64_t msgid_hash(const struct msgid *id);
/* dst of MSGID_TEXT_MAX bytes; returns the length (26). */
size_t msgid_format(char *dst, const struct msgid *id);
int msgid_parse(struct slice s, struct msgid *out);

/* ---- what happened -------------------------------------------------------- */

/* Where in the conversation an outcome arose. */
#define STAGE_TABLE(X)                                                         \
	X(STAGE_NONE, "none")                                                  \
	X(STAGE_DNS, "dns")                                                    \
	X(STAGE_CONNECT, "connect")                                            \
	X(STAGE_BANNER, "banner")                                              \
	X(STAGE_EHLO, "ehlo")                                                  \
	X(STAGE_STARTTLS, "starttls")                                          \
	X(STAGE_TLS, "tls")                                                    \
	X(STAGE_AUTH, "auth")                                                  \
	X(STAGE_MAIL, "mail")                                                  \
	X(STAGE_RCPT, "rcpt")                                                  \
	X(STAGE_DATA, "data")                                                  \
	X(STAGE_BODY, "body")                                                  \
	X(STAGE_EOM, "eom")                                                    \
	X(STAGE_RSET, "rset")                                                  \
	X(STAGE_QUIT, "quit")                                                  \
	X(STAGE_LOCAL, "local")

/* What an outcome means for the recipient. */
#define OUTCOME_TABLE(X)                                                       \
	X(OUTCOME_NONE, "none")                                                \
	X(OUTCOME_DELIVERED, "delivered") /* 2xx to the final dot */           \
	X(OUTCOME_TRANSIENT, "transient") /* try again */                      \
	X(OUTCOME_BOUNCED, "bounced")     /* 5xx or a permanent local fault */ \
	X(OUTCOME_EXPIRED, "expired")     /* lifetime used up */               \
	X(OUTCOME_ADMIN, "admin_bounced") /* an operator bounced it */         \
	X(OUTCOME_DELETED, "deleted")     /* an operator deleted it */         \
	X(OUTCOME_UNSENT, "unsent")      /* never tried: session went first */ \
	X(OUTCOME_HANDED, "handed_over") /* another node has it: drain.md */

#define ENUM_FIRST(name, text) name,
enum stage { STAGE_TABLE(ENUM_FIRST) STAGE_N };
enum outcome_class { OUTCOME_TABLE(ENUM_FIRST) OUTCOME_N };

const char *stage_name(enum stage s);
const char *outcome_name(enum outcome_class c);
/* No further attempt will follow. */
bool outcome_is_final(enum outcome_class c);

/* An enhanced status code, RFC 3463; all zero = none. */
struct enh {
	uint8_t klass;
	uint16_t subject, detail;
};

/* What became of one attempt for one recipient; a peer's words are data, and
 * what they mean is judged where they are read. 14 bytes: each command of the
 * engine about a recipient holds one. */
struct outcome {
	uint8_t klass : 7;  /* enum outcome_class */
	bool is_judged : 1; /* a refusal, and somebody has judged it */
	uint8_t stage;      /* enum stage */
	uint16_t code;      /* 3-digit reply, 0 = none */
	struct enh enh;
	struct judgement judged;
};

#define REPLY_TEXT_MAX 512 /* bytes of a peer's text that are kept */

/* ---- envelope -------------------------------------------------------------- */

#define RCPTS_MAX 10000u   /* recipients of one message, ceiling */
#define MAILBOX_MAX 320u   /* local part 64 + @ + domain 255 (RFC 5321) */
#define NAME_MAX_BYTES 64u /* tenant, campaign, pool names */
#define DOMAIN_MAX 255u
#define ENVID_MAX 100u /* RFC 3461 4.4, as xtext */
#define ORCPT_MAX 500u /* RFC 3461 4.2, as xtext */

enum env_flags {
	ENV_8BIT = 1 << 0, /* BODY=8BITMIME was declared, or 8-bit seen */
	ENV_SMTPUTF8 = 1 << 1,
	ENV_HAS_DOTS = 1 << 2, /* some body line begins with a dot */
	ENV_DSN = 1 << 3,      /* we made it: a delivery status notification */
	ENV_TLS_IN = 1 << 4,   /* arrived over TLS */
	ENV_RET_HDRS = 1 << 5, /* RET=HDRS */
	ENV_RET_FULL = 1 << 6, /* RET=FULL */
	ENV_ENGAGED = 1 << 7,  /* its recipients are, says who sent it */
	ENV_REQUIRETLS = 1 << 8,   /* RFC 8689 4: never without */
	ENV_TLS_OPTIONAL = 1 << 9, /* 5: "TLS-Required: No" */
	ENV_BACK = 1 << 12,      /* its first recipient is an address of ours */
	ENV_BY_RETURN = 1 << 16, /* RFC 2852: not delivered by by_us, it comes
				    * back; else its sender hears of it */
	ENV_BY_TRACE = 1 << 17,
};

enum notify_flags { /* RFC 3461 4.1; 0 = not given */
	NOTIFY_NEVER = 1 << 0,
	NOTIFY_SUCCESS = 1 << 1,
	NOTIFY_FAILURE = 1 << 2,
	NOTIFY_DELAY = 1 << 3,
};

struct env_rcpt {
	struct slice address; /* local@domain, as the client wrote it */
	struct slice orcpt;   /* RFC 3461, xtext as received, or empty */
	uint8_t notify;       /* enum notify_flags */
};

/* An idempotency key, and what came with it. */
struct env_key {
	uint8_t b[16]; /* digest of the key and whose it is */
	uint32_t
	    digest; /* 31 bits of what was asked for; 0 = there is no key */
};

struct envelope {
	struct msgid id;
	int64_t arrival_us;    /* wall clock, when the last byte came */
	int64_t expires_us;    /* wall clock; give up after this */
	int64_t not_before_us; /* wall clock; 0 = at once */
	int64_t by_us;         /* wall clock, DELIVERBY; 0 = not said */
	uint32_t flags;        /* enum env_flags */
	uint8_t klass;         /* 0 = bulk, 1 = latency class */
	struct ip client;      /* who handed it to us */
	struct slice sender;   /* empty = null reverse-path */
	struct slice tenant, campaign, pool; /* empty = default */
	struct slice zone;   /* time zone of the recipients, empty = tenant's */
	struct slice signer; /* domain of the first key that signed it */
	struct slice listener;
	struct slice envid;
	struct env_key key; /* digest 0: none */
	uint64_t body_bytes;
	uint32_t nrcpt;
};

/*
 * The envelope's form on disk (byte by byte in mail/envelope.c): fixed fields,
 * then length-prefixed texts, then nrcpt recipients. env_encode appends e and
 * its recipients; it fails as buf does, and with E_RANGE when a text, the
 * number of recipients or a notify is over its ceiling, or an address is empty.
 * env_length: the bytes that it would append; 0 when it would fail so.
 * env_decode reads hostile bytes: the slices of *e point into `blob`; *rcpts is
 * where env_rcpt_next goes on. Returns 0, E_CORRUPT or E_VERSION.
 */
size_t env_length(const struct envelope *e, const struct env_rcpt *rcpts);
int env_encode(struct buf *out, const struct envelope *e,
    const struct env_rcpt *rcpts) MUST_CHECK;
int env_decode(struct slice blob, struct envelope *e,
    struct cursor *rcpts) MUST_CHECK;
/* Has it a key? Looks at its front alone. */
bool env_has_key(struct slice blob);
/* Next recipient; false at the end. env_decode has walked all nrcpt of them
 * once, so it cannot fail in between. */
bool env_rcpt_next(struct cursor *rcpts, struct env_rcpt *r);

/* The domain of an address (behind the last '@'), lower case not applied. */
struct slice mailbox_domain(struct slice address);

#endif
