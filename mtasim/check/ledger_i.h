/*
 * check/ledger_i.h - the ledger's own structures.
 */
#ifndef CHECK_LEDGER_I_H
#define CHECK_LEDGER_I_H

#include "check/ledger.h"

/* Lines of the referee of shares; larger numbers share one. */
#define LED_SITES 16u
#define LED_DOMAINS 4u /* of a site */
#define LED_POOLS 4u
#define LED_SOURCES 32u
#define LED_TENANTS 5u /* the last is who has no name */
#define LED_CAMPAIGNS 4u
#define LED_LINES (LED_SITES * LED_POOLS * 2) /* of two classes */

enum led_state {
	LED_COMMITTING, /* handed to the spool, not back */
	LED_FAILED,     /* came back with an error */
	LED_DURABLE,
	LED_OVER,  /* dropped */
	LED_MAYBE, /* was committing when the power went */
	LED_LOST,  /* and was not found afterwards: nobody was promised it */
};

struct led_rcpt {
	uint32_t k;
	uint8_t klass;   /* final class, OUTCOME_NONE = open */
	bool is_durable; /* the final outcome is on the medium */
	bool is_waived;  /* its due time no longer holds, perhaps */
	uint8_t from,
	    pin;        /* source + 1 of its last flight; that it shall keep */
	bool is_pinned; /* it may have to wait for one source */
	bool is_owed, is_held, is_flying, is_reverted;
	bool is_booked;            /* its Reception is in the log */
	bool found_owed, was_owed; /* by the last start, and by us then */
	uint8_t notify;            /* enum notify_flags */
	bool is_passed;            /* who took it tells of that */
	uint32_t late_payer;       /* as payer: it told of a delay; or 0 */
	uint8_t paid;              /* notices for it that exist */
	uint32_t payer;            /* the last of them: instance + 1 */
	uint16_t flights, taken;
	uint16_t failures; /* in a row, as given to the spool */
	int64_t due_us;
	int64_t told_us;      /* of the last result or outcome */
	int64_t pin_us;       /* when it was refused for that */
	uint8_t site, number; /* of its domain at its site */
	char domain[32];
};

struct led_inst {
	struct msgid id;
	uint32_t n; /* the sender's number; of a notice: of whom it is for */
	uint32_t nrcpt;
	enum led_state state;
	struct handle slot;
	bool is_null, is_notice, said_250, heard_250, with_core;
	bool is_engaged;
	bool is_slow;       /* its commit took long */
	bool has_no_line;   /* in the event log, and need not have one */
	bool may_be_over;   /* it need not either, unless a start finds it */
	bool is_called_off; /* FAILED, and that is on the medium */
	bool was_found;
	bool is_rotten;        /* its record has gone bad */
	bool is_aside;         /* and it has been set aside */
	struct spool_ref ref;  /* where it lies */
	int64_t not_before_us; /* by the wall clock, 0 = at once */
	int64_t expires_us, expires_wall_us, committed_us, submitted_us;
	uint8_t pool, tenant, campaign, klass;
	bool has_tenant;
	char zone[16];   /* that it is for, if it says so */
	uint32_t sender; /* its domain: LED_DOMAINS of each site */
	uint64_t bytes;
	bool pays_delay;
	uint32_t pays; /* instance + 1 */
	uint32_t npays;
	uint16_t *pays_rcpts;
	struct led_rcpt *rcpt;
};

struct led_ref {
	uint32_t inst;
	uint16_t rcpt;
	bool is_final;
	int64_t at_us;
};

struct led_flight {
	struct led_ref ref;
	struct handle session;
};

/* Transactions of a line, ever, and what they were when the present wait of
 * each began. */
struct led_line {
	uint32_t served[LED_TENANTS], from[LED_TENANTS][LED_TENANTS];
	uint32_t site_from[LED_TENANTS];
	uint32_t by_campaign[LED_TENANTS][LED_CAMPAIGNS];
	uint32_t campaign_from[LED_TENANTS][LED_CAMPAIGNS][LED_CAMPAIGNS];
	uint32_t campaign_any[LED_TENANTS][LED_CAMPAIGNS];
	uint32_t any_from[LED_TENANTS][LED_CAMPAIGNS];
	uint32_t bulk_from, hurry_from; /* of a line of bulk */
};

struct ledger {
	struct story *story;
	struct marks *marks;
	int64_t now_us, wall_us;
	struct eng_retry retry, old_retry;
	struct led_inst *inst;
	uint32_t n, cap;
	struct map by_id, by_slot; /* index + 1 */
	/* Outcomes that wait for a sync, in their order, and commits that
	 * failed since. */
	struct led_ref *pending;
	uint32_t npending, pending_cap;
	uint64_t ndurable; /* outcomes before pending[0] since the start */
	bool has_failed;
	bool is_scanning;          /* a start finds what there is */
	struct led_flight *flight; /* in the air */
	uint32_t nflights, flight_cap;
	uint32_t last_file; /* of the last commit */
	struct led_sums sums;
	/* Shares. */
	int64_t looked_us;
	struct led_line line[LED_LINES];
	uint32_t site_served[LED_SITES][2][LED_TENANTS]; /* by class */
	uint32_t site_bulk[LED_SITES];
	uint32_t weight[LED_TENANTS];
	const struct conf *conf; /* in force */
	uint32_t campaign_weight[LED_TENANTS][LED_CAMPAIGNS];
	/* When engaged mail went last by a source to a site, for a pool. */
	int64_t engaged_us[LED_SOURCES][LED_SITES][LED_POOLS];
	/* Since when it is known where a domain is; TIME_NEVER = it is not. */
	int64_t known_us[LED_SITES * LED_DOMAINS];
	int64_t late_us; /* led_late */
};

/* Takes a decimal number from the front. */
bool led_number(struct slice *s, uint32_t *out);
struct led_inst *led_by_id(struct ledger *l, const struct msgid *id);
struct led_inst *led_by_slot(struct ledger *l, struct handle slot);
void led_slot_set(struct ledger *l, struct led_inst *in, struct handle slot);
void led_slot_clear(struct ledger *l, struct led_inst *in);
void led_pend(struct ledger *l, const struct led_inst *in, uint16_t rcpt,
    bool is_final);
void led_note(struct ledger *l, const char *what, const struct led_inst *in,
    int32_t rcpt, struct slice text);
void led_note_ref(struct ledger *l, const char *what,
    const struct led_inst *in);
/* A recipient's flight begins; and ends, false when there is none. */
void led_fly(struct ledger *l, const struct led_inst *in, uint16_t rcpt,
    struct handle session);
bool led_land(struct ledger *l, const struct led_inst *in, uint16_t rcpt,
    struct handle session);
/* ledger_dsn.c: is its sender to be told of that end? */
bool led_must_tell(const struct led_inst *in, const struct led_rcpt *c,
    uint8_t klass);
void led_pay_late(struct ledger *l, const struct led_inst *notice,
    struct led_inst *orig);
/* It is over: was it late, and nobody told? */
void led_check_late(struct ledger *l, const struct led_inst *in,
    const struct led_rcpt *c);
/* A notice exists: what it pays is paid. */
void led_pay(struct ledger *l, const struct led_inst *notice);
/* Is there anything left to do for it, by what we know? */
bool led_is_open(const struct led_inst *in);
/* ledger_share.c */
void led_share_served(struct ledger *l, const struct led_inst *in,
    const struct led_rcpt *c);
void led_share_reset(struct ledger *l);
/* What was served up to here does not count. */
void led_share_begin(struct ledger *l);
/* Is its tenant quiet at a time of the wall clock? */
bool led_is_quiet(const struct ledger *l, const struct led_inst *in,
    int64_t wall_us);
/* ledger_time.c: due times and expiry. */
void led_time_outcome(struct ledger *l, const struct led_inst *in,
    struct led_rcpt *c, const struct spool_rcpt *r);
/* It is with the core: not due before its schedule. */
void led_time_schedule(struct ledger *l, const struct led_inst *in,
    struct led_rcpt *c);
void led_time_assigned(struct ledger *l, const struct led_inst *in,
    const struct led_rcpt *c);
void led_time_restored(struct ledger *l, struct led_inst *in,
    struct led_rcpt *c, const struct spool_rcpt *r);

#endif
