/*
 * Fuzz target: the SMTP client. Whatever a server says, and however it is cut,
 * the outcomes and the commands are the same, and what tests/lib/smtp_drive_cli.c
 * asserts holds: no body without a 354, results in order, exactly one outcome
 * for every recipient.
 *
 * Input: a byte of options, a byte that cuts, then what the server says. 0xf5
 * ends a turn; the byte behind it says what happens then.
 */
#include <stdint.h>

#include "lib/smtp_drive.h"

#define TURN_END ((char)0xf5)
#define MAILS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum cut { CUT_NONE, CUT_BYTES, CUT_RANDOM };

static const struct drive_mail mails[MAILS] = {
	{ .sender = { "a@b.example", 11 },
	    .rcpt = { { "c@d.example", 11 }, { "e@d.example", 11 },
		{ "f@d.example", 11 } },
	    .nrcpt = 3,
	    .body = { "one\r\n.two\r\n", 11 } },
	{ .sender = { "", 0 },
	    .rcpt = { { "g@d.example", 11 }, { "h\r\n@d.example", 13 } },
	    .nrcpt = 2,
	    .body = { "three", 5 },
	    .flags = ENV_8BIT },
	{ .sender = { "a@b.example", 11 },
	    .rcpt = { { "i@d.example", 11 } },
	    .nrcpt = 1,
	    .body = { "", 0 },
	    .flags = ENV_SMTPUTF8 },
	{ .sender = { "a@b.example", 11 },
	    .rcpt = { { "j@d.example", 11 } },
	    .nrcpt = 1,
	    .body = { "..\r\n", 4 } },
};

static size_t
piece_length(enum cut cut, struct rng *rng, size_t n)
{
	if (cut == CUT_NONE)
		return n;
	return cut == CUT_BYTES ? 1 : 1 + rng_below(rng, MIN(n, (size_t)40));
}

static void
event(struct cli_drive *d, unsigned char what)
{
	switch (what % 8) {
	case 1:
		cli_drive_gone(d);
		break;
	case 2:
		cli_drive_timeout(d);
		break;
	case 3:
		d->tls_fails = true;
		break;
	case 4:
		smtp_cli_quit(d->cli, d->now_us);
		break;
	default:
		break;
	}
	cli_drive_turn(d);
}

static void
run(struct cli_drive *d, const struct smtp_cli_conf *conf, uint8_t options,
    struct slice in, enum cut cut, uint64_t seed)
{
	struct rng rng;

	rng_seed(&rng, seed);
	cli_drive_init(d, conf, mails, options & 8 ? 2 : MAILS);
	d->quits = options & 16;
	d->piece_max = cut == CUT_NONE ? 0 : 1;
	while (in.n > 0) {
		size_t end = slice_index(in, TURN_END), at = 0, k;

		for (; at < end; at += k) {
			k = piece_length(cut, &rng, end - at);
			cli_drive_feed(d, slice_of(in.p + at, k));
		}
		in = slice_skip(in, end + 1);
		event(d, in.n > 0 ? (unsigned char)in.p[0] : 0);
		in = slice_skip(in, 1);
	}
	cli_drive_gone(d);
	ASSERT(d->is_down && d->done == d->begun);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct smtp_cli_conf conf;
	struct cli_drive whole, cut;
	struct slice in;

	if (n < 2)
		return 0;
	in = slice_of((const char *)data + 2, n - 2);
	smtp_cli_conf_default(&conf);
	conf.ehlo_name = SL("out.example");
	conf.pipelines = data[0] & 1;
	conf.chains = data[0] & 2;
	conf.wants_tls = data[0] & 4;
	conf.chunks = data[0] & 32;
	conf.is_lmtp = data[0] & 64;
	if (data[0] & 128) {
		conf.user = SL("someone");
		conf.auth_in_clear = true;
		conf.starts_tls = conf.wants_tls;
	}
	run(&whole, &conf, data[0], in, CUT_NONE, 0);
	run(&cut, &conf, data[0], in, data[1] == 0 ? CUT_BYTES : CUT_RANDOM,
	    data[1]);
	ASSERT(slice_eq(buf_slice(&whole.acts), buf_slice(&cut.acts)));
	ASSERT(slice_eq(buf_slice(&whole.out), buf_slice(&cut.out)));
	cli_drive_free(&whole);
	cli_drive_free(&cut);
	return 0;
}
