/*
 * relay/find.h - what the index of messages on disk is made of: records of one
 * size, which the core writes as mail comes and as something happens to it, and
 * by which a message id or an address leads to the message and its events.
 */
#ifndef RELAY_FIND_H
#define RELAY_FIND_H

#include "mail/mail.h"

enum find_kind {
	FIND_MESSAGE = 1, /* key: the id; it came */
	FIND_RCPT,        /* key: a recipient's address */
	FIND_EVENT,       /* key: the id; something happened to a recipient */
	FIND_OVER,        /* the same, and that was its end */
};

/* 32 bytes, as on disk: in the machine's order. */
struct find_rec {
	uint64_t key;
	struct msgid id;
	uint32_t slot; /* in the spool since the last start; of events when:
			* seconds since 1970 */
	uint16_t rcpt;
	uint8_t kind; /* enum find_kind */
	uint8_t zero;
};
_Static_assert(sizeof(struct find_rec) == 32, "records are of one size");

/* Upper and lower case are alike, in both parts: whoever asks may not know. */
uint64_t find_key_address(struct slice address);
uint64_t find_key_id(const struct msgid *id);
void find_put(struct buf *out, uint64_t key, const struct msgid *id,
    uint32_t slot, uint16_t rcpt, enum find_kind kind);

#endif
