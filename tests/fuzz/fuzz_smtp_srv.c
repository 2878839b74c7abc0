/*
 * Fuzz target: the SMTP server. Whatever a client sends, and however it is cut,
 * the acts and the replies are the same, and what tests/lib/smtp_drive.c asserts
 * holds: no bare CR or LF, no NUL and no long line in a message, ceilings kept,
 * transactions aborted or answered exactly once.
 *
 * Input: a byte of options, a byte that cuts, then what the client sends. 0xf5
 * ends a turn; the byte behind it says what happens then.
 */
#include <stdint.h>

#include "lib/smtp_drive.h"

#define TURN_END ((char)0xf5)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum cut { CUT_NONE, CUT_BYTES, CUT_RANDOM };

static size_t
piece_length(enum cut cut, struct rng *rng, size_t n)
{
	if (cut == CUT_NONE)
		return n;
	return cut == CUT_BYTES ? 1 : 1 + rng_below(rng, MIN(n, (size_t)150));
}

static void
event(struct srv_drive *d, unsigned char what)
{
	switch (what % 8) {
	case 1:
		smtp_srv_shut(&d->srv, SL("going down"), true);
		break;
	case 2:
		smtp_srv_shut(&d->srv, SL("going down"), false);
		break;
	case 3:
		smtp_srv_timeout(&d->srv);
		break;
	case 4:
		d->tls_fails = true;
		break;
	default:
		break;
	}
	srv_drive_turn(d);
}

static void
run(struct srv_drive *d, const struct smtp_srv_conf *conf, struct slice in,
    enum cut cut, uint64_t seed)
{
	struct rng rng;

	rng_seed(&rng, seed);
	srv_drive_init(d, conf);
	while (in.n > 0) {
		size_t end = slice_index(in, TURN_END), at = 0, k;

		for (; at < end; at += k) {
			k = piece_length(cut, &rng, end - at);
			srv_drive_feed(d, slice_of(in.p + at, k));
		}
		in = slice_skip(in, end + 1);
		event(d, in.n > 0 ? (unsigned char)in.p[0] : 0);
		in = slice_skip(in, 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct smtp_srv_conf conf;
	struct srv_drive whole, cut;
	struct slice in;

	if (n < 2)
		return 0;
	in = slice_of((const char *)data + 2, n - 2);
	smtp_srv_conf_default(&conf);
	conf.hostname = SL("mx.example");
	conf.offers_tls = data[0] & 1;
	conf.normalises_bare = data[0] & 2;
	conf.size_max = data[0] & 4 ? 200 : 0;
	conf.body_line_max = data[0] & 8 ? 70 : data[0] & 16 ? 10 : 0;
	conf.errors_max = data[0] & 32 ? 3 : 0;
	conf.rcpts_max = data[0] & 64 ? 2 : 100;
	conf.messages_max = data[0] & 128 ? 2 : 0;
	conf.exts = data[1] & 1 ? 0 : SMTP_SRV_EXTS_ALL;
	conf.auth = data[1] & 2 ? SL("") : SL("PLAIN LOGIN");
	conf.auth_in_clear = data[1] & 4;
	run(&whole, &conf, in, CUT_NONE, 0);
	run(&cut, &conf, in, data[1] == 0 ? CUT_BYTES : CUT_RANDOM, data[1]);
	ASSERT(slice_eq(buf_slice(&whole.acts), buf_slice(&cut.acts)));
	ASSERT(slice_eq(buf_slice(&whole.out), buf_slice(&cut.out)));
	srv_drive_free(&whole);
	srv_drive_free(&cut);
	return 0;
}
