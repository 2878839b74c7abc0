/*
 * world/sock.h - the few socket calls that the net room has no use for:
 * datagrams, and which port a descriptor got.
 */
#ifndef WORLD_SOCK_H
#define WORLD_SOCK_H

#include <sys/socket.h>

#include "base/base.h"

socklen_t sock_of(struct sockaddr_storage *sa, const struct endpoint *at);
/* family 0 when it is neither IPv4 nor IPv6. */
void sock_endpoint(const struct sockaddr_storage *sa, struct endpoint *out);
/* The address and port that fd is bound to. 0 or E_IO. */
int sock_bound(int fd, struct endpoint *out) MUST_CHECK;
/* A bound, non-blocking UDP socket; -1 and why. */
int sock_udp(const struct endpoint *at, char *why, size_t why_cap);

#endif
