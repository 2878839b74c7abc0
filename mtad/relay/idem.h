/*
 * relay/idem.h - idempotency keys: which messages were taken within a day, by
 * the keys that their clients gave them, so that one which comes again is
 * answered as it was the first time and not taken twice.
 *
 * A key is known by a digest (128 bits, of whose 96 are kept here): its client's
 * scope and its text. Memory: 32 bytes a key and its share of a table, about 40
 * in all. Nothing is forgotten before its time: a full index says so.
 *
 * No thread and no lock here; the driver's (daemon/keybook.c).
 */
#ifndef RELAY_IDEM_H
#define RELAY_IDEM_H

#include "mail/mail.h"

#define IDEM_LIFE_US (24 * 3600 * US_PER_S)
#define IDEM_TEXT_MAX 255u /* bytes of a key, as clients give it */

struct idem;
/* At most max keys, beside those that are restored. NULL: no memory. */
struct idem *idem_new(uint32_t max);
void idem_free(struct idem *x); /* may be NULL */

enum idem_answer {
	IDEM_TAKEN, /* it is new: yours, until idem_settle */
	IDEM_DONE,  /* it was taken before: *first */
	IDEM_BUSY,  /* it is being taken just now */
	IDEM_OTHER, /* it was given to another message */
	IDEM_FULL,
};
/* Takes a key for the message id, whose time is now. */
enum idem_answer idem_claim(struct idem *x, const struct env_key *key,
    const struct msgid *id, int64_t wall_us, struct msgid *first);
/* The same without taking it; IDEM_TAKEN: nobody has it. A digest of 0 agrees
 * with all. */
enum idem_answer idem_find(struct idem *x, const struct env_key *key,
    int64_t wall_us, struct msgid *first);
/* What became of a claim: the message is durable, or the key is free again. */
void idem_settle(struct idem *x, const struct env_key *key,
    const struct msgid *id, bool is_kept);
/* A message that was taken before a restart. 1: its key was not known; 0: it was,
 * or its time is over; E_NOMEM. */
int idem_restore(struct idem *x, const struct env_key *key,
    const struct msgid *id, int64_t wall_us) MUST_CHECK;
uint64_t idem_count(const struct idem *x);
size_t idem_bytes(const struct idem *x);

#endif
