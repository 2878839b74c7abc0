/*
 * The name server's packets and its zone: what is asked is answered, what is
 * malformed is refused, and nothing read goes beyond the packet.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "world/zone.h"

static uint16_t
at16(const struct buf *b, size_t at)
{
	const uint8_t *p = (const uint8_t *)buf_slice(b).p + at;

	assert_true(at + 2 <= b->n);
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* A question for name and type; with EDNS when edns. */
static size_t
question(char *dst, const char *name, uint16_t type, bool edns)
{
	static const char head[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00"
				   "\x00";
	static const char opt[] = "\0\0\x29\x10\x00\0\0\0\0\0";
	size_t n = 12;

	memcpy(dst, head, 12);
	dst[11] = edns;
	while (*name != '\0') {
		size_t label = strcspn(name, ".");

		dst[n++] = (char)label;
		memcpy(dst + n, name, label);
		n += label;
		name += label + (name[label] == '.');
	}
	dst[n++] = '\0';
	dst[n++] = (char)(type >> 8);
	dst[n++] = (char)type;
	dst[n++] = 0;
	dst[n++] = 1;
	if (edns) {
		memcpy(dst + n, opt, sizeof(opt));
		n += sizeof(opt);
	}
	return n;
}

static struct zone *
zone_of(const char *const (*facts)[2], size_t n)
{
	struct zone *z = zone_new();
	char why[256] = "";

	for (size_t i = 0; i < n; i++)
		if (zone_add(z, slice_str(facts[i][0]), slice_str(facts[i][1]),
			why, sizeof(why)) != 0)
			fail_msg("%s %s: %s", facts[i][0], facts[i][1], why);
	return z;
}

/* Asks; out holds the answer. Returns the response code, -1 for silence. */
static int
ask(const struct zone *z, const char *name, uint16_t type, struct buf *out,
    struct zone_reply *reply)
{
	char packet[512];
	size_t n = question(packet, name, type, true);
	struct dns_query q;

	buf_reset(out);
	assert_int_equal(dns_query_parse(slice_of(packet, n), &q), 0);
	zone_answer(z, &q, true, out, reply);
	return reply->is_silent ? -1 : at16(out, 2) & 15;
}

static const char *const facts[][2] = {
	{ "a.example", "MX 10 mx1.a.example" },
	{ "a.example", "MX 20 mx2.a.example" },
	{ "mx1.a.example", "A 127.1.0.1" },
	{ "mx1.a.example", "AAAA ::1" },
	{ "d{08..12}.many.example", "MX 5 mx1.a.example" },
	{ "d10.many.example", "SERVFAIL" },
	{ "*.tail.example", "MX 1 mx1.a.example" },
	{ "odd.tail.example", "NULL-MX" },
	{ "alias.example", "CNAME A.example." },
	{ "loop1.example", "CNAME loop2.example" },
	{ "loop2.example", "CNAME loop1.example" },
	{ "away.example", "CNAME gone.example" },
	{ "gone.example", "NXDOMAIN" },
	{ "closed.example", "REFUSED" },
	{ "hung.example", "SILENT" },
	{ "late.example", "DELAY 250ms" },
	{ "late.example", "A 127.0.0.1" },
	{ "big.example", "TRUNCATE" },
	{ "big.example", "TXT words, words" },
};

static void
names_are_answered_by_what_is_known(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		int rcode;
		uint16_t answers;
	} cases[] = {
		{ "a.example", DNS_MX, 0, 2 },
		{ "A.EXAMPLE", DNS_MX, 0, 2 },
		{ "a.example", DNS_A, 0, 0 },
		{ "mx1.a.example", DNS_A, 0, 1 },
		{ "mx1.a.example", DNS_AAAA, 0, 1 },
		{ "mx1.a.example", DNS_ANY, 0, 2 },
		{ "mx9.a.example", DNS_A, DNS_RC_NXDOMAIN, 0 },
		{ "d08.many.example", DNS_MX, 0, 1 },
		{ "d12.many.example", DNS_MX, 0, 1 },
		{ "d13.many.example", DNS_MX, DNS_RC_NXDOMAIN, 0 },
		{ "d8.many.example", DNS_MX, DNS_RC_NXDOMAIN, 0 },
		{ "d10.many.example", DNS_MX, DNS_RC_SERVFAIL, 0 },
		{ "many.example", DNS_MX, 0, 0 },
		{ "example", DNS_MX, 0, 0 },
		{ "x.y.tail.example", DNS_MX, 0, 1 },
		{ "tail.example", DNS_MX, 0, 0 },
		{ "odd.tail.example", DNS_MX, 0, 1 },
		{ "alias.example", DNS_MX, 0, 3 },
		{ "alias.example", DNS_CNAME, 0, 1 },
		{ "loop1.example", DNS_A, DNS_RC_SERVFAIL, 8 },
		{ "away.example", DNS_A, DNS_RC_NXDOMAIN, 1 },
		{ "closed.example", DNS_A, DNS_RC_REFUSED, 0 },
		{ "hung.example", DNS_A, -1, 0 },
		{ "late.example", DNS_A, 0, 1 },
		{ "", DNS_NS, DNS_RC_NXDOMAIN, 0 },
	};
	struct zone *z = zone_of(facts, ARRAY_LEN(facts));
	struct zone_reply reply;
	struct buf out;

	(void)state;
	buf_init(&out, DNS_TCP_MAX);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int rc = ask(z, cases[i].name, cases[i].type, &out, &reply);

		if (rc != cases[i].rcode)
			fail_msg("%s: rcode %d", cases[i].name, rc);
		if (rc < 0)
			continue;
		assert_int_equal(at16(&out, 0), 0x1234);
		if (at16(&out, 6) != cases[i].answers)
			fail_msg("%s: %u answers", cases[i].name,
			    at16(&out, 6));
		/* A negative answer carries the SOA. */
		assert_int_equal(at16(&out, 8),
		    rc == DNS_RC_NXDOMAIN ||
			(rc == 0 && cases[i].answers == 0));
	}
	assert_int_equal(ask(z, "late.example", DNS_A, &out, &reply), 0);
	assert_true(reply.delay_us == 250000);
	buf_free(&out);
	zone_free(z);
}

static void
truncation_leaves_the_question(void **state)
{
	struct zone *z = zone_of(facts, ARRAY_LEN(facts));
	struct zone_reply reply;
	struct buf out;

	(void)state;
	buf_init(&out, DNS_TCP_MAX);
	assert_int_equal(ask(z, "big.example", DNS_TXT, &out, &reply), 0);
	assert_true(at16(&out, 2) & 0x0200);
	assert_int_equal(at16(&out, 6), 0);
	buf_free(&out);
	zone_free(z);
}

/* More addresses than 512 bytes hold: cut by UDP without EDNS, whole with. */
static void
answers_keep_to_the_size_asked_for(void **state)
{
	struct zone *z = zone_new();
	char packet[512], fact[64], why[128];
	struct zone_reply reply;
	struct dns_query q;
	struct buf out;

	(void)state;
	for (int i = 1; i <= 40; i++) {
		snprintf(fact, sizeof(fact), "A 127.0.0.%d", i);
		assert_int_equal(zone_add(z, SL("many.example"),
				     slice_str(fact), why, sizeof(why)),
		    0);
	}
	buf_init(&out, DNS_TCP_MAX);
	for (int edns = 0; edns < 2; edns++) {
		size_t n = question(packet, "many.example", DNS_A, edns);

		assert_int_equal(dns_query_parse(slice_of(packet, n), &q), 0);
		buf_reset(&out);
		zone_answer(z, &q, true, &out, &reply);
		assert_true(out.n <= (edns ? DNS_UDP_MAX : DNS_UDP_PLAIN));
		assert_int_equal(at16(&out, 6), edns ? 40 : 0);
	}
	buf_free(&out);
	zone_free(z);
}

static void
malformed_packets_are_told_apart(void **state)
{
	char packet[512], copy[512], *exact;
	size_t n = question(packet, "a.b.example", DNS_MX, true);
	struct dns_query q;

	(void)state;
	/* Every prefix, in memory of exactly its size. */
	for (size_t cut = 0; cut < n; cut++) {
		int rc;

		exact = malloc(cut + 1);
		memcpy(exact, packet, cut);
		exact = realloc(exact, cut > 0 ? cut : 1);
		rc = dns_query_parse(slice_of(exact, cut), &q);
		if (cut < 12)
			assert_int_equal(rc, E_CORRUPT);
		else if (cut < n - 11)
			assert_int_equal(rc, E_PROTO);
		else
			assert_int_equal(rc, 0);
		free(exact);
	}
	memcpy(copy, packet, n);
	copy[12] = (char)0xc0; /* a pointer in the question */
	assert_int_equal(dns_query_parse(slice_of(copy, n), &q), E_PROTO);
	copy[12] = 63; /* a label beyond the end */
	assert_int_equal(dns_query_parse(slice_of(copy, 40), &q), E_PROTO);
	memcpy(copy, packet, n);
	copy[2] |= (char)0x80; /* an answer */
	assert_int_equal(dns_query_parse(slice_of(copy, n), &q), E_CORRUPT);
	copy[2] = 0x28; /* UPDATE */
	assert_int_equal(dns_query_parse(slice_of(copy, n), &q), E_UNSUPPORTED);
	memcpy(copy, packet, n);
	copy[5] = 2; /* two questions */
	assert_int_equal(dns_query_parse(slice_of(copy, n), &q), E_PROTO);
}

static void
names_of_any_length_stay_in_bounds(void **state)
{
	char packet[600];
	struct dns_query q;
	size_t n = 12;

	(void)state;
	memset(packet, 0, sizeof(packet));
	packet[5] = 1;
	for (int i = 0; i < 8; i++) {
		packet[n++] = 63;
		memset(packet + n, 'a', 63);
		n += 63;
	}
	assert_int_equal(dns_query_parse(slice_of(packet, n), &q), E_PROTO);
	memset(packet + 12, 1, 500);
	assert_int_equal(dns_query_parse(slice_of(packet, 520), &q), E_PROTO);
}

static void
wrong_facts_are_refused(void **state)
{
	static const char *const wrong[][2] = {
		{ "a.example", "" },
		{ "a.example", "MX" },
		{ "a.example", "MX x mx.example" },
		{ "a.example", "MX 70000 mx.example" },
		{ "a.example", "MX 10" },
		{ "a.example", "A ::1" },
		{ "a.example", "AAAA 127.0.0.1" },
		{ "a.example", "DELAY long" },
		{ "a.example", "TTL -1" },
		{ "a.example", "WHAT ever" },
		{ "", "NXDOMAIN" },
		{ "d{1..}.example", "NXDOMAIN" },
		{ "d{5..1}.example", "NXDOMAIN" },
		{ "d{1..99999999}.example", "NXDOMAIN" },
	};
	struct zone *z = zone_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		char why[256] = "";

		if (zone_add(z, slice_str(wrong[i][0]), slice_str(wrong[i][1]),
			why, sizeof(why)) == 0)
			fail_msg("%s %s passed", wrong[i][0], wrong[i][1]);
		assert_true(why[0] != '\0');
	}
	zone_free(z);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_answered_by_what_is_known),
		cmocka_unit_test(truncation_leaves_the_question),
		cmocka_unit_test(answers_keep_to_the_size_asked_for),
		cmocka_unit_test(malformed_packets_are_told_apart),
		cmocka_unit_test(names_of_any_length_stay_in_bounds),
		cmocka_unit_test(wrong_facts_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
