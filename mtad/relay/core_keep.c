/*
 * relay/core_keep.c - entries between the engine, which knows names by their
 * ids, and the books, which outlive ids and have them as text.
 */
#include "relay/core_i.h"

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

	ASSERT(*i + 1 < c->cmds.n && values->kind == CMD_KEEP_VALUES);
	++*i;
	memcpy(k.v, values->keep_values.v, sizeof(k.v));
	for (uint32_t n = 0; n < k.nkeys; n++) {
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
	for (uint32_t n = 0; n < k->nkeys; n++)
		ev.recall.key[n] = core_tag(c, k->key[n]);
	core_step(c, &ev);
}

void
core_kept(struct core *c, uint64_t serial)
{
	struct eng_event ev = { .kind = EV_KEPT };

	ev.kept = serial;
	core_step(c, &ev);
}

void
core_warm_day(struct core *c, const struct eng_cmd *cmd)
{
	const struct eng_warm_day *d = &cmd->warm_day;
	char source[NAME_MAX_BYTES + 1], provider[DOMAIN_MAX + 1], sent[64],
	    stage[32];

	slice_copy(names_text(&c->names, d->source), source, sizeof(source));
	slice_copy(d->provider ? names_text(&c->names, d->provider) : SL("-"),
	    provider, sizeof(provider));
	snprintf(sent, sizeof(sent), "%u of %u", d->sent, d->most);
	snprintf(stage, sizeof(stage), "%u", d->stage + 1);
	log_event(LOG_INFO, "warmup", "source", source, "provider", provider,
	    "stage", stage, "sent", sent, "verdict",
	    eng_warm_name((enum eng_warm_verdict)d->verdict), "because",
	    eng_warm_why_name((enum eng_warm_why)d->why), NULL);
}
