/*
 * Fuzz target: the record that asks for reports about TLS, and the words of a
 * failure. Whatever the bytes, an address has an "@" and nothing that could end
 * a header field, and a URL is of printable ASCII within its room.
 */
#include <stdint.h>

#include "proto/tls_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_text(const char *s, size_t cap)
{
	size_t n = strnlen(s, cap);

	ASSERT(n > 0 && n < cap);
	for (size_t i = 0; i < n; i++)
		ASSERT(s[i] > ' ' && s[i] <= '~' && s[i] != '<' && s[i] != '>');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice all = slice_of((const char *)data, n);
	static struct tls_report_to to;
	bool ok = tls_report_record(all, &to);

	ASSERT(tls_report_result(all)[0] != '\0');
	ASSERT(to.n <= TLS_REPORT_URIS_MAX && ok == (to.n > 0));
	for (uint32_t i = 0; i < to.n; i++) {
		const struct tls_report_uri *u = &to.uri[i];

		check_text(u->text, sizeof(u->text));
		if (!u->is_https) {
			ASSERT(strchr(u->text, '@') != NULL);
			continue;
		}
		ASSERT(u->port != 0 && u->path[0] == '/');
		check_text(u->host, sizeof(u->host));
		check_text(u->path, sizeof(u->path));
	}
	return 0;
}
