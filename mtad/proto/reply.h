/*
 * proto/reply.h - reads the replies of a server, whatever they look like
 * (RFC 5321 4.2), bounded in lines and bytes.
 */
#ifndef PROTO_REPLY_H
#define PROTO_REPLY_H

#include "mail/mail.h"

#define REPLY_LINE_MAX 2048
#define REPLY_LINES_MAX 128

/* One whole reply. Lines are joined by '\n', codes and enhanced codes taken
 * off the front of each; text is cut at REPLY_TEXT_MAX bytes. */
struct reply {
	uint16_t code;
	struct enh enh;
	uint16_t lines;
	uint16_t text_n, text_cap;
	char *text; /* grows with what the peer says */
};

struct reply_parser {
	struct reply now;
	bool is_done; /* now is whole, or broken: the next call starts afresh */
	uint16_t line_n;
	char *line; /* of REPLY_LINE_MAX bytes, while one is split; or NULL */
};

void reply_parser_init(struct reply_parser *p);
void reply_parser_free(struct reply_parser *p);
/*
 * Eats from *in. 1: p->now is a whole reply (the next call starts afresh);
 * 0: more input is needed; E_PROTO: not SMTP, too long, or lines whose codes
 * differ; E_NOMEM.
 * on_line, when not NULL, sees each line's text (for EHLO keywords).
 */
int reply_parse(struct reply_parser *p, struct slice *in,
    void (*on_line)(void *ctx, struct slice text), void *ctx) MUST_CHECK;

/* Puts other words, which may be a part of r's, in place of its text. */
void reply_say(struct reply *r, struct slice text);

static inline struct slice
reply_text(const struct reply *r)
{
	return slice_of(r->text_n ? r->text : "", r->text_n);
}

/* "5.1.1" at the front of s: 0 and *s moved behind it and the blank after. */
int enh_parse(struct slice *s, struct enh *out) MUST_CHECK;
/* Text of an enhanced code, dst of 16 bytes; "" when none. */
size_t enh_format(char *dst, struct enh e);

#endif
