/*
 * proto/mime_text.c - what the bytes of a part or a field say: transfer codings,
 * encoded words, HTML; see mime.h.
 *
 * Broken codings are read as far as they go. A byte that belongs to no coding is
 * passed over in base64, and stands for itself in quoted-printable.
 */
#include "proto/mime.h"

#define WORD_MAX 1024u /* of an encoded word; RFC 2047 2 says 75 */
#define ENTITY_MAX 10u
#define TAG_MAX 8192u

enum charset { CHARSET_ASIS, CHARSET_LATIN1, CHARSET_LATIN9, CHARSET_1252 };

/* ---- character sets ---------------------------------------------------------- */

static enum charset
charset_find(struct slice name)
{
	static const struct {
		struct slice name;
		enum charset set;
	} known[] = {
		{ SL("iso-8859-1"), CHARSET_LATIN1 },
		{ SL("iso_8859-1"), CHARSET_LATIN1 },
		{ SL("latin1"), CHARSET_LATIN1 },
		{ SL("iso-8859-15"), CHARSET_LATIN9 },
		{ SL("windows-1252"), CHARSET_1252 },
		{ SL("cp1252"), CHARSET_1252 },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (slice_ieq(name, known[i].name))
			return known[i].set;
	return CHARSET_ASIS;
}

int
mime_char(struct buf *out, uint32_t c)
{
	char b[4];
	size_t n = 0;

	if (c < 0x80) {
		b[n++] = (char)c;
	} else if (c < 0x800) {
		b[n++] = (char)(0xC0 | c >> 6);
		b[n++] = (char)(0x80 | (c & 0x3F));
	} else if (c < 0x10000) {
		b[n++] = (char)(0xE0 | c >> 12);
		b[n++] = (char)(0x80 | (c >> 6 & 0x3F));
		b[n++] = (char)(0x80 | (c & 0x3F));
	} else {
		b[n++] = (char)(0xF0 | c >> 18);
		b[n++] = (char)(0x80 | (c >> 12 & 0x3F));
		b[n++] = (char)(0x80 | (c >> 6 & 0x3F));
		b[n++] = (char)(0x80 | (c & 0x3F));
	}
	return buf_add(out, b, n);
}

/* The quotes, dashes and the euro sign that letters written in windows-1252
 * have; ISO-8859-15 has but the euro there. */
static uint32_t
code_of(uint8_t c, enum charset set)
{
	static const uint16_t from_1252[32] = { 0x20AC, 0x81, 0x201A, 0x192,
		0x201E, 0x2026, 0x2020, 0x2021, 0x2C6, 0x2030, 0x160, 0x2039,
		0x152, 0x8D, 0x17D, 0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D,
		0x2022, 0x2013, 0x2014, 0x2DC, 0x2122, 0x161, 0x203A, 0x153,
		0x9D, 0x17E, 0x178 };

	if (set == CHARSET_1252 && c >= 0x80 && c < 0xA0)
		return from_1252[c - 0x80];
	if (set == CHARSET_LATIN9 && c == 0xA4)
		return 0x20AC;
	return c;
}

/* A byte that was decoded. Of a line end only LF is kept. */
static int
add_byte(struct buf *out, uint8_t c, enum charset set)
{
	if (c == '\r')
		return 0;
	if (set == CHARSET_ASIS || c < 0x80)
		return buf_addc(out, (char)c);
	return mime_char(out, code_of(c, set));
}

/* ---- transfer codings ---------------------------------------------------------- */

static int
hex_of(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
base64_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (ascii_is_digit(c))
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

static int
add_base64(struct buf *out, struct slice s, enum charset set)
{
	uint32_t bits = 0, n = 0;
	int err = 0;

	for (size_t i = 0; i < s.n && err == 0; i++) {
		int v = base64_of(s.p[i]);

		if (s.p[i] == '=')
			bits = n = 0; /* another text may follow */
		if (v < 0)
			continue;
		bits = bits << 6 | (uint32_t)v;
		n += 6;
		if (n < 8)
			continue;
		n -= 8;
		err = add_byte(out, (uint8_t)(bits >> n), set);
	}
	return err;
}

/* Blanks and a line end at the front: what a "=" may end a line with; 0: none. */
static size_t
soft_break(struct slice s)
{
	size_t n = 0;

	while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t' || s.p[n] == '\r'))
		n++;
	return n < s.n && s.p[n] == '\n' ? n + 1 : n == s.n ? n : 0;
}

static int
add_quoted(struct buf *out, struct slice s, enum charset set, bool is_word)
{
	int err = 0;

	while (s.n > 0 && err == 0) {
		uint8_t c = (uint8_t)s.p[0];
		size_t n = 1;

		if (c == '=' && s.n >= 3 && hex_of(s.p[1]) >= 0 &&
		    hex_of(s.p[2]) >= 0) {
			c = (uint8_t)(hex_of(s.p[1]) << 4 | hex_of(s.p[2]));
			n = 3;
		} else if (c == '=' && !is_word &&
		    (s.n == 1 || soft_break(slice_skip(s, 1)) > 0)) {
			s = slice_skip(s, 1 + soft_break(slice_skip(s, 1)));
			continue;
		} else if (c == '_' && is_word)
			c = ' ';
		err = add_byte(out, c, set);
		s = slice_skip(s, n);
	}
	return err;
}

int
mime_text(const struct mime_part *p, struct buf *out)
{
	char name[32];
	size_t n = mime_param(mime_field(p->head, SL("Content-Type")),
	    SL("charset"), name, sizeof(name));
	enum charset set = charset_find(slice_of(name, n));
	int err = 0;

	if (p->coding == MIME_BASE64)
		return add_base64(out, p->body, set);
	if (p->coding == MIME_QUOTED)
		return add_quoted(out, p->body, set, false);
	for (size_t i = 0; i < p->body.n && err == 0; i++)
		err = add_byte(out, (uint8_t)p->body.p[i], set);
	return err;
}

/* ---- encoded words ---------------------------------------------------------------- */

/* "=?set?B?text?=" at the front; its length, 0 when it is none. */
static size_t
word_at(struct slice s, struct slice *set, char *coding, struct slice *text)
{
	struct slice rest = s, lang;

	if (!slice_has_prefix(s, SL("=?")))
		return 0;
	rest = slice_of(s.p + 2, MIN(s.n, WORD_MAX) - 2);
	*set = slice_cut(&rest, '?');
	if (rest.n < 4 || rest.p[1] != '?')
		return 0;
	*coding = ascii_lower(rest.p[0]);
	rest = slice_skip(rest, 2);
	*text = slice_cut(&rest, '?');
	if (rest.n == 0 || rest.p[0] != '=' ||
	    (*coding != 'b' && *coding != 'q'))
		return 0;
	lang = *set; /* RFC 2231 5: "set*language" */
	*set = slice_cut(&lang, '*');
	return (size_t)(rest.p + 1 - s.p);
}

static int
add_word(struct buf *out, struct slice set, char coding, struct slice text)
{
	enum charset c = charset_find(set);

	return coding == 'b' ? add_base64(out, text, c) :
			       add_quoted(out, text, c, true);
}

static size_t
white_at(struct slice s)
{
	size_t n = 0;

	while (n < s.n &&
	    (s.p[n] == ' ' || s.p[n] == '\t' || s.p[n] == '\r' ||
		s.p[n] == '\n'))
		n++;
	return n;
}

int
mime_words(struct slice s, struct buf *out)
{
	bool was_word = false;
	int err = 0;

	s = slice_skip(s, white_at(s));
	while (s.n > 0 && err == 0) {
		struct slice set, text;
		size_t white = white_at(s);
		char coding;
		size_t n = word_at(slice_skip(s, white), &set, &coding, &text);

		if (white > 0 && white < s.n && !(was_word && n > 0))
			err = buf_addc(out, ' ');
		s = slice_skip(s, white);
		was_word = n > 0;
		if (n > 0)
			err = err ? err : add_word(out, set, coding, text);
		else if (s.n > 0)
			err = err ? err : buf_addc(out, s.p[0]);
		s = slice_skip(s, n > 0 ? n : 1);
	}
	return err;
}

/* ---- HTML -------------------------------------------------------------------------- */

/* The name of a tag "<name ...>" or "</name>". */
static struct slice
tag_name(struct slice tag)
{
	size_t n = 0;

	tag = slice_skip(tag, 1);
	if (tag.n > 0 && tag.p[0] == '/')
		tag = slice_skip(tag, 1);
	while (
	    n < tag.n && (ascii_is_alpha(tag.p[n]) || ascii_is_digit(tag.p[n])))
		n++;
	return slice_of(tag.p, n);
}

static bool
breaks_line(struct slice name)
{
	static const struct slice blocks[] = { SL("br"), SL("p"), SL("div"),
		SL("tr"), SL("li"), SL("ul"), SL("table"), SL("h1"), SL("h2"),
		SL("h3"), SL("pre"), SL("hr"), SL("title") };

	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		if (slice_ieq(name, blocks[i]))
			return true;
	return false;
}

/* Where the text goes on behind "<style>", "<script>": at the end tag, or at the
 * very end. */
static size_t
skip_to_end(struct slice s, struct slice name)
{
	for (size_t i = 0; i + 2 + name.n <= s.n; i++)
		if (s.p[i] == '<' && s.p[i + 1] == '/' &&
		    slice_has_iprefix(slice_skip(s, i + 2), name))
			return i;
	return s.n;
}

/* A tag, or an address between angle brackets, which is no tag. */
static int
add_tag(struct slice *s, struct buf *out)
{
	size_t max = MIN(s->n, TAG_MAX);
	size_t n = slice_index(slice_of(s->p, max), '>');
	struct slice tag = slice_of(s->p, n), name = tag_name(tag);

	if (n == max ||
	    (name.n == 0 && !slice_has_prefix(tag, SL("<!")) &&
		!slice_has_prefix(tag, SL("<?")))) {
		*s = slice_skip(*s, 1);
		return buf_addc(out, '<');
	}
	if (slice_index(tag, '@') < tag.n && slice_index(tag, '=') == tag.n &&
	    slice_index(tag, ' ') == tag.n) {
		*s = slice_skip(*s, n + 1);
		return buf_adds(out, tag) == 0 ? buf_addc(out, '>') : E_FULL;
	}
	*s = slice_skip(*s, n + 1);
	if (tag.p[1] != '/' &&
	    (slice_ieq(name, SL("style")) || slice_ieq(name, SL("script"))))
		*s = slice_skip(*s, skip_to_end(*s, name));
	return breaks_line(name) ? buf_addc(out, '\n') : 0;
}

static int
add_entity(struct slice *s, struct buf *out)
{
	static const struct {
		struct slice name;
		char c;
	} known[] = { { SL("lt"), '<' }, { SL("gt"), '>' }, { SL("amp"), '&' },
		{ SL("quot"), '"' }, { SL("nbsp"), ' ' }, { SL("apos"), '\'' },
		{ SL("#x40"), '@' } };
	size_t n = slice_index(slice_of(s->p, MIN(s->n, ENTITY_MAX)), ';');
	struct slice name = slice_of(s->p + 1, n > 0 ? n - 1 : 0);
	uint64_t code;

	if (n == MIN(s->n, ENTITY_MAX)) {
		*s = slice_skip(*s, 1);
		return buf_addc(out, '&');
	}
	*s = slice_skip(*s, n + 1);
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (slice_ieq(name, known[i].name))
			return buf_addc(out, known[i].c);
	if (name.n > 1 && name.p[0] == '#' &&
	    slice_u64(slice_skip(name, 1), 0xFFFF, &code) == 0 && code >= ' ')
		return mime_char(out, (uint32_t)code);
	return buf_addc(out, ' ');
}

int
mime_html(struct slice s, struct buf *out)
{
	int err = 0;

	while (s.n > 0 && err == 0) {
		if (s.p[0] == '<') {
			err = add_tag(&s, out);
		} else if (s.p[0] == '&') {
			err = add_entity(&s, out);
		} else {
			err = buf_addc(out, s.p[0]);
			s = slice_skip(s, 1);
		}
	}
	return err;
}
