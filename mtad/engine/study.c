/*
 * engine/study.c - what is learnt about the larger queues, for their ETA: how
 * many came, left and were put off in each half minute of the last quarter of an
 * hour, and which share of the attempts is put off.
 *
 * There are STUDIES_MAX at most: a queue gets one when it is STUDY_DEPTH deep,
 * and that which nothing has happened to for longest makes room if it has been
 * quiet for STUDY_QUIET_US. All of it is statistics: no decision reads it.
 */
#include "engine/engine_i.h"

#define STUDIES_MAX 2048u
#define STUDY_DEPTH 8u
#define TRIES_MAX 4096u /* then what was counts for half */
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

/* Steps that have passed are filled, and the study is the youngest. */
static void
advance(struct eng *e, struct study *s)
{
	const struct queue *q = pool_at(&e->queues, s->queue);
	uint32_t now = step_of(e), i;

	advance_span(e, s, q);
	if (s->at == now)
		return;
	if (now - s->at > STUDY_STEPS)
		s->at = now - STUDY_STEPS;
	while (s->at != now)
		s->step[++s->at % STUDY_STEPS] =
		    (struct study_step){ .due = q->fifo.n };
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

/* One more attempt, of a recipient that has had n with it. */
static void
count_try(struct study *s, uint32_t n, bool is_off)
{
	struct study_tries *t = &s->tries[n > 1];

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
	if (attempts != 0)
		count_try(s, attempts, false);
}

void
eng_study_later(struct eng *e, uint32_t queue, uint32_t attempts)
{
	const struct queue *q = pool_at(&e->queues, queue);
	struct study *s = pool_at(&e->studies, q->study);

	advance(e, s);
	s->step[s->at % STUDY_STEPS].later += attempts <= 1;
	s->step[s->at % STUDY_STEPS].again += attempts > 1;
	count_try(s, attempts, true);
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
