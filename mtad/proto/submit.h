/*
 * proto/submit.h - what a submission server does for a message whose author's
 * program left it undone (RFC 6409 6 and 8), and how a local program's text
 * becomes a message.
 */
#ifndef PROTO_SUBMIT_H
#define PROTO_SUBMIT_H

#include "mail/mail.h"

/* ---- fields that are missing ----------------------------------------------- */

struct submit_look {
	bool has_date, has_message_id;
	uint32_t nfrom;
	struct slice from; /* value of the first */
};
/* Looks at one field of the header. */
void submit_see(struct submit_look *l, struct slice name, struct slice value);

struct submit_fill {
	int64_t unix_us;       /* for Date */
	struct msgid id;       /* for Message-ID */
	struct slice hostname; /* for that, too */
	/* For From; empty: it is not added. The address has a domain. */
	struct slice from, from_name;
};
/* Appends the fields that are missing, each with its CRLF. */
int submit_add(struct buf *out, const struct submit_look *l,
    const struct submit_fill *f) MUST_CHECK;

/* Does it go whatever is configured: Bcc, Resent-Bcc? */
bool submit_is_secret(struct slice name);

/* ---- the text of a local program -------------------------------------------- */

/* Line ends become CRLF; a line of a dot alone may end it. Fed in pieces. */
struct submit_lines {
	bool dot_ends; /* the caller's */
	bool is_over;  /* that line has come: what follows is not eaten */
	bool has_nul;
	/* Private. */
	bool had_cr, is_inside; /* in the midst of a line */
	uint8_t dot;            /* a line has begun: "." or "." CR */
};
int submit_lines_feed(struct submit_lines *l, struct slice in,
    struct buf *out) MUST_CHECK;
/* The input has ended: so does the last line. */
int submit_lines_end(struct submit_lines *l, struct buf *out) MUST_CHECK;

/* Recipients that the header names. */
struct submit_rcpts {
	struct buf *to; /* the caller's: for each the bytes and a NUL */
	uint32_t n;
	struct slice bad; /* what is no address, when one is met */
};
/*
 * Those of To, Cc and Bcc, or of Resent-To, -Cc and -Bcc where one of these is
 * there. 0, E_SYNTAX (r->bad), E_FULL (more than RCPTS_MAX).
 */
int submit_find_rcpts(struct slice header, struct submit_rcpts *r) MUST_CHECK;

#endif
