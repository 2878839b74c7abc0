/*
 * crypt/crypt_i.h - private to the room.
 */
#ifndef CRYPT_CRYPT_I_H
#define CRYPT_CRYPT_I_H

#include <openssl/evp.h>
#include <stdatomic.h>

#include "crypt/crypt.h"

struct crypt_key {
	_Atomic uint32_t refs;
	EVP_PKEY *pkey;
	enum crypt_kind kind;
	uint32_t bits;
	size_t signature_bytes;
};

/* SHA-256, fetched once; NULL: no memory. */
const EVP_MD *crypt_sha256(void);

#endif
