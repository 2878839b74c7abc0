/*
 * check/ledger_crash.c - what a start must find after the power was lost.
 */
#include "check/ledger_i.h"

void
led_crash(struct ledger *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		struct led_inst *in = &l->inst[i];

		in->was_found = in->with_core = false;
		if (in->state == LED_COMMITTING)
			in->state = LED_MAYBE;
		led_slot_clear(l, in);
		for (uint32_t k = 0; k < in->nrcpt; k++) {
			l->marks->n[MARK_crash_with_jobs] +=
			    in->rcpt[k].is_flying;
			in->rcpt[k].is_flying = false;
			l->marks->n[MARK_crash_owed_notice] +=
			    in->rcpt[k].is_owed && !in->rcpt[k].paid;
		}
	}
	l->npending = l->nflights = 0;
	led_share_reset(l);
	led_engaged_reset(l);
	led_unpin(l);
	l->ndurable = 0;
	l->has_failed = false;
}

void
led_stopped(struct ledger *l, bool is_ill)
{
	if (!is_ill)
		led_durable(l, UINT64_MAX);
}

/* Its notice's record, which holds the outcome that it tells, has gone bad. */
static bool
payer_is_rotten(const struct ledger *l, const struct led_rcpt *c)
{
	return c->paid && l->inst[c->payer - 1].is_rotten;
}

/* The recipient is open again: its outcome had not reached the medium. */
static void
revert(struct ledger *l, struct led_inst *in, struct led_rcpt *c)
{
	if (c->is_durable && !payer_is_rotten(l, c))
		check_fail("a durable outcome is not forgotten", in->n,
		    "a start finds m%u r%u open|it was over as %s, and that "
		    "was synced",
		    in->n, c->k, outcome_name((enum outcome_class)c->klass));
	l->marks->n[MARK_crash_forgot_outcome]++;
	l->sums.ever[c->klass]--;
	c->klass = OUTCOME_NONE;
	c->is_durable = c->is_owed = false;
	c->paid = 0;
	c->is_reverted = true;
}

static void
compare(struct ledger *l, struct led_inst *in, struct led_rcpt *c,
    const struct spool_rcpt *r)
{
	bool was_final = c->klass != OUTCOME_NONE;

	led_time_restored(l, in, c, r);
	if (!r->is_final && was_final)
		revert(l, in, c);
	if (r->is_final && !was_final && in->is_rotten) {
		c->klass = r->outcome.klass; /* set aside, in part */
		return;
	}
	if (r->is_final && !was_final)
		check_fail("no outcome is made up", in->n,
		    "a start finds m%u r%u over as %s|it was open", in->n, c->k,
		    outcome_name((enum outcome_class)r->outcome.klass));
	if (!r->is_final)
		return;
	if (r->outcome.klass != c->klass)
		check_fail("outcomes are kept as they were", in->n,
		    "a start finds m%u r%u over as %s|it ended as %s", in->n,
		    c->k, outcome_name((enum outcome_class)r->outcome.klass),
		    outcome_name((enum outcome_class)c->klass));
	c->is_durable = true;
}

/* A commit that failed was found, and is called off there: nobody was told
 * that it was taken, and nothing is paid by it. */
static bool
is_called_off(struct led_inst *in, const struct spool_found *f)
{
	for (uint32_t i = 0; i < f->nrcpt; i++)
		if (!f->rcpts[i].is_final ||
		    f->rcpts[i].outcome.klass != OUTCOME_DELETED)
			return false;
	for (uint32_t i = 0; i < f->nrcpt; i++) {
		in->rcpt[i].klass = OUTCOME_DELETED;
		in->rcpt[i].is_durable = true;
	}
	in->is_called_off = true;
	return true;
}

void
led_found(struct ledger *l, const struct spool_found *f)
{
	struct led_inst *in = led_by_id(l, &f->id);

	if (!in)
		check_fail("what is found was committed", 0,
		    "a start finds a message|nobody ever committed it");
	if (in->was_found)
		check_fail("what is found is found once", in->n,
		    "a start finds m%u twice|it is one message", in->n);
	if (f->nrcpt != in->nrcpt)
		check_fail("what is found is as it was", in->n,
		    "a start finds m%u with %u recipients|it had %u", in->n,
		    f->nrcpt, in->nrcpt);
	l->is_scanning = true;
	in->was_found = true;
	in->may_be_over = false; /* the start writes its lines */
	in->is_aside = false;    /* that was not synced */
	in->ref = f->ref;
	in->submitted_us = l->now_us;
	led_note_ref(l, "found", in);
	led_slot_set(l, in, f->slot);
	if (in->state == LED_FAILED && is_called_off(in, f)) {
		in->state = LED_DURABLE;
		return;
	}
	if (in->state == LED_FAILED && in->is_called_off)
		check_fail("what was called off does not come back", in->n,
		    "a start finds m%u, whose commit had failed|that it is "
		    "called off was synced",
		    in->n);
	if (in->state == LED_LOST)
		check_fail("what was lost stays lost", in->n,
		    "a start finds m%u|an earlier start did not", in->n);
	if (in->state == LED_FAILED || in->state == LED_MAYBE)
		led_pay(l, in);
	in->state = LED_DURABLE;
	for (uint32_t i = 0; i < f->nrcpt; i++) {
		in->with_core |= !f->rcpts[i].is_final || f->rcpts[i].is_owed;
		compare(l, in, &in->rcpt[i], &f->rcpts[i]);
		in->rcpt[i].found_owed = f->rcpts[i].is_owed;
		in->rcpt[i].was_owed = in->rcpt[i].is_owed;
	}
}

/* Gone without being over? Its last outcomes may have reached the medium. */
static void
missing(struct ledger *l, struct led_inst *in)
{
	if (in->is_rotten && led_is_open(in)) {
		in->state = LED_OVER;
		in->is_aside = true;
		l->marks->n[MARK_set_aside_at_start]++;
		return;
	}
	for (uint32_t i = 0; i < in->nrcpt; i++) {
		const struct led_rcpt *c = &in->rcpt[i];

		if (c->klass == OUTCOME_NONE || (c->is_owed && !c->paid))
			check_fail("what was accepted is kept", in->n,
			    "a start does not find m%u%s|it was durable%s, and "
			    "r%u is open",
			    in->n, in->is_notice ? " (a notice)" : "",
			    in->said_250 ? " and acknowledged" : "", c->k);
	}
	for (uint32_t i = 0; i < in->nrcpt; i++)
		in->rcpt[i].is_durable = true;
	in->state = LED_OVER;
}

/* Debts are looked at when all is found: a notice may come after what it
 * pays for. */
static void
compare_debts(struct ledger *l, struct led_inst *in)
{
	for (uint32_t i = 0; i < in->nrcpt; i++) {
		struct led_rcpt *c = &in->rcpt[i];

		if (c->found_owed && payer_is_rotten(l, c))
			c->paid = 0;
		if (c->found_owed != (c->was_owed && !c->paid))
			check_fail("every owed notice exists exactly once",
			    in->n,
			    "a start finds that a notice for m%u r%u is "
			    "%sowed|%s",
			    in->n, c->k, c->found_owed ? "" : "not ",
			    c->paid ? "it exists already" :
				      "it does not exist yet");
	}
}

void
led_scanned(struct ledger *l)
{
	l->is_scanning = false;
	for (uint32_t i = 0; i < l->n; i++) {
		struct led_inst *in = &l->inst[i];

		/* It was. */
		in->has_no_line |= in->may_be_over && !in->was_found;
		if (in->was_found)
			compare_debts(l, in);
		else if (in->state == LED_MAYBE)
			in->state = LED_LOST;
		else if (in->state == LED_DURABLE)
			missing(l, in);
		else if (in->state == LED_FAILED)
			in->state = LED_LOST;
	}
}
