/*
 * The body of a message against a reader that is as simple as can be: random
 * streams of text, line ends good and bad, dots and NULs, of all lengths about
 * the blocks in which the server scans, and cut at random. Both must agree on
 * what the message is, where it ends, or why it is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/smtp_drive.h"

#define ROUNDS 60000
#define NOISE_MAX 600

static const char envelope[] = "HELO x\r\nMAIL FROM:<a@b.example>\r\n"
			       "RCPT TO:<c@d.example>\r\nDATA\r\n";

/* What the simple reader makes of a stream. */
struct reading {
	struct buf body;
	size_t eaten;      /* of the stream, the final dot included */
	const char *fault; /* the first one; NULL = none */
};

static void
fault(struct reading *r, const char *what)
{
	if (r->fault == NULL)
		r->fault = what;
}

static bool
is_crlf(struct slice s, size_t i)
{
	return i + 1 < s.n && s.p[i] == '\r' && s.p[i + 1] == '\n';
}

/* Adds a byte of content, or finds out that it is one too many. */
static void
content(struct reading *r, const struct smtp_srv_conf *conf, char c)
{
	struct slice b = buf_slice(&r->body);
	const char *lf = b.n > 0 ? memrchr(b.p, '\n', b.n) : NULL;
	size_t line = lf != NULL ? b.n - (size_t)(lf - b.p) - 1 : b.n;

	if (r->fault != NULL)
		return;
	if (c != '\r' && c != '\n' && conf->body_line_max > 0 &&
	    line >= conf->body_line_max)
		fault(r, "line");
	else if (conf->size_max > 0 && b.n >= conf->size_max)
		fault(r, "larger");
	else
		buf_addc(&r->body, c);
}

/* RFC 5321 4.5.2, with the rules of this server about bare CR and LF. */
static void
read_simply(struct reading *r, const struct smtp_srv_conf *conf, struct slice s)
{
	size_t i = 0;
	bool at_start = true; /* behind a true CRLF */

	while (i < s.n) {
		bool is_bare;

		if (at_start && s.p[i] == '.' && is_crlf(s, i + 1)) {
			r->eaten = i + 3;
			return;
		}
		is_bare = at_start && s.p[i] == '.' && i + 1 < s.n &&
		    (s.p[i + 1] == '\r' || s.p[i + 1] == '\n');
		if (at_start && s.p[i] == '.' && !is_bare)
			i++; /* it was stuffed */
		at_start = false;
		if (is_crlf(s, i)) {
			content(r, conf, '\r');
			content(r, conf, '\n');
			i += 2;
			at_start = true;
			continue;
		}
		if (s.p[i] == '\r' || s.p[i] == '\n') {
			if (!conf->normalises_bare)
				fault(r, "bare");
			content(r, conf, '\r');
			content(r, conf, '\n');
		} else if (s.p[i] == '\0') {
			fault(r, "NUL");
		} else if (is_bare && !conf->normalises_bare) {
			fault(r, "bare");
		} else {
			content(r, conf, s.p[i]);
		}
		i++;
	}
	assert_true(false); /* every stream has an end */
}

/* ---- random streams --------------------------------------------------------------- */

static void
random_stream(struct rng *rng, struct buf *out)
{
	static const char *const odd[] = { "\r", "\n", ".", "..", "\r\n.",
		"\r\n..", "\r\n.\r", "\r\n.\n", "\n.\r\n", "\n.\n", "\r.\r",
		"\r\r\n", "\r\n\r\n", "\n\r", "\xe4" };
	size_t n = rng_below(rng, NOISE_MAX);
	uint64_t wildness = 1 + rng_below(rng, 120);
	bool is_clean = rng_below(rng, 3) == 0;

	buf_reset(out);
	while (out->n < n) {
		uint64_t what = rng_below(rng, wildness + 1);

		if (what > 0)
			buf_addc(out, (char)('a' + rng_below(rng, 26)));
		else if (is_clean || rng_below(rng, 2) == 0)
			buf_addz(out, rng_below(rng, 4) ? "\r\n" : "\r\n.");
		else if (rng_below(rng, 30) == 0)
			buf_addc(out, '\0');
		else
			buf_addz(out, odd[rng_below(rng, ARRAY_LEN(odd))]);
	}
	/* Whatever it was, this ends it. */
	buf_addz(out, "e\r\n.\r\n");
}

static void
random_conf(struct rng *rng, struct smtp_srv_conf *conf)
{
	smtp_srv_conf_default(conf);
	conf->hostname = SL("mx.example");
	conf->normalises_bare = rng_below(rng, 2) == 0;
	conf->size_max = rng_below(rng, 3) ? 0 : 1 + rng_below(rng, 500);
	conf->body_line_max =
	    rng_below(rng, 3) ? 0 : 1 + (uint32_t)rng_below(rng, 300);
}

/* ---- comparing ---------------------------------------------------------------------- */

static void
on_message(void *ctx, struct slice body)
{
	struct reading *r = ctx;

	assert_null(r->fault);
	assert_true(slice_eq(body, buf_slice(&r->body)));
	r->fault = "arrived";
}

static void
feed_in_pieces(struct srv_drive *d, struct rng *rng, struct slice s)
{
	size_t max = rng_below(rng, 3) ? s.n : 1 + rng_below(rng, 90);

	while (s.n > 0) {
		size_t n = 1 + rng_below(rng, MIN(max, s.n));

		srv_drive_feed(d, slice_of(s.p, n));
		s = slice_skip(s, n);
	}
}

static void
check_replies(const struct srv_drive *d, const struct reading *r)
{
	struct slice out = buf_slice(&d->out), tail = SL("250 2.0.0 ok\r\n");
	const char *go = memmem(out.p, out.n, "354 ", 4), *next;

	assert_non_null(go);
	next = memchr(go, '\n', (size_t)(out.p + out.n - go));
	out = slice_skip(out, (size_t)(next - out.p) + 1);
	/* The commands behind the message are commands again. */
	assert_true(out.n > tail.n);
	assert_true(slice_eq(slice_skip(out, out.n - tail.n), tail));
	assert_non_null(memmem(out.p, out.n,
	    strcmp(r->fault, "arrived") == 0 ? "queued" : r->fault,
	    strcmp(r->fault, "arrived") == 0 ? 6 : strlen(r->fault)));
}

static void
one_stream(struct rng *rng, struct buf *stream)
{
	struct reading r = { 0 };
	struct smtp_srv_conf conf;
	struct srv_drive d;
	struct slice s;

	buf_init(&r.body, 1u << 16);
	random_conf(rng, &conf);
	random_stream(rng, stream);
	read_simply(&r, &conf, buf_slice(stream));
	srv_drive_init(&d, &conf);
	d.on_message = on_message;
	d.ctx = &r;
	srv_drive_feed(&d, slice_str(envelope));
	s = slice_of(buf_slice(stream).p, r.eaten);
	feed_in_pieces(&d, rng, s);
	srv_drive_feed(&d, SL("NOOP\r\n"));
	check_replies(&d, &r);
	srv_drive_free(&d);
	buf_free(&r.body);
}

static void
agrees_with_a_simple_reader(void **state)
{
	struct rng rng;
	struct buf stream;

	(void)state;
	rng_seed(&rng, 4711);
	buf_init(&stream, 1u << 16);
	for (int i = 0; i < ROUNDS; i++)
		one_stream(&rng, &stream);
	buf_free(&stream);
}

/* One thing that needs thought, at every place of a text of a few blocks. */
static void
oddities_at_every_place(void **state)
{
	static const char *const odd[] = { "\r", "\n", "\r\n.\n", "\n.\r\n",
		"\r\n.\r", "\r\n..", "\r\n" };
	struct smtp_srv_conf conf;
	char text[220];

	(void)state;
	smtp_srv_conf_default(&conf);
	conf.hostname = SL("mx.example");
	for (size_t i = 0; i < ARRAY_LEN(odd); i++)
		for (size_t at = 0; at < 200; at++) {
			struct reading r = { 0 };
			struct srv_drive d;

			memset(text, 'x', sizeof(text));
			memcpy(text + at, odd[i], strlen(odd[i]));
			memcpy(text + sizeof(text) - 5, "\r\n.\r\n", 5);
			buf_init(&r.body, 1u << 16);
			read_simply(&r, &conf, slice_of(text, sizeof(text)));
			srv_drive_init(&d, &conf);
			d.on_message = on_message;
			d.ctx = &r;
			srv_drive_feed(&d, slice_str(envelope));
			srv_drive_feed(&d, slice_of(text, sizeof(text)));
			srv_drive_feed(&d, SL("NOOP\r\n"));
			check_replies(&d, &r);
			srv_drive_free(&d);
			buf_free(&r.body);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_a_simple_reader),
		cmocka_unit_test(oddities_at_every_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
