/*
 * daemon/verb_tlsreport.c - mtad tlsreport: what a report about TLS would say now,
 * and sending all of them.
 */
#include <getopt.h>
#include <stdio.h>

#include "daemon/verb_i.h"
#include "mail/mail.h"
#include "daemon/verbs.h"

static const char usage[] =
    "usage: mtad tlsreport DOMAIN [OPTION ...]\n"
    "       mtad tlsreport --send [OPTION ...]\n"
    "\n"
    "Prints the report about TLS (RFC 8460) of a domain, of today as far as it\n"
    "has come, as JSON; or sends all reports at once, today's too, to domains that\n"
    "ask for them, and prints how many domains there are. The daemon needs\n"
    "`tls_report` in its configuration.\n"
    "\n"
    "  --send     send\n"
    "  -c FILE    configuration of the daemon (default /etc/mtad/mtad.yml)\n"
    "  -H SOCKET  its control socket (as the configuration says)\n"
    "\n"
    "exit status: 0 done, 1 nothing is counted, or it went wrong, 2 wrong usage,\n"
    "3 daemon not reached\n";

static int
ask(struct verb_peer *p, const char *domain)
{
	char path[128 + DOMAIN_MAX];
	struct buf answer;
	int status = verb_find(p);

	if (status != VERB_OK)
		return status;
	snprintf(path, sizeof(path), "/v1/tlsreport%s%s",
	    domain ? "?domain=" : "", domain ? domain : "");
	status = verb_ask(p, path,
	    domain ? slice_of("", 0) : SL("{\"verb\": \"send\"}"), &answer);
	if (status == VERB_OK)
		verb_print(&answer);
	buf_free(&answer);
	return fflush(stdout) != 0 ? VERB_FAILED : status;
}

static bool
is_name(const char *s)
{
	struct slice t = slice_str(s);

	for (size_t i = 0; i < t.n; i++)
		if (!ascii_is_alpha(t.p[i]) && !ascii_is_digit(t.p[i]) &&
		    t.p[i] != '-' && t.p[i] != '.' && t.p[i] != '_')
			return false;
	return t.n > 0 && t.n <= DOMAIN_MAX;
}

int
verb_tlsreport(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "send", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct verb_peer peer = { 0 };
	bool sends = false;
	int c;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "c:H:h", longs, NULL)) != -1) {
		if (c == 'c')
			peer.config = optarg;
		else if (c == 'H')
			peer.socket = optarg;
		else if (c == 's')
			sends = true;
		else if (c == 'h')
			return fputs(usage, stdout) < 0;
		else
			return verb_wrong_option(argv[0], argv);
	}
	if (optind + !sends != argc || (!sends && !is_name(argv[optind])))
		return verb_usage(argv[0], "needs", "one DOMAIN, or --send");
	return ask(&peer, sends ? NULL : argv[optind]);
}
