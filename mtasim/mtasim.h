/*
 * mtasim.h - what the commands of mtasim share: exit codes, the table of
 * options, signals and the running of a loop.
 */
#ifndef MTASIM_H
#define MTASIM_H

#include "base/base.h"

/* Exit codes; a script may count on them. */
enum sim_exit {
	SIM_PASS = 0,
	SIM_SLO = 1,         /* a stated goal was missed */
	SIM_USAGE = 2,       /* bad option or scenario */
	SIM_UNREACHABLE = 3, /* the target is not there, or went away */
	SIM_LIMITED = 4,     /* the generator was too slow: result is void */
	SIM_BROKEN = 5,      /* loss, duplicate or corruption */
	SIM_DIFFERS = 6,     /* the same seed gave two traces */
};

int cmd_sink(int argc, char **argv);
int cmd_dns(int argc, char **argv);
int cmd_world(int argc, char **argv);
int cmd_load(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_fuzz(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_eta(int argc, char **argv);
int cmd_calibrate(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_scenario(int argc, char **argv);

/* ---- options --------------------------------------------------------------- */

enum opt_type {
	OPT_FLAG,     /* bool, no argument */
	OPT_TEXT,     /* const char * */
	OPT_COUNT,    /* uint64_t */
	OPT_SIZE,     /* uint64_t, "4K" */
	OPT_TIME,     /* int64_t us, "50ms"; a bare number is seconds */
	OPT_ENDPOINT, /* struct endpoint, "127.0.0.1:25" */
	OPT_CALL,     /* opt.call takes it; may come several times */
};

struct opt {
	const char *name; /* without "--" */
	const char *arg;  /* "ADDR:PORT" for the help; NULL for a flag */
	enum opt_type type;
	size_t at; /* offset of the field in the command's structure */
	/* For OPT_CALL: 0, or an error with a reason in why. */
	int (*call)(void *into, const char *value, char *why, size_t why_cap);
	const char *help;
};

struct opt_table {
	const char *command; /* "sink" */
	const char *usage;   /* "[OPTION ...]" */
	const char *what;    /* one or two lines */
	const struct opt *opts;
	size_t nopts;
	const char *more; /* after the options; may be NULL */
};

/*
 * Reads options ("--name value", "--name=value") into the structure at `into`.
 * *operands and *noperands are what is left. Returns -1 to go on, or the exit
 * code: 0 after --help, SIM_USAGE after an error, both already printed.
 */
int opt_parse(const struct opt_table *t, int argc, char **argv, void *into,
    char ***operands, int *noperands);
/* "mtasim COMMAND: message" on stderr; returns SIM_USAGE. */
int opt_fail(const struct opt_table *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
