/*
 * proto/letter_i.h - what the parts of a letter share.
 *
 * letter.c reads requests, letter_text.c substitutes, letter_head.c makes header
 * fields, letter_code.c codes bodies, letter_out.c puts the parts together.
 */
#ifndef PROTO_LETTER_I_H
#define PROTO_LETTER_I_H

#include "proto/letter.h"

/* Says what is wrong; false, for its caller's return. */
bool letter_wrong(struct letter_fault *f, const char *field, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));
/* Reads an address: a string, "Name <a@b>" or the like, or an object. */
bool letter_addr_read(const struct letter *l, struct slice value,
    struct letter_addr *a, const char *field, struct letter_fault *f);
bool letter_is_given(const struct letter *l, enum letter_field field);
const char *letter_field_name(enum letter_field field);
bool letter_is_ascii(struct slice s);

/* ---- letter_text.c -------------------------------------------------------- */

/* A text in which words are substituted: {{word}} is replaced by what the
 * recipient's substitutions say, or those for all. In HTML what is put in is
 * escaped, unless it is {{{word}}}. */
struct letter_words {
	struct slice own, all; /* objects; .p NULL: none */
	bool are_on;
};
struct letter_text {
	const struct letter_words *words;
	bool is_html;
	struct json_text from, value;
	bool in_value, escapes;
	char missing[LETTER_WORD_MAX + 1]; /* a word that nobody gives, or "" */
	char in[512];
	uint16_t n, at;
};
void letter_text_init(struct letter_text *t, struct slice string,
    const struct letter_words *words, bool is_html);
/* Up to cap (at least 64) bytes; 0 at the end, or where a word is missing. */
size_t letter_text_next(struct letter_text *t, char *dst, size_t cap);

/* ---- letter_head.c ---------------------------------------------------------- */

/* The whole header of a message but for what its body is. */
bool letter_head(struct buf *out, const struct letter *l,
    const struct letter_words *words, const struct letter_addr *to,
    const struct msgid *id, int64_t wall_us, struct letter_fault *f);
/* Is it one of ours, or one that no client may give? */
bool letter_field_is_ours(struct slice name);
/* A parameter of a field, on a line of its own (RFC 2231 where it must be). */
void letter_put_param(struct buf *out, const char *name, struct slice value);

/* ---- letter_code.c ----------------------------------------------------------- */

enum letter_coding { LETTER_7BIT, LETTER_QUOTED, LETTER_BASE64 };

/* The best coding for a text; E_TOOBIG: it is longer than max, E_NOTFOUND: a
 * word is missing (t->missing). */
int letter_choose(struct letter_text *t, uint64_t max,
    enum letter_coding *coding) MUST_CHECK;

struct letter_coder {
	enum letter_coding coding;
	bool had_cr;
	char blank; /* held back: it may end the line */
	uint32_t column;
	uint32_t n; /* in line */
	char line[57];
};
void letter_code(struct letter_coder *c, struct buf *out, const char *p,
    size_t n);
void letter_code_end(struct letter_coder *c, struct buf *out);

#endif
