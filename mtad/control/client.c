/*
 * control/client.c - one question to a daemon over its Unix socket.
 *
 * The machine (control_ask_*) never waits: connecting to a Unix socket is
 * immediate, and the rest is one write phase and one read phase up to the end
 * of the answer or of the stream. control_call drives it with poll. The
 * answer is the server's of this room, but it is read as a stranger's: bounded
 * head, bounded body, digits checked.
 *
 * control_call reads the monotonic clock although this is no room of clocks: a
 * deadline over several waits cannot be kept without one.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/control_i.h"

#define HEAD_MAX (8u * 1024)
#define CHUNK 16384
#define LENGTH_UNKNOWN UINT64_MAX
#define RETRY_MS 20 /* when the daemon's backlog is full */

struct control_ask {
	int fd;
	bool is_writing, has_head;
	struct buf request, head;
	struct buf *out;
	uint64_t length; /* of the body */
	int status;
};

static int
ask_connect(const char *path, int *err)
{
	struct sockaddr_un sa;
	int fd;

	if (!socket_address(&sa, path)) {
		*err = E_RANGE;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	if (errno == ECONNREFUSED || errno == ENOENT || errno == ENOTDIR)
		*err = E_CLOSED;
	else if (errno == EAGAIN)
		*err = E_AGAIN;
	else
		*err = err_from_errno(errno);
	if (fd >= 0)
		close(fd);
	return -1;
}

static void
ask_write_request(struct control_ask *a, const char *path, struct slice body)
{
	struct buf *b = &a->request;

	buf_init(b, HEAD_MAX + CONTROL_BODY_MAX);
	buf_addf(b, "%s %s HTTP/1.1\r\nHost: localhost\r\n",
	    body.n > 0 ? "POST" : "GET", path);
	buf_addz(b, "Connection: close\r\n");
	if (body.n > 0)
		buf_addf(b,
		    "Content-Type: application/json\r\n"
		    "Content-Length: %zu\r\n",
		    body.n);
	buf_addz(b, "\r\n");
	buf_adds(b, body);
}

struct control_ask *
control_ask_new(const char *socket_path, const char *path_and_query,
    struct slice body, struct buf *out, int *err)
{
	struct control_ask *a = mem_try(sizeof(*a));

	if (a == NULL) {
		*err = E_NOMEM;
		return NULL;
	}
	a->is_writing = true;
	a->out = out;
	a->length = LENGTH_UNKNOWN;
	buf_init(&a->head, HEAD_MAX + CHUNK);
	ask_write_request(a, path_and_query, body);
	a->fd = a->request.failed ? -1 : ask_connect(socket_path, err);
	if (a->request.failed)
		*err = E_TOOBIG;
	if (a->fd < 0) {
		control_ask_free(a);
		return NULL;
	}
	*err = 0;
	return a;
}

void
control_ask_free(struct control_ask *a)
{
	if (a == NULL)
		return;
	if (a->fd >= 0)
		close(a->fd);
	buf_free(&a->request);
	buf_free(&a->head);
	mem_free(a);
}

int
control_ask_fd(const struct control_ask *a)
{
	return a->fd;
}

short
control_ask_events(const struct control_ask *a)
{
	return a->is_writing ? POLLOUT : POLLIN;
}

/* "HTTP/1.1 200 OK" */
static int
head_status(struct slice line)
{
	uint64_t status;

	if (!slice_has_prefix(line, SL("HTTP/1.")) || line.n < 12)
		return E_PROTO;
	if (slice_u64(slice_of(line.p + 9, 3), 599, &status) != 0 ||
	    status < 100)
		return E_PROTO;
	return (int)status;
}

/* Reads the head, which ends in an empty line. 0 or E_PROTO. */
static int
ask_read_head(struct control_ask *a, struct slice head)
{
	struct slice line = slice_cut(&head, '\n'), name;

	a->status = head_status(line);
	if (a->status < 0)
		return E_PROTO;
	while (head.n > 0) {
		line = slice_cut(&head, '\n');
		name = slice_cut(&line, ':');
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		line = slice_trim(line);
		if (slice_ieq(name, SL("Transfer-Encoding")))
			return E_PROTO;
		if (slice_ieq(name, SL("Content-Length")) &&
		    slice_u64(line, SIZE_MAX, &a->length) != 0)
			return E_PROTO;
	}
	return 0;
}

/* Adds to the body: E_AGAIN while more must come, the status when done. */
static int
ask_take_body(struct control_ask *a, struct slice data)
{
	if (a->length != LENGTH_UNKNOWN && a->length > a->out->max)
		return E_TOOBIG;
	if (data.n > a->length - a->out->n)
		return E_PROTO;
	if (buf_adds(a->out, data) != 0)
		return E_TOOBIG;
	return a->out->n == a->length ? a->status : E_AGAIN;
}

static int
ask_take(struct control_ask *a, struct slice data)
{
	struct slice all;
	const char *end;
	int err;

	if (a->has_head)
		return ask_take_body(a, data);
	if (buf_adds(&a->head, data) != 0)
		return E_PROTO;
	all = buf_slice(&a->head);
	end = memmem(all.p, all.n, "\r\n\r\n", 4);
	if (end == NULL)
		return E_AGAIN;
	a->has_head = true;
	err = ask_read_head(a, slice_of(all.p, (size_t)(end + 2 - all.p)));
	if (err != 0)
		return err;
	return ask_take_body(a, slice_skip(all, (size_t)(end + 4 - all.p)));
}

static int
ask_write(struct control_ask *a)
{
	struct slice s = buf_slice(&a->request);
	ssize_t n = send(a->fd, s.p, s.n, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? E_AGAIN : E_CLOSED;
	buf_consume(&a->request, (size_t)n);
	a->is_writing = a->request.n > 0;
	return E_AGAIN;
}

static int
ask_read(struct control_ask *a)
{
	char chunk[CHUNK];
	ssize_t n = recv(a->fd, chunk, sizeof(chunk), 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? E_AGAIN : E_CLOSED;
	if (n > 0)
		return ask_take(a, slice_of(chunk, (size_t)n));
	if (a->has_head && a->length == LENGTH_UNKNOWN)
		return a->status;
	/* Gone before it said anything, or in the middle of it. */
	return a->head.n == 0 ? E_CLOSED : E_PROTO;
}

int
control_ask_step(struct control_ask *a)
{
	return a->is_writing ? ask_write(a) : ask_read(a);
}

static int64_t
clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Steps until there is a result or the time is up. */
static int
ask_wait(struct control_ask *a, int64_t until_ms)
{
	struct pollfd p = { .fd = a->fd };
	int result = E_AGAIN;
	int64_t left;

	while (result == E_AGAIN) {
		left = until_ms - clock_ms();
		if (left <= 0)
			return E_TIMEOUT;
		p.events = control_ask_events(a);
		if (poll(&p, 1, (int)left) > 0)
			result = control_ask_step(a);
	}
	return result;
}

int
control_call(const char *socket_path, const char *path_and_query,
    struct slice body, int timeout_ms, struct buf *out)
{
	int64_t until_ms = clock_ms() + timeout_ms;
	struct control_ask *a;
	int result;

	for (;;) {
		a = control_ask_new(socket_path, path_and_query, body, out,
		    &result);
		if (a != NULL || result != E_AGAIN)
			break;
		if (clock_ms() + RETRY_MS > until_ms)
			return E_TIMEOUT;
		poll(NULL, 0, RETRY_MS);
	}
	if (a == NULL)
		return result;
	result = ask_wait(a, until_ms);
	control_ask_free(a);
	return result;
}

static bool
is_unreserved(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '.' ||
	    c == '_' || c == '~';
}

void
control_query_add(struct buf *path, const char *key, struct slice value)
{
	struct slice s = buf_slice(path);

	buf_addc(path, slice_index(s, '?') < s.n ? '&' : '?');
	buf_addz(path, key);
	buf_addc(path, '=');
	for (size_t i = 0; i < value.n; i++) {
		if (is_unreserved(value.p[i]))
			buf_addc(path, value.p[i]);
		else
			buf_addf(path, "%%%02X", (unsigned char)value.p[i]);
	}
}
