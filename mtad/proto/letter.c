/*
 * proto/letter.c - what a request asks for, checked whole before anything is
 * made of it: a batch of which half was posted because the other half could not
 * be read would be nobody's wish.
 */
#include <stdarg.h>
#include <stdio.h>

#include "proto/letter_i.h"
#include "proto/syntax.h"

static const struct slice field_names[] = {
#define X(id, text) { text, sizeof(text) - 1 },
	LETTER_FIELDS(X)
#undef X
};

bool
letter_wrong(struct letter_fault *f, const char *field, const char *fmt, ...)
{
	va_list ap;

	slice_copy(slice_str(field), f->field, sizeof(f->field));
	va_start(ap, fmt);
	vsnprintf(f->message, sizeof(f->message), fmt, ap);
	va_end(ap);
	return false;
}

const char *
letter_field_name(enum letter_field field)
{
	return field_names[field].p;
}

bool
letter_is_given(const struct letter *l, enum letter_field field)
{
	return l->v[field].p != NULL;
}

bool
letter_is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

static bool
has_controls(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return true;
	return false;
}

/* ---- addresses ---------------------------------------------------------------- */

/* Copies a string that fits, and holds no control characters. */
static bool
take_line(struct slice value, char *dst, size_t cap, size_t *n)
{
	struct buf b;
	bool ok;

	if (json_kind_of(value) != JSON_KIND_STRING)
		return false;
	buf_init(&b, cap - 1);
	ok = json_text_add(value, &b) == 0 && !has_controls(buf_slice(&b));
	if (ok)
		*n = slice_copy(buf_slice(&b), dst, cap);
	buf_free(&b);
	return ok;
}

/* "Name <a@b>", "\"Name\" <a@b>" or "a@b", taken apart. */
static bool
split(struct slice text, struct letter_addr *a)
{
	size_t open = text.n;
	struct slice name, email = slice_trim(text);

	if (email.n > 0 && email.p[email.n - 1] == '>') {
		while (open > 0 && text.p[open - 1] != '<')
			open--;
		if (open == 0)
			return false;
		name = slice_trim(slice_of(text.p, open - 1));
		email = slice_skip(text, open);
		email.n = slice_index(email, '>');
		if (name.n > 1 && name.p[0] == '"' && name.p[name.n - 1] == '"')
			name = slice_of(name.p + 1, name.n - 2);
		if (name.n > LETTER_NAME_MAX)
			return false;
		a->name_n = slice_copy(name, a->name, sizeof(a->name));
	}
	if (email.n > MAILBOX_MAX)
		return false;
	a->email_n = slice_copy(email, a->email, sizeof(a->email));
	return true;
}

/* A domain that is not ASCII has a form that is, and every host takes that. */
static void
to_ascii(const struct letter *l, struct letter_addr *a)
{
	struct slice all = slice_of(a->email, a->email_n);
	struct slice domain = mailbox_domain(all);
	char text[DOMAIN_MAX + 1];
	size_t local = all.n - domain.n;

	if (l->conf->ascii == NULL || letter_is_ascii(domain) ||
	    !letter_is_ascii(slice_of(all.p, local)) ||
	    !l->conf->ascii(domain, text) || local + strlen(text) > MAILBOX_MAX)
		return;
	a->email_n = local +
	    slice_copy(slice_str(text), a->email + local,
		sizeof(a->email) - local);
}

static bool
read_object(struct slice value, struct letter_addr *a)
{
	struct slice rest = json_inside(value), key, v;

	while (json_member(&rest, &key, &v)) {
		bool is_email = json_is(key, SL("email"));

		if (is_email &&
		    !take_line(v, a->email, sizeof(a->email), &a->email_n))
			return false;
		if (json_is(key, SL("name")) &&
		    !take_line(v, a->name, sizeof(a->name), &a->name_n))
			return false;
		if (!is_email && !json_is(key, SL("name")) &&
		    !json_is(key, SL("substitutions")))
			return false;
	}
	return true;
}

bool
letter_addr_read(const struct letter *l, struct slice value,
    struct letter_addr *a, const char *field, struct letter_fault *f)
{
	char text[MAILBOX_MAX + LETTER_NAME_MAX + 8];
	bool ok = false;
	size_t n;

	memset(a, 0, sizeof(*a));
	if (json_kind_of(value) == JSON_KIND_OBJECT)
		ok = read_object(value, a);
	else if (take_line(value, text, sizeof(text), &n))
		ok = split(slice_of(text, n), a);
	if (!ok || !mailbox_is_valid(slice_of(a->email, a->email_n), true))
		return letter_wrong(f, field,
		    "expected an address, or an object of email and name");
	to_ascii(l, a);
	return true;
}

/* ---- recipients ----------------------------------------------------------------- */

struct letter_at
letter_first(const struct letter *l)
{
	return (struct letter_at){ .list = l->is_batch ? LETTER_RECIPIENTS :
							 LETTER_TO };
}

/* The next value of the lists, whatever it is. */
static bool
next_item(const struct letter *l, struct letter_at *at)
{
	for (;; at->list++, at->is_begun = false) {
		struct slice v = l->v[at->list];

		if (!l->is_batch && at->list > LETTER_BCC)
			return false;
		if (v.p != NULL && !at->is_begun) {
			at->is_begun = true;
			at->rest = SL("");
			at->item = v;
			if (json_kind_of(v) != JSON_KIND_ARRAY)
				return true;
			at->rest = json_inside(v);
		}
		if (at->is_begun && json_item(&at->rest, &at->item))
			return true;
		if (l->is_batch)
			return false;
	}
}

bool
letter_next(const struct letter *l, struct letter_at *at, struct letter_addr *a)
{
	struct letter_fault f;

	return next_item(l, at) && letter_addr_read(l, at->item, a, "", &f);
}

/* Values of words: an object of strings and numbers. */
static bool
check_words(struct slice v, const char *field, struct letter_fault *f)
{
	struct slice rest, key, value;
	char text[LETTER_VALUE_MAX];
	struct json_text t;

	if (json_kind_of(v) != JSON_KIND_OBJECT)
		return letter_wrong(f, field, "expected an object");
	rest = json_inside(v);
	while (json_member(&rest, &key, &value)) {
		if (json_kind_of(value) == JSON_KIND_NUMBER)
			continue;
		if (json_kind_of(value) != JSON_KIND_STRING)
			return letter_wrong(f, field,
			    "expected strings and numbers");
		t = json_text_of(value);
		if (json_text_next(&t, text, sizeof(text)) > 0 && t.left.n > 0)
			return letter_wrong(f, field,
			    "expected values of at most %u bytes",
			    LETTER_VALUE_MAX - 4);
	}
	return true;
}

static bool
check_rcpt(struct letter *l, const struct letter_at *at, uint32_t i,
    struct letter_fault *f)
{
	char field[LETTER_FIELD_MAX];
	struct letter_addr a;
	struct slice words;

	snprintf(field, sizeof(field), "%s[%u]",
	    letter_field_name((enum letter_field)at->list), i);
	if (!letter_addr_read(l, at->item, &a, field, f))
		return false;
	l->is_utf8 |= !letter_is_ascii(slice_of(a.email, a.email_n));
	if (json_kind_of(at->item) != JSON_KIND_OBJECT)
		return true;
	words = json_get(at->item, SL("substitutions"));
	if (words.p == NULL)
		return true;
	if (!l->is_batch)
		return letter_wrong(f, field,
		    "substitutions are for `recipients`");
	return check_words(words, field, f);
}

static bool
check_rcpts(struct letter *l, struct letter_fault *f)
{
	struct letter_at at;
	uint32_t i = 0, max;
	uint8_t list = LETTER_N;

	l->is_batch = letter_is_given(l, LETTER_RECIPIENTS);
	max = l->is_batch ? LETTER_BATCH_MAX : l->conf->rcpts_max;
	if (l->is_batch &&
	    (letter_is_given(l, LETTER_TO) || letter_is_given(l, LETTER_CC) ||
		letter_is_given(l, LETTER_BCC)))
		return letter_wrong(f, "recipients",
		    "there is either to, cc and bcc, or recipients");
	for (at = letter_first(l); next_item(l, &at); l->nrcpt++) {
		i = at.list == list ? i + 1 : 0;
		list = at.list;
		if (l->nrcpt == max)
			return letter_wrong(f,
			    letter_field_name((enum letter_field)at.list),
			    "more than %u recipients", max);
		if (!check_rcpt(l, &at, i, f))
			return false;
	}
	if (l->nrcpt == 0)
		return letter_wrong(f, l->is_batch ? "recipients" : "to",
		    "a recipient is needed");
	return true;
}

static bool
check_senders(struct letter *l, struct letter_fault *f)
{
	struct letter_addr from, reply;
	struct slice v = l->v[LETTER_ENVELOPE_FROM];

	if (!letter_is_given(l, LETTER_FROM))
		return letter_wrong(f, "from", "a sender is needed");
	if (!letter_addr_read(l, l->v[LETTER_FROM], &from, "from", f))
		return false;
	if (letter_is_given(l, LETTER_REPLY_TO) &&
	    !letter_addr_read(l, l->v[LETTER_REPLY_TO], &reply, "reply_to", f))
		return false;
	l->sender = from;
	if (v.p != NULL && json_kind_of(v) == JSON_KIND_STRING &&
	    json_is(v, SL("")))
		l->sender.email_n = 0;
	else if (v.p != NULL &&
	    !letter_addr_read(l, v, &l->sender, "envelope_from", f))
		return false;
	l->is_utf8 |= !letter_is_ascii(slice_of(from.email, from.email_n)) ||
	    !letter_is_ascii(slice_of(l->sender.email, l->sender.email_n)) ||
	    (letter_is_given(l, LETTER_REPLY_TO) &&
		!letter_is_ascii(slice_of(reply.email, reply.email_n)));
	return true;
}

/* ---- parts ---------------------------------------------------------------------- */

static bool
is_token(struct slice s)
{
	static const char marks[] = "!#$&-^_.+";

	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    (s.p[i] == '\0' || strchr(marks, s.p[i]) == NULL))
			return false;
	return s.n > 0 && s.n <= 127;
}

/* "image/png"; not what may only stand in clear (RFC 2046 5.2.1, 5.1.1). */
static bool
is_type(struct slice s)
{
	struct slice rest = s, kind = slice_cut(&rest, '/');

	return is_token(kind) && is_token(rest) &&
	    !slice_ieq(kind, SL("multipart")) &&
	    !slice_ieq(kind, SL("message"));
}

/* Base64 in which white space does not count. */
static bool
is_base64(struct slice string)
{
	struct json_text t = json_text_of(string);
	uint64_t digits = 0, pads = 0;
	char piece[4096];
	size_t n;

	while ((n = json_text_next(&t, piece, sizeof(piece))) > 0)
		for (size_t i = 0; i < n; i++) {
			char c = piece[i];

			if (c == ' ' || c == '\r' || c == '\n' || c == '\t')
				continue;
			if (c == '=') {
				pads++;
				continue;
			}
			if (pads > 0 ||
			    (!ascii_is_alpha(c) && !ascii_is_digit(c) &&
				c != '+' && c != '/'))
				return false;
			digits++;
		}
	return pads <= 2 && (digits + pads) % 4 == 0;
}

static bool
check_attachment(struct letter *l, struct slice v, const char *field,
    struct letter_fault *f)
{
	struct slice rest, key, value;
	bool has_content = false, is_inline = false, ok = true;
	char text[LETTER_NAME_MAX + 1];
	size_t n = 0;

	if (json_kind_of(v) != JSON_KIND_OBJECT)
		return letter_wrong(f, field, "expected an object");
	rest = json_inside(v);
	while (ok && json_member(&rest, &key, &value)) {
		if (json_is(key, SL("content"))) {
			ok = json_kind_of(value) == JSON_KIND_STRING &&
			    is_base64(value);
			has_content = true;
			continue;
		}
		ok = take_line(value, text, sizeof(text), &n);
		if (json_is(key, SL("type")))
			ok = ok && is_type(slice_of(text, n));
		else if (json_is(key, SL("cid"))) {
			is_inline = true;
			ok = ok &&
			    (mailbox_is_valid(slice_of(text, n), false) ||
				is_token(slice_of(text, n)));
		} else
			ok = ok && json_is(key, SL("name"));
	}
	if (!ok || !has_content)
		return letter_wrong(f, field,
		    "expected content (base64) and, if wanted, name, type "
		    "(such as image/png) and cid");
	l->ninline += is_inline;
	l->nattached += !is_inline;
	return true;
}

static bool
check_attachments(struct letter *l, struct letter_fault *f)
{
	struct slice v = l->v[LETTER_ATTACHMENTS], rest, item;
	char field[LETTER_FIELD_MAX];
	uint32_t i = 0;

	if (v.p == NULL)
		return true;
	if (json_kind_of(v) != JSON_KIND_ARRAY)
		return letter_wrong(f, "attachments", "expected an array");
	rest = json_inside(v);
	for (; json_item(&rest, &item); i++) {
		snprintf(field, sizeof(field), "attachments[%u]", i);
		if (i == LETTER_PARTS_MAX)
			return letter_wrong(f, "attachments",
			    "at most %u attachments", LETTER_PARTS_MAX);
		if (!check_attachment(l, item, field, f))
			return false;
	}
	if (l->ninline > 0 && !letter_is_given(l, LETTER_HTML))
		return letter_wrong(f, "attachments",
		    "one with a cid belongs to html");
	return true;
}

static bool
check_text(const struct letter *l, enum letter_field field,
    struct letter_fault *f)
{
	size_t max = l->is_batch ? LETTER_TEMPLATE_MAX : LETTER_TEXT_MAX;
	struct slice v = l->v[field];

	if (v.p == NULL)
		return true;
	if (json_kind_of(v) != JSON_KIND_STRING)
		return letter_wrong(f, letter_field_name(field),
		    "expected a string");
	if (v.n > max)
		return letter_wrong(f, letter_field_name(field),
		    "expected at most %zu bytes", max);
	return true;
}

static bool
check_headers(const struct letter *l, struct letter_fault *f)
{
	struct slice v = l->v[LETTER_HEADERS], rest, key, value;
	char name[80], field[LETTER_FIELD_MAX];
	size_t n = 0;

	if (v.p == NULL)
		return true;
	if (json_kind_of(v) != JSON_KIND_OBJECT)
		return letter_wrong(f, "headers", "expected an object");
	rest = json_inside(v);
	while (json_member(&rest, &key, &value)) {
		bool ok = take_line(key, name, sizeof(name), &n) && n > 0;

		for (size_t i = 0; ok && i < n; i++)
			ok = name[i] > ' ' && name[i] <= '~' && name[i] != ':';
		if (!ok)
			return letter_wrong(f, "headers",
			    "expected names of header fields");
		snprintf(field, sizeof(field), "headers.%.40s", name);
		if (letter_field_is_ours(slice_of(name, n)))
			return letter_wrong(f, field,
			    "this field is made from others, or not a "
			    "sender's to give");
		if (json_kind_of(value) != JSON_KIND_STRING)
			return letter_wrong(f, field, "expected a string");
	}
	return true;
}

static bool
check_steer(const struct letter *l, struct letter_fault *f)
{
	char text[NAME_MAX_BYTES + 1];
	size_t n;

	for (int i = LETTER_STEER; i < LETTER_N; i++)
		if (l->v[i].p != NULL &&
		    (!take_line(l->v[i], text, sizeof(text), &n) ||
			!letter_is_ascii(slice_of(text, n))))
			return letter_wrong(f,
			    letter_field_name((enum letter_field)i),
			    "expected a string of at most %u bytes, in ASCII",
			    NAME_MAX_BYTES);
	return true;
}

/* ---- the whole -------------------------------------------------------------------- */

/* Members to their places; each once, and none that is not known. */
static bool
take_members(struct letter *l, struct slice object, struct letter_fault *f)
{
	struct slice rest = json_inside(object), key, value;
	char name[LETTER_FIELD_MAX];
	size_t n = 0;
	int i;

	while (json_member(&rest, &key, &value)) {
		for (i = 0; i < LETTER_N; i++)
			if (json_is(key, field_names[i]))
				break;
		if (i == LETTER_N) {
			if (!take_line(key, name, sizeof(name), &n))
				n = 0;
			name[n] = '\0';
			return letter_wrong(f, name, "not a known field");
		}
		if (l->v[i].p != NULL)
			return letter_wrong(f, field_names[i].p,
			    "it is given twice");
		if (json_kind_of(value) != JSON_KIND_NULL)
			l->v[i] = value;
	}
	return true;
}

static bool
check(struct letter *l, struct slice json, struct letter_fault *f)
{
	size_t at;

	if (json_check(json, &at) != 0) {
		f->is_syntax = true;
		return letter_wrong(f, "", "no JSON, at byte %zu", at);
	}
	json = json_value(json);
	if (json_kind_of(json) != JSON_KIND_OBJECT)
		return letter_wrong(f, "", "expected an object");
	if (!take_members(l, json, f) || !check_senders(l, f) ||
	    !check_rcpts(l, f) || !check_text(l, LETTER_TEXT, f) ||
	    !check_text(l, LETTER_HTML, f) ||
	    !check_text(l, LETTER_SUBJECT, f) || !check_headers(l, f) ||
	    !check_attachments(l, f) || !check_steer(l, f))
		return false;
	if (letter_is_given(l, LETTER_SUBSTITUTIONS) &&
	    (!l->is_batch ||
		!check_words(l->v[LETTER_SUBSTITUTIONS], "substitutions", f)))
		return l->is_batch ? false :
				     letter_wrong(f, "substitutions",
					 "they are for `recipients`");
	if (!letter_is_given(l, LETTER_TEXT) &&
	    !letter_is_given(l, LETTER_HTML) && l->nattached == 0)
		return letter_wrong(f, "text",
		    "text, html or an attachment is needed");
	return true;
}

struct letter *
letter_read(struct slice json, const struct letter_conf *conf,
    struct letter_fault *f)
{
	struct letter *l = mem_try(sizeof(*l));

	memset(f, 0, sizeof(*f));
	if (l == NULL) {
		letter_wrong(f, "", "out of memory");
		return NULL;
	}
	l->conf = conf;
	if (check(l, json, f))
		return l;
	mem_free(l);
	return NULL;
}

void
letter_free(struct letter *l)
{
	mem_free(l);
}
