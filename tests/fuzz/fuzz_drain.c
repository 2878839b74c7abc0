/*
 * Fuzz target: what a peer says in a drain. The first byte chooses the role and
 * how far the conversation is; whatever follows, the machine gives events that
 * keep its promises, or goes down, and says it once.
 */
#include <stdint.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
mac(void *ctx, struct slice text, uint8_t out[DRAIN_MAC_BYTES])
{
	(void)ctx;
	(void)text;
	memset(out, 'm', DRAIN_MAC_BYTES);
}

static void
hear(struct drain *d, struct slice data)
{
	static uint64_t left;
	struct drain_event e;
	bool is_down = false;

	drain_feed(d, data, 1);
	while (drain_next(d, &e)) {
		ASSERT(!is_down && e.kind != DRAIN_EV_NONE);
		if (e.kind == DRAIN_EV_OFFER)
			left = drain_offer_bytes(&e.offer);
		if (e.kind == DRAIN_EV_DATA) {
			ASSERT(e.data.n > 0 && e.data.n <= left);
			left -= e.data.n;
		}
		ASSERT(e.kind != DRAIN_EV_END || !e.is_good || left == 0);
		is_down = e.kind == DRAIN_EV_DOWN;
	}
	ASSERT(is_down == (d->state == DRAIN_DOWN && d->is_told));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct drain_conf conf = { .mac = mac };
	struct drain d;
	uint8_t how;

	if (n == 0)
		return 0;
	how = data[0];
	conf.role = how & 1 ? DRAIN_TARGET : DRAIN_SOURCE;
	conf.self.b[0] = 1;
	drain_init(&d, &conf, 0);
	if (how & 2)
		d.state = how & 4 ? DRAIN_OPEN : DRAIN_SYNC;
	if (how & 8) { /* in two pieces */
		size_t k = 1 + (n - 1) / 2;

		drain_feed(&d, slice_of((const char *)data + 1, k - 1), 0);
		hear(&d, slice_of((const char *)data + k, n - k));
	} else
		hear(&d, slice_of((const char *)data + 1, n - 1));
	drain_tick(&d, drain_deadline(&d));
	drain_free(&d);
	return 0;
}
