/*
 * base/date.c - the Gregorian calendar in UTC, without tables of the system
 * and without hidden state.
 *
 * Days are counted in years that begin on March 1st, so that the leap day is
 * the last of its year; 400 years are always 146,097 days.
 */
#include "base/base.h"

#define DAYS_PER_ERA 146097 /* 400 years */
#define DAYS_TO_1970 719468 /* from 0000-03-01 */
#define US_PER_DAY (86400 * US_PER_S)

static const char day_names[7][4] = {
	"Sun",
	"Mon",
	"Tue",
	"Wed",
	"Thu",
	"Fri",
	"Sat",
};
static const char month_names[12][4] = {
	"Jan",
	"Feb",
	"Mar",
	"Apr",
	"May",
	"Jun",
	"Jul",
	"Aug",
	"Sep",
	"Oct",
	"Nov",
	"Dec",
};

/* Quotient towards minus infinity; b > 0. */
static int64_t
div_floor(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days before month m (0 = March) of a year that begins in March. */
static int64_t
days_before_month(int64_t m)
{
	return (153 * m + 2) / 5;
}

static int64_t
days_from_civil(int64_t year, int mon, int day)
{
	int64_t y = mon > 2 ? year : year - 1;
	int64_t m = mon > 2 ? mon - 3 : mon + 9;

	return 365 * y + div_floor(y, 4) - div_floor(y, 100) +
	    div_floor(y, 400) + days_before_month(m) + day - 1 - DAYS_TO_1970;
}

static void
civil_from_days(int64_t days, struct date *d)
{
	int64_t z = days + DAYS_TO_1970;
	int64_t era = div_floor(z, DAYS_PER_ERA);
	int64_t doe = z - era * DAYS_PER_ERA;
	int64_t yoe =
	    (doe - doe / 1460 + doe / 36524 - doe / (DAYS_PER_ERA - 1)) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t m = (5 * doy + 2) / 153;

	d->day = (int)(doy - days_before_month(m) + 1);
	d->mon = (int)(m < 10 ? m + 3 : m - 9);
	d->year = (int)(yoe + 400 * era + (d->mon <= 2));
	/* 1970-01-01 was a Thursday. */
	d->wday = (int)(days + 4 - 7 * div_floor(days + 4, 7));
}

void
date_of(int64_t unix_us, struct date *d)
{
	int64_t days = div_floor(unix_us, US_PER_DAY);
	/* The product may lie below INT64_MIN by less than a day. */
	int64_t us = (int64_t)((uint64_t)unix_us - (uint64_t)days * US_PER_DAY);
	int sec = (int)(us / US_PER_S);

	civil_from_days(days, d);
	d->hour = sec / 3600;
	d->min = sec / 60 % 60;
	d->sec = sec % 60;
	d->us = (int)(us % US_PER_S);
}

/* The n last decimal digits of v; returns what is behind them. */
static char *
put_digits(char *dst, unsigned v, int n)
{
	for (int i = n - 1; i >= 0; i--, v /= 10)
		dst[i] = (char)('0' + v % 10);
	return dst + n;
}

/* Years of four digits; others are for snprintf. Both stand in every line of
 * the books and every trace field, hence not printf throughout. */
static char *
put_year(char *dst, int year)
{
	if (year >= 0 && year <= 9999)
		return put_digits(dst, (unsigned)year, 4);
	return dst + snprintf(dst, 12, "%04d", year);
}

static char *
put_text(char *dst, const char *text, size_t n)
{
	memcpy(dst, text, n);
	return dst + n;
}

static char *
put_time(char *dst, const struct date *d)
{
	dst = put_digits(dst, (unsigned)d->hour, 2);
	*dst++ = ':';
	dst = put_digits(dst, (unsigned)d->min, 2);
	*dst++ = ':';
	return put_digits(dst, (unsigned)d->sec, 2);
}

size_t
date_rfc5322(char *dst, int64_t unix_us)
{
	struct date d;
	char *p = dst;

	date_of(unix_us, &d);
	p = put_text(p, day_names[d.wday], 3);
	p = put_text(p, ", ", 2);
	p = put_digits(p, (unsigned)d.day, 2);
	*p++ = ' ';
	p = put_text(p, month_names[d.mon - 1], 3);
	*p++ = ' ';
	p = put_year(p, d.year);
	*p++ = ' ';
	p = put_time(p, &d);
	p = put_text(p, " +0000", 7);
	return (size_t)(p - dst) - 1;
}

size_t
date_iso(char *dst, int64_t unix_us)
{
	struct date d;
	char *p = dst;

	date_of(unix_us, &d);
	p = put_year(p, d.year);
	*p++ = '-';
	p = put_digits(p, (unsigned)d.mon, 2);
	*p++ = '-';
	p = put_digits(p, (unsigned)d.day, 2);
	*p++ = 'T';
	p = put_time(p, &d);
	*p++ = '.';
	p = put_digits(p, (unsigned)d.us, 6);
	p = put_text(p, "Z", 2);
	return (size_t)(p - dst) - 1;
}

/* Takes exactly n digits off the front of *s: 0 and *out <= max, or error. */
static int
take_digits(struct slice *s, size_t n, uint64_t max, int *out)
{
	uint64_t v;

	if (s->n < n || slice_u64(slice_of(s->p, n), max, &v) != 0)
		return E_SYNTAX;
	*out = (int)v;
	*s = slice_skip(*s, n);
	return 0;
}

static int
take_char(struct slice *s, char c)
{
	if (s->n == 0 || ascii_lower(s->p[0]) != c)
		return E_SYNTAX;
	*s = slice_skip(*s, 1);
	return 0;
}

static int
days_in_month(int year, int mon)
{
	return (int)(days_from_civil(year + mon / 12, mon % 12 + 1, 1) -
	    days_from_civil(year, mon, 1));
}

static int
take_day(struct slice *s, struct date *d)
{
	if (take_digits(s, 4, 9999, &d->year) || take_char(s, '-') ||
	    take_digits(s, 2, 12, &d->mon) || take_char(s, '-') ||
	    take_digits(s, 2, 31, &d->day))
		return E_SYNTAX;
	if (d->mon == 0 || d->day == 0 ||
	    d->day > days_in_month(d->year, d->mon))
		return E_SYNTAX;
	return 0;
}

/* ".123456789": digits behind the sixth are dropped. */
static int
take_fraction(struct slice *s, int *us)
{
	int scale = (int)US_PER_S;

	*us = 0;
	if (take_char(s, '.') != 0)
		return 0;
	if (s->n == 0 || !ascii_is_digit(s->p[0]))
		return E_SYNTAX;
	for (; s->n > 0 && ascii_is_digit(s->p[0]); *s = slice_skip(*s, 1)) {
		scale /= 10;
		*us += (s->p[0] - '0') * scale;
	}
	return 0;
}

/* A second of 60 is a leap second; it counts as the next minute's first. */
static int
take_clock(struct slice *s, struct date *d)
{
	if (take_digits(s, 2, 23, &d->hour) || take_char(s, ':') ||
	    take_digits(s, 2, 59, &d->min) || take_char(s, ':') ||
	    take_digits(s, 2, 60, &d->sec))
		return E_SYNTAX;
	return take_fraction(s, &d->us);
}

static int
take_zone(struct slice *s, int64_t *offset_s)
{
	int hour, min, sign = 1;

	*offset_s = 0;
	if (take_char(s, 'z') == 0)
		return 0;
	if (take_char(s, '+') != 0) {
		sign = -1;
		if (take_char(s, '-') != 0)
			return E_SYNTAX;
	}
	if (take_digits(s, 2, 23, &hour) || take_char(s, ':') ||
	    take_digits(s, 2, 59, &min))
		return E_SYNTAX;
	*offset_s = sign * (hour * 3600 + min * 60);
	return 0;
}

int
parse_date_iso(struct slice s, int64_t *unix_us)
{
	struct date d;
	int64_t offset_s, sec;

	if (take_day(&s, &d) || take_char(&s, 't') || take_clock(&s, &d) ||
	    take_zone(&s, &offset_s) || s.n > 0)
		return E_SYNTAX;
	sec = days_from_civil(d.year, d.mon, d.day) * 86400 + d.hour * 3600 +
	    d.min * 60 + d.sec - offset_s;
	*unix_us = sec * US_PER_S + d.us;
	return 0;
}
