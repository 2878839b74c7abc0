/*
 * daemon/keys.h - what is secret, from its files: the keys that sign mail, and
 * passwords for smart hosts.
 */
#ifndef DAEMON_KEYS_H
#define DAEMON_KEYS_H

#include "conf/conf.h"
#include "relay/sign.h"

/* One key of a file; NULL, and why: what the file is instead. It says nothing of
 * its content. */
struct crypt_key *key_load(const char *path, char *why, size_t cap);
/* The passwords of its smart hosts, into the configuration; what cannot be used
 * is reported. */
void passwords_load(struct conf *c, struct conf_errors *errs);
/* All keys of a configuration; NULL: each that cannot be used has been reported,
 * with file and line. Give them back with keyring_give. */
struct keyring *keys_load(const struct conf *c, struct conf_errors *errs);
/* The same with words in the log. */
struct keyring *keys_boot(const struct conf *c);

#endif
