/*
 * engine/ages.c - how old the mail in a queue is: recipients by when their message
 * arrived, in parts of five minutes for two hours and of two hours for five days.
 *
 * Only queues that have a study are counted, and of them the recipients that came
 * since it began: each remembers in two bits which study has counted it, so that
 * it is not taken out of another's. O(1) for one that comes or leaves.
 */
#include "engine/engine_i.h"

static int64_t
part_of(int64_t us, int64_t part_us)
{
	return us >= 0 ? us / part_us : -1 - (-1 - us) / part_us;
}

static uint32_t *
slot(uint32_t *n, int64_t part)
{
	return &n[((uint64_t)part + (UINT64_C(1) << 62)) % AGE_PARTS];
}

/* What has become too old for a ring is its `old`. */
static void
ring_advance(struct age_ring *r, int64_t now)
{
	int64_t gone = MIN(now - r->at, (int64_t)AGE_PARTS);

	for (int64_t k = 1; k <= gone; k++) {
		uint32_t *n = slot(r->n, now - gone + k);

		r->old += *n;
		*n = 0;
	}
	r->at = now;
}

static uint32_t *
ring_slot(struct age_ring *r, int64_t now_us, int64_t arrival_us,
    int64_t part_us)
{
	int64_t now = part_of(now_us, part_us);
	int64_t part = MIN(part_of(arrival_us, part_us), now);

	ring_advance(r, now);
	return now - part < (int64_t)AGE_PARTS ? slot(r->n, part) : &r->old;
}

void
eng_ages_begin(struct eng *e, struct study *s)
{
	e->study_serial = e->study_serial % 3 + 1;
	s->serial = e->study_serial;
	s->fine.at = part_of(e->now, AGE_FINE_US);
	s->coarse.at = part_of(e->now, AGE_COARSE_US);
}

void
eng_ages_came(struct eng *e, uint32_t queue, struct rcpt *r, int64_t arrival_us)
{
	const struct queue *q = pool_at(&e->queues, queue);
	struct study *s = pool_at(&e->studies, q->study);

	r->aged = s->serial & 3;
	++*ring_slot(&s->fine, e->now, arrival_us, AGE_FINE_US);
	++*ring_slot(&s->coarse, e->now, arrival_us, AGE_COARSE_US);
}

void
eng_ages_left(struct eng *e, uint32_t queue, struct rcpt *r, int64_t arrival_us)
{
	const struct queue *q = pool_at(&e->queues, queue);
	struct study *s = pool_at(&e->studies, q->study);
	uint32_t *n;

	if (r->aged == 0 || r->aged != s->serial)
		return;
	r->aged = 0;
	n = ring_slot(&s->fine, e->now, arrival_us, AGE_FINE_US);
	*n -= *n != 0;
	n = ring_slot(&s->coarse, e->now, arrival_us, AGE_COARSE_US);
	*n -= *n != 0;
}

/* ---- what there is to see ----------------------------------------------------- */

/* Those of the last `parts` parts. */
static uint32_t
ring_sum(const struct age_ring *ring, int64_t now, uint32_t parts)
{
	struct age_ring r = *ring;
	uint32_t sum = 0;

	ring_advance(&r, now);
	for (uint32_t k = 0; k < parts; k++)
		sum += *slot(r.n, now - (int64_t)k);
	return sum;
}

static uint32_t
ring_all(const struct age_ring *r)
{
	uint32_t sum = r->old;

	for (uint32_t k = 0; k < AGE_PARTS; k++)
		sum += r->n[k];
	return sum;
}

void
eng_ages(const struct eng *e, uint32_t queue, int64_t now_us,
    struct eng_ages *out)
{
	static const int64_t edges_us[ENG_AGES] = { ENG_AGE_EDGES };
	const struct queue *q = pool_at(&e->queues, queue);
	const struct study *s;
	uint32_t before = 0, upto;

	*out = (struct eng_ages){ .unknown = q->depth };
	if (q->study == 0)
		return;
	s = pool_at(&e->studies, q->study);
	for (int i = 0; i < ENG_AGES; i++) {
		int64_t us = edges_us[i];

		if (us == TIME_NEVER)
			upto = ring_all(&s->coarse);
		else if (us <= AGE_FINE_US * AGE_PARTS)
			upto = ring_sum(&s->fine, part_of(now_us, AGE_FINE_US),
			    (uint32_t)(us / AGE_FINE_US));
		else
			upto =
			    ring_sum(&s->coarse, part_of(now_us, AGE_COARSE_US),
				(uint32_t)(us / AGE_COARSE_US));
		out->n[i] = upto - MIN(before, upto);
		before = MAX(before, upto);
	}
	out->unknown -= MIN(before, out->unknown);
}
