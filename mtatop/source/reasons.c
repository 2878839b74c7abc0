/*
 * source/reasons.c - the daemon's explanation of a domain as lines of text: for
 * each of its queues what is shut, for how long and why, how fast it may be and
 * is, and what its receivers said. The lines hold strangers' words: they are
 * escaped where they are drawn.
 */
#include <jansson.h>

#include "source/source.h"

#define LINES_MAX 400u
#define LINE_MAX 400

static struct slice
text_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) ?
	    slice_of(json_string_value(v), json_string_length(v)) :
	    slice_of("", 0);
}

static void __attribute__((format(printf, 2, 3)))
add_line(struct snap *s, const char *fmt, ...)
{
	char line[LINE_MAX];
	va_list ap;
	size_t n;
	char *p;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	n = strlen(line);
	p = n > 0 ? arena_str(&s->arena, line, n) : NULL;
	if (s->nreasons < LINES_MAX)
		s->reasons[s->nreasons++] = slice_of(p ? p : "", p ? n : 0);
}

/* " for 5m"; nothing when it is not known. */
static const char *
span(const json_t *o, const char *key, const char *lead, char text[40])
{
	const json_t *v = json_object_get(o, key);
	double us = json_number_value(v) * 1e6;
	size_t n = slice_copy(slice_str(lead), text, 12);

	if (!json_is_number(v) || !(us >= 0 && us < 9e15))
		return "";
	fmt_duration(text + n, (int64_t)us);
	return text;
}

static void
add_reaction(struct snap *s, const json_t *r)
{
	const json_t *reply = json_object_get(r, "reply");
	struct slice text = text_of(reply, "text");

	if (r == NULL)
		return;
	add_line(s, "    by rule %.*s (reaction %lld), after %lld %.*s",
	    SLF(text_of(r, "rule")),
	    (long long)json_integer_value(json_object_get(r, "id")),
	    (long long)json_integer_value(json_object_get(reply, "code")),
	    SLF(text));
}

static void
add_refusal(struct snap *s, const json_t *r)
{
	struct slice rule = text_of(r, "rule"), name = text_of(r, "enhanced");

	if (r == NULL)
		return;
	add_line(s, "    for %lld %.*s%s%.*s",
	    (long long)json_integer_value(json_object_get(r, "code")),
	    SLF(name), name.n ? " " : "", SLF(text_of(r, "text")));
	if (rule.n != 0)
		add_line(s, "    judged %.*s by %.*s", SLF(text_of(r, "kind")),
		    SLF(rule));
}

static void
add_gates(struct snap *s, const json_t *queue)
{
	const json_t *gates = json_object_get(queue, "gates"), *g;
	char span1[40], span2[40];
	size_t i;

	json_array_foreach(gates, i, g) {
		struct slice source = text_of(g, "source");
		struct slice limit = text_of(g, "limit");

		if (!slice_eq(text_of(g, "state"), SL("shut")))
			continue;
		add_line(s, "  %.*s is shut%s%s: %.*s%s%.*s%s%.*s",
		    SLF(text_of(g, "gate")), span(g, "until_s", " for ", span1),
		    span(g, "since_s", ", since ", span2),
		    SLF(text_of(g, "why")), limit.n ? " " : "", SLF(limit),
		    source.n ? ", first by source " : "", SLF(source));
		add_reaction(s, json_object_get(g, "reaction"));
		add_refusal(s, json_object_get(g, "reply"));
	}
}

static void
add_eta(struct snap *s, const json_t *queue)
{
	const json_t *eta = json_object_get(queue, "eta");
	char at[40], low[40], high[40];

	if (slice_eq(text_of(eta, "is"), SL("time")))
		add_line(s, "  gone in%s (%s to%s)", span(eta, "at_s", " ", at),
		    span(eta, "low_s", "", low),
		    span(eta, "high_s", " ", high));
	else
		add_line(s, "  when it is gone: %.*s", SLF(text_of(eta, "is")));
}

static void
add_rates(struct snap *s, const json_t *queue)
{
	const json_t *r = json_object_get(queue, "rates");
	const json_t *all = json_object_get(queue, "blocked"), *one;
	char line[LINE_MAX] = "";
	size_t i, n = 0;

	add_line(s, "  rate %.1f/s; declared %.1f/s, of it open %.1f/s%s",
	    json_number_value(json_object_get(r, "measured")),
	    json_number_value(json_object_get(r, "declared")),
	    json_number_value(json_object_get(r, "open")),
	    json_is_true(json_object_get(r, "is_unreachable")) ?
		", more than its connections carry" :
		"");
	json_array_foreach(all, i, one) {
		double share = json_number_value(json_object_get(one, "share"));

		if (share < 0.005 || n >= sizeof(line))
			continue;
		n += (size_t)snprintf(line + n, sizeof(line) - n,
		    "%s%.*s %.0f %%", n ? ", " : "", SLF(text_of(one, "why")),
		    100 * share);
	}
	if (n > 0)
		add_line(s, "  such mail has waited at %s", line);
}

static void
add_replies(struct snap *s, const json_t *queue)
{
	const json_t *all = json_object_get(queue, "replies"), *one;
	char ago[40];
	size_t i;

	json_array_foreach(all, i, one)
		add_line(s, "  %lld times, last%s ago, at %.*s: %lld %.*s",
		    (long long)json_integer_value(
			json_object_get(one, "count")),
		    span(one, "last_s", " ", ago), SLF(text_of(one, "stage")),
		    (long long)json_integer_value(json_object_get(one, "code")),
		    SLF(text_of(one, "text")));
}

static void
add_queue(struct snap *s, const json_t *queue)
{
	static const struct {
		const char *key, *lead;
	} parts[] = { { "tenant", ", tenant " }, { "campaign", ", campaign " },
		{ "pinned_to", ", only from " } };
	char which[300];
	size_t n = 0;

	which[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(parts) && n < sizeof(which); i++) {
		struct slice name = text_of(queue, parts[i].key);

		if (name.n > 0)
			n += (size_t)snprintf(which + n, sizeof(which) - n,
			    "%s%.*s", parts[i].lead, SLF(name));
	}
	add_line(s, "pool %.*s%s: %lld due, %lld deferred",
	    SLF(text_of(queue, "pool")), which,
	    (long long)json_integer_value(json_object_get(queue, "due")),
	    (long long)json_integer_value(json_object_get(queue, "deferred")));
	add_gates(s, queue);
	add_eta(s, queue);
	add_rates(s, queue);
	add_replies(s, queue);
}

void
snap_reasons(struct snap *s, struct slice answer)
{
	json_t *o = json_loadb(answer.p, answer.n, JSON_ALLOW_NUL, NULL);
	const json_t *queues = json_object_get(o, "queues"), *q;
	struct slice domain = text_of(o, "domain");
	size_t i;
	char *p;

	s->nreasons = 0;
	s->subject = slice_of("", 0);
	s->reasons = arena_get(&s->arena, LINES_MAX * sizeof(*s->reasons));
	p = domain.n ? arena_str(&s->arena, domain.p, domain.n) : NULL;
	if (s->reasons != NULL && p != NULL) {
		s->subject = slice_of(p, domain.n);
		json_array_foreach(queues, i, q)
			add_queue(s, q);
	}
	json_decref(o);
}
