/* HTTP requests, fed whole, byte by byte and split at every point. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "proto/proto.h"

#define HEAD "POST /v1/m?a=b HTTP/1.1\r\nHost: x\r\n"

static const struct http_srv_conf conf = { .body_max = 1000,
	.head_ms = 1000,
	.body_ms = 2000,
	.answer_ms = 3000 };

/* What was seen of a conversation; each request is answered 202 "{}". */
struct seen {
	struct http_srv s;
	char text[4096];
	size_t n;
	bool is_closed;
};

static void
note(struct seen *x, struct slice s)
{
	assert_true(x->n + s.n < sizeof(x->text));
	memcpy(x->text + x->n, s.p, s.n);
	x->n += s.n;
	x->text[x->n] = '\0';
}

static void
feed(struct seen *x, struct slice in)
{
	while (!x->is_closed)
		switch (http_srv_step(&x->s, &in, 0)) {
		case HTTP_HEAD:
			note(x, x->s.path);
			note(x, SL("<"));
			http_srv_go_ahead(&x->s);
			break;
		case HTTP_BODY:
			note(x, x->s.body);
			break;
		case HTTP_END:
			note(x, SL(">"));
			http_srv_reply(&x->s, 202, SL(""), SL("{}"));
			break;
		case HTTP_ABORT:
			note(x, SL("!"));
			break;
		case HTTP_CLOSE:
			x->is_closed = true;
			break;
		default:
			return;
		}
}

static void
begin(struct seen *x)
{
	memset(x, 0, sizeof(*x));
	http_srv_init(&x->s, &conf, 0);
}

static void
is_seen(struct seen *x, const char *want, int status)
{
	char line[32];

	assert_string_equal(x->text, want);
	if (status > 0) {
		snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
		assert_non_null(memmem(buf_slice(&x->s.out).p, x->s.out.n, line,
		    strlen(line)));
	}
	http_srv_free(&x->s);
}

static void
check(const char *in, size_t n, const char *want, int status, bool closes)
{
	struct seen x;

	for (size_t cut = 0; cut <= n; cut++) {
		begin(&x);
		feed(&x, slice_of(in, cut));
		feed(&x, slice_of(in + cut, n - cut));
		assert_int_equal(x.is_closed, closes);
		is_seen(&x, want, status);
	}
	begin(&x);
	for (size_t i = 0; i < n; i++)
		feed(&x, slice_of(in + i, 1));
	assert_int_equal(x.is_closed, closes);
	is_seen(&x, want, status);
}

#define CHECK(in, want, status, closes)                                        \
	check(in, sizeof(in) - 1, want, status, closes)

static void
bodies_come_as_they_were_sent(void **state)
{
	(void)state;
	CHECK(HEAD "Content-Length: 5\r\n\r\nhello", "/v1/m<hello>", 202,
	    false);
	CHECK(HEAD "Content-Length: 0\r\n\r\n", "/v1/m<>", 202, false);
	CHECK(HEAD "\r\n", "/v1/m<>", 202, false);
	CHECK(HEAD "Transfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nhel\r\n"
		   "02\r\nlo\r\n0\r\nA: b\r\n\r\n",
	    "/v1/m<hello>", 202, false);
	CHECK(HEAD "Connection: x, Close\r\n\r\n", "/v1/m<>", 202, true);
	CHECK("GET http://h/p HTTP/1.0\r\n\r\n", "/p<>", 202, true);
	CHECK("\r\n" HEAD "\r\n", "/v1/m<>", 202, false);
}

static void
requests_come_one_after_the_other(void **state)
{
	(void)state;
	CHECK(HEAD "Content-Length: 1\r\n\r\na" HEAD
		   "Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n" HEAD
		   "\r\n",
	    "/v1/m<a>/v1/m<b>/v1/m<>", 202, false);
}

/* What could be two requests to somebody else is none, and the end. */
static void
what_is_not_clear_is_refused(void **state)
{
	(void)state;
	CHECK(HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0",
	    "", 400, true);
	CHECK(HEAD "Content-Length: 1\r\ncontent-length: 1\r\n\r\nx", "", 400,
	    true);
	CHECK(HEAD "Content-Length: 1,1\r\n\r\nx", "", 400, true);
	CHECK(HEAD "Content-Length: 0x1\r\n\r\nx", "", 400, true);
	CHECK(HEAD "Content-Length: -1\r\n\r\nx", "", 400, true);
	CHECK(HEAD "Transfer-Encoding: identity, chunked\r\n\r\n", "", 501,
	    true);
	CHECK(HEAD "Transfer-Encoding\r\n: chunked\r\n\r\n", "", 400, true);
	CHECK(HEAD "Transfer-Encoding : chunked\r\n\r\n", "", 400, true);
	CHECK("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "", 400,
	    true);
	CHECK(HEAD "A: b\r\n c\r\n\r\n", "", 400, true);
	CHECK(HEAD "A: b\nC: d\r\n\r\n", "", 400, true);
	CHECK(HEAD "A: b\rc\r\n\r\n", "", 400, true);
	CHECK(HEAD "A: b\0c\r\n\r\n", "", 400, true);
	CHECK("POST / HTTP/1.1\r\n\r\n", "", 400, true);
	CHECK(HEAD "Host: y\r\n\r\n", "", 400, true);
	CHECK("POST  / HTTP/1.1\r\nHost: x\r\n\r\n", "", 400, true);
	CHECK("POST / HTTP/1.1 x\r\nHost: x\r\n\r\n", "", 400, true);
	CHECK("POST / HTTP/2.0\r\nHost: x\r\n\r\n", "", 505, true);
	CHECK(HEAD "Expect: x\r\n\r\n", "", 417, true);
	CHECK(HEAD "Content-Length: 1001\r\n\r\n", "", 413, true);
	CHECK(HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "/v1/m<a!",
	    400, true);
	CHECK(HEAD "Transfer-Encoding: chunked\r\n\r\n1\na", "/v1/m<!", 400,
	    true);
	CHECK(HEAD "Transfer-Encoding: chunked\r\n\r\n-1\r\n", "/v1/m<!", 400,
	    true);
	CHECK(HEAD "Transfer-Encoding: chunked\r\n\r\n3e9\r\n", "/v1/m<!", 413,
	    true);
	CHECK(HEAD "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
	    "/v1/m<!", 400, true);
}

static void
a_head_has_a_ceiling(void **state)
{
	struct slice fields = SL("A: b\r\n"), line = SL(HEAD);
	struct seen x;

	(void)state;
	begin(&x);
	feed(&x, line);
	for (uint32_t i = 0; i <= HTTP_FIELDS_MAX; i++)
		feed(&x, fields);
	feed(&x, SL("\r\n"));
	is_seen(&x, "", 431);
	begin(&x);
	feed(&x, line);
	for (uint32_t i = 0; i < HTTP_HEAD_MAX && !x.is_closed; i++)
		feed(&x, SL("AAAA"));
	assert_true(x.is_closed);
	is_seen(&x, "", 431);
}

static void
a_client_that_waits_is_told(void **state)
{
	struct seen x;

	(void)state;
	begin(&x);
	feed(&x, SL(HEAD "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n"));
	assert_true(slice_has_prefix(buf_slice(&x.s.out),
	    SL("HTTP/1.1 100 Continue\r\n\r\n")));
	feed(&x, SL("x"));
	is_seen(&x, "/v1/m<x>", 202);
}

/* Refused at its head: a short body goes by, a long one ends the connection. */
static void
refuse(const char *length, bool closes)
{
	static const char said[] =
	    "{\"error\":{\"code\":\"no\",\"message\":\"n\\\"o\","
	    "\"field\":\"f\"}}";
	struct slice in;
	char text[200];
	struct seen x;

	begin(&x);
	snprintf(text, sizeof(text), "%sContent-Length: %s\r\n\r\n", HEAD,
	    length);
	in = slice_str(text);
	x.s.conf = &(const struct http_srv_conf){ .body_max = 1 << 20 };
	assert_int_equal(http_srv_step(&x.s, &in, 0), HTTP_HEAD);
	http_srv_error(&x.s, 401, "no", SL("n\"o"), SL("f"), SL("X: y\r\n"));
	assert_int_equal(http_srv_step(&x.s, &in, 0),
	    closes ? HTTP_CLOSE : HTTP_NEED_INPUT);
	assert_non_null(
	    memmem(buf_slice(&x.s.out).p, x.s.out.n, said, strlen(said)));
	if (!closes) {
		feed(&x, SL("12345" HEAD "\r\n"));
		assert_string_equal(x.text, "/v1/m<>");
	}
	http_srv_free(&x.s);
}

static void
a_body_that_is_not_wanted_goes_by(void **state)
{
	(void)state;
	refuse("5", false);
	refuse("70000", true);
}

static void
every_wait_has_an_end(void **state)
{
	struct slice in = SL("P");
	struct seen x;

	(void)state;
	begin(&x);
	assert_int_equal(http_srv_deadline(&x.s), 1000 * US_PER_MS);
	assert_int_equal(http_srv_step(&x.s, &in, 500), HTTP_NEED_INPUT);
	in = SL("O");
	assert_int_equal(http_srv_step(&x.s, &in, 900), HTTP_NEED_INPUT);
	/* The whole head, from its first byte on. */
	assert_int_equal(http_srv_deadline(&x.s), 1000 * US_PER_MS + 500);
	http_srv_timeout(&x.s);
	feed(&x, SL(""));
	assert_true(x.is_closed);
	is_seen(&x, "", 408);
	begin(&x);
	http_srv_timeout(&x.s);
	assert_int_equal(x.s.out.n, 0); /* nothing was asked */
	http_srv_free(&x.s);
}

static void
queries_are_unescaped(void **state)
{
	struct slice q = SL("a=1&&b=x%40y+z&c"), name, value;
	struct buf b;

	(void)state;
	buf_init(&b, 64);
	assert_true(http_query_next(&q, &name, &value));
	assert_true(slice_eq(name, SL("a")) && slice_eq(value, SL("1")));
	assert_true(http_query_next(&q, &name, &value));
	assert_int_equal(http_unescape(value, &b), 0);
	assert_true(slice_eq(buf_slice(&b), SL("x@y z")));
	assert_true(http_query_next(&q, &name, &value));
	assert_true(slice_eq(name, SL("c")) && value.n == 0);
	assert_false(http_query_next(&q, &name, &value));
	assert_int_equal(http_unescape(SL("%4"), &b), E_SYNTAX);
	assert_int_equal(http_unescape(SL("%"), &b), E_SYNTAX);
	assert_int_equal(http_unescape(SL("%zz"), &b), E_SYNTAX);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_come_as_they_were_sent),
		cmocka_unit_test(requests_come_one_after_the_other),
		cmocka_unit_test(what_is_not_clear_is_refused),
		cmocka_unit_test(a_head_has_a_ceiling),
		cmocka_unit_test(a_client_that_waits_is_told),
		cmocka_unit_test(a_body_that_is_not_wanted_goes_by),
		cmocka_unit_test(every_wait_has_an_end),
		cmocka_unit_test(queries_are_unescaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
