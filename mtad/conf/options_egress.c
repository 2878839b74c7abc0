/*
 * conf/options_egress.c - the options of `mtad proxy`, in a file of its own; see
 * options.c.
 */
#include "conf/egress.h"
#include "conf/options_i.h"

#undef AT
#define AT(field) .at = offsetof(struct conf_egress, field)
#define MANY(field, n)                                                         \
	AT(field),                                                             \
	    COUNT(struct conf_egress, n,                                       \
		ARRAY_LEN(((struct conf_egress *)0)->field))

static const struct opt account[] = {
	{ "secret", OPT_TEXT, .at = offsetof(struct conf_account, secret),
	    .is_required = true,
	    .help = "What is kept of the password, as `mtad account NAME` "
		    "prints it." },
};
static const struct opt_group account_group = ROWS(account);

static const struct opt tls[] = {
	{ "cert", OPT_PATH, AT(tls.cert), .is_required = true,
	    .help = "File with the certificate and its chain, PEM." },
	{ "key", OPT_PATH, AT(tls.key), .is_required = true,
	    .help = "File with the private key, PEM." },
	{ "client_ca", OPT_PATH, AT(client_ca), .absent = "nobody is asked",
	    .help = "File with the certificates, PEM, of the CAs of which one "
		    "must have signed each client's." },
};
static const struct opt_group tls_group = ROWS(tls);

static const struct opt top[] = {
	{ "listen", OPT_ENDPOINT, MANY(listen, nlisten), .is_required = true,
	    .help = "Where clients come in." },
	{ "sources", OPT_IP, MANY(sources, nsources), .is_required = true,
	    .help = "Addresses of this machine that connections may leave by. "
		    "A client names one behind an `@` in its user's name; one "
		    "that names none gets the address that it came in at, if "
		    "that is one of these, and else the first of the "
		    "destination's family." },
	{ "clients", OPT_CIDR, MANY(clients, nclients), .is_required = true,
	    .help = "Networks that clients may come from." },
	{ "account", OPT_MAP, .group = &account_group, .key_type = OPT_TEXT,
	    AT(accounts), .entry_bytes = sizeof(struct conf_account),
	    COUNT(struct conf_egress, naccounts, 1000), .absent = "no login",
	    .help = "Users, each under its name. Where there are any, nobody "
		    "is served without a login." },
	{ "tls", OPT_GROUP, .group = &tls_group, .absent = "none",
	    .help = "Clients speak TLS from the first byte on." },
	{ "ports", OPT_U16, MANY(ports, nports), .absent = "`25`",
	    RANGE(1, 65535), .help = "Ports that may be connected to." },
	{ "private", OPT_CHOICE, AT(takes_private), "refuse",
	    .words = { "refuse", "allow" },
	    .help = "Whether loopback, private and other addresses that are "
		    "not of the internet may be connected to." },
	{ "connections_max", OPT_U32, AT(connections_max), "10000",
	    RANGE(1, 1000000), .help = "Clients at once; more are closed." },
	{ "connections_per_client_max", OPT_U32, AT(per_client_max), "0",
	    RANGE(0, 1000000),
	    .help = "The same of one address; 0 = no such limit." },
	{ "handshake_timeout", OPT_DURATION, AT(handshake_us), "10s",
	    RANGE(S / 100, HOUR_US),
	    .help = "From a client's connection to its request." },
	{ "connect_timeout", OPT_DURATION, AT(connect_us), "25s",
	    RANGE(S / 100, HOUR_US),
	    .help = "The connection to be made; less than the client's own "
		    "time." },
	{ "idle_timeout", OPT_DURATION, AT(idle_us), "15m",
	    RANGE(S / 100, DAY_US),
	    .help = "A connection on which nothing moves is closed." },
	{ "stop_timeout", OPT_DURATION, AT(stop_us), "30s", RANGE(0, HOUR_US),
	    .help = "After SIGTERM, connections may go on so long." },
	{ "user", OPT_NAME, AT(user), .absent = "the user who started it",
	    .help = "Started as root, become this user after the ports are "
		    "bound." },
	{ "control", OPT_PATH, AT(control), "/run/mtad-proxy/control.sock",
	    .help = "Unix socket for GET /metrics (Prometheus)." },
	{ "log_level", OPT_CHOICE, AT(is_debug), "info",
	    .words = { "info", "debug" },
	    .help = "How much the program says about itself." },
};
const struct opt_group egress_options = ROWS(top);
