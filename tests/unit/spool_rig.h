/*
 * tests/unit/spool_rig.h - a spool on a memory disk behind a switch that can
 * cut the power after so many disk operations, and short ways to do what the
 * spool's owner does. Times are virtual; every turn takes a millisecond.
 */
#ifndef TESTS_SPOOL_RIG_H
#define TESTS_SPOOL_RIG_H

#include "spool/spool.h"

#define RIG_FOUND_MAX 4096
#define RIG_TEXT_MAX 96

struct rig_found {
	struct msgid id;
	struct handle slot;
	struct spool_ref ref;
	uint32_t nrcpt, nfinal, nowed, ntold;
	uint16_t attempts;       /* of recipient 0 */
	char text[RIG_TEXT_MAX]; /* of the first recipient that is owed */
};

struct rig {
	struct disk disk; /* the switch */
	struct disk *under;
	int64_t ops_left; /* until the power fails; -1: never */
	/* Operations that succeed before the next write or sync fails. */
	int fail_write_in, fail_sync_in; /* -1: never */
	/* Reads that touch [from, to) of this file fail; 0: none. */
	uint32_t bad_file;
	uint64_t bad_from, bad_to;
	struct spool_conf conf;
	struct spool *s;
	int64_t now_us;
	uint64_t next_id;
	uint32_t nfound, ndamaged;
	struct rig_found found[RIG_FOUND_MAX];
	struct spool_damage damage; /* the last one */
};

void rig_init(struct rig *r, uint64_t seed);
void rig_free(struct rig *r);
/* Opens and scans; 0 or E_*. What was found is in found and ndamaged. */
int rig_open(struct rig *r);
void rig_close(struct rig *r);
/* The process dies; what it wrote is there (kill), or perhaps not (power). */
void rig_kill(struct rig *r);
void rig_power_loss(struct rig *r);
void rig_turn(struct rig *r);
/* Turns until no outcome waits. */
void rig_settle(struct rig *r);

/* The same for tools: nothing is written, and only the scan has been. */
int rig_open_read_only(struct rig *r);

/* A body that its id determines. */
void rig_body(char *dst, uint32_t n, const struct msgid *id);
/* Commits one message of nrcpt recipients and body bytes; returns c->err. */
int rig_commit(struct rig *r, struct spool_commit *c, uint32_t nrcpt,
    uint32_t body);
/* The same as a notice that pays the debts of recipients of `to`; without
 * recipients of its own (nrcpt 0) it waives them. */
int rig_pay(struct rig *r, struct spool_commit *c, struct handle to,
    const uint16_t *rcpts, uint32_t n, uint32_t nrcpt);
void rig_outcome(struct rig *r, struct handle slot, uint16_t rcpt, bool final,
    bool owed, uint16_t attempts);
const struct rig_found *rig_find(const struct rig *r, const struct msgid *id);
/* Reads the message back; does it hold what rig_commit wrote? */
bool rig_is_intact(struct rig *r, const struct spool_ref *ref,
    const struct msgid *id);

#endif
