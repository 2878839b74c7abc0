/*
 * proto/arf.h - reports of abuse (ARF, RFC 5965), read in place: which message is
 * complained about, and from where it came.
 */
#ifndef PROTO_ARF_H
#define PROTO_ARF_H

#include "mail/mail.h"

#define ARF_RCPTS_MAX 64u
#define ARF_IDS_MAX 16u

/* Fields of RFC 5965 3, in one line each; empty: not said. What may come more than
 * once is the first, but for the recipients. */
struct arf {
	struct slice type;      /* Feedback-Type: abuse, fraud, not-spam, ... */
	struct ip source;       /* Source-IP; family 0: not said */
	struct slice agent;     /* User-Agent of who reports */
	struct slice mail_from; /* Original-Mail-From, without brackets */
	struct slice domain;    /* Reported-Domain */
	struct slice uri;       /* Reported-URI */
	struct slice arrival;   /* Arrival-Date, or Received-Date */
	struct slice mta;       /* Reporting-MTA, without its type */
	struct slice envelope_id;
	struct slice results; /* Authentication-Results */
	uint64_t incidents;   /* 0: not said, which means 1 */
	uint32_t nrcpts;      /* Original-Rcpt-To, without brackets */
	struct slice rcpt[ARF_RCPTS_MAX];
	/* Ids in Received fields of the message that is complained about, the
	 * first hop last; ours may be among them. */
	uint32_t nids;
	struct msgid id[ARF_IDS_MAX];
};

/* Reads a message, hostile bytes; lines end in LF or CRLF, and the slices of *a
 * point into it. false: it is no such report. */
bool arf_read(struct slice message, struct arf *a) MUST_CHECK;
/* The fields alone, of a part that was decoded; slices of *a point into it. What
 * is there already stays, where it comes but once. */
void arf_read_fields(struct slice text, struct arf *a);
/* Adds the ids in Received fields of a header section. */
void arf_read_trace(struct slice header, struct arf *a);
/* Does it complain? Other reports say that a message was no spam, that an address
 * wants no more, or what authentication made of it. */
bool arf_complains(const struct arf *a);

#endif
