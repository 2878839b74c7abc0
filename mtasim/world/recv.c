/*
 * world/recv.c - a receiver: its listeners, its memory of client addresses,
 * its counters.
 */
#include "world/recv_i.h"
#include "world/sock.h"

struct receiver *
recv_new(struct loop *l, struct timers *t, struct journal *j,
    const struct recv_conf *conf)
{
	struct receiver *r = mem_try(sizeof(*r));

	if (r == NULL)
		return NULL;
	r->loop = l;
	r->timers = t;
	r->journal = j;
	r->conf = *conf;
	list_init(&r->sessions);
	dice_seed(&r->dice, conf->seed, conf->name);
	guard_memory_init(&r->memory, conf->seed);
	map_init(&r->source_of, conf->seed, SOURCES_MAX);
	smtp_srv_conf_default(&r->smtp);
	r->smtp.hostname = conf->hostname;
	r->smtp.size_max = conf->behave->size_max;
	r->smtp.rcpts_max = conf->behave->rcpts_max;
	r->smtp.offers_tls = conf->tls != NULL;
	/* A refusal that is asked for is no fault of the client. */
	r->smtp.errors_max = 0;
	return r;
}

struct recv_source *
recv_source(struct receiver *r, const struct ip *ip)
{
	uint64_t key = ip_hash(ip);
	uint32_t at = map_get(&r->source_of, key);
	struct recv_source *grown;

	if (at != 0)
		return &r->sources[at - 1];
	if (r->nsources == SOURCES_MAX)
		return NULL;
	if ((r->nsources & (r->nsources - 1)) == 0) {
		grown = mem_grow(r->sources,
		    MAX(r->nsources * 2, 16u) * sizeof(*grown));
		if (grown == NULL)
			return NULL;
		r->sources = grown;
	}
	if (map_put(&r->source_of, key, r->nsources + 1) != 0)
		return NULL;
	r->sources[r->nsources] = (struct recv_source){ .ip = *ip };
	return &r->sources[r->nsources++];
}

static void
on_accept(void *user, int fd, const struct endpoint *peer)
{
	sess_open(user, fd, peer);
}

int
recv_listen(struct receiver *r, struct endpoint *at, char *why, size_t why_cap)
{
	int fd;

	if (r->nlisteners == RECV_LISTENERS_MAX) {
		snprintf(why, why_cap, "more than %d addresses",
		    RECV_LISTENERS_MAX);
		return E_FULL;
	}
	fd = net_listen(at, false, why, why_cap);
	if (fd < 0)
		return E_IO;
	if (at->port == 0 && sock_bound(fd, at) != 0) {
		snprintf(why, why_cap, "cannot tell which port was taken");
		return E_IO;
	}
	r->listeners[r->nlisteners] = listener_new(r->loop, fd, on_accept, r);
	if (r->listeners[r->nlisteners] == NULL) {
		snprintf(why, why_cap, "out of memory");
		return E_NOMEM;
	}
	r->nlisteners++;
	return 0;
}

void
recv_free(struct receiver *r)
{
	if (r == NULL)
		return;
	for (uint32_t i = 0; i < r->nlisteners; i++)
		listener_free(r->listeners[i]);
	sess_close_all(r);
	map_free(&r->source_of);
	guard_memory_free(&r->memory);
	mem_free(r->sources);
	mem_free(r);
}

const struct recv_counts *
recv_counts(const struct receiver *r)
{
	return &r->n;
}

struct slice
recv_name(const struct receiver *r)
{
	return r->conf.name;
}

void
recv_counts_add(struct recv_counts *into, const struct recv_counts *c)
{
#define X(name) into->name += c->name;
	RECV_COUNTS(X)
#undef X
	into->open += c->open;
	into->open_max += c->open_max;
}

void
recv_counts_print(FILE *to, struct slice name, const struct recv_counts *c)
{
	fprintf(to, "%.*s", SLF(name));
#define X(field) fprintf(to, " " #field "=%llu", (unsigned long long)c->field);
	RECV_COUNTS(X)
#undef X
	fprintf(to, " open=%llu open_max=%llu\n", (unsigned long long)c->open,
	    (unsigned long long)c->open_max);
}
