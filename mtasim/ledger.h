/*
 * ledger.h - every recipient of every message of the load, and what became of
 * it.
 *
 * At rest: acknowledged = delivered + bounced + expired + removed + still
 * queued. What is in none of these is lost; what was delivered twice, or
 * delivered although it was refused or bounced, is a duplicate; what arrived
 * with another fingerprint is corrupt. A message in doubt (its final dot got
 * no answer) may be delivered once or not at all.
 *
 * 32 bytes a recipient, and 24 in the hash table.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "world/ident.h"

#define LEDGER_MAX (1u << 26) /* recipients */
#define LEDGER_DOMAINS_MAX (1u << 21)

enum claim {        /* what the load knows */
	CLAIM_NONE, /* never heard of it */
	CLAIM_UNSENT,
	CLAIM_REFUSED,
	CLAIM_DOUBT,
	CLAIM_ACKED,
};

enum fate_bits { /* what others say; any number of them */
	FATE_BOUNCED = 1 << 0,
	FATE_EXPIRED = 1 << 1,
	FATE_REMOVED = 1 << 2, /* by an operator, or set aside as damaged */
	FATE_QUEUED = 1 << 3,
	FATE_BOOKED = 1 << 4, /* the relay's log says delivered */
	FATE_BAD = 1 << 5,    /* some delivery had another fingerprint */
};

struct entry {
	uint64_t id;
	int64_t intended_us; /* 0: not known */
	uint32_t domain;     /* in ledger.domains */
	uint32_t late;       /* first delivery: 10 us after intended */
	uint8_t rcpt;
	uint8_t claim;     /* enum claim */
	uint8_t fate;      /* enum fate_bits */
	uint8_t delivered; /* times, up to 255 */
};

struct ledger {
	struct map map;
	struct entry *v;
	uint32_t n, cap;
	struct names domains;
	struct map relay_ids; /* hash of the relay's id to index + 1 below */
	uint64_t *sim_ids;
	uint32_t nids, ids_cap;
	/* Notes on what was read. */
	uint64_t foreign;  /* received messages that are none of the load's */
	uint64_t receipts; /* received messages of the load */
	uint64_t events;
	uint64_t torn; /* journals whose last line was cut off */
	uint64_t odd;  /* records that make no sense */
};

void ledger_init(struct ledger *g);
void ledger_free(struct ledger *g);
/* The entry of a recipient, made when new; dies without memory. */
struct entry *ledger_entry(struct ledger *g, uint64_t id, uint32_t rcpt);
/* The same, or NULL when it is not there. */
struct entry *ledger_find(const struct ledger *g, uint64_t id, uint32_t rcpt);

/* Each reads one file. 0, or an E_* with a reason printed to stderr. */
int ledger_read_load(struct ledger *g, const char *path) MUST_CHECK;
int ledger_read_sink(struct ledger *g, const char *path) MUST_CHECK;
int ledger_read_events(struct ledger *g, const char *path) MUST_CHECK;
/* A listing of the relay's queue, JSON: recipients by address, or messages by
 * the relay's id (then the events must have been read before). */
int ledger_read_queue(struct ledger *g, const char *path) MUST_CHECK;

#endif
