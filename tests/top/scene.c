/*
 * Scenes out of files, and screens compared with files.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "top/scene.h"

#define FILE_MAX (8u * 1024 * 1024)

static void
place(const char *name, char *path, size_t cap)
{
	const char *top = getenv("TOP");

	snprintf(path, cap, "%s/tests/top/%s", top ? top : ".", name);
}

static bool
try_read(const char *name, struct buf *out)
{
	char path[512], chunk[4096];
	FILE *f;
	size_t n;

	place(name, path, sizeof(path));
	buf_init(out, FILE_MAX);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(out, chunk, n);
	fclose(f);
	return true;
}

void
file_read(const char *name, struct buf *out)
{
	if (!try_read(name, out))
		fail_msg("cannot read %s", name);
}

struct snap *
snap_of(const char *status, const char *queues, const char *sources)
{
	const char *const names[3] = { status, queues, sources };
	struct buf text[3];
	const char *why = "";
	struct snap *s;
	char path[256];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "data/%s.json", names[i]);
		file_read(path, &text[i]);
	}
	s = snap_parse(buf_slice(&text[0]), buf_slice(&text[1]),
	    buf_slice(&text[2]), &why);
	if (s == NULL)
		fail_msg("%s", why);
	for (int i = 0; i < 3; i++)
		buf_free(&text[i]);
	return s;
}

void
grid_text(const struct grid *g, struct buf *out)
{
	for (int y = 0; y < g->h; y++) {
		grid_line(g, y, out);
		buf_addc(out, '\n');
	}
}

void
grid_styles(const struct grid *g, struct buf *out)
{
	for (int y = 0; y < g->h; y++) {
		for (int x = 0; x < g->w; x++)
			buf_addc(out,
			    theme_row(grid_at(g, x, y)->style)->letter);
		buf_addc(out, '\n');
	}
}

static void
golden_write(const char *name, struct slice text)
{
	char path[512];
	FILE *f;

	place(name, path, sizeof(path));
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
	fclose(f);
}

/* The first line in which they differ, for the message. */
static void
complain(const char *name, struct slice want, struct slice got)
{
	struct slice a, b;
	int line = 1;

	do {
		a = slice_cut(&want, '\n');
		b = slice_cut(&got, '\n');
		if (!slice_eq(a, b))
			break;
		line++;
	} while (want.p != NULL || got.p != NULL);
	fail_msg("%s, line %d:\n- %.*s\n+ %.*s", name, line, SLF(a), SLF(b));
}

void
golden(const char *name, struct slice text)
{
	char file[256];
	struct buf want;

	snprintf(file, sizeof(file), "golden/%s.txt", name);
	if (getenv("UPDATE_GOLDEN") != NULL)
		golden_write(file, text);
	file_read(file, &want);
	if (!slice_eq(buf_slice(&want), text))
		complain(name, buf_slice(&want), text);
	buf_free(&want);
}
