/*
 * What the tests of net/ share: turning a loop until something is true, and
 * plain sockets on the other side of the wire.
 */
#ifndef TEST_NET_H
#define TEST_NET_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net_i.h"

/* How long anything may take before a test fails: only then is it reached. */
#define PATIENCE_US (30 * US_PER_S)
#define TURN_US (20 * US_PER_MS)

/* Turns the loop until cond holds. */
#define RUN_UNTIL(l, cond)                                                     \
	do {                                                                   \
		int64_t end_ = loop_now(l) + PATIENCE_US;                      \
		while (!(cond)) {                                              \
			assert_true(loop_now(l) < end_);                       \
			loop_turn(l, loop_now(l) + TURN_US);                   \
		}                                                              \
	} while (0)

/* Turns the loop for some turns that do not wait. */
static inline void
run_turns(struct loop *l, int n)
{
	while (n-- > 0)
		loop_turn(l, 0);
}

static inline struct ip
ip4(int a, int b, int c, int d)
{
	struct ip ip = { .family = 4 };

	ip.b[0] = (uint8_t)a;
	ip.b[1] = (uint8_t)b;
	ip.b[2] = (uint8_t)c;
	ip.b[3] = (uint8_t)d;
	return ip;
}

/* A listening socket on 127.0.0.1; *at becomes its address. */
static inline int
listen_local(struct endpoint *at)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	char why[128];
	int fd;

	at->ip = ip4(127, 0, 0, 1);
	at->port = 0;
	fd = net_listen(at, false, why, sizeof(why));
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	sockaddr_get(&sa, at);
	return fd;
}

/* A TCP pair on loopback: [0] non-blocking (for a conn), [1] blocking. */
static inline void
tcp_pair(int fd[2])
{
	struct sockaddr_storage sa;
	struct endpoint at;
	int ln = listen_local(&at);
	socklen_t n = sockaddr_of(&sa, &at.ip, at.port);
	struct pollfd p = { .fd = ln, .events = POLLIN };

	fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd[1], (struct sockaddr *)&sa, n), 0);
	assert_int_equal(poll(&p, 1, -1), 1);
	fd[0] = accept4(ln, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd[0] >= 0);
	close(ln);
}

static inline void
write_all(int fd, const void *p, size_t n)
{
	const char *at = p;
	ssize_t put;

	for (; n > 0; n -= (size_t)put, at += put) {
		put = send(fd, at, n, MSG_NOSIGNAL);
		assert_true(put > 0);
	}
}

/* Until the kernel holds bytes, or the end, for the reader of fd. */
static inline void
wait_arrived(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, -1), 1);
}

static inline void
fill_pattern(char *p, size_t n, uint64_t seed)
{
	struct rng r;

	rng_seed(&r, seed);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)rng_u64(&r);
}

/* A close that resets: no FIN, unread and unsent bytes are lost. */
static inline void
reset_close(int fd)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

#endif
