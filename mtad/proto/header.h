/*
 * proto/header.h - header fields of a message, in place.
 */
#ifndef PROTO_HEADER_H
#define PROTO_HEADER_H

#include "mail/mail.h"

/* A field: its whole extent (folded lines and final CRLF included), name and
 * raw value (behind the colon, final CRLF not included, folds as they are). */
struct hdr {
	struct slice whole, name, value;
};

/* Next field of a header section; false at the blank line, at the end, or at
 * a line that is no field. *rest moves behind the field. */
bool hdr_next(struct slice *rest, struct hdr *h);
/* Length of the header section including the blank line; 0 when the blank
 * line has not been seen yet. A line that is no field ends the section as well,
 * where it begins; when it is the first one the message has no header at all
 * (returns 0, *is_none is set). */
size_t hdr_section(struct slice msg, bool *is_none);
/* Value without line ends of folds, trimmed, cut to cap - 1 bytes and a NUL. */
size_t hdr_unfold(struct slice value, char *dst, size_t cap);

/* "Received:" trace field with its CRLF, RFC 5321 4.4, folded. for_rcpt is
 * left out when empty (more than one recipient), and when it holds what would
 * need quoting. */
struct trace_field {
	struct slice helo, by, tls; /* tls: "TLSv1.3 CIPHER" or empty */
	struct ip client;
	struct msgid id;
	struct slice for_rcpt;
	bool is_esmtp, is_utf8, is_auth, is_http;
	bool is_local; /* from a user of this host, not from a client */
	uint32_t uid;  /* who that is */
	int64_t unix_us;
};
int hdr_received(struct buf *out, const struct trace_field *t) MUST_CHECK;

#endif
