/*
 * conf/options_proxy.c - the options of a proxy that sources are behind; see
 * options.c.
 */
#include "conf/options_i.h"

#define PROXY_AT(field) .at = offsetof(struct conf_proxy, field)

static const struct opt tls[] = {
	{ "ca", OPT_PATH, PROXY_AT(tls_ca), .is_required = true,
	    .help = "File with the certificates, PEM, of the CAs of which one "
		    "must have signed the proxy's." },
	{ "name", OPT_DOMAIN, PROXY_AT(tls_name), .is_required = true,
	    .help = "Name that stands in the proxy's certificate." },
	{ "cert", OPT_PATH, PROXY_AT(tls.cert), .absent = "none is shown",
	    .help = "File with the certificate to show to the proxy, PEM." },
	{ "key", OPT_PATH, PROXY_AT(tls.key),
	    .help = "File with its private key, PEM." },
};
static const struct opt_group tls_group = ROWS(tls);

static const struct opt proxy[] = {
	{ "protocol", OPT_CHOICE, PROXY_AT(is_haproxy), "socks5",
	    .words = { "socks5", "haproxy" },
	    .help = "SOCKS5 (RFC 1928), or a header of the PROXY protocol, "
		    "version 2, that names the source's address and the "
		    "host's, as HAProxy takes it." },
	{ "address", OPT_ENDPOINT, PROXY_AT(address), .is_required = true,
	    .help = "Where it listens." },
	{ "user", OPT_TEXT, PROXY_AT(user), .absent = "none",
	    .help = "SOCKS5: name to log in with (RFC 1929)." },
	{ "password_file", OPT_PATH, PROXY_AT(password_file),
	    .help = "File whose first line is the password." },
	{ "names_source", OPT_BOOL, PROXY_AT(names_source), "false",
	    .help = "SOCKS5: the name to log in with is `user@ADDRESS`, with "
		    "the source's address: so `mtad proxy` knows which of its "
		    "addresses to use." },
	{ "checks_source", OPT_BOOL, PROXY_AT(checks_source), "true",
	    .help = "SOCKS5: the address that the proxy says to have used "
		    "must be the source's; if not, the connection is closed "
		    "unused. A proxy that does not say (`0.0.0.0`) needs "
		    "false here." },
	{ "tls", OPT_GROUP, .group = &tls_group, .absent = "none",
	    .help = "SOCKS5 inside TLS, as `mtad proxy` offers it." },
	{ "timeout", OPT_DURATION, PROXY_AT(timeout_us), "10s",
	    RANGE(S / 100, HOUR_US),
	    .help = "The connection to the proxy, with TLS and login. How "
		    "long it may take to reach the host, `client.timeouts."
		    "connect` says." },
	{ "check", OPT_DURATION, PROXY_AT(check_us), "30s",
	    RANGE(S / 100, DAY_US),
	    .help = "A proxy that is well is looked at so often: a connection "
		    "and login, no more. One that is not, after 1s, 2s, 4s and "
		    "so on up to a minute." },
};
const struct opt_group conf_proxy_options = ROWS(proxy);

void
conf_proxy_begin(const struct conf *c, void *entry)
{
	for (uint32_t i = 0; i < ARRAY_LEN(proxy); i++)
		if (proxy[i].dflt != NULL)
			ASSERT(opt_read((struct conf *)(uintptr_t)c, &proxy[i],
			    slice_str(proxy[i].dflt), entry, 0));
}
