/*
 * net/dns_packet.c - what a look-up needs of a DNS answer (RFC 1035 4.1), from
 * hostile bytes: bounded, with compression pointers that only go backwards.
 */
#include "net/dns_i.h"

#define NAME_JUMPS 32

/* Reads the name at *at into dst (text, no dot at the end, "" for the root);
 * *at moves behind it. */
static bool
read_name(struct slice pkt, size_t *at, char dst[DOMAIN_TEXT_MAX])
{
	size_t p = *at, n = 0, limit = pkt.n;
	bool jumped = false;

	for (int jumps = 0; jumps < NAME_JUMPS;) {
		uint8_t len;

		if (p >= pkt.n)
			return false;
		len = (uint8_t)pkt.p[p];
		if ((len & 0xc0) == 0xc0) {
			size_t to;

			if (p + 1 >= pkt.n)
				return false;
			to = (size_t)(len & 0x3f) << 8 | (uint8_t)pkt.p[p + 1];
			if (!jumped)
				*at = p + 2;
			if (to >= MIN(p, limit))
				return false; /* only backwards */
			limit = p;
			jumped = true;
			p = to;
			jumps++;
			continue;
		}
		if (len & 0xc0)
			return false;
		p++;
		if (len == 0) {
			if (!jumped)
				*at = p;
			dst[n ? n - 1 : 0] = '\0';
			return true;
		}
		if (p + len > pkt.n || n + len + 1 >= DOMAIN_TEXT_MAX)
			return false;
		for (uint8_t i = 0; i < len; i++, p++) {
			char c = ascii_lower(pkt.p[p]);

			/* What is no host name cannot be one: never met. */
			dst[n++] = c > 32 && c < 127 ? c : '?';
		}
		dst[n++] = '.';
	}
	return false;
}

static uint32_t
get(struct slice pkt, size_t at, int bytes)
{
	uint32_t v = 0;

	for (int i = 0; i < bytes; i++)
		v = v << 8 | (uint8_t)pkt.p[at + (size_t)i];
	return v;
}

static void
take_mx(struct slice pkt, size_t at, size_t end, struct dns_rrs *out)
{
	struct dns_mx *m = &out->mx[out->nmx];

	if (at + 3 > end || out->nmx == DNS_RRS_MAX)
		return;
	m->pref = (uint16_t)get(pkt, at, 2);
	at += 2;
	if (read_name(pkt, &at, m->name))
		out->nmx++;
}

static void
take_ip(struct slice pkt, size_t at, size_t end, struct dns_rrs *out)
{
	struct ip *ip = &out->ip[out->nip];
	size_t n = end - at;

	if ((n != 4 && n != 16) || out->nip == DNS_RRS_MAX)
		return;
	memset(ip, 0, sizeof(*ip));
	memcpy(ip->b, pkt.p + at, n);
	ip->family = n == 4 ? 4 : 6;
	out->nip++;
}

/* One that does not fit has no matching type that exists, so that it is seen
 * and not used. */
static void
take_tlsa(struct slice pkt, size_t at, size_t end, struct tlsa_set *out)
{
	size_t n = end - at;

	if (n < 3 || out->n == TLSA_MAX)
		return;
	n -= 3;
	out->rec[out->n].usage = (uint8_t)pkt.p[at];
	out->rec[out->n].selector = (uint8_t)pkt.p[at + 1];
	out->rec[out->n].matching = (uint8_t)pkt.p[at + 2];
	if (n > sizeof(out->data) - out->used) {
		out->rec[out->n].matching = UINT8_MAX;
		n = 0;
	}
	out->rec[out->n].at = out->used;
	out->rec[out->n].bytes = (uint16_t)n;
	memcpy(out->data + out->used, pkt.p + at + 3, n);
	out->used = (uint16_t)(out->used + n);
	out->n++;
}

/* Its strings are one text (RFC 7208 3.3 says so, RFC 8461 3.1 after it). What
 * is no printable ASCII is nothing that we look for. */
static void
take_txt(struct slice pkt, size_t at, size_t end, struct dns_records *out)
{
	size_t n = out->txt_n;

	while (at < end) {
		size_t len = (uint8_t)pkt.p[at++];

		if (len > end - at || len + 1 > sizeof(out->txt) - n)
			return;
		for (size_t i = 0; i < len; i++, at++) {
			if (pkt.p[at] < 32 || pkt.p[at] > 126)
				return;
			out->txt[n++] = pkt.p[at];
		}
	}
	if (n == out->txt_n)
		return;
	out->txt[n++] = '\n';
	out->txt_n = n;
}

static void
take(struct slice pkt, uint16_t type, size_t at, size_t end,
    struct dns_rrs *out)
{
	if (type == DNS_TYPE_MX)
		take_mx(pkt, at, end, out);
	else if (type != DNS_TYPE_TLSA && type != DNS_TYPE_TXT)
		take_ip(pkt, at, end, out);
	else if (out->records != NULL && type == DNS_TYPE_TLSA)
		take_tlsa(pkt, at, end, &out->records->tlsa);
	else if (out->records != NULL)
		take_txt(pkt, at, end, out->records);
}

/* A record: what stands before its data, and where that is. */
struct rr {
	uint16_t type;
	uint32_t ttl_s;
	size_t at, end;
};

/* Reads a record's head at *at, which moves behind the whole record. */
static bool
read_rr(struct slice pkt, size_t *at, char name[DOMAIN_TEXT_MAX], struct rr *r)
{
	if (!read_name(pkt, at, name) || *at + 10 > pkt.n)
		return false;
	r->type = (uint16_t)get(pkt, *at, 2);
	r->ttl_s = get(pkt, *at + 4, 4);
	r->at = *at + 10;
	r->end = r->at + get(pkt, *at + 8, 2);
	*at = r->end;
	return r->end <= pkt.n;
}

/* RFC 1035 3.3.13: two names, and MINIMUM is the last of five numbers. */
static void
take_soa(struct slice pkt, const struct rr *r, struct dns_rrs *out)
{
	char name[DOMAIN_TEXT_MAX];
	size_t at = r->at;

	if (!read_name(pkt, &at, name) || !read_name(pkt, &at, name) ||
	    at + 20 != r->end)
		return;
	out->negative_s = MIN(r->ttl_s, get(pkt, at + 16, 4));
}

int
dns_packet_read(struct slice pkt, uint16_t type, struct dns_rrs *out)
{
	char name[DOMAIN_TEXT_MAX];
	uint32_t nq, na, nauth;
	struct dns_records *records = out->records;
	size_t at = 12;
	struct rr r;

	memset(out, 0, sizeof(*out));
	out->records = records;
	if (records != NULL)
		records->tlsa.n = records->tlsa.used = records->txt_n = 0;
	out->ttl_s = out->negative_s = UINT32_MAX;
	if (pkt.n < 12)
		return E_CORRUPT;
	out->rcode = (uint8_t)pkt.p[3] & 0x0f;
	nq = get(pkt, 4, 2);
	na = get(pkt, 6, 2);
	nauth = get(pkt, 8, 2);
	while (nq-- > 0) {
		if (!read_name(pkt, &at, name) || at + 4 > pkt.n)
			return E_CORRUPT;
		at += 4;
	}
	for (; na > 0; na--) {
		if (!read_rr(pkt, &at, name, &r))
			return E_CORRUPT;
		out->ttl_s = MIN(out->ttl_s, r.ttl_s);
		if (r.type != type)
			continue;
		if (out->owner[0] == '\0')
			memcpy(out->owner, name, sizeof(name));
		take(pkt, type, r.at, r.end, out);
	}
	/* What is broken behind the answer hurts it no more. */
	for (; nauth > 0 && read_rr(pkt, &at, name, &r); nauth--)
		if (r.type == DNS_TYPE_SOA)
			take_soa(pkt, &r, out);
	return 0;
}
