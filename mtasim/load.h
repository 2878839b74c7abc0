/*
 * load.h - what the files of `mtasim load` share.
 *
 * load.c has the options, the schedule and the end; load_sess.c the
 * connections; load_report.c what is printed.
 *
 * A message that was begun is in exactly one place: in a session's queue, or
 * in `again` (it was certainly not taken and waits for another try).
 */
#ifndef LOAD_H
#define LOAD_H

#include "mix.h"
#include "run.h"
#include "world/hist.h"
#include "world/journal.h"

#define LOAD_SLOS_MAX 16

/* One goal, such as p99<50ms. */
struct slo {
	const char *text;
	uint32_t permyriad; /* quantile; 10000: max */
	int64_t limit_us;
};

#define LOAD_COUNTS(X)                                                         \
	X(started) /* messages whose turn came */                              \
	X(acked)   /* messages with a recipient that was acknowledged */       \
	X(refused) /* messages refused for every recipient */                  \
	X(doubt)   /* messages whose final dot got no answer */                \
	X(unsent)  /* messages given up before they were taken */              \
	X(rcpt_acked)                                                          \
	X(rcpt_refused)                                                        \
	X(rcpt_doubt)                                                          \
	X(retried)     /* tries after the first */                             \
	X(connected)   /* connections that came up */                          \
	X(unconnected) /* connections that did not */                          \
	X(broken)      /* connections that ended in the middle of mail */      \
	X(bytes)       /* of acknowledged messages */

struct load_counts {
#define X(name) uint64_t name;
	LOAD_COUNTS(X)
#undef X
};

struct load_sess;

struct load {
	/* options */
	struct endpoint target;
	struct ip source; /* family 0: any */
	struct mix mix;
	uint64_t rate_count; /* 0: as fast as it goes */
	int64_t rate_period_us;
	uint64_t count, connections, per_connection, recipients, run_no;
	int64_t seconds_us, grace_us, lag_max_us;
	const char *journal_path, *sender, *ehlo;
	bool has_run, wants_tls, chains, no_pipelining, json, progress, quiet;
	uint32_t nslos;
	struct slo slos[LOAD_SLOS_MAX];

	struct run run;
	struct journal journal;
	struct smtp_cli_conf cli;
	struct tls_ctx *tls;

	/* the schedule, in loop time */
	int64_t start_us, wall_minus_loop_us;
	int64_t end_us;     /* the schedule ends here */
	uint64_t scheduled; /* messages whose time has come */
	uint64_t total;     /* there will be no more than these */
	int64_t ended_us;   /* 0: it goes on */

	/* work */
	struct list idle;  /* sessions without a message */
	struct list busy;  /* all others */
	struct list spare; /* messages for reuse */
	struct list again;
	uint64_t nagain, nflight, nsess;
	int64_t up_us; /* when a session was last seen up */
	int64_t next_connect_us;
	int64_t backoff_us;
	struct rng rng; /* of back-off only */
	struct load_counts n;
	struct hist from_intended, from_actual, lag;
	int64_t first_ack_us, last_ack_us;
	bool ever_up;
	char trouble[160]; /* why the last connection did not come up */
};

/* ---- load_sess.c --------------------------------------------------------------- */

/* Gives work to idle sessions, and opens more where there is more work. */
void load_dispatch(struct load *l);
/* When load_dispatch has something to do even if nothing happens. */
int64_t load_wants(const struct load *l);
/* Everything is settled: QUIT and close; what is in flight is in doubt. */
void load_close(struct load *l);

/* ---- load.c -------------------------------------------------------------------- */

/* The next message to send, or NULL when none is due. */
struct message *load_next(struct load *l);
/* A session is done with a message. */
void load_settle(struct load *l, struct message *msg,
    const struct smtp_cli_result *res);

/* ---- load_report.c ------------------------------------------------------------- */

void load_progress(struct load *l);
/* Prints the report; returns the exit code. */
int load_report(struct load *l);

#endif
