/*
 * Fuzz target: SOCKS5. A proxy's replies to our client, and a client's bytes to
 * our proxy; what becomes of them is the same whole and byte by byte.
 */
#include <stdint.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static size_t
client(struct socks_cli *s, struct slice in, size_t step)
{
	struct endpoint to = { .ip = { .family = 4 }, .port = 25 };
	size_t taken = 0, got;

	ASSERT(socks_cli_init(s, SL("user"), SL("password")) == 0);
	do {
		if (s->state == SOCKS_CLI_READY)
			socks_cli_connect(s, &to);
		got = socks_cli_feed(s,
		    slice_of(in.p + taken, MIN(step, in.n - taken)));
		taken += got;
	} while (s->state == SOCKS_CLI_READY || (got > 0 && taken < in.n));
	ASSERT(taken <= in.n && (taken == in.n || socks_cli_is_over(s)));
	return taken;
}

static size_t
server(struct socks_srv *s, struct slice in, size_t step, bool is_good)
{
	struct endpoint from = { .ip = { .family = 4 }, .port = 1 };
	size_t taken = 0, got;

	socks_srv_init(s, is_good);
	do {
		got = socks_srv_feed(s,
		    slice_of(in.p + taken, MIN(step, in.n - taken)));
		taken += got;
		if (s->state == SOCKS_SRV_CHECK) {
			ASSERT(s->user.n <= 255 && s->password.n <= 255);
			socks_srv_login(s, is_good);
			got = 1;
		}
		if (s->state == SOCKS_SRV_CONNECT)
			socks_srv_reply(s, SOCKS_OK, &from);
	} while (s->state < SOCKS_SRV_OPEN && got > 0);
	ASSERT(taken <= in.n);
	return taken;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_of((const char *)data, n);
	struct socks_cli a, b;
	struct socks_srv x, y;

	ASSERT(client(&a, in, n) == client(&b, in, 1));
	ASSERT(a.state == b.state && a.reply == b.reply);
	ASSERT(ip_eq(&a.bound.ip, &b.bound.ip) && a.bound.port == b.bound.port);
	socks_cli_free(&a);
	socks_cli_free(&b);
	for (int is_good = 0; is_good < 2; is_good++) {
		ASSERT(
		    server(&x, in, n, is_good) == server(&y, in, 1, is_good));
		ASSERT(x.state == y.state);
		ASSERT(slice_eq(buf_slice(&x.out), buf_slice(&y.out)));
		socks_srv_free(&x);
		socks_srv_free(&y);
	}
	return 0;
}
