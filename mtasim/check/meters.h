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

/* Whom a session or a transaction belongs to, as numbers: t2, c0, p1, s3 and v0
 * end in theirs, the others are the world's. The first ones are of mail, which
 * goes over any session, the others of sessions. */
enum met_val {
	MET_TENANT,
	MET_CAMPAIGN,
	MET_POOL,
	MET_SENDER, /* domain of the envelope's sender */
	MET_SOURCE,
	MET_NETBLOCK,
	MET_SITE,
	MET_PROVIDER,
	MET_HOST,
	MET_VALS
};
#define MET_OF_MAIL MET_SOURCE
struct met_who {
	uint32_t val[MET_VALS];
	uint32_t nrcpts; /* of a transaction */
	uint64_t bytes;
};
/* Not known, so that nothing that speaks of it is judged. */
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
/* Only what is of mail is told: the rest is that of its session. */
void met_assigned(struct meters *m, struct handle session, struct handle txn,
    const struct met_who *who, int64_t now_us, int64_t wall_us);
void met_result(struct meters *m, struct handle session, struct handle txn,
    bool is_unsent);
/* What it had not given back was not sent. */
void met_closed(struct meters *m, struct handle session);
/* The dim of the engine's that it is. */
enum eng_dim met_dim(enum met_val v);
/* An engine says how many sessions (or transactions) a tuple of a limit has now:
 * MET_NONE where it is not told apart. Then, that it has told all. */
void met_said(struct meters *m, struct slice limit,
    const uint32_t val[MET_VALS], uint64_t conns);
/* Sites are not compared where domains may be some of their own. */
void met_all_said(struct meters *m, bool sites_are_apart);
/* The wall clock is put back from there: a day in which a tuple had counted goes
 * on, and does not come again. One that had begun without that may go on as well:
 * whether somebody looked is not seen here. */
void met_clock_back(struct meters *m, int64_t wall_us);
/* All sessions are gone, and what they had may have been sent. */
void met_crash(struct meters *m);

#endif
