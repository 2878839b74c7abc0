/*
 * proto/letter_head.c - header fields of a message that is made (RFC 5322, 2047,
 * 2231, 6532). A value holds no control characters, whatever was substituted in
 * it: it cannot end its field.
 */
#include "base/base64.h"
#include "proto/letter_i.h"
#include "proto/syntax.h"

#define FOLD_AT 76u
#define WORD_BYTES 45u /* of UTF-8 in an encoded word: 60 digits, 72 in all */
#define LONG_WORD 900u /* longer ones are not left in one line (998) */

bool
letter_field_is_ours(struct slice name)
{
	static const struct slice v[] = { { "From", 4 }, { "To", 2 },
		{ "Cc", 2 }, { "Bcc", 3 }, { "Reply-To", 8 }, { "Subject", 7 },
		{ "MIME-Version", 12 }, { "Received", 8 },
		{ "Return-Path", 11 } };

	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		if (slice_ieq(name, v[i]))
			return true;
	return slice_has_iprefix(name, SL("Content-"));
}

/* ---- values ------------------------------------------------------------------ */

/* Encoded words, each whole characters; the field's name takes `column`. */
static void
put_encoded(struct buf *out, struct slice s, size_t column)
{
	char digits[BASE64_BYTES(WORD_BYTES)];

	while (s.n > 0) {
		size_t room = column + 12 < FOLD_AT - 8 ?
		    (FOLD_AT - 12 - column) / 4 * 3 :
		    WORD_BYTES;
		size_t n = MIN(s.n, MIN(room, (size_t)WORD_BYTES));

		if (column + 12 >= FOLD_AT - 8) {
			buf_adds(out, SL("\r\n "));
			column = 1;
			n = MIN(s.n, (size_t)WORD_BYTES);
		}
		while (
		    n < s.n && n > 1 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
			n--;
		buf_adds(out, SL("=?UTF-8?B?"));
		buf_add(out, digits, base64_encode(digits, s.p, n));
		buf_adds(out, SL("?="));
		s = slice_skip(s, n);
		column = FOLD_AT; /* the next one on a line of its own */
	}
}

/* Blank-separated words, folded. */
static void
put_folded(struct buf *out, struct slice s, size_t column)
{
	bool is_first = true;

	while (s.p != NULL) {
		struct slice word = slice_cut(&s, ' ');

		if (!is_first && word.n > 0 && column + 1 + word.n > FOLD_AT) {
			buf_adds(out, SL("\r\n "));
			column = 1;
		} else if (!is_first) {
			buf_addc(out, ' ');
			column++;
		}
		buf_adds(out, word);
		column += word.n;
		is_first = false;
	}
}

/* Would it be read as it stands? */
static bool
is_plain(struct slice s)
{
	size_t word = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
		word = s.p[i] == ' ' ? 0 : word + 1;
		if (word > LONG_WORD)
			return false;
	}
	return memmem(s.p, s.n, "=?", 2) == NULL;
}

static void
put_text(struct buf *out, const char *name, struct slice value)
{
	size_t column = strlen(name) + 2;

	value = slice_trim(value);
	buf_addz(out, name);
	buf_adds(out, SL(": "));
	if (value.n == 0 || is_plain(value))
		put_folded(out, value, column);
	else
		put_encoded(out, value, column);
	buf_adds(out, SL("\r\n"));
}

static void
put_quoted(struct buf *out, struct slice s)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, s.p[i]);
	}
	buf_addc(out, '"');
}

void
letter_put_param(struct buf *out, const char *name, struct slice value)
{
	static const char hex[] = "0123456789ABCDEF";

	buf_addf(out, ";\r\n %s", name);
	if (is_plain(value)) {
		buf_addc(out, '=');
		put_quoted(out, value);
		return;
	}
	buf_adds(out, SL("*=UTF-8''"));
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if (ascii_is_alpha((char)c) || ascii_is_digit((char)c) ||
		    c == '.' || c == '-' || c == '_') {
			buf_addc(out, (char)c);
			continue;
		}
		buf_addc(out, '%');
		buf_addc(out, hex[c >> 4]);
		buf_addc(out, hex[c & 15]);
	}
}

/* ---- addresses ------------------------------------------------------------------ */

/* An address begins behind its field's name, or at the start of a line. */
#define ADDR_COLUMN 10

static void
put_addr(struct buf *out, const struct letter_addr *a)
{
	struct slice name = slice_trim(slice_of(a->name, a->name_n));

	if (name.n > 0 && is_plain(name))
		put_quoted(out, name);
	else if (name.n > 0)
		put_encoded(out, name, ADDR_COLUMN);
	if (name.n > 0)
		buf_adds(out, SL("\r\n "));
	buf_addc(out, '<');
	buf_add(out, a->email, a->email_n);
	buf_addc(out, '>');
}

static void
put_one(struct buf *out, const char *name, const struct letter_addr *a)
{
	buf_addz(out, name);
	buf_adds(out, SL(": "));
	put_addr(out, a);
	buf_adds(out, SL("\r\n"));
}

/* A list of the request's, each on a line of its own. */
static void
put_list(struct buf *out, const struct letter *l, const char *name,
    enum letter_field field)
{
	struct letter_at at = letter_first(l);
	struct letter_addr a;
	bool is_first = true;

	while (letter_next(l, &at, &a)) {
		if (at.list != field)
			continue;
		if (is_first)
			buf_addz(out, name);
		buf_adds(out, is_first ? SL(": ") : SL(",\r\n "));
		put_addr(out, &a);
		is_first = false;
	}
	if (!is_first)
		buf_adds(out, SL("\r\n"));
}

static void
put_read(struct buf *out, const struct letter *l, const char *name,
    enum letter_field field)
{
	struct letter_addr a;
	struct letter_fault f;

	if (letter_is_given(l, field) &&
	    letter_addr_read(l, l->v[field], &a, "", &f))
		put_one(out, name, &a);
}

/* ---- what words are substituted in -------------------------------------------------- */

/* Puts a field whose text is the request's. */
static bool
put_given(struct buf *out, const char *name, struct slice string,
    const struct letter_words *words, const char *field, struct letter_fault *f)
{
	struct letter_text t;
	char value[LETTER_VALUE_MAX + 512], *end = value;
	size_t n;

	letter_text_init(&t, string, words, false);
	while (end - value <= (long)LETTER_VALUE_MAX &&
	    (n = letter_text_next(&t, end, 512)) > 0)
		end += n;
	if (t.missing[0] != '\0')
		return letter_wrong(f, field,
		    "nothing is given to substitute for {{%s}}", t.missing);
	if (end - value > (long)LETTER_VALUE_MAX)
		return letter_wrong(f, field, "expected at most %u bytes",
		    LETTER_VALUE_MAX);
	for (const char *p = value; p < end; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return letter_wrong(f, field,
			    "expected no control characters, and no line "
			    "ends");
	put_text(out, name, slice_of(value, (size_t)(end - value)));
	return true;
}

struct seen {
	bool date, id;
};

static bool
put_headers(struct buf *out, const struct letter *l,
    const struct letter_words *words, struct seen *seen, struct letter_fault *f)
{
	struct slice rest, key, value;
	char name[80], field[LETTER_FIELD_MAX];
	struct json_text t;
	size_t n;

	if (!letter_is_given(l, LETTER_HEADERS))
		return true;
	rest = json_inside(l->v[LETTER_HEADERS]);
	while (json_member(&rest, &key, &value)) {
		t = json_text_of(key);
		n = json_text_next(&t, name, sizeof(name) - 1);
		name[n] = '\0';
		seen->date |= slice_ieq(slice_str(name), SL("Date"));
		seen->id |= slice_ieq(slice_str(name), SL("Message-ID"));
		slice_copy(SL("headers."), field, sizeof(field));
		slice_copy(slice_str(name), field + 8, sizeof(field) - 8);
		if (!put_given(out, name, value, words, field, f))
			return false;
	}
	return true;
}

static bool
put_steer(struct buf *out, const struct letter *l, struct letter_fault *f)
{
	static const struct letter_words none;
	char name[DOMAIN_MAX + 1];

	for (int i = LETTER_STEER; i < LETTER_N; i++) {
		if (l->v[i].p == NULL)
			continue;
		slice_copy(l->conf->steer[i - LETTER_STEER], name,
		    sizeof(name));
		if (!put_given(out, name, l->v[i], &none,
			letter_field_name((enum letter_field)i), f))
			return false;
	}
	return true;
}

bool
letter_head(struct buf *out, const struct letter *l,
    const struct letter_words *words, const struct letter_addr *to,
    const struct msgid *id, int64_t wall_us, struct letter_fault *f)
{
	char text[64];
	struct seen seen = { false, false };

	put_read(out, l, "From", LETTER_FROM);
	if (l->is_batch)
		put_one(out, "To", to);
	else {
		put_list(out, l, "To", LETTER_TO);
		put_list(out, l, "Cc", LETTER_CC);
	}
	put_read(out, l, "Reply-To", LETTER_REPLY_TO);
	if (letter_is_given(l, LETTER_SUBJECT) &&
	    !put_given(out, "Subject", l->v[LETTER_SUBJECT], words, "subject",
		f))
		return false;
	if (!put_headers(out, l, words, &seen, f) || !put_steer(out, l, f))
		return false;
	if (!seen.date) {
		date_rfc5322(text, wall_us);
		buf_addf(out, "Date: %s\r\n", text);
	}
	if (!seen.id) {
		msgid_format(text, id);
		buf_addf(out, "Message-ID: <%s@%.*s>\r\n", text,
		    SLF(l->conf->hostname));
	}
	buf_adds(out, SL("MIME-Version: 1.0\r\n"));
	return !out->failed ||
	    letter_wrong(f, "headers", "the header is too large");
}
