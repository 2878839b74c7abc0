/*
 * view/grid.c - cells. Text is decoded, measured and cut here and nowhere
 * else. A character that is two cells wide never loses a half; one that has no
 * width of its own (a combining mark, what the C library does not know) shows
 * as '?', so a column cannot be shifted by what is in it.
 */
#include <wchar.h>

#include "view/view.h"

#define ESCAPED_MAX 2048

void
grid_init(struct grid *g, int w, int h, bool is_utf8)
{
	g->w = MAX(MIN(w, GRID_W_MAX), 1);
	g->h = MAX(MIN(h, GRID_H_MAX), 1);
	g->is_utf8 = is_utf8;
	g->cells = mem_get((size_t)g->w * (size_t)g->h * sizeof(*g->cells));
	for (int i = 0; i < g->w * g->h; i++)
		g->cells[i].code = ' ';
}

void
grid_free(struct grid *g)
{
	mem_free(g->cells);
	g->cells = NULL;
}

struct cell *
grid_at(const struct grid *g, int x, int y)
{
	ASSERT(x >= 0 && x < g->w && y >= 0 && y < g->h);
	return &g->cells[y * g->w + x];
}

static int
code_width(const struct grid *g, uint32_t *code)
{
	int w;

	if (*code >= ' ' && *code < 0x7f)
		return 1;
	w = g->is_utf8 && *code >= 0xa0 ? wcwidth((wchar_t)*code) : -1;
	if (w == 1 || w == 2)
		return w;
	*code = '?';
	return 1;
}

/* The next character of a text and its width; what is no UTF-8 is one '?'. */
static int
next_code(const struct grid *g, struct slice *text, uint32_t *code)
{
	size_t n = slice_utf8(*text, code);

	if (n == 0)
		*code = '?';
	*text = slice_skip(*text, n ? n : 1);
	return code_width(g, code);
}

static int
text_width(const struct grid *g, struct slice text)
{
	uint32_t code;
	int w = 0;

	while (text.n > 0 && w <= GRID_W_MAX)
		w += next_code(g, &text, &code);
	return w;
}

static void
put_code(struct grid *g, int x, int y, enum style s, uint32_t code, int w)
{
	*grid_at(g, x, y) = (struct cell){ code, (uint8_t)s };
	if (w == 2)
		*grid_at(g, x + 1, y) = (struct cell){ 0, (uint8_t)s };
}

int
grid_put(struct grid *g, int x, int y, int w, enum style s, struct slice text)
{
	uint32_t code, cut = g->is_utf8 ? 0x2026 : '~';
	int at = 0, n;
	bool is_cut;

	w = MIN(w, g->w - x);
	if (x < 0 || y < 0 || y >= g->h || w <= 0)
		return 0;
	is_cut = text_width(g, text) > w;
	while (text.n > 0) {
		n = next_code(g, &text, &code);
		if (at + n + is_cut > w)
			break;
		put_code(g, x + at, y, s, code, n);
		at += n;
	}
	if (is_cut)
		put_code(g, x + at++, y, s, cut, 1);
	return at;
}

/* Bytes beyond ASCII as \xNN. */
static struct slice
ascii_only(struct slice s, char *dst, size_t cap)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (size_t i = 0; i < s.n && n + 4 <= cap; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x80) {
			dst[n++] = (char)c;
			continue;
		}
		dst[n++] = '\\';
		dst[n++] = 'x';
		dst[n++] = hex[c >> 4];
		dst[n++] = hex[c & 15];
	}
	return slice_of(dst, n);
}

/* text made harmless, in one of the two buffers. */
static struct slice
escape(const struct grid *g, struct slice text, char *a, char *b)
{
	struct slice s = slice_of(a, text_escape(text, a, ESCAPED_MAX));

	return g->is_utf8 ? s : ascii_only(s, b, ESCAPED_MAX);
}

int
grid_name(struct grid *g, int x, int y, int w, enum style s, struct slice text)
{
	char a[ESCAPED_MAX], b[ESCAPED_MAX];

	return grid_put(g, x, y, w, s, escape(g, text, a, b));
}

int
grid_name_width(const struct grid *g, struct slice text)
{
	char a[ESCAPED_MAX], b[ESCAPED_MAX];

	return text_width(g, escape(g, text, a, b));
}

void
grid_bar(struct grid *g, int y, enum style s)
{
	for (int x = 0; x < g->w; x++)
		grid_at(g, x, y)->style = (uint8_t)s;
}

static void
add_utf8(struct buf *out, uint32_t c)
{
	if (c < 0x80) {
		buf_addc(out, (char)c);
		return;
	}
	if (c < 0x800) {
		buf_addc(out, (char)(0xc0 | c >> 6));
	} else if (c < 0x10000) {
		buf_addc(out, (char)(0xe0 | c >> 12));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
	} else {
		buf_addc(out, (char)(0xf0 | c >> 18));
		buf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_addc(out, (char)(0x80 | (c & 0x3f)));
}

void
grid_line(const struct grid *g, int y, struct buf *out)
{
	int end = g->w;

	while (end > 0 && grid_at(g, end - 1, y)->code == ' ')
		end--;
	for (int x = 0; x < end; x++)
		if (grid_at(g, x, y)->code != 0)
			add_utf8(out, grid_at(g, x, y)->code);
}

bool
line_add(struct line *l, enum style s, const char *fmt, ...)
{
	char text[512];
	struct slice piece;
	va_list ap;
	int w;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	piece = slice_str(text);
	w = text_width(l->g, piece);
	if (l->x + w > l->end)
		return false;
	grid_put(l->g, l->x, l->y, w, s, piece);
	l->x += w;
	return true;
}
