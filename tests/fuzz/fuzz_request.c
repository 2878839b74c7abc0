/*
 * fuzz_request - bytes on the control socket: whatever comes, the server reads
 * it, hands on only paths and parameters that are texts, answers or closes, and
 * nothing is left over. The first byte says which answers are late, and into how
 * many pieces the rest is cut.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "control/control_i.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LATE_MAX 64
#define TURNS_MAX 200

static struct event_base *base;
static struct control *server;
static char path[108];
static struct control_req *late[LATE_MAX];
static uint32_t nlate, lateness;

static void
answer(struct control_req *r)
{
	struct buf out;

	buf_init(&out, 1024);
	buf_addz(&out, "{}");
	control_answer(r, 200, "application/json", &out);
}

/* As the daemon's: some requests are refused, some answered at once, and some
 * when another thread has had its say. */
static void
on_request(void *ctx, struct control_req *r, bool is_post, struct slice p,
    const struct control_params *params, struct slice user)
{
	(void)ctx;
	ASSERT(p.n == strlen(p.p) && user.n > 0);
	ASSERT(params->n <= CONTROL_PARAMS_MAX);
	for (uint32_t i = 0; i < params->n; i++)
		ASSERT(strlen(params->v[i].value.p) == params->v[i].value.n);
	if (!slice_has_iprefix(p, SL("/v1/")))
		control_error(r, 404, "there is no such resource");
	else if (is_post && control_param(params, "verb").n == 0)
		control_error(r, 400, "a verb is wanted");
	else if (nlate < LATE_MAX && nlate < lateness)
		late[nlate++] = r;
	else
		answer(r);
}

static void
set_up(void)
{
	const char *tmp = getenv("TMP");
	char why[256] = "";

	snprintf(path, sizeof(path), "%.90s/%d.sock", tmp ? tmp : "/tmp",
	    (int)getpid());
	base = event_base_new();
	server = control_new(base, path, on_request, NULL, why, sizeof(why));
	ASSERT(server);
}

static void
tear_down(void)
{
	control_free(server);
	event_base_free(base);
}

static int
client(void)
{
	struct sockaddr_un sa;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	ASSERT(fd >= 0 && socket_address(&sa, path));
	ASSERT(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	return fd;
}

/* Lets the server work; true when it has closed the connection. */
static bool
turn(int fd)
{
	char answer_text[4096];
	ssize_t n;

	event_base_loop(base, EVLOOP_NONBLOCK);
	do
		n = recv(fd, answer_text, sizeof(answer_text), 0);
	while (n > 0);
	return n == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 1, step;
	int fd;

	if (size < 2 || size > CONTROL_BODY_MAX)
		return 0;
	if (!base) {
		set_up();
		atexit(tear_down);
	}
	lateness = data[0] & 7;
	step = 1 + (size - 1) / (1 + (data[0] >> 3));
	fd = client();
	for (; at < size; at += step) {
		ssize_t n =
		    send(fd, data + at, MIN(step, size - at), MSG_NOSIGNAL);

		if (turn(fd) || n < 0)
			break;
	}
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < TURNS_MAX && !turn(fd); i++)
		while (nlate)
			answer(late[--nlate]);
	close(fd);
	while (nlate) /* who asked has gone */
		answer(late[--nlate]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
	return 0;
}
