/*
 * conf/options_automation.c - the options of a reaction to refusals; see
 * options.c.
 *
 * Defaults repeat those of automation_begin in automation.c.
 */
#include "conf/conf_i.h"

#define ROWS(v)                                                                \
	{                                                                      \
		.opts = v, .n = ARRAY_LEN(v)                                   \
	}
#define AT(field) .at = offsetof(struct conf_automation, field)
#define COUNT(field, n)                                                        \
	.count_at = offsetof(struct conf_automation, field),                   \
	.count_bytes = sizeof(((struct conf_automation *)0)->field),           \
	.list_max = (n)
#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define LIST_MAX CONF_AUTOMATION_LIST

static const struct opt automation[] = {
	{ "provider", OPT_NAME, AT(providers), COUNT(nproviders, LIST_MAX),
	    .absent = "any destination",
	    .help = "Only what one of these providers says (see shaping.md)." },
	{ "category", OPT_NAME, AT(categories), COUNT(ncategories, CATEGORY_N),
	    .absent = "any",
	    .help = "Only refusals of these categories, by the rules of "
		    "classification." },
	{ "kind", OPT_NAME, AT(kinds), COUNT(nkinds, KIND_N), .absent = "any",
	    .help = "Only refusals of these kinds, such as `throttle` or "
		    "`reputation_block`." },
	{ "stage", OPT_NAME, AT(stages), COUNT(nstages, STAGE_N),
	    .absent = "any",
	    .help = "Only what comes there: `banner`, `mail`, `rcpt`, `eom` "
		    "and so on." },
	{ "code", OPT_TEXT, AT(codes), COUNT(ncodes, LIST_MAX), .absent = "any",
	    .help = "Only replies with one of these codes, such as 421, 4xx or "
		    "500-559." },
	{ "enhanced", OPT_TEXT, AT(enhs), COUNT(nenhs, LIST_MAX),
	    .absent = "any",
	    .help = "Only with one of these enhanced codes, such as 4.7.28, "
		    "x.7.x or none." },
	{ "text", OPT_TEXT, AT(texts), COUNT(ntexts, CONF_AUTOMATION_WORDS),
	    .absent = "any",
	    .help = "Only replies with one of these patterns (PCRE2, as in "
		    "the rules of classification) in them." },
	{ "after", OPT_RATE, AT(count),
	    .also = offsetof(struct conf_automation, period_us),
	    .absent = "at once", RANGE(1, 1000000),
	    .help = "Act when so many of them have come, for one target, in a "
		    "period of time, such as 3/h; it moves in steps of a "
		    "sixteenth." },
	{ "ratio", OPT_PART, AT(ratio_ppm), .absent = "at once",
	    RANGE(1, 1000000),
	    .help = "Or when they are such a part of all replies to mail for "
		    "the target, counted from the first of them on," },
	{ "window", OPT_DURATION, AT(window_us), .absent = "`1h`",
	    RANGE(16 * US_PER_S, 7 * 86400 * US_PER_S),
	    .help = "... in a period of that length" },
	{ "replies_min", OPT_U32, AT(replies_min), .absent = "`50`",
	    RANGE(1, 1000000), .help = "... in which there were so many." },
	{ "on", OPT_TARGET, AT(on), COUNT(non, ENG_TARGET_DIMS_MAX),
	    .absent = "`path`; of `defer` and `bounce` `queue`",
	    .help = "What the reaction is about: of the mail that was refused "
		    "its path (a source and a site), or whatever has the same "
		    "values of all that is named here. `[source, provider]` is "
		    "the source at all sites of that provider, `[tenant, "
		    "provider]` a tenant's mail to it by whatever source, "
		    "`queue` what waits for the site, of the same pool, tenant "
		    "and campaign." },
	{ "action", OPT_ACTION, AT(action), .is_required = true,
	    .help =
		"`suspend`: nothing starts there. `connections`: its "
		"paths open no more than so many at once. `slow`: they "
		"send at a part of their rate. `skip_host`: they do not "
		"use the host that said it. `other_source`: mail "
		"leaves by the other sources of its pool. `defer`: its queues wait. "
		"`bounce`: what they have is returned to its senders. "
		"`none`: nothing; the rules behind it are not asked "
		"either." },
	{ "factor", OPT_PART, AT(factor_ppm), .absent = "`50%`",
	    RANGE(1, 1000000),
	    .help = "The part that `action: slow` leaves of the configured "
		    "rate of each path, or where that has none of what was "
		    "sent when the reaction began; at least one message a "
		    "minute is taken for that." },
	{ "connections", OPT_U32, AT(conns_max), .absent = "`1`",
	    RANGE(1, 100000),
	    .help = "How many `action: connections` leaves to each path." },
	{ "for", OPT_DURATION, AT(for_us), .absent = "until `mtad end`",
	    RANGE(US_PER_S, 365 * 86400 * US_PER_S),
	    .help = "How long it holds from the last refusal on. What was "
		    "under way when it began does not prolong it." },
	{ "then", OPT_CHOICE, AT(opens_at_once), "slowly",
	    .words = { "slowly", "at_once" },
	    .help = "How it ends: the path begins with one connection, and as "
		    "long as that goes well there is one more each minute; or "
		    "with as many as it had." },
	{ "continue", OPT_BOOL, AT(goes_on), "false",
	    .help = "Let the rules behind it see the refusal, too." },
};
const struct opt_group automation_options = ROWS(automation);

static const struct opt automation_file[] = {
	{ "automation", OPT_MAP, .group = &automation_options,
	    .key_type = OPT_NAME, .begin = automation_begin,
	    .at = offsetof(struct conf_automations, v),
	    .entry_bytes = sizeof(struct conf_automation),
	    .count_at = offsetof(struct conf_automations, n),
	    .count_bytes = sizeof(uint32_t), .list_max = ENG_AUTOMATIONS_MAX },
};
const struct opt_group automation_file_options = ROWS(automation_file);
