/*
 * base/fmt.c - numbers, sizes, durations and rates to text and back.
 *
 * Parsers accept the whole slice or nothing and leave *out alone on error.
 * The short forms for screens cut, they do not round: 999,999 is "999k", never
 * a "1000k" that breaks a column.
 */
#include "base/base.h"

#define US_PER_MIN (60 * US_PER_S)
#define US_PER_HOUR (60 * US_PER_MIN)
#define US_PER_DAY (24 * US_PER_HOUR)

size_t
fmt_u64(char *dst, uint64_t v)
{
	static const char pairs[] =
	    "00010203040506070809101112131415161718192021222324"
	    "25262728293031323334353637383940414243444546474849"
	    "50515253545556575859606162636465666768697071727374"
	    "75767778798081828384858687888990919293949596979899";
	char tmp[20];
	size_t at = sizeof(tmp), n;

	for (; v >= 100; v /= 100) {
		at -= 2;
		memcpy(tmp + at, pairs + 2 * (v % 100), 2);
	}
	at -= 2;
	memcpy(tmp + at, pairs + 2 * v, 2);
	at += v < 10;
	n = sizeof(tmp) - at;
	memcpy(dst, tmp + at, n);
	return n;
}

/* Takes the digits at the front of *s; at least one must be there. */
static int
take_u64(struct slice *s, uint64_t *out)
{
	size_t n = 0;
	int err;

	while (n < s->n && ascii_is_digit(s->p[n]))
		n++;
	err = slice_u64(slice_of(s->p, n), UINT64_MAX, out);
	if (err == 0)
		*s = slice_skip(*s, n);
	return err;
}

static const char size_units[] = "KMGTPE"; /* 2^10, 2^20, ... */

/* The power of two that a unit such as "", "K", "KB" or "KiB" stands for. */
static int
size_unit_shift(struct slice unit, unsigned *shift)
{
	*shift = 0;
	for (unsigned i = 0; unit.n > 0 && size_units[i] != '\0'; i++)
		if (ascii_lower(unit.p[0]) == ascii_lower(size_units[i]))
			*shift = 10 * (i + 1);
	if (*shift != 0)
		unit = slice_skip(unit, 1);
	if (unit.n == 0 || slice_ieq(unit, SL("B")))
		return 0;
	return *shift != 0 && slice_ieq(unit, SL("iB")) ? 0 : E_SYNTAX;
}

int
parse_size(struct slice s, uint64_t *bytes)
{
	uint64_t n;
	unsigned shift;
	int err = take_u64(&s, &n);

	if (err != 0)
		return err;
	if (size_unit_shift(s, &shift) != 0)
		return E_SYNTAX;
	if (n > UINT64_MAX >> shift)
		return E_RANGE;
	*bytes = n << shift;
	return 0;
}

static const struct {
	char text[3];
	int64_t us;
} time_units[] = {
	{ "d", US_PER_DAY },
	{ "h", US_PER_HOUR },
	{ "m", US_PER_MIN },
	{ "s", US_PER_S },
	{ "ms", US_PER_MS },
	{ "us", 1 },
};

/* Takes the letters at the front of *s: the index of that unit, or -1. */
static int
take_time_unit(struct slice *s)
{
	struct slice unit = *s;
	size_t n = 0;

	while (n < s->n && ascii_is_alpha(s->p[n]))
		n++;
	unit.n = n;
	for (size_t i = 0; i < ARRAY_LEN(time_units); i++)
		if (slice_eq(unit, slice_str(time_units[i].text))) {
			*s = slice_skip(*s, n);
			return (int)i;
		}
	return -1;
}

/* Adds n units to *us. */
static int
add_time(int64_t *us, uint64_t n, int64_t unit_us)
{
	int64_t part;

	if (__builtin_mul_overflow(n, unit_us, &part) ||
	    __builtin_add_overflow(*us, part, us))
		return E_RANGE;
	return 0;
}

/* "1h30m": units from large to small, each at most once. */
static int
parse_units(struct slice s, int64_t *us)
{
	int last = -1;

	for (*us = 0; s.n > 0;) {
		uint64_t n;
		int err = take_u64(&s, &n);
		int unit = err == 0 ? take_time_unit(&s) : -1;

		if (err != 0)
			return err;
		if (unit <= last) /* unknown, or not smaller than before */
			return E_SYNTAX;
		if (add_time(us, n, time_units[unit].us) != 0)
			return E_RANGE;
		last = unit;
	}
	return 0;
}

int
parse_duration(struct slice s, int64_t *us)
{
	int64_t sum = 0;
	uint64_t seconds;
	int err = slice_u64(s, UINT64_MAX, &seconds);

	if (err == 0)
		err = add_time(&sum, seconds, US_PER_S);
	else if (s.n > 0)
		err = parse_units(s, &sum);
	if (err == 0)
		*us = sum;
	return err;
}

/* "s", "10m": what stands behind the slash of a rate. */
static int
parse_period(struct slice s, int64_t *us)
{
	uint64_t n = 1;
	int64_t sum = 0;
	int err, unit;

	if (s.n > 0 && ascii_is_digit(s.p[0])) {
		err = take_u64(&s, &n);
		if (err != 0)
			return err;
	}
	unit = take_time_unit(&s);
	if (unit < 0 || s.n > 0)
		return E_SYNTAX;
	if (add_time(&sum, n, time_units[unit].us) != 0 || sum == 0)
		return E_RANGE;
	*us = sum;
	return 0;
}

int
parse_rate(struct slice s, uint64_t *count, int64_t *period_us)
{
	struct slice head = slice_cut(&s, '/');
	uint64_t n;
	int err = slice_u64(head, UINT64_MAX, &n);

	if (err == 0)
		err = parse_period(s, period_us);
	if (err == 0)
		*count = n;
	return err;
}

/* v in units of unit, with so many decimals as keep it short: cut. */
static void
fmt_short(char *dst, uint64_t v, uint64_t unit, unsigned decimals, char suffix)
{
	uint64_t whole = v / unit;
	uint64_t part = v % unit;
	uint64_t scale = 1;
	int n = 0;

	for (uint64_t w = whole; w >= 10 && decimals > 0; w /= 10)
		decimals--;
	for (unsigned i = 0; i < decimals; i++)
		scale *= 10;
	part = (uint64_t)((unsigned __int128)part * scale / unit);
	if (decimals > 0)
		n = snprintf(dst, 16, "%u.%0*u", (unsigned)whole, (int)decimals,
		    (unsigned)part);
	else
		n = (int)fmt_u64(dst, whole);
	dst[n] = suffix;
	dst[n + 1] = '\0';
}

char *
fmt_bytes(char *dst, uint64_t bytes)
{
	unsigned shift = 0;

	while (shift < 60 && bytes >> shift >= 1024)
		shift += 10;
	if (shift == 0)
		fmt_short(dst, bytes, 1, 0, 'B');
	else
		fmt_short(dst, bytes, UINT64_C(1) << shift, 1,
		    size_units[shift / 10 - 1]);
	return dst;
}

char *
fmt_count(char *dst, uint64_t n)
{
	static const char units[] = "kMGTPE";
	uint64_t unit = 1000;
	unsigned i = 0;

	if (n < 1000) {
		dst[fmt_u64(dst, n)] = '\0';
		return dst;
	}
	for (; n / unit >= 1000; unit *= 1000)
		i++;
	/* Thousands with two digits, more with three: 9.1k, 3.41M. */
	fmt_short(dst, n, unit, i == 0 ? 1 : 2, units[i]);
	return dst;
}

char *
fmt_duration(char *dst, int64_t us)
{
	uint64_t v = us < 0 ? -(uint64_t)us : (uint64_t)us;
	const char *sign = us < 0 ? "-" : "";
	unsigned min = (unsigned)(v / US_PER_MIN % 60);
	unsigned hour = (unsigned)(v / US_PER_HOUR % 24);
	unsigned day = (unsigned)(v / US_PER_DAY);

	if (v == 0)
		slice_copy(SL("0s"), dst, 24);
	else if (v < US_PER_MS)
		snprintf(dst, 24, "%s%uus", sign, (unsigned)v);
	else if (v < US_PER_S)
		snprintf(dst, 24, "%s%ums", sign, (unsigned)(v / US_PER_MS));
	else if (v < US_PER_MIN)
		snprintf(dst, 24, "%s%us", sign, (unsigned)(v / US_PER_S));
	else if (v < US_PER_HOUR)
		snprintf(dst, 24, "%s%um", sign, min);
	else if (v < US_PER_DAY)
		snprintf(dst, 24, "%s%uh%02um", sign, hour, min);
	else
		snprintf(dst, 24, "%s%ud%02uh", sign, day, hour);
	return dst;
}

/* "1h30m": each unit at most once. The longest has 25 bytes. */
static void
fmt_duration_mixed(char *dst, uint64_t us)
{
	for (size_t i = 0; i < ARRAY_LEN(time_units); i++) {
		uint64_t unit_us = (uint64_t)time_units[i].us;

		if (us < unit_us)
			continue;
		dst += fmt_u64(dst, us / unit_us);
		dst += slice_copy(slice_str(time_units[i].text), dst, 3);
		us %= unit_us;
	}
}

/* "90m": the largest unit that gives a whole number. */
static void
fmt_duration_single(char *dst, uint64_t us)
{
	size_t i = 0;

	while (us % (uint64_t)time_units[i].us != 0)
		i++;
	dst += fmt_u64(dst, us / (uint64_t)time_units[i].us);
	slice_copy(slice_str(time_units[i].text), dst, 3);
}

char *
fmt_duration_exact(char *dst, int64_t us)
{
	char single[32];

	ASSERT(us >= 0);
	if (us == 0) {
		slice_copy(SL("0s"), dst, 32);
		return dst;
	}
	fmt_duration_mixed(dst, (uint64_t)us);
	fmt_duration_single(single, (uint64_t)us);
	if (strlen(single) <= strlen(dst))
		slice_copy(slice_str(single), dst, 32);
	return dst;
}

char *
fmt_size_exact(char *dst, uint64_t bytes)
{
	unsigned shift = 0;
	size_t n;

	while (bytes != 0 && shift < 60 && bytes >> shift << shift == bytes &&
	    (bytes >> shift) % 1024 == 0)
		shift += 10;
	n = fmt_u64(dst, bytes >> shift);
	if (shift > 0)
		dst[n++] = size_units[shift / 10 - 1];
	dst[n] = '\0';
	return dst;
}
