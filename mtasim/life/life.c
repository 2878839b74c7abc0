/*
 * life/life.c - the course of a life: world, mtad, loads; the scenario's time;
 * then all of them end, and the journals are read.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "life/life_i.h"
#include "world/sock.h"

#define READY_US (20 * US_PER_S) /* for a child to listen */
#define STOP_US (10 * US_PER_S)
#define LOOK_US (20 * US_PER_MS)
#define TELL_US (200 * US_PER_MS)
#define FILE_MAX (4u << 20)
#define ARGS_MAX 32

struct course {
	struct life *l;
	struct child world, mtad, loads[SCEN_WORKLOADS_MAX];
	uint16_t in_port, smtp_port;
	char dns[ENDPOINT_TEXT_MAX + 1];
	int64_t begun_us; /* wall clock */
};

static int fail(struct life *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
fail(struct life *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->why, sizeof(l->why), fmt, ap);
	va_end(ap);
	return E_IO;
}

/* ---- what can be lived through ------------------------------------------------- */

bool
life_check(const struct scen *s, struct conf_errors *errs)
{
	const struct yaml_node *root = yaml_root(s->doc);
	uint32_t before = errs->n;

	if (s->until_us == 0 || s->until_us > LIFE_UNTIL_MAX_US)
		yaml_error(s->doc, root, errs,
		    "until, expected a time up to 10m for a calibration");
	if (s->warm)
		yaml_error(s->doc, root, errs,
		    "pool, expected no warming for a calibration");
	for (uint32_t i = 0; i < s->nproviders; i++)
		if (s->providers[i].has_own_mx || s->providers[i].zipf > 0)
			yaml_error(s->doc, root, errs,
			    "provider %.*s, expected mx: shared and no zipf "
			    "for a calibration",
			    SLF(s->providers[i].name));
	for (uint32_t i = 0; i < s->nworkloads; i++) {
		const struct scen_workload *w = &s->workloads[i];

		if (w->arrival == ARRIVAL_POISSON ||
		    w->arrival == ARRIVAL_CLOSED ||
		    w->size.kind != DIST_CONSTANT || w->pool.n || w->tenants ||
		    w->campaign.n)
			yaml_error(s->doc, root, errs,
			    "workload %.*s, expected constant arrivals or a "
			    "campaign, one size, no pool, tenants or campaign "
			    "for a calibration",
			    SLF(w->name));
	}
	return errs->n == before;
}

/* ---- files and ports ----------------------------------------------------------- */

static int
write_file(struct life *l, const char *name, const struct buf *b)
{
	char path[LIFE_PATH_MAX + 64];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", l->dir, name);
	f = fopen(path, "we");
	if (f == NULL || b->failed)
		return fail(l, "cannot write %s: %m", path);
	ok = fwrite(buf_slice(b).p, 1, b->n, f) == b->n;
	if (fclose(f) != 0 || !ok)
		return fail(l, "cannot write %s: %m", path);
	return 0;
}

/* A TCP port on 127.0.0.1 that is free now; mtad is started at once. */
static uint16_t
free_port(void)
{
	struct endpoint at = { .port = 0 };
	struct sockaddr_storage sa;
	socklen_t n;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)ip_parse(SL("127.0.0.1"), &at.ip);
	n = sock_of(&sa, &at);
	if (fd >= 0 &&
	    (bind(fd, (struct sockaddr *)&sa, n) != 0 ||
		sock_bound(fd, &at) != 0))
		at.port = 0;
	if (fd >= 0)
		close(fd);
	return at.port;
}

static bool
listens(uint16_t port)
{
	struct endpoint at = { .port = port };
	struct sockaddr_storage sa;
	socklen_t n;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	(void)ip_parse(SL("127.0.0.1"), &at.ip);
	n = sock_of(&sa, &at);
	ok = fd >= 0 && connect(fd, (struct sockaddr *)&sa, n) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

/* ---- the children -------------------------------------------------------------- */

/* "ready dns=127.0.0.1:4242 port=2526 ..." */
static bool
world_says(struct course *c)
{
	char path[LIFE_PATH_MAX + 64], line[512] = "";
	struct slice word, rest;
	uint64_t port;
	FILE *f;

	snprintf(path, sizeof(path), "%s/world.out", c->l->dir);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	fclose(f);
	rest = slice_str(line);
	if (!slice_has_prefix(rest, SL("ready ")) ||
	    line[strlen(line) - 1] != '\n')
		return false;
	while (rest.p != NULL) {
		word = slice_cut(&rest, ' ');
		if (slice_has_prefix(word, SL("dns=")))
			slice_copy(slice_skip(word, 4), c->dns, sizeof(c->dns));
		if (slice_has_prefix(word, SL("port=")) &&
		    slice_u64(slice_skip(word, 5), UINT16_MAX, &port) == 0)
			c->smtp_port = (uint16_t)port;
	}
	return c->smtp_port != 0 && c->dns[0] != '\0';
}

static bool
mtad_listens(struct course *c)
{
	return listens(c->in_port);
}

static int
wait_for(struct course *c, struct child *child, const char *name,
    bool (*is_ready)(struct course *c))
{
	for (int64_t us = READY_US; us > 0; us -= LOOK_US) {
		if (!child_lives(child))
			return fail(c->l, "%s ended; see %s/%s.out", name,
			    c->l->dir, name);
		if (is_ready(c))
			return 0;
		life_sleep(LOOK_US);
	}
	return fail(c->l, "%s does not listen; see %s/%s.out", name, c->l->dir,
	    name);
}

static int
start_world(struct course *c)
{
	struct life *l = c->l;
	char path[LIFE_PATH_MAX + 64];
	const char *argv[] = { l->mtasim, "world", path, "--journal", l->dir,
		NULL };
	struct buf b;
	int rc;

	buf_init(&b, FILE_MAX);
	life_world(l->s, &b);
	rc = write_file(l, "world.yml", &b);
	buf_free(&b);
	snprintf(path, sizeof(path), "%s/world.yml", l->dir);
	if (rc == 0)
		rc = child_start(&c->world, l->dir, "world", argv);
	return rc ? rc : wait_for(c, &c->world, "world", world_says);
}

static int
start_mtad(struct course *c)
{
	struct life *l = c->l;
	char path[LIFE_PATH_MAX + 64];
	const char *argv[] = { l->mtad, "run", "-c", path, NULL };
	struct buf b;
	int rc = 0;

	c->in_port = free_port();
	buf_init(&b, FILE_MAX);
	if (!life_conf(l, c->in_port, slice_str(c->dns), c->smtp_port, &b))
		rc = fail(l, "cannot read the configuration again");
	else
		rc = write_file(l, "mtad.yml", &b);
	buf_free(&b);
	snprintf(path, sizeof(path), "%s/mtad.yml", l->dir);
	if (rc == 0)
		rc = child_start(&c->mtad, l->dir, "mtad", argv);
	return rc ? rc : wait_for(c, &c->mtad, "mtad", mtad_listens);
}

/* Weights of all domains, so that each provider has its share. A range's own
 * weight is that of the whole range. */
static void
domain_list(const struct scen *s, const struct scen_workload *w, struct buf *b)
{
	const char *sep = "";

	for (uint32_t p = 0; p < s->nproviders; p++) {
		const struct scen_provider *sp = &s->providers[p];
		uint64_t weight = w->up_to[p] - (p ? w->up_to[p - 1] : 0);

		for (uint32_t k = 0; weight && k < sp->nspecs; k++) {
			uint64_t names = sp->specs[k].up_to -
			    (k ? sp->specs[k - 1].up_to : 0);

			(void)buf_addf(b, "%s%.*s=%llu", sep,
			    SLF(sp->specs[k].text),
			    (unsigned long long)
				MAX(weight * 1000 * names / sp->ndomains, 1u));
			sep = ",";
		}
	}
	(void)buf_addc(b, '\0');
}

static int
start_load(struct course *c, uint32_t i)
{
	struct life *l = c->l;
	const struct scen_workload *w = &l->s->workloads[i];
	char target[32], rate[48] = "0", bound[32], size[32], name[32];
	char journal[LIFE_PATH_MAX + 64];
	struct buf domains;
	int rc;

	snprintf(name, sizeof(name), "load%u", i);
	snprintf(journal, sizeof(journal), "%s/%s.journal", l->dir, name);
	snprintf(target, sizeof(target), "127.0.0.1:%u", c->in_port);
	if (w->rate > 0) /* to a thousandth */
		snprintf(rate, sizeof(rate), "%.0f/1000s", w->rate * 1000);
	if (w->arrival == ARRIVAL_CAMPAIGN)
		snprintf(bound, sizeof(bound), "--count=%llu",
		    (unsigned long long)w->count);
	else
		snprintf(bound, sizeof(bound), "--seconds=%lldus",
		    (long long)w->for_us);
	snprintf(size, sizeof(size), "%.0f", w->size.a);
	buf_init(&domains, FILE_MAX);
	domain_list(l->s, w, &domains);
	{
		const char *argv[ARGS_MAX] = { l->mtasim, "load", "--target",
			target, "--rate", rate, bound, "--size", size, "--from",
			"", "--connections", "20", "--domains",
			buf_slice(&domains).p, "--journal", journal };

		rc = child_start(&c->loads[i], l->dir, name, argv);
	}
	buf_free(&domains);
	return rc ? fail(l, "cannot start a load") : 0;
}

/* ---- the course ---------------------------------------------------------------- */

/* Starts the loads in their time; returns when the scenario is over. */
static int
go_on(struct course *c)
{
	struct life *l = c->l;
	bool is_started[SCEN_WORKLOADS_MAX] = { false };
	int64_t at = 0, told = -TELL_US;
	int rc = 0;

	kill(c->world.pid, SIGUSR2);
	c->begun_us = life_clock();
	while (rc == 0 && at < l->s->until_us) {
		for (uint32_t i = 0; i < l->s->nworkloads && rc == 0; i++)
			if (!is_started[i] &&
			    at >= l->s->workloads[i].start_us) {
				is_started[i] = true;
				rc = start_load(c, i);
			}
		if (!child_lives(&c->world) || !child_lives(&c->mtad))
			return fail(l, "%s ended before its time; see %s",
			    c->mtad.pid ? "the world" : "mtad", l->dir);
		if (l->tell && at - told >= TELL_US) {
			told = at;
			if (l->tell(l->ctx, at))
				return fail(l, "given up");
		}
		life_sleep(LOOK_US / 4);
		at = life_clock() - c->begun_us;
	}
	return rc;
}

static void
stop_all(struct course *c)
{
	for (uint32_t i = 0; i < c->l->s->nworkloads; i++)
		child_stop(&c->loads[i], STOP_US);
	child_stop(&c->mtad, STOP_US);
	child_stop(&c->world, STOP_US);
}

static int
read_journals(struct course *c)
{
	struct life *l = c->l;
	char path[LIFE_PATH_MAX + 64];
	struct arrivals a;
	int64_t until = c->begun_us + l->s->until_us;
	int rc = 0;

	arrivals_init(&a);
	for (uint32_t i = 0; i < l->s->nworkloads && rc == 0; i++) {
		if (l->s->workloads[i].start_us >= l->s->until_us)
			continue;
		snprintf(path, sizeof(path), "%s/load%u.journal", l->dir, i);
		rc = life_read_load(l, i, &a, path, until);
	}
	snprintf(path, sizeof(path), "%s/world.journal", l->dir);
	if (rc == 0)
		rc = life_read_world(l, &a, path, until);
	arrivals_free(&a);
	return rc ? fail(l, "%s makes no sense", path) : 0;
}

int
life_run(struct life *l)
{
	struct course c = { .l = l };
	int rc;

	l->sides = mem_get((l->s->nproviders + 1) * sizeof(*l->sides));
	l->demand = mem_get(l->s->nworkloads * sizeof(*l->demand));
	rc = start_world(&c);
	if (rc == 0)
		rc = start_mtad(&c);
	if (rc == 0)
		rc = go_on(&c);
	stop_all(&c);
	return rc ? rc : read_journals(&c);
}

void
life_free(struct life *l)
{
	for (uint32_t i = 0; l->demand && i < l->s->nworkloads; i++)
		mem_free(l->demand[i].v);
	mem_free(l->demand);
	mem_free(l->sides);
}
