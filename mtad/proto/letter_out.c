/*
 * proto/letter_out.c - a message's bytes, piece by piece: its header, then its
 * parts in the order of a program of steps:
 *
 *	mixed { alternative { text, related { html, inline ... } }, attached ... }
 *
 * of which each bracket is there only where it holds more than one thing. A
 * boundary is "=_", the message's id and a letter; no coding of ours makes a
 * line that begins so.
 */
#include "proto/letter_i.h"

enum step {
	STEP_MIXED,
	STEP_ALTERNATIVE,
	STEP_TEXT,
	STEP_RELATED,
	STEP_HTML,
	STEP_INLINE,
	STEP_RELATED_END,
	STEP_ALTERNATIVE_END,
	STEP_ATTACHED,
	STEP_MIXED_END,
	STEP_DONE
};

enum work { WORK_NONE, WORK_TEXT, WORK_DIGITS };

struct letter_out {
	const struct letter *l;
	struct buf head;
	uint8_t step; /* enum step */
	uint8_t work; /* enum work: what is under way within it */
	char id[MSGID_TEXT_MAX];
	char open[4]; /* brackets that are, by their letters */
	uint32_t nopen;
	struct letter_words words;
	enum letter_coding coding_text, coding_html;
	struct letter_text text;
	struct letter_coder coder;
	struct slice parts; /* attachments that are left to look at */
	struct json_text digits;
	uint32_t column;
};

/* ---- making ------------------------------------------------------------------ */

static bool
survey(struct letter_out *o, enum letter_field field,
    enum letter_coding *coding, struct letter_fault *f)
{
	const char *name = letter_field_name(field);
	int err;

	if (!letter_is_given(o->l, field))
		return true;
	letter_text_init(&o->text, o->l->v[field], &o->words,
	    field == LETTER_HTML);
	err = letter_choose(&o->text, o->l->conf->size_max, coding);
	if (err == E_NOTFOUND)
		return letter_wrong(f, name,
		    "nothing is given to substitute for {{%s}}",
		    o->text.missing);
	return err == 0 ||
	    letter_wrong(f, name, "larger than a message may be");
}

struct letter_out *
letter_out_new(const struct letter *l, const struct letter_at *at,
    const struct letter_addr *to, const struct msgid *id, int64_t wall_us,
    struct letter_fault *f)
{
	struct letter_out *o = mem_try(sizeof(*o));

	memset(f, 0, sizeof(*f));
	if (o == NULL) {
		letter_wrong(f, "", "out of memory");
		return NULL;
	}
	o->l = l;
	o->words.are_on = l->is_batch;
	o->words.all = l->v[LETTER_SUBSTITUTIONS];
	if (l->is_batch && json_kind_of(at->item) == JSON_KIND_OBJECT)
		o->words.own = json_get(at->item, SL("substitutions"));
	msgid_format(o->id, id);
	buf_init(&o->head, LETTER_HEAD_MAX);
	if (letter_head(&o->head, l, &o->words, to, id, wall_us, f) &&
	    survey(o, LETTER_TEXT, &o->coding_text, f) &&
	    survey(o, LETTER_HTML, &o->coding_html, f))
		return o;
	letter_out_free(o);
	return NULL;
}

void
letter_out_free(struct letter_out *o)
{
	if (o == NULL)
		return;
	buf_free(&o->head);
	mem_free(o);
}

/* ---- brackets ------------------------------------------------------------------ */

static void
put_boundary(struct letter_out *o, struct buf *out, const char *end)
{
	buf_addf(out, "\r\n--=_%s_%c%s\r\n", o->id, o->open[o->nopen - 1], end);
}

/* Where a part begins: behind a boundary, or in the message's own header. */
static void
begin_part(struct letter_out *o, struct buf *out)
{
	if (o->nopen > 0)
		put_boundary(o, out, "");
}

static void
bracket(struct letter_out *o, struct buf *out, const char *kind, char letter)
{
	begin_part(o, out);
	buf_addf(out,
	    "Content-Type: multipart/%s;\r\n boundary=\"=_%s_%c\"\r\n\r\n",
	    kind, o->id, letter);
	o->open[o->nopen++] = letter;
}

static void
bracket_end(struct letter_out *o, struct buf *out)
{
	put_boundary(o, out, "--");
	o->nopen--;
}

/* ---- parts ---------------------------------------------------------------------- */

static void
begin_text(struct letter_out *o, struct buf *out, enum letter_field field)
{
	bool is_html = field == LETTER_HTML;
	static const char *const names[] = { "7bit", "quoted-printable",
		"base64" };
	enum letter_coding coding = is_html ? o->coding_html : o->coding_text;

	begin_part(o, out);
	buf_addf(out,
	    "Content-Type: text/%s; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: %s\r\n\r\n",
	    is_html ? "html" : "plain", names[coding]);
	letter_text_init(&o->text, o->l->v[field], &o->words, is_html);
	memset(&o->coder, 0, sizeof(o->coder));
	o->coder.coding = coding;
	o->work = WORK_TEXT;
}

/* Short strings that were checked: LETTER_NAME_MAX bytes at most. */
static struct slice
string_of(struct slice value, char *dst, size_t cap)
{
	struct json_text t;

	if (value.p == NULL)
		return SL("");
	t = json_text_of(value);
	return slice_of(dst, json_text_next(&t, dst, cap));
}

static void
begin_file(struct letter_out *o, struct buf *out, struct slice part)
{
	char name_text[LETTER_NAME_MAX + 8], type_text[LETTER_NAME_MAX + 8],
	    cid_text[LETTER_NAME_MAX + 8];
	struct slice name =
	    string_of(json_get(part, SL("name")), name_text, sizeof(name_text));
	struct slice type =
	    string_of(json_get(part, SL("type")), type_text, sizeof(type_text));
	struct slice cid =
	    string_of(json_get(part, SL("cid")), cid_text, sizeof(cid_text));

	if (type.n == 0)
		type = SL("application/octet-stream");
	begin_part(o, out);
	buf_addf(out, "Content-Type: %.*s", SLF(type));
	if (name.n > 0)
		letter_put_param(out, "name", name);
	buf_adds(out, SL("\r\nContent-Transfer-Encoding: base64\r\n"));
	if (cid.n > 0)
		buf_addf(out, "Content-ID: <%.*s>\r\n", SLF(cid));
	buf_addf(out, "Content-Disposition: %s",
	    cid.n > 0 ? "inline" : "attachment");
	if (name.n > 0)
		letter_put_param(out, "filename", name);
	buf_adds(out, SL("\r\n\r\n"));
	o->digits = json_text_of(json_get(part, SL("content")));
	o->column = 0;
	o->work = WORK_DIGITS;
}

/* The next attachment that is inline, or is not; false: there is none. */
static bool
next_file(struct letter_out *o, struct buf *out, bool is_inline)
{
	struct slice part;

	while (json_item(&o->parts, &part)) {
		bool has_cid = json_get(part, SL("cid")).p != NULL;

		if (has_cid != is_inline)
			continue;
		begin_file(o, out, part);
		return true;
	}
	return false;
}

static void
first_file(struct letter_out *o)
{
	struct slice v = o->l->v[LETTER_ATTACHMENTS];

	o->parts = v.p != NULL ? json_inside(v) : SL("");
}

/* ---- work ----------------------------------------------------------------------- */

static void
work_text(struct letter_out *o, struct buf *out)
{
	char piece[512];
	size_t n = letter_text_next(&o->text, piece, sizeof(piece));

	letter_code(&o->coder, out, piece, n);
	if (n > 0)
		return;
	letter_code_end(&o->coder, out);
	o->work = WORK_NONE;
}

static void
work_digits(struct letter_out *o, struct buf *out)
{
	char piece[4096];
	size_t n = json_text_next(&o->digits, piece, sizeof(piece));

	for (size_t i = 0; i < n; i++) {
		if (piece[i] == ' ' || piece[i] == '\t' || piece[i] == '\r' ||
		    piece[i] == '\n')
			continue;
		buf_addc(out, piece[i]);
		if (++o->column == 76) {
			buf_adds(out, SL("\r\n"));
			o->column = 0;
		}
	}
	if (n > 0)
		return;
	if (o->column > 0)
		buf_adds(out, SL("\r\n"));
	o->work = WORK_NONE;
}

/* Goes to the next step, unless this one has more to do. */
static void
step(struct letter_out *o, struct buf *out)
{
	bool has_text = letter_is_given(o->l, LETTER_TEXT);
	bool has_html = letter_is_given(o->l, LETTER_HTML);

	switch (o->step) {
	case STEP_MIXED:
		/* Two things in it; or one, which is not the body. */
		if (o->l->nattached > 0)
			bracket(o, out, "mixed", 'm');
		break;
	case STEP_ALTERNATIVE:
		if (has_text && has_html)
			bracket(o, out, "alternative", 'a');
		break;
	case STEP_TEXT:
		if (has_text)
			begin_text(o, out, LETTER_TEXT);
		break;
	case STEP_RELATED:
		if (o->l->ninline > 0)
			bracket(o, out, "related", 'r');
		break;
	case STEP_HTML:
		if (has_html)
			begin_text(o, out, LETTER_HTML);
		first_file(o);
		break;
	case STEP_INLINE:
		if (next_file(o, out, true))
			return;
		break;
	case STEP_RELATED_END:
		if (o->l->ninline > 0)
			bracket_end(o, out);
		break;
	case STEP_ALTERNATIVE_END:
		if (has_text && has_html)
			bracket_end(o, out);
		first_file(o);
		break;
	case STEP_ATTACHED:
		if (next_file(o, out, false))
			return;
		break;
	case STEP_MIXED_END:
		if (o->l->nattached > 0)
			bracket_end(o, out);
		break;
	default:
		return;
	}
	o->step++;
}

bool
letter_out_next(struct letter_out *o, struct buf *piece)
{
	if (o->head.n > 0) {
		buf_adds(piece, buf_slice(&o->head));
		buf_free(&o->head);
	}
	while (piece->n < LETTER_PIECE && !piece->failed &&
	    (o->work != WORK_NONE || o->step != STEP_DONE)) {
		if (o->work == WORK_TEXT)
			work_text(o, piece);
		else if (o->work == WORK_DIGITS)
			work_digits(o, piece);
		else
			step(o, piece);
	}
	return o->work != WORK_NONE || o->step != STEP_DONE;
}
