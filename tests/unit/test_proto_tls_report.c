/*
 * Reports about TLS (RFC 8460): the record that asks for them, in all its forms,
 * what a failure is called, and the report itself, which is JSON whatever a peer
 * has said.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>

#include "proto/tls_report.h"

/* What a record asks for: each URI and a blank; "-": nothing. */
static const char *
read_record(const char *text)
{
	static char out[2048];
	struct tls_report_to to;
	size_t n = 0;

	if (!tls_report_record(slice_str(text), &to))
		return "-";
	for (uint32_t i = 0; i < to.n; i++) {
		const struct tls_report_uri *u = &to.uri[i];

		if (u->is_https)
			n += (size_t)snprintf(out + n, sizeof(out) - n,
			    "%s|%u|%s ", u->host, u->port, u->path);
		else
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s ",
			    u->text);
	}
	return out;
}

static void
records_are_read(void **state)
{
	static const char *const rows[][2] = {
		{ "v=TLSRPTv1; rua=mailto:a@b.example", "a@b.example " },
		{ "v=TLSRPTv1;rua=mailto:a@b.example;x=y", "a@b.example " },
		{ "v=spf1 -all\nv=TLSRPTv1; rua=mailto:a@b.example",
		    "a@b.example " },
		{ "v=TLSRPTv1; rua=https://r.example/v1",
		    "r.example|443|/v1 " },
		{ "v=TLSRPTv1; rua=https://r.example:8443, mailto:a@b.example",
		    "r.example|8443|/ a@b.example " },
		{ "v=TLSRPTv1; rua=mailto:a%21b@b.example?subject=x",
		    "a!b@b.example " },
		{ "v=TLSRPTv1; rua=ftp://x/,http://x/,mailto:a@b.example",
		    "a@b.example " },
		/* Two records are none (RFC 8460 3). */
		{ "v=TLSRPTv1; rua=mailto:a@b.example\n"
		  "v=TLSRPTv1; rua=mailto:c@b.example",
		    "-" },
		{ "v=TLSRPTv2; rua=mailto:a@b.example", "-" },
		{ "v=TLSRPTv1", "-" },
		{ "v=TLSRPTv1; rua=", "-" },
		{ "", "-" },
		{ "v=TLSRPTv1; rua=mailto:a%0d%0aX:y@b.example", "-" },
		{ "v=TLSRPTv1; rua=mailto:a%2", "-" },
		{ "v=TLSRPTv1; rua=mailto:a>b@c.example", "-" },
		{ "v=TLSRPTv1; rua=mailto:@b.example", "-" },
		{ "v=TLSRPTv1; rua=mailto:a@", "-" },
		{ "v=TLSRPTv1; rua=https://user@r.example/", "-" },
		{ "v=TLSRPTv1; rua=https://r.example:0/", "-" },
		{ "v=TLSRPTv1; rua=https:///x", "-" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(read_record(rows[i][0]), rows[i][1]);
}

static void
failures_have_types(void **state)
{
	static const char *const rows[][2] = {
		{ "TLS policy required: the host does not offer STARTTLS",
		    "starttls-not-supported" },
		{ "TLS policy verify: certificate has expired",
		    "certificate-expired" },
		{ "MTA-STS: hostname mismatch", "certificate-host-mismatch" },
		{ "MTA-STS: self-signed certificate",
		    "certificate-not-trusted" },
		{ "TLS policy verify: unable to get local issuer certificate",
		    "certificate-not-trusted" },
		{ "DANE: no TLSA record matches", "validation-failure" },
		{ "DANE: TLSA records of x cannot be had: bogus",
		    "dnssec-invalid" },
		{ "TLS policy dane: x: no secure TLSA records",
		    "dane-required" },
		{ "DANE: x has no TLSA record that can be used",
		    "tlsa-invalid" },
		{ "", "validation-failure" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(tls_report_result(slice_str(rows[i][0])),
		    rows[i][1]);
}

static void
it_is_json(void **state)
{
	const struct tls_report_row rows[] = {
		{ .type = SL("no-policy-found"), .count = 3 },
		{ .type = SL("sts"),
		    .strings = SL("mode: enforce\nmx: a.example"),
		    .count = 2 },
		{ .type = SL("sts"),
		    .strings = SL("mode: enforce\nmx: a.example"),
		    .mx = SL("a.example"),
		    .result = SL("validation-failure"),
		    .reason = SL("\"\xff\r\n"),
		    .from = SL("10.0.0.1"),
		    .count = 5 },
	};
	const struct tls_report r = { .org = SL("o"),
		.contact = SL("c@o.example"),
		.from = SL("c@o.example"),
		.domain = SL("d.example"),
		.id = SL("1@o.example"),
		.end_us = INT64_C(86399) * US_PER_S,
		.rows = rows,
		.n = ARRAY_LEN(rows) };
	json_t *root, *policies, *p;
	struct buf b;
	int good, bad;

	(void)state;
	buf_init(&b, 1u << 16);
	assert_int_equal(tls_report_json(&b, &r), 0);
	root = json_loadb(buf_slice(&b).p, b.n, 0, NULL);
	assert_non_null(root);
	policies = json_object_get(root, "policies");
	assert_int_equal(json_array_size(policies), 2);
	p = json_array_get(policies, 1);
	assert_int_equal(json_unpack(p, "{s:{s:i,s:i}}", "summary",
			     "total-successful-session-count", &good,
			     "total-failure-session-count", &bad),
	    0);
	assert_int_equal(good, 2);
	assert_int_equal(bad, 5);
	assert_int_equal(json_array_size(json_object_get(p, "failure-details")),
	    1);
	json_decref(root);
	buf_free(&b);
	/* Too little room is told. */
	buf_init(&b, 200);
	assert_int_not_equal(tls_report_json(&b, &r), 0);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_read),
		cmocka_unit_test(failures_have_types),
		cmocka_unit_test(it_is_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
