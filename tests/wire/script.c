/*
 * tests/wire/script.c - reads transcripts (tests/wire/script.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/script.h"

#define SCRIPT_BUF_MAX (16u << 20)

static _Noreturn void
die(const struct script *s, int line, const char *what, struct slice detail)
{
	fprintf(stderr, "%s:%d: %s: %.*s\n", s->name, line, what, SLF(detail));
	exit(2);
}

/* ---- texts --------------------------------------------------------------------- */

static int
hex(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape behind its backslash; moves *t behind it. */
static bool
add_escape(struct buf *out, struct slice *t)
{
	static const char from[] = "rnt0\\", to[] = "\r\n\t\0\\";
	char c = t->n > 0 ? t->p[0] : 'z';
	const char *at = memchr(from, c, 5);

	if (at != NULL) {
		buf_addc(out, to[at - from]);
		*t = slice_skip(*t, 1);
		return true;
	}
	if (c == 'x' && t->n >= 3 && hex(t->p[1]) >= 0 && hex(t->p[2]) >= 0) {
		buf_addc(out, (char)(hex(t->p[1]) << 4 | hex(t->p[2])));
		*t = slice_skip(*t, 3);
		return true;
	}
	return false;
}

/* "300{ab}": 300 times what stands between the braces. */
static bool
add_repeated(struct buf *out, struct slice *t)
{
	size_t open = slice_index(*t, '{'), close = slice_index(*t, '}');
	uint64_t times;

	if (close >= t->n || open > close ||
	    slice_u64(slice_of(t->p, open), 1000000, &times) != 0)
		return false;
	while (times-- > 0) {
		struct slice what = slice_of(t->p + open + 1, close - open - 1);

		while (what.n > 0) {
			char c = what.p[0];

			what = slice_skip(what, 1);
			if (c != '\\')
				buf_addc(out, c);
			else if (!add_escape(out, &what))
				return false;
		}
	}
	*t = slice_skip(*t, close + 1);
	return true;
}

static void
add_text(struct script *s, int line, struct buf *out, struct slice t)
{
	struct slice all = t;

	while (t.n > 0) {
		char c = t.p[0];
		bool ok;

		t = slice_skip(t, 1);
		if (c != '\\') {
			buf_addc(out, c);
			continue;
		}
		if (t.n > 0 && t.p[0] == '*') {
			t = slice_skip(t, 1);
			ok = add_repeated(out, &t);
		} else {
			ok = add_escape(out, &t);
		}
		if (!ok)
			die(s, line, "bad escape", all);
	}
}

static struct slice
keep(struct script *s, struct slice t)
{
	return slice_of(arena_str(&s->texts, t.p, t.n), t.n);
}

/* ---- options -------------------------------------------------------------------- */

struct option {
	const char *name;
	size_t at;
	size_t bytes;
};

#define SRV_OPTION(field)                                                      \
	{                                                                      \
#field, offsetof(struct script, srv.field),                    \
		    sizeof(((struct script *)0)->srv.field)                    \
	}
#define CLI_OPTION(field)                                                      \
	{                                                                      \
#field, offsetof(struct script, cli.field),                    \
		    sizeof(((struct script *)0)->cli.field)                    \
	}
#define OPTION(field)                                                          \
	{                                                                      \
#field, offsetof(struct script, field), sizeof(bool)           \
	}
static const struct option options[] = {
	SRV_OPTION(size_max),
	SRV_OPTION(rcpts_max),
	SRV_OPTION(errors_max),
	SRV_OPTION(body_line_max),
	SRV_OPTION(messages_max),
	SRV_OPTION(offers_tls),
	SRV_OPTION(exts),
	SRV_OPTION(auth_in_clear),
	OPTION(auth),
	OPTION(trusts),
	SRV_OPTION(normalises_bare),
	CLI_OPTION(pipelines),
	CLI_OPTION(chains),
	CLI_OPTION(wants_tls),
	CLI_OPTION(needs_tls),
	CLI_OPTION(starts_tls),
	CLI_OPTION(is_lmtp),
	CLI_OPTION(chunks),
	CLI_OPTION(bounces_8bit),
	OPTION(logs_in),
	OPTION(tls_fails),
	OPTION(quits),
};

/* "name=number"; a name alone is 1. */
static void
set_option(struct script *s, int line, struct slice word)
{
	struct slice value = word, name = slice_cut(&value, '=');
	uint64_t v = 1;

	if (value.p != NULL && slice_u64(value, UINT64_MAX, &v) != 0)
		die(s, line, "bad number", word);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (!slice_eq(name, slice_str(options[i].name)))
			continue;
		/* All fields are little-endian integers or bools. */
		memcpy((char *)s + options[i].at, &v, options[i].bytes);
		return;
	}
	die(s, line, "unknown option", word);
}

static void
set_machine(struct script *s, int line, struct slice words)
{
	struct slice who = slice_cut(&words, ' ');

	s->is_server = slice_eq(who, SL("server"));
	if (!s->is_server && !slice_eq(who, SL("client")))
		die(s, line, "server or client", who);
	smtp_srv_conf_default(&s->srv);
	s->srv.hostname = SL("mx.example");
	smtp_cli_conf_default(&s->cli);
	s->cli.ehlo_name = SL("out.example");
	s->cli.tls_policy = SL("TLS policy");
	while (words.n > 0)
		set_option(s, line, slice_cut(&words, ' '));
	s->cli.auth_in_clear = s->srv.auth_in_clear;
	if (s->logs_in)
		s->cli.user = SL("someone");
}

/* ---- lines ----------------------------------------------------------------------- */

static void
end_turn(struct script *s, int line, struct slice event)
{
	struct turn *t = &s->turns[s->nturns];
	size_t from = 0;

	if (s->nturns == TURNS_MAX)
		die(s, line, "too many turns", event);
	if (s->nturns > 0)
		from = t[-1].from + t[-1].n;
	t->from = from;
	t->n = s->input.n - from;
	slice_copy(slice_trim(event), t->event, sizeof(t->event));
	s->nturns++;
}

/* "<sender> rcpt,rcpt text", "broken" before it when its body cannot be read,
 * "utf8" when it needs SMTPUTF8, "8bit" when it is, "requiretls". */
static void
add_mail(struct script *s, int line, struct slice t)
{
	struct drive_mail *m = &s->mails[s->nmails++];
	struct slice rcpts;
	struct buf body;

	if (s->nmails > MAILS_MAX)
		die(s, line, "too many mails", t);
	if (slice_has_prefix(t, SL("broken "))) {
		m->is_broken = true;
		slice_cut(&t, ' ');
	}
	if (slice_has_prefix(t, SL("utf8 "))) {
		m->flags |= ENV_SMTPUTF8;
		slice_cut(&t, ' ');
	}
	if (slice_has_prefix(t, SL("8bit "))) {
		m->flags |= ENV_8BIT;
		slice_cut(&t, ' ');
	}
	if (slice_has_prefix(t, SL("requiretls "))) {
		m->flags |= ENV_REQUIRETLS;
		slice_cut(&t, ' ');
	}
	buf_init(&body, SCRIPT_BUF_MAX);
	add_text(s, line, &body, slice_cut(&t, ' '));
	m->sender = keep(s, slice_of(body.p + 1, body.n - 2));
	rcpts = slice_cut(&t, ' ');
	while (rcpts.n > 0 && m->nrcpt < DRIVE_RCPTS_MAX) {
		buf_reset(&body);
		add_text(s, line, &body, slice_cut(&rcpts, ','));
		m->rcpt[m->nrcpt++] = keep(s, buf_slice(&body));
	}
	buf_reset(&body);
	add_text(s, line, &body, t);
	m->body = keep(s, buf_slice(&body));
	buf_free(&body);
}

static void
take_line(struct script *s, int line, struct slice t)
{
	struct slice text = slice_skip(t, 3);
	char tag = t.n > 0 ? t.p[0] : '#';
	bool is_input = (ascii_lower(tag) == 'c') == s->is_server;
	struct buf *to = is_input ? &s->input : &s->output;

	if (tag == '#')
		return;
	if (s->srv.hostname.n == 0) {
		set_machine(s, line, t);
		return;
	}
	if (slice_has_prefix(t, SL("---"))) {
		end_turn(s, line, text);
		return;
	}
	if (t.n < 2 || t.p[1] != ':' || memchr("CScsAM", tag, 6) == NULL)
		die(s, line, "what is this", t);
	if (tag == 'M') {
		add_mail(s, line, text);
	} else if (tag == 'A') {
		buf_adds(&s->acts, text);
		buf_addc(&s->acts, '\n');
	} else {
		add_text(s, line, to, text);
		if (tag == 'C' || tag == 'S')
			buf_addz(to, "\r\n");
	}
}

void
script_read(struct script *s, const char *dir, const char *file)
{
	char path[512], *text = NULL;
	size_t cap = 0;
	ssize_t n;
	int line = 0;
	FILE *f;

	memset(s, 0, sizeof(*s));
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	slice_copy(slice_str(file), s->name, sizeof(s->name));
	buf_init(&s->input, SCRIPT_BUF_MAX);
	buf_init(&s->output, SCRIPT_BUF_MAX);
	buf_init(&s->acts, SCRIPT_BUF_MAX);
	arena_init(&s->texts, 4096, SCRIPT_BUF_MAX);
	f = fopen(path, "re");
	if (f == NULL)
		die(s, 0, "cannot be opened", slice_str(path));
	while ((n = getline(&text, &cap, f)) > 0)
		take_line(s, ++line,
		    slice_of(text, (size_t)n - (text[n - 1] == '\n')));
	free(text);
	fclose(f);
	end_turn(s, line, SL(""));
}

void
script_free(struct script *s)
{
	buf_free(&s->input);
	buf_free(&s->output);
	buf_free(&s->acts);
	arena_free(&s->texts);
}
