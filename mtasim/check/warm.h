/*
 * check/warm.h - no young source sends more than its day's share, nor than the
 * hour's part of it, whatever crashes, clocks that are set and reloads there
 * are; and mail leaves by sources of its pool, or of that pool's overflow.
 *
 * The stage of a source is ours at the most: a day that carried its share leads
 * on, whatever its ratios were.
 */
#ifndef CHECK_WARM_H
#define CHECK_WARM_H

#include "check/check.h"

#define WRM_SOURCES 8
#define WRM_STAGES 16
#define WRM_POOLS 8

struct warm_plan {
	uint32_t young; /* sources, a bit each */
	uint32_t nstages, most[WRM_STAGES];
	uint32_t hour_ppm, advance_ppm;
	/* Sources that a pool's mail may leave by, a bit each. */
	uint32_t pools[WRM_POOLS];
};

struct warms;
struct warms *wrm_new(const struct warm_plan *plan, struct marks *marks);
void wrm_free(struct warms *w);
/* n recipients of a pool's mail are handed to a session. */
void wrm_assigned(struct warms *w, struct handle session, struct handle txn,
    uint32_t source, uint32_t pool, uint32_t n, int64_t wall_us);
/* They come back: so many were delivered, so many never sent. */
void wrm_result(struct warms *w, struct handle session, struct handle txn,
    uint32_t source, uint32_t delivered, uint32_t unsent, int64_t wall_us);
/* What it had not given back was not sent. */
void wrm_closed(struct warms *w, struct handle session, uint32_t source);
/* The wall clock is put back from there: an hour, or day, that had begun by it goes
 * on, at the latest if something was sent in it. */
void wrm_clock_back(struct warms *w, int64_t wall_us);
/* Has it a stage of its plan still? */
bool wrm_is_young(const struct warms *w, uint32_t source);
/* All sessions are gone, and what they had may have been sent. */
void wrm_crash(struct warms *w);

#endif
