/*
 * control/control_i.h - private to the room: the parameters of a request,
 * from hostile bytes to texts that a handler may read; and the socket.
 */
#ifndef CONTROL_CONTROL_I_H
#define CONTROL_CONTROL_I_H

#include <sys/types.h>

#include "control/control.h"

/* Parameters and the memory that their texts live in. */
struct args {
	struct control_params params;
	struct arena arena;
};

void args_init(struct args *a);
void args_free(struct args *a);
/*
 * Add what a query string ("a=1&b=x%20y") or a JSON object says. 0, or
 * E_SYNTAX, E_EXISTS, E_FULL, E_NOMEM with *why: words for the sender, which
 * are literals.
 */
int args_add_query(struct args *a, struct slice query,
    const char **why) MUST_CHECK;
int args_add_json(struct args *a, struct slice body,
    const char **why) MUST_CHECK;

struct sockaddr_un;
/* false: the path does not fit. */
bool socket_address(struct sockaddr_un *sa, const char *path);
/* A bound descriptor that does not listen yet, or -1 with why. */
int socket_bind(const char *path, char *why, size_t why_cap);
/* Who connected. */
bool socket_peer(int fd, uid_t *uid);
/* The user's name, or the number when there is none. */
void socket_user_name(uid_t uid, char *name, size_t cap);

#endif
