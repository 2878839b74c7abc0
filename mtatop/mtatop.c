/*
 * mtatop.c - main(): options, and then one frame as text or the screen.
 *
 * Exit status: 0 done, 1 it went wrong, 2 wrong usage, 3 there is no daemon
 * (--once); ended by a signal, the status is the signal's.
 */
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>

#include "top.h"

/* ---- options -------------------------------------------------------------------- */

static const char help[] =
    "usage: mtatop [OPTION ...]\n"
    "Queues and source addresses of a running mtad, and why mail waits.\n\n"
    "  -H SOCKET      control socket of the daemon\n"
    "  -c FILE        its configuration, which names the socket\n"
    "                 (" CONFIG_FILE ")\n"
    "  -d SECONDS     time between refreshes (1)\n"
    "  -s KEY         sort by depth, due, rate, defer, conns or oldest;\n"
    "                 sources by rate, defer, conns, paths or refused\n"
    "  --screen NAME  queues or sources\n"
    "  --once         print one frame as text and exit; with -d 0 without\n"
    "                 the second look that rates need\n"
    "  --ascii        no characters beyond ASCII\n"
    "  --no-color     no colours (also: NO_COLOR in the environment)\n"
    "  --version, --help\n\n"
    "Press ? for the keys. Exit status: 0 done, 1 it went wrong, 2 wrong\n"
    "usage, 3 the daemon is not there (--once).\n";

static int
usage(const char *what, const char *text)
{
	fprintf(stderr, "mtatop: %s %s\ntry: mtatop --help\n", what, text);
	return EXIT_USAGE;
}

static bool
take_delay(struct options *o, const char *text)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end != '\0' || !(s >= 0 && s <= 60))
		return false;
	o->delay_us = (int64_t)(s * 1e6);
	return true;
}

static bool
take_screen(struct options *o, const char *name)
{
	for (int i = 0; i < SCREEN_N; i++) {
		if (strcmp(name, ui_screen_names[i]) == 0) {
			o->screen = (enum ui_screen)i;
			return true;
		}
	}
	return false;
}

enum {
	OPT_ONCE = 1,
	OPT_ASCII,
	OPT_NO_COLOR,
	OPT_SCREEN,
	OPT_VERSION,
	OPT_HELP
};

static int
wrong_option(char **argv)
{
	const char *word = argv[optind - 1],
		   one[] = { '-', (char)optopt, '\0' };

	return usage("wrong option:", word[0] == '-' ? word : one);
}

/* -1: go on; else the exit status. */
static int
take_option(struct options *o, char **argv, int c)
{
	if (c == 'H' && strlen(optarg) >= sizeof(o->socket))
		return usage("too long a path:", optarg);
	if (c == 'H')
		slice_copy(slice_str(optarg), o->socket, sizeof(o->socket));
	else if (c == 'c')
		o->config = optarg;
	else if (c == 's')
		o->sort = optarg;
	else if (c == OPT_ONCE)
		o->is_once = true;
	else if (c == OPT_ASCII)
		o->is_utf8 = false;
	else if (c == OPT_NO_COLOR)
		o->is_colored = false;
	else if (c == OPT_VERSION)
		return printf("mtatop %s\n", mta_version()) < 0;
	else if (c == OPT_HELP || c == 'h')
		return fputs(help, stdout) < 0;
	else if (c == 'd' && !take_delay(o, optarg))
		return usage("-d wants seconds from 0 to 60, got", optarg);
	else if (c == OPT_SCREEN && !take_screen(o, optarg))
		return usage("--screen wants queues or sources, got", optarg);
	else if (c == '?' || c == ':')
		return wrong_option(argv);
	return -1;
}

static int
read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "once", no_argument, NULL, OPT_ONCE },
		{ "ascii", no_argument, NULL, OPT_ASCII },
		{ "no-color", no_argument, NULL, OPT_NO_COLOR },
		{ "screen", required_argument, NULL, OPT_SCREEN },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 },
	};
	char why[512];
	struct ui ui;
	int c, status;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "H:c:d:s:h", longs, NULL)) != -1) {
		status = take_option(o, argv, c);
		if (status >= 0)
			return status;
	}
	if (optind < argc)
		return usage("too much:", argv[optind]);
	ui_init(&ui, 0);
	ui.screen = o->screen;
	if (o->sort != NULL && !ui_sort_by(&ui, o->sort))
		return usage("-s: no such key on that screen:", o->sort);
	if (o->socket[0] == '\0' &&
	    !config_socket(o->config, o->socket, sizeof(o->socket), why,
		sizeof(why))) {
		fprintf(stderr, "mtatop: %s\n", why);
		return EXIT_FAILED;
	}
	return -1;
}

int
main(int argc, char **argv)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct options o = { .delay_us = US_PER_S };
	int status;

	setlocale(LC_CTYPE, "");
	o.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	o.is_colored = no_color == NULL || no_color[0] == '\0';
	status = read_options(argc, argv, &o);
	if (status >= 0)
		return status;
	signal(SIGPIPE, SIG_IGN);
	if (!o.is_once && (term == NULL || strcmp(term, "dumb") == 0)) {
		fprintf(stderr,
		    "mtatop: TERM is %s: printing one frame "
		    "instead (--once)\n",
		    term ? term : "not set");
		o.is_once = true;
	}
	return o.is_once ? top_once(&o) : top_screen(&o);
}
