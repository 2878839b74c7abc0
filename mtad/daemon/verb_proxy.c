/*
 * daemon/verb_proxy.c - `mtad proxy`: reads its file, and runs the server until
 * a signal.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "conf/egress.h"
#include "daemon/daemon_i.h"
#include "daemon/proxyd.h"
#include "daemon/verbs.h"

static const char usage[] =
    "usage: mtad proxy [-c FILE] [-v] [--check]\n"
    "\n"
    "Runs a SOCKS5 proxy in the foreground until SIGTERM: mail that another\n"
    "machine sends leaves by the addresses of this one. See egress.md.\n"
    "\n"
    "  -c FILE   configuration (default /etc/mtad/proxy.yml)\n"
    "  -v        log more\n"
    "  --check   look whether the configuration is good, all its errors\n"
    "\n"
    "exit status: 0 stopped in order, 1 could not start, 2 wrong usage\n";

static struct proxyd *running;

static void
on_signal(int sig)
{
	int err = errno;

	(void)sig;
	proxyd_stop(running);
	errno = err;
}

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

/* Two descriptors a client, and some. */
static void
raise_limit(const struct conf_egress *c)
{
	rlim_t need = 2 * (rlim_t)c->connections_max + 64;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_cur < need)
		log_event(LOG_WARN, "boot", "what",
		    "fewer file descriptors than the limits may use", "do",
		    "raise LimitNOFILE, or lower connections_max", NULL);
}

static int
serve(const struct conf_egress *c)
{
	struct sigaction sa = { .sa_handler = on_signal };

	umask(027);
	signal(SIGPIPE, SIG_IGN);
	raise_limit(c);
	running = proxyd_new(c);
	if (running == NULL) {
		log_event(LOG_ERROR, "boot", "what", "not started", NULL);
		return 1;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	log_event(LOG_INFO, "boot", "what", "ready", "version", mta_version(),
	    NULL);
	boot_notify("READY=1");
	proxyd_run(running);
	boot_notify("STOPPING=1");
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	proxyd_free(running);
	log_event(LOG_INFO, "stop", "what", "stopped", NULL);
	return 0;
}

int
verb_proxy(int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL,
						   'h' },
		{ "config", required_argument, NULL, 'c' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "check", no_argument, NULL, 't' }, { 0 } };
	struct conf_errors errs = { .report = report, .warn = report };
	const char *path = "/etc/mtad/proxy.yml";
	bool is_check = false, is_loud = false;
	struct conf_egress *c;
	int o, rc = 0;

	while ((o = getopt_long(argc, argv, "hc:v", longs, NULL)) != -1)
		switch (o) {
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'c':
			path = optarg;
			break;
		case 'v':
			is_loud = true;
			break;
		case 't':
			is_check = true;
			break;
		default:
			fputs(usage, stderr);
			return 2;
		}
	if (optind < argc) {
		fputs(usage, stderr);
		return 2;
	}
	c = conf_egress_load(path, &errs);
	if (c == NULL)
		return 1;
	if (!is_check) {
		boot_log(is_loud || c->is_debug ? LOG_DEBUG : LOG_INFO);
		rc = serve(c);
	}
	conf_egress_free(c);
	return rc;
}
