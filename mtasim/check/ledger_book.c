/*
 * check/ledger_book.c - the event log: whoever heard a 250 finds his message in
 * it, whatever was killed when.
 *
 * The log may lose lines that the clerk did not write in time, or that the power
 * took: of what is over by then nobody can write them again. Nor does a start
 * where a commit took about as long as it looks back.
 */
#include "check/ledger_i.h"

static struct slice
field(struct slice line, const char *name)
{
	const char *hit = memmem(line.p, line.n, name, strlen(name));

	return hit ? slice_skip(line, (size_t)(hit - line.p) + strlen(name)) :
		     slice_of("", 0);
}

static void
read_line(struct ledger *l, struct slice line, bool has)
{
	struct slice id = field(line, "\"id\":\"");
	struct slice rcpt = field(line, "\"rcpt\":");
	struct led_inst *in;
	struct msgid m;
	uint32_t n;

	if (!slice_has_prefix(line, SL("{\"type\":\"Reception\"")))
		return;
	if (msgid_parse(slice_cut(&id, '"'), &m) || !led_number(&rcpt, &n) ||
	    !(in = led_by_id(l, &m)) || n >= in->nrcpt || in->is_notice)
		check_fail("a Reception is of what was committed", 0,
		    "the log has: %.*s|nobody committed that", SLF(line));
	in->rcpt[n].is_booked = has;
}

void
led_booked(struct ledger *l, struct slice lines, bool has)
{
	while (lines.n)
		read_line(l, slice_cut(&lines, '\n'), has);
}

/* All that is left to do for it, if anything, is to commit its notice. */
static bool
is_final(const struct led_inst *in)
{
	for (uint32_t k = 0; k < in->nrcpt; k++)
		if (in->rcpt[k].klass == OUTCOME_NONE)
			return false;
	return true;
}

void
led_excuse_lines(struct ledger *l, enum led_excuse who)
{
	for (uint32_t i = 0; i < l->n; i++) {
		struct led_inst *in = &l->inst[i];
		bool all = true;

		for (uint32_t k = 0; k < in->nrcpt; k++)
			all &= in->rcpt[k].is_booked;
		if (all)
			continue;
		in->has_no_line |= who == LED_ALL || in->is_slow;
		in->may_be_over |=
		    who == LED_OVER_ONES && (is_final(in) || !led_is_open(in));
	}
}

void
led_lines(struct ledger *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		const struct led_inst *in = &l->inst[i];

		if (!in->said_250 || in->has_no_line || in->may_be_over ||
		    in->is_rotten)
			continue;
		for (uint32_t k = 0; k < in->nrcpt; k++)
			if (!in->rcpt[k].is_booked)
				check_fail("every acknowledged message has its "
					   "Reception",
				    in->n,
				    "m%u r%u was answered 250|no line of the "
				    "event log tells of it",
				    in->n, in->rcpt[k].k);
	}
}
