/*
 * proto/socks_i.h - what both halves of SOCKS5 share.
 */
#ifndef PROTO_SOCKS_I_H
#define PROTO_SOCKS_I_H

#include "proto/socks.h"

#define SOCKS_VERSION 5
#define SOCKS_LOGIN_VERSION 1 /* of RFC 1929 */
enum { METHOD_NONE = 0, METHOD_LOGIN = 2, METHOD_NO = 0xff };
enum { TYPE_V4 = 1, TYPE_NAME = 3, TYPE_V6 = 4 };

/* A reply or request is a head of 4 bytes, of which the last is the type of the
 * address, then the address and a port. */
#define SOCKS_HEAD 4
/* How long it is as a whole, of the n bytes that are there; 0: not known yet,
 * SIZE_MAX: no such type. */
static inline size_t
socks_need(const unsigned char *in, size_t n)
{
	if (n < SOCKS_HEAD)
		return 0;
	switch (in[3]) {
	case TYPE_V4:
		return SOCKS_HEAD + 4 + 2;
	case TYPE_V6:
		return SOCKS_HEAD + 16 + 2;
	case TYPE_NAME:
		return n > SOCKS_HEAD ? SOCKS_HEAD + 1u + in[4] + 2 : 0;
	default:
		return SIZE_MAX;
	}
}

/* The address in a whole one; family 0: a name. */
static inline void
socks_address(const unsigned char *in, struct endpoint *out)
{
	size_t n = in[3] == TYPE_V4 ? 4 : 16;

	memset(out, 0, sizeof(*out));
	if (in[3] == TYPE_NAME)
		return;
	out->ip.family = in[3] == TYPE_V4 ? 4 : 6;
	memcpy(out->ip.b, in + SOCKS_HEAD, n);
	out->port =
	    (uint16_t)(in[SOCKS_HEAD + n] << 8 | in[SOCKS_HEAD + n + 1]);
}

/* The opposite, behind the first three bytes of a head; no address: 0.0.0.0. */
static inline void
socks_put_address(struct buf *out, const struct endpoint *at)
{
	bool is_v6 = at->ip.family == 6;
	unsigned char port[2] = { (unsigned char)(at->port >> 8),
		(unsigned char)at->port };

	buf_addc(out, is_v6 ? TYPE_V6 : TYPE_V4);
	buf_add(out, at->ip.b, is_v6 ? 16 : 4);
	buf_add(out, port, 2);
}

#endif
