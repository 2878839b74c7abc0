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
/* The same to a socket of the file system; a path too long for one is cut. */
struct conn *conn_connect_path(struct loop *l, const char *path,
    const struct conn_ops *ops, void *user, int *err_no);
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
/* Ends our half, nothing being unsent; reading goes on. */
void conn_shut(struct conn *c);
/* An open one with nothing unsent gets another owner, and no deadline. Inside
 * on_data the new owner is offered what that leaves (conn_resume). */
void conn_give(struct conn *c, const struct conn_ops *ops, void *user);
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
/* Clients must show a certificate that a CA of that file has signed. 0, or E_*
 * and *why. */
int tls_server_ask(struct tls_ctx *t, const char *ca, char *why,
    size_t why_cap) MUST_CHECK;
/*
 * Client context; what a connection asks for is told when it begins. One that
 * keeps sessions belongs to one thread; any other tls_ctx may serve several.
 */
struct tls_client_conf {
	const char *ca;         /* file of trusted CAs; NULL: the system's */
	const char *cert, *key; /* to be shown when asked for; NULL: none */
	uint32_t sessions_max;  /* kept to be resumed; 0: none */
	int64_t session_us;     /* and so long at most */
};
/* conf may be NULL: no files, no sessions. */
struct tls_ctx *tls_client_new(const struct tls_client_conf *conf, char *why,
    size_t why_cap);
/* Does OpenSSL know some of these ciphers? */
bool tls_ciphers_known(const char *list);
/* Connections made with it live on. */
void tls_ctx_free(struct tls_ctx *t);
/* Starts a handshake on an open conn; unread bytes in clear are discarded.
 * What conn_send has not yet written leaves in clear text first. Ends in on_tls;
 * the deadline is the caller's. name: SNI, or empty. */
void conn_tls_accept(struct conn *c, struct tls_ctx *t);
void conn_tls_connect(struct conn *c, struct tls_ctx *t, struct slice name);
/* TLSA records (RFC 6698 2.1), as many as fit. */
#define TLSA_MAX 24
#define TLSA_BYTES_MAX 6144
struct tlsa_set {
	uint32_t n;
	struct {
		uint8_t usage, selector, matching;
		uint16_t at, bytes; /* in data */
	} rec[TLSA_MAX];
	uint16_t used;
	uint8_t data[TLSA_BYTES_MAX];
};
/* May the record be used for SMTP, RFC 7672 3.1? */
bool tlsa_is_usable(uint8_t usage, uint8_t selector, uint8_t matching,
    size_t bytes);

enum tls_check {
	TLS_CHECK_NONE,
	TLS_CHECK_LOOK, /* as PKIX, but a bad certificate is no failure */
	TLS_CHECK_PKIX, /* a trusted CA, and one of the names (RFC 6125) */
	TLS_CHECK_DANE, /* RFC 7672: usages 2 and 3, the others are dropped */
};
#define TLS_NAMES_MAX 3
struct tls_want {
	enum tls_check check;
	struct slice sni; /* an address is not sent */
	uint32_t nnames;  /* DANE: the TLSA base domain is the first */
	struct slice names[TLS_NAMES_MAX];
	uint8_t min;                 /* 1 + n: TLS 1.n; 0: as OpenSSL says */
	struct slice ciphers;        /* up to TLS 1.2; empty: OpenSSL's */
	const struct tlsa_set *tlsa; /* needed during the call only */
	uint64_t key; /* who is asked, and all that is asked for: what has the
		       * same key may resume a session; 0: none is */
};
/* The same by a policy. What is not as it asks ends in on_tls too, with a
 * reason; so does a TLSA set without a usable record. */
void conn_tls_connect_as(struct conn *c, struct tls_ctx *t,
    const struct tls_want *want);
/* What was found of the peer's certificate: "" (nobody looked), "dane-ee",
 * "dane-ta", "pkix", or what is wrong with it (TLS_CHECK_LOOK). */
const char *conn_tls_auth(const struct conn *c, bool *is_good);
bool conn_tls_is_resumed(const struct conn *c);
bool conn_is_tls(const struct conn *c);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", or "". dst NUL-terminated. */
size_t conn_tls_facts(const struct conn *c, char *dst, size_t cap);
/* 32 bytes that only the two ends of this channel can know (RFC 5705); false
 * in clear text. */
bool conn_tls_binding(const struct conn *c, uint8_t out[32]);

/* ---- proxies (hop.c, bridge.c) ------------------------------------------------------------ */

/* What comes on one connection leaves by the other, in both directions, each
 * half ending by itself. Both must be open; they belong to it. A side that does
 * not take what it is given stops the reading of the other. */
struct bridge;
struct bridge_result {
	uint64_t bytes[2]; /* that came on the first, on the second */
	const char *why;   /* "closed", or what broke it */
};
struct bridge_conf {
	int64_t idle_us;   /* nothing moves for so long; TIME_NEVER */
	int64_t linger_us; /* the same once a side has ended */
	/* It is over, and gone behind this call; may be NULL. */
	void (*on_end)(void *user, const struct bridge_result *r);
	void *user;
};
/* NULL without memory: then they are still the caller's. */
struct bridge *bridge_new(struct loop *l, struct conn *a, struct conn *b,
    const struct bridge_conf *conf);
/* Ends it at once, without on_end. */
void bridge_close(struct bridge *b);

/* A connection through a proxy, up to the point where the host's own bytes
 * come. */
enum hop_end {
	HOP_UP,      /* the host is reached: the caller's is a connection */
	HOP_AWAY,    /* the proxy failed: nothing is known of the host */
	HOP_ASTRAY,  /* it works, but not for that user or source */
	HOP_DENIED,  /* the proxy would not, or did not say why it could not */
	HOP_REFUSED, /* the host cannot be reached from there */
	HOP_SILENT   /* the proxy, or the host, did not answer in time */
};
struct hop_want {
	struct endpoint proxy, to;
	bool is_haproxy;
	bool is_look; /* up to the login, no further: HOP_UP without a conn */
	struct tls_ctx *tls;         /* or NULL */
	struct slice tls_name;       /* in the proxy's certificate */
	struct slice user, password; /* empty: no login */
	struct ip source;
	bool checks_source; /* the proxy must say that it used that */
	int64_t timeout_us; /* up to the login */
	int64_t connect_us; /* and then, to the host */
};
struct hop;
/* on_end comes once, never from inside this call; the hop is gone behind it,
 * and c (HOP_UP alone) is to be taken over by conn_give in it. NULL and why:
 * no connection to the proxy can even be tried. What want points to is needed
 * during the call only, tls apart, which is used up to the handshake. */
struct hop *hop_open(struct loop *l, const struct hop_want *want,
    void (
	*on_end)(void *user, enum hop_end end, struct conn *c, const char *why),
    void *user, char *why, size_t why_cap);
/* Gives it up, without on_end. */
void hop_close(struct hop *h);

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

/* ---- HTTPS, as a client (libcurl inside) --------------------------------------------------- */

/* Fetches short texts from strangers, on the loop. */
struct https;
/* NULL without memory. */
struct https *https_new(struct loop *l);
/* Fetches under way are answered first. */
void https_free(struct https *h);
struct https_reply {
	const char *why; /* NULL: the server answered */
	long status;
	const char *type; /* Content-Type, "" for none */
	struct slice body;
};
/*
 * GET https://host:port/path from that address: the certificate must be good
 * for the name, nothing is redirected, no more than body_max bytes are read,
 * and all of it takes at most timeout_us. The answer comes once, never from
 * inside this call; what it says is good during the call.
 */
struct https_ask {
	const char *host, *path; /* of names and printable ASCII */
	const char *ca;          /* file of trusted CAs; NULL: the system's */
	uint16_t port;
	struct ip ip;
	int64_t timeout_us;
	size_t body_max;
	/* Of https_post: a copy is made. */
	const char *post_type;
	struct slice post;
};
void https_get(struct https *h, const struct https_ask *ask,
    void (*on_reply)(void *user, const struct https_reply *r), void *user);
/* The same by POST. */
void https_post(struct https *h, const struct https_ask *ask,
    void (*on_reply)(void *user, const struct https_reply *r), void *user);

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
	uint32_t queries_per_second_max; /* to all servers; 0 = no limit */
	int64_t stale_us; /* an answer that has expired serves on; 0 = none */
	bool is_ipv4, is_ipv6;
	uint16_t port; /* port put into the addresses */
};

enum dns_status { DNS_OK, DNS_NXDOMAIN, DNS_NULL_MX, DNS_NO_ADDRESS, DNS_TEMP };

#define DOMAIN_TEXT_MAX 256
/* A domain as DNS has it: UTF-8 becomes A-labels. false: it is no domain. */
bool domain_to_ascii(struct slice domain, char dst[DOMAIN_TEXT_MAX]);
#define DNS_HOSTS_MAX 16
#define DNS_ADDRS_MAX 32
struct dns_answer {
	enum dns_status status;
	const char *why; /* for TEMP: "timed out", "SERVFAIL", ... */
	uint32_t ttl_s;
	/* Validated: the MX records, or that there are none. With is_host, as
	 * the host's. */
	bool is_secure;
	uint32_t nhosts;
	struct {
		char name[DOMAIN_TEXT_MAX];
		uint16_t pref;
		bool is_secure; /* all that was said of its addresses */
	} hosts[DNS_HOSTS_MAX];
	/* With is_host: the name that has the addresses, behind all CNAMEs. */
	char canonical[DOMAIN_TEXT_MAX];
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
/* All look-ups that wait or run are from's no more, and begin anew in to, with
 * its time; so are the counts of from. Both are of one loop. */
void dns_move(struct dns *from, struct dns *to);
/*
 * MX of a domain with the addresses of its hosts (RFC 5321 5.1: implicit MX;
 * RFC 7505: null MX). is_host: no MX look-up, addresses of that name only. The
 * answer comes exactly once, never from inside this call, within timeout_us
 * (plus the time in the queue, bounded by it too).
 */
void dns_lookup(struct dns *d, struct slice domain, bool is_host,
    void (*on_answer)(void *user, uint64_t cookie, const struct dns_answer *a),
    void *user, uint64_t cookie);
/* Records of one name, of a type that is neither. Status NO_ADDRESS: there are
 * none; is_secure of the answer, be it yes or no. */
struct dns_records {
	enum dns_status status;
	const char *why;
	uint32_t ttl_s;
	bool is_secure;
	struct tlsa_set tlsa;
	size_t txt_n;
	char txt[4096]; /* a line each */
};
enum dns_ask { DNS_ASK_TLSA, DNS_ASK_TXT };
void dns_records(struct dns *d, struct slice name, enum dns_ask what,
    void (
	*on_records)(void *user, uint64_t cookie, const struct dns_records *r),
    void *user, uint64_t cookie);

/*
 * What DANE says of a mail host whose name may be trusted: it is out of a secure
 * MX record, or of our own configuration. RFC 7672 2.2: the addresses come
 * first, for where they are insecure TLSA records are not even asked for; then
 * the records of the name behind all CNAMEs, and those of the name itself. An
 * insecure CNAME that leads on from a secure zone counts as no DANE.
 */
enum dane_status {
	DANE_NONE,     /* insecure, or there are no records */
	DANE_USABLE,   /* authenticate by set, for base */
	DANE_UNUSABLE, /* TLS is a must, but nothing to authenticate by */
	DANE_FAILED,   /* not known, and nobody may go there: why */
};
struct dane_answer {
	enum dane_status status;
	const char *why;
	uint32_t ttl_s;
	char base[DOMAIN_TEXT_MAX]; /* TLSA base domain */
	struct tlsa_set set;
};
/* The answer comes once, never from inside this call. */
void dane_lookup(struct dns *d, struct slice host, uint16_t port,
    void (*on_answer)(void *user, uint64_t cookie, const struct dane_answer *a),
    void *user, uint64_t cookie);
struct dns_stats {
	uint64_t lookups, answers, temp, nxdomain, cached, inflight, queued,
	    refused;
};
void dns_stats_get(const struct dns *d, struct dns_stats *out);
/* For tools: asks the servers of conf for the TXT records of a name and waits,
 * 20 s at most. Appends each record as one text with a NUL behind. 0, or
 * E_NOTFOUND, E_CORRUPT (DNSSEC), E_AGAIN, E_TIMEOUT, E_IO, E_NOMEM and *why. */
int dns_txt(const struct dns_conf *conf, const char *name, struct buf *out,
    const char **why) MUST_CHECK;

#endif
