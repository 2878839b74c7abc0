/*
 * source/source.h - where frames come from: a snapshot is all that one frame
 * shows, and a source makes them. `live` asks a daemon's control socket.
 *
 * What the daemon did not say is SNAP_UNKNOWN, and is drawn as unknown, never
 * as 0. Texts are a stranger's: they are escaped where they are drawn.
 */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include "base/base.h"

#define SNAP_UNKNOWN INT64_C(-1)
#define SNAP_ROWS 200 /* of each kind that are asked for */
#define TREND_MAX 32

/* ---- a snapshot ------------------------------------------------------------ */

/* Numbers of /v1/status and of its totals, by their names there. */
#define SNAP_STATUS(X)                                                         \
	X(sessions_max)                                                        \
	X(recipients_free)                                                     \
	X(engine_bytes) X(sessions_in) X(spool_bytes) X(spool_free_bytes)
/* clang-format off */
#define SNAP_TOTALS(X) \
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
	X(received_total) \
	X(delivered_total) \
	X(transient_total) \
	X(bounced_total) \
	X(expired_total)
/* clang-format on */

struct snap_queue {
	struct slice domain, site, pool, tenant, campaign, why;
	struct slice pinned_to; /* the only source that serves it */
	int64_t depth, due, deferred, held, inflight, conns;
	int64_t delivered, transient, bounced;
	int64_t rate_milli, defer_milli; /* a second; share */
	int64_t oldest_us, until_us;     /* ago; from now */
	struct slice eta; /* "time", or another word; empty: unknown */
	int64_t eta_us, eta_low_us, eta_high_us; /* from now */
};

struct snap_source {
	struct slice name, address, ehlo, why, reason;
	int64_t conns, paths, paths_backoff;
	int64_t delivered, transient, bounced;
	int64_t rate_milli, defer_milli;
	int64_t until_us;
};

struct snap {
	struct arena arena; /* all texts and rows */
	int64_t wall_us;    /* the daemon's clock */
	int64_t uptime_us;
	struct slice hostname, version;
	bool is_stopping;
#define X(name) int64_t name;
	SNAP_STATUS(X)
	SNAP_TOTALS(X)
#undef X
	uint32_t nqueues, nsources;
	int64_t all_queues, all_sources; /* that the daemon has */
	struct snap_queue *queue_rows;
	struct snap_source *source_rows;
	/* The reasons why a queue waits, line by line; of its domain. */
	struct slice subject;
	uint32_t nreasons;
	struct slice *reasons;
	/* Per second x 1000 since the snapshot before. */
	int64_t in_milli, out_milli, defer_milli, bounce_milli;
};

/* From the daemon's three answers. NULL: one of them is not what it should
 * be, *why says which. */
struct snap *snap_parse(struct slice status, struct slice queues,
    struct slice sources, const char **why);
void snap_free(struct snap *s);
/* Adds the reasons out of an answer to /v1/explain about a domain; what is no such
 * answer adds none. */
void snap_reasons(struct snap *s, struct slice answer);
/* Fills the rates of s by comparison with the one before. */
void snap_compare(struct snap *s, const struct snap *before);

/* ---- a daemon ---------------------------------------------------------------- */

enum live_state {
	LIVE_WAITING, /* nothing has come yet */
	LIVE_OK,
	LIVE_STALE, /* the last question failed */
};

struct live;

/* Asks every delay_us. socket is kept. */
struct live *live_new(const char *socket, int64_t delay_us);
void live_free(struct live *l);
/* The key by which the daemon picks its queues; asks anew at once. */
void live_sort(struct live *l, const char *key);
void live_delay(struct live *l, int64_t delay_us);
/* The domain whose reasons are wanted with each snapshot; empty: none. */
void live_subject(struct live *l, struct slice domain);
/* Nothing is asked while paused. */
void live_pause(struct live *l, bool is_paused);

/* For the caller's poll: the descriptor (-1: none), what to wait for there,
 * and when to step though nothing happened. */
int live_fd(const struct live *l);
short live_events(const struct live *l);
int64_t live_deadline(const struct live *l);
/* true: there is something new to draw. */
bool live_step(struct live *l, int64_t now_us, bool is_ready);

enum live_state live_state(const struct live *l);
/* The newest snapshot, or NULL; good until the next step. */
const struct snap *live_snap(const struct live *l);
/* When it came, on the caller's clock. */
int64_t live_snap_us(const struct live *l);
/* Why the last question failed. */
const char *live_error(const struct live *l);
/* True when there is no daemon at all, rather than one in trouble. */
bool live_is_away(const struct live *l);

/* The rates of the last snapshots, oldest first. */
struct trend {
	uint32_t n;
	int64_t in[TREND_MAX], out[TREND_MAX], defer[TREND_MAX];
};
const struct trend *live_trend(const struct live *l);

/* ---- configuration ------------------------------------------------------------ */

#define CONFIG_FILE "/etc/mtad/mtad.yml"
#define CONFIG_SOCKET "/run/mtad/control.sock" /* where none is named */

/* The control socket that a configuration file of mtad names, or the default.
 * file NULL: CONFIG_FILE, if it can be read. false: *why has the reason, with
 * the file and the line. */
bool config_socket(const char *file, char *path, size_t path_cap, char *why,
    size_t why_cap);

#endif
