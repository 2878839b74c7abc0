/*
 * net/outbox.c: what many connections post in one turn leaves in order and
 * whole, beside peers that read nothing, have left, or are closed from inside
 * another one's callback.
 */
#include "test_net.h"

#define MANY 300 /* more than one batch */

struct sayer {
	struct conn *c;
	struct buf out;
	int fd; /* the peer's end */
	int ndrained, ngone;
	struct sayer *closes; /* in on_drained */
};

static struct loop *l;
static struct sayer v[MANY];

static size_t
on_data(void *user, struct conn *c, struct slice s)
{
	(void)user, (void)c;
	return s.n;
}

static void
on_drained(void *user, struct conn *c)
{
	struct sayer *p = user;

	(void)c;
	p->ndrained++;
	if (p->closes && p->closes->c) {
		conn_close(p->closes->c);
		p->closes->c = NULL;
	}
}

static void
on_gone(void *user, struct conn *c, int err)
{
	(void)c, (void)err;
	((struct sayer *)user)->ngone++;
}

static const struct conn_ops ops = { .on_data = on_data,
	.on_drained = on_drained,
	.on_gone = on_gone };

static void
make(struct sayer *p)
{
	int fd[2];

	memset(p, 0, sizeof(*p));
	buf_init(&p->out, 8 << 20);
	tcp_pair(fd);
	p->fd = fd[1];
	p->c = conn_new(l, fd[0], &ops, p);
	assert_non_null(p->c);
}

static void
unmake(struct sayer *p)
{
	if (p->c)
		conn_close(p->c);
	buf_free(&p->out);
	if (p->fd >= 0)
		close(p->fd);
}

static int
set_up(void **state)
{
	(void)state;
	l = loop_new();
	return l == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	loop_free(l);
	return 0;
}

static void
say(struct sayer *p, const char *text)
{
	assert_int_equal(buf_addz(&p->out, text), 0);
	assert_false(conn_post(p->c, &p->out));
}

static void
assert_heard(struct sayer *p, const char *text)
{
	char back[64];
	size_t n = strlen(text);

	assert_int_equal(recv(p->fd, back, n, MSG_WAITALL), n);
	assert_memory_equal(back, text, n);
	assert_true(recv(p->fd, back, 1, MSG_DONTWAIT) <= 0); /* no more */
}

static void
many_posts_leave_together_and_each_is_told(void **state)
{
	char text[64];

	(void)state;
	for (int i = 0; i < MANY; i++)
		make(&v[i]);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++) {
			snprintf(text, sizeof(text), "%d of %d\r\n", i, round);
			say(&v[i], text);
			assert_true(conn_is_sending(v[i].c));
		}
		/* What is added before the turn ends goes with it, once. */
		assert_int_equal(buf_addz(&v[7].out, "more"), 0);
		loop_send(l);
		for (int i = 0; i < MANY; i++) {
			snprintf(text, sizeof(text), "%d of %d\r\n%s", i, round,
			    i == 7 ? "more" : "");
			assert_heard(&v[i], text);
			assert_int_equal(v[i].ndrained, round + 1);
			assert_false(conn_is_sending(v[i].c));
		}
	}
	for (int i = 0; i < MANY; i++)
		unmake(&v[i]);
}

/* Nobody else is kept waiting, and the rest follows when there is room. */
static void
a_full_socket_gets_the_rest_later(void **state)
{
	static char big[4 << 20], back[4 << 20];
	struct sayer *slow = &v[0], *quick = &v[1];
	size_t got = 0;
	ssize_t n;

	(void)state;
	make(slow);
	make(quick);
	fill_pattern(big, sizeof(big), 9);
	assert_int_equal(buf_add(&slow->out, big, sizeof(big)), 0);
	conn_post(slow->c, &slow->out);
	say(quick, "hello");
	loop_send(l);
	assert_heard(quick, "hello");
	assert_true(slow->out.n > 0);
	assert_int_equal(slow->ndrained, 0);
	while (got < sizeof(big)) {
		loop_turn(l, 0);
		n = recv(slow->fd, back + got, sizeof(back) - got,
		    MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
	}
	RUN_UNTIL(l, slow->ndrained == 1);
	assert_memory_equal(back, big, sizeof(big));
	unmake(slow);
	unmake(quick);
}

static void
a_peer_that_left_is_told_from_the_loop(void **state)
{
	(void)state;
	make(&v[0]);
	make(&v[1]);
	run_turns(l, 2);
	reset_close(v[0].fd);
	v[0].fd = -1;
	wait_arrived(v[0].c->fd);
	say(&v[0], "into the void");
	say(&v[1], "heard");
	loop_send(l);
	assert_int_equal(v[0].ngone, 0);
	assert_heard(&v[1], "heard");
	RUN_UNTIL(l, v[0].ngone == 1);
	unmake(&v[0]);
	unmake(&v[1]);
}

static void
a_callback_may_close_what_was_posted_with_it(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		make(&v[i]);
	v[0].closes = &v[1];
	for (int i = 0; i < 3; i++)
		say(&v[i], "x");
	loop_send(l);
	assert_int_equal(v[0].ndrained, 1);
	assert_int_equal(v[1].ndrained, 0);
	assert_int_equal(v[2].ndrained, 1);
	/* Closed before its turn came: nothing of it is touched. */
	say(&v[2], "y");
	conn_close(v[2].c);
	v[2].c = NULL;
	loop_send(l);
	run_turns(l, 2);
	for (int i = 0; i < 3; i++)
		unmake(&v[i]);
}

/* The last words of a gentle close are taken over from the outbox. */
static void
a_gentle_close_takes_its_post_along(void **state)
{
	(void)state;
	make(&v[0]);
	say(&v[0], "421 bye");
	conn_close_gently(v[0].c, US_PER_S);
	v[0].c = NULL;
	loop_turn(l, 0);
	assert_heard(&v[0], "421 bye");
	close(v[0].fd);
	v[0].fd = -1;
	RUN_UNTIL(l, loop_is_idle(l));
	unmake(&v[0]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(many_posts_leave_together_and_each_is_told),
		T(a_full_socket_gets_the_rest_later),
		T(a_peer_that_left_is_told_from_the_loop),
		T(a_callback_may_close_what_was_posted_with_it),
		T(a_gentle_close_takes_its_post_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
