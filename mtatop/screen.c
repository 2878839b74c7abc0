/*
 * screen.c - ncurses. It keeps what the terminal shows and sends differences
 * only; everything else about drawing is in view/.
 */
#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include "keys.h"
#include "screen.h"

#define RESTORE_MAX 256
#define CRASH_STACK (64 * 1024)

static SCREEN *terminal;
static bool has_color;

/* For a crash: what puts the terminal back, ready to be written. */
static struct termios modes;
static char restore[RESTORE_MAX];
static size_t restore_n;
static char crash_stack[CRASH_STACK];
static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT,
	SIGQUIT };

/* ---- crashes ------------------------------------------------------------------- */

/* Only what may be called in a signal handler. */
static void
on_crash(int sig)
{
	ssize_t n;

	n = write(STDOUT_FILENO, restore, restore_n);
	(void)n; /* nothing is left to be done about it */
	tcsetattr(STDIN_FILENO, TCSANOW, &modes);
	raise(sig); /* SA_RESETHAND: now it ends us */
}

static int
restore_char(int c)
{
	if (restore_n < sizeof(restore))
		restore[restore_n++] = (char)c;
	return c;
}

static void
restore_prepare(void)
{
	/* Attributes off, cursor on, keys as they were, the other screen. */
	const char *const ends[] = { exit_attribute_mode, cursor_normal,
		keypad_local, exit_ca_mode };

	restore_n = 0;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (ends[i] != NULL)
			tputs(ends[i], 1, restore_char);
}

static void
crash_handlers(void)
{
	stack_t stack = { .ss_sp = crash_stack, .ss_size = CRASH_STACK };
	struct sigaction sa = { .sa_handler = on_crash,
		.sa_flags = (int)(SA_ONSTACK | SA_RESETHAND | SA_NODEFER) };

	sigaltstack(&stack, NULL);
	for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
		sigaction(crashes[i], &sa, NULL);
	/* ncurses' own handlers are not for a program with a loop. */
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
}

/* ---- open and close -------------------------------------------------------------- */

static void
color_start(bool is_colored)
{
	has_color = is_colored && has_colors() && start_color() == OK;
	if (!has_color)
		return;
	use_default_colors();
	for (int s = 0; s < STYLE_N; s++)
		init_pair((short)(s + 1), theme_row(s)->color, -1);
}

/* Cursor keys as they come when a terminal has not heard keypad's call. */
static void
keys_start(void)
{
	define_key("\033[A", KEY_UP);
	define_key("\033[B", KEY_DOWN);
	define_key("\033[C", KEY_RIGHT);
	define_key("\033[D", KEY_LEFT);
	define_key("\033[H", KEY_HOME);
	define_key("\033[F", KEY_END);
}

bool
screen_open(bool is_colored, char *why, size_t why_cap)
{
	const char *name = getenv("TERM");
	bool can_move = false;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
	    tcgetattr(STDIN_FILENO, &modes) != 0) {
		snprintf(why, why_cap, "input and output are no terminal");
		return false;
	}
	/* newterm would print its complaint, and leak. */
	if (setupterm(NULL, STDOUT_FILENO, &(int){ 0 }) == OK) {
		can_move = cursor_address != NULL;
		del_curterm(cur_term);
	}
	/* Where ncurses finds a handler of SIGTSTP it keeps its hands off;
	 * else it would ignore, and so lose, one that comes while it draws. */
	signal(SIGTSTP, on_crash);
	terminal = can_move ? newterm(NULL, stdout, stdin) : NULL;
	signal(SIGTSTP, SIG_DFL);
	if (terminal == NULL) {
		snprintf(why, why_cap,
		    "the terminal (TERM=%s) cannot place its cursor",
		    name ? name : "");
		return false;
	}
	restore_prepare();
	crash_handlers();
	set_escdelay(25);
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	keys_start();
	color_start(is_colored);
	return true;
}

void
screen_close(void)
{
	if (terminal == NULL)
		return;
	endwin();
	delscreen(terminal);
	terminal = NULL;
}

/* ---- out ----------------------------------------------------------------------------- */

static attr_t
style_attr(enum style s)
{
	const struct theme_row *t = theme_row(s);
	attr_t a = A_NORMAL;

	if (t->is_bold)
		a |= A_BOLD;
	if (t->is_dim)
		a |= A_DIM;
	if (t->is_reverse)
		a |= A_REVERSE;
	if (t->is_underlined && !has_color)
		a |= A_UNDERLINE;
	return a;
}

void
screen_show(const struct grid *g)
{
	wchar_t text[2] = { 0 };
	cchar_t c;

	for (int y = 0; y < g->h; y++) {
		for (int x = 0; x < g->w; x++) {
			const struct cell *cell = grid_at(g, x, y);
			short pair = has_color ? (short)(cell->style + 1) : 0;

			if (cell->code == 0)
				continue;
			text[0] = (wchar_t)cell->code;
			setcchar(&c, text, style_attr(cell->style), pair, NULL);
			mvadd_wch(y, x, &c);
		}
	}
	refresh();
}

void
screen_size(int *w, int *h)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 &&
	    ws.ws_row > 0 && (ws.ws_col != COLS || ws.ws_row != LINES)) {
		resizeterm(MIN(ws.ws_row, GRID_H_MAX),
		    MIN(ws.ws_col, GRID_W_MAX));
		clearok(stdscr, TRUE);
	}
	*w = COLS;
	*h = LINES;
}

void
screen_repaint(void)
{
	clearok(stdscr, TRUE);
}

void
screen_suspend(void)
{
	sigset_t stop, before;

	endwin();
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, &before); /* here we stop */
	sigprocmask(SIG_SETMASK, &before, NULL);
	clearok(stdscr, TRUE);
	refresh();
}

/* ---- in -------------------------------------------------------------------------------- */

static int
function_key(wint_t c)
{
	static const struct {
		wint_t curses;
		int ours;
	} keys[] = {
		{ KEY_UP, K_UP },
		{ KEY_DOWN, K_DOWN },
		{ KEY_LEFT, K_LEFT },
		{ KEY_RIGHT, K_RIGHT },
		{ KEY_PPAGE, K_PAGE_UP },
		{ KEY_NPAGE, K_PAGE_DOWN },
		{ KEY_HOME, K_HOME },
		{ KEY_END, K_END },
		{ KEY_BACKSPACE, K_BACKSPACE },
		{ KEY_ENTER, K_ENTER },
		{ KEY_F(1), K_F1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (keys[i].curses == c)
			return keys[i].ours;
	return K_UNKNOWN;
}

/* Nothing could be read: is anybody there at all? */
static bool
is_gone(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	int n = 0;

	if (poll(&p, 1, 0) <= 0)
		return false;
	if (p.revents & (POLLHUP | POLLERR | POLLNVAL))
		return true;
	/* Readable, and there is nothing: the end of the input. */
	return ioctl(STDIN_FILENO, FIONREAD, &n) != 0 || n == 0;
}

int
screen_key(void)
{
	wint_t c = 0;
	int kind = get_wch(&c);

	if (kind == ERR)
		return is_gone() ? K_GONE : K_NONE;
	if (kind == KEY_CODE_YES)
		return function_key(c);
	if (c == '\r' || c == '\n')
		return K_ENTER;
	if (c == 0x7f || c == 8)
		return K_BACKSPACE;
	return c < K_UP ? (int)c : K_UNKNOWN;
}
