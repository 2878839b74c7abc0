/*
 * plan/calib.h - how far plans were off the last time that somebody measured:
 * written by `mtasim calibrate`, printed by every plan.
 *
 * One JSON file, $XDG_STATE_HOME/mtasim/calibration.json (where that is not
 * set: ~/.local/state). Format in share/doc/scenarios.md.
 */
#ifndef PLAN_CALIB_H
#define PLAN_CALIB_H

#include "base/base.h"

/* Quantities in which plan and life are compared. Errors are in thousandths of
 * a percent of life's value; that of the deferral share in thousandths of a
 * percentage point. The last column is the bound of a good calibration. */
#define CALIB_QUANTITIES(X)                                                    \
	X(throughput, "throughput", "%", 5000)                                 \
	X(deferrals, "deferrals", " points", 2000)                             \
	X(p50, "p50", "%", 10000)                                              \
	X(p95, "p95", "%", 10000)

#define X(name, words, unit, bound) CALIB_##name,
enum calib_quantity { CALIB_QUANTITIES(X) CALIB_N };
#undef X

#define CALIB_TEXT_MAX 128

struct calib {
	char date[CALIB_TEXT_MAX]; /* RFC 3339, UTC */
	char host[CALIB_TEXT_MAX];
	char scenario[CALIB_TEXT_MAX];
	char version[CALIB_TEXT_MAX]; /* of mtasim */
	uint64_t seconds;             /* of life */
	int64_t error[CALIB_N];       /* the worst of all providers */
};

const char *calib_name(enum calib_quantity q);
/* "2.1 %" */
const char *calib_unit(enum calib_quantity q);
int64_t calib_bound(enum calib_quantity q);

/* The file that plans read; false when there is no home. */
bool calib_path(char *dst, size_t cap);
/* False: there is none, or none that can be read. */
bool calib_load(const char *path, struct calib *c);
/* Replaces the file, whole or not at all; makes its directory. 0 or E_IO with
 * errno set. */
int calib_save(const char *path, const struct calib *c) MUST_CHECK;
/* "calibrated 2026-11-27T07:00:00Z on HOST: throughput 0.4 %, ..."; NULL:
 * "uncalibrated". */
void calib_text(const struct calib *c, struct buf *out);
struct jsonw;
void calib_json(const struct calib *c, struct jsonw *w);

#endif
