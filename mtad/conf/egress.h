/*
 * conf/egress.h - the file of `mtad proxy`: share/doc/egress.md.
 */
#ifndef CONF_EGRESS_H
#define CONF_EGRESS_H

#include "conf/conf.h"

#define EGRESS_LISTEN_MAX 64
#define EGRESS_SOURCES_MAX 1024
#define EGRESS_PORTS_MAX 16

struct conf_egress {
	struct conf *holder; /* owns the texts; has user and control, too */
	uint32_t nlisten, nclients, nports, nsources, naccounts;
	struct endpoint listen[EGRESS_LISTEN_MAX];
	struct conf_tls tls;
	struct slice client_ca; /* clients show a certificate of these */
	struct conf_account *accounts;
	struct cidr clients[CONF_CIDRS_MAX];
	uint16_t ports[EGRESS_PORTS_MAX];
	struct ip sources[EGRESS_SOURCES_MAX];
	bool takes_private, is_debug;
	uint32_t connections_max, per_client_max;
	int64_t handshake_us, connect_us, idle_us, stop_us;
	struct slice user, control;
};

/* NULL after errors were reported. */
struct conf_egress *conf_egress_load(const char *path,
    struct conf_errors *errs);
void conf_egress_free(struct conf_egress *e);

/* Is it an address that no mail host of the internet has: loopback, private, link
 * and so on (RFC 6890), or one that leads to such (mapped, translated)? */
bool egress_is_private(const struct ip *ip);

#endif
