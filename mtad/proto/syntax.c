/*
 * proto/syntax.c - paths, domains and parameters of SMTP commands.
 *
 * Everything is parsed in place: what comes out are slices of what came in.
 * Two rules of RFC 5321 4.1.2 are relaxed because mail in use breaks them:
 * dots may stand anywhere in an unquoted local part (old mobile-phone
 * addresses have ".." and a final dot), and domains may have underscores.
 */
#include "proto/syntax.h"

#define LOCAL_MAX 64 /* RFC 5321 4.5.3.1.1 */
#define LABEL_MAX 63 /* RFC 1035 2.3.4 */

/* atext of RFC 5322 3.2.3, and the dot. */
static const bool is_atext[256] = {
	['!'] = true,
	['#' ... '\''] = true,
	['*' ... '+'] = true,
	['-' ... '9'] = true,
	['='] = true,
	['?'] = true,
	['A' ... 'Z'] = true,
	['^' ... '~'] = true,
};

/* Letter, digit, hyphen; and the underscore. */
static bool
is_ldh(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_';
}

/* xchar of RFC 3461 4: printable, but what begins or ends a value. */
static bool
is_xchar(char c)
{
	return c > ' ' && c <= '~' && c != '+' && c != '=';
}

static bool
is_8bit(char c)
{
	return ((unsigned char)c & 0x80) != 0;
}

/* ---- domains ------------------------------------------------------------- */

/* sub-domain = Let-dig [Ldh-str], RFC 5321 4.1.2. */
static bool
label_is_valid(struct slice label)
{
	return label.n >= 1 && label.n <= LABEL_MAX && label.p[0] != '-' &&
	    label.p[label.n - 1] != '-';
}

bool
domain_is_valid(struct slice domain, bool utf8)
{
	size_t from = 0;

	if (domain.n < 1 || domain.n > DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < domain.n; i++) {
		char c = domain.p[i];

		if (is_ldh(c) || (utf8 && is_8bit(c)))
			continue;
		if (c != '.' ||
		    !label_is_valid(slice_of(domain.p + from, i - from)))
			return false;
		from = i + 1;
	}
	return label_is_valid(slice_of(domain.p + from, domain.n - from));
}

/* RFC 5321 4.1.3. The family must be the one that the tag announces. */
int
address_literal_parse(struct slice s, struct ip *out)
{
	bool is_v6;

	if (s.n < 2 || s.p[0] != '[' || s.p[s.n - 1] != ']')
		return E_SYNTAX;
	s = slice_of(s.p + 1, s.n - 2);
	is_v6 = slice_has_iprefix(s, SL("IPv6:"));
	if (is_v6)
		s = slice_skip(s, 5);
	if (s.n == 0 || s.p[0] == '[' || ip_parse(s, out) != 0 ||
	    (out->family == 6) != is_v6)
		return E_SYNTAX;
	return 0;
}

/* ---- paths --------------------------------------------------------------- */

/* Length of the quoted string at the front of s, quotes included; 0 when it
 * is malformed. qtextSMTP and quoted-pairSMTP, RFC 5321 4.1.2. */
static size_t
quoted_length(struct slice s, bool utf8)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '"')
			return i + 1;
		if (s.p[i] == '\\' && ++i == s.n)
			return 0;
		if ((s.p[i] < ' ' || s.p[i] > '~') &&
		    !(utf8 && is_8bit(s.p[i])))
			return 0;
	}
	return 0;
}

static size_t
local_length(struct slice s, bool utf8)
{
	size_t i = 0;

	if (s.n > 0 && s.p[0] == '"')
		return quoted_length(s, utf8);
	while (i < s.n &&
	    (is_atext[(unsigned char)s.p[i]] || (utf8 && is_8bit(s.p[i]))))
		i++;
	return i;
}

/* The domain or address literal at the front of s, up to a byte that cannot
 * be part of it. */
static struct slice
domain_take(struct slice s, bool utf8)
{
	size_t i = 0;

	if (s.n > 0 && s.p[0] == '[') {
		i = slice_index(s, ']');
		return slice_of(s.p, i < s.n ? i + 1 : 0);
	}
	while (i < s.n &&
	    (is_ldh(s.p[i]) || s.p[i] == '.' || (utf8 && is_8bit(s.p[i]))))
		i++;
	return slice_of(s.p, i);
}

static bool
domain_or_literal_is_valid(struct slice domain, bool utf8)
{
	struct ip ip;

	if (domain.n > 0 && domain.p[0] == '[')
		return address_literal_parse(domain, &ip) == 0;
	return domain_is_valid(domain, utf8);
}

/* Source routes are read and ignored (RFC 5321 4.1.1.3 and appendix C). */
static int
route_skip(struct slice *s, bool utf8)
{
	while (s->n > 0 && s->p[0] == '@') {
		struct slice domain = domain_take(slice_skip(*s, 1), utf8);
		char sep;

		if (!domain_or_literal_is_valid(domain, utf8))
			return E_SYNTAX;
		*s = slice_skip(*s, 1 + domain.n);
		if (s->n < 2)
			return E_SYNTAX;
		sep = s->p[0];
		*s = slice_skip(*s, 1);
		if (sep == ':')
			return s->p[0] == '@' ? E_SYNTAX : 0;
		if (sep != ',' || s->p[0] != '@')
			return E_SYNTAX;
	}
	return 0;
}

static bool
is_bare_postmaster(struct slice local, struct slice behind)
{
	return behind.n > 0 && behind.p[0] == '>' &&
	    slice_ieq(local, SL("postmaster"));
}

static int
mailbox_parse(struct slice *s, bool bare_postmaster, bool utf8,
    struct smtp_path *out)
{
	struct slice rest;

	out->local = slice_of(s->p, local_length(*s, utf8));
	rest = slice_skip(*s, out->local.n);
	if (out->local.n == 0)
		return E_SYNTAX;
	if (out->local.n > LOCAL_MAX)
		return E_TOOBIG;
	if (bare_postmaster && is_bare_postmaster(out->local, rest)) {
		out->domain = slice_of(rest.p, 0);
		out->address = out->local;
		*s = rest;
		return 0;
	}
	if (rest.n == 0 || rest.p[0] != '@')
		return E_SYNTAX;
	out->domain = domain_take(slice_skip(rest, 1), utf8);
	if (out->domain.n > DOMAIN_MAX)
		return E_TOOBIG;
	if (!domain_or_literal_is_valid(out->domain, utf8))
		return E_SYNTAX;
	out->address = slice_of(s->p, out->local.n + 1 + out->domain.n);
	*s = slice_skip(*s, out->address.n);
	return 0;
}

bool
mailbox_is_valid(struct slice address, bool utf8)
{
	struct smtp_path path;

	return mailbox_parse(&address, false, utf8, &path) == 0 &&
	    address.n == 0;
}

int
smtp_path_parse(struct slice *in, bool bare_postmaster, bool utf8,
    struct smtp_path *out)
{
	struct slice s = *in;
	int err;

	if (s.n < 2 || s.p[0] != '<')
		return E_SYNTAX;
	s = slice_skip(s, 1);
	if (s.p[0] == '>') {
		out->address = out->local = out->domain = slice_of(s.p, 0);
		*in = slice_skip(s, 1);
		return 0;
	}
	err = route_skip(&s, utf8);
	if (err == 0)
		err = mailbox_parse(&s, bare_postmaster, utf8, out);
	if (err != 0)
		return err;
	if (s.n == 0 || s.p[0] != '>')
		return E_SYNTAX;
	*in = slice_skip(s, 1);
	return 0;
}

/* ---- parameters ---------------------------------------------------------- */

bool
smtp_param_next(struct slice *params, struct slice *key, struct slice *value)
{
	struct slice word;
	size_t eq;

	*params = slice_trim(*params);
	if (params->n == 0)
		return false;
	word = slice_of(params->p, slice_index(*params, ' '));
	*params = slice_skip(*params, word.n);
	eq = slice_index(word, '=');
	*key = slice_of(word.p, eq);
	*value = slice_skip(word, eq < word.n ? eq + 1 : eq);
	return true;
}

static int
hex_upper(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int
xtext_decode(struct slice s, struct buf *out)
{
	int err = 0;

	for (size_t i = 0; i < s.n && err == 0; i++) {
		int high, low;

		if (is_xchar(s.p[i])) {
			err = buf_addc(out, s.p[i]);
			continue;
		}
		if (s.p[i] != '+' || s.n - i < 3)
			return E_SYNTAX;
		high = hex_upper(s.p[i + 1]);
		low = hex_upper(s.p[i + 2]);
		if (high < 0 || low < 0)
			return E_SYNTAX;
		err = buf_addc(out, (char)(high << 4 | low));
		i += 2;
	}
	return err;
}

int
xtext_encode(struct slice s, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";
	int err = 0;

	for (size_t i = 0; i < s.n && err == 0; i++) {
		unsigned char c = (unsigned char)s.p[i];
		char hex[3] = { '+', digits[c >> 4], digits[c & 15] };

		if (is_xchar(s.p[i]))
			err = buf_addc(out, s.p[i]);
		else
			err = buf_add(out, hex, sizeof(hex));
	}
	return err;
}
