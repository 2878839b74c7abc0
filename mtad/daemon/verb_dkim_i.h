/*
 * daemon/verb_dkim_i.h - what the parts of `mtad dkim` share.
 */
#ifndef DAEMON_VERB_DKIM_I_H
#define DAEMON_VERB_DKIM_I_H

#include "conf/conf.h"
#include "daemon/keys.h"
#include "net/net.h"

#define DKIM_RECORD_MAX 4096u

/* The configuration and its keys. */
struct dkim_files {
	const struct conf *conf;
	struct keyring *keys; /* NULL: not asked for */
};
/* Reads them, with what is wrong on standard error. VERB_OK or VERB_FAILED. */
int dkim_files_read(struct dkim_files *f, const char *path, bool has_keys);
void dkim_files_free(struct dkim_files *f);

/* Appends what is to be published of a key. */
int dkim_record_of(const struct crypt_key *k, struct buf *out) MUST_CHECK;
/* "SELECTOR._domainkey.DOMAIN" with a NUL; dst of DOMAIN_MAX + 1 bytes; false: too
 * long. */
bool dkim_name(char *dst, struct slice selector, struct slice domain);

/* Where records come from: a text, lines of a file, or DNS. */
struct dkim_source {
	const char *text;
	struct buf file;
	bool has_file;
	struct dns_conf dns;
};
/* file: "-" or a name, or NULL. VERB_OK, or VERB_FAILED after a word. */
int dkim_source_open(struct dkim_source *s, const char *text, const char *file,
    const struct conf *c);
void dkim_source_free(struct dkim_source *s);
/* Records of a name, each with a NUL behind; as dns_txt. */
int dkim_source_find(struct dkim_source *s, const char *name, struct buf *out,
    const char **why) MUST_CHECK;

/* Verifies the signatures of a message (a file, or "-"); the exit status. */
int dkim_check_message(struct dkim_source *s, const char *path);

#endif
