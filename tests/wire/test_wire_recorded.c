/*
 * Conversations that were recorded between clients and servers of others
 * (tests/lib/mtarecord.py says how, tests/wire/recorded has them, a line each).
 *
 * Of a session with Postfix or Exim the client's half is put before our server
 * machine. What it must answer is not what it did when this was written, but:
 * - one reply to each command, with a code that RFC 5321 4.3.2 or the extension
 *   has for it, and none before the command is whole;
 * - never 250 to a message with a bare CR or LF, or with a NUL;
 * - a reply of the same class as the real server's, but where the table below
 *   gives a reason. Behind such a place the two are in different states, and the
 *   first two rules remain.
 * Of a session of a server its half is put before our client machine; each
 * recipient's outcome is that of the first reply that refused it.
 *
 * Fed whole, byte by byte, and cut in two at every place (of long ones, at some),
 * all must come out the same.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/smtp_drive.h"

#define FIELDS_MAX 64
#define CODES_MAX 16
#define TEXT_MAX (64u << 10)
#ifdef __SANITIZE_ADDRESS__
#define CUTS_MAX 6
#else
#define CUTS_MAX 200
#endif

struct session {
	char *line;
	struct slice field[FIELDS_MAX]; /* unescaped, but for codes */
	uint32_t n;
	const char *file;
	int number;
};

static uint32_t nsessions, ndiffer;

/* ---- reading -------------------------------------------------------------------- */

static int
hex_digit(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* In place; the result is never longer. */
static struct slice
unescape(char *p, size_t n)
{
	static const char from[] = "rnt0\\", to[] = "\r\n\t\0\\";
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		const char *at;

		if (p[i] != '\\') {
			p[out++] = p[i];
			continue;
		}
		if (p[++i] == 'x') {
			p[out++] = (char)(hex_digit(p[i + 1]) << 4 |
			    hex_digit(p[i + 2]));
			i += 2;
			continue;
		}
		at = memchr(from, p[i], 5);
		ASSERT(at != NULL);
		p[out++] = to[at - from];
	}
	return slice_of(p, out);
}

static void
split(struct session *s, size_t n)
{
	char *p = s->line, *end = p + n;

	s->n = 0;
	while (p <= end) {
		char *tab = memchr(p, '\t', (size_t)(end - p));
		size_t len = (size_t)((tab != NULL ? tab : end) - p);

		ASSERT(s->n < FIELDS_MAX);
		s->field[s->n++] = unescape(p, len);
		p += len + 1;
	}
}

static void
each(const char *file, void (*f)(struct session *))
{
	struct session s = { .file = file };
	const char *top = getenv("TOP");
	char path[512];
	size_t cap = 0;
	ssize_t n;
	FILE *in;

	snprintf(path, sizeof(path), "%s/tests/wire/recorded/%s",
	    top ? top : ".", file);
	in = fopen(path, "re");
	assert_non_null(in);
	while ((n = getline(&s.line, &cap, in)) > 0) {
		s.number++;
		split(&s, (size_t)n - (s.line[n - 1] == '\n'));
		f(&s);
		nsessions++;
	}
	free(s.line);
	fclose(in);
}

#define fail_at(s, ...)                                                        \
	do {                                                                   \
		printf("# %s:%d: %.*s: ", (s)->file, (s)->number,              \
		    SLF((s)->field[0]));                                       \
		printf(__VA_ARGS__);                                           \
		printf("\n");                                                  \
		fail();                                                        \
	} while (0)

/* ---- replies -------------------------------------------------------------------- */

/* Codes of the replies in a text, each 100 to 599. */
static uint32_t
read_codes(struct slice text, int codes[CODES_MAX])
{
	uint32_t n = 0;

	while (text.n > 0) {
		struct slice line = slice_cut(&text, '\n');

		if (line.n < 4 || line.p[3] == '-')
			continue;
		ASSERT(n < CODES_MAX);
		codes[n++] = (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 +
		    line.p[2] - '0';
	}
	return n;
}

/* "250 250 354": 0 stands for none, for the server had gone. */
static uint32_t
recorded_codes(struct slice text, int codes[CODES_MAX])
{
	uint32_t n = 0;
	uint64_t v;

	if (text.n == 0)
		return 0;
	while (text.p != NULL && n < CODES_MAX) {
		struct slice word = slice_cut(&text, ' ');

		codes[n++] =
		    slice_u64(word, 999, &v) == 0 && word.n > 0 ? (int)v : 0;
	}
	return n;
}

/* ---- rules of the server ---------------------------------------------------------- */

/* RFC 5321 4.3.2, 3030, 3207, 3461, 4954. 500, 501, 503, 421 are for all. */
static const struct allowed {
	const char *verb;
	int code[12];
} allowed[] = {
	{ "HELO", { 250, 502, 504, 550 } }, { "EHLO", { 250, 502, 504, 550 } },
	{ "MAIL", { 250, 450, 451, 452, 455, 530, 550, 552, 553, 555 } },
	{ "RCPT", { 250, 251, 450, 451, 452, 455, 550, 551, 552, 553, 555 } },
	{ "DATA", { 354, 450, 451, 452, 550, 552, 554 } },
	{ ".", { 250, 450, 451, 452, 550, 552, 554 } },
	{ "BDAT", { 250, 450, 451, 452, 502, 504, 550, 552, 554 } },
	{ "RSET", { 250 } }, { "NOOP", { 250 } }, { "QUIT", { 221 } },
	{ "VRFY", { 250, 251, 252, 502, 504, 550, 551, 553 } },
	{ "EXPN", { 250, 252, 502, 504, 550 } },
	{ "HELP", { 211, 214, 502, 504 } }, { "STARTTLS", { 220, 454, 502 } },
	{ "AUTH", { 235, 334, 432, 454, 502, 504, 530, 534, 535, 538 } },
	{ "", { 502, 504 } }, /* any other */
};

static bool
is_allowed(struct slice command, int code)
{
	struct slice verb = slice_cut(&command, ' ');
	const struct allowed *a = allowed;

	if (code == 500 || code == 501 || code == 503 || code == 421)
		return true;
	while (a->verb[0] != '\0' && !slice_ieq(verb, slice_str(a->verb)))
		a++;
	for (size_t i = 0; i < ARRAY_LEN(a->code); i++)
		if (a->code[i] == code)
			return true;
	return false;
}

/* Where we answer in another class than they, with a command that begins so. */
static const struct differ {
	const char *server, *command;
	int theirs, ours;
	const char *why;
} differs[] = {
	{ "", "NOOP x", 250, 500, "a line of more than 2,048 bytes" },
	{ "", "MAIL", 250, 500, "a control byte, or 8 bits without SMTPUTF8" },
	{ "", "RCPT", 250, 500, "the same" },
	{ "postfix", "EHLO", 250, 500, "a NUL" },
	{ "postfix", "DATA", 354, 500, "a NUL" },
	/* RFC 5321 4.1.2, 4.5.3.1; RFC 3461 4; no parameter twice (4.1.1.11). */
	{ "", "MAIL", 250, 501, "an address or a value out of its grammar" },
	{ "", "RCPT", 250, 501, "the same" },
	{ "", "MAIL", 250, 555, "AUTH=, where AUTH is not offered" },
	{ "", ".", 250, 550, "a bare CR or LF, a NUL" },
	{ "", "BDAT", 250, 550, "the same" },
	{ "", "BDAT", 501, 421,
	    "a chunk of no size: what comes is no command" },
	{ "", "BDAT", 503, 421, "the same" },
	{ "", "BDAT", 521, 421, "the same" },
	{ "exim", "GET", 500, 421, "HTTP is not spoken with" },
	{ "postfix", "GET", 221, 421, "the same" },
	{ "postfix", "GET", 221, 500, "once SMTP was spoken it is a mistake" },
	{ "postfix", "QUIT x", 221, 501, "QUIT has no parameter" },
	{ "postfix", "HELP", 500, 214, "we give some" },
	/* Where they are stricter. */
	{ "exim", "MAIL", 501, 250,
	    "parameters after HELO, address literals, "
	    "an underscore, two blanks" },
	{ "exim", "RCPT", 501, 250, "the same" },
	{ "exim", "MAIL", 500, 250, "two blanks" },
	/* Exim takes nothing but BDAT, RSET and QUIT once chunks have begun. */
	{ "exim", "NOOP", 503, 250, "between chunks" },
	{ "exim", "HELO", 503, 250, "the same" },
	{ "exim", "EHLO", 503, 250, "the same" },
	{ "exim", "HELP", 503, 214, "the same" },
	{ "exim", "VRFY", 503, 252, "the same" },
};

static bool
may_differ(const struct session *s, struct slice command, int theirs, int ours)
{
	for (size_t i = 0; i < ARRAY_LEN(differs); i++) {
		const struct differ *d = &differs[i];

		if (d->theirs == theirs && d->ours == ours &&
		    strstr(s->file, d->server) != NULL &&
		    command.n >= strlen(d->command) &&
		    slice_ieq(slice_of(command.p, strlen(d->command)),
			slice_str(d->command)))
			return true;
	}
	return false;
}

static bool
is_broken(struct slice body)
{
	for (size_t i = 0; i < body.n; i++) {
		char c = body.p[i];

		if (c == '\0' ||
		    (c == '\n' && (i == 0 || body.p[i - 1] != '\r')) ||
		    (c == '\r' && (i + 1 == body.n || body.p[i + 1] != '\n')))
			return true;
	}
	return false;
}

/* The next command of what was sent, with its chunk behind it. */
static struct slice
next_command(struct slice *sent)
{
	struct slice line = slice_cut(sent, '\n'), rest = line;
	uint64_t n;

	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	rest = line;
	if (slice_ieq(slice_cut(&rest, ' '), SL("BDAT")) &&
	    slice_u64(slice_cut(&rest, ' '), UINT32_MAX, &n) == 0)
		*sent = slice_skip(*sent, MIN(n, sent->n));
	return line;
}

/* ---- the server on trial ------------------------------------------------------------- */

static void
srv_conf(struct smtp_srv_conf *conf)
{
	smtp_srv_conf_default(conf);
	conf->hostname = SL("mx.example");
	conf->exts = EXT_CHUNKING | EXT_SMTPUTF8 | EXT_DSN;
	conf->errors_max = 0;
}

/* One step: what was sent, and what both made of it. False: they part here. */
static bool
judge_step(struct session *s, struct slice sent, struct slice recorded,
    struct slice replies, bool *in_body)
{
	int ours[CODES_MAX], theirs[CODES_MAX];
	uint32_t n = read_codes(replies, ours);
	uint32_t m = recorded_codes(recorded, theirs);
	struct slice rest = sent;

	if (m == 0 || theirs[m - 1] == 0)
		return false; /* they hung up, or waited for more */
	for (uint32_t i = 0; i < m; i++) {
		struct slice command = *in_body ? SL(".") : next_command(&rest);

		if (theirs[i] == 421)
			return false; /* their last word, or to nobody */
		if (i >= n)
			fail_at(s, "no reply to %.*s", SLF(command));
		if (!is_allowed(command, ours[i]))
			fail_at(s, "%d is no reply to %.*s", ours[i],
			    SLF(command));
		if (*in_body && is_broken(sent) && ours[i] / 100 != 5)
			fail_at(s, "%d to a broken message", ours[i]);
		if (ours[i] / 100 != theirs[i] / 100) {
			ndiffer++;
			if (!may_differ(s, command, theirs[i], ours[i]))
				fail_at(s, "%.*s: they %d, we %d", SLF(command),
				    theirs[i], ours[i]);
			return false;
		}
		*in_body = ours[i] == 354;
	}
	if (n != m)
		fail_at(s, "%u replies, %u are due", n, m);
	return true;
}

static void
run_srv(struct session *s, size_t cut, struct buf *out, struct buf *acts)
{
	struct smtp_srv_conf conf;
	struct srv_drive d;
	size_t at = 0;

	srv_conf(&conf);
	srv_drive_init(&d, &conf);
	for (uint32_t i = 3; i < s->n; i += 2) {
		struct slice sent = s->field[i];

		while (sent.n > 0) {
			size_t n = sent.n;

			if (cut == 1)
				n = 1;
			else if (cut > at && cut < at + n)
				n = cut - at;
			srv_drive_feed(&d, slice_of(sent.p, n));
			sent = slice_skip(sent, n);
			at += n;
		}
	}
	buf_adds(out, buf_slice(&d.out));
	buf_adds(acts, buf_slice(&d.acts));
	srv_drive_free(&d);
}

/* Step by step; the rules, as long as both are in one state. */
static void
judge_srv(struct session *s, struct buf *out, struct buf *acts)
{
	struct smtp_srv_conf conf;
	struct srv_drive d;
	bool together = true, in_body = false;

	srv_conf(&conf);
	srv_drive_init(&d, &conf);
	srv_drive_turn(&d);
	for (uint32_t i = 3; i + 1 < s->n; i += 2) {
		struct slice sent = s->field[i];
		size_t before = d.out.n;

		/* All but its last byte: no reply to what is not yet whole. */
		if (sent.n > 1 && !in_body &&
		    slice_index(sent, '\n') + 1 == sent.n) {
			srv_drive_feed(&d, slice_of(sent.p, sent.n - 1));
			if (d.out.n != before)
				fail_at(s, "a reply to half a command");
			srv_drive_feed(&d, slice_skip(sent, sent.n - 1));
		} else {
			srv_drive_feed(&d, sent);
		}
		if (together)
			together = judge_step(s, sent, s->field[i + 1],
			    slice_skip(buf_slice(&d.out), before), &in_body);
	}
	buf_adds(out, buf_slice(&d.out));
	buf_adds(acts, buf_slice(&d.acts));
	srv_drive_free(&d);
}

/* ---- all ways to cut ------------------------------------------------------------------ */

static void
cut_all_ways(struct session *s, size_t total,
    void (*run)(struct session *, size_t, struct buf *, struct buf *),
    const struct buf *out, const struct buf *acts)
{
	struct buf o, a;
	size_t step = 1 + total / CUTS_MAX;

	buf_init(&o, 1u << 20);
	buf_init(&a, 1u << 20);
	/* 0: whole; 1: byte by byte. */
	for (size_t cut = 0; cut < total; cut += cut < 2 ? 1 : step) {
		buf_reset(&o);
		buf_reset(&a);
		run(s, cut, &o, &a);
		if (!slice_eq(buf_slice(&o), buf_slice(out)) ||
		    !slice_eq(buf_slice(&a), buf_slice(acts)))
			fail_at(s,
			    "cut at %zu\n--- expected\n%.*s%.*s--- got\n"
			    "%.*s%.*s",
			    cut, SLF(buf_slice(acts)), SLF(buf_slice(out)),
			    SLF(buf_slice(&a)), SLF(buf_slice(&o)));
	}
	buf_free(&o);
	buf_free(&a);
}

static void
one_door(struct session *s)
{
	struct buf out, acts;
	size_t total = 0;

	buf_init(&out, 1u << 20);
	buf_init(&acts, 1u << 20);
	for (uint32_t i = 3; i < s->n; i += 2)
		total += s->field[i].n;
	judge_srv(s, &out, &acts);
	cut_all_ways(s, total, run_srv, &out, &acts);
	buf_free(&out);
	buf_free(&acts);
}

/* ---- the client on trial --------------------------------------------------------------- */

static void
read_mail(struct session *s, struct drive_mail *m)
{
	struct slice rcpts = s->field[3];

	memset(m, 0, sizeof(*m));
	m->sender = s->field[2];
	m->body = SL("Subject: x\r\n\r\nx\r\n");
	while (rcpts.n > 0 && m->nrcpt < DRIVE_RCPTS_MAX)
		m->rcpt[m->nrcpt++] = slice_cut(&rcpts, ',');
}

/* The replies that come in one turn: those that were asked for by then. */
static uint32_t
turn_end(struct session *s, uint32_t i, uint32_t nrcpt)
{
	bool pipes = slice_eq(s->field[1], SL("pipe"));

	return pipes && i == 6 ? MIN(s->n, i + nrcpt + 2) : i + 1;
}

static void
run_cli(struct session *s, size_t cut, struct buf *out, struct buf *acts)
{
	struct smtp_cli_conf conf;
	struct drive_mail mail;
	struct cli_drive d;
	size_t at = 0;

	smtp_cli_conf_default(&conf);
	conf.ehlo_name = SL("out.example");
	conf.pipelines = slice_eq(s->field[1], SL("pipe"));
	conf.wants_tls = false;
	read_mail(s, &mail);
	cli_drive_init(&d, &conf, &mail, 1);
	d.quits = true;
	for (uint32_t i = 4, end; i < s->n; i = end) {
		end = turn_end(s, i, mail.nrcpt);
		for (uint32_t k = i; k < end; k++) {
			struct slice in = s->field[k];

			while (in.n > 0) {
				size_t n = in.n;

				if (cut == 1)
					n = 1;
				else if (cut > at && cut < at + n)
					n = cut - at;
				cli_drive_feed(&d, slice_of(in.p, n));
				in = slice_skip(in, n);
				at += n;
			}
		}
		cli_drive_turn(&d);
	}
	if (!d.is_down)
		cli_drive_gone(&d);
	buf_adds(out, buf_slice(&d.out));
	buf_adds(acts, buf_slice(&d.acts));
	cli_drive_free(&d);
}

/* Code of the reply in a field; 0 where there is none. */
static int
code_at(const struct session *s, uint32_t i)
{
	int codes[CODES_MAX];

	return i < s->n && read_codes(s->field[i], codes) > 0 ? codes[0] : 0;
}

static const char *
class_of(int code)
{
	return code / 100 == 2 ? "delivered" :
	    code / 100 == 5    ? "bounced" :
				 "transient";
}

/* What becomes of recipient i, by the replies alone. */
static int
outcome_of(const struct session *s, uint32_t i, uint32_t nrcpt)
{
	int mail = code_at(s, 6), rcpt = code_at(s, 7 + i);
	int data = code_at(s, 7 + nrcpt);

	if (mail / 100 != 2)
		return mail;
	if (rcpt / 100 != 2)
		return rcpt;
	return data != 354 ? data : code_at(s, 8 + nrcpt);
}

/* "  delivered eom 250 2.0.0 [ok]" lines, in order. */
static void
judge_cli(struct session *s, struct slice acts)
{
	struct drive_mail m;
	uint32_t i = 0;

	read_mail(s, &m);
	while (acts.n > 0) {
		struct slice line = slice_cut(&acts, '\n'), word;
		int want;

		if (!slice_has_prefix(line, SL("  ")))
			continue;
		line = slice_skip(line, 2);
		word = slice_cut(&line, ' ');
		want = outcome_of(s, i, m.nrcpt);
		if (!slice_eq(word, slice_str(class_of(want))))
			fail_at(s, "recipient %u: %.*s, but the reply was %d",
			    i, SLF(word), want);
		i++;
	}
	if (i != (code_at(s, 5) == 250 ? m.nrcpt : 0))
		fail_at(s, "%u outcomes of %u", i, m.nrcpt);
}

static void
one_host(struct session *s)
{
	struct buf out, acts;
	size_t total = 0;

	buf_init(&out, 1u << 20);
	buf_init(&acts, 1u << 20);
	for (uint32_t i = 4; i < s->n; i++)
		total += s->field[i].n;
	run_cli(s, 0, &out, &acts);
	judge_cli(s, buf_slice(&acts));
	cut_all_ways(s, total, run_cli, &out, &acts);
	buf_free(&out);
	buf_free(&acts);
}

/* ---- the files --------------------------------------------------------------------------- */

static void
clients_of_postfix(void **state)
{
	(void)state;
	each("door-postfix.tsv", one_door);
}

static void
clients_of_exim(void **state)
{
	(void)state;
	each("door-exim.tsv", one_door);
}

static void
servers(void **state)
{
	(void)state;
	each("hosts-postfix.tsv", one_host);
	each("hosts-exim.tsv", one_host);
	each("hosts-smtp-sink.tsv", one_host);
}

static void
there_are_many(void **state)
{
	(void)state;
	assert_true(nsessions > 2000);
	printf("# %u sessions; in %u the two servers part\n", nsessions,
	    ndiffer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_of_postfix),
		cmocka_unit_test(clients_of_exim),
		cmocka_unit_test(servers),
		cmocka_unit_test(there_are_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
