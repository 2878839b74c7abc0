/*
 * sim/plan_shape.c - limits by provider, site and source: what a seed makes of
 * them, and which limits hold for a path, put together by the configuration's own
 * rules. The daemon puts them together in its engine.
 */
#include "conf/shaping.h"
#include "sim/sim_i.h"

/* The slowest rate that is drawn, in any ten seconds. */
#define RATE_MIN 5

static uint32_t
pick(struct sim *s, uint32_t lo, uint32_t hi)
{
	return (uint32_t)rng_range(dice(s, DICE_SHAPING), lo, hi);
}

static bool
coin(struct sim *s)
{
	return rng_below(dice(s, DICE_SHAPING), 2) != 0;
}

/* Each limit is said or not, or set back. */
static void
put_limits(struct sim *s, struct buf *b)
{
	buf_addz(b, "{ ");
	if (coin(s))
		buf_addf(b, "connections: %u, ", pick(s, 1, 6));
	else if (coin(s))
		buf_addz(b, "connections: ~, ");
	if (coin(s))
		buf_addf(b, "messages_per_connection: %u, ", pick(s, 1, 30));
	if (coin(s))
		buf_addf(b, "recipients_per_transaction: %u, ", pick(s, 1, 20));
	if (sim_has(s, SIM_F_rates) && coin(s))
		buf_addf(b, "rate: %u/10s, ", pick(s, RATE_MIN, 60));
	buf_addz(b, "}\n");
}

static void
put_sources(struct sim *s, struct buf *b, const char *indent)
{
	buf_addf(b, "%ssource:\n", indent);
	for (uint32_t i = 0; i < s->plan.nsources; i++) {
		if (i != 0 && coin(s))
			continue;
		buf_addf(b, "%s  s%u: ", indent, i);
		put_limits(s, b);
	}
}

static void
write_shaping(struct sim *s, struct buf *b)
{
	buf_addz(b, "default: ");
	put_limits(s, b);
	buf_addz(b, "provider:\n");
	for (uint32_t i = 0; i < 3; i++) {
		/* Limits on tuples want to know whose a site is. */
		if (sim_has(s, SIM_F_tuples) && i == 2)
			break;
		if (sim_has(s, SIM_F_tuples))
			plan_write_provider(s, b, i);
		else
			buf_addf(b,
			    "  p%u:\n    mx: [g%u.example, '*.g%u.example']\n",
			    i, pick(s, 0, s->plan.nsites - 1), i);
		if (coin(s))
			buf_addf(b, "    connections: %u\n", pick(s, 1, 6));
		if (coin(s))
			put_sources(s, b, "    ");
	}
	buf_addf(b,
	    "site:\n  '*0.g%u.example': ", pick(s, 0, s->plan.nsites - 1));
	put_limits(s, b);
	put_sources(s, b, "");
}

static struct conf *
parse_layers(struct sim *s, struct slice text, struct conf_errors *errs)
{
	const char *name = "shaping";
	struct slice shaping;
	struct conf_shaping_in in = { .n = 1,
		.names = &name,
		.texts = &shaping };
	struct conf *c;
	struct buf b;

	buf_init(&b, 1u << 16);
	write_shaping(s, &b);
	shaping = buf_slice(&b);
	c = conf_parse_with("seed", text, &in, errs);
	ASSERT(!b.failed);
	buf_free(&b);
	return c;
}

struct conf *
plan_parse(struct sim *s, struct slice text)
{
	struct conf_errors errs = { 0 };
	struct conf *c = sim_has(s, SIM_F_layers) ?
	    parse_layers(s, text, &errs) :
	    conf_parse("seed", text, &errs);

	ASSERT(c != NULL);
	/* The clients here use no other of these, and an answer to EHLO of another
	 * length makes every world another one. */
	for (uint32_t i = 0; i < c->nlisten; i++)
		c->listen[i].smtp.exts = sim_has(s, SIM_F_dsn) ? EXT_DSN : 0;
	return c;
}

int64_t
plan_layers_us(const struct sim *s)
{
	if (!sim_has(s, SIM_F_layers) || !sim_has(s, SIM_F_rates))
		return 0;
	return 10 * US_PER_S / RATE_MIN * s->plan.messages * 4;
}

/* ---- questions ------------------------------------------------------------- */

static uint32_t
source_at(const struct conf *c, uint32_t number)
{
	char name[16];
	uint32_t i = 0;

	snprintf(name, sizeof(name), "s%u", number);
	while (
	    i < c->nsources && !slice_eq(c->sources[i].name, slice_str(name)))
		i++;
	return i;
}

/* Mail of a home's domains goes to the hosts of a site, from a source. */
static struct eng_shape
shape_of(const struct sim *s, const struct conf *c, uint32_t home,
    uint32_t site, uint32_t source)
{
	char names[SIM_HOSTS][32], domain[40];
	struct slice hosts[SIM_HOSTS];
	struct conf_place place;
	struct conf_limits l;
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->plan.nhosts[site]; i += 2) {
		sim_host_name(site, i, names[n]);
		hosts[n] = slice_str(names[n]);
		n++;
	}
	snprintf(domain, sizeof(domain), "d0.g%u.example", home);
	conf_place(c, slice_str(domain), hosts, n, &place);
	conf_limits(c, &place, source_at(c, source), &l);
	return l.shape;
}

/* The larger of two limits, 0 being none. */
static uint32_t
looser(uint32_t a, uint32_t b)
{
	return a == 0 || b == 0 ? 0 : MAX(a, b);
}

/* The slower floor; without one nothing is slowed. */
static void
loosen_floor(struct eng_shape *to, const struct eng_shape *by)
{
	if (to->floor_count != 0 &&
	    (by->floor_count == 0 ||
		to->floor_count * by->floor_period_us <=
		    by->floor_count * to->floor_period_us))
		return;
	to->floor_count = by->floor_count;
	to->floor_period_us = by->floor_period_us;
}

static void
loosen(struct eng_shape *to, const struct eng_shape *by)
{
	to->conns_max = looser(to->conns_max, by->conns_max);
	to->msgs_per_conn = looser(to->msgs_per_conn, by->msgs_per_conn);
	to->rcpts_per_txn = MAX(to->rcpts_per_txn, by->rcpts_per_txn);
	to->rate_count = looser(to->rate_count, by->rate_count);
	to->rate_burst = MAX(to->rate_burst, by->rate_burst);
	loosen_floor(to, by);
}

/* A reload reaches a site with the next answer about a domain there, which may
 * be long after: any configuration that ever held may still. Looked up once for
 * each set of those. */
struct eng_shape
plan_shape(struct sim *s, uint32_t site, uint32_t source)
{
	struct plan_shape_of *known = &s->plan.shapes[site][source];
	uint64_t used = 1;

	for (uint32_t i = 0; i < s->plan.nconfs; i++)
		used |= (uint64_t)s->conf_used[i] << (i + 1);
	for (uint32_t i = 0; i < s->plan.nsites; i++)
		used |= (uint64_t)sim_zone_may(s, i, site) << (i + 8);
	used |= (uint64_t)s->conf_now << 32;
	if (known->used == used)
		return known->shape;
	known->used = used;
	known->shape = shape_of(s, sim_conf(s), site, site, source);
	for (uint32_t home = 0; home < s->plan.nsites; home++) {
		if (!sim_zone_may(s, home, site))
			continue;
		for (uint32_t i = 0; i < s->plan.nconfs; i++) {
			struct eng_shape by;

			if (!s->conf_used[i])
				continue;
			by = shape_of(s, s->plan.conf[i], home, site, source);
			loosen(&known->shape, &by);
		}
	}
	return known->shape;
}
