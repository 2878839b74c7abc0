/*
 * mtasim - the outside world in a box: receivers, name servers and senders
 * for testing a mail relay, and the book-keeper that counts what arrived.
 */
#include <signal.h>

#include "mtasim.h"

static int cmd_version(int argc, char **argv);

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "sink", cmd_sink, "an SMTP receiver: takes, defers or refuses mail" },
	{ "dns", cmd_dns, "an authoritative name server for made-up domains" },
	{ "world", cmd_world, "both, for many providers, from one YAML file" },
	{ "load", cmd_load, "injects mail on a fixed schedule and times it" },
	{ "verify", cmd_verify,
	    "the ledger: lost, duplicated, corrupted mail" },
	{ "fuzz", cmd_fuzz,
	    "the daemon's own code in made-up worlds, with faults" },
	{ "plan", cmd_plan, "predicts queue, delays and limits of a scenario" },
	{ "scenario", cmd_scenario,
	    "scenarios in prose: what a sender does, minute by minute" },
	{ "eta", cmd_eta, "how honest the engine's ETA is in a scenario" },
	{ "calibrate", cmd_calibrate,
	    "measures how far plans are off on this machine" },
	{ "replay", cmd_replay,
	    "feeds a recording of the daemon's engine to it again" },
	{ "version", cmd_version, "prints the version" },
};

static void
usage(FILE *to)
{
	fprintf(to,
	    "usage: mtasim COMMAND [OPTION ...]\n"
	    "The outside world of a mail relay, on loopback.\n\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].help);
	fprintf(to,
	    "\n`mtasim COMMAND --help` lists its options; mtasim(1) has the"
	    " formats.\n"
	    "Exit codes: 0 pass, 1 a goal was missed, 2 usage or scenario"
	    " error,\n3 target unreachable, 4 generator too slow (result"
	    " void), 5 loss,\nduplicate or corruption, 6 the same"
	    " input gave two runs.\n");
}

static int
cmd_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("mtasim %s\n", mta_version());
	return SIM_PASS;
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	/* A peer that closes early is an answer, not a reason to die. */
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		usage(stdout);
		return SIM_PASS;
	}
	if (strcmp(name, "--version") == 0)
		return cmd_version(argc, argv);
	usage(stderr);
	return SIM_USAGE;
}
