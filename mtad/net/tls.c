/*
 * net/tls.c - TLS on a connection (OpenSSL).
 *
 * A BIO of our own stands between SSL and the socket: it writes with
 * MSG_NOSIGNAL, so that a peer that hangs up raises no SIGPIPE, and reads
 * ahead, so that a record does not cost two reads. Whatever SSL wants, the
 * edges of the connection bring; nothing is polled.
 *
 * A tls_ctx may be shared by all threads once it is made. The rest belongs to
 * the thread of the connection's loop.
 */
#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>

#include "net/net_i.h"

/* ---- the BIO ------------------------------------------------------------------ */

static int
sock_result(BIO *bio, ssize_t n, int retry_flags)
{
	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_flags(bio, retry_flags | BIO_FLAGS_SHOULD_RETRY);
	if (n == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	return (int)n;
}

static int
sock_read(BIO *bio, char *p, int n)
{
	struct conn *c = BIO_get_data(bio);
	ssize_t got = recv(c->fd, p, (size_t)n, 0);

	c->is_tls_drained = got < n;
	return sock_result(bio, got, BIO_FLAGS_READ);
}

static int
sock_write(BIO *bio, const char *p, int n)
{
	const struct conn *c = BIO_get_data(bio);

	return sock_result(bio, send(c->fd, p, (size_t)n, MSG_NOSIGNAL),
	    BIO_FLAGS_WRITE);
}

static long
sock_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)num, (void)ptr;
	if (cmd == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *sock_method; /* made once, never freed */

static void
sock_method_init(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
	    "connection");

	if (m == NULL)
		return;
	BIO_meth_set_read(m, sock_read);
	BIO_meth_set_write(m, sock_write);
	BIO_meth_set_ctrl(m, sock_ctrl);
	sock_method = m;
}

/* ---- contexts ------------------------------------------------------------------- */

void
tls_say_why(char *why, size_t why_cap, const char *what, const char *file)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	snprintf(why, why_cap, "%s%s%s: %s", what, *file ? " " : "", file,
	    reason ? reason : "unknown reason");
	ERR_clear_error();
}

struct tls_ctx *
tls_ctx_new(const SSL_METHOD *method, char *why, size_t why_cap)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tls_ctx *t = mem_get(sizeof(*t));

	pthread_once(&once, sock_method_init);
	ERR_clear_error();
	t->ctx = SSL_CTX_new(method);
	if (t->ctx == NULL || sock_method == NULL) {
		tls_say_why(why, why_cap, "cannot prepare TLS", "");
		tls_ctx_free(t);
		return NULL;
	}
	SSL_CTX_set_mode(t->ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	/* Truncation is no threat: SMTP frames its messages itself. */
	SSL_CTX_set_options(t->ctx,
	    SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION |
		SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_read_ahead(t->ctx, 1);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	return t;
}

/* A key that needs a pass phrase must not make a daemon ask a terminal. */
static int
no_pass_phrase(char *p, int n, int writing, void *arg)
{
	(void)p, (void)n, (void)writing, (void)arg;
	return -1;
}

int
tls_use_cert(struct tls_ctx *t, const char *cert, const char *key, char *why,
    size_t why_cap)
{
	SSL_CTX_set_default_passwd_cb(t->ctx, no_pass_phrase);
	if (SSL_CTX_use_certificate_chain_file(t->ctx, cert) != 1)
		tls_say_why(why, why_cap, "certificate", cert);
	else if (SSL_CTX_use_PrivateKey_file(t->ctx, key, SSL_FILETYPE_PEM) !=
	    1)
		tls_say_why(why, why_cap, "private key", key);
	else
		return 0;
	return E_IO;
}

/* Forward secret, every one (RFC 9325 4.1); CBC comes last, for senders that
 * have nothing better and would speak in clear text without. */
#define SERVER_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!AESCCM"

struct tls_ctx *
tls_server_new(const char *cert, const char *key, char *why, size_t why_cap)
{
	struct tls_ctx *t = tls_ctx_new(TLS_server_method(), why, why_cap);

	if (t == NULL)
		return NULL;
	SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(t->ctx, SERVER_CIPHERS);
	SSL_CTX_set_options(t->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_num_tickets(t->ctx, 1);
	if (tls_use_cert(t, cert, key, why, why_cap) == 0)
		return t;
	tls_ctx_free(t);
	return NULL;
}

int
tls_server_ask(struct tls_ctx *t, const char *ca, char *why, size_t why_cap)
{
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca);

	if (names == NULL ||
	    SSL_CTX_load_verify_locations(t->ctx, ca, NULL) != 1) {
		tls_say_why(why, why_cap, "the CAs of clients", ca);
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return E_IO;
	}
	SSL_CTX_set_client_CA_list(t->ctx, names);
	SSL_CTX_set_verify(t->ctx,
	    SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_num_tickets(t->ctx, 0); /* each shows its own, each time */
	SSL_CTX_set_options(t->ctx, SSL_OP_NO_TICKET);
	return 0;
}

void
tls_ctx_free(struct tls_ctx *t)
{
	if (t == NULL)
		return;
	tls_sessions_free(t);
	if (t->ctx != NULL) /* connections may live on */
		SSL_CTX_set_app_data(t->ctx, NULL);
	X509_STORE_free(t->trust);
	SSL_CTX_free(t->ctx);
	mem_free(t);
}

/* ---- handshake -------------------------------------------------------------------- */

static void
tls_end(struct conn *c, const char *why)
{
	bool ok = *why == '\0';

	conn_enter(c, CONN_OPEN);
	c->is_tls_open = ok;
	c->can_read = c->can_write = true; /* SSL may hold bytes */
	if (!ok) {
		c->is_gone = true; /* on_tls is how it is told */
		c->out = NULL;
	}
	ERR_clear_error();
	c->ops->on_tls(c->user, c, ok, why);
}

/* "certificate verify failed" alone helps nobody. */
static const char *
verify_reason(const struct conn *c)
{
	unsigned long err = ERR_peek_last_error();
	long result =
	    c->ssl != NULL ? SSL_get_verify_result(c->ssl) : X509_V_OK;

	if (ERR_GET_REASON(err) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
	    result != X509_V_OK)
		return X509_verify_cert_error_string(result);
	return ERR_reason_error_string(err);
}

static void
tls_fail(struct conn *c, int ssl_error, int err_no)
{
	const char *reason = NULL;
	char text[128];

	tls_client_failed(c);
	if (ssl_error == SSL_ERROR_SSL)
		reason = verify_reason(c);
	else if (ssl_error == SSL_ERROR_SYSCALL && err_no != 0)
		reason = strerror_r(err_no, text, sizeof(text));
	tls_end(c, reason ? reason : "the peer closed the connection");
}

void
tls_step(struct conn *c)
{
	int got, err;

	if (c->is_clearing)
		conn_out(c);
	if (c->state != CONN_TLS || c->is_clearing)
		return;
	if (c->err != 0 || c->ssl == NULL) {
		tls_fail(c, SSL_ERROR_SYSCALL, c->err ? c->err : ENOMEM);
		return;
	}
	if (c->is_tls_refused) {
		tls_end(c, c->tls_auth);
		return;
	}
	ERR_clear_error();
	errno = 0;
	got = SSL_do_handshake(c->ssl);
	err = got == 1 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, got);
	if (err == SSL_ERROR_NONE)
		tls_end(c, tls_client_done(c) ? "" : c->tls_auth);
	else if (err != SSL_ERROR_WANT_READ && err != SSL_ERROR_WANT_WRITE)
		tls_fail(c, err, errno);
}

/* SSL between the bytes and the socket; NULL without memory. */
static SSL *
ssl_new(struct conn *c, struct tls_ctx *t)
{
	SSL *ssl = SSL_new(t->ctx);
	BIO *bio = BIO_new(sock_method);

	if (ssl == NULL || bio == NULL) {
		SSL_free(ssl);
		BIO_free(bio);
		return NULL;
	}
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	return ssl;
}

void
tls_begin(struct conn *c, struct tls_ctx *t)
{
	ASSERT(c->state == CONN_OPEN && c->ssl == NULL);
	c->ssl = ssl_new(c, t);
	c->is_clearing = c->out != NULL;
	c->is_paused = false;
	/* RFC 3207 4.2: what came in clear text is not to be believed. */
	buf_reset(&c->kept);
	conn_enter(c, CONN_TLS);
	loop_later(c->loop, &c->later);
}

void
conn_tls_accept(struct conn *c, struct tls_ctx *t)
{
	tls_begin(c, t);
	if (c->ssl != NULL)
		SSL_set_accept_state(c->ssl);
}

bool
conn_is_tls(const struct conn *c)
{
	return c->is_tls_open;
}

bool
conn_tls_binding(const struct conn *c, uint8_t out[32])
{
	static const char label[] = "EXPERIMENTAL mtad drain";

	return conn_is_tls(c) &&
	    SSL_export_keying_material(c->ssl, out, 32, label,
		sizeof(label) - 1, NULL, 0, 0) == 1;
}

size_t
conn_tls_facts(const struct conn *c, char *dst, size_t cap)
{
	ASSERT(cap > 0);
	if (!c->is_tls_open) {
		*dst = '\0';
		return 0;
	}
	snprintf(dst, cap, "%s %s", SSL_get_version(c->ssl),
	    SSL_get_cipher_name(c->ssl));
	return strlen(dst);
}

/* ---- bytes ------------------------------------------------------------------------ */

/* What a failed SSL_read or SSL_write means, as in -errno; 0 for the end. */
static ssize_t
ssl_result(SSL *ssl)
{
	int err_no = errno, err = SSL_get_error(ssl, 0);

	switch (err) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return err_no != 0 && err_no != EAGAIN ? -err_no : -ECONNRESET;
	}
	ERR_clear_error();
	return -EPROTO;
}

ssize_t
tls_recv(struct conn *c, char *p, size_t n)
{
	size_t got;

	ERR_clear_error();
	errno = 0;
	if (SSL_read_ex(c->ssl, p, n, &got) == 1)
		return (ssize_t)got;
	return ssl_result(c->ssl);
}

bool
tls_is_drained(const struct conn *c)
{
	return c->is_tls_drained && !SSL_has_pending(c->ssl);
}

ssize_t
tls_send(struct conn *c, const char *p, size_t n)
{
	size_t put;

	ERR_clear_error();
	errno = 0;
	if (SSL_write_ex(c->ssl, p, n, &put) == 1)
		return (ssize_t)put;
	return ssl_result(c->ssl);
}

void
tls_shut(struct conn *c)
{
	if (!c->is_tls_open)
		return;
	ERR_clear_error();
	SSL_shutdown(c->ssl);
	ERR_clear_error();
}
