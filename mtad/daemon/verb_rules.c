/*
 * daemon/verb_rules.c - finds and compiles the rules of a verb, see
 * verb_rules.h.
 */
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/verb_rules.h"

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

void
verb_rules_init(struct verb_rules *r, const char *verb)
{
	r->verb = verb;
	r->config = VERB_CONFIG;
}

bool
verb_rules_add(struct verb_rules *r, const char *name)
{
	if (r->nfiles == CLASS_FILES_MAX) {
		fprintf(stderr, "mtad %s: more than %u files\n", r->verb,
		    CLASS_FILES_MAX);
		return false;
	}
	r->files[r->nfiles++] = (struct class_source){ .name = name };
	return true;
}

static bool
add_configured(struct verb_rules *r, struct conf_errors *errs)
{
	if (!r->is_configured && access(r->config, R_OK) != 0)
		return true;
	r->conf = conf_load(r->config, errs);
	if (r->conf == NULL)
		return false;
	for (uint32_t i = 0; i < r->conf->nbounce_rules; i++)
		if (!verb_rules_add(r, r->conf->bounce_rules[i].p))
			return false;
	return true;
}

int
verb_rules_options(struct verb_rules *r, int argc, char **argv,
    const char *usage)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "config", required_argument, NULL, 'c' },
		{ "rules", required_argument, NULL, 'r' },
		{ "bare", no_argument, NULL, 'b' },
		{ 0 },
	};
	int o;

	opterr = 0;
	while ((o = getopt_long(argc, argv, "hc:", longs, NULL)) != -1) {
		switch (o) {
		case 'h':
			fputs(usage, stdout);
			return VERB_OK;
		case 'c':
			r->config = optarg;
			r->is_configured = true;
			break;
		case 'r':
			if (!verb_rules_add(r, optarg))
				return VERB_USAGE;
			break;
		case 'b':
			r->is_bare = true;
			break;
		default:
			return verb_wrong_option(r->verb, argv);
		}
	}
	return -1;
}

bool
verb_rules_load(struct verb_rules *r)
{
	struct conf_errors errs = { .report = report };

	if (!r->is_bare &&
	    (!add_configured(r, &errs) ||
		!verb_rules_add(r,
		    conf_shipped("bounces.yml", r->shipped,
			sizeof(r->shipped)))))
		return false;
	r->k = classifier_new(r->files, r->nfiles, &errs);
	if (r->k == NULL)
		return false;
	r->desk = class_desk_new(r->k);
	return r->desk != NULL;
}

void
verb_rules_free(struct verb_rules *r)
{
	class_desk_free(r->desk);
	classifier_free(r->k);
	conf_free(r->conf);
}
