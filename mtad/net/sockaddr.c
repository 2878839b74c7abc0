/*
 * net/sockaddr.c - between plain addresses and those of the kernel, and the
 * few socket calls that listener and connection have in common.
 *
 * No state; any thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "net/net_i.h"

socklen_t
sockaddr_of(struct sockaddr_storage *sa, const struct ip *ip, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)sa;

	memset(sa, 0, sizeof(*sa));
	if (ip->family == 6) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		memcpy(&v6->sin6_addr, ip->b, 16);
		return sizeof(*v6);
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	memcpy(&v4->sin_addr, ip->b, 4);
	return sizeof(*v4);
}

void
sockaddr_get(const struct sockaddr_storage *sa, struct endpoint *out)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

	memset(out, 0, sizeof(*out));
	if (sa->ss_family == AF_INET) {
		out->ip.family = 4;
		out->port = ntohs(v4->sin_port);
		memcpy(out->ip.b, &v4->sin_addr, 4);
	} else if (sa->ss_family == AF_INET6) {
		out->port = ntohs(v6->sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
			out->ip.family = 4;
			memcpy(out->ip.b, v6->sin6_addr.s6_addr + 12, 4);
		} else {
			out->ip.family = 6;
			memcpy(out->ip.b, &v6->sin6_addr, 16);
		}
	}
}

int
tcp_socket(const struct ip *ip)
{
	int fd = socket(ip->family == 6 ? AF_INET6 : AF_INET,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

	return fd < 0 ? -errno : fd;
}

int
tcp_bind_source(int fd, const struct ip *ip)
{
	struct sockaddr_storage sa;
	socklen_t n = sockaddr_of(&sa, ip, 0);
	int on = 1;

	/* Without it one pool of ports would serve all destinations. */
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
		sizeof(on)) != 0 ||
	    bind(fd, (struct sockaddr *)&sa, n) != 0)
		return -errno;
	return 0;
}

int
net_try_bind(const struct ip *ip)
{
	int fd = tcp_socket(ip), err;

	if (fd < 0)
		return -fd;
	err = tcp_bind_source(fd, ip);
	close(fd);
	return -err;
}
