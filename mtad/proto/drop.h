/*
 * proto/drop.h - the drop file: a message that a local program leaves for the
 * daemon (share/doc/submission.md has it byte by byte).
 *
 *	"MTADROP\1"				magic and version
 *	records: kind (1), length (2), bytes	the envelope
 *	kind 0, length 0			its end
 *	the message, CRLF line ends
 *	bytes of the message (8), CRC32C of all that stands before it (4),
 *	"DROP END"				the tail
 *
 * Numbers are little-endian. A file that was cut off has no tail, one that was
 * written over has another sum: it is whole, or nothing of it is believed.
 * Anybody may have written it, so the sum protects against accidents only, and
 * every value is looked at as a peer's words are.
 */
#ifndef PROTO_DROP_H
#define PROTO_DROP_H

#include "mail/mail.h"

#define DROP_MAGIC "MTADROP\1"
#define DROP_MAGIC_BYTES 8u
#define DROP_TAIL_BYTES 20u
/* Envelope of RCPTS_MAX recipients, each of MAILBOX_MAX bytes, and the rest. */
#define DROP_HEAD_MAX (4u << 20)
#define DROP_NAME_MAX 255u /* bytes of -F */

/* Who sends what to whom. Addresses may lack their domain: they are the
 * daemon's host's then. */
struct drop_head {
	struct slice sender; /* empty: the null sender */
	struct slice name;   /* for a From field that is missing, or empty */
	struct slice envid;  /* xtext */
	uint8_t notify;      /* enum notify_flags, of all recipients; 0: none */
	uint8_t ret;         /* ENV_RET_HDRS, ENV_RET_FULL or 0 */
	int64_t made_us;     /* wall clock, when the message was handed in */
	uint32_t nrcpt;
	struct slice rcpts; /* as records: drop_rcpt_next */
};

/* Appends magic and envelope; rcpts as drop_rcpt_add makes them. */
int drop_head_write(struct buf *out, const struct drop_head *h) MUST_CHECK;
int drop_rcpt_add(struct buf *rcpts, struct slice address) MUST_CHECK;
/* The next recipient at *rest, which moves behind it; false: no more. */
bool drop_rcpt_next(struct slice *rest, struct slice *address);
/* Appends the tail of a message of body_bytes; crc is that of the head and the
 * message. */
int drop_tail_write(struct buf *out, uint64_t body_bytes,
    uint32_t crc) MUST_CHECK;

/* May stand in an envelope: no control bytes, angle brackets or blanks, and
 * not longer than an address can be. What it means is looked at elsewhere. */
bool drop_address_is_clean(struct slice address);

/* Reads a file, in pieces as they come. */
struct drop_reader {
	/* Once the file is whole: */
	struct drop_head head; /* into `front` */
	uint64_t body_at, body_bytes;
	bool has_8bit;       /* in the message, its header included */
	bool has_8bit_names; /* in the envelope */
	/* Private. */
	uint64_t size, at;
	uint32_t crc;
	bool has_head;
	struct buf front; /* the head, as far as it has come */
	uint8_t tail[DROP_TAIL_BYTES];
};

/* A file of size bytes. */
void drop_reader_init(struct drop_reader *r, uint64_t size);
void drop_reader_free(struct drop_reader *r);
/* The next bytes. 0, or why it is no drop file: E_SYNTAX, E_VERSION, E_TOOBIG
 * (its envelope), E_CORRUPT (a sum), E_NOMEM. */
int drop_reader_feed(struct drop_reader *r, struct slice data) MUST_CHECK;
/* All has been fed: 0, the file is whole; or as above, E_CORRUPT if it ends too
 * early. */
int drop_reader_end(struct drop_reader *r) MUST_CHECK;

#endif
