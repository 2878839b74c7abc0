/*
 * DKIM without keys: canonical forms (RFC 6376 3.4) in pieces of every size, who
 * the author is, which fields are covered, tag lists and records.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base64.h"
#include "proto/proto.h"

struct got {
	size_t n;
	char text[16384];
};

static void
emit(void *ctx, const char *p, size_t n)
{
	struct got *g = ctx;

	assert_true(n > 0 && g->n + n < sizeof(g->text));
	memcpy(g->text + g->n, p, n);
	g->n += n;
	g->text[g->n] = '\0';
}

/* ---- canonical forms --------------------------------------------------------- */

static void
body_in_pieces(enum dkim_canon canon, struct slice s, size_t cut, size_t step,
    struct got *g)
{
	struct dkim_body b;

	*g = (struct got){ .n = 0 };
	dkim_body_init(&b, canon, emit, g);
	dkim_body_add(&b, slice_of(s.p, cut));
	for (s = slice_skip(s, cut); s.n > 0; s = slice_skip(s, step))
		dkim_body_add(&b, slice_of(s.p, MIN(step, s.n)));
	dkim_body_end(&b);
}

static void
check_body(enum dkim_canon canon, struct slice s, const char *want)
{
	struct got g;

	for (size_t cut = 0; cut <= s.n; cut++) {
		body_in_pieces(canon, s, cut, s.n + 1, &g);
		assert_string_equal(g.text, want);
		body_in_pieces(canon, s, cut, 1, &g);
		assert_string_equal(g.text, want);
	}
}

static void
check_field(enum dkim_canon canon, struct slice s, bool is_last,
    const char *want)
{
	for (size_t cut = 0; cut <= s.n; cut++) {
		struct dkim_field f;
		struct got g = { .n = 0 };

		dkim_field_init(&f, canon, emit, &g);
		dkim_field_add(&f, slice_of(s.p, cut));
		for (size_t i = cut; i < s.n; i++)
			dkim_field_add(&f, slice_of(s.p + i, 1));
		dkim_field_end(&f, is_last);
		assert_string_equal(g.text, want);
	}
}

/* RFC 6376 3.4.5, its examples 1 and 2. */
static void
the_examples_of_the_rfc(void **state)
{
	const struct slice a = SL("A: X\r\n"), b = SL("B : Y\t\r\n\tZ  \r\n");
	const struct slice body = SL(" C \r\nD \t E\r\n\r\n\r\n");

	(void)state;
	check_field(DKIM_RELAXED, a, false, "a:X\r\n");
	check_field(DKIM_RELAXED, b, false, "b:Y Z\r\n");
	check_body(DKIM_RELAXED, body, " C\r\nD E\r\n");
	check_field(DKIM_SIMPLE, a, false, "A: X\r\n");
	check_field(DKIM_SIMPLE, b, false, "B : Y\t\r\n\tZ  \r\n");
	check_body(DKIM_SIMPLE, body, " C \r\nD \t E\r\n");
}

static void
bodies_at_their_ends(void **state)
{
	static const struct {
		const char *body, *simple, *relaxed;
	} v[] = {
		/* RFC 6376 3.4.3 and 3.4.4: what an empty one is. */
		{ "", "\r\n", "" },
		{ "\r\n", "\r\n", "" },
		{ "\r\n\r\n\r\n", "\r\n", "" },
		{ " \t\r\n \r\n", " \t\r\n \r\n", "" },
		{ " ", " \r\n", "" },
		{ "x", "x\r\n", "x\r\n" },
		{ "x\r\n", "x\r\n", "x\r\n" },
		{ "x\r\n\r\n", "x\r\n", "x\r\n" },
		{ "x \r\n \r\n", "x \r\n \r\n", "x\r\n" },
		{ "\r\n\r\nx", "\r\n\r\nx\r\n", "\r\n\r\nx\r\n" },
		{ "\r\n  x\t\ty \t\r\n", "\r\n  x\t\ty \t\r\n",
		    "\r\n x y\r\n" },
		/* A CR or LF alone ends nothing. */
		{ "a\rb \r c\r\r\n", "a\rb \r c\r\r\n", "a\rb \r c\r\r\n" },
		{ "a\nb\r", "a\nb\r\r\n", "a\nb\r\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		check_body(DKIM_SIMPLE, slice_str(v[i].body), v[i].simple);
		check_body(DKIM_RELAXED, slice_str(v[i].body), v[i].relaxed);
	}
}

static void
fields_at_their_ends(void **state)
{
	(void)state;
	check_field(DKIM_RELAXED, SL("SubJect: a\r\n"), true, "subject:a");
	check_field(DKIM_SIMPLE, SL("SubJect: a\r\n"), true, "SubJect: a");
	check_field(DKIM_RELAXED, SL("S:\r\n"), false, "s:\r\n");
	check_field(DKIM_RELAXED, SL("S:\r\n \t\r\n"), false, "s:\r\n");
	check_field(DKIM_RELAXED, SL("S \t:\r\n x:\r\n\tY\r\n"), false,
	    "s:x: Y\r\n");
	check_field(DKIM_SIMPLE, SL("S:\r\n x\r\n"), false, "S:\r\n x\r\n");
	check_field(DKIM_RELAXED, SL("S: last"), false, "s:last\r\n");
}

/* More than a machine gathers before it emits. */
static void
long_lines(void **state)
{
	static char text[8000];
	struct got g;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t step = 1; step < 3000; step += 511) {
		body_in_pieces(DKIM_RELAXED, slice_of(text, sizeof(text)), 7,
		    step, &g);
		assert_int_equal(g.n, sizeof(text) + 2);
		assert_memory_equal(g.text, text, sizeof(text));
	}
}

/* ---- the author ------------------------------------------------------------------- */

static void
authors(void **state)
{
	static const char *const v[][2] = {
		{ "From: a@b.example", "b.example" },
		{ "from : <a@b.example>", "b.example" },
		{ "From: \"x@evil.example\" <a@b.example>", "b.example" },
		{ "From: x@evil.example <a@b.example>", "b.example" },
		{ "From: (x@evil.example (y)) a@b.example (c@evil.example)",
		    "b.example" },
		{ "From: a@b.example, <c@evil.example>", "b.example" },
		{ "From: \"a\\\"@evil.example\" <a@b.example>", "b.example" },
		{ "From: A, B <a@b.example>", "b.example" },
		{ "From: group: a@b.example, c@d.example;", "b.example" },
		{ "From: <@evil.example,@x.example:a@b.example>", "b.example" },
		{ "From: \"a@x\"@b.example", "b.example" },
		{ "From:\r\n a@\r\n b.example.", "b.example" },
		{ "From: nobody", "" },
		{ "From: a@[127.0.0.1]", "" },
		{ "From: <>", "" },
		{ "From: a@b..example", "" },
		{ "From: (", "" },
		{ "From: \"", "" },
		{ "Sender: a@b.example", "" },
	};
	char text[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct slice d;

		snprintf(text, sizeof(text), "X: y\r\n%s\r\nFrom: c@d\r\n",
		    v[i][0]);
		if (v[i][1][0] == '\0' && strstr(v[i][0], "Sender"))
			snprintf(text, sizeof(text), "%s\r\n", v[i][0]);
		d = dkim_author_domain(slice_str(text));
		assert_int_equal(d.n, strlen(v[i][1]));
		assert_memory_equal(d.p, v[i][1], d.n);
	}
}

/* ---- fields that are covered --------------------------------------------------------- */

static const struct slice header = { "From: a@b.example\r\nTo: one\r\n"
				     "X: y\r\nto: two\r\nSubject: s\r\n",
	0 };

static struct slice
the_header(void)
{
	return slice_str(header.p);
}

/* Fields of one name from the bottom up; a name beyond them is nothing. */
static void
fields_from_the_bottom(void **state)
{
	struct got g = { .n = 0 };

	(void)state;
	assert_true(dkim_fields_hash(SL("to : Subject:To:to:from\r\n :cc"),
	    the_header(), DKIM_RELAXED, emit, &g));
	assert_string_equal(g.text,
	    "to:two\r\nsubject:s\r\nto:one\r\nfrom:a@b.example\r\n");
}

static void
add_field(struct buf *b, uint32_t i)
{
	buf_addf(b, "To: %u\r\n", i);
}

/* What is left out on top is not oversigned, or the field would not verify. */
static void
more_fields_than_are_covered(void **state)
{
	static const struct slice names[] = { { "From", 4 }, { "To", 2 } };
	struct dkim_terms t = { .domain = SL("b.example"),
		.selector = SL("s"),
		.names = names,
		.nnames = 2,
		.oversigned = names,
		.noversigned = 2,
		.signature_bytes = 256 };
	struct got made = { .n = 0 }, read = { .n = 0 };
	struct dkim_signature s;
	struct dkim_hole hole;
	struct buf b, out;
	struct slice field, rest;
	const char *why;
	struct hdr h;

	(void)state;
	buf_init(&b, 1u << 20);
	buf_init(&out, 1u << 20);
	for (uint32_t i = 0; i < DKIM_FIELDS_MAX + 5; i++)
		add_field(&b, i);
	buf_addz(&b, "From: a@b.example\r\n");
	assert_int_equal(dkim_sign_field(&out, &t, buf_slice(&b), emit, &made,
			     &hole),
	    0);
	rest = field = buf_slice(&out);
	assert_true(hdr_next(&rest, &h));
	assert_int_equal(h.whole.n, hole.field_bytes);
	assert_int_equal(dkim_signature_read(h.value, &s, &why), 0);
	assert_true(dkim_signature_hash(&s, field, buf_slice(&b), emit, &read));
	assert_int_equal(made.n, read.n);
	assert_memory_equal(made.text, read.text, made.n);
	buf_free(&b);
	buf_free(&out);
}

/* ---- a new field ------------------------------------------------------------------------ */

static void
a_field_is_read_as_it_was_meant(void **state)
{
	static const struct slice names[] = { { "From", 4 }, { "Subject", 7 },
		{ "Cc", 2 } };
	struct dkim_terms t = { .algorithm = DKIM_ED25519_SHA256,
		.header = DKIM_SIMPLE,
		.body = DKIM_RELAXED,
		.domain = SL("b.example"),
		.selector = SL("x.2026"),
		.identity = SL("@news.b.example"),
		.signed_s = 1800000000,
		.expires_s = 1800600000,
		.names = names,
		.nnames = 3,
		.oversigned = names,
		.noversigned = 1,
		.body_hash = { 1, 2, 3 },
		.signature_bytes = 64 };
	struct got made = { .n = 0 }, read = { .n = 0 };
	struct dkim_signature s;
	struct dkim_hole hole;
	uint8_t sig[64];
	const char *why;
	struct slice rest;
	struct buf out;
	struct hdr h;

	(void)state;
	buf_init(&out, 4096);
	buf_addz(&out, "before");
	assert_int_equal(dkim_sign_field(&out, &t, the_header(), emit, &made,
			     &hole),
	    0);
	memset(sig, 0xa5, sizeof(sig));
	dkim_fill(out.p + out.off + 6, &hole, sig, sizeof(sig));
	rest = slice_skip(buf_slice(&out), 6);
	assert_int_equal(rest.n, hole.field_bytes);
	for (struct slice line, all = rest; all.n > 0;) {
		line = slice_cut(&all, '\n');
		assert_true(line.n <= 79);
		if (all.n > 0)
			assert_true(all.p[0] == '\t');
	}
	assert_true(hdr_next(&rest, &h) && rest.n == 0);
	assert_int_equal(dkim_signature_read(h.value, &s, &why), 0);
	assert_true(slice_eq(s.domain, t.domain));
	assert_true(slice_eq(s.selector, t.selector));
	assert_true(slice_eq(s.identity, t.identity));
	assert_true(slice_has_prefix(s.names, SL("From:From")));
	assert_true(slice_has_isuffix(s.names, SL(":Subject")));
	assert_int_equal(s.algorithm, t.algorithm);
	assert_int_equal(s.header, t.header);
	assert_int_equal(s.body, t.body);
	assert_int_equal(s.signed_s, t.signed_s);
	assert_int_equal(s.expires_s, t.expires_s);
	assert_false(s.has_length);
	assert_memory_equal(s.body_hash, t.body_hash, DKIM_HASH_BYTES);
	assert_int_equal(s.nsig, 64);
	assert_memory_equal(s.sig, sig, 64);
	assert_true(
	    dkim_signature_hash(&s, h.whole, the_header(), emit, &read));
	assert_string_equal(made.text, read.text);
	assert_non_null(strstr(read.text, "\r\n\tb="));
	buf_free(&out);
}

static void
no_author_no_signature(void **state)
{
	static const struct slice names[] = { { "From", 4 } };
	struct dkim_terms t = { .domain = SL("b.example"),
		.selector = SL("s"),
		.names = names,
		.nnames = 1,
		.signature_bytes = 64 };
	struct got g = { .n = 0 };
	struct dkim_hole hole;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(dkim_sign_field(&out, &t, SL("Subject: x\r\n"), emit,
			     &g, &hole),
	    E_NOTFOUND);
	assert_int_equal(out.n, 0);
	buf_free(&out);
}

/* ---- tag lists ---------------------------------------------------------------------------- */

static void
tag_lists(void **state)
{
	static const struct {
		const char *text;
		int n;
	} v[] = { { "", 0 }, { "a=1", 1 }, { " a = 1 ; b=2;", 2 },
		{ "a=;b=x=y==", 2 }, { "a_1=\r\n\tx\r\n y", 1 },
		{ "a=1;a=2", E_SYNTAX }, { "a=1;A=2", 2 }, { "=1", E_SYNTAX },
		{ "a", E_SYNTAX }, { "1=a", E_SYNTAX }, { "a b=1", E_SYNTAX },
		{ "a=\x80", E_SYNTAX }, { "a=1;;b=2", E_SYNTAX },
		{ "a=\x01", E_SYNTAX } };
	struct dkim_tag tag[DKIM_TAGS_MAX];
	char many[200] = "";
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		assert_int_equal(dkim_tags_read(slice_str(v[i].text), tag),
		    v[i].n);
	dkim_tags_read(SL("a = x \r\n y ; b=2"), tag);
	assert_true(slice_eq(tag[0].name, SL("a")));
	assert_true(slice_eq(tag[1].value, SL("2")));
	for (char c = 'a'; c <= 'z'; c++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "%c=;", c);
	for (char c = 'A'; c <= 'G'; c++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "%c=;", c);
	assert_int_equal(dkim_tags_read(slice_of(many, n), tag), E_FULL);
	assert_int_equal(dkim_tags_read(slice_of(many, n - 3), tag),
	    (int)DKIM_TAGS_MAX);
}

#define GOOD                                                                   \
	"v=1; a=rsa-sha256; d=b.example; s=s; h=from; "                        \
	"bh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=; b=AAAA"

static void
signatures_that_are_none(void **state)
{
	static const struct {
		const char *text;
		int err;
	} v[] = { { GOOD, 0 }, { GOOD "; c=relaxed", 0 }, { GOOD "; l=5", 0 },
		{ GOOD "; i=a@x.b.example; t=1; x=2", 0 },
		{ GOOD "; i=a@xb.example", E_SYNTAX },
		{ GOOD "; x=1; t=2", E_SYNTAX }, { GOOD "; x=soon", E_SYNTAX },
		{ GOOD "; c=loose", E_UNSUPPORTED },
		{ GOOD "; q=http", E_UNSUPPORTED },
		{ "v=2; a=rsa-sha256", E_VERSION },
		{ "a=rsa-sha256", E_VERSION },
		{ "v=1; a=rsa-sha1", E_UNSUPPORTED },
		{ "v=1; a=rsa-sha256; d=b.example; s=s; h=to; "
		  "bh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=; b=AAAA",
		    E_SYNTAX },
		{ "v=1; a=rsa-sha256; d=b.example; s=s; h=from; bh=AAAA; "
		  "b=AAAA",
		    E_SYNTAX },
		{ "v=1; a=rsa-sha256; d=b..example; s=s; h=from; "
		  "bh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=; b=AAAA",
		    E_SYNTAX } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct dkim_signature s;
		const char *why = NULL;
		int err = dkim_signature_read(slice_str(v[i].text), &s, &why);

		assert_int_equal(err, v[i].err);
		assert_true(err == 0 ? s.nsig == 3 : why != NULL);
	}
}

static void
records(void **state)
{
	struct dkim_record r;
	const char *why;
	struct buf b;

	(void)state;
	assert_int_equal(dkim_record_read(SL("p=AAAA"), &r, &why), 0);
	assert_true(r.algorithm == DKIM_RSA_SHA256 && !r.is_revoked);
	assert_int_equal(dkim_record_read(SL("v=DKIM1; k=ed25519; p=; "
					     "t=y:s; h=sha1:sha256; s=*"),
			     &r, &why),
	    0);
	assert_true(r.is_revoked && r.is_testing && r.is_strict);
	assert_int_equal(r.algorithm, DKIM_ED25519_SHA256);
	assert_int_equal(dkim_record_read(SL("v=DKIM2; p="), &r, &why),
	    E_VERSION);
	assert_int_equal(dkim_record_read(SL("p=; v=DKIM1"), &r, &why),
	    E_VERSION);
	assert_int_equal(dkim_record_read(SL("v=DKIM1"), &r, &why), E_SYNTAX);
	assert_int_equal(dkim_record_read(SL("p=;k=x"), &r, &why),
	    E_UNSUPPORTED);
	assert_int_equal(dkim_record_read(SL("p=;h=sha1"), &r, &why),
	    E_UNSUPPORTED);
	assert_int_equal(dkim_record_read(SL("p=;s=other"), &r, &why),
	    E_UNSUPPORTED);
	assert_int_equal(dkim_record_read(SL("v=spf1 -all"), &r, &why),
	    E_VERSION);
	assert_int_equal(dkim_record_read(SL("some text"), &r, &why), E_SYNTAX);
	buf_init(&b, 200);
	assert_int_equal(dkim_record_write(&b, DKIM_ED25519_SHA256, "\1\2", 2),
	    0);
	assert_true(slice_eq(buf_slice(&b), SL("v=DKIM1; k=ed25519; p=AQI=")));
	buf_free(&b);
}

/* ---- base64 ---------------------------------------------------------------------------------- */

/* RFC 4648 10, and what is none. */
static void
base64(void **state)
{
	static const char *const v[][2] = { { "", "" }, { "f", "Zg==" },
		{ "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
		{ "\xff\xfe\xfd", "//79" }, { "\xfb", "+w==" } };
	static const char *const bad[] = { "Z", "Zg",
		"Zg=", "Zg===", "Z===", "Zm8=Zg==", "Zm9v!", "Zm-_", "=" };
	char text[16];
	struct buf b;

	(void)state;
	buf_init(&b, 64);
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		size_t n = base64_encode(text, v[i][0], strlen(v[i][0]));

		assert_true(slice_eq(slice_of(text, n), slice_str(v[i][1])));
		buf_reset(&b);
		assert_int_equal(base64_decode(slice_of(text, n), &b), 0);
		assert_true(slice_eq(buf_slice(&b), slice_str(v[i][0])));
	}
	buf_reset(&b);
	assert_int_equal(base64_decode(SL("Zm9v\r\n\t Ym\tFy"), &b), 0);
	assert_true(slice_eq(buf_slice(&b), SL("foobar")));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(base64_decode(slice_str(bad[i]), &b),
		    E_SYNTAX);
	buf_free(&b);
	buf_init(&b, 2);
	assert_int_equal(base64_decode(SL("Zm9v"), &b), E_FULL);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_rfc),
		cmocka_unit_test(bodies_at_their_ends),
		cmocka_unit_test(fields_at_their_ends),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(authors),
		cmocka_unit_test(fields_from_the_bottom),
		cmocka_unit_test(more_fields_than_are_covered),
		cmocka_unit_test(a_field_is_read_as_it_was_meant),
		cmocka_unit_test(no_author_no_signature),
		cmocka_unit_test(tag_lists),
		cmocka_unit_test(signatures_that_are_none),
		cmocka_unit_test(records),
		cmocka_unit_test(base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
