/*
 * relay/intake_header.c - the header section of a message on its way in: the
 * fields that steer are read and taken out, hops are counted; and what no field
 * says is filled in from the route.
 *
 * A field that steers is believed only of a client that may relay, and one
 * that cannot be understood refuses the message: mail that would leave by the
 * wrong pool is worse than mail that its sender hears of.
 */
#include <stdio.h>

#include "relay/intake_i.h"
#include "relay/relay.h"

/* Of the value of a field that steers. */
#define TAG_MAX_BYTES IDEM_TEXT_MAX
#define TIME_MAX_US (366 * INT64_C(86400) * US_PER_S)

/* Takes a tag's value over, an unfolded text; false when it is none. */
typedef bool take_fn(struct intake *in, size_t at, struct slice value);

/* What is too long is not cut: two tenants must not become one. */
static bool
take_name(struct intake *in, size_t at, struct slice value)
{
	if (value.n > NAME_MAX_BYTES)
		return false;
	slice_copy(value, (char *)in + at, NAME_MAX_BYTES + 1);
	return true;
}

static bool
take_class(struct intake *in, size_t at, struct slice value)
{
	uint8_t *klass = (uint8_t *)in + at;

	if (slice_ieq(value, SL("transactional")))
		*klass = CLASS_HURRY;
	else if (slice_ieq(value, SL("bulk")))
		*klass = CLASS_BULK;
	else
		return false;
	return true;
}

static bool
take_yes(struct intake *in, size_t at, struct slice value)
{
	bool *is = (bool *)(void *)((char *)in + at);

	*is = slice_ieq(value, SL("yes"));
	return *is || slice_ieq(value, SL("no"));
}

/* A time, or how long from now; within a year. One that is past is now. */
static bool
take_time(struct intake *in, size_t at, struct slice value)
{
	int64_t *us = (int64_t *)(void *)((char *)in + at);

	if (parse_date_iso(value, us) != 0) {
		if (value.n > 0 && *value.p == '+')
			value = slice_skip(value, 1);
		if (parse_duration(value, us) != 0 || *us > TIME_MAX_US)
			return false;
		*us += in->wall_us;
	}
	*us = MAX(*us, in->wall_us);
	return *us - in->wall_us <= TIME_MAX_US;
}

/* One that came with the request already counts. */
static bool
take_key(struct intake *in, size_t at, struct slice value)
{
	(void)at;
	return in->key_n > 0 || intake_key_set(in, value);
}

enum header_fault {
	HEADER_FINE,
	HEADER_LOOPS,
	HEADER_BAD_TAG,
	HEADER_BAD_CLASS,
	HEADER_BAD_EXPIRES,
	HEADER_BAD_SCHEDULE,
	HEADER_NEVER,
	HEADER_BAD_ENGAGED,
	HEADER_BAD_KEY,
	HEADER_NO_POOL,
	HEADER_NO_ZONE
};

/* What the header fields that steer are read by; their names are configured. */
static const struct tag {
	size_t at; /* offset in struct intake */
	take_fn *take;
	enum header_fault fault; /* when it is none */
} tags[STEER_N] = {
	[STEER_TENANT] = { offsetof(struct intake, tenant), take_name,
	    HEADER_BAD_TAG },
	[STEER_CAMPAIGN] = { offsetof(struct intake, campaign), take_name,
	    HEADER_BAD_TAG },
	[STEER_POOL] = { offsetof(struct intake, pool), take_name,
	    HEADER_BAD_TAG },
	[STEER_ZONE] = { offsetof(struct intake, zone), take_name,
	    HEADER_BAD_TAG },
	[STEER_ENGAGED] = { offsetof(struct intake, is_engaged), take_yes,
	    HEADER_BAD_ENGAGED },
	[STEER_CLASS] = { offsetof(struct intake, klass), take_class,
	    HEADER_BAD_CLASS },
	[STEER_EXPIRES] = { offsetof(struct intake, expires_us), take_time,
	    HEADER_BAD_EXPIRES },
	[STEER_SCHEDULE] = { offsetof(struct intake, not_before_us), take_time,
	    HEADER_BAD_SCHEDULE },
	[STEER_KEY] = { offsetof(struct intake, key), take_key,
	    HEADER_BAD_KEY },
};

static const struct tag *
tag_of(const struct conf *c, struct slice name)
{
	for (size_t i = 0; i < STEER_N; i++)
		if (slice_ieq(name, c->steering[i]))
			return &tags[i];
	return NULL;
}

static bool
take_tag(struct intake *in, const struct tag *t, struct slice value)
{
	char text[TAG_MAX_BYTES + 2];
	size_t n = hdr_unfold(value, text, sizeof(text));

	for (size_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return n <= TAG_MAX_BYTES && t->take(in, t->at, slice_of(text, n));
}

/* What is wrong with a field; its name, as configured, stands before it. */
static const struct {
	int code;
	const char *enh;
	int field; /* enum conf_steer; STEER_N: the one that was met */
	const char *text;
} header_faults[] = {
	[HEADER_BAD_TAG] = { 550, "5.6.0", STEER_N,
	    "is no name of up to 64 characters" },
	[HEADER_BAD_CLASS] = { 550, "5.6.0", STEER_CLASS,
	    "is neither bulk nor transactional" },
	[HEADER_BAD_EXPIRES] = { 550, "5.6.0", STEER_EXPIRES,
	    "is no time (RFC 3339) or duration within a year" },
	[HEADER_BAD_SCHEDULE] = { 550, "5.6.0", STEER_SCHEDULE,
	    "is no time (RFC 3339) or duration within a year" },
	[HEADER_BAD_ENGAGED] = { 550, "5.6.0", STEER_ENGAGED,
	    "is neither yes nor no" },
	[HEADER_BAD_KEY] = { 550, "5.6.0", STEER_KEY,
	    "is no text of 1 to 255 characters" },
	[HEADER_NEVER] = { 550, "5.6.0", STEER_EXPIRES,
	    "is over before the message may be sent" },
	/* RFC 3463 3.4: as it is configured, this host cannot take it. Were
	 * it taken, it would wait for a pool that may never be. */
	[HEADER_NO_POOL] = { 554, "5.3.5", STEER_POOL,
	    "names no pool of this host" },
	[HEADER_NO_ZONE] = { 554, "5.3.5", STEER_ZONE,
	    "names no time zone that this host knows" },
};

/* RFC 8689 5: "No" is the one value there is. */
static bool
says_no(struct slice value)
{
	char text[8];

	return slice_ieq(slice_trim(slice_of(text,
			     hdr_unfold(value, text, sizeof(text)))),
	    SL("No"));
}

/*
 * The header section stands whole at body[trace_n ..): counts hops, and reads
 * and removes the tags of a client that we trust. One pass: what stays is moved
 * up behind what stayed before it.
 */
static enum header_fault
read_header(struct intake *in, struct buf *b)
{
	char *base = b->p + b->off, *to = base + in->trace_n;
	struct slice rest = slice_of(to, b->n - in->trace_n);
	enum header_fault fault = HEADER_FINE;
	uint32_t hops = 0;
	struct hdr h;

	in->header_done = true;
	while (hdr_next(&rest, &h)) {
		const struct tag *t =
		    in->may_relay ? tag_of(in->conf, h.name) : NULL;

		if (slice_ieq(h.name, SL("Received")))
			hops++;
		if (slice_ieq(h.name, SL("TLS-Required")))
			in->is_tls_optional = says_no(h.value);
		if (t && !take_tag(in, t, h.value)) {
			fault = t->fault;
			in->bad_field = (uint8_t)(t - tags);
		}
		if (t)
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
	if (hops > in->door->hops_max)
		return HEADER_LOOPS;
	if (!fault && in->expires_us != 0 &&
	    in->expires_us <= MAX(in->not_before_us, in->wall_us))
		return HEADER_NEVER;
	if (!fault && in->pool[0] &&
	    !conf_has_pool(in->conf, slice_str(in->pool)))
		return HEADER_NO_POOL;
	if (!fault && in->zone[0] &&
	    conf_zone_find(in->conf, slice_str(in->zone)) == in->conf->nzones)
		return HEADER_NO_ZONE;
	return fault;
}

const struct intake_refusal *
intake_read_header(struct intake *in, struct buf *b)
{
	static const struct intake_refusal fine,
	    loops = { 554, "5.4.6", SL("Too many hops") };
	enum header_fault fault = read_header(in, b);
	int field;

	if (fault == HEADER_FINE)
		return &fine;
	if (fault == HEADER_LOOPS)
		return &loops;
	field = header_faults[fault].field;
	field = field == STEER_N ? in->bad_field : field;
	snprintf(in->refusal_text, sizeof(in->refusal_text), "%.*s %s",
	    SLF(in->conf->steering[field]), header_faults[fault].text);
	in->refusal = (struct intake_refusal){ header_faults[fault].code,
		header_faults[fault].enh, slice_str(in->refusal_text) };
	return &in->refusal;
}

/* The route that all recipients have in common, or NULL. */
static const struct conf_route *
common_route(const struct intake *in)
{
	const char *at = NULL;
	const struct conf_route *common = NULL, *r;
	struct env_rcpt to;
	struct slice last = SL("");

	for (uint32_t i = 0; i < in->nrcpt; i++) {
		struct slice domain;

		at = intake_rcpt_next(in, at, &to);
		domain = mailbox_domain(to.address);
		if (i > 0 && slice_ieq(domain, last))
			continue;
		r = conf_route_find(in->conf, domain);
		if (r == NULL || (i > 0 && r != common))
			return NULL;
		common = r;
		last = domain;
	}
	return common;
}

void
steer_by_route(const struct conf *c, struct slice domain, struct steer *s)
{
	const struct conf_route *r;

	if (!c->routes_steer || (s->tenant.n && s->campaign.n && s->pool.n) ||
	    (r = conf_route_find(c, domain)) == NULL)
		return;
	if (!s->tenant.n)
		s->tenant = r->tenant;
	if (!s->campaign.n)
		s->campaign = r->campaign;
	if (!s->pool.n)
		s->pool = r->pool;
}

/* What neither a header field nor the listener says, the route does. Where
 * recipients are of several routes the envelope says nothing, and the core
 * asks each one's. */
void
intake_steer(struct intake *in)
{
	const struct conf_route *r;

	if (!in->conf->routes_steer || (r = common_route(in)) == NULL)
		return;
	if (!in->tenant[0] && !in->given.tenant.n)
		slice_copy(r->tenant, in->tenant, sizeof(in->tenant));
	if (!in->campaign[0] && !in->given.campaign.n)
		slice_copy(r->campaign, in->campaign, sizeof(in->campaign));
	if (!in->pool[0] && !in->given.pool.n)
		slice_copy(r->pool, in->pool, sizeof(in->pool));
}
