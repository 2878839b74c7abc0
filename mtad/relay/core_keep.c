/*
 * relay/core_keep.c - entries between the engine, which knows names by their
 * ids, and the books, which outlive ids and have them as text.
 */
#include <stdio.h>

#include "relay/core_i.h"

/* A host has no name that is its own: its address stands there. */
#define HOST_TEXT_MAX (IP_TEXT_MAX + 8)

static struct slice
host_text(char dst[HOST_TEXT_MAX], const struct ip *ip, uint16_t port)
{
	char text[IP_TEXT_MAX];
	size_t n = ip_format(text, ip);

	return slice_of(dst,
	    (size_t)snprintf(dst, HOST_TEXT_MAX, "%.*s %u", (int)n, text,
		port));
}

static bool
host_parse(struct slice s, struct ip *ip, uint16_t *port)
{
	struct slice address = slice_cut(&s, ' ');
	uint64_t n;

	if (ip_parse(address, ip) != 0 || slice_u64(s, UINT16_MAX, &n) != 0)
		return false;
	*port = (uint16_t)n;
	return true;
}

/* Which of the names of a limit's entry is a host's, or -1. */
static int
host_at(const struct kept *k)
{
	int n = 1;

	if (k->book != BOOK_QUOTA || (k->sub >> DIM_HOST & 1) == 0)
		return -1;
	for (int d = 0; d < DIM_HOST; d++)
		n += k->sub >> d & 1;
	return n;
}

void
core_do_keep(struct core *c, uint32_t *i)
{
	const struct eng_cmd *cmd = &c->cmds.v[*i], *values = cmd + 1;
	struct kept k = {
		.book = cmd->keep.book,
		.nkeys = cmd->keep.nkeys,
		.is_gone = cmd->keep.is_gone,
		.sub = cmd->keep.sub,
	};

	char host[HOST_TEXT_MAX];

	ASSERT(*i + 1 < c->cmds.n && values->kind == CMD_KEEP_VALUES);
	++*i;
	memcpy(k.v, values->keep_values.v, sizeof(k.v));
	for (uint32_t n = 0; n < k.nkeys; n++) {
		if (cmd->keep.key[n] == ENG_KEY_HOST) {
			k.key[n] =
			    host_text(host, &cmd->keep.host, cmd->keep.port);
			continue;
		}
		core_name_pin(c, cmd->keep.key[n]);
		k.key[n] = names_text(&c->names, cmd->keep.key[n]);
	}
	if (c->ops->keep)
		c->ops->keep(c->ctx, &k, cmd->keep.serial);
	else
		c->kept_at_once = cmd->keep.serial;
}

void
core_recall(struct core *c, const struct kept *k)
{
	struct eng_event ev = { .kind = EV_RECALL };

	ev.recall = (struct eng_entry){
		.book = k->book,
		.nkeys = k->nkeys,
		.sub = k->sub,
	};
	memcpy(ev.recall.v, k->v, sizeof(k->v));
	for (uint32_t n = 0; n < k->nkeys; n++) {
		if ((int)n != host_at(k)) {
			ev.recall.key[n] = core_tag(c, k->key[n]);
			continue;
		}
		ev.recall.key[n] = ENG_KEY_HOST;
		if (!host_parse(k->key[n], &ev.recall.host, &ev.recall.port))
			return;
	}
	core_step(c, &ev);
}

void
core_kept(struct core *c, uint64_t serial)
{
	struct eng_event ev = { .kind = EV_KEPT };

	ev.kept = serial;
	core_step(c, &ev);
}

static void
log_day(struct slice source, struct slice provider,
    const struct eng_warm_day *d)
{
	char from[NAME_MAX_BYTES + 1], to[DOMAIN_MAX + 1], sent[64], stage[32];

	slice_copy(source, from, sizeof(from));
	slice_copy(provider.n ? provider : SL("-"), to, sizeof(to));
	snprintf(sent, sizeof(sent), "%u of %u", d->sent, d->most);
	snprintf(stage, sizeof(stage), "%u", d->stage + 1);
	log_event(LOG_INFO, "warmup", "source", from, "provider", to, "stage",
	    stage, "sent", sent, "verdict",
	    eng_warm_name((enum eng_warm_verdict)d->verdict), "because",
	    eng_warm_why_name((enum eng_warm_why)d->why), NULL);
}

void
core_warm_day(struct core *c, const struct eng_cmd *cmd)
{
	const struct eng_warm_day *d = &cmd->warm_day;
	struct slice source = names_text(&c->names, d->source);
	struct slice provider = names_text(&c->names, d->provider);

	if (c->ops->warm_day)
		c->ops->warm_day(c->ctx, source, provider, d);
	else
		log_day(source, provider, d);
}

void
core_warm_rows(struct core *c,
    void (*row)(void *ctx, struct slice source, struct slice provider,
	const struct eng_warm_row *r),
    void *ctx)
{
	uint32_t n = eng_warm_rows(c->eng, NULL, 0);
	struct eng_warm_row *v = mem_try((n + 1) * sizeof(*v));

	if (!v)
		return;
	n = MIN(eng_warm_rows(c->eng, v, n), n);
	for (uint32_t i = 0; i < n; i++)
		row(ctx, names_text(&c->names, v[i].today.source),
		    names_text(&c->names, v[i].today.provider), &v[i]);
	mem_free(v);
}

/* ---- as JSON ------------------------------------------------------------------ */

struct warm_view {
	struct core *c;
	struct jsonw w;
};

static void
put_row(void *ctx, struct slice source, struct slice provider,
    const struct eng_warm_row *r)
{
	struct warm_view *v = ctx;
	const struct eng_warm_day *d = &r->today;
	bool is_done = r->nstages != 0 && d->stage >= r->nstages;

	jw_open(&v->w, '{');
	jw_kstr(&v->w, "source", source);
	jw_kstr(&v->w, "provider", provider);
	jw_kstr(&v->w, "plan", names_text(&v->c->names, d->plan));
	jw_ku64(&v->w, "stage", MIN(d->stage + 1u, r->nstages));
	jw_ku64(&v->w, "stages", r->nstages);
	jw_kbool(&v->w, "is_done", is_done);
	jw_ku64(&v->w, "share", d->most);
	jw_ku64(&v->w, "hour_share", r->hour_most);
	jw_ku64(&v->w, "sent", d->sent);
	jw_ku64(&v->w, "hour_sent", r->hour_sent);
	jw_ku64(&v->w, "delivered", d->ok);
	jw_ku64(&v->w, "deferred", d->deferred);
	jw_ku64(&v->w, "bounced", d->bounced);
	jw_ku64(&v->w, "complained", d->complained);
	jw_ku64(&v->w, "days_at_stage", r->days);
	jw_kstr(&v->w, "verdict",
	    slice_str(eng_warm_name((enum eng_warm_verdict)r->verdict)));
	jw_kstr(&v->w, "because",
	    slice_str(eng_warm_why_name((enum eng_warm_why)r->why)));
	jw_kstr(&v->w, "today",
	    slice_str(eng_warm_name((enum eng_warm_verdict)d->verdict)));
	jw_kstr(&v->w, "today_because",
	    slice_str(eng_warm_why_name((enum eng_warm_why)d->why)));
	if (r->until_us) {
		char iso[32];

		date_iso(iso, core_wall(v->c, r->until_us));
		jw_kstr(&v->w, "until", slice_str(iso));
	}
	jw_close(&v->w, '}');
}

void
core_view_warmup(struct core *c, struct buf *out)
{
	struct warm_view v = { .c = c };

	jw_init(&v.w, out);
	jw_open(&v.w, '{');
	jw_key(&v.w, "warmup");
	jw_open(&v.w, '[');
	core_warm_rows(c, put_row, &v);
	jw_close(&v.w, ']');
	jw_close(&v.w, '}');
}
