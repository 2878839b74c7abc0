/*
 * world/packet.h - DNS messages (RFC 1035 4, RFC 6891): reads questions,
 * writes answers. Bounded, no recursion, no pointers followed; a compression
 * pointer in a question is refused, none is ever needed there.
 */
#ifndef WORLD_PACKET_H
#define WORLD_PACKET_H

#include "base/base.h"

#define DNS_NAME_MAX 255 /* text of a name, without the final dot */
#define DNS_TCP_MAX 65535
#define DNS_UDP_PLAIN 512 /* answer without EDNS */
#define DNS_UDP_MAX 1232  /* answer with EDNS, whatever the client offers */

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_OPT = 41,
	DNS_ANY = 255,
};

enum dns_rcode {
	DNS_RC_OK = 0,
	DNS_RC_FORMERR = 1,
	DNS_RC_SERVFAIL = 2,
	DNS_RC_NXDOMAIN = 3,
	DNS_RC_NOTIMP = 4,
	DNS_RC_REFUSED = 5,
};

struct dns_query {
	uint16_t id;
	uint16_t opcode; /* in its place in the flags */
	uint16_t type, klass;
	bool wants_recursion, has_edns;
	uint16_t udp_max; /* what the client takes by UDP */
	uint16_t name_n;
	char name[DNS_NAME_MAX +
	    1]; /* lower case, labels with dots; "" = root */
	/* The question as it came, so that the answer repeats its letters. */
	struct slice question; /* into the packet */
};

/*
 * 0: a question. E_PROTO: answer with FORMERR (q->id is good). E_UNSUPPORTED:
 * not a standard query, answer with NOTIMP. E_CORRUPT: too short or no query,
 * stay silent.
 */
int dns_query_parse(struct slice packet, struct dns_query *q) MUST_CHECK;

/* Writes one answer into a buffer that the caller has initialised. */
struct dns_answer_w {
	struct buf *out;
	size_t base; /* where the message begins in out */
	uint16_t answers, authorities;
	bool is_cut; /* something did not fit */
	size_t max;
};
/* Header and question; max is the size of the whole message. */
void dns_answer_begin(struct dns_answer_w *w, struct buf *out,
    const struct dns_query *q, size_t max);
/* The owner name is the question's when owner is empty. */
void dns_answer_addr(struct dns_answer_w *w, struct slice owner, uint32_t ttl,
    const struct ip *ip);
void dns_answer_name(struct dns_answer_w *w, struct slice owner,
    enum dns_type type, uint32_t ttl, struct slice target);
void dns_answer_mx(struct dns_answer_w *w, struct slice owner, uint32_t ttl,
    uint16_t pref, struct slice target);
void dns_answer_txt(struct dns_answer_w *w, struct slice owner, uint32_t ttl,
    struct slice text);
/* SOA in the authority section: a negative answer holds for ttl. */
void dns_answer_soa(struct dns_answer_w *w, struct slice owner, uint32_t ttl);
/* OPT, counts, response code; with is_cut only the question remains and TC is
 * set. */
void dns_answer_end(struct dns_answer_w *w, const struct dns_query *q,
    enum dns_rcode rcode);

#endif
