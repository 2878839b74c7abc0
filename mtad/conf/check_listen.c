/*
 * conf/check_listen.c - what only the whole can tell of listeners, and of who may
 * use them: accounts, tokens, fields that steer.
 */
#include <stdio.h>

#include "conf/check_i.h"

/* What every listener offers: what is kept to behind it, too. */
#define DOOR_EXTS                                                              \
	(EXT_CHUNKING | EXT_SMTPUTF8 | EXT_DSN | EXT_DELIVERBY |               \
	    EXT_FUTURERELEASE | EXT_MT_PRIORITY | EXT_LIMITS | EXT_REQUIRETLS)
/* What a message brings to the spool beside its own bytes: the record's head
 * and the fields of the envelope; and per recipient the address (320), ORCPT
 * (RFC 3461: 500) and their lengths. */
#define OVERHEAD_BYTES (64u << 10)
#define OVERHEAD_RCPT_BYTES 1024u

/* ---- listeners ----------------------------------------------------------- */

static void
check_bind(const struct check *k, uint32_t i)
{
	const struct conf_listen *v = k->conf->listen;
	char expected[80], text[ENDPOINT_TEXT_MAX];
	uint32_t j = 0;

	while (j < i &&
	    (v[j].bind.port != v[i].bind.port ||
		!ip_eq(&v[j].bind.ip, &v[i].bind.ip)))
		j++;
	if (j == i || v[i].bind.port == 0)
		return;
	snprintf(expected, sizeof(expected),
	    "an address and port of its own (the first is on line %u)",
	    SPOT(k, SL("listen"), v[j].name, SL("bind")).at.line);
	endpoint_format(text, &v[i].bind);
	check_wrong(k, SPOT(k, SL("listen"), v[i].name, SL("bind")), expected,
	    slice_str(text));
}

/* A message must fit into a segment of the spool, with its envelope. */
static void
check_size(const struct check *k, const struct conf_listen *l, struct spot s)
{
	uint64_t segment = k->conf->spool_segment_bytes;
	uint64_t extra =
	    OVERHEAD_BYTES + (uint64_t)l->smtp.rcpts_max * OVERHEAD_RCPT_BYTES;
	char most[32], size[32], room[32], expected[192];

	if (l->smtp.size_max + extra <= segment)
		return;
	fmt_size_exact(most, segment > extra ? segment - extra : 0);
	fmt_size_exact(size, segment);
	fmt_size_exact(room, extra);
	snprintf(expected, sizeof(expected),
	    "at most %s (spool_segment is %s, and an envelope of %u "
	    "recipients takes up to %s)",
	    most, size, l->smtp.rcpts_max, room);
	fmt_size_exact(size, l->smtp.size_max);
	check_wrong(k, s, expected, slice_str(size));
}

static void
check_auth(const struct check *k, struct conf_listen *l)
{
	struct spot s = SPOT(k, SL("listen"), l->name, SL("auth"));

	if (l->needs_auth && !l->has_auth)
		check_wrong(k,
		    SPOT(k, SL("listen"), l->name, SL("auth_required")),
		    "`auth` beside it", SL("true"));
	if (!l->has_auth)
		return;
	l->smtp.auth = SL("SCRAM-SHA-256 PLAIN LOGIN");
	if (l->tls.cert.n == 0)
		check_wrong(k, s,
		    "a listener with `tls`: passwords are not taken in "
		    "clear text",
		    SL("none"));
	if (k->conf->naccounts == 0 && k->conf->accounts_file.n == 0)
		check_odd(k, s, "an `account`, or nobody can log in",
		    SL("none"));
}

/* Names of fields (RFC 5322 3.6.8), and none that mail cannot do without. */
static void
check_strip(const struct check *k, const struct conf_listen *l)
{
	static const struct slice kept[] = { { "From", 4 }, { "Date", 4 },
		{ "Received", 8 }, { "Message-ID", 10 } };
	struct spot s = SPOT(k, SL("listen"), l->name, SL("strip_headers"));

	if (l->nstrip > 0 && !l->is_submission)
		check_odd(k, s, "`submission` beside it", SL("none"));
	for (uint32_t i = 0; i < l->nstrip; i++) {
		struct slice name = l->strip[i];
		bool is_bad = false;

		for (size_t j = 0; j < name.n; j++)
			is_bad |= name.p[j] <= ' ' || name.p[j] == ':';
		for (size_t j = 0; j < ARRAY_LEN(kept); j++)
			is_bad |= slice_ieq(name, kept[j]);
		if (is_bad)
			check_wrong(k, s,
			    "names of fields, and none of From, Date, Received "
			    "and Message-ID",
			    name);
	}
}

static void
check_class(const struct check *k, const char *map, struct slice name,
    struct conf_given *g)
{
	g->klass = slice_eq(g->class_name, SL("bulk"))   ? 1 :
	    slice_eq(g->class_name, SL("transactional")) ? 2 :
							   0;
	if (g->class_name.n > 0 && g->klass == 0)
		check_wrong(k, SPOT(k, slice_str(map), name, SL("class")),
		    "bulk or transactional", g->class_name);
}

static void
check_accounts(const struct check *k)
{
	for (uint32_t i = 0; i < k->conf->naccounts; i++) {
		struct conf_account *a = &k->conf->accounts[i];

		/* What it holds is no word for a log. */
		if (!conf_account_read(a))
			check_wrong(k,
			    SPOT(k, SL("account"), a->name, SL("secret")),
			    "a secret as `mtad account NAME` prints it, of "
			    "at least 4096 iterations",
			    SL("something else"));
		check_class(k, "account", a->name, &a->given);
	}
}

static void
check_tokens(const struct check *k)
{
	struct conf *c = k->conf;
	uint32_t bad = conf_tokens_read(c);

	if (bad < c->ntokens)
		check_wrong(k,
		    SPOT(k, SL("token"), c->tokens[bad].name, SL("hash")),
		    "a hash as `mtad account --token NAME` prints it",
		    SL("something else"));
	for (uint32_t i = 0; i < c->ntokens; i++) {
		const struct conf_token *t = &c->tokens[i];

		if (t->account.n > 0 &&
		    conf_account_find(c, t->account) == NULL)
			check_wrong(k,
			    SPOT(k, SL("token"), t->name, SL("account")),
			    "the name of an `account`", t->account);
	}
}

static bool
is_field_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == ':')
			return false;
	return s.n > 0 && s.n <= NAME_MAX_BYTES;
}

static void
check_steering(const struct check *k)
{
	static const char *const options[] = {
#define X(id, option, field, help) #option,
		CONF_STEER_TABLE(X)
#undef X
	};
	const struct slice *v = k->conf->steering;
	bool is_fine = true;

	for (int i = 0; i < STEER_N; i++) {
		is_fine = is_field_name(v[i]);
		for (int j = 0; j < i; j++)
			is_fine &= !slice_ieq(v[i], v[j]);
		if (!is_fine)
			check_wrong(k,
			    SPOT(k, SL("steering"), slice_str(options[i])),
			    "the name of a header field, each another", v[i]);
	}
}

static bool
is_loopback(const struct ip *ip)
{
	static const uint8_t v6[16] = { [15] = 1 };

	return ip->family == 4 ? ip->b[0] == 127 :
				 memcmp(ip->b, v6, sizeof(v6)) == 0;
}

/* Messages that are posted are made SMTP's on their way (relay/inject.h), by us
 * and not by a stranger: nothing there ends the conversation. */
static void
check_http(const struct check *k, struct conf_listen *l)
{
	struct slice in = SL("listen");

	if (!l->is_http)
		return;
	l->smtp.normalises_bare = true;
	l->smtp.errors_max = 0;
	l->smtp.messages_max = 0;
	l->smtp.offers_tls = false;
	l->tls.is_implicit = l->tls.cert.n > 0;
	if (l->has_auth || l->nrelay_from > 0 || l->nxclient_from > 0)
		check_wrong(k, SPOT(k, in, l->name, SL("protocol")),
		    "smtp where there is auth, relay_from or xclient_from: "
		    "with http, tokens alone count",
		    SL("http"));
	if (l->tls.cert.n == 0 && !is_loopback(&l->bind.ip))
		check_wrong(k, SPOT(k, in, l->name, SL("protocol")),
		    "`tls` beside it, or a loopback address: tokens are not "
		    "taken in clear text",
		    SL("http"));
	if (k->conf->ntokens == 0)
		check_odd(k, SPOT(k, in, l->name, SL("protocol")),
		    "a `token`, or nobody can post", SL("http"));
}

static void
check_listen(const struct check *k, uint32_t i)
{
	struct conf_listen *l = &k->conf->listen[i];
	const struct conf_listen *d = &k->conf->listen_default;
	struct slice in = SL("listen");

	l->smtp.offers_tls = l->tls.cert.n > 0 && !l->tls.is_implicit;
	l->smtp.exts = DOOR_EXTS;
	check_auth(k, l);
	check_strip(k, l);
	check_http(k, l);
	check_class(k, "listen", l->name, &l->given);
	check_bind(k, i);
	for (uint32_t j = 0; j < l->nrelay_from; j++)
		if (l->relay_from[j].bits == 0)
			check_odd(k, SPOT(k, in, l->name, SL("relay_from")),
			    "your own networks only", SL("an open relay"));
	check_file(k, SPOT(k, in, l->name, SL("tls"), SL("cert")), l->tls.cert);
	check_file(k, SPOT(k, in, l->name, SL("tls"), SL("key")), l->tls.key);
	/* What is inherited is judged at the top level. */
	if (l->smtp.size_max != d->smtp.size_max ||
	    l->smtp.rcpts_max != d->smtp.rcpts_max)
		check_size(k, l, SPOT(k, in, l->name, SL("message_size_max")));
}

/* Local programs are as a listener to which all is said by the top level. */
static void
make_local_door(struct conf *conf)
{
	struct conf_listen *l = &conf->sendmail.door, given = *l;

	*l = conf->listen_default;
	l->name = SL("sendmail");
	l->tenant = given.tenant;
	l->campaign = given.campaign;
	l->pool = given.pool;
	l->is_local = l->is_submission = true;
	l->smtp.exts = DOOR_EXTS;
	l->smtp.normalises_bare = true;
}

void
check_doors(const struct check *k)
{
	struct conf *conf = k->conf;
	struct spot size = SPOT(k, SL("message_size_max"));
	uint32_t nrelay = conf->ntokens;

	check_accounts(k);
	check_tokens(k);
	check_steering(k);
	conf->listen_default.smtp.hostname = conf->hostname;
	if (!check_is_given(k, "message_size_max"))
		size.at = SPOT(k, SL("spool_segment")).at;
	check_size(k, &conf->listen_default, size);
	make_local_door(conf);
	for (uint32_t i = 0; i < conf->nlisten; i++) {
		check_listen(k, i);
		nrelay += conf->listen[i].nrelay_from;
	}
	if (conf->nlisten == 0 && conf->sendmail.drop.n == 0)
		check_odd(k, SPOT(k, SL("listen")),
		    "a place where mail comes in", slice_str(NULL));
	else if (nrelay == 0 && conf->sendmail.drop.n == 0)
		check_odd(k, SPOT(k, SL("listen")),
		    "relay_from in one of them, or only postmaster gets mail",
		    slice_str(NULL));
}
