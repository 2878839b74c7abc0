/*
 * Fuzz target: an address of ours, and what comes to it. A local part that is not
 * what we wrote is never good, however near it is; one that we wrote is, in any
 * case and in quotes; and an address that a VERP gives has all its letters from
 * there. What is read of a message names nobody whom the message does not name.
 *
 * Input: 27 bytes of a token, a byte that says where it is spoilt and how, then
 * a local part up to the first newline, and a message.
 */
#include <stdint.h>

#include "proto/bounce.h"
#include "relay/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define HEAD 27u
#define DAY_US (86400 * US_PER_S)

static const struct conf_inbound at = {
	.domain = { "b.example", 9 },
	.prefix = { "b+", 2 },
	.nbounces = 1,
	.bounces = { { "returns", 7 } },
	.takes_verp = true,
};
static const struct return_keys keys = { 2,
	{ { 16, "0123456789abcdef" }, { 16, "fedcba9876543210" } } };

static struct return_token
token(const uint8_t *d)
{
	struct return_token t;

	memcpy(t.id.b, d, 16);
	t.rcpt = (uint16_t)(d[16] << 8 | d[17]);
	t.day = (uint16_t)(d[18] << 8 | d[19]);
	t.hash = (uint32_t)d[20] << 24 |
	    (uint32_t)(d[21] << 16 | d[22] << 8 | d[23]);
	return t;
}

static void
ours(const uint8_t *d)
{
	struct return_token t = token(d), got;
	char local[RETURN_LOCAL_MAX + 1];
	size_t n = return_write(local, &at, &keys, &t), where;
	int64_t wall = (int64_t)t.day * DAY_US;
	enum return_check what;
	char c;

	ASSERT(n == at.prefix.n + RETURN_DIGITS);
	ASSERT(return_read(slice_of(local, n), &at, &keys, wall, &got) ==
	    RETURN_GOOD);
	ASSERT(msgid_eq(&got.id, &t.id) && got.rcpt == t.rcpt &&
	    got.day == t.day && got.hash == t.hash);
	ASSERT(return_read(slice_of(local, n), &at, &keys, wall + DAY_US,
		   &got) == RETURN_EXPIRED);
	where = d[24] % n;
	c = local[where];
	local[where] = (char)d[25];
	what = return_read(slice_of(local, n), &at, &keys, wall, &got);
	ASSERT(what != RETURN_GOOD || ascii_lower((char)d[25]) == c);
	local[where] = c;
	ASSERT(return_read(slice_of(local, d[26] % n), &at, &keys, wall,
		   &got) != RETURN_GOOD);
}

static void
theirs(struct slice local)
{
	struct back_to to;

	back_read(local, &at, &keys, 20000 * DAY_US, &to);
	ASSERT(to.use != BACK_TOKEN && to.check != RETURN_GOOD);
	ASSERT(to.check != RETURN_EXPIRED);
	if (to.use != BACK_VERP)
		return;
	ASSERT(
	    to.rcpt_n > 2 && to.rcpt_n <= local.n && to.rcpt_n <= MAILBOX_MAX);
	ASSERT(mailbox_domain(slice_of(to.rcpt, to.rcpt_n)).n > 0);
	for (uint32_t i = 0; i < to.rcpt_n; i++)
		ASSERT(to.rcpt[i] == '@' ||
		    memchr(local.p, to.rcpt[i], local.n) != NULL);
}

static void
message(struct slice all)
{
	struct bounce b;

	if (bounce_read(all, &b))
		return;
	ASSERT(b.arf.nids <= ARF_IDS_MAX);
	ASSERT(b.return_path.n <= MAILBOX_MAX);
	ASSERT(b.envelope_id.n <= MAX(ENVID_MAX, all.n));
	if (b.type == BOUNCE_OTHER && b.reason == BOUNCE_NO_RECIPIENT)
		ASSERT(b.rcpt[0].address.n == 0 && b.nrcpts == 0 &&
		    b.rcpt[0].action < BOUNCE_ACTION_N);
	if (b.return_path.n > 0 && memchr(all.p, '@', all.n) != NULL)
		theirs(slice_of(b.return_path.p,
		    b.return_path.n - mailbox_domain(b.return_path).n - 1));
	bounce_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice rest, local;

	if (n < HEAD || n > 1u << 20)
		return 0;
	ours(data);
	rest = slice_of((const char *)data + HEAD, n - HEAD);
	local = slice_of(rest.p, slice_index(rest, '\n'));
	theirs(local);
	message(slice_skip(rest, MIN(local.n + 1, rest.n)));
	return 0;
}
