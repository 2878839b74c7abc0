/*
 * daemon/daemon_i.h - the shift: who runs on which thread, and what they say
 * to each other.
 *
 *	worker	 an event loop with a role mask: IN takes mail, OUT delivers,
 *		 CORE turns the engine on the same loop
 *	spooler	 group commits; asleep unless there is something to write
 *	spiller	 files of large messages that come in
 *	signers	 signatures of mail that is signed; none without keys
 *	clerk	 event log files, control socket
 *	keeper	 what survives a crash, in SQLite; nothing but its word waits
 *	suppressor  who is not written to, in SQLite, if that is configured
 *	porter	 accounts and passwords of who logs in; none without `auth`
 *	pickup	 messages of local programs, if that is configured
 *	returner reads bounces and complaints that came by mail
 *	main	 signals, reload, the watch
 *
 * A thread owns its data. What is shared: the mailboxes, the gate (atomics),
 * immutable configurations, the disk's read side, per-thread counters that
 * others may read, and the spool itself under spooler.lock (see spooler.c).
 */
#ifndef DAEMON_DAEMON_I_H
#define DAEMON_DAEMON_I_H

#include <pthread.h>
#include <stdatomic.h>

#include "conf/conf.h"
#include "control/control.h"
#include "daemon/finder.h"
#include "daemon/mailbox.h"
#include "daemon/recorder.h"
#include "daemon/suppress_do.h"
#include "net/net.h"
#include "relay/relay.h"
#include "store/store.h"

#define WORKERS_MAX 32

enum role { ROLE_IN = 1, ROLE_OUT = 2, ROLE_CORE = 4 };

enum post_kind {
	/* to a worker */
	POST_COMMITTED = 1, /* struct parcel of one of its intakes */
	POST_OPEN,          /* struct post_open */
	POST_ASSIGN,        /* struct job */
	POST_CLOSE,         /* struct post_session */
	POST_TAKE_BACK,     /* struct post_session */
	POST_SESSION_FREE,  /* struct post_session: the core is through */
	POST_CONF,          /* struct post_conf */
	POST_STOP,          /* struct post_stop */
	POST_SPILLED,       /* a piece that was spilled: spill.c */
	POST_BULLETIN,      /* struct post_bulletin: suppressor.c */
	POST_LOGIN,         /* struct post_login, answered */
	POST_LOCAL,         /* struct post_local: a session of the pickup's */
	POST_LOOK,          /* struct post_proxy: is it well? */
	/* to the core */
	POST_SUBMIT,      /* struct post_submit */
	POST_NOTICE_DONE, /* struct parcel */
	POST_RESULT,      /* struct job */
	POST_UP,          /* struct post_session */
	POST_DOWN,        /* struct post_session */
	POST_MOVED,       /* struct post_moved */
	POST_DAMAGE,      /* struct post_damage */
	POST_ROUTED,      /* struct post_routed: no look-up needed */
	POST_ASK,         /* struct ask: a control request */
	POST_KEPT,        /* struct post_keep, done */
	POST_STS_DONE,    /* struct post_sts */
	POST_SEEN,        /* struct post_proxy */
	POST_BACK_DONE,   /* struct returned */
	POST_REPORT_DONE, /* struct post_report */
	/* to the spooler */
	POST_COMMIT,   /* struct parcel */
	POST_OUTCOMES, /* struct post_outcomes */
	/* to the spiller */
	POST_SPILL,      /* a piece of a spill */
	POST_SPILL_FREE, /* struct spill */
	/* to the keeper */
	POST_KEEP,   /* struct post_keep */
	POST_STS,    /* struct post_sts: a policy to be fetched */
	POST_REPORT, /* struct post_report: to be posted */
	/* to the suppressor; POST_ASK, too */
	POST_OFFENCE, /* struct post_offence */
	/* to the returner */
	POST_BACK,      /* struct returned, from the core */
	POST_BACK_TOLD, /* the same, from the clerk */
	/* to the clerk */
	POST_BACK_TELL, /* struct returned */
	POST_BOOK,      /* struct post_book */
	POST_ANSWER,    /* struct ask */
};

struct worker;

struct post_submit {
	struct post post;
	struct handle slot;
	struct spool_ref ref;
	uint32_t n;
	char envelope[];
};

#define SESSION_TLS_MAX 96 /* what is said of a session's TLS, with its NUL */
#define SESSION_POLICY_MAX 192 /* the same of what asked for it */

/* What a connection is asked for beyond what is done for everybody. */
struct out_policy {
	bool wants_tls, needs_tls;
	bool requires_tls; /* its mail does, RFC 8689 */
	bool is_unlisted;  /* MTA-STS, testing: the host is not in the policy */
	uint8_t check, min; /* enum tls_check; as in struct tls_want */
	uint8_t nnames;
	struct slice names[TLS_NAMES_MAX], ciphers; /* in words */
	struct tlsa_set *tlsa;                      /* owned, or NULL */
	char name[64];     /* how it is called: "DANE", "TLS policy verify" */
	char refused[320]; /* not empty: why no connection is made */
	char told[SESSION_POLICY_MAX]; /* what came of it */
	/* How mail is handed over; as in struct conf_tls_policy. */
	bool starts_tls, is_lmtp, chunks, bounces_8bit, auth_in_clear;
	struct slice cert, user, password; /* in words */
	/* For reports (RFC 8460): a literal, and lines. */
	const char *type;
	char strings[KEPT_NAME_MAX + 1];
	size_t words_n, words_cap;
	char words[];
};

struct post_open {
	struct post post;
	struct handle session;
	struct ip from;
	struct endpoint to;
	char ehlo[DOMAIN_MAX + 1];
	char host[DOMAIN_MAX + 1];
	char source[NAME_MAX_BYTES + 1];
	char site[DOMAIN_MAX + 1];
	char provider[NAME_MAX_BYTES + 1];
	char domain[DOMAIN_MAX + 1]; /* whose session it is, to be reported */
	bool is_clear;
	/* Empty: the source is behind none; and the same of struct core_open. */
	char proxy[NAME_MAX_BYTES + 1];
	bool is_proxy_away, is_proxy_tried;
	struct out_policy *policy; /* owned, or NULL: a plain one */
};

/* A proxy, by its name: to be looked at, or what was seen of it. */
struct post_proxy {
	struct post post;
	char name[NAME_MAX_BYTES + 1], source[NAME_MAX_BYTES + 1];
	bool is_well, is_look; /* as in struct core_seen */
	int64_t began_us;
	char why[128];
};
/* All the words in the facts of a session. */
#define SESSION_WORDS_MAX                                                      \
	(2 * (DOMAIN_MAX + 1) + 2 * (NAME_MAX_BYTES + 1) + SESSION_TLS_MAX +   \
	    SESSION_POLICY_MAX)

/* Of a session between worker and core: close, up, down, free. */
struct post_session {
	struct post post;
	struct handle session;
	uint32_t caps;
	bool is_tls;
	struct outcome outcome;
	struct conf_heard heard;
	char text[REPLY_TEXT_MAX];
	struct worker *from;
	struct session_facts *facts;
};

/* One end of a pair of sockets: a session at the local door, of a user. */
struct post_local {
	struct post post;
	int fd;
	uint32_t uid;
};

/* A login of a session; the configuration is kept for ever. */
struct post_login {
	struct post post;
	struct worker *from;
	struct handle session;
	const struct conf *conf;
	struct login *login; /* owned */
};

struct rules;
struct class_desk;

struct post_conf {
	struct post post;
	const struct conf *conf;
	struct rules *rules;  /* given */
	struct keyring *keys; /* given */
};

struct post_stop {
	struct post post;
	int64_t deadline_us;
};

struct post_moved {
	struct post post;
	struct handle slot;
	struct spool_ref ref;
};

struct post_damage {
	struct post post;
	struct spool_damage damage;
};

struct post_routed {
	struct post post;
	uint32_t domain;
};

/* What the core tells the spooler, many at a time. */
enum outcome_item_kind {
	ITEM_OUTCOME,
	ITEM_DROP,
	ITEM_MOVED_ACK,
	ITEM_DAMAGED
};
struct outcome_item {
	uint8_t kind;
	uint16_t rcpt;
	struct handle slot;
	struct spool_rcpt state; /* texts owned: mem_free */
};
#define OUTCOMES_PER_POST 64
struct post_outcomes {
	struct post post;
	uint32_t n;
	struct outcome_item v[OUTCOMES_PER_POST];
};

/* Entries to be made durable. One is under way at a time; what comes meanwhile
 * waits with the core, each identity once. */
struct post_keep {
	struct post post;
	struct worker *from;
	uint64_t serial; /* of the last */
	struct shelf shelf;
};

/* A bounce or complaint, by which an address is suppressed. */
struct post_offence {
	struct post post;
	char tenant[NAME_MAX_BYTES + 1], name[MAILBOX_MAX + 1];
	char reason[SUPPRESS_TEXT_MAX + 1];
	const char *source; /* literal */
	uint32_t count;     /* so many within the period */
	int64_t wall_us, period_us, for_us;
};

struct worker;
struct post_book {
	struct post post;
	struct worker *from;
	uint64_t number;         /* of its books, counted from 1 */
	struct buf lines, finds; /* finds: records for the index */
};

/* A control request on its way clerk -> core -> clerk. */
struct ask {
	struct post post;
	struct control_req *req;
	char path[64];
	bool is_post;
	char user[64];
	struct core_selector sel;
	char texts[5]
		  [NAME_MAX_BYTES * 4 + 1]; /* id domain tenant campaign pool */
	char sort[32], verb[32], reason[256];
	char what[32], name[MAILBOX_MAX + 1]; /* to be explained */
	/* Of a complaint; mx is the host that took the message. */
	char source[NAME_MAX_BYTES + 1], provider[NAME_MAX_BYTES + 1];
	char mx[DOMAIN_MAX + 1];
	struct core_hit *hits; /* by the index; owned */
	uint32_t nhits, sought;
	uint64_t next;
	char to[ENDPOINT_TEXT_MAX]; /* to be drained to */
	bool tls;
	uint64_t n, cursor;
	bool dry_run;
	int status;
	const char *type;
	struct buf out;
	struct suppress_q *q; /* of /v1/suppression; owned */
};

/* Counters of one worker: written by it, read by anyone. */
#define WORKER_COUNTERS(X)                                                     \
	X(connections_in, "Inbound connections accepted")                      \
	X(connections_refused, "Inbound connections refused by a limit")       \
	X(messages_in, "Messages acknowledged with 250")                       \
	X(bytes_in, "Bytes of messages acknowledged")                          \
	X(messages_signed, "Messages acknowledged that were signed (DKIM)")    \
	X(messages_repeated,                                                   \
	    "Messages not taken again: their idempotency key was known")       \
	X(commits_failed, "Messages refused because they could not be stored") \
	X(recipients_suppressed,                                               \
	    "Recipients refused or discarded because they are suppressed")     \
	X(return_paths_good, "Recipients that were signed return paths")       \
	X(return_paths_expired, "Signed return paths refused as expired")      \
	X(return_paths_forged, "Return paths refused as not signed by us")     \
	X(inline_syncs, "Lone messages that the worker synced itself")         \
	X(connections_out, "Outbound connections started")                     \
	X(messages_out, "Transactions finished outbound")                      \
	X(tls_out, "Outbound TLS handshakes that went well")                   \
	X(tls_resumed_out, "Of these, sessions that were resumed")             \
	X(tls_refused_out, "Outbound connections that a TLS policy ended")     \
	X(book_bytes_dropped,                                                  \
	    "Event log bytes dropped, the clerk being behind")                 \
	X(outcomes_ahead, "Batches of outcomes that no longer waited for lines")
struct worker_counters {
#define X(name, help) _Atomic uint64_t name;
	WORKER_COUNTERS(X)
#undef X
};
/* Only the owner writes, so no locked instruction is needed. */
#define COUNT(w, name, by)                                                     \
	atomic_store_explicit(&(w)->counters.name,                             \
	    atomic_load_explicit(&(w)->counters.name, memory_order_relaxed) +  \
		(by),                                                          \
	    memory_order_relaxed)

struct in_session;
struct egress;
struct sts;
struct out_session;
struct drain_host;

struct worker {
	struct daemon *d;
	pthread_t thread;
	uint32_t number;
	unsigned roles;
	struct loop *loop;
	struct mailbox box;
	struct posts inbox; /* taken, being handled */
	const struct conf *conf;
	struct rules *rules; /* by which replies are judged, and where */
	struct class_desk *desk;
	struct class_desk *automation_desk; /* of its reactions, or NULL */
	struct keyring *keys;               /* that sign, of conf */
	struct worker_counters counters;
	bool is_stopping, is_done;
	int64_t stop_at_us;
	uint64_t sequence;

	/* IN */
	struct pool in_sessions;
	struct list in_list; /* of in_session.link */
	struct list lanes;   /* the same, of those that are lanes */
	uint32_t ndoors;
	struct door *doors[CONF_LISTEN_MAX];
	struct door *local_door; /* of sessions of parts of the daemon */
	struct posts commits;    /* of this turn */
	struct posts to_sign;    /* the same, to be signed first */
	uint32_t ncommits;       /* in them */
	uint32_t waiting;        /* commits whose answer is not here yet */
	uint32_t events;         /* data callbacks of this turn */
	struct posts free_parcels;
	uint32_t nfree_parcels;
	struct list touched;            /* sessions with replies to flush */
	struct suppress_desk *suppress; /* NULL: nobody is */
	int64_t suppress_complained_us;
	uint64_t spilling;  /* bytes on their way to spill files */
	struct list unread; /* in_session.waits: not before that has room */

	/* OUT */
	struct out_session **out; /* by engine's session index */
	uint32_t out_cap, out_live;
	struct posts to_core; /* of this turn */
	struct tls_ctx *tls_client;
	/* Of sources that have a certificate. */
	/* Contexts with a certificate: of a source, or of a file that places of
	 * the configuration name. */
	struct tls_of {
		const char *source, *cert; /* one of them */
		struct tls_ctx *ctx;
	} * tls_of;
	uint32_t ntls_of;
	struct egress *egress; /* proxies */
	/* Hosts that offer CHUNKING and do not know BDAT; see outbound.c. */
	struct no_bdat {
		struct endpoint to;
		int64_t until_us;
	} no_bdat[64];

	/* CORE */
	struct core *core;
	struct dns *dns;
	struct sts *sts;       /* MTA-STS; NULL: not wanted */
	struct tlsrpt *tlsrpt; /* reports; NULL: not wanted */
	struct list openings;  /* connections that wait for DNS */
	struct drain_host *drain;
	struct posts core_inbox;
	struct post_outcomes *outcomes; /* being filled */
	/* For the spooler: fresh, and held until the lines that tell of it are
	 * written. Of each the oldest outcome's time, and of what was given
	 * without a wake; 0 = none. */
	struct posts to_spool, held;
	/* What the held wait for, of each worker: that it has seen so many
	 * answers; then, that a book of its is written. */
	struct {
		uint64_t answers, book;
		bool has_seen;
	} held_for[WORKERS_MAX];
	int64_t fresh_since_us, held_since_us, given_since_us;
	struct post_keep *keeping; /* being filled; NULL: nothing to keep */
	int64_t keep_since_us;
	bool is_keeping; /* one is with the keeper */

	struct buf book, finds;
	int64_t book_since_us;
	uint64_t books_sent;
	_Atomic uint64_t books_begun;   /* the last that has lines */
	_Atomic uint64_t answers_seen;  /* of the spooler's; in the books */
	_Atomic uint64_t books_written; /* the clerk's word */
	_Atomic uint64_t turned;        /* daemon.asked, seen in a turn */
};

struct spooler {
	struct daemon *d;
	pthread_t thread;
	pthread_mutex_t lock;
	struct mailbox box;
	struct spool *spool;
	int wake_fd;
	_Atomic bool is_asleep;
	_Atomic bool is_stopping;
	bool was_stuck;   /* as the core was told last */
	uint32_t ninline; /* since the last tidying; under lock */
	/* Commits that each worker has had an answer to, counted before the
	 * core can hear of the message. */
	_Atomic uint64_t answers[WORKERS_MAX];
	_Atomic uint64_t nstuck; /* groups that failed, for status */
};

struct signers {
	struct daemon *d;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct posts queue; /* of parcels */
	bool is_stopping;
	uint32_t n;
	pthread_t thread[WORKERS_MAX];
};

struct spiller {
	pthread_t thread;
	struct loop *loop;
	struct mailbox box;
	const char *dir;
	_Atomic bool is_stopping;
};

#define PORTER_THREADS 2u
struct porter {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct posts queue; /* of struct post_login */
	_Atomic uint32_t waiting;
	_Atomic int64_t complained_us;
	bool is_stopping;
	uint32_t n;
	pthread_t thread[PORTER_THREADS];
};

/* What it has done, for others to read. */
#define PICKUP_GAUGES(X)                                                       \
	X(taken, "Messages of local programs taken from the drop directory")   \
	X(bad, "Files of the drop directory set aside as no messages")         \
	X(waiting, "Files of the drop directory that could not be taken yet")

struct pickup {
	struct daemon *d;
	pthread_t thread;
	bool is_running;
	int wake_fd; /* eventfd */
	_Atomic bool is_stopping;
#define X(name, help) _Atomic uint64_t name;
	PICKUP_GAUGES(X)
#undef X
};

struct keeper {
	struct daemon *d;
	pthread_t thread;
	struct loop *loop;
	struct mailbox box;
	struct store *store;
	struct https *https; /* made for the first policy */
	int64_t complained_us;
	_Atomic bool is_stopping;
};

struct suppress_build;

/* Numbers of the suppressor that others may read. */
#define SUPPRESS_GAUGES(X)                                                     \
	X(entries, "entries",                                                  \
	    "Addresses and domains that are suppressed; since the last "       \
	    "filter, one that was replaced counts twice")                      \
	X(fresh, "fresh", "Of these, those that came since the filter")        \
	X(filter_bytes, "filter_bytes", "Memory of the filter")                \
	X(builds, "builds_total", "Filters that were built")                   \
	X(added, "added_total", "Entries added, imports left out")             \
	X(removed, "removed_total", "Entries removed")                         \
	X(bounced, "bounced_total", "Entries added because of bounces")        \
	X(complained, "complained_total",                                      \
	    "Entries added because of complaints")                             \
	X(offences_dropped, "offences_dropped_total",                          \
	    "Bounces and complaints not looked at, too many being under way")

struct suppressor {
	struct daemon *d;
	pthread_t thread;
	struct loop *loop;
	struct mailbox box;
	uint64_t seed;
	struct suppress_db *db;       /* NULL: nothing is configured */
	struct suppress_build *build; /* of the next filter, or NULL */
	uint64_t wanted; /* by whoever changed the file beside us */
	_Atomic uint64_t built;
	int64_t build_at_us; /* the next filter, in any case */
	int64_t again_us;    /* one failed: not before */
	int64_t complained_us;
#define X(name, metric, help) _Atomic uint64_t name;
	SUPPRESS_GAUGES(X)
#undef X
	_Atomic uint32_t noffences; /* on their way */
	_Atomic bool is_stopping;
};

/* Numbers of the returner that others may read. */
#define RETURNER_COUNTERS(X)                                                   \
	X(messages, "messages_total", "Messages that came back and were read") \
	X(bounces, "bounces_total", "Recipients that they say have failed")    \
	X(statuses, "statuses_total",                                          \
	    "Recipients of whom they say something else")                      \
	X(complaints, "complaints_total", "Complaints, or other feedback")     \
	X(replies, "replies_total", "Automatic replies and what is no report") \
	X(unknown, "unknown_total",                                            \
	    "Bounces and complaints about no message that is known")           \
	X(repeated, "repeated_total", "Those that told nothing new")           \
	X(retried, "retried_total", "Readings that had to be tried again")

struct returner_desk;

struct returner {
	struct daemon *d;
	pthread_t thread;
	struct loop *loop;
	struct mailbox box;
	struct posts queue, late; /* to be read; not yet */
	struct returner_desk *desk;
	bool is_telling; /* one is with the clerk */
#define X(name, metric, help) _Atomic uint64_t name;
	RETURNER_COUNTERS(X)
#undef X
	_Atomic bool is_stopping;
};

struct clerk {
	struct daemon *d;
	pthread_t thread;
	struct loop *loop;
	struct mailbox box;
	struct control *control;
	const struct conf *conf;
	int log_fd;
	/*
	 * The clerk alone changes the index; the returner looks into it, too, for
	 * what it has to read in the log behind that must keep no line waiting.
	 * So the clerk holds the lock while it changes something, and the
	 * returner for one question, some reads of a page. Nothing else is
	 * locked meanwhile.
	 */
	pthread_mutex_t find_lock;
	struct finder *finder; /* or NULL */
	int64_t prune_us;      /* the index is pruned then */
	uint64_t log_bytes;
	bool is_torn;                  /* the log ends within a line */
	_Atomic uint64_t queued_bytes; /* book bytes on their way */
	_Atomic uint64_t lost_bytes;
	_Atomic bool is_stopping;
	_Atomic bool must_reopen;
	int64_t complained_us;
	int64_t trim_us; /* holes in the heap go back not before then */
};

/* Who is connected; guests.c. */
struct guests {
	pthread_mutex_t lock;
	struct map by_client; /* hash of an address: connections */
	uint32_t by_door[CONF_LISTEN_MAX + 1]; /* the last: the local one */
};

/* What accounts have had of their rates; allowance.c. */
struct allowances {
	pthread_mutex_t lock;
	struct allowance {
		uint64_t key;    /* hash of the name; 0: nobody's */
		int64_t used_us; /* by the monotonic clock */
	} v[65536];
};

/* When tokens may post again; rates.c. */
#define RATES_MAX 32768u
struct rates {
	pthread_mutex_t lock;
	struct map by_token; /* places in due_ns + 1 */
	int64_t *due_ns;
	uint32_t n;
};

struct kept_conf;
struct keybook;

struct daemon {
	const struct conf *_Atomic conf;
	struct kept_conf *kept; /* all there were; of main's thread */
	struct rules *rules;    /* main's own hold on the present ones */
	struct keyring *keys;   /* the same */
	struct gate gate;
	struct guests guests;
	struct allowances allowances;
	struct rates rates;
	struct keybook *keybook;
	struct disk *disk;
	uint32_t nworkers;
	struct worker worker[WORKERS_MAX];
	struct worker *core_worker;
	struct spooler spooler;
	struct spiller spiller;
	struct signers signers;
	struct porter porter;
	struct pickup pickup;
	struct keeper keeper;
	struct suppressor suppressor;
	struct returner returner;
	struct clerk clerk;
	struct recorder *recorder; /* or NULL */
	int64_t started_us;
	_Atomic uint32_t stopped_workers;
	_Atomic uint64_t reloads;
	_Atomic uint64_t asked; /* by main: do the workers still turn? */
	int listen_fd[WORKERS_MAX][CONF_LISTEN_MAX];
	int drain_fd; /* -1: none */
};

int64_t clock_mono_us(void);
int64_t clock_wall_us(void);

/* watch.c */
struct watch {
	int64_t every_us; /* 0: nobody wants it */
	int64_t next_us;
	bool is_asking;
};
/* Reads $WATCHDOG_USEC and $WATCHDOG_PID. */
void watch_init(struct watch *w, int64_t now_us);
/* Does what is due; returns how long until the next call, or TIME_NEVER. */
int64_t watch_turn(struct watch *w, struct daemon *d, int64_t now_us);

/* worker.c */
int worker_start(struct worker *w, struct daemon *d, uint32_t number,
    unsigned roles) MUST_CHECK;
void worker_run(struct worker *w);
void worker_free(struct worker *w);
/* Posts to a worker; wakes it when it is another thread's. */
void worker_post(struct worker *w, struct post *p);
/* This worker's book, for lines of events; NULL when there is no memory. */
struct buf *worker_book(struct worker *w);
/* The same for records of the index. */
struct buf *worker_find(struct worker *w);

/* inbound.c */
void inbound_open(struct worker *w);
void inbound_reload(struct worker *w);
void inbound_committed(struct worker *w, struct parcel *p);
/* A login is answered; p is taken over. */
void inbound_login(struct worker *w, struct post_login *p);
/* A session at the local door; p is taken over. */
void inbound_local(struct worker *w, struct post_local *p);
/* Ends the turn: hands the commits over. */
void inbound_flush(struct worker *w);
void inbound_stop(struct worker *w);
bool inbound_is_idle(const struct worker *w);
void inbound_close(struct worker *w);
/* A spill of that session has got on. */
void inbound_spilled(struct worker *w, struct handle session);
/* There may be room on the way to spill files: reads those who wait for it. */
void inbound_read_on(struct worker *w);
struct parcel *parcel_take(struct worker *w);
void parcel_give(struct worker *w, struct parcel *p);

#define SPILL_WAY_MAX (2u << 20) /* of a worker, and one read more */
/* spill.c: of the worker whose message it is */
bool spill_add(struct spill **sp, struct worker *w, struct handle session,
    struct slice data);
bool spill_is_done(const struct spill *s);
/* When it is done: all of it, or no bytes if it could not be written. */
struct slice spill_map(struct spill *s);
void spill_free(struct spill *s);
void spill_piece_back(struct post *post);
/* The thread. */
int spiller_start(struct spiller *sp, const char *dir) MUST_CHECK;
void spiller_stop(struct spiller *sp);
void spiller_post(struct spiller *sp, struct post *p);

/* porter.c */
void porter_init(struct porter *p);
/* Starts the threads where a listener has `auth`, unless they run; main's
 * thread. */
int porter_start(struct porter *p, const struct conf *c) MUST_CHECK;
/* Takes l over and answers it to inbound_login; false: too many wait. */
bool porter_ask(struct worker *w, struct handle session, struct login *l);
/* Behind the workers. */
void porter_stop(struct porter *p);

/* pickup.c */
/* Makes the directory that the configuration asks for, while we may be root. */
int pickup_boot(const struct conf *c) MUST_CHECK;
int pickup_start(struct pickup *k, struct daemon *d) MUST_CHECK;
/* Behind the workers. */
void pickup_stop(struct pickup *k);
/* A new configuration: what is told to programs (struct drop_about). */
void pickup_reload(const struct conf *c);

/* signer.c */
void signers_init(struct signers *s, struct daemon *d);
/* Starts the threads unless they run; main's thread. */
int signers_start(struct signers *s) MUST_CHECK;
/* Parcels to be signed, then committed: l is empty afterwards. */
void signers_post(struct signers *s, struct posts *l);
/* Behind the workers: what was posted is signed, and with the spooler. */
void signers_stop(struct signers *s);

/* keeper.c */
int keeper_open(struct keeper *k, struct daemon *d) MUST_CHECK;
/* Gives all that was kept to the core; before threads run. */
int keeper_recall(struct keeper *k, struct worker *core) MUST_CHECK;
int keeper_start(struct keeper *k) MUST_CHECK;
void keeper_post(struct keeper *k, struct post *p);
/* After the workers: writes what the core has still kept, too. */
void keeper_stop(struct keeper *k, struct worker *core);

/* suppressor.c */
/* With its desks for workers, if the configuration asks for it. */
int suppressor_open(struct suppressor *s, struct daemon *d) MUST_CHECK;
int suppressor_start(struct suppressor *s) MUST_CHECK;
void suppressor_post(struct suppressor *s, struct post *p);
void suppressor_stop(struct suppressor *s);
/* On a worker: it takes over what it is told. */
struct post_bulletin;
void suppressor_bulletin(struct worker *w, struct post *p);
/* suppress_door.c: of the core's worker: a recipient has bounced. The suppressor
 * hears of it if the configuration wants; what is too much is dropped and counted. */
void suppressor_bounced(struct worker *w, const struct book_entry *e);
/* ... or has complained. */
void suppressor_complained(struct worker *w, struct slice tenant,
    struct slice address, struct slice provider);
/* The worker's answer for a recipient at the door. */
enum veto suppressor_veto(struct worker *w, struct slice tenant,
    struct slice to, char *dst, size_t cap);
/* counter_suppress.c: /v1/suppression, on the clerk's thread. */
void counter_suppress(struct daemon *d, struct control_req *req, bool is_post,
    struct slice path, const struct control_params *params, struct slice user);
/* On the core's: what was ordered is done and durable. */
void counter_suppressed(struct worker *w, struct ask *a);

/* returner.c */
int returner_open(struct returner *t, struct daemon *d) MUST_CHECK;
int returner_start(struct returner *t) MUST_CHECK;
void returner_post(struct returner *t, struct post *p);
/* Behind the workers, and then behind the clerk. */
void returner_stop(struct returner *t);
/* Adds its numbers to an answer, an object that has members. */
void returner_view(const struct daemon *d, struct buf *out);
void returner_close(struct returner *t);

/* guests.c */
void guests_init(struct guests *g);
void guests_free(struct guests *g);
/* One more connection of a client at a door; or, when a limit is reached, the
 * reply that says so. */
const char *guests_enter(struct guests *g, uint32_t door, uint64_t client,
    const struct conf_listen *limits) MUST_CHECK;
void guests_leave(struct guests *g, uint32_t door, uint64_t client);

/* allowance.c */
void allowances_init(struct allowances *a);
void allowances_free(struct allowances *a);
/* One more message of an account that has a rate; false: it has had too many. */
bool allowances_take(struct allowances *a, const struct conf_account *account,
    int64_t now_us) MUST_CHECK;
/* rates.c */
void rates_init(struct rates *r);
void rates_free(struct rates *r);
/* n messages more of a token's that has a rate: 0, and they count; or how long
 * to wait. */
int64_t rates_wait_us(struct rates *r, const struct conf_token *t, uint32_t n,
    int64_t now_us);

/* outbound.c */
void outbound_open(struct worker *w, struct post_open *o);
void outbound_assign(struct worker *w, struct job *j);
void outbound_close_session(struct worker *w, struct handle session);
void outbound_take_back(struct worker *w, struct handle session);
void outbound_session_free(struct worker *w, struct handle session);
void outbound_stop(struct worker *w, bool now);
void outbound_close(struct worker *w);

/* The policies of sessions are others': those who were opened by the old ones
 * end with what they are about. */
void outbound_reload(struct worker *w, const struct conf *old);

/* A session whose connection ended, or was silent: was it the proxy's fault? */
void outbound_settle(struct worker *w, struct handle session, bool is_well);

/* egress.c, on the connection's worker: the proxies of the configuration. */
void egress_open(struct worker *w);
/* Who waits for a word is told that they are well. */
void egress_close(struct worker *w);
/* A connection by one of them, as hop_open makes it. */
struct hop *egress_hop(struct worker *w, struct slice proxy,
    const struct ip *source, const struct endpoint *to,
    void (
	*on_end)(void *user, enum hop_end end, struct conn *c, const char *why),
    void *user, char *why, size_t why_cap);
/* Is it well? The core is told; and, through outbound_settle, a session that asks
 * (HANDLE_NONE: none does). */
void egress_look(struct worker *w, struct slice proxy, struct handle session);
/* Tells the core what a connection has shown. */
void egress_seen(struct worker *w, const struct core_seen *s);
/* To the core, from its thread or another. */
void outbound_to_core(struct worker *w, struct post *p);

/* outbound_tls.c, on the core's worker: gives an OPEN to a worker, with what the
 * policy asks for; it may be late. */
void secure_open(struct worker *w, struct worker *to, struct post_open *o,
    const struct core_tls *t);
/* The OPEN of that session is not given yet: it will be closed then. */
bool secure_close(struct worker *w, struct handle session);
/* On the connection's worker. */
void outbound_tls_open(struct worker *w);
void outbound_tls_close(struct worker *w);
void out_policy_free(struct out_policy *p);
void out_policy_connect(struct worker *w, struct conn *c,
    const struct out_policy *p, const struct session_facts *f);
/* Says in p->told what came of it; p may be NULL. */
void out_policy_tell(struct out_policy *p, const struct conn *c);

/* corehost.c */
/* An entry that is not the engine's, to be kept with the others. */
void corehost_keep(struct worker *w, const struct kept *k);
uint64_t corehost_sequence(struct worker *w);
/* The resolver that the configuration asks for; NULL after a word in the log. */
struct dns *corehost_dns(const struct conf *c, struct loop *l);
int corehost_open(struct worker *w) MUST_CHECK;
void corehost_post(struct worker *w, struct post *p); /* from its thread */
void corehost_turn(struct worker *w);
int64_t corehost_deadline(const struct worker *w);
void corehost_flush(struct worker *w);
void corehost_reload(struct worker *w, const struct conf *old);
void corehost_close(struct worker *w);

/* drain_host.c: of the core's worker; handing mail over to another node, and
 * taking it over. */
int drain_bind(struct daemon *d, const struct conf *c) MUST_CHECK;
int drain_open(struct worker *w) MUST_CHECK;
void drain_turn(struct worker *w);
int64_t drain_host_deadline(const struct worker *w);
/* The worker is to end. */
void drain_stop(struct worker *w);
void drain_close(struct worker *w);
/* Orders of an operator: NULL, or why not. */
const char *drain_order_start(struct worker *w, struct slice to,
    struct slice name, bool tls);
const char *drain_order_stop(struct worker *w);
uint32_t drain_order_adopt(struct worker *w, struct slice source);
const char *drain_order_reclaim(struct worker *w);
void drain_view(struct worker *w, struct buf *out);
/* drain_door.c */
struct drain_door;
struct drain_door *drain_door_open(struct worker *w, int fd,
    struct drain_in *in);
void drain_door_turn(struct drain_door *d);
void drain_door_stop(struct drain_door *d);
void drain_door_close(struct drain_door *d);
/* Reads the secret of the present configuration. 0, or E_* after a word. */
int drain_refresh(struct worker *w) MUST_CHECK;
void drain_nonce(struct drain_talk *t);

/* spooler.c */
int spooler_open(struct spooler *s, struct daemon *d) MUST_CHECK;
/* Feeds what the spool holds to the core; before threads run. */
int spooler_restore(struct spooler *s, struct worker *core) MUST_CHECK;
int spooler_start(struct spooler *s) MUST_CHECK;
void spooler_stop(struct spooler *s);
/* Posts without waking; wake says that something waits. */
void spooler_post(struct spooler *s, struct posts *l, bool wake);
/* A lone message: syncs it on the caller's thread if the spooler sleeps and
 * has nothing to do; false when it could not (then post it). */
bool spooler_try_inline(struct spooler *s, struct worker *w, struct parcel *p);

/* clerk.c: the control socket is made while we may be root, the log opened as
 * the user who will go on writing it. */
int clerk_open(struct clerk *c, struct daemon *d) MUST_CHECK;
/* Reads the end of the log back, and begins to write it: before the clerk is
 * started lines are given to clerk_write, afterwards as posts. */
int clerk_begin(struct clerk *c, struct book_tail *t) MUST_CHECK;
/* False: some are lost, and counted. */
bool clerk_write(struct clerk *c, struct buf *lines);
void clerk_find(struct clerk *c, struct buf *finds);
int clerk_start(struct clerk *c) MUST_CHECK;
void clerk_stop(struct clerk *c);
/* clerk_tail.c: the end of the event log as it stands. */
#define LOG_NAME "events.jsonl"
void clerk_tail(const char *dir, struct book_tail *t);
struct dirent;
/* The log's rotated files, oldest first, as scandir gives them; < 0: none. */
int clerk_rotated(const char *dir, struct dirent ***v);
void clerk_post(struct clerk *c, struct post *p);

/* counter.c: control requests */
void counter_handle(void *ctx, struct control_req *req, bool is_post,
    struct slice path, const struct control_params *params,
    struct slice peer_user);
void counter_answer(struct daemon *d, struct ask *a);
/* The core's side of a request. */
void counter_ask(struct worker *w, struct ask *a);

/* counter_find.c: what the index knows of a question, on the clerk's thread:
 * before the core is asked, and the events behind its answer. NULL, or why not. */
const char *counter_find(struct daemon *d, struct ask *a);
void counter_events(struct daemon *d, struct ask *a);
/* counter_feedback.c: by which source the message left that is complained of, and
 * to whom, where the complaint does not say. On the clerk's thread; then the
 * core's side. */
void counter_sent(struct daemon *d, struct ask *a);
void counter_feedback(struct worker *w, struct ask *a);
/* The lines of the event log about a message, up to max, with commas between
 * them; how many. The ceiling of v is FIND_RECORDS_MAX. */
uint32_t counter_lines(struct clerk *c, const struct msgid *id,
    struct find_rec *v, uint32_t max, struct buf *out);
#define FIND_RECORDS_MAX 1024u
/* Refuses a request, or answers it with what stands in a->out. */
void counter_refuse(struct worker *w, struct ask *a, int status,
    const char *text);
void counter_answer_json(struct worker *w, struct ask *a);

/* metrics.c: what the core does not know. */
void daemon_metrics(struct worker *w, struct buf *out);

/* reload.c */
void reload(struct daemon *d, const char *path);
/* Makes a configuration the present one and keeps it until reload_free, and so
 * the rules and keys, which are given. */
void reload_keep(struct daemon *d, const struct conf *c, struct rules *r,
    struct keyring *keys);
void reload_free(struct daemon *d);

/* boot.c */
int boot_limits(const struct conf *conf);
int boot_directories(const struct conf *conf);
int boot_sources(const struct conf *conf);
int boot_become_user(const struct conf *conf);
int boot_tls(const struct conf *conf); /* as that user */
void boot_notify(const char *state);
/* Log lines go to standard error. */
void boot_log(enum log_level level);
const struct conf *boot_conf(const char *path);

#endif
