/*
 * proto/smtp_srv_param.c - the parameters of MAIL and RCPT, a row each.
 *
 * A parameter of an extension that is not offered is not recognised (RFC 5321
 * 4.1.1.11), and none may be given twice. Values are kept as they came, in
 * s->line, once they have been found to be well formed.
 */
#include "proto/smtp_srv_i.h"

const struct slice srv_bad_argument =
    SL("501 5.5.4 argument is wrong or missing\r\n");
const struct slice srv_bad_param = SL("555 5.5.4 parameter not recognised\r\n");

struct param {
	struct slice key;
	uint32_t ext; /* enum smtp_srv_exts; 0: always */
	bool of_auth; /* where AUTH is offered */
	bool is_bare; /* has no value */
	/* Takes the value. An empty slice, or the reply to what is wrong. */
	struct slice (*take)(struct smtp_srv *s, struct slice value);
};

/* ---- of MAIL -------------------------------------------------------------- */

/* RFC 1870 3: up to 20 digits. */
static struct slice
take_size(struct smtp_srv *s, struct slice value)
{
	int err = slice_u64(value, UINT64_MAX, &s->wishes.size);

	/* What does not fit 64 bits is too large all the same. */
	if (err == E_RANGE)
		s->wishes.size = UINT64_MAX;
	else if (err != 0)
		return srv_bad_argument;
	return value.n > 20 ? srv_bad_argument : SL("");
}

/* RFC 6152 2. */
static struct slice
take_body(struct smtp_srv *s, struct slice value)
{
	s->wishes.is_8bit = slice_ieq(value, SL("8BITMIME"));
	if (!s->wishes.is_8bit && !slice_ieq(value, SL("7BIT")))
		return srv_bad_argument;
	return SL("");
}

static struct slice
take_utf8(struct smtp_srv *s, struct slice value)
{
	(void)value;
	s->wishes.is_utf8 = true;
	return SL("");
}

/* RFC 3461 4.3. */
static struct slice
take_ret(struct smtp_srv *s, struct slice value)
{
	if (slice_ieq(value, SL("FULL")))
		s->wishes.ret = ENV_RET_FULL;
	else if (slice_ieq(value, SL("HDRS")))
		s->wishes.ret = ENV_RET_HDRS;
	else
		return srv_bad_argument;
	return SL("");
}

static bool
is_xtext(struct slice value)
{
	struct buf none;
	bool is;

	buf_init(&none, SMTP_LINE_MAX);
	is = value.n > 0 && xtext_decode(value, &none) == 0;
	buf_free(&none);
	return is;
}

/* RFC 3461 4.4. */
static struct slice
take_envid(struct smtp_srv *s, struct slice value)
{
	if (value.n > ENVID_MAX || !is_xtext(value))
		return srv_bad_argument;
	s->wishes.envid = value;
	return SL("");
}

/* Who the mail is from, says a relay (RFC 4954 5): well formed, and forgotten. */
static struct slice
take_auth(struct smtp_srv *s, struct slice value)
{
	(void)s;
	if (!slice_eq(value, SL("<>")) && !is_xtext(value))
		return srv_bad_argument;
	return SL("");
}

/* RFC 8689 2. */
static struct slice
take_requiretls(struct smtp_srv *s, struct slice value)
{
	(void)value;
	if (!s->is_tls)
		return SL("530 5.7.0 REQUIRETLS needs TLS\r\n");
	s->wishes.requires_tls = true;
	return SL("");
}

/* RFC 4865 5: one of the two. */
static struct slice
hold(struct smtp_srv *s, int64_t until_us)
{
	if (s->wishes.hold_until_us != 0)
		return srv_bad_argument;
	if (until_us > s->wall_us + HOLD_MAX_S * US_PER_S)
		return SL("501 5.5.4 that is too far away\r\n");
	s->wishes.hold_until_us = MAX(until_us, 1);
	return SL("");
}

static struct slice
take_holdfor(struct smtp_srv *s, struct slice value)
{
	uint64_t seconds;

	if (slice_u64(value, 999999999, &seconds) != 0 || seconds == 0)
		return srv_bad_argument;
	return hold(s, s->wall_us + (int64_t)seconds * US_PER_S);
}

static struct slice
take_holduntil(struct smtp_srv *s, struct slice value)
{
	int64_t until_us;

	if (parse_date_iso(value, &until_us) != 0)
		return srv_bad_argument;
	return hold(s, until_us);
}

/* RFC 2852 4: seconds ";" R or N, and perhaps T. Mail that is to come back has
 * some time left. */
static struct slice
take_by(struct smtp_srv *s, struct slice value)
{
	struct slice mode = value, digits = slice_cut(&mode, ';');
	bool is_past = digits.n > 0 && digits.p[0] == '-';
	bool is_return = mode.n > 0 && ascii_lower(mode.p[0]) == 'r';
	uint64_t n;

	if (digits.n > 0 && (is_past || digits.p[0] == '+'))
		digits = slice_skip(digits, 1);
	if (digits.n > 9 || slice_u64(digits, 999999999, &n) != 0 ||
	    mode.n == 0 || mode.n > 2 ||
	    (!is_return && ascii_lower(mode.p[0]) != 'n') ||
	    (mode.n == 2 && ascii_lower(mode.p[1]) != 't') ||
	    (is_return && (is_past || n == 0)))
		return srv_bad_argument;
	s->wishes.by_us =
	    s->wall_us + (is_past ? -(int64_t)n : (int64_t)n) * US_PER_S;
	s->wishes.by = (is_return ? (uint32_t)ENV_BY_RETURN : 0) |
	    (mode.n == 2 ? (uint32_t)ENV_BY_TRACE : 0);
	return SL("");
}

/* RFC 6710 4: -9 to 9. */
static struct slice
take_priority(struct smtp_srv *s, struct slice value)
{
	bool is_low = value.n > 0 && value.p[0] == '-';
	uint64_t n;

	if (is_low)
		value = slice_skip(value, 1);
	if (value.n != 1 || slice_u64(value, 9, &n) != 0 || (is_low && n == 0))
		return srv_bad_argument;
	s->wishes.priority = (int8_t)(is_low ? -(int)n : (int)n);
	return SL("");
}

#define KEY(text)                                                              \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}
static const struct param of_mail[] = {
	{ KEY("SIZE"), .take = take_size },
	{ KEY("BODY"), .take = take_body },
	{ KEY("SMTPUTF8"), EXT_SMTPUTF8, .is_bare = true, .take = take_utf8 },
	{ KEY("RET"), EXT_DSN, .take = take_ret },
	{ KEY("ENVID"), EXT_DSN, .take = take_envid },
	{ KEY("AUTH"), .of_auth = true, .take = take_auth },
	{ KEY("REQUIRETLS"), EXT_REQUIRETLS, .is_bare = true,
	    .take = take_requiretls },
	{ KEY("HOLDFOR"), EXT_FUTURERELEASE, .take = take_holdfor },
	{ KEY("HOLDUNTIL"), EXT_FUTURERELEASE, .take = take_holduntil },
	{ KEY("MT-PRIORITY"), EXT_MT_PRIORITY, .take = take_priority },
	{ KEY("BY"), EXT_DELIVERBY, .take = take_by },
};

/* ---- of RCPT -------------------------------------------------------------- */

/* RFC 3461 4.1: NEVER alone, or a list of the others. */
static struct slice
take_notify(struct smtp_srv *s, struct slice value)
{
	static const struct {
		struct slice word;
		uint8_t flag;
	} words[] = { { KEY("NEVER"), NOTIFY_NEVER },
		{ KEY("SUCCESS"), NOTIFY_SUCCESS },
		{ KEY("FAILURE"), NOTIFY_FAILURE },
		{ KEY("DELAY"), NOTIFY_DELAY } };
	bool more = true;

	while (more) {
		struct slice word = slice_of(value.p, slice_index(value, ','));
		uint8_t flag = 0;

		more = word.n < value.n;
		value = slice_skip(value, word.n + 1);
		for (size_t i = 0; i < ARRAY_LEN(words); i++)
			if (slice_ieq(word, words[i].word))
				flag = words[i].flag;
		if (flag == 0 || (s->notify & flag) != 0)
			return srv_bad_argument;
		s->notify |= flag;
	}
	if ((s->notify & NOTIFY_NEVER) != 0 && s->notify != NOTIFY_NEVER)
		return srv_bad_argument;
	return SL("");
}

/* RFC 3461 4.2: type ";" xtext; of utf-8 (RFC 6533 3) the address stands as
 * it is, if the mail is such, or escaped. */
static struct slice
take_orcpt(struct smtp_srv *s, struct slice value)
{
	struct slice address = value, type = slice_cut(&address, ';');

	if (value.n > ORCPT_MAX || type.n == 0 || address.n == 0)
		return srv_bad_argument;
	for (size_t i = 0; i < type.n; i++)
		if (!ascii_is_alpha(type.p[i]) && !ascii_is_digit(type.p[i]) &&
		    type.p[i] != '-')
			return srv_bad_argument;
	if (!(slice_ieq(type, SL("utf-8")) && s->wishes.is_utf8) &&
	    !is_xtext(address))
		return srv_bad_argument;
	s->orcpt = value;
	return SL("");
}

static const struct param of_rcpt[] = {
	{ KEY("NOTIFY"), EXT_DSN, .take = take_notify },
	{ KEY("ORCPT"), EXT_DSN, .take = take_orcpt },
};

/* ---- both ------------------------------------------------------------------- */

static bool
is_offered(const struct smtp_srv *s, const struct param *p)
{
	/* Time is counted by the wall clock. */
	if ((p->ext & (EXT_FUTURERELEASE | EXT_DELIVERBY)) != 0 &&
	    s->wall_us == 0)
		return false;
	if (p->of_auth)
		return s->conf->auth.n > 0;
	return p->ext == 0 || (s->conf->exts & p->ext) != 0;
}

static struct slice
take_params(struct smtp_srv *s, const struct param *v, size_t n,
    struct slice params)
{
	struct slice key, value, wrong = SL("");
	uint32_t seen = 0;
	size_t i;

	while (wrong.n == 0 && smtp_param_next(&params, &key, &value)) {
		for (i = 0; i < n && !slice_ieq(key, v[i].key); i++)
			continue;
		if (i == n || !is_offered(s, &v[i]))
			return srv_bad_param;
		if ((seen & 1u << i) != 0 || (v[i].is_bare && value.n > 0))
			return srv_bad_argument;
		seen |= 1u << i;
		wrong = v[i].take(s, value);
	}
	return wrong;
}

struct slice
srv_mail_params(struct smtp_srv *s, struct slice params)
{
	struct slice wrong;

	memset(&s->wishes, 0, sizeof(s->wishes));
	wrong = take_params(s, of_mail, ARRAY_LEN(of_mail), params);
	if (wrong.n == 0 && s->conf->size_max > 0 &&
	    s->wishes.size > s->conf->size_max)
		return SL("552 5.3.4 message is larger than we take\r\n");
	return wrong;
}

struct slice
srv_rcpt_params(struct smtp_srv *s, struct slice params)
{
	s->notify = 0;
	s->orcpt = SL("");
	return take_params(s, of_rcpt, ARRAY_LEN(of_rcpt), params);
}
