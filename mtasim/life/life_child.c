/*
 * life/life_child.c - child processes: started, looked at, ended. They die
 * with their parent, whatever ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "life/life_i.h"

#define LOOK_US (20 * US_PER_MS)
#define KILL_US (5 * US_PER_S) /* for the kernel to end what was killed */

int64_t
life_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

void
life_sleep(int64_t us)
{
	struct timespec ts = { us / US_PER_S, us % US_PER_S * 1000 };

	nanosleep(&ts, NULL);
}

/* In the child. */
static void
become(const char *log, const char *const *argv, pid_t parent)
{
	int in = open("/dev/null", O_RDONLY);
	int out = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || in < 0 || out < 0 || dup2(in, 0) < 0 ||
	    dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	/* A group of its own: ^C is for the parent, which ends it in order. */
	setpgid(0, 0);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	dprintf(2, "%s: %m\n", argv[0]);
	_exit(127);
}

int
child_start(struct child *c, const char *dir, const char *name,
    const char *const *argv)
{
	char log[LIFE_PATH_MAX + 64];
	pid_t parent = getpid();

	snprintf(log, sizeof(log), "%s/%s.out", dir, name);
	c->status = 0;
	c->pid = fork();
	if (c->pid == 0)
		become(log, argv, parent);
	if (c->pid > 0)
		return 0;
	c->pid = 0;
	return E_IO;
}

bool
child_lives(struct child *c)
{
	pid_t got;

	if (c->pid == 0)
		return false;
	do
		got = waitpid(c->pid, &c->status, WNOHANG);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return true;
	c->pid = 0;
	return false;
}

static bool
ends_within(struct child *c, int64_t us)
{
	while (child_lives(c) && us > 0) {
		life_sleep(LOOK_US);
		us -= LOOK_US;
	}
	return c->pid == 0;
}

void
child_stop(struct child *c, int64_t patience_us)
{
	if (!child_lives(c))
		return;
	kill(c->pid, SIGTERM);
	if (ends_within(c, patience_us))
		return;
	kill(c->pid, SIGKILL);
	(void)ends_within(c, KILL_US);
	c->pid = 0;
}
