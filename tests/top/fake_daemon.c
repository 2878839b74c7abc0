/*
 * A daemon for the tests of the viewer: the real control server with answers
 * from files.
 *
 *	fake_daemon SOCKET DIRECTORY
 *
 * GET /v1/NAME is answered with DIRECTORY/NAME.json as it is at that moment,
 * so a test changes what the viewer sees by replacing files; a file that is
 * not there is a 404. Each request is a line of DIRECTORY/requests. Ends on
 * SIGTERM. Prints "ready" when it listens.
 */
#include <signal.h>
#include <stdio.h>

#include <event2/event.h>

#include "control/control.h"

#define ANSWER_MAX (16u * 1024 * 1024)

static const char *directory;

static bool
read_file(const char *name, struct buf *out)
{
	char chunk[4096];
	FILE *f = fopen(name, "re");
	size_t n;

	if (f == NULL)
		return false;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(out, chunk, n);
	fclose(f);
	return !out->failed;
}

static void
note(struct slice path, const struct control_params *params)
{
	char name[512];
	FILE *f;

	snprintf(name, sizeof(name), "%s/requests", directory);
	f = fopen(name, "ae");
	if (f == NULL)
		return;
	fprintf(f, "%.*s", SLF(path));
	for (uint32_t i = 0; i < params->n; i++)
		fprintf(f, " %.*s=%.*s", SLF(params->v[i].key),
		    SLF(params->v[i].value));
	fprintf(f, "\n");
	fclose(f);
}

static void
handle(void *ctx, struct control_req *req, bool is_post, struct slice path,
    const struct control_params *params, struct slice peer_user)
{
	char name[512];
	struct buf body;

	(void)ctx;
	(void)is_post;
	(void)peer_user;
	note(path, params);
	buf_init(&body, ANSWER_MAX);
	if (slice_has_prefix(path, SL("/v1/"))) {
		path = slice_skip(path, 4);
		snprintf(name, sizeof(name), "%s/%.*s.json", directory,
		    SLF(path));
		if (slice_index(path, '/') == path.n &&
		    read_file(name, &body)) {
			control_answer(req, 200, "application/json", &body);
			return;
		}
	}
	buf_free(&body);
	control_error(req, 404, "no such file");
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	event_base_loopexit(arg, NULL);
}

int
main(int argc, char **argv)
{
	struct event_base *base = event_base_new();
	struct event *term = evsignal_new(base, SIGTERM, on_signal, base);
	struct control *c;
	char why[256];

	if (argc != 3 || base == NULL || term == NULL)
		return 2;
	directory = argv[2];
	signal(SIGPIPE, SIG_IGN);
	c = control_new(base, argv[1], handle, NULL, why, sizeof(why));
	if (c == NULL) {
		fprintf(stderr, "fake_daemon: %s\n", why);
		return 1;
	}
	event_add(term, NULL);
	printf("ready\n");
	fflush(stdout);
	event_base_dispatch(base);
	control_free(c);
	event_free(term);
	event_base_free(base);
	return 0;
}
