/*
 * Fuzz target: tag lists, and what they say as signatures and as published keys.
 * Whatever the bytes, what is found lies within them.
 */
#include <stdint.h>

#include "base/base64.h"
#include "crypt/crypt.h"
#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
is_within(struct slice s, struct slice all)
{
	ASSERT(s.n == 0 || (s.p >= all.p && s.p + s.n <= all.p + all.n));
}

static void
count(void *ctx, const char *p, size_t n)
{
	ASSERT(p != NULL && n > 0);
	*(size_t *)ctx += n;
}

static void
read_tags(struct slice all)
{
	struct dkim_tag tag[DKIM_TAGS_MAX];
	int n = dkim_tags_read(all, tag);

	ASSERT(n <= (int)DKIM_TAGS_MAX);
	for (int i = 0; i < n; i++) {
		ASSERT(tag[i].name.n > 0);
		is_within(tag[i].name, all);
		is_within(tag[i].value, all);
	}
}

/* The text as a signature of a header that is the text as well. */
static void
read_signature(struct slice all)
{
	struct dkim_signature s;
	const char *why = NULL;
	size_t n = 0;

	if (dkim_signature_read(all, &s, &why)) {
		ASSERT(why != NULL);
		return;
	}
	ASSERT(s.nsig > 0 && s.nsig <= DKIM_SIGNATURE_MAX);
	is_within(s.domain, all);
	is_within(s.selector, all);
	is_within(s.names, all);
	is_within(s.identity, all);
	is_within(s.b, all);
	if (dkim_signature_hash(&s, all, all, count, &n))
		ASSERT(n > 0);
}

static void
read_record(struct slice all)
{
	struct dkim_record r;
	struct crypt_key *k;
	const char *why = NULL;
	struct buf key;

	if (dkim_record_read(all, &r, &why)) {
		ASSERT(why != NULL);
		return;
	}
	is_within(r.key, all);
	buf_init(&key, CRYPT_KEY_BYTES_MAX);
	if (base64_decode(r.key, &key) == 0) {
		k = crypt_key_public(r.algorithm == DKIM_RSA_SHA256 ?
			CRYPT_RSA :
			CRYPT_ED25519,
		    buf_slice(&key), &why);
		ASSERT(k != NULL || why != NULL);
		crypt_key_give(k);
	}
	buf_free(&key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice all = slice_of((const char *)data, n);

	read_tags(all);
	read_signature(all);
	read_record(all);
	return 0;
}
