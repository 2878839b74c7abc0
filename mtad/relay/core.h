/*
 * relay/core.h - the engine with everything it does not want to know: message
 * ids and places, names, the books, notices.
 *
 * Invariants: a message has an index from its submission until the engine
 * drops it; its place in the spool may move only while no job reads it; a
 * recipient's outcome goes to the spool before its line goes to the books.
 */
#ifndef RELAY_CORE_H
#define RELAY_CORE_H

#include "conf/conf.h"
#include "engine/engine.h"
#include "relay/books.h"
#include "relay/courier.h"
#include "relay/find.h"
#include "relay/intake.h"
#include "relay/tail.h"
#include "spool/spool.h"

struct core;

/* What a message asks of TLS (RFC 8689) beside its domain's policy. Mail with a
 * wish is, for the engine, mail to a domain of its own, so that it has lines,
 * sites and sessions of its own. */
enum core_wish { WISH_NONE, WISH_TLS, WISH_NO_POLICY };
#define WISH_TLS_SUFFIX "+requiretls" /* behind the domain: no domain has a + */
#define WISH_NO_POLICY_SUFFIX "+tls-optional"
#define WISH_SUFFIX_MAX 16
enum core_sts { CORE_STS_NONE, CORE_STS_TESTING, CORE_STS_ENFORCE };
/* How a connection is to be protected: by the configuration, and by what was
 * found of the domain. */
struct core_tls {
	struct conf_tls_policy want;
	bool is_usual;  /* as `client` says, and no more */
	bool is_secure; /* the host's name is, so DANE may be asked for */
	bool is_route;
	uint8_t wish;           /* enum core_wish */
	uint8_t sts;            /* enum core_sts */
	struct slice sts_hosts; /* patterns of mail hosts, a line each */
};

/* A connection to open. */
struct core_open {
	struct handle session;
	uint16_t source; /* index into conf.sources */
	struct endpoint to;
	struct slice host;   /* MX host, good during the call */
	struct slice domain; /* whose TLS policy holds */
	struct slice source_name, site;
	struct slice provider;      /* of the site; empty = none */
	const struct core_tls *tls; /* NULL: as all are; good during the call */
	bool is_clear; /* its TLS failed: no STARTTLS, where it may be so */
	/* Behind proxies: by this one of the configuration; or that there are
	 * none, or that none is well any more, so that it fails at once. */
	int proxy;
#define CORE_NO_PROXY (-1)
#define CORE_PROXIES_AWAY (-2)
	bool is_tried;  /* of which it is not known that it works */
	uint32_t place; /* the engine's number of the site, while it is there */
};

/*
 * A message for ourselves, which the engine does not see: the driver reads it,
 * writes its events, and gives it back with core_back_done. Until then it lies
 * where ref says, and after a crash it is given again.
 */
struct core_back {
	struct post post; /* the driver's */
	struct handle slot;
	struct spool_ref ref;
	struct envelope env; /* its texts in blob */
	struct slice to;     /* the address of ours */
	uint32_t blob_n;
	char blob[]; /* the envelope as encoded */
};
/* What became of one. */
enum core_back_end { CORE_BACK_READ, CORE_BACK_DAMAGED };

struct core_ops {
	/* Look-up of a name; an empty name: nothing to ask, call core_resolved
	 * (its answer is ignored) from the next turn. */
	void (*resolve)(void *ctx, uint32_t domain, struct slice name,
	    bool is_host);
	void (*open)(void *ctx, const struct core_open *o);
	void (*assign)(void *ctx, struct job *j); /* takes it over */
	void (*close)(void *ctx, struct handle session);
	/* Jobs of the session that have not begun come back unsent; NULL: they
	 * go out. */
	void (*take_back)(void *ctx, struct handle session);
	void (*outcome)(void *ctx, struct handle slot, uint16_t rcpt,
	    const struct spool_rcpt *r);
	void (*drop)(void *ctx, struct handle slot);
	void (*moved_ack)(void *ctx, struct handle slot);
	void (*damaged)(void *ctx, struct handle slot);
	/* A notice to commit; comes back through core_notice_done. */
	void (*commit)(void *ctx, struct parcel *p);
	struct parcel *(*parcel_take)(void *ctx);
	void (*parcel_give)(void *ctx, struct parcel *p);
	struct buf *(*book)(void *ctx);
	/* Where records for the index go (find.h); NULL: nobody keeps one. */
	struct buf *(*find)(void *ctx);
	uint64_t (*sequence)(void *ctx);
	/* Keeps an entry beyond crashes (its texts are good during the call) and
	 * says so with core_kept. NULL: nothing outlives this core, and all
	 * counts as kept at once. */
	void (*keep)(void *ctx, const struct kept *k, uint64_t serial);
	/* The rule that judges a refusal so, as file:line; its length, 0 = none.
	 * NULL: nobody judges. */
	size_t (*rule)(void *ctx, const struct outcome *o,
	    struct slice provider, struct slice text, char *dst, size_t cap);
	/* A recipient was returned because of what a host said; NULL: nobody
	 * asks. */
	void (*bounced)(void *ctx, const struct book_entry *e);
	/* Looks whether a proxy of the configuration is well, and says so with
	 * core_proxy_seen. NULL: nobody looks. */
	void (*check_proxy)(void *ctx, uint32_t proxy);
	/* A message for ourselves, which is the driver's from now on. NULL:
	 * nobody reads them, and they go to where their address says. */
	void (*back)(void *ctx, struct core_back *b);
	/* A sending day of a young source at a provider (empty: all without)
	 * is over; NULL: it is logged. */
	void (*warm_day)(void *ctx, struct slice source, struct slice provider,
	    const struct eng_warm_day *d);
};

/* What the driver knows of a session, for the books; owned by the driver,
 * stays until the session's last job has come back. */
struct session_facts {
	const char *host, *source, *site;
	const char *tls; /* "" in clear text */
	/* What asked for that, and what came of it; "": nothing to be told. */
	const char *tls_policy;
	const char *provider; /* of the site; "" = none */
	struct endpoint peer;
	/* For reports about TLS; may be NULL. Whose session it was, the policy
	 * that held (tlsa, sts, no-policy-found) and its lines. */
	const char *domain, *policy_type, *policy_strings;
	struct ip from;
};

struct core *core_new(const struct conf *conf, struct disk *disk,
    struct gate *gate, uint64_t seed, const struct core_ops *ops, void *ctx,
    int64_t now_us, int64_t wall_us);
/* Of a new one: all that rates allow counts as spent, for there may have been one
 * before whose rates nobody saved. */
void core_rates_spent(struct core *c);
void core_free(struct core *c);
/* Sees every step of the engine: behind it, before its commands are carried
 * out. For recordings. */
struct core_watch {
	void (*step)(void *ctx, const struct eng *e, const struct eng_event *ev,
	    int64_t now_us, const struct eng_cmds *cmds);
	void *ctx;
};
/* NULL: nobody any more. */
void core_watch(struct core *c, const struct core_watch *w);
const struct eng *core_engine(const struct core *c);
/* Another engine with the same memories takes the place of the present one,
 * which is freed; between two calls. For the simulator. */
void core_engine_swap(struct core *c, struct eng *e);
/* A new configuration; conf outlives its use. */
void core_reload(struct core *c, const struct conf *conf, int64_t now_us);
/* Sets the clocks for the calls that follow in this turn. */
void core_clock(struct core *c, int64_t now_us, int64_t wall_us);

/* A committed message: envelope as encoded, its slot and place. */
void core_submit(struct core *c, struct handle slot,
    const struct spool_ref *ref, struct slice envelope);
/* The same, of one whose env->nrcpt recipients are at hand. */
void core_submit_known(struct core *c, struct handle slot,
    const struct spool_ref *ref, const struct envelope *env,
    const struct env_rcpt *rcpts);
/* One that a scan found. */
void core_restore(struct core *c, const struct spool_found *f);
/* Before that: what arrived earlier is in the index already. */
void core_find_since(struct core *c, int64_t wall_us);
/* Before that: its Receptions, if it is so young that their lines may have been
 * lost, and the log's end has them not. */
void core_receive_again(struct core *c, const struct spool_found *f,
    const struct book_tail *t);
void core_damage(struct core *c, const struct spool_damage *d);
/* target[].host is ignored on the way in: names stand beside it. */
struct core_answer {
	enum eng_dns status;
	const char *why; /* for TEMP, may be NULL */
	int64_t ttl_us;
	/* The MX records, or that there are none, are validated. */
	bool is_secure;
	uint8_t sts; /* enum core_sts; hosts as in core_tls */
	struct slice sts_hosts;
	uint32_t n;
	struct {
		struct slice host;
		uint16_t pref;
		struct ip ip;
	} target[ENG_TARGETS_MAX];
};
void core_resolved(struct core *c, uint32_t domain,
    const struct core_answer *a);
struct conf_place;
/* The policy of a domain at a place, of which look-ups told a (NULL: they are not
 * asked); its texts are the configuration's and a's. */
void core_tls_make(const struct conf *c, const struct conf_place *p,
    const struct core_answer *a, bool is_route, enum core_wish wish,
    struct core_tls *out);
/* What tells its site from others, as far as TLS goes; empty: nothing. */
#define CORE_TLS_TEXT 192
struct slice core_tls_text(const struct core_tls *t, char text[CORE_TLS_TEXT]);
/* What tells a domain's site from others with the same hosts, of which the first
 * of the best is host: what is said about the domain itself must not meet them.
 * Empty: nothing. */
#define CORE_SITE_TEXT (DOMAIN_MAX + NAME_MAX_BYTES + CORE_TLS_TEXT + 8)
struct slice core_site_text(const struct conf *c, struct slice domain,
    const struct conf_place *p, struct slice host, const struct core_tls *tls,
    char text[CORE_SITE_TEXT]);
void core_session_up(struct core *c, struct handle session, uint32_t caps,
    bool is_tls);
/* text: words for the books; heard and facts may be NULL. */
void core_session_down(struct core *c, struct handle session,
    const struct outcome *o, const struct conf_heard *heard, struct slice text,
    const struct session_facts *facts);
/* The results of a job come soon: asks for what they will touch, which lies far
 * where millions wait. */
void core_result_ask(const struct core *c, const struct job *j);
/* Results of a job; frees the job. */
void core_result(struct core *c, struct job *j,
    const struct session_facts *facts);
/* A notice is committed, or could not be (tried again later). Keeps nothing
 * of p; the driver then gives it back. */
void core_notice_done(struct core *c, struct parcel *p);
void core_moved(struct core *c, struct handle slot,
    const struct spool_ref *ref);
/* At a start, before any mail: an entry that was kept. */
void core_recall(struct core *c, const struct kept *k);
/* All entries up to that serial are durable. */
void core_kept(struct core *c, uint64_t serial);
/*
 * What was seen of a proxy by what began at began_us: it works, or why not; with
 * a source: that it does so for that one, which says more than a look, or that
 * it does not and may well for others. Then the sources that have none left open
 * no more connections, or do so again.
 */
struct core_seen {
	struct slice proxy, source; /* source empty: any */
	bool is_well, is_look;
	struct slice why;
	int64_t began_us;
};
void core_proxy_seen(struct core *c, const struct core_seen *s);
/* Timers; call when core_deadline says so. */
void core_tick(struct core *c);
int64_t core_deadline(const struct core *c);
/* May outcomes be kept? While they may not, nothing is sent. Costs nothing when
 * it is as before. */
void core_disk(struct core *c, bool is_full);
/* No new work leaves from here on. */
void core_stop(struct core *c);
/* The engine's counts; and a walk over everything, which asserts that they and
 * all else are right (for tests and the simulator). */
void core_totals(const struct core *c, struct eng_totals *out);
void core_check(const struct core *c);

/* ---- questions, answered as JSON or metrics into out ---------------------- */

void core_view_status(struct core *c, struct buf *out);
/* Young sources at their providers: where they stand, and why. */
void core_view_warmup(struct core *c, struct buf *out);
/* Limits on tuples: all with what waiting for them has cost, and up to n tuples
 * in use from `cursor` on (0: the first); with a filter those that have it in the
 * limit's name or in a value. */
void core_view_limits(const struct core *c, struct slice filter,
    uint64_t cursor, uint32_t n, struct buf *out);
/* All tuples, row by row; val by dim, empty: not told apart. */
struct eng_limit_row;
void core_limit_rows(const struct core *c,
    void (*row)(void *ctx, struct slice limit, const struct slice val[DIM_N],
	const struct eng_limit_row *r),
    void *ctx);
/* All paths of a source, row by row; their sites by their best host. */
void core_path_rows(struct core *c, struct slice source,
    void (*row)(void *ctx, struct slice source, struct slice site,
	const struct eng_path_view *p),
    void *ctx);
/* Reactions that hold: up to n by id, from the first above `cursor` on. */
void core_view_reactions(const struct core *c, uint64_t cursor, uint32_t n,
    struct buf *out);
/* The same, one by one, with the rule and the target in words; at most n. */
struct core_standing {
	uint32_t id;
	struct slice rule, val[DIM_N];
	uint16_t dims;
	int64_t until_us; /* of the driver's clock; 0 = until it is ended */
};
uint32_t core_standings(const struct core *c, struct core_standing *v,
    uint32_t n);
/*
 * A complaint about mail of a source (its name, or its address) to a provider: of
 * that name, "-" for none; or, if it is empty, that of a domain whose mail went to
 * a host (empty: not known). out: which these are, as JSON. E_NOTFOUND: there is
 * no such source; E_RANGE: no such provider.
 */
struct core_complaint {
	struct slice source, provider, domain, host;
};
int core_complain(struct core *c, const struct core_complaint *x,
    struct slice user, struct slice reason, struct buf *out) MUST_CHECK;
/* The same from a report that came by mail, of a complaint or of a bounce: it
 * has its line in the books already. */
int core_feedback(struct core *c, const struct core_complaint *x,
    enum eng_feedback kind) MUST_CHECK;
/* Its events are durable, or its record is damaged: it is over, or goes on to
 * where it is forwarded. b is freed. */
void core_back_done(struct core *c, struct core_back *b,
    enum core_back_end end);
/* Ends one by its id; E_NOTFOUND: there is none. */
int core_end(struct core *c, uint64_t id, struct slice user,
    struct slice reason) MUST_CHECK;
/* The same, row by row. */
void core_warm_rows(struct core *c,
    void (*row)(void *ctx, struct slice source, struct slice provider,
	const struct eng_warm_row *r),
    void *ctx);
/* key as in ENG_SORT_TABLE, ENG_SOURCE_SORT_TABLE (empty: its first); n rows.
 * E_RANGE for an unknown key. */
int core_view_queues(struct core *c, struct slice key, uint32_t n,
    struct buf *out) MUST_CHECK;
int core_view_sources(struct core *c, struct slice key, uint32_t n,
    struct buf *out) MUST_CHECK;
void core_view_metrics(struct core *c, struct buf *out);
/* One message: its envelope, read from the spool, and its recipients.
 * E_NOTFOUND: there is none of that id; or what the disk says. */
int core_view_message(struct core *c, struct slice id,
    struct buf *out) MUST_CHECK;

/* Blocked time at the limit that a domain falls under. */
void core_blocked(const struct core *c, struct slice domain,
    struct eng_blocked out[ENG_WHY_N]);

/* A queue as it is, and when what waits in it will be gone; queue 0: the deepest.
 * false: there is none. */
bool core_ask(struct core *c, uint32_t queue, struct eng_queue_row *row,
    struct eng_eta *eta);
/* The queue that a message's first recipient is in, 0 = none. */
uint32_t core_queue_of(const struct core *c, struct handle slot);

/* Text form of a selector, as control requests and verbs give it. */
struct core_selector {
	struct slice id, domain, tenant, campaign, pool;
	int64_t older_than_us; /* 0 = any */
	bool everything;
};
/* Up to n recipients as JSON rows with a cursor; E_NOTFOUND: a name in the
 * selector is not known here, so nothing matches (an empty list is written). */
int core_list(struct core *c, const struct core_selector *s, uint64_t cursor,
    uint32_t n, struct buf *out) MUST_CHECK;
/* The limits that the configuration gives a domain's mail in a pool (empty: the
 * default one), by source, and where each was written; in share/doc/control.md. */
int core_view_path(const struct core *c, struct slice domain, struct slice pool,
    struct buf *out) MUST_CHECK;
/*
 * The reasons why: the gates that a message's recipients stand before, or the
 * mail of a domain, or what leaves by a source; in share/doc/control.md.
 * E_NOTFOUND: there is none of that name; E_RANGE: no such question.
 */
struct core_hit {
	struct msgid id;
	uint32_t msg; /* its slot, so far as the index knows; then: 0 = none */
	uint16_t rcpt;
	bool is_over; /* by the index */
	bool is_sought;
};
struct core_question {
	struct slice what; /* "message", "recipient", "domain" or "source" */
	struct slice name; /* id, address, domain or source */
	/* Of a message or recipient, looked for by core_hits. */
	const struct core_hit *hits;
	uint32_t nhits;
	uint64_t next;   /* where the hits of the next answer begin, 0 = none */
	uint64_t cursor; /* of the last answer; 0 to begin */
	uint32_t n;      /* rows at most */
};
/* Finds the messages of hits, in slices: *at is 0 to begin. True: all are found,
 * or are not there. */
bool core_hits(struct core *c, struct core_hit *v, uint32_t n, uint32_t *at);
int core_explain(struct core *c, const struct core_question *q,
    struct buf *out) MUST_CHECK;

/* An operator's order about the node, for the books. */
void core_book_order(struct core *c, struct slice text, struct slice user,
    struct slice reason);
/* Starts an operator's action; done(ctx, matched recipients) comes from a later
 * tick or from this very call. */
int core_admin(struct core *c, enum eng_verb verb, bool dry_run,
    const struct core_selector *s, struct slice user, struct slice reason,
    void (*done)(void *ctx, uint64_t arg, uint32_t n), void *ctx,
    uint64_t arg) MUST_CHECK;

#endif
