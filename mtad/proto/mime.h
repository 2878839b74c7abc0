/*
 * proto/mime.h - messages made of parts (RFC 2045, 2046, 2047), read in place
 * and whatever their state: a boundary that never comes, a header that stops in
 * the middle, a coding that is none. There is no error, only less to be found.
 */
#ifndef PROTO_MIME_H
#define PROTO_MIME_H

#include "mail/mail.h"

#define MIME_PARTS_MAX 128u    /* later ones belong to the last of these */
#define MIME_DEPTH_MAX 12u     /* a multipart within more is a text */
#define MIME_BOUNDARY_MAX 200u /* RFC 2046 5.1.1 says 70; longer are met */

enum mime_coding { MIME_PLAIN, MIME_BASE64, MIME_QUOTED };

/* A leaf, or what stands in front of the first part of a multipart. */
struct mime_part {
	struct slice head; /* the header fields, raw */
	struct slice body; /* raw, without the line end before the boundary */
	struct slice type; /* "text/plain"; that as well where none is said */
	uint8_t depth;     /* 0: the message */
	uint8_t coding;    /* enum mime_coding */
	bool is_multipart; /* the parts behind it that are deeper are its own */
};

struct mime {
	uint32_t nparts; /* at least 1: the message */
	struct mime_part part[MIME_PARTS_MAX];
};

/* Slices of *m point into the message, whose lines end in LF or CRLF. A message
 * within (message/rfc822) is a leaf: read its body again to look into it. */
void mime_read(struct slice message, struct mime *m);
/* Is the part's type this one ("text/plain"), or of this kind ("text/")? */
bool mime_is(const struct mime_part *p, struct slice type);

/* The first field of that name, its raw value trimmed; empty: there is none. */
struct slice mime_field(struct slice head, struct slice name);
/* A parameter of a raw value (RFC 2045 5.1), to dst without its quotes and with a
 * NUL, in at most cap bytes; its length, 0 when there is none or it is longer. */
size_t mime_param(struct slice value, struct slice name, char *dst, size_t cap);

/* The three below append UTF-8 as far as the character set is known (US-ASCII,
 * UTF-8, ISO-8859-1 and -15, windows-1252), and the bytes as they are elsewhere.
 * 0, or the buffer's error. */

/* The body of a part, its transfer coding undone, lines ended by LF. */
int mime_text(const struct mime_part *p, struct buf *out) MUST_CHECK;
/* A field's value, unfolded, encoded words (RFC 2047) decoded. */
int mime_words(struct slice value, struct buf *out) MUST_CHECK;
/* What a browser shows of HTML, roughly: tags taken out, lines broken at blocks,
 * the common entities. */
int mime_html(struct slice html, struct buf *out) MUST_CHECK;

/* A character, as UTF-8. */
int mime_char(struct buf *out, uint32_t code);

#endif
