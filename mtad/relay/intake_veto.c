/*
 * relay/intake_veto.c - recipients that must not be written to.
 *
 * At RCPT the tenant is the listener's, or the route's of the recipient's domain;
 * the message's header may name another one, and then those who were let through
 * are asked for again before the message is committed. One answer is then left for
 * all of them: a message is refused where nobody remains, and goes to the others
 * where somebody does.
 */
#include <stdio.h>

#include "relay/intake_i.h"
#include "relay/relay.h"

#define REASON_MAX 256
#define TEXT_MAX (REASON_MAX + 64)

static void
book(struct intake *in, struct slice to, struct slice tenant, enum veto v,
    enum stage stage, struct slice reason)
{
	struct buf *out = in->ops->book(in->ctx);
	struct book_entry e;

	if (!out)
		return;
	book_entry_init(&e, BOOK_SUPPRESSION);
	e.wall_us = in->wall_us;
	e.serial = in->ops->sequence(in->ctx);
	if (in->parcel) {
		e.id = in->parcel->id;
		e.has_id = true;
	}
	e.sender = slice_of(in->sender, in->sender_n);
	e.has_sender = true;
	e.recipient = to;
	e.tenant = tenant;
	e.listener = in->door->name;
	e.peer = in->peer;
	e.has_peer = !in->door->is_local;
	e.helo = slice_of(in->srv.helo, in->srv.helo_n);
	e.tls = slice_str(in->tls);
	e.outcome.code = v == VETO_DISCARD ? 250 : 550;
	e.outcome.enh = v == VETO_DISCARD ? (struct enh){ 2, 7, 1 } :
					    (struct enh){ 5, 7, 1 };
	e.outcome.stage = (uint8_t)stage;
	e.reason = reason;
	if (book_write(out, &e))
		return; /* no room: counted by the owner of the book */
}

static enum veto
ask(struct intake *in, struct slice tenant, struct slice to, enum stage stage,
    char *reason)
{
	enum veto v;

	reason[0] = '\0';
	v = in->ops->veto(in->ctx, tenant, to, reason, REASON_MAX);
	if (v == VETO_REJECT || v == VETO_DISCARD)
		book(in, to, tenant, v, stage, slice_str(reason));
	return v;
}

/* Of one recipient, so far as the header says nothing. */
static struct slice
tenant_of(const struct intake *in, struct slice to)
{
	struct steer s = { .tenant = in->given.tenant };

	steer_by_route(in->conf, mailbox_domain(to), &s);
	return s.tenant;
}

static void
answer(struct intake *in, enum veto v, const char *reason)
{
	char text[TEXT_MAX];

	if (v == VETO_LATER) {
		smtp_srv_reply(&in->srv, 451, "4.3.0",
		    SL("Suppression list cannot be read, try again later"));
		return;
	}
	if (v == VETO_DISCARD) {
		smtp_srv_reply(&in->srv, 250, "2.7.1",
		    SL("Recipient suppressed, discarded"));
		return;
	}
	snprintf(text, sizeof(text), "Recipient suppressed%s%s",
	    reason[0] ? ": " : "", reason);
	smtp_srv_reply(&in->srv, 550, "5.7.1", slice_str(text));
}

bool
intake_veto_rcpt(struct intake *in, struct slice to)
{
	char reason[REASON_MAX];
	enum veto v;

	if (!in->conf->suppression.is_on || in->ops->veto == NULL)
		return false;
	v = ask(in, tenant_of(in, to), to, STAGE_RCPT, reason);
	if (v == VETO_NONE)
		return false;
	answer(in, v, reason);
	return true;
}

/* Was it asked for with another tenant, or is it our postmaster? */
static bool
is_settled(const struct intake *in, struct slice to)
{
	return slice_eq(to, in->conf->postmaster) ||
	    slice_eq(tenant_of(in, to), slice_str(in->tenant));
}

/* Takes out those who are suppressed; VETO_NONE: some are left. */
static enum veto
sift(struct intake *in, char *reason)
{
	char *base = in->rcpts.p + in->rcpts.off, *to = base;
	const char *at = base, *next;
	uint32_t kept = 0, n = in->nrcpt;
	enum veto v = VETO_NONE, one;
	struct env_rcpt r;

	for (uint32_t i = 0; i < n && v != VETO_LATER; i++, at = next) {
		next = intake_rcpt_next(in, at, &r);
		one = is_settled(in, r.address) ?
		    VETO_NONE :
		    ask(in, slice_str(in->tenant), r.address, STAGE_EOM,
			reason);
		if (one != VETO_NONE) {
			v = one;
			continue;
		}
		memmove(to, at, (size_t)(next - at));
		to += next - at;
		kept++;
	}
	if (v == VETO_LATER || v == VETO_NONE)
		return v; /* all or nothing */
	gate_give(&in->gate->rcpts_free, n - kept);
	buf_cut(&in->rcpts, (size_t)(to - base));
	in->nrcpt = kept;
	return kept > 0 ? VETO_NONE : v;
}

bool
intake_veto_message(struct intake *in)
{
	char reason[REASON_MAX] = "";
	enum veto v = VETO_NONE;

	if (!in->conf->suppression.is_on || in->ops->veto == NULL ||
	    in->back != NULL)
		return false;
	if (in->nrcpt == 0) {
		answer(in, VETO_DISCARD, "");
		return true;
	}
	if (in->tenant[0])
		v = sift(in, reason);
	if (v == VETO_NONE)
		return false;
	answer(in, v, reason);
	return true;
}
