/*
 * proto/bounce_i.h - what the files of bounce_*.c share: the message while it is
 * read, and small tools for text.
 */
#ifndef PROTO_BOUNCE_I_H
#define PROTO_BOUNCE_I_H

#include "proto/bounce.h"
#include "proto/mime.h"

#define BOUNCE_TEXT_MAX (128u << 10) /* bytes of text that are looked at */
#define BOUNCE_HEAD_MAX (128u << 10) /* and of the message's header */

struct reading {
	struct bounce *out;
	struct mime m;
	struct slice head;              /* of the message itself */
	struct slice subject, from, to; /* decoded */
	struct buf text; /* what people read, without the original message */
	struct buf html; /* the same of HTML, used where there is no other */
	struct buf dsn;  /* delivery-status parts, a blank line between them */
	struct buf report;   /* the feedback-report part */
	struct buf receipt;  /* the disposition-notification part */
	struct buf original; /* header of the message that it is about */
	struct buf tail;     /* text behind the report: the original, often */
	struct buf inner;    /* a report within a report */
	struct buf scratch;
	bool has_receipt, has_dsn, has_report;
};

/* ---- text (bounce_words.c) ---------------------------------------------------- */

/* A line without its end and outer blanks; *rest is moved behind it. */
struct slice bounce_line(struct slice *rest);
/* Is there one of the phrases in the text? They are in lower case; those of a
 * list end with an empty one. */
bool bounce_says(struct slice text, const char *const *phrases);
bool bounce_has(struct slice text, const char *phrase);
/* The next address of a text, which is moved behind it; *at is where it began.
 * What stands between < and > may be UTF-8. */
bool bounce_address(struct slice *text, struct slice *address);
/* A field of a header section that other lines may stand in, trimmed; empty: there
 * is none. */
struct slice bounce_field(struct slice head, struct slice name);
/* Codes of a refusal as texts have them: "550 5.1.1", "#5.1.1", "said: 550".
 * What is not found stays as it is. */
void bounce_codes(struct slice text, uint16_t *code, struct enh *enh);
/* Without brackets, quotes and bullets at both ends. */
struct slice bounce_strip(struct slice s);
/* A copy in memory that lives as long as the result: line ends and blanks are one
 * blank each, at most max bytes. */
struct slice bounce_keep(struct reading *r, struct slice text, size_t max);

/* ---- texts ------------------------------------------------------------------- */

/* Where an address stands in the text. */
struct bounce_place {
	struct slice address;
	struct slice line;   /* in which it stands */
	struct slice behind; /* all text behind it */
	int weight;
	bool is_leading; /* the line begins with it */
};

/* Puts the words about a recipient into x, and codes that it lacks; c NULL: it
 * stands nowhere. */
void bounce_words(struct reading *r, struct bounce_rcpt *x,
    const struct bounce_place *c);
/* Is the address in the text? */
bool bounce_names(struct slice text, struct slice address);

/* ---- the kinds of message -------------------------------------------------------- */

/* Recipients of the delivery-status fields. */
void bounce_read_dsn(struct reading *r);
/* Recipients of a report in plain words; and words for those that the fields gave
 * without any. */
void bounce_read_text(struct reading *r);
void bounce_explain(struct reading *r);
/* Does the message as a whole speak of a delivery, rather than be one? */
bool bounce_is_report(struct reading *r);
/* Is it a receipt (RFC 8098) by which a filter refuses the message, as that of
 * Dovecot does? */
bool bounce_is_refusal(struct reading *r);
/* Does its text speak of a delay, not of the end? */
bool bounce_is_delay(struct reading *r);
enum bounce_reason bounce_other(struct reading *r);
/* A complaint in a form older than RFC 5965: fills out->arf; false: none. */
bool bounce_old_complaint(struct reading *r);
void bounce_read_complaint(struct reading *r);
/* A notification of Amazon SES in JSON: the result's type, if it is one. */
bool bounce_read_json(struct reading *r);
/* A recipient, unless it is there already: then that one. NULL: no room, or no
 * address. */
struct bounce_rcpt *bounce_add(struct reading *r, struct slice address);
/* Is the address a recipient of the original message, as far as we have it? */
bool bounce_was_sent(struct reading *r, struct slice address);

#endif
