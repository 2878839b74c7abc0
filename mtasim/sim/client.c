/*
 * sim/client.c - senders: each connects to the daemon's door now and then and
 * hands over what there is, through the real smtp_cli machine.
 *
 * A sender who was not told that a recipient was taken offers the message
 * again for that recipient; he cannot know whether it was.
 */
#include "sim/sim_i.h"

#define TXNS_MAX 2u
#define BATCH_MAX 12u

struct txn {
	uint32_t n, nrcpt;
	bool is_used;
	char sender[64];
	char address[LED_RCPTS_MAX][64];
	char orcpt[LED_RCPTS_MAX][32], envid[32];
	uint32_t k[LED_RCPTS_MAX];
	struct smtp_cli_rcpt rcpt[LED_RCPTS_MAX];
};

struct client {
	struct sim *s;
	uint32_t number;
	struct end *end;
	struct smtp_cli *cli;
	struct smtp_cli_conf conf;
	struct txn txn[TXNS_MAX];
	uint32_t running[TXNS_MAX], nrunning; /* in order */
	uint32_t body_at;                     /* next of running to send */
	uint32_t left;                        /* messages of this session */
	bool is_flushing;
	struct timer timer;
};

static void client_run(struct client *c, struct slice *in);

/* ---- messages ------------------------------------------------------------------------ */

static struct txn *
free_txn(struct client *c, uint32_t *at)
{
	for (*at = 0; *at < TXNS_MAX; ++*at)
		if (!c->txn[*at].is_used)
			return &c->txn[*at];
	return NULL;
}

/* Takes the next message into the machine; false when there is none. */
static bool
begin(struct client *c)
{
	uint32_t at, n;
	struct txn *t = free_txn(c, &at);
	struct smtp_cli_txn m = { .cookie = at };
	bool *open;

	if (!t || c->left == 0 || (n = sim_load_next(c->s)) == 0)
		return false;
	c->left--;
	t->is_used = true;
	t->n = n;
	t->nrcpt = 0;
	open = sim_load_open(c->s, n);
	for (uint32_t k = 0; k < sim_load_rcpts(c->s, n); k++) {
		if (!open[k])
			continue;
		sim_load_address(c->s, n, k, t->address[t->nrcpt],
		    sizeof(t->address[0]));
		t->k[t->nrcpt] = k;
		t->rcpt[t->nrcpt] = (struct smtp_cli_rcpt){
			.address = slice_str(t->address[t->nrcpt]),
			.notify = sim_wish_notify(c->s, n, k),
			.orcpt = sim_wish_orcpt(c->s, n, k, t->orcpt[t->nrcpt])
		};
		t->nrcpt++;
	}
	sim_load_sender(c->s, n, t->sender, sizeof(t->sender));
	m.sender = slice_str(t->sender);
	m.flags = sim_wish_ret(c->s, n);
	m.envid = sim_wish_envid(c->s, n, t->envid);
	m.rcpts = t->rcpt;
	m.nrcpt = t->nrcpt;
	if (n % 2 && sim_load_is_too_big(c->s, n))
		m.size = sim_load_body(c->s, n).n;
	c->running[c->nrunning++] = at;
	smtp_cli_begin(c->cli, &m, c->s->now_us);
	return true;
}

static void
finish(struct client *c)
{
	const struct smtp_cli_result *r = smtp_cli_result(c->cli);
	struct txn *t = &c->txn[r->cookie];
	bool *open = sim_load_open(c->s, t->n);

	ASSERT(t->is_used && r->n == t->nrcpt);
	for (uint32_t i = 0; i < t->nrcpt; i++) {
		const struct smtp_cli_answer *a = &r->rcpt[i];
		struct slice text = slice_of(r->text + a->text_at, a->text_n);

		if (a->outcome.klass == OUTCOME_DELIVERED) {
			if (slice_has_prefix(text, SL("Queued as ")))
				text = slice_skip(text, 10);
			led_heard_250(c->s->ledger, t->n, t->k[i], text);
			led_wished(c->s->ledger, t->k[i], t->rcpt[i].notify,
			    text);
			open[t->k[i]] = false;
		} else if (a->outcome.klass == OUTCOME_BOUNCED &&
		    a->outcome.code == 552 && sim_load_is_too_big(c->s, t->n)) {
			c->s->marks->n[MARK_too_big_refused]++;
			open[t->k[i]] = false;
		} else if (a->outcome.klass == OUTCOME_BOUNCED) {
			check_fail("the door takes what is in order", t->n,
			    "m%u r%u is refused for good: %u %.*s|nothing is "
			    "wrong with it",
			    t->n, t->k[i], a->outcome.code, SLF(text));
		} else if (a->outcome.code == 452 &&
		    a->outcome.stage == STAGE_RCPT) {
			c->s->marks->n[MARK_queue_full_452]++;
		} else if (a->outcome.code == 452 &&
		    a->outcome.stage == STAGE_MAIL) {
			c->s->marks->n[MARK_disk_full_452]++;
		}
	}
	sim_load_again(c->s, t->n);
	t->is_used = false;
	for (uint32_t i = 1; i < c->nrunning; i++)
		c->running[i - 1] = c->running[i];
	c->nrunning--;
	c->body_at -= c->body_at > 0;
}

static void
send_body(struct client *c)
{
	struct txn *t;
	struct slice body;

	ASSERT(c->body_at < c->nrunning);
	t = &c->txn[c->running[c->body_at++]];
	smtp_cli_body(c->cli, sim_load_header(c->s, t->n), true, false,
	    c->s->now_us);
	body = sim_load_body(c->s, t->n);
	smtp_cli_body(c->cli, body, true, true, c->s->now_us);
}

/* ---- the session ------------------------------------------------------------------------ */

static void
client_down(struct client *c)
{
	struct rng *r = dice(c->s, DICE_CLIENT);

	if (c->end) {
		end_close(c->end);
		c->end = NULL;
	}
	smtp_cli_free(c->cli);
	c->cli = NULL;
	ASSERT(c->nrunning == 0);
	sim_timer_set(c->s, &c->timer,
	    c->s->now_us + rng_range(r, US_PER_MS, 20 * US_PER_S));
}

static void
client_flush(struct client *c)
{
	struct slice none = { "", 0 };

	if (c->is_flushing || !c->cli || !c->end)
		return;
	c->is_flushing = true;
	while (c->cli && c->end && smtp_cli_out(c->cli)->n) {
		if (!end_send(c->end, smtp_cli_out(c->cli)))
			break;
		smtp_cli_flushed(c->cli, c->s->now_us);
		client_run(c, &none);
	}
	c->is_flushing = false;
	if (c->cli && c->end)
		end_deadline(c->end, smtp_cli_deadline(c->cli));
}

static void
more(struct client *c)
{
	while (smtp_cli_room(c->cli) > 0 && begin(c))
		continue;
	if (c->left == 0 && c->nrunning == 0)
		smtp_cli_quit(c->cli, c->s->now_us);
}

static bool
act(struct client *c, enum smtp_cli_act what)
{
	switch (what) {
	case CLI_NEED_INPUT:
	case CLI_STARTTLS:
	case CLI_AUTH:
		return false;
	case CLI_UP:
		more(c);
		return true;
	case CLI_BODY:
		send_body(c);
		return true;
	case CLI_RESULT:
		finish(c);
		more(c);
		return true;
	case CLI_DOWN:
		client_down(c);
		return false;
	}
	return false;
}

static void
client_run(struct client *c, struct slice *in)
{
	while (c->cli && act(c, smtp_cli_step(c->cli, in, c->s->now_us)))
		continue;
	client_flush(c);
}

static size_t
on_data(void *user, struct slice data)
{
	struct client *c = user;
	struct slice left = data;

	if (c->cli)
		client_run(c, &left);
	return c->cli ? data.n - left.n : data.n;
}

static void
on_connect(void *user, int err)
{
	struct client *c = user;

	if (err) {
		end_close(c->end);
		c->end = NULL;
		sim_timer_set(c->s, &c->timer,
		    c->s->now_us +
			rng_range(dice(c->s, DICE_CLIENT), US_PER_S,
			    20 * US_PER_S));
		return;
	}
	c->cli = smtp_cli_new(&c->conf, c->s->now_us);
	c->body_at = c->nrunning = 0;
	end_deadline(c->end, smtp_cli_deadline(c->cli));
}

static void
on_drained(void *user)
{
	struct client *c = user;
	struct slice none = { "", 0 };

	if (!c->cli)
		return;
	client_flush(c);
	if (c->cli)
		client_run(c, &none);
}

static void
on_gone(void *user, int err)
{
	struct client *c = user;
	struct slice none = { "", 0 };

	(void)err;
	if (!c->cli)
		return;
	smtp_cli_gone(c->cli, SL("gone"), c->s->now_us);
	client_run(c, &none);
}

static void
on_deadline(void *user)
{
	struct client *c = user;
	struct slice none = { "", 0 };

	if (!c->cli)
		return;
	smtp_cli_timeout(c->cli, c->s->now_us);
	client_run(c, &none);
}

static const struct end_ops ops = {
	.on_data = on_data,
	.on_connect = on_connect,
	.on_drained = on_drained,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

static bool
is_badly(struct client *c, uint32_t weight)
{
	return sim_has(c->s, SIM_F_bad_clients) &&
	    sim_chance(c->s, DICE_CLIENT, weight * c->s->plan.badness);
}

/* Goes to the door when there is something to hand over. */
static void
on_timer(void *arg)
{
	struct client *c = arg;
	struct sim *s = c->s;
	struct rng *r = dice(s, DICE_CLIENT);
	struct link_conf lc = { .latency_us = rng_range(r, 20, 3000) };

	if (c->cli || c->end || sim_load_is_done(s))
		return;
	c->left = 1 + (uint32_t)rng_below(r, BATCH_MAX);
	if (is_badly(c, 4)) {
		lc.reset_after = 1 + rng_below(r, 6000);
		s->marks->n[MARK_client_broke_off]++;
	}
	if (is_badly(c, 1))
		lc.silent_after = 1 + rng_below(r, 6000);
	if (is_badly(c, 2))
		lc.drip_us = rng_range(r, 10, 20000);
	c->end = host_connect(s, &lc, c->number, &ops, c);
	end_deadline(c->end, s->now_us + 30 * US_PER_S);
}

void
clients_wake(struct sim *s)
{
	uint64_t first = rng_below(dice(s, DICE_CLIENT), s->plan.nclients);

	for (uint32_t i = 0; i < s->plan.nclients; i++) {
		struct client *c = &s->clients[(first + i) % s->plan.nclients];

		if (c->cli || c->end || heap_has(&c->timer.node))
			continue;
		sim_timer_set(s, &c->timer,
		    s->now_us +
			(int64_t)rng_below(dice(s, DICE_CLIENT), 2 * US_PER_S));
		return;
	}
}

void
clients_make(struct sim *s)
{
	s->clients = mem_get(s->plan.nclients * sizeof(*s->clients));
	for (uint32_t i = 0; i < s->plan.nclients; i++) {
		struct client *c = &s->clients[i];

		c->s = s;
		c->number = i;
		smtp_cli_conf_default(&c->conf);
		c->conf.ehlo_name = SL("client.example");
		c->conf.pipelines = rng_below(dice(s, DICE_CLIENT), 4) != 0;
		c->conf.chains = rng_below(dice(s, DICE_CLIENT), 2) != 0;
		sim_timer_init(&c->timer, on_timer, c, "client");
	}
}

void
clients_free(struct sim *s)
{
	for (uint32_t i = 0; i < s->plan.nclients; i++) {
		sim_timer_cancel(s, &s->clients[i].timer);
		if (s->clients[i].cli)
			smtp_cli_free(s->clients[i].cli);
	}
	mem_free(s->clients);
}
