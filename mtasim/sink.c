/*
 * sink.c - `mtasim sink`: one receiver for every domain.
 */
#include <sys/stat.h>

#include <errno.h>
#include <unistd.h>

#include "mtasim.h"
#include "run.h"
#include "world/recv.h"

#define LISTEN_MAX 16

struct sink {
	/* options */
	uint32_t nlisten;
	struct endpoint listen[LISTEN_MAX];
	struct behave behave;
	uint64_t conns, source_conns, messages, rcpts, seed, count;
	const char *journal_path, *dump, *cert, *key, *hostname;
	int64_t seconds_us;
	bool progress, quiet;

	struct run run;
	struct journal journal;
	struct receiver *recv;
	struct recv_counts before; /* at the last progress line */
};

static int
set_listen(void *into, const char *value, char *why, size_t why_cap)
{
	struct sink *k = into;

	if (k->nlisten == LISTEN_MAX) {
		snprintf(why, why_cap, "more than %d addresses", LISTEN_MAX);
		return E_FULL;
	}
	if (endpoint_parse(slice_str(value), 0, &k->listen[k->nlisten]) != 0) {
		snprintf(why, why_cap, "expected ADDRESS:PORT");
		return E_SYNTAX;
	}
	k->nlisten++;
	return 0;
}

static int
set_reply(void *into, const char *value, char *why, size_t why_cap)
{
	struct sink *k = into;

	return behave_add_rule(&k->behave, slice_str(value), why, why_cap);
}

static int
set_delay(void *into, const char *value, char *why, size_t why_cap)
{
	struct sink *k = into;

	return behave_add_delay(&k->behave, slice_str(value), why, why_cap);
}

static int
set_rate(void *into, const char *value, char *why, size_t why_cap)
{
	struct sink *k = into;

	if (parse_rate(slice_str(value), &k->behave.rate_count,
		&k->behave.rate_period_us) != 0) {
		snprintf(why, why_cap, "expected a rate such as 10/s");
		return E_SYNTAX;
	}
	k->behave.rate_burst = 1;
	return 0;
}

static int
set_over(void *into, const char *value, char *why, size_t why_cap)
{
	struct sink *k = into;

	return verdict_parse(slice_str(value), &k->behave.over, why, why_cap);
}

#define AT(field) offsetof(struct sink, field)

static const struct opt opts[] = {
	{ "listen", "ADDR:PORT", OPT_CALL, 0, set_listen,
	    "where to listen (repeat for more); port 0 picks one" },
	{ "reply", "STAGE:SHARE:REPLY", OPT_CALL, 0, set_reply,
	    "eom:5%:451 4.7.1 text; REPLY may be close or silent" },
	{ "delay", "[STAGE:]TIME", OPT_CALL, 0, set_delay,
	    "before the answer (to the final dot, if no STAGE)" },
	{ "connections", "N", OPT_COUNT, AT(conns), NULL,
	    "at once; 421 beyond" },
	{ "source-connections", "N", OPT_COUNT, AT(source_conns), NULL,
	    "at once from one address; 421 beyond" },
	{ "source-rate", "N/TIME", OPT_CALL, 0, set_rate,
	    "messages from one address" },
	{ "over", "REPLY", OPT_CALL, 0, set_over, "above that rate" },
	{ "messages", "N", OPT_COUNT, AT(messages), NULL,
	    "in one connection; 421 beyond" },
	{ "recipients", "N", OPT_COUNT, AT(rcpts), NULL,
	    "of one message (1000); 452 beyond" },
	{ "size-max", "SIZE", OPT_SIZE, AT(behave.size_max), NULL,
	    "of a message (100M)" },
	{ "silent", NULL, OPT_FLAG, AT(behave.is_silent), NULL,
	    "take connections and say nothing" },
	{ "no-pipelining", NULL, OPT_FLAG, AT(behave.hides_pipelining), NULL,
	    "do not offer it" },
	{ "tls-cert", "FILE", OPT_TEXT, AT(cert), NULL, "PEM: offer STARTTLS" },
	{ "tls-key", "FILE", OPT_TEXT, AT(key), NULL, "PEM" },
	{ "hostname", "NAME", OPT_TEXT, AT(hostname), NULL,
	    "in the banner (sink.example)" },
	{ "journal", "FILE", OPT_TEXT, AT(journal_path), NULL,
	    "a line for each message, for mtasim verify" },
	{ "dump", "DIR", OPT_TEXT, AT(dump), NULL,
	    "each message as DIR/N.eml and DIR/N.rcpt" },
	{ "seconds", "N", OPT_TIME, AT(seconds_us), NULL, "then stop" },
	{ "count", "N", OPT_COUNT, AT(count), NULL, "stop after N messages" },
	{ "seed", "N", OPT_COUNT, AT(seed), NULL, "of chance (1)" },
	{ "progress", NULL, OPT_FLAG, AT(progress), NULL,
	    "a line on stderr each second" },
	{ "quiet", NULL, OPT_FLAG, AT(quiet), NULL, "no counts at the end" },
};

static const struct opt_table table = {
	"sink",
	"--listen ADDR:PORT [OPTION ...]",
	"Receives mail for any domain. Says \"ready ADDR:PORT\" when it"
	" listens; counts at\nthe end and on SIGUSR1; SIGTERM ends it.",
	opts,
	ARRAY_LEN(opts),
	"STAGE is connect, mail, rcpt, data or eom (the final dot).",
};

static void
print_counts(void *ctx)
{
	struct sink *k = ctx;

	recv_counts_print(stdout, SL("sink"), recv_counts(k->recv));
	fflush(stdout);
}

static void
each_second(void *ctx)
{
	struct sink *k = ctx;
	const struct recv_counts *n = recv_counts(k->recv);

	journal_flush(&k->journal);
	if (k->progress)
		fprintf(stderr,
		    "sink: %llu messages, %llu/s, %llu connections\n",
		    (unsigned long long)n->messages,
		    (unsigned long long)(n->messages - k->before.messages),
		    (unsigned long long)n->open);
	k->before = *n;
}

/* Everything that can go wrong before the first connection. */
static int
sink_start(struct sink *k)
{
	struct recv_conf conf = {
		.name = SL("sink"),
		.hostname = slice_str(k->hostname),
		.behave = &k->behave,
		.seed = k->seed,
		.dump_dir = k->dump,
	};
	char why[256] = "", text[ENDPOINT_TEXT_MAX * LISTEN_MAX] = "";
	size_t n = 0;

	if (k->cert != NULL || k->key != NULL) {
		conf.tls = tls_server_new(k->cert, k->key, why, sizeof(why));
		if (conf.tls == NULL)
			return opt_fail(&table, "%s", why);
	}
	if (k->dump != NULL && mkdir(k->dump, 0755) != 0 && errno != EEXIST)
		return opt_fail(&table, "cannot make %s", k->dump);
	if (journal_open(&k->journal, k->journal_path, "sink") != 0)
		return opt_fail(&table, "cannot write %s", k->journal_path);
	k->recv = recv_new(k->run.loop, &k->run.timers, &k->journal, &conf);
	if (k->recv == NULL)
		return opt_fail(&table, "out of memory");
	for (uint32_t i = 0; i < k->nlisten; i++) {
		if (recv_listen(k->recv, &k->listen[i], why, sizeof(why)) != 0)
			return opt_fail(&table, "%s", why);
		if (n > 0)
			text[n++] = ' ';
		n += endpoint_format(text + n, &k->listen[i]);
	}
	run_ready(STDOUT_FILENO, text);
	return -1;
}

static int
sink_run(struct sink *k)
{
	int rc = sink_start(k);

	if (rc >= 0)
		return rc;
	k->run.on_second = each_second;
	k->run.on_counts = print_counts;
	run_limit(&k->run, k->seconds_us);
	while (!k->run.is_over) {
		run_turn(&k->run, TIME_NEVER);
		if (k->count > 0 && recv_counts(k->recv)->messages >= k->count)
			k->run.is_over = true;
	}
	if (!k->quiet)
		print_counts(k);
	recv_free(k->recv);
	run_free(&k->run);
	if (journal_close(&k->journal) != 0)
		return opt_fail(&table, "%s is incomplete", k->journal_path);
	return SIM_PASS;
}

int
cmd_sink(int argc, char **argv)
{
	static struct sink k;
	char **operands;
	int noperands, rc;

	k.hostname = "sink.example";
	k.seed = 1;
	k.journal.fd = -1;
	behave_init(&k.behave);
	rc = opt_parse(&table, argc, argv, &k, &operands, &noperands);
	if (rc >= 0)
		return rc;
	if (noperands > 0)
		return opt_fail(&table, "what is '%s'?", operands[0]);
	if (k.nlisten == 0)
		return opt_fail(&table, "--listen ADDR:PORT is needed");
	k.behave.conns_max = (uint32_t)MIN(k.conns, UINT32_MAX);
	k.behave.source_conns_max = (uint32_t)MIN(k.source_conns, UINT32_MAX);
	k.behave.messages_max = (uint32_t)MIN(k.messages, UINT32_MAX);
	if (k.rcpts > 0)
		k.behave.rcpts_max = (uint32_t)MIN(k.rcpts, UINT32_MAX);
	run_init(&k.run, &k);
	return sink_run(&k);
}
