/*
 * Reading bounces, whatever they are: thousands of mutations of reports, each
 * checked as the fuzzer checks (nothing is named that is not in the message), and
 * messages of 10 MB, each of the sort that is slow for somebody, in a second.
 * The seed is fixed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>
#include <time.h>

/* The target itself: one rule of what is right, not two. */
#include "fuzz/fuzz_bounce.c"

#define SEEDS_MAX 1024
#define SEED_BYTES_MAX (1u << 20)

#ifdef __SANITIZE_ADDRESS__
#define HOSTILE_BYTES (1u << 20) /* sanitized, all is slow */
#define ROUNDS 600
#define DEADLINE_S 5.0
#else
#define HOSTILE_BYTES (10u << 20)
#define ROUNDS 2000
#define DEADLINE_S 1.0 /* of processor time: others may be busy */
#endif
#define ROUNDS_LONG 60000

static bool is_long;
static struct buf seeds[SEEDS_MAX];
static uint32_t nseeds;

/* ---- seeds -------------------------------------------------------------------- */

#define HEAD                                                                   \
	"From: MAILER-DAEMON@mx.example\nTo: news@s.example\n"                 \
	"Return-Path: <>\nSubject: Returned mail: see transcript\n"
#define REPORT                                                                 \
	HEAD "MIME-Version: 1.0\nContent-Type: multipart/report;\n"            \
	     " report-type=delivery-status; boundary=b\n\n--b\n\n"             \
	     "could not be delivered\n"
#define STATUS "--b\nContent-Type: message/delivery-status\n\n"

static const char *const own_seeds[] = {
	REPORT STATUS
	"Reporting-MTA: dns; mx.example\n\n"
	"Final-Recipient: rfc822; ann@there.example\n"
	"Original-Recipient: rfc822;Ann+40x@here.example\n"
	"Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; "
	"550 5.1.1 <ann@there.example>\n user unknown\n\n--b\n"
	"Content-Type: message/rfc822\n\nMessage-ID: <1@s.example>"
	"\nTo: ann@there.example\nSubject: x\n\nx\n--b--\n",
	REPORT "--b\nContent-Type: message/global-delivery-status\n\n"
	       "Final-Recipient: utf-8; gr\\x{FC}n@there.example\n"
	       "Action: delayed\nStatus: 4.4.1\n\n--b--\n",
	HEAD "Content-Type: text/html; charset=utf-8\n"
	     "Content-Transfer-Encoding: quoted-printable\n\n"
	     "<p>Not delivered to <a href=3D\"mailto:ann@there.example\">"
	     "ann&#64;there.example</a>:<br>550 5.7.1 no\n",
	HEAD "\nHi. This is the qmail-send program.\n<ann@there.example>:\n"
	     "192.0.2.1 does not like recipient.\n"
	     "Remote host said: 550 No such user\n\n--- Below this line is a "
	     "copy of the message.\n\nTo: ann@there.example\n",
};

static void
read_seeds(const char *dir)
{
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d != NULL && (e = readdir(d)) != NULL && nseeds < SEEDS_MAX) {
		char path[512];
		int c;
		FILE *f;

		snprintf(path, sizeof(path), "%s/%.200s", dir, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (f == NULL)
			continue;
		buf_init(&seeds[nseeds], SEED_BYTES_MAX);
		while ((c = getc(f)) != EOF)
			buf_addc(&seeds[nseeds], (char)c);
		nseeds++;
		fclose(f);
	}
	if (d != NULL)
		closedir(d);
}

static int
setup(void **state)
{
	const char *top = getenv("TOP"), *check = getenv("CHECK");
	char dir[512];

	(void)state;
	is_long = check != NULL && strcmp(check, "long") == 0;
	for (size_t i = 0; i < ARRAY_LEN(own_seeds); i++) {
		buf_init(&seeds[nseeds], SEED_BYTES_MAX);
		buf_addz(&seeds[nseeds++], own_seeds[i]);
	}
	snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/bounce",
	    top ? top : ".");
	read_seeds(dir);
	snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/arf", top ? top : ".");
	read_seeds(dir);
	/* A directory of real ones, for who has it. */
	if (getenv("CORPUS") != NULL)
		read_seeds(getenv("CORPUS"));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	while (nseeds > 0)
		buf_free(&seeds[--nseeds]);
	return 0;
}

/* ---- mutations ---------------------------------------------------------------- */

static struct slice
any_stretch(struct rng *rng, size_t max)
{
	struct slice s = buf_slice(&seeds[rng_below(rng, nseeds)]);
	size_t from = rng_below(rng, s.n + 1);

	s = slice_skip(s, from);
	return slice_of(s.p, rng_below(rng, MIN(s.n, max) + 1));
}

static struct slice
any_word(struct rng *rng)
{
	static const char *const words[] = { "\n\n", "\r\n", "\r", "\0x", "--b",
		"--b--\n", "\nContent-Type: message/rfc822\n\n",
		"\nFinal-Recipient: rfc822; bob@else.example\n", "=?utf-8?q?",
		"=?utf-8?b?YUBi?=", "@", "<", ">", "\"", "\\", "=40", "&#64;",
		"\\x{40}", ";", "rfc822;", " 550 5.1.1 ",
		"<cy@else.example>: ", "Action: delayed\n", "\xff\xc3",
		"\nContent-Transfer-Encoding: base64\n",
		"\nContent-Type: text/html\n", "mailto:", "..", "@@", "/G=" };

	return slice_str(words[rng_below(rng, ARRAY_LEN(words))]);
}

/* in, with one thing changed, into out. */
static void
mutate(struct rng *rng, struct slice in, struct buf *out)
{
	size_t at = rng_below(rng, in.n + 1), skip = 0;
	char byte = (char)rng_below(rng, 256);
	struct slice what = slice_of(&byte, 1);

	switch (rng_below(rng, 6)) {
	case 0:
		what.n = 0;
		skip = rng_below(rng, 80);
		break;
	case 1:
		skip = 1;
		break;
	case 2:
		what = any_word(rng);
		break;
	case 3:
		what = any_stretch(rng, 300);
		break;
	case 4:
		what = any_stretch(rng, 300);
		skip = what.n;
		break;
	default:
		break;
	}
	buf_reset(out);
	buf_adds(out, slice_of(in.p, at));
	buf_adds(out, what);
	buf_adds(out, slice_skip(in, MIN(in.n, at + skip)));
}

static void
mutations_are_read(void **state)
{
	struct rng rng;
	struct buf a, b;

	(void)state;
	rng_seed(&rng, 20261128);
	buf_init(&a, 4 * SEED_BYTES_MAX);
	buf_init(&b, 4 * SEED_BYTES_MAX);
	for (int i = 0; i < (is_long ? ROUNDS_LONG : ROUNDS); i++) {
		uint64_t times = 1 + rng_below(&rng, 6);

		buf_reset(&a);
		buf_adds(&a, buf_slice(&seeds[rng_below(&rng, nseeds)]));
		while (times-- > 0) {
			struct slice s;

			mutate(&rng, buf_slice(&a), &b);
			s = buf_slice(&b);
			buf_reset(&a);
			buf_adds(&a, s);
		}
		LLVMFuzzerTestOneInput((const uint8_t *)a.p + a.off, a.n);
	}
	buf_free(&a);
	buf_free(&b);
}

/* ---- 10 MB ----------------------------------------------------------------------- */

struct hostile {
	const char *name, *head, *unit;
	bool is_quick; /* one of the slowest: in the quick check, too */
};

/* %u in a unit counts. */
static const struct hostile hostiles[] = {
	{ "addresses", HEAD "\n", "a@b.example ", true },
	{ "addresses with reasons", HEAD "\n",
	    "<a%u@b.example>: 550 5.1.1 no\n", true },
	{ "one line", HEAD "\n", "x", false },
	{ "angles", HEAD "\n", "<", false },
	{ "tags", HEAD "Content-Type: text/html\n\n", "<p a=\"", false },
	{ "entities", HEAD "Content-Type: text/html\n\n", "&#64;", false },
	{ "folds", HEAD "X: ", "\n a", false },
	{ "encoded words", HEAD "Subject: ", "=?utf-8?q?=40?= ", false },
	{ "open words", HEAD "Subject: ", "=?", false },
	{ "equal signs", HEAD "Content-Transfer-Encoding: quoted-printable\n\n",
	    "=", false },
	{ "base64", HEAD "Content-Transfer-Encoding: base64\n\n",
	    "YUBiLmV4YW1wbGUg\n", false },
	{ "groups", REPORT STATUS,
	    "Final-Recipient: rfc822; a%u@b.example\nAction: failed\n\n",
	    false },
	{ "fields", REPORT STATUS, "Final-Recipient: rfc822; a@b.example\n",
	    false },
	{ "a diagnostic",
	    REPORT STATUS "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; "
			  "a@b.example\nAction: failed\nDiagnostic-Code: smtp;",
	    " x", false },
	{ "parts", REPORT, "--b\n\nx\n", false },
	{ "borders", REPORT, "--b", false },
	{ "nested parts", HEAD "MIME-Version: 1.0\n",
	    "Content-Type: multipart/mixed; boundary=b%u\n\n--b%u\n", false },
	{ "nested messages", HEAD, "Content-Type: message/rfc822\n\n", false },
	{ "parameters", HEAD "Content-Type: text/plain;", " a*0=b;", false },
	{ "JSON", HEAD "\n", "{\"recipient\":\"a@b.example\",", true },
	{ "empty lines", HEAD "\n", "\n", false },
	{ "header fields", HEAD, "X: y\n", false },
	{ "mailbox lines", "", ">From x\n", false },
	{ "copies", HEAD "\n",
	    "------ This is a copy of the message, including all the headers. "
	    "------\n",
	    false },
};

static void
fill(const struct hostile *h, struct buf *out)
{
	buf_reset(out);
	buf_addz(out, h->head);
	for (unsigned i = 0; out->n < HOSTILE_BYTES; i++) {
		struct slice rest = slice_str(h->unit);

		while (rest.n > 0) {
			size_t at = slice_index(rest, '%');

			buf_adds(out, slice_of(rest.p, at));
			if (at < rest.n)
				buf_addu(out, i);
			rest = slice_skip(rest, MIN(rest.n, at + 2));
		}
	}
}

static void
large_ones_take_a_second(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, HOSTILE_BYTES + SEED_BYTES_MAX);
	for (size_t i = 0; i < ARRAY_LEN(hostiles); i++) {
		struct bounce *out;
		clock_t from;
		double took;

		if (!is_long && !hostiles[i].is_quick)
			continue;
		fill(&hostiles[i], &b);
		out = mem_get(sizeof(*out));
		from = clock();
		assert_int_equal(bounce_read(buf_slice(&b), out), 0);
		took = (double)(clock() - from) / CLOCKS_PER_SEC;
		assert_true(out->nrcpts <= BOUNCE_RCPTS_MAX);
		bounce_free(out);
		mem_free(out);
		if (took > DEADLINE_S)
			fail_msg("%s: %.2f s", hostiles[i].name, took);
	}
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mutations_are_read),
		cmocka_unit_test(large_ones_take_a_second),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
