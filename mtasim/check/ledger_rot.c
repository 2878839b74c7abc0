/*
 * check/ledger_rot.c - bits that rot: a record that has gone bad costs at most
 * its own message, and that is told in the books.
 */
#include "check/ledger_i.h"

void
led_moved(struct ledger *l, struct handle slot, const struct spool_ref *ref)
{
	struct led_inst *in = led_by_slot(l, slot);

	if (!in)
		return;
	in->ref = *ref;
	led_note_ref(l, "moved", in);
}

bool
led_some_ref(const struct ledger *l, uint64_t number, struct spool_ref *out)
{
	for (uint32_t k = 0; k < l->n; k++) {
		const struct led_inst *in = &l->inst[(number + k) % l->n];

		if (in->state != LED_DURABLE || in->is_rotten ||
		    in->ref.file == l->last_file)
			continue;
		*out = in->ref;
		return true;
	}
	return false;
}

void
led_rot(struct ledger *l, uint32_t file, uint64_t from, uint64_t to)
{
	for (uint32_t i = 0; i < l->n; i++) {
		struct led_inst *in = &l->inst[i];

		if (in->state != LED_DURABLE || in->ref.file != file ||
		    in->ref.offset >= to ||
		    in->ref.offset + spool_record_bytes(&in->ref) <= from)
			continue;
		in->is_rotten = true;
		l->marks->n[MARK_rotten]++;
		led_note(l, "ROTTEN", in, -1, SL("its record has gone bad"));
	}
}

void
led_damaged(struct ledger *l, struct handle slot, struct slice book)
{
	struct led_inst *in = led_by_slot(l, slot);
	char id[MSGID_TEXT_MAX];

	if (!in || in->state != LED_DURABLE || !in->is_rotten)
		check_fail("only what has gone bad is set aside",
		    in ? in->n : 0,
		    "m%u is set aside as damaged|nothing is wrong with it",
		    in ? in->n : 0);
	msgid_format(id, &in->id);
	if (!memmem(book.p, book.n, id, strlen(id)))
		check_fail("what is set aside stands in the books", in->n,
		    "m%u is set aside|no line names its id %s", in->n, id);
	in->is_aside = true;
	l->marks->n[MARK_set_aside]++;
	led_note(l, "set-aside", in, -1, SL(""));
}
