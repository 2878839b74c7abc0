/*
 * sim/load.c - what the senders have to send: messages with numbers, their
 * recipients and texts. All of it follows from the seed and the number, so a
 * receiver can tell whether a single byte has changed.
 *
 * Text: tags for the daemon, which it takes out, then what must arrive.
 */
#include "sim/sim_i.h"

#define BODY_MAX (300u * 1024)
#define TOO_BIG_MAX (2u * SIM_SIZE_MAX)

struct item {
	struct load *load;
	struct timer timer; /* to be offered */
	struct list ready;
	uint64_t seed;
	uint32_t n, nrcpt, body_bytes;
	uint32_t nopen;
	bool is_null;
	uint16_t site[LED_RCPTS_MAX];
	uint8_t domain[LED_RCPTS_MAX];
	bool open[LED_RCPTS_MAX];
	uint16_t sender_site;
	uint8_t sender_domain;
	uint32_t tries;
};

struct load {
	struct sim *s;
	struct item *item; /* [1 .. n] */
	uint32_t n, nopen; /* messages with open recipients */
	struct list ready;
	struct buf body, header;
};

static struct item *
item_of(const struct sim *s, uint32_t n)
{
	ASSERT(n >= 1 && n <= s->load->n);
	return &s->load->item[n];
}

static void
on_offer(void *arg)
{
	struct item *i = arg;

	list_push_tail(&i->load->ready, &i->ready);
	clients_wake(i->load->s);
}

static uint32_t
body_size(struct sim *s, struct rng *r)
{
	if (sim_has(s, SIM_F_large) && rng_below(r, 50) == 0)
		return (uint32_t)rng_range(r, 100 * 1024, BODY_MAX);
	if (sim_has(s, SIM_F_too_big) && rng_below(r, 150) == 0)
		return SIM_SIZE_MAX + (uint32_t)rng_below(r, 300 * 1024);
	if (rng_below(r, 10) == 0)
		return (uint32_t)rng_range(r, 2000, 20000);
	return (uint32_t)rng_range(r, 0, 900);
}

static void
item_make(struct sim *s, struct item *i, uint32_t n)
{
	const struct plan *p = &s->plan;
	struct rng *r = dice(s, DICE_LOAD);
	/* Skewed: a few sites get most. */
	uint64_t main_site = rng_below(r, 1 + rng_below(r, p->nsites));

	i->load = s->load;
	i->n = n;
	i->seed = rng_u64(r);
	i->nrcpt = 1 + (uint32_t)rng_below(r, 1 + rng_below(r, p->rcpts_max));
	i->nopen = i->nrcpt;
	i->is_null = rng_below(r, 8) == 0;
	i->body_bytes = body_size(s, r);
	for (uint32_t k = 0; k < i->nrcpt; k++) {
		uint64_t site =
		    rng_below(r, 3) ? main_site : rng_below(r, p->nsites);

		i->open[k] = true;
		i->site[k] = (uint16_t)site;
		i->domain[k] = (uint8_t)rng_below(r, p->ndomains[site]);
	}
	i->sender_site = (uint16_t)rng_below(r, p->nsites);
	i->sender_domain = (uint8_t)rng_below(r, p->ndomains[i->sender_site]);
	sim_timer_init(&i->timer, on_offer, i, "offer");
	sim_timer_set(s, &i->timer,
	    s->now_us + (int64_t)rng_below(r, (uint64_t)p->load_us));
}

void
sim_load_make(struct sim *s)
{
	struct load *l = mem_get(sizeof(*l));

	s->load = l;
	l->s = s;
	l->n = l->nopen = s->plan.messages;
	s->report->messages = l->n;
	l->item = mem_get((l->n + 1) * sizeof(*l->item));
	list_init(&l->ready);
	buf_init(&l->body, TOO_BIG_MAX + 4096);
	buf_init(&l->header, 4096);
	for (uint32_t n = 1; n <= l->n; n++)
		item_make(s, &l->item[n], n);
}

void
sim_load_free(struct sim *s)
{
	for (uint32_t n = 1; n <= s->load->n; n++)
		sim_timer_cancel(s, &s->load->item[n].timer);
	buf_free(&s->load->body);
	buf_free(&s->load->header);
	mem_free(s->load->item);
	mem_free(s->load);
}

/* ---- texts -------------------------------------------------------------------------- */

uint32_t
sim_load_rcpts(const struct sim *s, uint32_t n)
{
	return item_of(s, n)->nrcpt;
}

void
sim_load_address(const struct sim *s, uint32_t n, uint32_t k, char *dst,
    size_t cap)
{
	const struct item *i = item_of(s, n);

	snprintf(dst, cap, "m%ur%u@d%u.g%u.example", n, k, i->domain[k],
	    i->site[k]);
}

void
sim_load_sender(const struct sim *s, uint32_t n, char *dst, size_t cap)
{
	const struct item *i = item_of(s, n);

	dst[0] = '\0';
	if (!i->is_null)
		snprintf(dst, cap, "s%u@d%u.g%u.example", n, i->sender_domain,
		    i->sender_site);
}

struct slice
sim_load_header(struct sim *s, uint32_t n)
{
	const struct item *i = item_of(s, n);
	struct buf *b = &s->load->header;

	buf_reset(b);
	buf_addf(b, "X-MTA-Tenant: t%llu\r\nX-MTA-Pool: p%llu\r\n",
	    (unsigned long long)(i->seed % s->plan.ntenants),
	    (unsigned long long)(i->seed / 7 % s->plan.npools));
	if (i->seed % 3 == 0)
		buf_addf(b, "X-MTA-Campaign: c%llu\r\n",
		    (unsigned long long)(i->seed / 11 % 3));
	if (sim_has(s, SIM_F_weights) && i->seed / 37 % 6 == 0)
		buf_addf(b, "X-MTA-Class: %s\r\n",
		    i->seed / 223 % 4 ? "transactional" : "bulk");
	if (sim_has(s, SIM_F_schedule) && i->seed / 41 % 8 == 0)
		buf_addf(b, "X-MTA-Schedule: +%llus\r\n",
		    (unsigned long long)(i->seed / 331 % 300));
	if (sim_has(s, SIM_F_zones) && i->seed / 43 % 3 != 0)
		buf_addf(b, "X-MTA-Zone: %s\r\n",
		    i->seed / 43 % 3 == 1 ? SIM_FAR : "UTC");
	if (sim_has(s, SIM_F_engaged) && i->seed / 47 % 3 != 0)
		buf_addf(b, "X-MTA-Engaged: %s\r\n",
		    i->seed / 47 % 3 == 1 ? "yes" : "no");
	return buf_slice(b);
}

struct slice
sim_load_body(struct sim *s, uint32_t n)
{
	static const char letters[64 + 1] = "abcdefghijklmnopqrstuvwxyz .,.;ABC"
					    "DEFGHIJKLMNOPQRSTUVWXYZ 0123456";
	const struct item *i = item_of(s, n);
	struct buf *b = &s->load->body;
	uint64_t x = i->seed;
	char line[80];

	buf_reset(b);
	buf_addf(b, "X-Sim: %u\r\nSubject: one of %u\r\n\r\n", n, s->load->n);
	while (b->n < i->body_bytes) {
		size_t len = x % 70;

		x = hash_u64(x + 1);
		for (size_t k = 0; k < len; k++)
			line[k] = letters[(x >> (k & 31) ^ k * 7) & 63];
		if (x % 9 == 0)
			line[0] = '.';
		buf_add(b, line, len);
		buf_addz(b, "\r\n");
	}
	ASSERT(!b->failed);
	return buf_slice(b);
}

/* ---- offers -------------------------------------------------------------------------- */

uint32_t
sim_load_next(struct sim *s)
{
	struct list *n = list_pop_head(&s->load->ready);

	return n ? container_of(n, struct item, ready)->n : 0;
}

bool *
sim_load_open(struct sim *s, uint32_t n)
{
	return item_of(s, n)->open;
}

bool
sim_load_is_too_big(const struct sim *s, uint32_t n)
{
	return item_of(s, n)->body_bytes >= SIM_SIZE_MAX;
}

void
sim_load_again(struct sim *s, uint32_t n)
{
	struct item *i = item_of(s, n);
	uint32_t nopen = 0;

	for (uint32_t k = 0; k < i->nrcpt; k++)
		nopen += i->open[k];
	if (nopen == 0 && i->nopen)
		s->load->nopen--;
	i->nopen = nopen;
	if (nopen == 0)
		return;
	s->marks->n[MARK_client_resent]++;
	/* A minute at most, and where nothing is taken for days, hours. */
	sim_timer_set(s, &i->timer,
	    s->now_us +
		(rng_range(dice(s, DICE_LOAD), US_PER_S, 60 * US_PER_S)
		    << MIN(i->tries++ / 4, 7u)));
}

bool
sim_load_is_done(const struct sim *s)
{
	return s->load->nopen == 0;
}
