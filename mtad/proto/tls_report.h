/*
 * proto/tls_report.h - reports about TLS (TLS-RPT, RFC 8460): the record that asks
 * for them, and what they are.
 */
#ifndef PROTO_TLS_REPORT_H
#define PROTO_TLS_REPORT_H

#include "base/base.h"

#define TLS_REPORT_URIS_MAX 4
#define TLS_REPORT_URI_MAX 255

/* Where a domain wants them. */
struct tls_report_to {
	uint32_t n;
	struct tls_report_uri {
		bool is_https; /* else mailto: text is an address */
		char text[TLS_REPORT_URI_MAX + 1];
		/* Of https. */
		char host[TLS_REPORT_URI_MAX + 1], path[TLS_REPORT_URI_MAX + 1];
		uint16_t port;
	} uri[TLS_REPORT_URIS_MAX];
};
/* Of the TXT records of _smtp._tls.DOMAIN, a line each (RFC 8460 3): false when
 * there is not exactly one, or it asks for nothing that we can do. URIs beyond the
 * fourth, and of other schemes, are left out. */
bool tls_report_record(struct slice records, struct tls_report_to *out);

/* The result type (RFC 8460 4.3) of a session that failed with these words of
 * ours, which begin with the name of a policy. A literal. */
const char *tls_report_result(struct slice words);

/* So many sessions of a kind. */
struct tls_report_row {
	struct slice type;    /* tlsa, sts, no-policy-found */
	struct slice strings; /* of the policy, a line each */
	struct slice mx;
	struct slice result;   /* empty: they went well */
	struct slice reason;   /* words */
	struct slice from, to; /* addresses; may be empty */
	uint64_t count;
};

struct tls_report {
	struct slice org, contact; /* who reports */
	struct slice from;         /* whose mail address */
	struct slice domain, id;
	int64_t begin_us, end_us;
	/* Those of one policy stand together. */
	const struct tls_report_row *rows;
	uint32_t n;
};
/* Appends the report, RFC 8460 4.4. 0 or as buf. */
int tls_report_json(struct buf *out, const struct tls_report *r) MUST_CHECK;
/* Appends the message to an address, with the report as it was compressed
 * (5.3); `now_us`: of the wall clock. */
int tls_report_mail(struct buf *out, const struct tls_report *r,
    struct slice gzip, struct slice to, int64_t now_us) MUST_CHECK;

#endif
