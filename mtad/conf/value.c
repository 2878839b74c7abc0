/*
 * conf/value.c - texts to values, by the type of the option.
 *
 * A scalar arrives as the user wrote it. Each reader accepts exactly what the
 * type's line in OPT_TYPES promises, and the option's range; who calls says
 * what was expected. Texts that are kept go to the configuration's arena.
 */
#include <inttypes.h>
#include <stdio.h>

#include "conf/conf_i.h"
#include "conf/zoneinfo.h"

#define PATH_MAX_BYTES 4095
#define TEXT_MAX_BYTES 200
#define DAY_US (86400 * US_PER_S)

#define X(id, field, reader, expects) { sizeof(field), expects },
static const struct {
	size_t bytes;
	const char *expects;
} types[] = { OPT_TYPES(X) };
#undef X

size_t
opt_field_bytes(enum opt_type type)
{
	return type < ARRAY_LEN(types) ? types[type].bytes : 0;
}

/* A text on its way into a field. */
struct value {
	struct conf *conf;
	const struct opt *o;
	struct slice text;
	void *at;   /* the field, or its item */
	void *base; /* the structure that holds it */
	uint32_t i; /* number of the item */
};

/* Stores a number that is in the option's range. */
static bool
store(const struct value *v, uint64_t n)
{
	const struct opt *o = v->o;
	size_t bytes = opt_field_bytes(o->type);

	if (n > INT64_MAX)
		return false;
	if (o->max != 0 && ((int64_t)n < o->min || (int64_t)n > o->max))
		return false;
	if (bytes == sizeof(uint16_t))
		*(uint16_t *)v->at = (uint16_t)n;
	else if (bytes == sizeof(uint32_t))
		*(uint32_t *)v->at = (uint32_t)n;
	else
		*(uint64_t *)v->at = n;
	return true;
}

static bool
keep(const struct value *v)
{
	struct slice *field = v->at;

	field->p = arena_str(&v->conf->arena, v->text.p, v->text.n);
	field->n = field->p != NULL ? v->text.n : 0;
	return field->p != NULL;
}

/* ---- numbers ------------------------------------------------------------- */

static bool
read_bool(const struct value *v)
{
	static const char *const words[] = { "false", "true", "no", "yes",
		"off", "on" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (slice_ieq(v->text, slice_str(words[i]))) {
			*(bool *)v->at = i % 2 == 1;
			return true;
		}
	return false;
}

static bool
read_choice(const struct value *v)
{
	for (int i = 0; i < 2; i++)
		if (slice_ieq(v->text, slice_str(v->o->words[i]))) {
			*(bool *)v->at = i == 1;
			return true;
		}
	return false;
}

static bool
read_uint(const struct value *v)
{
	uint64_t n;

	return slice_u64(v->text, INT64_MAX, &n) == 0 && store(v, n);
}

static bool
read_size(const struct value *v)
{
	uint64_t n;

	return parse_size(v->text, &n) == 0 && store(v, n);
}

static bool
read_duration(const struct value *v)
{
	int64_t us;

	if (parse_duration(v->text, &us) != 0 || !store(v, (uint64_t)us))
		return false;
	if (v->o->type == OPT_MS)
		*(int64_t *)v->at = us / US_PER_MS;
	return true;
}

/* "2", "1.5", "1.25": hundredths. */
static bool
read_factor(const struct value *v)
{
	struct slice part = v->text;
	struct slice whole = slice_cut(&part, '.');
	uint64_t n, hundredths = 0;

	if (slice_u64(whole, 1000000, &n) != 0 || part.n > 2)
		return false;
	if (part.p != NULL && slice_u64(part, 99, &hundredths) != 0)
		return false;
	if (part.n == 1)
		hundredths *= 10;
	return store(v, n * 100 + hundredths);
}

static bool
read_percent(const struct value *v)
{
	struct slice number = v->text;
	uint64_t n;

	if (number.n == 0 || number.p[number.n - 1] != '%')
		return false;
	number.n--;
	return slice_u64(number, INT64_MAX, &n) == 0 && store(v, n);
}

/* In parts per million: up to four digits behind the point. */
static bool
read_part(const struct value *v)
{
	struct slice behind = v->text, whole;
	uint64_t n, m = 0;

	if (v->text.n == 0 || v->text.p[v->text.n - 1] != '%')
		return false;
	behind.n--;
	whole = slice_cut(&behind, '.');
	if (slice_u64(whole, 1000, &n) != 0 || behind.n > 4 ||
	    (behind.p != NULL && slice_u64(behind, 9999, &m) != 0))
		return false;
	for (size_t i = behind.p != NULL ? behind.n : 4; i < 4; i++)
		m *= 10;
	return store(v, n * 10000 + m);
}

static bool
read_rate(const struct value *v)
{
	int64_t *period_us = (void *)((char *)v->base + v->o->also);
	uint64_t n;

	if (slice_ieq(v->text, SL("none"))) {
		*(uint32_t *)v->at = 0;
		*period_us = 0;
		return true;
	}
	return parse_rate(v->text, &n, period_us) == 0 && store(v, n);
}

static bool
read_bytes(const struct value *v)
{
	int64_t *period_us = (void *)((char *)v->base + v->o->also);
	struct slice rest = v->text;
	struct slice size = slice_cut(&rest, '/');
	char one[32];
	uint64_t n;

	*period_us = 0;
	*(uint64_t *)v->at = 0;
	if (slice_ieq(v->text, SL("none")))
		return true;
	if (rest.n == 0 || rest.n > sizeof(one) - 3)
		return false;
	snprintf(one, sizeof(one), "1/%.*s", (int)rest.n, rest.p);
	return parse_rate(slice_str(one), &n, period_us) == 0 &&
	    parse_size(size, &n) == 0 && store(v, n);
}

/* A day is one of the calendar; any other period is a window that moves. */
static bool
read_quota(const struct value *v)
{
	int64_t *period_us = (void *)((char *)v->base + v->o->also);
	struct slice rest = v->text;
	struct slice count = slice_cut(&rest, '/');
	uint64_t n;

	*period_us = 0;
	*(uint32_t *)v->at = 0;
	if (slice_ieq(v->text, SL("none")))
		return true;
	if (slice_u64(count, UINT32_MAX, &n) != 0 || !store(v, n))
		return false;
	if (slice_ieq(rest, SL("day")))
		return true;
	if (slice_ieq(rest, SL("hour"))) {
		*period_us = 3600 * US_PER_S;
		return true;
	}
	return parse_rate(v->text, &n, period_us) == 0 &&
	    *period_us >= 60 * US_PER_S && *period_us <= 31 * DAY_US;
}

static bool
read_dim(const struct value *v)
{
	for (int d = 0; d < DIM_N; d++)
		if (slice_eq(v->text, slice_str(eng_dim_name(d)))) {
			*(uint16_t *)v->at = (uint16_t)d;
			return true;
		}
	return false;
}

/* A path is a source at a site, a queue what goes there of one pool, tenant and
 * campaign. */
static bool
read_target(const struct value *v)
{
	static const uint16_t dims = 1 << DIM_SOURCE | 1 << DIM_NETBLOCK |
	    1 << DIM_SITE | 1 << DIM_PROVIDER | 1 << DIM_NODE |
	    1 << DIM_TENANT | 1 << DIM_CAMPAIGN | 1 << DIM_SENDER_DOMAIN |
	    1 << DIM_HOST;
	uint16_t *to = v->at;

	*to = 0;
	if (slice_eq(v->text, SL("path")))
		*to = 1 << DIM_SOURCE | 1 << DIM_SITE;
	if (slice_eq(v->text, SL("queue")))
		*to = 1 << DIM_SITE | 1 << DIM_POOL | 1 << DIM_TENANT |
		    1 << DIM_CAMPAIGN;
	for (int d = 0; d < DIM_N; d++)
		if (dims >> d & 1 &&
		    slice_eq(v->text, slice_str(eng_dim_name(d))))
			*to = (uint16_t)(1 << d);
	return *to != 0;
}

static bool
read_action(const struct value *v)
{
	for (int a = 0; a < ENG_ACTION_N; a++)
		if (slice_eq(v->text, slice_str(eng_action_name(a)))) {
			*(uint8_t *)v->at = (uint8_t)a;
			return true;
		}
	return false;
}

static bool
read_tls(const struct value *v)
{
	for (int m = 0; m < CONF_TLS_MODES; m++)
		if (slice_eq(v->text, slice_str(conf_tls_mode_name(m)))) {
			*(uint8_t *)v->at = (uint8_t)m;
			return true;
		}
	return false;
}

static bool
read_tls_min(const struct value *v)
{
	if (v->text.n != 3 || !slice_has_iprefix(v->text, SL("1.")) ||
	    v->text.p[2] < '0' || v->text.p[2] > '3')
		return false;
	*(uint8_t *)v->at = (uint8_t)(v->text.p[2] - '0' + 1);
	return true;
}

/* ---- addresses ----------------------------------------------------------- */

static bool
ip_is_unspecified(const struct ip *ip)
{
	static const uint8_t zero[16];

	return memcmp(ip->b, zero, sizeof(zero)) == 0;
}

static bool
read_ip(const struct value *v)
{
	return ip_parse(v->text, v->at) == 0 && !ip_is_unspecified(v->at);
}

static bool
read_endpoint(const struct value *v)
{
	struct endpoint *e = v->at;

	return endpoint_parse(v->text, 0, e) == 0 && e->port != 0;
}

static bool
read_server(const struct value *v)
{
	struct endpoint *e = v->at;

	return endpoint_parse(v->text, 53, e) == 0 && e->port != 0 &&
	    !ip_is_unspecified(&e->ip);
}

static bool
read_cidr(const struct value *v)
{
	return cidr_parse(v->text, v->at) == 0;
}

/* ---- names and texts ----------------------------------------------------- */

/* A domain whose last label is no number, so that a mistyped address is not
 * taken for a name. */
static bool
domain_is_name(struct slice s)
{
	size_t last = s.n;

	if (!domain_is_valid(s, false))
		return false;
	while (last > 0 && s.p[last - 1] != '.')
		last--;
	for (size_t i = last; i < s.n; i++)
		if (!ascii_is_digit(s.p[i]))
			return true;
	return false;
}

static bool
read_domain(const struct value *v)
{
	return domain_is_name(v->text) && keep(v);
}

/* "mx.example:2525" or "mx.example", whose port is the default. */
static bool
named_host(struct slice text, struct endpoint *e)
{
	struct slice port = text;
	struct slice name = slice_cut(&port, ':');
	uint64_t n = e->port;

	if (port.p != NULL && slice_u64(port, 65535, &n) != 0)
		return false;
	*e = (struct endpoint){ .port = (uint16_t)n };
	return n != 0 && domain_is_name(name);
}

/* The one type that fills two arrays: the host as text without its port, and
 * its endpoint, without an address where the name must be looked up. */
static bool
read_host(const struct value *v)
{
	struct endpoint *e = (void *)((char *)v->base + v->o->also);
	struct value host = *v;

	e += v->i;
	if (slice_has_prefix(v->text, SL(CONF_UNIX "/"))) {
		/* Addresses tell hosts apart, too. */
		*e = (struct endpoint){ .ip = { .b = { 127, 0, 0, 1 },
					    .family = 4 },
			.port = (uint16_t)(1 +
			    hash_bytes(0, v->text.p, v->text.n) % 65535) };
		return v->text.n <= sizeof(CONF_UNIX) - 1 + CONF_UNIX_MAX &&
		    keep(v);
	}
	if (endpoint_parse(v->text, v->conf->smtp_port, e) == 0)
		return e->port != 0 && !ip_is_unspecified(&e->ip) && keep(v);
	e->port = v->conf->smtp_port;
	if (!named_host(v->text, e))
		return false;
	host.text.n = slice_index(v->text, ':');
	return keep(&host);
}

static bool
read_glob(const struct value *v)
{
	struct slice s = v->text;

	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    s.p[i] != '*' && s.p[i] != '.' && s.p[i] != '-' &&
		    s.p[i] != '_')
			return false;
	return s.n > 0 && s.n <= DOMAIN_MAX && keep(v);
}

static bool
read_mailbox(const struct value *v)
{
	char path[MAILBOX_MAX + 2];
	struct smtp_path parsed;
	struct slice in;

	if (v->text.n > MAILBOX_MAX)
		return false;
	path[0] = '<';
	memcpy(path + 1, v->text.p, v->text.n);
	path[v->text.n + 1] = '>';
	in = slice_of(path, v->text.n + 2);
	return smtp_path_parse(&in, false, false, &parsed) == 0 && in.n == 0 &&
	    slice_eq(parsed.address, v->text) && parsed.domain.n > 0 && keep(v);
}

bool
name_is_valid(struct slice s)
{
	if (s.n == 0 || s.n > NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    s.p[i] != '.' && s.p[i] != '-' && s.p[i] != '_')
			return false;
	return true;
}

static bool
read_name(const struct value *v)
{
	return name_is_valid(v->text) && keep(v);
}

/* Paths end as C strings and in log lines: no control bytes. */
static bool
read_path(const struct value *v)
{
	struct slice s = v->text;

	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return s.n > 0 && s.n <= PATH_MAX_BYTES && keep(v);
}

static bool
read_text(const struct value *v)
{
	struct slice s = v->text;

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return s.n > 0 && s.n <= TEXT_MAX_BYTES && keep(v);
}

/* "NAME" or "NAME:WEIGHT", which a map of one pair also stands for. */
static bool
read_share(const struct value *v)
{
	const struct conf *c = v->conf;
	struct slice weight = v->text, name = slice_cut(&weight, ':');
	uint16_t *to = (uint16_t *)(void *)((char *)v->base + v->o->also);
	uint64_t n = 1;

	if (weight.p != NULL &&
	    (slice_u64(weight, ENG_WEIGHT_MAX, &n) != 0 || n == 0))
		return false;
	for (uint32_t i = 0; i < c->nsources; i++)
		if (slice_eq(c->sources[i].name, name)) {
			*(uint16_t *)v->at = (uint16_t)i;
			to[v->i] = (uint16_t)n;
			return true;
		}
	return false;
}

static bool
read_pool(const struct value *v)
{
	const struct conf *c = v->conf;

	for (uint32_t i = 0; i < c->npools; i++)
		if (slice_eq(c->pools[i].name, v->text)) {
			*(struct slice *)v->at = c->pools[i].name;
			return true;
		}
	/* Where no pool is given, check.c makes one of this name. */
	return c->npools == 0 && slice_eq(v->text, SL("default")) && keep(v);
}

/* "sat,sun": bits, Monday the lowest. */
static bool
take_days(struct slice days, uint8_t *out)
{
	static const char names[] = "montuewedthufrisatsun";

	*out = 0;
	while (days.p != NULL) {
		struct slice day = slice_cut(&days, ',');
		size_t at = 0;

		while (at < 21 && !slice_ieq(day, slice_of(names + at, 3)))
			at += 3;
		if (at == 21)
			return false;
		*out |= (uint8_t)(1u << at / 3);
	}
	return true;
}

/* "08:30", up to "24:00". */
static bool
take_minute(struct slice s, uint16_t *out)
{
	uint64_t h, m;

	if (s.n != 5 || s.p[2] != ':' ||
	    slice_u64(slice_of(s.p, 2), 24, &h) != 0 ||
	    slice_u64(slice_of(s.p + 3, 2), 59, &m) != 0 || h * 60 + m > 1440)
		return false;
	*out = (uint16_t)(h * 60 + m);
	return true;
}

static bool
read_hours(const struct value *v)
{
	struct eng_quiet *q = v->at;
	struct slice to = v->text, days, from;
	size_t n = slice_index(to, ' ');

	q->days = 0x7f;
	if (n < to.n) {
		days = slice_of(to.p, n);
		to = slice_trim(slice_skip(to, n));
		if (!take_days(days, &q->days))
			return false;
	}
	from = slice_cut(&to, '-');
	return take_minute(from, &q->from_min) && take_minute(to, &q->to_min) &&
	    q->from_min < 1440;
}

/* The zone is kept where it is new. */
static bool
read_zone(const struct value *v)
{
	struct conf *c = v->conf;
	uint32_t i = conf_zone_find(c, v->text);
	struct conf_zone *z;

	if (i == c->nzones) {
		z = i < CONF_ZONES_MAX ? arena_get(&c->arena, sizeof(*z)) :
					 NULL;
		if (z == NULL || zoneinfo_load(v->text, &z->zone) != 0)
			return false;
		z->name.p = arena_str(&c->arena, v->text.p, v->text.n);
		z->name.n = z->name.p != NULL ? v->text.n : 0;
		c->zones[c->nzones++] = z;
	}
	*(uint16_t *)v->at = (uint16_t)i;
	return true;
}

/* ---- by type ------------------------------------------------------------- */

bool
opt_read(struct conf *conf, const struct opt *o, struct slice text, void *base,
    uint32_t i)
{
	struct value v = { conf, o, text, .base = base, .i = i };

	v.at = (char *)base + o->at + i * opt_field_bytes(o->type);
	switch (o->type) {
#define X(id, field, reader, expects)                                          \
	case id:                                                               \
		return read_##reader(&v);
		OPT_TYPES(X)
#undef X
	default:
		return false;
	}
}

/* ---- what to expect ------------------------------------------------------ */

void
opt_format_bound(const struct opt *o, int64_t n, char *dst)
{
	if (o->type == OPT_SIZE || o->type == OPT_SIZE32)
		fmt_size_exact(dst, (uint64_t)n);
	else if (o->type == OPT_DURATION || o->type == OPT_MS)
		fmt_duration_exact(dst, n);
	else if (o->type == OPT_FACTOR)
		snprintf(dst, 32, "%u", (unsigned)(n / 100));
	else if (o->type == OPT_PART)
		snprintf(dst, 32, "%g%%", (double)n / 10000);
	else
		snprintf(dst, 32, "%" PRId64 "%s", n,
		    o->type == OPT_PERCENT ? "%" : "");
}

void
opt_expects(const struct opt *o, char *dst, size_t cap)
{
	char lo[32], hi[32];

	if (o->type == OPT_CHOICE) {
		snprintf(dst, cap, "%s or %s", o->words[0], o->words[1]);
	} else if (o->max == 0 || o->type == OPT_RATE || o->type == OPT_BYTES ||
	    o->type == OPT_QUOTA) {
		snprintf(dst, cap, "%s", types[o->type].expects);
	} else {
		opt_format_bound(o, o->min, lo);
		opt_format_bound(o, o->max, hi);
		snprintf(dst, cap, "%s%s from %s to %s", types[o->type].expects,
		    o->type == OPT_U16 || o->type == OPT_U32 ? "" : ",", lo,
		    hi);
	}
}
