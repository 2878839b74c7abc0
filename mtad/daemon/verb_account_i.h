/*
 * daemon/verb_account_i.h - what `mtad account NAME` and the verbs on a file of
 * accounts share.
 */
#ifndef DAEMON_VERB_ACCOUNT_I_H
#define DAEMON_VERB_ACCOUNT_I_H

#include "base/base.h"

#define ACCOUNT_PASSWORD_MAX 1000
#define ACCOUNT_SECRET_MAX 256
#define ACCOUNT_ITERATIONS 4096

/* May a client give it, and may it stand between quotes in YAML? */
bool account_name_is_fine(struct slice name);
/* "4096": into *out; a status after a word on stderr. */
int account_iterations(const char *text, uint32_t *out);
/* Reads a password and makes of it what is kept, with a NUL. VERB_OK, or a status
 * after a word on stderr. */
int account_read_secret(uint32_t iterations, char dst[ACCOUNT_SECRET_MAX]);

/* mtad account add, list, remove. */
int verb_account_file(int argc, char **argv);

#endif
