/*
 * control/socket.c - the Unix socket of the counter: binding it without
 * taking it from a living daemon, and knowing who is at the other end.
 */
#include <errno.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/control_i.h"

#define SOCKET_MODE 0660
#define PW_BYTES_MAX (16 * 1024)

bool
socket_address(struct sockaddr_un *sa, const char *path)
{
	size_t n = strlen(path);

	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (n == 0 || n >= sizeof(sa->sun_path))
		return false;
	memcpy(sa->sun_path, path, n);
	return true;
}

/* Does somebody listen there? */
static bool
is_alive(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive;

	if (fd < 0)
		return false;
	alive = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 ||
	    errno == EAGAIN;
	close(fd);
	return alive;
}

/* Makes way for a bind: 0, or E_BUSY, E_EXISTS with the reason. */
static int
clear_way(const struct sockaddr_un *sa, char *why, size_t why_cap)
{
	struct stat st;

	if (lstat(sa->sun_path, &st) != 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, why_cap, "%s is there and no socket",
		    sa->sun_path);
		return E_EXISTS;
	}
	if (is_alive(sa)) {
		snprintf(why, why_cap, "%s is in use by a running daemon",
		    sa->sun_path);
		return E_BUSY;
	}
	unlink(sa->sun_path);
	return 0;
}

int
socket_bind(const char *path, char *why, size_t why_cap)
{
	struct sockaddr_un sa;
	int fd;

	if (!socket_address(&sa, path)) {
		snprintf(why, why_cap, "%s: a socket's path has 1 to %zu bytes",
		    path, sizeof(sa.sun_path) - 1);
		return -1;
	}
	if (clear_way(&sa, why, why_cap) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Nobody can connect before listen, so the mode is right in time. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    chmod(path, SOCKET_MODE) != 0) {
		snprintf(why, why_cap, "%s: %s", path, strerrordesc_np(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

bool
socket_peer(int fd, uid_t *uid)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0)
		return false;
	*uid = cred.uid;
	return true;
}

void
socket_user_name(uid_t uid, char *name, size_t cap)
{
	struct passwd pw, *found = NULL;
	char *bytes = mem_try(PW_BYTES_MAX);

	if (bytes != NULL &&
	    getpwuid_r(uid, &pw, bytes, PW_BYTES_MAX, &found) == 0 &&
	    found != NULL)
		slice_copy(slice_str(pw.pw_name), name, cap);
	else
		snprintf(name, cap, "%u", (unsigned)uid);
	mem_free(bytes);
}
