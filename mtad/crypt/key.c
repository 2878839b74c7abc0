/*
 * crypt/key.c - keys: read, made, published, written.
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypt/crypt_i.h"

#define ED25519_BYTES 32u

/* ---- one key ------------------------------------------------------------------ */

struct crypt_key *
crypt_key_take(struct crypt_key *k)
{
	atomic_fetch_add(&k->refs, 1);
	return k;
}

void
crypt_key_give(struct crypt_key *k)
{
	if (k == NULL || atomic_fetch_sub(&k->refs, 1) > 1)
		return;
	EVP_PKEY_free(k->pkey); /* which wipes it */
	mem_free(k);
}

enum crypt_kind
crypt_key_kind(const struct crypt_key *k)
{
	return k->kind;
}

uint32_t
crypt_key_bits(const struct crypt_key *k)
{
	return k->bits;
}

size_t
crypt_key_signature_bytes(const struct crypt_key *k)
{
	return k->signature_bytes;
}

/* Takes pkey over. RFC 8301 3.2: a signer has at least 1,024 bits, and so must
 * what a verifier believes. */
static struct crypt_key *
key_of(EVP_PKEY *pkey, const char **why)
{
	int id = pkey ? EVP_PKEY_get_base_id(pkey) : 0;
	uint32_t bits = pkey ? (uint32_t)EVP_PKEY_get_bits(pkey) : 0;
	struct crypt_key *k = NULL;

	if (id != EVP_PKEY_RSA && id != EVP_PKEY_ED25519)
		*why = "neither RSA nor Ed25519";
	else if (id == EVP_PKEY_RSA && bits < CRYPT_RSA_BITS_MIN)
		*why = "an RSA key of less than 1024 bits, which RFC 8301 "
		       "forbids";
	else if (id == EVP_PKEY_RSA && bits > CRYPT_RSA_BITS_MAX)
		*why = "an RSA key of more than 8192 bits";
	else if ((k = mem_try(sizeof(*k))) == NULL)
		*why = "no memory";
	if (k == NULL) {
		EVP_PKEY_free(pkey);
		return NULL;
	}
	atomic_init(&k->refs, 1);
	k->pkey = pkey;
	k->kind = id == EVP_PKEY_RSA ? CRYPT_RSA : CRYPT_ED25519;
	k->bits = bits;
	k->signature_bytes = (size_t)EVP_PKEY_get_size(pkey);
	return k;
}

/* ---- reading ------------------------------------------------------------------ */

/* Nobody is asked for a passphrase: an encrypted key cannot be read. */
static int
no_passphrase(char *dst, int cap, int writes, void *ctx)
{
	(void)dst;
	(void)cap;
	(void)writes;
	*(bool *)ctx = true;
	return -1;
}

struct crypt_key *
crypt_key_read(struct slice pem, const char **why)
{
	bool was_asked = false;
	EVP_PKEY *pkey = NULL;
	BIO *in;

	*why = "too long for a key";
	if (pem.n > CRYPT_KEY_BYTES_MAX)
		return NULL;
	*why = "no memory";
	in = BIO_new_mem_buf(pem.p, (int)pem.n);
	if (in == NULL)
		return NULL;
	pkey = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, &was_asked);
	BIO_free(in);
	ERR_clear_error();
	if (pkey == NULL) {
		*why = was_asked ? "an encrypted key" :
				   "no private key in PEM form";
		return NULL;
	}
	return key_of(pkey, why);
}

/* RFC 6376 3.6.1 says RSAPublicKey, and its appendix C and everybody else
 * SubjectPublicKeyInfo; both are met. */
static EVP_PKEY *
read_rsa(struct slice der)
{
	const unsigned char *p = (const unsigned char *)der.p;
	EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long)der.n);

	if (pkey == NULL) {
		p = (const unsigned char *)der.p;
		pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)der.n);
	}
	if (pkey != NULL &&
	    (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA ||
		p != (const unsigned char *)der.p + der.n)) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	ERR_clear_error();
	return pkey;
}

struct crypt_key *
crypt_key_public(enum crypt_kind kind, struct slice bytes, const char **why)
{
	EVP_PKEY *pkey;

	if (bytes.n > CRYPT_KEY_BYTES_MAX)
		pkey = NULL;
	else if (kind == CRYPT_RSA)
		pkey = read_rsa(bytes);
	else
		pkey = bytes.n == ED25519_BYTES ?
		    EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
			(const unsigned char *)bytes.p, bytes.n) :
		    NULL;
	if (pkey == NULL) {
		*why = kind == CRYPT_RSA ? "no RSA key" : "no Ed25519 key";
		return NULL;
	}
	return key_of(pkey, why);
}

/* ---- making and writing --------------------------------------------------------- */

struct crypt_key *
crypt_key_generate(enum crypt_kind kind, uint32_t bits)
{
	const char *why;

	if (kind == CRYPT_RSA)
		return key_of(EVP_RSA_gen(bits), &why);
	return key_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), &why);
}

int
crypt_key_publish(const struct crypt_key *k, struct buf *out)
{
	unsigned char *der = NULL, raw[ED25519_BYTES];
	size_t n = sizeof(raw);
	int err, len;

	if (k->kind == CRYPT_ED25519) {
		if (EVP_PKEY_get_raw_public_key(k->pkey, raw, &n) != 1)
			return E_UNSUPPORTED;
		return buf_add(out, raw, n);
	}
	len = i2d_PUBKEY(k->pkey, &der);
	if (len <= 0)
		return E_NOMEM;
	err = buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
	return err;
}

int
crypt_key_write(const struct crypt_key *k, struct buf *out)
{
	BIO *mem = BIO_new(BIO_s_secmem());
	char *p = NULL;
	long n;
	int err = E_NOMEM;

	if (mem != NULL &&
	    PEM_write_bio_PKCS8PrivateKey(mem, k->pkey, NULL, NULL, 0, NULL,
		NULL) == 1) {
		n = BIO_get_mem_data(mem, &p);
		err = buf_add(out, p, (size_t)n);
	}
	BIO_free(mem);
	return err;
}
