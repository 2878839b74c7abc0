/*
 * make bench T=http: messages a second that are taken over HTTP, raw and as
 * JSON, beside SMTP, all in one run against one daemon. N=20000 messages of 4 KB
 * by 50 connections, each with one message under way, ROUNDS=3 in turns; prints
 * the medians and their ratios to SMTP. The mail is scheduled for later, so that
 * nothing but taking it is measured.
 *
 * The client is here, in C: one epoll loop that compares bytes and sends what it
 * has prepared, so that the daemon is what is measured.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/base64.h"
#include "crypt/crypt.h"

#define CONNS 50
#define TOKEN "bench-token-bench-token-bench-token"
#define BODY 4096
#define ROUNDS_MAX 50

enum how { SMTP, RAW, JSON, HOWS };
static const char *const names[HOWS] = { "SMTP", "HTTP raw", "HTTP JSON" };

/* What a connection says in its turn, and how an answer to it ends. */
static struct {
	char text[2 * BODY];
	size_t n;
	const char *answer; /* its last line begins so */
} turns[HOWS][3];
static int first_turn[HOWS], nturns[HOWS]; /* of a message */

struct client {
	int fd, turn;
	char got[8192];
	size_t n;
};

static uint16_t ports[2]; /* SMTP, HTTP */
static pid_t daemon_pid;

static void
fail(const char *what)
{
	fprintf(stderr, "bench_http: %s: errno %d\n", what, errno);
	if (daemon_pid > 0)
		kill(daemon_pid, SIGKILL);
	exit(1);
}

static int
tcp(uint16_t port, bool listens)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	socklen_t n = sizeof(a);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 ||
	    (listens ? bind(fd, (struct sockaddr *)&a, n) :
		       connect(fd, (struct sockaddr *)&a, n)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static uint16_t
free_port(void)
{
	struct sockaddr_in a;
	socklen_t n = sizeof(a);
	int fd = tcp(0, true);

	if (fd < 0 || getsockname(fd, (struct sockaddr *)&a, &n) != 0)
		fail("no port");
	close(fd);
	return ntohs(a.sin_port);
}

static void
write_config(const char *dir, const char *file)
{
	uint8_t digest[CRYPT_SHA256_BYTES];
	char digits[BASE64_BYTES(CRYPT_SHA256_BYTES)];
	FILE *f = fopen(file, "w");
	size_t n;

	if (f == NULL)
		fail(file);
	crypt_digest(SL(TOKEN), digest);
	n = base64_encode(digits, digest, sizeof(digest));
	fprintf(f,
	    "hostname: bench.example\nspool: %s/spool\ncontrol: %s/c.sock\n"
	    "log: %s/log\nspool_min_free: 16M\n"
	    "token: { t: { hash: \"SHA-256$%.*s\" } }\n"
	    "listen:\n  s: { bind: \"127.0.0.1:%u\", relay_from: "
	    "[127.0.0.0/8] }\n  h: { bind: \"127.0.0.1:%u\", protocol: http }\n",
	    dir, dir, dir, (int)n, digits, ports[0], ports[1]);
	fclose(f);
}

static void
start(void)
{
	const char *dir = getenv("TMP"), *build = getenv("BUILD");
	char file[4096], program[4096], out[4096];
	int fd;

	if (dir == NULL || build == NULL)
		fail("TMP and BUILD are needed");
	snprintf(file, sizeof(file), "%s/mtad.yml", dir);
	snprintf(program, sizeof(program), "%s/mtad", build);
	snprintf(out, sizeof(out), "%s/err", dir);
	ports[0] = free_port();
	ports[1] = free_port();
	write_config(dir, file);
	daemon_pid = fork();
	if (daemon_pid == 0) {
		fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(fd, 1);
		dup2(fd, 2);
		execl(program, "mtad", "run", "-c", file, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; (fd = tcp(ports[1], false)) < 0; i++) {
		if (i == 2000)
			fail("the daemon does not listen");
		usleep(10000);
	}
	close(fd);
}

static void
prepare(void)
{
	static const char head[] = "From: a@b.example\r\nSubject: x\r\n"
				   "X-MTA-Schedule: +1h\r\n\r\n";
	char body[BODY + 256];
	size_t n = sizeof(head) - 1;

	memcpy(body, head, n);
	while (n < BODY)
		n += (size_t)snprintf(body + n, sizeof(body) - n,
		    "The quick brown fox jumps over the lazy dog, %zu.\r\n", n);
#define SAY(how, i, end, ...)                                                  \
	turns[how][i].n = (size_t)snprintf(turns[how][i].text,                 \
	    sizeof(turns[how][i].text), __VA_ARGS__);                          \
	turns[how][i].answer = end
	SAY(SMTP, 0, "250 ", "EHLO x\r\n");
	SAY(SMTP, 1, "354 ",
	    "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
	SAY(SMTP, 2, "250 2.0.0", "%.*s.\r\n", (int)n, body);
	SAY(RAW, 0, "{\"id\"",
	    "POST /v1/messages?from=a@b.example&to=c@d.example HTTP/1.1\r\n"
	    "Host: x\r\nAuthorization: Bearer " TOKEN "\r\nContent-Type: "
	    "message/rfc822\r\nContent-Length: %zu\r\n\r\n%.*s",
	    n, (int)n, body);
	n = (size_t)snprintf(body, sizeof(body),
	    "{\"from\":\"a@b.example\",\"to\":\"c@d.example\",\"subject\":\"x\","
	    "\"schedule\":\"+1h\",\"text\":\"");
	while (n < BODY)
		n += (size_t)snprintf(body + n, sizeof(body) - n,
		    "The quick brown fox jumps over the lazy dog, %zu.\\n", n);
	n += (size_t)snprintf(body + n, sizeof(body) - n, "\"}");
	SAY(JSON, 0, "{\"id\"",
	    "POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " TOKEN
	    "\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
	    "\r\n%.*s",
	    n, (int)n, body);
	first_turn[SMTP] = 1;
	nturns[SMTP] = 3;
	nturns[RAW] = nturns[JSON] = 1;
}

static void
say(struct client *c, enum how how)
{
	const char *p = turns[how][c->turn].text;
	size_t n = turns[how][c->turn].n;

	c->n = 0;
	while (n > 0) {
		ssize_t k = write(c->fd, p, n);

		if (k <= 0)
			fail("write");
		p += k;
		n -= (size_t)k;
	}
}

/* Is the answer whole: does its last line begin as it should? */
static bool
is_answered(struct client *c, enum how how)
{
	const char *line = c->got, *want = turns[how][c->turn].answer;
	ssize_t k = read(c->fd, c->got + c->n, sizeof(c->got) - 1 - c->n);

	if (k <= 0)
		fail("read");
	c->n += (size_t)k;
	c->got[c->n] = '\0';
	if (c->got[c->n - 1] != '\n')
		return false;
	for (size_t i = 0; i + 1 < c->n; i++)
		if (c->got[i] == '\n')
			line = c->got + i + 1;
	return strncmp(line, want, strlen(want)) == 0;
}

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
open_clients(struct client *c, enum how how, int ep)
{
	for (uint32_t i = 0; i < CONNS; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = i };

		c[i].fd = tcp(ports[how != SMTP], false);
		c[i].turn = c[i].n = 0;
		if (c[i].fd < 0 ||
		    epoll_ctl(ep, EPOLL_CTL_ADD, c[i].fd, &e) != 0)
			fail("connect");
		/* A banner comes first; it is the EHLO's answer's front. */
		say(&c[i], how);
	}
}

/* Messages a second. */
static double
run(enum how how, uint32_t n)
{
	static struct client c[CONNS];
	uint32_t begun = CONNS, done = 0;
	struct epoll_event e[CONNS];
	int ep = epoll_create1(EPOLL_CLOEXEC), k;
	double began = now_s();

	open_clients(c, how, ep);
	while (done < n) {
		k = epoll_wait(ep, e, CONNS, 20000);
		if (k <= 0)
			fail("no answer");
		for (int i = 0; i < k; i++) {
			struct client *x = &c[e[i].data.u32];

			if (!is_answered(x, how))
				continue;
			if (++x->turn == nturns[how]) {
				done++;
				x->turn = first_turn[how];
				if (begun++ >= n)
					continue;
			}
			say(x, how);
		}
	}
	began = now_s() - began;
	for (uint32_t i = 0; i < CONNS; i++)
		close(c[i].fd);
	close(ep);
	return n / began;
}

static int
compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double
median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), compare);
	return v[n / 2];
}

/* Of the environment; at least so much. */
static uint64_t
number(const char *name, uint64_t least, uint64_t usual)
{
	const char *s = getenv(name);
	uint64_t v;

	if (s == NULL || slice_u64(slice_str(s), 1000000, &v) != 0)
		return usual;
	v = MAX(v, least);
	return least == 1 ? MIN(v, (uint64_t)ROUNDS_MAX) : v;
}

int
main(void)
{
	uint32_t n = (uint32_t)number("N", 1000, 20000);
	int rounds = (int)number("ROUNDS", 1, 3), status;
	static double rate[HOWS][ROUNDS_MAX], ratio[HOWS][ROUNDS_MAX];

	signal(SIGPIPE, SIG_IGN);
	prepare();
	start();
	for (int i = 0; i < rounds; i++)
		for (int how = 0; how < HOWS; how++) {
			rate[how][i] = run((enum how)how, n);
			ratio[how][i] = rate[how][i] / rate[SMTP][i];
		}
	for (int how = 0; how < HOWS; how++)
		printf("%-10s %8.0f messages/s, %.2f of SMTP\n", names[how],
		    median(rate[how], rounds), median(ratio[how], rounds));
	kill(daemon_pid, SIGTERM);
	waitpid(daemon_pid, &status, 0);
	return 0;
}
