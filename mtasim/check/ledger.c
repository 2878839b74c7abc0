/*
 * check/ledger.c - instances, and their way in and out.
 */
#include "check/ledger_i.h"

struct ledger *
led_new(struct story *story, struct marks *marks)
{
	struct ledger *l = mem_get(sizeof(*l));

	l->story = story;
	l->marks = marks;
	map_init(&l->by_id, 1, 1u << 24);
	map_init(&l->by_slot, 2, 1u << 24);
	led_share_reset(l);
	return l;
}

void
led_free(struct ledger *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		mem_free(l->inst[i].rcpt);
		mem_free(l->inst[i].pays_rcpts);
	}
	mem_free(l->inst);
	mem_free(l->pending);
	mem_free(l->flight);
	map_free(&l->by_id);
	map_free(&l->by_slot);
	mem_free(l);
}

void
led_clock(struct ledger *l, int64_t now_us, int64_t wall_us)
{
	/* When a tenant was quiet before the clock was set can no longer be
	 * told by the clock. */
	if (wall_us - now_us != l->wall_us - l->now_us)
		led_share_begin(l);
	l->now_us = now_us;
	l->wall_us = wall_us;
}

void
led_retry(struct ledger *l, const struct eng_retry *r)
{
	l->old_retry = l->retry.first_us ? l->retry : *r;
	l->retry = *r;
}

/* ---- small parts ------------------------------------------------------------- */

bool
led_number(struct slice *s, uint32_t *out)
{
	size_t n = 0;
	uint64_t v;

	while (n < s->n && ascii_is_digit(s->p[n]))
		n++;
	if (n == 0 || slice_u64(slice_of(s->p, n), UINT32_MAX, &v))
		return false;
	*out = (uint32_t)v;
	*s = slice_skip(*s, n);
	return true;
}

bool
led_address(struct slice a, uint32_t *n, uint32_t *k, bool *is_sender)
{
	char first = a.n ? a.p[0] : 0;

	*k = 0;
	*is_sender = first == 's';
	if (first != 's' && first != 'm')
		return false;
	a = slice_skip(a, 1);
	if (!led_number(&a, n))
		return false;
	if (first == 's')
		return a.n && a.p[0] == '@';
	if (a.n == 0 || a.p[0] != 'r')
		return false;
	a = slice_skip(a, 1);
	return led_number(&a, k) && a.n && a.p[0] == '@';
}

struct led_inst *
led_by_id(struct ledger *l, const struct msgid *id)
{
	uint32_t i = map_get(&l->by_id, msgid_hash(id));

	return i ? &l->inst[i - 1] : NULL;
}

struct led_inst *
led_by_slot(struct ledger *l, struct handle slot)
{
	uint32_t i = map_get(&l->by_slot, slot.index);
	struct led_inst *in = i ? &l->inst[i - 1] : NULL;

	return in && handle_eq(in->slot, slot) ? in : NULL;
}

void
led_slot_set(struct ledger *l, struct led_inst *in, struct handle slot)
{
	in->slot = slot;
	if (map_put(&l->by_slot, slot.index, (uint32_t)(in - l->inst) + 1))
		abort();
}

void
led_slot_clear(struct ledger *l, struct led_inst *in)
{
	if (led_by_slot(l, in->slot) == in)
		map_del(&l->by_slot, in->slot.index);
	in->slot = HANDLE_NONE;
}

void
led_note(struct ledger *l, const char *what, const struct led_inst *in,
    int32_t rcpt, struct slice text)
{
	story_add(l->story, what, in->n,
	    rcpt < 0 ? -1 : (int32_t)in->rcpt[rcpt].k, text);
}

void
led_note_ref(struct ledger *l, const char *what, const struct led_inst *in)
{
	char text[60];

	snprintf(text, sizeof(text), "file %u offset %u", in->ref.file,
	    in->ref.offset);
	led_note(l, what, in, -1, slice_str(text));
}

void
led_pend(struct ledger *l, const struct led_inst *in, uint16_t rcpt,
    bool is_final)
{
	if (l->npending == l->pending_cap) {
		l->pending_cap = MAX(2 * l->pending_cap, 256u);
		l->pending =
		    mem_grow(l->pending, l->pending_cap * sizeof(*l->pending));
		ASSERT(l->pending);
	}
	l->pending[l->npending++] = (struct led_ref){ (uint32_t)(in - l->inst),
		rcpt, is_final, l->now_us };
}

/* ---- the way in --------------------------------------------------------------- */

static struct led_inst *
inst_new(struct ledger *l)
{
	if (l->n == l->cap) {
		l->cap = MAX(2 * l->cap, 256u);
		l->inst = mem_grow(l->inst, l->cap * sizeof(*l->inst));
		ASSERT(l->inst);
	}
	memset(&l->inst[l->n], 0, sizeof(*l->inst));
	return &l->inst[l->n++];
}

/* "d1.g3.example" is at site 3, unless it has moved. */
static uint8_t
site_of(const char *domain)
{
	const char *g = strchr(domain, 'g');
	struct slice s = slice_str(g ? g + 1 : "");
	uint32_t n;

	return led_number(&s, &n) ? (uint8_t)n : 0;
}

/* "t2" is 2; no name is 3, as is the fourth tenant. */
static uint8_t
tag(struct slice s)
{
	return s.n == 2 ? (uint8_t)(s.p[1] - '0') : 3;
}

static void
read_rcpts(struct led_inst *in, struct cursor *c)
{
	struct env_rcpt r;
	bool is_sender;

	in->rcpt = mem_get(in->nrcpt * sizeof(*in->rcpt));
	for (uint32_t i = 0; i < in->nrcpt && env_rcpt_next(c, &r); i++) {
		if (!led_address(r.address, &in->n, &in->rcpt[i].k, &is_sender))
			check_fail("addresses are ours", 0,
			    "recipient %.*s in a committed envelope|no sender "
			    "offered it",
			    SLF(r.address));
		in->is_notice |= is_sender;
		in->rcpt[i].notify = r.notify;
		slice_copy(mailbox_domain(r.address), in->rcpt[i].domain,
		    sizeof(in->rcpt[i].domain));
		in->rcpt[i].site = site_of(in->rcpt[i].domain);
		in->rcpt[i].number =
		    (uint8_t)((in->rcpt[i].domain[1] - '0') % LED_DOMAINS);
	}
}

void
led_commit(struct ledger *l, const struct parcel *p)
{
	struct led_inst *in = inst_new(l), *orig;
	struct envelope env;
	struct cursor c;
	char id[MSGID_TEXT_MAX];

	ASSERT(env_decode(p->commit.envelope, &env, &c) == 0);
	in->id = env.id;
	in->nrcpt = env.nrcpt;
	in->is_null = env.sender.n == 0;
	in->committed_us = l->now_us;
	in->pool = tag(env.pool);
	in->has_tenant = env.tenant.n != 0;
	in->tenant = env.tenant.n != 0 ? tag(env.tenant) : LED_TENANTS - 1;
	in->campaign = tag(env.campaign);
	in->klass = env.klass;
	in->is_engaged = (env.flags & ENV_ENGAGED) != 0;
	slice_copy(env.zone, in->zone, sizeof(in->zone));
	in->bytes = env.body_bytes;
	if (!in->is_null) {
		char domain[DOMAIN_MAX + 1];

		slice_copy(mailbox_domain(env.sender), domain, sizeof(domain));
		in->sender = site_of(domain) * LED_DOMAINS +
		    (uint32_t)(domain[1] - '0') % LED_DOMAINS;
	}
	in->expires_wall_us = env.expires_us;
	in->not_before_us = env.not_before_us;
	in->expires_us = env.expires_us - l->wall_us + l->now_us;
	read_rcpts(in, &c);
	if (map_get(&l->by_id, msgid_hash(&in->id)))
		check_fail("ids are unique", in->n,
		    "a commit of m%u has the id of another instance", in->n);
	if (map_put(&l->by_id, msgid_hash(&in->id), l->n))
		abort();
	msgid_format(id, &in->id);
	led_note(l, in->is_notice ? "commit-notice" : "commit", in, -1,
	    slice_str(id));
	if (!p->commit.npays)
		return;
	orig = led_by_slot(l, p->commit.pays_slot);
	if (!orig)
		check_fail("a notice pays a debt", in->n,
		    "a notice to s%u is committed|its original is not queued",
		    in->n);
	in->pays = (uint32_t)(orig - l->inst) + 1;
	in->npays = p->commit.npays;
	in->pays_delay = p->commit.pays_delay;
	in->pays_rcpts = mem_get(in->npays * sizeof(uint16_t));
	memcpy(in->pays_rcpts, p->commit.pays_rcpts,
	    in->npays * sizeof(uint16_t));
}

void
led_pay(struct ledger *l, const struct led_inst *notice)
{
	struct led_inst *orig;

	if (!notice->pays)
		return;
	orig = &l->inst[notice->pays - 1];
	if (notice->pays_delay) {
		led_pay_late(l, notice, orig);
		return;
	}
	for (uint32_t i = 0; i < notice->npays; i++) {
		struct led_rcpt *c = &orig->rcpt[notice->pays_rcpts[i]];

		if (!c->is_owed)
			check_fail("a notice pays a debt", orig->n,
			    "a notice says that m%u r%u failed|nothing is owed "
			    "for it: its outcome is %s",
			    orig->n, c->k,
			    outcome_name((enum outcome_class)c->klass));
		if (c->paid++)
			check_fail("every owed notice exists exactly once",
			    orig->n,
			    "a notice for m%u r%u is durable|another one "
			    "already was",
			    orig->n, c->k);
		c->payer = (uint32_t)(notice - l->inst) + 1;
		l->sums.notices++;
	}
}

void
led_committed(struct ledger *l, const struct parcel *p)
{
	struct led_inst *in = led_by_id(l, &p->commit.id);

	ASSERT(in);
	if (in->state != LED_COMMITTING)
		check_fail("a commit is answered once", in->n,
		    "the spool answers a commit of m%u|it was answered before",
		    in->n);
	if (p->commit.err) {
		in->state = LED_FAILED;
		l->marks->n[MARK_refused_commit_452]++;
		led_note(l, "commit-failed", in, -1,
		    slice_str(err_name(p->commit.err)));
		l->has_failed = true;
		return;
	}
	in->state = LED_DURABLE;
	/* At a start it may look too old to be missed in the log. */
	in->is_slow = l->now_us - in->committed_us > TAIL_WINDOW_US / 2;
	in->ref = p->commit.ref;
	l->last_file = in->ref.file;
	led_slot_set(l, in, p->commit.slot);
	led_note_ref(l, "durable", in);
	led_pay(l, in);
}

void
led_said_250(struct ledger *l, const struct msgid *id, bool is_kept)
{
	struct led_inst *in = led_by_id(l, id);

	if (!in || (in->state != LED_DURABLE && in->state != LED_OVER))
		check_fail("no 250 before its commit", in ? in->n : 0,
		    "a 250 is written for m%u|its commit is not done",
		    in ? in->n : 0);
	if (!is_kept)
		check_fail("no 250 before the sync that covers it", in->n,
		    "a 250 is written for m%u|its record is not on the medium",
		    in->n);
	in->said_250 = true;
	led_note(l, "said-250", in, -1, SL(""));
}

void
led_submitted(struct ledger *l, const struct msgid *id)
{
	struct led_inst *in = led_by_id(l, id);

	if (!in || in->state != LED_DURABLE)
		check_fail("nothing is submitted before its commit",
		    in ? in->n : 0, "the core is given m%u|it is not durable",
		    in ? in->n : 0);
	in->with_core = true;
	in->submitted_us = l->now_us;
	/* From here on the monotonic clock counts: a wall clock that jumped
	 * since the commit has moved its end. */
	in->expires_us = in->expires_wall_us - l->wall_us + l->now_us;
	for (uint32_t k = 0; k < in->nrcpt; k++)
		led_time_schedule(l, in, &in->rcpt[k]);
	l->sums.accepted += in->nrcpt;
}

void
led_heard_250(struct ledger *l, uint32_t n, uint32_t k, struct slice text)
{
	struct led_inst *in;
	struct msgid id;

	if (msgid_parse(text, &id) || !(in = led_by_id(l, &id)) || in->n != n ||
	    !in->said_250)
		check_fail("a 250 names what was taken", n,
		    "the sender of m%u hears 250 for r%u: %.*s|no such message "
		    "was acknowledged",
		    n, k, SLF(text));
	in->heard_250 = true;
	for (uint32_t i = 0; i < in->nrcpt; i++)
		if (in->rcpt[i].k == k)
			return;
	check_fail("a 250 names what was taken", n,
	    "the sender of m%u hears 250 for r%u|that recipient is not in the "
	    "envelope",
	    n, k);
}

/* ---- sums ------------------------------------------------------------------------ */

bool
led_is_open(const struct led_inst *in)
{
	for (uint32_t i = 0; i < in->nrcpt; i++) {
		const struct led_rcpt *c = &in->rcpt[i];

		if (c->klass == OUTCOME_NONE || (c->is_owed && !c->paid))
			return true;
	}
	return false;
}

void
led_sums(const struct ledger *l, struct led_sums *out)
{
	*out = l->sums;
	for (uint32_t i = 0; i < l->n; i++) {
		const struct led_inst *in = &l->inst[i];

		if (in->state != LED_DURABLE || !in->with_core)
			continue;
		out->messages++;
		for (uint32_t k = 0; k < in->nrcpt; k++)
			out->recipients += in->rcpt[k].klass == OUTCOME_NONE &&
			    (!in->is_aside || in->rcpt[k].is_flying);
	}
}

void
led_audit(struct ledger *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		struct led_inst *in = &l->inst[i];

		if (in->heard_250 && in->state != LED_DURABLE &&
		    in->state != LED_OVER)
			check_fail("what was accepted is kept", in->n,
			    "the sender of m%u heard 250|the spool has no such "
			    "message",
			    in->n);
		if (in->state == LED_OVER && !in->is_aside && led_is_open(in))
			check_fail("what is dropped is over", in->n,
			    "m%u is not queued|a recipient of it is open",
			    in->n);
	}
}

void
led_rest(struct ledger *l)
{
	led_audit(l);
	for (uint32_t i = 0; i < l->n; i++) {
		struct led_inst *in = &l->inst[i];

		if (in->state == LED_DURABLE || in->state == LED_COMMITTING)
			check_fail("everything drains once faults stop", in->n,
			    "faults stopped long ago|m%u%s is still queued",
			    in->n, in->is_notice ? " (a notice)" : "");
	}
}
