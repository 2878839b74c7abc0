/*
 * sim/peer.c - receivers: hosts with moods, and their sessions, which speak
 * through the real smtp_srv machine.
 *
 * What a host does wrong follows from its mood and the dice; what it refuses
 * for good follows from the address, so that it is the same every time.
 */
#include <errno.h>

#include "sim/sim_i.h"

#define GREY_US (60 * US_PER_S)
#define BODY_MAX (512u * 1024)

enum mood { MOOD_GOOD, MOOD_REFUSE, MOOD_DEAF, MOOD_STORM, MOOD_SICK };

struct sim_host {
	struct sim *s;
	uint32_t site, number;
	enum mood mood;
	struct smtp_srv_conf conf;
	uint32_t quota; /* messages in quota_us, 0 = none */
	int64_t quota_us;
	uint32_t used;
	int64_t quota_since_us;
	struct map grey;   /* hash of a triplet -> second it was first seen */
	struct list peers; /* its sessions */
};

enum twist { TWIST_NONE, TWIST_GARBAGE, TWIST_RESET, TWIST_SILENCE };

struct answer {
	int code;
	const char *enh, *text;
	enum twist twist;
	bool loses_reply;
};

struct peer {
	struct sim_host *host;
	struct list link;
	struct end *end;
	struct smtp_srv srv;
	struct buf body;
	char sender[128];
	struct slice rcpt[LED_RCPTS_MAX * 2];
	char rcpts[LED_RCPTS_MAX * 2][64];
	uint32_t nrcpt, nrefused;
	struct timer answer;
	struct answer due; /* to the final dot */
	bool is_closing, is_shaking;
};

static void peer_end(struct peer *p);

/* ---- hosts --------------------------------------------------------------------------- */

struct ip
peer_ip(uint32_t site, uint32_t host)
{
	struct ip ip = { .family = 4 };

	ip.b[0] = 192;
	ip.b[1] = 0;
	ip.b[2] = (uint8_t)site;
	ip.b[3] = (uint8_t)(host + 1);
	return ip;
}

bool
peer_of_ip(const struct ip *ip, uint32_t *site, uint32_t *host)
{
	*site = ip->b[2];
	*host = ip->b[3] - 1u;
	return ip->family == 4 && ip->b[0] == 192 && *site < SIM_SITES &&
	    *host < SIM_HOSTS;
}

void
peers_make(struct sim *s)
{
	struct rng *r = dice(s, DICE_PEER);

	s->receivers = mem_get(SIM_SITES * SIM_HOSTS * sizeof(*s->receivers));
	for (uint32_t i = 0; i < SIM_SITES * SIM_HOSTS; i++) {
		struct sim_host *h = &s->receivers[i];
		struct ip at;

		h->s = s;
		h->site = i / SIM_HOSTS;
		h->number = i % SIM_HOSTS;
		smtp_srv_conf_default(&h->conf);
		h->conf.hostname = SL("mx.example");
		h->conf.rcpts_max = LED_RCPTS_MAX;
		at = peer_ip(h->site, h->number);
		h->conf.exts = sim_wish_passes(s, &at) ? EXT_DSN : 0;
		if (sim_has(s, SIM_F_tls))
			h->conf.offers_tls = rng_below(r, 3) != 0;
		if (rng_below(r, 4) == 0)
			h->conf.messages_max = 1 + (uint32_t)rng_below(r, 20);
		if (sim_has(s, SIM_F_quota) && rng_below(r, 3) == 0)
			h->quota = 5 + (uint32_t)rng_below(r, 50);
		h->quota_us = (rng_below(r, 2) ? 600 : 3600) * US_PER_S;
		map_init(&h->grey, 5, 1u << 20);
		list_init(&h->peers);
	}
}

void
peers_free(struct sim *s)
{
	for (uint32_t i = 0; i < SIM_SITES * SIM_HOSTS; i++) {
		struct sim_host *h = &s->receivers[i];

		/* They wait for someone who is gone. */
		LIST_FOREACH_SAFE(n, tmp, &h->peers)
			peer_end(container_of(n, struct peer, link));
		map_free(&h->grey);
	}
	mem_free(s->receivers);
}

void
peers_heal(struct sim *s)
{
	for (uint32_t i = 0; i < SIM_SITES * SIM_HOSTS; i++)
		s->receivers[i].mood = MOOD_GOOD;
}

void
peers_mood(struct sim *s)
{
	struct rng *r = dice(s, DICE_FAULT);
	uint64_t site = rng_below(r, s->plan.nsites);
	uint64_t host = rng_below(r, s->plan.nhosts[site]);
	struct sim_host *h = &s->receivers[site * SIM_HOSTS + host];
	static const char *const names[] = { "good", "refuses", "deaf", "storm",
		"sick" };
	enum mood moods[8] = { MOOD_GOOD, MOOD_GOOD, MOOD_SICK };
	uint32_t n = 3;
	char text[60];

	if (sim_has(s, SIM_F_refuse)) {
		moods[n++] = MOOD_REFUSE;
		moods[n++] = MOOD_DEAF;
	}
	if (sim_has(s, SIM_F_storm))
		moods[n++] = MOOD_STORM;
	h->mood = moods[rng_below(r, n)];
	snprintf(text, sizeof(text), "mx%u.g%u: %s", (unsigned)host,
	    (unsigned)site, names[h->mood]);
	sim_fault(s, "mood", slice_str(text));
}

/* ---- what it answers ------------------------------------------------------------------ */

static bool
is_bad(struct peer *p, enum sim_feature f, uint32_t weight)
{
	struct sim *s = p->host->s;
	uint32_t per_mille = weight * s->plan.badness / 10;

	if (!sim_has(s, f))
		return false;
	if (p->host->mood == MOOD_SICK)
		per_mille *= 4;
	return sim_chance(s, DICE_PEER, per_mille);
}

/* Things that may go wrong at any stage. */
static struct answer
twisted(struct peer *p, struct answer good)
{
	struct sim *s = p->host->s;

	if (p->host->mood == MOOD_STORM) {
		s->marks->n[MARK_storm_421]++;
		good = (struct answer){ 421, "4.7.0", "Try again later",
			TWIST_NONE, false };
	}
	if (is_bad(p, SIM_F_storm, 3))
		good = (struct answer){ 421, "4.3.2", "Closing", TWIST_NONE,
			false };
	if (is_bad(p, SIM_F_garbage, 3))
		good.twist = TWIST_GARBAGE;
	if (is_bad(p, SIM_F_reset, 4))
		good.twist = TWIST_RESET;
	if (is_bad(p, SIM_F_silence, 3))
		good.twist = TWIST_SILENCE;
	if (good.code >= 400 || good.twist)
		s->report->faults++;
	return good;
}

static struct answer
to_mail(struct peer *p)
{
	struct answer a = { .code = 250, .enh = "2.1.0", .text = "Sender ok" };

	slice_copy(p->srv.path.address, p->sender, sizeof(p->sender));
	if (is_bad(p, SIM_F_reject, 6))
		a = (struct answer){ 451, "4.7.1", "Not now", 0, false };
	else if (is_bad(p, SIM_F_reject, 1))
		a = (struct answer){ 550, "5.7.1", "We do not like you", 0,
			false };
	if (a.code == 550)
		p->host->s->marks->n[MARK_sender_refused]++;
	return twisted(p, a);
}

static bool
is_grey(struct peer *p, struct slice to)
{
	struct sim *s = p->host->s;
	uint64_t key =
	    hash_bytes(hash_bytes(7, p->sender, strlen(p->sender)), to.p, to.n);
	uint32_t since, now = (uint32_t)(s->now_us / US_PER_S);

	if (!sim_has(s, SIM_F_grey) || p->host->site % 2 || s->is_healed)
		return false;
	since = map_get(&p->host->grey, key);
	if (!since) {
		if (map_put(&p->host->grey, key, now))
			return false;
		since = now;
	}
	return now - since < GREY_US / US_PER_S;
}

static bool
is_over_quota(struct peer *p)
{
	struct sim_host *h = p->host;
	struct sim *s = h->s;

	if (!h->quota || s->is_healed)
		return false;
	if (s->now_us - h->quota_since_us > h->quota_us) {
		h->quota_since_us = s->now_us;
		h->used = 0;
	}
	return h->used >= h->quota;
}

static struct answer
to_rcpt(struct peer *p)
{
	struct sim *s = p->host->s;
	struct slice to = p->srv.path.address;
	struct answer a = { .code = 250,
		.enh = "2.1.5",
		.text = "Recipient ok" };
	uint64_t fate = hash_bytes(11, to.p, to.n) % 100;

	if (sim_has(s, SIM_F_reject) && fate < 5) {
		a = (struct answer){ 550, "5.1.1", "No such user", 0, false };
	} else if (sim_has(s, SIM_F_mailbox_full) && fate > 94 &&
	    s->now_us > s->plan.fills_us && !s->is_healed) {
		s->marks->n[MARK_mailbox_full]++;
		a = (struct answer){ 452, "4.2.2", "Mailbox full", 0, false };
	} else if (is_grey(p, to)) {
		s->marks->n[MARK_greylisted]++;
		a = (struct answer){ 450, "4.7.1", "Greylisted", 0, false };
	} else if (is_over_quota(p)) {
		s->marks->n[MARK_over_quota]++;
		a = (struct answer){ 452, "4.7.28", "Over quota", 0, false };
	} else if (is_bad(p, SIM_F_reject, 10)) {
		a = (struct answer){ 450, "4.2.1", "Busy mailbox", 0, false };
	}
	return twisted(p, a);
}

static struct answer
to_data(struct peer *p)
{
	struct answer a = { .code = 354 };

	if (is_bad(p, SIM_F_reject, 4))
		a = (struct answer){ 451, "4.3.0", "No data now", 0, false };
	return twisted(p, a);
}

static struct answer
to_eom(struct peer *p)
{
	struct answer a = { .code = 250, .enh = "2.0.0", .text = "Taken" };

	if (is_bad(p, SIM_F_reject, 8))
		a = (struct answer){ 451, "4.6.0", "Later", 0, false };
	else if (is_bad(p, SIM_F_reject, 4))
		a = (struct answer){ 554, "5.6.0", "Spam", 0, false };
	a = twisted(p, a);
	if (a.code == 250 && is_bad(p, SIM_F_lost_reply, 8))
		a.loses_reply = true;
	return a;
}

/* ---- a session -------------------------------------------------------------------------- */

static void peer_run(struct peer *p, struct slice *in);

static void
peer_end(struct peer *p)
{
	sim_timer_cancel(p->host->s, &p->answer);
	list_remove(&p->link);
	smtp_srv_free(&p->srv);
	buf_free(&p->body);
	mem_free(p);
}

/* Sends what there is, and closes when that is due. */
static void
peer_flush(struct peer *p)
{
	if (!end_send(p->end, &p->srv.out))
		return;
	if (p->is_closing) {
		end_close(p->end);
		peer_end(p);
		return;
	}
	end_deadline(p->end, smtp_srv_deadline(&p->srv));
}

/* Does the act's answer end the session here? Then p is gone. */
static bool
twist(struct peer *p, const struct answer *a)
{
	struct sim *s = p->host->s;

	switch (a->twist) {
	case TWIST_NONE:
		return false;
	case TWIST_GARBAGE:
		s->marks->n[MARK_garbage_reply]++;
		buf_addz(&p->srv.out, "\x01\xff%n 2x0 what?\r\n");
		end_send(p->end, &p->srv.out);
		end_close(p->end);
		break;
	case TWIST_RESET:
		end_reset(p->end);
		break;
	case TWIST_SILENCE:
		end_vanish(p->end);
		break;
	}
	sim_fault(s, "twist",
	    slice_str(a->twist == TWIST_RESET ? "reset" :
		    a->twist == TWIST_GARBAGE ? "garbage" :
						"silence"));
	peer_end(p);
	return true;
}

static void
reply(struct peer *p, const struct answer *a)
{
	smtp_srv_reply(&p->srv, a->code, a->enh,
	    slice_str(a->text ? a->text : "Ok"));
}

static void
check_body(struct peer *p)
{
	struct slice body = buf_slice(&p->body), want;
	const char *hit = memmem(body.p, body.n, "X-Sim: ", 7);
	uint32_t n, k;
	bool is_sender;

	if (!led_address(slice_str(p->rcpts[0]), &n, &k, &is_sender) ||
	    is_sender)
		return;
	want = sim_load_body(p->host->s, n);
	if (!hit ||
	    !slice_eq(slice_of(hit, (size_t)(body.p + body.n - hit)), want))
		check_fail("what arrives is what was sent", n,
		    "a receiver takes %zu bytes for %s|they are not the %zu "
		    "that its sender gave",
		    body.n, p->rcpts[0], want.n);
}

/* It is ours now. */
static void
take(struct peer *p)
{
	p->host->used++;
	check_body(p);
	if (p->nrefused)
		p->host->s->marks->n[MARK_partial_refusal]++;
	for (uint32_t i = 0; i < p->nrcpt; i++)
		led_taken(p->host->s->ledger, slice_str(p->rcpts[i]),
		    buf_slice(&p->body));
}

static void
on_answer(void *arg)
{
	struct peer *p = arg;
	struct sim *s = p->host->s;
	struct answer a = p->due;
	struct slice none = { "", 0 };

	if (a.twist == TWIST_NONE && a.code == 250)
		take(p);
	if (a.loses_reply) {
		s->marks->n[MARK_reply_lost]++;
		sim_fault(s, "reply-lost", SL(""));
		if (rng_below(dice(s, DICE_PEER), 2))
			end_reset(p->end);
		else
			end_vanish(p->end);
		peer_end(p);
		return;
	}
	if (twist(p, &a))
		return;
	reply(p, &a);
	peer_run(p, &none);
	/* peer_run may have ended it; what waits is offered by the end. */
}

static bool
on_rcpt(struct peer *p)
{
	struct answer a = to_rcpt(p);

	sim_wish_rcpt(p->host->s, &p->srv);
	if (p->nrcpt >= ARRAY_LEN(p->rcpts))
		a = (struct answer){ 452, "4.5.3", "Too many", 0, false };
	if (a.code == 250)
		slice_copy(p->srv.path.address, p->rcpts[p->nrcpt++],
		    sizeof(p->rcpts[0]));
	else
		p->nrefused++;
	if (twist(p, &a))
		return false;
	reply(p, &a);
	return true;
}

static bool
on_mail(struct peer *p)
{
	struct answer a = to_mail(p);

	sim_wish_mail(p->host->s, &p->srv);
	p->nrcpt = p->nrefused = 0;
	if (twist(p, &a))
		return false;
	reply(p, &a);
	return true;
}

static bool
on_data(struct peer *p)
{
	struct answer a = to_data(p);

	buf_reset(&p->body);
	if (twist(p, &a))
		return false;
	if (a.code == 354)
		smtp_srv_go_ahead(&p->srv);
	else
		reply(p, &a);
	return true;
}

static void
on_eom(struct peer *p)
{
	struct sim *s = p->host->s;
	int64_t us = rng_range(dice(s, DICE_PEER), 200, 20000);

	p->due = to_eom(p);
	if (rng_below(dice(s, DICE_PEER), 60) == 0)
		us *= 100;
	sim_timer_set(s, &p->answer, s->now_us + us);
}

/* One act; false when it must end here. */
static bool
act(struct peer *p, enum smtp_srv_act what)
{
	switch (what) {
	case SRV_STARTTLS:
		p->is_shaking = true;
		peer_flush(p);
		return false;
	case SRV_AUTH: /* not offered */
	case SRV_XCLIENT:
		break;
	case SRV_NEED_INPUT:
	case SRV_WAIT:
		peer_flush(p);
		return false;
	case SRV_MAIL:
		return on_mail(p);
	case SRV_RCPT:
		return on_rcpt(p);
	case SRV_DATA:
		return on_data(p);
	case SRV_BODY:
		ASSERT(buf_adds(&p->body, p->srv.body) == 0);
		return true;
	case SRV_EOM:
		on_eom(p);
		return true;
	case SRV_ABORT:
		p->nrcpt = 0;
		return true;
	case SRV_REFUSED:
		return true;
	case SRV_CLOSE:
		p->is_closing = true;
		peer_flush(p);
		return false;
	}
	return false;
}

/* Until it needs more; p may be gone afterwards. */
static void
peer_run(struct peer *p, struct slice *in)
{
	int64_t now = p->host->s->now_us;
	struct end *e = p->end;

	while (act(p, smtp_srv_step(&p->srv, in, now)))
		continue;
	if (in->n == 0 && e->is_open)
		end_resume(e);
}

/* The client's part of the handshake has come. */
static void
on_hello(struct peer *p)
{
	struct slice none = { "", 0 };
	bool ok = !is_bad(p, SIM_F_tls, 30);

	p->is_shaking = false;
	tls_say(p->end, ok ? TLS_HELLO : TLS_ALERT);
	smtp_srv_tls_done(&p->srv, ok, p->host->s->now_us);
	peer_run(p, &none);
}

static size_t
on_bytes(void *user, struct slice data)
{
	struct peer *p = user;
	struct slice left = data;

	if (p->is_closing)
		return data.n;
	if (p->is_shaking) {
		on_hello(p);
		return 1;
	}
	peer_run(p, &left);
	return data.n - left.n;
}

static void
on_drained(void *user)
{
	peer_flush(user);
}

static void
on_gone(void *user, int err)
{
	struct peer *p = user;

	(void)err;
	end_close(p->end);
	peer_end(p);
}

static void
on_deadline(void *user)
{
	struct peer *p = user;
	struct slice none = { "", 0 };

	if (p->is_closing) {
		on_gone(p, 0);
		return;
	}
	smtp_srv_timeout(&p->srv);
	peer_run(p, &none);
}

static const struct end_ops ops = {
	.on_data = on_bytes,
	.on_drained = on_drained,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

static void
on_accept(void *arg, struct end *e)
{
	struct sim_host *h = arg;
	struct peer *p = mem_get(sizeof(*p));
	struct answer a = { .code = 220 };

	p->host = h;
	p->end = e;
	e->ops = &ops;
	e->user = p;
	list_push_tail(&h->peers, &p->link);
	buf_init(&p->body, BODY_MAX);
	sim_timer_init(&p->answer, on_answer, p, "eom");
	smtp_srv_init(&p->srv, &h->conf, h->s->now_us);
	a = twisted(p, a);
	if (a.code == 421 && a.twist == TWIST_NONE)
		smtp_srv_shut(&p->srv, SL("Busy"), false);
	if (!twist(p, &a)) {
		struct slice none = { "", 0 };

		peer_run(p, &none);
	}
}

struct end *
peer_connect(struct sim *s, const struct ip *to, const struct end_ops *eo,
    void *user)
{
	struct rng *r = dice(s, DICE_LINK);
	struct link_conf lc = { .latency_us = 1 +
		    rng_range(r, s->plan.latency_us / 2, s->plan.latency_us) };
	uint32_t site, host;
	struct sim_host *h;

	ASSERT(peer_of_ip(to, &site, &host));
	h = &s->receivers[site * SIM_HOSTS + host];
	if (sim_has(s, SIM_F_reset) &&
	    sim_chance(s, DICE_LINK, 2 * s->plan.badness))
		lc.reset_after = 1 + rng_below(r, 4000);
	if (sim_has(s, SIM_F_silence) &&
	    sim_chance(s, DICE_LINK, s->plan.badness))
		lc.silent_after = 1 + rng_below(r, 4000);
	if (sim_has(s, SIM_F_drip) &&
	    sim_chance(s, DICE_LINK, 2 * s->plan.badness))
		lc.drip_us = rng_range(r, 100, 200000);
	s->marks->n[MARK_link_dripped] += lc.drip_us != 0;
	if (h->mood == MOOD_REFUSE)
		s->marks->n[MARK_connect_refused]++;
	if (h->mood == MOOD_DEAF)
		s->marks->n[MARK_connect_timeout]++;
	return link_connect(s, &lc, eo, user,
	    h->mood == MOOD_REFUSE ? ECONNREFUSED : 0, h->mood != MOOD_DEAF,
	    on_accept, h);
}
