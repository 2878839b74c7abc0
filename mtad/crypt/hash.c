/*
 * crypt/hash.c - SHA-256. The algorithm is fetched once for all threads, since
 * looking it up costs more than a short digest.
 */
#include <openssl/evp.h>

#include "crypt/crypt_i.h"

const EVP_MD *
crypt_sha256(void)
{
	static EVP_MD *_Atomic fetched;
	EVP_MD *md = atomic_load_explicit(&fetched, memory_order_acquire);
	EVP_MD *none = NULL;

	if (md != NULL)
		return md;
	md = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (md == NULL || atomic_compare_exchange_strong(&fetched, &none, md))
		return md;
	EVP_MD_free(md); /* somebody was faster */
	return none;
}

/* An EVP_MD_CTX by another name. */
static EVP_MD_CTX *
context(struct crypt_hash *h)
{
	return (EVP_MD_CTX *)h;
}

/* Only a lack of memory could make it fail, and it has what it needs. */
static void
begin(EVP_MD_CTX *c)
{
	int ok = EVP_DigestInit_ex(c, crypt_sha256(), NULL);

	ASSERT(ok == 1);
}

struct crypt_hash *
crypt_hash_new(void)
{
	EVP_MD_CTX *c = crypt_sha256() ? EVP_MD_CTX_new() : NULL;

	if (c == NULL || EVP_DigestInit_ex(c, crypt_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(c);
		return NULL;
	}
	return (struct crypt_hash *)c;
}

void
crypt_hash_free(struct crypt_hash *h)
{
	EVP_MD_CTX_free(context(h));
}

void
crypt_hash_add(struct crypt_hash *h, const void *p, size_t n)
{
	int ok = EVP_DigestUpdate(context(h), p, n);

	ASSERT(ok == 1);
}

void
crypt_hash_end(struct crypt_hash *h, uint8_t out[CRYPT_SHA256_BYTES])
{
	unsigned n = 0;
	int ok = EVP_DigestFinal_ex(context(h), out, &n);

	ASSERT(ok == 1 && n == CRYPT_SHA256_BYTES);
	begin(context(h));
}
