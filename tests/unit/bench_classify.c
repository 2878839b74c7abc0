/*
 * bench_classify - how many replies the shipped rules classify in a second of
 * one core, over the real replies of bounces/open.tsv in turn.
 *
 *	bench_classify [RULES]
 */
#include <stdio.h>
#include <time.h>

#include "conf/classify.h"

#define REPLIES "tests/unit/bounces/open.tsv"
#define REPLIES_MAX 2048
#define SECONDS 3

static struct class_query queries[REPLIES_MAX];
static char texts[REPLIES_MAX][CLASS_TEXT_MAX];

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint32_t
replies_read(void)
{
	static char text[1 << 20];
	FILE *f = fopen(REPLIES, "re");
	struct slice rest;
	uint32_t n = 0;

	if (f == NULL)
		return 0;
	rest = slice_of(text, fread(text, 1, sizeof(text), f));
	fclose(f);
	slice_cut(&rest, '\n');
	while (n < REPLIES_MAX && class_read(&rest, texts[n], &queries[n]))
		n++;
	return n;
}

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

int
main(int argc, char **argv)
{
	struct class_source file = { .name = "share/rules/bounces.yml" };
	struct conf_errors errs = { .report = report };
	uint32_t n = replies_read(), rounds = 0;
	double t0 = now_s(), t;
	struct classifier *k;
	struct class_desk *d;
	struct class_answer a;

	if (argc > 1)
		file.name = argv[1];
	k = classifier_new(&file, 1, &errs);
	d = k ? class_desk_new(k) : NULL;
	if (d == NULL || n == 0)
		return 1;
	printf("%u rules compiled in %.0f ms\n", classifier_rules(k),
	    (now_s() - t0) * 1e3);
	t0 = now_s();
	do {
		for (uint32_t i = 0; i < n; i++)
			classify(k, d, &queries[i], &a);
		rounds++;
		t = now_s() - t0;
	} while (t < SECONDS);
	printf("%.0f classifications a second (%u replies, %u rounds)\n",
	    (double)n * rounds / t, n, rounds);
	class_desk_free(d);
	classifier_free(k);
	return 0;
}
