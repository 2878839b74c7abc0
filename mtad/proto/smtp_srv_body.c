/*
 * proto/smtp_srv_body.c - receives a message (RFC 5321 4.1.1.4 and 4.5.2).
 *
 * Invariants:
 * - Pieces are slices of the input, or literals where a byte of an earlier
 *   feed was held back; nothing is copied. Their sum does not depend on how
 *   the input was cut.
 * - Only CRLF "." CRLF ends a message, and its first CRLF is one that the
 *   client sent: never a bare CR or LF, alone, doubled or made CRLF by us.
 * - No piece holds a NUL, a CR without LF or an LF without CR.
 * - Stuffing dots are taken off behind a true CRLF only. A dot behind a bare
 *   line end that was made CRLF is content, and so is a dot that a bare line
 *   end follows.
 * - In a chunk (RFC 3030) no dot is stuffed and none ends anything: its length
 *   does. A CR at its end is held back for the LF that the next may begin with.
 */
#include "proto/scan_i.h"
#include "proto/smtp_srv_i.h"

#define NO_LIMIT (UINT64_MAX / 2)

static const struct slice too_big =
    SL("552 5.3.4 message is larger than we take\r\n");
static const struct slice has_bare =
    SL("550 5.6.0 message has a bare CR or LF\r\n");
static const struct slice has_nul = SL("550 5.6.0 message has a NUL\r\n");
static const struct slice has_long_line =
    SL("550 5.6.0 message has a line that is too long\r\n");

void
srv_body_begin(struct smtp_srv *s)
{
	s->state = SRV_ST_BODY;
	s->eol = EOL_START; /* DATA's own CRLF counts as the first */
	s->body_line = 0;
	s->body_bytes = 0;
	s->saw_8bit = s->saw_dots = false;
}

void
srv_chunk_begin(struct smtp_srv *s, uint64_t n, bool is_last)
{
	s->is_chunked = true;
	s->is_last_chunk = is_last;
	s->chunk_left = n;
}

void
srv_body_refuse(struct smtp_srv *s, struct slice reply)
{
	if (s->state != SRV_ST_BODY)
		return;
	s->refusal_n =
	    (uint16_t)slice_copy(reply, s->refusal, sizeof(s->refusal));
	s->state = SRV_ST_SWALLOW;
	if (s->has_txn) {
		s->has_txn = false;
		s->aborts = true;
	}
}

void
srv_chunk_refuse(struct smtp_srv *s, struct slice reply)
{
	s->eol = EOL_START;
	s->state = SRV_ST_BODY;
	srv_body_refuse(s, reply);
}

/* The machine's own refusal, of which the caller is told. */
static void
deny(struct smtp_srv *s, struct slice reply)
{
	if (s->state != SRV_ST_BODY)
		return;
	srv_body_refuse(s, reply);
	s->refused = reply;
	s->refused_at = STAGE_EOM;
	s->refuses = true;
}

void
srv_body_settle(struct smtp_srv *s)
{
	if (s->body_is_over)
		deny(s, too_big);
	s->body_is_over = false;
}

/* ---- runs: the longest stretch that can be given as it stands ------------- */

static uint64_t
line_limit(const struct smtp_srv *s)
{
	if (s->state == SRV_ST_SWALLOW || s->conf->body_line_max == 0)
		return NO_LIMIT;
	return s->conf->body_line_max;
}

/* Bytes of the line at p[i], given that it had s->body_line of them at p[from];
 * moves both forward to the last line end in between. */
static uint64_t
line_length(struct smtp_srv *s, const char *p, size_t *from, size_t i)
{
	const char *lf = memrchr(p + *from, '\n', i - *from);

	if (lf != NULL) {
		*from = (size_t)(lf - p) + 1;
		s->body_line = 0;
	}
	return s->body_line + (i - *from);
}

/*
 * Blocks of n bytes from p + i on in which every CR has its LF, no line begins
 * with a dot and no line is too long; p[i - 1] is a byte of the run. Returns
 * where they end, which may be behind a CR.
 */
static inline size_t
run_blocks(struct smtp_srv *s, const char *p, size_t i, size_t end, size_t n)
{
	uint64_t limit = line_limit(s), at_most = s->body_line;
	bool has_8bit = false;
	size_t from = i, start = i;

	while (end - i >= n) {
		/* The line's length is a bound; it is looked up when it begins
		 * to matter. */
		if (at_most + n > limit) {
			at_most = line_length(s, p, &from, i);
			if (at_most + n > limit)
				break;
		}
		if (scan_is_odd(p + i, n, &has_8bit))
			break;
		i += n;
		at_most += n;
	}
	if (i == start)
		return i;
	s->saw_8bit |= has_8bit;
	s->body_line = line_length(s, p, &from, i);
	s->eol = p[i - 1] == '\n' ? EOL_START : EOL_MID;
	return i;
}

/* The same by large blocks, then by small ones; a CR at the end is left for the
 * next look. */
static size_t
run_plain(struct smtp_srv *s, const char *p, size_t i, size_t end)
{
	size_t start = i;

	i = run_blocks(s, p, i, end, SCAN_BLOCK);
	i = run_blocks(s, p, i, end, SCAN_VECTOR);
	/* The line's length has a CR too many then; its LF, or the lack of one,
	 * sets it to 0. */
	return i > start && p[i - 1] == '\r' ? i - 1 : i;
}

/*
 * The same, byte by byte, from p + *i on: stops at `stop` (of the n bytes that
 * are there) or, returning false, at a byte that needs thought.
 */
static bool
run_bytes(struct smtp_srv *s, const char *p, size_t n, size_t stop, size_t *i)
{
	uint64_t limit = line_limit(s);

	while (*i < stop) {
		char c = p[*i];

		if (c == '\r') {
			if (n - *i < 2 || p[*i + 1] != '\n')
				return false;
			*i += 2;
			s->eol = EOL_START;
			s->body_line = 0;
			continue;
		}
		if (c == '\n' || c == '\0' || s->body_line >= limit ||
		    (c == '.' && s->eol != EOL_MID))
			return false;
		s->saw_8bit |= (c & 0x80) != 0;
		s->eol = EOL_MID;
		s->body_line++;
		(*i)++;
	}
	return true;
}

static size_t
run_length(struct smtp_srv *s, const char *p, size_t n)
{
	size_t i = 0, stop = 1;

	if (s->eol >= EOL_CR)
		return 0;
	/* The first byte has none before it that could be looked at. */
	while (i < n && run_bytes(s, p, n, MIN(stop, n), &i)) {
		i = run_plain(s, p, i, n);
		stop = i + SCAN_VECTOR;
	}
	return i;
}

/* ---- giving pieces -------------------------------------------------------- */

static enum smtp_srv_act
body_give(struct smtp_srv *s, struct slice piece)
{
	uint64_t room;

	if (s->state == SRV_ST_SWALLOW)
		return SRV_NEED_INPUT;
	/* RFC 1870 5: stuffing dots and the final dot do not count. */
	room = s->conf->size_max ? s->conf->size_max - s->body_bytes : NO_LIMIT;
	if (piece.n > room) {
		piece.n = (size_t)room;
		s->body_is_over = true;
	}
	s->body_bytes += piece.n;
	s->body = piece;
	if (piece.n > 0)
		return SRV_BODY;
	srv_body_settle(s);
	return SRV_NEED_INPUT;
}

/* A CR or LF on its own, with the dot, if any, that stood before it. */
static enum smtp_srv_act
body_bare(struct smtp_srv *s, struct slice as_crlf)
{
	s->eol = EOL_MID;
	if (!s->conf->normalises_bare)
		deny(s, has_bare);
	if (s->state == SRV_ST_SWALLOW)
		return SRV_NEED_INPUT;
	s->eol = EOL_BARE;
	s->body_line = 0;
	s->saw_dots |= as_crlf.p[0] == '.';
	return body_give(s, as_crlf);
}

static enum smtp_srv_act
body_end(struct smtp_srv *s)
{
	if (s->state == SRV_ST_BODY)
		return srv_ask(s, SRV_EOM);
	srv_reset(s);
	srv_fail(s, slice_of(s->refusal, s->refusal_n));
	return SRV_NEED_INPUT;
}

/* The byte at which a run stopped; it is eaten here. */
static enum smtp_srv_act
body_stop(struct smtp_srv *s, char c)
{
	switch (c) {
	case '\r':
		s->eol = EOL_CR;
		return SRV_NEED_INPUT;
	case '\n':
		return body_bare(s, SL("\r\n"));
	case '\0':
		deny(s, has_nul);
		break;
	case '.':
		if (s->is_chunked && s->eol != EOL_MID) {
			s->eol = EOL_MID;
			s->saw_dots = true;
			s->body_line++;
			return body_give(s, SL("."));
		}
		if (s->eol == EOL_START) {
			s->eol = EOL_DOT;
			return SRV_NEED_INPUT;
		}
		/* fallthrough */
	default:
		deny(s, has_long_line);
	}
	s->eol = EOL_MID;
	return SRV_NEED_INPUT;
}

/* What comes behind a run, or behind what was held back. */
static enum smtp_srv_act
body_odd(struct smtp_srv *s, struct slice *in)
{
	char c = in->p[0];
	bool ends = c == '\n';

	switch (s->eol) {
	case EOL_CR:
	case EOL_DOT_CR:
		if (!ends)
			return body_bare(s,
			    s->eol == EOL_CR ? SL("\r\n") : SL(".\r\n"));
		*in = slice_skip(*in, 1);
		if (s->eol == EOL_DOT_CR)
			return body_end(s);
		s->eol = EOL_START;
		s->body_line = 0;
		return body_give(s, SL("\r\n"));
	case EOL_DOT:
		if (ends || c == '\r')
			*in = slice_skip(*in, 1);
		if (ends)
			return body_bare(s, SL(".\r\n"));
		s->eol = c == '\r' ? EOL_DOT_CR : EOL_MID;
		s->saw_dots |= c == '.';
		return SRV_NEED_INPUT;
	case EOL_BARE:
		if (c == '.' && !s->is_chunked) {
			s->eol = EOL_MID;
			s->saw_dots = true;
			return SRV_NEED_INPUT;
		}
		break;
	default:
		break;
	}
	*in = slice_skip(*in, 1);
	return body_stop(s, c);
}

static enum smtp_srv_act
body_eat(struct smtp_srv *s, struct slice *in)
{
	enum smtp_srv_act act = SRV_NEED_INPUT;

	while (in->n > 0 && act == SRV_NEED_INPUT && !s->aborts &&
	    (s->state == SRV_ST_BODY || s->state == SRV_ST_SWALLOW)) {
		size_t n = run_length(s, in->p, in->n);
		struct slice piece = slice_of(in->p, n);

		if (n == 0) {
			act = body_odd(s, in);
			continue;
		}
		*in = slice_skip(*in, n);
		act = body_give(s, piece);
	}
	return act;
}

enum smtp_srv_act
srv_body(struct smtp_srv *s, struct slice *in)
{
	struct slice chunk = *in;
	enum smtp_srv_act act;
	size_t eaten;

	if (!s->is_chunked)
		return body_eat(s, in);
	chunk.n = (size_t)MIN((uint64_t)in->n, s->chunk_left);
	eaten = chunk.n;
	act = body_eat(s, &chunk);
	eaten -= chunk.n;
	s->chunk_left -= eaten;
	*in = slice_skip(*in, eaten);
	return act;
}

/* ---- chunks -------------------------------------------------------------- */

bool
srv_chunk_is_over(const struct smtp_srv *s)
{
	return s->is_chunked && s->chunk_left == 0 && s->waits_for == 0 &&
	    (s->state == SRV_ST_BODY || s->state == SRV_ST_SWALLOW);
}

enum smtp_srv_act
srv_chunk_end(struct smtp_srv *s)
{
	if (s->state == SRV_ST_SWALLOW)
		return body_end(s);
	if (s->is_last_chunk && s->eol == EOL_CR)
		return body_bare(s, SL("\r\n"));
	/* It may leave by DATA, where the last line has an end. */
	if (s->is_last_chunk && s->eol == EOL_MID) {
		s->eol = EOL_START;
		return body_give(s, SL("\r\n"));
	}
	if (s->is_last_chunk)
		return srv_ask(s, SRV_EOM);
	s->state = SRV_ST_CHUNKS;
	srv_say(s, SL("250 2.0.0 chunk taken\r\n"));
	return SRV_NEED_INPUT;
}
