/*
 * conf/token.c - tokens of the HTTP door. What is kept of one is its SHA-256: a
 * token has 256 bits of randomness, which nobody finds by guessing, so that no
 * slow digest and no salt are needed.
 */
#include <stdlib.h>

#include "base/base64.h"
#include "conf/conf_i.h"

static bool
token_read(struct conf_token *t)
{
	struct slice rest = t->hash, kind = slice_cut(&rest, '$');
	struct buf b;
	bool ok;

	buf_init(&b, sizeof(t->digest));
	ok = slice_eq(kind, SL("SHA-256")) && base64_decode(rest, &b) == 0 &&
	    b.n == sizeof(t->digest);
	if (ok)
		memcpy(t->digest, buf_slice(&b).p, sizeof(t->digest));
	buf_free(&b);
	return ok;
}

static int
compare(const void *a, const void *b)
{
	const struct conf_token *x = a, *y = b;

	return memcmp(x->digest, y->digest, sizeof(x->digest));
}

uint32_t
conf_tokens_read(struct conf *c)
{
	for (uint32_t i = 0; i < c->ntokens; i++)
		if (!token_read(&c->tokens[i]))
			return i;
	if (c->ntokens > 0)
		qsort(c->tokens, c->ntokens, sizeof(*c->tokens), compare);
	return c->ntokens;
}

const struct conf_token *
conf_token_find(const struct conf *c, const uint8_t digest[32])
{
	struct conf_token key;

	if (c->ntokens == 0)
		return NULL;
	memcpy(key.digest, digest, sizeof(key.digest));
	return bsearch(&key, c->tokens, c->ntokens, sizeof(key), compare);
}
