/*
 * world.c - `mtasim world FILE`: a name server and the receivers of many
 * providers, in one process and on one loop.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include <errno.h>
#include <unistd.h>

#include "mtasim.h"
#include "run.h"
#include "world/names.h"
#include "world/recv.h"
#include "world/worldfile.h"

struct world_cmd {
	/* options */
	struct endpoint dns;
	uint64_t port, seed, ready_fd;
	const char *journal_dir, *dump;
	int64_t seconds_us;
	bool has_port, has_seed, check, progress, quiet;

	struct run run;
	struct world *world;
	struct nameserver *names;
	struct journal journal;
	char journal_path[512];
	struct receiver **recv; /* by provider */
	struct tls_ctx **tls;
	struct part *parts;
	uint32_t naddrs;
	struct recv_counts before;
	int64_t epoch_us; /* the providers' events count from here */
};

/* What a provider's receiver is given to keep. */
struct part {
	const struct world *world;
	const struct provider *provider;
	char dump[512];
};

static int
set_port(void *into, const char *value, char *why, size_t why_cap)
{
	struct world_cmd *c = into;

	snprintf(why, why_cap, "expected a port");
	c->has_port = true;
	return slice_u64(slice_str(value), UINT16_MAX, &c->port);
}

static int
set_seed(void *into, const char *value, char *why, size_t why_cap)
{
	struct world_cmd *c = into;

	snprintf(why, why_cap, "expected a number");
	c->has_seed = true;
	return slice_u64(slice_str(value), UINT64_MAX / 2, &c->seed);
}

#define AT(field) offsetof(struct world_cmd, field)

static const struct opt opts[] = {
	{ "dns", "ADDR:PORT", OPT_ENDPOINT, AT(dns), NULL,
	    "instead of the file's" },
	{ "port", "N", OPT_CALL, 0, set_port,
	    "of all receivers, not the file's; 0 picks one" },
	{ "seed", "N", OPT_CALL, 0, set_seed, "instead of the file's" },
	{ "journal", "DIR", OPT_TEXT, AT(journal_dir), NULL,
	    "a line for each message in DIR/world.journal" },
	{ "dump", "DIR", OPT_TEXT, AT(dump), NULL,
	    "each message as DIR/PROVIDER/N.eml and N.rcpt" },
	{ "seconds", "N", OPT_TIME, AT(seconds_us), NULL, "then stop" },
	{ "ready-fd", "N", OPT_COUNT, AT(ready_fd), NULL,
	    "where to say \"ready\" (1, standard output)" },
	{ "check", NULL, OPT_FLAG, AT(check), NULL,
	    "read the file, say what is wrong, do nothing" },
	{ "progress", NULL, OPT_FLAG, AT(progress), NULL,
	    "a line on stderr each second" },
	{ "quiet", NULL, OPT_FLAG, AT(quiet), NULL, "no counts at the end" },
};

static const struct opt_table table = {
	"world",
	"FILE [OPTION ...]",
	"Runs a name server and receivers as FILE (YAML, see mtasim(1)) says."
	" Says\n\"ready dns=ADDR:PORT port=N ...\" when all sockets listen;"
	" counts at the end and\non SIGUSR1; events count from SIGUSR2;"
	" SIGTERM ends it.",
	opts,
	ARRAY_LEN(opts),
	NULL,
};

static void
counts_sum(const struct world_cmd *c, struct recv_counts *sum)
{
	*sum = (struct recv_counts){ .open = 0 };
	for (uint32_t i = 0; i < c->world->nproviders; i++)
		recv_counts_add(sum, recv_counts(c->recv[i]));
}

static void
print_counts(void *ctx)
{
	struct world_cmd *c = ctx;
	struct recv_counts sum;

	for (uint32_t i = 0; i < c->world->nproviders; i++)
		recv_counts_print(stdout, recv_name(c->recv[i]),
		    recv_counts(c->recv[i]));
	counts_sum(c, &sum);
	recv_counts_print(stdout, SL("total"), &sum);
	names_counts_print(stdout, nameserver_counts(c->names));
	fflush(stdout);
}

static void
each_second(void *ctx)
{
	struct world_cmd *c = ctx;
	struct recv_counts n;

	journal_flush(&c->journal);
	if (!c->progress)
		return;
	counts_sum(c, &n);
	fprintf(stderr, "world: %llu messages, %llu/s, %llu connections\n",
	    (unsigned long long)n.messages,
	    (unsigned long long)(n.messages - c->before.messages),
	    (unsigned long long)n.open);
	c->before = n;
}

/* Whoever feeds the world says when its story begins. */
static void
begin(void *ctx)
{
	struct world_cmd *c = ctx;

	c->epoch_us = loop_now(c->run.loop);
}

static bool
takes_domain(void *ctx, struct slice domain)
{
	const struct part *t = ctx;

	return world_provider(t->world, domain) == t->provider;
}

static int
listen_all(struct world_cmd *c, const struct provider *p, struct receiver *r)
{
	char why[256] = "";

	for (uint32_t i = 0; i < p->naddrs; i++) {
		struct endpoint at = { p->addrs[i], c->world->port };

		if (recv_listen(r, &at, why, sizeof(why)) != 0)
			return opt_fail(&table, "%.*s: %s", SLF(p->name), why);
		/* Port 0: what the first one got is everybody's. */
		c->world->port = at.port;
		c->naddrs++;
	}
	return -1;
}

/* DIR/PROVIDER, made where it is not there; NULL without --dump. */
static const char *
dump_dir(const struct world_cmd *c, struct part *t)
{
	if (c->dump == NULL)
		return NULL;
	if (mkdir(c->dump, 0755) != 0 && errno != EEXIST)
		perror(c->dump);
	snprintf(t->dump, sizeof(t->dump), "%s/%.*s", c->dump,
	    SLF(t->provider->name));
	if (mkdir(t->dump, 0755) != 0 && errno != EEXIST)
		perror(t->dump);
	return t->dump;
}

static int
start_provider(struct world_cmd *c, uint32_t i)
{
	const struct provider *p = &c->world->providers[i];
	char why[256] = "";
	struct recv_conf conf = {
		.name = p->name,
		.hostname = p->hostname,
		.behave = &p->behave,
		.seed = c->world->seed,
		.takes = takes_domain,
		.takes_ctx = &c->parts[i],
		.epoch_us = &c->epoch_us,
	};

	c->parts[i].world = c->world;
	c->parts[i].provider = p;
	conf.dump_dir = dump_dir(c, &c->parts[i]);
	if (p->cert.n > 0) {
		conf.tls =
		    tls_server_new(p->cert.p, p->key.p, why, sizeof(why));
		if (conf.tls == NULL)
			return opt_fail(&table, "%.*s: %s", SLF(p->name), why);
		c->tls[i] = conf.tls;
	}
	c->recv[i] = recv_new(c->run.loop, &c->run.timers, &c->journal, &conf);
	if (c->recv[i] == NULL)
		return opt_fail(&table, "out of memory");
	return listen_all(c, p, c->recv[i]);
}

static int
open_journal(struct world_cmd *c)
{
	const char *path = NULL;

	if (c->journal_dir != NULL) {
		if (mkdir(c->journal_dir, 0755) != 0 && errno != EEXIST)
			return opt_fail(&table, "cannot make %s",
			    c->journal_dir);
		snprintf(c->journal_path, sizeof(c->journal_path),
		    "%s/world.journal", c->journal_dir);
		path = c->journal_path;
	}
	if (journal_open(&c->journal, path, "sink") != 0)
		return opt_fail(&table, "cannot write %s", path);
	return -1;
}

static int
world_start(struct world_cmd *c)
{
	struct world *w = c->world;
	char why[256] = "", text[ENDPOINT_TEXT_MAX + 80];
	size_t n;
	int rc = open_journal(c);

	if (rc >= 0)
		return rc;
	c->recv = mem_get((w->nproviders + 1) * sizeof(struct receiver *));
	c->tls = mem_get((w->nproviders + 1) * sizeof(struct tls_ctx *));
	c->parts = mem_get((w->nproviders + 1) * sizeof(*c->parts));
	c->names = nameserver_new(c->run.loop, &c->run.timers, w->zone, &w->dns,
	    why, sizeof(why));
	if (c->names == NULL)
		return opt_fail(&table, "%s", why);
	for (uint32_t i = 0; i < w->nproviders; i++) {
		rc = start_provider(c, i);
		if (rc >= 0)
			return rc;
	}
	memcpy(text, "dns=", 4);
	n = 4 + endpoint_format(text + 4, &w->dns);
	snprintf(text + n, sizeof(text) - n,
	    " port=%u providers=%u addresses=%u", w->port, w->nproviders,
	    c->naddrs);
	run_ready((int)c->ready_fd, text);
	return -1;
}

static void
world_stop(struct world_cmd *c)
{
	for (uint32_t i = 0; i < c->world->nproviders; i++) {
		recv_free(c->recv[i]);
		tls_ctx_free(c->tls[i]);
	}
	nameserver_free(c->names);
	mem_free(c->recv);
	mem_free(c->tls);
	mem_free(c->parts);
}

static int
world_run(struct world_cmd *c)
{
	int rc;

	run_init(&c->run, c);
	c->run.on_second = each_second;
	c->run.on_counts = print_counts;
	c->run.on_begin = begin;
	begin(c);
	rc = world_start(c);
	if (rc >= 0)
		return rc;
	run_limit(&c->run, c->seconds_us);
	run_go(&c->run);
	if (!c->quiet)
		print_counts(c);
	world_stop(c);
	run_free(&c->run);
	if (journal_close(&c->journal) != 0)
		return opt_fail(&table, "%s is incomplete", c->journal_path);
	return SIM_PASS;
}

int
cmd_world(int argc, char **argv)
{
	static struct world_cmd c;
	struct conf_errors errs = { .report = world_report };
	char **operands;
	int noperands, rc;

	c.ready_fd = STDOUT_FILENO;
	c.journal.fd = -1;
	rc = opt_parse(&table, argc, argv, &c, &operands, &noperands);
	if (rc >= 0)
		return rc;
	if (noperands != 1)
		return opt_fail(&table, "a FILE is needed");
	c.world = world_load(operands[0], &errs);
	if (c.world == NULL)
		return SIM_USAGE;
	if (c.dns.ip.family != 0)
		c.world->dns = c.dns;
	if (c.has_port)
		c.world->port = (uint16_t)c.port;
	if (c.has_seed)
		c.world->seed = c.seed;
	rc = c.check ? SIM_PASS : world_run(&c);
	world_free(c.world);
	return rc;
}
