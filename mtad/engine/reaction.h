/*
 * engine/reaction.h - what a transaction belongs to, and reactions to refusals, by
 * target; a part of engine.h.
 */
#ifndef ENGINE_REACTION_H
#define ENGINE_REACTION_H

#include "mail/mail.h"

struct eng;

#define ENG_PROVIDERS_MAX 256
#define ENG_AUTOMATIONS_MAX 128
#define ENG_STANDINGS_MAX 65536
#define ENG_TARGET_DIMS_MAX 4

/* What a transaction belongs to. A value is a name, 0 = none; that of a site is
 * the name of its best MX host, and the node has only one. */
#define ENG_DIM_TABLE(X)                                                       \
	X(DIM_TENANT, "tenant")                                                \
	X(DIM_CAMPAIGN, "campaign")                                            \
	X(DIM_SENDER_DOMAIN, "sender_domain")                                  \
	X(DIM_SIGNING_DOMAIN, "signing_domain")                                \
	X(DIM_SOURCE, "source")                                                \
	X(DIM_NETBLOCK, "netblock") /* of the source's address */              \
	X(DIM_POOL, "pool")                                                    \
	X(DIM_SITE, "site")                                                    \
	X(DIM_PROVIDER, "provider")                                            \
	X(DIM_HOST, "host") /* MX host */                                      \
	X(DIM_NODE, "node")
#define X(name, text) name,
enum eng_dim { ENG_DIM_TABLE(X) DIM_N };
#undef X
const char *eng_dim_name(enum eng_dim d);

/* What a reaction does to its target for as long as it holds. */
#define ENG_ACTION_TABLE(X)                                                    \
	X(ACT_NONE, "none") /* nothing: the rules behind it do not, either */  \
	X(ACT_SUSPEND, "suspend")    /* nothing starts */                      \
	X(ACT_CONNS, "connections")  /* a path of it has fewer at once */      \
	X(ACT_SLOW, "slow")          /* a path of it has a part of its rate */ \
	X(ACT_SKIP, "skip_host")     /* a host is not used */                  \
	X(ACT_DEFER, "defer")        /* queues of it wait */                   \
	X(ACT_OTHER, "other_source") /* mail leaves by another one */          \
	X(ACT_BOUNCE, "bounce")      /* what queues of it have is returned */
#define X(name, text) name,
enum eng_action { ENG_ACTION_TABLE(X) ENG_ACTION_N };
#undef X
const char *eng_action_name(enum eng_action a);

/*
 * A rule about refusals. Whether one's words match it is judged where they are
 * read (struct eng_hits); what else it asks for stands here. Of the rules that
 * match a refusal the first counts it, and those behind it only if it goes on.
 */
struct eng_automation_conf {
	uint32_t name;
	uint32_t categories, kinds; /* 1 << enum category, kind; 0 = any */
	uint16_t dims; /* whose values make up the target; 0 = the node */
	uint8_t action;
	bool goes_on;
	/* When it does so: at so many replies that match within a period, or at
	 * such a part of all replies in it, if there were enough; 0: at once. */
	uint32_t count;
	uint32_t ratio_ppm, replies_min;
	uint32_t value; /* ACT_CONNS: so many; ACT_SLOW: ENG_PPM of the rate */
	bool ramps;     /* then begins with one connection */
	int64_t period_us;
	int64_t for_us; /* 0 = until an operator ends it */
	/* Indices of the policy's, as bits; none = any. */
	uint64_t providers[ENG_PROVIDERS_MAX / 64];
};

/* The policy's automations whose words a reply matches, as bits. */
struct eng_hits {
	uint64_t v[ENG_AUTOMATIONS_MAX / 64];
};
static inline bool
eng_hits_any(const struct eng_hits *h)
{
	uint64_t any = 0;

	for (uint32_t i = 0; i < ARRAY_LEN(h->v); i++)
		any |= h->v[i];
	return any != 0;
}

/* What a reply comes to: a refusal that sounds final is tried again where somebody
 * has judged that this may help. Anything else is what it is. */
struct outcome eng_outcome_meant(const struct outcome *o);

/* A reaction that holds. */
struct eng_standing_row {
	uint32_t id;
	uint32_t rule;       /* name */
	uint32_t automation; /* its index in the policy */
	uint8_t action;
	uint16_t dims;
	uint32_t val[DIM_N]; /* names, of a site its best host's; 0 = any */
	int64_t first_us, last_us; /* refusals that began it, or kept it up */
	int64_t until_us;          /* 0: until somebody ends it */
	uint64_t count;            /* refusals since it began */
	uint32_t reply;            /* words of the first, a name; 0 = none */
	struct outcome outcome;    /* of the first */
};
/* Up to n by id from the first above `after` on; returns how many. Cost: one
 * pass over them. */
uint32_t eng_standing_rows(const struct eng *e, uint32_t after,
    struct eng_standing_row *rows, uint32_t n);
uint32_t eng_standings(const struct eng *e); /* how many there are */
/* In a CMD_LOG's job: the standing that returned it, as a gate names it. */
#define ENG_JOB_STANDING (UINT32_C(1) << 31)
/* The one that a gate names. false: there is none. */
bool eng_standing_row(const struct eng *e, uint32_t standing,
    struct eng_standing_row *row);

#endif
