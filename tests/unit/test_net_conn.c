/*
 * Connections: what comes is offered in order, whole and once, whatever the
 * fragments, pauses and ends; what is sent arrives; closing is safe anywhere.
 */
#include "test_net.h"

#include <sys/resource.h>

#define BIG (1 << 20)

static struct loop *l;
static char pattern[BIG], back[BIG];

/* An owner that notes what it is told. */
struct owner {
	struct conn *c;
	struct buf got, out;
	size_t eat_max; /* of one on_data; 0: all */
	int ndata, ndrained, ngone, ndeadline, nconnect, err;
	int close_in; /* callback in which to close: 'd' data, 'g' gone, ... */
	bool echoes, is_gentle, resumes;
};
static struct owner o;

static void
leave(struct owner *w, int callback)
{
	if (w->close_in != callback || w->c == NULL)
		return;
	if (w->is_gentle)
		conn_close_gently(w->c, US_PER_S);
	else
		conn_close(w->c);
	w->c = NULL;
}

static size_t
on_data(void *user, struct conn *c, struct slice data)
{
	struct owner *w = user;
	size_t n = w->eat_max ? MIN(w->eat_max, data.n) : data.n;

	assert_ptr_equal(conn_user(c), w);
	assert_int_equal(w->ngone, 0);
	assert_true(data.n > 0);
	w->ndata++;
	buf_add(&w->got, data.p, n);
	if (w->echoes) {
		buf_add(&w->out, data.p, n);
		conn_send(c, &w->out);
	}
	if (w->resumes)
		conn_resume(c);
	leave(w, 'd');
	return n;
}

static void
on_connect(void *user, struct conn *c, int err)
{
	struct owner *w = user;

	(void)c;
	w->nconnect++;
	w->err = err;
	leave(w, 'c');
}

static void
on_drained(void *user, struct conn *c)
{
	struct owner *w = user;

	assert_false(conn_is_sending(c));
	assert_int_equal(w->out.n, 0);
	w->ndrained++;
	leave(w, 'w');
}

static void
on_gone(void *user, struct conn *c, int err)
{
	struct owner *w = user;

	(void)c;
	w->ngone++;
	w->err = err;
	leave(w, 'g');
}

static void
on_deadline(void *user, struct conn *c)
{
	struct owner *w = user;

	(void)c;
	w->ndeadline++;
	leave(w, 't');
}

static const struct conn_ops ops = {
	.on_data = on_data,
	.on_connect = on_connect,
	.on_drained = on_drained,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

static void
owner_init(struct owner *w)
{
	*w = (struct owner){ .c = NULL };
	buf_init(&w->got, 4 * BIG);
	buf_init(&w->out, 4 * BIG);
}

static void
owner_free(struct owner *w)
{
	if (w->c != NULL)
		conn_close(w->c);
	w->c = NULL;
	buf_free(&w->got);
	buf_free(&w->out);
}

static int
set_up(void **state)
{
	(void)state;
	l = loop_new();
	owner_init(&o);
	fill_pattern(pattern, BIG, 7);
	return l == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	owner_free(&o);
	loop_turn(l, 0);
	assert_true(loop_is_idle(l));
	loop_free(l);
	return 0;
}

/* o on one end of a TCP pair; returns the other. */
static int
open_pair(void)
{
	int fd[2];

	tcp_pair(fd);
	o.c = conn_new(l, fd[0], &ops, &o);
	assert_non_null(o.c);
	return fd[1];
}

/* Makes our side refuse soon: what the kernel holds for sending is bounded. */
static void
narrow(void)
{
	int n = 65536;

	setsockopt(o.c->fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n));
}

/* Reads n bytes at the plain end while the loop turns. */
static void
read_turning(int fd, char *p, size_t n)
{
	int64_t end = loop_now(l) + PATIENCE_US;
	ssize_t got;

	while (n > 0) {
		loop_turn(l, 0);
		assert_true(loop_now(l) < end);
		got = recv(fd, p, n, MSG_DONTWAIT);
		assert_true(got > 0 || (got < 0 && errno == EAGAIN));
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
}

/* Until the plain end sees the end; what comes before it is thrown away. */
static size_t
read_to_end(int fd)
{
	int64_t end = loop_now(l) + PATIENCE_US;
	size_t n = 0;
	ssize_t got;

	for (;;) {
		loop_turn(l, 0);
		assert_true(loop_now(l) < end);
		got = recv(fd, back, sizeof(back), MSG_DONTWAIT);
		if (got == 0)
			return n;
		if (got > 0)
			n += (size_t)got;
		else
			assert_int_equal(errno, EAGAIN);
	}
}

static void
assert_got(size_t n)
{
	assert_int_equal(o.got.n, n);
	assert_memory_equal(buf_slice(&o.got).p, pattern, n);
}

/* ---- in ------------------------------------------------------------------------------ */

static void
an_echo_gives_back_every_byte(void **state)
{
	int fd = open_pair();
	struct rng r;
	size_t at = 0, n;

	(void)state;
	rng_seed(&r, 1);
	o.echoes = true;
	while (at < BIG) {
		n = (size_t)rng_range(&r, 1, 40000);
		n = MIN(n, BIG - at);
		write_all(fd, pattern + at, n);
		read_turning(fd, back + at, n);
		at += n;
	}
	assert_memory_equal(back, pattern, BIG);
	assert_got(BIG);
	close(fd);
	RUN_UNTIL(l, o.ngone == 1);
	assert_int_equal(o.err, 0);
}

static void
what_is_not_eaten_is_offered_again(void **state)
{
	int fd = open_pair();
	struct rng r;
	size_t at, n = 0;

	(void)state;
	rng_seed(&r, 2);
	for (at = 0; at < 100000; at += n) {
		n = (size_t)rng_range(&r, 1, 3000);
		write_all(fd, pattern + at, n);
		while (o.got.n < at + n) {
			o.eat_max = (size_t)rng_range(&r, 1, 2000);
			conn_resume(o.c);
			loop_turn(l, loop_now(l) + TURN_US);
		}
	}
	assert_got(at);
	close(fd);
}

static void
a_pause_lasts_until_resume(void **state)
{
	int fd = open_pair();

	(void)state;
	o.eat_max = 10;
	write_all(fd, pattern, 20);
	RUN_UNTIL(l, o.ndata == 1);
	/* More comes meanwhile; its edge is spent on a paused connection. */
	write_all(fd, pattern + 20, 30);
	run_turns(l, 10);
	assert_int_equal(o.ndata, 1);
	o.eat_max = 0;
	conn_resume(o.c);
	assert_int_equal(o.ndata, 1); /* not from inside the call */
	RUN_UNTIL(l, o.got.n == 50);
	assert_got(50);
	close(fd);
}

static void
a_resume_inside_on_data_offers_the_rest(void **state)
{
	int fd = open_pair();

	(void)state;
	o.eat_max = 7;
	o.resumes = true;
	write_all(fd, pattern, 100);
	RUN_UNTIL(l, o.got.n == 100);
	assert_got(100);
	close(fd);
}

static void
the_end_comes_after_the_bytes(void **state)
{
	int fd = open_pair();

	(void)state;
	o.eat_max = 30;
	write_all(fd, pattern, 100);
	close(fd);
	RUN_UNTIL(l, o.ndata == 1);
	run_turns(l, 5);
	assert_int_equal(o.ngone, 0);
	while (o.ndata < 4) {
		conn_resume(o.c);
		loop_turn(l, loop_now(l) + TURN_US);
	}
	RUN_UNTIL(l, o.ngone == 1);
	assert_int_equal(o.err, 0);
	assert_got(100);
	run_turns(l, 5);
	assert_int_equal(o.ngone, 1);
}

/* The edge of both is one: the read that drains the bytes must not be taken
 * for the end of the matter. */
static void
bytes_and_end_in_one_edge_are_both_seen(void **state)
{
	int fd[2];

	(void)state;
	tcp_pair(fd);
	write_all(fd[1], pattern, 100);
	shutdown(fd[1], SHUT_WR);
	o.echoes = true;
	o.c = conn_new(l, fd[0], &ops, &o);
	RUN_UNTIL(l, o.ngone == 1);
	assert_int_equal(o.err, 0);
	assert_got(100);
	/* A half-closed peer still hears us. */
	buf_add(&o.out, pattern, 50);
	assert_true(conn_send(o.c, &o.out));
	read_turning(fd[1], back, 150);
	assert_memory_equal(back + 100, pattern, 50);
	close(fd[1]);
}

static void
bytes_and_reset_in_one_edge_are_both_seen(void **state)
{
	int fd[2];

	(void)state;
	tcp_pair(fd);
	write_all(fd[1], pattern, 100);
	reset_close(fd[1]);
	o.c = conn_new(l, fd[0], &ops, &o);
	RUN_UNTIL(l, o.ngone == 1);
	assert_int_equal(o.err, ECONNRESET);
	assert_got(100);
}

static void
a_fast_peer_leaves_room_for_others(void **state)
{
	struct owner other;
	int fd = open_pair(), pair[2];
	ssize_t put = 0, n;

	(void)state;
	owner_init(&other);
	tcp_pair(pair);
	other.c = conn_new(l, pair[0], &ops, &other);
	assert_non_null(other.c);
	run_turns(l, 2);
	while ((n = send(fd, pattern, 300000, MSG_DONTWAIT)) > 0)
		put += n;
	write_all(pair[1], pattern, 1);
	loop_turn(l, 0);
	assert_true(o.ndata <= 8); /* 4 at the edge, 4 as a task */
	RUN_UNTIL(l, other.ndata == 1 && o.got.n >= (size_t)put);
	owner_free(&other);
	close(fd);
	close(pair[1]);
}

/* ---- out ----------------------------------------------------------------------------- */

static void
a_peer_that_does_not_read_holds_the_bytes_back(void **state)
{
	int fd = open_pair();
	struct rng r;

	(void)state;
	narrow();
	fill_pattern(pattern, BIG, 3);
	for (int i = 0; i < 4; i++)
		assert_int_equal(buf_add(&o.out, pattern, BIG), 0);
	assert_false(conn_send(o.c, &o.out));
	assert_true(conn_is_sending(o.c));
	run_turns(l, 10);
	assert_true(o.out.n > 0);
	assert_int_equal(o.ndrained, 0);
	assert_false(conn_send(o.c, &o.out)); /* asking again is harmless */
	rng_seed(&r, 4);
	for (int i = 0; i < 4; i++) {
		read_turning(fd, back, BIG);
		assert_memory_equal(back, pattern, BIG);
	}
	RUN_UNTIL(l, o.ndrained == 1);
	assert_false(conn_is_sending(o.c));
	close(fd);
}

static void
sending_to_a_peer_that_left_is_told_from_the_loop(void **state)
{
	int fd = open_pair();

	(void)state;
	run_turns(l, 2);
	reset_close(fd);
	wait_arrived(o.c->fd);
	buf_add(&o.out, pattern, 100);
	assert_false(conn_send(o.c, &o.out));
	assert_int_equal(o.ngone, 0);
	RUN_UNTIL(l, o.ngone == 1);
	assert_true(o.err == EPIPE || o.err == ECONNRESET);
	assert_false(conn_send(o.c, &o.out)); /* no second telling */
	run_turns(l, 5);
	assert_int_equal(o.ngone, 1);
}

/* A client may have got its answer before it vanished. */
static void
last_words_are_heard_although_sending_failed(void **state)
{
	int fd = open_pair();

	(void)state;
	run_turns(l, 2);
	write_all(fd, pattern, 20);
	reset_close(fd);
	wait_arrived(o.c->fd);
	buf_add(&o.out, pattern, 100);
	conn_send(o.c, &o.out);
	RUN_UNTIL(l, o.ngone == 1);
	assert_got(20);
}

/* ---- ends ---------------------------------------------------------------------------- */

static void
closing_is_safe_in_every_callback(void **state)
{
	static const char callbacks[] = "dgtw";

	(void)state;
	for (int gently = 0; gently < 2; gently++) {
		for (const char *p = callbacks; *p; p++) {
			int fd;

			owner_free(&o);
			owner_init(&o);
			fd = open_pair();
			narrow();
			o.close_in = *p;
			o.is_gentle = gently;
			o.echoes = true;
			if (*p == 't')
				conn_set_deadline(o.c, loop_now(l) + 1000);
			if (*p == 'w') {
				for (int i = 0; i < 4; i++)
					buf_add(&o.out, pattern, BIG);
				assert_false(conn_send(o.c, &o.out));
				read_to_end(fd);
			} else if (*p != 't') {
				write_all(fd, pattern, 1000);
				shutdown(fd, SHUT_WR);
			}
			RUN_UNTIL(l, o.c == NULL);
			close(fd);
			RUN_UNTIL(l, loop_is_idle(l));
		}
	}
}

static void
a_gentle_close_lets_everything_leave(void **state)
{
	int fd = open_pair();

	(void)state;
	narrow();
	run_turns(l, 2);
	write_all(fd, pattern, 60000); /* unread: must not become a reset */
	for (int i = 0; i < 4; i++)
		buf_add(&o.out, pattern, BIG);
	assert_false(conn_send(o.c, &o.out));
	conn_close_gently(o.c, PATIENCE_US);
	o.c = NULL;
	assert_int_equal(o.out.n, 0);
	buf_free(&o.out); /* the owner may go */
	for (int i = 0; i < 4; i++) {
		read_turning(fd, back, BIG);
		assert_memory_equal(back, pattern, BIG);
	}
	assert_int_equal(read_to_end(fd), 0);
	close(fd);
	RUN_UNTIL(l, loop_is_idle(l));
	assert_int_equal(o.ndata + o.ngone + o.ndrained, 0);
}

static void
lingering_ends_at_its_limit(void **state)
{
	int fd = open_pair();
	int64_t start = loop_now(l);

	(void)state;
	conn_close_gently(o.c, 20 * US_PER_MS);
	o.c = NULL;
	assert_int_equal(read_to_end(fd), 0);
	RUN_UNTIL(l, loop_is_idle(l)); /* though fd never closes */
	assert_true(loop_now(l) >= start + 20 * US_PER_MS);
	close(fd);
}

static void
a_deadline_comes_once(void **state)
{
	int fd = open_pair();
	int64_t start = loop_now(l);

	(void)state;
	conn_set_deadline(o.c, start + 5 * US_PER_MS);
	conn_set_deadline(o.c, start + 30 * US_PER_MS);
	RUN_UNTIL(l, o.ndeadline == 1);
	assert_true(loop_now(l) >= start + 30 * US_PER_MS);
	conn_set_deadline(o.c, loop_now(l) + 5 * US_PER_MS);
	conn_set_deadline(o.c, TIME_NEVER);
	start = loop_now(l);
	RUN_UNTIL(l, loop_now(l) > start + 20 * US_PER_MS);
	assert_int_equal(o.ndeadline, 1);
	close(fd);
}

/* ---- connecting and listening ---------------------------------------------------- */

struct door {
	struct listener *ln;
	int naccepted, frees_after;
	int fd[200];
};

static void
on_accept(void *user, int fd, const struct endpoint *peer)
{
	struct door *d = user;

	assert_int_equal(peer->ip.family, 4);
	assert_true(d->naccepted < (int)ARRAY_LEN(d->fd));
	d->fd[d->naccepted++] = fd;
	if (d->naccepted == d->frees_after)
		listener_free(d->ln);
}

static void
door_close(struct door *d)
{
	for (int i = 0; i < d->naccepted; i++)
		close(d->fd[i]);
	if (d->naccepted != d->frees_after)
		listener_free(d->ln);
}

static void
a_connect_uses_its_source_and_tells_from_the_loop(void **state)
{
	struct endpoint at, peer, local;
	struct ip from = ip4(127, 0, 0, 77);
	struct door d = { .naccepted = 0 };
	int err = 0;

	(void)state;
	d.ln = listener_new(l, listen_local(&at), on_accept, &d);
	buf_add(&o.out, pattern, 1000);
	o.c = conn_connect(l, &from, &at, &ops, &o, &err);
	assert_non_null(o.c);
	assert_false(conn_send(o.c, &o.out)); /* waits for the connection */
	assert_int_equal(o.nconnect, 0);
	RUN_UNTIL(l, o.nconnect == 1 && d.naccepted == 1);
	assert_int_equal(o.err, 0);
	conn_peer(o.c, &peer);
	conn_local(o.c, &local);
	assert_true(ip_eq(&peer.ip, &at.ip) && peer.port == at.port);
	assert_true(ip_eq(&local.ip, &from));
	RUN_UNTIL(l, o.ndrained == 1);
	read_turning(d.fd[0], back, 1000);
	assert_memory_equal(back, pattern, 1000);
	door_close(&d);
}

static void
a_refused_connect_is_told_from_the_loop(void **state)
{
	struct endpoint at;
	int err = 0;

	(void)state;
	close(listen_local(&at));
	o.c = conn_connect(l, NULL, &at, &ops, &o, &err);
	assert_non_null(o.c);
	assert_int_equal(o.nconnect, 0);
	o.close_in = 'c';
	RUN_UNTIL(l, o.nconnect == 1);
	assert_int_equal(o.err, ECONNREFUSED);
	assert_int_equal(o.ngone, 0);
}

static void
a_source_that_is_not_ours_fails_at_once(void **state)
{
	struct endpoint at = { .ip = ip4(127, 0, 0, 1), .port = 9 };
	struct ip from = ip4(192, 0, 2, 1), ours = ip4(127, 0, 0, 9);
	int err = 0;

	(void)state;
	assert_null(conn_connect(l, &from, &at, &ops, &o, &err));
	assert_int_equal(err, EADDRNOTAVAIL);
	assert_int_equal(net_try_bind(&from), EADDRNOTAVAIL);
	assert_int_equal(net_try_bind(&ours), 0);
}

static void
a_listener_takes_many_in_batches(void **state)
{
	struct endpoint at;
	struct door d = { .naccepted = 0 };
	struct sockaddr_storage sa;
	int fd[150], n, ln = listen_local(&at);
	socklen_t len = sockaddr_of(&sa, &at.ip, at.port);

	(void)state;
	d.ln = listener_new(l, ln, on_accept, &d);
	for (n = 0; n < 150; n++) {
		fd[n] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fd[n], (struct sockaddr *)&sa, len),
		    0);
	}
	loop_turn(l, 0);
	assert_true(d.naccepted <= 64);
	RUN_UNTIL(l, d.naccepted == 150);
	door_close(&d);
	while (n > 0)
		close(fd[--n]);
}

static void
a_listener_may_be_freed_inside_on_accept(void **state)
{
	struct endpoint at;
	struct door d = { .frees_after = 1 };
	int err, ln = listen_local(&at);

	(void)state;
	d.ln = listener_new(l, ln, on_accept, &d);
	o.c = conn_connect(l, NULL, &at, &ops, &o, &err);
	RUN_UNTIL(l, d.naccepted == 1);
	door_close(&d);
}

static void
without_descriptors_a_listener_waits_and_recovers(void **state)
{
	struct rlimit old, low;
	struct endpoint at;
	struct door d = { .naccepted = 0 };
	int err, ln = listen_local(&at);

	(void)state;
	d.ln = listener_new(l, ln, on_accept, &d);
	o.c = conn_connect(l, NULL, &at, &ops, &o, &err);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 3; /* below every number that is free */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	run_turns(l, 20);
	assert_int_equal(d.naccepted, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	RUN_UNTIL(l, d.naccepted == 1);
	door_close(&d);
}

static void
an_address_in_use_is_named(void **state)
{
	struct endpoint at;
	char why[128], text[ENDPOINT_TEXT_MAX];
	int fd = listen_local(&at);

	(void)state;
	assert_int_equal(net_listen(&at, false, why, sizeof(why)), -1);
	endpoint_format(text, &at);
	assert_non_null(strstr(why, text));
	close(fd);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_echo_gives_back_every_byte),
		T(what_is_not_eaten_is_offered_again),
		T(a_pause_lasts_until_resume),
		T(a_resume_inside_on_data_offers_the_rest),
		T(the_end_comes_after_the_bytes),
		T(bytes_and_end_in_one_edge_are_both_seen),
		T(bytes_and_reset_in_one_edge_are_both_seen),
		T(a_fast_peer_leaves_room_for_others),
		T(a_peer_that_does_not_read_holds_the_bytes_back),
		T(sending_to_a_peer_that_left_is_told_from_the_loop),
		T(last_words_are_heard_although_sending_failed),
		T(closing_is_safe_in_every_callback),
		T(a_gentle_close_lets_everything_leave),
		T(lingering_ends_at_its_limit),
		T(a_deadline_comes_once),
		T(a_connect_uses_its_source_and_tells_from_the_loop),
		T(a_refused_connect_is_told_from_the_loop),
		T(a_source_that_is_not_ours_fails_at_once),
		T(a_listener_takes_many_in_batches),
		T(a_listener_may_be_freed_inside_on_accept),
		T(without_descriptors_a_listener_waits_and_recovers),
		T(an_address_in_use_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
