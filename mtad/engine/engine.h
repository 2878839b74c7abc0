/*
 * engine/engine.h - the brain: (event, now) -> commands.
 *
 * Every decision about mail is made here: who goes next, through which source,
 * now or not before when, retry or bounce. The engine reads no clock, does no
 * I/O, uses no thread and no float, and draws dice only from its seed. The
 * same policy, seed and events give the same commands, byte for byte.
 *
 * Names (domains, hosts, tenants, campaigns, pools, sources) are ids that the
 * relay interned; messages are the relay's indices. Events and commands are
 * plain records without pointers. All times are microseconds of the driver's
 * monotonic clock, except where a field says wall.
 *
 * Nothing is polled. A path (source x site) that a limit refuses is parked on
 * that limit and woken by it; a recipient has one timer, the earliest of its
 * due time and its expiry; the cost of a wake does not depend on the length of
 * a queue.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "engine/reaction.h"
#include "mail/kept.h"
#include "mail/mail.h"
#include "mail/zone.h"

struct eng;

#define ENG_TARGETS_MAX 32 /* addresses of one site that are tried */
#define ENG_TXN_RCPTS_MAX 100
#define ENG_SOURCES_MAX 1024
#define ENG_POOLS_MAX 256
#define ENG_CAPS_MAX 128
#define ENG_ZONES_MAX 256
#define ENG_TENANTS_MAX 1024
#define ENG_QUIET_MAX 4
#define ENG_CAMPAIGNS_MAX 4096
#define ENG_TENANT_WEIGHT_MAX 100
#define ENG_POOL_SOURCES_MAX 256
#define ENG_WEIGHT_MAX 1000
#define ENG_WARMUPS_MAX 32
#define ENG_WARM_STAGES_MAX 128
#define ENG_SHAPES_MAX 8192
#define ENG_DESTS_MAX 4096
#define ENG_PAIRS_MAX 4096

/* ---- policy ---------------------------------------------------------------- */

/* Limits of a path. 0 = no limit. */
#define ENG_SHAPE_TABLE(X)                                                     \
	X(conns_max, uint32_t, 20)      /* sessions of one path at once */     \
	X(msgs_per_conn, uint32_t, 100) /* transactions of one session */      \
	X(rcpts_per_txn, uint32_t, 100)                                        \
	X(rate_count, uint32_t, 0) /* transactions per rate_period_us */       \
	X(rate_period_us, int64_t, 0)                                          \
	X(rate_burst, uint32_t, 1)                                             \
	X(assign_ahead, uint32_t, 2) /* transactions held by a session */      \
	X(backoff_min_us, int64_t, 60 * US_PER_S) /* path after a refusal */   \
	X(backoff_max_us, int64_t, 3600 * US_PER_S)                            \
	X(block_us, int64_t, 600 * US_PER_S) /* path after a block */          \
	/* A path that is slowed down finds its rate, down to the floor,  \
	 * if there is one. */    \
	X(floor_count, uint32_t, 1)                                            \
	X(floor_period_us, int64_t, 60 * US_PER_S)

struct eng_shape {
#define X(name, type, dflt) type name;
	ENG_SHAPE_TABLE(X)
#undef X
};

struct eng_source_conf {
	uint32_t name;
	bool has_v4, has_v6; /* which targets it can reach */
	uint32_t netblock;   /* name; 0 = unknown */
	uint16_t shape;      /* what is said about it; 0 = nothing */
	/* While it is young: the plan (its index + 1; 0: it is not), the stage
	 * that it begins with, from 0, and when, by the wall clock. */
	uint16_t warmup, warm_stage;
	int64_t warm_from_us;
	uint64_t hash; /* of its name's text: sticky.c */
};

/*
 * The limits of a path are put together from layers, each of which says what it
 * says: the default, the site's provider, the provider for this source, the
 * site's hosts, the domain, the source. The later one wins, limit by limit.
 * Layers stand in eng_policy.shapes; which limits one sets, in .sets.
 */
#define ENG_SHAPE_BIT(name) ENG_SHAPE_BIT_##name
enum eng_shape_bit {
#define X(name, type, dflt) ENG_SHAPE_BIT(name),
	ENG_SHAPE_TABLE(X)
#undef X
	    ENG_SHAPE_BITS
};
#define ENG_SETS_ALL ((UINT32_C(1) << ENG_SHAPE_BITS) - 1)

/* Sites that belong together: their limits, and what is learnt about them, may
 * be shared without their queues being one. Entry 0 stands for none. */
struct eng_provider_conf {
	uint32_t name;
	uint16_t shape;
};
/* What is said about a provider for one source; sorted by both. */
struct eng_pair_conf {
	uint16_t provider, source; /* indices in the policy */
	uint16_t shape;
};
/* What is said about domains. Entry 0: nothing. */
struct eng_dest_conf {
	uint16_t shape;
};

struct eng_pool_conf {
	uint32_t name;
	uint16_t nsources;
	/* indices into eng_policy.sources */
	uint16_t sources[ENG_POOL_SOURCES_MAX];
	/* Among those that may, sessions are opened in these proportions; 0 is
	 * as 1. */
	uint16_t weights[ENG_POOL_SOURCES_MAX];
	/* Pool (its index + 1) whose sources carry what its own young ones may
	 * not; 0 = none. */
	uint16_t overflow;
	/* All mail of a domain leaves by one of its sources. */
	bool is_sticky;
};

/*
 * How a young source comes to carry more, with each provider apart. Stage k may
 * carry most[k] recipients on a day; the next begins behind a day on which more
 * than advance_ppm of that were delivered and no ratio was over its limit. On
 * days without mail nothing changes. Past the last stage there is no limit.
 */
struct eng_warmup_conf {
	uint32_t name;
	uint16_t zone; /* in which days and hours are counted */
	uint16_t nstages;
	bool steps_back; /* where a ratio is over its limit; else it stays */
	bool prefers_engaged; /* the share goes to engaged mail first */
	uint32_t idle_days;   /* after so many it begins again; 0: never */
	uint32_t hour_ppm;    /* of the day's share that an hour may have */
	uint32_t advance_ppm; /* parts per million, all of these */
	uint32_t defer_ppm, bounce_ppm; /* of attempts */
	uint32_t complaint_ppm;         /* of what was delivered */
	uint32_t attempts_min;          /* below that ratios say nothing */
	uint32_t most[ENG_WARM_STAGES_MAX];
};
#define ENG_PPM UINT32_C(1000000)

/* At most burst + count * W / period_us in any window W. count 0 = no limit. */
struct eng_rate {
	uint64_t count, burst;
	int64_t period_us;
};

/* A limit on all that matches `where`: together, or apart for each tuple of
 * values of `dims`; mail without a value there is not limited by it. A meter
 * keeps what a tuple has used. 0 = no such cap. */
struct eng_limit_conf {
	uint32_t name;
	uint16_t dims; /* 1 << enum eng_dim */
	uint16_t zone; /* where the days of a quota begin: of the policy's */
	uint32_t where[DIM_N]; /* names; 0 = any */
	/* Sessions at once; of a tenant, campaign, pool or domain of senders:
	 * its transactions that are under way, each on a session of its own. */
	uint32_t conns_max;
	struct eng_rate conns; /* that are opened */
	/* Sessions at once grow from burst by count a period, while there are
	 * any. */
	struct eng_rate ramp;
	struct eng_rate msgs, rcpts, bytes;
	uint64_t quota;   /* transactions in any window quota_us, or in a day */
	int64_t quota_us; /* 0: a calendar day in the zone */
};

/* A time zone, by the name that mail and limits call it. Entry 0 of a policy is
 * UTC. */
struct eng_zone_conf {
	uint32_t name;
	struct tzone zone;
};

/* From a minute of the local day to another, the next day's if it is not later,
 * beginning on these days (1 << 0 is Monday): no mail goes. */
struct eng_quiet {
	uint16_t from_min, to_min;
	uint8_t days;
};

/* At a site tenants that have mail share by weight (1 .. ENG_TENANT_WEIGHT_MAX), and so
 * do the campaigns of a tenant what it gets. */
struct eng_tenant_conf {
	uint32_t name;
	uint16_t weight;
	uint16_t zone; /* of its quiet hours */
	uint8_t nquiet;
	struct eng_quiet quiet[ENG_QUIET_MAX];
};
struct eng_campaign_conf {
	uint32_t tenant, name;
	uint16_t weight;
};

struct eng_retry {
	int64_t first_us;    /* delay after the first failure: 10 min */
	int64_t max_us;      /* ceiling of a delay: 4 h */
	uint32_t factor_pct; /* growth of each next delay: 200 */
	uint32_t jitter_pct; /* each delay +- this share: 10 */
	uint16_t nlist;      /* when > 0: these delays, the last repeats */
	int64_t list_us[32];
};

/* Immutable; owned by whoever compiled it; lives until the engine has taken
 * the next generation (the CONF event returns the old one). */
struct eng_policy {
	uint64_t generation;
	uint32_t nsources, npools, nshapes, nproviders, ndests;
	uint32_t npairs;
	struct eng_source_conf sources[ENG_SOURCES_MAX];
	struct eng_pool_conf pools[ENG_POOLS_MAX];
	/* 0 is the default, which says all. */
	struct eng_shape shapes[ENG_SHAPES_MAX];
	uint32_t sets[ENG_SHAPES_MAX]; /* 1 << ENG_SHAPE_BIT(x) */
	struct eng_provider_conf providers[ENG_PROVIDERS_MAX]; /* 0 is none */
	struct eng_dest_conf dests[ENG_DESTS_MAX];
	struct eng_pair_conf pairs[ENG_PAIRS_MAX];
	uint32_t ncaps;
	struct eng_limit_conf caps[ENG_CAPS_MAX];
	uint32_t nzones;
	struct eng_zone_conf zones[ENG_ZONES_MAX];
	uint32_t nwarmups;
	struct eng_warmup_conf warmups[ENG_WARMUPS_MAX];
	/* 0 is that of tenants without an entry; the others rise by name. */
	uint32_t ntenants;
	struct eng_tenant_conf tenants[ENG_TENANTS_MAX];
	/* Those that weigh other than 1; they rise by tenant, then by name. */
	uint32_t ncampaigns;
	struct eng_campaign_conf campaigns[ENG_CAMPAIGNS_MAX];
	uint32_t nautomations;
	struct eng_automation_conf automations[ENG_AUTOMATIONS_MAX];
	struct eng_retry retry;
	uint32_t default_pool;                        /* name */
	int64_t dns_retry_min_us, dns_retry_max_us;   /* 1 min, 30 min */
	int64_t host_retry_min_us, host_retry_max_us; /* dead host: 1, 30 min */
	int64_t connect_spacing_us;                   /* unused now: ramp */
};
/* What a policy says that nothing is said in. *p is zero: most of its pages are
 * never touched, and so take no memory. */
void eng_policy_default(struct eng_policy *p);
void eng_shape_default(struct eng_shape *s);
/* What is known about where a path leads: indices in the policy, 0 = none. */
struct eng_where {
	uint16_t dest, provider;
	uint16_t shape; /* that is said about the site's hosts */
};
/* The limits of a path: where it leads, and the index of its source in the policy
 * (any other is one that it does not have). */
void eng_policy_shape(const struct eng_policy *p, const struct eng_where *to,
    uint32_t source, struct eng_shape *out);

struct eng_limits {
	uint32_t messages_max, rcpts_max, domains_max, sites_max, sessions_max;
};

/* ---- events ----------------------------------------------------------------- */

/* clang-format off */
#define ENG_EVENT_TABLE(X) \
	X(EV_CONF, "conf") \
	X(EV_CLOCK, "clock") \
	X(EV_MESSAGE, "message") \
	X(EV_RECIPIENT, "recipient") \
	X(EV_RESOLVED, "resolved") \
	X(EV_SESSION_UP, "session_up") \
	X(EV_SESSION_DOWN, "session_down") \
	X(EV_RESULT, "result") \
	X(EV_TICK, "tick") \
	X(EV_ADMIN, "admin") \
	X(EV_NOTICE_PAID, "notice_paid") \
	X(EV_DAMAGED, "damaged") \
	X(EV_SHAPE, "shape") \
	X(EV_DISK, "disk") \
	X(EV_KEPT, "kept") \
	X(EV_RECALL, "recall") \
	X(EV_FEEDBACK, "feedback") \
	X(EV_END, "end")
/* clang-format on */
#define X(name, text) name,
enum eng_event_kind { ENG_EVENT_TABLE(X) ENG_EVENT_N };
#undef X

/* Result of a look-up. */
enum eng_dns {
	ENG_DNS_OK,
	ENG_DNS_NXDOMAIN,
	ENG_DNS_NULL_MX,
	ENG_DNS_NO_ADDRESS,
	ENG_DNS_TEMP
};

struct eng_target {
	uint32_t host; /* name id of the MX host */
	uint16_t pref;
	struct ip ip;
	uint16_t port;
};

/* A new message; its nrcpt EV_RECIPIENTs follow at once. */
struct ev_message {
	uint32_t msg;   /* the relay's index; free for reuse after CMD_DROP */
	uint32_t nrcpt; /* recipients that are not final */
	uint32_t tenant, campaign, pool, sender_domain; /* names; 0 = none */
	int64_t arrival_us, expires_us;
	uint64_t size;
	bool is_null_sender; /* no notices */
	uint8_t klass;
	uint32_t signing_domain; /* name; 0 = not signed */
	uint32_t zone;           /* name; 0 = its tenant's */
	bool is_engaged;         /* are its recipients? */
};
struct ev_recipient {
	uint32_t msg;
	uint16_t rcpt; /* its number in the envelope */
	uint16_t attempts;
	uint32_t domain;
	uint32_t tenant, campaign, pool; /* names; 0 = the message's */
	int64_t due_us; /* 0 or past = now; TIME_NEVER = held */
	/* When the message was restored with this recipient final and its
	 * notice still owed: it is only counted, and CMD_NOTICE follows. */
	bool is_owed;
};
struct ev_resolved {
	uint32_t domain;
	enum eng_dns status;
	int64_t ttl_us;
	uint64_t hash; /* of the domain's text: sticky.c */
	struct eng_where where;
	/* 0: all domains with these hosts are one site; else (a name, held as a
	 * host's is) those with the same one alone. */
	uint32_t rollup;
	bool is_route;     /* hosts from configuration, not from MX */
	uint16_t ntargets; /* with status OK at least 1; MX order any */
	struct eng_target target[ENG_TARGETS_MAX];
};
struct ev_session_up {
	struct handle session;
	uint32_t caps; /* enum smtp_caps */
	bool is_tls;
};
/* The session is gone. Results of its transactions came before; what it held
 * and never reported counts as unsent. */
struct ev_session_down {
	struct handle session;
	struct outcome outcome; /* class DELIVERED: an orderly end */
	struct eng_hits hits;
	uint32_t reply; /* its words, a name, where there are hits; 0 = none */
};
struct ev_result {
	struct handle session;
	struct handle txn;
	bool is_sent, in_doubt;
	uint16_t n; /* as many as the assignment had, same order */
	struct outcome rcpt[ENG_TXN_RCPTS_MAX];
	struct eng_hits hits[ENG_TXN_RCPTS_MAX]; /* of those that are judged */
	uint32_t reply; /* words of the first with hits, a name; 0 = none */
};

/* clang-format off */
#define ENG_VERB_TABLE(X) \
	X(VERB_COUNT, "count") \
	X(VERB_HOLD, "hold") \
	X(VERB_RELEASE, "release") \
	X(VERB_RETRY, "retry") \
	X(VERB_BOUNCE, "bounce") \
	X(VERB_DELETE, "delete")
/* clang-format on */
#define X(name, text) name,
enum eng_verb { ENG_VERB_TABLE(X) ENG_VERB_N };
#undef X

/*
 * What is to survive a crash: numbers under names, as mail/kept.h has them with
 * the names as text. CMD_KEEP gives one to the relay, EV_KEPT says up to which
 * serial all are durable, and EV_RECALL brings one back at a start, before any
 * mail: names have other ids then. What must be exact takes blocks ahead: only
 * what a kept entry covers may be spent, and after a crash all of it counts as
 * spent. A name that stands in an entry keeps its id for ever.
 */
struct eng_entry {
	uint8_t book; /* enum kept_book */
	uint8_t nkeys;
	uint32_t key[KEPT_KEYS_MAX]; /* names; 0 = none */
	uint32_t sub;
	int64_t v[KEPT_VALUES_MAX]; /* times: wall clock */
	struct ip host; /* what ENG_KEY_HOST among the names means */
	uint16_t port;
};
#define ENG_KEY_HOST UINT32_MAX

/* Which recipients: all that match every field that is set. */
struct eng_selector {
	uint32_t msg;                            /* 0 = any */
	uint32_t domain, tenant, campaign, pool; /* names; 0 = any */
	int64_t arrived_before_us;               /* 0 = any */
	bool everything; /* must be set when all the others are unset */
};
/* Works in slices of bounded length; CMD_ADMIN_DONE tells the count. */
struct ev_admin {
	uint32_t job; /* the relay's; comes back */
	enum eng_verb verb;
	bool dry_run;
	struct eng_selector sel;
};

/* What receivers report afterwards. */
enum eng_feedback { FEEDBACK_COMPLAINT, FEEDBACK_N };

struct eng_event {
	enum eng_event_kind kind;
	union {
		const struct eng_policy *conf; /* EV_CONF: the exception */
		int64_t wall_us;               /* EV_CLOCK: wall clock now */
		struct ev_message message;
		struct ev_recipient recipient;
		struct ev_resolved resolved;
		struct ev_session_up up;
		struct ev_session_down down;
		struct ev_result result;
		struct ev_admin admin;
		struct {
			uint32_t msg;
			uint16_t rcpt;
		} paid; /* NOTICE_PAID */
		struct {
			uint32_t msg;
		} damaged; /* unreadable, or another node's: forget it */
		struct {
			uint32_t domain;
			struct eng_where where; /* as in ev_resolved */
		} shape;                        /* asked for by CMD_SHAPE */
		/* Send nothing: no outcome can be kept, or all comes to a
		 * stop. */
		bool is_disk_full;
		uint64_t kept; /* KEPT: serials up to this are durable */
		struct eng_entry recall;
		struct {
			uint32_t source, provider; /* names; 0 = none */
			uint8_t kind;              /* enum eng_feedback */
		} feedback;
		uint32_t end; /* END: a standing reaction, by its id */
	};
};

/* ---- commands ----------------------------------------------------------------- */

/* clang-format off */
#define ENG_CMD_TABLE(X) \
	X(CMD_RESOLVE, "resolve") \
	X(CMD_OPEN, "open") \
	X(CMD_ASSIGN, "assign") \
	X(CMD_ASSIGN_RCPT, "assign_rcpt") \
	X(CMD_CLOSE, "close") \
	X(CMD_TAKE_BACK, "take_back") \
	X(CMD_PERSIST, "persist") \
	X(CMD_LOG, "log") \
	X(CMD_NOTICE, "notice") \
	X(CMD_DROP, "drop") \
	X(CMD_FORGET, "forget") \
	X(CMD_FORGET_HOST, "forget_host") \
	X(CMD_ADMIN_DONE, "admin_done") \
	X(CMD_SHAPE, "shape") \
	X(CMD_KEEP, "keep") \
	X(CMD_KEEP_VALUES, "keep_values") \
	X(CMD_WARM_DAY, "warm_day")
/* clang-format on */
#define X(name, text) name,
enum eng_cmd_kind { ENG_CMD_TABLE(X) ENG_CMD_N };
#undef X

/* What is written to the books. */
#define ENG_LOG_TABLE(X)                                                       \
	X(ENG_LOG_DELIVERY, "Delivery")                                        \
	X(ENG_LOG_TRANSIENT, "TransientFailure")                               \
	X(ENG_LOG_BOUNCE, "Bounce")                                            \
	X(ENG_LOG_EXPIRATION, "Expiration")                                    \
	X(ENG_LOG_ADMIN_BOUNCE, "AdminBounce")                                 \
	X(ENG_LOG_ADMIN_DELETE, "AdminDelete")                                 \
	X(ENG_LOG_ADMIN_HOLD, "AdminHold")                                     \
	X(ENG_LOG_ADMIN_RELEASE, "AdminRelease")                               \
	X(ENG_LOG_ADMIN_RETRY, "AdminRetry")
#define X(name, text) name,
enum eng_log_kind { ENG_LOG_TABLE(X) ENG_LOG_N };
#undef X

#define ENG_WARM_TABLE(X)                                                      \
	X(WARM_NEW, "new")         /* no day is over yet */                    \
	X(WARM_ADVANCE, "advance") /* to the next stage */                     \
	X(WARM_HOLD, "hold")                                                   \
	X(WARM_BACK, "step back")                                              \
	X(WARM_AGAIN, "begin again") /* it was idle for too long */            \
	X(WARM_DONE, "done")
#define X(name, text) name,
enum eng_warm_verdict { ENG_WARM_TABLE(X) ENG_WARM_N };
#undef X
const char *eng_warm_name(enum eng_warm_verdict v);
#define ENG_WARM_WHY_TABLE(X)                                                  \
	X(WARM_WHY_NONE, "")                                                   \
	X(WARM_WHY_CLEAN, "it carried its share, and ratios were good")        \
	X(WARM_WHY_SHARE, "it did not carry its share")                        \
	X(WARM_WHY_DEFERRALS, "too much was deferred")                         \
	X(WARM_WHY_BOUNCES, "too much was refused")                            \
	X(WARM_WHY_COMPLAINTS, "too many complaints")                          \
	X(WARM_WHY_IDLE, "it sent nothing for too long")
#define X(name, text) name,
enum eng_warm_why { ENG_WARM_WHY_TABLE(X) ENG_WARM_WHY_N };
#undef X
const char *eng_warm_why_name(enum eng_warm_why w);

/* A sending day of a young source at a provider that is over. */
struct eng_warm_day {
	uint32_t source, provider; /* names; provider 0: all without one */
	uint32_t plan;             /* its name */
	int32_t day;               /* from 1970-01-01, in the plan's zone */
	uint16_t stage, next;      /* of that day, of the next; from 0 */
	uint8_t verdict, why;      /* enum eng_warm_verdict, eng_warm_why */
	uint32_t most;             /* that it might carry */
	uint32_t sent, ok, deferred, bounced, complained;
};

struct eng_cmd {
	enum eng_cmd_kind kind;
	union {
		uint32_t domain; /* RESOLVE; FORGET: the engine's hold on the
				  * name is given up; FORGET_HOST: so is that
				  * on a host's name, one for each target of
				  * an EV_RESOLVED and one for its roll-up;
				  * SHAPE: where does it lead, in the new policy?
				  * EV_SHAPE. */
		struct {
			struct handle session;
			uint16_t source; /* index in the policy */
			uint32_t domain; /* TLS policy belongs to it */
			uint32_t site;
			struct eng_target target;
			bool is_clear; /* its TLS does not work: without */
		} open;
		/* n recipients of one message and domain, the first here, the
		 * n - 1 others in CMD_ASSIGN_RCPT right behind. */
		struct {
			struct handle session, txn;
			uint32_t msg;
			uint16_t n, rcpt;
			uint16_t attempt; /* of the first: 1 = first try */
		} assign;
		struct {
			uint16_t rcpt;
		} assign_rcpt;
		struct handle close; /* session: QUIT when done; TAKE_BACK:
				      * what it has not begun is unsent */
		struct {
			uint32_t msg;
			uint16_t rcpt, attempts;
			struct outcome outcome;
			bool is_final, is_owed;
			int64_t due_us; /* TIME_NEVER = held */
		} persist;
		struct {
			enum eng_log_kind what;
			uint32_t msg;
			uint16_t rcpt, attempts;
			uint32_t domain, site;
			uint32_t tenant, campaign, pool;
			uint16_t source; /* UINT16_MAX = none */
			struct outcome outcome;
			int64_t due_us; /* next attempt, 0 = none */
			uint32_t job;   /* of an operator's action, 0 = none */
		} log;
		/* A notice is owed for this recipient: build it, commit it with
		 * the payment, then send EV_NOTICE_PAID. Those of one message
		 * stand together and may share a message. */
		struct {
			uint32_t msg;
			uint16_t rcpt;
		} notice;
		uint32_t drop; /* msg */
		struct {
			uint32_t job;
			uint32_t n;
		} admin_done; /* rcpts */
		/* An entry, its numbers in a CMD_KEEP_VALUES right behind. */
		struct {
			uint8_t book, nkeys;
			bool is_gone; /* forget it */
			uint32_t key[KEPT_KEYS_MAX];
			uint32_t sub;
			uint64_t serial; /* from 1, without a gap */
			struct ip host;
			uint16_t port;
		} keep;
		struct {
			int64_t v[KEPT_VALUES_MAX];
		} keep_values;
		struct eng_warm_day warm_day;
	};
};

/* Growable list of commands, owned by the caller, reused step after step. */
struct eng_cmds {
	struct eng_cmd *v;
	uint32_t n, cap;
};
void eng_cmds_free(struct eng_cmds *c);

/* ---- the machine ---------------------------------------------------------------- */

/* NULL without memory. policy lives until a later CONF. */
struct eng *eng_new(const struct eng_policy *policy,
    const struct eng_limits *limits, uint64_t seed, int64_t now_us);
void eng_free(struct eng *e);
/* Of a new engine: there may have been one before, whose rates nobody saved, so
 * all that they allow counts as spent when this one begins. */
void eng_rates_spent(struct eng *e);
/* Appends to *cmds (which the caller empties). now_us never goes back. */
void eng_step(struct eng *e, const struct eng_event *ev, int64_t now_us,
    struct eng_cmds *cmds);
/* A result of that transaction comes soon: asks for what it will touch, which
 * lies far where millions wait. */
void eng_result_ask(const struct eng *e, struct handle session,
    struct handle txn);
/* When EV_TICK must come though nothing else happens; TIME_NEVER. */
int64_t eng_deadline(const struct eng *e);
/* Walks everything and asserts every invariant; for tests. */
void eng_check(const struct eng *e);
/* The mail hosts of a domain, best preference first; how many, and in *nbest how
 * many of them are of that preference. 0: it is not known now. */
uint32_t eng_domain_hosts(const struct eng *e, uint32_t domain,
    uint32_t hosts[ENG_TARGETS_MAX], uint32_t *nbest);
/* Room for new recipients. */
uint32_t eng_rcpts_free(const struct eng *e);
size_t eng_memory(const struct eng *e); /* bytes */

/* ---- what viewers see -------------------------------------------------------------- */

/* Why a queue, path or recipient waits: the gate that is shut. */
#define ENG_WHY_TABLE(X)                                                       \
	X(WHY_NONE, "none")             /* nothing is in its way */            \
	X(WHY_DNS, "dns")               /* look-up under way */                \
	X(WHY_DNS_FAILED, "dns-failed") /* until its next try */               \
	X(WHY_RETRY, "retry")           /* the recipient's own retry timer */  \
	X(WHY_CONN, "conn")             /* connection cap of the path */       \
	X(WHY_RATE, "rate")             /* message rate of the path */         \
	X(WHY_BACKOFF, "backoff")       /* the path was refused by the peer */ \
	X(WHY_HOST, "host-down")                                               \
	X(WHY_NO_SOURCE, "no-source")                                          \
	X(WHY_HELD, "held")                                                    \
	X(WHY_SESSION, "session")   /* assigned, in flight */                  \
	X(WHY_LIMIT, "node-limit")  /* sessions of the whole node */           \
	X(WHY_DISK, "disk")         /* outcomes could not be kept */           \
	X(WHY_SLOWED, "slowed")     /* the rate that the peer seems to bear */ \
	X(WHY_WARMUP, "warm-up")    /* the day's share of a young source */    \
	X(WHY_CAP, "limit")         /* one of the policy's caps */             \
	X(WHY_QUIET, "quiet-hours") /* of its tenant */                        \
	X(WHY_SUSPENDED, "suspended") /* by a standing reaction */             \
	X(WHY_PACED, "paced")         /* the same slows it down */
#define X(name, text) name,
enum eng_why { ENG_WHY_TABLE(X) ENG_WHY_N };
#undef X
const char *eng_why_name(enum eng_why w);

/* What a gate says. */
struct eng_verdict {
	enum eng_why why;
	uint32_t by;      /* what shut it: WHY_CAP: index of eng_policy.caps;
			   * WHY_SUSPENDED: id of the standing */
	int64_t until_us; /* 0 = until something happens */
};

/*
 * What waiting at one gate of one limit has cost, since the policy came. The
 * gate of a due recipient is the one that stops its lane and opens first;
 * WHY_SESSION when nothing is in the way but sessions that are on their way.
 */
struct eng_blocked {
	uint64_t refusals; /* times that a path was refused */
	uint64_t path_us;  /* paths x time that they were shut then */
	uint64_t rcpt_us;  /* due recipients x time that they waited */
};
/* Of entry `dest` of the policy's dests. Cost: one pass over lanes, paths. */
void eng_blocked(const struct eng *e, uint16_t dest, int64_t now_us,
    struct eng_blocked out[ENG_WHY_N]);

/* clang-format off */
#define ENG_TOTALS(X) \
	X(messages) \
	X(recipients) \
	X(due) \
	X(deferred) \
	X(held) \
	X(inflight) \
	X(resolving) \
	X(sessions) \
	X(domains) \
	X(sites) \
	X(queues) \
	X(paths) \
	X(received_total) \
	X(delivered_total) \
	X(transient_total) \
	X(bounced_total) \
	X(expired_total) \
	X(admin_total) \
	X(sessions_total) \
	X(sessions_failed_total) \
	X(resolve_total) \
	X(steps_total) \
	X(commands_total) \
	X(parks_total) \
	X(decisions_total) \
	X(comparisons_total) \
	X(moves_total)
/* clang-format on */
struct eng_totals {
#define X(name) uint64_t name;
	ENG_TOTALS(X)
#undef X
};
/* The last three are what an event costs, whatever the machine. Decisions: one
 * each time that it is asked whether something may go now (a path's own gates and
 * every limit that applies are one question, each further queue or host another),
 * and one for each path or source that is passed over without. Order comparisons
 * of timers and of neighbours in a line. Places that timers moved to. Per message
 * they do not depend on how many are queued. */
void eng_totals(const struct eng *e, struct eng_totals *out);

/* One queue: (site or unresolved domain) x pool x tenant x campaign x class. */
struct eng_queue_row {
	uint32_t queue;     /* its number, while it is there */
	uint32_t domain;    /* a domain of it (the last that mail came for) */
	uint32_t site;      /* 0 = not resolved */
	uint32_t site_host; /* name of the site's best MX host, 0 = none */
	uint32_t pool, tenant, campaign;
	uint32_t pin; /* the source that alone may send it, 0 = any */
	uint32_t depth, due, deferred, held, inflight;
	uint32_t conns;                         /* of the site */
	uint64_t delivered, transient, bounced; /* since it exists */
	uint32_t rate_milli;  /* deliveries a second x 1000, over about 60 s */
	uint32_t defer_milli; /* share of attempts deferred x 1000, 60 s */
	int64_t oldest_us;    /* arrival of its oldest recipient seen, 0 none */
	enum eng_why why;
	int64_t until_us; /* when that gate opens; 0 = unknown */
};
/* One row; false: that queue is no more. */
bool eng_queue_row(const struct eng *e, uint32_t queue, int64_t now_us,
    struct eng_queue_row *row);
/* clang-format off */
#define ENG_SORT_TABLE(X) \
	X(SORT_DEPTH, "depth") \
	X(SORT_DUE, "due") \
	X(SORT_RATE, "rate") \
	X(SORT_DEFER, "defer") \
	X(SORT_CONNS, "conns") \
	X(SORT_OLDEST, "oldest")
/* clang-format on */
#define X(name, text) name,
enum eng_sort { ENG_SORT_TABLE(X) ENG_SORT_N };
#undef X
/* The top n queues by a key, best first (ties by identity); returns how many.
 * Cost: one pass over the queues with an n-sized heap. */
uint32_t eng_top_queues(struct eng *e, enum eng_sort key, int64_t now_us,
    struct eng_queue_row *rows, uint32_t n);

struct eng_source_row {
	uint32_t name;
	uint32_t conns, paths, paths_backoff;
	uint64_t delivered, transient, bounced;
	uint32_t rate_milli, defer_milli;
	enum eng_why why;
	int64_t until_us;
};
/* clang-format off */
#define ENG_SOURCE_SORT_TABLE(X) \
	X(SOURCE_SORT_ORDER, "order") \
	X(SOURCE_SORT_RATE, "rate") \
	X(SOURCE_SORT_DEFER, "defer") \
	X(SOURCE_SORT_CONNS, "conns") \
	X(SOURCE_SORT_PATHS, "paths") \
	X(SOURCE_SORT_REFUSED, "refused")
/* clang-format on */
#define X(name, text) name,
enum eng_source_sort { ENG_SOURCE_SORT_TABLE(X) ENG_SOURCE_SORT_N };
#undef X
/* The same of sources; SOURCE_SORT_ORDER is that of the policy. Cost: one pass over the paths and one over the
 * sources. */
uint32_t eng_top_sources(struct eng *e, enum eng_source_sort key,
    int64_t now_us, struct eng_source_row *rows, uint32_t n);

/* Messages: one row a recipient that is not final. */
struct eng_rcpt_row {
	uint32_t msg;
	uint16_t rcpt, attempts;
	uint32_t domain, tenant, campaign, pool;
	int64_t arrival_us, expires_us, due_us;
	struct outcome last; /* of its last attempt */
	enum eng_why why;
	int64_t until_us;
};
/*
 * What is left to do of a message, for who takes it over: a row for each of its
 * recipients that is not final. 0: there is no such message, more than n are
 * left, some of it is in flight, or it is owed a notice.
 */
struct eng_rest {
	uint16_t rcpt, attempts;
	struct outcome last;
	int64_t due_us; /* 0 = now, TIME_NEVER = held */
};
uint32_t eng_message_rest(const struct eng *e, uint32_t msg, struct eng_rest *v,
    uint32_t n);
/* Up to n rows from *cursor on (0 to begin); looks at `budget` recipients at
 * most and moves *cursor (to 0 when it has seen all). */
uint32_t eng_list(const struct eng *e, const struct eng_selector *sel,
    uint32_t *cursor, uint32_t budget, int64_t now_us,
    struct eng_rcpt_row *rows, uint32_t n);

/* ---- the reasons why (explain.c) ------------------------------------------------------ */

/* When the mail that waits now will be gone, all of it; eta.c says how it is
 * foretold. In nine of ten cases it is between lo and hi. */
#define ENG_ETA_TABLE(X)                                                       \
	X(ETA_EMPTY, "empty")                                                  \
	X(ETA_TIME, "time")                                                    \
	X(ETA_GROWS, "grows")     /* more comes than leaves */                 \
	X(ETA_UNKNOWN, "unknown") /* nobody could know, for that reason */
#define X(name, text) name,
enum eng_eta_kind { ENG_ETA_TABLE(X) ENG_ETA_N };
#undef X
const char *eng_eta_name(enum eng_eta_kind k);
struct eng_eta {
	enum eng_eta_kind kind;
	enum eng_why why; /* what it waits for */
	int64_t lo_us, at_us, hi_us;
};
/* Of a live queue. Cost: a look at each source of its pool while *budget lasts;
 * without it the gates of sources are taken for open. */
struct eng_eta eng_eta(struct eng *e, uint32_t queue, int64_t now_us,
    uint32_t *budget);
/* The queue that a recipient is in, 0 = none. */
uint32_t eng_queue_of(const struct eng *e, uint32_t msg, uint16_t rcpt);

/* The gates that a recipient passes, in this order. */
#define ENG_GATE_TABLE(X)                                                      \
	X(GATE_HOLD, "hold")         /* an operator's */                       \
	X(GATE_RETRY, "retry")       /* the recipient's own timer */           \
	X(GATE_DNS, "dns")           /* of its domain */                       \
	X(GATE_DISK, "disk")         /* outcomes could not be kept */          \
	X(GATE_TENANT, "tenant")     /* the tenant's turn */                   \
	X(GATE_CAMPAIGN, "campaign") /* the campaign's */                      \
	X(GATE_SOURCE, "source")     /* which sources may carry it */          \
	X(GATE_LIMIT, "limit")       /* one of the policy's caps */            \
	X(GATE_WARMUP, "warm-up")    /* the day's share of a young source */   \
	X(GATE_REACTION, "reaction") /* a rule's, which holds */               \
	X(GATE_PATH, "path")         /* the peer refused, or we slow down */   \
	X(GATE_RATE, "rate")                                                   \
	X(GATE_CONN, "connection")                                             \
	X(GATE_HOST, "host")                                                   \
	X(GATE_SESSION, "session") /* it is handed to one */
#define X(name, text) name,
enum eng_gate_kind { ENG_GATE_TABLE(X) ENG_GATE_N };
#undef X
const char *eng_gate_name(enum eng_gate_kind k);

/*
 * One gate as it stands. From GATE_SOURCE on a gate is one for each source of
 * the pool: `of` came to it, `open` passed, and it is shut when none did; then
 * why, until and by are of the source that it opens for first.
 */
struct eng_gate {
	bool is_shut, is_known; /* not known: nobody came so far */
	enum eng_why why;       /* WHY_NONE: open */
	int64_t until_us;       /* 0 = until something happens */
	int64_t since_us;       /* 0 = unknown */
	uint32_t of, open;
	uint32_t source, host, limit; /* names, 0 = none */
	uint32_t standing;            /* of eng_standing_row, 0 = none */
	uint32_t path;  /* that was refused at since_us, 0 = none */
	uint32_t ahead; /* that go before it, as far as was looked */
};

/* For those who note which reply shut a path: the number of the one that a
 * session is of, 0 = there is no such session; and when a path was refused last,
 * 0 = never, or it is gone. Numbers may be used again. */
uint32_t eng_session_path(const struct eng *e, struct handle session);
int64_t eng_path_refused_us(const struct eng *e, uint32_t path);

struct eng_reasons {
	struct eng_gate gate[ENG_GATE_N];
	int first;       /* the first that is shut, ENG_GATE_N = none */
	int64_t next_us; /* the next attempt at the earliest; 0 = unknown,
			  * TIME_NEVER = not by itself */
};

/*
 * The recipients of a message that are not final: rows and reasons of up to n,
 * of the numbers from `from` to before `to` in the envelope. Cost: one look at each recipient, and
 * at each source of its pool, as long as *budget lasts; what is beyond is left
 * unknown.
 */
struct eng_explained {
	struct eng_rcpt_row row;
	struct eng_reasons why;
	struct eng_eta eta;       /* of its delivery */
	uint32_t site, site_host; /* host: name of its best */
	uint32_t queue_due;       /* recipients in its line */
};
uint32_t eng_explain_message(struct eng *e, uint32_t msg, uint32_t from,
    uint32_t to, int64_t now_us, uint32_t *budget, struct eng_explained *v,
    uint32_t n);

/* A domain as it stands. */
struct eng_domain_view {
	const char *state;  /* "new", "asked", "failed", "ok", "negative" */
	int64_t retry_us;   /* the next look-up after a failure, 0 none */
	int64_t expires_us; /* of the answer, 0 none */
	uint32_t recipients;
	uint32_t site, site_host;
	uint32_t conns;
	uint32_t ntargets;
	struct eng_target_view {
		uint32_t host;
		struct ip ip;
		uint16_t pref;
		uint32_t fails;
		int64_t fail_us, dead_until_us;
	} target[ENG_TARGETS_MAX];
};
/* false: nobody writes there. */
bool eng_explain_domain(const struct eng *e, uint32_t domain, int64_t now_us,
    struct eng_domain_view *out);

/* How fast a queue may be, and is; in messages a second x 1000. */
struct eng_flow_view {
	/* By the rates of its paths: of all sources of its pool, and of those that
	 * may send now; 0: no rate is set. By their connections, at the rate of
	 * those that are open; 0: not known. */
	uint64_t declared, open, conns;
	uint64_t measured; /* attempts */
	bool
	    is_unreachable; /* the declared rate: connections do not carry it */
	uint64_t blocked_us[ENG_WHY_N]; /* due recipients x time, of all mail to
					 * destinations of its kind */
};
/* Recipients by the age of their messages: up to each of these, and older. Of those
 * that were there before the queue was worth a look it is not known. */
#define ENG_AGE_EDGES                                                          \
	300 * US_PER_S, 900 * US_PER_S, 1800 * US_PER_S, 3600 * US_PER_S,      \
	    7200 * US_PER_S, 18000 * US_PER_S, 43200 * US_PER_S,               \
	    86400 * US_PER_S, 172800 * US_PER_S, 432000 * US_PER_S, TIME_NEVER
#define ENG_AGES 11
struct eng_ages {
	uint32_t n[ENG_AGES], unknown;
};
/* A queue and the gates of what stands in it first. */
struct eng_queue_view {
	struct eng_ages ages;
	struct eng_queue_row row;
	struct eng_flow_view flow;
	struct eng_reasons why;
	struct eng_eta eta;
};
/* Queues of a site, or of a domain that has none yet: up to n from *cursor on,
 * as eng_list. */
uint32_t eng_explain_queues(struct eng *e, uint32_t domain, uint32_t *cursor,
    uint32_t looks, int64_t now_us, uint32_t *budget, struct eng_queue_view *v,
    uint32_t n);

/* A path of a source. */
struct eng_path_view {
	uint32_t site, site_host;
	uint32_t conns, inflight, fails;
	uint32_t waiting; /* due recipients that it might carry */
	enum eng_why why;
	int64_t until_us, since_us;
	uint32_t path; /* as in a gate */
};
/* false: there is no such source, and nothing that it has to do with. */
bool eng_explain_source(struct eng *e, uint32_t source, uint32_t *cursor,
    uint32_t looks, int64_t now_us, struct eng_source_row *row,
    struct eng_path_view *v, uint32_t cap, uint32_t *n);

/* A young source at a provider. */
struct eng_warm_row {
	struct eng_warm_day today; /* so far, and what it would come to now */
	uint32_t nstages;
	uint64_t hour_most, hour_sent;
	int64_t until_us;     /* when it may send again, 0: it may */
	uint8_t verdict, why; /* of its last sending day */
	uint32_t days;        /* sending days at this stage before this one */
};
/* Up to n rows by source and provider (as names); returns how many there are. */
uint32_t eng_warm_rows(const struct eng *e, struct eng_warm_row *rows,
    uint32_t n);

#endif
