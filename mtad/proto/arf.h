/*
 * proto/arf.h - reports of abuse (ARF, RFC 5965), read in place: which message is
 * complained about, and from where it came.
 */
#ifndef PROTO_ARF_H
#define PROTO_ARF_H

#include "mail/mail.h"

#define ARF_RCPTS_MAX 8u
#define ARF_IDS_MAX 16u
#define ARF_PARTS_MAX 32u /* looked at */

struct arf {
	struct slice type;  /* Feedback-Type: abuse, fraud, not-spam, ... */
	struct ip source;   /* Source-IP; family 0: not said */
	struct slice agent; /* User-Agent of who reports */
	uint32_t nrcpts;    /* Original-Rcpt-To, without brackets */
	struct slice rcpt[ARF_RCPTS_MAX];
	/* Ids in Received fields of the message that is complained about, the
	 * first hop last; ours may be among them. */
	uint32_t nids;
	struct msgid id[ARF_IDS_MAX];
};

/* Reads a message, hostile bytes; lines end in LF or CRLF, and the slices of *a
 * point into it. false: it is no such report. */
bool arf_read(struct slice message, struct arf *a) MUST_CHECK;
/* Does it complain? Other reports say that a message was no spam, that an address
 * wants no more, or what authentication made of it. */
bool arf_complains(const struct arf *a);

#endif
