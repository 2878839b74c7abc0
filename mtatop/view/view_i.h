/*
 * view/view_i.h - what the screens share: columns, numbers as short words, and
 * what the reasons for waiting mean.
 */
#ifndef VIEW_VIEW_I_H
#define VIEW_VIEW_I_H

#include "view/view.h"

/* What a column shows of a row: a text of ours, or a name. */
struct field {
	char text[64];
	struct slice name; /* p NULL: text holds */
	enum style style;
};

struct column {
	const char *title;
	const char *sort; /* key that sorts by it, or NULL */
	uint8_t min, max; /* width */
	uint8_t rank;     /* the lowest are kept when it is narrow */
	bool is_number;   /* stands at the right */
	void (*show)(const struct snap *s, uint32_t row, struct field *f);
};

/* A screen: its columns, and the lines about the chosen row. */
struct screen_view {
	const struct column *columns;
	uint32_t ncolumns;
	/* Mark and style at the front of a row. */
	char (*mark)(const struct snap *s, uint32_t row, enum style *style);
	/* line: 0 or 1 */
	void (*detail)(const struct snap *s, uint32_t row, int line,
	    struct line *l);
	int64_t (*total)(const struct snap *s);
};
extern const struct screen_view view_queues, view_sources;

/* The table of a screen in rows y to y + h - 1, titles first. */
void view_table(const struct scene *s, const struct screen_view *v,
    struct grid *g, int y, int h);
/* In the same place: the reasons of the chosen queue. */
void view_reasons(const struct scene *s, struct grid *g, int y, int h);
void view_help(struct grid *g, struct ui *ui);

/* Why something waits. */
struct why_row {
	const char *name; /* the daemon's word */
	char mark;
	enum style style;
	const char *means;
};
const struct why_row *why_find(struct slice name);
void why_show(struct slice why, int64_t until_us, struct field *f);

/* Numbers in at most 6 cells; unknown is "?". dst of 32 bytes, returned. */
char *word_count(char *dst, int64_t n);
char *word_rate(char *dst, int64_t milli);
char *word_share(char *dst, int64_t milli);
char *word_time(char *dst, int64_t us);
/* Two units: "4m10s". */
char *word_exact_time(char *dst, int64_t us);
/* One unit only: "59m". */
char *word_short_time(char *dst, int64_t us);
/* When depth will be gone at that rate; "-" when it will not. */
char *word_eta(char *dst, int64_t depth, int64_t rate_milli);

#endif
