/*
 * plan/trial.h - one run of a scenario with one seed: the real relay core and
 * engine under a virtual clock, providers as models without bytes, no spool
 * (its bytes are counted).
 *
 * The clock jumps from event to event. Each part draws from a stream of its
 * own, so that a change to one provider leaves the draws of others alone.
 */
#ifndef PLAN_TRIAL_H
#define PLAN_TRIAL_H

#include "plan/scenario.h"
#include "world/hist.h"

#define TRIAL_BUCKETS 64

/* Numbers of one provider, or of all together. */
struct tally {
	uint64_t arrived, delivered, bounced, expired;
	uint64_t attempts, deferrals; /* transactions; of them answered 4xx */
	uint64_t sessions, refused;   /* opened; that did not come up */
	uint64_t waited;              /* not begun when they came */
	uint64_t depth, peak;         /* recipients in the queue */
	int64_t peak_us, drained_us;  /* first time of the peak; last empty */
	int64_t first_us, last_us;    /* arrivals */
	int64_t final_us;             /* last one that left */
	uint64_t bytes, bytes_peak;   /* of the spool */
	uint64_t conns;               /* now */
	uint64_t conn_us;             /* integral of conns */
	uint64_t depth_us;            /* integral of depth */
	int64_t counted_us;           /* integrals are up to here */
	uint64_t stay_us;             /* sum of times in queue, and of those */
	uint64_t flight_us, retry_us; /*   handed to a session; deferred */
	uint64_t since_us;            /* sum of arrivals of those in queue */
	struct hist stay;
	struct eng_blocked blocked[ENG_WHY_N];
};

/* A day of a young source at a provider, of the configuration's: its index, and
 * UINT16_MAX for all without one. */
struct warm_entry {
	uint16_t source, provider;
	bool is_open; /* it was not over at the end */
	struct eng_warm_day day;
};

struct bucket {
	uint64_t depth;     /* at its end */
	uint64_t depth_max; /* inside */
	uint64_t arrived, delivered, deferred;
};

/*
 * What a trial has cost, in counts that do not depend on the machine. With a
 * closed workload it has three parts: until the queue is full and its domains
 * are looked up, while it is kept full, and after the last message came; without
 * one, all of it is the first.
 */
#define TRIAL_WORK(X)                                                          \
	X(messages)    /* that came (first part); that left (the others) */    \
	X(decisions)   /* times that the engine asked what may go */           \
	X(comparisons) /* of timers, the world's too, and of neighbours */     \
	X(moves)       /* places that timers moved to, the world's too */      \
	X(steps)       /* of the engine */                                     \
	X(commands)    /* of the engine */
enum trial_part { PART_FILL, PART_FULL, PART_DRAIN, PART_N };

struct work {
#define X(name) uint64_t name;
	TRIAL_WORK(X)
#undef X
};

/* Times are from the start of the scenario. */
struct outlook {
	uint64_t seed;
	int64_t end_us; /* of the simulation */
	uint64_t refused_at_door;
	uint64_t events;
	struct work work[PART_N];
	int64_t bucket_us;
	uint32_t nbuckets;
	struct bucket buckets[TRIAL_BUCKETS];
	uint32_t n; /* providers; tallies[n] is of all */
	struct tally *tallies;
	struct warm_entry *warm; /* by source, provider, day */
	uint32_t nwarm, warm_cap;
};

/* What happens in a trial, for who wants to see all of it. */
#define TRIAL_DEEDS(X)                                                         \
	X(DEED_ARRIVE, "arrive")                                               \
	/* a recipient came */ X(DEED_OPEN,                                    \
	    "open") /* a connection is asked for */ X(DEED_REFUSED,            \
	    "refused") /* it did not come up: verdict */ X(DEED_UP,            \
	    "up") /* it did */ X(DEED_DOWN,                                    \
	    "down") /* the end of one that was up */ X(DEED_ATTEMPT,           \
	    "attempt") /* a message begins on a connection */ X(DEED_ANSWER,   \
	    "answer") /* what became of a recipient of it */ X(DEED_FINAL,     \
	    "final") /* a recipient left the queue: klass */
#define X(name, text) name,
enum trial_deed { TRIAL_DEEDS(X) DEED_N };
#undef X

struct trial_event {
	uint8_t what;  /* enum trial_deed */
	uint8_t klass; /* enum outcome_class, of answers and ends */
	uint8_t stage; /* enum sim_stage of the verdict */
	uint16_t provider, source;
	int64_t at_us;       /* from the start of the scenario */
	int64_t assigned_us; /* of an attempt: handed to the connection */
	uint64_t connection;
	uint64_t rcpt; /* the recipient; of an attempt the first */
	uint32_t n;    /* of an attempt: recipients */
	uint32_t nth;  /* message on its connection, from 1 */
	const struct verdict *verdict; /* that refused it, or NULL */
	uint32_t mailbox; /* same number and provider, same mailbox */
	uint8_t feed;     /* workload */
};
/* A question to the engine at a moment, and what came of it; trial_ask.c. */
#define TRIAL_ASKS_MAX 8
#define TRIAL_LATER_US (900 * US_PER_S)
struct trial_ask {
	int64_t at_us;            /* given: from the start of the scenario */
	bool is_asked, is_over;   /* it was; and TRIAL_LATER_US after it */
	struct eng_queue_row row; /* of the deepest queue, as it was then */
	struct eng_eta eta;   /* in the engine's clock: see TRIAL_START_US */
	uint64_t n, left;     /* messages in it then; of them, still there */
	int64_t gone_us;      /* when the last of them was over */
	uint64_t depth_later; /* of the queue, TRIAL_LATER_US later */
};
#define TRIAL_START_US (1000 * US_PER_S) /* the engine's clock at the start */

/* Called now and then with the simulated time, and when a part is over with the
 * depth of the queue; each may be NULL. */
struct trial_watch {
	void (*tell)(void *ctx, int64_t at_us, uint64_t done, uint64_t depth);
	void (*part)(void *ctx, enum trial_part over, uint64_t depth);
	void *ctx;
	/* Each thing that happens; and at each end of a time of every_us what
	 * waiting has cost so far, by provider. Both may be NULL. */
	void (*event)(void *ctx, const struct trial_event *ev);
	void (*sample)(void *ctx, int64_t at_us, uint32_t provider,
	    uint64_t depth, const struct eng_blocked blocked[ENG_WHY_N]);
	int64_t every_us;
	struct trial_ask *asks; /* the trial ends when all are over */
	uint32_t nasks;
};

/* What came, in place of what a workload says would: its messages by time. */
struct demand {
	struct coming {
		int64_t at_us; /* from the start of the scenario */
		uint32_t provider;
	} * v;
	uint32_t n, cap;
};

/* demand: one for each workload, or NULL. Free with outlook_free. */
struct outlook *trial_run(const struct scen *s, uint64_t seed,
    const struct demand *demand, const struct trial_watch *watch);
void outlook_free(struct outlook *o);
/* Little's law over a run, to the microsecond: the time integral of a queue's
 * depth is the sum of the times that its messages have stayed. The two are
 * counted apart. */
bool tally_keeps_little(const struct outlook *o, const struct tally *a);

#endif
