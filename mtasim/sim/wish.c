/*
 * sim/wish.c - what senders want to be told (RFC 3461), by the numbers of message
 * and recipient, and the referee of what is passed on: a receiver that offers DSN
 * is told all of it, and nothing else.
 */
#include "sim/sim_i.h"

static uint64_t
luck(const struct sim *s, uint32_t n, uint32_t k)
{
	return hash_u64(s->opts->seed ^ ((uint64_t)n << 32 | k));
}

uint8_t
sim_wish_notify(const struct sim *s, uint32_t n, uint32_t k)
{
	uint64_t x = luck(s, n, k);

	if (!sim_has(s, SIM_F_dsn) || x % 3 == 0)
		return 0;
	/* Any of success, failure and delay, or never. */
	x = x / 3 % 8;
	return x == 0 ? NOTIFY_NEVER : (uint8_t)(x << 1);
}

struct slice
sim_wish_orcpt(const struct sim *s, uint32_t n, uint32_t k, char dst[32])
{
	if (!sim_has(s, SIM_F_dsn) || luck(s, n, k) / 24 % 2 == 0)
		return SL("");
	snprintf(dst, 32, "rfc822;o%u+2B%u", n, k);
	return slice_str(dst);
}

uint32_t
sim_wish_ret(const struct sim *s, uint32_t n)
{
	uint64_t x = luck(s, n, UINT32_MAX) % 3;

	if (!sim_has(s, SIM_F_dsn) || x == 0)
		return 0;
	return x == 1 ? ENV_RET_FULL : ENV_RET_HDRS;
}

struct slice
sim_wish_envid(const struct sim *s, uint32_t n, char dst[32])
{
	if (!sim_has(s, SIM_F_dsn) || luck(s, n, UINT32_MAX) / 3 % 2 == 0)
		return SL("");
	snprintf(dst, 32, "e%u+3D", n);
	return slice_str(dst);
}

bool
sim_wish_passes(const struct sim *s, const struct ip *host)
{
	uint32_t site, number;

	return sim_has(s, SIM_F_dsn) && peer_of_ip(host, &site, &number) &&
	    (site + number) % 2 == 0;
}

void
sim_wish_conf(const struct sim *s, struct buf *b)
{
	if (sim_has(s, SIM_F_dsn))
		buf_addf(b, "delay_notice: %llus\n",
		    (unsigned long long)(20 + luck(s, 0, 0) % 300));
}

/* ---- what is passed on ------------------------------------------------------ */

void
sim_wish_mail(const struct sim *s, const struct smtp_srv *srv)
{
	uint32_t n, k;
	bool is_sender;
	char envid[32];

	if (!(srv->conf->exts & EXT_DSN) ||
	    !led_address(srv->path.address, &n, &k, &is_sender))
		return;
	if (srv->wishes.ret != sim_wish_ret(s, n) ||
	    !slice_eq(srv->wishes.envid, sim_wish_envid(s, n, envid)))
		check_fail("what a sender asks for is passed on", n,
		    "a receiver that offers DSN gets m%u with RET %u ENVID "
		    "%.*s|its sender gave %u and %.*s",
		    n, srv->wishes.ret, SLF(srv->wishes.envid),
		    sim_wish_ret(s, n), SLF(sim_wish_envid(s, n, envid)));
}

void
sim_wish_rcpt(const struct sim *s, const struct smtp_srv *srv)
{
	uint32_t n, k;
	bool is_sender;
	char orcpt[32];

	if (!(srv->conf->exts & EXT_DSN) ||
	    !led_address(srv->path.address, &n, &k, &is_sender) || is_sender)
		return;
	if (srv->notify != sim_wish_notify(s, n, k) ||
	    !slice_eq(srv->orcpt, sim_wish_orcpt(s, n, k, orcpt)))
		check_fail("what a sender asks for is passed on", n,
		    "a receiver that offers DSN gets m%u r%u with NOTIFY %u "
		    "ORCPT %.*s|its sender gave %u and %.*s",
		    n, k, srv->notify, SLF(srv->orcpt),
		    sim_wish_notify(s, n, k),
		    SLF(sim_wish_orcpt(s, n, k, orcpt)));
	s->marks->n[MARK_wish_passed_on] += srv->notify != 0;
}
