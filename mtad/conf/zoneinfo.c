/*
 * conf/zoneinfo.c - zone files: a header, a block with 32-bit times that is
 * stepped over, the same with 64-bit times, and a rule as in the TZ variable
 * for all that comes behind (RFC 8536 3; POSIX.1 8.3 and RFC 8536 3.3.1).
 *
 * Whatever the bytes are, nothing is read outside of them, and the table that
 * comes out is valid.
 */
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "conf/zoneinfo.h"

#define HEADER_BYTES 44
#define TYPE_BYTES 6
#define TYPES_MAX 256u
#define HOUR_S 3600

/* ---- days ------------------------------------------------------------------ */

static bool
is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Number of the first of January. */
static int64_t
year_day(int64_t year)
{
	int64_t y = year - 1;

	return 365 * (year - 1970) + (y / 4 - 1969 / 4) -
	    (y / 100 - 1969 / 100) + (y / 400 - 1969 / 400);
}

/* Of a month, 1 to 12, in its year. */
static int64_t
month_day(int64_t year, int mon)
{
	static const int16_t before[] = { 0, 31, 59, 90, 120, 151, 181, 212,
		243, 273, 304, 334, 365 };

	return before[mon - 1] + (mon > 2 && is_leap(year));
}

/* ---- the table ------------------------------------------------------------- */

static int64_t
first_s(void)
{
	return year_day(ZONEINFO_FROM_YEAR) * ZONE_DAY_S;
}

static int64_t
last_s(void)
{
	return year_day(ZONEINFO_TO_YEAR + 1) * ZONE_DAY_S;
}

/* One more change, not before those that there are. False: it does not fit. */
static bool
add(struct tzone *z, int64_t from_s, int32_t offset_s)
{
	if (z->n == 0 || from_s < first_s()) {
		*z = (struct tzone){ .n = 1, .offset_s = { offset_s } };
		return true;
	}
	if (from_s >= last_s())
		return true;
	if (z->n > 1 && from_s == z->from_s[z->n - 1])
		z->n--; /* it never held */
	if (offset_s == z->offset_s[z->n - 1])
		return true;
	if (z->n == ZONE_CHANGES_MAX || from_s <= z->from_s[z->n - 1])
		return false;
	z->from_s[z->n] = from_s;
	z->offset_s[z->n++] = offset_s;
	return true;
}

/* ---- the rule -------------------------------------------------------------- */

static bool
take_char(struct slice *s, char c)
{
	if (s->n == 0 || *s->p != c)
		return false;
	*s = slice_skip(*s, 1);
	return true;
}

static bool
take_number(struct slice *s, int64_t min, int64_t max, int64_t *out)
{
	size_t n = 0;
	uint64_t v;

	while (n < s->n && n < 4 && ascii_is_digit(s->p[n]))
		n++;
	if (slice_u64(slice_of(s->p, n), 9999, &v) != 0 || (int64_t)v < min ||
	    (int64_t)v > max)
		return false;
	*s = slice_skip(*s, n);
	*out = (int64_t)v;
	return true;
}

/* "EST", "<+03>". */
static bool
take_name(struct slice *s)
{
	bool is_quoted = take_char(s, '<');
	size_t n = 0;

	while (n < s->n &&
	    (ascii_is_alpha(s->p[n]) ||
		(is_quoted &&
		    (ascii_is_digit(s->p[n]) || s->p[n] == '+' ||
			s->p[n] == '-'))))
		n++;
	*s = slice_skip(*s, n);
	return n >= 3 && (!is_quoted || take_char(s, '>'));
}

/* "-3", "5:30", "02:00:00". */
static bool
take_time(struct slice *s, int64_t hours_max, int64_t *out)
{
	bool is_minus = take_char(s, '-');
	int64_t h, part;

	if (!is_minus)
		(void)take_char(s, '+');
	if (!take_number(s, 0, hours_max, &h))
		return false;
	*out = h * HOUR_S;
	for (int64_t unit = 60; unit >= 1 && take_char(s, ':'); unit /= 60) {
		if (!take_number(s, 0, 59, &part))
			return false;
		*out += part * unit;
	}
	if (is_minus)
		*out = -*out;
	return true;
}

/* A day of any year, and the local time of it. */
struct rule_day {
	char kind; /* 'M', 'J', or 0: days from 0 on, leap days counted */
	int64_t mon, week, day;
	int64_t time_s;
};

static bool
take_day(struct slice *s, struct rule_day *d)
{
	bool ok;

	if (!take_char(s, ','))
		return false;
	*d = (struct rule_day){ .time_s = 2 * HOUR_S };
	if (take_char(s, 'M')) {
		d->kind = 'M';
		ok = take_number(s, 1, 12, &d->mon) && take_char(s, '.') &&
		    take_number(s, 1, 5, &d->week) && take_char(s, '.') &&
		    take_number(s, 0, 6, &d->day);
	} else if (take_char(s, 'J')) {
		d->kind = 'J';
		ok = take_number(s, 1, 365, &d->day);
	} else {
		ok = take_number(s, 0, 365, &d->day);
	}
	if (ok && take_char(s, '/'))
		ok = take_time(s, 167, &d->time_s);
	return ok;
}

static int64_t
rule_when_s(const struct rule_day *d, int64_t year)
{
	int64_t day = year_day(year), first, length;

	switch (d->kind) {
	case 'M':
		first = day + month_day(year, (int)d->mon);
		length = day + month_day(year, (int)d->mon + 1) - first;
		if (d->mon == 12)
			length = 31;
		/* Day 0 was a Thursday. */
		day = (d->day - (first + 4) % 7 + 7) % 7 + 7 * (d->week - 1);
		while (day >= length)
			day -= 7;
		day += first;
		break;
	case 'J':
		day += d->day - 1 + (d->day > 59 && is_leap(year));
		break;
	default:
		day += d->day;
	}
	return day * ZONE_DAY_S + d->time_s;
}

/* Two changes a year, those later than after_s. */
static bool
add_rule(struct tzone *z, int64_t after_s, const struct rule_day day[2],
    const int64_t offset_s[2])
{
	for (int64_t y = ZONEINFO_FROM_YEAR - 1; y <= ZONEINFO_TO_YEAR; y++) {
		/* Summer begins by winter's clock, and the other way round. */
		int64_t t[2] = { rule_when_s(&day[0], y) - offset_s[0],
			rule_when_s(&day[1], y) - offset_s[1] };
		int first = t[1] < t[0];

		for (int k = 0; k < 2; k++) {
			int i = k ^ first;

			if (t[i] > after_s &&
			    !add(z, t[i], (int32_t)offset_s[!i]))
				return false;
		}
	}
	return true;
}

/* "CET-1CEST,M3.5.0,M10.5.0/3": what holds behind the last change. */
static bool
take_rule(struct slice s, struct tzone *z, int64_t after_s)
{
	struct rule_day day[2];
	int64_t offset_s[2];

	if (s.n == 0)
		return z->n != 0; /* nothing is known */
	if (!take_name(&s) || !take_time(&s, 24, &offset_s[0]))
		return false;
	offset_s[0] = -offset_s[0];
	if (s.n == 0)
		return z->n != 0 || add(z, 0, (int32_t)offset_s[0]);
	if (!take_name(&s))
		return false;
	offset_s[1] = offset_s[0] + HOUR_S;
	if (s.n > 0 && *s.p != ',') {
		if (!take_time(&s, 24, &offset_s[1]))
			return false;
		offset_s[1] = -offset_s[1];
	}
	if (!take_day(&s, &day[0]) || !take_day(&s, &day[1]) || s.n != 0)
		return false;
	if (z->n == 0 && !add(z, 0, (int32_t)offset_s[0]))
		return false;
	return add_rule(z, after_s, day, offset_s);
}

/* ---- the file -------------------------------------------------------------- */

struct header {
	uint32_t isut, isstd, leap, times, types, chars;
};

static uint32_t
be32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static int64_t
be64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return (int64_t)be64toh(v);
}

static int
take_header(struct cursor *c, struct header *h)
{
	struct slice s = cursor_take(c, HEADER_BYTES);

	if (c->bad || memcmp(s.p, "TZif", 4) != 0)
		return E_CORRUPT;
	if (s.p[4] < '2')
		return E_VERSION;
	*h = (struct header){ be32(s.p + 20), be32(s.p + 24), be32(s.p + 28),
		be32(s.p + 32), be32(s.p + 36), be32(s.p + 40) };
	/* Nothing is so large, and no sum of these overflows. */
	if ((h->isut | h->isstd | h->leap | h->times | h->types | h->chars) >
		ZONEINFO_BYTES_MAX ||
	    h->types == 0 || h->types > TYPES_MAX)
		return E_CORRUPT;
	return 0;
}

/* The changes of the block with 64-bit times. */
static bool
take_changes(struct cursor *c, const struct header *h, struct tzone *z,
    int64_t *after_s)
{
	struct slice times = cursor_take(c, (size_t)8 * h->times);
	struct slice kinds = cursor_take(c, h->times);
	struct slice types = cursor_take(c, (size_t)TYPE_BYTES * h->types);

	cursor_take(c, h->chars + (size_t)12 * h->leap + h->isstd + h->isut);
	*after_s = INT64_MIN;
	if (c->bad)
		return false;
	for (uint32_t i = 0; i < h->times; i++) {
		int64_t t = be64(times.p + (size_t)8 * i);
		uint8_t kind = (uint8_t)kinds.p[i];
		int32_t offset_s;

		if (kind >= h->types || t <= *after_s)
			return false;
		offset_s = (int32_t)be32(types.p + (size_t)TYPE_BYTES * kind);
		if (offset_s > ZONE_OFFSET_MAX_S ||
		    offset_s < -ZONE_OFFSET_MAX_S || !add(z, t, offset_s))
			return false;
		*after_s = t;
	}
	return true;
}

int
zoneinfo_parse(struct slice bytes, struct tzone *out)
{
	struct cursor c = cursor_of(bytes);
	struct slice rule;
	struct header h;
	int64_t after_s;
	int err = take_header(&c, &h);

	*out = (struct tzone){ 0 };
	if (err != 0)
		return err;
	cursor_take(&c,
	    (size_t)5 * h.times + (size_t)TYPE_BYTES * h.types + h.chars +
		(size_t)8 * h.leap + h.isstd + h.isut);
	err = take_header(&c, &h);
	if (err != 0)
		return err;
	if (!take_changes(&c, &h, out, &after_s))
		return E_CORRUPT;
	rule = c.s;
	if (!take_char(&rule, '\n') || slice_index(rule, '\n') == rule.n)
		return E_CORRUPT;
	rule.n = slice_index(rule, '\n');
	if (!take_rule(rule, out, after_s) || !zone_is_valid(out))
		return E_CORRUPT;
	return 0;
}

bool
zoneinfo_name_is_valid(struct slice name)
{
	char before = '/';

	if (name.n == 0 || name.n > ZONEINFO_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; before = name.p[i++])
		if (!ascii_is_alpha(name.p[i]) &&
		    (before == '/' ||
			(!ascii_is_digit(name.p[i]) && name.p[i] != '_' &&
			    name.p[i] != '-' && name.p[i] != '+' &&
			    name.p[i] != '/')))
			return false;
	return before != '/';
}

int
zoneinfo_load(struct slice name, struct tzone *out)
{
	char path[sizeof(ZONEINFO_DIR) + ZONEINFO_NAME_MAX + 2];
	char *bytes;
	ssize_t n;
	int fd, err;

	*out = (struct tzone){ 0 };
	if (!zoneinfo_name_is_valid(name))
		return E_SYNTAX;
	if (slice_eq(name, SL("UTC")))
		return 0;
	snprintf(path, sizeof(path), ZONEINFO_DIR "/%.*s", SLF(name));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return E_NOTFOUND;
	bytes = mem_get(ZONEINFO_BYTES_MAX);
	n = read(fd, bytes, ZONEINFO_BYTES_MAX);
	close(fd);
	err = n < 0 ? E_NOTFOUND : /* a directory */
		      zoneinfo_parse(slice_of(bytes, (size_t)n), out);
	mem_free(bytes);
	return err;
}
