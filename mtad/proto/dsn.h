/*
 * proto/dsn.h - builds delivery status notifications (RFC 3461, 3464, 6522).
 */
#ifndef PROTO_DSN_H
#define PROTO_DSN_H

#include "mail/mail.h"

#define DSN_ACTIONS(X)                                                         \
	X(DSN_FAILED, "failed")                                                \
	X(DSN_DELAYED, "delayed")

#define X(name, text) name,
enum dsn_action { DSN_ACTIONS(X) };
#undef X

struct dsn_rcpt {
	struct slice address;
	struct slice orcpt;
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
	const struct dsn_rcpt *rcpts;
	uint32_t nrcpt;
};

/* Appends the whole message (header, multipart/report, CRLF line ends, 7-bit
 * except for quoted original headers, no bare CR/LF whatever the inputs hold).
 * Only fails as out does. */
int dsn_build(struct buf *out, const struct dsn_in *in) MUST_CHECK;

#endif
