/*
 * relay/returns.h - signed return paths: which message and recipient a bounce is
 * about, said by the address that it comes to, which nobody else can make.
 *
 * A local part is the prefix and 56 digits of base32hex (RFC 4648 7), in small
 * letters; in what case they come back does not matter. The digits are 35 bytes:
 *
 *	0	16	id of the message
 *	16	2	number of the recipient, 65535: of all in the message
 *	18	2	day on which it ends, counted from 1970
 *	20	4	hash of the recipient's address (find_key_address), or 0
 *	24	11	HMAC-SHA256 of domain, NUL, bytes 0 to 23: 88 bits of it
 *
 * Numbers are big-endian. With a prefix of 8 bytes the local part has the 64 that
 * RFC 5321 4.5.3.1.1 allows.
 */
#ifndef RELAY_RETURNS_H
#define RELAY_RETURNS_H

#include "conf/conf.h"

#define RETURN_KEY_MIN 16u
#define RETURN_KEY_MAX 64u
#define RETURN_DIGITS 56u
#define RETURN_LOCAL_MAX (CONF_RETURN_PREFIX_MAX + RETURN_DIGITS)
#define RETURN_ALL UINT16_MAX /* of several recipients */

struct return_key {
	uint32_t n;
	uint8_t b[RETURN_KEY_MAX];
};
/* Of one domain: the first signs, all are good. */
struct return_keys {
	uint32_t n;
	struct return_key v[CONF_RETURN_KEYS_MAX];
};

struct return_token {
	struct msgid id;
	uint16_t rcpt; /* its number in the envelope, or RETURN_ALL */
	uint16_t day;  /* good to its end */
	uint32_t hash; /* of the recipient's address, 0: of several */
};

#define RETURN_CHECK_TABLE(X)                                                  \
	X(RETURN_GOOD, "good")                                                 \
	X(RETURN_OTHER, "other")     /* does not look like one */              \
	X(RETURN_EXPIRED, "expired") /* it was good */                         \
	X(RETURN_FORGED, "forged")
#define X(name, text) name,
enum return_check { RETURN_CHECK_TABLE(X) RETURN_CHECK_N };
#undef X

/* The hash that a token has of an address. */
uint32_t return_hash(struct slice address);
/* Writes the local part, with a NUL; its length, or 0 without keys. */
size_t return_write(char dst[RETURN_LOCAL_MAX + 1],
    const struct conf_inbound *in, const struct return_keys *keys,
    const struct return_token *t);
/* The token of one that comes back, quoted or not; *t is filled unless it is
 * RETURN_OTHER, and to be believed only when it is RETURN_GOOD. */
enum return_check return_read(struct slice local, const struct conf_inbound *in,
    const struct return_keys *keys, int64_t wall_us, struct return_token *t);
/* The address of a plain VERP, user+rcpt=domain: into dst, its length; 0: it is
 * none. */
size_t return_verp(struct slice local, char dst[MAILBOX_MAX + 1]);

/* What an address of ours is for. */
enum back_use { BACK_NONE, BACK_TOKEN, BACK_VERP, BACK_BOUNCE, BACK_COMPLAINT };
struct back_to {
	enum back_use use;
	enum return_check check; /* of one that looks like a token */
	struct return_token token;
	char rcpt[MAILBOX_MAX + 1]; /* of a VERP */
	uint32_t rcpt_n;
};
/* The local part of an address at the domain; whoever it comes from may have
 * written it. */
void back_read(struct slice local, const struct conf_inbound *in,
    const struct return_keys *keys, int64_t wall_us, struct back_to *to);

#endif
