/*
 * proto/http_srv.c - requests out of a stream of bytes: heads, bodies and their
 * chunks, and answers.
 *
 * Invariants:
 * - While an act waits for its answer nothing is read, and s->head stays.
 * - is_live: the caller was shown the request and has not answered it. It ends
 *   with http_srv_reply or with HTTP_ABORT, exactly once.
 * - After an error of framing no byte is read as a request any more.
 */
#include "base/json.h"
#include "proto/http_srv.h"

#define METHOD_MAX 16u
#define SIZE_DIGITS_MAX 15u /* of a chunk, hexadecimal */
#define ERROR_BYTES 4096u

static const struct {
	int status;
	struct slice text;
} phrases[] = {
	{ 200, { "OK", 2 } },
	{ 202, { "Accepted", 8 } },
	{ 400, { "Bad Request", 11 } },
	{ 401, { "Unauthorized", 12 } },
	{ 403, { "Forbidden", 9 } },
	{ 404, { "Not Found", 9 } },
	{ 405, { "Method Not Allowed", 18 } },
	{ 408, { "Request Timeout", 15 } },
	{ 409, { "Conflict", 8 } },
	{ 411, { "Length Required", 15 } },
	{ 413, { "Content Too Large", 17 } },
	{ 415, { "Unsupported Media Type", 22 } },
	{ 417, { "Expectation Failed", 18 } },
	{ 422, { "Unprocessable Content", 21 } },
	{ 429, { "Too Many Requests", 17 } },
	{ 431, { "Request Header Fields Too Large", 31 } },
	{ 500, { "Internal Server Error", 21 } },
	{ 501, { "Not Implemented", 15 } },
	{ 503, { "Service Unavailable", 19 } },
	{ 505, { "HTTP Version Not Supported", 26 } },
};

void
http_srv_init(struct http_srv *s, const struct http_srv_conf *conf,
    int64_t now_us)
{
	memset(s, 0, sizeof(*s));
	s->conf = conf;
	s->since_us = now_us;
	buf_init(&s->out, HTTP_OUT_MAX);
	buf_init(&s->head, HTTP_HEAD_MAX);
	buf_init(&s->line, HTTP_CHUNK_LINE_MAX);
}

void
http_srv_free(struct http_srv *s)
{
	buf_free(&s->out);
	buf_free(&s->head);
	buf_free(&s->line);
}

/* ---- answers ---------------------------------------------------------------- */

static void
close_now(struct http_srv *s)
{
	s->aborts |= s->is_live;
	s->is_live = false;
	s->waits_for = 0;
	s->state = HTTP_ST_CLOSED;
}

static void
write_answer(struct http_srv *s, int status, struct slice more,
    struct slice body, bool closes)
{
	struct slice phrase = SL("Unknown");

	for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
		if (phrases[i].status == status)
			phrase = phrases[i].text;
	buf_addf(&s->out,
	    "HTTP/1.1 %d %.*s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\nCache-Control: no-store\r\n",
	    status, SLF(phrase), body.n);
	buf_adds(&s->out, more);
	if (closes)
		buf_adds(&s->out, SL("Connection: close\r\n"));
	buf_adds(&s->out, SL("\r\n"));
	if (!s->is_head_method)
		buf_adds(&s->out, body);
}

/* The next request may come. */
static void
begin_again(struct http_srv *s)
{
	buf_reset(&s->head);
	buf_reset(&s->line);
	s->state = HTTP_ST_HEAD;
	s->swallows = s->expects = s->is_head_method = false;
	s->renews = true;
}

/* Is what is left of the body worth reading, so that the connection may stay? */
static bool
may_swallow(const struct http_srv *s)
{
	if (s->state == HTTP_ST_OVER)
		return true;
	if (s->expects || s->state == HTTP_ST_CLOSED)
		return false;
	return s->is_chunked || s->left <= HTTP_SWALLOW_MAX;
}

void
http_srv_reply(struct http_srv *s, int status, struct slice more,
    struct slice body)
{
	bool stays = s->keeps_alive && !s->shuts && may_swallow(s);

	if (s->state == HTTP_ST_CLOSED)
		return;
	ASSERT(s->is_live);
	s->waits_for = 0;
	s->is_live = false;
	write_answer(s, status, more, body, !stays);
	if (!stays)
		close_now(s);
	else if (s->state == HTTP_ST_OVER)
		begin_again(s);
	else {
		s->swallows = true;
		s->ignored = 0;
		s->renews = true;
	}
}

void
http_error_json(struct jsonw *w, const char *code, struct slice message,
    struct slice field)
{
	jw_key(w, "error");
	jw_open(w, '{');
	jw_kstr(w, "code", slice_str(code));
	jw_kstr(w, "message", message);
	if (field.n > 0)
		jw_kstr(w, "field", field);
	jw_close(w, '}');
}

/* Into b, of ERROR_BYTES; texts that do not fit are left out. */
static struct slice
error_body(struct buf *b, const char *code, struct slice message,
    struct slice field)
{
	struct jsonw w;

	message.n = MIN(message.n, ERROR_BYTES / 16);
	field.n = MIN(field.n, ERROR_BYTES / 16);
	jw_init(&w, b);
	jw_open(&w, '{');
	http_error_json(&w, code, message, field);
	jw_close(&w, '}');
	buf_addc(b, '\n');
	return buf_slice(b);
}

void
http_srv_error(struct http_srv *s, int status, const char *code,
    struct slice message, struct slice field, struct slice more)
{
	struct buf b;

	buf_init(&b, ERROR_BYTES);
	http_srv_reply(s, status, more, error_body(&b, code, message, field));
	buf_free(&b);
}

/* What we refuse by ourselves: nothing behind it is read. */
static enum http_act
refuse(struct http_srv *s, int status, const char *code, const char *message)
{
	struct buf b;

	buf_init(&b, ERROR_BYTES);
	if (!s->swallows) /* that one is answered */
		write_answer(s, status, SL(""),
		    error_body(&b, code, slice_str(message), SL("")), true);
	buf_free(&b);
	close_now(s);
	return HTTP_NEED_INPUT;
}

static enum http_act
malformed(struct http_srv *s, const char *what)
{
	return refuse(s, 400, "malformed_request", what);
}

void
http_srv_go_ahead(struct http_srv *s)
{
	if (s->state == HTTP_ST_CLOSED)
		return;
	ASSERT(s->waits_for == HTTP_HEAD);
	s->waits_for = 0;
	s->renews = true;
	if (s->expects && s->state != HTTP_ST_OVER)
		buf_adds(&s->out, SL("HTTP/1.1 100 Continue\r\n\r\n"));
	s->expects = false;
}

/* ---- heads -------------------------------------------------------------------- */

static bool
is_token(struct slice s)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    (s.p[i] == '\0' || strchr(marks, s.p[i]) == NULL))
			return false;
	return s.n > 0;
}

/* The next line without its CRLF, of text whose lines all end so. */
static struct slice
cut_line(struct slice *rest)
{
	struct slice line = slice_cut(rest, '\n');

	line.n -= line.n > 0; /* the CR: checked by has_odd_bytes */
	return line;
}

/* Controls other than a tab, and a CR or LF that is no half of CRLF. */
static bool
has_odd_bytes(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\r' && i + 1 < s.n && s.p[i + 1] == '\n') {
			i++;
			continue;
		}
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

static enum http_act
read_target(struct http_srv *s, struct slice target)
{
	struct slice rest = target;

	/* RFC 9112 3.2.2: the absolute form must be understood. */
	if (slice_has_iprefix(target, SL("http://")) ||
	    slice_has_iprefix(target, SL("https://"))) {
		rest = slice_skip(target, slice_index(target, ':') + 3);
		rest = slice_skip(rest, slice_index(rest, '/'));
		if (rest.n == 0)
			rest = SL("/");
	}
	if (rest.n == 0 || rest.p[0] != '/')
		return malformed(s, "The target of the request is no path");
	for (size_t i = 0; i < rest.n; i++)
		if (rest.p[i] <= ' ' || rest.p[i] > '~')
			return malformed(s,
			    "The target of the request is not ASCII");
	s->path = slice_cut(&rest, '?');
	s->query = rest.p ? rest : SL("");
	return HTTP_HEAD;
}

static enum http_act
read_request_line(struct http_srv *s, struct slice line)
{
	struct slice target;

	s->method = slice_cut(&line, ' ');
	target = slice_cut(&line, ' ');
	if (s->method.n > METHOD_MAX || !is_token(s->method))
		return malformed(s, "The request's line has no method");
	s->is_head_method = slice_eq(s->method, SL("HEAD"));
	if (!slice_has_prefix(line, SL("HTTP/")) || line.n != 8)
		return malformed(s, "The request's line has no version");
	if (!slice_eq(line, SL("HTTP/1.1")) && !slice_eq(line, SL("HTTP/1.0")))
		return refuse(s, 505, "version_not_supported",
		    "Only HTTP/1.1 and HTTP/1.0 are spoken here");
	s->keeps_alive = line.p[7] == '1';
	return read_target(s, target);
}

struct slice
http_srv_field(const struct http_srv *s, struct slice name)
{
	struct slice rest = s->fields, line, key;

	while (rest.n > 0) {
		line = cut_line(&rest);
		key = slice_cut(&line, ':');
		if (slice_ieq(key, name))
			return slice_trim(line);
	}
	return slice_of(NULL, 0);
}

/* Fields that say one thing: a second one is somebody's trick. */
static bool
is_single(struct slice key)
{
	static const struct slice v[] = { { "Content-Length", 14 },
		{ "Transfer-Encoding", 17 }, { "Host", 4 }, { "Expect", 6 },
		{ "Content-Type", 12 }, { "Content-Encoding", 16 },
		{ "Authorization", 13 }, { "Idempotency-Key", 15 },
		{ "Connection", 10 } };

	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		if (slice_ieq(key, v[i]))
			return true;
	return false;
}

static bool
is_repeated(struct slice rest, struct slice key)
{
	while (rest.n > 0) {
		struct slice line = cut_line(&rest);

		if (slice_ieq(slice_cut(&line, ':'), key))
			return true;
	}
	return false;
}

static enum http_act
read_fields(struct http_srv *s)
{
	struct slice rest = s->fields, line, key;
	uint32_t n = 0;

	while (rest.n > 0) {
		line = cut_line(&rest);
		if (++n > HTTP_FIELDS_MAX)
			return refuse(s, 431, "too_many_fields",
			    "The request has too many header fields");
		key = slice_cut(&line, ':');
		/* No fold, and no blank before the colon (RFC 9112 5.1, 5.2). */
		if (line.p == NULL || !is_token(key))
			return malformed(s, "A header field is malformed");
		if (is_single(key) && is_repeated(rest, key))
			return malformed(s,
			    "A header field that must be single is repeated");
	}
	return HTTP_HEAD;
}

/* How long the body is: said once, and so that all agree (RFC 9112 6). */
static enum http_act
read_framing(struct http_srv *s, bool is_11)
{
	struct slice length = http_srv_field(s, SL("Content-Length"));
	struct slice coding = http_srv_field(s, SL("Transfer-Encoding"));

	s->is_chunked = coding.p != NULL;
	s->has_length = length.p != NULL;
	s->length = s->left = 0;
	if (s->is_chunked && (s->has_length || !is_11))
		return malformed(s,
		    "The length of the body is said in two ways");
	if (s->is_chunked && !slice_ieq(coding, SL("chunked")))
		return refuse(s, 501, "coding_not_supported",
		    "The only transfer coding known here is chunked");
	if (s->has_length &&
	    slice_u64(length, UINT64_MAX >> 1, &s->length) != 0)
		return malformed(s, "Content-Length is no number");
	if (s->length > s->conf->body_max)
		return refuse(s, 413, "too_large",
		    "The body is larger than what is taken here");
	s->left = s->length;
	s->state = s->is_chunked ? HTTP_ST_SIZE :
	    s->left > 0          ? HTTP_ST_BODY :
				   HTTP_ST_OVER;
	return HTTP_HEAD;
}

/* Is the word one of a list with commas? */
static bool
has_word(struct slice list, struct slice word)
{
	while (list.n > 0)
		if (slice_ieq(slice_trim(slice_cut(&list, ',')), word))
			return true;
	return false;
}

static enum http_act
read_head(struct http_srv *s)
{
	struct slice all = buf_slice(&s->head), line;
	struct slice connection, expect;
	bool is_11;

	all.n -= 2; /* the blank line */
	if (has_odd_bytes(all))
		return malformed(s, "The head of the request has odd bytes");
	line = cut_line(&all);
	s->fields = all;
	if (read_request_line(s, line) != HTTP_HEAD ||
	    read_fields(s) != HTTP_HEAD)
		return HTTP_NEED_INPUT;
	is_11 = s->keeps_alive;
	if (is_11 && http_srv_field(s, SL("Host")).p == NULL)
		return malformed(s, "The request names no Host");
	connection = http_srv_field(s, SL("Connection"));
	s->keeps_alive = is_11 && !has_word(connection, SL("close"));
	if (read_framing(s, is_11) != HTTP_HEAD)
		return HTTP_NEED_INPUT;
	expect = http_srv_field(s, SL("Expect"));
	s->expects = slice_ieq(expect, SL("100-continue"));
	if (expect.p != NULL && !s->expects)
		return refuse(s, 417, "expectation_failed",
		    "The only expectation known here is 100-continue");
	s->body_bytes = 0;
	s->is_live = true;
	s->waits_for = HTTP_HEAD;
	return HTTP_HEAD;
}

/* Takes bytes of a head, up to its blank line. */
static enum http_act
step_head(struct http_srv *s, struct slice *in, int64_t now_us)
{
	size_t had = s->head.n, from = had > 3 ? had - 3 : 0, n;
	struct slice piece = *in;
	const char *end;

	if (had == 0) {
		/* RFC 9112 2.2: an empty line before it is passed over. */
		while (piece.n > 0 && (*piece.p == '\r' || *piece.p == '\n'))
			piece = slice_skip(piece, 1);
		*in = piece;
		if (piece.n == 0)
			return HTTP_NEED_INPUT;
		s->since_us = now_us;
	}
	piece.n = MIN(piece.n, HTTP_HEAD_MAX - had);
	if (buf_adds(&s->head, piece))
		return refuse(s, 503, "busy", "Busy, try again later");
	end = s->head.n < 4 ? NULL :
			      memmem(s->head.p + s->head.off + from,
				  s->head.n - from, "\r\n\r\n", 4);
	if (end == NULL) {
		*in = slice_skip(*in, piece.n);
		if (s->head.n == HTTP_HEAD_MAX)
			return refuse(s, 431, "head_too_large",
			    "The head of the request is too large");
		return HTTP_NEED_INPUT;
	}
	n = (size_t)(end - (s->head.p + s->head.off)) + 4;
	*in = slice_skip(*in, n - had);
	buf_cut(&s->head, n);
	s->since_us = now_us;
	return read_head(s);
}

/* ---- bodies -------------------------------------------------------------------- */

static enum http_act
step_bytes(struct http_srv *s, struct slice *in)
{
	struct slice piece = *in;

	piece.n = (size_t)MIN((uint64_t)piece.n, s->left);
	*in = slice_skip(*in, piece.n);
	s->left -= piece.n;
	s->body_bytes += piece.n;
	if (s->left == 0)
		s->state = s->is_chunked ? HTTP_ST_CRLF : HTTP_ST_OVER;
	if (s->swallows) {
		s->ignored += piece.n;
		if (s->ignored > HTTP_SWALLOW_MAX)
			close_now(s);
		return HTTP_NEED_INPUT;
	}
	s->body = piece;
	return HTTP_BODY;
}

/* A line up to its CRLF, which is taken off; false: not whole yet, or no line. */
static bool
take_line(struct http_srv *s, struct slice *in, struct slice *line)
{
	const char *lf = memchr(in->p, '\n', in->n);
	size_t n = lf != NULL ? (size_t)(lf - in->p) + 1 : in->n;

	if (buf_adds(&s->line, slice_of(in->p, n))) {
		malformed(s, "A line between chunks is too long");
		return false;
	}
	*in = slice_skip(*in, n);
	if (lf == NULL)
		return false;
	*line = buf_slice(&s->line);
	buf_consume(&s->line, s->line.n);
	if (line->n < 2 || line->p[line->n - 2] != '\r' ||
	    has_odd_bytes(*line)) {
		malformed(s, "A line between chunks is malformed");
		return false;
	}
	line->n -= 2;
	return true;
}

static bool
read_hex(struct slice s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0 || s.n > SIZE_DIGITS_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = ascii_lower(s.p[i]);

		if (ascii_is_digit(c))
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*out = v;
	return true;
}

static enum http_act
step_size(struct http_srv *s, struct slice *in)
{
	struct slice line, size;

	if (!take_line(s, in, &line))
		return HTTP_NEED_INPUT;
	size = slice_cut(&line, ';');
	if (!read_hex(slice_trim(size), &s->left))
		return malformed(s, "The size of a chunk is no number");
	if (s->left > s->conf->body_max - MIN(s->body_bytes, s->conf->body_max))
		return refuse(s, 413, "too_large",
		    "The body is larger than what is taken here");
	s->state = s->left > 0 ? HTTP_ST_BODY : HTTP_ST_TRAILER;
	s->ignored = s->swallows ? s->ignored : 0;
	return HTTP_NEED_INPUT;
}

static enum http_act
step_crlf(struct http_srv *s, struct slice *in)
{
	struct slice line;

	if (!take_line(s, in, &line))
		return HTTP_NEED_INPUT;
	if (line.n > 0)
		return malformed(s, "A chunk is longer than it said");
	s->state = HTTP_ST_SIZE;
	return HTTP_NEED_INPUT;
}

static enum http_act
step_trailer(struct http_srv *s, struct slice *in)
{
	struct slice line;

	if (!take_line(s, in, &line))
		return HTTP_NEED_INPUT;
	s->ignored += line.n + 2;
	if (s->ignored > HTTP_TRAILER_MAX && !s->swallows)
		return malformed(s, "The trailer is too large");
	if (line.n == 0)
		s->state = HTTP_ST_OVER;
	return HTTP_NEED_INPUT;
}

/* ---- steps ---------------------------------------------------------------------- */

/* What is due before any input is read. */
static enum http_act
step_due(struct http_srv *s, struct slice *in)
{
	if (s->out.failed)
		close_now(s);
	if (s->shuts && s->state == HTTP_ST_HEAD && s->head.n == 0)
		close_now(s);
	if (s->aborts) {
		s->aborts = false;
		return HTTP_ABORT;
	}
	if (s->state == HTTP_ST_CLOSED) {
		*in = slice_skip(*in, in->n);
		return HTTP_CLOSE;
	}
	if (s->state != HTTP_ST_OVER)
		return HTTP_NEED_INPUT;
	if (s->swallows) {
		begin_again(s);
		return HTTP_NEED_INPUT;
	}
	s->waits_for = HTTP_END;
	return HTTP_END;
}

static enum http_act
step_input(struct http_srv *s, struct slice *in, int64_t now_us)
{
	if (s->state != HTTP_ST_HEAD)
		s->since_us = now_us;
	switch (s->state) {
	case HTTP_ST_HEAD:
		return step_head(s, in, now_us);
	case HTTP_ST_BODY:
		return step_bytes(s, in);
	case HTTP_ST_SIZE:
		return step_size(s, in);
	case HTTP_ST_CRLF:
		return step_crlf(s, in);
	default:
		return step_trailer(s, in);
	}
}

enum http_act
http_srv_step(struct http_srv *s, struct slice *in, int64_t now_us)
{
	enum http_act act;

	if (s->waits_for != 0)
		return HTTP_WAIT;
	if (s->renews)
		s->since_us = now_us;
	s->renews = false;
	for (;;) {
		act = step_due(s, in);
		if (act != HTTP_NEED_INPUT || in->n == 0)
			return act;
		act = step_input(s, in, now_us);
		if (act != HTTP_NEED_INPUT)
			return act;
	}
}

void
http_srv_shut(struct http_srv *s)
{
	s->shuts = true;
}

bool
http_srv_is_busy(const struct http_srv *s)
{
	return s->is_live || s->head.n > 0;
}

int64_t
http_srv_deadline(const struct http_srv *s)
{
	int64_t ms = s->conf->body_ms;

	if (s->state == HTTP_ST_CLOSED)
		return TIME_NEVER;
	if (s->waits_for != 0)
		ms = s->conf->answer_ms;
	else if (s->state == HTTP_ST_HEAD)
		ms = s->conf->head_ms;
	return s->since_us + ms * US_PER_MS;
}

void
http_srv_timeout(struct http_srv *s)
{
	if (s->state == HTTP_ST_CLOSED)
		return;
	if (s->waits_for != 0)
		refuse(s, 503, "busy", "This host took too long");
	else if (http_srv_is_busy(s))
		refuse(s, 408, "timeout", "The request took too long");
	else
		close_now(s);
}

/* ---- queries --------------------------------------------------------------------- */

bool
http_query_next(struct slice *query, struct slice *name, struct slice *value)
{
	struct slice pair;

	while (query->n > 0) {
		pair = slice_cut(query, '&');
		if (pair.n == 0)
			continue;
		*name = slice_cut(&pair, '=');
		*value = pair.p ? pair : SL("");
		return true;
	}
	return false;
}

int
http_unescape(struct slice text, struct buf *out)
{
	uint64_t v;
	int err = 0;

	for (size_t i = 0; i < text.n && !err; i++) {
		char c = text.p[i];

		if (c == '+')
			c = ' ';
		if (c == '%') {
			if (!read_hex(slice_of(text.p + i + 1,
					  MIN((size_t)2, text.n - i - 1)),
				&v) ||
			    text.n - i < 3)
				return E_SYNTAX;
			c = (char)v;
			i += 2;
		}
		err = buf_addc(out, c);
	}
	return err;
}
