/*
 * proto/proxy.c - reads PROXY headers, and writes those of version 2.
 *
 * Version 1 is a line of at most 107 bytes, version 2 begins with 12 bytes that
 * no text protocol does. Both are judged as soon as they differ from either, so
 * that a client that sends something else is not waited for.
 */
#include "proto/proxy.h"

#define V1_MAX 107 /* with CRLF */
#define V1_MIN 15  /* "PROXY UNKNOWN" CRLF */
#define V2_HEAD 16

static const struct slice v1 = { "PROXY ", 6 };
static const struct slice v2 = { "\r\n\r\n\0\r\nQUIT\n", 12 };

/* Is in the front of a text, or the text the front of in? */
static bool
agrees(struct slice in, struct slice with)
{
	return memcmp(in.p, with.p, MIN(in.n, with.n)) == 0;
}

static int
port_read(struct slice s, uint16_t *port)
{
	uint64_t n;

	if (slice_u64(s, UINT16_MAX, &n) != 0)
		return E_SYNTAX;
	*port = (uint16_t)n;
	return 0;
}

/* "TCP4 192.0.2.1 192.0.2.2 56324 25" */
static int
v1_read(struct slice line, struct proxy_header *out)
{
	struct slice family = slice_cut(&line, ' ');
	struct slice from = slice_cut(&line, ' '), to = slice_cut(&line, ' ');
	struct slice from_port = slice_cut(&line, ' ');
	uint8_t want = slice_eq(family, SL("TCP4")) ? 4 : 6;

	if (slice_eq(family, SL("UNKNOWN")))
		return 0;
	if ((want == 6 && !slice_eq(family, SL("TCP6"))) ||
	    ip_parse(from, &out->from.ip) != 0 ||
	    ip_parse(to, &out->to.ip) != 0 || out->from.ip.family != want ||
	    out->to.ip.family != want ||
	    port_read(from_port, &out->from.port) != 0 ||
	    port_read(line, &out->to.port) != 0)
		return E_SYNTAX;
	out->is_proxied = true;
	return 0;
}

static int
v1_take(struct slice in, struct proxy_header *out)
{
	size_t n = slice_index(slice_of(in.p, MIN(in.n, (size_t)V1_MAX)), '\n');

	if (n >= V1_MAX)
		return E_SYNTAX;
	if (n == in.n)
		return 0;
	if (in.p[n - 1] != '\r' ||
	    v1_read(slice_of(in.p + v1.n, n - 1 - v1.n), out) != 0)
		return E_SYNTAX;
	return (int)n + 1;
}

static uint16_t
u16(const char *p)
{
	return (uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]);
}

/* The addresses of TCP over IPv4 (12 bytes) or IPv6 (36). */
static int
v2_addresses(struct slice in, uint8_t family, struct proxy_header *out)
{
	size_t n = family == 4 ? 4 : 16;

	if (in.n < 2 * n + 4)
		return E_SYNTAX;
	out->from.ip.family = out->to.ip.family = family;
	memcpy(out->from.ip.b, in.p, n);
	memcpy(out->to.ip.b, in.p + n, n);
	out->from.port = u16(in.p + 2 * n);
	out->to.port = u16(in.p + 2 * n + 2);
	out->is_proxied = true;
	return 0;
}

static int
v2_take(struct slice in, struct proxy_header *out)
{
	uint8_t command, family;
	size_t n;
	int err = 0;

	if (in.n < V2_HEAD)
		return 0;
	command = (uint8_t)in.p[12];
	family = (uint8_t)in.p[13];
	n = u16(in.p + 14);
	if (command != 0x20 && command != 0x21)
		return E_SYNTAX;
	if (V2_HEAD + n > PROXY_BYTES_MAX)
		return E_TOOBIG;
	if (in.n < V2_HEAD + n)
		return 0;
	in = slice_of(in.p + V2_HEAD, n);
	/* TCP over IPv4 and IPv6; 0x20: it speaks for itself. */
	if (command == 0x21 && family == 0x11)
		err = v2_addresses(in, 4, out);
	else if (command == 0x21 && family == 0x21)
		err = v2_addresses(in, 6, out);
	return err != 0 ? err : (int)(V2_HEAD + n);
}

int
proxy_read(struct slice in, struct proxy_header *out)
{
	memset(out, 0, sizeof(*out));
	if (in.n == 0)
		return 0;
	if (agrees(in, v2))
		return in.n < v2.n ? 0 : v2_take(in, out);
	if (agrees(in, v1))
		return in.n < v1.n ? 0 : v1_take(in, out);
	return E_SYNTAX;
}

size_t
proxy_needs(struct slice in)
{
	if (in.n < V1_MIN)
		return V1_MIN - in.n;
	if (!agrees(in, v2))
		return 1;
	return in.n < V2_HEAD ? V2_HEAD - in.n :
				V2_HEAD + (size_t)u16(in.p + 14) - in.n;
}

size_t
proxy_v2_write(unsigned char *at, const struct endpoint *from,
    const struct endpoint *to)
{
	size_t n = to->ip.family == 4 ? 4 : 16;
	unsigned char *p = at + V2_HEAD;

	memcpy(at, v2.p, v2.n);
	at[12] = 0x21; /* version 2, PROXY */
	at[13] = to->ip.family == 4 ? 0x11 : 0x21;
	at[14] = 0;
	at[15] = (unsigned char)(2 * n + 4);
	memcpy(p, from->ip.b, n);
	memcpy(p + n, to->ip.b, n);
	p += 2 * n;
	*p++ = (unsigned char)(from->port >> 8);
	*p++ = (unsigned char)from->port;
	*p++ = (unsigned char)(to->port >> 8);
	*p++ = (unsigned char)to->port;
	return (size_t)(p - at);
}
