/*
 * test_net_dns - look-ups against a name server of the test's own, which
 * answers as the name asked for says and is silent where it says so.
 * timeout: 60
 * sanitized: later
 */
#include "test_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/dns_i.h"

struct server {
	int fd;
	struct endpoint at;
	uint32_t nasked; /* what it has answered */
	bool is_deaf;
};

struct seen {
	int n, ok, negative, temp;
	uint32_t ttl_s;
	int64_t last_us;
	struct loop *l;
};

static void
server_open(struct server *s)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t n = sizeof(sa);
	int room = 8 << 20;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_true(s->fd >= 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sa, &n), 0);
	setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	s->at.ip = ip4(127, 0, 0, 1);
	s->at.port = ntohs(sa.sin_port);
}

static size_t
put(uint8_t *p, uint32_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	return (size_t)bytes;
}

/* The head of a record whose name is that of the question. */
static size_t
put_head(uint8_t *p, uint32_t type, uint32_t ttl, uint32_t bytes)
{
	size_t n = put(p, 0xc00c, 2);

	n += put(p + n, type, 2);
	n += put(p + n, 1, 2);
	n += put(p + n, ttl, 4);
	return n + put(p + n, bytes, 2);
}

static size_t
put_soa(uint8_t *p, uint32_t ttl, uint32_t minimum)
{
	size_t n = put_head(p, DNS_TYPE_SOA, ttl, 24);

	n += put(p + n, 0xc00c, 2);
	n += put(p + n, 0xc00c, 2);
	for (int i = 0; i < 4; i++)
		n += put(p + n, 1, 4);
	return n + put(p + n, minimum, 4);
}

/*
 * The first label says what there is:
 *	x-TTL-MIN  no such name, with an SOA of these numbers
 *	n-TTL-MIN  nothing of the type
 *	b          no such name, and no SOA
 *	m-TTL-MIN  no MX (SOA), an address of TTL 7000
 *	g...       an address
 *	t-TTL      the same, of this TTL
 *	s...       nothing is ever said
 */
static void
answer(struct server *s, uint8_t *p, size_t len, const struct sockaddr *to,
    socklen_t to_n)
{
	char label[64] = "";
	size_t n = 12, end;
	unsigned ttl = 0, minimum = 0;
	uint32_t type;

	memcpy(label, p + 13, MIN(p[12], 63u));
	while (n < len && p[n])
		n += 1u + p[n];
	end = n + 5;
	if (label[0] == 's' || end > len || s->is_deaf)
		return;
	sscanf(label + 1, "-%u-%u", &ttl, &minimum);
	type = (uint32_t)p[n + 1] << 8 | p[n + 2];
	put(p + 2, label[0] == 'x' || label[0] == 'b' ? 0x8183 : 0x8180, 2);
	put(p + 6, 0, 4);
	put(p + 10, 0, 2);
	s->nasked++;
	if (type == DNS_TYPE_A && strchr("gmt", label[0]) != NULL) {
		put(p + 6, 1, 2);
		end += put_head(p + end, type, label[0] == 't' ? ttl : 7000, 4);
		end += put(p + end, 0x7f000001, 4);
	} else if (label[0] != 'b') {
		put(p + 8, 1, 2);
		end += put_soa(p + end, ttl, minimum);
	}
	assert_true(sendto(s->fd, p, end, 0, to, to_n) == (ssize_t)end);
}

static void
serve(struct server *s)
{
	struct sockaddr_storage from;
	uint8_t p[1024];

	for (;;) {
		socklen_t n = sizeof(from);
		ssize_t got =
		    recvfrom(s->fd, p, 512, 0, (struct sockaddr *)&from, &n);

		if (got < 17)
			return;
		answer(s, p, (size_t)got, (struct sockaddr *)&from, n);
	}
}

static void
on_answer(void *user, uint64_t cookie, const struct dns_answer *a)
{
	struct seen *s = user;

	(void)cookie;
	s->n++;
	s->ok += a->status == DNS_OK;
	s->temp += a->status == DNS_TEMP;
	s->negative += a->status == DNS_NXDOMAIN || a->status == DNS_NO_ADDRESS;
	s->ttl_s = a->ttl_s;
	s->last_us = loop_now(s->l);
}

static struct dns_conf
conf_of(const struct server *s, int64_t timeout_us)
{
	return (struct dns_conf){
		.nservers = 1,
		.servers = { s->at },
		.timeout_us = timeout_us,
		.inflight_max = 256,
		.per_parent_max = 32,
		.queue_max = 100000,
		.cache_bytes = 8 << 20,
		.is_ipv4 = true,
		.port = 25,
	};
}

static struct dns *
resolver_of(struct loop *l, const struct dns_conf *conf)
{
	char why[128] = "";
	struct dns *d = dns_new(l, conf, why, sizeof(why));

	assert_non_null(d);
	return d;
}

static struct dns *
resolver(struct loop *l, const struct server *s, int64_t timeout_us)
{
	struct dns_conf conf = conf_of(s, timeout_us);

	return resolver_of(l, &conf);
}

#define SERVE_UNTIL(l, s, cond)                                                \
	do {                                                                   \
		int64_t end_ = loop_now(l) + PATIENCE_US;                      \
		while (!(cond)) {                                              \
			assert_true(loop_now(l) < end_);                       \
			serve(s);                                              \
			loop_turn(l, loop_now(l) + US_PER_MS);                 \
		}                                                              \
	} while (0)

static void
what_is_not_there_is_kept_as_its_zone_says(void **state)
{
	static const struct {
		const char *name;
		bool is_ok;
		uint32_t ttl_s;
	} names[] = {
		{ "x-900-60.example", false, 60 },
		{ "x-40-900.example", false, 40 },
		{ "n-900-77.example", false, 77 },
		{ "x-900-0.example", false, 10 },         /* not too short */
		{ "x-99999-86400.example", false, 3600 }, /* nor too long */
		{ "b.example", false, 10 },
		{ "m-900-123.example", true, 123 }, /* an MX may come */
		{ "g.example", true, 10 },
	};
	struct loop *l = loop_new();
	struct server s = { 0 };
	struct dns *d;

	(void)state;
	server_open(&s);
	d = resolver(l, &s, 5 * US_PER_S);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct seen seen = { .l = l };

		dns_lookup(d, slice_str(names[i].name), false, on_answer, &seen,
		    0);
		SERVE_UNTIL(l, &s, seen.n == 1);
		if (seen.ttl_s != names[i].ttl_s)
			print_error("%s: %u\n", names[i].name, seen.ttl_s);
		assert_int_equal(seen.ok, names[i].is_ok);
		assert_int_equal(seen.negative, !names[i].is_ok);
		assert_in_range(seen.ttl_s, MAX(names[i].ttl_s, 11u) - 1,
		    names[i].ttl_s);
	}
	dns_free(d);
	loop_free(l);
	close(s.fd);
}

#define SILENT 4000
#define GOOD 400

static void
ask_many(struct dns *d, struct seen *good, struct seen *silent, char turn)
{
	char name[64];

	for (int i = 0; i < SILENT; i++) {
		snprintf(name, sizeof(name), "s%d.s%d.example", i, i);
		dns_lookup(d, slice_str(name), false, on_answer, silent, 0);
		if (i % (SILENT / GOOD))
			continue;
		snprintf(name, sizeof(name), "g%c%d.g%d.example", turn, i, i);
		dns_lookup(d, slice_str(name), false, on_answer, good, 0);
	}
}

/* Each name has a parent of its own, as strangers' domains have. */
static void
thousands_without_an_answer_stall_no_other(void **state)
{
	struct loop *l = loop_new();
	struct seen good = { .l = l }, silent = { .l = l };
	struct server s = { 0 };
	struct dns *d;
	int64_t began;

	(void)state;
	server_open(&s);
	d = resolver(l, &s, 5 * US_PER_S);
	began = loop_now(l);
	ask_many(d, &good, &silent, 'a');
	SERVE_UNTIL(l, &s, good.n == GOOD);
	print_message("# the first time: %lld ms\n",
	    (long long)(good.last_us - began) / 1000);
	assert_int_equal(good.ok, GOOD);
	assert_true(good.last_us - began < 4 * US_PER_S);
	SERVE_UNTIL(l, &s, silent.n == SILENT);
	assert_int_equal(silent.temp, SILENT);
	began = loop_now(l);
	ask_many(d, &good, &silent, 'b');
	SERVE_UNTIL(l, &s, good.n == 2 * GOOD);
	print_message("# once they are known: %lld ms\n",
	    (long long)(good.last_us - began) / 1000);
	assert_int_equal(good.ok, 2 * GOOD);
	assert_true(good.last_us - began < US_PER_S);
	dns_free(d);
	assert_int_equal(silent.n, 2 * SILENT);
	loop_free(l);
	close(s.fd);
}

static void
ask_good(struct dns *d, struct seen *seen, char turn, int n)
{
	char name[64];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "g%c.g%c%d.example", turn, turn,
		    i);
		dns_lookup(d, slice_str(name), false, on_answer, seen, 0);
	}
}

/* Two questions for each name. */
static void
questions_keep_to_their_rate(void **state)
{
	struct loop *l = loop_new();
	struct seen seen = { .l = l };
	struct server s = { 0 };
	struct dns_conf conf;
	struct dns *d;
	int64_t began, took;

	(void)state;
	server_open(&s);
	conf = conf_of(&s, 10 * US_PER_S);
	conf.queries_per_second_max = 400;
	d = resolver_of(l, &conf);
	began = loop_now(l);
	ask_good(d, &seen, 'a', 200);
	SERVE_UNTIL(l, &s, seen.n == 200);
	took = loop_now(l) - began;
	assert_int_equal(seen.ok, 200);
	/* 400 questions, of which 80 may come at once; a look-up that has begun
	 * goes on, and as many may have begun as there are places. */
	assert_true(s.nasked >= 400);
	assert_true(took >= 300 * US_PER_MS);
	print_message("# %u questions in %lld ms\n", s.nasked,
	    (long long)took / 1000);
	/* The debt is paid before anybody is asked again. */
	began = loop_now(l);
	ask_good(d, &seen, 'b', 100);
	SERVE_UNTIL(l, &s, seen.n == 300);
	took = loop_now(l) - began;
	assert_true(took >= 300 * US_PER_MS);
	dns_free(d);
	loop_free(l);
	close(s.fd);
}

/* 20,000 strangers at 10,000 questions a second would take four seconds. */
static void
a_storm_delays_no_name_that_is_known(void **state)
{
	struct loop *l = loop_new();
	struct seen known = { .l = l }, storm = { .l = l };
	struct server s = { 0 };
	struct dns_conf conf;
	struct dns *d;
	int64_t began, took;

	(void)state;
	server_open(&s);
	conf = conf_of(&s, 60 * US_PER_S);
	conf.queries_per_second_max = 10000;
	d = resolver_of(l, &conf);
	ask_good(d, &known, 'k', 50);
	SERVE_UNTIL(l, &s, known.n == 50);
	ask_good(d, &storm, 'n', 20000);
	began = loop_now(l);
	ask_good(d, &known, 'k', 50);
	SERVE_UNTIL(l, &s, known.n == 100);
	took = loop_now(l) - began;
	print_message("# known names: %lld ms, %d strangers before\n",
	    (long long)took / 1000, storm.n);
	assert_int_equal(known.ok, 100);
	assert_true(storm.n < 10000);
	dns_free(d);
	loop_free(l);
	close(s.fd);
}

static void
what_waits_goes_on_with_another_resolver(void **state)
{
	struct loop *l = loop_new();
	struct seen seen = { .l = l };
	struct server deaf = { .is_deaf = true }, s = { 0 };
	struct dns *d, *fresh;

	(void)state;
	server_open(&deaf);
	server_open(&s);
	d = resolver(l, &deaf, 5 * US_PER_S);
	ask_good(d, &seen, 'a', 1000);
	for (int i = 0; i < 20; i++)
		loop_turn(l, loop_now(l) + US_PER_MS);
	assert_int_equal(seen.n, 0);
	fresh = resolver(l, &s, 5 * US_PER_S);
	dns_move(d, fresh);
	dns_free(d);
	assert_int_equal(seen.n, 0);
	SERVE_UNTIL(l, &s, seen.n == 1000);
	assert_int_equal(seen.ok, 1000);
	dns_free(fresh);
	loop_free(l);
	close(s.fd);
	close(deaf.fd);
}

/* An answer of one second, then nobody who answers. */
static void
an_old_answer_is_better_than_none(void **state)
{
	struct loop *l = loop_new();
	struct seen seen = { .l = l };
	struct server s = { 0 };
	struct dns_conf conf;
	struct dns *d;
	int64_t until;

	(void)state;
	server_open(&s);
	conf = conf_of(&s, 5 * US_PER_S);
	conf.stale_us = 3600 * US_PER_S;
	d = resolver_of(l, &conf);
	dns_lookup(d, SL("t-1.example"), true, on_answer, &seen, 0);
	SERVE_UNTIL(l, &s, seen.n == 1);
	assert_int_equal(seen.ok, 1);
	s.is_deaf = true;
	until = loop_now(l) + 2100 * US_PER_MS;
	while (loop_now(l) < until)
		loop_turn(l, until);
	dns_lookup(d, SL("t-1.example"), true, on_answer, &seen, 0);
	SERVE_UNTIL(l, &s, seen.n == 2);
	assert_int_equal(seen.ok, 2);
	assert_in_range(seen.ttl_s, 1, 30);
	dns_free(d);
	loop_free(l);
	close(s.fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_keep_to_their_rate),
		cmocka_unit_test(a_storm_delays_no_name_that_is_known),
		cmocka_unit_test(what_waits_goes_on_with_another_resolver),
		cmocka_unit_test(an_old_answer_is_better_than_none),
		cmocka_unit_test(what_is_not_there_is_kept_as_its_zone_says),
		cmocka_unit_test(thousands_without_an_answer_stall_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
