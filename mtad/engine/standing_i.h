/*
 * engine/standing_i.h - reactions that hold, for the files of this room that ask
 * them: standing.c has the whole.
 */
#ifndef ENGINE_STANDING_I_H
#define ENGINE_STANDING_I_H

#include "engine/engine_i.h"

/*
 * What a rule does to a target, which its dims and their values name: until a
 * time, or until somebody ends it. When it is over it waits in e->over until the
 * paths that it stopped have looked again.
 */
struct standing {
	uint32_t id;
	uint32_t rule;       /* name */
	uint32_t automation; /* index in the present policy */
	uint32_t twin;       /* next with the same target */
	uint16_t dims;
	uint8_t action;
	bool ramps;
	bool is_over;
	uint32_t val[DIM_N];
	uint32_t reply;
	struct outcome outcome;
	uint64_t count;
	int64_t first_us, last_us;
	int64_t until_us; /* TIME_NEVER: somebody ends it */
	struct timer timer;
	struct ilist paths; /* that it stopped last */
	struct link over;
};

/* Replies that a rule has counted for a target, in parts of its period: those that
 * matched and, for a rule of ratios, all. It is given up when none has matched
 * for a period. */
#define TALLY_PARTS 16
struct tally {
	uint32_t rule; /* name */
	uint32_t twin; /* next with the same target */
	uint16_t dims;
	uint32_t val[DIM_N];
	int64_t part_us; /* length of a part */
	int64_t part;    /* number of the one that is running */
	uint32_t hits[TALLY_PARTS], all[TALLY_PARTS];
	struct timer timer;
};

/* A refusal: of what began at began_us, by that path. */
struct refused {
	uint32_t path;
	uint32_t queue; /* whose mail it was; 0 = not known */
	uint32_t reply; /* its words, a name */
	int64_t began_us;
};

/* Reacts to a refusal whose words match these rules. */
void eng_react(struct eng *e, const struct refused *r,
    const struct eng_hits *hits, const struct outcome *o);
/* The same of all that a transaction met, once for each reply. */
void eng_react_all(struct eng *e, const struct refused *r,
    const struct ev_result *ev);
/* ---- tally.c ---- */
/* One more reply matches rule k (of the policy's) on a target: is it time to
 * act? */
bool eng_tally_hit(struct eng *e, uint32_t k, const uint32_t val[DIM_N]);
/* One more reply of all, of a rule of ratios. */
void eng_tally_reply(struct eng *e, uint32_t k, const uint32_t val[DIM_N]);
/* Those whose rule the new policy has not, or not so, are forgotten. */
void eng_tallies_conf(struct eng *e);
uint64_t eng_target_hash(uint16_t dims, const uint32_t val[DIM_N]);

/* ---- standing.c ---- */
/* May nothing start on the path? Until when, 0 = until somebody ends it. */
bool eng_path_is_suspended(const struct eng *e, const struct path *p,
    int64_t *until_us);
/* What suspends it, and when that began; 0: nothing does. */
uint32_t eng_path_standing(const struct eng *e, const struct path *p,
    int64_t *since_us);
/* Sessions that the path may have, by what stands; max: by its limits, 0 = any. */
uint32_t eng_path_conns_max(const struct eng *e, const struct path *p,
    uint32_t max);
/* What suspends a queue, and until when (0 = until somebody ends it); 0: nothing
 * does. */
uint32_t eng_queue_standing(const struct eng *e, const struct queue *q,
    int64_t *until_us);
/* It waits for what suspends it; who is idle there says goodbye. */
void eng_standing_wait(struct eng *e, uint32_t path);
void eng_standing_unwait(struct eng *e, uint32_t path);
void eng_standing_timer(struct eng *e, uint32_t i);
void eng_tally_timer(struct eng *e, uint32_t i);
/* By its id; nothing when there is none. */
void eng_standing_end(struct eng *e, uint32_t id);
/* Lets paths look again whose standing is over. */
void eng_standings_over(struct eng *e);
/* Those whose rule the new policy has not, or not so, are over. */
void eng_standings_conf(struct eng *e);
void eng_standing_recall(struct eng *e, const struct eng_entry *en);

#define K_STAND(e) IKIND((e)->paths, path, stand)
#define K_OVER(e) IKIND((e)->standings, standing, over)

#endif
