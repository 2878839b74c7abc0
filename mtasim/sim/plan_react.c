/*
 * sim/plan_react.c - reactions: the rules that a seed makes, the same in all of
 * its configurations, some of which have not all of them.
 */
#include "sim/sim_i.h"

static uint32_t
pick(struct sim *s, uint32_t lo, uint32_t hi)
{
	return (uint32_t)rng_range(dice(s, DICE_REACT), lo, hi);
}

/* A target whose values the referee knows: a site's name is that of its best host,
 * which answers that lack some, or move, make another. */
static const char *
target(struct sim *s)
{
	static const char *const all[] = { "source", "netblock", "node", "path",
		"site", "[source, provider]", "provider" };
	uint32_t n = sim_has(s, SIM_F_tuples) ? 7 : 5;
	uint32_t k = pick(s, 0, n - 1);
	bool has_sites =
	    !sim_has(s, SIM_F_dns_fail) && !sim_has(s, SIM_F_dns_move);

	return (k == 3 || k == 4) && !has_sites ? all[k - 3] : all[k];
}

static uint32_t
pick_action(struct sim *s, uint32_t lo, uint32_t hi)
{
	return (uint32_t)rng_range(dice(s, DICE_ACTION), lo, hi);
}

/* A target of mail, by whatever source. */
static const char *
mail_target(struct sim *s)
{
	static const char *const all[] = { "tenant", "campaign",
		"[tenant, campaign]", "sender_domain", "[tenant, provider]",
		"queue", "[campaign, site]" };
	uint32_t k = pick_action(s, 0, 6);

	s->plan.reacts_by_mail = true;
	/* Mail is told apart by these from when a rule speaks of them. */
	if (k == 3 && sim_has(s, SIM_F_reload))
		k = 1;
	if (k == 4 && !sim_has(s, SIM_F_tuples))
		k = 0;
	if (k > 4 && (sim_has(s, SIM_F_dns_fail) || sim_has(s, SIM_F_dns_move)))
		k -= 5;
	return all[k];
}

/* What it does, and about what; *on is the target of a suspension. */
static const char *
action(struct sim *s, const char **on)
{
	static const char *const conns[] = { "connections, connections: 1",
		"connections, connections: 2" };
	static const char *const slow[] = { "slow, factor: 50%",
		"slow, factor: 10%", "slow, factor: 3%" };
	uint32_t k = pick_action(s, 0, 99);

	if (k < 35)
		return "suspend";
	if (k < 45) {
		if (strcmp(*on, "node") == 0 || strcmp(*on, "site") == 0 ||
		    strcmp(*on, "provider") == 0)
			*on = "source";
		return "other_source";
	}
	if (k < 55)
		return conns[pick_action(s, 0, 1)];
	if (k < 70)
		return slow[pick_action(s, 0, 2)];
	if (k < 80) {
		if (strcmp(*on, "node") == 0)
			*on = "host";
		return "skip_host";
	}
	*on = mail_target(s);
	if (k >= 94)
		return "bounce";
	return k >= 88 || strcmp(*on, "queue") == 0 ? "defer" : "suspend";
}

/* When it acts, if not at once. */
static void
trigger(struct sim *s, char *dst, size_t cap)
{
	uint32_t n = 0;

	if (pick(s, 0, 9) < 4)
		n = pick(s, 2, 6);
	if (pick_action(s, 0, 9) < 2)
		snprintf(dst, cap,
		    "ratio: %u%%, window: %us, replies_min: %u, ",
		    pick_action(s, 1, 4) * 10, pick_action(s, 1, 4) * 32,
		    pick_action(s, 2, 20));
	else if (n != 0)
		snprintf(dst, cap, "after: %u/60s, ", n);
}

static void
draw(struct sim *s, char *dst, size_t cap, uint32_t number)
{
	static const char *const said[] = { "text: 'try again later'",
		"text: closing, code: 421", "text: 'not now'",
		"text: 'busy mailbox'", "text: 'over quota'",
		"text: 'data now', code: 451", "text: greylisted", "code: 451",
		"code: 421" };
	bool is_none = pick(s, 0, 9) == 0;
	const char *more, *on, *what, *does;
	char when[80] = "";

	trigger(s, when, sizeof(when));
	/* In this order, whatever order a compiler gives arguments. */
	more = pick(s, 0, 9) < 3 ? "true" : "false";
	on = target(s);
	what = said[pick(s, 0, ARRAY_LEN(said) - 1)];
	does = is_none ? "none" : action(s, &on);
	snprintf(dst, cap, "  r%u: { %s, on: %s, %scontinue: %s, ", number,
	    what, on, when, more);
	cap -= strlen(dst);
	snprintf(dst + strlen(dst), cap, "action: %s, for: %us }\n", does,
	    pick(s, 5, 150));
}

void
plan_reactions(struct sim *s, struct buf *b)
{
	struct plan *p = &s->plan;

	if (!sim_has(s, SIM_F_reactions))
		return;
	if (p->nreactions == 0) {
		p->nreactions = pick(s, 1, SIM_REACTIONS);
		for (uint32_t i = 0; i < p->nreactions; i++)
			draw(s, p->reaction[i], sizeof(p->reaction[i]), i);
	}
	buf_addz(b,
	    "automation:\n  never: { text: 'never said', "
	    "action: none }\n");
	for (uint32_t i = 0; i < p->nreactions; i++)
		if (pick(s, 0, 9) < 8)
			buf_addz(b, p->reaction[i]);
}
