/*
 * net/tls_client.c - the client's side of TLS: what a policy asks of the peer,
 * and sessions that are resumed.
 *
 * A session is kept under a key that stands for the peer and for all that was
 * asked of it, so one that was made under a weaker policy never serves a
 * stronger one, and what was found of the certificate then holds again. Each
 * is used once (RFC 8446 C.4), and the table has a fixed number of places.
 *
 * CAs are read when a certificate is verified for the first time, and looked at
 * for such connections alone: opportunistic TLS pays nothing for them.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "net/net_i.h"

struct tls_session {
	uint64_t key;
	SSL_SESSION *s; /* NULL: the place is free */
	const char *auth;
	int64_t until_us;
};

static const char *auth_of(struct conn *c);

/* ---- sessions ------------------------------------------------------------------ */

static void
place_clear(struct tls_session *p)
{
	SSL_SESSION_free(p->s);
	p->s = NULL;
}

void
tls_sessions_free(struct tls_ctx *t)
{
	for (uint32_t i = 0; i < t->nsessions; i++)
		place_clear(&t->sessions[i]);
	mem_free(t->sessions);
	t->sessions = NULL;
	t->nsessions = 0;
}

static struct tls_session *
place_of(const struct tls_ctx *t, uint64_t key)
{
	return &t->sessions[key % t->nsessions];
}

/* The peer gave one, in the handshake or behind it. */
static int
on_session(SSL *ssl, SSL_SESSION *s)
{
	struct conn *c = SSL_get_app_data(ssl);
	struct tls_ctx *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct tls_session *p;

	if (t == NULL || t->nsessions == 0 || c == NULL || c->tls_key == 0 ||
	    !SSL_SESSION_is_resumable(s))
		return 0;
	p = place_of(t, c->tls_key);
	place_clear(p);
	p->key = c->tls_key;
	p->s = s; /* its reference is ours now */
	/* The handshake may not have come back yet. */
	p->auth = SSL_session_reused(ssl) == 1 ? c->tls_auth : auth_of(c);
	p->until_us = loop_now(c->loop) +
	    MIN(t->session_us, (int64_t)SSL_SESSION_get_timeout(s) * US_PER_S);
	return 1;
}

static void
resume(struct conn *c, struct tls_ctx *t)
{
	struct tls_session *p;

	if (t->nsessions == 0 || c->tls_key == 0)
		return;
	p = place_of(t, c->tls_key);
	if (p->s == NULL || p->key != c->tls_key)
		return;
	if (p->until_us > loop_now(c->loop) &&
	    SSL_set_session(c->ssl, p->s) == 1)
		c->tls_auth = p->auth;
	place_clear(p);
}

/* ---- contexts ------------------------------------------------------------------ */

static int
client_begin(struct tls_ctx *t, const struct tls_client_conf *conf, char *why,
    size_t cap)
{
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_NONE, NULL);
	if (conf == NULL)
		return 0;
	t->ca = conf->ca;
	SSL_CTX_set_app_data(t->ctx, t);
	if (SSL_CTX_dane_enable(t->ctx) != 1) {
		tls_say_why(why, cap, "DANE", "");
		return E_NOMEM;
	}
	if (conf->sessions_max != 0 && conf->session_us > 0) {
		t->sessions =
		    mem_try(conf->sessions_max * sizeof(*t->sessions));
		t->nsessions = t->sessions ? conf->sessions_max : 0;
		t->session_us = conf->session_us;
		SSL_CTX_set_session_cache_mode(t->ctx,
		    SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(t->ctx, on_session);
	}
	return conf->cert ? tls_use_cert(t, conf->cert, conf->key, why, cap) :
			    0;
}

struct tls_ctx *
tls_client_new(const struct tls_client_conf *conf, char *why, size_t why_cap)
{
	struct tls_ctx *t = tls_ctx_new(TLS_client_method(), why, why_cap);

	if (t != NULL && client_begin(t, conf, why, why_cap) != 0) {
		tls_ctx_free(t);
		return NULL;
	}
	return t;
}

bool
tls_ciphers_known(const char *list)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	bool ok = ctx != NULL && SSL_CTX_set_cipher_list(ctx, list) == 1;

	SSL_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

/* The trusted CAs; NULL: they cannot be read. */
static X509_STORE *
trust_of(struct tls_ctx *t)
{
	X509_STORE *s = t->trust;
	int ok;

	if (s != NULL)
		return s;
	s = X509_STORE_new();
	if (s == NULL)
		return NULL;
	ok = t->ca != NULL ? X509_STORE_load_file(s, t->ca) :
			     X509_STORE_set_default_paths(s);
	if (ok != 1) {
		X509_STORE_free(s);
		ERR_clear_error();
		return NULL;
	}
	t->trust = s;
	return s;
}

/* ---- what is asked for ----------------------------------------------------------- */

bool
tlsa_is_usable(uint8_t usage, uint8_t selector, uint8_t matching, size_t bytes)
{
	/* RFC 7672 3.1.3: PKIX-TA(0) and PKIX-EE(1) are not for SMTP. */
	if ((usage != 2 && usage != 3) || selector > 1 || bytes == 0)
		return false;
	if (matching == 1)
		return bytes == 32;
	return matching == 2 ? bytes == 64 : matching == 0;
}

static bool
name_text(struct slice name, char text[DOMAIN_TEXT_MAX])
{
	struct endpoint e;

	/* RFC 6066 3: a name, never an address; of a route's host it comes with
	 * its port. GnuTLS, and so Debian's Exim, breaks the handshake off. */
	if (name.n == 0 || name.n >= DOMAIN_TEXT_MAX ||
	    endpoint_parse(name, 25, &e) == 0)
		return false;
	slice_copy(name, text, DOMAIN_TEXT_MAX);
	return true;
}

/* Returns whether a record could be used: OpenSSL may know better of one. */
static bool
add_tlsa(SSL *ssl, const struct tlsa_set *set)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < set->n; i++)
		if (tlsa_is_usable(set->rec[i].usage, set->rec[i].selector,
			set->rec[i].matching, set->rec[i].bytes))
			n += SSL_dane_tlsa_add(ssl, set->rec[i].usage,
				 set->rec[i].selector, set->rec[i].matching,
				 set->data + set->rec[i].at,
				 set->rec[i].bytes) == 1;
	ERR_clear_error();
	return n > 0;
}

static const char *
want_dane(SSL *ssl, const struct tls_want *w)
{
	char text[DOMAIN_TEXT_MAX];

	/* Name of SNI and of the check, RFC 7672 3.2.2 and 8.1. */
	if (w->nnames == 0 || !name_text(w->names[0], text) ||
	    SSL_dane_enable(ssl, text) != 1)
		return "DANE has no name to check";
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	for (uint32_t i = 1; i < w->nnames; i++)
		if (name_text(w->names[i], text))
			SSL_add1_host(ssl, text);
	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	return add_tlsa(ssl, w->tlsa) ? NULL : "no TLSA record can be used";
}

static const char *
want_pkix(struct tls_ctx *t, SSL *ssl, const struct tls_want *w)
{
	X509_STORE *trust = trust_of(t);
	char text[DOMAIN_TEXT_MAX];
	uint32_t n = 0;

	if (trust == NULL || SSL_set1_verify_cert_store(ssl, trust) != 1)
		return "the certificates of trusted CAs cannot be read";
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (uint32_t i = 0; i < w->nnames; i++)
		if (name_text(w->names[i], text))
			n += SSL_add1_host(ssl, text) == 1;
	if (n == 0)
		return "there is no name that the certificate could have";
	if (w->check == TLS_CHECK_PKIX)
		SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	return NULL;
}

/* NULL, or why it cannot be done. */
static const char *
want_all(struct tls_ctx *t, SSL *ssl, const struct tls_want *w)
{
	char text[DOMAIN_TEXT_MAX], ciphers[1024];
	const char *why = NULL;

	if (name_text(w->sni, text))
		SSL_set_tlsext_host_name(ssl, text);
	if (w->min != 0)
		SSL_set_min_proto_version(ssl, TLS1_VERSION + w->min - 1);
	slice_copy(w->ciphers, ciphers, sizeof(ciphers));
	if (w->ciphers.n > 0 && SSL_set_cipher_list(ssl, ciphers) != 1)
		return "no cipher that is asked for is known";
	if (w->check == TLS_CHECK_DANE)
		why = want_dane(ssl, w);
	else if (w->check != TLS_CHECK_NONE)
		why = want_pkix(t, ssl, w);
	return w->check == TLS_CHECK_LOOK ? NULL : why;
}

void
conn_tls_connect_as(struct conn *c, struct tls_ctx *t, const struct tls_want *w)
{
	const char *why;

	tls_begin(c, t);
	if (c->ssl == NULL)
		return;
	SSL_set_connect_state(c->ssl);
	SSL_set_app_data(c->ssl, c);
	c->tls_check = (uint8_t)w->check;
	c->tls_key = w->key;
	c->tls_auth = "";
	why = want_all(t, c->ssl, w);
	if (why != NULL) { /* told from the loop: tls_step finds it */
		c->tls_auth = why;
		c->is_tls_refused = true;
		return;
	}
	resume(c, t);
}

void
conn_tls_connect(struct conn *c, struct tls_ctx *t, struct slice name)
{
	struct tls_want w = { .sni = name };

	conn_tls_connect_as(c, t, &w);
}

/* ---- what was found ---------------------------------------------------------------- */

static const char *
auth_of(struct conn *c)
{
	long result = SSL_get_verify_result(c->ssl);
	uint8_t usage = 0;

	if (c->tls_check == TLS_CHECK_NONE)
		return "";
	if (result != X509_V_OK)
		return X509_verify_cert_error_string(result);
	if (c->tls_check != TLS_CHECK_DANE)
		return "pkix";
	if (SSL_get0_dane_tlsa(c->ssl, &usage, NULL, NULL, NULL, NULL) < 0)
		return "no TLSA record matches";
	return usage == 3 ? "dane-ee" : "dane-ta";
}

static bool
is_good(const char *auth)
{
	static const char *const good[] = { "pkix", "dane-ee", "dane-ta" };

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (strcmp(auth, good[i]) == 0)
			return true;
	return false;
}

bool
tls_client_done(struct conn *c)
{
	if (SSL_is_server(c->ssl))
		return true;
	c->is_tls_resumed = SSL_session_reused(c->ssl) == 1;
	if (!c->is_tls_resumed)
		c->tls_auth = auth_of(c);
	return c->tls_check == TLS_CHECK_NONE ||
	    c->tls_check == TLS_CHECK_LOOK || is_good(c->tls_auth);
}

void
tls_client_failed(struct conn *c)
{
	c->tls_key = 0; /* nothing of it is kept */
}

const char *
conn_tls_auth(const struct conn *c, bool *good)
{
	const char *auth = c->is_tls_open && c->tls_auth ? c->tls_auth : "";

	*good = is_good(auth);
	return auth;
}

bool
conn_tls_is_resumed(const struct conn *c)
{
	return c->is_tls_open && c->is_tls_resumed;
}
