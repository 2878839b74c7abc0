/*
 * daemon/keys.c - the keys that sign mail, and return paths, from their files; and
 * the passwords of smart hosts.
 *
 * All of a configuration's are read at once and then never change; a reload makes
 * new ones, and each worker lets go of the old when it meets the new. A message on
 * its way holds the keys that it began with.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/daemon_i.h"
#include "daemon/keys.h"

#define PASSWORD_MAX 512
#define EXPECTED                                                               \
	"a private key that only its owner can change and others "             \
	"cannot read"

/* NULL: it is a file, and those who should not cannot read or change it. */
static const char *
why_not(int fd, char *text, size_t cap)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return strerrordesc_np(errno);
	if (!S_ISREG(st.st_mode))
		return "no file";
	if (st.st_mode & (S_IWGRP | S_IRWXO)) {
		snprintf(text, cap, "mode %03o (chmod 600 helps)",
		    (unsigned)st.st_mode & 0777);
		return text;
	}
	if (geteuid() != 0 && st.st_uid != 0 && st.st_uid != geteuid()) {
		snprintf(text, cap, "a file of the user %u",
		    (unsigned)st.st_uid);
		return text;
	}
	return NULL;
}

/* Into memory that is taken once: what grows leaves copies behind. */
static bool
read_all(int fd, struct buf *out)
{
	char *to = buf_room(out, CRYPT_KEY_BYTES_MAX + 1);
	ssize_t n = 1;

	while (to != NULL && n > 0 && out->n <= CRYPT_KEY_BYTES_MAX) {
		n = read(fd, to + out->n, CRYPT_KEY_BYTES_MAX + 1 - out->n);
		if (n > 0)
			buf_grew(out, (size_t)n);
	}
	return to != NULL && n == 0;
}

/* The bytes of a secret file into *pem, which is the caller's to wipe; NULL, or
 * what it is instead. */
static const char *
load(const char *path, struct buf *pem, char *why, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *what =
	    fd < 0 ? strerrordesc_np(errno) : why_not(fd, why, cap);

	buf_init(pem, CRYPT_KEY_BYTES_MAX + 8192);
	if (what == NULL && !read_all(fd, pem))
		what = "a file that cannot be read, or too long";
	if (fd >= 0)
		close(fd);
	return what;
}

static void
wipe(struct buf *pem)
{
	if (pem->p != NULL)
		explicit_bzero(pem->p, pem->cap);
	buf_free(pem);
}

struct crypt_key *
key_load(const char *path, char *why, size_t cap)
{
	struct crypt_key *key = NULL;
	struct buf pem;
	const char *what = load(path, &pem, why, cap);

	if (what == NULL)
		key = crypt_key_read(buf_slice(&pem), &what);
	wipe(&pem);
	if (key == NULL && what != why)
		snprintf(why, cap, "%s", what);
	return key;
}

/* A secret of return paths. False, and why: what the file is instead. */
static bool
return_key_load(const char *path, struct return_key *key, char *why, size_t cap)
{
	struct buf text;
	const char *what = load(path, &text, why, cap);
	struct slice s = buf_slice(&text);

	while (s.n > 0 && (uint8_t)s.p[s.n - 1] <= ' ')
		s.n--;
	if (what == NULL && s.n < RETURN_KEY_MIN)
		what = "fewer than 16 bytes";
	else if (what == NULL && s.n > RETURN_KEY_MAX)
		what = "more than 64 bytes";
	if (what == NULL) {
		key->n = (uint32_t)s.n;
		memcpy(key->b, s.p, s.n);
	}
	wipe(&text);
	if (what != NULL && what != why)
		snprintf(why, cap, "%s", what);
	return what == NULL;
}

/* ---- passwords of smart hosts ------------------------------------------------------- */

static bool
password_load(struct conf *c, struct conf_auth *a, char *why, size_t cap)
{
	const char *what;
	struct slice s;
	struct buf text;

	what = load(a->password_file.p, &text, why, cap);
	s = buf_slice(&text);
	if (what == NULL) {
		s = slice_cut(&s, '\n');
		if (s.n > 0 && s.p[s.n - 1] == '\r')
			s.n--;
		what = s.n == 0 ? "no password on its first line" :
		    s.n > PASSWORD_MAX || memchr(s.p, '\0', s.n) != NULL ?
				  "no password that can be sent" :
				  NULL;
	}
	if (what == NULL) {
		a->password = slice_of(arena_str(&c->arena, s.p, s.n), s.n);
		ASSERT(a->password.p != NULL);
	} else if (what != why)
		snprintf(why, cap, "%s", what);
	wipe(&text);
	return what == NULL;
}

void
passwords_load(struct conf *c, struct conf_errors *errs)
{
	char why[128], line[1024];

	for (uint32_t i = 0; i < c->nroutes; i++) {
		struct conf_route *r = &c->routes[i];

		if (r->auth.user.n == 0 ||
		    password_load(c, &r->auth, why, sizeof(why)))
			continue;
		errs->n++;
		snprintf(line, sizeof(line),
		    "%s: route.%s.auth.password_file %s: expected a file that "
		    "only its owner can change and others cannot read, got %s",
		    c->file.p, r->pattern.p, r->auth.password_file.p, why);
		if (errs->report != NULL)
			errs->report(errs->ctx, line);
	}
}

/* RFC 8301 3.2 asks for more than it demands. */
static void
judge(const struct conf *c, const struct conf_dkim_key *k,
    const struct crypt_key *key, struct conf_errors *errs)
{
	char got[64];

	if (crypt_key_kind(key) != CRYPT_RSA ||
	    crypt_key_bits(key) >= CRYPT_RSA_BITS_WEAK)
		return;
	snprintf(got, sizeof(got), "%u", crypt_key_bits(key));
	conf_dkim_warn(c, k, "2048 bits or more, as RFC 8301 asks for", got,
	    errs);
}

static void
complain_of(const struct conf *c, const struct conf_inbound *in,
    struct slice file, const char *why, struct conf_errors *errs)
{
	char line[4096 + 512];

	errs->n++;
	snprintf(line, sizeof(line),
	    "%s: inbound.%s.keys: %s: expected a secret of 16 to 64 bytes that "
	    "only its owner can change and others cannot read, got %s",
	    c->file.p, in->domain.p, file.p, why);
	if (errs->report != NULL)
		errs->report(errs->ctx, line);
}

static void
load_returns(const struct conf *c, struct keyring *r, struct conf_errors *errs)
{
	char why[128];

	for (uint32_t i = 0; i < c->ninbound; i++) {
		const struct conf_inbound *in = &c->inbound[i];
		struct return_keys *keys = &r->returns[i];

		for (uint32_t j = 0; j < in->nkeys; j++)
			if (!return_key_load(in->keys[j].p, &keys->v[j], why,
				sizeof(why)))
				complain_of(c, in, in->keys[j], why, errs);
		keys->n = in->nkeys;
	}
}

struct keyring *
keys_load(const struct conf *c, struct conf_errors *errs)
{
	struct keyring *r = keyring_new(c);
	uint32_t before = errs->n;
	char why[128];

	ASSERT(r != NULL); /* their number has a ceiling */
	for (uint32_t i = 0; i < r->n; i++) {
		const struct conf_dkim_key *k = &c->dkim.keys[i];

		r->key[i] = key_load(k->file.p, why, sizeof(why));
		if (r->key[i] == NULL)
			conf_dkim_complain(c, k, EXPECTED, why, errs);
		else
			judge(c, k, r->key[i], errs);
	}
	load_returns(c, r, errs);
	if (errs->n == before)
		return r;
	keyring_give(r);
	return NULL;
}

/* ---- the daemon's -------------------------------------------------------------------- */

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	log_event(LOG_ERROR, "keys", "what", line, NULL);
}

static void
warn(void *ctx, const char *line)
{
	(void)ctx;
	log_event(LOG_WARN, "dkim", "what", line, NULL);
}

struct keyring *
keys_boot(const struct conf *c)
{
	struct conf_errors errs = { .report = report, .warn = warn };

	return keys_load(c, &errs);
}
