/*
 * daemon/guests.c - who is connected: connections by door and by client, for
 * the limits on them.
 *
 * Every worker that takes mail accepts at every door, so the counts are shared:
 * kept by worker, a limit of 500 would be one of 500 for each. They are behind
 * a lock, and the only thing in the daemon's path of mail that is. It is taken
 * once when a connection comes and once when it goes, held for a look at a
 * table, and never while another lock is held; nothing waits under it. A ledger
 * of credits by worker would need a message between workers for each stranger
 * instead.
 */
#include "daemon/daemon_i.h"

#define CLIENTS_MAX (1u << 20)

void
guests_init(struct guests *g)
{
	pthread_mutex_init(&g->lock, NULL);
	map_init(&g->by_client, (uint64_t)clock_wall_us(), CLIENTS_MAX);
}

void
guests_free(struct guests *g)
{
	map_free(&g->by_client);
	pthread_mutex_destroy(&g->lock);
}

static const char *
enter(struct guests *g, uint32_t door, uint64_t client,
    const struct conf_listen *limits)
{
	uint32_t n = map_get(&g->by_client, client);

	if (g->by_door[door] >= limits->connections_max)
		return "421 4.3.2 Too many connections\r\n";
	if (n >= limits->connections_per_client_max)
		return "421 4.7.0 Too many connections from you\r\n";
	if (map_put(&g->by_client, client, n + 1))
		return "421 4.3.2 Busy, try again later\r\n";
	g->by_door[door]++;
	return NULL;
}

const char *
guests_enter(struct guests *g, uint32_t door, uint64_t client,
    const struct conf_listen *limits)
{
	const char *refusal;

	pthread_mutex_lock(&g->lock);
	refusal = enter(g, door, client, limits);
	pthread_mutex_unlock(&g->lock);
	return refusal;
}

void
guests_leave(struct guests *g, uint32_t door, uint64_t client)
{
	uint32_t n;

	pthread_mutex_lock(&g->lock);
	n = map_get(&g->by_client, client);
	ASSERT(n > 0 && g->by_door[door] > 0);
	g->by_door[door]--;
	if (n == 1)
		map_del(&g->by_client, client);
	else if (map_put(&g->by_client, client, n - 1))
		ASSERT(!"a key that is there needs no memory");
	pthread_mutex_unlock(&g->lock);
}
