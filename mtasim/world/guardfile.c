/*
 * world/guardfile.c - reads the guards of a receiver from YAML.
 */
#include "world/guard.h"
#include "world/keys.h"

#define COUNT_MAX 1000000000
#define ALLOWANCES                                                             \
	"one of bucket, window, sliding, batch, connections, days, greylist "  \
	"and deny"

/* What is read into, beside the keys' own. */
struct reading {
	struct behave *b;
	struct guard *g;
};

static struct guard *
guard(struct keys *k)
{
	return ((struct reading *)k->into)->g;
}

/* ---- how much -------------------------------------------------------------------- */

static void
take_reply(struct keys *k, const struct yaml_node *v, const char *what,
    struct verdict *verdict)
{
	char why[160];

	if (v->kind != YAML_SCALAR ||
	    verdict_parse(v->text, verdict, why, sizeof(why)) != 0)
		keys_wrong(k, v, what,
		    "a reply such as \"451 4.7.1 later\", close or silent");
}

/* One guard, one allowance: the last one read wins over a model's. */
static void
take_rate(struct keys *k, const struct yaml_node *v, enum guard_kind kind,
    const char *what)
{
	struct guard *g = guard(k);

	g->kind = (uint8_t)kind;
	if (v->kind != YAML_SCALAR ||
	    parse_rate(v->text, &g->count, &g->period_us) != 0 ||
	    g->count == 0 || g->period_us < GUARD_SLOTS)
		keys_wrong(k, v, what, "a rate such as 5/s or 3600/h");
}

static void
take_bucket(struct keys *k, const struct yaml_node *v)
{
	take_rate(k, v, GUARD_BUCKET, "bucket");
}

static void
take_window(struct keys *k, const struct yaml_node *v)
{
	take_rate(k, v, GUARD_WINDOW, "window");
}

static void
take_sliding(struct keys *k, const struct yaml_node *v)
{
	take_rate(k, v, GUARD_SLIDING, "sliding");
}

static void
take_burst(struct keys *k, const struct yaml_node *v)
{
	guard(k)->burst = (uint32_t)keys_number(k, v, "burst", COUNT_MAX);
}

static void
take_batch(struct keys *k, const struct yaml_node *v)
{
	guard(k)->kind = GUARD_BATCH;
	guard(k)->count = keys_number(k, v, "batch", COUNT_MAX);
}

static void
take_connections(struct keys *k, const struct yaml_node *v)
{
	guard(k)->kind = GUARD_CONNS;
	guard(k)->stage = AT_CONNECT;
	guard(k)->count = keys_number(k, v, "connections", COUNT_MAX);
}

static void
take_days(struct keys *k, const struct yaml_node *v)
{
	struct guard *g = guard(k);

	if (v->kind != YAML_LIST || v->n == 0 || v->n > GUARD_DAYS_MAX) {
		keys_wrong(k, v, "days", "a list of 1 to 64 numbers");
		return;
	}
	g->kind = GUARD_DAYS;
	g->ndays = v->n;
	for (uint32_t i = 0; i < v->n; i++)
		g->days[i] =
		    (uint32_t)keys_number(k, v->items[i], "days", COUNT_MAX);
}

static void
take_greylist(struct keys *k, const struct yaml_node *v)
{
	struct guard *g = guard(k);

	g->kind = GUARD_GREYLIST;
	g->wait_us = keys_time(k, v, "greylist");
	if (g->by == 0)
		g->by = BY_NETBLOCK | BY_SENDER | BY_RECIPIENT;
}

static void
take_deny(struct keys *k, const struct yaml_node *v)
{
	guard(k)->kind = GUARD_DENY;
	if (v->kind != YAML_SCALAR || !slice_eq(v->text, SL("yes")))
		keys_wrong(k, v, "deny", "yes");
}

/* ---- of whom --------------------------------------------------------------------- */

static void
take_at(struct keys *k, const struct yaml_node *v)
{
	if (v->kind != YAML_SCALAR ||
	    stage_parse(v->text, &guard(k)->stage) != 0)
		keys_wrong(k, v, "at", "connect, mail, rcpt, data or eom");
}

static void
take_shut_at(struct keys *k, const struct yaml_node *v)
{
	if (v->kind != YAML_SCALAR ||
	    stage_parse(v->text, &guard(k)->shut_stage) != 0)
		keys_wrong(k, v, "shut_at", "connect, mail, rcpt, data or eom");
}

static void
take_one_by(struct keys *k, const struct yaml_node *v)
{
	static const struct {
		const char *name;
		uint16_t bit;
	} table[] = {
		{ "source", BY_SOURCE },
		{ "netblock", BY_NETBLOCK },
		{ "sender", BY_SENDER },
		{ "recipient", BY_RECIPIENT },
		{ "domain", BY_DOMAIN },
		{ "connection", BY_CONNECTION },
		{ "transaction", BY_TRANSACTION },
		{ "all", 0 },
	};

	for (size_t i = 0; v->kind == YAML_SCALAR && i < ARRAY_LEN(table); i++)
		if (slice_eq(v->text, slice_str(table[i].name))) {
			guard(k)->by |= table[i].bit;
			return;
		}
	keys_wrong(k, v, "by",
	    "source, netblock, sender, recipient, domain, connection, "
	    "transaction, a list of these, or all");
}

static void
take_by(struct keys *k, const struct yaml_node *v)
{
	guard(k)->by = 0;
	keys_each(k, v, take_one_by);
}

static void
take_mask(struct keys *k, const struct yaml_node *v)
{
	guard(k)->mask = (uint8_t)keys_number(k, v, "mask", 32);
}

static void
take_only(struct keys *k, const struct yaml_node *v)
{
	guard(k)->only = keys_text(k, v, "only");
}

/* ---- and then -------------------------------------------------------------------- */

static void
take_over(struct keys *k, const struct yaml_node *v)
{
	take_reply(k, v, "over", &guard(k)->over);
}

static void
take_early(struct keys *k, const struct yaml_node *v)
{
	take_reply(k, v, "early", &guard(k)->early);
}

static void
take_penalty(struct keys *k, const struct yaml_node *v)
{
	struct guard *g = guard(k);

	g->is_penalty_day =
	    v->kind == YAML_SCALAR && slice_eq(v->text, SL("day"));
	g->penalty_us = 0;
	if (!g->is_penalty_day &&
	    (v->kind != YAML_SCALAR ||
		parse_duration(v->text, &g->penalty_us) != 0))
		keys_wrong(k, v, "penalty",
		    "a time such as 10m, or day: what is left of it");
}

static bool
yes(struct keys *k, const struct yaml_node *v, const char *what)
{
	if (v->kind == YAML_SCALAR && slice_eq(v->text, SL("yes")))
		return true;
	if (v->kind != YAML_SCALAR || !slice_eq(v->text, SL("no")))
		keys_wrong(k, v, what, "yes or no");
	return false;
}

static void
take_prolongs(struct keys *k, const struct yaml_node *v)
{
	guard(k)->prolongs = yes(k, v, "retries_prolong");
}

static void
take_counts(struct keys *k, const struct yaml_node *v)
{
	guard(k)->counts_refused = yes(k, v, "retries_count");
}

static void
take_reopens(struct keys *k, const struct yaml_node *v)
{
	guard(k)->reopens_us = keys_time(k, v, "reopens");
}

static void
take_within(struct keys *k, const struct yaml_node *v)
{
	guard(k)->within_us = keys_time(k, v, "within");
}

static void
take_known(struct keys *k, const struct yaml_node *v)
{
	guard(k)->known_us = keys_time(k, v, "known");
}

static void
take_trusts(struct keys *k, const struct yaml_node *v)
{
	guard(k)->trusts_after =
	    (uint32_t)keys_number(k, v, "trusts_after", COUNT_MAX);
}

/* ---- steps ----------------------------------------------------------------------- */

static struct guard_step *
step(struct keys *k)
{
	return &guard(k)->steps[guard(k)->nsteps];
}

static void
take_step_at(struct keys *k, const struct yaml_node *v)
{
	step(k)->at_us = keys_time(k, v, "at");
}

static void
take_step_rate(struct keys *k, const struct yaml_node *v)
{
	if (v->kind != YAML_SCALAR ||
	    parse_rate(v->text, &step(k)->count, &step(k)->period_us) != 0 ||
	    step(k)->count == 0 || step(k)->period_us < GUARD_SLOTS)
		keys_wrong(k, v, "rate", "a rate such as 5/s or 3600/h");
}

static const struct key step_keys[] = {
	{ "at", take_step_at },
	{ "rate", take_step_rate },
};

static void
take_one_step(struct keys *k, const struct yaml_node *v)
{
	struct guard *g = guard(k);
	int64_t before = g->nsteps ? g->steps[g->nsteps - 1].at_us : -1;

	if (g->nsteps == GUARD_STEPS_MAX) {
		keys_wrong(k, v, "steps", "at most 64 of them");
		return;
	}
	*step(k) = (struct guard_step){ .at_us = -1 };
	keys_take(k, v, step_keys, ARRAY_LEN(step_keys), "a step");
	if (step(k)->at_us <= before || step(k)->count == 0)
		keys_wrong(k, v, "a step", "at and rate, in order of time");
	g->nsteps++;
}

static void
take_steps(struct keys *k, const struct yaml_node *v)
{
	guard(k)->nsteps = 0;
	keys_each(k, v, take_one_step);
}

/* ---- guards ----------------------------------------------------------------------- */

static const struct key guard_keys[] = {
	{ "at", take_at },
	{ "by", take_by },
	{ "mask", take_mask },
	{ "only", take_only },
	{ "bucket", take_bucket },
	{ "burst", take_burst },
	{ "window", take_window },
	{ "sliding", take_sliding },
	{ "batch", take_batch },
	{ "connections", take_connections },
	{ "days", take_days },
	{ "greylist", take_greylist },
	{ "within", take_within },
	{ "known", take_known },
	{ "trusts_after", take_trusts },
	{ "deny", take_deny },
	{ "over", take_over },
	{ "penalty", take_penalty },
	{ "shut_at", take_shut_at },
	{ "retries_prolong", take_prolongs },
	{ "retries_count", take_counts },
	{ "reopens", take_reopens },
	{ "early", take_early },
	{ "steps", take_steps },
};

/* The guard of a name; a new one stands last. */
static struct guard *
guard_named(struct behave *b, struct slice name, struct arena *arena)
{
	struct guard *g;

	for (uint32_t i = 0; i < b->nguards; i++)
		if (slice_eq(b->guards[i].name, name))
			return &b->guards[i];
	if (b->guards == NULL)
		b->guards = arena_get(arena, GUARDS_MAX * sizeof(*b->guards));
	if (b->guards == NULL || b->nguards == GUARDS_MAX)
		return NULL;
	g = &b->guards[b->nguards++];
	*g = (struct guard){ .name = name,
		.stage = AT_MAIL,
		.shut_stage = AT_N,
		.by = BY_SOURCE,
		.mask = 24,
		.burst = 1,
		.over = b->over,
		.early = b->busy,
		.within_us = 2 * 86400 * US_PER_S,
		.known_us = 35 * 86400 * US_PER_S };
	return g;
}

void
guards_take(struct keys *k, const struct yaml_node *v, struct behave *b,
    struct arena *arena)
{
	struct reading r = { .b = b };
	struct keys inner = { .doc = k->doc, .errs = k->errs, .into = &r };

	if (v->kind != YAML_MAP) {
		keys_wrong(k, v, "guards", "a map");
		return;
	}
	for (uint32_t i = 0; i < v->n; i++) {
		const struct yaml_node *one = v->items[i];

		r.g = guard_named(b, v->keys[i], arena);
		if (r.g == NULL) {
			keys_wrong(k, v, "guards", "at most 16 of them");
			return;
		}
		if (one->kind == YAML_MAP && yaml_get(one, "greylist") &&
		    !yaml_get(one, "by"))
			r.g->by = 0; /* its own default */
		keys_take(&inner, one, guard_keys, ARRAY_LEN(guard_keys),
		    "a guard");
		if (r.g->kind == GUARD_NONE)
			keys_wrong(k, one, "a guard", ALLOWANCES);
		else if (r.g->kind == GUARD_CONNS && r.g->stage != AT_CONNECT)
			keys_wrong(k, one, "connections", "at: connect");
		else if (r.g->shut_stage != AT_N &&
		    r.g->shut_stage >= r.g->stage)
			keys_wrong(k, one, "shut_at", "a stage before at");
	}
}
