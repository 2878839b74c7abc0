/*
 * sim/host_stop.c - an orderly stop, as in the daemon's worker and verb_run:
 * new mail is told to come again, transactions under way may end until the
 * time is over, and all that is known is written down.
 */
#include "sim/host_i.h"

#define LOOK_US (50 * US_PER_MS)

void
host_stop(struct sim *s)
{
	struct host *h = s->host;
	bool again = h->is_stopping;

	if (!h->is_up)
		return;
	h->is_stopping = true;
	h->stop_at_us = again ?
	    s->now_us :
	    s->now_us + rng_range(dice(s, DICE_HOST), 0, 30) * US_PER_S;
	atomic_store(&h->gate.is_stopping, true);
	core_stop(h->core);
	inbound_stop(h);
	outbound_stop(h, again);
	actor_wake(&h->in);
	actor_wake(&h->out);
	sim_timer_set(s, &h->stop, s->now_us + LOOK_US);
}

/* The spooler's last turn, when its thread is over; then the process is. */
static void
end(struct host *h)
{
	struct sim *s = h->s;

	outbound_stop(h, true);
	inbound_close(h);
	core_turn(h);
	spooler_end(h);
	if (!h->disk.is_dead) {
		spool_close(h->spool);
		h->spool = NULL;
	}
	if (h->disk.is_dead) {
		host_crash(s);
		return;
	}
	books_write(h);
	keep_stop(h);
	books_crash(h, false); /* the next life counts from one */
	led_stopped(s->ledger, sim_disk_is_ill(&h->disk));
	story_add(s->story, "STOPPED", 0, -1, SL(""));
	s->marks->n[MARK_stopped]++;
	host_gone(h);
}

void
host_stop_look(void *arg)
{
	struct host *h = arg;
	struct sim *s = h->s;
	bool is_idle =
	    list_is_empty(&h->in_list) && h->waiting == 0 && h->sess_live == 0;

	if (!is_idle && s->now_us < h->stop_at_us)
		sim_timer_set(s, &h->stop, s->now_us + LOOK_US);
	else if (h->fiber.is_parked) /* its thread is waited for */
		sim_timer_set(s, &h->stop, s->now_us + LOOK_US);
	else {
		s->marks->n[MARK_stop_cut_short] += !is_idle;
		end(h);
	}
}
