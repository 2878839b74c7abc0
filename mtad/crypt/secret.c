/*
 * crypt/secret.c - what SCRAM (RFC 5802, 7677) is made of.
 */
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include "crypt/crypt_i.h"

void
crypt_hmac(struct slice key, struct slice text, uint8_t out[CRYPT_SHA256_BYTES])
{
	unsigned n = CRYPT_SHA256_BYTES;
	const void *made;

	ASSERT(key.n <= INT_MAX);
	made = HMAC(crypt_sha256(), key.p, (int)key.n,
	    (const unsigned char *)text.p, text.n, out, &n);
	ASSERT(made != NULL && n == CRYPT_SHA256_BYTES);
}

int
crypt_pbkdf2(struct slice password, struct slice salt, uint32_t iterations,
    uint8_t out[CRYPT_SHA256_BYTES])
{
	ASSERT(password.n <= INT_MAX && salt.n <= INT_MAX && iterations > 0 &&
	    iterations <= INT_MAX);
	return PKCS5_PBKDF2_HMAC(password.p, (int)password.n,
		   (const unsigned char *)salt.p, (int)salt.n, (int)iterations,
		   crypt_sha256(), CRYPT_SHA256_BYTES, out) == 1 ?
	    0 :
	    E_NOMEM;
}

void
crypt_digest(struct slice text, uint8_t out[CRYPT_SHA256_BYTES])
{
	unsigned n = CRYPT_SHA256_BYTES;
	int ok = EVP_Digest(text.p, text.n, out, &n, crypt_sha256(), NULL);

	ASSERT(ok == 1);
}

bool
crypt_is_same(const uint8_t a[CRYPT_SHA256_BYTES],
    const uint8_t b[CRYPT_SHA256_BYTES])
{
	return CRYPTO_memcmp(a, b, CRYPT_SHA256_BYTES) == 0;
}
