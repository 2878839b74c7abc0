/*
 * net/net.h - the hands: event loop, connections, TLS, listeners, DNS.
 *
 * A loop belongs to one thread, and so does everything made on it. One clock
 * reading a turn. Reading is edge-triggered into one shared 64 KB buffer;
 * writing happens at once and waits for the socket only when it is full.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/base.h"

/* ---- loop (libevent inside) -------------------------------------------------- */

struct loop;
struct event_base;

/* NULL without memory or descriptors. */
struct loop *loop_new(void);
/* Everything made on it must have been closed or freed before. */
void loop_free(struct loop *l);
/* No connection has a deadline: none is lingering either. */
bool loop_is_idle(const struct loop *l);
struct event_base *loop_base(struct loop *l);
/* Monotonic microseconds, read once at the start of the turn. */
int64_t loop_now(const struct loop *l);
/* Wall clock (unix microseconds), from the same turn. */
int64_t loop_wall(const struct loop *l);
/*
 * One turn: waits for events until until_us at the latest (TIME_NEVER: no
 * limit; in the past: does not wait), handles them and expired deadlines, and
 * returns. The owner then does its own work and calls again.
 */
void loop_turn(struct loop *l, int64_t until_us);
/* Sends now what connections have posted in this turn (loop_turn does it too,
 * when it begins). */
void loop_send(struct loop *l);
/*
 * From any thread: makes a sleeping loop return from loop_turn. Costs a system
 * call only when the loop sleeps (or is about to): the caller first publishes
 * its work, then calls this.
 */
void loop_wake(struct loop *l);
/* has_work looks into the owner's mailboxes; loop_turn asks it a last time when
 * it is about to sleep and loop_wake already really wakes, so that work which
 * was published before a loop_wake is never slept over. */
void loop_set_idle_check(struct loop *l, bool (*has_work)(void *ctx),
    void *ctx);

/* ---- connections ----------------------------------------------------------------- */

struct conn;

#define NET_READ_MAX 65536 /* bytes that one read gives at most */
struct conn_ops {
	/*
	 * Bytes came. Returns how many were eaten. What is not eaten is kept
	 * (up to in_max), reading stops, and conn_resume offers it again.
	 */
	size_t (*on_data)(void *user, struct conn *c, struct slice data);
	/* Before each read: how many bytes it may give (NET_READ_MAX); 0: none
	 * is made before conn_resume. May be NULL. */
	size_t (*read_max)(void *user);
	/* A connect finished: err 0 or an errno value. */
	void (*on_connect)(void *user, struct conn *c, int err);
	/* A TLS handshake finished; why is "" or the reason. */
	void (*on_tls)(void *user, struct conn *c, bool ok, const char *why);
	/* Everything given to conn_send has been written. Only called when it
	 * had to wait. */
	void (*on_drained)(void *user, struct conn *c);
	/*
	 * The peer ended its half (errno_value 0), after all it sent has been
	 * eaten, or the connection broke. Comes once, not after an on_connect
	 * or on_tls that told a failure; nothing but on_drained and
	 * on_deadline comes after it. Sending may go on after 0.
	 */
	void (*on_gone)(void *user, struct conn *c, int errno_value);
	/* The deadline passed. */
	void (*on_deadline)(void *user, struct conn *c);
};
/* They are called from loop_turn alone, never from inside a conn_ function.
 * conn_close is safe inside any of them. Those that an owner cannot need
 * (on_connect, on_tls, on_drained, on_deadline) may be NULL. */

/* Takes an accepted, non-blocking descriptor over. NULL without memory: then
 * the descriptor is still the caller's. */
struct conn *conn_new(struct loop *l, int fd, const struct conn_ops *ops,
    void *user);
/* Connects from an address (NULL or family 0: any; IP_BIND_ADDRESS_NO_PORT) to
 * one. NULL and *err_no when there is no descriptor or memory, or the source
 * is no address of this host; all else is told by on_connect. */
struct conn *conn_connect(struct loop *l, const struct ip *from,
    const struct endpoint *to, const struct conn_ops *ops, void *user,
    int *err_no);
/* Closes now; unsent bytes are dropped. c must not be used again. */
void conn_close(struct conn *c);
/* The same for the caller, and no callback comes; but what was sent leaves,
 * and the peer gets at most linger_us to end its half too (closing over unread
 * input would reset the connection under our last reply). Takes over what is
 * unsent in the buffer of conn_send, which is empty and free afterwards. */
void conn_close_gently(struct conn *c, int64_t linger_us);
/* Sends b's content, consuming it; what the socket does not take now stays in
 * b and goes out by itself: b must stay where it is until on_drained, on_gone
 * with an error, or close, and may be added to. true when all has been written.
 * May be called while connecting or during a handshake: it goes out behind. A
 * broken connection is told by on_gone, from the loop. */
bool conn_send(struct conn *c, struct buf *b);
/* The same, but at the end of the turn, together with what other connections
 * post: one system call and one wake of a peer for all. on_drained follows. */
bool conn_post(struct conn *c, struct buf *b);
/* In on_data: the owner will send something soon whatever comes. A reset that
 * came with these bytes is found then, so none is looked for now. */
void conn_owes(struct conn *c);
bool conn_is_sending(const struct conn *c);
/* Offers kept bytes again (from the loop, not from inside this call) and goes
 * on reading. Inside on_data it means: offer what I leave next turn. */
void conn_resume(struct conn *c);
/* Absolute, TIME_NEVER for none; late by up to about 10 ms. Cheap to move. */
void conn_set_deadline(struct conn *c, int64_t at_us);
void conn_peer(const struct conn *c, struct endpoint *out);
void conn_local(const struct conn *c, struct endpoint *out);
void *conn_user(const struct conn *c);

/* ---- TLS ---------------------------------------------------------------------------- */

struct tls_ctx;
/* Server context from PEM files; NULL and *why. */
struct tls_ctx *tls_server_new(const char *cert, const char *key, char *why,
    size_t why_cap);
/* Client context: opportunistic, no verification (yet). */
struct tls_ctx *tls_client_new(char *why, size_t why_cap);
/* Connections made with it live on. A tls_ctx may serve several threads. */
void tls_ctx_free(struct tls_ctx *t);
/* Starts a handshake on an open conn; unread bytes in clear are discarded.
 * What conn_send has not yet written leaves in clear text first. Ends in on_tls;
 * the deadline is the caller's. name: SNI, or empty. */
void conn_tls_accept(struct conn *c, struct tls_ctx *t);
void conn_tls_connect(struct conn *c, struct tls_ctx *t, struct slice name);
bool conn_is_tls(const struct conn *c);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", or "". dst NUL-terminated. */
size_t conn_tls_facts(const struct conn *c, char *dst, size_t cap);
/* 32 bytes that only the two ends of this channel can know (RFC 5705); false
 * in clear text. */
bool conn_tls_binding(const struct conn *c, uint8_t out[32]);

/* ---- listeners ------------------------------------------------------------------------ */

/* A bound, listening descriptor, non-blocking, close-on-exec, SO_REUSEADDR
 * (and SO_REUSEPORT when shared); backlog 1024. -1 and *why. */
int net_listen(const struct endpoint *at, bool shared, char *why,
    size_t why_cap);
struct listener;
/* Accepts in bounded batches. When descriptors run out (EMFILE) it pauses for
 * 100 ms and says so once a minute. on_accept owns fd. Takes listen_fd over. */
struct listener *listener_new(struct loop *l, int listen_fd,
    void (*on_accept)(void *user, int fd, const struct endpoint *peer),
    void *user);
void listener_free(struct listener *ln);
/* Can this address be bound as a source here? 0 or an errno value. */
int net_try_bind(const struct ip *ip);

/* ---- DNS (libunbound inside) -------------------------------------------------------------- */

struct dns;

struct dns_conf {
	uint32_t nservers;
	struct endpoint servers[8];
	const char *trust_anchor; /* file, or NULL */
	int64_t timeout_us;
	uint32_t inflight_max;   /* look-ups (domains) at once: 256 */
	uint32_t per_parent_max; /* under one parent domain: 64 */
	uint32_t queue_max;      /* waiting: then DNS_TEMP at once */
	uint64_t cache_bytes;
	bool is_ipv4, is_ipv6;
	uint16_t port; /* port put into the addresses */
};

enum dns_status { DNS_OK, DNS_NXDOMAIN, DNS_NULL_MX, DNS_NO_ADDRESS, DNS_TEMP };

#define DOMAIN_TEXT_MAX 256
#define DNS_HOSTS_MAX 16
#define DNS_ADDRS_MAX 32
struct dns_answer {
	enum dns_status status;
	const char *why; /* for TEMP: "timed out", "SERVFAIL", ... */
	uint32_t ttl_s;
	bool is_secure;
	uint32_t nhosts;
	struct {
		char name[DOMAIN_TEXT_MAX];
		uint16_t pref;
	} hosts[DNS_HOSTS_MAX];
	uint32_t naddrs;
	struct {
		uint8_t host; /* index into hosts */
		struct ip ip;
	} addrs[DNS_ADDRS_MAX];
};

struct dns *dns_new(struct loop *l, const struct dns_conf *conf, char *why,
    size_t why_cap);
/* Pending look-ups are answered DNS_TEMP first. */
void dns_free(struct dns *d);
/*
 * MX of a domain with the addresses of its hosts (RFC 5321 5.1: implicit MX;
 * RFC 7505: null MX). is_host: no MX look-up, addresses of that name only. The
 * answer comes exactly once, never from inside this call, within timeout_us
 * (plus the time in the queue, bounded by it too).
 */
void dns_lookup(struct dns *d, struct slice domain, bool is_host,
    void (*on_answer)(void *user, uint64_t cookie, const struct dns_answer *a),
    void *user, uint64_t cookie);
struct dns_stats {
	uint64_t lookups, answers, temp, nxdomain, cached, inflight, queued,
	    refused;
};
void dns_stats_get(const struct dns *d, struct dns_stats *out);

#endif
