/*
 * conf/account.c - accounts, and the secrets by which they are known.
 *
 * A secret is what SCRAM-SHA-256 keeps of a password (RFC 5802 3, 7677), in the
 * form that PostgreSQL keeps it too: who reads the file cannot log in with it.
 */
#include "base/base64.h"
#include "conf/conf.h"

#define ITERATIONS_MIN 4096u /* RFC 7677 4 */
#define ITERATIONS_MAX 1000000u

/* Bytes of base64, between min and max of them; their number, or 0. */
static uint32_t
read_bytes(struct slice text, uint8_t *out, size_t min, size_t max)
{
	struct buf b;
	uint32_t n = 0;

	buf_init(&b, max);
	if (base64_decode(text, &b) == 0 && b.n >= min) {
		n = (uint32_t)b.n;
		memcpy(out, b.p + b.off, n);
	}
	buf_free(&b);
	return n;
}

bool
conf_account_read(struct conf_account *a)
{
	struct slice rest = a->secret, kind, iterations, salt, stored;
	uint64_t n;

	kind = slice_cut(&rest, '$');
	iterations = slice_cut(&rest, ':');
	salt = slice_cut(&rest, '$');
	stored = slice_cut(&rest, ':');
	if (!slice_eq(kind, SL("SCRAM-SHA-256")) ||
	    slice_u64(iterations, ITERATIONS_MAX, &n) != 0 ||
	    n < ITERATIONS_MIN)
		return false;
	a->iterations = (uint32_t)n;
	a->salt_n = read_bytes(salt, a->salt, 8, sizeof(a->salt));
	return a->salt_n > 0 &&
	    read_bytes(stored, a->stored_key, 32, sizeof(a->stored_key)) > 0 &&
	    read_bytes(rest, a->server_key, 32, sizeof(a->server_key)) > 0;
}

bool
conf_account_may_be(const struct conf_account *a, struct slice address)
{
	struct slice domain = mailbox_domain(address);

	for (uint32_t i = 0; i < a->nfrom; i++) {
		struct slice one = a->from[i];
		bool is_whole = slice_index(one, '@') < one.n;

		if (is_whole ? slice_ieq(one, address) :
			       domain.n > 0 && slice_glob(one, domain))
			return true;
	}
	return a->nfrom == 0;
}

const struct conf_account *
conf_account_find(const struct conf *c, struct slice name)
{
	for (uint32_t i = 0; i < c->naccounts; i++)
		if (slice_eq(c->accounts[i].name, name))
			return &c->accounts[i];
	return NULL;
}
