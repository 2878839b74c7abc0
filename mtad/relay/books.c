/*
 * relay/books.c - one event of mail as one line of JSON.
 *
 * Empty and zero fields are left out, so that a line is short; the order of
 * fields is fixed. The event_id is a hash of what the event is about (message,
 * recipient, kind, attempt), so a crash that makes a record appear twice
 * repeats its event_id too. Events that these do not name (a refusal at the
 * door, an operator's action, a failure that stands for a whole path) happen
 * once and carry a serial number instead, or equal ids would hide them from
 * who drops doubles; damage in the spool is named by the place it is at, and what a
 * report says by the report.
 */
#include "relay/relay.h"

#define X(name, text) [name] = text,
static const char *const kind_names[BOOK_N] = { BOOK_KINDS(X) };
#undef X

const char *
book_kind_name(enum book_kind k)
{
	return k < BOOK_N ? kind_names[k] : "unknown";
}

void
book_entry_init(struct book_entry *e, enum book_kind kind)
{
	memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->rcpt = -1;
	e->queued_us = e->session_us = -1;
}

uint64_t
book_event_id(const struct book_entry *e)
{
	struct {
		struct msgid id;
		int32_t rcpt;
		uint16_t attempt;
		uint8_t kind, pad;
		int64_t wall_us; /* with serial only */
		uint64_t serial, place;
	} key;

	memset(&key, 0, sizeof(key));
	key.id = e->id;
	key.rcpt = e->rcpt;
	key.attempt = e->attempt;
	key.kind = (uint8_t)e->kind;
	if (e->has_report) {
		key.id = e->report;
		key.rcpt = (int32_t)e->nth;
	} else if (e->serial) {
		key.wall_us = e->wall_us;
		key.serial = e->serial;
	} else if (!e->has_id)
		key.place = hash_bytes(0, e->text.p, e->text.n);
	return hash_bytes(UINT64_C(0x6d7461642d626f6f), &key, sizeof(key));
}

static void
put_event_id(struct jsonw *w, const struct book_entry *e)
{
	uint64_t h = book_event_id(e);
	char text[16];
	size_t n = fmt_base32(text, &h, sizeof(h));

	jw_kstr(w, "event_id", slice_of(text, n));
}

static void
put_text(struct jsonw *w, const char *key, struct slice s)
{
	if (s.n)
		jw_kstr(w, key, s);
}

static void
put_message(struct jsonw *w, const struct book_entry *e)
{
	char id[MSGID_TEXT_MAX];

	if (e->has_id)
		jw_kstr(w, "id", slice_of(id, msgid_format(id, &e->id)));
	if (e->has_sender)
		jw_kstr(w, "sender", e->sender);
	put_text(w, "recipient", e->recipient);
	if (e->rcpt >= 0)
		jw_ku64(w, "rcpt", (uint64_t)e->rcpt);
	if (e->nrcpt)
		jw_ku64(w, "nrcpt", e->nrcpt);
	put_text(w, "tenant", e->tenant);
	put_text(w, "campaign", e->campaign);
	put_text(w, "pool", e->pool);
	put_text(w, "listener", e->listener);
	if (e->size)
		jw_ku64(w, "size", e->size);
	if (e->is_dsn)
		jw_kbool(w, "dsn", true);
}

static void
put_peer(struct jsonw *w, const struct book_entry *e)
{
	char text[ENDPOINT_TEXT_MAX];

	put_text(w, "source", e->source);
	put_text(w, "site", e->site);
	put_text(w, "mx", e->mx);
	if (e->has_peer)
		jw_kstr(w, "peer",
		    slice_of(text, endpoint_format(text, &e->peer)));
	put_text(w, "helo", e->helo);
	put_text(w, "tls", e->tls);
	put_text(w, "tls_policy", e->tls_policy);
}

static void
put_outcome(struct jsonw *w, const struct book_entry *e)
{
	char enh[16];
	size_t n;

	if (e->outcome.code)
		jw_ku64(w, "code", e->outcome.code);
	n = enh_format(enh, e->outcome.enh);
	put_text(w, "enhanced", slice_of(enh, n));
	put_text(w, "text", e->text);
	if (e->outcome.is_judged) {
		enum category c = (enum category)e->outcome.judged.category;

		jw_kstr(w, "category", slice_str(category_name(c)));
		jw_kstr(w, "kind",
		    slice_str(kind_name((enum kind)e->outcome.judged.kind)));
	}
	if (e->outcome.stage)
		jw_kstr(w, "stage",
		    slice_str(stage_name(outcome_stage(&e->outcome))));
	if (e->attempt)
		jw_ku64(w, "attempt", e->attempt);
}

static void
put_report(struct jsonw *w, const struct book_entry *e)
{
	char id[MSGID_TEXT_MAX];

	if (!e->has_report)
		return;
	jw_kstr(w, "report", slice_of(id, msgid_format(id, &e->report)));
	if (e->known_by)
		jw_kstr(w, "known_by", slice_str(e->known_by));
	if (e->is_repeat)
		jw_kbool(w, "repeat", true);
	if (e->action)
		jw_kstr(w, "action", slice_str(e->action));
	if (e->has_hard)
		jw_kbool(w, "hard", e->is_hard);
	put_text(w, "reported", e->reported);
	put_text(w, "remote_mta", e->remote_mta);
	put_text(w, "feedback", e->feedback);
	put_text(w, "message_id", e->message_id);
	put_text(w, "envid", e->envid);
}

static void
put_times(struct jsonw *w, const struct book_entry *e)
{
	char text[32];

	if (e->queued_us >= 0) {
		jw_key(w, "queued");
		jw_milli(w, e->queued_us / 1000);
	}
	if (e->session_us >= 0) {
		jw_key(w, "session");
		jw_milli(w, e->session_us / 1000);
	}
	if (e->next_us)
		jw_kstr(w, "next", slice_of(text, date_iso(text, e->next_us)));
}

int
book_write(struct buf *out, const struct book_entry *e)
{
	size_t before = out->n;
	char when[32];
	struct jsonw w;

	jw_init(&w, out);
	jw_open(&w, '{');
	jw_kstr(&w, "type", slice_str(kind_names[e->kind]));
	jw_kstr(&w, "time", slice_of(when, date_iso(when, e->wall_us)));
	put_event_id(&w, e);
	if (e->at_start)
		jw_kbool(&w, "start", true);
	put_message(&w, e);
	put_peer(&w, e);
	put_outcome(&w, e);
	put_report(&w, e);
	put_times(&w, e);
	put_text(&w, "user", e->user);
	put_text(&w, "reason", e->reason);
	jw_close(&w, '}');
	buf_addc(out, '\n');
	if (out->failed) {
		buf_cut(out, before);
		out->failed = false;
		return E_FULL;
	}
	return 0;
}
