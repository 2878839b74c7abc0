/*
 * daemon/verb_conf.c - `mtad check` and `mtad schema`.
 */
#include <getopt.h>
#include <stdio.h>

#include "conf/classify.h"
#include "conf/conf.h"
#include "daemon/keys.h"
#include "daemon/verb_live.h"
#include "daemon/verbs.h"

static const char check_usage[] =
    "usage: mtad check [-c FILE] [--against-live [-H SOCKET] [-n N]\n"
    "  [--json]]\n"
    "\n"
    "Checks a configuration, and the rules that it names, and prints every\n"
    "error, one a line:\n"
    "  file:line:column: what, expected, got\n"
    "\n"
    "  -c FILE         configuration (default /etc/mtad/mtad.yml)\n"
    "  --against-live  asks the running daemon, and tells which of its mail\n"
    "                  would have other limits or sources after a reload, or\n"
    "                  none; of the 1,000 largest queues\n"
    "  -H SOCKET       its control socket (as the configuration says)\n"
    "  -n N            tell of so many kinds of mail (20); all are counted\n"
    "  --json          as JSON\n"
    "\n"
    "exit status: 0 no error and no change, 1 errors, 2 wrong usage, 3 daemon\n"
    "not reached, 4 limits or sources of waiting mail would change, 5 some\n"
    "would have no source\n";

static const char schema_usage[] =
    "usage: mtad schema [KIND | --reference]\n"
    "\n"
    "Prints the JSON Schema of the configuration, for editors, or that of\n"
    "files of rules of a KIND: shaping, automation, warmup, bounces or words.\n"
    "With --reference: the list of options, for people.\n";

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

struct check {
	struct verb_peer peer;
	const char *path;
	bool is_live, json;
	uint64_t list_max;
};

/* -1: go on; else the exit status. */
static int
check_options(int argc, char **argv, struct check *k)
{
	static const struct option longs[] = { { "help", no_argument, NULL,
						   'h' },
		{ "config", required_argument, NULL, 'c' },
		{ "against-live", no_argument, NULL, 'l' },
		{ "json", no_argument, NULL, 'j' }, { 0 } };
	int o;

	while ((o = getopt_long(argc, argv, "hc:H:n:", longs, NULL)) != -1) {
		if (o == 'h') {
			fputs(check_usage, stdout);
			return 0;
		}
		if (o == 'c')
			k->path = optarg;
		else if (o == 'l')
			k->is_live = true;
		else if (o == 'H')
			k->peer.socket = optarg;
		else if (o == 'j')
			k->json = true;
		else if (o != 'n' ||
		    slice_u64(slice_str(optarg), 1000, &k->list_max) != 0)
			goto usage;
	}
	if (optind == argc)
		return -1;
usage:
	fputs(check_usage, stderr);
	return 2;
}

static int
check_live(const struct conf *c, struct check *k)
{
	int status;

	k->peer.config = k->path;
	status = verb_find(&k->peer);
	return status != VERB_OK ?
	    status :
	    verb_check_live(c, &k->peer, (uint32_t)k->list_max, k->json);
}

int
verb_check(int argc, char **argv)
{
	struct conf_errors errs = { .report = report, .warn = report };
	struct check k = { .path = VERB_CONFIG, .list_max = 20 };
	int status = check_options(argc, argv, &k);
	struct conf *c;

	if (status >= 0)
		return status;
	c = conf_load(k.path, &errs);
	if (c) {
		check_rules(c, &errs);
		keyring_give(keys_load(c, &errs));
		passwords_load(c, &errs);
	}
	if (errs.n > 0) {
		conf_free(c);
		fprintf(stderr, "%s: %u error%s\n", k.path, errs.n,
		    errs.n == 1 ? "" : "s");
		return 1;
	}
	if (!k.json)
		printf("%s: ok\n", k.path);
	status = k.is_live ? check_live(c, &k) : 0;
	conf_free(c);
	return status;
}

int
verb_schema(int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL,
						   'h' },
		{ "reference", no_argument, NULL, 'r' }, { 0 } };
	const char *what = "configuration";
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
	buf_init(&out, 4u << 20);
	if (optind < argc)
		what = argv[optind++];
	err = reference ? conf_reference(&out) :
			  conf_schema(slice_str(what), &out);
	if (optind < argc || err == E_NOTFOUND) {
		fputs(schema_usage, stderr);
		buf_free(&out);
		return 2;
	}
	if (!err)
		fwrite(out.p + out.off, 1, out.n, stdout);
	buf_free(&out);
	return err ? 1 : 0;
}
