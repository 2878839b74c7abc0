/*
 * opt.c - long options from a table: reading, help and errors.
 *
 * One row is one option, so the help cannot forget what the reader takes.
 */
#include <errno.h>
#include <stdarg.h>

#include "mtasim.h"

static void
opt_help(const struct opt_table *t)
{
	printf("usage: mtasim %s %s\n%s\n\n", t->command, t->usage, t->what);
	for (size_t i = 0; i < t->nopts; i++) {
		const struct opt *o = &t->opts[i];
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", o->name,
		    o->arg ? " " : "", o->arg ? o->arg : "");
		printf("  %-26s %s\n", left, o->help);
	}
	if (t->more != NULL)
		printf("\n%s\n", t->more);
}

int
opt_fail(const struct opt_table *t, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "mtasim %s: ", t->command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	return SIM_USAGE;
}

static const struct opt *
opt_find(const struct opt_table *t, struct slice name)
{
	for (size_t i = 0; i < t->nopts; i++)
		if (slice_eq(slice_str(t->opts[i].name), name))
			return &t->opts[i];
	return NULL;
}

/* Stores a value by its type: 0, or an error and what was expected. */
static int
opt_store(const struct opt *o, void *into, const char *value, char *why,
    size_t why_cap)
{
	void *field = (char *)into + o->at;
	const char *expected = NULL;

	switch (o->type) {
	case OPT_FLAG:
		*(bool *)field = true;
		break;
	case OPT_TEXT:
		*(const char **)field = value;
		break;
	case OPT_COUNT:
		if (slice_u64(slice_str(value), UINT64_MAX / 2, field) != 0)
			expected = "a number";
		break;
	case OPT_SIZE:
		if (parse_size(slice_str(value), field) != 0)
			expected = "a size such as 4K";
		break;
	case OPT_TIME:
		if (parse_duration(slice_str(value), field) != 0)
			expected = "a time such as 50ms or 30 (seconds)";
		break;
	case OPT_ENDPOINT:
		if (endpoint_parse(slice_str(value), 0, field) != 0)
			expected = "ADDRESS:PORT";
		break;
	case OPT_CALL:
		return o->call(into, value, why, why_cap);
	}
	if (expected == NULL)
		return 0;
	snprintf(why, why_cap, "expected %s", expected);
	return E_SYNTAX;
}

/* One option at argv[*i]; moves *i over its value. */
static int
opt_take(const struct opt_table *t, int argc, char **argv, int *i, void *into)
{
	const char *arg = argv[*i] + 2;
	size_t eq = slice_index(slice_str(arg), '=');
	const struct opt *o = opt_find(t, slice_of(arg, eq));
	const char *value = NULL;
	char why[160] = "";

	if (o == NULL)
		return opt_fail(t, "no option --%.*s; see mtasim %s --help",
		    (int)eq, arg, t->command);
	if (o->type == OPT_FLAG) {
		if (arg[eq] == '=')
			return opt_fail(t, "--%s takes no value", o->name);
	} else if (arg[eq] == '=') {
		value = arg + eq + 1;
	} else if (*i + 1 < argc) {
		value = argv[++*i];
	} else {
		return opt_fail(t, "--%s needs %s", o->name, o->arg);
	}
	if (opt_store(o, into, value, why, sizeof(why)) != 0)
		return opt_fail(t, "--%s '%s': %s", o->name, value, why);
	return -1;
}

int
opt_parse(const struct opt_table *t, int argc, char **argv, void *into,
    char ***operands, int *noperands)
{
	int kept = 0;
	bool only_operands = false;

	for (int i = 1; i < argc; i++) {
		int rc;

		if (only_operands || argv[i][0] != '-' || argv[i][1] == '\0') {
			argv[kept++] = argv[i];
			continue;
		}
		if (strcmp(argv[i], "--") == 0) {
			only_operands = true;
			continue;
		}
		if (strcmp(argv[i], "--help") == 0 ||
		    strcmp(argv[i], "-h") == 0) {
			opt_help(t);
			return SIM_PASS;
		}
		if (argv[i][1] != '-')
			return opt_fail(t, "no option %s; see mtasim %s --help",
			    argv[i], t->command);
		rc = opt_take(t, argc, argv, &i, into);
		if (rc >= 0)
			return rc;
	}
	*operands = argv;
	*noperands = kept;
	return -1;
}
