/*
 * check/ledger_out.c - flights, takings, outcomes and drops.
 */
#include "check/ledger_i.h"

#define LOCAL_REST_US (11 * US_PER_S)

static struct led_rcpt *
rcpt_at(struct led_inst *in, uint16_t number)
{
	ASSERT(number < in->nrcpt);
	return &in->rcpt[number];
}

void
led_fly(struct ledger *l, const struct led_inst *in, uint16_t rcpt,
    struct handle session)
{
	if (l->nflights == l->flight_cap) {
		l->flight_cap = MAX(2 * l->flight_cap, 64u);
		l->flight =
		    mem_grow(l->flight, l->flight_cap * sizeof(*l->flight));
		ASSERT(l->flight);
	}
	l->flight[l->nflights++] = (struct led_flight){
		{ (uint32_t)(in - l->inst), rcpt, false, l->now_us }, session
	};
}

bool
led_land(struct ledger *l, const struct led_inst *in, uint16_t rcpt,
    struct handle session)
{
	for (uint32_t i = 0; i < l->nflights; i++) {
		struct led_flight *f = &l->flight[i];

		if (&l->inst[f->ref.inst] == in && f->ref.rcpt == rcpt &&
		    handle_eq(f->session, session)) {
			*f = l->flight[--l->nflights];
			return true;
		}
	}
	return false;
}

uint32_t
led_pool(struct ledger *l, const struct msgid *id)
{
	const struct led_inst *in = led_by_id(l, id);

	return in ? in->pool : 0;
}

struct led_dest
led_dest(struct ledger *l, const struct msgid *id, uint16_t rcpt)
{
	struct led_inst *in = led_by_id(l, id);
	const struct led_rcpt *c = rcpt_at(in, rcpt);

	return (struct led_dest){ in->n, c->site * LED_DOMAINS + c->number };
}

/* Who was greylisted, or met a block, is seen from the same source again. */
static void
keeps_source(const struct led_inst *in, struct led_rcpt *c, uint8_t source)
{
	if (c->pin != 0 && c->pin != source)
		check_fail("who was greylisted or blocked keeps its source",
		    in->n,
		    "m%u r%u is assigned to source %u|it was refused at source "
		    "%u for what that is",
		    in->n, c->k, source - 1u, c->pin - 1u);
	c->from = source;
}

bool
led_pinned(struct ledger *l, const struct msgid *id, uint16_t rcpt,
    uint32_t *source, int64_t *since_us)
{
	struct led_inst *in = led_by_id(l, id);
	const struct led_rcpt *c = in ? rcpt_at(in, rcpt) : NULL;

	if (c == NULL || c->pin == 0)
		return false;
	*source = c->pin - 1u;
	*since_us = c->pin_us;
	return true;
}

void
led_let_go(struct ledger *l, const struct msgid *id, uint16_t rcpt)
{
	rcpt_at(led_by_id(l, id), rcpt)->pin = 0;
}

void
led_unpin(struct ledger *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		for (uint32_t k = 0; k < l->inst[i].nrcpt; k++)
			l->inst[i].rcpt[k].pin = l->inst[i].rcpt[k].from = 0;
}

void
led_assigned(struct ledger *l, const struct job *j, uint32_t source)
{
	struct led_inst *in = led_by_id(l, &j->id);

	if (!in || in->state != LED_DURABLE || !in->with_core)
		check_fail("only what is durable is sent", in ? in->n : 0,
		    "m%u is assigned|it is not with the core", in ? in->n : 0);
	for (uint32_t i = 0; i < j->n; i++) {
		struct led_rcpt *c = rcpt_at(in, j->rcpt[i].number);

		if (c->klass != OUTCOME_NONE)
			check_fail("exactly one final outcome", in->n,
			    "m%u r%u is assigned again|its final outcome was "
			    "%s",
			    in->n, c->k,
			    outcome_name((enum outcome_class)c->klass));
		if (c->is_flying)
			check_fail("one flight at a time", in->n,
			    "m%u r%u is assigned|it is in a session already",
			    in->n, c->k);
		if (in->is_aside)
			check_fail("what is set aside is not sent", in->n,
			    "m%u r%u is assigned|its record is set aside",
			    in->n, c->k);
		if (c->is_held)
			check_fail("what is held stays", in->n,
			    "m%u r%u is assigned|an operator holds it", in->n,
			    c->k);
		keeps_source(in, c, (uint8_t)(source + 1));
		led_time_assigned(l, in, c);
		c->is_flying = true;
		c->is_waived = false;
		c->flights++;
		led_fly(l, in, j->rcpt[i].number, j->session);
		led_note(l, "assigned", in, j->rcpt[i].number, SL(""));
	}
	led_share_served(l, in, rcpt_at(in, j->rcpt[0].number));
}

/* It is tried again: rules that know better may say so of a 5xx. */
static bool
is_again(const struct outcome *o)
{
	return o->klass == OUTCOME_TRANSIENT ||
	    (o->klass == OUTCOME_BOUNCED && !o->judged.is_hard);
}

/* A refusal after which it shall be seen from the same address again. */
static bool
pins(const struct outcome *o)
{
	return o->is_judged && is_again(o) &&
	    (o->judged.kind == KIND_GREYLIST || o->judged.scope == SCOPE_PATH ||
		o->judged.scope == SCOPE_SOURCE ||
		o->judged.scope == SCOPE_NETBLOCK);
}

static bool
pins_for_sure(const struct outcome *o)
{
	if (!o->is_judged || !is_again(o))
		return false;
	if (o->judged.kind == KIND_GREYLIST)
		return true;
	return o->judged.kind == KIND_THROTTLE &&
	    o->judged.scope == SCOPE_SOURCE;
}

/* The flight is over; may a receiver have taken it? */
static void
landed(struct ledger *l, struct led_inst *in, struct led_rcpt *c, bool in_doubt,
    const struct outcome *o)
{
	char text[64];

	c->is_flying = false;
	c->told_us = l->now_us;
	c->is_pinned |= pins(o);
	if (pins_for_sure(o)) {
		c->pin = c->from;
		c->pin_us = l->now_us;
	}
	/* A fault of ours: the engine gives it a rest and writes nothing. */
	if (o->stage == STAGE_LOCAL)
		c->told_us += LOCAL_REST_US;
	snprintf(text, sizeof(text), "%s %u at %s%s",
	    outcome_name((enum outcome_class)o->klass), o->code,
	    stage_name((enum stage)o->stage), in_doubt ? ", in doubt" : "");
	led_note(l, "result", in, (int32_t)(c - in->rcpt), slice_str(text));
	if (o->klass == OUTCOME_DELIVERED) {
		if (!c->taken)
			check_fail("delivered is what a receiver took", in->n,
			    "m%u r%u is reported as delivered|no receiver took "
			    "it",
			    in->n, c->k);
		return;
	}
	if (in_doubt)
		return;
	c->flights--;
	if (c->taken > c->flights)
		check_fail("a second delivery has a reason", in->n,
		    "an attempt for m%u r%u ends as %s without doubt|a "
		    "receiver has taken it in that attempt",
		    in->n, c->k, text);
}

void
led_result(struct ledger *l, const struct job *j, bool passes)
{
	struct led_inst *in = led_by_id(l, &j->id);

	ASSERT(in);
	for (uint32_t i = 0; i < j->n; i++) {
		struct led_rcpt *c = rcpt_at(in, j->rcpt[i].number);

		c->is_passed = passes;
		if (led_land(l, in, j->rcpt[i].number, j->session))
			landed(l, in, c, j->in_doubt, &j->rcpt[i].outcome);
	}
}

void
led_session_down(struct ledger *l, struct handle session)
{
	struct outcome o = { .klass = OUTCOME_UNSENT };

	for (uint32_t i = 0; i < l->nflights;) {
		struct led_flight f = l->flight[i];
		struct led_inst *in = &l->inst[f.ref.inst];

		if (!handle_eq(f.session, session)) {
			i++;
			continue;
		}
		l->flight[i] = l->flight[--l->nflights];
		landed(l, in, rcpt_at(in, f.ref.rcpt), false, &o);
	}
}

/* The id that our Received field, or a notice's Message-ID, gives. */
static struct led_inst *
inst_of_body(struct ledger *l, struct slice body, bool is_notice)
{
	const char *before = is_notice ? "Message-ID: <" : " id ";
	const char *hit =
	    memmem(body.p, MIN(body.n, 2048u), before, strlen(before));
	struct msgid id;

	hit = hit ? hit + strlen(before) : NULL;
	if (!hit || hit + MSGID_TEXT_MAX - 1 > body.p + body.n ||
	    msgid_parse(slice_of(hit, MSGID_TEXT_MAX - 1), &id))
		return NULL;
	return led_by_id(l, &id);
}

static void
take(struct ledger *l, struct led_inst *in, struct led_rcpt *c)
{
	led_note(l, "taken", in, (int32_t)(c - in->rcpt), SL(""));
	l->sums.taken++;
	if (++c->taken > c->flights)
		check_fail("a second delivery has a reason", in->n,
		    "a receiver takes m%u r%u for the %u. time|only %u "
		    "attempts can have brought it",
		    in->n, c->k, c->taken, c->flights);
	if (c->taken < 2)
		return;
	l->sums.second++;
	l->marks->n[c->is_reverted ? MARK_second_delivery_by_crash :
				     MARK_second_delivery_by_lost_reply]++;
}

void
led_taken(struct ledger *l, struct slice recipient, struct slice body)
{
	uint32_t n, k;
	bool is_sender, ours = led_address(recipient, &n, &k, &is_sender);
	struct led_inst *in = inst_of_body(l, body, ours && is_sender);

	if (!in || !ours || in->n != n || in->is_notice != is_sender)
		check_fail("what arrives was accepted", in ? in->n : 0,
		    "a receiver takes a message for %.*s|no such message was "
		    "accepted",
		    SLF(recipient));
	for (uint32_t i = 0; i < in->nrcpt; i++)
		if (in->rcpt[i].k == k) {
			if (in->is_notice)
				l->marks->n[MARK_notice_delivered]++;
			take(l, in, &in->rcpt[i]);
			return;
		}
	check_fail("what arrives was accepted", n,
	    "a receiver takes m%u for r%u|that recipient is not in its "
	    "envelope",
	    n, k);
}

/* ---- outcomes ----------------------------------------------------------------- */

static void
mark_final(struct ledger *l, const struct led_inst *in, uint8_t klass)
{
	static const enum mark marks[OUTCOME_N] = {
		[OUTCOME_DELIVERED] = MARK_delivered,
		[OUTCOME_BOUNCED] = MARK_bounced,
		[OUTCOME_EXPIRED] = MARK_expired,
		[OUTCOME_ADMIN] = MARK_admin_bounced,
		[OUTCOME_DELETED] = MARK_deleted,
	};

	l->marks->n[marks[klass]]++;
	l->sums.ever[klass]++;
	if (in->is_notice && klass == OUTCOME_BOUNCED)
		l->marks->n[MARK_notice_bounced]++;
	if (in->is_notice && klass == OUTCOME_EXPIRED)
		l->marks->n[MARK_notice_expired]++;
}

static void
final(struct ledger *l, struct led_inst *in, struct led_rcpt *c,
    const struct spool_rcpt *r)
{
	uint8_t klass = r->outcome.klass;
	bool must = led_must_tell(in, c, klass);

	if (klass == OUTCOME_NONE || klass >= OUTCOME_N ||
	    klass == OUTCOME_TRANSIENT || klass == OUTCOME_UNSENT)
		check_fail("a final outcome is final", in->n,
		    "m%u r%u is over|as %u", in->n, c->k, klass);
	if (r->is_owed != must)
		check_fail(must ? "who must be told is told" :
				  "nobody else is told",
		    in->n,
		    "m%u r%u ends as %s, its sender is %s|a notice is "
		    "%sowed",
		    in->n, c->k, outcome_name((enum outcome_class)klass),
		    in->is_null ? "null" : "not null",
		    r->is_owed ? "" : "not ");
	if (klass == OUTCOME_DELIVERED && !c->taken)
		check_fail("delivered is what a receiver took", in->n,
		    "m%u r%u is written down as delivered|no receiver took it",
		    in->n, c->k);
	led_check_late(l, in, c);
	c->klass = klass;
	c->is_owed = r->is_owed;
	c->is_durable = c->is_held = false;
	l->marks->n[MARK_told_relayed] +=
	    r->is_owed && klass == OUTCOME_DELIVERED;
	mark_final(l, in, klass);
}

void
led_outcome(struct ledger *l, struct handle slot, uint16_t rcpt,
    const struct spool_rcpt *r)
{
	struct led_inst *in = led_by_slot(l, slot);
	struct led_rcpt *c;
	char text[80];

	if (!in || in->state != LED_DURABLE)
		check_fail("outcomes are of what is queued", in ? in->n : 0,
		    "an outcome for m%u|it is not queued", in ? in->n : 0);
	c = rcpt_at(in, rcpt);
	snprintf(text, sizeof(text), "%s %u at %s, %s, due %.3f",
	    outcome_name((enum outcome_class)r->outcome.klass), r->outcome.code,
	    stage_name((enum stage)r->outcome.stage),
	    r->is_final ? "final" : "open",
	    r->due_us == TIME_NEVER || r->due_us == 0 ?
		0.0 :
		(double)(r->due_us - l->wall_us + l->now_us) / US_PER_S);
	led_note(l, "outcome", in, rcpt, slice_str(text));
	if (c->klass != OUTCOME_NONE)
		check_fail("exactly one final outcome", in->n,
		    "m%u r%u gets an outcome: %s|it was over as %s", in->n,
		    c->k, text, outcome_name((enum outcome_class)c->klass));
	c->told_us = l->now_us;
	led_time_outcome(l, in, c, r);
	if (r->is_final)
		final(l, in, c, r);
	led_pend(l, in, rcpt, r->is_final);
}

void
led_dropped(struct ledger *l, struct handle slot)
{
	struct led_inst *in = led_by_slot(l, slot);

	if (!in || in->state != LED_DURABLE)
		check_fail("what is dropped is queued", in ? in->n : 0,
		    "the core drops m%u|it is not queued", in ? in->n : 0);
	led_note(l, "drop", in, -1, SL(""));
	for (uint32_t i = 0; i < in->nrcpt && !in->is_aside; i++) {
		const struct led_rcpt *c = &in->rcpt[i];

		if (c->klass == OUTCOME_NONE)
			check_fail("what is dropped is over", in->n,
			    "m%u is dropped|r%u has no final outcome", in->n,
			    c->k);
		/* A start may find its notice later, and looks then. */
		if (c->is_owed && !c->paid && !l->is_scanning)
			check_fail("every owed notice exists exactly once",
			    in->n,
			    "m%u is dropped|the notice for r%u is owed and "
			    "does not exist",
			    in->n, c->k);
	}
	in->state = LED_OVER;
	led_slot_clear(l, in);
}

static void
called_off(struct ledger *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (l->inst[i].state == LED_FAILED)
			l->inst[i].is_called_off = true;
	l->has_failed = false;
}

void
led_durable(struct ledger *l, uint64_t n)
{
	uint32_t k = 0;

	while (k < l->npending && l->ndurable + k < n) {
		struct led_ref *p = &l->pending[k++];
		struct led_inst *in = &l->inst[p->inst];

		if (p->is_final)
			in->rcpt[p->rcpt].is_durable = true;
	}
	l->ndurable += k;
	l->npending -= k;
	if (l->npending)
		memmove(l->pending, l->pending + k,
		    l->npending * sizeof(*l->pending));
	if (l->has_failed)
		called_off(l);
}

int64_t
led_unsynced_us(const struct ledger *l)
{
	return l->npending ? l->now_us - l->pending[0].at_us : 0;
}

void
led_retry_now(struct ledger *l, struct slice domain)
{
	for (uint32_t i = 0; i < l->n; i++) {
		struct led_inst *in = &l->inst[i];

		if (in->state != LED_DURABLE)
			continue;
		for (uint32_t k = 0; k < in->nrcpt; k++)
			if (!domain.n ||
			    slice_ieq(domain, slice_str(in->rcpt[k].domain))) {
				in->rcpt[k].due_us = 0;
				in->rcpt[k].is_waived = true;
			}
	}
}
