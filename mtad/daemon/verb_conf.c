/*
 * daemon/verb_conf.c - `mtad check` and `mtad schema`.
 */
#include <getopt.h>
#include <stdio.h>

#include "conf/classify.h"
#include "conf/conf.h"
#include "daemon/verbs.h"

static const char check_usage[] =
    "usage: mtad check [-c FILE]\n"
    "\n"
    "Checks a configuration, and the rules that it names, and prints every\n"
    "error, one a line:\n"
    "  file:line:column: what, expected, got\n"
    "\n"
    "  -c FILE   configuration (default /etc/mtad/mtad.yml)\n"
    "\n"
    "exit status: 0 no error, 1 errors, 2 wrong usage\n";

static const char schema_usage[] =
    "usage: mtad schema [--reference]\n"
    "\n"
    "Prints the JSON Schema of the configuration, for editors; with\n"
    "--reference the list of options, for people.\n";

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

/* The rules that a configuration names: does the daemon take them? */
static void
check_rules(const struct conf *c, struct conf_errors *errs)
{
	struct class_source files[CONF_RULES_MAX] = { 0 };

	for (uint32_t i = 0; i < c->nbounce_rules; i++)
		files[i].name = c->bounce_rules[i].p;
	classifier_free(classifier_new(files, c->nbounce_rules, errs));
}

int
verb_check(int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL,
						   'h' },
		{ "config", required_argument, NULL, 'c' }, { 0 } };
	struct conf_errors errs = { .report = report, .warn = report };
	const char *path = "/etc/mtad/mtad.yml";
	struct conf *c;
	int o;

	while ((o = getopt_long(argc, argv, "hc:", longs, NULL)) != -1) {
		if (o == 'h') {
			fputs(check_usage, stdout);
			return 0;
		}
		if (o != 'c') {
			fputs(check_usage, stderr);
			return 2;
		}
		path = optarg;
	}
	if (optind < argc) {
		fputs(check_usage, stderr);
		return 2;
	}
	c = conf_load(path, &errs);
	if (c)
		check_rules(c, &errs);
	if (errs.n > 0) {
		conf_free(c);
		fprintf(stderr, "%s: %u error%s\n", path, errs.n,
		    errs.n == 1 ? "" : "s");
		return 1;
	}
	printf("%s: ok\n", path);
	conf_free(c);
	return 0;
}

int
verb_schema(int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL,
						   'h' },
		{ "reference", no_argument, NULL, 'r' }, { 0 } };
	bool reference = false;
	struct buf out;
	int o, err;

	while ((o = getopt_long(argc, argv, "hr", longs, NULL)) != -1) {
		if (o != 'r') {
			fputs(schema_usage, o == 'h' ? stdout : stderr);
			return o == 'h' ? 0 : 2;
		}
		reference = true;
	}
	if (optind < argc) {
		fputs(schema_usage, stderr);
		return 2;
	}
	buf_init(&out, 4u << 20);
	err = reference ? conf_reference(&out) : conf_schema(&out);
	if (!err)
		fwrite(out.p + out.off, 1, out.n, stdout);
	buf_free(&out);
	return err ? 1 : 0;
}
