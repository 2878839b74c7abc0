/*
 * sim/host_i.h - the daemon on the virtual clock. It does what mtad/daemon
 * does, call by call: an inbound worker, an outbound worker on whose turn the
 * core turns, and a spooler. They speak by posts; a post wakes its receiver a
 * little later, so that what threads may interleave does interleave.
 */
#ifndef SIM_HOST_I_H
#define SIM_HOST_I_H

#include "sim/sim_i.h"
#include "store/store.h"

enum post_kind {
	/* to the inbound worker */
	POST_COMMITTED = 1, /* struct parcel */
	/* to the outbound worker */
	POST_OPEN,         /* struct post_open */
	POST_ASSIGN,       /* struct job */
	POST_CLOSE,        /* struct post_session */
	POST_TAKE_BACK,    /* struct post_session */
	POST_SESSION_FREE, /* struct post_session */
	/* to the core */
	POST_SUBMIT,      /* struct post_submit */
	POST_NOTICE_DONE, /* struct parcel */
	POST_RESULT,      /* struct job */
	POST_UP,          /* struct post_session */
	POST_DOWN,        /* struct post_session */
	POST_MOVED,       /* struct post_moved */
	POST_DAMAGE,      /* struct post_damage */
	POST_KEPT,        /* struct post_kept */
	/* to the spooler */
	POST_COMMIT,   /* struct parcel */
	POST_OUTCOMES, /* struct post_outcomes */
};

struct post_submit {
	struct post post;
	struct handle slot;
	struct spool_ref ref;
	struct msgid id;
	uint32_t n;
	char envelope[];
};

struct post_open {
	struct post post;
	struct handle session;
	struct endpoint to;
	char ehlo[DOMAIN_MAX + 1];
	char host[DOMAIN_MAX + 1];
	char source[NAME_MAX_BYTES + 1];
	char site[DOMAIN_MAX + 1];
	char provider[NAME_MAX_BYTES + 1];
	bool is_clear;
	bool needs_tls, never_tls; /* the domain's policy */
};

struct post_session {
	struct post post;
	struct handle session;
	uint32_t caps;
	bool is_tls;
	struct outcome outcome;
	struct conf_heard heard;
	char text[REPLY_TEXT_MAX];
	struct session_facts *facts;
};

struct post_moved {
	struct post post;
	struct handle slot;
	struct spool_ref ref;
};

struct post_kept {
	struct post post;
	uint64_t serial;
};

struct post_damage {
	struct post post;
	struct spool_damage damage;
};

enum item_kind { ITEM_OUTCOME, ITEM_DROP, ITEM_MOVED_ACK, ITEM_DAMAGED };
struct item {
	uint8_t kind;
	uint16_t rcpt;
	struct handle slot;
	struct spool_rcpt state; /* texts owned */
};
#define ITEMS_PER_POST 64
struct post_outcomes {
	struct post post;
	uint32_t n;
	struct item v[ITEMS_PER_POST];
};

struct actor {
	struct host *h;
	struct posts box;
	struct timer turn;
};

struct caller {
	struct host *h;
	struct ip from;
};

struct in_session;
struct out_session;

/* The rest of a large message; pieces of it are written after a while. */
struct sim_spill {
	struct host *h;
	struct handle session;
	struct buf bytes;
	bool is_done;
	struct timer written;
};

/* A worker's lines of the event log: host_book.c. */
enum book { BOOK_IN, BOOK_CORE, BOOKS };
struct sim_book {
	struct host *h;
	struct buf lines, way; /* being filled; with the clerk */
	int64_t since_us;
	uint64_t sent, begun, written; /* numbers of books */
	struct timer clerk;
};

/* Entries: not yet given, being written, durable. host_keep.c */
struct sim_keep {
	struct shelf fresh, way, kept;
	uint64_t serial, way_serial;
	bool is_out;
	struct timer written;
};

struct host {
	struct sim *s;
	const struct conf *conf, *boot_conf;
	bool is_up, is_crashing, is_stopping;
	int64_t stop_at_us;
	struct timer stop;
	struct sim_disk disk;
	struct gate gate;
	struct spool *spool;
	struct core *core;
	struct eng_policy *policy; /* of an engine that was loaded */
	struct sim_book book[BOOKS];
	struct sim_keep keep;
	struct buf log;    /* its end; outlives the process */
	int64_t jumped_us; /* when the clock did, last */
	bool is_ahead;     /* outcomes went to the spool without their lines */
	uint64_t sequence;
	struct timer boot;

	/* The inbound worker. */
	struct actor in;
	struct pool in_sessions;
	struct list in_list;
	struct caller caller[SIM_CLIENTS];
	struct posts commits;
	uint32_t ncommits, waiting, in_events;
	uint64_t answers, answers_seen; /* to commits */

	/* The outbound worker, and the core on its turn. */
	struct actor out;
	struct posts inbox, core_inbox;
	struct out_session **sess; /* by the engine's index */
	uint32_t sess_cap, sess_live;
	struct post_outcomes *outcomes; /* being filled */
	struct posts to_spool;          /* fresh: their lines are in the book */
	struct posts held; /* until the clerk has written the lines */
	int64_t fresh_since_us, held_since_us, given_since_us;
	/* What they wait for: that the inbound worker has seen so many answers;
	 * then, that a book of each is written. */
	uint64_t held_answers, held_for[BOOKS];
	bool has_seen;
	bool releases; /* an operator's request that waits for the start */

	/* The spooler. */
	struct actor spooler;
	bool is_asleep;
	struct list parcels; /* all that are in somebody's hands */
	struct fiber fiber;  /* its turn, which may wait for the disk */
	uint32_t ninline;
	uint64_t given, applied; /* outcomes */
};

void actor_wake(struct actor *a);
void actor_at(struct actor *a, int64_t at_us);
struct parcel *parcel_take(struct host *h);
void parcel_give(struct host *h, struct parcel *p);
struct slice host_owned(struct slice s);
/* Frees a post that nobody will read. */
void post_free(struct host *h, struct post *p);
void posts_free(struct host *h, struct posts *l);
uint64_t host_sequence(struct host *h, uint32_t worker);

/* host_book.c */
void books_make(struct host *h);
void books_free(struct host *h);
struct buf *host_book(struct host *h, enum book which);
void book_flush(struct host *h, enum book which);
int64_t book_deadline(const struct host *h, enum book which);
void books_write(struct host *h);
void books_tail(struct host *h, struct book_tail *t);
void books_crash(struct host *h, bool is_power);
/* host_keep.c */
void keep_make(struct host *h);
void keep_free(struct host *h);
void keep_entry(struct host *h, const struct kept *k, uint64_t serial);
void keep_flush(struct host *h);
void keep_recall(struct host *h);
void keep_stop(struct host *h);
void keep_crash(struct host *h);
/* host_react.c: the referee of reactions hears of what the core is told. */
void react_opened(struct host *h, const struct core_open *o, uint32_t source,
    uint32_t site, uint32_t number);
void react_outcome(struct host *h, struct handle slot,
    const struct spool_rcpt *r);
void react_audit(struct host *h);
/* Before the ledger asks about its source. */
void react_let_go(struct host *h, const struct job *j);
void react_assigned(struct host *h, const struct job *j);
void react_result(struct host *h, const struct job *j, bool is_unsent);
void react_down(struct host *h, const struct post_session *p);
/* Steps of the engine so far: has the core heard? And then. */
uint64_t react_steps(const struct host *h);
void react_told(struct host *h, uint64_t steps);
void react_started(struct host *h);
/* host_in.c */
void inbound_turn(void *arg);
void inbound_committed(struct host *h, struct parcel *p);
void inbound_crash(struct host *h);
void inbound_stop(struct host *h);
void inbound_close(struct host *h);
/* host_out.c */
void outbound_open(struct host *h, struct post_open *o);
void outbound_assign(struct host *h, struct job *j);
void outbound_close(struct host *h, struct handle session);
void outbound_take_back(struct host *h, struct handle session);
void outbound_session_free(struct host *h, struct handle session);
void outbound_crash(struct host *h);
/* Transactions under way may end; at once: none may. */
void outbound_stop(struct host *h, bool now);
/* host_meters.c */
void host_meters_opened(struct sim *s, const struct core_open *o, uint32_t site,
    uint32_t host);
void host_meters_assigned(struct sim *s, const struct job *j);
/* What the daemon says that its limits count, and what they should. */
void host_meters_audit(struct sim *s, struct core *core);

/* host_core.c */
extern const struct core_ops host_core_ops;
void core_turn(void *arg);
void core_push(struct host *h, struct post *p);
/* host_memory.c */
void host_memory(struct host *h);
/* host_spool.c */
void spooler_turn(void *arg);
void spooler_fiber(void *arg);
void spooler_post(struct host *h, struct posts *l, bool wake);
bool spooler_try_inline(struct host *h, struct parcel *p);
void spooler_end(struct host *h);
/* host.c: the process is no more; it is started again after a while */
void host_gone(struct host *h);
/* host_stop.c */
void host_stop_look(void *arg);

#endif
