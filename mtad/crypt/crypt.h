/*
 * crypt/crypt.h - digests, signatures and keys (libcrypto).
 *
 * Pure as the machines that use it: bytes in, bytes out, no file and no clock;
 * the generation of keys alone draws from the system's randomness. What is
 * secret stays inside: a key is never written but by crypt_key_write, and what
 * is said about one that cannot be used says nothing of its bytes.
 */
#ifndef CRYPT_CRYPT_H
#define CRYPT_CRYPT_H

#include "base/base.h"

#define CRYPT_SHA256_BYTES 32u
#define CRYPT_SIGNATURE_MAX 1024u /* bytes: RSA of 8192 bits */
#define CRYPT_RSA_BITS_MIN 1024u  /* RFC 8301 3.2: for signing */
#define CRYPT_RSA_BITS_WEAK 2048u /* and what it asks for is at least this */
#define CRYPT_RSA_BITS_MAX 8192u
#define CRYPT_KEY_BYTES_MAX 32768u /* of a key as text */

/* ---- SHA-256 --------------------------------------------------------------- */

struct crypt_hash;
/* NULL: no memory. May be used again after an end. */
struct crypt_hash *crypt_hash_new(void);
void crypt_hash_free(struct crypt_hash *h); /* may be NULL */
void crypt_hash_add(struct crypt_hash *h, const void *p, size_t n);
/* Writes the digest, and begins again. */
void crypt_hash_end(struct crypt_hash *h, uint8_t out[CRYPT_SHA256_BYTES]);

/* ---- secrets (RFC 2104, RFC 8018 5.2) ------------------------------------------ */

void crypt_hmac(struct slice key, struct slice text,
    uint8_t out[CRYPT_SHA256_BYTES]);
/* PBKDF2 with HMAC-SHA-256: about 0.35 us for each iteration. 0 or E_NOMEM. */
int crypt_pbkdf2(struct slice password, struct slice salt, uint32_t iterations,
    uint8_t out[CRYPT_SHA256_BYTES]) MUST_CHECK;
/* The digest of a short text. */
void crypt_digest(struct slice text, uint8_t out[CRYPT_SHA256_BYTES]);
/* Takes as long whether they are equal or not. */
bool crypt_is_same(const uint8_t a[CRYPT_SHA256_BYTES],
    const uint8_t b[CRYPT_SHA256_BYTES]);

/* ---- keys -------------------------------------------------------------------- */

enum crypt_kind { CRYPT_RSA, CRYPT_ED25519 };
struct crypt_key;
/*
 * A private key of PEM text (PKCS#8 or PKCS#1, RSA or Ed25519, not encrypted).
 * NULL, and *why: a literal that fits behind "a key, got ".
 */
struct crypt_key *crypt_key_read(struct slice pem, const char **why);
/* A public key as DKIM publishes it: DER for RSA (SubjectPublicKeyInfo, or the
 * bare RSAPublicKey), 32 bytes for Ed25519. */
struct crypt_key *crypt_key_public(enum crypt_kind kind, struct slice bytes,
    const char **why);
/* A new one; bits: of RSA. NULL: it could not be made. */
struct crypt_key *crypt_key_generate(enum crypt_kind kind, uint32_t bits);
/* Keys are counted, and may be used by several threads at once. */
struct crypt_key *crypt_key_take(struct crypt_key *k);
void crypt_key_give(struct crypt_key *k); /* may be NULL */
enum crypt_kind crypt_key_kind(const struct crypt_key *k);
uint32_t crypt_key_bits(const struct crypt_key *k);
/* Bytes of a signature with it. */
size_t crypt_key_signature_bytes(const struct crypt_key *k);
/* Appends the public half, in the form that crypt_key_public reads. */
int crypt_key_publish(const struct crypt_key *k, struct buf *out) MUST_CHECK;
/* Appends the private key as PEM (PKCS#8). */
int crypt_key_write(const struct crypt_key *k, struct buf *out) MUST_CHECK;

/* ---- signatures ---------------------------------------------------------------- */

/* Signs a SHA-256 digest: PKCS#1 1.5 with RSA (RFC 8017 8.2), and with Ed25519
 * the digest as the message (RFC 8463 3). Writes as many bytes as the key says.
 * 0, E_NOMEM or E_UNSUPPORTED. */
int crypt_sign(const struct crypt_key *k,
    const uint8_t digest[CRYPT_SHA256_BYTES],
    uint8_t out[CRYPT_SIGNATURE_MAX]) MUST_CHECK;
bool crypt_verify(const struct crypt_key *k,
    const uint8_t digest[CRYPT_SHA256_BYTES], const uint8_t *sig, size_t n);

#endif
