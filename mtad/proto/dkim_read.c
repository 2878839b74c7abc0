/*
 * proto/dkim_read.c - tag lists, and what they say as signatures and as keys
 * (RFC 6376 3.2, 3.5, 3.6.1). Hostile bytes, read in place.
 */
#include "proto/dkim_i.h"
#include "proto/syntax.h"

static bool
is_white(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice
dkim_trim(struct slice s)
{
	while (s.n > 0 && is_white(s.p[0]))
		s = slice_skip(s, 1);
	while (s.n > 0 && is_white(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* ---- tag lists ------------------------------------------------------------------ */

/* RFC 6376 3.2: a letter, then letters, digits and underscores. */
static bool
is_tag_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) &&
		    (i == 0 || (!ascii_is_digit(s.p[i]) && s.p[i] != '_')))
			return false;
	return s.n > 0;
}

static bool
is_tag_value(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_white(s.p[i]) && (s.p[i] < '!' || s.p[i] > '~'))
			return false;
	return true;
}

int
dkim_tags_read(struct slice text, struct dkim_tag tag[DKIM_TAGS_MAX])
{
	uint32_t n = 0;

	while (text.p != NULL) {
		struct slice value = slice_cut(&text, ';');
		struct slice name = dkim_trim(slice_cut(&value, '='));

		if (name.n == 0 && value.p == NULL &&
		    dkim_trim(slice_of(text.p, text.n)).n == 0)
			break; /* a semicolon may stand behind the last */
		if (value.p == NULL || !is_tag_name(name) ||
		    !is_tag_value(value))
			return E_SYNTAX;
		for (uint32_t i = 0; i < n; i++)
			if (slice_eq(tag[i].name, name))
				return E_SYNTAX;
		if (n == DKIM_TAGS_MAX)
			return E_FULL;
		tag[n].name = name;
		tag[n++].value = value;
	}
	return (int)n;
}

struct tags {
	uint32_t n;
	struct dkim_tag v[DKIM_TAGS_MAX];
};

static int
tags_read(struct tags *t, struct slice text, const char **why)
{
	int n = dkim_tags_read(text, t->v);

	t->n = (uint32_t)MAX(n, 0);
	*why = n == E_FULL ? "too many tags" : "not a list of tags";
	return MIN(n, 0);
}

/* The value as it stands, p NULL: not there. */
static struct slice
tag_raw(const struct tags *t, const char *name)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (slice_eq(t->v[i].name, slice_str(name)))
			return t->v[i].value;
	return slice_of(NULL, 0);
}

static struct slice
tag_of(const struct tags *t, const char *name)
{
	return dkim_trim(tag_raw(t, name));
}

/* ---- signatures -------------------------------------------------------------------- */

static bool
read_time(struct slice s, int64_t *out)
{
	uint64_t n = 0;

	if (s.p == NULL)
		return true;
	/* RFC 6376 3.5: up to 12 digits. */
	if (slice_u64(s, UINT64_C(999999999999), &n) != 0)
		return false;
	*out = (int64_t)n;
	return true;
}

static bool
read_canon(struct slice s, enum dkim_canon *out)
{
	*out = slice_ieq(s, SL("relaxed")) ? DKIM_RELAXED : DKIM_SIMPLE;
	return *out == DKIM_RELAXED || slice_ieq(s, SL("simple"));
}

static bool
read_canons(struct slice body, struct dkim_signature *s)
{
	struct slice header;

	if (body.p == NULL)
		return true; /* simple/simple */
	header = slice_cut(&body, '/');
	return read_canon(header, &s->header) &&
	    (body.p == NULL || read_canon(body, &s->body));
}

static bool
read_algorithm(struct slice text, enum dkim_algorithm *out)
{
	for (int a = 0; a < DKIM_ALGORITHM_N; a++)
		if (slice_ieq(text,
			slice_str(
			    dkim_algorithm_name((enum dkim_algorithm)a)))) {
			*out = (enum dkim_algorithm)a;
			return true;
		}
	return false;
}

/* Bytes of base64 into a field of at most max; false when they do not fit. */
static bool
read_bytes(struct slice text, uint8_t *dst, size_t max, size_t *n)
{
	struct buf b;
	bool ok;

	buf_init(&b, max);
	ok = text.p != NULL && base64_decode(text, &b) == 0;
	if (ok)
		memcpy(dst, buf_slice(&b).p, b.n);
	*n = b.n;
	buf_free(&b);
	return ok;
}

/* i= is of d= or below it. */
static bool
is_of(struct slice identity, struct slice domain)
{
	struct slice at = mailbox_domain(identity);

	if (slice_ieq(at, domain))
		return true;
	return at.n > domain.n && at.p[at.n - domain.n - 1] == '.' &&
	    slice_has_isuffix(at, domain);
}

static bool
names_from(struct slice list)
{
	while (list.p != NULL)
		if (slice_ieq(dkim_trim(slice_cut(&list, ':')), SL("From")))
			return true;
	return false;
}

/* What a value must be; NULL: all are. */
static const char *
read_values(const struct tags *t, struct dkim_signature *s)
{
	size_t n;

	if (!domain_is_valid(s->domain, false))
		return "d= is no domain";
	if (!domain_is_valid(s->selector, false))
		return "s= is no selector";
	if (s->identity.n > 0 && !is_of(s->identity, s->domain))
		return "i= is not of d=";
	if (!names_from(s->names))
		return "h= does not name From";
	if (!read_bytes(tag_of(t, "bh"), s->body_hash, DKIM_HASH_BYTES, &n) ||
	    n != DKIM_HASH_BYTES)
		return "bh= is no hash";
	if (!read_bytes(s->b, s->sig, DKIM_SIGNATURE_MAX, &s->nsig) ||
	    s->nsig == 0)
		return "b= is no signature";
	if (!read_time(tag_of(t, "t"), &s->signed_s) ||
	    !read_time(tag_of(t, "x"), &s->expires_s))
		return "t= or x= is no time";
	if (s->expires_s != 0 && s->expires_s < s->signed_s)
		return "x= is before t=";
	return NULL;
}

int
dkim_signature_read(struct slice value, struct dkim_signature *s,
    const char **why)
{
	struct slice method;
	struct tags t;
	int err = tags_read(&t, value, why);

	memset(s, 0, sizeof(*s));
	if (err)
		return err;
	if (!slice_eq(tag_of(&t, "v"), SL("1"))) {
		*why = "v= is not 1";
		return E_VERSION;
	}
	method = tag_of(&t, "q");
	if (!read_algorithm(tag_of(&t, "a"), &s->algorithm) ||
	    !read_canons(tag_of(&t, "c"), s) ||
	    (method.p != NULL && !slice_ieq(method, SL("dns/txt")))) {
		*why = "a=, c= or q= is not known here";
		return E_UNSUPPORTED;
	}
	s->domain = tag_of(&t, "d");
	s->selector = tag_of(&t, "s");
	s->identity = tag_of(&t, "i");
	s->names = tag_of(&t, "h");
	s->has_length = tag_of(&t, "l").p != NULL;
	s->b = tag_raw(&t, "b");
	*why = read_values(&t, s);
	return *why == NULL ? 0 : E_SYNTAX;
}

bool
dkim_signature_hash(const struct dkim_signature *s, struct slice field,
    struct slice header, dkim_emit_fn *emit, void *ctx)
{
	struct dkim_field f;
	const char *end = s->b.p + s->b.n;

	ASSERT(s->b.p >= field.p && end <= field.p + field.n);
	if (!dkim_fields_hash(s->names, header, s->header, emit, ctx))
		return false;
	dkim_field_init(&f, s->header, emit, ctx);
	dkim_field_add(&f, slice_of(field.p, (size_t)(s->b.p - field.p)));
	dkim_field_add(&f, slice_of(end, (size_t)(field.p + field.n - end)));
	dkim_field_end(&f, true);
	return true;
}

/* ---- keys ----------------------------------------------------------------------------- */

/* Is the word in a list with colons? One that is not there holds all. */
static bool
list_has(struct slice list, const char *word)
{
	if (list.p == NULL)
		return true;
	while (list.p != NULL) {
		struct slice s = dkim_trim(slice_cut(&list, ':'));

		if (slice_ieq(s, slice_str(word)) || slice_eq(s, SL("*")))
			return true;
	}
	return false;
}

static bool
list_names(struct slice list, const char *word)
{
	return list.p != NULL && list_has(list, word);
}

int
dkim_record_read(struct slice text, struct dkim_record *r, const char **why)
{
	struct slice version, kind;
	struct tags t;
	int err = tags_read(&t, text, why);

	memset(r, 0, sizeof(*r));
	if (err)
		return err;
	version = tag_of(&t, "v");
	kind = tag_of(&t, "k");
	r->key = tag_of(&t, "p");
	/* RFC 6376 3.6.1: v= stands first, if it is there. */
	*why = "v= is not DKIM1, or not first";
	if (version.p != NULL &&
	    (!slice_eq(version, SL("DKIM1")) ||
		!slice_eq(t.v[0].name, SL("v"))))
		return E_VERSION;
	*why = "p= is not there";
	if (r->key.p == NULL)
		return E_SYNTAX;
	*why = "k= is not known here";
	if (slice_ieq(kind, SL("ed25519")))
		r->algorithm = DKIM_ED25519_SHA256;
	else if (kind.p != NULL && !slice_ieq(kind, SL("rsa")))
		return E_UNSUPPORTED;
	*why = "the key is not for SHA-256 (h=) or not for mail (s=)";
	if (!list_has(tag_of(&t, "h"), "sha256") ||
	    !list_has(tag_of(&t, "s"), "email"))
		return E_UNSUPPORTED;
	*why = NULL;
	r->is_revoked = r->key.n == 0;
	r->is_testing = list_names(tag_of(&t, "t"), "y");
	r->is_strict = list_names(tag_of(&t, "t"), "s");
	return 0;
}
