/*
 * proto/bounce_dsn.c - the fields of a delivery-status part, RFC 3464 2, with
 * the addresses of RFC 6533.
 *
 * A recipient begins with the first of its fields and ends with a blank line, or
 * where a field comes again that it may have but once. Senders of such parts fold,
 * quote and comment as they like; a line that is no field is passed over.
 *
 * The address is the final one, which is whose delivery failed, and the original
 * one is kept beside it. Where the final one is none that leads anywhere (a local
 * name without a domain, an X.400 path), the original one takes its place.
 */
#include "proto/bounce_i.h"
#include "proto/header.h"
#include "proto/reply.h"
#include "proto/syntax.h"

#define FIELDS_MAX 8192u

struct group {
	struct slice final, original, actual;
	struct slice action, status, remote;
	struct slice diagnostic[3];
	uint32_t ndiagnostics;
};

/* ---- addresses -------------------------------------------------------------------- */

/* The form of RFC 6533 3 in which an ASCII-only field says other letters:
 * "\x{E4}". Bytes that fit no such form stand for themselves. */
static void
add_unescaped(struct buf *out, struct slice s)
{
	while (s.n > 0) {
		size_t n = 0, digits = 0;
		uint32_t code = 0;

		if (slice_has_prefix(s, SL("\\x{")))
			for (n = 3; n < s.n && digits < 6 &&
			     strchr("0123456789abcdefABCDEF", s.p[n]) != NULL &&
			     s.p[n] != '\0';
			     n++, digits++)
				code = code << 4 |
				    (uint32_t)(ascii_is_digit(s.p[n]) ?
					    s.p[n] - '0' :
					    ascii_lower(s.p[n]) - 'a' + 10);
		if (digits == 0 || n == s.n || s.p[n] != '}' ||
		    code > 0x10FFFF || code < 0x20) {
			buf_addc(out, s.p[0]);
			s = slice_skip(s, 1);
			continue;
		}
		mime_char(out, code);
		s = slice_skip(s, n + 1);
	}
}

/* As it is: blanks within quotes are a part of it. */
static struct slice
keep_address(struct reading *r, struct slice address)
{
	char *copy = arena_str(&r->out->memory, address.p, address.n);

	return copy != NULL ? slice_of(copy, address.n) : slice_of("", 0);
}

/* "rfc822; <a@b> (comment)": the address in it, or nothing. Fields without a type
 * are met. */
static struct slice
address_of(struct reading *r, struct slice value)
{
	struct slice type = value, rest = value, address;

	type = slice_trim(slice_cut(&rest, ';'));
	if (rest.p == NULL)
		rest = value;
	buf_reset(&r->scratch);
	if (slice_ieq(type, SL("utf-8")))
		add_unescaped(&r->scratch, slice_trim(rest));
	else
		buf_adds(&r->scratch, slice_trim(rest));
	rest = buf_slice(&r->scratch);
	/* As a whole first: what has quotes or other scripts in it is an
	 * address here, while in a text it would be a guess. */
	address = slice_trim(rest);
	if (address.n > 2 && address.p[0] == '<' &&
	    address.p[address.n - 1] == '>')
		address = slice_of(address.p + 1, address.n - 2);
	if (mailbox_is_valid(address, true) || bounce_address(&rest, &address))
		return keep_address(r, address);
	return slice_of("", 0);
}

/* ---- one recipient --------------------------------------------------------------- */

static enum bounce_action
action_of(const struct group *g, struct enh status)
{
	for (int a = 0; a < BOUNCE_ACTION_N; a++)
		if (slice_has_iprefix(g->action,
			slice_str(bounce_action_name((enum bounce_action)a))))
			return (enum bounce_action)a;
	if (slice_has_iprefix(g->action, SL("delay")))
		return BOUNCE_DELAYED;
	if (slice_has_iprefix(g->action, SL("deliver")) ||
	    (g->action.n == 0 && status.klass == 2))
		return BOUNCE_DELIVERED;
	return BOUNCE_FAILED;
}

/* The status of the field; the one of the diagnostic where the field says no more
 * than that it failed. */
static void
choose_status(const struct group *g, struct bounce_rcpt *x)
{
	struct enh said = { 0 }, field = { 0 };
	struct slice status = g->status;
	uint16_t code = 0;

	bounce_codes(x->diagnostic, &x->code, &said);
	bounce_codes(status, &code, &field);
	if (field.klass == 0 && enh_parse(&status, &field) != 0)
		field = (struct enh){ 0 };
	if (x->code == 0)
		x->code = code;
	x->enh = field;
	if (field.klass == 0 ||
	    (field.subject == 0 && field.detail == 0 &&
		said.klass == field.klass))
		x->enh = said.klass != 0 ? said : field;
	x->has_status = x->enh.klass != 0;
}

static struct slice
diagnostic_of(struct reading *r, const struct group *g)
{
	buf_reset(&r->scratch);
	for (uint32_t i = 0; i < g->ndiagnostics; i++) {
		struct slice s = g->diagnostic[i], type = s;

		type = slice_trim(slice_cut(&s, ';'));
		/* "smtp;", "X-Postfix;": who says it. Not a sentence's own. */
		if (s.p == NULL || type.n > 20 ||
		    slice_index(type, ' ') < type.n ||
		    slice_index(type, '.') < type.n)
			s = g->diagnostic[i];
		if (r->scratch.n > 0)
			buf_addc(&r->scratch, ' ');
		buf_adds(&r->scratch, slice_trim(s));
	}
	return bounce_keep(r, buf_slice(&r->scratch), BOUNCE_DIAG_MAX);
}

/* Is the name in front of the final address's @ all that it has of an address?
 * Then the original message may say which domain it belongs to. */
static struct slice
address_of_name(struct reading *r, struct slice value)
{
	struct slice name = value, rest = buf_slice(&r->original), address;
	struct slice type = slice_cut(&name, ';');

	if (name.p == NULL)
		name = type;
	name = slice_trim(name);
	if (name.n > 2 && name.p[0] == '<' && name.p[name.n - 1] == '>')
		name = slice_of(name.p + 1, name.n - 2);
	while (name.n > 0 && bounce_address(&rest, &address))
		if (address.n > name.n && address.p[name.n] == '@' &&
		    slice_ieq(slice_of(address.p, name.n), name))
			return keep_address(r, address);
	return slice_of("", 0);
}

/* Has its domain a dot, so that it may be one of the internet? */
static bool
is_reachable(struct slice address)
{
	struct slice domain = slice_skip(address, slice_index(address, '@'));

	return slice_index(domain, '.') < domain.n ||
	    slice_index(domain, '[') < domain.n;
}

static void
add_group(struct reading *r, const struct group *g)
{
	struct slice final = address_of(r, g->final);
	struct slice original = address_of(r, g->original);
	struct slice address = final;
	struct bounce_rcpt *x;
	struct slice type;

	if (g->final.n + g->original.n + g->actual.n == 0)
		return;
	if (address.n == 0 || (!is_reachable(address) && original.n > 0))
		address = original;
	if (address.n == 0)
		address = address_of(r, g->actual);
	if (address.n == 0)
		address = address_of_name(r, g->final);
	x = bounce_add(r, address);
	if (x == NULL)
		return;
	if (!slice_ieq(address, original))
		x->original = original;
	x->diagnostic = diagnostic_of(r, g);
	choose_status(g, x);
	x->action = (uint8_t)action_of(g, x->enh);
	type = g->remote;
	(void)slice_cut(&type, ';');
	x->remote_mta = bounce_keep(r, type.p != NULL ? type : g->remote, 255);
}

/* ---- fields ------------------------------------------------------------------------- */

static void
take_field(struct group *g, const struct hdr *h)
{
	static const struct {
		struct slice name;
		size_t at;
	} fields[] = {
		{ SL("Final-Recipient"), offsetof(struct group, final) },
		{ SL("Original-Recipient"), offsetof(struct group, original) },
		{ SL("X-Actual-Recipient"), offsetof(struct group, actual) },
		{ SL("Action"), offsetof(struct group, action) },
		{ SL("Status"), offsetof(struct group, status) },
		{ SL("Remote-MTA"), offsetof(struct group, remote) },
	};
	struct slice value = h->value;

	while (value.n > 0 && (uint8_t)value.p[0] <= ' ')
		value = slice_skip(value, 1);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (slice_ieq(h->name, fields[i].name))
			*(struct slice *)((char *)g + fields[i].at) = value;
	if (slice_ieq(h->name, SL("Diagnostic-Code")) &&
	    g->ndiagnostics < ARRAY_LEN(g->diagnostic))
		g->diagnostic[g->ndiagnostics++] = value;
}

/* Does a field begin another recipient than that of g? */
static bool
begins_group(const struct group *g, struct slice name)
{
	if (slice_ieq(name, SL("Final-Recipient")))
		return g->final.n > 0;
	if (slice_ieq(name, SL("Original-Recipient")))
		return g->original.n > 0 || g->action.n > 0;
	return false;
}

static void
end_group(struct reading *r, struct group *g)
{
	add_group(r, g);
	*g = (struct group){ 0 };
}

void
bounce_read_dsn(struct reading *r)
{
	struct slice rest = buf_slice(&r->dsn);
	struct group g = { 0 };
	struct hdr h;

	for (uint32_t n = 0; rest.n > 0 && n < FIELDS_MAX; n++) {
		if (!hdr_next(&rest, &h)) {
			struct slice line = bounce_line(&rest);

			/* A blank line within a recipient's fields is met
			 * before its diagnostic. */
			if (line.n == 0 && g.action.n + g.status.n > 0)
				end_group(r, &g);
			continue;
		}
		if (begins_group(&g, h.name))
			end_group(r, &g);
		take_field(&g, &h);
		if (slice_ieq(h.name, SL("X-Original-Message-ID")) &&
		    r->out->message_id.n == 0)
			r->out->message_id = bounce_keep(r, h.value, 998);
	}
	end_group(r, &g);
}
