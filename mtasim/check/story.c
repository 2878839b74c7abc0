/*
 * check/story.c - the ring of what happened, the verdict, the marks.
 */
#include <stdarg.h>

#include "check/check.h"

void (*check_hook)(const struct verdict *v);

void
story_reset(struct story *s)
{
	s->now_us = 0;
	s->event = s->n = 0;
}

void
story_add(struct story *s, const char *what, uint32_t msg, int32_t rcpt,
    struct slice text)
{
	struct story_line *l = &s->line[s->n++ % STORY_SLOTS];

	l->at_us = s->now_us;
	l->event = s->event;
	l->what = what;
	l->msg = msg;
	l->rcpt = rcpt;
	slice_copy(text, l->text, sizeof(l->text));
}

static void
line_print(const struct story_line *l, FILE *to)
{
	char text[4 * STORY_TEXT + 1], about[40] = "";

	if (l->msg && l->rcpt >= 0)
		snprintf(about, sizeof(about), "m%u r%d", l->msg, l->rcpt);
	else if (l->msg)
		snprintf(about, sizeof(about), "m%u", l->msg);
	text_escape(slice_str(l->text), text, sizeof(text));
	fprintf(to, "%12.6f %8llu  %-10s %-18s %s\n",
	    (double)l->at_us / US_PER_S, (unsigned long long)l->event, about,
	    l->what, text);
}

void
story_print(const struct story *s, FILE *to, uint32_t msg, uint32_t max)
{
	uint64_t first = s->n > STORY_SLOTS ? s->n - STORY_SLOTS : 0, at;
	uint32_t found = 0;

	for (at = s->n; at > first && found < max; at--) {
		uint32_t m = s->line[(at - 1) % STORY_SLOTS].msg;

		found += !msg || !m || m == msg;
	}
	fprintf(to, "     seconds    event  message    what\n");
	for (; at < s->n; at++) {
		const struct story_line *l = &s->line[at % STORY_SLOTS];

		if (!msg || !l->msg || l->msg == msg)
			line_print(l, to);
	}
}

void
check_fail(const char *rule, uint32_t msg, const char *fmt, ...)
{
	struct verdict v = { .rule = rule, .msg = msg };
	char text[800];
	struct slice rest, first;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rest = slice_str(text);
	first = slice_cut(&rest, '|');
	slice_copy(first, v.fact[0], sizeof(v.fact[0]));
	slice_copy(rest.p ? rest : SL(""), v.fact[1], sizeof(v.fact[1]));
	if (check_hook)
		check_hook(&v);
	abort();
}

const char *
mark_name(enum mark m)
{
	static const char *const names[] = {
#define X(name) #name,
		MARKS(X)
#undef X
	};

	return m < MARK_N ? names[m] : "?";
}
