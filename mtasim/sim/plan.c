/*
 * sim/plan.c - what a seed makes of the world: its size, which faults and
 * features are on, and the configurations of the daemon, as YAML text that the
 * daemon's own reader compiles.
 */
#include "conf/zoneinfo.h"
#include "sim/sim_i.h"

static uint32_t
pick(struct sim *s, uint32_t lo, uint32_t hi)
{
	return (uint32_t)rng_range(dice(s, DICE_PLAN), lo, hi);
}

static bool
coin(struct sim *s, uint32_t percent)
{
	return rng_below(dice(s, DICE_PLAN), 100) < percent;
}

/* Text with a number in the place of "%u". Arguments of one call are evaluated
 * in any order, so no call may throw dice twice. */
static void
put(struct sim *s, struct buf *b, const char *text, uint32_t lo, uint32_t hi)
{
	const char *at = strstr(text, "%u");

	ASSERT(at);
	buf_add(b, text, (size_t)(at - text));
	buf_addf(b, "%u", pick(s, lo, hi));
	buf_addz(b, at + 2);
}

/* ---- the configuration ---------------------------------------------------------- */

static void
write_limits(struct sim *s, struct buf *b, const char *pattern, uint32_t tight,
    bool is_apart)
{
	buf_addf(b, "  \"%s\": { connections: %u, ", pattern,
	    pick(s, 1, tight ? 3 : 10));
	buf_addf(b, "messages_per_connection: %u, ", pick(s, 1, 60));
	buf_addf(b, "recipients_per_transaction: %u, ", pick(s, 1, 30));
	buf_addf(b, "assign_ahead: %u, ", pick(s, 1, 6));
	if (is_apart)
		buf_addz(b, "rollup: false, ");
	if (sim_has(s, SIM_F_rates) && coin(s, 60)) {
		put(s, b, "rate: %u/10s, ", 5, 60);
		put(s, b, "burst: %u, ", 1, 20);
	}
	if (coin(s, 40))
		put(s, b, "rate_floor: %u/30s, ", 1, 10);
	else if (coin(s, 10))
		buf_addz(b, "rate_floor: none, ");
	put(s, b, "backoff_min: %us, ", 1, 20);
	put(s, b, "backoff_max: %us, ", 20, 120);
	put(s, b, "block_pause: %us }\n", 2, 120);
}

/* Young sources and what they may carry: the same in all configurations. The
 * first source is in every pool, and warm in most worlds; in the others all are
 * young. */
static void
plan_warm(struct sim *s)
{
	struct warm_plan *w = &s->plan.warm;
	uint32_t first = pick(s, 5, 60), n = pick(s, 2, 6);
	/* Where there is little room, who must wait for days is offered again all
	 * the time. */
	bool spares_first = coin(s, 80) || sim_has(s, SIM_F_exhaust);

	w->nstages = n;
	for (uint32_t i = 0; i < n; i++)
		w->most[i] = first << i;
	w->hour_ppm = coin(s, 50) ? 1000000 : pick(s, 2, 6) * 100000;
	w->advance_ppm = 900000;
	for (uint32_t i = 0; i < s->plan.nsources; i++)
		w->young |= coin(s, 60) ? 1u << i : 0;
	w->young = spares_first ? w->young & ~1u : (1u << s->plan.nsources) - 1;
	/* The referee knows no providers. */
	if (sim_has(s, SIM_F_layers) || sim_has(s, SIM_F_tuples))
		w->young = 0;
	s->plan.overflows = coin(s, 50);
	for (uint32_t i = 0; i < s->plan.nsources; i++)
		s->plan.weight[i] = coin(s, 50) ? pick(s, 1, 5) : 1;
}

/* Pools are, and a configuration may change that for some; and their sources
 * have weights. */
static void
plan_sticky(struct sim *s)
{
	struct rng *r = dice(s, DICE_STICKY);
	uint32_t all = (uint32_t)rng_range(r, 1, 7);

	for (uint32_t i = 0; i < SIM_CONFS; i++)
		s->plan.sticky[i] =
		    rng_below(r, 4) == 0 ? (uint32_t)rng_range(r, 0, 7) : all;
	for (uint32_t i = 0; i < s->plan.nsources; i++)
		s->plan.weight[i] = (uint32_t)rng_range(r, 1, 4);
}

bool
plan_in_pool(const struct plan *p, uint32_t pool, uint32_t source)
{
	return source == 0 || source % p->npools == pool;
}

static void
pools_fill(struct plan *p)
{
	for (uint32_t i = 0; i < p->npools; i++)
		for (uint32_t k = 0; k < p->nsources; k++)
			if (plan_in_pool(p, i, k) ||
			    (p->overflows &&
				plan_in_pool(p, (i + 1) % p->npools, k)))
				p->warm.pools[i] |= 1u << k;
	/* Mail that names no pool goes by the first. */
	for (uint32_t i = p->npools; i < WRM_POOLS; i++)
		p->warm.pools[i] = p->warm.pools[0];
}

static void
write_warmup(struct sim *s, struct buf *b)
{
	const struct warm_plan *w = &s->plan.warm;

	buf_addz(b, "warmup: { w: { attempts_min: 5, days: [");
	for (uint32_t i = 0; i < w->nstages; i++)
		buf_addf(b, "%s%u", i ? ", " : "", w->most[i]);
	buf_addf(b, "], hour: %u%%, advance: 90%%%s } }\n", w->hour_ppm / 10000,
	    sim_has(s, SIM_F_engaged) ? ", engaged: prefer" : "");
}

static void
write_sources(struct sim *s, struct buf *b, uint32_t number)
{
	const struct plan *p = &s->plan;
	uint32_t without = p->without[number];

	if (p->warm.young)
		write_warmup(s, b);
	buf_addz(b, "source:\n");
	for (uint32_t i = 0; i < p->nsources; i++)
		if (i != without)
			buf_addf(b,
			    "  s%u: { address: 10.0.%u.%u, ehlo: "
			    "s%u.sim.example%s }\n",
			    i, plan_netblock(i), i + 1, i,
			    p->warm.young >> i & 1 ? ", warmup: w" : "");
	buf_addz(b, "pool:\n");
	for (uint32_t i = 0; i < p->npools; i++) {
		buf_addf(b, "  p%u: { ", i);
		if (p->sticky[number] >> i & 1)
			buf_addz(b, "sticky: true, ");
		if (p->overflows && p->npools > 1)
			buf_addf(b, "overflow: p%u, ", (i + 1) % p->npools);
		buf_addz(b, "sources: [");
		for (uint32_t k = 0, n = 0; k < p->nsources; k++)
			if (k != without && plan_in_pool(p, i, k))
				buf_addf(b, "%s\"s%u:%u\"", n++ ? ", " : "", k,
				    MAX(p->weight[k], 1u));
		buf_addz(b, "] }\n");
	}
	buf_addz(b, "default_pool: p0\n");
}

/* A few minutes of the day, while there is load. */
static void
write_quiet(struct sim *s, struct buf *b)
{
	int64_t minute = sim_wall(s) / (60 * US_PER_S) +
	    pick(s, 0, (uint32_t)(s->plan.load_us / (60 * US_PER_S)));
	static struct tzone tokyo;
	bool is_far = coin(s, 50) && zoneinfo_load(SL(SIM_FAR), &tokyo) == 0;
	/* While there is load by its own clock, or by that of some mail. */
	bool is_there = is_far !=
	    (sim_has(s, SIM_F_zones) && rng_below(dice(s, DICE_ZONES), 2));
	uint32_t from = (uint32_t)((minute + (is_there ? 540 : 0)) % 1440);
	uint32_t to = (from + pick(s, 1, 5)) % 1440;

	if (is_far)
		buf_addz(b, "zone: " SIM_FAR ", ");
	buf_addf(b, "quiet_hours: \"%02u:%02u-%02u:%02u\", ", from / 60,
	    from % 60, to / 60, to % 60);
}

/* Weights of some tenants and campaigns, the class of one, quiet hours. */
static void
write_tenants(struct sim *s, struct buf *b)
{
	buf_addz(b, "tenant:\n");
	for (uint32_t t = 0; t < s->plan.ntenants; t++) {
		if (coin(s, 30))
			continue;
		buf_addf(b, "  t%u: { ", t);
		if (sim_has(s, SIM_F_quiet) && coin(s, 60))
			write_quiet(s, b);
		if (!sim_has(s, SIM_F_weights)) {
			buf_addz(b, " }\n");
			continue;
		}
		put(s, b, "weight: %u, class: ", 1, 7);
		buf_addf(b, "%s, campaign: {",
		    coin(s, 15) ? "transactional" : "bulk");
		for (uint32_t k = 0; k < 3; k++)
			if (coin(s, 30))
				buf_addf(b, " c%u: { weight: %u },", k,
				    pick(s, 1, 4));
		buf_addz(b, " } }\n");
	}
	/* Zones count from when some tenant is quiet. */
	if (sim_has(s, SIM_F_zones))
		buf_addz(b, "  z: { quiet_hours: \"00:00-00:01\" }\n");
	buf_addz(b, "  default: { weight: 1 }\n");
}

static void
write_client(struct sim *s, struct buf *b)
{
	buf_addf(b, "client:\n  tls: %s\n",
	    sim_has(s, SIM_F_tls) ? "opportunistic" : "none");
	buf_addf(b, "  pipelining: %s\n", coin(s, 80) ? "true" : "false");
	buf_addf(b, "  chaining: %s\n", coin(s, 80) ? "true" : "false");
	put(s, b, "  host_retry_min: %us\n", 2, 20);
	put(s, b, "  host_retry_max: %us\n", 20, 120);
	if (!coin(s, 70))
		return;
	put(s, b, "  timeouts: { connect: %us, ", 5, 30);
	put(s, b, "banner: %us, ehlo: 30s, ", 10, 60);
	put(s, b, "mail: %us, rcpt: 30s, data: 30s, body: 40s, ", 10, 60);
	put(s, b, "eom: %us, ", 20, 120);
	put(s, b, "idle: %us }\n", 1, 20);
}

/* ---- limits on tuples ---------------------------------------------------------- */

uint32_t
plan_provider(uint32_t site)
{
	return site % 3 == 2 ? MET_NONE : site % 3;
}

/* Two netblocks. */
uint32_t
plan_netblock(uint32_t source)
{
	return source % 2;
}

uint32_t
plan_place(const struct sim *s, uint32_t site, struct slice domain)
{
	char text[64];
	unsigned d, g;

	slice_copy(domain, text, sizeof(text));
	if (sscanf(text, "d%u.g%u.example", &d, &g) != 2 || g >= s->plan.nsites)
		return site;
	if (s->plan.apart >> g & 1)
		return SIM_SITES * (1 + g * SIM_DOMAINS + d) + site;
	return plan_place_of(s, site, g);
}

uint32_t
plan_place_of(const struct sim *s, uint32_t site, uint32_t home)
{
	return s->plan.entries >> home & 1 ?
	    SIM_SITES * (1 + home * SIM_DOMAINS) + site :
	    site;
}

/* What counts together, of all sources or of each. */
static void
write_totals(struct sim *s, struct buf *b)
{
	if (coin(s, 30))
		put(s, b, "    total_connections: %u\n", 2, 9);
	if (coin(s, 30))
		put(s, b, "    total_rate: %u/10s\n", 20, 90);
	if (coin(s, 30))
		put(s, b, "    source_connections: %u\n", 1, 6);
	if (coin(s, 30))
		put(s, b, "    source_rate: %u/10s\n", 10, 60);
}

void
plan_write_provider(struct sim *s, struct buf *b, uint32_t v)
{
	buf_addf(b, "  v%u:\n    mx: [x%u.example", v, v);
	for (uint32_t i = v; i < s->plan.nsites; i += 3)
		buf_addf(b, ", g%u.example", i);
	buf_addz(b, "]\n");
	write_totals(s, b);
}

/* A zone in which a day ends soon after the world begins, or an hour later: the
 * same in all configurations, or it would be two days for the referee. */
static void
write_zone(struct sim *s, struct buf *b)
{
	int hour = (int)(sim_wall(s) / US_PER_S / 3600 % 24);
	int east;

	if (s->plan.day_hour == 0)
		s->plan.day_hour = coin(s, 50) ? 23 : 22;
	east = s->plan.day_hour - hour;

	if (east > 12)
		east -= 24;
	buf_addf(b, ", zone: Etc/GMT%+d", -east);
}

/* One of each kind: a path's, a queue's, and what speaks of both. */
static void
write_tuples(struct sim *s, struct buf *b)
{
	buf_addz(b, "limit:\n  none: { per: node, connections: 1000 }\n");
	if (coin(s, 50)) {
		put(s, b, "  a: { per: provider, rate: %u/10s, ", 20, 80);
		put(s, b, "burst: %u }\n", 1, 9);
	}
	if (coin(s, 40)) {
		put(s, b, "  b: { per: source, connections: %u, ", 2, 8);
		put(s, b, "connection_rate: %u/10s, ", 3, 30);
		put(s, b, "connection_burst: %u }\n", 1, 6);
	}
	if (coin(s, 40)) {
		put(s, b, "  c: { per: tenant, rate: %u/10s, ", 10, 60);
		put(s, b, "burst: %u, ", 1, 9);
		put(s, b, "quota: %u/10m }\n", 30, 150);
	}
	/* A queue that is full for days is offered mail all the time. */
	if (coin(s, 40) && !sim_has(s, SIM_F_exhaust)) {
		put(s, b, "  d: { where: { tenant: t0 }, quota: %u/day", 25,
		    150);
		write_zone(s, b);
		buf_addz(b, " }\n");
	}
	if (coin(s, 40)) {
		put(s, b, "  e: { per: [tenant, source], rate: %u/10s, ", 8,
		    60);
		put(s, b, "burst: %u }\n", 1, 5);
	}
	if (coin(s, 40)) {
		put(s, b, "  f: { per: [source, provider], ramp: %u/60s, ", 1,
		    6);
		put(s, b, "connections: %u }\n", 1, 6);
	}
	if (coin(s, 30)) {
		put(s, b, "  g: { per: [campaign, pool], connections: %u, ", 1,
		    6);
		put(s, b, "recipient_rate: %u/10s, ", 20, 150);
		put(s, b, "recipient_burst: %u }\n", 5, 60);
	}
	if (coin(s, 30))
		put(s, b, "  h: { quota: %u/5m }\n", 80, 500);
}

/* Where mail goes, and what it is. */
static void
write_places(struct sim *s, struct buf *b)
{
	if (coin(s, 30)) {
		put(s, b, "  i: { per: site, connections: %u, ", 1, 6);
		put(s, b, "byte_rate: %uK/10s, ", 40, 300);
		put(s, b, "byte_burst: %uK }\n", 4, 100);
	}
	if (coin(s, 30)) {
		put(s, b, "  j: { per: [tenant, site], connections: %u, ", 1,
		    4);
		put(s, b, "rate: %u/10s, burst: 3 }\n", 5, 60);
	}
	if (coin(s, 30)) {
		put(s, b, "  k: { per: host, connections: %u, ", 1, 4);
		put(s, b, "rate: %u/10s, burst: 4, ", 10, 60);
		put(s, b, "quota: %u/10m }\n", 20, 150);
	}
	if (coin(s, 30)) {
		put(s, b, "  l: { per: [netblock, campaign], rate: %u/10s, ",
		    10, 80);
		put(s, b, "burst: %u }\n", 1, 10);
	}
	if (coin(s, 30)) {
		put(s, b, "  m: { per: sender_domain, recipient_rate: %u/10s, ",
		    8, 80);
		put(s, b, "recipient_burst: %u, ", 2, 20);
		put(s, b, "connections: %u }\n", 1, 5);
	}
}

/* One number of this differs between configurations: the others count on. */
static void
write_steady(struct sim *s, struct buf *b)
{
	struct plan *p = &s->plan;

	if (p->steady_rate == 0) {
		p->steady_rate = pick(s, 8, 30);
		p->steady_burst = pick(s, 10, 60);
	}
	buf_addf(b, "  n: { per: source, rate: %u/10s, burst: %u, ",
	    p->steady_rate, p->steady_burst);
	put(s, b, "connections: %u }\n", 4, 30);
}

void
plan_meters(struct sim *s)
{
	const struct conf *used[SIM_CONFS];
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->plan.nconfs; i++)
		if (s->conf_used[i])
			used[n++] = s->plan.conf[i];
	met_confs(s->meters, used, n,
	    sim_has(s, SIM_F_clock) &&
		(sim_has(s, SIM_F_crash) || sim_has(s, SIM_F_stop)));
}

/* The tuples of a world are the same in all configurations, and mostly their
 * numbers. */
static void
write_limits_of_tuples(struct sim *s, struct buf *b)
{
	struct plan *p = &s->plan;

	if (!sim_has(s, SIM_F_tuples))
		return;
	if (!sim_has(s, SIM_F_layers)) {
		buf_addz(b, "provider:\n");
		for (uint32_t v = 0; v < 2; v++)
			plan_write_provider(s, b, v);
	}
	if (p->tuples == NULL || coin(s, 30)) {
		struct buf t;

		buf_init(&t, 1u << 14);
		write_tuples(s, &t);
		write_places(s, &t);
		ASSERT(!t.failed);
		mem_free(p->tuples);
		p->tuples = mem_get(t.n + 1);
		memcpy(p->tuples, t.p, t.n);
		buf_free(&t);
	}
	buf_addz(b, p->tuples);
	write_steady(s, b);
}

static struct conf *
conf_make(struct sim *s, uint32_t number)
{
	char pattern[40];
	struct conf *c;
	struct buf b;

	buf_init(&b, 1u << 16);
	s->plan.without[number] =
	    number && s->plan.nsources > 1 && coin(s, 40) ?
	    pick(s, 1, s->plan.nsources - 1) :
	    STK_ALL;
	buf_addz(&b,
	    "hostname: mta.sim.example\nipv6: false\n"
	    "listen:\n  in: { bind: 127.0.0.1:25, relay_from: [0.0.0.0/0]");
	if (sim_has(s, SIM_F_too_big))
		buf_addf(&b, ", message_size_max: %uK", SIM_SIZE_MAX / 1024);
	buf_addz(&b, " }\n");
	write_sources(s, &b, number);
	buf_addz(&b, "limits:\n");
	write_limits(s, &b, "default", 0, false);
	for (uint32_t i = 0; i < s->plan.nsites; i++) {
		snprintf(pattern, sizeof(pattern), "*.g%u.example", i);
		/* What is one site shall be so in all configurations. */
		if (coin(s, 50) && number == 0)
			s->plan.entries |= 1u << i;
		if ((s->plan.entries | s->plan.apart) >> i & 1)
			write_limits(s, &b, pattern, 1, s->plan.apart >> i & 1);
	}
	write_limits_of_tuples(s, &b);
	plan_reactions(s, &b);
	put(s, &b, "retry: { first: %us, ", 5, 60);
	put(s, &b, "max: %us, ", 60, 300);
	put(s, &b, "factor: %u, ", 1, 4);
	put(s, &b, "jitter: %u0% }\n", 0, 3);
	if (sim_has(s, SIM_F_zones))
		buf_addz(&b, "zones: [" SIM_FAR "]\n");
	if (sim_has(s, SIM_F_weights) || sim_has(s, SIM_F_quiet))
		write_tenants(s, &b);
	write_client(s, &b);
	put(s, &b, "dns: { retry_min: %us, ", 1, 20);
	put(s, &b, "retry_max: %us }\n", 20, 120);
	buf_addf(&b, "expire: %llds\n",
	    (long long)(s->plan.expire_us / US_PER_S));
	sim_wish_conf(s, &b);
	if (sim_has(s, SIM_F_exhaust))
		buf_addf(&b,
		    "messages_max: %u\nqueue_recipients_max: %u\n"
		    "sessions_max: %u\n",
		    s->plan.messages_max, s->plan.queue_max, pick(s, 2, 12));
	else
		buf_addz(&b,
		    "messages_max: 20000\n"
		    "queue_recipients_max: 100000\n");
	c = plan_parse(s, buf_slice(&b));
	ASSERT(!b.failed);
	buf_free(&b);
	return c;
}

/* ---- the world -------------------------------------------------------------------- */

/* A quarter of all, and so that none of those is among them which are noted for
 * finding a planted fault: they stay as they were. */
#define DSN_WORLDS UINT64_C(80744000000)

static uint64_t
features(struct sim *s)
{
	uint32_t often = pick(s, 20, 80);
	static struct tzone far;
	uint64_t f = 0;

	/* With dice of its own: the worlds that there were stay as they were. */
	for (uint32_t i = 0; i < SIM_FEATURE_N; i++)
		if (i == SIM_F_layers ?
			rng_below(dice(s, DICE_SHAPING), 3) == 0 :
			i == SIM_F_reactions ?
			rng_below(dice(s, DICE_REACT), 3) == 0 :
			i == SIM_F_sticky ?
			rng_below(dice(s, DICE_STICKY), 2) == 0 :
			i == SIM_F_zones ?
			rng_below(dice(s, DICE_ZONES), 2) == 0 :
			i == SIM_F_engaged ?
			rng_below(dice(s, DICE_ENGAGED), 4) != 0 :
			i == SIM_F_dsn ?
			hash_u64(s->opts->seed + DSN_WORLDS) % 4 == 0 :
			coin(s, often))
			f |= UINT64_C(1) << i;
	/* A young source's mail would wait for days. */
	if (f >> SIM_F_warmup & 1)
		f &= ~(UINT64_C(1) << SIM_F_sticky);
	if (!(f >> SIM_F_quiet & 1) || zoneinfo_load(SL(SIM_FAR), &far) != 0)
		f &= ~(UINT64_C(1) << SIM_F_zones);
	if (!(f >> SIM_F_warmup & 1))
		f &= ~(UINT64_C(1) << SIM_F_engaged);
	return f & ~s->opts->without;
}

/* All recipients one after the other through one connection: six commands and
 * their replies, and the time that a receiver thinks about each. */
static int64_t
one_by_one(const struct plan *p)
{
	int64_t rcpts = p->messages * (INT64_C(1) + p->rcpts_max / 2);

	return rcpts * (12 * p->latency_us + 50 * US_PER_MS);
}

/* Where all sources of a pool are young, mail may wait for so many days that
 * they can carry it, if none of them comes on. */
static int64_t
young_wait(const struct plan *p)
{
	uint32_t rcpts = p->messages * (1 + p->rcpts_max / 2);

	if (!(p->warm.young & 1))
		return p->warm.young ? 2 * 86400 * US_PER_S : 0;
	return (2 + 3 * rcpts / p->warm.most[0]) * (INT64_C(86400) * US_PER_S);
}

/* Time enough for everything that was under way when the faults stopped: each
 * wait at its longest, in a row, and the rates; and for what the clients have
 * to offer again and again where the daemon has little room. */
static int64_t
bound(const struct sim *s)
{
	const struct plan *p = &s->plan;
	/* A tenant may be quiet for five minutes. */
	int64_t us = 3900 * US_PER_S, worst = 0;

	/* Who was refused for long asks again in two hours, and then may have to
	 * ask twice. */
	us += 6 * 3600 * US_PER_S;
	/* One client rests ten seconds after each six messages or so. */
	us += p->messages * 3 * US_PER_S;
	us += one_by_one(p);
	for (uint32_t i = 0; i < p->nconfs; i++) {
		const struct conf *c = p->conf[i];
		int64_t sum = 2 * c->retry.max_us + 2 * c->host_retry_max_us +
		    2 * c->dns_retry_max_us;

		for (uint32_t k = 0; k < c->nshapes; k++) {
			const struct eng_shape *h = &c->shapes[k].shape;
			int64_t more = 2 * MAX(h->backoff_max_us, h->block_us);

			if (h->rate_count)
				more += h->rate_period_us / h->rate_count *
				    p->messages * 4;
			worst = MAX(worst, sum + more);
		}
		worst = MAX(worst, sum + plan_layers_us(s));
		for (uint32_t k = 0; k < c->nautomations; k++)
			worst = MAX(worst, sum + 2 * c->automations[k].for_us);
	}
	if (sim_has(s, SIM_F_tuples)) /* days and windows that are used up */
		us += 100 * INT64_C(86400) * US_PER_S;
	return us + worst + young_wait(p);
}

void
plan_make(struct sim *s)
{
	struct plan *p = &s->plan;
	uint32_t scale = s->opts->is_large ? 10 : 1;

	p->features = features(s);
	p->messages = pick(s, 590, 1320) * scale;
	p->rcpts_max = coin(s, 20) ? 30 : pick(s, 1, 8);
	if (p->rcpts_max > 8)
		p->messages /= 3;
	p->load_us = pick(s, 5, 40) * INT64_C(60) * US_PER_S;
	p->heal_us = p->load_us / 100 * pick(s, 100, 160);
	p->nsites = pick(s, 2, SIM_SITES);
	for (uint32_t i = 0; i < p->nsites; i++) {
		p->nhosts[i] = pick(s, 1, SIM_HOSTS);
		p->ndomains[i] = pick(s, 1, SIM_DOMAINS);
	}
	p->nsources = pick(s, 1, SIM_SOURCES);
	p->npools = pick(s, 1, MIN(p->nsources, 3u));
	p->ntenants = pick(s, 1, SIM_TENANTS);
	p->nclients = pick(s, 1, SIM_CLIENTS);
	p->fills_us = s->now_us + p->load_us / 100 * pick(s, 0, 50);
	p->latency_us = pick(s, 1, 200) * INT64_C(500);
	p->badness = pick(s, 2, 40);
	p->messages_max = pick(s, 100, 300);
	p->queue_max = pick(s, 100, 500);
	p->expire_us = sim_has(s, SIM_F_expiry) ?
	    pick(s, 3, 20) * INT64_C(60) * US_PER_S :
	    30 * 86400 * US_PER_S;
	if (sim_has(s, SIM_F_warmup))
		plan_warm(s);
	if (sim_has(s, SIM_F_sticky))
		plan_sticky(s);
	pools_fill(p);
	if (coin(s, 20))
		p->apart = pick(s, 1, (1u << p->nsites) - 1);
	p->nconfs = sim_has(s, SIM_F_reload) ? pick(s, 2, SIM_CONFS) : 1;
	for (uint32_t i = 0; i < p->nconfs; i++)
		p->conf[i] = conf_make(s, i);
	if (s->opts->messages)
		p->messages = MIN(p->messages, s->opts->messages);
	p->bound_us = bound(s);
}

void
plan_free(struct plan *p)
{
	for (uint32_t i = 0; i < p->nconfs; i++)
		conf_free(p->conf[i]);
	mem_free(p->tuples);
}

/* ---- questions ------------------------------------------------------------------------ */

const struct conf *
sim_conf(const struct sim *s)
{
	return s->plan.conf[s->conf_now];
}
