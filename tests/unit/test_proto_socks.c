/* SOCKS5: both halves with one another and with bytes of others, fed whole, byte
 * by byte and split at every point. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/proto.h"

#define B(s) slice_of(s, sizeof(s) - 1)

static struct endpoint
at(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(slice_str(text), 0, &e), 0);
	return e;
}

/* ---- the client's half --------------------------------------------------------- */

static const char greeting[] = "\5\1\2";
static const char login[] = "\1\2me\4word";
static const char request[] = "\5\1\0\1\xc0\0\2\x19\0\x19";

/* A client that has got so much, in pieces of at most `step`, the first of
 * `first`; what it says gathers in *said. Returns how many bytes it took. */
static size_t
run(struct socks_cli *s, struct slice in, size_t first, size_t step,
    struct buf *said)
{
	const struct endpoint to = at("192.0.2.25:25");
	size_t taken = 0, n = first;

	assert_int_equal(socks_cli_init(s, SL("me"), SL("word")), 0);
	for (;;) {
		buf_adds(said, buf_slice(&s->out));
		buf_reset(&s->out);
		if (s->state == SOCKS_CLI_READY) {
			socks_cli_connect(s, &to);
			continue;
		}
		if (taken == in.n || socks_cli_is_over(s))
			return taken;
		n = MIN(n, in.n - taken);
		taken +=
		    socks_cli_feed(s, slice_of(in.p + taken, n > 0 ? n : 1));
		n = step;
	}
}

static void
ends(struct slice in, size_t over, enum socks_cli_state state, const char *why)
{
	for (size_t first = 1; first <= in.n; first++)
		for (int whole = 0; whole < 2; whole++) {
			struct socks_cli s;
			struct buf said;

			buf_init(&said, 4096);
			assert_int_equal(run(&s, in, first, whole ? in.n : 1,
					     &said),
			    in.n - over);
			assert_int_equal(s.state, state);
			if (state == SOCKS_CLI_BROKEN)
				assert_string_equal(s.why, why);
			if (state == SOCKS_CLI_OPEN) {
				char text[ENDPOINT_TEXT_MAX];

				endpoint_format(text, &s.bound);
				assert_string_equal(text, why);
				assert_int_equal(said.n,
				    sizeof(greeting) + sizeof(login) +
					sizeof(request) - 3);
				assert_true(
				    slice_eq(slice_skip(buf_slice(&said),
						 said.n -
						     (sizeof(request) - 1)),
					B(request)));
			}
			buf_free(&said);
			socks_cli_free(&s);
		}
}

static void
a_connection_is_opened(void **state)
{
	(void)state;
	ends(B("\5\2\1\0\5\0\0\1\xc0\0\2\1\x12\x34"), 0, SOCKS_CLI_OPEN,
	    "192.0.2.1:4660");
	ends(B("\5\2\5\0\5\0\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x19"),
	    0, SOCKS_CLI_OPEN, "[2001:db8::1]:25");
	/* The host's greeting is not the proxy's. */
	ends(B("\5\2\1\0\5\0\0\1\xc0\0\2\1\0\1"
	       "220 x"),
	    5, SOCKS_CLI_OPEN, "192.0.2.1:1");
}

static void
what_the_proxy_refuses_is_told(void **state)
{
	struct socks_cli s;
	struct buf said;

	(void)state;
	ends(B("\5\xff"), 0, SOCKS_CLI_BROKEN, "it takes no user and password");
	ends(B("\5\0"), 0, SOCKS_CLI_BROKEN, "it takes no user and password");
	ends(B("HT"), 0, SOCKS_CLI_BROKEN, "it does not speak SOCKS5");
	ends(B("\5\2\1\1"), 0, SOCKS_CLI_BROKEN,
	    "it refuses the user and password");
	ends(B("\5\2\1\0\4\0\0\1\0\0\0\0\0\0"), 0, SOCKS_CLI_BROKEN,
	    "its reply is not SOCKS5");
	ends(B("\5\2\1\0\5\0\0\7"), 0, SOCKS_CLI_BROKEN,
	    "its reply has no such address");
	ends(B("\5\2\1\0\5\5\0\1\0\0\0\0\0\0"), 0, SOCKS_CLI_REFUSED, NULL);
	buf_init(&said, 4096);
	run(&s, B("\5\2\1\0\5\5\0\3\1x\0\0"), 12, 12, &said);
	assert_int_equal(s.reply, SOCKS_REFUSED);
	assert_int_equal(s.bound.ip.family, 0);
	assert_string_equal(socks_reply_text(s.reply), "connection refused");
	assert_string_equal(socks_reply_text(200), "unknown reply");
	socks_cli_free(&s);
	buf_free(&said);
}

static void
words_have_a_ceiling(void **state)
{
	static const char long_word[300];
	const struct slice none = slice_of(NULL, 0);
	struct socks_cli s;

	(void)state;
	assert_int_equal(socks_cli_init(&s, none, none), 0);
	assert_true(slice_eq(buf_slice(&s.out), B("\5\1\0")));
	socks_cli_free(&s);
	assert_int_equal(socks_cli_init(&s, slice_of(long_word, 256), SL("x")),
	    E_TOOBIG);
	socks_cli_free(&s);
	assert_int_equal(socks_cli_init(&s, slice_of(long_word, 255),
			     slice_of(long_word, 255)),
	    0);
	socks_cli_free(&s);
}

/* ---- the server's half ----------------------------------------------------------- */

/* What the server answers to all of it; *s is what became of it. */
static void
serve(struct socks_srv *s, struct slice in, size_t first, size_t step,
    bool needs_login, struct buf *said)
{
	const struct endpoint from = at("192.0.2.1:4660");
	size_t taken = 0, n = first, got;

	socks_srv_init(s, needs_login);
	for (;;) {
		if (s->state == SOCKS_SRV_CHECK)
			socks_srv_login(s,
			    slice_eq(s->user, SL("me")) &&
				slice_eq(s->password, SL("word")));
		if (s->state == SOCKS_SRV_CONNECT)
			socks_srv_reply(s, SOCKS_OK, &from);
		buf_adds(said, buf_slice(&s->out));
		buf_reset(&s->out);
		n = MIN(n, in.n - taken);
		got = socks_srv_feed(s, slice_of(in.p + taken, n));
		taken += got;
		n = step;
		if ((taken == in.n && got == 0) || s->state >= SOCKS_SRV_OPEN)
			break;
	}
	buf_adds(said, buf_slice(&s->out));
}

static void
answers(struct slice in, bool needs_login, struct slice want,
    enum socks_srv_state state)
{
	for (size_t first = 1; first <= in.n; first++)
		for (int whole = 0; whole < 2; whole++) {
			struct socks_srv s;
			struct buf said;

			buf_init(&said, 4096);
			serve(&s, in, first, whole ? in.n : 1, needs_login,
			    &said);
			assert_int_equal(s.state, state);
			assert_true(slice_eq(buf_slice(&said), want));
			buf_free(&said);
			socks_srv_free(&s);
		}
}

static void
a_client_is_served(void **state)
{
	(void)state;
	answers(B("\5\1\0\5\1\0\1\xc0\0\2\x19\0\x19"), false,
	    B("\5\0\5\0\0\1\xc0\0\2\1\x12\x34"), SOCKS_SRV_OPEN);
	answers(B("\5\3\0\2\1\1\2me\4word\5\1\0\4"
		  "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x19"),
	    true, B("\5\2\1\0\5\0\0\1\xc0\0\2\1\x12\x34"), SOCKS_SRV_OPEN);
}

static void
a_client_is_refused(void **state)
{
	(void)state;
	answers(B("\5\1\0"), true, B("\5\xff"), SOCKS_SRV_OVER);
	answers(B("\5\0"), false, B("\5\xff"), SOCKS_SRV_OVER);
	answers(B("\5\1\2\1\2me\3wor"), true, B("\5\2\1\1"), SOCKS_SRV_OVER);
	answers(B("\5\1\2\2"), true, B("\5\2"), SOCKS_SRV_OVER);
	answers(B("GET / HTTP/1.0\r\n\r\n"), false, B(""), SOCKS_SRV_OVER);
	answers(B("\5\1\0\5\2\0\1\0\0\0\0\0\0"), false,
	    B("\5\0\5\7\0\1\0\0\0\0\0\0"), SOCKS_SRV_OVER);
	answers(B("\5\1\0\5\1\0\3\3x.y\0\x19"), false,
	    B("\5\0\5\x8\0\1\0\0\0\0\0\0"), SOCKS_SRV_OVER);
	answers(B("\5\1\0\5\1\0\x9"), false, B("\5\0\5\x8\0\1\0\0\0\0\0\0"),
	    SOCKS_SRV_OVER);
}

/* Ours speaks with ours. */
static void
both_halves_agree(void **state)
{
	static char user[SOCKS_WORD_MAX], password[SOCKS_WORD_MAX];
	const struct endpoint to = at("[2001:db8::25]:25");
	const struct endpoint from = at("[2001:db8::1]:77");
	struct socks_cli c;
	struct socks_srv s;

	(void)state;
	memset(user, 'u', sizeof(user));
	memset(password, 'p', sizeof(password));
	assert_int_equal(socks_cli_init(&c, slice_of(user, sizeof(user)),
			     slice_of(password, sizeof(password))),
	    0);
	socks_srv_init(&s, true);
	while (!socks_cli_is_over(&c)) {
		buf_consume(&c.out, socks_srv_feed(&s, buf_slice(&c.out)));
		if (s.state == SOCKS_SRV_CHECK) {
			assert_int_equal(s.user.n, sizeof(user));
			assert_int_equal(s.password.n, sizeof(password));
			socks_srv_login(&s, true);
		}
		if (s.state == SOCKS_SRV_CONNECT) {
			assert_true(ip_eq(&s.to.ip, &to.ip));
			assert_int_equal(s.to.port, 25);
			socks_srv_reply(&s, SOCKS_OK, &from);
		}
		buf_consume(&s.out, socks_cli_feed(&c, buf_slice(&s.out)));
		if (c.state == SOCKS_CLI_READY)
			socks_cli_connect(&c, &to);
	}
	assert_int_equal(c.state, SOCKS_CLI_OPEN);
	assert_true(ip_eq(&c.bound.ip, &from.ip));
	assert_int_equal(c.bound.port, 77);
	socks_cli_free(&c);
	socks_srv_free(&s);
}

/* ---- the PROXY header that we write ------------------------------------------------- */

static void
a_header_is_read_as_written(void **state)
{
	const char *const v[][2] = { { "192.0.2.1:0", "192.0.2.25:25" },
		{ "[2001:db8::1]:0", "[2001:db8::25]:2525" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct endpoint from = at(v[i][0]), to = at(v[i][1]);
		unsigned char out[PROXY_V2_BYTES_MAX];
		size_t n = proxy_v2_write(out, &from, &to);
		struct proxy_header h;

		assert_int_equal(proxy_read(slice_of((char *)out, n), &h), n);
		assert_true(h.is_proxied);
		assert_true(ip_eq(&h.from.ip, &from.ip));
		assert_true(ip_eq(&h.to.ip, &to.ip));
		assert_int_equal(h.to.port, to.port);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_opened),
		cmocka_unit_test(what_the_proxy_refuses_is_told),
		cmocka_unit_test(words_have_a_ceiling),
		cmocka_unit_test(a_client_is_served),
		cmocka_unit_test(a_client_is_refused),
		cmocka_unit_test(both_halves_agree),
		cmocka_unit_test(a_header_is_read_as_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
