/*
 * Each shipped provider against a receiver that keeps the limit that is known of
 * it, once with the provider's entry and once without: the real engine, in
 * virtual time. With it the receiver has nothing to refuse; without it has, or
 * mail goes slower than it would let it.
 *
 * The receiver counts as such receivers do: connections and messages of one
 * address, recipients of a connection, messages of a period. One that blocks
 * does so from the second minute on, for as long as is said of it; what counts
 * then is how often it was tried in vain.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "conf/shaping.h"
#include "relay/core_i.h"

#define MINUTE (60 * US_PER_S)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define RTT_US (20 * US_PER_MS)
#define TAKES_US (50 * US_PER_MS) /* a message */
#define SESSIONS 128u
#define AHEAD 8u
#define SITES 3u
#define TEXT_MAX (256u << 10)
#define PEER_BURST 5

enum keeps {
	KEEPS_CONNS,   /* connections of an address; 421 to one more */
	KEEPS_MSGS,    /* messages of a connection; 421 to the next */
	KEEPS_RCPTS,   /* recipients of a connection; 452, then 421 */
	KEEPS_RATE,    /* messages an hour */
	KEEPS_BLOCK,   /* minutes that it stays shut */
	KEEPS_ROOM_FOR /* connections: it would take more than the default */
};

static const struct line {
	const char *provider, *host;
	enum keeps keeps;
	uint32_t limit;
	uint32_t nsites; /* 0 = 1 */
} lines[] = {
	{ "gmail", "mx.l.google.com", KEEPS_CONNS, 5, 3 },
	{ "yahoo", "mta5.am0.yahoodns.net", KEEPS_MSGS, 20, 0 },
	{ "yahoo-japan", "mx1.mail.yahoo.co.jp", KEEPS_CONNS, 2, 0 },
	{ "outlook", "x.olc.protection.outlook.com", KEEPS_CONNS, 5, 0 },
	{ "exchange-online", "x.mail.protection.outlook.com", KEEPS_CONNS, 5,
	    0 },
	{ "icloud", "mx01.mail.icloud.com", KEEPS_MSGS, 5, 0 },
	{ "comcast", "mx1.comcast.net", KEEPS_ROOM_FOR, 25, 0 },
	{ "att", "mx.prodigy.net", KEEPS_RATE, 600, 0 },
	{ "cox", "mx.cox.net", KEEPS_CONNS, 5, 0 },
	{ "socketlabs", "mx.socketlabs.com", KEEPS_MSGS, 50, 0 },
	{ "orange", "smtp-in.orange.fr", KEEPS_CONNS, 2, 0 },
	{ "laposte", "mx.laposte.net", KEEPS_CONNS, 2, 0 },
	{ "sfr", "smtp-in.sfr.fr", KEEPS_BLOCK, 120, 0 },
	{ "free", "mx1.free.fr", KEEPS_CONNS, 3, 0 },
	{ "gmx", "mx00.gmx.net", KEEPS_CONNS, 4, 0 },
	{ "kpn", "mx.kpnmail.nl", KEEPS_MSGS, 10, 0 },
	{ "libero", "smtp-in.libero.it", KEEPS_MSGS, 10, 0 },
	{ "tiscali-uk", "mx.tiscali.co.uk", KEEPS_MSGS, 14, 0 },
	{ "wp", "mx.wp.pl", KEEPS_RATE, 200, 0 },
	{ "onet", "mx.onet.pl", KEEPS_CONNS, 5, 0 },
	{ "interia", "mx.interia.pl", KEEPS_CONNS, 10, 0 },
	{ "simply", "mx.simply.com", KEEPS_RATE, 300 * 60, 0 },
	{ "mailru", "mxs.mail.ru", KEEPS_CONNS, 10, 0 },
	{ "yandex", "mx.yandex.ru", KEEPS_BLOCK, 10, 0 },
	{ "nic-ru", "mx.nic.ru", KEEPS_BLOCK, 10, 0 },
	{ "netvision", "mx.netvision.net.il", KEEPS_CONNS, 2, 0 },
	{ "qq", "mx1.qq.com", KEEPS_MSGS, 8, 0 },
	{ "netease", "163mx01.mxmail.netease.com", KEEPS_MSGS, 7, 0 },
	{ "sina", "mx.sina.com.cn", KEEPS_MSGS, 3, 0 },
	{ "sohu", "mx.sohu.com", KEEPS_MSGS, 3, 0 },
	{ "21cn", "mx.21cn.com", KEEPS_MSGS, 3, 0 },
	{ "tom", "mx.tom.com", KEEPS_MSGS, 3, 0 },
	{ "citiz", "mx.citiz.net", KEEPS_CONNS, 19, 0 },
	{ "netvigator", "mx.netvigator.com", KEEPS_CONNS, 5, 0 },
	{ "docomo", "mfsmax.docomo.ne.jp", KEEPS_RCPTS, 100, 0 },
	{ "au", "mx.ezweb.ne.jp", KEEPS_CONNS, 5, 0 },
	{ "bigpond", "mx.bigpond.com", KEEPS_RATE, 7500, 0 },
	{ "iinet", "mx.iinet.net.au", KEEPS_MSGS, 20, 0 },
	{ "eftel", "mx.eftel.com", KEEPS_MSGS, 10, 0 },
	{ "mimecast", "eu-1.mimecast.com", KEEPS_CONNS, 10, 0 },
	{ "barracuda", "d1.ess.barracudanetworks.com", KEEPS_MSGS, 15, 0 },
	{ "proofpoint-essentials", "mx1.ppe-hosted.com", KEEPS_RATE, 500 * 60,
	    0 },
	{ "godaddy", "smtp.secureserver.net", KEEPS_BLOCK, 60, 0 },
	{ "facebook", "mx.facebook.com", KEEPS_BLOCK, 60, 0 },
	{ "telenet", "mx.telenet.be", KEEPS_BLOCK, 15, 0 },
};

/* ---- the world --------------------------------------------------------------- */

struct txn {
	struct handle h;
	uint16_t n;
};

struct sess {
	struct handle h;
	int64_t at_us; /* its next event */
	bool is_up, is_closing;
	uint32_t nmsgs, nrcpts, ntxns;
	struct txn txn[AHEAD];
};

struct world {
	const struct line *line;
	struct core core; /* its names, and no more */
	struct conf *conf;
	struct eng_policy *policy;
	struct eng *e;
	struct eng_cmds cmds;
	struct eng_event todo[256];
	uint32_t ntodo;
	int64_t now, end_us;
	uint32_t nsess, most, refused, delivered;
	struct sess sess[SESSIONS];
	int64_t credit_us; /* of the receiver's rate */
};

static void
later(struct world *w, const struct eng_event *ev)
{
	assert_true(w->ntodo < ARRAY_LEN(w->todo));
	w->todo[w->ntodo++] = *ev;
}

static bool
is_shut(const struct world *w)
{
	return w->line->keeps == KEEPS_BLOCK && w->now >= MINUTE &&
	    w->now < MINUTE + w->line->limit * MINUTE;
}

static struct sess *
sess_of(struct world *w, struct handle h)
{
	for (uint32_t i = 0; i < w->nsess; i++)
		if (handle_eq(w->sess[i].h, h))
			return &w->sess[i];
	return NULL;
}

static void
down(struct world *w, struct sess *s, enum stage stage)
{
	struct eng_event ev = { .kind = EV_SESSION_DOWN };

	ev.down.session = s->h;
	ev.down.outcome.klass =
	    stage == STAGE_QUIT ? OUTCOME_DELIVERED : OUTCOME_TRANSIENT;
	ev.down.outcome.stage = (uint8_t)stage;
	ev.down.outcome.code = stage == STAGE_QUIT ? 221 : 421;
	later(w, &ev);
	*s = w->sess[--w->nsess];
}

static uint32_t
up_now(const struct world *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->nsess; i++)
		n += w->sess[i].is_up;
	return n;
}

static void
greet(struct world *w, struct sess *s)
{
	struct eng_event ev = { .kind = EV_SESSION_UP };
	bool counts =
	    w->line->keeps == KEEPS_CONNS || w->line->keeps == KEEPS_ROOM_FOR;

	if (is_shut(w) || (counts && up_now(w) >= w->line->limit)) {
		w->refused++;
		down(w, s, STAGE_BANNER);
		return;
	}
	s->is_up = true;
	s->at_us = s->ntxns != 0 ? w->now + TAKES_US : TIME_NEVER;
	w->most = MAX(w->most, up_now(w));
	ev.up.session = s->h;
	later(w, &ev);
}

/* Messages an hour, and a few at once. */
static bool
has_credit(struct world *w)
{
	int64_t each = HOUR / w->line->limit;

	w->credit_us = MAX(w->credit_us, w->now - PEER_BURST * each);
	if (w->credit_us + each > w->now)
		return false;
	w->credit_us += each;
	return true;
}

static bool
takes(struct world *w, struct sess *s, const struct txn *t)
{
	const struct line *l = w->line;

	s->nmsgs++;
	s->nrcpts += t->n;
	switch (l->keeps) {
	case KEEPS_MSGS:
		return s->nmsgs <= l->limit;
	case KEEPS_RCPTS:
		return s->nrcpts <= l->limit;
	case KEEPS_RATE:
		return has_credit(w);
	case KEEPS_BLOCK:
		return !is_shut(w);
	case KEEPS_CONNS:
	case KEEPS_ROOM_FOR:
		break;
	}
	return true;
}

/* The first of its transactions is answered. */
static void
answer(struct world *w, struct sess *s)
{
	struct eng_event ev = { .kind = EV_RESULT };
	struct txn t = s->txn[0];
	bool ok = takes(w, s, &t);

	memmove(s->txn, s->txn + 1, --s->ntxns * sizeof(t));
	ev.result.session = s->h;
	ev.result.txn = t.h;
	ev.result.is_sent = true;
	ev.result.n = t.n;
	for (uint16_t i = 0; i < t.n; i++) {
		ev.result.rcpt[i].klass =
		    ok ? OUTCOME_DELIVERED : OUTCOME_TRANSIENT;
		ev.result.rcpt[i].code = ok ? 250 : 421;
		ev.result.rcpt[i].stage = ok ? STAGE_EOM : STAGE_MAIL;
	}
	later(w, &ev);
	w->delivered += ok;
	w->refused += !ok;
	if (!ok)
		down(w, s, STAGE_MAIL);
	else if (s->ntxns == 0 && s->is_closing)
		down(w, s, STAGE_QUIT);
	else
		s->at_us = s->ntxns != 0 ? w->now + TAKES_US : TIME_NEVER;
}

/* ---- what the engine asks ------------------------------------------------------ */

static uint32_t
name_of(struct world *w, const char *fmt, uint32_t i)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "%u.%s", i, fmt);

	return names_take(&w->core.names, slice_of(text, (size_t)n));
}

static void
resolve(struct world *w, uint32_t domain)
{
	struct eng_event ev = { .kind = EV_RESOLVED };
	struct ev_resolved *v = &ev.resolved;
	struct conf_place p;
	struct slice host;
	uint32_t i = 0;

	while (name_of(w, "to.example", i) != domain)
		i++;
	v->domain = domain;
	v->ttl_us = DAY;
	v->ntargets = 1;
	v->target[0].host = name_of(w, w->line->host, i);
	v->target[0].port = 25;
	v->target[0].ip =
	    (struct ip){ .family = 4, .b = { 192, 0, 2, (uint8_t)(i + 1) } };
	host = names_text(&w->core.names, v->target[0].host);
	conf_place(w->conf, names_text(&w->core.names, domain), &host, 1, &p);
	v->where.provider = (uint16_t)p.provider;
	later(w, &ev);
}

static void
on_open(struct world *w, const struct eng_cmd *c)
{
	assert_true(w->nsess < SESSIONS);
	w->sess[w->nsess++] =
	    (struct sess){ .h = c->open.session, .at_us = w->now + RTT_US };
}

static void
on_assign(struct world *w, const struct eng_cmd *c)
{
	struct sess *s = sess_of(w, c->assign.session);

	if (s == NULL)
		return; /* it is down, the engine hears of it next */
	assert_true(s->ntxns < AHEAD);
	if (s->is_up && s->ntxns == 0)
		s->at_us = w->now + TAKES_US;
	s->txn[s->ntxns++] = (struct txn){ c->assign.txn, c->assign.n };
}

static void
on_close(struct world *w, struct handle h)
{
	struct sess *s = sess_of(w, h);

	if (s == NULL)
		return;
	s->is_closing = true;
	if (s->ntxns == 0)
		down(w, s, STAGE_QUIT);
}

static void
step(struct world *w, const struct eng_event *ev)
{
	w->cmds.n = 0;
	eng_step(w->e, ev, w->now, &w->cmds);
	for (uint32_t i = 0; i < w->cmds.n; i++) {
		const struct eng_cmd *c = &w->cmds.v[i];

		if (c->kind == CMD_RESOLVE)
			resolve(w, c->domain);
		else if (c->kind == CMD_OPEN)
			on_open(w, c);
		else if (c->kind == CMD_ASSIGN)
			on_assign(w, c);
		else if (c->kind == CMD_CLOSE)
			on_close(w, c->close);
	}
}

static void
send(struct world *w, uint32_t msg, uint16_t nrcpt, uint32_t pool)
{
	struct eng_event ev = { .kind = EV_MESSAGE };
	uint32_t nsites = MAX(w->line->nsites, 1u);

	ev.message = (struct ev_message){ .msg = msg,
		.nrcpt = nrcpt,
		.pool = pool,
		.arrival_us = w->now,
		.expires_us = w->now + 5 * DAY };
	step(w, &ev);
	for (uint16_t i = 0; i < nrcpt; i++) {
		ev = (struct eng_event){ .kind = EV_RECIPIENT };
		ev.recipient.msg = msg;
		ev.recipient.rcpt = i;
		ev.recipient.domain = name_of(w, "to.example", msg % nsites);
		step(w, &ev);
	}
}

static void
run(struct world *w)
{
	struct eng_event tick = { .kind = EV_TICK }, ev;

	while (w->now < w->end_us) {
		int64_t next = w->end_us;

		while (w->ntodo != 0) {
			ev = w->todo[0];
			memmove(w->todo, w->todo + 1, --w->ntodo * sizeof(ev));
			step(w, &ev);
		}
		for (uint32_t i = 0; i < w->nsess && w->ntodo == 0; i++) {
			struct sess *s = &w->sess[i];

			if (s->at_us > w->now)
				next = MIN(next, s->at_us);
			else if (s->is_up)
				answer(w, s);
			else
				greet(w, s);
		}
		if (w->ntodo != 0)
			continue;
		if (eng_deadline(w->e) <= w->now)
			step(w, &tick);
		else
			w->now = MIN(next, eng_deadline(w->e));
	}
	eng_check(w->e);
}

/* ---- with and without ---------------------------------------------------------- */

static void
say(void *ctx, const char *text)
{
	(void)ctx;
	print_message("%s\n", text);
}

/* The shipped limits, but for that provider's where one is named. */
static struct conf *
conf_of(const char *without)
{
	static char text[TEXT_MAX];
	const char *name = "share/rules/shaping.yml";
	struct conf_errors errs = { .report = say };
	struct slice shipped = { text, 0 };
	struct conf_shaping_in in = { .n = 1,
		.names = &name,
		.texts = &shipped };
	FILE *f = fopen(name, "r");
	char own[256] = "hostname: mx.example\n"
			"source: { a: { address: 192.0.2.200 } }\n";

	assert_non_null(f);
	shipped.n = fread(text, 1, sizeof(text), f);
	assert_true(shipped.n > 0 && shipped.n < sizeof(text));
	fclose(f);
	if (without != NULL)
		snprintf(own + strlen(own), sizeof(own) - strlen(own),
		    "provider: { %s: ~ }\n", without);
	return conf_parse_with("own.yml", slice_str(own), &in, &errs);
}

struct seen {
	uint32_t most, refused, delivered;
};

/* As much as lets the limit be met, and time enough for it. */
static void
load(struct world *w)
{
	uint32_t pool = core_tag(&w->core, w->conf->default_pool), n = 600;
	uint16_t nrcpt = 1;

	w->end_us = w->now + HOUR;
	if (w->line->keeps == KEEPS_RCPTS)
		nrcpt = 30;
	if (w->line->keeps == KEEPS_MSGS)
		n = MAX(n, 40 * w->line->limit);
	if (w->line->keeps == KEEPS_BLOCK) {
		n = 36; /* one each five minutes */
	}
	for (uint32_t i = 0; i < n; i++) {
		send(w, i + 1, nrcpt, pool);
		if (w->line->keeps != KEEPS_BLOCK)
			continue;
		w->end_us = w->now + 5 * MINUTE;
		run(w);
	}
	run(w);
}

static struct seen
seen_of(const struct line *l, bool with)
{
	struct eng_limits limits = { 100000, 100000, 1000, 1000, SESSIONS };
	struct world *w = calloc(1, sizeof(*w));
	struct seen out;

	w->line = l;
	w->conf = conf_of(with ? NULL : l->provider);
	assert_non_null(w->conf);
	names_init(&w->core.names, 1, 100000);
	w->policy = core_policy_compile(&w->core, w->conf);
	assert_non_null(w->policy);
	w->now = US_PER_S;
	w->credit_us = -DAY;
	w->e = eng_new(w->policy, &limits, 1, w->now);
	assert_non_null(w->e);
	load(w);
	out = (struct seen){ w->most, w->refused, w->delivered };
	eng_free(w->e);
	eng_cmds_free(&w->cmds);
	mem_free(w->policy);
	names_free(&w->core.names);
	mem_free(w->core.kinds);
	conf_free(w->conf);
	free(w);
	return out;
}

static bool
changes(const struct line *l, struct seen with, struct seen without)
{
	switch (l->keeps) {
	case KEEPS_ROOM_FOR:
		return with.refused == 0 && with.most == l->limit &&
		    without.most < l->limit;
	case KEEPS_BLOCK:
		return with.refused < without.refused;
	case KEEPS_CONNS:
	case KEEPS_MSGS:
	case KEEPS_RCPTS:
	case KEEPS_RATE:
		break;
	}
	return with.refused == 0 && with.delivered > 0 && without.refused > 0;
}

static void
each_entry_makes_a_difference(void **state)
{
	uint32_t nwrong = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		const struct line *l = &lines[i];
		struct seen with = seen_of(l, true);
		struct seen without = seen_of(l, false);
		bool ok = changes(l, with, without);

		print_message("# %-22s refused %u, at most %u open, %u taken; "
			      "without it %u, %u, %u%s\n",
		    l->provider, with.refused, with.most, with.delivered,
		    without.refused, without.most, without.delivered,
		    ok ? "" : "  <- WRONG");
		nwrong += !ok;
	}
	assert_int_equal(nwrong, 0);
}

/* Who has a limit has a line. */
static void
each_limit_is_tried(void **state)
{
	struct conf *c = conf_of(NULL);
	uint32_t n = 0;

	(void)state;
	assert_non_null(c);
	for (uint32_t i = 1; i < c->nproviders; i++) {
		const struct conf_provider *p = &c->providers[i];
		struct conf_place place = { .provider = i }, none = { 0 };
		struct conf_limits l, dflt;
		size_t k = 0;

		conf_limits(c, &place, UINT32_MAX, &l);
		conf_limits(c, &none, UINT32_MAX, &dflt);
		if (memcmp(&l.shape, &dflt.shape, sizeof(dflt.shape)) == 0 &&
		    p->source.conns_max == 0)
			continue;
		while (k < ARRAY_LEN(lines) &&
		    !slice_eq(slice_str(lines[k].provider), p->name))
			k++;
		if (k == ARRAY_LEN(lines))
			print_message("# no line for %.*s\n", SLF(p->name));
		assert_true(k < ARRAY_LEN(lines));
		n++;
	}
	assert_true(n >= 40);
	conf_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_limit_is_tried),
		cmocka_unit_test(each_entry_makes_a_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
