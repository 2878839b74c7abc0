/*
 * view/words.c - numbers and reasons as the short words that fit a column.
 */
#include "view/view_i.h"

#define WORD_CAP 32
#define ETA_MAX (1000 * INT64_C(86400)) /* seconds; beyond, it is no answer */

static const struct why_row whys[] = {
	{ "none", ' ', STYLE_NORMAL, "nothing is in its way" },
	{ "dns", ' ', STYLE_NORMAL, "its hosts are being looked up" },
	{ "dns-failed", '!', STYLE_BAD, "the look-up of its hosts failed" },
	{ "retry", ' ', STYLE_NORMAL, "recipients wait for their next try" },
	{ "conn", '*', STYLE_WARN, "all connections it may have are open" },
	{ "rate", '*', STYLE_WARN, "it sends as fast as its rate allows" },
	{ "backoff", '!', STYLE_BAD, "the receiver refused mail" },
	{ "host-down", '!', STYLE_BAD, "none of its hosts answers" },
	{ "no-source", '!', STYLE_BAD, "no source address can serve it" },
	{ "held", 'H', STYLE_WARN, "an operator holds it" },
	{ "session", ' ', STYLE_NORMAL, "it is being sent" },
	{ "node-limit", '*', STYLE_WARN, "the node has all its sessions" },
	{ "disk", '!', STYLE_BAD, "outcomes could not be kept" },
	{ "limit", '*', STYLE_WARN, "a limit of the configuration is used up" },
	{ "warm-up", '*', STYLE_WARN,
	    "young sources have had their day's share" },
	{ "proxy", '!', STYLE_BAD, "none of the source's proxies is well" },
	{ "suspended", '!', STYLE_BAD, "a reaction keeps it shut" },
	{ "paced", '*', STYLE_WARN, "a reaction slows it down" },
	{ "quiet-hours", '*', STYLE_WARN, "its quiet hours are not over" },
};

const struct why_row *
why_find(struct slice name)
{
	static const struct why_row unknown = { "?", '?', STYLE_WARN,
		"a reason that this mtatop does not know" };

	for (size_t i = 0; i < ARRAY_LEN(whys); i++)
		if (slice_eq(name, slice_str(whys[i].name)))
			return &whys[i];
	return &unknown;
}

void
why_show(struct slice why, int64_t until_us, struct field *f)
{
	char shown[32], time[WORD_CAP];

	f->style = why_find(why)->style;
	text_escape(why, shown, sizeof(shown));
	if (until_us >= 0)
		snprintf(f->text, sizeof(f->text), "%s %s", shown,
		    word_short_time(time, until_us));
	else
		snprintf(f->text, sizeof(f->text), "%s",
		    shown[0] != '\0' ? shown : "?");
}

static char *
word_put(char *dst, const char *word)
{
	slice_copy(slice_str(word), dst, WORD_CAP);
	return dst;
}

char *
word_count(char *dst, int64_t n)
{
	return n < 0 ? word_put(dst, "?") : fmt_count(dst, (uint64_t)n);
}

char *
word_rate(char *dst, int64_t milli)
{
	if (milli < 0)
		return word_put(dst, "?");
	if (milli >= 1000 * 1000)
		return fmt_count(dst, (uint64_t)milli / 1000);
	if (milli >= 10 * 1000 || milli == 0)
		snprintf(dst, WORD_CAP, "%lld", (long long)milli / 1000);
	else
		snprintf(dst, WORD_CAP, "%lld.%lld", (long long)milli / 1000,
		    (long long)milli / 100 % 10);
	return dst;
}

char *
word_share(char *dst, int64_t milli)
{
	if (milli < 0)
		return word_put(dst, "?");
	snprintf(dst, WORD_CAP, "%lld", (long long)milli / 10);
	return dst;
}

char *
word_time(char *dst, int64_t us)
{
	return us < 0 ? word_put(dst, "-") : fmt_duration(dst, us);
}

char *
word_exact_time(char *dst, int64_t us)
{
	long long s = (us + US_PER_S - 1) / US_PER_S;

	if (s >= 86400)
		snprintf(dst, WORD_CAP, "%lldd%02lldh", s / 86400,
		    s / 3600 % 24);
	else if (s >= 3600)
		snprintf(dst, WORD_CAP, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else if (s >= 60)
		snprintf(dst, WORD_CAP, "%lldm%02llds", s / 60, s % 60);
	else
		snprintf(dst, WORD_CAP, "%llds", s);
	return dst;
}

char *
word_short_time(char *dst, int64_t us)
{
	static const struct {
		int64_t s;
		char unit;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' } };
	int64_t s = (us + US_PER_S - 1) / US_PER_S;

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (s >= units[i].s) {
			snprintf(dst, WORD_CAP, "%lld%c",
			    (long long)(s / units[i].s), units[i].unit);
			return dst;
		}
	}
	snprintf(dst, WORD_CAP, "%llds", (long long)s);
	return dst;
}

char *
word_eta(char *dst, int64_t depth, int64_t rate_milli)
{
	int64_t s;

	if (depth <= 0 || rate_milli <= 0 || depth > INT64_MAX / 1000)
		return word_put(dst, "-");
	s = depth * 1000 / rate_milli;
	if (s > ETA_MAX)
		return word_put(dst, ">999d");
	return fmt_duration(dst, s * US_PER_S);
}
