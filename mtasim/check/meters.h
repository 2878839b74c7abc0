/*
 * check/meters.h - limits on tuples, counted from outside: whatever starts,
 * reloads and crashes there are, in no window more goes than the configuration
 * admits. What is known of a limit is its text; what it should have counted is
 * counted here again.
 */
#ifndef CHECK_METERS_H
#define CHECK_METERS_H

#include "check/check.h"
#include "conf/conf.h"

struct meters;

/* Whom a session or a transaction belongs to; names end in the number. UINT32_MAX:
 * not known, so that nothing that speaks of it is judged. */
struct met_who {
	uint32_t tenant, campaign, pool; /* t2, c0, p1 */
	uint32_t source, provider;       /* s3, v0 */
};
#define MET_UNKNOWN UINT32_MAX
#define MET_NONE (UINT32_MAX - 1)

struct meters *met_new(struct marks *marks);
void met_free(struct meters *m);
/* The configurations that may hold, so far: the loosest number counts. clock_lies:
 * the wall's clock may jump while nobody sees it, so that a start cannot know how
 * old a window is. */
void met_confs(struct meters *m, const struct conf *const *confs, uint32_t n,
    bool clock_lies);
/* Each tells the time of the driver and of the wall. */
void met_opened(struct meters *m, struct handle session,
    const struct met_who *who, int64_t now_us, int64_t wall_us);
/* source and provider are those of its session. */
void met_assigned(struct meters *m, struct handle session, struct handle txn,
    uint32_t nrcpts, const struct met_who *who, int64_t now_us,
    int64_t wall_us);
void met_result(struct meters *m, struct handle session, struct handle txn,
    bool is_unsent);
/* What it had not given back was not sent. */
void met_closed(struct meters *m, struct handle session);
/* All sessions are gone, and what they had may have been sent. */
void met_crash(struct meters *m);

#endif
