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
	X(EV_END, "end") \
	X(EV_SOURCE, "source")
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
	ENG_DNS_TEMP,
	ENG_DNS_UNSAFE, /* nothing vouches for the hosts, and that is asked for */
	ENG_DNS_N
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
/* What its sender shall be told of a recipient (RFC 3461 4.1), who asks for
 * nothing: of a failure. */
enum eng_dsn {
	/* When the message was restored with this recipient final and its
	 * notice still owed: it is only counted, and CMD_NOTICE follows. */
	ENG_DSN_OWED = 1 << 0,
	ENG_DSN_MUTE = 1 << 1, /* not of a failure */
	/* Of a delivery, unless who took it has been told to do that. */
	ENG_DSN_SUCCESS = 1 << 2,
	ENG_DSN_DELAY = 1 << 3,
};
struct ev_recipient {
	uint32_t msg;
	uint16_t rcpt; /* its number in the envelope */
	uint16_t attempts;
	uint32_t domain;
	uint32_t tenant, campaign, pool; /* names; 0 = the message's */
	int64_t due_us;   /* 0 or past = now; TIME_NEVER = held */
	uint8_t dsn;      /* enum eng_dsn */
	int64_t delay_us; /* with ENG_DSN_DELAY: when it is late */
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
#define ENG_CAP_DSN (1u << 8) /* of enum smtp_caps: CAP_DSN */
struct ev_session_up {
	struct handle session;
	uint32_t caps; /* enum smtp_caps */
	bool is_tls;
};
/*
 * The session is gone. Results of its transactions came before; what it held
 * and never reported counts as unsent. Class DELIVERED: an orderly end. Class
 * UNSENT: what lies between us and the host failed, which says nothing of the
 * host; at STAGE_CONNECT it was about this way to this host, so the path rests.
 */
struct ev_session_down {
	struct handle session;
	struct outcome outcome;
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

/* What receivers report afterwards: somebody complains; or what they had taken came
 * back after all. */
enum eng_feedback { FEEDBACK_COMPLAINT, FEEDBACK_BOUNCE, FEEDBACK_N };

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
			uint32_t rollup;        /* likewise */
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
		/* No connection can be made by it (its proxies are away), or
		 * can again: the engine opens none meanwhile. */
		struct {
			uint32_t source; /* name */
			bool is_down;
		} source;
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
	X(CMD_WARM_DAY, "warm_day") \
	X(CMD_DELAYED, "delayed")
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
		} persist; /* DELAYED: a notice that it is late is owed, with
			    * what it met last; to be paid as NOTICE is */
		struct {
			enum eng_log_kind what;
			uint32_t msg;
			uint16_t rcpt, attempts;
			uint32_t domain, site;
			uint32_t tenant, campaign, pool;
			uint16_t source; /* UINT16_MAX = none */
			struct outcome outcome;
			int64_t due_us; /* next attempt, 0 = none */
			/* Of an operator's action, or what stands and bounces
			 * it, | ENG_JOB_STANDING; 0 = none. */
			uint32_t job;
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

#include "engine/view.h"

#endif
