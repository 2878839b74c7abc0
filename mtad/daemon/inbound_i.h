/*
 * daemon/inbound_i.h - what the parts of a worker's inbound side share.
 *
 * inbound.c has doors, SMTP sessions and the way of a parcel; inbound_http.c has
 * sessions that speak HTTP. Such a session's messages go through lanes
 * (relay/inject.h): each an in_session of its own without a connection, which is
 * its lead's. A lane whose lead has gone lives until its commit is answered.
 */
#ifndef DAEMON_INBOUND_I_H
#define DAEMON_INBOUND_I_H

#include "daemon/daemon_i.h"

#define LINGER_US (2 * US_PER_S)

struct door {
	struct worker *w;
	uint32_t at;     /* in conf.listen */
	uint32_t number; /* among the doors, the same in every worker */
	struct listener *listener;
	struct tls_ctx *tls;
	struct endpoint bind;
};

struct in_session {
	struct intake intake;
	struct inject *http;     /* it speaks HTTP: no intake of its own */
	struct in_session *lead; /* of a lane; NULL: it has gone */
	bool is_lane;
	struct worker *w;
	struct door *door;
	struct conn *conn;
	struct handle self;
	struct list link;
	struct list waits; /* in worker.unread, or in none */
	uint64_t client_key;
	uint32_t uid;      /* at the local door */
	char tls[96];      /* facts, for lanes */
	struct buf header; /* of a proxy, as far as it has come */
	bool is_begun;     /* it is known who is there: the intake lives */
	bool is_committing, is_dead;
	bool is_shaking; /* TLS from the first byte on, not yet up */
	bool is_last;    /* the client has shut its side behind a message */
};

extern const struct intake_ops inbound_intake_ops;
/* Frees a session once nobody needs it. */
void inbound_session_end(struct in_session *s);

/* ---- inbound_http.c ----------------------------------------------------------- */

/* Begins a session whose client is known; false: no memory. */
bool http_begin(struct in_session *s, const struct endpoint *peer);
size_t http_data(struct in_session *s, struct slice data);
size_t http_read_max(struct in_session *s, size_t n);
/* Sends what there is to send, and closes if it is to be. */
void http_flush(struct in_session *s);
/* All of that has left: what was held back is read. */
void http_drained(struct in_session *s);
/* Is an answer owed to a client that has shut its side? */
bool http_owes(const struct in_session *s);
void http_timeout(struct in_session *s);
/* No further request. */
void http_stop(struct in_session *s);
/* Its spill has got on, or there is room for more. */
void http_go_on(struct in_session *s);
/* A lane's commit or spill has got on: tells its lead, if it has one. The lane may
 * be gone afterwards. */
void http_lane_heard(struct in_session *lane);
/* The end of a session: its conversation and lanes. */
void http_end(struct in_session *s);

#endif
