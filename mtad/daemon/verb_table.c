/*
 * daemon/verb_table.c - tables on standard output. Cells are kept until all
 * are known, then each column is as wide as its widest cell; a table has a
 * ceiling in bytes and is cut there, with a word about it.
 */
#include "daemon/verb_i.h"

#define TABLE_BYTES_MAX (16u * 1024 * 1024)
#define CELL_MAX 320

/* Characters of a valid UTF-8 text. */
static uint32_t
text_width(struct slice s)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

static void
put_cell(struct table *t, const char *text)
{
	uint32_t column = t->ncells++ % t->ncolumns;
	uint32_t width = text_width(slice_str(text));

	t->width[column] = MAX(t->width[column], width);
	buf_add(&t->cells, text, strlen(text) + 1);
}

void
table_init(struct table *t, const char *const *titles, uint32_t n)
{
	ASSERT(n <= TABLE_COLUMNS_MAX);
	*t = (struct table){ .ncolumns = n };
	buf_init(&t->cells, TABLE_BYTES_MAX);
	for (uint32_t i = 0; i < n; i++) {
		t->is_number[i] = titles[i][0] == '>';
		put_cell(t, titles[i] + t->is_number[i]);
	}
}

void
table_cell(struct table *t, struct slice text)
{
	char shown[CELL_MAX];

	text_escape(text, shown, sizeof(shown));
	put_cell(t, shown[0] != '\0' ? shown : "-");
}

void
table_count(struct table *t, uint64_t n)
{
	table_cellf(t, "%llu", (unsigned long long)n);
}

void
table_cellf(struct table *t, const char *fmt, ...)
{
	char text[CELL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put_cell(t, text);
}

void
table_seconds(struct table *t, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	double s = json_number_value(v);
	char text[24];

	if (json_is_number(v) && s >= 0 && s < 1e12)
		put_cell(t, fmt_duration(text, (int64_t)(s * 1e6)));
	else
		put_cell(t, "-");
}

static void
print_cell(const struct table *t, uint32_t column, const char *text)
{
	uint32_t width = text_width(slice_str(text));
	int pad = (int)(t->width[column] - width);
	bool is_last = column + 1 == t->ncolumns;

	if (t->is_number[column])
		printf("%*s%s", pad, "", text);
	else
		printf("%s%*s", text, is_last ? 0 : pad, "");
	fputs(is_last ? "\n" : "  ", stdout);
}

void
table_print(struct table *t)
{
	struct slice all = buf_slice(&t->cells);
	uint32_t column = 0;

	while (all.n > 0) {
		print_cell(t, column, all.p);
		all = slice_skip(all, strlen(all.p) + 1);
		column = (column + 1) % t->ncolumns;
	}
	if (column != 0)
		putchar('\n');
	if (t->cells.failed)
		fprintf(stderr, "mtad: the table is too long and was cut\n");
	buf_free(&t->cells);
}
