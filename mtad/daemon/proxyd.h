/*
 * daemon/proxyd.h - `mtad proxy`: a SOCKS5 server for the machine that owns the
 * addresses mail leaves by.
 */
#ifndef DAEMON_PROXYD_H
#define DAEMON_PROXYD_H

#include "base/base.h"

/* What has been; one table for names and help. */
#define PROXYD_COUNTERS(X)                                                     \
	X(accepted, "Connections of clients")                                  \
	X(refused_client, "Closed: not of a network that may come")            \
	X(refused_limit, "Closed: too many at once")                           \
	X(refused_handshake, "Ended before a request: TLS, login, garbage")    \
	X(refused_login, "Of these, logins that were wrong")                   \
	X(refused_rule, "Requests that the rules do not allow")                \
	X(connect_failed, "Connections that could not be made")                \
	X(connected, "Connections that were made")                             \
	X(bytes_out, "Bytes from clients, of connections that have ended")     \
	X(bytes_in, "Bytes to clients, of the same")
struct proxyd_counters {
#define X(name, help) uint64_t name;
	PROXYD_COUNTERS(X)
#undef X
};

struct conf_egress;
struct proxyd;

/* Binds, takes the control socket, becomes its user, reads keys. NULL after a
 * word in the log. Frees nothing of conf, which outlives it. */
struct proxyd *proxyd_new(const struct conf_egress *conf);
/* Until proxyd_stop, and then until connections have ended or stop_timeout. */
void proxyd_run(struct proxyd *d);
void proxyd_free(struct proxyd *d);
/* From a signal handler; twice means at once. */
void proxyd_stop(struct proxyd *d);

#endif
