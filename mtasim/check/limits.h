/*
 * check/limits.h - no limit is exceeded in any window: connections, messages
 * and recipients of a connection, and the rate of a path (source x site). And
 * TLS is given up where it fails, for a while, and nowhere else.
 *
 * rate N/P with burst B admits at most B + N*W/P transactions in any window W,
 * whatever starts and reloads there are in it; a transaction that was never sent
 * is given back.
 */
#ifndef CHECK_LIMITS_H
#define CHECK_LIMITS_H

#include "check/check.h"
#include "engine/engine.h"

struct limits;

struct limits *lim_new(struct story *story, struct marks *marks);
void lim_free(struct limits *l);
/* A session is opened: numbers of source and site; of what is one site for the
 * daemon, which may be a domain alone; the loosest shape that may hold for the
 * path. */
void lim_opened(struct limits *l, struct handle session, uint32_t source,
    uint32_t site, uint32_t place, const struct eng_shape *shape);
void lim_assigned(struct limits *l, struct handle session, uint32_t nrcpt,
    const struct eng_shape *shape, int64_t now_us);
/* A transaction came back; was it never sent? After the session was closed it
 * is nobody's. */
void lim_result(struct limits *l, struct handle session, bool is_unsent,
    const struct eng_shape *shape);
/* What it had not given back was not sent. */
void lim_closed(struct limits *l, struct handle session);
bool lim_is_open(const struct limits *l, struct handle session);
/* How long a host's TLS is not tried again. */
struct lim_pause {
	int64_t min_us, max_us;
};
/* A session opens to that host of its site, with TLS if it is offered or not.
 * must: whoever remembers a failed handshake there cannot have forgotten it. */
void lim_tls_open(struct limits *l, struct handle session, uint32_t host,
    bool is_clear, bool must, const struct lim_pause *pause, int64_t now_us);
/* Its handshake is over. */
void lim_tls_told(struct limits *l, struct handle session, bool ok,
    int64_t now_us);
/* All sessions are gone; what they had not reported may have been sent. What
 * the rates are owed they are owed still. */
void lim_crash(struct limits *l);
uint32_t lim_site(struct limits *l, struct handle session);
uint32_t lim_source(struct limits *l, struct handle session);
uint32_t lim_sessions(const struct limits *l);

#endif
