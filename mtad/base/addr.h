/*
 * base/addr.h - network addresses as plain values: no socket headers, so the
 * pure rooms can hold them.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct ip {
	uint8_t b[16];  /* IPv4 in b[0..3], the rest zero */
	uint8_t family; /* 0 none, 4 or 6 */
};

struct endpoint {
	struct ip ip;
	uint16_t port;
};

/* A prefix such as 127.0.0.0/8. */
struct cidr {
	struct ip ip;
	uint8_t bits;
};

#define IP_TEXT_MAX 46
#define ENDPOINT_TEXT_MAX 56

/* "127.0.0.1", "::1", "[::1]". 0 or E_SYNTAX. */
int ip_parse(struct slice s, struct ip *out);
/* Text (RFC 5952 for IPv6, "-" for none); dst of IP_TEXT_MAX bytes. Returns
 * its length. */
size_t ip_format(char *dst, const struct ip *ip);
bool ip_eq(const struct ip *a, const struct ip *b);
uint64_t ip_hash(const struct ip *ip);
/* "127.0.0.1:25", "[::1]:25"; without a port, default_port when not 0. */
int endpoint_parse(struct slice s, uint16_t default_port, struct endpoint *out);
/* dst of ENDPOINT_TEXT_MAX bytes. Returns the length. */
size_t endpoint_format(char *dst, const struct endpoint *e);
/* "10.0.0.0/8", or a bare address (all bits). 0, E_SYNTAX, or E_RANGE when
 * host bits are not zero. */
int cidr_parse(struct slice s, struct cidr *out);
/* IPv4-mapped IPv6 addresses and prefixes count as IPv4: ::/0 has none. */
bool cidr_has(const struct cidr *c, const struct ip *ip);
/* Does one of n? */
bool cidrs_have(const struct cidr *v, uint32_t n, const struct ip *ip);
/* What cidr_parse reads; dst of ENDPOINT_TEXT_MAX bytes. */
size_t cidr_format(char *dst, const struct cidr *c);

#endif
