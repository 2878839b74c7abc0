/*
 * Fuzz target: the envelope codec. Bytes that decode are within every ceiling,
 * and encode to the very same bytes.
 */
#include <stdint.h>

#include "mail/mail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct env_rcpt rcpts[RCPTS_MAX];

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_of((const char *)data, n);
	struct envelope e;
	struct cursor cur;
	struct buf out;
	uint32_t k = 0;
	int err = env_decode(in, &e, &cur);

	ASSERT(err == 0 || err == E_CORRUPT || err == E_VERSION);
	if (err != 0)
		return 0;
	ASSERT(e.nrcpt <= RCPTS_MAX && e.sender.n <= MAILBOX_MAX);
	while (k < e.nrcpt && env_rcpt_next(&cur, &rcpts[k]))
		k++;
	ASSERT(k == e.nrcpt && !env_rcpt_next(&cur, &rcpts[0]));
	for (uint32_t i = 0; i < k; i++)
		ASSERT(mailbox_domain(rcpts[i].address).n < MAILBOX_MAX);
	buf_init(&out, n + 1);
	err = env_encode(&out, &e, rcpts);
	ASSERT(err == 0 && slice_eq(buf_slice(&out), in));
	buf_free(&out);
	return 0;
}
