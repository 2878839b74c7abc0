/*
 * relay/sign.h - signing a message on its way in (DKIM): which keys, what is
 * hashed while it comes, and what stands on top of it in the end.
 *
 * The intake begins when the header is whole, adds the body as it comes, and ends
 * when all is there: then the fields stand in their full length, with room for
 * the signatures. What takes long, the signatures themselves, may be made by
 * another thread (signing_seal), for nothing else has to wait for them.
 */
#ifndef RELAY_SIGN_H
#define RELAY_SIGN_H

#include <stdatomic.h>

#include "conf/conf.h"
#include "crypt/crypt.h"
#include "relay/returns.h"

#define SIGNATURES_MAX 8u /* of one message */

/* The keys of a configuration, in its order, and those of return paths by domain
 * of `inbound`. Counted; immutable once made. */
struct keyring {
	_Atomic uint32_t refs;
	const struct conf *conf;
	uint32_t n;
	struct crypt_key **key;
	struct return_keys *returns;
};
/* Room for its keys, all NULL. NULL: no memory. */
struct keyring *keyring_new(const struct conf *c);
struct keyring *keyring_take(struct keyring *r); /* may be NULL */
void keyring_give(struct keyring *r);            /* may be NULL */
/* Those of a domain of its configuration's `inbound`; never NULL. */
const struct return_keys *keyring_returns(const struct keyring *r,
    const struct conf_inbound *in);

/* Which of its keys sign mail of an author's domain and a tenant now, in the order
 * of the configuration; how many. */
uint32_t keyring_pick(const struct keyring *r, struct slice author,
    struct slice tenant, int64_t wall_us, uint32_t pick[SIGNATURES_MAX]);

struct signing;
/* Of a message with that header (our trace field and the blank line left out);
 * *s is NULL when no key is for it. 0 or E_NOMEM. */
int signing_begin(struct signing **s, const struct keyring *r,
    struct slice header, struct slice tenant, int64_t wall_us) MUST_CHECK;
/* The next piece of the body. */
void signing_body(struct signing *s, struct slice piece);
/* All has come. header: that of the whole message, with our trace field. 0, or
 * E_FULL, E_NOMEM. */
int signing_end(struct signing *s, struct slice header,
    int64_t wall_us) MUST_CHECK;
/* The domain of the first key; it lives as long as the configuration. */
struct slice signing_domain(const struct signing *s);
/* The fields, good until signing_free; empty before the end. */
struct slice signing_top(const struct signing *s);
/* Signs. By any thread, once, after the end. 0 or what crypt_sign says. */
int signing_seal(struct signing *s) MUST_CHECK;
void signing_free(struct signing *s); /* may be NULL */

#endif
