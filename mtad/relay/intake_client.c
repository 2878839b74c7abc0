/*
 * relay/intake_client.c - who the client is, where that is not its address.
 *
 * XCLIENT, as Postfix documents it (XCLIENT_README): a proxy that has been
 * named in the configuration says for whom it speaks. Attributes stand as
 * NAME=value, xtext, with blanks between them; [UNAVAILABLE] and [TEMPUNAVAIL]
 * are no values. Of them we use ADDR, PORT and LOGIN, and take the others.
 */
#include "relay/intake_i.h"
#include "relay/relay.h"

#define VALUE_MAX 320

struct xclient {
	struct endpoint peer;
	bool login;
};

/* false: the value is none. */
static bool
take_address(struct xclient *x, struct slice value)
{
	struct ip ip;
	bool is_v6 = slice_has_iprefix(value, SL("IPV6:"));

	if (is_v6)
		value = slice_skip(value, 5);
	if (ip_parse(value, &ip) != 0 || (ip.family == 6) != is_v6)
		return false;
	x->peer.ip = ip;
	return true;
}

static bool
take_port(struct xclient *x, struct slice value)
{
	uint64_t n;

	if (slice_u64(value, UINT16_MAX, &n) != 0)
		return false;
	x->peer.port = (uint16_t)n;
	return true;
}

static bool
take_login(struct xclient *x, struct slice value)
{
	x->login = value.n > 0;
	return true;
}

static bool
take_none(struct xclient *x, struct slice value)
{
	(void)x;
	(void)value;
	return true;
}

static bool
take_attribute(struct xclient *x, struct slice name, struct slice value)
{
	static const struct {
		struct slice name;
		bool (*take)(struct xclient *x, struct slice value);
	} known[] = { { { "ADDR", 4 }, take_address },
		{ { "PORT", 4 }, take_port }, { { "LOGIN", 5 }, take_login },
		{ { "NAME", 4 }, take_none }, { { "HELO", 4 }, take_none },
		{ { "PROTO", 5 }, take_none }, { { "DESTADDR", 8 }, take_none },
		{ { "DESTPORT", 8 }, take_none } };
	struct buf text;
	bool is_ok = false;

	if (slice_ieq(value, SL("[UNAVAILABLE]")) ||
	    slice_ieq(value, SL("[TEMPUNAVAIL]")))
		value = SL("");
	buf_init(&text, VALUE_MAX);
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (slice_ieq(name, known[i].name))
			is_ok = value.n == 0 ||
			    (xtext_decode(value, &text) == 0 &&
				known[i].take(x, buf_slice(&text)));
	buf_free(&text);
	return is_ok;
}

void
intake_xclient(struct intake *in)
{
	struct xclient x = { .peer = in->peer };
	struct slice rest = in->srv.xclient, name, value;

	while (smtp_param_next(&rest, &name, &value)) {
		if (take_attribute(&x, name, value))
			continue;
		smtp_srv_reply(&in->srv, 501, "5.5.4",
		    SL("Attribute is not known, or malformed"));
		return;
	}
	in->peer = x.peer;
	intake_trust(in);
	in->may_relay |= x.login;
	smtp_srv_xclient_done(&in->srv, x.login);
}
