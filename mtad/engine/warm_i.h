/*
 * engine/warm_i.h - young sources, for the files of this room that ask them:
 * warm.c has the whole.
 */
#ifndef ENGINE_WARM_I_H
#define ENGINE_WARM_I_H

#include "engine/engine_i.h"

/*
 * A young source at a provider. What it may send, and what has come of it, of the
 * present day in its plan's zone. Only what is kept (granted) is sent, so that
 * a crash makes it less, never more.
 */
struct warm {
	uint32_t source, provider; /* names; provider 0: all sites without */
	uint16_t plan;             /* index in the policy + 1; 0: none now */
	uint16_t stage;
	uint8_t verdict, why; /* of the last sending day */
	bool is_pending;      /* what was asked for is not kept yet */
	bool is_hot;          /* in e->warm_hot */
	uint32_t days;        /* sending days at this stage */
	int64_t from_us;      /* wall clock: nothing before */
	int64_t day;          /* number; that of the last mail */
	int64_t day_end_us, hour_end_us;     /* wall clock */
	int64_t day_began_us, hour_began_us; /* ours; when we looked */
	/* The end of the hour that the last entry names, and the last that is
	 * kept. */
	int64_t asked_hour_us, kept_hour_us;
	uint64_t sent, asked, granted, hour_sent;
	uint64_t ok, deferred, bounced, complained;
	uint64_t told; /* results that the last entry had */
	uint64_t serial;
	uint32_t nopening;   /* sessions that are to come up */
	struct ilist lanes;  /* that may use it when it opens */
	struct ilist paths;  /* with sessions, that wait for a grant */
	struct link pending; /* in e->warm_pending, by serial */
	struct link hot;
	struct timer timer;
};

/* A lane's claim to the shares of its pool's young sources, or the place of one
 * that is not engaged among those who wait for the end of such claims. */
struct claim {
	uint32_t lane, prize;
	int64_t until_us;
	struct link link;
};
/* What is claimed: the shares of a pool's sources at a provider. */
struct prize {
	uint32_t pool, provider;     /* names */
	struct ilist claims, others; /* the last to end at the tail */
	bool is_over;                /* in e->prizes_over: others shall look */
	struct link over;
	struct timer timer; /* the end of the last claim, while others wait */
};

/* Of a new policy: which plan each young source has. */
void eng_warm_conf(struct eng *e);
/* The wall clock has been set: what waits looks again. */
void eng_warm_clock(struct eng *e);
/* May a session of the source be opened for the lane, as far as its youth goes?
 * Else the lane is told when that is over. */
enum eng_why eng_warm_open_gate(struct eng *e, uint32_t lane, uint32_t src,
    int64_t *until_us);
/* May a path of a young source start a transaction? Changes nothing. */
enum eng_why eng_warm_gate(const struct eng *e, const struct path *p,
    int64_t *until_us);
/* The same for a session to a site, as far as it can be seen without a look. */
enum eng_why eng_warm_look(const struct eng *e, uint32_t src, uint32_t site,
    int64_t *until_us);
/* When, by the days of the pool's young sources, the nth recipient of the lane
 * may go, if each goes as soon as it may, and a day that has sent its share is
 * followed by the next stage, or (holds) by the same; *last: how many of them
 * go then. */
int64_t eng_warm_when(const struct eng *e, uint32_t lane,
    const struct epool *pool, uint64_t n, bool holds, uint64_t *last);
/* It may not, until what it asks for now is kept. */
void eng_warm_wait(struct eng *e, uint32_t path);
void eng_warm_unwait(struct eng *e, struct path *p, uint32_t path);
void eng_lane_warm_unwait(struct eng *e, struct lane *l, uint32_t lane);
/* Recipients that a transaction of the path may have. */
uint32_t eng_warm_room(const struct eng *e, const struct path *p);
void eng_warm_spend(struct eng *e, const struct path *p, uint32_t n);
/* n of a transaction that was assigned then were not sent. */
void eng_warm_unspend(struct eng *e, const struct path *p, uint32_t n,
    int64_t assigned_us);
/* One more session of the path is on its way (by 1), or no longer (-1). */
void eng_warm_opening(struct eng *e, const struct path *p, int by);
void eng_warm_count(struct eng *e, const struct path *p,
    const struct outcome *o);
void eng_warm_feedback(struct eng *e, uint32_t source, uint32_t provider,
    enum eng_feedback kind);
void eng_warm_recall(struct eng *e, const struct eng_entry *en);
void eng_warm_kept(struct eng *e);
void eng_warm_timer(struct eng *e, uint32_t i);
/* Lets lanes and paths look that wait for what is open now. */
void eng_warm_wake(struct eng *e);
/* Has the source a plan that prefers engaged mail, and is it young with that
 * provider (a name)? */
bool eng_warm_prefers(const struct eng *e, const struct src *src,
    uint32_t provider);
/* The lane looks again, at all its sources. */
void eng_lane_look(struct eng *e, uint32_t lane);

/* ---- engaged.c ---- */
/* A lane of engaged mail has something ready; it has used a young source; and it
 * has nothing more, or is given up. */
void eng_claim_begin(struct eng *e, uint32_t lane);
void eng_claim_renew(struct eng *e, struct lane *l);
void eng_claim_end(struct eng *e, struct lane *l);
/* The lane's mail must not go by that source, as others have a claim; it will be
 * told when these are over, at *until_us at the latest. */
bool eng_lane_must_yield(struct eng *e, uint32_t lane, uint32_t src,
    int64_t *until_us);
static inline bool
eng_lane_yields(struct eng *e, uint32_t lane, uint32_t src, int64_t *until_us)
{
	return e->claims.live != 0 && e->srcs[src].plan != 0 &&
	    !((struct lane *)pool_at(&e->lanes, lane))->is_engaged &&
	    eng_lane_must_yield(e, lane, src, until_us);
}
void eng_prize_timer(struct eng *e, uint32_t i);
/* Lets lanes look that have waited for the end of claims. */
void eng_prizes_over(struct eng *e);

static inline bool
eng_path_is_young(const struct eng *e, const struct path *p)
{
	return e->srcs[p->src].plan != 0;
}

#define K_WARMLANE(e) IKIND((e)->lanes, lane, warm)
#define K_WARMPATH(e) IKIND((e)->paths, path, warm)
#define K_PENDING(e) IKIND((e)->warms, warm, pending)
#define K_CLAIM(e) IKIND((e)->claims, claim, link)
#define K_PRIZE(e) IKIND((e)->prizes, prize, over)
#define K_HOT(e) IKIND((e)->warms, warm, hot)

#endif
