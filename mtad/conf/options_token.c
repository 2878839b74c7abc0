/*
 * conf/options_token.c - the options of a token, by which a client of the HTTP
 * door is known, and the names of the header fields that steer; see options.c.
 */
#include "conf/options_i.h"

#define TOKEN_AT(fld) .at = offsetof(struct conf_token, fld)

static const struct opt token[] = {
	{ "hash", OPT_TEXT, TOKEN_AT(hash), .is_required = true,
	    .help = "What is kept of it: `SHA-256$DIGEST`, as `mtad account "
		    "--token NAME` prints it." },
	{ "account", OPT_TEXT, TOKEN_AT(account), .absent = "none",
	    .help = "The `account` whose mail it is: what that says of mail "
		    "holds, and idempotency keys are shared with what it "
		    "sends by SMTP." },
	{ "tenant", OPT_NAME, TOKEN_AT(tenant),
	    .absent = "the account's or listener's",
	    .help = "Tenant of the mail, unless the header `X-MTA-Tenant` "
		    "names one." },
	{ "campaign", OPT_NAME, TOKEN_AT(campaign),
	    .absent = "the account's or listener's",
	    .help = "The same for the campaign." },
	{ "pool", OPT_POOL, TOKEN_AT(pool),
	    .absent = "the account's or listener's",
	    .help = "The same for the pool." },
	{ "rate", OPT_RATE, TOKEN_AT(rate_count), .absent = "no limit",
	    .also = offsetof(struct conf_token, rate_period_us),
	    RANGE(1, 1000000000),
	    .help = "Messages in a period of time, which may come at once; "
		    "those beyond are answered 429 with Retry-After." },
};
const struct opt_group conf_token_options = ROWS(token);

static const struct opt steering[] = {
#define X(id, option, field, text)                                             \
	{ #option, OPT_TEXT, AT(steering[id]), field, .help = text },
	CONF_STEER_TABLE(X)
#undef X
};
const struct opt_group conf_steering_options = ROWS(steering);
