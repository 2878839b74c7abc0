/*
 * mtad.c - the daemon and its verbs: a table of subcommands.
 */
#include <stdio.h>

#include "base/base.h"
#include "daemon/verbs.h"

static int
verb_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("mtad %s\n", mta_version());
	return 0;
}

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} verbs[] = {
	{ "run", verb_run, "run the daemon in the foreground" },
	{ "check", verb_check, "check a configuration, all its errors" },
	{ "classify", verb_classify, "what replies mean, by the rules" },
	{ "account", verb_account, "what is kept of a password" },
	{ "sendmail", verb_sendmail, "takes a message from a local program" },
	{ "dkim", verb_dkim, "keys that sign: make, show and check them" },
	{ "decode", verb_decode, "what bounces and complaints say" },
	{ "schema", verb_schema, "JSON Schema of the configuration" },
	{ "status", verb_status, "what the daemon is doing" },
	{ "queues", verb_queues, "queues, and why they wait" },
	{ "sources", verb_sources, "source addresses" },
	{ "limits", verb_limits, "limits on tuples, and who waits for them" },
	{ "warmup", verb_warmup, "how far young sources have come" },
	{ "reactions", verb_reactions, "what reactions hold, and why" },
	{ "end", verb_end, "end a reaction" },
	{ "feedback", verb_feedback, "count complaints" },
	{ "suppress", verb_suppress, "who is not written to" },
	{ "explain", verb_explain, "why mail waits, gate by gate" },
	{ "resolve", verb_resolve, "hosts, TLSA and MTA-STS of a domain" },
	{ "tlsreport", verb_tlsreport, "reports about TLS to domains" },
	{ "list", verb_messages, "messages that wait" },
	{ "show", verb_messages, "one message, and why it waits" },
	{ "hold", verb_messages, "hold messages back" },
	{ "release", verb_messages, "let held messages go" },
	{ "retry", verb_messages, "try messages now" },
	{ "bounce", verb_messages, "return messages to their senders" },
	{ "delete", verb_messages, "delete messages without a word" },
	{ "drain", verb_drain, "hand all mail over to another node" },
	{ "proxy", verb_proxy, "let others' mail leave by this host" },
	{ "spool", verb_spool, "look into a stopped daemon's spool" },
	{ "version", verb_version, "print the version" },
};

static void
usage(FILE *to)
{
	fputs("usage: mtad VERB [OPTION...]\n\n", to);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		fprintf(to, "  %-9s %s\n", verbs[i].name, verbs[i].help);
	fputs("\n`mtad VERB --help` tells more. Exit status: 0 done, 1 it "
	      "went wrong,\n2 wrong usage, 3 daemon or spool not reached.\n",
	    to);
}

/* By a link, as cron and others call it. */
static bool
is_called_sendmail(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash ? slash + 1 : path, "sendmail") == 0;
}

int
main(int argc, char **argv)
{
	struct slice name = slice_str(argc > 1 ? argv[1] : "");

	if (is_called_sendmail(argc > 0 ? argv[0] : ""))
		return verb_sendmail(argc, argv);

	if (slice_eq(name, SL("--help")) || slice_eq(name, SL("-h")) ||
	    slice_eq(name, SL("help"))) {
		usage(stdout);
		return 0;
	}
	if (slice_eq(name, SL("--version")))
		return verb_version(0, NULL);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (slice_eq(name, slice_str(verbs[i].name)))
			return verbs[i].run(argc - 1, argv + 1);
	if (argc > 1)
		fprintf(stderr, "mtad: no such verb: %s\n", argv[1]);
	usage(stderr);
	return 2;
}
