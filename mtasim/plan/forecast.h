/*
 * plan/forecast.h - what several trials of one scenario say together: each
 * number as its median and the band from 5 to 95 % of the seeds.
 */
#ifndef PLAN_FORECAST_H
#define PLAN_FORECAST_H

#include "plan/trial.h"

enum metric_unit {
	UNIT_COUNT,
	UNIT_TIME, /* microseconds; -1: never */
	UNIT_BYTES,
	UNIT_MILLI, /* thousandths */
	UNIT_SHARE, /* thousandths of a percent */
};

/* Name in JSON, words in a table, unit. */
#define METRICS(X)                                                             \
	X(arrived, "arrived", UNIT_COUNT)                                      \
	X(delivered, "delivered", UNIT_COUNT)                                  \
	X(bounced, "bounced", UNIT_COUNT)                                      \
	X(expired, "expired", UNIT_COUNT)                                      \
	X(queued, "still queued", UNIT_COUNT)                                  \
	X(throughput, "delivered/s", UNIT_MILLI)                               \
	X(peak, "queue peak", UNIT_COUNT)                                      \
	X(peak_at, "  at", UNIT_TIME)                                          \
	X(mean_depth, "queue mean", UNIT_MILLI)                                \
	X(drained_at, "drained at", UNIT_TIME)                                 \
	X(drain_time, "drain time", UNIT_TIME)                                 \
	X(time_mean, "in queue, mean", UNIT_TIME)                              \
	X(time_p50, "  p50", UNIT_TIME)                                        \
	X(time_p90, "  p90", UNIT_TIME)                                        \
	X(time_p95, "  p95", UNIT_TIME)                                        \
	X(time_p99, "  p99", UNIT_TIME)                                        \
	X(time_max, "  longest", UNIT_TIME)                                    \
	X(waited, "had to wait", UNIT_SHARE)                                   \
	X(attempts, "attempts", UNIT_COUNT)                                    \
	X(deferrals, "deferrals", UNIT_COUNT)                                  \
	X(deferral_share, "  of attempts", UNIT_SHARE)                         \
	X(sessions, "connections", UNIT_COUNT)                                 \
	X(refused, "  failed", UNIT_COUNT)                                     \
	X(connections, "  open, mean", UNIT_MILLI)                             \
	X(spool_peak, "spool peak", UNIT_BYTES)

#define X(name, words, unit) METRIC_##name,
enum metric { METRICS(X) METRIC_N };
#undef X

/* Where time in the queue goes. The engine's gates come first, by enum
 * eng_why. */
enum {
	REASON_SENDING = ENG_WHY_N, /* handed to a session */
	REASON_RETRY,               /* the recipient's own delay */
	REASON_OTHER,               /* look-ups */
	REASON_N
};
const char *reason_name(uint32_t reason);

struct side { /* a provider, or all */
	struct slice name;
	int64_t *value[METRIC_N]; /* by seed */
	uint64_t reason_us[REASON_N], total_us;
	struct eng_blocked blocked[ENG_WHY_N];
};

struct calib;

struct forecast {
	const struct scen *s;
	const struct calib *calib; /* NULL: uncalibrated */
	uint32_t nseeds, done;
	uint64_t refused_at_door;
	uint64_t nqueues, nbroken; /* by Little's law: looked at, against it */
	uint64_t first_seed;
	uint32_t nsides; /* providers, and all as the last */
	struct side *sides;
	struct outlook *first; /* for the course of time */
};

struct band {
	int64_t p5, median, p95;
};

struct forecast *forecast_new(const struct scen *s, uint64_t first_seed,
    uint32_t nseeds);
void forecast_free(struct forecast *f);
/* Takes the outlook over. */
void forecast_add(struct forecast *f, struct outlook *o);
/* After the last: sorts. */
void forecast_close(struct forecast *f);
struct band forecast_band(const struct forecast *f, const struct side *side,
    enum metric m);
/* The reason that most of the waiting has, with its share of it in thousandths
 * of a percent; NULL when next to nothing waits. */
const char *forecast_binds(const struct side *side, int64_t *share);

/* ---- report.c, report_json.c ---- */
void report_text(const struct forecast *f, struct buf *out);
struct jsonw;
/* Leaves the object open, so that more can follow. */
void report_json(const struct forecast *f, struct jsonw *w);
/* ---- report_warm.c: the calendar of young sources ---- */
void report_warm_text(const struct forecast *f, struct buf *out);
void report_warm_json(const struct forecast *f, struct jsonw *w);
/* ---- report_work.c ---- */
/* What the machine at hand took for each part of one trial. */
struct cost {
	int64_t cpu_us[PART_N];
	uint64_t rss_before, rss[PART_N]; /* bytes, at the end of each */
	uint64_t depth[PART_N];           /* of the queue, then */
};
void report_work_text(const struct outlook *o, const struct cost *c,
    struct buf *out);
void report_work_json(const struct outlook *o, const struct cost *c,
    struct jsonw *w);
/* One number in its unit, as short text; dst of 32 bytes. */
void report_value(char *dst, enum metric m, int64_t v);
const char *metric_name(enum metric m);
const char *metric_words(enum metric m);
enum metric_unit metric_unit(enum metric m);

#endif
