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
	uint64_t rate; /* of the path then, in transactions in 10^6 s */
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
	int64_t last_us;  /* of a reply that matched */
	int64_t saved_us; /* when it was given to be kept */
	bool is_dirty;    /* there is more since then */
	bool has_entry;
	struct timer timer;
};

/* A refusal: of what began at began_us, by that path. */
struct refused {
	uint32_t path;
	uint32_t host;  /* that said it */
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
void eng_tally_recall(struct eng *e, const struct eng_entry *en);
/* ---- target.c ---- */
/* What is looked at: a source (its slot) at a site and one of its hosts (by name),
 * or a queue, or mail of which both are known. 0, NULL: not known. */
struct at {
	uint32_t src, host;
	const struct site *s;
	const struct flow *f;
};
struct at eng_at_path(const struct eng *e, const struct path *p);
struct at eng_at_queue(const struct eng *e, const struct queue *q);

/* Mail is told apart by these, which no path alone has. */
#define QUEUE_DIMS                                                             \
	(1u << DIM_TENANT | 1u << DIM_CAMPAIGN | 1u << DIM_SENDER_DOMAIN |     \
	    1u << DIM_POOL)
/* Is it queues that such a standing is about, and not paths? */
bool eng_target_has_queue(uint16_t dims, uint8_t action);
/* Values of all of these dims. false: one of them has none. */
bool eng_target_of(const struct eng *e, const struct at *a, uint16_t dims,
    uint32_t val[DIM_N]);
uint64_t eng_target_hash(uint16_t dims, const uint32_t val[DIM_N]);
bool eng_is_target(const struct standing *s, uint16_t dims,
    const uint32_t val[DIM_N]);
/* There are more, or fewer, standings on such targets. */
void eng_kinds_count(struct eng *e, uint16_t dims, uint8_t action, int by);
/* Does that stand on any path? */
static inline bool
eng_acts(const struct eng *e, enum eng_action action)
{
	return e->kinds.acts >> action & 1;
}
/* The strongest standing with that action on a path, its host or a queue; 0:
 * there is none. */
uint32_t eng_stands_on(const struct eng *e, const struct at *a,
    enum eng_action action);
/* What its rule says in numbers. */
uint32_t eng_standing_value(const struct eng *e, const struct standing *s);

/* What lets nothing start on the path, and until when (0: until somebody ends
 * it); 0: nothing does. */
uint32_t eng_path_suspended(const struct eng *e, const struct path *p,
    int64_t *until_us);
/* A recipient in R_NONE whose queue something bounces: it is final. */
bool eng_rcpt_bounce(struct eng *e, uint32_t i);
/* All recipients are looked at once from now on, in slices: what has begun to
 * bounce some may have more of them. */
void eng_bounces_begin(struct eng *e);
void eng_bounces_run(struct eng *e);
/* Does mail for the site leave by other sources than this one? */
bool eng_source_is_left(const struct eng *e, uint32_t src, uint32_t site);
/* Sessions that the path may have, by what stands; max: by its limits, 0 = any. */
uint32_t eng_path_conns_max(const struct eng *e, const struct path *p,
    uint32_t max);
/* What the path has done of late, in transactions in 10^6 s. */
uint64_t eng_path_measured(const struct eng *e, const struct path *p);
/* May it start one, as far as standings slow it? Which does so, 0 = none. One
 * more has started, or was given back. */
#define PACE_MAX_US (30 * 86400 * US_PER_S)
enum eng_why eng_path_pace_gate(const struct eng *e, struct path *p,
    int64_t *until_us);
uint32_t eng_path_paced_by(const struct eng *e, const struct path *p);
void eng_path_pace(const struct eng *e, struct path *p, bool is_spent);
/* What keeps a source from a host of a site (by name), and until when (0: until
 * somebody ends it); 0: nothing does. */
uint32_t eng_host_skipped(const struct eng *e, const struct site *s,
    uint32_t src, uint32_t host, int64_t *until_us);
/* The name of a host of the site; 0: it is none. */
uint32_t eng_target_host(const struct site *s, uint32_t host);
/* Is the session to such a host? */
bool eng_sess_is_skipped(const struct eng *e, uint32_t sess);
/* Says goodbye to those that would have the next transaction of the path. */
void eng_path_shed(struct eng *e, uint32_t path);
/* What stops a queue, and until when (0 = until somebody ends it); 0: nothing
 * does. */
uint32_t eng_queue_standing(const struct eng *e, const struct queue *q,
    int64_t *until_us);

/* ---- standing.c ---- */
/* It waits for what suspends it, or slows it down. */
void eng_standing_wait(struct eng *e, uint32_t path, enum eng_why why);
int64_t eng_standing_since(const struct eng *e, uint32_t i);
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
