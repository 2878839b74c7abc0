/*
 * proto/letter.h - messages made of JSON: what is asked for, checked whole; then
 * each message's bytes (RFC 5322, 2045-2047, 2231, 6532), made piece by piece.
 *
 * The request is walked where it lies (base/json_read.h) and outlives the
 * letter. The fields are described in share/doc/injection.md.
 *
 * Nothing that a text says can become a header field, a part or a command: what
 * goes into a field holds no control characters, what goes into a part is coded
 * so that it holds no boundary, and addresses are checked by SMTP's rules.
 */
#ifndef PROTO_LETTER_H
#define PROTO_LETTER_H

#include "base/json_read.h"
#include "mail/mail.h"

#define LETTER_BATCH_MAX 1000u
#define LETTER_PARTS_MAX 128u /* attachments */
#define LETTER_NAME_MAX 256u  /* bytes of somebody's name */
#define LETTER_VALUE_MAX                                                       \
	8192u /* bytes of a field's value, and of what is
				* substituted for one word */
#define LETTER_HEAD_MAX (192u << 10)
#define LETTER_WORD_MAX 64u            /* name of what is substituted */
#define LETTER_TEXT_MAX (8u << 20)     /* bytes of text, and of html */
#define LETTER_TEMPLATE_MAX (1u << 20) /* the same where there are recipients */
#define LETTER_FIELD_MAX 64u
#define LETTER_PIECE 32768u /* letter_out_next stops about here */

#define LETTER_FIELDS(X)                                                       \
	X(FROM, "from")                                                        \
	X(TO, "to")                                                            \
	X(CC, "cc")                                                            \
	X(BCC, "bcc")                                                          \
	X(REPLY_TO, "reply_to")                                                \
	X(SUBJECT, "subject")                                                  \
	X(TEXT, "text")                                                        \
	X(HTML, "html")                                                        \
	X(ATTACHMENTS, "attachments")                                          \
	X(HEADERS, "headers")                                                  \
	X(ENVELOPE_FROM, "envelope_from")                                      \
	X(RECIPIENTS, "recipients")                                            \
	X(SUBSTITUTIONS, "substitutions")                                      \
	X(TENANT, "tenant")                                                    \
	X(CAMPAIGN, "campaign")                                                \
	X(POOL, "pool")                                                        \
	X(ZONE, "zone")                                                        \
	X(ENGAGED, "engaged")                                                  \
	X(CLASS, "class")                                                      \
	X(EXPIRES, "expires")                                                  \
	X(SCHEDULE, "schedule")
#define X(id, text) LETTER_##id,
enum letter_field { LETTER_FIELDS(X) LETTER_N };
#undef X
#define LETTER_STEER LETTER_TENANT /* from here on: fields that steer */

/* What is wrong with a request, and where. */
struct letter_fault {
	char field[LETTER_FIELD_MAX]; /* "recipients[3].email"; may be empty */
	char message[160];
	bool is_syntax; /* it is no JSON at all */
};

struct letter_addr {
	char email[MAILBOX_MAX + 1], name[LETTER_NAME_MAX + 1];
	size_t email_n, name_n;
};

struct letter_conf {
	uint64_t size_max; /* bytes of a message */
	uint32_t rcpts_max;
	struct slice hostname;
	/* Names of the header fields that steer, from LETTER_STEER on. */
	const struct slice *steer;
	/* A domain's ASCII form, to dst of DOMAIN_MAX + 1 bytes with a NUL; false:
	 * it has none. NULL: UTF-8 stays. */
	bool (*ascii)(struct slice domain, char *dst);
};

struct letter {
	const struct letter_conf *conf;
	struct slice v[LETTER_N]; /* values; .p is NULL: not given */
	bool is_batch;            /* each recipient has a message of its own */
	uint32_t nrcpt;
	struct letter_addr sender; /* of the envelope */
	bool is_utf8;              /* an address is not ASCII: SMTPUTF8 */
	uint32_t nattached, ninline;
};

/* Reads a request, all of it. NULL and *f. */
struct letter *letter_read(struct slice json, const struct letter_conf *conf,
    struct letter_fault *f);
void letter_free(struct letter *l); /* may be NULL */

/* Recipients, one after the other: to, cc and bcc, or those of a batch. */
struct letter_at {
	uint8_t list; /* enum letter_field */
	bool is_begun;
	struct slice rest;
	struct slice item; /* the last one, as it was written */
};
struct letter_at letter_first(const struct letter *l);
bool letter_next(const struct letter *l, struct letter_at *at,
    struct letter_addr *a);

/* A message being made. at: the recipient whose message it is, just taken (of a
 * batch); id makes its Message-ID and boundaries. NULL and *f: a word that
 * nothing is to be substituted for, a field that would break, no memory. */
struct letter_out;
struct letter_out *letter_out_new(const struct letter *l,
    const struct letter_at *at, const struct letter_addr *to,
    const struct msgid *id, int64_t wall_us, struct letter_fault *f);
void letter_out_free(struct letter_out *o); /* may be NULL */
/* Appends the next piece, about LETTER_PIECE bytes; false: there is no more. */
bool letter_out_next(struct letter_out *o, struct buf *piece);

#endif
