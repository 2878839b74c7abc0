/*
 * relay/find.c - records of the index of messages.
 */
#include "relay/find.h"

uint64_t
find_key_address(struct slice address)
{
	char lower[MAILBOX_MAX];
	size_t n = MIN(address.n, sizeof(lower));

	for (size_t i = 0; i < n; i++)
		lower[i] = ascii_lower(address.p[i]);
	return hash_bytes(0, lower, n);
}

uint64_t
find_key_id(const struct msgid *id)
{
	return hash_bytes(1, id, sizeof(*id));
}

void
find_put(struct buf *out, uint64_t key, const struct msgid *id, uint32_t slot,
    uint16_t rcpt, enum find_kind kind)
{
	struct find_rec r = { .key = key,
		.id = *id,
		.slot = slot,
		.rcpt = rcpt,
		.kind = (uint8_t)kind };

	(void)buf_add(out, &r, sizeof(r)); /* it is a help, not a promise */
}
