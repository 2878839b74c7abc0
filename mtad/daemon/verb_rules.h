/*
 * daemon/verb_rules.h - the rules by which verbs judge what servers say: those of
 * --rules, then those of the configuration, then the shipped ones.
 */
#ifndef DAEMON_VERB_RULES_H
#define DAEMON_VERB_RULES_H

#include <limits.h>

#include "conf/classify.h"
#include "daemon/verb_i.h"

struct verb_rules {
	const char *verb;   /* for messages */
	const char *config; /* VERB_CONFIG, or what -c says */
	bool is_configured; /* -c was given */
	bool is_bare;       /* none but those of --rules */
	uint32_t nfiles;
	struct class_source files[CLASS_FILES_MAX];
	/* Filled by verb_rules_load. */
	struct classifier *k;
	struct class_desk *desk;
	struct conf *conf;
	char shipped[PATH_MAX];
};

void verb_rules_init(struct verb_rules *r, const char *verb);
/* -h, -c, --rules and --bare. -1 to go on, with optind behind them; else the exit
 * status, after words on stderr or, of --help, the usage. */
int verb_rules_options(struct verb_rules *r, int argc, char **argv,
    const char *usage);
/* A file that stands before the others. false after words on stderr. */
bool verb_rules_add(struct verb_rules *r, const char *name);
/* false after words on stderr. */
bool verb_rules_load(struct verb_rules *r);
void verb_rules_free(struct verb_rules *r);

#endif
