/*
 * sim/host_react.c - what the referee of reactions hears, in its own numbers.
 */
#include <stdio.h>

#include "sim/host_i.h"

#define ROWS_MAX 512u

/* The number behind the last of these words; STD_NONE: it is not there. */
static uint32_t
number_behind(struct slice text, const char *word)
{
	size_t n = strlen(word);
	uint32_t found = STD_NONE;

	for (; text.n > n; text = slice_skip(text, 1)) {
		if (memcmp(text.p, word, n) != 0 || !ascii_is_digit(text.p[n]))
			continue;
		found = 0;
		for (size_t i = n; i < text.n && ascii_is_digit(text.p[i]); i++)
			found = found * 10 + (uint32_t)(text.p[i] - '0');
	}
	return found;
}

/* One digit behind a letter, as tenants, campaigns and pools have. */
static uint32_t
digit(struct slice name)
{
	return name.n == 2 ? (uint32_t)(name.p[1] - '0') : STD_NONE;
}

/* "mx1.g3.example", as a host or a domain of its site, of which there are `many`. */
static uint32_t
place_of(struct slice name, uint32_t many)
{
	unsigned number, site;
	char text[64];

	slice_copy(name, text, sizeof(text));
	return sscanf(text, "%*[a-z]%u.g%u.example", &number, &site) == 2 ?
	    site * many + number :
	    STD_NONE;
}

static struct std_who
who_of(const struct slice val[DIM_N])
{
	return (
	    struct std_who){ .val = {
				 [STD_SOURCE] =
				     number_behind(val[DIM_SOURCE], "s"),
				 [STD_NETBLOCK] =
				     number_behind(val[DIM_NETBLOCK], "10.0."),
				 [STD_SITE] =
				     number_behind(val[DIM_SITE], ".g"),
				 [STD_PROVIDER] =
				     number_behind(val[DIM_PROVIDER], "v"),
				 [STD_HOST] =
				     place_of(val[DIM_HOST], SIM_HOSTS),
				 [STD_TENANT] = digit(val[DIM_TENANT]),
				 [STD_CAMPAIGN] = digit(val[DIM_CAMPAIGN]),
				 [STD_POOL] = digit(val[DIM_POOL]),
				 [STD_SENDER] = place_of(val[DIM_SENDER_DOMAIN],
				     SIM_DOMAINS),
			     } };
}

static uint32_t
rows_of(const struct host *h, struct std_row *v)
{
	static struct core_standing all[ROWS_MAX];
	uint32_t n = core_standings(h->core, all, ROWS_MAX);

	ASSERT(n < ROWS_MAX);
	for (uint32_t i = 0; i < n; i++)
		v[i] = (struct std_row){ .rule = all[i].rule,
			.dims = all[i].dims,
			.who = who_of(all[i].val),
			.until_us = all[i].until_us };
	return n;
}

/* What of the books is durable. */
static uint32_t
kept_rows(const struct host *h, struct std_row *v)
{
	const struct sim *s = h->s;
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->keep.kept.n && n < ROWS_MAX; i++) {
		const struct kept *k = shelf_at(&h->keep.kept, i);
		struct slice val[DIM_N] = { { NULL, 0 } };
		uint32_t at = 2;

		if (k == NULL || k->book != BOOK_STANDING)
			continue;
		for (int d = 0; d < DIM_N; d++)
			if (k->sub >> d & 1 && at < k->nkeys)
				val[d] = k->key[at++];
		v[n++] = (struct std_row){ .rule = k->key[0],
			.dims = (uint16_t)k->sub,
			.who = who_of(val),
			/* The third of an entry's times. */
			.until_us = k->v[2] - sim_wall(s) + s->now_us };
	}
	return n;
}

void
react_opened(struct host *h, const struct core_open *o, uint32_t source,
    uint32_t site, uint32_t number)
{
	struct std_who w = { .val = { [STD_SOURCE] = source,
				 [STD_NETBLOCK] = plan_netblock(source),
				 [STD_SITE] = site,
				 [STD_PROVIDER] = plan_provider(site),
				 [STD_HOST] = site * SIM_HOSTS + number } };

	for (int v = STD_TENANT; v < STD_VALS; v++)
		w.val[v] = STD_NONE;
	if (w.val[STD_PROVIDER] == MET_NONE)
		w.val[STD_PROVIDER] = STD_NONE;
	w.place = o->place;
	if (sim_has(h->s, SIM_F_reactions))
		std_opened(h->s->stands, o->session.index, &w, h->s->now_us);
}

/* The ledger has the fourth for no name. */
static uint32_t
known(uint32_t number)
{
	return number == 3 ? STD_NONE : number;
}

static struct std_who
mail_of(const struct led_flow *f)
{
	return (struct std_who){
		.val = { [STD_TENANT] = f->has_tenant ? f->tenant : STD_NONE,
		    [STD_CAMPAIGN] = known(f->campaign),
		    [STD_POOL] = known(f->pool),
		    [STD_SENDER] = f->is_null ? STD_NONE : f->sender }
	};
}

void
react_outcome(struct host *h, struct handle slot, const struct spool_rcpt *r)
{
	struct led_flow f;
	struct std_who mail;
	uint32_t msg;

	if (!sim_has(h->s, SIM_F_reactions) || !r->is_final ||
	    r->outcome.klass != OUTCOME_BOUNCED ||
	    r->outcome.stage != STAGE_LOCAL ||
	    !led_flow_at(h->s->ledger, slot, &f, &msg))
		return;
	mail = mail_of(&f);
	std_bounced(h->s->stands, &mail, msg, h->s->now_us);
}

void
react_audit(struct host *h)
{
	struct led_flow f;
	uint64_t at = 0;
	uint32_t msg;

	if (!h->s->plan.reacts_by_mail)
		return;
	while (led_next_waiting(h->s->ledger, &at, &f, &msg)) {
		struct std_who mail = mail_of(&f);

		if (std_bounces(h->s->stands, &mail, h->s->now_us))
			check_fail("what a rule returns does not stay", msg,
			    "m%u waits|a rule that stands returns its mail",
			    msg);
	}
}

static struct std_txn
txn_of(struct host *h, const struct job *j, struct std_who *mail)
{
	struct led_flow f = { 3, 3, 3, true, 0, 0, false };

	led_flow(h->s->ledger, &j->id, &f);
	*mail = mail_of(&f);
	return (struct std_txn){ .session = j->session.index,
		.txn = j->txn.index,
		.mail = mail,
		.shape = plan_shape(h->s, lim_site(h->s->limits, j->session),
		    lim_source(h->s->limits, j->session)) };
}

/* Mail of a sticky pool goes where its domain sticks, which a reaction may have
 * moved, and its end moves back. */
static bool
is_of_sticky(const struct host *h, const struct job *j)
{
	uint32_t pool = led_pool(h->s->ledger, &j->id), any = 0;

	pool = pool < h->s->plan.npools ? pool : 0; /* it names none */

	for (uint32_t i = 0; i < SIM_CONFS; i++)
		any |= h->s->plan.sticky[i];
	return any >> pool & 1;
}

void
react_let_go(struct host *h, const struct job *j)
{
	struct ledger *l = h->s->ledger;
	bool sticks = is_of_sticky(h, j);

	for (uint16_t i = 0; i < j->n; i++) {
		uint16_t rcpt = j->rcpt[i].number;
		uint32_t source;
		int64_t since_us;

		if (!led_pinned(l, &j->id, rcpt, &source, &since_us))
			continue;
		if (!std_let_go(h->s->stands, source, plan_netblock(source),
			since_us) &&
		    !(sticks && std_has_moved(h->s->stands, since_us)))
			continue;
		h->s->marks->n[MARK_reaction_let_go] +=
		    source != lim_source(h->s->limits, j->session);
		led_let_go(l, &j->id, rcpt);
	}
}

void
react_assigned(struct host *h, const struct job *j)
{
	struct std_who mail;
	struct std_txn x;

	if (!sim_has(h->s, SIM_F_reactions))
		return;
	x = txn_of(h, j, &mail);
	std_assigned(h->s->stands, &x, h->s->now_us);
}

/* The path of a source that the configuration has no more reacts to nothing. */
static bool
is_source(const struct host *h, uint32_t source)
{
	for (uint32_t i = 0; i < h->conf->nsources; i++)
		if (number_behind(h->conf->sources[i].name, "s") == source)
			return true;
	return false;
}

static bool
hears(const struct host *h, struct handle session, uint64_t key)
{
	return sim_has(h->s, SIM_F_reactions) &&
	    key == h->conf->automation_key &&
	    lim_is_open(h->s->limits, session) &&
	    is_source(h, lim_source(h->s->limits, session));
}

void
react_result(struct host *h, const struct job *j, bool is_unsent)
{
	struct std_who mail;
	struct std_txn x;
	bool has_heard;

	if (!sim_has(h->s, SIM_F_reactions) ||
	    !lim_is_open(h->s->limits, j->session))
		return;
	x = txn_of(h, j, &mail);
	std_answered(h->s->stands, &x, is_unsent, h->s->now_us);
	/* What no rule of the present ones was asked about still counts. */
	has_heard = hears(h, j->session, j->heard_key);
	for (uint16_t k = 0; k < j->n; k++) {
		const struct outcome *o = &j->rcpt[k].outcome, *b = o;

		if (k > 0)
			b = &j->rcpt[k - 1].outcome;
		if (o->klass == OUTCOME_UNSENT ||
		    (k > 0 && o->stage != STAGE_RCPT && o->stage == b->stage &&
			o->code == b->code))
			continue;
		std_heard(h->s->stands, j->session.index, &x,
		    has_heard ? o->code : 0, j->rcpt[k].text, h->s->now_us);
	}
}

void
react_down(struct host *h, const struct post_session *p)
{
	if (hears(h, p->session, p->heard.key))
		std_heard(h->s->stands, p->session.index, NULL, p->outcome.code,
		    slice_str(p->text), h->s->now_us);
}

uint64_t
react_steps(const struct host *h)
{
	struct eng_totals t;

	core_totals(h->core, &t);
	return t.steps_total;
}

void
react_told(struct host *h, uint64_t steps)
{
	static struct std_row v[ROWS_MAX];

	if (!sim_has(h->s, SIM_F_reactions))
		return;
	std_told(h->s->stands, react_steps(h) != steps, v, rows_of(h, v),
	    h->s->now_us);
}

void
react_started(struct host *h)
{
	static struct std_row kept[ROWS_MAX], v[ROWS_MAX];
	uint32_t n = kept_rows(h, kept);

	std_conf(h->s->stands, h->conf);
	if (sim_has(h->s, SIM_F_reactions))
		std_started(h->s->stands, kept, n, v, rows_of(h, v),
		    h->s->now_us);
}

void
host_end_reaction(struct sim *s)
{
	static struct core_standing all[ROWS_MAX];
	struct host *h = s->host;
	struct std_row r;
	uint32_t n, at;

	if (!h->is_up)
		return;
	n = core_standings(h->core, all, ROWS_MAX);
	if (n == 0)
		return;
	at = (uint32_t)rng_below(dice(s, DICE_REACT), n);
	r = (struct std_row){ .rule = all[at].rule,
		.dims = all[at].dims,
		.who = who_of(all[at].val) };
	sim_fault(s, "end reaction", r.rule);
	core_clock(h->core, s->now_us, sim_wall(s));
	std_ended(s->stands, &r);
	if (core_end(h->core, all[at].id, SL("op"), SL("because")) != 0)
		check_fail("a reaction that is listed can be ended", 0,
		    "number %u is listed|and is none", all[at].id);
	actor_wake(&h->out);
}
