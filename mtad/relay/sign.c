/*
 * relay/sign.c - signing a message on its way in.
 *
 * A body is hashed once for each canonical form that is asked for, however many
 * sign it; a header once for each signature, for each names itself.
 */
#include "relay/relay.h"
#include "relay/sign.h"

#define TOP_MAX (SIGNATURES_MAX * 16384u)

/* ---- keys ------------------------------------------------------------------------ */

struct keyring *
keyring_new(const struct conf *c)
{
	size_t n = c->dkim.nkeys;
	struct keyring *r = mem_try(sizeof(*r) + n * sizeof(*r->key));

	if (r == NULL)
		return NULL;
	atomic_init(&r->refs, 1);
	r->conf = c;
	r->n = (uint32_t)n;
	r->key = (struct crypt_key **)(void *)(r + 1);
	if (c->ninbound == 0)
		return r;
	r->returns = mem_try(c->ninbound * sizeof(*r->returns));
	if (r->returns != NULL)
		return r;
	mem_free(r);
	return NULL;
}

const struct return_keys *
keyring_returns(const struct keyring *r, const struct conf_inbound *in)
{
	static const struct return_keys none;

	/* A session may look at another configuration than its worker's. */
	if (r == NULL || in < r->conf->inbound ||
	    in >= r->conf->inbound + r->conf->ninbound)
		return &none;
	return &r->returns[in - r->conf->inbound];
}

struct keyring *
keyring_take(struct keyring *r)
{
	if (r != NULL)
		atomic_fetch_add(&r->refs, 1);
	return r;
}

void
keyring_give(struct keyring *r)
{
	if (r == NULL || atomic_fetch_sub(&r->refs, 1) > 1)
		return;
	for (uint32_t i = 0; i < r->n; i++)
		crypt_key_give(r->key[i]);
	if (r->returns != NULL)
		explicit_bzero(r->returns,
		    r->conf->ninbound * sizeof(*r->returns));
	mem_free(r->returns);
	mem_free(r);
}

static const struct conf_dkim_key *
conf_of(const struct keyring *r, uint32_t i)
{
	return &r->conf->dkim.keys[i];
}

/* Of one domain and kind one key signs. */
static bool
are_rivals(const struct keyring *r, uint32_t a, uint32_t b)
{
	return crypt_key_kind(r->key[a]) == crypt_key_kind(r->key[b]) &&
	    slice_ieq(conf_of(r, a)->domain, conf_of(r, b)->domain);
}

/* The one that names the tenant, else the one that came into force last, else
 * the first of the file. */
static bool
is_better(const struct keyring *r, uint32_t a, uint32_t b)
{
	const struct conf_dkim_key *x = conf_of(r, a), *y = conf_of(r, b);

	if ((x->ntenants > 0) != (y->ntenants > 0))
		return x->ntenants > 0;
	if (x->not_before_us != y->not_before_us)
		return x->not_before_us > y->not_before_us;
	return a < b;
}

static bool
is_beaten(const struct keyring *r, const uint32_t *v, uint32_t n, uint32_t at)
{
	for (uint32_t i = 0; i < n; i++)
		if (v[i] != v[at] && are_rivals(r, v[i], v[at]) &&
		    is_better(r, v[i], v[at]))
			return true;
	return false;
}

uint32_t
keyring_pick(const struct keyring *r, struct slice author, struct slice tenant,
    int64_t wall_us, uint32_t pick[SIGNATURES_MAX])
{
	uint32_t found[CONF_DKIM_FOUND], n, k = 0, at;

	n = conf_dkim_find(r->conf, author, tenant, wall_us, found);
	for (uint32_t i = 0; i < n && k < SIGNATURES_MAX; i++) {
		if (is_beaten(r, found, n, i))
			continue;
		for (at = k++; at > 0 && pick[at - 1] > found[i]; at--)
			pick[at] = pick[at - 1];
		pick[at] = found[i];
	}
	return k;
}

/* ---- a message ---------------------------------------------------------------------- */

struct signature {
	const struct conf_dkim_key *conf;
	struct crypt_key *key;
	size_t at; /* of its field in top */
	struct dkim_hole hole;
	uint8_t digest[CRYPT_SHA256_BYTES];
};

struct body_hash {
	struct crypt_hash *hash; /* NULL: nobody asks for this form */
	struct dkim_body body;
	uint8_t digest[CRYPT_SHA256_BYTES];
};

struct signing {
	const struct conf_dkim *conf;
	struct body_hash body[2]; /* enum dkim_canon */
	struct buf top;
	uint32_t n;
	struct signature v[SIGNATURES_MAX];
};

static void
emit(void *ctx, const char *p, size_t n)
{
	crypt_hash_add(ctx, p, n);
}

static int
want_body(struct body_hash *b, enum dkim_canon canon)
{
	if (b->hash != NULL)
		return 0;
	b->hash = crypt_hash_new();
	if (b->hash == NULL)
		return E_NOMEM;
	dkim_body_init(&b->body, canon, emit, b->hash);
	return 0;
}

static bool
has_author(struct slice header)
{
	struct hdr h;

	while (hdr_next(&header, &h))
		if (slice_ieq(h.name, SL("From")))
			return true;
	return false;
}

int
signing_begin(struct signing **out, const struct keyring *r,
    struct slice header, struct slice tenant, int64_t wall_us)
{
	uint32_t pick[SIGNATURES_MAX], n;
	struct signing *s;
	int err = 0;

	*out = NULL;
	/* RFC 6376 5.4: without a From there is nothing to answer for. */
	if (!has_author(header))
		return 0;
	n = keyring_pick(r, dkim_author_domain(header), tenant, wall_us, pick);
	if (n == 0)
		return 0;
	s = mem_try(sizeof(*s));
	if (s == NULL)
		return E_NOMEM;
	s->conf = &r->conf->dkim;
	buf_init(&s->top, TOP_MAX);
	for (; s->n < n && err == 0; s->n++) {
		const struct conf_dkim_key *k = conf_of(r, pick[s->n]);
		enum dkim_canon c = k->relaxes_body;

		s->v[s->n].conf = k;
		s->v[s->n].key = crypt_key_take(r->key[pick[s->n]]);
		err = want_body(&s->body[c], c);
	}
	*out = s;
	return err;
}

void
signing_body(struct signing *s, struct slice piece)
{
	for (int c = 0; c < 2; c++)
		if (s->body[c].hash != NULL)
			dkim_body_add(&s->body[c].body, piece);
}

static int
add_signature(struct signing *s, struct signature *v, struct slice header,
    int64_t wall_us, struct crypt_hash *hash)
{
	const struct conf_dkim_key *k = v->conf;
	struct dkim_terms t = {
		.algorithm = crypt_key_kind(v->key) == CRYPT_RSA ?
		    DKIM_RSA_SHA256 :
		    DKIM_ED25519_SHA256,
		.header = k->relaxes_header,
		.body = k->relaxes_body,
		.domain = k->domain,
		.selector = k->selector,
		.identity = k->identity,
		.names = s->conf->headers,
		.nnames = s->conf->nheaders,
		.oversigned = s->conf->oversigned,
		.noversigned = s->conf->noversigned,
		.signature_bytes = crypt_key_signature_bytes(v->key),
	};
	int err;

	if (k->says_time)
		t.signed_s = wall_us / US_PER_S;
	if (k->expire_us > 0)
		t.expires_s = (wall_us + k->expire_us) / US_PER_S;
	memcpy(t.body_hash, s->body[t.body].digest, sizeof(t.body_hash));
	v->at = s->top.n;
	err = dkim_sign_field(&s->top, &t, header, emit, hash, &v->hole);
	crypt_hash_end(hash, v->digest);
	return err;
}

int
signing_end(struct signing *s, struct slice header, int64_t wall_us)
{
	struct crypt_hash *hash = NULL;
	int err = 0;

	for (int c = 0; c < 2; c++) {
		if (s->body[c].hash == NULL)
			continue;
		dkim_body_end(&s->body[c].body);
		hash = s->body[c].hash; /* free from here on */
		crypt_hash_end(hash, s->body[c].digest);
	}
	for (uint32_t i = 0; i < s->n && err == 0; i++)
		err = add_signature(s, &s->v[i], header, wall_us, hash);
	return err;
}

struct slice
signing_domain(const struct signing *s)
{
	return s->v[0].conf->domain;
}

struct slice
signing_top(const struct signing *s)
{
	return buf_slice(&s->top);
}

int
signing_seal(struct signing *s)
{
	uint8_t sig[CRYPT_SIGNATURE_MAX];
	int err = 0;

	for (uint32_t i = 0; i < s->n && err == 0; i++) {
		struct signature *v = &s->v[i];

		err = crypt_sign(v->key, v->digest, sig);
		if (err == 0)
			dkim_fill(s->top.p + s->top.off + v->at, &v->hole, sig,
			    crypt_key_signature_bytes(v->key));
	}
	return err;
}

void
signing_free(struct signing *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->n; i++)
		crypt_key_give(s->v[i].key);
	crypt_hash_free(s->body[DKIM_SIMPLE].hash);
	crypt_hash_free(s->body[DKIM_RELAXED].hash);
	buf_free(&s->top);
	mem_free(s);
}
