/*
 * plan/trial_ask.c - what the engine foretells about its deepest queue at some
 * moment of a trial, and what comes of it.
 *
 * The messages that are in that queue then are marked, and the last of them that
 * is over is the truth. A look at the queue's depth a while later is the truth
 * about `grows`.
 */
#include "plan/trial_i.h"

static void
ask(struct trial *t, struct trial_ask *a, uint8_t mark)
{
	a->is_asked = true;
	if (!core_ask(t->core, 0, &a->row, &a->eta))
		return;
	for (uint32_t i = 1; i < t->mails.next_new; i++) {
		struct mail *m;

		if (!pool_is_live(&t->mails, i) ||
		    core_queue_of(t->core, pool_handle(&t->mails, i)) !=
			a->row.queue)
			continue;
		m = pool_at(&t->mails, i);
		m->asked |= mark;
		a->n++;
	}
	a->left = a->n;
}

static void
look(struct trial *t, struct trial_ask *a)
{
	struct eng_queue_row row;
	struct eng_eta eta;

	a->is_over = true;
	if (a->n != 0 && core_ask(t->core, a->row.queue, &row, &eta))
		a->depth_later = row.depth;
}

/* Sets the clock to a moment between two events. */
static void
go_to(struct trial *t, int64_t at)
{
	t->now = MAX(t->now, at);
	core_clock(t->core, t->now, t->now - START_US + WALL_US);
}

void
asks_due(struct trial *t, int64_t at)
{
	for (uint32_t i = 0; i < t->watch->nasks; i++) {
		struct trial_ask *a = &t->watch->asks[i];

		if (!a->is_asked && START_US + a->at_us < at) {
			go_to(t, START_US + a->at_us);
			ask(t, a, (uint8_t)(1u << i));
		}
		if (a->is_asked && !a->is_over &&
		    START_US + a->at_us + TRIAL_LATER_US < at) {
			go_to(t, START_US + a->at_us + TRIAL_LATER_US);
			look(t, a);
		}
	}
}

void
ask_left(struct trial *t, const struct mail *m)
{
	for (uint32_t i = 0; m->asked != 0 && i < t->watch->nasks; i++) {
		struct trial_ask *a = &t->watch->asks[i];

		if (!(m->asked >> i & 1))
			continue;
		if (--a->left == 0)
			a->gone_us = t->now - START_US;
	}
}

bool
asks_are_over(const struct trial *t)
{
	if (t->watch == NULL || t->watch->nasks == 0)
		return false;
	for (uint32_t i = 0; i < t->watch->nasks; i++) {
		const struct trial_ask *a = &t->watch->asks[i];

		if (!a->is_asked || !a->is_over || a->left != 0)
			return false;
	}
	return true;
}
