/*
 * world/packet.c - DNS messages, octet by octet.
 *
 * An answer's header is written last, when the counts are known; record data
 * lengths are patched in place. The question always stands at offset 12, so
 * an owner name that equals it is the pointer C0 0C.
 */
#include "world/packet.h"

#define HEADER_BYTES 12
#define OPT_BYTES 11
#define LABEL_MAX 63
#define FLAG_QR 0x8000
#define FLAG_AA 0x0400
#define FLAG_TC 0x0200
#define FLAG_RD 0x0100
#define FLAG_RA 0x0080
#define OPCODE_MASK 0x7800

/* ---- reading ------------------------------------------------------------------- */

static uint16_t
get16(const char *p)
{
	const uint8_t *b = (const uint8_t *)p;

	return (uint16_t)(b[0] << 8 | b[1]);
}

/* A name without pointers at the front of *in; moves *in behind it. */
static int
name_parse(struct slice *in, struct dns_query *q)
{
	q->name_n = 0;
	while (in->n > 0) {
		uint8_t n = (uint8_t)in->p[0];

		*in = slice_skip(*in, 1);
		if (n == 0) {
			q->name[q->name_n] = '\0';
			return 0;
		}
		if (n > LABEL_MAX || n > in->n ||
		    (size_t)q->name_n + n + 1 > DNS_NAME_MAX)
			return E_PROTO;
		if (q->name_n > 0)
			q->name[q->name_n++] = '.';
		for (uint8_t i = 0; i < n; i++)
			q->name[q->name_n++] = ascii_lower(in->p[i]);
		*in = slice_skip(*in, n);
	}
	return E_PROTO;
}

/* The OPT record, where it is the only thing behind the question: that is how
 * every client sends it. */
static void
opt_parse(struct slice rest, uint16_t additional, struct dns_query *q)
{
	q->udp_max = DNS_UDP_PLAIN;
	if (additional == 0 || rest.n < OPT_BYTES || rest.p[0] != 0 ||
	    get16(rest.p + 1) != DNS_OPT)
		return;
	q->has_edns = true;
	q->udp_max = get16(rest.p + 3);
	q->udp_max = MAX(q->udp_max, (uint16_t)DNS_UDP_PLAIN);
	q->udp_max = MIN(q->udp_max, (uint16_t)DNS_UDP_MAX);
}

int
dns_query_parse(struct slice packet, struct dns_query *q)
{
	struct slice rest;
	uint16_t flags;

	memset(q, 0, offsetof(struct dns_query, name));
	q->name[0] = '\0';
	q->question = SL("");
	if (packet.n < HEADER_BYTES)
		return E_CORRUPT;
	q->id = get16(packet.p);
	flags = get16(packet.p + 2);
	if (flags & FLAG_QR)
		return E_CORRUPT;
	q->wants_recursion = flags & FLAG_RD;
	q->udp_max = DNS_UDP_PLAIN;
	q->opcode = flags & OPCODE_MASK;
	if (q->opcode != 0)
		return E_UNSUPPORTED;
	if (get16(packet.p + 4) != 1)
		return E_PROTO;
	rest = slice_skip(packet, HEADER_BYTES);
	if (name_parse(&rest, q) != 0 || rest.n < 4)
		return E_PROTO;
	q->type = get16(rest.p);
	q->klass = get16(rest.p + 2);
	rest = slice_skip(rest, 4);
	q->question =
	    slice_of(packet.p + HEADER_BYTES, packet.n - HEADER_BYTES - rest.n);
	opt_parse(rest, get16(packet.p + 10), q);
	return 0;
}

/* ---- writing ------------------------------------------------------------------- */

static void
put16(struct buf *b, uint16_t v)
{
	(void)buf_addc(b, (char)(v >> 8));
	(void)buf_addc(b, (char)v);
}

static void
put32(struct buf *b, uint32_t v)
{
	put16(b, (uint16_t)(v >> 16));
	put16(b, (uint16_t)v);
}

static void
patch16(struct buf *b, size_t at, uint16_t v)
{
	b->p[b->off + at] = (char)(v >> 8);
	b->p[b->off + at + 1] = (char)v;
}

static void
put_name(struct buf *b, struct slice name)
{
	while (name.n > 0) {
		struct slice label = slice_cut(&name, '.');
		size_t n = MIN(label.n, (size_t)LABEL_MAX);

		if (n == 0)
			continue;
		(void)buf_addc(b, (char)n);
		(void)buf_add(b, label.p, n);
	}
	(void)buf_addc(b, '\0');
}

void
dns_answer_begin(struct dns_answer_w *w, struct buf *out,
    const struct dns_query *q, size_t max)
{
	static const char zero[HEADER_BYTES];

	*w = (struct dns_answer_w){ .out = out, .base = out->n, .max = max };
	(void)buf_add(out, zero, sizeof(zero));
	(void)buf_adds(out, q->question);
}

/* The start of a record; returns where its data begins. */
static size_t
rr_begin(struct dns_answer_w *w, struct slice owner, enum dns_type type,
    uint32_t ttl)
{
	if (owner.n == 0)
		put16(w->out, 0xc000 | HEADER_BYTES);
	else
		put_name(w->out, owner);
	put16(w->out, (uint16_t)type);
	put16(w->out, 1); /* IN */
	put32(w->out, ttl);
	put16(w->out, 0);
	return w->out->n;
}

static void
rr_end(struct dns_answer_w *w, size_t data, uint16_t *count)
{
	/* OPT still has to fit behind. */
	if (w->out->failed || w->out->n - w->base + OPT_BYTES > w->max) {
		w->is_cut = true;
		return;
	}
	patch16(w->out, data - 2, (uint16_t)(w->out->n - data));
	(*count)++;
}

void
dns_answer_addr(struct dns_answer_w *w, struct slice owner, uint32_t ttl,
    const struct ip *ip)
{
	bool is_v6 = ip->family == 6;
	size_t data = rr_begin(w, owner, is_v6 ? DNS_AAAA : DNS_A, ttl);

	(void)buf_add(w->out, ip->b, is_v6 ? 16 : 4);
	rr_end(w, data, &w->answers);
}

void
dns_answer_name(struct dns_answer_w *w, struct slice owner, enum dns_type type,
    uint32_t ttl, struct slice target)
{
	size_t data = rr_begin(w, owner, type, ttl);

	put_name(w->out, target);
	rr_end(w, data, &w->answers);
}

void
dns_answer_mx(struct dns_answer_w *w, struct slice owner, uint32_t ttl,
    uint16_t pref, struct slice target)
{
	size_t data = rr_begin(w, owner, DNS_MX, ttl);

	put16(w->out, pref);
	put_name(w->out, target);
	rr_end(w, data, &w->answers);
}

void
dns_answer_txt(struct dns_answer_w *w, struct slice owner, uint32_t ttl,
    struct slice text)
{
	size_t data = rr_begin(w, owner, DNS_TXT, ttl);

	do {
		size_t n = MIN(text.n, (size_t)255);

		(void)buf_addc(w->out, (char)n);
		(void)buf_add(w->out, text.p, n);
		text = slice_skip(text, n);
	} while (text.n > 0);
	rr_end(w, data, &w->answers);
}

void
dns_answer_soa(struct dns_answer_w *w, struct slice owner, uint32_t ttl)
{
	/* serial, refresh, retry, expire; the last is RFC 2308's. */
	const uint32_t v[] = { 1, 3600, 600, 86400, ttl };
	size_t data = rr_begin(w, owner, DNS_SOA, ttl);

	put_name(w->out, SL("ns.sim.example"));
	put_name(w->out, SL("hostmaster.sim.example"));
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		put32(w->out, v[i]);
	rr_end(w, data, &w->authorities);
}

void
dns_answer_end(struct dns_answer_w *w, const struct dns_query *q,
    enum dns_rcode rcode)
{
	size_t at = w->base;
	uint16_t flags = FLAG_QR | FLAG_AA | q->opcode | (uint16_t)rcode;

	if (w->is_cut) {
		buf_cut(w->out, w->base + HEADER_BYTES + q->question.n);
		w->out->failed = false;
		w->answers = w->authorities = 0;
		flags |= FLAG_TC;
	}
	/* It knows the whole world, so it passes for a resolver as well. */
	if (q->wants_recursion)
		flags |= FLAG_RD | FLAG_RA;
	if (q->has_edns) {
		(void)buf_addc(w->out, '\0');
		put16(w->out, DNS_OPT);
		put16(w->out, DNS_UDP_MAX);
		put32(w->out, 0);
		put16(w->out, 0);
	}
	patch16(w->out, at, q->id);
	patch16(w->out, at + 2, flags);
	patch16(w->out, at + 4, q->question.n > 0);
	patch16(w->out, at + 6, w->answers);
	patch16(w->out, at + 8, w->authorities);
	patch16(w->out, at + 10, q->has_edns);
}
