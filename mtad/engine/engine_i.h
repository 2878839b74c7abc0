/*
 * engine/engine_i.h - the engine's own structures; private to the room.
 *
 * Everything lives in pools and is linked by 32-bit indices (list_i.h). Who
 * points to whom:
 *
 *	msg   <- its rcpts, chained by `sib`
 *	rcpt  -> msg, dom, queue; linked in its queue's FIFO (WAIT, READY) or in
 *	         its transaction (ASSIGNED); on the wheel unless ASSIGNED
 *	dom   -> site, once resolved
 *	queue -> flow, and its home: a dom (unresolved) or a site
 *	lane  =  site x pool (x source, if pinned): its tenants' turns, each a ring
 *	         of its queues that are ready
 *	path  =  site x source: connections, rate, back-off
 *	sess  -> path, host; txn -> sess
 *
 * Only eng_rcpt_enter and eng_rcpt_leave change a recipient's state; counts
 * of queues and totals follow from there.
 */
#ifndef ENGINE_ENGINE_I_H
#define ENGINE_ENGINE_I_H

#include "engine/engine.h"
#include "engine/kinds_i.h"
#include "engine/list_i.h"

#define WHEEL_TICK_US (10 * US_PER_MS) /* spans 497 days */
#define AHEAD_MAX 4                    /* ceiling of a shape's assign_ahead */
#define LEVEL_NONE UINT8_MAX
#define IDLE_US (60 * US_PER_S) /* what has no mail is given back */
#define SLICE 500               /* recipients that one step looks at */
#define WHEEL_MOVES 2000        /* timers that one step moves in the wheel */
#define PUMP_MAX 256            /* assignments and openings of one step */
/* Sessions of a path that have not shown yet that the peer takes mail: so many,
 * or as many as have. A host that says nothing holds no more than these. */
#define UNPROVEN_MAX 4
/* Under pressure a session that has had so long to come up is given up. */
#define OPENING_MAX_US (20 * US_PER_S)
#define SRC_SLOTS (2 * ENG_SOURCES_MAX)
#define SRC_NONE UINT16_MAX
#define POOL_NONE UINT16_MAX
#define ATTEMPTS_MAX 1023
#define RAMP_MAX 20 /* sessions, where no other ceiling is given */
#define TTL_MIN_US US_PER_S
#define TTL_MAX_US (86400 * US_PER_S)

/* ---- the parts ------------------------------------------------------------- */

enum timer_kind {
	TIMER_DOM = 1,
	TIMER_PATH,
	TIMER_LANE,
	TIMER_QUEUE,
	TIMER_METER,
	TIMER_WARM,
	TIMER_STANDING,
	TIMER_TALLY,
	TIMER_PRIZE,
	TIMER_DELAY
};
struct timer {
	struct heap_node node;
	uint32_t index; /* of the slot that holds it */
	enum timer_kind kind;
};

enum rcpt_state {
	R_NONE,     /* between two states, inside one function */
	R_WAIT,     /* in the FIFO of a queue whose home is a domain */
	R_READY,    /* in the FIFO of a queue whose home is a site */
	R_DEFERRED, /* until its timer */
	R_HELD,     /* until an operator releases it, or it expires */
	R_ASSIGNED, /* in a transaction of a session */
	R_DONE,     /* final; the slot waits in its message's chain */
	R_STATES
};

/* 48 bytes. */
struct rcpt {
	struct wheel_link timer; /* expiry, or what comes first of it and due */
	struct link link;
	uint32_t msg;
	uint32_t sib; /* next of its message */
	uint32_t dom;
	uint32_t queue;
	/* What its last attempt met, packed; all zero = none. */
	uint32_t last_code : 10, last_stage : 4, last_has_enh : 1,
	    last_subject : 6, last_detail : 10;
	uint32_t is_mute : 1; /* no notice when it fails */
	uint32_t rcpt : 14, attempts : 10, state : 3, is_marked : 1, aged : 2,
	    wants_success : 1, wants_delay : 1;
};

/* 32 bytes. It is dropped when nothing is left in any of the four counts
 * nexpect, nlive, nassigned (part of nlive) and nowed. */
struct msg {
	/* Times that are never (their bits hold 285 years) and a size in KiB. */
	int64_t arrival_us : 54;
	uint64_t size_hi : 10;
	int64_t expires_us : 54;
	uint64_t size_lo : 10;
	uint32_t head;         /* chain of its recipients, by sib */
	uint32_t flow;         /* of recipients that say nothing else */
	uint16_t nexpect : 14; /* EV_RECIPIENTs still to come */
	uint16_t is_used : 1, is_null_sender : 1;
	uint16_t nlive : 14;                     /* not final */
	uint16_t is_damaged : 1, is_watched : 1; /* has a struct delay */
	uint16_t ndone : 14; /* final, slot not yet given back */
	uint16_t nowed : 14; /* notices */
};
_Static_assert(RCPTS_MAX < 1u << 14, "counts of recipients fit");

/* pool x tenant x campaign x class, counted by messages and queues. Recipients
 * that shall go on by the address that they have been seen from have a flow of
 * their own, pinned to that source; so has all mail by a pool that is sticky,
 * for each of its sources. The domains are 0 unless some limit speaks
 * of them. */
struct flow {
	uint32_t pool, tenant, campaign;
	uint32_t sender_domain, signing_domain;
	uint32_t zone; /* name; 0 = its tenant's */
	uint32_t pin;  /* name of the source, 0 = none */
	uint32_t twin; /* next with the same hash */
	uint32_t nrefs;
	uint8_t klass;
	bool is_sticky; /* pinned because the pool is sticky */
	bool is_engaged;
};

/* The meters of what a path or a queue belongs to, found again when the policy
 * is another. */
struct meters {
	uint32_t head;       /* chain of charges that are none, 0 = none */
	uint32_t provider;   /* of the site, then */
	uint32_t generation; /* of e */
	bool is_metered;     /* one of them counts what is sent */
};

/* Counts that decay with a time constant of about a minute. */
struct pace {
	uint32_t at_s;
	uint32_t delivered, transient, other; /* x PACE_ONE */
};
#define PACE_ONE 256u

struct queue {
	uint32_t home; /* a site, or a dom with HOME_DOM set */
	uint32_t flow;
	uint32_t lane; /* 0 when its home is a dom */
	uint32_t dom;  /* the last that mail came for */
	uint32_t
	    park; /* 0 = it is in its turn's ring when something is ready */
	uint32_t turn; /* its tenant's in the lane; 0 when its home is a dom */
	/* In its dom's list; else in its turn's ring while something is ready
	 * and it is not parked, or in the idle list while it is empty. */
	struct link link;
	struct ilist fifo;
	uint32_t ngroups; /* runs of one message and domain in fifo */
	uint32_t depth, ndeferred, nheld, ninflight;
	struct pace pace;
	uint64_t delivered, transient, bounced;
	int64_t oldest_us; /* arrival; with depth 0: idle since */
	uint32_t waiter;   /* at a limit of its own: it is out of the ring */
	struct meters meters;
	uint32_t study; /* 0 = none: study.c */
};
#define HOME_DOM (1u << 31)

/*
 * A tenant's place in a lane: mail of one class. 64 bytes. What the fields of
 * time mean says tenant.c.
 */
struct turn {
	uint32_t lane, tenant;
	uint32_t twin; /* ring of those of this site and tenant */
	uint32_t nqueues;
	struct ilist ring; /* queues with something ready, not parked */
	uint32_t child, next, prev; /* in the lane's heap */
	uint16_t weight;
	bool band;    /* in a hurry */
	uint8_t left; /* transactions that the ring's head may still have */
	uint32_t generation;
	uint32_t seq; /* of those that are due at once, the first come first */
	int64_t start;
};

/* The turns of one class in a lane that have something ready. */
struct scale {
	int64_t sum;  /* of their starts, by weight */
	int64_t idle; /* what the present was when the last one left */
	uint32_t weight;
};

/*
 * A queue whose mail may not go for a reason of its own (its tenant's, its
 * campaign's) stands beside its lane: what can go does not look at it. It comes
 * back at a time, or when who parked it says so.
 */
struct park {
	uint32_t queue;
	uint32_t by; /* the owner's number of what refused; 0 = only time */
	uint8_t why; /* enum eng_why */
	int64_t until_us;   /* 0 = not known */
	int64_t counted_us; /* blocked time is counted up to here */
	struct link link;   /* the owner's: those that wait for the same */
	struct timer timer; /* until_us */
};

enum dom_state {
	DOM_NEW,     /* nobody has asked yet */
	DOM_ASKED,   /* first look-up under way: recipients wait */
	DOM_FAILED,  /* it failed for now; timer */
	DOM_OK,      /* site is valid, perhaps old */
	DOM_NEGATIVE /* there is no such domain, or no mail there */
};
struct dom {
	uint32_t name;
	uint32_t site;
	uint32_t nrcpts;
	uint8_t state, status; /* enum dom_state, enum eng_dns */
	bool is_asked;         /* a RESOLVE is unanswered */
	bool is_moving;        /* in e->moving */
	uint32_t generation;   /* of the policy that its answer came under */
	struct ilist waiting;  /* queues whose home it is */
	uint32_t nwaiting;     /* recipients in their FIFOs */
	struct link moving, idle;
	int64_t expires_us; /* of the answer */
	int64_t delay_us;   /* after the last failure; 0 = none */
	int64_t idle_us;    /* without mail since */
	uint64_t hash;      /* of its text */
	/* The source (its name) that it sticks to in a pool (its name), as the
	 * policy of a generation has it: sticky.c. */
	uint32_t stick, stick_pool, stick_generation;
	struct timer timer; /* next try */
};

#define SITE_TRIES 8u
struct target {
	uint32_t name; /* of the MX host */
	uint32_t host;
	uint16_t pref;
};
/* What every message touches comes first. */
struct site {
	struct ilist hungry;          /* lanes with ready work */
	struct ilist open[AHEAD_MAX]; /* paths by their least busy session */
	uint64_t *ids; /* sorted (rank, host name, port): what makes a site */
	struct target *targets; /* by preference, name, address */
	uint16_t nids, ntargets;
	uint32_t provider; /* name, 0 = none */
	uint32_t nsess;
	uint32_t shape;         /* a form: of sources that are not told apart */
	struct eng_where where; /* in the policy of `generation` */
	uint8_t hurried; /* transactions of the latter while bulk waited */
	bool is_route;
	uint32_t generation;
	struct ilist lanes; /* all of them */
	int64_t idle[2];    /* what the present was when the last turn left */
	/* The first attempts of recipients, the second ones, and so on; the last
	 * ones together: how many, and how many of them were put off. */
	struct site_tries {
		uint16_t n, off;
	} tries[SITE_TRIES];
	struct ilist paths;
	uint32_t nrefs; /* doms, lanes, paths */
	uint32_t twin;
	uint32_t rollup; /* name; a part of what makes a site */
	uint64_t hash;
};

/* Limits that paths have: each form once, whatever policy they are of. */
struct form {
	struct eng_shape shape;
	uint32_t twin;
	uint32_t nrefs; /* sites, paths */
};

/* What waiting cost at a kind of destination; slot: index in the policy + 2.
 * Slot 1 is that of sites that have not heard of the policy. */
struct toll {
	struct eng_blocked blocked[ENG_WHY_N];
};

struct host {
	struct ip ip;
	uint16_t port;
	uint32_t twin;
	uint32_t nrefs;     /* targets of sites, sessions */
	uint32_t fails;     /* in a row */
	uint32_t probe;     /* the one session that tries it again */
	uint32_t tls_fails; /* handshakes in a row */
	/* So many messages of one connection it takes, it seems; 0 = any. */
	uint32_t bye_after;
	uint32_t bye_wrong;                  /* so often that was not it */
	int64_t bye_until_us;                /* and then it is asked again */
	int64_t bye_doubt_until_us;          /* none is believed until then */
	int64_t tls_fail_us, clear_until_us; /* in clear text until then */
	int64_t dead_until_us, fail_us;
	struct ilist waiters; /* lanes */
};

/* What every message touches comes first. */
struct lane {
	uint32_t site;
	uint32_t nring;    /* queues with something ready, parked ones not */
	uint32_t turns[2]; /* heaps of their tenants' turns: bulk, in a hurry */
	uint32_t ngroups;  /* transactions ready, about */
	uint32_t nready;  /* recipients in its queues' FIFOs, parked ones not */
	uint32_t pending; /* room in the sessions it has asked for */
	uint32_t generation; /* of the policy that pool was found in */
	uint16_t pool;       /* index, or POOL_NONE */
	uint16_t pin_src;    /* slot of that source, if the pool has it; or 0 */
	bool is_kicked;
	bool is_sticky;  /* its flows are */
	bool is_engaged; /* and its mail is for engaged recipients */
	/* No source of the pool will open a session; a wake is registered for
	 * each of them. */
	bool is_parked;
	uint8_t why;
	uint8_t
	    shut; /* why those that are not ready are not: the first to open */
	uint8_t in_limit; /* enum limit_kind + 1 while it waits for one */
	/* One of these is young and has had its share; then, where none of
	 * the pool may, the overflow pool's carry its mail. */
	bool is_cold, is_over;
	uint32_t waiter;    /* for a session that a limit allows its mail */
	uint32_t nended;    /* attempts of its recipients that came to an end */
	int64_t counted_us; /* blocked time is counted up to here */
	struct scale scales[2]; /* of its bulk, and of what is in a hurry */
	struct link hungry, kick;
	uint32_t nqueues;
	uint32_t cursor; /* whose turn it is to open a session: pick.c */
	/* Sources of the pool, by their place in it, whose path has not refused
	 * since the lane looked: only these are asked. */
	uint64_t ready[ENG_POOL_SOURCES_MAX / 64];
	uint32_t pool_name; /* 0 = the default pool */
	uint32_t pin;       /* name of the one source that serves it, or 0 */
	uint32_t twin;      /* next with the same hash */
	uint32_t wait_host;
	int64_t until_us, shut_until_us;
	/* With why and shut WHY_CAP: of the policy's caps. */
	uint16_t by, shut_by;
	uint32_t wait_warm; /* the young source that it waits for */
	uint32_t claim;     /* engaged.c; 0 = none */
	struct link link;   /* of site->lanes */
	struct link limit, host, warm;
	struct timer timer; /* the first dead host may be tried again */
};

#define SETUP_MAX_US (5 * US_PER_S)

/* What every message touches comes first. */
struct path {
	uint32_t site, src;
	uint32_t shape;  /* a form */
	uint32_t waiter; /* at a limit */
	struct meters meters;
	struct ilist room[AHEAD_MAX]; /* sessions by transactions held */
	uint32_t nsess;               /* in any state */
	uint32_t inflight;            /* transactions */
	uint32_t fails;               /* refusals in a row */
	uint32_t adapt; /* what is learnt of its rate, 0 = nothing */
	uint8_t level;  /* list of site->open it is in, or LEVEL_NONE */
	uint8_t why;    /* the gate that shut last */
	uint8_t shut;   /* the gate that is shut, for blocked time */
	uint8_t nslow;  /* refusals of late that may have been for its rate */
	uint16_t turn;  /* transactions left of its turn, where pools weigh */
	bool is_idle;
	bool is_known; /* the peer has spoken about a recipient */
	struct link open;
	uint32_t rate_count, rate_burst;
	int64_t credit;      /* token bucket: microseconds x rate_count */
	int64_t credit_us;   /* when credit was brought up to date */
	int64_t rate_period; /* the rate that credit is counted in */
	int64_t backoff_until_us, fail_us;
	int64_t ok_us, slow_us;
	uint32_t nok;  /* delivered since ok_us, of late */
	uint32_t ramp; /* sessions that it may have since a block; 0 = any */
	/* Sessions that the peer lets stand, as far as it has said; 0: it has
	 * not. Refusals of one more in a row, the last, the next try. */
	uint32_t crowd, crowd_fails;
	uint32_t nopening; /* of the sessions, not up yet */
	uint32_t nproven;  /* of them, with a reply about a recipient */
	struct ilist sessions;
	uint32_t shun;    /* host that refused the last session */
	int64_t shut_us;  /* since when, if it is */
	int64_t setup_us; /* that the last session took, at most SETUP_MAX_US */
	int64_t ramp_us;  /* of the last step */
	int64_t crowd_us, crowd_until_us;
	int64_t idle_us;
	struct link link; /* of site->paths */
	struct link idle;
	struct timer timer;
	uint32_t wait_warm; /* until more of its share is kept */
	struct link warm;
	uint32_t standing; /* the one that it was parked for last, or 0 */
	int64_t pace_us;   /* slowed by one: when the next may start; 0 = not */
	struct link stand;
};

enum sess_state { SESS_OPENING, SESS_UP };
struct sess {
	uint32_t path, host;
	uint32_t lane;      /* that asked for it; 0 once it is up */
	uint32_t pending;   /* room promised to that lane */
	uint32_t nassigned; /* transactions so far */
	uint32_t ndone;     /* of them, with a reply about a recipient */
	uint32_t bye_after; /* of its host when it was opened */
	uint8_t state;
	uint8_t level;
	bool is_closing;
	bool has_delivered;
	bool is_stranger; /* counted in nstrangers */
	bool is_heard;    /* a rule knows a reply of it */
	bool takes_dsn;   /* it tells senders what becomes of what it took */
	int64_t opened_us, assigned_us;
	uint32_t charges;    /* sessions at once: to give back */
	uint32_t promises;   /* waiters: units that are kept for it */
	struct handle queue; /* that it was opened for, where limits are */
	struct ilist txns;
	struct link link, room;
	struct link idle; /* of idle_sessions; of opening until it is up */
};

struct txn {
	uint32_t sess, msg, queue;
	uint32_t charges; /* what it has spent */
	uint32_t bytes;   /* then; and recipients */
	uint16_t nspent;
	struct ilist rcpts;
	struct link link;
	int64_t assigned_us;
};

/*
 * Who may hold the node's sessions. Thousands of hosts that take a connection
 * and say nothing must not have them all: sessions of paths that nobody has
 * answered on yet (strangers) have three quarters at most, and of these half may
 * be tries of hosts that have failed (suspects).
 */
enum limit_kind { LIMIT_NODE, LIMIT_STRANGERS, LIMIT_SUSPECTS, LIMITS };

/* What a cap's tuple speaks of: a path or a queue alone, which are then parked
 * on it; both of them; a host, and with it perhaps the others. */
enum cap_level { CAP_PATH, CAP_QUEUE, CAP_BOTH, CAP_HOST, CAP_LEVELS };

/* A source, by name; its slot outlives policies while paths use it. */
struct src {
	uint32_t name;
	uint16_t conf; /* index in the policy, SRC_NONE = removed */
	bool has_v4, has_v6;
	uint16_t plan; /* while it is young: its index in the policy + 1 */
	bool is_down;  /* EV_SOURCE said so, at down_us */
	int64_t down_us;
	uint32_t npaths, nsess;
	uint32_t netblock;                  /* name */
	uint64_t pools[ENG_POOLS_MAX / 64]; /* that have it */
	struct pace pace;
	uint64_t delivered, transient, bounced;
};

struct epool {
	uint32_t name;
	uint16_t n; /* its own, then those of its overflow */
	uint16_t nown;
	uint16_t over;    /* the overflow's index, or POOL_NONE */
	bool is_weighted; /* not all weigh the same */
	bool is_sticky;
	uint64_t meets[ENG_POOLS_MAX / 64]; /* pools with a source of it */
	uint16_t src[ENG_POOL_SOURCES_MAX];
	uint16_t weight[ENG_POOL_SOURCES_MAX];
	uint8_t order[ENG_POOL_SOURCES_MAX]; /* places by src, ascending */
};

/* An operator's wish for a recipient that is in flight. */
struct mark {
	uint32_t job;
	enum eng_verb verb;
};

/* Who waits at a limit: all, and paths, with the sum of the times since which they are
 * counted. */
struct waits {
	uint32_t n, npaths;
	uint64_t since_us;
};

struct job {
	struct ev_admin ev;
	uint32_t cursor; /* next recipient slot, or link of the message */
	uint32_t count;
	int64_t started_us;
};

struct eng {
	const struct eng_policy *policy;
	struct eng_limits limits;
	int64_t now, start_us;
	int64_t wall_off_us;               /* of the wall clock from ours */
	uint64_t keep_serial, kept_serial; /* given, durable */
	struct eng_cmds *cmds;
	struct rng rng;
	uint32_t generation; /* of CONFs */

	struct pages msgs;   /* by the driver's numbers */
	struct pool studies; /* what is learnt of queues */
	struct pool rcpts, doms, sites, hosts, flows, queues, lanes, paths,
	    sessions, txns, marks, forms, tolls, parks, warms, turns, adapts,
	    standings, tallies, claims, prizes, rates, delays;
	struct pool meters, windows, charges, waiters, shares;
	struct map dom_map, site_map, host_map, flow_map, queue_map, lane_map,
	    path_map, mark_map, form_map, warm_map, turn_map, stand_map,
	    tally_map, prize_map, rate_map, delay_map;
	struct map meter_map, share_map;
	struct src srcs[SRC_SLOTS];
	uint32_t nsrcs; /* slots ever used */
	struct epool pools[ENG_POOLS_MAX];
	uint32_t npools;

	struct wheel wheel; /* recipients */
	struct heap timers; /* everything else */
	bool begins_spent;  /* rates of paths, at start_us */
	bool is_wheel_behind;
	bool is_disk_full;   /* nothing is assigned, nothing opened */
	uint32_t budget;     /* of PUMP_MAX, in this step */
	struct ilist kicks;  /* lanes to pump */
	struct ilist moving; /* doms whose waiting recipients can go on */
	struct ilist limit[LIMITS]; /* lanes that it stopped */
	struct ilist studied; /* by when something happened, oldest first */
	struct ilist idle_doms, idle_queues, idle_paths;
	struct ilist idle_sessions; /* least recently used first */
	struct ilist warm_pending, warm_hot, prizes_over, recalled;
	struct ilist opening; /* sessions, oldest first */
	uint32_t nstrangers;
	uint32_t nclosing;
	/* The policy's caps: when their meanings came, 0 = before all that is
	 * known; what the levels are that they speak of. */
	int64_t cap_since[ENG_CAPS_MAX];
	uint8_t cap_level[ENG_CAPS_MAX];
	uint32_t caps_at[CAP_LEVELS]; /* how many of each level */
	uint32_t cap_dims;            /* that they, or reactions, look at */
	struct eng_blocked cap_blocked[ENG_CAPS_MAX];
	struct waits cap_waits[ENG_CAPS_MAX];
	struct stand_kinds kinds;
	struct ilist over;    /* standings whose paths are to look again */
	struct ilist woken;   /* waiters whose turn it is */
	struct ilist roused;  /* those of them that have been told */
	struct ilist asking;  /* meters whose entry is not durable yet */
	uint32_t conf_waiter; /* as the two below */
	uint32_t conf_lane, conf_dom; /* rebinding goes on here; 0 = done */
	struct job *jobs;
	uint32_t njobs, jobs_cap;
	struct {
		uint32_t msg;
		uint16_t rcpt;
	} * notices;
	uint32_t nnotices, notices_cap;
	bool has_quiet;  /* some tenant has quiet hours */
	bool has_sticky; /* some pool is sticky */
	uint32_t
	    conf_park; /* parked queues look again from here on; 0 = done */
	uint32_t turn_seq;
	uint8_t study_serial; /* of the last study */
	uint32_t aside[16];   /* turns that an offer skips */
	uint32_t naside;
	uint32_t flow_new; /* of the recipient that is being announced */
	uint64_t nstate[R_STATES];
	struct eng_totals totals;
};

/* ---- engine.c ---- */
/* Empty pools, by the limits. */
void eng_pools_init(struct eng *e);
struct eng_cmd *eng_emit(struct eng *e, enum eng_cmd_kind kind);
/* A zeroed slot. Its pool's ceiling follows from the ceilings of recipients
 * and sessions, so that only memory can be short: then it dies, and the spool
 * brings everything back. */
void *eng_slot(struct pool *p, uint32_t *index);
void eng_timer_set(struct eng *e, struct timer *t, enum timer_kind kind,
    uint32_t index, int64_t when_us);
void eng_timer_cancel(struct eng *e, struct timer *t);

/* ---- msg.c ---- */
struct msg *eng_msg(const struct eng *e, uint32_t msg);
/* No two of its recipients can meet in a line or a transaction. */
static inline bool
eng_msg_has_one(const struct msg *m)
{
	return m->nlive == 1 && m->nexpect == 0;
}
/* Rounded up to whole KiB. */
static inline uint32_t
eng_msg_bytes(const struct msg *m)
{
	uint64_t kib = (uint64_t)m->size_hi << 10 | m->size_lo;

	return (uint32_t)MIN(kib << 10, (uint64_t)UINT32_MAX);
}
void eng_on_message(struct eng *e, const struct ev_message *ev);
void eng_on_recipient(struct eng *e, const struct ev_recipient *ev);
void eng_on_damaged(struct eng *e, uint32_t msg);
/* Recipient i (in state R_NONE) is final and logged. */
void eng_rcpt_free(struct eng *e, uint32_t i);

/* ---- rcpt.c ---- */
static inline struct rcpt *
eng_rcpt(const struct eng *e, uint32_t i)
{
	return pool_at(&e->rcpts, i);
}
/* How it is steered: its queue says so, and before its first one who announces
 * it. */
static inline uint32_t
eng_rcpt_flow(const struct eng *e, const struct rcpt *r)
{
	return r->queue != 0 ?
	    ((const struct queue *)pool_at(&e->queues, r->queue))->flow :
	    e->flow_new;
}
/* Out of its state: lists and counts; the timer stays. */
void eng_rcpt_leave(struct eng *e, uint32_t i);
/* From R_NONE into a state, counted in queue q; sets the timer. due_us is
 * for R_DEFERRED alone. */
void eng_rcpt_enter(struct eng *e, uint32_t i, uint32_t q,
    enum rcpt_state state, bool at_head, int64_t due_us);
/* From R_NONE to where it can go now: a ready FIFO, the wait for its domain,
 * or its end. */
void eng_rcpt_place(struct eng *e, uint32_t i, bool at_head);
/* From R_NONE to wait or be held: in the queue of what is known so far. */
void eng_rcpt_rest(struct eng *e, uint32_t i, enum rcpt_state state,
    int64_t due_us);
/* In R_NONE: only that source takes it from now on. */
void eng_rcpt_pin(struct eng *e, uint32_t i, uint32_t src);
/* From R_NONE to its end: PERSIST, LOG and what follows from them. */
void eng_rcpt_finish(struct eng *e, uint32_t i, enum eng_log_kind what,
    const struct outcome *o, uint32_t src, uint32_t job);
void eng_rcpt_expire(struct eng *e, uint32_t i);
void eng_log(struct eng *e, uint32_t i, enum eng_log_kind what,
    const struct outcome *o, uint32_t src, int64_t due_us, uint32_t job);
/* A failure of a path, host or look-up: no attempt of the recipient's, who
 * only stands for all that wait for the same. */
void eng_log_shared(struct eng *e, uint32_t i, const struct outcome *o,
    uint32_t src, int64_t due_us);
void eng_persist(struct eng *e, uint32_t i, const struct outcome *o,
    bool is_final, bool is_owed, int64_t due_us);
void eng_wheel_run(struct eng *e);
struct outcome eng_rcpt_last(const struct rcpt *r);
void eng_rcpt_remember(struct rcpt *r, const struct outcome *o);

/* ---- retry.c ---- */
/* Delay before the next try after `attempts` failures; luck in 0..2^32-1
 * places it within the jitter. */
int64_t eng_retry_delay(const struct eng_retry *r, uint32_t attempts,
    uint32_t luck);
/* min << (fails - 1), at most max. */
int64_t eng_doubled(int64_t min_us, int64_t max_us, uint32_t fails);

/* ---- queue.c ---- */
/* One like f, held once more. */
uint32_t eng_flow_take(struct eng *e, const struct flow *f);
void eng_flow_drop(struct eng *e, uint32_t flow);
/* The same flow, but pinned to a source of that name. */
uint32_t eng_flow_pin(struct eng *e, uint32_t flow, uint32_t source);
/* The queue of a flow at a home, made when there is none. */
uint32_t eng_queue_get(struct eng *e, uint32_t home, uint32_t flow);
void eng_queue_depth_add(struct eng *e, uint32_t q);
void eng_queue_depth_sub(struct eng *e, uint32_t q);
void eng_fifo_push(struct eng *e, uint32_t q, uint32_t i, bool at_head);
void eng_fifo_remove(struct eng *e, uint32_t q, uint32_t i);
/* Out of its lane's ring, why and until when (0 = until somebody unparks it);
 * parked already, that changes. `by` is the owner's. O(1). A queue that runs
 * empty is unparked. */
void eng_queue_park(struct eng *e, uint32_t q, enum eng_why why,
    int64_t until_us, uint32_t by);
/* And back, to the end of the line; the lane is kicked. */
void eng_queue_unpark(struct eng *e, uint32_t q);
void eng_lane_kick(struct eng *e, uint32_t lane);
/* Out of every wait that a park registered, as eng_lane_unpark, but what is known
 * of its sources stays. */
void eng_lane_wake(struct eng *e, uint32_t lane);
/* Out of every wait that a park registered. */
void eng_lane_unwait(struct eng *e, uint32_t lane);
void eng_lane_unpark(struct eng *e, uint32_t lane);
void eng_lane_give_if_empty(struct eng *e, uint32_t lane);
void eng_queues_idle_run(struct eng *e);

/* ---- tenant.c ---- */
/* What the policy says of a tenant; never NULL. */
const struct eng_tenant_conf *eng_tenant_conf(const struct eng *e,
    uint32_t name);
/* The weight of a campaign beside the tenant's others. */
uint32_t eng_campaign_weight(const struct eng *e, uint32_t tenant,
    uint32_t campaign);
/* The turn of a tenant in a lane, held by one more queue. */
uint32_t eng_turn_take(struct eng *e, uint32_t lane, uint32_t tenant,
    bool is_hurry);
void eng_turn_drop(struct eng *e, uint32_t turn);
/* The queue has something that may go, or has nothing more. */
void eng_turn_push(struct eng *e, uint32_t q);
void eng_turn_remove(struct eng *e, uint32_t q);
/* The queue whose turn it is in a lane; 0: nothing may go. */
uint32_t eng_lane_next(const struct eng *e, const struct lane *l);
/* The hungry lane whose turn it is at a source; 0: the first in line. */
uint32_t eng_site_first(struct eng *e, const struct site *s,
    const struct src *src);
/* The queue, which is next, may not go now as others may: its tenant is left out
 * until eng_lane_unskip, and has its turn still. */
void eng_lane_skip(struct eng *e, uint32_t queue);
void eng_lane_unskip(struct eng *e);
/* A transaction of the queue, which was next, goes by that source: its
 * tenant has had it. */
void eng_lane_served(struct eng *e, uint32_t lane, uint32_t queue,
    const struct src *src);

/* ---- quiet.c ---- */
/* Parks queues of the lane that would be next while their tenants are quiet, or
 * a reaction suspends them. */
void eng_lane_hush(struct eng *e, struct lane *l);
/* How long what takes `us` of the flow's open hours takes from now_us on. */
int64_t eng_quiet_stretch(const struct eng *e, const struct flow *f,
    int64_t now_us, int64_t us);
/* Another policy, or the clock has been set: who is parked looks again. */
void eng_quiet_again(struct eng *e);
void eng_quiet_run(struct eng *e);

/* ---- resolve.c ---- */
uint32_t eng_dom_take(struct eng *e, uint32_t name);
/* One recipient less. */
void eng_dom_drop(struct eng *e, uint32_t dom);
/* Somebody needs its answer: asks when there is none or it is old. */
void eng_dom_touch(struct eng *e, uint32_t dom);
void eng_on_resolved(struct eng *e, const struct ev_resolved *ev);
void eng_on_shape(struct eng *e, uint32_t domain, const struct eng_where *to,
    uint32_t rollup);
void eng_dom_timer(struct eng *e, uint32_t dom);
void eng_moving_run(struct eng *e);
void eng_doms_idle_run(struct eng *e);
struct outcome eng_dns_outcome(enum eng_dns status);

struct asker;
struct refusal;

/* ---- site.c ---- */
uint32_t eng_site_take(struct eng *e, const struct ev_resolved *ev);
/* It is there in the present policy. */
void eng_site_shape(struct eng *e, uint32_t site, const struct eng_where *to);
void eng_site_hold(struct eng *e, uint32_t site);
void eng_site_drop(struct eng *e, uint32_t site);
/* Pumps every lane of it that has work. */
void eng_site_look(struct eng *e, uint32_t site);
/* The same, and what was known of their sources no longer counts. */
void eng_site_wake(struct eng *e, uint32_t site);
/* The host at an address, held once more. */
uint32_t eng_host_take(struct eng *e, const struct ip *ip, uint16_t port);
void eng_host_drop(struct eng *e, uint32_t host);
void eng_host_up(struct eng *e, uint32_t host);
void eng_host_failed(struct eng *e, uint32_t host, int64_t opened_us);
void eng_host_wake(struct eng *e, uint32_t host);
/* It closed a connection that had carried n messages. False when that is no way
 * to limit what a connection carries, but to hold us back. */
bool eng_host_said_bye(struct eng *e, uint32_t host, uint32_t n);
/* It was another thing, whatever was believed. */
void eng_host_no_bye(struct eng *e, uint32_t host);
/* A handshake failed: no death, but mail goes in clear text for a while. */
void eng_host_tls_failed(struct eng *e, uint32_t host, int64_t opened_us);
/* Which address a session of this source should try: index into targets, or
 * -1 with *why, *until_us (0 = unknown) and *host to wait for (0 = none). */
int eng_site_pick(struct eng *e, const struct site *s, const struct src *src,
    uint32_t shun, enum eng_why *why, int64_t *until_us, uint32_t *host);

/* ---- pick.c ---- */
/* The lane's pool in the present policy, or NULL. */
const struct epool *eng_lane_pool(struct eng *e, struct lane *l);
bool eng_lane_serves(struct eng *e, struct lane *l, const struct src *src);
/* Fills in what follows from a pool's sources and weights. */
void eng_pool_order(struct epool *p);
/* Which sources a lane has not asked yet, in the order of their turns. */
struct turns {
	uint64_t left[ENG_POOL_SOURCES_MAX / 64];
	uint32_t point;    /* where weights differ: a fraction of 2^32 */
	uint16_t from, to; /* places */
};
/* Of the pool's own, or of its overflow. */
void eng_turns_begin(const struct lane *l, const struct epool *p, bool is_over,
    struct turns *t);
/* The place in the pool of the next one, which is then no longer left; or -1. */
int eng_turns_next(const struct lane *l, const struct epool *p,
    struct turns *t);
/* The source at that place has opened a session. */
void eng_turn_taken(struct lane *l, const struct epool *p, int at);
/* Its path has refused and will say when that is over (eng_path_ready). */
void eng_turn_shut(const struct eng *e, struct lane *l, int at,
    enum eng_why why, int64_t until_us);
/* All of its sources are to be asked. */
void eng_lane_ready(struct lane *l);
/* What shut the path may be over: lanes may ask its source again. */
void eng_path_ready(struct eng *e, const struct path *p);
/* The path has got a transaction of the lane. True: the next one is another
 * path's. */
bool eng_turn_over(struct eng *e, struct lane *l, struct path *p);

/* ---- shape.c ---- */
/* Does a refusal speak of the path's rate? */
enum hint { HINT_NONE, HINT_VAGUE, HINT_RATE };
uint32_t eng_path_find(const struct eng *e, uint32_t site, uint32_t src);
uint32_t eng_path_get(struct eng *e, uint32_t site, uint32_t src);
/* May it start a transaction? Else why not, and until when (0 = until an
 * event of the path). */
enum eng_why eng_path_gate(struct eng *e, struct path *p, int64_t *until_us);
/* Has it a session that may take a transaction? Under a rate that is an idle
 * one, while more may be opened: what waits behind another goes on the wire
 * later than it was counted, and the peer, who counts what it sees, would find
 * the rate exceeded. */
bool eng_path_has_room(const struct eng *e, const struct path *p);
/* May it open a session, as far as the path alone is concerned? */
enum eng_why eng_path_open_gate(struct eng *e, struct path *p,
    int64_t *until_us);
void eng_path_park(struct eng *e, uint32_t path, enum eng_why why,
    int64_t until_us);
/* A limit of the policy refuses it: it waits there. */
void eng_path_wait(struct eng *e, uint32_t path, const struct refusal *r,
    const struct asker *a);
void eng_path_spend(struct eng *e, struct path *p);
void eng_path_unspend(struct eng *e, struct path *p);
/* A refusal of what began at began_us. */
void eng_path_failed(struct eng *e, uint32_t path, int64_t began_us,
    enum hint hint);
/* Proof that it works, by what began at began_us. */
void eng_path_works(struct eng *e, struct path *p, int64_t began_us);
/* One more session, opened at opened_us, was refused while others stand: the
 * peer counts them. They go on; one more is tried after a while. */
void eng_path_crowded(struct eng *e, struct path *p, int64_t opened_us);
/* A session has come up: there may be more than was thought. */
void eng_path_uncrowd(struct path *p, int64_t opened_us);
void eng_path_relist(struct eng *e, uint32_t path);
void eng_path_busy(struct eng *e, uint32_t path);
void eng_path_idle(struct eng *e, uint32_t path);
void eng_paths_idle_run(struct eng *e);
uint32_t eng_ahead(const struct eng_shape *s);
static inline const struct eng_shape *
eng_path_shape(const struct eng *e, const struct path *p)
{
	return &((const struct form *)pool_at(&e->forms, p->shape))->shape;
}
/* Its limits are what its site and its source say in the present policy. */
void eng_path_reshape(struct eng *e, uint32_t path);
/* It belongs to another provider. */
void eng_path_recount(struct eng *e, uint32_t path);

/* ---- form.c ---- */
/* The form with these limits, held once more. */
uint32_t eng_form_take(struct eng *e, const struct eng_shape *s);
void eng_form_drop(struct eng *e, uint32_t form);
/* Rows for what waiting costs, one for each of the policy's dests. */
void eng_tolls_begin(struct eng *e);

/* ---- sched.c ---- */
void eng_kicks_run(struct eng *e);
void eng_path_pump(struct eng *e, uint32_t path);
void eng_limit_wake(struct eng *e);
/*
 * Asks for what the next assignment to the path will touch. Where millions wait
 * all of it lies far, and each thing says where the next one is: so it goes step
 * by step, with other work between the steps.
 */
enum next_step { NEXT_QUEUE, NEXT_RCPT, NEXT_MSG };
void eng_next_ask(const struct eng *e, uint32_t path, enum next_step step);
/* The session counts as a stranger's no more. */
void eng_stranger_leave(struct eng *e, struct sess *x);
/* Is there more than one source that might? */
bool eng_lane_has_choice(struct eng *e, struct lane *l);

/* ---- session.c ---- */
void eng_sess_open(struct eng *e, uint32_t lane, uint32_t path, int target);
void eng_sess_assign(struct eng *e, uint32_t path, uint32_t lane);
void eng_sess_close(struct eng *e, uint32_t sess);
/* What sessions of the path hold and have not begun may go by others. */
void eng_path_take_back(struct eng *e, uint32_t path);
void eng_sess_relist(struct eng *e, uint32_t sess);
void eng_on_up(struct eng *e, const struct ev_session_up *ev);
void eng_on_down(struct eng *e, const struct ev_session_down *ev);

/* ---- result.c ---- */
void eng_on_result(struct eng *e, const struct ev_result *ev);
/* The transaction's recipients go back to the head of their queues. */
void eng_txn_return(struct eng *e, uint32_t txn);

/* ---- conf.c ---- */
void eng_conf_set(struct eng *e, const struct eng_policy *p);
void eng_on_conf(struct eng *e, const struct eng_policy *p);
void eng_conf_run(struct eng *e);
void eng_on_disk(struct eng *e, bool is_full);
/* A source, by its name, that none can be opened by, or can again. */
void eng_on_source(struct eng *e, uint32_t name, bool is_down);

/* ---- keep.c ---- */
/* Has an entry kept, or forgotten; returns its serial. */
uint64_t eng_keep(struct eng *e, const struct eng_entry *en, bool is_gone);
/* Is what was given under that serial durable? */
static inline bool
eng_is_kept(const struct eng *e, uint64_t serial)
{
	return serial <= e->kept_serial;
}
void eng_on_kept(struct eng *e, uint64_t serial);
void eng_on_recall(struct eng *e, const struct eng_entry *en);
/* The wall clock now. */
static inline int64_t
eng_wall(const struct eng *e)
{
	return e->now + e->wall_off_us;
}
/* The engine's time of a time of the wall clock. */
static inline int64_t
eng_mono(const struct eng *e, int64_t wall_us)
{
	return wall_us - e->wall_off_us;
}

/* ---- admin.c ---- */
void eng_on_admin(struct eng *e, const struct ev_admin *ev);
void eng_jobs_run(struct eng *e);
bool eng_selects(const struct eng *e, const struct eng_selector *sel,
    const struct rcpt *r, const struct msg *m);
/* Does to a recipient in R_NONE what an operator wanted while it was in
 * flight; false when nobody wanted anything. */
bool eng_mark_apply(struct eng *e, uint32_t i);
void eng_mark_forget(struct eng *e, uint32_t i);

/* ---- blocked.c ---- */
/* Before the number of a lane's ready recipients or its gate changes. */
void eng_lane_count(struct eng *e, struct lane *l);
/* The same of a parked queue. */
void eng_park_count(struct eng *e, struct park *k);
/* A gate of the path has refused. */
void eng_path_shut(struct eng *e, struct path *p, enum eng_why why);
/* What due recipients have waited, at each gate, on their way to destinations of
 * that site's kind; what they wait now is not in it. */
void eng_blocked_sums(const struct eng *e, uint32_t site,
    uint64_t us[ENG_WHY_N]);
/* What shut it may be over. */
void eng_path_reopen(struct eng *e, struct path *p);
/* It is given up. */
void eng_path_unshut(struct eng *e, struct path *p);

/* ---- explain.c, eta.c ---- */
/* The pool of a lane, as the scheduler finds it, but nothing is remembered. */
const struct epool *eng_lane_looks(const struct eng *e, const struct lane *l);
void eng_queue_reasons(struct eng *e, uint32_t queue, int64_t now_us,
    uint32_t *budget, struct eng_reasons *out);
struct eng_eta eng_eta_queue(const struct eng *e, uint32_t queue,
    const struct eng_reasons *r, int64_t now_us);
struct eng_eta eng_eta_rcpt(const struct eng *e, uint32_t rcpt,
    const struct eng_reasons *r, int64_t due_us, int64_t now_us);
#define ENG_AHEAD_LOOK 256u /* recipients before one that are counted */

/* ---- view.c ---- */
void eng_view_rcpt(const struct eng *e, uint32_t i, struct eng_rcpt_row *o);
void eng_view_queue(const struct eng *e, uint32_t i, int64_t now_us,
    struct eng_queue_row *r);
/* No backed-off paths are counted. */
void eng_view_source(const struct src *s, int64_t now_us,
    struct eng_source_row *row);

/* ---- pace.c ---- */
void eng_pace_count(struct pace *p, int64_t now_us, enum outcome_class c);
uint32_t eng_pace_rate_milli(const struct pace *p, int64_t now_us);
uint32_t eng_pace_defer_milli(const struct pace *p, int64_t now_us);

/* ---- the kinds of lists ---- */
#define K_FIFO(e) IKIND((e)->rcpts, rcpt, link) /* also of a txn */
#define K_QUEUE(e) IKIND((e)->queues, queue, link)
#define K_MOVING(e) IKIND((e)->doms, dom, moving)
#define K_DOMIDLE(e) IKIND((e)->doms, dom, idle)
#define K_LANE(e) IKIND((e)->lanes, lane, link)
#define K_HUNGRY(e) IKIND((e)->lanes, lane, hungry)
#define K_KICK(e) IKIND((e)->lanes, lane, kick)
#define K_LIMIT(e) IKIND((e)->lanes, lane, limit)
#define K_WAITER(e) IKIND((e)->lanes, lane, host)
#define K_PATH(e) IKIND((e)->paths, path, link)
#define K_OPEN(e) IKIND((e)->paths, path, open)
#define K_PATHIDLE(e) IKIND((e)->paths, path, idle)
#define K_SESS(e) IKIND((e)->sessions, sess, link)
#define K_ROOM(e) IKIND((e)->sessions, sess, room)
#define K_SESSIDLE(e) IKIND((e)->sessions, sess, idle)
#define K_STUDY(e) IKIND((e)->studies, study, link)
#define K_TXN(e) IKIND((e)->txns, txn, link)
#define K_WAIT(e) IKIND((e)->waiters, waiter, link)
#define K_WAKE(e) IKIND((e)->waiters, waiter, wake)
#define K_SHARE(e) IKIND((e)->shares, share, link)
#define K_ASKING(e) IKIND((e)->meters, meter, asking)

#include "engine/meter_i.h"
#include "engine/study_i.h"

#endif
