/*
 * plan/trial_i.h - the inside of a trial: the clock, messages, peers.
 */
#ifndef PLAN_TRIAL_I_H
#define PLAN_TRIAL_I_H

#include "plan/trial.h"
#include "relay/relay.h"
#include "world/guard.h"

/* The engine's clock at the scenario's start; 0 has a meaning of its own. */
#define START_US TRIAL_START_US
#define WALL_US (INT64_C(1767225600) * US_PER_S) /* at that time */

enum happen_kind { HAPPEN_ARRIVAL, HAPPEN_ANSWER, HAPPEN_PEER };
/* In the heap, or in the line of what happens at once, behind all of this
 * instant that is in the heap. */
struct happen {
	struct heap_node node;
	struct list line; /* next NULL: not in it */
	uint8_t kind;     /* enum happen_kind */
};

/* A message in the queue; its slot is the spool's for the core. */
struct mail {
	int64_t arrival_us;
	uint32_t bytes;
	uint8_t provider, feed;
	bool is_begun;
	uint8_t asked;   /* bits: which questions are about it */
	uint32_t domain; /* in scen.domains */
	uint32_t box;    /* number of its first mailbox */
};

struct source_state {
	uint32_t conns;
	int64_t full_ns; /* of its token bucket */
};

struct young_state {
	int64_t day;
	uint64_t used; /* of that day */
};

struct provider_state {
	const struct scen_provider *p;
	struct dice dice;
	struct source_state *sources; /* by index in the configuration */
	struct guard_memory memory;
};

struct feed { /* a workload */
	struct happen happen;
	const struct scen_workload *w;
	const struct demand *demand; /* or NULL */
	struct rng rng;
	uint64_t i, n;   /* messages so far, in all */
	uint64_t live;   /* recipients of them, in the queue */
	uint32_t nboxes; /* mailboxes so far */
	double at;       /* of the next, Poisson; us from start_us */
};

enum peer_state { PEER_OPENING, PEER_IDLE, PEER_BUSY, PEER_QUITTING };
struct peer {
	struct happen happen;
	struct handle session;
	uint32_t index; /* in the pool of peers */
	uint16_t provider, source;
	uint8_t state;
	uint8_t stage;                 /* of the verdict */
	bool is_closing;               /* QUIT when all is sent */
	bool is_over;                  /* what comes now is for nobody */
	bool is_counted;               /* among the provider's connections */
	uint32_t nmsgs;                /* answered at the final dot */
	uint32_t ndone;                /* answered at all */
	uint64_t number;               /* of its connection */
	const struct verdict *verdict; /* on what is under way; NULL: yes */
	struct job *job;               /* under way */
	struct posts waiting, stale;
	char named[NAME_MAX_BYTES + 1]; /* its provider, by the configuration */
};

struct answer {
	struct happen happen;
	uint32_t index; /* in the pool of answers */
	uint32_t domain;
	bool is_host;
	char name[DOMAIN_MAX + 1];
};

struct trial {
	const struct scen *s;
	struct outlook *out;
	const struct trial_watch *watch; /* or NULL */
	struct work work;                /* before the present part */
	uint8_t part;                    /* enum trial_part */
	int64_t sample_us;               /* the next */
	struct core *core;
	struct gate gate;
	struct disk disk;
	struct heap heap;
	struct list line;
	int64_t now; /* of the engine */
	struct pool mails, peers, answers;
	struct env_rcpt *rcpts; /* room to make a message */
	struct peer **by_session;
	uint32_t nby_session;
	struct provider_state *providers;
	struct young_state *young; /* by source; NULL: none is */
	struct feed *feeds;
	uint32_t nfeeds_left;
	struct rng dns;
	uint64_t sequence, connections, transactions;
	struct buf address;
	struct verdict cold;                  /* too many from a young source */
	const struct verdict *judged_verdict; /* of the last refusal ... */
	char judged_by[NAME_MAX_BYTES + 1];   /* ... and whose it was */
	struct outcome judged;
};

/* ---- trial.c ---- */
void happen_at(struct trial *t, struct happen *h, int64_t when_us);
bool happen_is_set(const struct happen *h);
/* Brings the integrals of a provider and of all up to now. */
void trial_count(struct trial *t, uint32_t provider);
static inline struct tally *
tally_of(struct trial *t, uint32_t provider)
{
	return &t->out->tallies[provider];
}
static inline struct tally *
tally_all(const struct trial *t)
{
	return &t->out->tallies[t->out->n];
}
struct mail *trial_mail(struct trial *t, const struct job *j);
/* Address of recipient i of a message. */
void mail_address(const struct trial *t, const struct mail *m, uint32_t i,
    struct buf *out);
struct bucket *trial_bucket(struct trial *t);
/* Tells who watches; `of` may be NULL. */
void trial_tell(struct trial *t, enum trial_deed what, const struct peer *p,
    const struct trial_event *of);
static inline bool
trial_is_watched(const struct trial *t)
{
	return t->watch != NULL && t->watch->event != NULL;
}
/* A closed workload comes to a part: the trial does, if it is before it. */
void trial_part(struct trial *t, enum trial_part part);

/* ---- trial_mail.c ---- */
void feeds_make(struct trial *t, uint64_t seed, const struct demand *demand);
void feed_arrive(struct trial *t, struct feed *f);
void mail_outcome(struct trial *t, struct handle slot, uint16_t rcpt,
    const struct spool_rcpt *r);
/* What there is to tell of a recipient of it. */
struct trial_event mail_event(const struct trial *t, const struct mail *m,
    uint32_t rcpt);
void mail_drop(struct trial *t, struct handle slot);

/* ---- trial_ask.c ---- */
/* Asks what is to be asked before a moment of the engine's clock. */
void asks_due(struct trial *t, int64_t at);
void ask_left(struct trial *t, const struct mail *m);
bool asks_are_over(const struct trial *t);

/* ---- trial_peer.c ---- */
void peer_open(struct trial *t, const struct core_open *o);
void peer_assign(struct trial *t, struct job *j);
void peer_close(struct trial *t, struct handle session);
/* Something happens to it soon: asks for what that will touch. */
void peer_ask(const struct trial *t, const struct peer *p);
void peer_happen(struct trial *t, struct peer *p);
void trial_peers_free(struct trial *t);

#endif
