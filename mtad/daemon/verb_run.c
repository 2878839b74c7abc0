/*
 * daemon/verb_run.c - `mtad run`: the life of the daemon, from configuration
 * to the last sync, and what signals do.
 *
 *	SIGTERM, SIGINT	 421 to new mail, transactions under way get
 *			 stop_timeout, the rest stays spooled; again: at once
 *	SIGHUP		 read the configuration again, reopen the event log
 */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/daemon_i.h"
#include "daemon/keys.h"
#include "daemon/rules.h"
#include "daemon/verbs.h"

enum { OPT_RECORD = 256, OPT_RECORD_SIZE, OPT_RECORD_FILES };
#define RECORD_SIZE_MIN (UINT64_C(6) << 20)
#define RECORD_FILES_MAX 10000u

static const char usage[] =
    "usage: mtad run [-c FILE] [-v] [--record DIR [--record-size SIZE]\n"
    "                [--record-files N]]\n"
    "\n"
    "Runs the daemon in the foreground until SIGTERM. SIGHUP reads the\n"
    "configuration again. Log lines go to standard error.\n"
    "\n"
    "  -c FILE   configuration (default /etc/mtad/mtad.yml)\n"
    "  -v        log more\n"
    "  --record DIR         keep the engine's last steps there, for\n"
    "                       mtasim replay --engine DIR\n"
    "  --record-size SIZE   in files of so many bytes together (512M)\n"
    "  --record-files N     at most so many files (8)\n"
    "\n"
    "exit status: 0 stopped in order, 1 could not start, 2 wrong usage\n";

static void
on_assert(const char *cond, const char *file, int line, const char *func)
{
	log_msg(LOG_ERROR, "bug", "%s:%d: %s: ASSERT(%s) failed", file, line,
	    func, cond);
}

/* Which roles the workers take, by the number of processors. */
static void
plan_workers(struct daemon *d, const struct conf *c)
{
	uint32_t n = c->workers;
	cpu_set_t set;

	if (n == 0) {
		CPU_ZERO(&set);
		n = sched_getaffinity(0, sizeof(set), &set) ?
		    2 :
		    (uint32_t)CPU_COUNT(&set);
	}
	n = MIN(MAX(n, 1u), WORKERS_MAX - 1);
	d->nworkers = n <= 3 ? 2 : n;
	for (uint32_t i = 0; i < d->nworkers; i++)
		d->worker[i].roles = n <= 3 ?
		    (i == 0 ? ROLE_IN : ROLE_OUT | ROLE_CORE) :
		    (i + 1 < n ? ROLE_IN | ROLE_OUT : ROLE_CORE);
	d->core_worker = &d->worker[d->nworkers - 1];
}

/* Binds every listener, for every worker that takes mail. */
static int
bind_doors(struct daemon *d, const struct conf *c)
{
	uint32_t nin = 0;
	char why[256];
	int err = 0;

	for (uint32_t i = 0; i < d->nworkers; i++)
		nin += (d->worker[i].roles & ROLE_IN) != 0;
	for (uint32_t i = 0; i < d->nworkers; i++) {
		if (!(d->worker[i].roles & ROLE_IN))
			continue;
		for (uint32_t k = 0; k < c->nlisten; k++) {
			d->listen_fd[i][k] = net_listen(&c->listen[k].bind,
			    nin > 1, why, sizeof(why));
			if (d->listen_fd[i][k] >= 0)
				continue;
			log_event(LOG_ERROR, "boot", "what", why, "listener",
			    c->listen[k].name.p, NULL);
			err = E_IO;
		}
	}
	return err;
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;

	if (w->roles & ROLE_IN)
		inbound_open(w);
	worker_run(w);
	return NULL;
}

/* A woken thread does not preempt its waker, so that batches grow; no rights
 * are needed for it. */
static void
prefer_batches(void)
{
	struct sched_param p = { 0 };

	if (sched_setscheduler(0, SCHED_BATCH, &p))
		log_msg(LOG_DEBUG, "boot", "SCHED_BATCH: errno %d", errno);
}

/* As the user who is to read them at a reload, too. */
static int
boot_keys(struct daemon *d)
{
	signers_init(&d->signers, d);
	porter_init(&d->porter);
	d->keys = keys_boot(d->conf);
	return d->keys ? 0 : E_DENIED;
}

static int
start(struct daemon *d, const struct recorder_conf *record)
{
	const struct conf *c = d->conf;
	int err;

	plan_workers(d, c);
	guests_init(&d->guests);
	allowances_init(&d->allowances);
	rates_init(&d->rates);
	if (boot_limits(c) || boot_directories(c) || boot_sources(c) ||
	    bind_doors(d, c) || drain_bind(d, c) || clerk_open(&d->clerk, d) ||
	    pickup_boot(c) || boot_become_user(c) || boot_tls(c) ||
	    boot_keys(d))
		return E_IO;
	prctl(PR_SET_DUMPABLE, 1);
	atomic_store(&d->gate.rcpts_free, (int64_t)c->rcpts_max);
	atomic_store(&d->gate.backs_free, BACKS_MAX);
	atomic_store(&d->gate.staging_free, (int64_t)c->staging_bytes);
	if ((err = spooler_open(&d->spooler, d)))
		return err;
	for (uint32_t i = 0; i < d->nworkers; i++)
		if ((err = worker_start(&d->worker[i], d, i,
			 d->worker[i].roles)))
			return err;
	if ((err = returner_open(&d->returner, d)))
		return err;
	if (record->dir) {
		d->recorder = mem_get(sizeof(*d->recorder));
		if ((err = recorder_open(d->recorder, record)))
			return err;
	}
	if ((err = keeper_open(&d->keeper, d)) ||
	    (err = corehost_open(d->core_worker)) ||
	    (err = keeper_recall(&d->keeper, d->core_worker)) ||
	    (err = spooler_restore(&d->spooler, d->core_worker)))
		return err;
	if ((err = suppressor_open(&d->suppressor, d)))
		return err;
	malloc_trim(0); /* of what the scan knew beside the messages */
	if (spooler_start(&d->spooler) ||
	    spiller_start(&d->spiller, c->spool.p) ||
	    keeper_start(&d->keeper) || suppressor_start(&d->suppressor) ||
	    returner_start(&d->returner) || clerk_start(&d->clerk) ||
	    (c->dkim.nkeys > 0 && signers_start(&d->signers)))
		return E_NOMEM;
	for (uint32_t i = 0; i < d->nworkers; i++)
		if (pthread_create(&d->worker[i].thread, NULL, worker_main,
			&d->worker[i]))
			return E_NOMEM;
	if (porter_start(&d->porter, c) || pickup_start(&d->pickup, d))
		return E_NOMEM;
	return 0;
}

static void
ask_to_stop(struct daemon *d, int64_t deadline_us)
{
	atomic_store(&d->gate.is_stopping, true);
	for (uint32_t i = 0; i < d->nworkers; i++) {
		struct post_stop *p = mem_get(sizeof(*p));

		p->post.kind = POST_STOP;
		p->deadline_us = deadline_us;
		worker_post(&d->worker[i], &p->post);
	}
}

static int
next_signal(int fd, int64_t wait_us)
{
	struct signalfd_siginfo si;
	sigset_t none;
	fd_set in;
	struct timespec ts = { .tv_sec = wait_us / US_PER_S,
		.tv_nsec = wait_us % US_PER_S * 1000 };

	sigemptyset(&none);
	FD_ZERO(&in);
	FD_SET(fd, &in);
	if (pselect(fd + 1, &in, NULL, NULL, &ts, NULL) <= 0 ||
	    read(fd, &si, sizeof(si)) != sizeof(si))
		return 0;
	return (int)si.ssi_signo;
}

/* Until every worker has ended. */
static void
serve(struct daemon *d, int fd, const char *path)
{
	bool stopping = false;
	struct watch watch;
	int64_t wait_us;
	int sig;

	watch_init(&watch, clock_mono_us());
	while (atomic_load(&d->stopped_workers) < d->nworkers) {
		wait_us = stopping ? 20 * US_PER_MS : US_PER_S;
		wait_us = MIN(wait_us, watch_turn(&watch, d, clock_mono_us()));
		sig = next_signal(fd, wait_us);
		if (sig == SIGHUP && !stopping)
			reload(d, path);
		if (sig != SIGTERM && sig != SIGINT)
			continue;
		log_msg(LOG_INFO, "stop",
		    stopping ? "stopping now" : "stopping");
		boot_notify("STOPPING=1");
		ask_to_stop(d,
		    clock_mono_us() +
			(stopping ? 0 : d->conf->stop_timeout_us));
		stopping = true;
	}
}

static void
finish(struct daemon *d)
{
	for (uint32_t i = 0; i < d->nworkers; i++)
		pthread_join(d->worker[i].thread, NULL);
	porter_stop(&d->porter);
	pickup_stop(&d->pickup);
	signers_stop(&d->signers);
	spiller_stop(&d->spiller);
	spooler_stop(&d->spooler);
	keeper_stop(&d->keeper, d->core_worker);
	suppressor_stop(&d->suppressor);
	returner_stop(&d->returner);
	clerk_stop(&d->clerk);
	returner_close(&d->returner);
	if (d->recorder) {
		recorder_close(d->recorder);
		mem_free(d->recorder);
		d->recorder = NULL;
	}
	for (uint32_t i = 0; i < d->nworkers; i++)
		worker_free(&d->worker[i]);
	guests_free(&d->guests);
	allowances_free(&d->allowances);
	rates_free(&d->rates);
	d->disk->ops->close(d->disk);
	reload_free(d);
}

/* What is large has pages of its own, which go back when it is freed or has
 * grown. By default malloc moves this limit up as it meets larger things, and
 * tables that double leave holes of megabytes in the heap. */
static void
prefer_pages(void)
{
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}

static int
run_daemon(const char *path, const struct recorder_conf *record)
{
	/* Static, so that what a start that failed has made, and posts that
	 * nobody took any more, are still in sight when the process ends. */
	static struct daemon daemon;
	struct daemon *d = &daemon;
	const struct conf *c = boot_conf(path);
	struct rules *rules;
	sigset_t set;
	int fd;

	if (!c)
		return 1;
	prefer_pages();
	d->conf = c;
	rules = rules_load(c);
	if (!rules)
		return 1;
	reload_keep(d, c, rules, NULL);
	if (d->conf->log_level_debug)
		boot_log(LOG_DEBUG);
	d->started_us = clock_mono_us();
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	umask(027);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	prefer_batches();
	if (fd < 0 || start(d, record)) {
		log_event(LOG_ERROR, "boot", "what", "not started", NULL);
		return 1;
	}
	log_event(LOG_INFO, "boot", "what", "ready", "version", mta_version(),
	    "hostname", d->conf->hostname.p, NULL);
	boot_notify("READY=1");
	serve(d, fd, path);
	finish(d);
	log_event(LOG_INFO, "stop", "what", "stopped", NULL);
	return 0;
}

/* What a recording may be told; false: it makes no sense. */
static bool
record_option(struct recorder_conf *rc, int o, const char *value)
{
	switch (o) {
	case OPT_RECORD:
		rc->dir = value;
		return *value != '\0';
	case OPT_RECORD_SIZE:
		return parse_size(slice_str(value), &rc->size_bytes) == 0 &&
		    rc->size_bytes >= RECORD_SIZE_MIN;
	case OPT_RECORD_FILES:
		return slice_u64(slice_str(value), RECORD_FILES_MAX,
			   &rc->files) == 0 &&
		    rc->files >= 2;
	default:
		return false;
	}
}

int
verb_run(int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL,
						   'h' },
		{ "config", required_argument, NULL, 'c' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "record", required_argument, NULL, OPT_RECORD },
		{ "record-size", required_argument, NULL, OPT_RECORD_SIZE },
		{ "record-files", required_argument, NULL, OPT_RECORD_FILES },
		{ 0 } };
	struct recorder_conf record = { NULL, RECORDER_SIZE, RECORDER_FILES };
	const char *path = "/etc/mtad/mtad.yml";
	enum log_level level = LOG_INFO;
	int o;

	while ((o = getopt_long(argc, argv, "hc:v", longs, NULL)) != -1)
		switch (o) {
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'c':
			path = optarg;
			break;
		case 'v':
			level = LOG_DEBUG;
			break;
		default:
			if (record_option(&record, o, optarg))
				break;
			fputs(usage, stderr);
			return 2;
		}
	if (optind < argc) {
		fputs(usage, stderr);
		return 2;
	}
	assert_hook = on_assert;
	boot_log(level);
	return run_daemon(path, &record);
}
