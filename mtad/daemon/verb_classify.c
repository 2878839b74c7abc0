/*
 * daemon/verb_classify.c - `mtad classify`: what replies mean, by the rules
 * that the daemon would use. Reads as it goes, so that it can stand in a pipe.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/verb_rules.h"
#include "daemon/verbs.h"

#define INPUT_MAX (1u << 20) /* bytes of one reply */
#define CHUNK (64u << 10)

static const char usage[] =
    "usage: mtad classify [-c FILE] [--rules FILE]... [--bare]\n"
    "\n"
    "Reads replies of mail servers from standard input and prints what each\n"
    "means, one JSON object a line. A reply is a line of fields with tabs\n"
    "between them, or stands as a server sends it, in a line or several:\n"
    "  code TAB enhanced TAB text [TAB provider [TAB stage]]\n"
    "  550 5.1.1 No such user\n"
    "\n"
    "  -c FILE        configuration, for its bounce_rules (default\n"
    "                 /etc/mtad/mtad.yml, if there is one)\n"
    "  --rules FILE   rules that stand before those; may be repeated\n"
    "  --bare         only the rules of --rules, not the shipped ones either\n"
    "\n"
    "  {\"category\":\"InvalidRecipient\",\"kind\":\"unknown_user\",\n"
    "   \"scope\":\"recipient\",\"hard\":true,\"rule\":\"bounces.yml:40\"}\n"
    "\n"
    "exit status: 0 done, 1 rules or input could not be read, 2 wrong usage\n";

struct run {
	struct verb_rules rules;
	struct buf in, out;
};

/* ---- replies ------------------------------------------------------------- */

static void
print_answer(struct run *r, const struct class_query *q)
{
	struct class_answer a;
	struct jsonw w;
	char rule[PATH_MAX + 16];

	classify(r->rules.k, r->rules.desk, q, &a);
	buf_reset(&r->out);
	jw_init(&w, &r->out);
	jw_open(&w, '{');
	jw_kstr(&w, "category",
	    slice_str(category_name((enum category)a.judgement.category)));
	jw_kstr(&w, "kind", slice_str(kind_name((enum kind)a.judgement.kind)));
	jw_kstr(&w, "scope",
	    slice_str(scope_name((enum scope)a.judgement.scope)));
	jw_kbool(&w, "hard", a.judgement.is_hard);
	if (a.line != 0) {
		snprintf(rule, sizeof(rule), "%s:%u", a.file, a.line);
		jw_kstr(&w, "rule", slice_str(rule));
	} else {
		jw_key(&w, "rule");
		jw_null(&w);
	}
	jw_close(&w, '}');
	fwrite(r->out.p + r->out.off, 1, r->out.n, stdout);
	putchar('\n');
}

/* Answers what is whole in the input; at the end, or when no more fits in,
 * what is there. */
static void
answer_all(struct run *r, bool is_last)
{
	struct slice rest = buf_slice(&r->in), all = rest;
	char text[CLASS_TEXT_MAX];
	struct class_query q;

	for (;;) {
		struct slice from = rest;

		if (!class_read(&rest, text, &q))
			break;
		if (rest.n == 0 && !is_last && from.n < INPUT_MAX - CHUNK &&
		    !class_is_whole(from)) {
			rest = from;
			break;
		}
		print_answer(r, &q);
	}
	buf_consume(&r->in, all.n - rest.n);
	fflush(stdout);
}

static int
read_all(struct run *r)
{
	static char chunk[CHUNK];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || buf_add(&r->in, chunk, (size_t)n) != 0) {
			perror("mtad classify: input");
			return VERB_FAILED;
		}
		answer_all(r, false);
	}
	answer_all(r, true);
	return ferror(stdout) ? VERB_FAILED : VERB_OK;
}

/* ---- the verb ------------------------------------------------------------ */

int
verb_classify(int argc, char **argv)
{
	struct run *r = mem_get(sizeof(*r));
	int status;

	verb_rules_init(&r->rules, "classify");
	buf_init(&r->in, INPUT_MAX);
	buf_init(&r->out, INPUT_MAX);
	status = verb_rules_options(&r->rules, argc, argv, usage);
	if (status < 0 && optind < argc)
		status = verb_usage("classify", "it reads standard input, got",
		    argv[optind]);
	if (status < 0)
		status = verb_rules_load(&r->rules) ? read_all(r) : VERB_FAILED;
	verb_rules_free(&r->rules);
	buf_free(&r->in);
	buf_free(&r->out);
	mem_free(r);
	return status;
}
