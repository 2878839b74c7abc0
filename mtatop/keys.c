/*
 * keys.c - the table of keys. Nothing here changes mail: mtatop looks.
 */
#include "keys.h"

#define ACT(name) static void name(struct ui *ui, const struct snap *s)

ACT(act_quit)
{
	(void)s;
	ui->wants_quit = true;
}

ACT(act_help)
{
	(void)s;
	ui->is_help = !ui->is_help;
	ui->help_top = 0;
}

ACT(act_queues)
{
	(void)s;
	ui_set_screen(ui, SCREEN_QUEUES);
}

ACT(act_sources)
{
	(void)s;
	ui_set_screen(ui, SCREEN_SOURCES);
}

ACT(act_next_screen)
{
	(void)s;
	ui_set_screen(ui, (ui->screen + 1) % SCREEN_N);
}

ACT(act_up)
{
	ui_move(ui, s, -1);
}

ACT(act_down)
{
	ui_move(ui, s, 1);
}

ACT(act_page_up)
{
	ui_move(ui, s, -(int64_t)ui->page);
}

ACT(act_page_down)
{
	ui_move(ui, s, ui->page);
}

ACT(act_home)
{
	ui_move(ui, s, -(int64_t)UI_ROWS_MAX);
}

ACT(act_end)
{
	ui_move(ui, s, UI_ROWS_MAX);
}

static void
sort_by(struct ui *ui, int step)
{
	uint32_t n, *sort = &ui->sort[ui->screen];

	ui_sorts(ui->screen, &n);
	*sort = (*sort + n + (uint32_t)step) % n;
	ui->anchor = 0;
}

ACT(act_sort_left)
{
	(void)s;
	sort_by(ui, -1);
}

ACT(act_sort_right)
{
	(void)s;
	sort_by(ui, 1);
}

ACT(act_invert)
{
	(void)s;
	ui->is_inverted = !ui->is_inverted;
	ui->anchor = 0;
}

ACT(act_filter)
{
	(void)s;
	ui->is_typing = true;
}

ACT(act_freeze)
{
	(void)s;
	ui->is_frozen = !ui->is_frozen;
}

ACT(act_faster)
{
	(void)s;
	ui->delay_us = MAX(ui->delay_us / 2, UI_DELAY_MIN);
}

ACT(act_slower)
{
	(void)s;
	ui->delay_us = MIN(ui->delay_us * 2, UI_DELAY_MAX);
}

ACT(act_repaint)
{
	(void)s;
	ui->wants_repaint = true;
}

ACT(act_detail)
{
	(void)s;
	ui->is_detail = !ui->is_detail && ui->screen == SCREEN_QUEUES;
}

ACT(act_back)
{
	(void)s;
	if (ui->is_help)
		ui->is_help = false;
	else if (ui->is_detail)
		ui->is_detail = false;
	else
		ui->filter_n = 0;
}

const struct key_row key_table[] = {
	{ '?', K_F1, "? F1", "Help", "this help, and back", act_help },
	{ 'q', 'Q', "q", "Quit", "quit", act_quit },
	{ '1', 0, "1", NULL, "queues", act_queues },
	{ '2', 0, "2", NULL, "source addresses", act_sources },
	{ '\t', 0, "Tab", "Screen", "the next screen", act_next_screen },
	{ K_UP, 'k', "Up k", NULL, "a row up", act_up },
	{ K_DOWN, 'j', "Down j", NULL, "a row down", act_down },
	{ K_PAGE_UP, 0, "PgUp", NULL, "a page up", act_page_up },
	{ K_PAGE_DOWN, ' ', "PgDn Space", NULL, "a page down", act_page_down },
	{ K_HOME, 'g', "Home g", NULL, "the first row", act_home },
	{ K_END, 'G', "End G", NULL, "the last row", act_end },
	{ K_ENTER, 0, "Enter", "Reasons", "why it waits, and back",
	    act_detail },
	{ '<', K_LEFT, "< Left", NULL, "sort by the key before",
	    act_sort_left },
	{ '>', K_RIGHT, "> Right", "Sort", "sort by the next key",
	    act_sort_right },
	{ 'I', 0, "I", NULL, "lowest first, and back", act_invert },
	{ '/', 0, "/", "Filter", "show rows that hold a text", act_filter },
	{ 'z', 0, "z", "Freeze", "stop the data, and go on", act_freeze },
	{ '+', '=', "+", NULL, "refresh more often", act_faster },
	{ '-', 0, "-", NULL, "refresh less often", act_slower },
	{ 'L' - '@', 0, "^L", NULL, "draw all of the screen", act_repaint },
	{ K_ESC, 0, "Esc", NULL, "leave help or reasons, or clear filter",
	    act_back },
};
const uint32_t key_table_n = ARRAY_LEN(key_table);

/* ---- the filter line ----------------------------------------------------------- */

/* Bytes of the last character of the filter. */
static size_t
last_char(const struct ui *ui)
{
	size_t n = 1;

	if (ui->filter_n == 0)
		return 0;
	while (n < ui->filter_n &&
	    ((unsigned char)ui->filter[ui->filter_n - n] & 0xc0) == 0x80)
		n++;
	return n;
}

static void
type_char(struct ui *ui, uint32_t c)
{
	char text[4];
	size_t n = 1;

	if (c < 0x80) {
		text[0] = (char)c;
	} else if (c < 0x800) {
		text[0] = (char)(0xc0 | c >> 6);
		text[n++] = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		text[0] = (char)(0xe0 | c >> 12);
		text[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		text[n++] = (char)(0x80 | (c & 0x3f));
	} else {
		text[0] = (char)(0xf0 | c >> 18);
		text[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		text[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		text[n++] = (char)(0x80 | (c & 0x3f));
	}
	if (ui->filter_n + n > UI_FILTER_MAX)
		return;
	memcpy(ui->filter + ui->filter_n, text, n);
	ui->filter_n += n;
}

static void
type_key(struct ui *ui, int key)
{
	if (key == K_ENTER) {
		ui->is_typing = false;
	} else if (key == K_ESC) {
		ui->is_typing = false;
		ui->filter_n = 0;
	} else if (key == K_BACKSPACE) {
		ui->filter_n -= last_char(ui);
	} else if (key >= ' ' && key < K_UP && !(key >= 0x7f && key < 0xa0)) {
		type_char(ui, (uint32_t)key);
	}
}

void
keys_press(struct ui *ui, const struct snap *s, int key)
{
	if (ui->is_typing) {
		type_key(ui, key);
		return;
	}
	for (uint32_t i = 0; i < key_table_n; i++) {
		if (key_table[i].key == key ||
		    (key_table[i].also != 0 && key_table[i].also == key)) {
			key_table[i].act(ui, s);
			return;
		}
	}
}
