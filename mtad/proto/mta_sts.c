/*
 * proto/mta_sts.c - MTA-STS (RFC 8461), from hostile bytes: bounded, and what is
 * not understood makes the policy invalid where the RFC has no use for it.
 */
#include "proto/mta_sts.h"

static const char *const mode_names[] = { "none", "testing", "enforce" };

const char *
sts_mode_name(enum sts_mode m)
{
	return (unsigned)m < ARRAY_LEN(mode_names) ? mode_names[m] : "?";
}

static bool
is_alnum(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}

/* ---- the record, 3.1 ---------------------------------------------------------- */

static bool
read_id(struct slice v, char id[STS_ID_MAX + 1])
{
	if (v.n == 0 || v.n > STS_ID_MAX)
		return false;
	for (size_t i = 0; i < v.n; i++)
		if (!is_alnum(v.p[i]))
			return false;
	slice_copy(v, id, STS_ID_MAX + 1);
	return true;
}

static bool
read_record(struct slice fields, char id[STS_ID_MAX + 1])
{
	bool has_id = false;

	while (fields.n > 0) {
		struct slice value = slice_cut(&fields, ';'), key;

		key = slice_trim(slice_cut(&value, '='));
		if (!slice_eq(key, SL("id")))
			continue; /* extensions are for others */
		if (has_id || !read_id(slice_trim(value), id))
			return false;
		has_id = true;
	}
	return has_id;
}

bool
sts_record_read(struct slice records, char id[STS_ID_MAX + 1])
{
	bool is_good = false;
	uint32_t n = 0;

	while (records.n > 0) {
		struct slice fields = slice_cut(&records, '\n');
		struct slice version = slice_cut(&fields, ';');

		if (!slice_eq(slice_trim(version), SL("v=STSv1")))
			continue;
		is_good = read_record(fields, id);
		n++;
	}
	return n == 1 && is_good;
}

/* ---- the policy, 3.2 ------------------------------------------------------------ */

static bool
is_host(struct slice s)
{
	bool is_star = slice_has_iprefix(s, SL("*."));
	size_t label = 0, dots = 0;

	if (is_star)
		s = slice_skip(s, 2);
	if (s.n == 0 || s.n > 253)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		bool is_dot = s.p[i] == '.';

		if (!is_dot && !is_alnum(s.p[i]) && s.p[i] != '-' &&
		    s.p[i] != '_')
			return false;
		if (is_dot && label == 0)
			return false;
		label = is_dot ? 0 : label + 1;
		dots += is_dot;
		if (label > 63)
			return false;
	}
	return label > 0 && (dots > 0 || is_star);
}

static const char *
add_host(struct sts_policy *p, struct slice s)
{
	if (!is_host(s))
		return "mx is no host name or pattern";
	if (p->hosts_n + s.n + 1 > sizeof(p->hosts))
		return "too many mx";
	for (size_t i = 0; i < s.n; i++)
		p->hosts[p->hosts_n++] = ascii_lower(s.p[i]);
	p->hosts[p->hosts_n++] = '\n';
	p->nhosts++;
	return NULL;
}

/* What has been seen; of a key that comes twice the first counts. */
enum seen { SEEN_VERSION = 1, SEEN_MODE = 2, SEEN_AGE = 4, SEEN_ALL = 7 };

static bool
is_first(unsigned *seen, unsigned bit)
{
	bool first = (*seen & bit) == 0;

	*seen |= bit;
	return first;
}

static const char *
read_mode(struct sts_policy *p, struct slice v)
{
	for (uint32_t m = 0; m < ARRAY_LEN(mode_names); m++)
		if (slice_eq(v, slice_str(mode_names[m]))) {
			p->mode = (enum sts_mode)m;
			return NULL;
		}
	return "mode is none of none, testing and enforce";
}

static const char *
read_field(struct sts_policy *p, struct slice key, struct slice v,
    unsigned *seen)
{
	uint64_t age;

	if (slice_eq(key, SL("version")) && is_first(seen, SEEN_VERSION))
		return slice_eq(v, SL("STSv1")) ? NULL : "version is not STSv1";
	if (slice_eq(key, SL("mode")) && is_first(seen, SEEN_MODE))
		return read_mode(p, v);
	if (slice_eq(key, SL("mx")))
		return add_host(p, v);
	if (slice_eq(key, SL("max_age")) && is_first(seen, SEEN_AGE)) {
		if (v.n > 10 || slice_u64(v, STS_AGE_MAX, &age) != 0)
			return "max_age is no number of seconds up to a year";
		p->max_age_s = (uint32_t)age;
	}
	return NULL;
}

const char *
sts_policy_read(struct slice text, struct sts_policy *out)
{
	const char *why = NULL;
	unsigned seen = 0;

	out->mode = STS_NONE;
	out->max_age_s = out->nhosts = 0;
	out->hosts_n = 0;
	if (text.n > STS_POLICY_MAX)
		return "it is too long";
	while (text.n > 0 && why == NULL) {
		struct slice line = slice_cut(&text, '\n'), key;

		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (slice_trim(line).n == 0)
			continue;
		if (slice_index(line, ':') == line.n)
			return "a line has no colon";
		key = slice_trim(slice_cut(&line, ':'));
		why = read_field(out, key, slice_trim(line), &seen);
	}
	if (why == NULL && seen != SEEN_ALL)
		why = "version, mode or max_age is not there";
	if (why == NULL && out->nhosts == 0 && out->mode != STS_NONE)
		why = "there is no mx";
	return why;
}

bool
sts_hosts_match(struct slice hosts, struct slice host)
{
	size_t dot = slice_index(host, '.');

	while (hosts.n > 0) {
		struct slice line = slice_cut(&hosts, '\n');

		if (slice_has_iprefix(line, SL("*.")) && dot > 0 &&
		    slice_ieq(slice_skip(line, 1), slice_skip(host, dot)))
			return true;
		if (slice_ieq(line, host))
			return true;
	}
	return false;
}
