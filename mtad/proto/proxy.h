/*
 * proto/proxy.h - the PROXY protocol, versions 1 and 2 (HAProxy's
 * proxy-protocol.txt), as a receiver reads it: who really is at the other end.
 */
#ifndef PROTO_PROXY_H
#define PROTO_PROXY_H

#include "base/base.h"

/* Of a header: version 2 may carry more than addresses. What needs more than
 * this is an error. */
#define PROXY_BYTES_MAX 4096

struct proxy_header {
	bool is_proxied; /* else it speaks for itself (LOCAL, UNKNOWN) */
	struct endpoint from, to;
};

/*
 * Reads a header at the front of in. Returns its length; 0 when more bytes are
 * needed; E_SYNTAX when it is none, and E_TOOBIG when it is too long. An
 * address family that is no TCP is taken for a proxy that speaks for itself.
 */
int proxy_read(struct slice in, struct proxy_header *out) MUST_CHECK;

/* Writes a header of version 2 that tells of a TCP connection between two
 * addresses of one family: PROXY_V2_BYTES_MAX at most; its length. */
#define PROXY_V2_BYTES_MAX 52
size_t proxy_v2_write(unsigned char *at, const struct endpoint *from,
    const struct endpoint *to);

/* Of what has come of a header, which is not whole: how many more bytes belong
 * to it in any case (at least 1). Who reads no more than these has nothing left
 * of what comes behind it. */
size_t proxy_needs(struct slice in);

#endif
