/*
 * control/control.h - the counter: HTTP/1.1 with JSON over a Unix socket, the
 * server (on its owner's event base) and a small blocking client.
 *
 * The server knows transport, not mail: it bounds, parses and escapes, calls
 * the handler, and sends what the handler answers, then or later.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "base/base.h"

#define CONTROL_BODY_MAX (64u * 1024)
#define CONTROL_PARAMS_MAX 32

struct event_base;
struct control;
struct control_req; /* opaque; lives until answered */

/* Parameters of the query string (or a JSON object's string, number and
 * boolean members of a POST body), decoded, NUL-terminated behind. */
struct control_params {
	uint32_t n;
	struct {
		struct slice key, value;
	} v[CONTROL_PARAMS_MAX];
};
/* The value of a key, or an empty slice with p NULL. */
struct slice control_param(const struct control_params *p, const char *key);

/* Called for every well-formed request; must lead to exactly one
 * control_answer, in this call or later. is_post: GET otherwise. peer_user:
 * the name (or number) of the user at the other end (SO_PEERCRED). */
typedef void control_handler(void *ctx, struct control_req *req, bool is_post,
    struct slice path, const struct control_params *params,
    struct slice peer_user);

/* Binds path (mode 0660; a stale socket file of a dead daemon is replaced, a
 * live one is E_BUSY). NULL and *why. */
struct control *control_new(struct event_base *base, const char *path,
    control_handler *handler, void *ctx, char *why, size_t why_cap);
/* Requests still open are answered 503. The socket file is removed. */
void control_free(struct control *c);
/* content_type: literal. Consumes body. From the base's thread only. */
void control_answer(struct control_req *req, int status,
    const char *content_type, struct buf *body);
/* {"error": "..."} */
void control_error(struct control_req *req, int status, const char *text);

/* ---- client ---------------------------------------------------------------- */

/*
 * One request, blocking for at most timeout_ms in all. Returns the HTTP status
 * (200, ...) with the answer's body in out, or E_CLOSED (nobody listens),
 * E_TIMEOUT, E_PROTO, E_TOOBIG. body empty: GET, else POST with it (JSON).
 */
int control_call(const char *socket_path, const char *path_and_query,
    struct slice body, int timeout_ms, struct buf *out) MUST_CHECK;

/*
 * The same for a program with a loop of its own: wait with poll(2) for what
 * control_ask_fd and control_ask_events name, then step. A step gives E_AGAIN
 * while there is more to wait for, and then what control_call gives. out is
 * the caller's and outlives the ask. NULL and *err when it cannot begin.
 */
struct control_ask;
struct control_ask *control_ask_new(const char *socket_path,
    const char *path_and_query, struct slice body, struct buf *out, int *err);
int control_ask_fd(const struct control_ask *a);
short control_ask_events(const struct control_ask *a);
int control_ask_step(struct control_ask *a) MUST_CHECK;
void control_ask_free(struct control_ask *a);

/* Appends "?key=value", or "&key=value" behind the first, with the value
 * percent-encoded. Fails only as buf does. */
void control_query_add(struct buf *path, const char *key, struct slice value);

#endif
