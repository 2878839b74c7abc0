/*
 * engine/view.h - what those see of the engine who only look: totals, queues,
 * sources, messages, and the reasons why mail waits. Looking changes nothing.
 * It is a part of engine/engine.h, which includes it.
 */
#ifndef ENGINE_VIEW_H
#define ENGINE_VIEW_H

#include "engine/engine.h"

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
	X(WHY_PACED, "paced")         /* the same slows it down */             \
	X(WHY_PROXY, "proxy")         /* none of the source's is well */
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

/* Has EV_SOURCE said that none can be opened by it? */
bool eng_source_is_down(const struct eng *e, uint32_t source);

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
	bool is_told;   /* nobody need hear (any more) that it is late */
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
