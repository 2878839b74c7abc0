/*
 * daemon/verb_suppress_i.h - what the files of `mtad suppress` share.
 */
#ifndef DAEMON_VERB_SUPPRESS_I_H
#define DAEMON_VERB_SUPPRESS_I_H

#include "daemon/suppress_do.h"
#include "daemon/verb_i.h"

struct suppress_options {
	struct verb_peer peer;
	const char *tenant, *domain, *reason, *source, *expires;
	enum suppress_format format;
	bool json, dry_run, all_or_none;
	uint64_t n;
	char **names;
	int nnames;
	char file[4096]; /* of the configuration, once it is looked for */
};

/* Finds the file. VERB_OK, or the exit status after a message. */
int suppress_find_file(struct suppress_options *o);
/* Is a daemon there that answers? */
bool suppress_is_served(struct suppress_options *o);
/* One order or question as a JSON body, or query. */
int suppress_import(struct suppress_options *o);
int suppress_export(struct suppress_options *o);

#endif
