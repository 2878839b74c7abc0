/*
 * world/behave.c - replies by chance and by rate.
 */
#include "world/behave.h"

#define PPM 1000000u

void
behave_init(struct behave *b)
{
	*b = (struct behave){
		.rcpts_max = 1000,
		.size_max = UINT64_C(100) << 20,
		.over_stage = AT_MAIL,
		.busy = { VERDICT_REPLY, 421, "4.7.0",
		    "Too many connections, try again later" },
		.full = { VERDICT_REPLY, 421, "4.7.0",
		    "Too many messages in one connection" },
		.gone = { VERDICT_REPLY, 421, "4.3.2",
		    "Service not available, closing" },
		.over = { VERDICT_REPLY, 451, "4.7.0",
		    "Too much mail, try again later" },
	};
}

static int
refuse(char *why, size_t why_cap, const char *what)
{
	snprintf(why, why_cap, "%s", what);
	return E_SYNTAX;
}

/* Is the word at the front "4.7.28": digit, dot, digits, dot, digits? */
static bool
is_enhanced(struct slice word, uint16_t code)
{
	struct slice rest = word;
	uint64_t n;

	if (word.n < 5 || word.n > 15 || word.p[0] != '0' + code / 100)
		return false;
	for (int i = 0; i < 3; i++)
		if (slice_u64(slice_cut(&rest, '.'), 999, &n) != 0)
			return false;
	return rest.p == NULL;
}

int
verdict_parse(struct slice s, struct verdict *v, char *why, size_t why_cap)
{
	struct slice word, rest;
	uint64_t code;

	*v = (struct verdict){ .kind = VERDICT_REPLY };
	s = slice_trim(s);
	if (slice_eq(s, SL("close"))) {
		v->kind = VERDICT_CLOSE;
		return 0;
	}
	if (slice_eq(s, SL("silent"))) {
		v->kind = VERDICT_SILENT;
		return 0;
	}
	word = slice_cut(&s, ' ');
	if (word.n != 3 || slice_u64(word, 599, &code) != 0 || code < 400)
		return refuse(why, why_cap,
		    "expected a reply such as \"451 4.7.1 try later\", "
		    "\"close\" or \"silent\"");
	v->code = (uint16_t)code;
	rest = s;
	word = slice_cut(&rest, ' ');
	if (is_enhanced(word, v->code)) {
		slice_copy(word, v->enh, sizeof(v->enh));
		s = rest;
	}
	s = slice_trim(s);
	if (s.n >= sizeof(v->text))
		return refuse(why, why_cap, "the text is too long");
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ')
			return refuse(why, why_cap, "the text is not one line");
	slice_copy(s, v->text, sizeof(v->text));
	return 0;
}

int
share_parse(struct slice s, uint32_t *ppm)
{
	struct slice whole;
	uint64_t n, part = 0;
	uint32_t scale = PPM / 100;

	s = slice_trim(s);
	if (s.n < 2 || s.p[s.n - 1] != '%')
		return E_SYNTAX;
	s.n--;
	whole = slice_cut(&s, '.');
	if (slice_u64(whole, 100, &n) != 0 || s.n > 4)
		return E_SYNTAX;
	if (s.p != NULL && slice_u64(s, 9999, &part) != 0)
		return E_SYNTAX;
	for (size_t i = 0; i < s.n; i++)
		scale /= 10;
	n = n * (PPM / 100) + part * scale;
	if (n > PPM)
		return E_SYNTAX;
	*ppm = (uint32_t)n;
	return 0;
}

const char *
sim_stage_name(enum sim_stage s)
{
#define X(name, text) text,
	static const char *const names[] = { SIM_STAGES(X) };
#undef X
	return names[s];
}

int
stage_parse(struct slice s, uint8_t *stage)
{
	for (uint8_t i = 0; i < AT_N; i++)
		if (slice_eq(s, slice_str(sim_stage_name(i)))) {
			*stage = i;
			return 0;
		}
	return E_SYNTAX;
}

int
behave_add_rule(struct behave *b, struct slice text, char *why, size_t why_cap)
{
	struct rule *r = &b->rules[b->nrules];
	struct slice stage, share;

	if (b->nrules == RULES_MAX) {
		snprintf(why, why_cap, "more than %d replies", RULES_MAX);
		return E_FULL;
	}
	stage = slice_cut(&text, ':');
	share = slice_cut(&text, ':');
	if (stage_parse(stage, &r->stage) != 0)
		return refuse(why, why_cap,
		    "expected connect, mail, rcpt, data or eom, then :");
	if (share_parse(share, &r->share_ppm) != 0)
		return refuse(why, why_cap, "expected a share such as 5%");
	if (verdict_parse(text, &r->verdict, why, why_cap) != 0)
		return E_SYNTAX;
	b->nrules++;
	return 0;
}

int
behave_add_delay(struct behave *b, struct slice text, char *why, size_t why_cap)
{
	uint8_t stage = AT_EOM;
	size_t colon = slice_index(text, ':');

	if (colon < text.n) {
		if (stage_parse(slice_cut(&text, ':'), &stage) != 0)
			return refuse(why, why_cap,
			    "expected connect, mail, rcpt, data or eom");
	}
	if (dist_parse(text, DIST_TIME, &b->delay[stage]) == 0)
		return 0;
	snprintf(why, why_cap, "expected %s", dist_expects(DIST_TIME));
	return E_SYNTAX;
}

const struct verdict *
behave_spell(const struct behave *b, enum sim_stage stage, int64_t at_us)
{
	for (uint32_t i = 0; i < b->nspells; i++) {
		const struct spell *s = &b->spells[i];

		if (at_us < s->from_us || at_us >= s->until_us)
			continue;
		if (s->stage == stage)
			return &s->verdict;
		if (s->stage == AT_CONNECT && stage == AT_MAIL)
			return s->verdict.kind == VERDICT_REPLY ? &b->gone :
								  &s->verdict;
	}
	return NULL;
}

void
dice_seed(struct dice *d, uint64_t seed, struct slice receiver)
{
	struct rng all;

	rng_seed(&all, hash_u64(seed) ^ hash_bytes(1, receiver.p, receiver.n));
	for (int i = 0; i < AT_N; i++) {
		rng_seed(&d->pick[i], rng_u64(&all));
		rng_seed(&d->delay[i], rng_u64(&all));
	}
	rng_seed(&d->refusal, rng_u64(&all));
}

const struct verdict *
behave_pick(const struct behave *b, enum sim_stage stage, struct dice *d)
{
	uint64_t draw = PPM, below = 0;

	/* One draw a command, so that shares of one stage add up. */
	for (uint32_t i = 0; i < b->nrules; i++) {
		if (b->rules[i].stage != stage)
			continue;
		if (draw == PPM)
			draw = rng_below(&d->pick[stage], PPM);
		below += b->rules[i].share_ppm;
		if (draw < below)
			return &b->rules[i].verdict;
	}
	return NULL;
}

size_t
verdict_text(const struct verdict *v, struct slice ip, struct slice rcpt,
    struct slice host, char *dst, size_t cap)
{
	const struct {
		struct slice name, value;
	} vars[] = {
		{ SL("{ip}"), ip },
		{ SL("{rcpt}"), rcpt },
		{ SL("{host}"), host },
	};
	struct slice in = slice_str(v->text);
	size_t n = 0;

	while (in.n > 0 && n + 1 < cap) {
		struct slice piece = slice_of(in.p, 1);
		size_t eaten = 1;

		for (size_t i = 0; i < ARRAY_LEN(vars); i++)
			if (slice_has_prefix(in, vars[i].name)) {
				piece = vars[i].value;
				eaten = vars[i].name.n;
			}
		n += slice_copy(piece, dst + n, cap - n);
		in = slice_skip(in, eaten);
	}
	dst[n] = '\0';
	return n;
}

bool
behave_take(const struct behave *b, int64_t *full_ns, int64_t now_us)
{
	int64_t now_ns = now_us * 1000;
	int64_t step_ns, full = MAX(*full_ns, now_ns);

	if (b->rate_count == 0)
		return true;
	step_ns = b->rate_period_us * 1000 / (int64_t)b->rate_count;
	if (full - now_ns > step_ns * ((int64_t)MAX(b->rate_burst, 1u) - 1))
		return false;
	*full_ns = full + step_ns;
	return true;
}
