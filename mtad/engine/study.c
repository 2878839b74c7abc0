/*
 * engine/study.c - what is learnt about the larger queues, for their ETA: how
 * many came, left and were put off in each half minute of the last quarter of an
 * hour, and in each quarter of the last hours. Which share of the attempts is put
 * off is known of each site.
 *
 * There are STUDIES_MAX at most: a queue gets one when it is STUDY_DEPTH deep,
 * and that which nothing has happened to for longest makes room if it has been
 * quiet for STUDY_QUIET_US. All of it is statistics: no decision reads it.
 */
#include "engine/engine_i.h"

#define STUDIES_MAX 2048u
#define STUDY_DEPTH 32u
#define TRIES_MAX 512u /* then what was counts for half */
#define STUDY_QUIET_US (600 * US_PER_S)

static uint32_t
step_of(const struct eng *e)
{
	return (uint32_t)(e->now / STUDY_STEP_US);
}

static void
advance_span(const struct eng *e, struct study *s, const struct queue *q)
{
	uint32_t now = (uint32_t)(e->now / STUDY_SPAN_US);

	if (now - s->span_at > STUDY_STEPS)
		s->span_at = now - STUDY_STEPS;
	while (s->span_at != now)
		s->span[++s->span_at % STUDY_STEPS] =
		    (struct study_span){ .due = q->fifo.n };
}

/* What has ended in its lane since the last step began, in equal parts for the
 * steps since then: these are only looked at when something happens here. */
static void
share_out(const struct eng *e, struct study *s, uint32_t from, uint32_t now)
{
	const struct queue *q = pool_at(&e->queues, s->queue);
	const struct lane *l = q->lane ? pool_at(&e->lanes, q->lane) : NULL;
	uint32_t n = l != NULL ? l->nended - s->lane_seen : 0;
	uint32_t steps = now - from;

	if (q->lane != s->lane)
		n = 0; /* it has moved */
	s->lane = q->lane;
	s->lane_seen = l != NULL ? l->nended : 0;
	for (uint32_t k = 0; k < steps; k++)
		s->step[(from + k) % STUDY_STEPS].lane +=
		    (uint32_t)((uint64_t)n * (k + 1) / steps -
			(uint64_t)n * k / steps);
}

/* Steps that have passed are filled, and the study is the youngest. */
static void
advance(struct eng *e, struct study *s)
{
	const struct queue *q = pool_at(&e->queues, s->queue);
	uint32_t now = step_of(e), from, i;

	advance_span(e, s, q);
	if (s->at == now)
		return;
	if (now - s->at > STUDY_STEPS)
		s->at = now - STUDY_STEPS;
	from = MAX(s->at, now - STUDY_STEPS + 1);
	while (s->at != now)
		s->step[++s->at % STUDY_STEPS] =
		    (struct study_step){ .due = q->fifo.n };
	share_out(e, s, from, now);
	i = q->study;
	il_remove(K_STUDY(e), &e->studied, i);
	il_push_tail(K_STUDY(e), &e->studied, i);
}

static struct study *
begin(struct eng *e, uint32_t queue)
{
	struct queue *q = pool_at(&e->queues, queue);
	struct study *s;

	if (e->studied.n >= STUDIES_MAX) {
		s = pool_at(&e->studies, e->studied.head);
		if ((int64_t)s->at * STUDY_STEP_US + STUDY_QUIET_US > e->now)
			return NULL;
		eng_study_end(e, s->queue);
	}
	s = eng_slot(&e->studies, &q->study);
	s->queue = queue;
	s->at = step_of(e);
	s->span_at = (uint32_t)(e->now / STUDY_SPAN_US);
	s->since_us = e->now;
	eng_ages_begin(e, s);
	s->lane = q->lane;
	if (q->lane != 0)
		s->lane_seen =
		    ((struct lane *)pool_at(&e->lanes, q->lane))->nended;
	il_push_tail(K_STUDY(e), &e->studied, q->study);
	return s;
}

void
eng_study_end(struct eng *e, uint32_t queue)
{
	struct queue *q = pool_at(&e->queues, queue);

	if (q->study == 0)
		return;
	il_remove(K_STUDY(e), &e->studied, q->study);
	pool_give(&e->studies, q->study);
	q->study = 0;
}

void
eng_study_came(struct eng *e, uint32_t queue)
{
	const struct queue *q = pool_at(&e->queues, queue);
	struct study *s;

	if (q->study == 0 && q->depth < STUDY_DEPTH)
		return;
	s = q->study ? pool_at(&e->studies, q->study) : begin(e, queue);
	if (s == NULL)
		return;
	advance(e, s);
	s->step[s->at % STUDY_STEPS].came++;
}

void
eng_study_tried(struct eng *e, const struct queue *q, uint32_t attempts,
    bool is_off)
{
	struct site_tries *t;
	struct lane *l;

	if (q->lane == 0)
		return;
	l = pool_at(&e->lanes, q->lane);
	l->nended++;
	if (attempts == 0)
		return;
	t = &((struct site *)pool_at(&e->sites, l->site))
		 ->tries[MIN(attempts, SITE_TRIES) - 1];
	if (t->n >= TRIES_MAX) {
		t->n /= 2;
		t->off /= 2;
	}
	t->n++;
	t->off += is_off;
}

void
eng_study_left(struct eng *e, uint32_t queue, uint32_t attempts)
{
	const struct queue *q = pool_at(&e->queues, queue);
	struct study *s = pool_at(&e->studies, q->study);

	advance(e, s);
	s->step[s->at % STUDY_STEPS].left++;
	s->step[s->at % STUDY_STEPS].through += attempts > 1;
	s->span[s->span_at % STUDY_STEPS].left++;
	s->left_us = e->now;
}

void
eng_study_later(struct eng *e, uint32_t queue, uint32_t attempts)
{
	const struct queue *q = pool_at(&e->queues, queue);
	struct study *s = pool_at(&e->studies, q->study);

	advance(e, s);
	s->step[s->at % STUDY_STEPS].later += attempts <= 1;
	s->step[s->at % STUDY_STEPS].again += attempts > 1;
}

void
eng_study_due(struct eng *e, uint32_t queue, uint32_t attempts, int64_t due_us)
{
	const struct queue *q = pool_at(&e->queues, queue);
	struct study *s = pool_at(&e->studies, q->study);

	if (s->due_last_us > e->now && due_us <= s->due_last_us)
		return;
	s->due_last_us = due_us;
	s->due_attempts = attempts;
}
