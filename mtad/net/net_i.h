/*
 * net/net_i.h - what the files of this room share: timers and tasks of a
 * loop, the connection's insides, socket addresses.
 *
 * Everything here belongs to the thread of its loop.
 */
#ifndef NET_NET_I_H
#define NET_NET_I_H

#include <sys/socket.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>
#include <stdatomic.h>

#include "net/net.h"

/* ---- loop.c ---------------------------------------------------------------- */

/* Bytes of the loop's reading buffer. */
#define LOOP_READ_BYTES NET_READ_MAX

/*
 * A deadline. It is in the loop's heap from init to done, so that setting it
 * cannot fail. Moving it to later only writes at_us: the loop finds the node
 * early, once, and puts it where it belongs. So node.key <= at_us always.
 */
struct loop_timer {
	struct heap_node node;
	int64_t at_us;
	void (*fire)(void *arg);
	void *arg;
};
/* 0 or E_NOMEM. */
int loop_timer_init(struct loop *l, struct loop_timer *t,
    void (*fire)(void *arg), void *arg) MUST_CHECK;
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_us);
void loop_timer_done(struct loop *l, struct loop_timer *t);

/* Something to run after the events of this turn (of the next one, when asked
 * for by a task). Asking twice is asking once; list_remove(&t->node) undoes. */
struct loop_task {
	struct list node;
	void (*run)(void *arg);
	void *arg;
};
void loop_task_init(struct loop_task *t, void (*run)(void *arg), void *arg);
void loop_later(struct loop *l, struct loop_task *t);
/* The same, but at the very end of a turn, when no callback can be on the
 * stack: for freeing. */
void loop_bury(struct loop *l, struct loop_task *t);
/* To be called first by every libevent callback of this room: ends the sleep
 * and reads the clock, once a turn. */
void loop_awake(struct loop *l);
char *loop_read_buf(struct loop *l);
/* Into the loop's outbox. */
void loop_post(struct loop *l, struct conn *c);

/* ---- conn.c, conn_io.c ------------------------------------------------------- */

/*
 * CONNECTING until on_connect; TLS during a handshake (and, before it, while
 * clear text is still leaving); LINGER after conn_close_gently, when the
 * owner is no longer called; CLOSED until freed at the end of the turn.
 */
#define CONN_STATES(X)                                                         \
	X(CONN_CONNECTING)                                                     \
	X(CONN_OPEN)                                                           \
	X(CONN_TLS)                                                            \
	X(CONN_LINGER)                                                         \
	X(CONN_CLOSED)
#define CONN_STATE_ENUM(name) name,
enum conn_state { CONN_STATES(CONN_STATE_ENUM) };
#undef CONN_STATE_ENUM

struct conn {
	struct loop *loop;
	struct event ev; /* read, write and close, edge-triggered, for life */
	struct loop_timer timer;
	struct loop_task later; /* runs conn_run; buries when CLOSED */
	struct list posted;     /* in the loop's outbox */
	const struct conn_ops *ops;
	void *user;
	struct buf *out;     /* what is being sent, or NULL */
	struct buf kept;     /* came, but was not eaten */
	struct buf last;     /* LINGER: the owner's unsent bytes, taken over */
	SSL *ssl;            /* set when a handshake is asked for */
	size_t linger_bytes; /* LINGER: input that may still be thrown away */
	uint32_t sends;      /* writes made or owed, wraps */
	int fd;
	int err; /* of connect or of a write, not yet told */
	enum conn_state state;
	bool can_read;    /* the kernel may hold bytes that no edge announces */
	bool can_write;   /* no write was refused since the last edge */
	bool saw_close;   /* the peer's FIN is behind the bytes */
	bool is_paused;   /* on_data left something, or read_max said no */
	bool is_resumed;  /* conn_resume came during on_data */
	bool is_gone;     /* on_gone was called */
	bool is_shut;     /* our FIN was sent */
	bool is_clearing; /* TLS: clear text has to leave before it begins */
	bool is_tls_open; /* the handshake is done */
	bool is_tls_drained;  /* the last read did not fill SSL's buffer */
	bool is_tls_resumed;  /* by a session that was kept */
	bool is_tls_refused;  /* before it began; tls_auth says why */
	uint8_t tls_check;    /* enum tls_check */
	const char *tls_auth; /* what conn_tls_auth says */
	uint64_t tls_key;     /* of sessions; 0: none is kept */
};

void conn_enter(struct conn *c, enum conn_state state);
/* Does whatever can be done now: the one place that drives a connection. */
void conn_run(struct conn *c);
/* Tells the owner, once, that the connection is over. */
void conn_gone(struct conn *c, int err_no);
/* Writes what is waiting; on_drained when that ends it. */
void conn_out(struct conn *c);
/* The same for what was posted: it is never told from inside but by a task. */
void conn_run_out(struct conn *c);
/* Accounts for a send that gave n: bytes or -errno. */
void conn_sent(struct conn *c, ssize_t n);
/* Reads and offers, a bounded number of times. */
void conn_in(struct conn *c);
/* One read into the loop's buffer: bytes, 0 at the end, or -errno. */
ssize_t conn_recv(struct conn *c, size_t max);

/* ---- outbox.c -------------------------------------------------------------- */

struct outbox;
struct outbox *outbox_new(void);
void outbox_free(struct outbox *o);
/* A conn with unsent bytes; once is enough. */
void outbox_add(struct outbox *o, struct conn *c);
/* Sends what was added, and what its callbacks add; false: there was none. */
bool outbox_send(struct outbox *o);

/* ---- tls.c, tls_client.c ----------------------------------------------------------------- */

/* Goes on with the handshake of a conn in CONN_TLS. */
void tls_step(struct conn *c);
/* As recv and send: bytes, 0 (recv: the end), or -errno; -EAGAIN after which
 * an edge will come. */
ssize_t tls_recv(struct conn *c, char *p, size_t n);
/* All that came has been read and given, and what comes makes an edge. */
bool tls_is_drained(const struct conn *c);
ssize_t tls_send(struct conn *c, const char *p, size_t n);
struct tls_session;
struct tls_ctx {
	SSL_CTX *ctx;
	X509_STORE *trust; /* made when a certificate is verified first */
	const char *ca;    /* of the configuration; NULL: the system's */
	struct tls_session *sessions; /* or NULL */
	uint32_t nsessions;
	int64_t session_us;
};
struct tls_ctx *tls_ctx_new(const SSL_METHOD *method, char *why,
    size_t why_cap);
int tls_use_cert(struct tls_ctx *t, const char *cert, const char *key,
    char *why, size_t why_cap) MUST_CHECK;
void tls_say_why(char *why, size_t why_cap, const char *what, const char *file);
void tls_begin(struct conn *c, struct tls_ctx *t);
/* A client's handshake is done: what is known of the peer. Is it enough? */
bool tls_client_done(struct conn *c);
/* It failed: a session that was tried is not tried again. */
void tls_client_failed(struct conn *c);
void tls_sessions_free(struct tls_ctx *t);
/* Sends close_notify if that is possible now. */
void tls_shut(struct conn *c);

/* ---- sockaddr.c ------------------------------------------------------------ */

socklen_t sockaddr_of(struct sockaddr_storage *sa, const struct ip *ip,
    uint16_t port);
/* IPv4-mapped IPv6 becomes IPv4; family 0 for other families. */
void sockaddr_get(const struct sockaddr_storage *sa, struct endpoint *out);
/* A non-blocking, close-on-exec TCP socket for ip's family, or -errno. */
int tcp_socket(const struct ip *ip);
/* Binds to ip as a source address, its port left to connect. 0 or -errno. */
int tcp_bind_source(int fd, const struct ip *ip);

#endif
