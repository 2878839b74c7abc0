/*
 * The counter over real sockets: a server on its own thread, and clients that
 * behave, dawdle, or lie.
 *
 * tsan: yes
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "control/control.h"
#include "control/control_i.h"

#define DEADLINE_MS 10000
#define BIG_ANSWER (4u * 1024 * 1024)

/* ---- a server on a thread --------------------------------------------------- */

struct server {
	pthread_t thread;
	struct event_base *base;
	struct control *control;
	int stop[2], answer_later[2];
	char path[100];
	struct control_req *kept; /* by /later */
};

static void
echo(struct control_req *req, bool is_post, const struct control_params *params,
    struct slice user)
{
	struct jsonw w;
	struct buf body;

	buf_init(&body, 1u << 20);
	jw_init(&w, &body);
	jw_open(&w, '{');
	jw_kbool(&w, "post", is_post);
	jw_kstr(&w, "user", user);
	for (uint32_t i = 0; i < params->n; i++) {
		assert_int_equal(params->v[i].key.p[params->v[i].key.n], '\0');
		assert_int_equal(params->v[i].value.p[params->v[i].value.n],
		    '\0');
		jw_kstr(&w, params->v[i].key.p, params->v[i].value);
	}
	jw_close(&w, '}');
	control_answer(req, 200, "application/json", &body);
}

static void
handle(void *ctx, struct control_req *req, bool is_post, struct slice path,
    const struct control_params *params, struct slice user)
{
	struct server *s = ctx;
	struct buf body;

	if (slice_eq(path, SL("/echo"))) {
		echo(req, is_post, params, user);
	} else if (slice_eq(path, SL("/big"))) {
		buf_init(&body, BIG_ANSWER);
		memset(buf_room(&body, BIG_ANSWER), 'x', BIG_ANSWER);
		buf_grew(&body, BIG_ANSWER);
		control_answer(req, 200, "text/plain", &body);
	} else if (slice_eq(path, SL("/later"))) {
		s->kept = req;
		assert_int_equal(write(s->answer_later[1], "k", 1), 1);
	} else {
		control_error(req, 404, "there is no such thing");
	}
}

static void
on_stop(evutil_socket_t fd, short what, void *arg)
{
	char c;

	(void)what;
	assert_int_equal(read(fd, &c, 1), 1);
	if (c == 's') {
		event_base_loopbreak(((struct server *)arg)->base);
		return;
	}
	/* Answer what was kept. */
	control_error(((struct server *)arg)->kept, 418, "late");
	((struct server *)arg)->kept = NULL;
}

static void *
serve(void *arg)
{
	struct server *s = arg;
	struct event *stop =
	    event_new(s->base, s->stop[0], EV_READ | EV_PERSIST, on_stop, s);

	event_add(stop, NULL);
	event_base_dispatch(s->base);
	control_free(s->control);
	event_free(stop);
	event_base_free(s->base);
	return NULL;
}

static void
server_tell(struct server *s, char what)
{
	assert_int_equal(write(s->stop[1], &what, 1), 1);
}

static int
server_start(void **state)
{
	const char *dir = getenv("TMP");
	struct server *s = mem_get(sizeof(*s));
	char why[256] = "";

	snprintf(s->path, sizeof(s->path), "%s/control.%d",
	    dir && strlen(dir) < 75 ? dir : "/tmp", (int)getpid());
	unlink(s->path);
	assert_int_equal(pipe(s->stop), 0);
	assert_int_equal(pipe(s->answer_later), 0);
	s->base = event_base_new();
	s->control = control_new(s->base, s->path, handle, s, why, sizeof(why));
	assert_string_equal(why, "");
	assert_non_null(s->control);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	*state = s;
	return 0;
}

static void
server_join(struct server *s)
{
	if (s->thread == 0)
		return;
	server_tell(s, 's');
	pthread_join(s->thread, NULL);
	s->thread = 0;
}

static int
server_stop(void **state)
{
	struct server *s = *state;

	server_join(s);
	for (int i = 0; i < 2; i++) {
		close(s->stop[i]);
		close(s->answer_later[i]);
	}
	mem_free(s);
	return 0;
}

/* ---- raw clients --------------------------------------------------------------- */

static int
dial(const struct server *s)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa;

	assert_true(socket_address(&sa, s->path));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void
say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL),
	    (ssize_t)strlen(text));
}

/* Reads until the text has been seen so often; the deadline fails. */
static void
hear(int fd, const char *text, int times, struct buf *all)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char chunk[4096];
	ssize_t n;

	buf_init(all, 16u << 20);
	for (;;) {
		const char *at = buf_slice(all).p;
		int seen = 0;

		while (all->n > 0 && (at = strstr(at, text)) != NULL) {
			seen++;
			at++;
		}
		if (seen >= times)
			return;
		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		n = read(fd, chunk, sizeof(chunk));
		if (n <= 0)
			fail_msg("closed before \"%s\": %s", text,
			    buf_slice(all).p);
		buf_add(all, chunk, (size_t)n);
		buf_addc(all, '\0');
		buf_cut(all, all->n - 1);
	}
}

static void
expect(int fd, const char *text)
{
	struct buf all;

	hear(fd, text, 1, &all);
	buf_free(&all);
}

static int
ask(const struct server *s, const char *path, const char *body, struct buf *out)
{
	buf_init(out, 1u << 20);
	return control_call(s->path, path, slice_str(body), DEADLINE_MS, out);
}

static void
asking_gives(const struct server *s, const char *path, const char *body,
    int status, const char *part)
{
	struct buf out;

	assert_int_equal(ask(s, path, body, &out), status);
	buf_addc(&out, '\0');
	if (strstr(buf_slice(&out).p, part) == NULL)
		fail_msg("%s: %s has no %s", path, buf_slice(&out).p, part);
	buf_free(&out);
}

/* ---- requests -------------------------------------------------------------------- */

static void
a_query_string_is_decoded(void **state)
{
	asking_gives(*state, "/echo?a=1&b=x%20y%2f&&c=&d&e=1+1", "", 200,
	    "\"a\":\"1\",\"b\":\"x y/\",\"c\":\"\",\"d\":\"\","
	    "\"e\":\"1 1\"}");
}

static void
a_json_body_gives_the_same_parameters(void **state)
{
	asking_gives(*state, "/echo?q=1",
	    "{\"t\":\"a\\u00e9\",\"i\":-5,\"r\":1.5,\"y\":true,\"n\":false,"
	    "\"z\":null}",
	    200,
	    "\"q\":\"1\",\"t\":\"a\xc3\xa9\",\"i\":\"-5\",\"r\":\"1.5\","
	    "\"y\":\"true\",\"n\":\"false\"}");
	asking_gives(*state, "/echo", "{\"a\":1}", 200, "\"post\":true");
	asking_gives(*state, "/echo", "", 200, "\"post\":false");
}

static void
the_user_at_the_other_end_is_known_by_name(void **state)
{
	const struct passwd *pw = getpwuid(getuid());
	char text[100];

	snprintf(text, sizeof(text), "\"user\":\"%s\"", pw->pw_name);
	asking_gives(*state, "/echo", "", 200, text);
}

static void
what_is_wrong_with_a_request_is_said(void **state)
{
	asking_gives(*state, "/nothing", "", 404,
	    "{\"error\":\"there is no such thing\"}");
	asking_gives(*state, "/echo?a=1&a=2", "", 400, "given twice");
	asking_gives(*state, "/echo?a=%zz", "", 400, "percent-encoded");
	asking_gives(*state, "/echo?a=%00", "", 400, "percent-encoded");
	asking_gives(*state, "/echo?=1", "", 400, "no name");
	asking_gives(*state, "/echo", "[1]", 400, "not a JSON object");
	asking_gives(*state, "/echo", "{\"a\":", 400, "not a JSON object");
	asking_gives(*state, "/echo", "{\"a\":1,\"a\":2}", 400, "JSON");
	asking_gives(*state, "/echo", "{\"a\":{}}", 400, "neither text");
	asking_gives(*state, "/echo?a=1", "{\"a\":1}", 400, "given twice");
}

static void
there_is_a_ceiling_on_parameters_and_on_bodies(void **state)
{
	char query[1024] = "/echo?p0=", *body;
	size_t n = strlen(query);

	for (int i = 1; i <= CONTROL_PARAMS_MAX; i++)
		n += (size_t)snprintf(query + n, sizeof(query) - n, "&p%d=%d",
		    i, i);
	asking_gives(*state, query, "", 400, "too many");
	body = mem_get(CONTROL_BODY_MAX + 2);
	memset(body, ' ', CONTROL_BODY_MAX + 1);
	asking_gives(*state, "/echo", body, 413, "too big");
	body[0] = '{';
	body[1] = '}';
	body[CONTROL_BODY_MAX] = '\0';
	asking_gives(*state, "/echo", body, 200, "\"post\":true");
	mem_free(body);
}

static void
other_methods_are_refused(void **state)
{
	static const char *const methods[] = { "PUT", "DELETE", "PATCH",
		"OPTIONS", "TRACE" };
	char text[128];
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		fd = dial(*state);
		snprintf(text, sizeof(text), "%s /echo HTTP/1.1\r\n\r\n",
		    methods[i]);
		say(fd, text);
		expect(fd, "405");
		close(fd);
	}
	fd = dial(*state);
	say(fd, "PUT /echo HTTP/1.1\r\n\r\n");
	expect(fd, "Allow: GET, POST");
	close(fd);
}

static void
garbage_is_answered_or_dropped_and_harms_nobody(void **state)
{
	static const char *const lines[] = { "\r\n\r\n", "GET\r\n\r\n",
		"GET  HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02",
		"GET /echo HTTP/9.9\r\n\r\n", "GET /echo%zz HTTP/1.1\r\n\r\n",
		"POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"POST /echo HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
		"GET http:// HTTP/1.1\r\n\r\n", "GET ? HTTP/1.1\r\n\r\n" };

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		int fd = dial(*state);

		say(fd, lines[i]);
		close(fd);
		asking_gives(*state, "/echo?ok=yes", "", 200, "yes");
	}
}

static void
a_head_without_end_is_cut_off(void **state)
{
	struct pollfd p = { .events = POLLIN };
	char line[1024];
	int fd = dial(*state);
	ssize_t n = 1;

	memset(line, 'h', sizeof(line));
	for (int i = 0; i < 1024 && n > 0; i++)
		n = send(fd, line, sizeof(line), MSG_NOSIGNAL | MSG_DONTWAIT);
	p.fd = fd;
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	close(fd);
}

/* ---- connections ------------------------------------------------------------------ */

static void
a_connection_is_kept_and_requests_may_be_pipelined(void **state)
{
	struct buf all;
	int fd = dial(*state);

	say(fd, "GET /echo?n=1 HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(fd, "\"n\":\"1\"");
	say(fd,
	    "GET /echo?n=2 HTTP/1.1\r\nHost: x\r\n\r\n"
	    "GET /echo?n=3 HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(fd, "200 OK", 2, &all);
	buf_free(&all);
	close(fd);
}

static void
a_request_may_come_byte_by_byte(void **state)
{
	const char *text = "POST /echo HTTP/1.1\r\nHost: x\r\n"
			   "Content-Length: 9\r\n\r\n{\"k\":\"v\"}";
	char byte[2] = "";
	int fd = dial(*state);

	for (size_t i = 0; i < strlen(text); i++) {
		byte[0] = text[i];
		say(fd, byte);
	}
	expect(fd, "\"k\":\"v\"");
	close(fd);
}

static void
who_does_not_read_keeps_nobody_waiting(void **state)
{
	int slow[8];

	for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
		slow[i] = dial(*state);
		for (int k = 0; k < 16; k++)
			say(slow[i], "GET /big HTTP/1.1\r\n\r\n");
	}
	for (int i = 0; i < 20; i++)
		asking_gives(*state, "/echo?ok=yes", "", 200, "yes");
	for (size_t i = 0; i < ARRAY_LEN(slow); i++)
		close(slow[i]);
	asking_gives(*state, "/echo?ok=yes", "", 200, "yes");
}

static void
more_connections_than_there_is_room_for_wait_their_turn(void **state)
{
	int fd[70];

	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = dial(*state);
		say(fd[i], "GET /echo?ok=yes HTTP/1.1\r\n\r\n");
	}
	for (size_t i = 0; i < 64; i++)
		expect(fd[i], "yes");
	for (size_t i = 0; i < 64; i++)
		close(fd[i]);
	for (size_t i = 64; i < ARRAY_LEN(fd); i++) {
		expect(fd[i], "yes");
		close(fd[i]);
	}
	for (int i = 0; i < 200; i++)
		asking_gives(*state, "/echo?ok=yes", "", 200, "yes");
}

static void
wait_until_kept(struct server *s)
{
	struct pollfd p = { .fd = s->answer_later[0], .events = POLLIN };
	char c;

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(read(s->answer_later[0], &c, 1), 1);
}

static void
an_answer_may_come_later(void **state)
{
	struct server *s = *state;
	int fd = dial(s);

	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	wait_until_kept(s);
	asking_gives(s, "/echo?ok=yes", "", 200, "yes");
	server_tell(s, 'a');
	expect(fd, "{\"error\":\"late\"}");
	close(fd);
}

static void
an_answer_to_somebody_who_has_gone_is_for_nobody(void **state)
{
	struct server *s = *state;
	int fd = dial(s);

	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	wait_until_kept(s);
	close(fd);
	asking_gives(s, "/echo?ok=yes", "", 200, "yes");
	server_tell(s, 'a');
	asking_gives(s, "/echo?ok=yes", "", 200, "yes");
}

static void
a_server_that_stops_says_so_and_takes_its_socket_away(void **state)
{
	struct server *s = *state;
	struct stat st;
	int fd = dial(s);

	assert_int_equal(lstat(s->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0660);
	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	wait_until_kept(s);
	server_join(s);
	expect(fd, "503");
	close(fd);
	assert_int_not_equal(lstat(s->path, &st), 0);
}

/* ---- the socket's file --------------------------------------------------------------- */

static void
a_socket_in_use_is_not_taken_away(void **state)
{
	struct server *s = *state;
	struct event_base *base = event_base_new();
	char why[256] = "";

	assert_null(control_new(base, s->path, handle, NULL, why, sizeof(why)));
	assert_non_null(strstr(why, "in use"));
	asking_gives(s, "/echo?ok=yes", "", 200, "yes");
	event_base_free(base);
}

static void
what_a_dead_daemon_left_is_replaced(void **state)
{
	struct server *s = *state;
	struct sockaddr_un sa;
	struct control *c;
	struct event_base *base;
	char path[110], why[256] = "";
	int fd;

	snprintf(path, sizeof(path), "%s.old", s->path);
	assert_true(socket_address(&sa, path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);
	base = event_base_new();
	c = control_new(base, path, handle, NULL, why, sizeof(why));
	assert_string_equal(why, "");
	control_free(c);
	event_base_free(base);
}

static void
a_file_that_is_no_socket_is_left_alone(void **state)
{
	struct event_base *base = event_base_new();
	char why[256] = "";

	(void)state;
	assert_null(
	    control_new(base, "/dev/null", handle, NULL, why, sizeof(why)));
	assert_non_null(strstr(why, "no socket"));
	event_base_free(base);
}

static void
a_path_that_is_too_long_is_named(void **state)
{
	struct event_base *base = event_base_new();
	char path[200], why[512] = "";

	(void)state;
	memset(path, 'p', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_null(control_new(base, path, handle, NULL, why, sizeof(why)));
	assert_non_null(strstr(why, "107"));
	event_base_free(base);
}

/* ---- the client ------------------------------------------------------------------------- */

/* Answers one connection with a text, or with silence, from a thread. */
struct liar {
	pthread_t thread;
	int listener;
	const char *text;
	char path[100];
};

static void *
lie(void *arg)
{
	struct liar *l = arg;
	char chunk[512];
	int fd = accept(l->listener, NULL, NULL);

	if (read(fd, chunk, sizeof(chunk)) > 0 && l->text != NULL)
		say(fd, l->text);
	if (l->text == NULL)
		while (read(fd, chunk, sizeof(chunk)) > 0)
			continue;
	close(fd);
	return NULL;
}

static int
call_liar(struct server *s, const char *text, size_t max, int timeout_ms)
{
	struct liar l = { .text = text };
	struct sockaddr_un sa;
	struct buf out;
	int status;

	snprintf(l.path, sizeof(l.path), "%.90s.liar", s->path);
	unlink(l.path);
	assert_true(socket_address(&sa, l.path));
	l.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(l.listener, (struct sockaddr *)&sa, sizeof(sa)),
	    0);
	assert_int_equal(listen(l.listener, 1), 0);
	assert_int_equal(pthread_create(&l.thread, NULL, lie, &l), 0);
	buf_init(&out, max);
	status = control_call(l.path, "/", slice_of("", 0), timeout_ms, &out);
	buf_free(&out);
	pthread_join(l.thread, NULL);
	close(l.listener);
	unlink(l.path);
	return status;
}

static void
the_client_believes_nothing(void **state)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200 },
		{ "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 404 },
		{ "HTTP/1.0 200 OK\r\n\r\nto the end", 200 },
		{ "", E_CLOSED },
		{ "HTTP/1.1 20", E_PROTO },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", E_PROTO },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok", E_PROTO },
		{ "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", E_PROTO },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		    E_PROTO },
		{ "HTTP/1.1 999 OK\r\n\r\n", E_PROTO },
		{ "SSH-2.0-x\r\n\r\n", E_PROTO },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n",
		    E_TOOBIG },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int status = call_liar(*state, cases[i].text, 100, DEADLINE_MS);

		if (status != cases[i].status)
			fail_msg("%s: %d", cases[i].text, status);
	}
}

static void
the_client_waits_no_longer_than_it_was_told(void **state)
{
	assert_int_equal(call_liar(*state, NULL, 100, 50), E_TIMEOUT);
}

static void
where_nobody_listens_is_seen_at_once(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	assert_int_equal(control_call("/tmp/there/is/nothing", "/",
			     slice_of("", 0), DEADLINE_MS, &out),
	    E_CLOSED);
	buf_free(&out);
}

static void
values_in_a_query_are_encoded(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_addz(&b, "/x");
	control_query_add(&b, "a", SL("1 &=%\xc3\xa9~-"));
	control_query_add(&b, "b", SL(""));
	assert_true(
	    slice_eq(buf_slice(&b), SL("/x?a=1%20%26%3D%25%C3%A9~-&b=")));
	buf_free(&b);
}

#define SERVED(test)                                                           \
	cmocka_unit_test_setup_teardown(test, server_start, server_stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(a_query_string_is_decoded),
		SERVED(a_json_body_gives_the_same_parameters),
		SERVED(the_user_at_the_other_end_is_known_by_name),
		SERVED(what_is_wrong_with_a_request_is_said),
		SERVED(there_is_a_ceiling_on_parameters_and_on_bodies),
		SERVED(other_methods_are_refused),
		SERVED(garbage_is_answered_or_dropped_and_harms_nobody),
		SERVED(a_head_without_end_is_cut_off),
		SERVED(a_connection_is_kept_and_requests_may_be_pipelined),
		SERVED(a_request_may_come_byte_by_byte),
		SERVED(who_does_not_read_keeps_nobody_waiting),
		SERVED(more_connections_than_there_is_room_for_wait_their_turn),
		SERVED(an_answer_may_come_later),
		SERVED(an_answer_to_somebody_who_has_gone_is_for_nobody),
		SERVED(a_server_that_stops_says_so_and_takes_its_socket_away),
		SERVED(a_socket_in_use_is_not_taken_away),
		SERVED(what_a_dead_daemon_left_is_replaced),
		cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
		cmocka_unit_test(a_path_that_is_too_long_is_named),
		SERVED(the_client_believes_nothing),
		SERVED(the_client_waits_no_longer_than_it_was_told),
		cmocka_unit_test(where_nobody_listens_is_seen_at_once),
		cmocka_unit_test(values_in_a_query_are_encoded),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
