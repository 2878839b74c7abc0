/*
 * proto/tls_report.c - reading the record that asks for reports about TLS, and
 * writing them (RFC 8460).
 */
#include <stdio.h>

#include "base/base64.h"
#include "proto/tls_report.h"

/* ---- the record (RFC 8460 3) -------------------------------------------------- */

static bool
is_plain(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' ||
		    s.p[i] == '<' || s.p[i] == '>' || s.p[i] == '\\')
			return false;
	return s.n > 0;
}

/* "%21" and its like; false: there is something else behind a "%". */
static bool
unescape(struct slice s, char *dst, size_t cap)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		const char *hi, *lo;

		if (c == '%') {
			hi = i + 2 < s.n ?
			    strchr(digits, ascii_lower(s.p[i + 1])) :
			    NULL;
			lo =
			    hi ? strchr(digits, ascii_lower(s.p[i + 2])) : NULL;
			if (hi == NULL || lo == NULL || *hi == '\0' ||
			    *lo == '\0')
				return false;
			c = (char)((hi - digits) << 4 | (lo - digits));
			i += 2;
		}
		if (n + 1 >= cap)
			return false;
		dst[n++] = c;
	}
	dst[n] = '\0';
	return is_plain(slice_of(dst, n));
}

static bool
take_mailto(struct slice s, struct tls_report_uri *u)
{
	struct slice address = slice_of(s.p, slice_index(s, '?'));
	size_t at;

	if (!unescape(address, u->text, sizeof(u->text)))
		return false;
	at = slice_index(slice_str(u->text), '@');
	return at > 0 && u->text[at] == '@' && u->text[at + 1] != '\0';
}

static bool
take_https(struct slice s, struct tls_report_uri *u)
{
	struct slice host = slice_of(s.p, slice_index(s, '/'));
	struct slice path = slice_skip(s, host.n), port = host;
	uint64_t n = 443;

	if (!is_plain(s) || slice_index(host, '@') < host.n ||
	    slice_index(host, '[') < host.n)
		return false;
	host = slice_cut(&port, ':');
	if (port.p != NULL && (slice_u64(port, 65535, &n) != 0 || n == 0))
		return false;
	if (host.n == 0 || host.n >= sizeof(u->host) ||
	    path.n >= sizeof(u->path))
		return false;
	u->is_https = true;
	u->port = (uint16_t)n;
	slice_copy(host, u->host, sizeof(u->host));
	slice_copy(path.n > 0 ? path : SL("/"), u->path, sizeof(u->path));
	slice_copy(s, u->text, sizeof(u->text));
	return true;
}

static void
take_uris(struct slice list, struct tls_report_to *out)
{
	while (list.n > 0 && out->n < TLS_REPORT_URIS_MAX) {
		struct slice one = slice_trim(slice_cut(&list, ','));
		struct tls_report_uri *u = &out->uri[out->n];

		*u = (struct tls_report_uri){ .port = 0 };
		if (slice_has_iprefix(one, SL("mailto:")))
			out->n += take_mailto(slice_skip(one, 7), u);
		else if (slice_has_iprefix(one, SL("https://")))
			out->n += take_https(slice_skip(one, 8), u);
	}
}

bool
tls_report_record(struct slice records, struct tls_report_to *out)
{
	struct slice found = { NULL, 0 }, field;
	uint32_t n = 0;

	out->n = 0;
	while (records.n > 0) {
		struct slice line = slice_trim(slice_cut(&records, '\n'));
		struct slice rest = line;

		if (!slice_eq(slice_trim(slice_cut(&rest, ';')),
			SL("v=TLSRPTv1")))
			continue;
		found = rest;
		n++;
	}
	if (n != 1)
		return false;
	while (found.n > 0) {
		field = slice_trim(slice_cut(&found, ';'));
		if (slice_has_prefix(field, SL("rua=")))
			take_uris(slice_skip(field, 4), out);
	}
	return out->n > 0;
}

/* ---- what failed (4.3) ---------------------------------------------------------- */

const char *
tls_report_result(struct slice words)
{
	/* The first that is found counts. */
	static const struct {
		const char *words, *result;
	} known[] = {
		{ "offer STARTTLS", "starttls-not-supported" },
		{ "not know EHLO", "starttls-not-supported" },
		{ "cannot be had", "dnssec-invalid" },
		{ "not secure (DNSSEC)", "dane-required" },
		{ "no secure TLSA", "dane-required" },
		{ "TLSA record that can be used", "tlsa-invalid" },
		{ "has expired", "certificate-expired" },
		{ "not yet valid", "certificate-expired" },
		{ "mismatch", "certificate-host-mismatch" },
		{ "self-signed", "certificate-not-trusted" },
		{ "self signed", "certificate-not-trusted" },
		{ "unable to get", "certificate-not-trusted" },
		{ "not trusted", "certificate-not-trusted" },
		{ "untrusted", "certificate-not-trusted" },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (words.n > 0 &&
		    memmem(words.p, words.n, known[i].words,
			strlen(known[i].words)) != NULL)
			return known[i].result;
	return "validation-failure";
}

/* ---- the report (4.4) ----------------------------------------------------------- */

static void
put_time(struct jsonw *w, const char *key, int64_t us)
{
	char text[32];

	jw_kstr(w, key, slice_of(text, date_iso(text, us)));
}

static void
put_policy(struct jsonw *w, const struct tls_report *r,
    const struct tls_report_row *row)
{
	struct slice lines = row->strings, hosts = row->strings;

	jw_key(w, "policy");
	jw_open(w, '{');
	jw_kstr(w, "policy-type", row->type);
	if (lines.n > 0) {
		jw_key(w, "policy-string");
		jw_open(w, '[');
		while (lines.n > 0)
			jw_str(w, slice_cut(&lines, '\n'));
		jw_close(w, ']');
	}
	jw_kstr(w, "policy-domain", r->domain);
	if (slice_eq(row->type, SL("sts"))) {
		jw_key(w, "mx-host");
		jw_open(w, '[');
		while (hosts.n > 0) {
			struct slice line = slice_cut(&hosts, '\n');

			if (slice_has_prefix(line, SL("mx: ")))
				jw_str(w, slice_skip(line, 4));
		}
		jw_close(w, ']');
	}
	jw_close(w, '}');
}

static void
put_failure(struct jsonw *w, const struct tls_report_row *row)
{
	jw_open(w, '{');
	jw_kstr(w, "result-type", row->result);
	if (row->from.n > 0)
		jw_kstr(w, "sending-mta-ip", row->from);
	if (row->mx.n > 0)
		jw_kstr(w, "receiving-mx-hostname", row->mx);
	if (row->to.n > 0)
		jw_kstr(w, "receiving-ip", row->to);
	jw_ku64(w, "failed-session-count", row->count);
	if (row->reason.n > 0)
		jw_kstr(w, "failure-reason-code", row->reason);
	jw_close(w, '}');
}

/* The rows of one policy, from i on; the first behind them. */
static uint32_t
put_rows(struct jsonw *w, const struct tls_report *r, uint32_t i)
{
	const struct tls_report_row *first = &r->rows[i];
	uint64_t good = 0, bad = 0;
	uint32_t end = i;

	for (; end < r->n && slice_eq(r->rows[end].type, first->type) &&
	     slice_eq(r->rows[end].strings, first->strings);
	     end++)
		if (r->rows[end].result.n == 0)
			good += r->rows[end].count;
		else
			bad += r->rows[end].count;
	jw_open(w, '{');
	put_policy(w, r, first);
	jw_key(w, "summary");
	jw_open(w, '{');
	jw_ku64(w, "total-successful-session-count", good);
	jw_ku64(w, "total-failure-session-count", bad);
	jw_close(w, '}');
	if (bad > 0) {
		jw_key(w, "failure-details");
		jw_open(w, '[');
		for (; i < end; i++)
			if (r->rows[i].result.n > 0)
				put_failure(w, &r->rows[i]);
		jw_close(w, ']');
	}
	jw_close(w, '}');
	return end;
}

int
tls_report_json(struct buf *out, const struct tls_report *r)
{
	struct jsonw w;
	uint32_t i = 0;

	jw_init(&w, out);
	jw_open(&w, '{');
	jw_kstr(&w, "organization-name", r->org);
	jw_key(&w, "date-range");
	jw_open(&w, '{');
	put_time(&w, "start-datetime", r->begin_us);
	put_time(&w, "end-datetime", r->end_us);
	jw_close(&w, '}');
	jw_kstr(&w, "contact-info", r->contact);
	jw_kstr(&w, "report-id", r->id);
	jw_key(&w, "policies");
	jw_open(&w, '[');
	while (i < r->n)
		i = put_rows(&w, r, i);
	jw_close(&w, ']');
	jw_close(&w, '}');
	return out->failed ? E_FULL : 0;
}

/* ---- the message (5.3) ----------------------------------------------------------- */

static struct slice
submitter(const struct tls_report *r)
{
	return slice_skip(r->from, slice_index(r->from, '@') + 1);
}

static void
put_base64(struct buf *out, struct slice s)
{
	char line[BASE64_BYTES(57)];

	while (s.n > 0) {
		size_t n = MIN(s.n, (size_t)57);

		buf_add(out, line, base64_encode(line, s.p, n));
		buf_adds(out, SL("\r\n"));
		s = slice_skip(s, n);
	}
}

static void
put_head(struct buf *out, const struct tls_report *r, struct slice to,
    int64_t now_us)
{
	char date[40];

	date_rfc5322(date, now_us);
	buf_addf(out,
	    "From: <%.*s>\r\nTo: <%.*s>\r\nDate: %s\r\n"
	    "Message-ID: <%.*s>\r\n"
	    "Subject: Report Domain: %.*s\r\n Submitter: %.*s\r\n"
	    " Report-ID: <%.*s>\r\n"
	    "TLS-Report-Domain: %.*s\r\nTLS-Report-Submitter: %.*s\r\n"
	    /* A report about broken TLS must not wait for it. */
	    "TLS-Required: No\r\nAuto-Submitted: auto-generated\r\n"
	    "MIME-Version: 1.0\r\nContent-Type: multipart/report;\r\n"
	    " report-type=\"tlsrpt\"; boundary=\"=_tlsrpt\"\r\n\r\n",
	    SLF(r->from), SLF(to), date, SLF(r->id), SLF(r->domain),
	    SLF(submitter(r)), SLF(r->id), SLF(r->domain), SLF(submitter(r)));
}

int
tls_report_mail(struct buf *out, const struct tls_report *r, struct slice gzip,
    struct slice to, int64_t now_us)
{
	put_head(out, r, to, now_us);
	buf_addf(out,
	    "--=_tlsrpt\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
	    "This is an aggregate TLS report from %.*s\r\n"
	    "about mail to %.*s.\r\n\r\n"
	    "--=_tlsrpt\r\nContent-Type: application/tlsrpt+gzip\r\n"
	    "Content-Transfer-Encoding: base64\r\n"
	    "Content-Disposition: attachment;\r\n"
	    " filename=\"%.*s!%.*s!%lld!%lld.json.gz\"\r\n\r\n",
	    SLF(submitter(r)), SLF(r->domain), SLF(submitter(r)),
	    SLF(r->domain), (long long)(r->begin_us / US_PER_S),
	    (long long)(r->end_us / US_PER_S));
	put_base64(out, gzip);
	buf_adds(out, SL("--=_tlsrpt--\r\n"));
	return out->failed ? E_FULL : 0;
}
