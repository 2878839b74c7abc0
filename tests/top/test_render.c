/*
 * Screens, drawn without a terminal and compared with what they should be.
 * The files in golden/ are written anew by UPDATE_GOLDEN=1.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>

#include "keys.h"
#include "top/scene.h"

/* What the tests draw: a scene whose parts they change. */
struct stage {
	struct snap *snap, *before;
	struct trend trend;
	struct ui ui;
	struct scene scene;
};

static void
stage_open(struct stage *st)
{
	static const int64_t in[] = { 100000, 900000, SNAP_UNKNOWN, 1200000,
		1500000, 1700000, 1900000, 1942000 };

	memset(st, 0, sizeof(*st));
	st->before = snap_of("status_before", "queues", "sources");
	st->snap = snap_of("status", "queues", "sources");
	snap_compare(st->snap, st->before);
	for (size_t i = 0; i < ARRAY_LEN(in); i++) {
		st->trend.in[i] = in[i];
		st->trend.out[i] = in[i] < 0 ? in[i] : in[i] / 2;
		st->trend.defer[i] = 0;
	}
	st->trend.n = ARRAY_LEN(in);
	ui_init(&st->ui, US_PER_S);
	st->scene = (struct scene){
		.snap = st->snap,
		.trend = &st->trend,
		.ui = &st->ui,
		.state = LIVE_OK,
		.socket = "/run/mtad/control.sock",
		.error = "",
		.age_us = 0,
	};
}

static void
stage_close(struct stage *st)
{
	snap_free(st->snap);
	snap_free(st->before);
}

static void
stage_text(struct stage *st, int w, int h, bool is_utf8, struct buf *out)
{
	struct grid g;

	grid_init(&g, w, h, is_utf8);
	view_draw(&st->scene, &g);
	buf_init(out, 1u << 20);
	grid_text(&g, out);
	grid_free(&g);
}

static void
stage_golden(struct stage *st, int w, int h, bool is_utf8, const char *name)
{
	struct buf text;

	stage_text(st, w, h, is_utf8, &text);
	golden(name, buf_slice(&text));
	buf_free(&text);
}

/* Is that text on the screen of 80x24? */
static bool
shows(struct stage *st, const char *part)
{
	struct buf text;
	bool found;

	stage_text(st, 80, 24, true, &text);
	buf_addc(&text, '\0');
	found = strstr(buf_slice(&text).p, part) != NULL;
	buf_free(&text);
	return found;
}

static void
press(struct stage *st, const char *keys)
{
	for (; *keys != '\0'; keys++)
		keys_press(&st->ui, st->snap, *keys);
}

/* ---- golden screens -------------------------------------------------------------- */

static void
queues_and_sources_at_all_sizes(void **state)
{
	static const int sizes[][2] = { { 40, 12 }, { 80, 24 }, { 100, 30 },
		{ 160, 50 } };
	struct stage st;
	char name[64];

	(void)state;
	stage_open(&st);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (int s = 0; s < SCREEN_N; s++) {
			ui_set_screen(&st.ui, (enum ui_screen)s);
			snprintf(name, sizeof(name), "%s_%dx%d",
			    ui_screen_names[s], sizes[i][0], sizes[i][1]);
			stage_golden(&st, sizes[i][0], sizes[i][1], true, name);
		}
	}
	stage_close(&st);
}

static void
plain_ascii_has_every_word_of_it(void **state)
{
	struct stage st;
	struct buf text;

	(void)state;
	stage_open(&st);
	stage_golden(&st, 160, 24, false, "queues_ascii_160x24");
	stage_text(&st, 160, 24, false, &text);
	for (size_t i = 0; i < text.n; i++)
		assert_in_range(buf_slice(&text).p[i], '\n', '~');
	buf_free(&text);
	stage_close(&st);
}

static void
the_chosen_row_is_explained(void **state)
{
	struct stage st;

	(void)state;
	stage_open(&st);
	assert_true(shows(&st,
	    "gmail.example@bulk  backoff until 10:36:17Z "
	    "(4m10s): the receiver refused"));
	assert_true(shows(&st, " acme/nov-sale  delivered 1.54M  bounced 911"));
	press(&st, "jjjj");
	assert_true(shows(&st, "mail.example@bulk  held: an operator"));
	stage_golden(&st, 80, 24, true, "queues_chosen_80x24");
	stage_close(&st);
}

static void
enter_shows_the_reasons(void **state)
{
	struct stage st;
	struct buf answer;

	(void)state;
	stage_open(&st);
	keys_press(&st.ui, st.snap, K_ENTER);
	assert_true(shows(&st, "the daemon is asked"));
	file_read("data/reasons.json", &answer);
	snap_reasons(st.snap, buf_slice(&answer));
	buf_free(&answer);
	stage_golden(&st, 80, 24, true, "reasons_80x24");
	keys_press(&st.ui, st.snap, K_ESC);
	assert_false(shows(&st, "Why the mail"));
	keys_press(&st.ui, st.snap, K_ENTER);
	snap_reasons(st.snap, SL("no JSON"));
	assert_true(shows(&st, "the daemon is asked"));
	stage_close(&st);
}

static void
styles_differ_by_state(void **state)
{
	struct stage st;
	struct grid g;
	struct buf styles;

	(void)state;
	stage_open(&st);
	grid_init(&g, 80, 24, true);
	view_draw(&st.scene, &g);
	buf_init(&styles, 1u << 20);
	grid_styles(&g, &styles);
	golden("queues_styles_80x24", buf_slice(&styles));
	buf_free(&styles);
	grid_free(&g);
	stage_close(&st);
}

static void
help_fits_large_and_small_screens(void **state)
{
	struct stage st;

	(void)state;
	stage_open(&st);
	press(&st, "?");
	stage_golden(&st, 80, 24, true, "help_80x24");
	stage_golden(&st, 40, 12, true, "help_40x12");
	press(&st, "?");
	assert_true(shows(&st, "DOMAIN"));
	stage_close(&st);
}

static void
stale_data_stay_and_are_called_stale(void **state)
{
	struct stage st;

	(void)state;
	stage_open(&st);
	st.scene.state = LIVE_STALE;
	st.scene.age_us = 12 * US_PER_S;
	st.scene.error = "mtad is not running there";
	assert_true(shows(&st, "STALE 12s"));
	assert_true(
	    shows(&st, "mtad is not running there: /run/mtad/control.sock"));
	assert_true(shows(&st, "gmail.example"));
	stage_golden(&st, 40, 12, true, "stale_40x12");
	stage_close(&st);
}

static void
before_anything_has_come_it_says_what_it_waits_for(void **state)
{
	struct stage st;

	(void)state;
	stage_open(&st);
	st.scene.snap = NULL;
	st.scene.state = LIVE_WAITING;
	st.scene.error = "mtad is not running there";
	stage_golden(&st, 80, 24, true, "waiting_80x24");
	stage_golden(&st, 40, 12, true, "waiting_40x12");
	stage_close(&st);
}

static void
a_screen_that_is_too_small_is_told_so(void **state)
{
	struct stage st;

	(void)state;
	stage_open(&st);
	stage_golden(&st, 30, 10, true, "small_30x10");
	for (int w = 1; w < 60; w++) {
		for (int h = 1; h < 20; h++) {
			struct buf text;

			stage_text(&st, w, h, true, &text);
			assert_true(text.n >= (size_t)h);
			buf_free(&text);
		}
	}
	stage_close(&st);
}

/* ---- order, filter, place ----------------------------------------------------------- */

/* Where a text stands on the screen; SIZE_MAX: nowhere. */
static size_t
position(struct stage *st, const char *part)
{
	struct buf text;
	const char *at;
	size_t n;

	stage_text(st, 80, 24, true, &text);
	buf_addc(&text, '\0');
	at = strstr(buf_slice(&text).p, part);
	n = at ? (size_t)(at - buf_slice(&text).p) : SIZE_MAX;
	buf_free(&text);
	return n;
}

static void
rows_are_sorted_by_the_chosen_key(void **state)
{
	struct stage st;

	(void)state;
	stage_open(&st);
	assert_true(position(&st, "gmail.ex") < position(&st, "comcast.ex"));
	assert_true(shows(&st, "sort depth"));
	press(&st, ">>>"); /* due, rate, defer */
	assert_true(shows(&st, "sort defer"));
	assert_true(shows(&st, "DEF^"));
	assert_true(position(&st, "comcast.ex") < position(&st, "gmail.ex"));
	press(&st, "I");
	assert_true(position(&st, "gmail.ex") < position(&st, "comcast.ex"));
	/* What is unknown is lowest. */
	assert_true(position(&st, "new.example") < position(&st, "gmail.ex"));
	press(&st, "I<<<<"); /* round to the last */
	assert_true(shows(&st, "sort oldest"));
	stage_close(&st);
}

static void
a_filter_leaves_what_holds_its_text(void **state)
{
	struct stage st;

	(void)state;
	stage_open(&st);
	press(&st, "/TXN");
	assert_true(shows(&st, "/TXN"));
	assert_true(shows(&st, "2 of 48k"));
	assert_true(shows(&st, "t-online"));
	assert_false(shows(&st, "gmail.example"));
	press(&st, "q"); /* is a letter here */
	assert_false(st.ui.wants_quit);
	assert_true(shows(&st, "no row holds that text"));
	keys_press(&st.ui, st.snap, K_BACKSPACE);
	keys_press(&st.ui, st.snap, K_ENTER);
	assert_true(shows(&st, "filter TXN"));
	keys_press(&st.ui, st.snap, K_ESC);
	assert_true(shows(&st, "gmail.example"));
	stage_close(&st);
}

static void
a_filter_takes_any_character_and_stays_bounded(void **state)
{
	struct stage st;

	(void)state;
	stage_open(&st);
	press(&st, "/");
	keys_press(&st.ui, st.snap, 0xfc);
	assert_true(shows(&st, "dns-failed")); /* campaign \u00fcber... */
	assert_false(shows(&st, "gmail.example"));
	keys_press(&st.ui, st.snap, K_BACKSPACE);
	assert_int_equal(st.ui.filter_n, 0);
	for (int i = 0; i < 1000; i++)
		keys_press(&st.ui, st.snap, i % 2 ? 0x1f600 : 0x6f22);
	assert_in_range(st.ui.filter_n, UI_FILTER_MAX - 4, UI_FILTER_MAX);
	assert_true(shows(&st, "no row holds that text"));
	stage_close(&st);
}

static void
the_chosen_row_is_followed_when_rows_change_places(void **state)
{
	struct stage st;

	(void)state;
	stage_open(&st);
	assert_true(shows(&st, "gmail.example@bulk"));
	press(&st, "j");
	assert_true(shows(&st, "outlook.example@bulk"));
	/* It becomes the smallest. */
	st.snap->queue_rows[1].depth = 0;
	assert_true(shows(&st, "outlook.example@bulk"));
	press(&st, "k");
	assert_false(shows(&st, "outlook.example@bulk"));
	/* Nobody has moved on this screen: the first row, whichever it is. */
	press(&st, "g");
	st.snap->queue_rows[3].depth = 9000000;
	assert_true(shows(&st, "comcast.example@bulk"));
	stage_close(&st);
}

static void
long_lists_scroll(void **state)
{
	struct stage st;
	struct snap_queue *many;
	char name[32];

	(void)state;
	stage_open(&st);
	many = arena_get(&st.snap->arena, 200 * sizeof(*many));
	for (int i = 0; i < 200; i++) {
		int n = snprintf(name, sizeof(name), "d%03d.example", i);

		many[i] = st.snap->queue_rows[0];
		many[i].depth = 1000 - i;
		many[i].domain =
		    slice_of(arena_str(&st.snap->arena, name, (size_t)n),
			(size_t)n);
	}
	st.snap->queue_rows = many;
	st.snap->nqueues = 200;
	assert_true(shows(&st, "d000.example"));
	press(&st, "G");
	assert_true(shows(&st, "d199.example"));
	assert_false(shows(&st, "d000.example"));
	keys_press(&st.ui, st.snap, K_PAGE_UP);
	assert_true(shows(&st, "d185.example"));
	press(&st, "g");
	assert_true(shows(&st, "d000.example"));
	stage_close(&st);
}

static void
keys_may_come_faster_than_screens(void **state)
{
	struct stage st;

	(void)state;
	stage_open(&st);
	assert_true(shows(&st, "gmail.example"));
	/* Nine queues, three sources; nothing is drawn in between. */
	press(&st, "G2jjjGkk1G");
	assert_true(shows(&st, "seznam.example@news"));
	st.snap->nqueues = 2;
	press(&st, "jjG/zz");
	keys_press(&st.ui, st.snap, K_ENTER);
	press(&st, "jkG");
	assert_true(shows(&st, "no row holds that text"));
	stage_close(&st);
}

/* ---- hostile names ----------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t n;
} hostile[] = {
	{ "\x1b[2J\x1b]0;x\x07", 10 },
	{ "\xc2\x9b"
	  "31m",
	    5 }, /* CSI in Latin-1 */
	{ "\xe2\x80\xae"
	  "moc.elgoog",
	    13 }, /* right to left */
	{ "a\0b", 3 },
	{ "\xff\xfe\xfd", 3 },
	{ "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81", 9 }, /* combining */
	{ "\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 8 },  /* wide */
	{ "line\nbreak\r\ttab", 15 },
};

static void
names_cannot_leave_their_cells(void **state)
{
	struct stage st;
	struct grid g;

	(void)state;
	stage_open(&st);
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		for (int w = VIEW_W_MIN; w < 170; w += 13) {
			struct slice name =
			    slice_of(hostile[i].name, hostile[i].n);
			struct snap_queue *q = &st.snap->queue_rows[0];

			q->domain = q->site = q->pool = q->tenant =
			    q->campaign = q->why = name;
			st.snap->hostname = st.snap->version = name;
			grid_init(&g, w, 24, i % 2 == 0);
			view_draw(&st.scene, &g);
			for (int k = 0; k < g.w * g.h; k++) {
				uint32_t c = g.cells[k].code;

				assert_true(c == 0 || (c >= 0x20 && c < 0x7f) ||
				    (c >= 0xa0 && c != 0x202e));
			}
			grid_free(&g);
		}
	}
	stage_close(&st);
}

static void
wide_characters_are_never_cut_in_half(void **state)
{
	struct grid g;
	struct slice wide = SL("\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2");

	(void)state;
	for (int w = 1; w < 8; w++) {
		grid_init(&g, 8, 1, true);
		assert_true(grid_put(&g, 0, 0, w, STYLE_NORMAL, wide) <= w);
		for (int x = 0; x < 8; x++) {
			uint32_t c = grid_at(&g, x, 0)->code;
			uint32_t next = x < 7 ? grid_at(&g, x + 1, 0)->code : 1;

			if (c > 0x2fff)
				assert_int_equal(next, 0);
			if (x >= w)
				assert_int_equal(c, ' ');
		}
		grid_free(&g);
	}
}

/* ---- what the daemon says --------------------------------------------------------------- */

static void
unknown_is_never_zero(void **state)
{
	const char *why = "";
	struct stage st;
	struct snap *bare = snap_parse(SL("{}"), SL("{\"queues\":[{}]}"),
	    SL("{\"sources\":[{}]}"), &why);

	(void)state;
	assert_non_null(bare);
	stage_open(&st);
	st.scene.snap = bare;
	stage_golden(&st, 80, 24, true, "unknown_80x24");
	snap_free(bare);
	stage_close(&st);
}

static void
answers_that_are_no_answers_make_no_snapshot(void **state)
{
	static const char *const bad[][3] = {
		{ "", "{\"queues\":[]}", "{\"sources\":[]}" },
		{ "[]", "{\"queues\":[]}", "{\"sources\":[]}" },
		{ "{}", "{}", "{\"sources\":[]}" },
		{ "{}", "{\"queues\":{}}", "{\"sources\":[]}" },
		{ "{}", "{\"queues\":[]}", "nonsense" },
		{ "{", "{\"queues\":[]}", "{\"sources\":[]}" },
	};
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		why = NULL;
		assert_null(snap_parse(slice_str(bad[i][0]),
		    slice_str(bad[i][1]), slice_str(bad[i][2]), &why));
		assert_non_null(why);
	}
}

static void
numbers_out_of_range_are_unknown(void **state)
{
	const char *why = "";
	struct snap *s = snap_parse(
	    SL("{\"time\":\"yesterday\",\"uptime_s\":1e300,"
	       "\"sessions_max\":-1,\"totals\":{\"due\":1.5}}"),
	    SL("{\"queues\":[{\"rate\":-1,\"until_s\":1e99,\"depth\":\"1\"}]}"),
	    SL("{\"sources\":[]}"), &why);

	(void)state;
	assert_non_null(s);
	assert_int_equal(s->wall_us, SNAP_UNKNOWN);
	assert_int_equal(s->uptime_us, SNAP_UNKNOWN);
	assert_int_equal(s->sessions_max, SNAP_UNKNOWN);
	assert_int_equal(s->due, SNAP_UNKNOWN);
	assert_int_equal(s->queue_rows[0].rate_milli, SNAP_UNKNOWN);
	assert_int_equal(s->queue_rows[0].until_us, SNAP_UNKNOWN);
	assert_int_equal(s->queue_rows[0].depth, SNAP_UNKNOWN);
	snap_free(s);
}

static void
rates_are_unknown_across_a_restart(void **state)
{
	struct stage st;

	(void)state;
	stage_open(&st);
	assert_int_equal(st.snap->in_milli, 1942000);
	assert_int_equal(st.snap->out_milli, 1871000);
	st.before->received_total = st.snap->received_total + 1;
	snap_compare(st.snap, st.before);
	assert_int_equal(st.snap->in_milli, SNAP_UNKNOWN);
	assert_int_equal(st.snap->out_milli, 1871000);
	st.before->wall_us = st.snap->wall_us;
	snap_compare(st.snap, st.before);
	assert_int_equal(st.snap->out_milli, SNAP_UNKNOWN);
	stage_close(&st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues_and_sources_at_all_sizes),
		cmocka_unit_test(plain_ascii_has_every_word_of_it),
		cmocka_unit_test(the_chosen_row_is_explained),
		cmocka_unit_test(enter_shows_the_reasons),
		cmocka_unit_test(styles_differ_by_state),
		cmocka_unit_test(help_fits_large_and_small_screens),
		cmocka_unit_test(stale_data_stay_and_are_called_stale),
		cmocka_unit_test(
		    before_anything_has_come_it_says_what_it_waits_for),
		cmocka_unit_test(a_screen_that_is_too_small_is_told_so),
		cmocka_unit_test(rows_are_sorted_by_the_chosen_key),
		cmocka_unit_test(a_filter_leaves_what_holds_its_text),
		cmocka_unit_test(
		    a_filter_takes_any_character_and_stays_bounded),
		cmocka_unit_test(
		    the_chosen_row_is_followed_when_rows_change_places),
		cmocka_unit_test(long_lists_scroll),
		cmocka_unit_test(keys_may_come_faster_than_screens),
		cmocka_unit_test(names_cannot_leave_their_cells),
		cmocka_unit_test(wide_characters_are_never_cut_in_half),
		cmocka_unit_test(unknown_is_never_zero),
		cmocka_unit_test(answers_that_are_no_answers_make_no_snapshot),
		cmocka_unit_test(numbers_out_of_range_are_unknown),
		cmocka_unit_test(rates_are_unknown_across_a_restart),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
