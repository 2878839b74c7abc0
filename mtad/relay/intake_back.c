/*
 * relay/intake_back.c - mail for ourselves: bounces and complaints that come to
 * the domains of `inbound`.
 *
 * Such a message has one recipient of ours, which says what it is about, and goes
 * alone: a client with more of them is told to come again (RFC 5321 4.5.3.1.10),
 * as it would be at a limit of recipients. Where it is forwarded the address for
 * that is its second recipient, from the beginning: both are durable together.
 */
#include "relay/intake_i.h"
#include "relay/relay.h"

static bool
is_one_too_many(struct intake *in)
{
	smtp_srv_reply(&in->srv, 452, "4.5.3",
	    SL("Too many recipients, this one apart"));
	return false;
}

bool
intake_back_beside(struct intake *in)
{
	return in->back == NULL || is_one_too_many(in);
}

static void
read_address(struct intake *in, const struct conf_inbound *at,
    struct back_to *to)
{
	const struct keyring *keys =
	    in->ops->keys ? in->ops->keys(in->ctx) : NULL;

	back_read(in->srv.path.local, at, keyring_returns(keys, at),
	    in->wall_us, to);
	if (to->check != RETURN_OTHER && in->ops->returned != NULL)
		in->ops->returned(in->ctx, to->check);
}

/* Takes the slots; false: there are none. */
static bool
reserve(struct intake *in, int64_t nrcpt)
{
	if (!gate_take(&in->gate->backs_free, 1))
		return false;
	if (gate_take(&in->gate->rcpts_free, nrcpt))
		return true;
	gate_give(&in->gate->backs_free, 1);
	return false;
}

static void
let_in(struct intake *in, const struct conf_inbound *at)
{
	struct slice to = in->srv.path.address;
	uint32_t n = at->forward.n > 0 ? 2 : 1;

	if (!reserve(in, n)) {
		intake_refuse(in, to, STAGE_RCPT, 452, "4.3.1",
		    SL("Queue is full, try again later"));
		return;
	}
	if (intake_rcpt_add(in, to, NOTIFY_NEVER) ||
	    (n == 2 && intake_rcpt_add(in, at->forward, NOTIFY_NEVER))) {
		buf_reset(&in->rcpts);
		gate_give(&in->gate->backs_free, 1);
		gate_give(&in->gate->rcpts_free, n);
		smtp_srv_reply(&in->srv, 452, "4.5.3",
		    SL("Too many recipients"));
		return;
	}
	in->nrcpt = n;
	in->back = at;
	in->back_n = 0;
	smtp_srv_reply(&in->srv, 250, "2.1.5", SL("Recipient ok"));
}

bool
intake_back_rcpt(struct intake *in)
{
	struct slice to = in->srv.path.address;
	const struct conf_inbound *at =
	    conf_inbound_find(in->conf, in->srv.path.domain);
	struct back_to what;

	if (at == NULL)
		return false;
	if (in->nrcpt > 0) {
		(void)is_one_too_many(in);
		return true;
	}
	read_address(in, at, &what);
	if (what.check == RETURN_EXPIRED)
		intake_refuse(in, to, STAGE_RCPT, 550, "5.7.1",
		    SL("Return path has expired"));
	else if (what.use == BACK_NONE)
		intake_refuse(in, to, STAGE_RCPT, 550, "5.1.1",
		    SL("No such address here"));
	else if (in->srv.wishes.size > at->size_max)
		intake_refuse(in, to, STAGE_RCPT, 552, "5.3.4",
		    SL("Message too big"));
	else
		let_in(in, at);
	return true;
}

bool
intake_back_has_room(struct intake *in, size_t n)
{
	in->back_n += n;
	return in->back_n <= in->back->size_max;
}

void
intake_back_end(struct intake *in, bool is_given)
{
	if (in->back != NULL && !is_given)
		gate_give(&in->gate->backs_free, 1);
	in->back = NULL;
}
