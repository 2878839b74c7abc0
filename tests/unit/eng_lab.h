/*
 * eng_lab - the real engine before one receiver with hidden limits, in virtual
 * time: a queue that never runs dry, sessions that take time, and counts of
 * what the receiver saw.
 */
#ifndef TESTS_UNIT_ENG_LAB_H
#define TESTS_UNIT_ENG_LAB_H

#include "base/base.h"
#include "engine/engine.h"

#define LAB_SOURCES 8u
#define LAB_MESSAGES 4096u
#define LAB_SESSIONS 256u
#define LAB_AHEAD 8u
#define LAB_START (1000 * US_PER_S)

/* Of each source address, or of all together. Rates are in messages per 1000 s;
 * 0 = none. A window counts `burst` messages in each `window_us`, and begins
 * with the first after the last one's end. */
struct lab_limit {
	uint64_t per_1000s;
	uint32_t burst;
	int64_t window_us;
	int64_t
	    penalty_us; /* everything is refused so long after one too many */
	bool extends;   /* and longer with each try */
	bool is_shared;
	struct outcome over;
};

struct lab_count {
	uint64_t taken, refused, opened, taken_back;
	uint32_t most; /* sessions at once */
};

struct lab_sess {
	struct handle h, txn[LAB_AHEAD];
	uint32_t msg[LAB_AHEAD];
	uint32_t ntxn;
	uint16_t source;
	uint32_t host; /* name */
	uint8_t state;
	bool is_closing;
	int64_t at_us; /* its next event */
};

struct lab_state {
	int64_t full_ns, window_us, until_us;
	uint64_t used;
};

struct lab {
	struct eng *e;
	struct eng_policy *policy;
	struct eng_cmds cmds;
	struct rng rng;
	int64_t now;
	struct lab_limit limit;
	struct lab_state state[LAB_SOURCES];
	/* Asked first for each message; true: *o is its answer. */
	bool (*answer)(struct lab *l, uint16_t source, uint32_t msg,
	    struct outcome *o);
	bool (*door)(struct lab *l, uint16_t source, struct outcome *o);
	/* A result is about to be told, a message was handed out. */
	void (*assigned)(struct lab *l, uint16_t source, uint32_t msg,
	    uint16_t attempt);
	struct eng_hits hits; /* of each refusal */
	uint64_t kept;        /* entries, and the last of them */
	struct eng_cmd keep[2];
	int64_t setup_us, reply_us;
	uint32_t backlog; /* messages kept in the queue */
	uint32_t nmsgs, free[LAB_MESSAGES];
	uint32_t nfree;
	uint32_t nsess;
	struct lab_sess sess[LAB_SESSIONS];
	struct eng_event todo[1024];
	uint32_t ntodo;
	uint32_t nhosts;     /* of the domain, names from 2000 on; one */
	uint32_t asked_host; /* that answers now */
	struct lab_count count, of[LAB_SOURCES];
	uint64_t deferred, bounced; /* as the engine logged them, attempts */
	uint32_t tenant;
	uint64_t most_bounces; /* of one step */
	struct lab_bounce {
		struct outcome outcome;
		uint32_t job;
	} last_bounce;
};

/* A throttle of the path: 421 at MAIL. */
struct outcome lab_refusal(uint16_t code, enum stage stage, enum kind kind,
    enum scope scope);
/* policy: what eng_policy_default gives, and `nsources` sources in one pool;
 * the caller may change it before lab_start. */
struct lab *lab_new(uint32_t nsources);
void lab_start(struct lab *l, uint64_t seed);
void lab_step(struct lab *l, struct eng_event *ev);
void lab_submit(struct lab *l, uint32_t n);
void lab_run(struct lab *l, int64_t us);
void lab_free(struct lab *l);

#endif
