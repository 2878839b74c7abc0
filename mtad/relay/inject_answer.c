/*
 * relay/inject_answer.c - what became of a request, in the words of HTTP: a
 * status by what SMTP said, and JSON that says it of each recipient.
 */
#include "base/json.h"
#include "relay/inject_i.h"
#include "relay/relay.h"

#define ANSWER_MAX (64u << 10) /* beside the recipients that are refused */

/* Where SMTP would say 4xx the client is to come again. */
static int
status_of(const struct lane_said *s)
{
	if (s->code / 100 == 2)
		return 202;
	if (s->key == IDEM_BUSY)
		return 409;
	if (s->code == 450) /* an account's rate */
		return 429;
	if (s->code / 100 == 4)
		return 503;
	return s->code == 552 ? 413 : 422;
}

static const char *
code_of(int status)
{
	switch (status) {
	case 503:
		return "unavailable";
	case 409:
		return "in_progress";
	case 429:
		return "rate_limited";
	case 413:
		return "too_large";
	default:
		return "refused";
	}
}

/* A client may want to know that nothing was taken this time. */
static struct slice
more_of(int status, enum idem_answer key)
{
	if (status == 202 && key == IDEM_DONE)
		return SL("Idempotent-Replayed: true\r\n");
	if (status == 429)
		return SL("Retry-After: 60\r\n");
	if (status == 409)
		return SL("Retry-After: 1\r\n");
	return status == 503 ? SL("Retry-After: 10\r\n") : SL("");
}

void
inject_refuse(struct inject *j, int status, const char *code,
    struct slice message, struct slice field)
{
	http_srv_error(&j->http, status, code, message, field,
	    more_of(status, IDEM_TAKEN));
}

static const char *
code_of_said(const struct lane_said *s)
{
	return s->key == IDEM_OTHER ? "idempotency_key_reused" :
				      code_of(status_of(s));
}

void
inject_refuse_said(struct inject *j, const struct lane_said *s)
{
	int status = status_of(s);

	inject_refuse(j, status, code_of_said(s), slice_str(s->text), SL(""));
}

bool
inject_id(const struct lane_said *s, struct msgid *id)
{
	static const char before[] = "Queued as ";
	const char *at = strstr(s->text, before);

	return s->code == 250 && at != NULL &&
	    msgid_parse(slice_str(at + strlen(before)), id) == 0;
}

static void
put_error(struct jsonw *w, const struct lane_said *s)
{
	http_error_json(w, code_of_said(s), slice_str(s->text), SL(""));
}

void
inject_reject(struct inject *j, struct slice to, const struct lane_said *s)
{
	struct jsonw w;

	/* All are refused for now: the whole can be tried again. */
	if (s->code / 100 != 4)
		j->all_later = false;
	if (j->nrejected++ > 0)
		buf_addc(&j->rejected, ',');
	jw_init(&w, &j->rejected);
	jw_open(&w, '{');
	jw_kstr(&w, "recipient", to);
	put_error(&w, s);
	jw_close(&w, '}');
}

static void
answer(struct inject *j, int status, enum idem_answer key, struct buf *b)
{
	buf_addc(b, '\n');
	if (b->failed)
		inject_refuse(j, 500, "too_large", SL("The answer is too long"),
		    SL(""));
	else
		http_srv_reply(&j->http, status, more_of(status, key),
		    buf_slice(b));
	buf_free(b);
}

static void
put_id(struct jsonw *w, const struct msgid *id)
{
	char text[MSGID_TEXT_MAX];

	jw_kstr(w, "id", slice_of(text, msgid_format(text, id)));
}

/* s is NULL: no recipient was taken. */
void
inject_answer_one(struct inject *j, const struct lane_said *s)
{
	int status = s != NULL ? status_of(s) : j->all_later ? 503 : 422;
	struct msgid id;
	struct jsonw w;
	struct buf b;

	buf_init(&b, INJECT_REJECTED_MAX + ANSWER_MAX);
	jw_init(&w, &b);
	jw_open(&w, '{');
	if (s == NULL)
		http_error_json(&w, code_of(status),
		    SL("No recipient can be written to"), SL(""));
	else if (status != 202)
		put_error(&w, s);
	else if (inject_id(s, &id))
		put_id(&w, &id);
	else
		jw_kstr(&w, "status", SL("discarded"));
	if (s != NULL && status == 202)
		jw_ku64(&w, "accepted", j->naccepted);
	jw_key(&w, "rejected");
	jw_open(&w, '[');
	buf_adds(&b, buf_slice(&j->rejected));
	b.failed |= j->rejected.failed;
	jw_close(&w, ']');
	jw_close(&w, '}');
	answer(j, status, s != NULL ? s->key : IDEM_TAKEN, &b);
}

/* ---- batches ------------------------------------------------------------------------ */

void
inject_note(struct inject *j, uint32_t i, const struct lane_said *s)
{
	struct inject_result *r = &j->results[i];
	size_t n = strlen(s->text);

	j->done++;
	r->code = s->code;
	r->key = s->key;
	if (inject_id(s, &r->id))
		return;
	r->text = mem_try(n + 1);
	if (r->text != NULL)
		memcpy(r->text, s->text, n + 1);
}

void
inject_note_fault(struct inject *j, uint32_t i, const struct letter_fault *f)
{
	struct inject_result *r = &j->results[i];
	size_t n = strlen(f->message);

	j->done++;
	r->code = 550;
	r->what = "invalid";
	slice_copy(slice_str(f->field), r->field, sizeof(r->field));
	r->text = mem_try(n + 1);
	if (r->text != NULL)
		memcpy(r->text, f->message, n + 1);
}

static void
put_result(struct jsonw *w, struct inject *j, const struct inject_result *r,
    struct letter_at *at)
{
	struct lane_said s = { .code = r->code, .key = r->key };
	struct letter_addr to;
	struct slice text = slice_str(r->text ? r->text : "");
	int status = status_of(&s);

	jw_open(w, '{');
	if (letter_next(j->letter, at, &to))
		jw_kstr(w, "recipient", slice_of(to.email, to.email_n));
	if (r->code == 250 && r->text == NULL) {
		jw_kstr(w, "status", SL("queued"));
		put_id(w, &r->id);
	} else if (r->code == 250) {
		jw_kstr(w, "status", SL("discarded"));
	} else {
		jw_kstr(w, "status",
		    status == 503 || status == 409 || status == 429 ?
			SL("later") :
			SL("refused"));
		http_error_json(w, r->what ? r->what : code_of_said(&s), text,
		    slice_str(r->field));
	}
	jw_close(w, '}');
}

/* 202 when something was taken; else by what speaks for trying again. */
static int
batch_status(const struct inject *j, uint32_t *nqueued)
{
	bool is_later = false, is_fine = false;

	*nqueued = 0;
	for (uint32_t i = 0; i < j->n; i++) {
		is_fine |= j->results[i].code == 250;
		*nqueued += j->results[i].code == 250 && !j->results[i].text;
		is_later |= j->results[i].code / 100 == 4;
	}
	return is_fine ? 202 : is_later ? 503 : 422;
}

void
inject_answer_batch(struct inject *j)
{
	struct letter_at at = letter_first(j->letter);
	uint32_t nqueued;
	int status = batch_status(j, &nqueued);
	struct jsonw w;
	struct buf b;

	buf_init(&b, HTTP_OUT_MAX / 2);
	jw_init(&w, &b);
	jw_open(&w, '{');
	if (status != 202)
		http_error_json(&w, code_of(status), SL("No message was taken"),
		    SL(""));
	jw_ku64(&w, "queued", nqueued);
	jw_key(&w, "messages");
	jw_open(&w, '[');
	for (uint32_t i = 0; i < j->n; i++)
		put_result(&w, j, &j->results[i], &at);
	jw_close(&w, ']');
	jw_close(&w, '}');
	answer(j, status, IDEM_TAKEN, &b);
}
