/*
 * relay/intake_sign.c - what an inbound session does for a message that is signed
 * (relay/sign.h): it begins with the header, and ends before the commit.
 */
#include "relay/intake_i.h"
#include "relay/relay.h"

/* What of the body stands behind the header already is hashed at once. */
static bool
begin(struct intake *in, struct buf *b)
{
	struct parcel *p = in->parcel;
	struct slice all = slice_skip(buf_slice(b), in->trace_n);
	struct slice body = slice_skip(all, in->header_n), tenant;
	const struct keyring *keys = in->ops->keys(in->ctx);

	if (keys == NULL)
		return true;
	intake_steer(in); /* whose message it is */
	tenant = in->tenant[0] ? slice_str(in->tenant) : in->given.tenant;
	if (signing_begin(&p->signing, keys, slice_of(all.p, in->header_n),
		tenant, in->wall_us))
		return false;
	if (slice_has_prefix(body, SL("\r\n")))
		body = slice_skip(body, 2);
	if (p->signing)
		signing_body(p->signing, body);
	return true;
}

const struct intake_refusal *
intake_take_header(struct intake *in, struct buf *b)
{
	static const struct intake_refusal busy = { 452, "4.3.1",
		SL("Busy, try again later") };
	const struct intake_refusal *r = intake_read_header(in, b);

	if (!r->code && in->back == NULL)
		r = intake_submit(in, b);
	if (r->code || in->conf->dkim.nkeys == 0 || !in->ops->keys ||
	    in->back != NULL) /* what strangers wrote */
		return r;
	return begin(in, b) ? r : &busy;
}

bool
intake_gather(struct intake *in, struct parcel *p)
{
	struct slice header =
	    slice_of(buf_slice(&p->body).p, in->trace_n + in->header_n);
	struct slice *to = p->pieces;

	if (p->body.failed ||
	    (p->signing && signing_end(p->signing, header, in->wall_us)))
		return false;
	if (p->signing)
		*to++ = signing_top(p->signing);
	*to++ = buf_slice(&p->body);
	if (p->spill)
		*to++ = in->ops->spill_map(in->ctx, p->spill);
	p->commit.nbody = (uint32_t)(to - p->pieces);
	return !p->spill || to[-1].p;
}
