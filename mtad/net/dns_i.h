/*
 * net/dns_i.h - between the look-up and the reading of packets.
 */
#ifndef NET_DNS_I_H
#define NET_DNS_I_H

#include "net/net.h"

enum {
	DNS_TYPE_A = 1,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_MX = 15,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_TLSA = 52
};

#define DNS_RRS_MAX 64

struct dns_mx {
	uint16_t pref;
	char name[DOMAIN_TEXT_MAX];
};

/* The records of one type in an answer, CNAMEs followed by the resolver. */
struct dns_rrs {
	uint8_t rcode;
	uint32_t ttl_s; /* smallest; UINT32_MAX: none */
	/* How long "there is none" holds, RFC 2308 5: the smaller one of the
	 * SOA's own TTL and its MINIMUM. UINT32_MAX: no SOA came. */
	uint32_t negative_s;
	uint32_t nmx, nip;
	struct dns_mx mx[DNS_RRS_MAX];
	struct ip ip[DNS_RRS_MAX];
	/* Whose the first record of that type is: behind all CNAMEs. */
	char owner[DOMAIN_TEXT_MAX];
	/* Where TLSA and TXT records go; NULL: nobody asks for them. What is
	 * zeroed of it is n and used, and txt_n. */
	struct dns_records *records;
};

/* 0 or E_CORRUPT. out->records is the caller's. */
int dns_packet_read(struct slice pkt, uint16_t type, struct dns_rrs *out);

#endif
