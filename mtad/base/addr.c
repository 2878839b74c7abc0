/*
 * base/addr.c - reading and writing addresses. The C library's two text
 * functions know the grammar; around them stand the bounds: no zone, no NUL
 * inside, nothing left over.
 */
#include <arpa/inet.h>

#include "base/base.h"

#define PORT_MAX 65535

static unsigned
ip_bytes(const struct ip *ip)
{
	return ip->family == 4 ? 4 : ip->family == 6 ? 16 : 0;
}

/* An address of one family; no brackets. */
static int
ip_parse_as(struct slice s, uint8_t family, struct ip *out)
{
	char text[IP_TEXT_MAX];
	struct ip ip = { .family = family };

	if (s.n >= sizeof(text) || slice_index(s, '\0') < s.n)
		return E_SYNTAX;
	slice_copy(s, text, sizeof(text));
	if (inet_pton(family == 4 ? AF_INET : AF_INET6, text, ip.b) != 1)
		return E_SYNTAX;
	*out = ip;
	return 0;
}

int
ip_parse(struct slice s, struct ip *out)
{
	if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		return ip_parse_as(slice_of(s.p + 1, s.n - 2), 6, out);
	return ip_parse_as(s, slice_index(s, ':') < s.n ? 6 : 4, out);
}

/* Each line of the event log has two; inet_ntop goes through printf for it. */
static size_t
ip4_format(char *dst, const uint8_t *b)
{
	size_t n = 0;

	for (int i = 0; i < 4; i++) {
		if (i > 0)
			dst[n++] = '.';
		n += fmt_u64(dst + n, b[i]);
	}
	dst[n] = '\0';
	return n;
}

size_t
ip_format(char *dst, const struct ip *ip)
{
	if (ip_bytes(ip) == 0)
		return slice_copy(SL("-"), dst, IP_TEXT_MAX);
	if (ip->family == 4)
		return ip4_format(dst, ip->b);
	inet_ntop(AF_INET6, ip->b, dst, IP_TEXT_MAX);
	return strlen(dst);
}

bool
ip_eq(const struct ip *a, const struct ip *b)
{
	return a->family == b->family && memcmp(a->b, b->b, ip_bytes(a)) == 0;
}

uint64_t
ip_hash(const struct ip *ip)
{
	return hash_bytes(ip->family, ip->b, ip_bytes(ip));
}

static int
port_parse(struct slice s, uint16_t *out)
{
	uint64_t port;

	if (s.n > 5 || slice_u64(s, PORT_MAX, &port) != 0)
		return E_SYNTAX;
	*out = (uint16_t)port;
	return 0;
}

/* Splits "addr:port", "[addr]:port", "addr": port.p is NULL without one. */
static void
endpoint_split(struct slice s, struct slice *ip, struct slice *port)
{
	size_t colon = slice_index(s, ':');

	*ip = s;
	*port = slice_of(NULL, 0);
	if (s.n > 0 && s.p[0] == '[') {
		colon = slice_index(s, ']') + 1;
		if (colon >= s.n || s.p[colon] != ':')
			return;
	} else if (slice_index(slice_skip(s, colon + 1), ':') <
	    slice_skip(s, colon + 1).n) {
		return; /* a second colon: IPv6 without port */
	}
	if (colon < s.n) {
		ip->n = colon;
		*port = slice_skip(s, colon + 1);
	}
}

int
endpoint_parse(struct slice s, uint16_t default_port, struct endpoint *out)
{
	struct endpoint e = { .port = default_port };
	struct slice ip, port;

	endpoint_split(s, &ip, &port);
	if (ip_parse(ip, &e.ip) != 0)
		return E_SYNTAX;
	if (port.p == NULL && default_port == 0)
		return E_SYNTAX;
	if (port.p != NULL && port_parse(port, &e.port) != 0)
		return E_SYNTAX;
	*out = e;
	return 0;
}

size_t
endpoint_format(char *dst, const struct endpoint *e)
{
	char ip[IP_TEXT_MAX];
	bool is_v6 = e->ip.family == 6;

	ip_format(ip, &e->ip);
	return (size_t)snprintf(dst, ENDPOINT_TEXT_MAX, "%s%s%s:%u",
	    is_v6 ? "[" : "", ip, is_v6 ? "]" : "", e->port);
}

/* The mask of byte i of a prefix of some bits. */
static uint8_t
prefix_mask(unsigned bits, unsigned i)
{
	if (bits >= 8 * (i + 1))
		return 0xff;
	return bits <= 8 * i ? 0 : (uint8_t)(0xff00u >> (bits - 8 * i));
}

/*
 * What an IPv4-mapped address (RFC 4291 2.5.5.2) stands for: the same as IPv4.
 * Others as they are.
 */
static struct ip
ip_unmapped(const struct ip *ip)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
	struct ip v4 = { .family = 4 };

	if (ip->family != 6 || memcmp(ip->b, prefix, sizeof(prefix)) != 0)
		return *ip;
	memcpy(v4.b, ip->b + sizeof(prefix), 4);
	return v4;
}

int
cidr_parse(struct slice s, struct cidr *out)
{
	struct slice addr = slice_cut(&s, '/');
	struct ip ip;
	uint64_t bits;

	if (ip_parse(addr, &ip) != 0)
		return E_SYNTAX;
	bits = 8 * ip_bytes(&ip);
	if (s.p != NULL && slice_u64(s, bits, &bits) != 0)
		return E_SYNTAX;
	for (unsigned i = 0; i < ip_bytes(&ip); i++)
		if (ip.b[i] & ~prefix_mask((unsigned)bits, i))
			return E_RANGE;
	/* A mapped prefix without host bits has at least 96 bits. */
	out->ip = ip_unmapped(&ip);
	out->bits = (uint8_t)(bits - 8 * (ip_bytes(&ip) - ip_bytes(&out->ip)));
	return 0;
}

bool
cidr_has(const struct cidr *c, const struct ip *ip)
{
	struct ip a = ip_unmapped(ip);

	if (c->ip.family != a.family || a.family == 0)
		return false;
	for (unsigned i = 0; i < ip_bytes(&a); i++)
		if ((a.b[i] ^ c->ip.b[i]) & prefix_mask(c->bits, i))
			return false;
	return true;
}

bool
cidrs_have(const struct cidr *v, uint32_t n, const struct ip *ip)
{
	for (uint32_t i = 0; i < n; i++)
		if (cidr_has(&v[i], ip))
			return true;
	return false;
}

size_t
cidr_format(char *dst, const struct cidr *c)
{
	char ip[IP_TEXT_MAX];
	bool is_host = c->bits == 8 * ip_bytes(&c->ip);

	ip_format(ip, &c->ip);
	if (is_host)
		return slice_copy(slice_str(ip), dst, ENDPOINT_TEXT_MAX);
	return (size_t)snprintf(dst, ENDPOINT_TEXT_MAX, "%s/%u", ip, c->bits);
}
