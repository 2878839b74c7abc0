/*
 * proto/bounce_say.c - the words that a report in plain text has about one
 * recipient: why, and by which code.
 *
 * They stand beside the address or below it, in a transcript, further below, or
 * above for all; the more of it is taken, the more of it is about something else,
 * so it is taken in that order until something says why.
 */
#include "proto/bounce_i.h"

#define BLOCK_LINES_MAX 12u

/* Words that say why, and not just that. */
static const char *const telling_words[] = { "unknown", "not found", "t exist",
	"not exist", "no such", "quota", "full", "disabled", "invalid",
	"reject", "denied", "blocked", "spam", "expire", "timed out", "timeout",
	"refuse", "reachable", "suspended", "too large", "too big",
	"not recognized", "not listed", "unrouteable", "virus", "policy",
	"inactive", "no longer", "exceed", "too long", "retries", "responding",
	"illegal", "no valid", "not accept", "permission", "loop",
	"not a valid", "not known", "couldn't find", "can't find", "connect",
	"n'existe", "inconnu", "unbekannt", "no existe", "desconocid", "" };

/* ---- words about one ------------------------------------------------------------------ */

static bool
is_rule(struct slice line)
{
	size_t n = 0;

	while (n < line.n && line.p[n] == line.p[0])
		n++;
	return n >= 3 && !ascii_is_alpha(line.p[0]) &&
	    !ascii_is_digit(line.p[0]);
}

/* Does the line begin with an address other than this one? */
static bool
begins_other(struct slice line, struct slice address)
{
	struct slice found, ahead = line;

	return bounce_address(&ahead, &found) && !slice_ieq(found, address) &&
	    bounce_strip(slice_of(line.p, (size_t)(found.p - line.p))).n == 0;
}

/* Text behind an address: to a blank line that has words before it, a rule, or a
 * line that begins with the next address. */
static struct slice
block_of(struct slice behind, struct slice address)
{
	struct slice rest = behind;
	size_t end = 0;
	bool has_words = false;

	for (uint32_t i = 0; i < BLOCK_LINES_MAX && rest.n > 0; i++) {
		struct slice line = bounce_line(&rest);

		if (i > 0 && (is_rule(line) || begins_other(line, address)))
			break;
		if (line.n == 0 && has_words)
			break;
		has_words |= bounce_strip(line).n > 2;
		end = rest.p != NULL ? (size_t)(rest.p - behind.p) : behind.n;
	}
	return slice_of(behind.p, end);
}

/* The last words before a line, as far as they belong together. */
static struct slice
before_line(struct slice text, struct slice line)
{
	size_t end = (size_t)(line.p - text.p), at = end, blank = 0;

	while (at > 0 && end - at < 600) {
		at--;
		if (text.p[at] != '\n')
			continue;
		/* The blank line in front of the list, and one more. */
		if (at > 0 && text.p[at - 1] == '\n' && ++blank > 2)
			break;
	}
	return slice_of(text.p + at, end - at);
}

static bool
has_codes(struct slice text)
{
	uint16_t code = 0;
	struct enh enh = { 0 };

	bounce_codes(text, &code, &enh);
	return code != 0 || enh.klass != 0;
}

/* The first reply of a transcript that names the address, or the first at all that
 * does not stand with another recipient: below its line, and above a rule. */
static struct slice
reply_about(struct slice text, struct slice address)
{
	struct slice best = slice_of("", 0), rest = text;
	bool is_others = false;

	while (rest.n > 0) {
		struct slice line = bounce_line(&rest);

		if (begins_other(line, address))
			is_others = true;
		else if (is_rule(line))
			is_others = false;
		if (!has_codes(line))
			continue;
		if (bounce_names(line, address))
			return line;
		if (best.n == 0 && !is_others)
			best = line;
	}
	return best;
}

static bool
is_telling(const struct buf *words)
{
	return has_codes(buf_slice(words)) ||
	    bounce_says(buf_slice(words), telling_words);
}

/* What the text says of an address: beside it and below, in a transcript, and, where
 * no status has said why, further below, above, in the subject, or anywhere. */
static void
add_words(struct reading *r, const struct bounce_place *c, bool is_known,
    struct buf *out)
{
	struct slice text = buf_slice(&r->text), block, more;

	if (c == NULL) {
		if (!is_known)
			buf_adds(out,
			    slice_of(text.p, MIN(text.n, BOUNCE_DIAG_MAX)));
		return;
	}
	more = c->is_leading ?
	    c->behind :
	    slice_of(c->line.p, (size_t)(text.p + text.n - c->line.p));
	block = block_of(more, c->address);
	more = slice_skip(more, block.n);
	buf_adds(out, block);
	if (has_codes(buf_slice(out)))
		return;
	buf_addc(out, ' ');
	buf_adds(out, reply_about(text, c->address));
	if (is_known)
		return;
	for (int i = 0; i < 2 && !is_telling(out) && more.n > 0; i++) {
		block = block_of(more, c->address);
		more = slice_skip(more, block.n);
		buf_addc(out, ' ');
		buf_adds(out, block);
		if (block.n == 0)
			break;
	}
	if (!is_telling(out)) {
		buf_addc(out, ' ');
		buf_adds(out, before_line(text, c->line));
	}
	if (!is_telling(out)) {
		buf_addc(out, ' ');
		buf_adds(out, r->subject);
	}
}

/* A status of the text, where there is none that says as much. */
static void
learn_status(struct bounce_rcpt *x, struct enh enh)
{
	if (enh.klass == 0 ||
	    (x->enh.klass != 0 &&
		(x->enh.klass != enh.klass ||
		    x->enh.subject + x->enh.detail != 0)))
		return;
	x->enh = enh;
	x->has_status = true;
}

void
bounce_words(struct reading *r, struct bounce_rcpt *x,
    const struct bounce_place *c)
{
	bool is_known = x->enh.subject + x->enh.detail != 0;
	struct slice words;

	buf_reset(&r->scratch);
	add_words(r, c, is_known, &r->scratch);
	words = buf_slice(&r->scratch);
	if (bounce_strip(words).n == 0 && !is_known)
		words = r->subject;
	words = bounce_strip(words);
	while (words.n > 0 && strchr(":;)", words.p[0]) != NULL)
		words = bounce_strip(slice_skip(words, 1));
	if (x->code == 0 || x->enh.klass == 0 || x->enh.subject == 0) {
		uint16_t code = 0;
		struct enh enh = { 0 };

		bounce_codes(words, &code, &enh);
		if (enh.klass == 0 && c != NULL)
			bounce_codes(reply_about(buf_slice(&r->text),
					 c->address),
			    &(uint16_t){ 0 }, &enh);
		if (x->code == 0)
			x->code = code;
		learn_status(x, enh);
	}
	x->diagnostic = bounce_keep(r, words, BOUNCE_DIAG_MAX);
}
