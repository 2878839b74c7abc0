/*
 * relay/inject.c - requests that post messages: who asks, for what, and the
 * bytes of the body on their way to where they are wanted.
 *
 * Invariants: what is staged is accounted in the gate, and given back when the
 * request is over, however it ends. 202 is written only when an intake has said
 * that all it stands for is durable.
 */
#include <stdio.h>

#include "crypt/crypt.h"
#include "relay/inject_i.h"
#include "relay/relay.h"

#define PATH "/v1/messages"
#define OUT_MANY (64u << 10)  /* bytes of answers that wait to be sent */
#define BODY_SPARE (1u << 20) /* of JSON beside the message */

void
inject_init(struct inject *j, const struct conf *conf,
    const struct conf_listen *door, const struct inject_ops *ops, void *ctx,
    struct gate *gate, const struct endpoint *peer, int64_t now_us)
{
	memset(j, 0, sizeof(*j));
	j->conf = conf;
	j->door = door;
	j->ops = ops;
	j->ctx = ctx;
	j->gate = gate;
	j->peer = *peer;
	/* JSON writes four bytes for three, and some of them twice. */
	j->http_conf = (struct http_srv_conf){
		.body_max = door->smtp.size_max > UINT64_MAX / 4 ?
		    UINT64_MAX / 2 :
		    2 * door->smtp.size_max + BODY_SPARE,
		.head_ms = door->smtp.command_ms,
		.body_ms = door->smtp.body_ms,
		.answer_ms = door->smtp.eom_ms,
	};
	j->all_later = true;
	buf_init(&j->body, INTAKE_SHARE);
	buf_init(&j->rejected, INJECT_REJECTED_MAX);
	http_srv_init(&j->http, &j->http_conf, now_us);
}

static void
body_free(struct inject *j)
{
	if (j->spill != NULL)
		j->ops->spill_free(j->spill);
	j->spill = NULL;
	gate_give(&j->gate->staging_free, (int64_t)j->staged);
	j->staged = 0;
	buf_free(&j->body);
}

void
inject_drop(struct inject *j)
{
	for (uint32_t i = 0; i < INJECT_LANES_MAX; i++)
		lane_close(j, &j->lane[i]);
	for (uint32_t i = 0; j->results != NULL && i < j->n; i++)
		mem_free(j->results[i].text);
	mem_free(j->results);
	j->results = NULL;
	letter_free(j->letter);
	j->letter = NULL;
	j->n = j->next = j->done = 0;
	j->naccepted = j->nrejected = 0;
	j->all_later = true;
	j->kind = INJECT_NONE;
	j->is_ending = j->is_repeat = false;
	crypt_hash_free(j->hash);
	j->hash = NULL;
	buf_free(&j->rejected);
	body_free(j);
}

void
inject_free(struct inject *j)
{
	inject_drop(j);
	http_srv_free(&j->http);
}

/* ---- who asks ------------------------------------------------------------------- */

static bool
take_token(struct inject *j)
{
	struct slice said = http_srv_field(&j->http, SL("Authorization"));
	struct slice kind = slice_cut(&said, ' ');
	uint8_t digest[CRYPT_SHA256_BYTES];

	said = slice_trim(said);
	if (!slice_ieq(kind, SL("Bearer")) || said.n == 0)
		return false;
	crypt_digest(said, digest);
	j->token = conf_token_find(j->conf, digest);
	return j->token != NULL;
}

void
inject_vouch(const struct inject *j, struct intake *in)
{
	const struct conf_token *t = j->token;
	struct steer s = { .tenant = t->tenant,
		.campaign = t->campaign,
		.pool = t->pool };

	intake_vouch(in,
	    t->account.n > 0 ? conf_account_find(j->conf, t->account) : NULL,
	    &s, t->name);
}

bool
inject_may_send(struct inject *j, uint32_t n)
{
	int64_t us =
	    j->token->rate_count > 0 ? j->ops->wait_us(j->ctx, j->token, n) : 0;
	char after[64];
	int k;

	if (us == 0)
		return true;
	k = snprintf(after, sizeof(after), "Retry-After: %lld\r\n",
	    (long long)((us + US_PER_S - 1) / US_PER_S));
	http_srv_error(&j->http, 429, "rate_limited",
	    SL("Too many messages for this token"), SL(""),
	    slice_of(after, (size_t)k));
	return false;
}

/* ---- a raw message ---------------------------------------------------------------- */

static void
raw_rcpt(struct inject *j, struct slice to)
{
	struct lane_said s;

	if (!mailbox_is_valid(to, true)) {
		s.code = 553;
		slice_copy(SL("553 5.1.3 No mail address"), s.text,
		    sizeof(s.text));
	} else {
		lane_rcpt(j, &j->lane[0], to, &s);
	}
	if (s.code / 100 == 2)
		j->naccepted++;
	else
		inject_reject(j, to, &s);
}

/* Every value of a name in the query, and in a list of the field's. */
static int
each_address(struct inject *j, struct slice name, struct slice field,
    void (*take)(struct inject *j, struct slice address, void *ctx), void *ctx)
{
	struct slice query = j->http.query, key, value;
	struct slice list = http_srv_field(&j->http, field);
	struct buf text;
	int err = 0;

	buf_init(&text, MAILBOX_MAX);
	while (!err && http_query_next(&query, &key, &value)) {
		if (!slice_eq(key, name))
			continue;
		buf_reset(&text);
		err = http_unescape(value, &text);
		if (!err)
			take(j, buf_slice(&text), ctx);
	}
	buf_free(&text);
	while (!err && list.n > 0)
		take(j, slice_trim(slice_cut(&list, ',')), ctx);
	return err;
}

struct sender {
	uint32_t n;
	char text[MAILBOX_MAX + 1];
	size_t len;
	bool is_utf8;
};

static bool
is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

static void
take_sender(struct inject *j, struct slice address, void *ctx)
{
	struct sender *s = ctx;

	(void)j;
	s->n++;
	s->is_utf8 |= !is_ascii(address);
	s->len = slice_copy(address, s->text, sizeof(s->text));
}

static void
look_at_rcpt(struct inject *j, struct slice address, void *ctx)
{
	(void)j;
	((struct sender *)ctx)->is_utf8 |= !is_ascii(address);
}

static void
take_rcpt(struct inject *j, struct slice address, void *ctx)
{
	(void)ctx;
	raw_rcpt(j, address);
}

/* Of a message that was taken before: nobody is asked again. */
static void
count_rcpt(struct inject *j, struct slice address, void *ctx)
{
	(void)address;
	(void)ctx;
	j->naccepted++;
}

static void
raw_begin(struct inject *j)
{
	struct slice to = SL("to"), to_field = SL("X-Envelope-To");
	struct sender from = { 0 };
	struct lane_said s;

	if (each_address(j, SL("from"), SL("X-Envelope-From"), take_sender,
		&from) ||
	    each_address(j, to, to_field, look_at_rcpt, &from)) {
		inject_refuse(j, 400, "malformed_request",
		    SL("The query cannot be read"), SL(""));
		return;
	}
	if (from.n != 1 ||
	    (from.len > 0 &&
		!mailbox_is_valid(slice_of(from.text, from.len), true))) {
		inject_refuse(j, 422, "invalid",
		    SL("One sender is needed: an address, or empty"),
		    SL("from"));
		return;
	}
	if (!inject_may_send(j, 1))
		return;
	lane_mail(j, &j->lane[0], slice_of(from.text, from.len),
	    j->http.has_length ? j->http.length : 0, from.is_utf8, &s);
	if (s.code != 250) {
		inject_refuse_said(j, &s);
		return;
	}
	j->is_repeat = inject_key_give(j, &j->lane[0], 0, true, &s);
	if (each_address(j, to, to_field, j->is_repeat ? count_rcpt : take_rcpt,
		NULL))
		j->naccepted = 0;
	if (j->is_repeat)
		lane_close(j, &j->lane[0]);
	if (j->naccepted > 0) {
		j->kind = INJECT_RAW;
		http_srv_go_ahead(&j->http);
	} else if (j->nrejected > 0) {
		inject_answer_one(j, NULL);
	} else {
		inject_refuse(j, 422, "invalid", SL("A recipient is needed"),
		    SL("to"));
	}
}

static void
raw_body(struct inject *j, struct slice piece)
{
	struct lane_said s;

	if (j->is_repeat)
		return;
	lane_piece(j, &j->lane[0], piece, &s);
	if (s.code == 250)
		return;
	inject_refuse_said(j, &s);
	inject_drop(j);
}

static void
raw_heard(struct inject *j, const struct lane_said *s)
{
	if (s->code == 0)
		return;
	inject_answer_one(j, s);
	inject_drop(j);
}

/* Its key is known: is it known for this message? */
static void
raw_repeat(struct inject *j)
{
	struct lane_said s;

	lane_mail(j, &j->lane[0], SL(""), 0, false, &s);
	if (s.code == 250 && !inject_key_give(j, &j->lane[0], 0, false, &s)) {
		s.code = 451; /* its time is over just now */
		slice_copy(SL("451 4.3.0 Try again"), s.text, sizeof(s.text));
	}
	raw_heard(j, &s);
}

static void
raw_end(struct inject *j)
{
	struct lane *l = &j->lane[0];
	struct lane_said s;

	if (j->is_repeat) {
		raw_repeat(j);
		return;
	}
	if (j->hash != NULL)
		l->in->digest = j->digest;
	l->state = LANE_END;
	lane_end(j, &j->lane[0], &s);
	raw_heard(j, &s);
}

/* ---- JSON: its bytes ------------------------------------------------------------- */

static void
json_busy(struct inject *j)
{
	inject_refuse(j, 503, "unavailable",
	    SL("No room for the request, try again later"), SL(""));
	inject_drop(j);
}

/* In memory, as far as its share and the budget of all allow; else false. */
static bool
json_stage(struct inject *j, struct slice piece)
{
	int64_t spare = (int64_t)(j->conf->staging_bytes / 4);
	int64_t more = (int64_t)(j->body.n + piece.n) - (int64_t)j->staged;

	if (j->spill != NULL || j->body.n + piece.n > INTAKE_SHARE)
		return false;
	more = more > 0 ? MAX(more, (int64_t)j->staged) : 0; /* doubling */
	if (more > 0 &&
	    (atomic_load_explicit(&j->gate->staging_free,
		 memory_order_relaxed) < spare + more ||
		!gate_take(&j->gate->staging_free, more)))
		return false;
	j->staged += (uint64_t)more;
	return buf_adds(&j->body, piece) == 0;
}

static bool
json_spill(struct inject *j, struct slice piece)
{
	const struct intake_ops *ops = j->ops->staging;
	struct slice had = buf_slice(&j->body);

	if (!ops->has_room(j->ctx, piece.n))
		return false;
	if (had.n > 0 && !ops->spill_add(j->ctx, &j->spill, had))
		return false;
	buf_free(&j->body);
	gate_give(&j->gate->staging_free, (int64_t)j->staged);
	j->staged = 0;
	return ops->spill_add(j->ctx, &j->spill, piece);
}

static void
json_body(struct inject *j, struct slice piece)
{
	if (!json_stage(j, piece) && !json_spill(j, piece))
		json_busy(j);
}

static void
json_end(struct inject *j)
{
	const struct intake_ops *ops = j->ops->staging;

	if (j->spill != NULL && !ops->spill_is_done(j->ctx, j->spill)) {
		j->is_ending = true;
		return;
	}
	j->is_ending = false;
	inject_begin_json(j);
}

/* ---- requests ---------------------------------------------------------------------- */

static void
take_kind(struct inject *j)
{
	struct slice type = http_srv_field(&j->http, SL("Content-Type"));
	struct slice coding = http_srv_field(&j->http, SL("Content-Encoding"));

	type = slice_trim(slice_cut(&type, ';'));
	if (coding.n > 0 && !slice_ieq(coding, SL("identity"))) {
		inject_refuse(j, 415, "unsupported_media_type",
		    SL("Bodies that are compressed are not taken"), SL(""));
	} else if (slice_ieq(type, SL("message/rfc822"))) {
		raw_begin(j);
	} else if (slice_ieq(type, SL("application/json"))) {
		j->kind = INJECT_JSON;
		http_srv_go_ahead(&j->http);
	} else {
		inject_refuse(j, 415, "unsupported_media_type",
		    SL("Content-Type is neither application/json nor "
		       "message/rfc822"),
		    SL(""));
	}
}

static void
on_head(struct inject *j)
{
	struct http_srv *h = &j->http;

	if (!slice_eq(h->path, SL(PATH)))
		inject_refuse(j, 404, "not_found",
		    SL("Messages are posted to " PATH), SL(""));
	else if (!slice_eq(h->method, SL("POST")))
		http_srv_error(h, 405, "method_not_allowed",
		    SL("Messages are posted"), SL(""), SL("Allow: POST\r\n"));
	else if (!take_token(j))
		http_srv_error(h, 401, "unauthorized",
		    SL("A known token is needed (Authorization: Bearer)"),
		    SL(""), SL("WWW-Authenticate: Bearer\r\n"));
	else if (!h->has_length && !h->is_chunked)
		inject_refuse(j, 411, "length_required",
		    SL("The request has no body"), SL(""));
	else if (inject_key_begin(j))
		take_kind(j);
	if (j->kind == INJECT_NONE)
		inject_drop(j);
}

static void
on_body(struct inject *j)
{
	inject_key_body(j, j->http.body);
	if (j->kind == INJECT_RAW)
		raw_body(j, j->http.body);
	else
		json_body(j, j->http.body);
}

static void
on_end(struct inject *j)
{
	inject_key_end(j);
	if (j->kind == INJECT_RAW)
		raw_end(j);
	else
		json_end(j);
}

/* One act of the machine; false when the feed must end here. */
static bool
act(struct inject *j, enum http_act what)
{
	switch (what) {
	case HTTP_NEED_INPUT:
	case HTTP_WAIT:
		return false;
	case HTTP_HEAD:
		on_head(j);
		return true;
	case HTTP_BODY:
		on_body(j);
		return true;
	case HTTP_END:
		on_end(j);
		return true;
	case HTTP_ABORT:
		inject_drop(j);
		return true;
	case HTTP_CLOSE:
		j->is_closing = true;
		return false;
	}
	ASSERT(!"an act of the HTTP server");
	return false;
}

size_t
inject_feed(struct inject *j, struct slice data, int64_t now_us,
    int64_t wall_us)
{
	struct slice left = data;

	j->now_us = now_us;
	j->wall_us = wall_us;
	if (atomic_load_explicit(&j->gate->is_stopping, memory_order_relaxed))
		http_srv_shut(&j->http);
	/* Who does not read its answers is not read. */
	while (j->http.out.n < OUT_MANY &&
	    act(j, http_srv_step(&j->http, &left, now_us)))
		continue;
	return data.n - left.n;
}

size_t
inject_room(const struct inject *j, size_t n)
{
	if (j->kind == INJECT_RAW && j->lane[0].in != NULL)
		return intake_room(j->lane[0].in, n);
	if (j->kind != INJECT_JSON)
		return n;
	if (j->spill != NULL || j->body.n >= INTAKE_SHARE)
		return 0;
	return MIN(n, INTAKE_SHARE - j->body.n);
}

void
inject_heard(struct inject *j, struct intake *in, int64_t now_us,
    int64_t wall_us)
{
	struct lane_said s;
	struct lane *l = NULL;

	j->now_us = now_us;
	j->wall_us = wall_us;
	for (uint32_t i = 0; i < INJECT_LANES_MAX; i++)
		if (j->lane[i].in == in)
			l = &j->lane[i];
	if (l == NULL)
		return;
	lane_hear(l, &s);
	if (s.code == 0)
		return;
	if (j->kind == INJECT_RAW) {
		raw_heard(j, &s);
		return;
	}
	inject_lane_done(j, l, &s);
	inject_run(j);
}

void
inject_go_on(struct inject *j, int64_t now_us, int64_t wall_us)
{
	j->now_us = now_us;
	j->wall_us = wall_us;
	if (j->is_ending)
		json_end(j);
	else if (j->letter != NULL)
		inject_run(j);
}
