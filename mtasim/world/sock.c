/*
 * world/sock.c - socket addresses and datagram sockets.
 */
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "world/sock.h"

/* A burst of questions waits here, not in the resolver's time-out. */
#define UDP_BUFFER_BYTES (4 << 20)

socklen_t
sock_of(struct sockaddr_storage *sa, const struct endpoint *at)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;

	memset(sa, 0, sizeof(*sa));
	if (at->ip.family == 6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(at->port);
		memcpy(&in6->sin6_addr, at->ip.b, 16);
		return sizeof(*in6);
	}
	in4->sin_family = AF_INET;
	in4->sin_port = htons(at->port);
	memcpy(&in4->sin_addr, at->ip.b, 4);
	return sizeof(*in4);
}

void
sock_endpoint(const struct sockaddr_storage *sa, struct endpoint *out)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

	*out = (struct endpoint){ .port = 0 };
	if (sa->ss_family == AF_INET) {
		out->ip.family = 4;
		memcpy(out->ip.b, &in4->sin_addr, 4);
		out->port = ntohs(in4->sin_port);
	} else if (sa->ss_family == AF_INET6) {
		out->ip.family = 6;
		memcpy(out->ip.b, &in6->sin6_addr, 16);
		out->port = ntohs(in6->sin6_port);
	}
}

int
sock_bound(int fd, struct endpoint *out)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t n = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &n) != 0)
		return E_IO;
	sock_endpoint(&sa, out);
	return out->ip.family != 0 ? 0 : E_IO;
}

int
sock_udp(const struct endpoint *at, char *why, size_t why_cap)
{
	struct sockaddr_storage sa;
	socklen_t n = sock_of(&sa, at);
	int family = at->ip.family == 6 ? AF_INET6 : AF_INET;
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int bytes = UDP_BUFFER_BYTES;
	char text[ENDPOINT_TEXT_MAX], msg[128];

	if (fd >= 0 && bind(fd, (struct sockaddr *)&sa, n) == 0) {
		/* Less is taken where the system allows no more. */
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
		return fd;
	}
	endpoint_format(text, at);
	snprintf(why, why_cap, "cannot bind UDP %s: %s", text,
	    strerror_r(errno, msg, sizeof(msg)));
	if (fd >= 0)
		close(fd);
	return -1;
}
