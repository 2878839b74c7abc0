/*
 * TLS on connections: both ends ours, on one loop. Every byte arrives through
 * fragments, pauses and full sockets; clear text is neither lost before a
 * handshake nor believed after it; failures are told and end nothing else.
 */
#include "test_net.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define BIG (1 << 20)

static struct loop *l;
static struct tls_ctx *server_ctx, *client_ctx;
static char pattern[BIG];
static char pem[] = "/tmp/test_net_tls.XXXXXX"; /* certificate and key */

struct end {
	struct conn *c;
	struct buf got, out;
	size_t eat_max;
	int ntls, ngone, ndrained;
	bool ok, echoes, upgrades; /* upgrades: on_data begins a handshake */
	char why[128];
};
static struct end a, b; /* a: server */

static size_t
on_data(void *user, struct conn *c, struct slice data)
{
	struct end *e = user;
	size_t n = e->eat_max ? MIN(e->eat_max, data.n) : data.n;

	buf_add(&e->got, data.p, n);
	if (e->echoes) {
		buf_add(&e->out, data.p, n);
		conn_send(c, &e->out);
	}
	if (e->upgrades) {
		e->upgrades = false;
		conn_tls_accept(c, server_ctx);
	}
	return n;
}

static void
on_tls(void *user, struct conn *c, bool ok, const char *why)
{
	struct end *e = user;

	assert_int_equal(conn_is_tls(c), ok);
	e->ntls++;
	e->ok = ok;
	slice_copy(slice_str(why), e->why, sizeof(e->why));
}

static void
on_drained(void *user, struct conn *c)
{
	(void)c;
	((struct end *)user)->ndrained++;
}

static void
on_gone(void *user, struct conn *c, int err)
{
	(void)c, (void)err;
	((struct end *)user)->ngone++;
}

static const struct conn_ops ops = {
	.on_data = on_data,
	.on_tls = on_tls,
	.on_drained = on_drained,
	.on_gone = on_gone,
};

static void
end_open(struct end *e, int fd)
{
	*e = (struct end){ .c = conn_new(l, fd, &ops, e) };
	assert_non_null(e->c);
	buf_init(&e->got, 4 * BIG);
	buf_init(&e->out, 4 * BIG);
}

static void
end_close(struct end *e)
{
	if (e->c != NULL)
		conn_close(e->c);
	e->c = NULL;
	buf_free(&e->got);
	buf_free(&e->out);
}

/* ---- a certificate ----------------------------------------------------------------- */

static int
write_pem(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	int fd = mkstemp(pem);
	FILE *f = fdopen(fd, "w");

	assert_true(key != NULL && x != NULL && f != NULL);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"a.example", -1, -1, 0);
	X509_set_issuer_name(x, name);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	PEM_write_X509(f, x);
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	X509_free(x);
	EVP_PKEY_free(key);
	return fclose(f);
}

static int
set_up_all(void **state)
{
	char why[256] = "";

	(void)state;
	fill_pattern(pattern, BIG, 5);
	assert_int_equal(write_pem(), 0);
	server_ctx = tls_server_new(pem, pem, why, sizeof(why));
	client_ctx = tls_client_new(NULL, why, sizeof(why));
	assert_string_equal(why, "");
	return server_ctx == NULL || client_ctx == NULL;
}

static int
tear_down_all(void **state)
{
	(void)state;
	tls_ctx_free(server_ctx);
	tls_ctx_free(client_ctx);
	return unlink(pem);
}

static int
set_up(void **state)
{
	int fd[2];

	(void)state;
	l = loop_new();
	tcp_pair(fd);
	fcntl(fd[1], F_SETFL, O_NONBLOCK);
	end_open(&a, fd[0]);
	end_open(&b, fd[1]);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	end_close(&a);
	end_close(&b);
	loop_turn(l, 0);
	loop_free(l);
	return 0;
}

static void
shake(void)
{
	conn_tls_accept(a.c, server_ctx);
	conn_tls_connect(b.c, client_ctx, SL("a.example"));
	RUN_UNTIL(l, a.ntls == 1 && b.ntls == 1);
	assert_true(a.ok && b.ok);
	assert_string_equal(a.why, "");
}

/* ---- bytes ---------------------------------------------------------------------------- */

static void
a_handshake_names_what_it_agreed_on(void **state)
{
	char facts[64];

	(void)state;
	assert_int_equal(conn_tls_facts(a.c, facts, sizeof(facts)), 0);
	assert_string_equal(facts, "");
	shake();
	assert_true(conn_tls_facts(a.c, facts, sizeof(facts)) > 8);
	assert_memory_equal(facts, "TLSv1.3 TLS_", 12);
	assert_int_equal(conn_tls_facts(b.c, facts, 5), 4);
}

static void
an_echo_gives_back_every_byte(void **state)
{
	struct rng r;
	size_t at = 0, n;

	(void)state;
	shake();
	a.echoes = true;
	rng_seed(&r, 6);
	while (at < BIG) {
		n = (size_t)rng_range(&r, 1, 50000);
		n = MIN(n, BIG - at);
		buf_add(&b.out, pattern + at, n);
		conn_send(b.c, &b.out);
		at += n;
		RUN_UNTIL(l, b.got.n == at);
	}
	assert_memory_equal(buf_slice(&b.got).p, pattern, BIG);
}

static void
pauses_lose_nothing(void **state)
{
	struct rng r;

	(void)state;
	shake();
	rng_seed(&r, 8);
	a.eat_max = 1000;
	buf_add(&b.out, pattern, 300000);
	conn_send(b.c, &b.out);
	/* The record layer holds bytes that no edge announces. */
	while (a.got.n < 300000) {
		a.eat_max = (size_t)rng_range(&r, 1, 20000);
		conn_resume(a.c);
		loop_turn(l, loop_now(l) + TURN_US);
	}
	assert_memory_equal(buf_slice(&a.got).p, pattern, 300000);
}

static void
a_full_socket_holds_back_and_goes_on(void **state)
{
	int n = 65536;

	(void)state;
	setsockopt(b.c->fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n));
	shake();
	a.eat_max = 1; /* and no resume */
	for (int i = 0; i < 4; i++)
		buf_add(&b.out, pattern, BIG);
	assert_false(conn_send(b.c, &b.out));
	run_turns(l, 50);
	assert_true(b.out.n > 0 && conn_is_sending(b.c));
	a.eat_max = 0;
	conn_resume(a.c);
	RUN_UNTIL(l, a.got.n == 4 * BIG && b.ndrained == 1);
	for (int i = 0; i < 4; i++)
		assert_memory_equal(buf_slice(&a.got).p + i * BIG, pattern,
		    BIG);
}

static void
a_close_is_an_end_after_the_bytes(void **state)
{
	(void)state;
	shake();
	buf_add(&b.out, pattern, 100000);
	conn_send(b.c, &b.out);
	conn_close_gently(b.c, PATIENCE_US);
	b.c = NULL;
	RUN_UNTIL(l, a.ngone == 1);
	assert_int_equal(a.got.n, 100000);
}

/* ---- between clear text and TLS ------------------------------------------------------- */

/* RFC 3207 4.2: whoever is in the middle could have added it. */
static void
clear_text_behind_the_upgrade_is_dropped(void **state)
{
	(void)state;
	a.upgrades = true;
	a.eat_max = 10; /* "STARTTLS\r\n" */
	buf_addz(&b.out, "STARTTLS\r\nMAIL FROM:<evil>\r\n");
	assert_true(conn_send(b.c, &b.out));
	RUN_UNTIL(l, a.got.n == 10);
	a.eat_max = 0;
	conn_tls_connect(b.c, client_ctx, SL("a.example"));
	RUN_UNTIL(l, a.ntls == 1 && b.ntls == 1);
	assert_true(a.ok && b.ok);
	run_turns(l, 10);
	assert_int_equal(a.got.n, 10);
	buf_addz(&b.out, "EHLO");
	conn_send(b.c, &b.out);
	RUN_UNTIL(l, a.got.n == 14);
}

static void
kept_clear_text_is_dropped_too(void **state)
{
	(void)state;
	a.eat_max = 10;
	buf_addz(&b.out, "STARTTLS\r\nMAIL FROM:<evil>\r\n");
	conn_send(b.c, &b.out);
	RUN_UNTIL(l, a.got.n == 10);
	a.eat_max = 0;
	shake();
	run_turns(l, 10);
	assert_int_equal(a.got.n, 10);
}

static void
unsent_clear_text_leaves_first(void **state)
{
	int n = 65536;

	(void)state;
	setsockopt(a.c->fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n));
	b.eat_max = 1;
	for (int i = 0; i < 4; i++)
		buf_add(&a.out, pattern, BIG);
	assert_false(conn_send(a.c, &a.out));
	conn_tls_accept(a.c, server_ctx);
	run_turns(l, 10);
	b.eat_max = 0;
	conn_resume(b.c);
	RUN_UNTIL(l, b.got.n == 4 * BIG);
	assert_int_equal(a.ndrained, 1);
	conn_tls_connect(b.c, client_ctx, SL(""));
	RUN_UNTIL(l, a.ntls == 1 && b.ntls == 1);
	assert_true(a.ok && b.ok);
}

static void
what_is_sent_during_a_handshake_goes_behind_it(void **state)
{
	(void)state;
	conn_tls_accept(a.c, server_ctx);
	conn_tls_connect(b.c, client_ctx, SL("192.0.2.1"));
	buf_add(&b.out, pattern, 1000);
	assert_false(conn_send(b.c, &b.out));
	RUN_UNTIL(l, a.got.n == 1000);
	assert_true(a.ok && b.ok && b.ndrained == 1);
	assert_memory_equal(buf_slice(&a.got).p, pattern, 1000);
}

/* ---- failures -------------------------------------------------------------------------- */

static void
garbage_is_a_failed_handshake(void **state)
{
	(void)state;
	conn_tls_accept(a.c, server_ctx);
	buf_addz(&b.out, "EHLO I speak no TLS at all\r\n");
	conn_send(b.c, &b.out);
	RUN_UNTIL(l, a.ntls == 1);
	assert_false(a.ok);
	assert_true(a.why[0] != '\0');
	run_turns(l, 5);
	assert_int_equal(a.ntls, 1);
	assert_int_equal(a.ngone, 0);
}

static void
a_peer_that_leaves_is_a_failed_handshake(void **state)
{
	(void)state;
	conn_tls_connect(b.c, client_ctx, SL("a.example"));
	run_turns(l, 2);
	conn_close(a.c);
	a.c = NULL;
	RUN_UNTIL(l, b.ntls == 1);
	assert_false(b.ok);
	assert_true(b.why[0] != '\0');
	run_turns(l, 5);
	assert_int_equal(b.ngone, 0);
}

static void
a_failure_elsewhere_does_not_touch_others(void **state)
{
	struct end x, y;
	int fd[2];

	(void)state;
	shake();
	tcp_pair(fd);
	fcntl(fd[1], F_SETFL, O_NONBLOCK);
	end_open(&x, fd[0]);
	end_open(&y, fd[1]);
	conn_tls_accept(x.c, server_ctx);
	buf_addz(&y.out, "this is not TLS, it is text\r\n");
	conn_send(y.c, &y.out);
	buf_add(&b.out, pattern, 5000);
	conn_send(b.c, &b.out);
	RUN_UNTIL(l, x.ntls == 1 && a.got.n == 5000);
	assert_int_equal(a.ngone + b.ngone, 0);
	end_close(&x);
	end_close(&y);
}

static void
wrong_files_are_named(void **state)
{
	char why[256] = "";

	(void)state;
	assert_null(
	    tls_server_new("/nonexistent/c.pem", pem, why, sizeof(why)));
	assert_non_null(strstr(why, "/nonexistent/c.pem"));
	assert_null(
	    tls_server_new(pem, "/nonexistent/k.pem", why, sizeof(why)));
	assert_non_null(strstr(why, "/nonexistent/k.pem"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_handshake_names_what_it_agreed_on),
		T(an_echo_gives_back_every_byte),
		T(pauses_lose_nothing),
		T(a_full_socket_holds_back_and_goes_on),
		T(a_close_is_an_end_after_the_bytes),
		T(clear_text_behind_the_upgrade_is_dropped),
		T(kept_clear_text_is_dropped_too),
		T(unsent_clear_text_leaves_first),
		T(what_is_sent_during_a_handshake_goes_behind_it),
		T(garbage_is_a_failed_handshake),
		T(a_peer_that_leaves_is_a_failed_handshake),
		T(a_failure_elsewhere_does_not_touch_others),
		T(wrong_files_are_named),
	};

	return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
