/*
 * daemon/suppress_door.c - what other threads have to do with suppression: a worker
 * asks for a recipient, and the core tells of bounces and complaints.
 */
#include <stdio.h>

#include "daemon/daemon_i.h"

#define COMPLAIN_US (60 * US_PER_S)
#define OFFENCES_MAX 20000u /* on their way: 14 MB at most */

static void
tell(struct daemon *d, const struct post_offence *o)
{
	struct suppressor *s = &d->suppressor;
	struct post_offence *p = NULL;

	if (atomic_load(&s->noffences) < OFFENCES_MAX)
		p = mem_try(sizeof(*p));
	if (p == NULL) {
		atomic_fetch_add(&s->offences_dropped, 1);
		return;
	}
	*p = *o;
	p->post.kind = POST_OFFENCE;
	atomic_fetch_add(&s->noffences, 1);
	suppressor_post(s, &p->post);
}

static void
fill_offence(struct post_offence *o, struct slice tenant, bool for_all,
    struct slice address)
{
	memset(o, 0, sizeof(*o));
	if (!for_all)
		slice_copy(tenant, o->tenant, sizeof(o->tenant));
	slice_copy(address, o->name, sizeof(o->name));
	o->wall_us = clock_wall_us();
}

void
suppressor_bounced(struct worker *w, const struct book_entry *e)
{
	const struct conf_suppression *c = &w->conf->suppression;
	struct post_offence o;
	char text[SUPPRESS_TEXT_MAX + 1];

	if (c->kinds == 0 || !e->outcome.is_judged ||
	    !(c->kinds >> e->outcome.judged.kind & 1) || e->recipient.n == 0)
		return;
	fill_offence(&o, e->tenant, c->bounce_for_all, e->recipient);
	snprintf(text, sizeof(text), "%s: %u %.*s",
	    kind_name((enum kind)e->outcome.judged.kind), e->outcome.code,
	    SLF(e->text));
	text_escape(slice_str(text), o.reason, sizeof(o.reason));
	o.source = "bounce";
	o.count = c->count;
	o.period_us = c->period_us;
	o.for_us = c->bounce_us;
	tell(w->d, &o);
}

void
suppressor_complained(struct worker *w, struct slice tenant,
    struct slice address, struct slice provider)
{
	const struct conf_suppression *c = &w->conf->suppression;
	struct post_offence o;

	if (!c->takes_complaints || mailbox_domain(address).n == 0)
		return;
	fill_offence(&o, tenant, c->complaint_for_all, address);
	snprintf(o.reason, sizeof(o.reason), "complaint%s%.*s",
	    provider.n ? " at " : "", SLF(provider));
	o.source = "complaint";
	o.for_us = c->complaint_us;
	tell(w->d, &o);
}

enum veto
suppressor_veto(struct worker *w, struct slice tenant, struct slice to,
    char *dst, size_t cap)
{
	int64_t now = loop_now(w->loop);
	struct suppress_hit hit;
	int found = suppress_ask(w->suppress, tenant, to,
	    loop_wall(w->loop) / US_PER_S, &hit);

	if (found == 0)
		return VETO_NONE;
	if (found > 0) {
		COUNT(w, recipients_suppressed, 1);
		slice_copy(slice_str(hit.reason), dst, cap);
		return w->conf->suppression.discards ? VETO_DISCARD :
						       VETO_REJECT;
	}
	if (!w->suppress_complained_us ||
	    now - w->suppress_complained_us >= COMPLAIN_US) {
		w->suppress_complained_us = now;
		log_event(LOG_ERROR, "suppression", "what",
		    "the file cannot be asked", "error", err_text(found),
		    "effect", "recipients that it may have are put off", NULL);
	}
	return VETO_LATER;
}
