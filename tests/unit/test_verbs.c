/*
 * The verbs that ask a running daemon: what they ask for, what they print, and
 * their exit status. The daemon is a control server on a thread, with answers
 * that the tests give it.
 *
 * tsan: yes
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "control/control.h"
#include "daemon/verbs.h"

#define PAGES_MAX 4

struct server {
	pthread_t thread;
	struct event_base *base;
	struct control *control;
	int stop[2];
	char dir[80], socket[108];
	/* Answers in turn; the last is repeated. Written before a verb asks,
	 * read after it is done. */
	const char *pages[PAGES_MAX];
	int npages, status, asked;
	char request[1024]; /* the last: path key=value ... */
	char out[16384], err[4096];
};

/* ---- the daemon --------------------------------------------------------------- */

static void
handle(void *ctx, struct control_req *req, bool is_post, struct slice path,
    const struct control_params *params, struct slice user)
{
	struct server *s = ctx;
	size_t n, cap = sizeof(s->request);
	struct buf body;

	(void)user;
	n = (size_t)snprintf(s->request, cap, "%s %.*s",
	    is_post ? "POST" : "GET", SLF(path));
	for (uint32_t i = 0; i < params->n && n < cap; i++)
		n += (size_t)snprintf(s->request + n, cap - n, " %.*s=%.*s",
		    SLF(params->v[i].key), SLF(params->v[i].value));
	buf_init(&body, 1u << 20);
	buf_addz(&body, s->pages[MIN(s->asked, s->npages - 1)]);
	s->asked++;
	control_answer(req, s->status, "application/json", &body);
}

static void
on_stop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static void *
serve(void *arg)
{
	struct server *s = arg;
	struct event *stop =
	    event_new(s->base, s->stop[0], EV_READ, on_stop, s->base);

	event_add(stop, NULL);
	event_base_dispatch(s->base);
	control_free(s->control);
	event_free(stop);
	event_base_free(s->base);
	return NULL;
}

static int
set_up(void **state)
{
	struct server *s = mem_get(sizeof(*s));
	const char *tmp = getenv("TMP");
	char why[256] = "";

	snprintf(s->dir, sizeof(s->dir), "%s",
	    tmp && strlen(tmp) < sizeof(s->dir) ? tmp : "/tmp");
	snprintf(s->socket, sizeof(s->socket), "%s/verbs.%d", s->dir,
	    (int)getpid());
	unlink(s->socket);
	s->status = 200;
	s->pages[0] = "{}";
	s->npages = 1;
	assert_int_equal(pipe(s->stop), 0);
	s->base = event_base_new();
	s->control =
	    control_new(s->base, s->socket, handle, s, why, sizeof(why));
	assert_string_equal(why, "");
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	*state = s;
	return 0;
}

static int
tear_down(void **state)
{
	struct server *s = *state;

	assert_int_equal(write(s->stop[1], "s", 1), 1);
	pthread_join(s->thread, NULL);
	close(s->stop[0]);
	close(s->stop[1]);
	mem_free(s);
	return 0;
}

/* ---- a verb --------------------------------------------------------------------- */

static int
divert(const struct server *s, int fd, const char *name)
{
	char path[128];
	int saved = dup(fd), file;

	snprintf(path, sizeof(path), "%s/%s.%d", s->dir, name, (int)getpid());
	file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(saved >= 0 && file >= 0);
	unlink(path);
	dup2(file, fd);
	close(file);
	return saved;
}

static void
restore(int fd, int saved, char *text, size_t cap)
{
	ssize_t n = pread(fd, text, cap - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	dup2(saved, fd);
	close(saved);
}

/* Runs a verb with words, separated by '|' and with -H SOCKET behind. */
static int
run(struct server *s, int (*verb)(int, char **), const char *words)
{
	char line[1024], *argv[32], *at = line;
	int argc = 0, saved[2], status;

	slice_copy(slice_str(words), line, sizeof(line));
	while (at != NULL)
		argv[argc++] = strsep(&at, "|");
	argv[argc++] = "-H";
	argv[argc++] = s->socket;
	argv[argc] = NULL;
	fflush(stdout);
	saved[0] = divert(s, 1, "out");
	saved[1] = divert(s, 2, "err");
	s->asked = 0;
	status = verb(argc, argv);
	fflush(stdout);
	restore(1, saved[0], s->out, sizeof(s->out));
	restore(2, saved[1], s->err, sizeof(s->err));
	return status;
}

static void
has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no \"%s\" in:\n%s", part, text);
}

/* ---- status, queues, sources -------------------------------------------------------- */

static void
status_is_told_in_words(void **state)
{
	struct server *s = *state;

	s->pages[0] = "{\"time\":\"2026-11-24T10:32:07.5Z\",\"uptime_s\":3661,"
		      "\"hostname\":\"mta1\\u001b.example\","
		      "\"version\":\"9.9\",\"totals\":{\"recipients\":12,"
		      "\"messages\":7,\"held\":3,\"delivered_total\":99}}";
	assert_int_equal(run(s, verb_status, "status"), 0);
	assert_string_equal(s->request, "GET /v1/status");
	has(s->out,
	    "mtad 9.9 on mta1\\x1b.example at 2026-11-24T10:32:07.5Z, "
	    "up 1h01m");
	has(s->out, "12 recipients of 7 messages");
	has(s->out, "99 delivered");
}

static void
json_is_the_answer_as_it_is(void **state)
{
	struct server *s = *state;

	s->pages[0] = "{\"a\" : [1, 2.50]}\n";
	assert_int_equal(run(s, verb_status, "status|--json"), 0);
	assert_string_equal(s->out, "{\"a\" : [1, 2.50]}\n");
}

static void
queues_are_a_table_with_columns_in_line(void **state)
{
	struct server *s = *state;

	s->pages[0] =
	    "{\"total\":5,\"queues\":["
	    "{\"domain\":\"a.example\",\"site\":\"mx\",\"pool\":\"p\","
	    "\"tenant\":\"\",\"campaign\":\"c\",\"depth\":123456,\"due\":1,"
	    "\"rate\":1.25,\"deferral_share\":0.5,\"conns\":2,"
	    "\"oldest_s\":90,\"why\":\"rate\",\"until_s\":0.25,"
	    "\"eta\":{\"is\":\"time\",\"at_s\":7200}},"
	    "{\"domain\":\"long-name.example\",\"pinned_to\":\"s1\",\"why\":\"held\","
	    "\"eta\":{\"is\":\"unknown\"},"
	    "\"until\":null}]}";
	assert_int_equal(run(s, verb_queues, "queues|-s|due|-n|2"), 0);
	assert_string_equal(s->request, "GET /v1/queues sort=due n=2");
	has(s->out,
	    "DOMAIN             SITE  POOL  ONLY FROM  TENANT  CAMPAIGN   "
	    "DEPTH  DUE  OUT/S  DEFER%  CONNS  OLDEST  WHY     FOR      ETA\n"
	    "a.example          mx    p     -          -       c         "
	    "123456    1    1.2      50      2      1m  rate  250ms    2h00m\n"
	    "long-name.example  -     -     s1         -       -         "
	    "     0    0    0.0       0      0       -  held      -  unknown\n"
	    "(3 more)\n");
}

static void
sources_are_a_table_too(void **state)
{
	struct server *s = *state;

	s->pages[0] = "{\"total\":1,\"sources\":[{\"source\":\"a\","
		      "\"address\":\"10.0.0.1\",\"ehlo\":\"a.example\","
		      "\"paths\":3,\"paths_backoff\":1,"
		      "\"why\":\"backoff\",\"until_s\":61}]}";
	assert_int_equal(run(s, verb_sources, "sources"), 0);
	assert_string_equal(s->request, "GET /v1/sources sort=order n=1000");
	has(s->out, "a       10.0.0.1  a.example");
	has(s->out, "backoff   1m\n");
	assert_int_equal(run(s, verb_sources, "sources|-s|refused|-n|3"), 0);
	assert_string_equal(s->request, "GET /v1/sources sort=refused n=3");
}

static void
warm_up_is_a_table(void **state)
{
	struct server *s = *state;

	s->pages[0] = "{\"warmup\":[{\"source\":\"new1\",\"provider\":\"g\","
		      "\"plan\":\"w\",\"stage\":3,\"stages\":29,"
		      "\"share\":1000,\"sent\":40,\"delivered\":30,"
		      "\"deferred\":10,\"bounced\":0,\"complained\":1,"
		      "\"today\":\"hold\",\"today_because\":\"it is early\","
		      "\"verdict\":\"new\",\"because\":\"\"}]}";
	assert_int_equal(run(s, verb_warmup, "warmup"), 0);
	assert_string_equal(s->request, "GET /v1/warmup");
	has(s->out, "new1    g         w      3/29   1000    40    25.0");
	has(s->out, "hold: it is early  new");
}

static void
limits_are_listed_tuple_by_tuple(void **state)
{
	struct server *s = *state;

	s->pages[0] =
	    "{\"limits\":[{\"limit\":\"gmail\",\"waiting\":3,"
	    "\"refusals\":70,\"blocked_path_s\":61.5,"
	    "\"blocked_recipient_s\":7200}],\"tuples\":[{\"limit\":"
	    "\"gmail\",\"tuple\":{\"source\":\"a\\u0007\",\"site\":"
	    "\"mx.example\"},\"connections\":{\"now\":10,\"most\":10},"
	    "\"quota\":{\"now\":4,\"most\":9},\"is_shut\":true,"
	    "\"until_s\":30,\"waiting\":2,\"refusals\":5,"
	    "\"blocked_path_s\":60}],\"cursor\":40}";
	s->pages[1] = "{\"limits\":[],\"tuples\":[{\"limit\":\"x\","
		      "\"tuple\":{},\"is_shut\":false,\"waiting\":0,"
		      "\"refusals\":0,\"blocked_path_s\":0}],"
		      "\"cursor\":null}";
	s->npages = 2;
	assert_int_equal(run(s, verb_limits, "limits|gm"), 0);
	assert_string_equal(s->request,
	    "GET /v1/limits n=99 name=gm cursor=40");
	has(s->out, "gmail        3       70");
	has(s->out,
	    "gmail  source a\\x07, site mx.example  connections 10/10, quota "
	    "4/9        2  shut   30s        5");
	has(s->out, "x      all ");
	s->asked = 0;
	assert_int_equal(run(s, verb_limits, "limits|--limit|1|--json"), 0);
	assert_string_equal(s->request, "GET /v1/limits n=1");
	has(s->out, "\"cursor\":40");
	assert_int_equal(run(s, verb_limits, "limits|a|b"), 2);
	assert_int_equal(run(s, verb_limits, "limits|--limit|0"), 2);
}

static void
reactions_are_listed_and_ended(void **state)
{
	struct server *s = *state;

	s->pages[0] =
	    "{\"total\":2,\"reactions\":[{\"id\":7,\"target\":{"
	    "\"source\":\"a\",\"site\":\"mx.example\"},"
	    "\"action\":\"suspend\",\"until_s\":3600,\"first_s\":60,"
	    "\"count\":3,\"rule\":\"r\",\"file\":\"f.yml\",\"line\":9,"
	    "\"reply\":{\"code\":421,\"enhanced\":\"4.7.0\","
	    "\"text\":\"slow\\u0007 down\"}}]}";
	assert_int_equal(run(s, verb_reactions, "reactions"), 0);
	assert_string_equal(s->request, "GET /v1/reactions n=1000");
	has(s->out, "7  source a, site mx.example  suspend  1h00m     1m");
	has(s->out, "3  r     f.yml:9  421 4.7.0 slow\\x07 down\n(1 more)\n");
	assert_int_equal(run(s, verb_end, "end|7|--reason|because"), 0);
	assert_string_equal(s->request, "POST /v1/end id=7 reason=because");
	has(s->out, "It is over; 2 hold");
	s->status = 404;
	s->pages[0] = "{\"error\":\"no reaction of that number holds\"}";
	assert_int_equal(run(s, verb_end, "end|8"), 1);
	has(s->err, "no reaction of that number holds");
	assert_int_equal(run(s, verb_end, "end"), 2);
	assert_int_equal(run(s, verb_end, "end|x"), 2);
}

static void
what_the_daemon_refuses_is_said_and_exit_1(void **state)
{
	struct server *s = *state;

	s->status = 400;
	s->pages[0] = "{\"error\":\"sort: unknown\\u0007 key\"}";
	assert_int_equal(run(s, verb_queues, "queues|--sort|x"), 1);
	has(s->err, "mtad: sort: unknown\\x07 key");
	s->pages[0] = "not json";
	assert_int_equal(run(s, verb_queues, "queues"), 1);
	has(s->err, "answered 400");
	s->status = 200;
	assert_int_equal(run(s, verb_queues, "queues"), 1);
	has(s->err, "not JSON");
}

static void
a_daemon_that_is_not_there_is_exit_3(void **state)
{
	struct server *s = *state;

	slice_copy(SL("/tmp/no/such/socket"), s->socket, sizeof(s->socket));
	assert_int_equal(run(s, verb_status, "status"), 3);
	has(s->err, "mtad is not running at /tmp/no/such/socket");
	has(s->err, "mtad run -c");
	assert_int_equal(run(s, verb_messages, "list"), 3);
}

static void
help_is_exit_0_and_nonsense_exit_2(void **state)
{
	struct server *s = *state;

	assert_int_equal(run(s, verb_status, "status|--help"), 0);
	has(s->out, "usage: mtad status");
	assert_int_equal(run(s, verb_queues, "queues|--help"), 0);
	has(s->out, "--sort KEY");
	assert_int_equal(run(s, verb_messages, "bounce|--help"), 0);
	has(s->out, "usage: mtad bounce");
	has(s->out, "--dry-run");
	assert_int_equal(run(s, verb_status, "status|--wrong"), 2);
	has(s->err, "try: mtad status --help");
	assert_int_equal(run(s, verb_sources, "sources|more"), 2);
	assert_int_equal(run(s, verb_messages, "list|--limit|0"), 2);
	assert_int_equal(run(s, verb_messages, "list|--older-than|soon"), 2);
	has(s->err, "soon");
	assert_int_equal(s->asked, 0);
}

static void
the_socket_is_taken_from_the_configuration(void **state)
{
	struct server *s = *state;
	char path[128];
	char *argv[] = { "status", "-c", path, "--json", NULL };
	int saved, status;
	FILE *f;

	snprintf(path, sizeof(path), "%s/verbs.yml", s->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f,
	    "hostname: mta1.example\npostmaster: ops@mta1.example\n"
	    "spool: /tmp/x/spool\ncontrol: %s\nlog: /tmp/x/log\n"
	    "listen: { in: { bind: 127.0.0.1:2525 } }\n"
	    "source: { a: { address: 127.0.0.10 } }\n"
	    "pool: { default: { sources: [a] } }\n",
	    s->socket);
	fclose(f);
	fflush(stdout);
	saved = divert(s, 1, "out");
	status = verb_status(4, argv);
	fflush(stdout);
	restore(1, saved, s->out, sizeof(s->out));
	assert_int_equal(status, 0);
	assert_string_equal(s->request, "GET /v1/status");
	unlink(path);
}

/* ---- messages ------------------------------------------------------------------------ */

static void
selectors_are_passed_on(void **state)
{
	struct server *s = *state;

	s->pages[0] = "{\"recipients\":[],\"cursor\":null}";
	assert_int_equal(run(s, verb_messages,
			     "list|--domain|a b&c.example|--tenant|t|"
			     "--campaign|c|--pool|p|--older-than|1h30m"),
	    0);
	assert_string_equal(s->request,
	    "GET /v1/messages domain=a b&c.example tenant=t campaign=c "
	    "pool=p older_than=1h30m n=100");
	assert_int_equal(run(s, verb_messages, "list|0123"), 0);
	assert_string_equal(s->request, "GET /v1/messages id=0123 n=100");
}

static void
a_list_turns_pages_up_to_its_limit(void **state)
{
	struct server *s = *state;

	s->pages[0] = "{\"recipients\":[{\"id\":\"A\",\"why\":\"retry\","
		      "\"until_s\":600,\"age_s\":7,\"attempts\":1,"
		      "\"last\":{\"code\":451,\"enhanced\":\"4.7.1\","
		      "\"stage\":\"rcpt\"}}],\"cursor\":17}";
	s->pages[1] = "{\"recipients\":[{\"id\":\"B\"},{\"id\":\"C\"}],"
		      "\"cursor\":null}";
	s->npages = 2;
	assert_int_equal(run(s, verb_messages, "list|--limit|10"), 0);
	assert_int_equal(s->asked, 2);
	assert_string_equal(s->request, "GET /v1/messages n=9 cursor=17");
	has(s->out, "451 4.7.1 at rcpt");
	has(s->out, "\nB ");
	has(s->out, "\nC ");
	assert_int_equal(run(s, verb_messages, "list|--limit|1"), 0);
	assert_int_equal(s->asked, 1);
	has(s->out, "there is more");
}

static void
a_message_is_shown_with_its_recipients(void **state)
{
	struct server *s = *state;

	s->pages[0] = "{\"id\":\"A\",\"sender\":\"x@y\\u0008\","
		      "\"size_bytes\":4096,\"recipients\":[{\"address\":"
		      "\"r@a.example\",\"state\":\"queued\","
		      "\"why\":\"held\"}]}";
	assert_int_equal(run(s, verb_messages, "show|A"), 0);
	assert_string_equal(s->request, "GET /v1/message id=A");
	has(s->out, "<x@y\\x08>");
	has(s->out, "r@a.example  queued");
	assert_int_equal(run(s, verb_messages, "show"), 2);
	has(s->err, "which message");
}

static void
actions_say_what_they_did(void **state)
{
	struct server *s = *state;

	s->pages[0] = "{\"recipients\":12}";
	assert_int_equal(run(s, verb_messages,
			     "hold|--domain|a.example|--reason|why \"not\""),
	    0);
	assert_string_equal(s->request,
	    "POST /v1/admin verb=hold domain=a.example reason=why \"not\" "
	    "all=false dry_run=false");
	assert_string_equal(s->out, "12 recipients held\n");
	s->pages[0] = "{\"recipients\":1}";
	assert_int_equal(run(s, verb_messages, "bounce|--all|--dry-run"), 0);
	assert_string_equal(s->request,
	    "POST /v1/admin verb=bounce all=true dry_run=true");
	assert_string_equal(s->out, "1 recipient would be bounced\n");
}

static void
nothing_is_done_to_everything_by_accident(void **state)
{
	static const char *const verbs[] = { "hold", "release", "retry",
		"bounce", "delete" };
	struct server *s = *state;
	char words[64];

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		assert_int_equal(run(s, verb_messages, verbs[i]), 2);
		has(s->err, "--all");
		snprintf(words, sizeof(words), "%s|--all|--pool|p", verbs[i]);
		assert_int_equal(run(s, verb_messages, words), 2);
		has(s->err, "contradict");
		assert_int_equal(s->asked, 0);
	}
}

/* ---- explain ---------------------------------------------------------------- */

static void
a_queue_has_an_age(void **state)
{
	struct server *s = *state;

	s->pages[0] = "{\"what\":\"domain\",\"domain\":\"a.example\","
		      "\"queues\":[{\"pool\":\"p\",\"ages\":["
		      "{\"up_to_s\":300,\"recipients\":12},"
		      "{\"up_to_s\":900,\"recipients\":0},"
		      "{\"up_to_s\":86400,\"recipients\":3},"
		      "{\"up_to_s\":null,\"recipients\":1}],"
		      "\"ages_unknown\":7}]}";
	assert_int_equal(run(s, verb_explain, "explain|domain|a.example"), 0);
	has(s->out,
	    "  Age of its mail: up to 5m 12, 1d00h 3; older 1; not known of "
	    "7.\n");
}

static void
an_explanation_is_a_table_of_gates(void **state)
{
	struct server *s = *state;

	s->pages[0] =
	    "{\"what\":\"message\",\"id\":\"X1\",\"sender\":\"s@x\","
	    "\"recipients\":[{\"rcpt\":0,\"address\":\"r@\\u001bx\","
	    "\"state\":\"queued\",\"site\":\"mx\",\"attempts\":2,"
	    "\"shut_by\":\"rate\",\"next_s\":90,\"eta\":{\"is\":\"time\","
	    "\"low_s\":60,\"at_s\":120,\"high_s\":300},\"last\":{\"code\":450,"
	    "\"enhanced\":\"4.2.1\",\"stage\":\"rcpt\"},\"gates\":["
	    "{\"gate\":\"hold\",\"state\":\"open\"},"
	    "{\"gate\":\"rate\",\"state\":\"shut\",\"why\":\"rate\","
	    "\"until_s\":90,\"sources\":3,\"sources_open\":0,"
	    "\"source\":\"a\"}]}],\"cursor\":100}";
	assert_int_equal(run(s, verb_explain, "explain|message|X1"), 0);
	assert_string_equal(s->request, "GET /v1/explain what=message name=X1");
	has(s->out, "message X1 from <s@x>");
	has(s->out, "to <r@\\x1bx> by mx");
	has(s->out, "Shut by rate; next attempt in 1m.");
	has(s->out, "Expected to be delivered in 2m (1m to 5m).");
	has(s->out, "Last reply 450 4.2.1 at rcpt, after 2 attempts.");
	has(s->out,
	    "  GATE  STATE  FOR  BECAUSE\n"
	    "  hold  open     -  -\n"
	    "  rate  shut    1m  rate: 0 of 3 sources pass, source a\n");
	has(s->out, "(more: --cursor 100)");
}

static void
an_explanation_wants_to_know_of_what(void **state)
{
	struct server *s = *state;

	assert_int_equal(run(s, verb_explain, "explain|colour|red"), 2);
	has(s->err, "no such kind: colour");
	assert_int_equal(run(s, verb_explain, "explain|domain"), 2);
	has(s->err, "which one?");
	assert_int_equal(run(s, verb_explain, "explain|--help"), 0);
	has(s->out, "message");
	assert_int_equal(s->asked, 0);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(status_is_told_in_words),
		SERVED(json_is_the_answer_as_it_is),
		SERVED(queues_are_a_table_with_columns_in_line),
		SERVED(sources_are_a_table_too),
		SERVED(warm_up_is_a_table),
		SERVED(a_queue_has_an_age),
		SERVED(limits_are_listed_tuple_by_tuple),
		SERVED(reactions_are_listed_and_ended),
		SERVED(what_the_daemon_refuses_is_said_and_exit_1),
		SERVED(a_daemon_that_is_not_there_is_exit_3),
		SERVED(help_is_exit_0_and_nonsense_exit_2),
		SERVED(the_socket_is_taken_from_the_configuration),
		SERVED(selectors_are_passed_on),
		SERVED(a_list_turns_pages_up_to_its_limit),
		SERVED(a_message_is_shown_with_its_recipients),
		SERVED(actions_say_what_they_did),
		SERVED(nothing_is_done_to_everything_by_accident),
		SERVED(an_explanation_is_a_table_of_gates),
		SERVED(an_explanation_wants_to_know_of_what),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
