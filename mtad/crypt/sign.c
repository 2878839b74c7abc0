/*
 * crypt/sign.c - signatures over a SHA-256 digest.
 *
 * Each makes a context of its own, so that a key serves several threads; beside
 * a signature by RSA that costs next to nothing.
 */
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "crypt/crypt_i.h"

/* A context over the key, for signing or for verifying. */
static EVP_PKEY_CTX *
rsa_context(EVP_PKEY *pkey, int (*begin)(EVP_PKEY_CTX *c))
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(pkey, NULL);

	if (c != NULL && begin(c) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(c, crypt_sha256()) == 1)
		return c;
	EVP_PKEY_CTX_free(c);
	return NULL;
}

static int
sign_rsa(const struct crypt_key *k, const uint8_t *digest, uint8_t *out)
{
	EVP_PKEY_CTX *c = rsa_context(k->pkey, EVP_PKEY_sign_init);
	size_t n = CRYPT_SIGNATURE_MAX;
	int err = E_UNSUPPORTED;

	if (c == NULL)
		return E_NOMEM;
	if (EVP_PKEY_sign(c, out, &n, digest, CRYPT_SHA256_BYTES) == 1 &&
	    n == k->signature_bytes)
		err = 0;
	EVP_PKEY_CTX_free(c);
	return err;
}

static int
sign_ed25519(const struct crypt_key *k, const uint8_t *digest, uint8_t *out)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t n = CRYPT_SIGNATURE_MAX;
	int err = E_UNSUPPORTED;

	if (c == NULL)
		return E_NOMEM;
	if (EVP_DigestSignInit(c, NULL, NULL, NULL, k->pkey) == 1 &&
	    EVP_DigestSign(c, out, &n, digest, CRYPT_SHA256_BYTES) == 1 &&
	    n == k->signature_bytes)
		err = 0;
	EVP_MD_CTX_free(c);
	return err;
}

int
crypt_sign(const struct crypt_key *k, const uint8_t digest[CRYPT_SHA256_BYTES],
    uint8_t out[CRYPT_SIGNATURE_MAX])
{
	int err = k->kind == CRYPT_RSA ? sign_rsa(k, digest, out) :
					 sign_ed25519(k, digest, out);

	if (err)
		ERR_clear_error();
	return err;
}

static bool
verify_rsa(const struct crypt_key *k, const uint8_t *digest, const uint8_t *sig,
    size_t n)
{
	EVP_PKEY_CTX *c = rsa_context(k->pkey, EVP_PKEY_verify_init);
	bool ok = c != NULL &&
	    EVP_PKEY_verify(c, sig, n, digest, CRYPT_SHA256_BYTES) == 1;

	EVP_PKEY_CTX_free(c);
	return ok;
}

static bool
verify_ed25519(const struct crypt_key *k, const uint8_t *digest,
    const uint8_t *sig, size_t n)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool ok = c != NULL &&
	    EVP_DigestVerifyInit(c, NULL, NULL, NULL, k->pkey) == 1 &&
	    EVP_DigestVerify(c, sig, n, digest, CRYPT_SHA256_BYTES) == 1;

	EVP_MD_CTX_free(c);
	return ok;
}

bool
crypt_verify(const struct crypt_key *k,
    const uint8_t digest[CRYPT_SHA256_BYTES], const uint8_t *sig, size_t n)
{
	bool ok = k->kind == CRYPT_RSA ? verify_rsa(k, digest, sig, n) :
					 verify_ed25519(k, digest, sig, n);

	ERR_clear_error();
	return ok;
}
