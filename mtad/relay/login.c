/*
 * relay/login.c - the keys of a name, and whether a password makes them (RFC 5802
 * 3).
 *
 * A name that is not known is answered as a wrong password is, and after as much
 * work.
 */
#include "crypt/crypt.h"
#include "relay/login.h"

#define ITERATIONS_USUAL 4096

static struct slice
bytes(const uint8_t *p, size_t n)
{
	return slice_of((const char *)p, n);
}

static void
stand_in(const struct conf_account *like, struct slice name,
    struct conf_account *out)
{
	static const struct conf_account nobody = { .salt_n = 16,
		.iterations = ITERATIONS_USUAL };

	if (like == NULL)
		like = &nobody;
	memset(out, 0, sizeof(*out));
	out->iterations = like->iterations;
	out->salt_n = MIN(like->salt_n, (uint32_t)CRYPT_SHA256_BYTES);
	crypt_hmac(bytes(like->server_key, sizeof(like->server_key)), name,
	    out->salt);
}

/* The digest of ClientKey, as RFC 5802 3 makes it of a password. */
bool
login_is_password(const struct conf_account *a, struct slice password)
{
	uint8_t salted[CRYPT_SHA256_BYTES], key[CRYPT_SHA256_BYTES];
	uint8_t stored[CRYPT_SHA256_BYTES];

	if (crypt_pbkdf2(password, bytes(a->salt, a->salt_n), a->iterations,
		salted) != 0)
		return false;
	crypt_hmac(bytes(salted, sizeof(salted)), SL("Client Key"), key);
	crypt_digest(bytes(key, sizeof(key)), stored);
	return crypt_is_same(stored, a->stored_key);
}

void
login_answer(struct login *l, const struct conf_account *found,
    const struct conf_account *like)
{
	l->account = found;
	if (found != NULL)
		l->kept = *found;
	else
		stand_in(like, slice_str(l->name), &l->kept);
	if (!l->tries)
		return;
	l->is_right =
	    login_is_password(&l->kept, slice_of(l->password, l->password_n)) &&
	    found != NULL;
	explicit_bzero(l->password, sizeof(l->password));
}

void
login_by_conf(struct login *l, const struct conf *c)
{
	login_answer(l, conf_account_find(c, slice_str(l->name)),
	    c->naccounts > 0 ? &c->accounts[0] : NULL);
}

void
login_free(struct login *l)
{
	if (l == NULL)
		return;
	mem_free(l->owned);
	explicit_bzero(l, sizeof(*l));
	mem_free(l);
}
