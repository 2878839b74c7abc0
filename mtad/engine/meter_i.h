/*
 * engine/meter_i.h - what the policy's limits have counted, and who waits for
 * them; part of engine_i.h.
 *
 * A limit (struct eng_limit_conf) has one meter for each tuple of values of its
 * dims, made when something belongs to it and given back when nothing does and
 * it remembers nothing. Whatever a limit refuses waits at its meter, in one of
 * two lines: to send a transaction, or to open a session. When a unit is free
 * the meter wakes one waiter and keeps the unit for it; who was not there first
 * may have what is left over. Nothing asks again before it is woken.
 *
 *	path, queue -> the meters that they belong to (struct meters)
 *	txn, sess   -> charges: what they have spent or hold, meter by meter
 *	waiter      -> its meter, and the path, queue or lane that waits
 *	meter line  -> shares (one a tenant, with a weight), share -> its waiters
 */
#ifndef ENGINE_METER_I_H
#define ENGINE_METER_I_H

#include "engine/engine_i.h"

#define CAP_NONE UINT32_MAX
#define WINDOW_SLOTS 61 /* the one that is running and 60 before it */

struct bucket {
	int64_t credit; /* microseconds x count, as that of a path */
	int64_t at_us;
};

enum line_kind { LINE_SEND, LINE_OPEN, LINES };
struct line {
	struct ilist shares; /* whose turn it is stands first */
	struct ilist told;   /* waiters a unit is kept for, oldest first */
	uint32_t npromised;  /* of them, sessions that are to come up */
	uint32_t n;          /* waiters that are not told */
	/* Units in a row that nobody had a use for; after a round of them the
	 * next one rests until then. */
	uint32_t unused;
	int64_t rest_until_us;
};

/* What a tuple of a limit has used. */
struct meter {
	uint32_t cap;  /* index in the policy, CAP_NONE = it has it no more */
	uint32_t name; /* of the limit */
	uint16_t dims; /* and whose values count */
	uint32_t val[DIM_N]; /* names; of a site or host: its index */
	uint32_t where[DIM_N];
	uint32_t twin;       /* next with the same hash */
	uint32_t nrefs;      /* meters' chains, charges, waiters */
	uint32_t generation; /* of e, that cap is of */
	int64_t synced_us;
	struct bucket msgs, rcpts, bytes, opens;
	uint32_t conns;  /* sessions, or transactions, that count now */
	int64_t ramp_us; /* when the first of them came */
	/* Quota: transactions of the day, or in a window's slots; how many of
	 * them may come before a new entry is durable; those since the last
	 * was asked for, and what it will allow. */
	uint64_t used, kept, asked_used, asked;
	uint64_t serial; /* of the entry that is asked for, 0 = none */
	int64_t day;
	uint32_t window;
	bool has_entry; /* one stands in the books */
	bool is_asking; /* in e->asking */
	struct line line[LINES];
	struct waits waits;
	struct eng_blocked blocked;
	struct timer timer;
	struct link asking;
};

/* Transactions of a window in 60 parts. One that a part has counted leaves with
 * the whole part, so a window never holds more than it may. */
struct window {
	int64_t slot; /* number of the part that is running */
	uint32_t n[WINDOW_SLOTS];
};

struct charge {
	uint32_t meter, next;
	bool is_held;  /* counts as a session of the meter */
	bool is_spent; /* was counted as sent */
	int64_t day;   /* of the meter, then */
};

/* A session never stands in line: it has what was kept for who opened it. */
enum waiter_kind { WAITER_PATH, WAITER_QUEUE, WAITER_LANE, WAITER_SESS };
struct waiter {
	uint32_t meter, share;
	uint32_t index; /* of the path, queue, lane or session */
	uint32_t next;  /* of the same session */
	uint8_t kind;   /* enum waiter_kind */
	uint8_t line;   /* enum line_kind */
	bool is_told;   /* a unit is kept for it */
	uint8_t list;   /* enum waiter_list it is in by `wake` */
	uint32_t bytes; /* of the message that it wants to send */
	int64_t told_us, since_us;
	uint64_t generation; /* of e, under which its limit counts it */
	struct link link;    /* of its share; once told, of its line */
	struct link wake;
};
enum waiter_list { LIST_NONE, LIST_WOKEN, LIST_ROUSED };

/* The waiters of one tenant in one line. */
struct share {
	uint32_t meter;
	uint8_t line;
	uint32_t tenant;
	uint32_t left; /* wakes before it is the next one's turn */
	struct ilist waiters;
	struct link link;
};

/* Who wants to send, or to open a session. 0 = none. */
struct asker {
	uint32_t path, queue, lane;
	uint32_t src;
	uint32_t host;  /* of the session */
	uint32_t sess;  /* that it would go on */
	uint32_t bytes; /* of the message */
};
/* The meter that refuses, and when it may not. */
struct refusal {
	uint32_t meter; /* 0 = none */
	uint8_t line;
	uint8_t level;    /* enum cap_level: who is refused */
	bool is_opening;  /* it was asked for a session */
	int64_t until_us; /* TIME_NEVER: when something is given back */
};

/* ---- meter.c ---- */
/* What the limits of a new policy mean; the old one is e->policy, or NULL. */
void eng_caps_begin(struct eng *e, const struct eng_policy *p);
/* Sessions are counted by the new policy; who waits looks again, in slices. */
void eng_caps_rebind(struct eng *e);
void eng_caps_run(struct eng *e);
/* In what counts it from now on, it is counted already. */
void eng_session_rebind(struct eng *e, uint32_t sess);
/* The meters of a path or queue, of the present policy. */
struct meters *eng_path_meters(struct eng *e, struct path *p);
struct meters *eng_queue_meters(struct eng *e, struct queue *q);
void eng_meters_drop(struct eng *e, struct meters *m);
/* The meter of a limit that speaks of more than a path or a queue, 0 when it
 * says nothing about these. */
uint32_t eng_meter_of(struct eng *e, uint32_t cap, const struct asker *a);
void eng_meter_drop(struct eng *e, uint32_t meter);
/* Does a limit of the policy say anything about what the queue, of the lane, may
 * send by the path? Where none does, nothing is asked, spent or given back. */
bool eng_caps_concern(struct eng *e, struct path *p, const struct lane *l,
    const struct queue *q);
/* Its cap in the present policy, or NULL. */
const struct eng_limit_conf *eng_meter_cap(struct eng *e, struct meter *m);
/* Connections of it are its transactions: sessions carry mail of many. */
bool eng_cap_counts_txns(const struct eng_limit_conf *c);
/* The meter of an entry of the books, made; 0 when no limit is like it. */
uint32_t eng_meter_named(struct eng *e, const struct eng_entry *en);
struct charge *eng_charge_add(struct eng *e, uint32_t *head, uint32_t meter);
void eng_meter_timer(struct eng *e, uint32_t meter);
/* A name for a site's value. */
uint32_t eng_site_label(const struct eng *e, uint32_t val);

/* ---- usage.c ---- */
static inline int64_t
eng_bucket_max(const struct eng_rate *r)
{
	return r->period_us * (int64_t)MAX(r->burst, UINT64_C(1));
}
/* What it would hold at that time. */
int64_t eng_bucket_credit(const struct bucket *b, const struct eng_rate *r,
    int64_t now_us);
/* Sessions that it may have at once then; more from *until_us on, TIME_NEVER. */
uint32_t eng_meter_conns_max(const struct meter *m,
    const struct eng_limit_conf *c, int64_t now_us, int64_t *until_us);
/* Of the parts in which a quota's window moves. */
int64_t eng_quota_part_us(const struct eng_limit_conf *c);
/* The day that a quota counts in, by the wall clock; and when one begins, in the
 * engine's time. */
int64_t eng_quota_day(const struct eng *e, const struct eng_limit_conf *c,
    int64_t now_us);
int64_t eng_quota_day_us(const struct eng *e, const struct eng_limit_conf *c,
    int64_t day);
/* When, by its quota, the nth transaction from now on may go, if each goes as
 * soon as it may; *last: how many of them go then. */
int64_t eng_quota_when(const struct eng *e, uint32_t meter, uint64_t n,
    uint64_t *last);

/* ---- count.c ---- */
void eng_meter_reset(struct eng *e, struct meter *m, int64_t since_us);
/* May it have one more, when `ahead` are promised to others? */
bool eng_meter_allows(struct eng *e, uint32_t meter, enum line_kind line,
    uint32_t ahead, uint32_t bytes, int64_t *until_us);
/* Recipients that may go in one transaction. */
uint32_t eng_meter_rcpts(struct eng *e, struct meter *m);
void eng_meter_spend(struct eng *e, uint32_t meter, uint32_t nrcpts,
    uint32_t bytes);
void eng_meter_unspend(struct eng *e, const struct charge *k, int64_t at_us,
    uint32_t nrcpts, uint32_t bytes);
void eng_meter_open(struct eng *e, uint32_t meter);
/* One more session, or transaction, counts. */
void eng_meter_hold(struct eng *e, struct meter *m);
/* All is as if it had never been used; else when it will be, in *until_us. */
bool eng_meter_is_blank(struct eng *e, struct meter *m, int64_t *until_us);
void eng_meters_kept(struct eng *e);
void eng_meter_recall(struct eng *e, const struct eng_entry *en);
void eng_meter_inherit(struct eng *e, uint32_t meter, uint32_t from);
/* It is given up: its entry goes, too. */
void eng_meter_forget(struct eng *e, struct meter *m);
/* Does it count sends, so that they may not be handed out ahead? */
bool eng_cap_is_sent(const struct eng_limit_conf *c);

/* ---- gate.c ---- */
/* May this transaction start (LINE_SEND) or this session be opened, and used? */
bool eng_caps_allow(struct eng *e, const struct asker *a, enum line_kind line,
    struct refusal *r);
/* It waits there until it is told; a queue is parked. */
void eng_wait(struct eng *e, enum waiter_kind kind, uint32_t index,
    const struct refusal *r, const struct asker *a);
/* It waits no more. *waiter may be 0. */
void eng_unwait(struct eng *e, uint32_t *waiter);
void eng_waiter_release(struct eng *e, uint32_t waiter);
bool eng_waiter_is_told(const struct eng *e, uint32_t waiter);
/* It stands in line, and has not been told. */
bool eng_waiter_is_in_line(const struct eng *e, uint32_t waiter,
    enum line_kind line);
/* It was told in this step. */
bool eng_waiter_is_roused(const struct eng *e, uint32_t waiter);
/* It has waited, so long, since it was counted. */
void eng_waiter_count(struct eng *e, uint32_t waiter, uint64_t rcpt_us);
/* Something may be free. */
void eng_meter_run(struct eng *e, uint32_t meter);
/* Those whose turn it is; and when all have looked, what they did not need. */
void eng_woken_run(struct eng *e);
void eng_roused_run(struct eng *e);
/* What was kept for these is used, *g: where. When it has been spent comes
 * eng_caps_again: who has more to send stands in line again, unasked. */
struct again {
	uint32_t path, queue, lane; /* meters, held; 0 = none */
	uint8_t line;
};
void eng_caps_take(struct eng *e, const struct asker *a, enum line_kind line,
    struct again *g);
void eng_caps_again(struct eng *e, const struct asker *a,
    const struct again *g);
/* A queue that is next stands in line, and the session (0: none) was not opened
 * for it: it leaves the ring. */
bool eng_queue_stands_aside(struct eng *e, uint32_t queue, uint32_t sess);
/* A session has come up for it: it stands in the ring, in line as it is. */
void eng_queue_meets(struct eng *e, struct handle queue);
/* A unit of the meter, if it counts what is sent, is kept for a session that is on
 * its way; until that has used them, or has no use for them. */
void eng_promise(struct eng *e, uint32_t sess, uint32_t meter);
void eng_promises_end(struct eng *e, uint32_t sess, bool is_used);

/* ---- spend.c ---- */
/* Recipients that one transaction may have now, at most max. */
uint32_t eng_caps_rcpts(struct eng *e, const struct asker *a, uint32_t max);
/* A transaction, with its recipients, is spent; given back, as it was never
 * sent; over, and holds no session any more. */
void eng_caps_spend(struct eng *e, const struct asker *a, uint32_t txn);
void eng_caps_unspend(struct eng *e, uint32_t txn);
void eng_caps_end(struct eng *e, uint32_t txn);
/* A session is opened; gone. */
void eng_caps_open(struct eng *e, const struct asker *a, uint32_t sess);
void eng_caps_close(struct eng *e, uint32_t sess);
/* By a new policy: what a session holds, and a transaction. */
void eng_caps_hold(struct eng *e, const struct asker *a, uint32_t sess);
void eng_caps_recount(struct eng *e, const struct asker *a, uint32_t txn);

/* ---- offer.c ---- */
/* What the first of a queue would spend, by one path. */
struct asker eng_asker(const struct eng *e, uint32_t lane, uint32_t queue,
    uint32_t path);
/* Which queue of the lane may the path, which has room, serve now? 0: none. */
uint32_t eng_lane_offer(struct eng *e, uint32_t lane, uint32_t path);
/* Parks the queues that no path may serve; is something left? */
bool eng_lane_admits(struct eng *e, uint32_t lane);
/* The path waits for its turn to send, and has not been told. */
bool eng_path_at_limit(const struct eng *e, const struct path *p);
/* It waits at a limit, to send or to open a session: nobody need ask it for one
 * until it is told. */
bool eng_path_waits(const struct eng *e, const struct path *p);

static inline struct meter *
eng_meter(const struct eng *e, uint32_t i)
{
	return pool_at(&e->meters, i);
}

static inline bool
eng_has_caps(const struct eng *e)
{
	return e->policy->ncaps != 0;
}

#endif
