/*
 * relay/courier.c - one outbound session: jobs in, SMTP out, results back.
 *
 * Invariants: at most one job's body is being streamed; jobs wait in the order
 * they were assigned and their results leave in that order; every job that was
 * taken is given back exactly once. The checksum of a record has been found
 * right before the last piece of its body goes to the machine: a small record
 * is read whole and checked at the start, a large one is checked as it streams
 * and its final dot withheld when it is wrong.
 */
#include "relay/courier_i.h"
#include "relay/relay.h"

#define WINDOW (64u * 1024)     /* one read of a large body */
#define OUT_LOW (128u * 1024)   /* read more only below this */
#define WHOLE_MAX (128u * 1024) /* records up to this are read whole */

/* What streaming needs; most sessions never do. */
struct reading {
	struct spool_check check;
	char window[WINDOW];
};

struct courier {
	struct smtp_cli *cli;
	const struct smtp_cli_conf *conf;
	struct sasl_out *sasl; /* while it logs in */
	struct disk *disk;
	const struct courier_ops *ops;
	void *ctx;
	struct posts waiting;  /* jobs not yet begun */
	struct posts running;  /* begun, oldest first */
	struct job *streaming; /* large body under way */
	uint32_t stream_at;
	struct reading *reading; /* of large ones; made for the first */
	bool wants_tls, is_up, is_down, is_quitting, in_tls;
};

struct courier *
courier_new(const struct smtp_cli_conf *conf, struct disk *disk,
    const struct courier_ops *ops, void *ctx, int64_t now_us)
{
	struct courier *c = mem_try(sizeof(*c));

	if (!c)
		return NULL;
	c->cli = smtp_cli_new(conf, now_us);
	if (!c->cli) {
		mem_free(c);
		return NULL;
	}
	c->conf = conf;
	c->disk = disk;
	c->ops = ops;
	c->ctx = ctx;
	return c;
}

struct job *
job_new(uint16_t n)
{
	struct job *j =
	    mem_try(sizeof(*j) + n * (sizeof(j->rcpt[0]) + sizeof(*j->to)));

	if (j) {
		j->n = n;
		j->to = (struct smtp_cli_rcpt *)(void *)&j->rcpt[n];
	}
	return j;
}

void
job_free(struct job *j)
{
	mem_free(j->record);
	mem_free(j->whole);
	mem_free(j->return_path);
	mem_free(j->texts);
	mem_free(j);
}

static struct job *
job_of(struct post *p)
{
	return p ? container_of(p, struct job, post) : NULL;
}

static struct job *
shift(struct posts *l)
{
	return job_of(posts_shift(l));
}

/* Gives a job back with one and the same outcome for all its recipients. */
static void
give_back(struct courier *c, struct job *j, enum outcome_class klass,
    enum stage stage, bool is_sent)
{
	j->is_sent = is_sent;
	j->in_doubt = false;
	for (uint32_t i = 0; i < j->n; i++) {
		memset(&j->rcpt[i].outcome, 0, sizeof(j->rcpt[i].outcome));
		j->rcpt[i].outcome.klass = (uint8_t)klass;
		j->rcpt[i].outcome.stage = (uint8_t)stage;
		j->rcpt[i].text = slice_of("", 0);
	}
	c->ops->result(c->ctx, j);
}

void
courier_free(struct courier *c, int64_t now_us)
{
	struct job *j;

	(void)now_us;
	while ((j = shift(&c->running)))
		give_back(c, j, OUTCOME_TRANSIENT, STAGE_LOCAL, true);
	while ((j = shift(&c->waiting)))
		give_back(c, j, OUTCOME_UNSENT, STAGE_NONE, false);
	smtp_cli_free(c->cli);
	courier_auth_free(c->sasl);
	mem_free(c->reading);
	mem_free(c);
}

/* ---- reading the message ------------------------------------------------------ */

/* Only what was read and is wrong. A disk that would not read may do so later:
 * setting the message aside now would lose it. */
static bool
is_damage(int err)
{
	return err == E_CORRUPT;
}

/* Finds the addresses of the job's recipients in the envelope. */
static int
find_addresses(struct job *j, struct slice blob)
{
	struct cursor rcpts;
	struct env_rcpt r;
	uint32_t at = 0;
	int err = env_decode(blob, &j->env, &rcpts);

	if (err)
		return err;
	if (!msgid_eq(&j->env.id, &j->id))
		return E_CORRUPT;
	/* The engine gives recipients of a message in rising order; look again
	 * from the start when it did not. */
	for (uint32_t i = 0; i < j->n; i++) {
		if (j->rcpt[i].number < at) {
			err = env_decode(blob, &j->env, &rcpts);
			ASSERT(!err);
			at = 0;
		}
		do {
			if (!env_rcpt_next(&rcpts, &r))
				return E_CORRUPT;
		} while (at++ < j->rcpt[i].number);
		j->to[i] = (struct smtp_cli_rcpt){ .address = r.address,
			.orcpt = r.orcpt,
			.notify = r.notify };
	}
	return 0;
}

/* The body goes as soon as the machine has it, and a reply to it may be long in
 * coming; so the envelope, which the books need, has memory of its own. */
static int
read_small(struct courier *c, struct job *j)
{
	struct slice env;
	int err;

	j->record = mem_try(j->ref.env_bytes);
	j->whole = mem_grow(NULL, spool_record_bytes(&j->ref));
	if (!j->record || !j->whole)
		return E_NOMEM;
	err = spool_read_whole(c->disk, &j->ref, &j->id, j->whole, &env,
	    &j->body);
	if (err)
		return err;
	memcpy(j->record, env.p, env.n);
	return find_addresses(j, slice_of(j->record, env.n));
}

static void
whole_free(struct job *j)
{
	mem_free(j->whole);
	j->whole = NULL;
	j->body = slice_of(NULL, 0);
}

/* A large one: the envelope now, the body as it goes out. */
static int
read_large(struct courier *c, struct job *j)
{
	int err;

	j->record = mem_try(j->ref.env_bytes);
	if (!j->record)
		return E_NOMEM;
	j->body = slice_of(NULL, 0);
	err = spool_read(c->disk, &j->ref, 0, j->record, j->ref.env_bytes);
	return err ? err :
		     find_addresses(j, slice_of(j->record, j->ref.env_bytes));
}

static bool
is_large(const struct job *j)
{
	return spool_record_bytes(&j->ref) > WHOLE_MAX;
}

/* Next window of a streaming body to the machine. */
static void
stream(struct courier *c, int64_t now_us)
{
	struct job *j = c->streaming;
	struct reading *r = c->reading;
	uint32_t end = j->ref.env_bytes + j->ref.body_bytes;
	uint32_t n = MIN(end - c->stream_at, WINDOW);
	bool last = c->stream_at + n == end;
	struct slice piece;
	int err;

	piece = slice_of(r->window, n);
	err = spool_read(c->disk, &j->ref, c->stream_at, r->window, n);
	if (!err)
		spool_check_feed(&r->check, piece);
	if (!err && last && !spool_check_end(&r->check))
		err = E_CORRUPT;
	if (err) {
		j->is_damaged = is_damage(err);
		smtp_cli_body_broken(c->cli);
		c->streaming = NULL;
		return;
	}
	c->stream_at += n;
	if (last)
		c->streaming = NULL;
	smtp_cli_body(c->cli, piece, j->env.flags & ENV_HAS_DOTS, last, now_us);
}

/* The machine asks for the body of the oldest job that has none yet. */
static void
give_body(struct courier *c, int64_t now_us)
{
	struct job *j = job_of(c->running.head);
	struct spool_check *check;
	int err;

	if (c->streaming) {
		if (smtp_cli_out(c->cli)->n < OUT_LOW)
			stream(c, now_us);
		return;
	}
	ASSERT(j);
	if (!is_large(j)) {
		smtp_cli_body(c->cli, j->body, j->env.flags & ENV_HAS_DOTS,
		    true, now_us);
		whole_free(j);
		return;
	}
	if (!c->reading && !(c->reading = mem_try(sizeof(*c->reading)))) {
		smtp_cli_body_broken(c->cli);
		return;
	}
	check = &c->reading->check;
	err = spool_check_begin(c->disk, &j->ref, &j->id, check);
	if (err) {
		j->is_damaged = is_damage(err);
		smtp_cli_body_broken(c->cli);
		return;
	}
	spool_check_feed(check, slice_of(j->record, j->ref.env_bytes));
	c->streaming = j;
	c->stream_at = j->ref.env_bytes;
	stream(c, now_us);
}

/* ---- the conversation ------------------------------------------------------------ */

/* False: there is no memory for it. A notice, or other mail with the null sender,
 * has none: its return must not be ours to read. */
static bool
find_return_path(struct courier *c, struct job *j)
{
	char path[MAILBOX_MAX + 1];
	size_t n;

	mem_free(j->return_path); /* of another attempt */
	j->return_path = NULL;
	if (c->ops->return_path == NULL || j->env.sender.n == 0)
		return true;
	n = c->ops->return_path(c->ctx, j, path);
	if (n == 0)
		return true;
	j->return_path = mem_try(n + 1);
	if (j->return_path == NULL)
		return false;
	memcpy(j->return_path, path, n);
	return true;
}

static void
begin(struct courier *c, struct job *j, int64_t now_us)
{
	struct smtp_cli_txn txn = {
		.sender =
		    j->return_path ? slice_str(j->return_path) : j->env.sender,
		.rcpts = j->to,
		.nrcpt = j->n,
		.size = j->env.body_bytes,
		.flags = j->env.flags,
		.envid = j->env.envid,
		.by_us = j->env.by_us ? j->env.by_us - j->wall_off_us : 0,
		.cookie = j->txn.index,
	};

	posts_push(&c->running, &j->post);
	smtp_cli_begin(c->cli, &txn, now_us);
}

/* Moves waiting jobs into the machine while it has room. */
static void
begin_more(struct courier *c, int64_t now_us)
{
	struct job *j;
	int err;

	while (c->waiting.head && c->is_up && !c->is_down &&
	    smtp_cli_room(c->cli) > 0) {
		j = shift(&c->waiting);
		j->is_damaged = false;
		err = is_large(j) ? read_large(c, j) : read_small(c, j);
		if (!err && !find_return_path(c, j))
			err = E_NOMEM;
		if (err) {
			j->is_damaged = is_damage(err);
			give_back(c, j, OUTCOME_UNSENT, STAGE_LOCAL, false);
			continue;
		}
		begin(c, j, now_us);
	}
	if (c->is_quitting && !c->waiting.head && !c->is_down)
		smtp_cli_quit(c->cli, now_us);
}

/* Copies the machine's result into the job and gives it back. */
static void
finish(struct courier *c)
{
	const struct smtp_cli_result *r = smtp_cli_result(c->cli);
	struct job *j = shift(&c->running);
	char *p;

	ASSERT(j && r->cookie == j->txn.index && r->n == j->n);
	if (c->streaming == j)
		c->streaming = NULL;
	if (j->texts_cap < r->text_n &&
	    (p = mem_grow(j->texts, MAX(r->text_n, 256u)))) {
		j->texts = p;
		j->texts_cap = MAX(r->text_n, 256u);
	}
	if (j->texts_cap >= r->text_n && r->text_n)
		memcpy(j->texts, r->text, r->text_n);
	j->is_sent = r->is_sent;
	j->in_doubt = r->in_doubt;
	for (uint32_t i = 0; i < j->n; i++) {
		const struct smtp_cli_answer *a = &r->rcpt[i];

		j->rcpt[i].outcome = a->outcome;
		j->rcpt[i].text = j->texts_cap >= r->text_n ?
		    slice_of(j->texts + a->text_at, a->text_n) :
		    slice_of("", 0);
	}
	j->began_us = r->began_us;
	j->ended_us = r->ended_us;
	c->ops->result(c->ctx, j);
}

static void
go_down(struct courier *c)
{
	struct slice text;
	const struct outcome *o = smtp_cli_down(c->cli, &text);
	struct job *j;

	c->is_down = true;
	c->streaming = NULL;
	ASSERT(!c->running.head);
	while ((j = shift(&c->waiting)))
		give_back(c, j, OUTCOME_UNSENT, STAGE_NONE, false);
	c->ops->down(c->ctx, o, text);
}

/* One act; false when there is nothing more to do without input. */
static bool
act(struct courier *c, enum smtp_cli_act what, int64_t now_us)
{
	switch (what) {
	case CLI_NEED_INPUT:
		return false;
	case CLI_STARTTLS:
		c->wants_tls = true;
		return false;
	case CLI_AUTH:
		courier_auth(&c->sasl, c->cli, c->conf, c->ops, c->ctx, now_us);
		return true;
	case CLI_UP:
		courier_auth_free(c->sasl);
		c->sasl = NULL;
		c->is_up = true;
		c->ops->up(c->ctx, smtp_cli_caps(c->cli), c->in_tls);
		begin_more(c, now_us);
		return true;
	case CLI_BODY:
		if (c->streaming && smtp_cli_out(c->cli)->n >= OUT_LOW)
			return false; /* courier_pump goes on */
		give_body(c, now_us);
		return true;
	case CLI_RESULT:
		finish(c);
		begin_more(c, now_us);
		return true;
	case CLI_DOWN:
		go_down(c);
		return false;
	}
	ASSERT(!"an act of the SMTP client");
	return false;
}

static void
run(struct courier *c, struct slice *in, int64_t now_us)
{
	while (!c->is_down && !c->wants_tls &&
	    act(c, smtp_cli_step(c->cli, in, now_us), now_us))
		continue;
}

size_t
courier_feed(struct courier *c, struct slice data, int64_t now_us)
{
	struct slice left = data;

	run(c, &left, now_us);
	return c->is_down ? data.n : data.n - left.n;
}

void
courier_assign(struct courier *c, struct job *j, int64_t now_us)
{
	struct slice none = { "", 0 };

	if (c->is_down || c->is_quitting) {
		give_back(c, j, OUTCOME_UNSENT, STAGE_NONE, false);
		return;
	}
	posts_push(&c->waiting, &j->post);
	begin_more(c, now_us);
	run(c, &none, now_us);
}

void
courier_pump(struct courier *c, int64_t now_us)
{
	struct slice none = { "", 0 };

	if (smtp_cli_out(c->cli)->n == 0)
		smtp_cli_flushed(c->cli, now_us);
	run(c, &none, now_us);
}

struct buf *
courier_out(struct courier *c)
{
	return smtp_cli_out(c->cli);
}

bool
courier_wants_tls(const struct courier *c)
{
	return c->wants_tls;
}

void
courier_tls_done(struct courier *c, bool ok, struct slice why, int64_t now_us)
{
	c->wants_tls = false;
	c->in_tls = ok;
	smtp_cli_tls_done(c->cli, ok, why, now_us);
	courier_pump(c, now_us);
}

void
courier_gone(struct courier *c, struct slice why, int64_t now_us)
{
	struct slice none = { "", 0 };

	if (c->is_down)
		return;
	c->wants_tls = false;
	smtp_cli_gone(c->cli, why, now_us);
	run(c, &none, now_us);
}

void
courier_quit(struct courier *c, bool at_once, int64_t now_us)
{
	struct slice none = { "", 0 };
	struct job *j;

	if (c->is_down)
		return;
	c->is_quitting = true;
	if (at_once)
		while ((j = shift(&c->waiting)))
			give_back(c, j, OUTCOME_UNSENT, STAGE_NONE, false);
	if (!c->waiting.head)
		smtp_cli_quit(c->cli, now_us);
	run(c, &none, now_us);
}

/* The youngest first, so that each goes back to the head of its line. */
void
courier_take_back(struct courier *c, int64_t now_us)
{
	struct slice none = { "", 0 };
	struct posts back = { 0 };
	struct post *p;

	if (c->is_down)
		return;
	while ((p = posts_shift(&c->waiting)))
		posts_unshift(&back, p);
	while ((p = posts_shift(&back)))
		give_back(c, job_of(p), OUTCOME_UNSENT, STAGE_NONE, false);
	if (smtp_cli_take_back(c->cli)) {
		struct job *j = job_of(posts_pop(&c->running));

		whole_free(j);
		give_back(c, j, OUTCOME_UNSENT, STAGE_NONE, false);
	}
	begin_more(c, now_us); /* it may be quitting */
	run(c, &none, now_us);
}

int64_t
courier_deadline(const struct courier *c)
{
	return smtp_cli_deadline(c->cli);
}

void
courier_timeout(struct courier *c, int64_t now_us)
{
	struct slice none = { "", 0 };

	if (c->is_down)
		return;
	smtp_cli_timeout(c->cli, now_us);
	run(c, &none, now_us);
}

bool
courier_refuses_bdat(const struct courier *c)
{
	return smtp_cli_refuses_bdat(c->cli);
}

bool
courier_is_up(const struct courier *c)
{
	return c->is_up;
}

bool
courier_is_down(const struct courier *c)
{
	return c->is_down;
}

bool
courier_is_idle(const struct courier *c)
{
	return c->is_up && !c->waiting.head && !c->running.head;
}
