/*
 * daemon/watch.c - the service manager's watchdog: WATCHDOG=1 twice in its
 * time, and only when every worker, and with it the core, has turned since it
 * was asked to. Main's thread.
 *
 * The spooler and the clerk are not asked: one waits for the disk and the other
 * for readers, and a restart mends neither.
 */
#include <stdlib.h>
#include <unistd.h>

#include "daemon/daemon_i.h"

#define POLL_US (20 * US_PER_MS)

void
watch_init(struct watch *w, int64_t now_us)
{
	const char *usec = getenv("WATCHDOG_USEC"),
		   *pid = getenv("WATCHDOG_PID");
	uint64_t us = 0, who = 0;

	memset(w, 0, sizeof(*w));
	if (usec == NULL || slice_u64(slice_str(usec), 1u << 31, &us) ||
	    us == 0)
		return;
	if (pid != NULL &&
	    (slice_u64(slice_str(pid), INT32_MAX, &who) ||
		who != (uint64_t)getpid()))
		return;
	w->every_us = MAX((int64_t)us / 2, 1);
	w->next_us = now_us;
}

static void
ask(struct daemon *d)
{
	atomic_fetch_add(&d->asked, 1);
	for (uint32_t i = 0; i < d->nworkers; i++)
		loop_wake(d->worker[i].loop);
}

static bool
all_have_turned(struct daemon *d)
{
	uint64_t asked = atomic_load(&d->asked);

	for (uint32_t i = 0; i < d->nworkers; i++)
		if (atomic_load(&d->worker[i].turned) < asked)
			return false;
	return true;
}

int64_t
watch_turn(struct watch *w, struct daemon *d, int64_t now_us)
{
	if (w->every_us == 0)
		return TIME_NEVER;
	if (w->is_asking && all_have_turned(d)) {
		boot_notify("WATCHDOG=1");
		w->is_asking = false;
		w->next_us += w->every_us;
	}
	if (!w->is_asking && now_us >= w->next_us) {
		w->next_us = now_us;
		w->is_asking = true;
		ask(d);
	}
	return w->is_asking ? POLL_US : w->next_us - now_us;
}
