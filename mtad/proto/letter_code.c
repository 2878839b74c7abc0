/*
 * proto/letter_code.c - codings of a text (RFC 2045 6): as it is where it is
 * ASCII in short lines, else quoted-printable, or base64 where most of it is not
 * ASCII. Lines end in CRLF however they ended before.
 */
#include "base/base64.h"
#include "proto/letter_i.h"

#define LINE_MAX_PLAIN 998u /* RFC 5322 2.1.1 */
#define LINE_MAX_QUOTED 75u /* with "=" 76 */
#define BOUNDARY "--=_"     /* ours begin so: letter_out.c */

struct survey {
	uint64_t n, odd;
	uint32_t column;
	bool is_plain;
	char start[sizeof(BOUNDARY) - 1]; /* of the line */
};

static void
survey(struct survey *s, char c)
{
	s->n++;
	if (c == '\n' || c == '\r') {
		s->column = 0;
		return;
	}
	if ((unsigned char)c >= 0x80)
		s->odd++;
	if ((c < ' ' && c != '\t') || c == 0x7f)
		s->is_plain = false;
	if (s->column < sizeof(s->start))
		s->start[s->column] = c;
	if (++s->column > LINE_MAX_PLAIN)
		s->is_plain = false;
	if (s->column == sizeof(s->start) &&
	    memcmp(s->start, BOUNDARY, sizeof(s->start)) == 0)
		s->is_plain = false;
}

int
letter_choose(struct letter_text *t, uint64_t max, enum letter_coding *coding)
{
	struct survey s = { .is_plain = true };
	char piece[4096];
	size_t n;

	while ((n = letter_text_next(t, piece, sizeof(piece))) > 0) {
		for (size_t i = 0; i < n; i++)
			survey(&s, piece[i]);
		if (s.n > max)
			return E_TOOBIG;
	}
	if (t->missing[0] != '\0')
		return E_NOTFOUND;
	*coding = s.is_plain && s.odd == 0 ? LETTER_7BIT :
	    s.odd > s.n / 3                ? LETTER_BASE64 :
					     LETTER_QUOTED;
	return 0;
}

/* ---- quoted-printable ---------------------------------------------------------- */

static void
quoted_put(struct letter_coder *c, struct buf *out, const char *p, uint32_t n)
{
	if (c->column + n > LINE_MAX_QUOTED) {
		buf_adds(out, SL("=\r\n"));
		c->column = 0;
	}
	buf_add(out, p, n);
	c->column += n;
}

static void
quoted_code(struct letter_coder *c, struct buf *out, char byte)
{
	static const char hex[] = "0123456789ABCDEF";
	unsigned char b = (unsigned char)byte;
	char code[3] = { '=', hex[b >> 4], hex[b & 15] };

	quoted_put(c, out, code, 3);
}

/* A blank at the end of a line would be lost on the way. */
static void
quoted_release(struct letter_coder *c, struct buf *out, bool ends_line)
{
	if (c->blank == '\0')
		return;
	if (ends_line)
		quoted_code(c, out, c->blank);
	else
		quoted_put(c, out, &c->blank, 1);
	c->blank = '\0';
}

static void
quoted_byte(struct letter_coder *c, struct buf *out, char byte)
{
	quoted_release(c, out, false);
	if (byte == ' ' || byte == '\t')
		c->blank = byte;
	else if (byte > ' ' && byte <= '~' && byte != '=')
		quoted_put(c, out, &byte, 1);
	else
		quoted_code(c, out, byte);
}

/* ---- base64 ---------------------------------------------------------------------- */

static void
base64_flush(struct letter_coder *c, struct buf *out)
{
	char digits[BASE64_BYTES(sizeof(c->line))];

	if (c->n == 0)
		return;
	buf_add(out, digits, base64_encode(digits, c->line, c->n));
	buf_adds(out, SL("\r\n"));
	c->n = 0;
}

static void
base64_byte(struct letter_coder *c, struct buf *out, char byte)
{
	c->line[c->n++] = byte;
	if (c->n == sizeof(c->line))
		base64_flush(c, out);
}

/* ---- all ------------------------------------------------------------------------- */

static void
code_byte(struct letter_coder *c, struct buf *out, char byte)
{
	if (c->coding == LETTER_QUOTED)
		quoted_byte(c, out, byte);
	else if (c->coding == LETTER_BASE64)
		base64_byte(c, out, byte);
	else
		buf_addc(out, byte);
	c->column += c->coding == LETTER_7BIT;
}

static void
code_newline(struct letter_coder *c, struct buf *out)
{
	if (c->coding == LETTER_BASE64) {
		base64_byte(c, out, '\r');
		base64_byte(c, out, '\n');
		return;
	}
	quoted_release(c, out, true);
	buf_adds(out, SL("\r\n"));
	c->column = 0;
}

void
letter_code(struct letter_coder *c, struct buf *out, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char byte = p[i];

		if (byte == '\r' || (byte == '\n' && !c->had_cr))
			code_newline(c, out);
		else if (byte != '\n')
			code_byte(c, out, byte);
		c->had_cr = byte == '\r';
	}
}

void
letter_code_end(struct letter_coder *c, struct buf *out)
{
	base64_flush(c, out);
	quoted_release(c, out, true);
	if (c->column > 0)
		buf_adds(out, SL("\r\n"));
	c->column = 0;
}
