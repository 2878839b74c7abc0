/*
 * engine/study_i.h - what is learnt about the larger queues for their ETA; part of
 * engine_i.h. study.c has the whole.
 */
#ifndef ENGINE_STUDY_I_H
#define ENGINE_STUDY_I_H

#include "engine/engine_i.h"

#define STUDY_STEPS 32u
#define STUDY_STEP_US (30 * US_PER_S)
#define STUDY_SPAN_US (900 * US_PER_S)
/* Recipients by when they arrived; ages.c. */
#define AGE_PARTS 64u
#define AGE_FINE_US (300 * US_PER_S)
#define AGE_COARSE_US (7200 * US_PER_S)
struct age_ring {
	int64_t at; /* number of the present part */
	uint32_t n[AGE_PARTS], old;
};

/* What is learnt about a queue; study.c. */
struct study {
	struct age_ring fine, coarse;
	uint8_t serial; /* 1 .. 3 */
	uint32_t queue;
	uint32_t at; /* the present step's number, from the clock's begin */
	struct link link;
	struct study_step {
		uint32_t came, left; /* left: for good */
		/* Attempts that were put off: first ones and others; and the
		 * others that were not. */
		uint32_t later, again, through;
		uint32_t due;  /* as it began */
		uint32_t lane; /* attempts that ended in its whole lane */
	} step[STUDY_STEPS];
	/* The same of a long time: what left in each quarter of an hour. */
	struct study_span {
		uint32_t left, due;
	} span[STUDY_STEPS];
	uint32_t span_at;
	int64_t since_us, left_us; /* it began; the last one left */
	int64_t due_last_us;       /* of what is deferred, and its attempts */
	uint32_t due_attempts;
	uint32_t lane, lane_seen; /* up to here its attempts are in steps */
};

/* A recipient of a queue has had an attempt, after which it is put off or over;
 * attempts: of its own, 0: it is over without one. */
void eng_study_tried(struct eng *e, const struct queue *q, uint32_t attempts,
    bool is_off);
/* A recipient has come into a queue, left it for good (after so many attempts of
 * its own), or is deferred after an attempt. The last two are for queues that
 * have a study. */
void eng_study_came(struct eng *e, uint32_t queue);
void eng_study_left(struct eng *e, uint32_t queue, uint32_t attempts);
void eng_study_later(struct eng *e, uint32_t queue, uint32_t attempts);
/* One of it is deferred until then, after so many attempts. */
void eng_study_due(struct eng *e, uint32_t queue, uint32_t attempts,
    int64_t due_us);
void eng_study_end(struct eng *e, uint32_t queue);

/* ---- ages.c ---- */
/* A study begins. A recipient has come into a queue that has one, or leaves it. */
void eng_ages_begin(struct eng *e, struct study *s);
void eng_ages_came(struct eng *e, uint32_t queue, struct rcpt *r,
    int64_t arrival_us);
void eng_ages_left(struct eng *e, uint32_t queue, struct rcpt *r,
    int64_t arrival_us);
void eng_ages(const struct eng *e, uint32_t queue, int64_t now_us,
    struct eng_ages *out);

#endif
