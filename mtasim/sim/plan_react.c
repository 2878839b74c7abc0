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

static void
draw(struct sim *s, char *dst, size_t cap, uint32_t number)
{
	static const char *const said[] = { "text: 'try again later'",
		"text: closing, code: 421", "text: 'not now'",
		"text: 'busy mailbox'", "text: 'over quota'",
		"text: 'data now', code: 451", "text: greylisted", "code: 451",
		"code: 421" };
	bool is_none = pick(s, 0, 9) == 0;
	const char *more, *on, *what;
	char after[32] = "";

	if (pick(s, 0, 9) < 4)
		snprintf(after, sizeof(after), "after: %u/%us, ", pick(s, 2, 6),
		    60);
	/* In this order, whatever order a compiler gives arguments. */
	more = pick(s, 0, 9) < 3 ? "true" : "false";
	on = target(s);
	what = said[pick(s, 0, ARRAY_LEN(said) - 1)];
	snprintf(dst, cap, "  r%u: { %s, on: %s, %scontinue: %s, ", number,
	    what, on, after, more);
	cap -= strlen(dst);
	snprintf(dst + strlen(dst), cap, "action: %s, for: %us }\n",
	    is_none ? "none" : "suspend", pick(s, 5, 150));
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
