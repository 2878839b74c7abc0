/*
 * load.c - `mtasim load`: mail at a stated rate, whatever the target does.
 *
 * Open loop: message i is due at start + i / rate, fixed before the first one
 * is sent. When all connections are busy it waits, and its latency counts
 * from when it was due; the time from its actual start is recorded apart. How
 * late the generator itself noticed that a message was due is a third
 * histogram: when that is large, the result says nothing about the target.
 */
#include <unistd.h>

#include "load.h"
#include "mtasim.h"

#define CONNECTIONS_MAX 20000
#define STOP_US (2 * US_PER_S) /* for what is in flight at SIGTERM */
#define LAG_MAX_US (100 * US_PER_MS)
#define IDLE_MS 240000 /* less than a server's 5 minutes */
#define GRACE_US (30 * US_PER_S)

/* ---- options ------------------------------------------------------------------- */

static int
set_rate(void *into, const char *value, char *why, size_t why_cap)
{
	struct load *l = into;
	struct slice s = slice_str(value);

	l->rate_period_us = US_PER_S;
	if (slice_u64(s, 10000000, &l->rate_count) == 0 ||
	    parse_rate(s, &l->rate_count, &l->rate_period_us) == 0)
		return 0;
	snprintf(why, why_cap, "expected 500, 500/s or 6000/m (0: no limit)");
	return E_SYNTAX;
}

static int
set_size(void *into, const char *value, char *why, size_t why_cap)
{
	struct load *l = into;

	return mix_set_size(&l->mix, slice_str(value), why, why_cap);
}

static int
set_domains(void *into, const char *value, char *why, size_t why_cap)
{
	struct load *l = into;

	return mix_add_domains(&l->mix, slice_str(value), why, why_cap);
}

static int
set_tenant(void *into, const char *value, char *why, size_t why_cap)
{
	struct load *l = into;

	return mix_add_names(&l->mix.tenants, slice_str(value), why, why_cap);
}

static int
set_campaign(void *into, const char *value, char *why, size_t why_cap)
{
	struct load *l = into;

	return mix_add_names(&l->mix.campaigns, slice_str(value), why, why_cap);
}

static int
set_source(void *into, const char *value, char *why, size_t why_cap)
{
	struct load *l = into;

	snprintf(why, why_cap, "expected an address");
	return ip_parse(slice_str(value), &l->source);
}

static int
set_run(void *into, const char *value, char *why, size_t why_cap)
{
	struct load *l = into;

	l->has_run = true;
	snprintf(why, why_cap, "expected a number of 32 bits");
	return slice_u64(slice_str(value), UINT32_MAX, &l->run_no);
}

static int
set_slo(void *into, const char *value, char *why, size_t why_cap)
{
	static const struct {
		const char *name;
		uint32_t permyriad;
	} quantiles[] = {
		{ "p50", 5000 },
		{ "p90", 9000 },
		{ "p99", 9900 },
		{ "p99.9", 9990 },
		{ "max", 10000 },
	};
	struct load *l = into;
	struct slice limit = slice_str(value), name = slice_cut(&limit, '<');
	struct slo *slo = &l->slos[l->nslos];

	snprintf(why, why_cap,
	    "expected p50, p90, p99, p99.9 or max, <, and"
	    " a time");
	if (l->nslos == LOAD_SLOS_MAX)
		return E_FULL;
	slo->text = value;
	for (size_t i = 0; i < ARRAY_LEN(quantiles); i++)
		if (slice_eq(name, slice_str(quantiles[i].name)))
			slo->permyriad = quantiles[i].permyriad;
	if (slo->permyriad == 0)
		return E_SYNTAX;
	l->nslos++;
	return parse_duration(limit, &slo->limit_us);
}

#define AT(field) offsetof(struct load, field)

static const struct opt opts[] = {
	{ "target", "ADDR:PORT", OPT_ENDPOINT, AT(target), NULL,
	    "where to send" },
	{ "rate", "N[/TIME]", OPT_CALL, 0, set_rate,
	    "messages a second; 0 (default): as fast as it goes" },
	{ "count", "N", OPT_COUNT, AT(count), NULL, "messages, then end" },
	{ "seconds", "N", OPT_TIME, AT(seconds_us), NULL, "of sending" },
	{ "connections", "N", OPT_COUNT, AT(connections), NULL,
	    "at most at once (10)" },
	{ "per-connection", "N", OPT_COUNT, AT(per_connection), NULL,
	    "messages, then QUIT (0: no end)" },
	{ "size", "SIZE", OPT_CALL, 0, set_size,
	    "4K, 1K..64K or lognormal:MEDIAN:P99" },
	{ "domains", "LIST", OPT_CALL, 0, set_domains,
	    "a.example=3,d{1..10000}.example (weights)" },
	{ "recipients", "N", OPT_COUNT, AT(recipients), NULL,
	    "of each message (1)" },
	{ "from", "ADDRESS", OPT_TEXT, AT(sender), NULL,
	    "envelope sender; '' is the null sender" },
	{ "tenant", "LIST", OPT_CALL, 0, set_tenant, "X-MTA-Tenant" },
	{ "campaign", "LIST", OPT_CALL, 0, set_campaign, "X-MTA-Campaign" },
	{ "source", "ADDR", OPT_CALL, 0, set_source, "connect from there" },
	{ "ehlo", "NAME", OPT_TEXT, AT(ehlo), NULL, "(load.example)" },
	{ "tls", NULL, OPT_FLAG, AT(wants_tls), NULL,
	    "STARTTLS where it is offered" },
	{ "no-pipelining", NULL, OPT_FLAG, AT(no_pipelining), NULL,
	    "one command at a time" },
	{ "chain", NULL, OPT_FLAG, AT(chains), NULL,
	    "the next message in the same write as the final dot" },
	{ "journal", "FILE", OPT_TEXT, AT(journal_path), NULL,
	    "what became of each message, for mtasim verify" },
	{ "grace", "TIME", OPT_TIME, AT(grace_us), NULL,
	    "without any progress, then give up (30s)" },
	{ "slo", "QUANTILE<TIME", OPT_CALL, 0, set_slo,
	    "exit 1 if missed: p99<50ms" },
	{ "lag-max", "TIME", OPT_TIME, AT(lag_max_us), NULL,
	    "of the generator's p99.9, then exit 4 (100ms)" },
	{ "seed", "N", OPT_COUNT, AT(mix.seed), NULL, "(1)" },
	{ "run", "N", OPT_CALL, 0, set_run,
	    "upper half of ids (from the clock)" },
	{ "json", NULL, OPT_FLAG, AT(json), NULL, "the report as JSON" },
	{ "progress", NULL, OPT_FLAG, AT(progress), NULL,
	    "a line on stderr each second" },
	{ "quiet", NULL, OPT_FLAG, AT(quiet), NULL, "no report" },
};

static const struct opt_table table = {
	"load",
	"--target ADDR:PORT (--count N | --seconds N) [OPTION ...]",
	"Injects mail by SMTP at a fixed schedule; survives restarts of the"
	" target.",
	opts,
	ARRAY_LEN(opts),
	NULL,
};

/* ---- the schedule -------------------------------------------------------------- */

/* When message i is due, on the loop's clock. */
static int64_t
due_us(const struct load *l, uint64_t i)
{
	if (l->rate_count == 0)
		return l->start_us;
	return l->start_us + (int64_t)(i / l->rate_count) * l->rate_period_us +
	    (int64_t)(i % l->rate_count) * l->rate_period_us /
	    (int64_t)l->rate_count;
}

/* Notices what has become due, and how late that is. */
static void
schedule(struct load *l)
{
	int64_t now = loop_now(l->run.loop), due;

	if (l->rate_count == 0) {
		/* Always enough for every session, while it lasts. */
		l->scheduled = now < l->end_us && l->ended_us == 0 ?
		    MIN(l->total, l->n.started + l->connections * 2) :
		    l->n.started;
		return;
	}
	while (l->scheduled < l->total && l->ended_us == 0 &&
	    (due = due_us(l, l->scheduled)) <= now && due < l->end_us) {
		hist_add(&l->lag, now - due);
		l->scheduled++;
	}
}

/* Nothing more will become due. */
static bool
is_scheduled(const struct load *l)
{
	if (l->ended_us != 0 || l->scheduled >= l->total)
		return true;
	if (l->rate_count == 0)
		return loop_now(l->run.loop) >= l->end_us;
	return due_us(l, l->scheduled) >= l->end_us;
}

struct message *
load_next(struct load *l)
{
	struct list *n = list_pop_head(&l->again);
	struct message *msg;
	int64_t now = loop_now(l->run.loop);

	if (l->ended_us != 0)
		return NULL;
	if (n != NULL) {
		l->nagain--;
		return container_of(n, struct message, node);
	}
	schedule(l);
	if (l->n.started == l->scheduled)
		return NULL;
	n = list_pop_head(&l->spare);
	msg = n != NULL ? container_of(n, struct message, node) : message_new();
	mix_compose(&l->mix, msg, (uint32_t)l->n.started,
	    now + l->wall_minus_loop_us);
	msg->intended_us = l->rate_count == 0 ? now : due_us(l, l->n.started);
	l->n.started++;
	return msg;
}

/* ---- results ------------------------------------------------------------------- */

/* One line for all recipients of a message in one state. */
static void
journal_state(struct load *l, const struct message *msg, uint8_t state,
    const char *word)
{
	struct buf *b = journal_line(&l->journal);
	char id[SIM_ID_DIGITS + 1];
	const char *sep = "";
	uint32_t first = 0;

	while (first < msg->nrcpt && msg->state[first] != state)
		first++;
	if (b == NULL || first == msg->nrcpt)
		return;
	sim_id_format(id, msg->id);
	(void)buf_addu(b, (uint64_t)loop_wall(l->run.loop));
	(void)buf_addf(b, " %s %s ", word, id);
	(void)buf_addu(b, (uint64_t)(msg->intended_us + l->wall_minus_loop_us));
	(void)buf_addc(b, ' ');
	(void)buf_addu(b, msg->bytes);
	(void)buf_addc(b, ' ');
	(void)buf_addu(b, msg->code[first]);
	(void)buf_addc(b, ' ');
	for (uint32_t k = first; k < msg->nrcpt; k++) {
		if (msg->state[k] != state)
			continue;
		(void)buf_addz(b, sep);
		(void)buf_addu(b, k);
		(void)buf_addc(b, ':');
		(void)buf_adds(b, mailbox_domain(msg->address[k]));
		sep = ",";
	}
	journal_end(&l->journal);
}

static void
message_done(struct load *l, struct message *msg)
{
	uint64_t in_state[MSG_STATES] = { 0 };

	for (uint32_t k = 0; k < msg->nrcpt; k++)
		in_state[msg->state[k]]++;
	l->n.rcpt_acked += in_state[MSG_ACKED];
	l->n.rcpt_refused += in_state[MSG_REFUSED];
	l->n.rcpt_doubt += in_state[MSG_DOUBT];
	if (in_state[MSG_ACKED] > 0) {
		l->n.acked++;
		l->n.bytes += msg->bytes;
	} else if (in_state[MSG_DOUBT] > 0) {
		l->n.doubt++;
	} else if (in_state[MSG_REFUSED] > 0) {
		l->n.refused++;
	} else {
		l->n.unsent++;
	}
	journal_state(l, msg, MSG_ACKED, "acked");
	journal_state(l, msg, MSG_REFUSED, "refused");
	journal_state(l, msg, MSG_DOUBT, "doubt");
	journal_state(l, msg, MSG_OPEN, "unsent");
	list_push_head(&l->spare, &msg->node);
}

/* The state that an outcome leads to. Without a reply, or with 421 ("closing
 * the channel"), nothing was taken and nothing was said about the message:
 * it is tried again. */
static enum msg_state
state_of(const struct smtp_cli_result *res, const struct outcome *o)
{
	if (o->klass == OUTCOME_DELIVERED)
		return MSG_ACKED;
	if (o->code != 0 && o->code != 421)
		return MSG_REFUSED;
	return res->in_doubt ? MSG_DOUBT : MSG_OPEN;
}

void
load_settle(struct load *l, struct message *msg,
    const struct smtp_cli_result *res)
{
	int64_t now = loop_now(l->run.loop);
	bool is_acked = false, is_open = false;

	for (uint32_t i = 0; i < res->n; i++) {
		const struct outcome *o = &res->rcpt[i].outcome;
		uint32_t k = msg->txn_rcpt[i];

		msg->state[k] = (uint8_t)state_of(res, o);
		msg->code[k] = o->code;
		is_acked |= msg->state[k] == MSG_ACKED;
		is_open |= msg->state[k] == MSG_OPEN;
	}
	if (is_acked) {
		hist_add(&l->from_intended, now - msg->intended_us);
		hist_add(&l->from_actual, now - res->began_us);
		if (l->first_ack_us == 0)
			l->first_ack_us = now;
		l->last_ack_us = now;
	}
	if (!is_open || l->ended_us != 0) {
		message_done(l, msg);
		return;
	}
	list_push_tail(&l->again, &msg->node);
	l->nagain++;
}

/* ---- the run ------------------------------------------------------------------- */

static void
each_second(void *ctx)
{
	struct load *l = ctx;

	journal_flush(&l->journal);
	if (l->progress)
		load_progress(l);
}

static bool
is_settled(const struct load *l)
{
	return l->nflight == 0 && l->nagain == 0 &&
	    l->n.started == l->scheduled;
}

/* Has nothing moved for so long that we give up? */
static bool
is_hopeless(const struct load *l)
{
	int64_t now = loop_now(l->run.loop);

	if (is_settled(l))
		return false;
	return now - MAX(l->up_us, l->start_us) > l->grace_us;
}

/* A first SIGTERM ends the schedule; what is in flight has STOP_US. */
static bool
is_stopped(struct load *l, int64_t *stop_us)
{
	if (!l->run.is_over)
		return false;
	if (*stop_us == 0)
		*stop_us = loop_now(l->run.loop) + STOP_US;
	l->total = l->scheduled = l->n.started;
	return is_settled(l) || loop_now(l->run.loop) >= *stop_us;
}

static void
load_go(struct load *l)
{
	int64_t until, stop_us = 0;

	for (;;) {
		schedule(l);
		load_dispatch(l);
		if ((is_scheduled(l) && is_settled(l)) || is_hopeless(l) ||
		    is_stopped(l, &stop_us))
			break;
		until = load_wants(l);
		if (!is_scheduled(l) && l->rate_count > 0)
			until = MIN(until, due_us(l, l->scheduled));
		if (stop_us > 0)
			until = MIN(until, stop_us);
		run_turn(&l->run, until);
	}
	l->ended_us = loop_now(l->run.loop);
	load_close(l);
}

/* What is still waiting for another try will not get one. */
static void
drain(struct load *l)
{
	struct list *n;

	while ((n = list_pop_head(&l->again)) != NULL)
		message_done(l, container_of(n, struct message, node));
	l->n.unsent += l->scheduled - l->n.started;
	while ((n = list_pop_head(&l->spare)) != NULL)
		message_free(container_of(n, struct message, node));
}

static int
load_run(struct load *l)
{
	int rc;

	run_init(&l->run, l);
	l->run.on_second = each_second;
	if (journal_open(&l->journal, l->journal_path, "load") != 0)
		return opt_fail(&table, "cannot write %s", l->journal_path);
	mix_ready(&l->mix);
	rng_seed(&l->rng, l->mix.seed);
	l->wall_minus_loop_us = loop_wall(l->run.loop) - loop_now(l->run.loop);
	if (!l->has_run)
		l->run_no = hash_u64((uint64_t)loop_wall(l->run.loop) +
				(uint64_t)getpid()) >>
		    32;
	l->mix.run = (uint32_t)l->run_no;
	l->start_us = loop_now(l->run.loop);
	l->end_us =
	    l->seconds_us > 0 ? l->start_us + l->seconds_us : TIME_NEVER;
	l->total = l->count > 0 ? l->count : UINT32_MAX;
	load_go(l);
	drain(l);
	rc = load_report(l);
	run_free(&l->run);
	mix_free(&l->mix);
	tls_ctx_free(l->tls);
	if (journal_close(&l->journal) != 0)
		return opt_fail(&table, "%s is incomplete", l->journal_path);
	return rc;
}

static int
load_check(struct load *l)
{
	char why[160] = "";

	if (l->target.port == 0)
		return opt_fail(&table, "--target ADDR:PORT is needed");
	if (l->count == 0 && l->seconds_us == 0)
		return opt_fail(&table, "--count or --seconds is needed");
	if (l->count > UINT32_MAX)
		return opt_fail(&table, "--count: at most 2^32 messages");
	if (l->connections == 0 || l->connections > CONNECTIONS_MAX)
		return opt_fail(&table, "--connections: from 1 to %d",
		    CONNECTIONS_MAX);
	if (l->recipients == 0 || l->recipients > SIM_RCPTS_MAX)
		return opt_fail(&table, "--recipients: from 1 to %d",
		    SIM_RCPTS_MAX);
	l->mix.recipients = (uint32_t)l->recipients;
	l->mix.sender = slice_str(l->sender);
	if (l->wants_tls) {
		l->tls = tls_client_new(NULL, why, sizeof(why));
		if (l->tls == NULL)
			return opt_fail(&table, "%s", why);
	}
	smtp_cli_conf_default(&l->cli);
	l->cli.ehlo_name = slice_str(l->ehlo);
	l->cli.pipelines = !l->no_pipelining;
	l->cli.chains = l->chains;
	l->cli.wants_tls = l->wants_tls;
	l->cli.idle_ms = IDLE_MS;
	return -1;
}

int
cmd_load(int argc, char **argv)
{
	static struct load l;
	char **operands;
	int noperands, rc;

	mix_init(&l.mix);
	list_init(&l.idle);
	list_init(&l.busy);
	list_init(&l.spare);
	list_init(&l.again);
	l.journal.fd = -1;
	l.connections = 10;
	l.recipients = 1;
	l.grace_us = GRACE_US;
	l.lag_max_us = LAG_MAX_US;
	l.sender = "sender@load.example";
	l.ehlo = "load.example";
	l.progress = isatty(STDERR_FILENO);
	rc = opt_parse(&table, argc, argv, &l, &operands, &noperands);
	if (rc >= 0)
		return rc;
	if (noperands > 0)
		return opt_fail(&table, "what is '%s'?", operands[0]);
	rc = load_check(&l);
	return rc >= 0 ? rc : load_run(&l);
}
