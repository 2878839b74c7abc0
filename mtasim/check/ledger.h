/*
 * check/ledger.h - conservation: what was accepted is delivered, bounced,
 * expired, deleted or queued, for each recipient, once.
 *
 * The ledger follows *instances*: messages as the spool knows them, by id. A
 * sender who was not told that a message was taken offers it again, and then
 * one message of his has two instances. Addresses carry the numbers:
 *
 *	m12r3@...   recipient 3 of the sender's message 12
 *	s12@...     the sender of message 12, where its notices go
 *
 * Durability: an instance is durable when the spool says that its commit is
 * done. An outcome is durable when the spool has none left that waits for a
 * sync. After a crash what was durable must be there, what was not may be.
 *
 * Second deliveries: every assignment is a flight, and a flight may end with
 * at most one taking by a receiver. One that ended with a refusal may not; one
 * that ended in doubt or in a crash may.
 */
#ifndef CHECK_LEDGER_H
#define CHECK_LEDGER_H

#include "check/check.h"
#include "relay/relay.h"

#define LED_RCPTS_MAX 64u /* recipients of a message, ceiling here */

struct ledger;

struct ledger *led_new(struct story *story, struct marks *marks);
void led_free(struct ledger *l);
/* The host's clocks, for what follows. */
void led_clock(struct ledger *l, int64_t now_us, int64_t wall_us);
/* The retry schedule in force, and the one before it. */
void led_retry(struct ledger *l, const struct eng_retry *r);
/* The weights of tenants and campaigns in force. */
void led_weights(struct ledger *l, const struct conf *c);

/* Numbers in an address. False: not one of ours. */
bool led_address(struct slice address, uint32_t *n, uint32_t *k,
    bool *is_sender);

/* ---- the way in ----------------------------------------------------------------- */

/* Number of the pool that its mail goes by. */
uint32_t led_pool(struct ledger *l, const struct msgid *id);
/* A parcel goes to the spool; its envelope is encoded. */
void led_commit(struct ledger *l, const struct parcel *p);
/* It came back. */
void led_committed(struct ledger *l, const struct parcel *p);
/* A 250 for it was written to the sender. is_kept: the medium holds it. */
void led_said_250(struct ledger *l, const struct msgid *id, bool is_kept);
/* The core has it. */
void led_submitted(struct ledger *l, const struct msgid *id);
/* The sender read the 250 for recipient k of his message n. */
void led_heard_250(struct ledger *l, uint32_t n, uint32_t k, struct slice id);

/* ---- the way out ---------------------------------------------------------------- */

/* The source that a recipient shall be seen from again, and since when; false:
 * any does. And that any does from now on. */
bool led_pinned(struct ledger *l, const struct msgid *id, uint16_t rcpt,
    uint32_t *source, int64_t *since_us);
void led_let_go(struct ledger *l, const struct msgid *id, uint16_t rcpt);
void led_assigned(struct ledger *l, const struct job *j, uint32_t source);
/* The same, by a young source whose plan prefers engaged mail: no other may have
 * gone first. From here on, what was before does not count. */
void led_engaged(struct ledger *l, const struct job *j, uint32_t source);
void led_engaged_reset(struct ledger *l);
/* Sources may have come and gone: who shall keep his may have another. */
void led_unpin(struct ledger *l);
/* passes: its receiver offers DSN, so telling of a delivery is not ours. */
void led_result(struct ledger *l, const struct job *j, bool passes);
/* Its sender asked for this (enum notify_flags). */
void led_wished(struct ledger *l, uint32_t k, uint8_t notify, struct slice id);
/* Whoever wants to be told of a delay is, in so long after it began: 0, where
 * nobody can be sure. */
void led_late(struct ledger *l, int64_t late_us);
/* The session is over; what it never reported was not sent. A result that
 * comes later is nobody's. */
void led_session_down(struct ledger *l, struct handle session);
/* A receiver took it: 250 to the final dot. body: the message as it came. */
void led_taken(struct ledger *l, struct slice recipient, struct slice body);
void led_outcome(struct ledger *l, struct handle slot, uint16_t rcpt,
    const struct spool_rcpt *r);
void led_dropped(struct ledger *l, struct handle slot);
/* The first n outcomes since the last start are on the medium, and so is every
 * calling-off of a commit that failed. */
void led_durable(struct ledger *l, uint64_t n);
/* How long the oldest outcome that is not durable has been so. */
int64_t led_unsynced_us(const struct ledger *l);
/* An operator wants these tried again: their due time holds no longer.
 * domain: part of the address behind the '@'; empty: all. */
void led_retry_now(struct ledger *l, struct slice domain);

/* ---- crashes -------------------------------------------------------------------- */

void led_crash(struct ledger *l);
/* An orderly stop, just before led_crash: all that it knew is on the medium,
 * unless the disk failed it. */
void led_stopped(struct ledger *l, bool is_ill);
void led_found(struct ledger *l, const struct spool_found *f);
void led_scanned(struct ledger *l);

/* ---- damage --------------------------------------------------------------------- */

/* A live message's record moved, or which one is it? */
void led_moved(struct ledger *l, struct handle slot,
    const struct spool_ref *ref);
/* Some live message, by a number, that lies in a segment which takes nothing
 * more; false: none does. */
bool led_some_ref(const struct ledger *l, uint64_t number,
    struct spool_ref *out);
/* Bytes of a file went bad: what lies there may be set aside, nothing else. */
void led_rot(struct ledger *l, uint32_t file, uint64_t from, uint64_t to);
/* The core gives one up, and has said so in the books. */
void led_damaged(struct ledger *l, struct handle slot, struct slice book);

/* ---- the books ------------------------------------------------------------------ */

/* Lines that the event log has, or, of the end of it, has lost. */
void led_booked(struct ledger *l, struct slice lines, bool has);
/* The process has ended. Receptions that are not in the log need not be: where
 * the commit was slow; of what is over; of all. */
enum led_excuse { LED_SLOW_ONES, LED_OVER_ONES, LED_ALL };
void led_excuse_lines(struct ledger *l, enum led_excuse who);
/* Every acknowledged message has its Receptions in the log; when a start is
 * done, or at rest. */
void led_lines(struct ledger *l);

/* ---- audits --------------------------------------------------------------------- */

struct led_sums {
	uint64_t messages, recipients; /* with the core, not over */
	uint64_t ever[OUTCOME_N];      /* final outcomes by class */
	uint64_t notices, second, taken, accepted;
};
void led_sums(const struct ledger *l, struct led_sums *out);
/* The core asks for a domain, or has an answer that names its hosts. */
void led_domain(struct ledger *l, struct slice domain, bool is_known);
/* Is somebody starved? Once in a while, where domains stay at their sites. */
void led_shares(struct ledger *l);
/* Walks everything. */
void led_audit(struct ledger *l);
/* Nothing is queued any more. */
void led_rest(struct ledger *l);

/* Whose a message is. 3 = none or the last of those. */
struct led_flow {
	uint32_t tenant, campaign, pool;
	bool is_null;    /* it has no sender */
	uint32_t sender; /* its sender's domain */
	uint64_t bytes;
	bool has_tenant; /* else the number is that of those without */
};
bool led_flow(struct ledger *l, const struct msgid *id, struct led_flow *out);
/* The same of what stands in a slot; and who waits with the core, whom nobody holds,
 * in turn: false at the end, *at is 0 at first. */
bool led_flow_at(struct ledger *l, struct handle slot, struct led_flow *out,
    uint32_t *msg);
bool led_next_waiting(struct ledger *l, uint64_t *at, struct led_flow *out,
    uint32_t *msg);
/* Where a recipient of a message is: the number of its domain. */
struct led_dest {
	uint32_t msg, domain;
};
struct led_dest led_dest(struct ledger *l, const struct msgid *id,
    uint16_t rcpt);

#endif
