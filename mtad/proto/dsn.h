/*
 * proto/dsn.h - builds delivery status notifications (RFC 3461, 3464, 6522,
 * 6533).
 */
#ifndef PROTO_DSN_H
#define PROTO_DSN_H

#include "mail/mail.h"

#define DSN_ACTIONS(X)                                                         \
	X(DSN_FAILED, "failed")                                                \
	X(DSN_DELAYED, "delayed")                                              \
	X(DSN_DELIVERED, "delivered")                                          \
	X(DSN_RELAYED, "relayed") /* to a host that makes no notices */

#define X(name, text) name,
enum dsn_action { DSN_ACTIONS(X) };
#undef X

struct dsn_rcpt {
	struct slice address;
	struct slice orcpt;      /* as it came: type and xtext, or empty */
	struct outcome outcome;  /* gives Status and, with a code, Diagnostic */
	struct slice text;       /* the peer's words, or our own */
	struct slice remote_mta; /* host name, or empty */
	int64_t last_attempt_us; /* wall clock, 0 = none */
	int64_t retry_until_us;  /* for delayed */
};

struct dsn_in {
	enum dsn_action action;
	struct slice hostname;   /* Reporting-MTA, From domain */
	struct slice postmaster; /* From address; empty: postmaster@hostname */
	struct slice to;         /* the original sender */
	struct slice envid;
	struct msgid id; /* of the notice itself */
	struct msgid original_id;
	int64_t arrival_us, now_us;
	struct slice original; /* header section of the original, or all of
				  * it when whole is set */
	bool whole;
	bool is_utf8; /* it was sent as RFC 6531 has it */
	bool is_by;   /* what is over is the sender's own time, RFC 2852 */
	const struct dsn_rcpt *rcpts;
	uint32_t nrcpt;
};

/* Appends the whole message (header, multipart/report, CRLF line ends, 7-bit
 * except for what is quoted of the original and addresses in UTF-8, no bare CR/LF
 * whatever the inputs hold).
 * Only fails as out does. */
int dsn_build(struct buf *out, const struct dsn_in *in) MUST_CHECK;

#endif
