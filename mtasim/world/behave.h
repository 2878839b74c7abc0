/*
 * world/behave.h - how a receiver treats its clients: replies by chance,
 * delays, caps on connections and a rate for each source address.
 *
 * Pure: the clock is a parameter and chance comes from a seeded generator.
 */
#ifndef WORLD_BEHAVE_H
#define WORLD_BEHAVE_H

#include "world/dist.h"

#define SIM_STAGES(X)                                                          \
	X(AT_CONNECT, "connect")                                               \
	X(AT_MAIL, "mail")                                                     \
	X(AT_RCPT, "rcpt")                                                     \
	X(AT_DATA, "data")                                                     \
	X(AT_EOM, "eom")

#define X(name, text) name,
enum sim_stage { SIM_STAGES(X) AT_N };
#undef X

enum verdict_kind {
	VERDICT_ACCEPT,
	VERDICT_REPLY,  /* code, enhanced code and text */
	VERDICT_CLOSE,  /* closes without a word */
	VERDICT_SILENT, /* never answers */
};

#define REPLY_BYTES_MAX 400

struct verdict {
	uint8_t kind; /* enum verdict_kind */
	uint16_t code;
	char enh[16]; /* "4.7.28" or "" */
	char text[REPLY_BYTES_MAX];
};

/* One reply by chance. */
struct rule {
	uint8_t stage;      /* enum sim_stage */
	uint32_t share_ppm; /* of the commands of its stage, in millionths */
	struct verdict verdict;
};

#define RULES_MAX 32
#define SPELLS_MAX 16

/* A time in which a stage answers otherwise; from a beginning that the user of
 * the behaviour knows. */
struct spell {
	int64_t from_us, until_us;
	uint8_t stage; /* enum sim_stage */
	struct verdict verdict;
};

struct guard;

struct behave {
	uint32_t nrules;
	struct rule rules[RULES_MAX];
	uint32_t nspells;
	struct spell spells[SPELLS_MAX];
	struct dist delay[AT_N]; /* before the answer of a stage */
	bool has_refusal;        /* before the final dot a refusal takes */
	struct dist refusal;     /*   so long, whatever its stage's delay */
	bool is_silent;          /* takes connections and says nothing */
	bool hides_pipelining;   /* does not offer it */
	uint32_t conns_max;      /* in all; 0 = no cap */
	uint32_t messages_max;   /* of one connection; 0 = no cap */
	uint32_t rcpts_max;      /* of one message */
	uint64_t size_max;

	/* For each client address. */
	uint32_t source_conns_max; /* 0 = no cap */
	uint64_t rate_count; /* messages in each rate_period_us; 0 = any */
	int64_t rate_period_us;
	uint32_t rate_burst;
	struct verdict busy; /* too many connections */
	struct verdict full; /* too many messages in one of them */
	struct verdict gone; /* a spell at connect, to who is connected */
	struct verdict over; /* above the rate, at over_stage */
	uint8_t over_stage;

	/* What it remembers of them beyond that; see guard.h. */
	uint32_t nguards;
	struct guard *guards;
};

/* A receiver's chance: a stream for each thing that is drawn, so that what a
 * draw decides does not depend on how many others were made in between. A plan
 * and a world of one seed throw the same dice. */
struct dice {
	struct rng pick[AT_N], delay[AT_N], refusal;
};
void dice_seed(struct dice *d, uint64_t seed, struct slice receiver);

/* No rules, no caps; busy, full, gone and over get plain texts. */
void behave_init(struct behave *b);
/* "421 4.7.0 try later", "close" or "silent". 0 or E_SYNTAX and why. */
int verdict_parse(struct slice s, struct verdict *v, char *why,
    size_t why_cap) MUST_CHECK;
/* "12%", "0.4%": millionths. 0 or E_SYNTAX. */
int share_parse(struct slice s, uint32_t *ppm) MUST_CHECK;
/* 0 or E_SYNTAX. */
int stage_parse(struct slice s, uint8_t *stage) MUST_CHECK;
const char *sim_stage_name(enum sim_stage s);
/* "eom:5%:451 4.7.1 try later". 0, E_SYNTAX, E_FULL, and why. */
int behave_add_rule(struct behave *b, struct slice text, char *why,
    size_t why_cap) MUST_CHECK;
/* "50ms" (every end of message) or "rcpt:gamma 50ms k 4". 0 or E_SYNTAX and
 * why. */
int behave_add_delay(struct behave *b, struct slice text, char *why,
    size_t why_cap) MUST_CHECK;

/* The verdict of the first spell that covers a stage at a time; NULL: none.
 * One at connect is an outage: those who are connected already meet it at MAIL
 * (closed, silent, or 421 whatever its reply). */
const struct verdict *behave_spell(const struct behave *b, enum sim_stage stage,
    int64_t at_us);
/* The rule that chance picks at a stage, or NULL to accept. */
const struct verdict *behave_pick(const struct behave *b, enum sim_stage stage,
    struct dice *d);

/* The text of a verdict with {ip}, {rcpt} and {host} filled in; its length. */
size_t verdict_text(const struct verdict *v, struct slice ip, struct slice rcpt,
    struct slice host, char *dst, size_t cap);

/*
 * A token bucket in one number: the time at which it is full again, in
 * nanoseconds. Takes a token and says true, or leaves it and says false.
 * In any window W at most burst + W * count / period are taken.
 */
bool behave_take(const struct behave *b, int64_t *full_ns, int64_t now_us);

#endif
