/*
 * conf/class_line.c - replies as they stand in text files: fields with tabs
 * between them, or whole replies of one line or several.
 */
#include "conf/classify.h"
#include "proto/reply.h"

enum stage
class_stage(struct slice name)
{
	if (slice_ieq(name, SL("eod")) || slice_ieq(name, SL("end-of-data")))
		return STAGE_EOM;
	for (int s = STAGE_NONE + 1; s < STAGE_N; s++)
		if (slice_ieq(name, slice_str(stage_name((enum stage)s))))
			return (enum stage)s;
	return STAGE_NONE;
}

/* A line without its end; *rest is moved behind that. */
static struct slice
line_cut(struct slice *rest)
{
	struct slice line = slice_cut(rest, '\n');

	while (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

/* Three digits at the front, or 0. */
static uint16_t
code_at(struct slice s)
{
	uint64_t code;

	if (s.n < 3 || slice_u64(slice_of(s.p, 3), 999, &code) != 0 ||
	    code < 100)
		return 0;
	return (uint16_t)code;
}

static void
text_add(char *text, size_t *n, struct slice more)
{
	if (*n > 0 && *n < CLASS_TEXT_MAX)
		text[(*n)++] = '\n';
	more.n = MIN(more.n, CLASS_TEXT_MAX - *n);
	if (more.n > 0)
		memcpy(text + *n, more.p, more.n);
	*n += more.n;
}

/* Takes code and enhanced code off a line of a whole reply. */
static struct slice
line_strip(struct slice line, struct enh *enh)
{
	struct slice s = slice_skip(line, MIN(line.n, 4u));
	struct enh e;

	if (enh_parse(&s, &e) == 0)
		*enh = e;
	return s;
}

static void
read_whole(struct slice line, struct slice *rest, char *text,
    struct class_query *q)
{
	size_t n = 0;

	q->code = code_at(line);
	if (q->code == 0 ||
	    (line.n > 3 && line.p[3] != '-' && line.p[3] != ' ')) {
		q->code = 0; /* a text and no reply */
		text_add(text, &n, line);
		q->text = slice_of(text, n);
		return;
	}
	for (;;) {
		struct slice ahead = *rest, next;

		text_add(text, &n, line_strip(line, &q->enh));
		if (line.n < 4 || line.p[3] != '-' || ahead.n == 0)
			break;
		next = line_cut(&ahead);
		if (code_at(next) != q->code)
			break; /* the reply was cut short */
		line = next;
		*rest = ahead;
	}
	q->text = slice_of(text, n);
}

static void
read_fields(struct slice line, char *text, struct class_query *q)
{
	struct slice field = slice_trim(slice_cut(&line, '\t')), enh;
	size_t n = 0;

	q->code = field.n == 3 ? code_at(field) : 0;
	enh = slice_trim(slice_cut(&line, '\t'));
	if (enh_parse(&enh, &q->enh) != 0)
		q->enh = (struct enh){ 0 };
	text_add(text, &n, slice_cut(&line, '\t'));
	q->text = slice_of(text, n);
	q->provider = slice_trim(slice_cut(&line, '\t'));
	q->stage = (uint8_t)class_stage(slice_trim(slice_cut(&line, '\t')));
}

/* Is the field before the first tab a code, or empty? */
static bool
has_fields(struct slice line)
{
	struct slice rest = line, first = slice_trim(slice_cut(&rest, '\t'));

	return rest.p != NULL &&
	    (first.n == 0 || (first.n == 3 && code_at(first) != 0));
}

bool
class_read(struct slice *rest, char *text, struct class_query *q)
{
	struct slice line;

	*q = (struct class_query){ 0 };
	if (rest->n == 0)
		return false;
	line = line_cut(rest);
	if (has_fields(line))
		read_fields(line, text, q);
	else
		read_whole(line, rest, text, q);
	return true;
}

bool
class_is_whole(struct slice taken)
{
	size_t from;

	if (taken.n == 0 || taken.p[taken.n - 1] != '\n')
		return false;
	for (from = taken.n - 1; from > 0 && taken.p[from - 1] != '\n';)
		from--;
	taken = slice_skip(taken, from);
	return has_fields(taken) || code_at(taken) == 0 || taken.p[3] != '-';
}
