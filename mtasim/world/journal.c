/*
 * world/journal.c - the writer and the reader of journals.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "world/journal.h"

#define JOURNAL_BUF_MAX (1u << 20)
#define JOURNAL_FLUSH_AT (256u << 10)
#define JOURNAL_LINE_MAX (512u << 10) /* 1,000 recipients of 320 bytes */
#define JOURNAL_VERSION 1

int
journal_open(struct journal *j, const char *path, const char *kind)
{
	*j = (struct journal){ .fd = -1, .path = path };
	buf_init(&j->out, JOURNAL_BUF_MAX);
	if (path == NULL)
		return 0;
	j->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (j->fd < 0)
		return err_from_errno(errno);
	return buf_addf(&j->out, "# mtasim %s %d\n", kind, JOURNAL_VERSION);
}

struct buf *
journal_line(struct journal *j)
{
	return j->fd < 0 ? NULL : &j->out;
}

void
journal_end(struct journal *j)
{
	(void)buf_addc(&j->out, '\n');
	if (j->out.n >= JOURNAL_FLUSH_AT)
		journal_flush(j);
}

void
journal_add_text(struct buf *b, struct slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c <= ' ' || c == ',' || c == '%' || c >= 0x7f)
			(void)buf_addf(b, "%%%02X", c);
		else
			(void)buf_addc(b, (char)c);
	}
}

void
journal_flush(struct journal *j)
{
	if (j->fd < 0)
		return;
	while (j->out.n > 0 && !j->is_broken) {
		struct slice s = buf_slice(&j->out);
		ssize_t n = write(j->fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			perror(j->path);
			j->is_broken = true;
			break;
		}
		buf_consume(&j->out, (size_t)n);
	}
	if (j->out.failed)
		j->is_broken = true;
	buf_reset(&j->out);
}

int
journal_close(struct journal *j)
{
	if (j->fd < 0)
		return 0;
	journal_flush(j);
	if (close(j->fd) != 0)
		j->is_broken = true;
	j->fd = -1;
	buf_free(&j->out);
	return j->is_broken ? E_IO : 0;
}

static size_t
split(struct slice line, struct slice *field)
{
	size_t n = 0;

	while (line.p != NULL && n < JOURNAL_FIELDS_MAX)
		field[n++] = slice_cut(&line, ' ');
	return n;
}

int
journal_read(const char *path,
    int (*line)(void *ctx, const struct slice *field, size_t n), void *ctx,
    bool *torn)
{
	struct slice field[JOURNAL_FIELDS_MAX];
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t cap = 0;
	ssize_t n;
	int rc = 0;

	*torn = false;
	if (f == NULL)
		return err_from_errno(errno);
	while (rc == 0 && (n = getline(&text, &cap, f)) > 0) {
		if (text[n - 1] != '\n') {
			*torn = true;
			break;
		}
		if ((size_t)n > JOURNAL_LINE_MAX) {
			rc = E_TOOBIG;
			break;
		}
		if (text[0] == '#')
			continue;
		rc = line(ctx, field,
		    split(slice_of(text, (size_t)n - 1), field));
	}
	if (rc == 0 && ferror(f))
		rc = E_IO;
	free(text);
	fclose(f);
	return rc;
}

bool
journal_is_kind(const char *path, const char *kind)
{
	char want[64], have[64] = "";
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return false;
	snprintf(want, sizeof(want), "# mtasim %s %d\n", kind, JOURNAL_VERSION);
	if (fgets(have, sizeof(have), f) == NULL)
		have[0] = '\0';
	fclose(f);
	return strcmp(want, have) == 0;
}
