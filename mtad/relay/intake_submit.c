/*
 * relay/intake_submit.c - mail of its author's program (RFC 6409): what its header
 * lacks is added, what nobody should read is taken out, and an account sends as
 * those it may send as, and as much as it may.
 *
 * The body is not touched, and neither is a header in which nothing is missing.
 * Behind this the header is signed.
 */
#include "relay/intake_i.h"
#include "relay/relay.h"

#define ADDED_MAX 1024

static const struct intake_refusal fine = { 0 };

/* ---- accounts -------------------------------------------------------------------- */

void
intake_account_begin(struct intake *in, const struct conf_account *a)
{
	in->may_relay = true;
	in->who = a;
	steer_by_account(&in->given, a);
	in->limits = in->door->smtp;
	if (a->size_max > 0)
		in->limits.size_max = in->limits.size_max == 0 ?
		    a->size_max :
		    MIN(in->limits.size_max, a->size_max);
	if (a->rcpts_max > 0)
		in->limits.rcpts_max = MIN(in->limits.rcpts_max, a->rcpts_max);
	in->srv.conf = &in->limits;
}

bool
intake_account_mail(struct intake *in)
{
	const struct conf_account *a = in->who;
	struct slice from = slice_of(in->sender, in->sender_n);

	if (a == NULL)
		return false;
	if (from.n > 0 && !conf_account_may_be(a, from)) {
		intake_refuse(in, SL(""), STAGE_MAIL, 550, "5.7.1",
		    SL("You may not send as this sender"));
		return true;
	}
	if (a->rate > 0 && in->ops->may_send != NULL &&
	    !in->ops->may_send(in->ctx, a)) {
		intake_refuse(in, SL(""), STAGE_MAIL, 450, "4.7.1",
		    SL("Too many messages of yours, try again later"));
		return true;
	}
	return false;
}

/* Is each address of the From field one that the account may be? */
static const struct intake_refusal *
judge_from(const struct conf_account *a, struct slice value)
{
	static const struct intake_refusal foreign = { 550, "5.7.1",
		SL("You may not send as the address in From") };
	static const struct intake_refusal unclear = { 550, "5.6.0",
		SL("From holds what is no address") };
	char text[MAILBOX_MAX + 2];
	uint32_t found = 0;
	int n;

	while ((n = addrlist_next(&value, text)) > 0) {
		if (!conf_account_may_be(a, slice_of(text, (size_t)n)))
			return &foreign;
		found++;
	}
	return n < 0 || found == 0 ? &unclear : &fine;
}

/* ---- the header ------------------------------------------------------------------- */

static bool
is_unwanted(const struct conf_listen *door, struct slice name)
{
	if (submit_is_secret(name))
		return true;
	for (uint32_t i = 0; i < door->nstrip; i++)
		if (slice_ieq(name, door->strip[i]))
			return true;
	return false;
}

/* Sees all fields; where mail is submitted, takes out what is unwanted: what
 * stays is moved up behind what stayed before it. */
static void
sift(struct intake *in, struct buf *b, struct submit_look *look)
{
	char *base = b->p + b->off, *to = base + in->trace_n;
	struct slice rest = slice_of(to, b->n - in->trace_n);
	struct hdr h;

	while (hdr_next(&rest, &h)) {
		if (in->door->is_submission && is_unwanted(in->door, h.name))
			continue;
		if (to != h.whole.p)
			memmove(to, h.whole.p, h.whole.n);
		to += h.whole.n;
	}
	if (to != rest.p) {
		memmove(to, rest.p, rest.n);
		buf_cut(b, (size_t)(to - base) + rest.n);
	}
	in->header_n = (size_t)(to - base) - in->trace_n;
	rest = slice_of(base + in->trace_n, in->header_n);
	while (hdr_next(&rest, &h))
		submit_see(look, h.name, h.value);
}

/* Puts text between our trace field and the message. */
static bool
insert(struct intake *in, struct buf *b, struct slice text)
{
	size_t behind = b->n - in->trace_n;
	char *room = buf_room(b, text.n), *at;

	if (room == NULL)
		return false;
	at = room - behind;
	memmove(at + text.n, at, behind);
	memcpy(at, text.p, text.n);
	buf_grew(b, text.n);
	return true;
}

/* Adds what is missing; false: no memory. There is a header: it has a From, or the
 * pickup has seen to it. */
static bool
complete(struct intake *in, struct buf *b, const struct submit_look *look)
{
	struct submit_fill fill = { .unix_us = in->wall_us,
		.id = in->parcel->id,
		.hostname = in->door->smtp.hostname };
	struct buf added;
	bool is_done;

	if (in->header_n == 0)
		return true;
	buf_init(&added, ADDED_MAX);
	is_done = submit_add(&added, look, &fill) == 0 &&
	    insert(in, b, buf_slice(&added));
	if (is_done)
		in->header_n += added.n;
	buf_free(&added);
	return is_done;
}

const struct intake_refusal *
intake_submit(struct intake *in, struct buf *b)
{
	static const struct intake_refusal one_from = { 550, "5.6.0",
		SL("A message has one From field (RFC 5322 3.6)") };
	static const struct intake_refusal busy = { 452, "4.3.1",
		SL("Busy, try again later") };
	const struct intake_refusal *r = &fine;
	bool is_limited = in->who != NULL && in->who->nfrom > 0;
	struct submit_look look = { 0 };

	if (!in->door->is_submission && !is_limited)
		return &fine;
	sift(in, b, &look);
	if (look.nfrom != 1 && (is_limited || !in->door->is_local))
		return &one_from;
	if (is_limited)
		r = judge_from(in->who, look.from);
	if (!r->code && in->door->is_submission && !complete(in, b, &look))
		return &busy;
	return r;
}
