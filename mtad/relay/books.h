/*
 * relay/books.h - the event log of mail: one JSON object a line, documented
 * field by field in share/doc/events.md.
 *
 * The writer only formats; who calls owns the buffer and moves the bytes.
 */
#ifndef RELAY_BOOKS_H
#define RELAY_BOOKS_H

#include "mail/mail.h"

#define BOOK_KINDS(X)                                                          \
	X(BOOK_RECEPTION, "Reception")                                         \
	X(BOOK_DELIVERY, "Delivery")                                           \
	X(BOOK_TRANSIENT, "TransientFailure")                                  \
	X(BOOK_BOUNCE, "Bounce")                                               \
	X(BOOK_EXPIRATION, "Expiration")                                       \
	X(BOOK_ADMIN_BOUNCE, "AdminBounce")                                    \
	X(BOOK_ADMIN_DELETE, "AdminDelete")                                    \
	X(BOOK_ADMIN_HOLD, "AdminHold")                                        \
	X(BOOK_ADMIN_RELEASE, "AdminRelease")                                  \
	X(BOOK_ADMIN_RETRY, "AdminRetry")                                      \
	X(BOOK_REJECTION, "Rejection")                                         \
	X(BOOK_QUARANTINE, "Quarantine")                                       \
	X(BOOK_ADMIN, "AdminAction")                                           \
	X(BOOK_HANDED_OVER, "HandedOver")                                      \
	X(BOOK_TAKEN_OVER, "TakenOver")                                        \
	X(BOOK_SUPPRESSION, "Suppression")                                     \
	X(BOOK_REMOTE_BOUNCE, "RemoteBounce")                                  \
	X(BOOK_REMOTE_STATUS, "RemoteStatus")                                  \
	X(BOOK_FEEDBACK, "Feedback")                                           \
	X(BOOK_REPLY, "Reply")
#define X(name, text) name,
enum book_kind { BOOK_KINDS(X) BOOK_N };
#undef X

/* What one record may say; empty and zero fields are left out. */
struct book_entry {
	enum book_kind kind;
	int64_t wall_us;
	struct msgid id;
	bool has_id;
	int32_t rcpt; /* number in the envelope, -1 = none */
	uint16_t attempt;
	struct slice sender, recipient;
	bool has_sender; /* the null sender is written as "" */
	struct slice tenant, campaign, pool, listener;
	struct slice source;   /* name */
	struct slice site, mx; /* roll-up name, host contacted */
	struct endpoint peer;  /* address contacted, or the client's */
	bool has_peer;
	struct slice helo;
	struct slice tls; /* "TLSv1.3 CIPHER" */
	struct slice tls_policy;
	struct outcome outcome;
	struct slice text;
	uint64_t size;
	uint32_t nrcpt;
	int64_t queued_us;         /* time from arrival, -1 = none */
	int64_t session_us;        /* of this transaction, -1 = none */
	int64_t next_us;           /* wall clock of the next attempt */
	struct slice user, reason; /* of an operator's action */
	/* Of what came back: the message that told, and which of its lines this
	 * is; these two tell its events apart. */
	struct msgid report;
	bool has_report;
	uint32_t nth;
	/* By what the message is known that it is about; whether it is known
	 * from another report already. */
	const char *known_by;
	bool is_repeat;
	const char *action; /* RFC 3464 2.3.3 */
	bool has_hard, is_hard;
	struct slice reported; /* the report's recipient, where it differs */
	struct slice remote_mta, message_id, envid, feedback;
	bool is_dsn;
	bool at_start; /* before the daemon took mail */
	/* Tells apart events that message, recipient, kind and attempt do not:
	 * what is never written twice for one happening. 0 = they do. */
	uint64_t serial;
};

void book_entry_init(struct book_entry *e, enum book_kind kind);
/* Appends one line. Only fails as out does (then nothing is appended). */
int book_write(struct buf *out, const struct book_entry *e) MUST_CHECK;
/* What its event_id says, as the eight bytes of a number. */
uint64_t book_event_id(const struct book_entry *e);
const char *book_kind_name(enum book_kind k);

#endif
