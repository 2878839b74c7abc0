/*
 * conf/options_inbound.c - the options of domains that mtad takes mail for itself;
 * see options.c.
 */
#include "conf/options_i.h"

#define INBOUND_AT(fld) .at = offsetof(struct conf_inbound, fld)

static const struct opt inbound[] = {
	{ "keys", OPT_PATH, INBOUND_AT(keys),
	    COUNT(struct conf_inbound, nkeys, CONF_RETURN_KEYS_MAX),
	    .absent = "no signed return paths",
	    .help =
		"Files with secrets of 16 to 64 bytes each, by which return "
		"paths are signed: the first signs, all are good. White "
		"space at their end does not count." },
	{ "prefix", OPT_TEXT, INBOUND_AT(prefix), "b+",
	    .help = "What signed local parts begin with: up to 8 letters, "
		    "digits, `+`, `-`, `_`, `=`." },
	{ "valid", OPT_DURATION, INBOUND_AT(valid_us), "30d",
	    RANGE(DAY_US, 3650 * DAY_US),
	    .help = "How long a signed return path is good, in whole days." },
	{ "verp", OPT_BOOL, INBOUND_AT(takes_verp), "false",
	    .help = "Take `user+rcpt=domain` for a return path, too. Anybody "
		    "can write one: see `unsigned`." },
	{ "bounces", OPT_NAME, INBOUND_AT(bounces),
	    COUNT(struct conf_inbound, nbounces, CONF_INBOUND_NAMES),
	    .absent = "none",
	    .help = "Further local parts that bounces go to." },
	{ "complaints", OPT_NAME, INBOUND_AT(complaints),
	    COUNT(struct conf_inbound, ncomplaints, CONF_INBOUND_NAMES),
	    .absent = "none",
	    .help = "Local parts that complaints (ARF) go to." },
	{ "unsigned", OPT_CHOICE, INBOUND_AT(trusts_unsigned), "log",
	    .words = { "log", "act" },
	    .help = "What a report is good for that has neither a signed "
		    "return path nor the trace of a message of ours in it: to "
		    "be logged alone, or to count and to suppress as well." },
	{ "forward", OPT_MAILBOX, INBOUND_AT(forward),
	    .absent = "the messages are let go",
	    .help = "Where messages go, with the null sender, when their "
		    "events are in the log." },
	{ "size_max", OPT_SIZE, INBOUND_AT(size_max), "10M",
	    RANGE(64 * KB, 32 * MB),
	    .help = "The largest message; 552 5.3.4 to one that is larger." },
};
const struct opt_group conf_inbound_options = ROWS(inbound);

void
conf_inbound_begin(const struct conf *c, void *entry)
{
	for (size_t i = 0; i < ARRAY_LEN(inbound); i++)
		if (inbound[i].dflt != NULL)
			ASSERT(opt_read((struct conf *)(uintptr_t)c,
			    &inbound[i], slice_str(inbound[i].dflt), entry, 0));
}
