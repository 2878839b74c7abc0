/*
 * conf/options_suppression.c - the options of suppression; see options.c.
 */
#include "conf/options_i.h"

#define SUPPRESS_SCOPE(field)                                                  \
	{                                                                      \
		"scope", OPT_CHOICE, AT(suppression.field), "tenant",          \
		    .words = { "tenant", "all" },                              \
		    .help = "For whom: the tenant whose mail it was, or all. " \
			    "For all, where the mail has no tenant."           \
	}
#define SUPPRESS_FOR(field)                                                    \
	{                                                                      \
		"for", OPT_DURATION, AT(suppression.field), "0",               \
		    RANGE(0, 3650 * DAY_US),                                   \
		    .help = "How long it holds; 0 = for ever."                 \
	}

static const struct opt suppress_bounces[] = {
	{ "kinds", OPT_NAME, AT(suppression.kind),
	    COUNT(struct conf, suppression.nkinds, KIND_N), .absent = "none",
	    .help = "Kinds of refusal, by the rules of classification, that "
		    "put the address in: `unknown_user`, `disabled`." },
	{ "after", OPT_RATE, AT(suppression.count),
	    .also = offsetof(struct conf, suppression.period_us),
	    .absent = "at the first", RANGE(1, 1000),
	    .help = "So many of them within a period, such as 3/30d." },
	SUPPRESS_SCOPE(bounce_for_all),
	SUPPRESS_FOR(bounce_us),
};
static const struct opt_group suppress_bounces_group = ROWS(suppress_bounces);

static const struct opt suppress_complaints[] = {
	{ "suppress", OPT_BOOL, AT(suppression.takes_complaints), "false",
	    .help = "A complaint (`mtad feedback`) puts the address in that "
		    "complains." },
	SUPPRESS_SCOPE(complaint_for_all),
	SUPPRESS_FOR(complaint_us),
};
static const struct opt_group suppress_complaints_group =
    ROWS(suppress_complaints);

static const struct opt suppression[] = {
	{ "file", OPT_PATH, AT(suppression.file),
	    .absent = "`suppression.db` in the spool",
	    .help = "SQLite file with the entries." },
	{ "mmap", OPT_SIZE, AT(suppression.mmap_bytes), "0", RANGE(0, 64 * GB),
	    .help = "So much of the file is looked at in place: a hit is found "
		    "faster, and that part of the page cache counts as this "
		    "process's memory." },
	{ "action", OPT_CHOICE, AT(suppression.discards), "reject",
	    .words = { "reject", "discard" },
	    .help = "Answer RCPT with 550 5.7.1 and the reason; or with 250, "
		    "and let the mail for that recipient go. Either way the "
		    "event log has a `Suppression`." },
	{ "bounces", OPT_GROUP, .group = &suppress_bounces_group,
	    .help = "Addresses that bounced." },
	{ "complaints", OPT_GROUP, .group = &suppress_complaints_group,
	    .help = "Addresses that complained." },
};
const struct opt_group conf_suppression_options = ROWS(suppression);
