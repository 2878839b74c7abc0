/*
 * world/guard.h - what a receiver remembers of its clients, and how it holds
 * them to it: rates, windows, connections, daily allowances, greylists, and
 * the time that it is shut for who goes over.
 *
 * A guard stands at a stage and has one cell for each key: any of source
 * address, netblock, sender's domain, recipient, recipient's domain,
 * connection. The guards of a stage are asked in order; the first that refuses
 * wins, and only those before it have counted.
 *
 * Pure: times are parameters, in microseconds from a beginning that the user
 * knows. Nothing depends on the order of a hash table.
 */
#ifndef WORLD_GUARD_H
#define WORLD_GUARD_H

#include "conf/conf.h"
#include "world/behave.h"

#define GUARDS_MAX 16
#define GUARD_STEPS_MAX 64
#define GUARD_DAYS_MAX 64
#define GUARD_CELLS_MAX (1u << 22)
#define GUARD_SLOTS 60 /* that a sliding window is counted in */

enum guard_kind {
	GUARD_NONE,     /* not said yet */
	GUARD_BUCKET,   /* `bucket`: tokens, by rate and burst */
	GUARD_WINDOW,   /* `window`: so many in each period, on the clock */
	GUARD_SLIDING,  /* `sliding`: so many in any period that ends now */
	GUARD_BATCH,    /* `batch`: so many, then shut for the penalty */
	GUARD_CONNS,    /* `connections`: at once; at connect only */
	GUARD_DAYS,     /* `days`: so many a day, by the source's age */
	GUARD_GREYLIST, /* `greylist`: not before that time has passed */
	GUARD_DENY,     /* `deny`: never */
};

enum guard_by {
	BY_SOURCE = 1 << 0,
	BY_NETBLOCK = 1 << 1,
	BY_SENDER = 1 << 2,
	BY_RECIPIENT = 1 << 3,
	BY_DOMAIN = 1 << 4,
	BY_CONNECTION = 1 << 5,
	BY_TRANSACTION = 1 << 6,
};

struct guard_step {
	int64_t at_us;
	uint64_t count;
	int64_t period_us;
};

struct guard {
	struct slice name;
	uint8_t kind;  /* enum guard_kind */
	uint8_t stage; /* enum sim_stage */
	uint16_t by;   /* enum guard_by; 0: one cell for all */
	uint8_t mask;  /* bits of an IPv4 netblock */
	uint64_t count;
	int64_t period_us;
	uint32_t burst;
	uint32_t ndays;
	uint32_t days[GUARD_DAYS_MAX];
	struct slice only; /* glob over names of sources; empty: all */
	struct verdict over;

	/* Who goes over meets the same for so long, 0: not; for the rest of the
	 * day with `penalty: day`. */
	int64_t penalty_us;
	bool is_penalty_day;
	uint8_t shut_stage; /* enum sim_stage: where it is met, at or before */
	bool prolongs;      /* who tries meanwhile begins it anew */
	bool counts_refused;
	/* After a penalty: one connection, and one more each such time. */
	int64_t reopens_us;
	struct verdict early; /* to more connections than that */

	/* Greylist: after the wait, and within this; then known for so long,
	 * the client as a whole after so many triplets (0: never). */
	int64_t wait_us, within_us, known_us;
	uint32_t trusts_after;

	uint32_t nsteps; /* of count and period, in time */
	struct guard_step steps[GUARD_STEPS_MAX];
};

/* What one key has done at one guard. */
struct guard_cell {
	int64_t full_ns; /* of a bucket */
	int64_t from_us; /* of the window; first seen, in a greylist */
	int64_t shut_us; /* until then */
	int64_t open_us; /* end of the last penalty; 0: there was none */
	uint64_t n;
	uint32_t conns;
	bool is_seen;
	uint32_t slots; /* index of a sliding window's, 0: none */
};

struct guard_memory {
	uint64_t seed;
	int64_t last_us; /* that somebody asked; before it all is forgotten */
	struct map at;   /* hash of guard and key to index + 1 */
	uint32_t ncells, cap;
	struct guard_cell *cells;
	uint32_t nslots, slots_cap;
	uint32_t (*slots)[GUARD_SLOTS];
};

/* Who asks. What is not known at a stage is empty. */
struct guard_ask {
	int64_t now_us;
	int64_t born_us; /* first day of the source; may be negative */
	struct ip ip;
	struct slice source; /* its name, where it has one */
	struct slice sender; /* domain */
	struct slice rcpt, domain;
	uint64_t connection, transaction; /* numbers of their own */
};

void guard_memory_init(struct guard_memory *m, uint64_t seed);
void guard_memory_free(struct guard_memory *m);
/* Asks the receiver's guards of a stage; NULL: go on. */
const struct verdict *guards_ask(const struct behave *b, struct guard_memory *m,
    enum sim_stage stage, const struct guard_ask *a);
/* Count and period of a bucket or a window at a time. */
struct guard_step guard_rate(const struct guard *g, int64_t at_us);
/* A connection that was let in at connect is over. */
void guards_leave(const struct behave *b, struct guard_memory *m,
    const struct guard_ask *a);

/* ---- guardfile.c ------------------------------------------------------------------ */

/* "guards": { NAME: { ... } }, added to b's, or changed where there is one of
 * that name. Room comes from the arena. Errors are reported. */
struct keys;
void guards_take(struct keys *k, const struct yaml_node *v, struct behave *b,
    struct arena *arena);

#endif
