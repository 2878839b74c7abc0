/*
 * bench_suppress - what asking for a recipient costs with ten million of them
 * suppressed: for those that are not, and for those that are; the memory that it
 * takes; and how long an import takes.
 *
 *	bench_suppress [ENTRIES [CACHE_MB [MMAP_MB]]]
 *
 * Times are of the wall clock, over questions in no order; the file is warm (it
 * was just read). Memory is RSS, beside what it was before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "store/store.h"

#define ENTRIES 10000000u
#define ASKED 1000000u
#define CACHE_MB 24
#define MMAP_MB 0
#define TURN 8 /* questions between two rests */
#define SEED 42
#define NOW_S 1000

static char path[4096];
static size_t cache_bytes, mmap_bytes;

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Of the process, in KB: all, and what is its own. */
static void
memory(const char *what, uint64_t *all, uint64_t *own)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long v;

	*all = *own = 0;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmRSS: %llu", &v) == 1)
			*all = v;
		if (sscanf(line, "RssAnon: %llu", &v) == 1)
			*own = v;
	}
	if (f)
		fclose(f);
	(void)what;
}

/* Of this thread, without the time in which others had the processor. */
static double
cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct slice
address(char *dst, size_t cap, uint64_t i, const char *word)
{
	int n = snprintf(dst, cap, "%s%08llx.%llu@d%llu.example", word,
	    (unsigned long long)(hash_u64(i) >> 32), (unsigned long long)i,
	    (unsigned long long)(hash_u64(i + 7) % 200000));

	return slice_of(dst, (size_t)n);
}

static void
must(int err, const char *why)
{
	if (err == 0)
		return;
	fprintf(stderr, "bench_suppress: %s: %s\n", err_text(err), why);
	exit(1);
}

static void
fill(uint64_t n)
{
	struct suppress_db *d;
	struct suppress_load *l;
	char text[128], why[256] = "";
	double began = now_s();
	uint64_t done;

	must(suppress_open(&d, path, SUPPRESS_WRITE, 64u << 20, 0, why,
		 sizeof(why)),
	    why);
	l = suppress_load_new(d, NULL, NULL);
	for (uint64_t i = 0; i < n; i++) {
		struct suppress_entry e = {
			.name = address(text, sizeof(text), i, "user"),
			.reason = SL("unknown_user"),
			.source = SL("bench"),
			.added_s = NOW_S,
		};

		must(suppress_load_add(l, &e), suppress_load_why(l));
	}
	must(suppress_load_end(l, &done), suppress_load_why(l));
	printf("import: %llu entries in %.1f s\n", (unsigned long long)done,
	    now_s() - began);
	suppress_load_free(l);
	suppress_close(d);
}

static struct suppress_set *
build(void)
{
	struct suppress_db *d;
	struct suppress_walk *w;
	struct suppress_set *s;
	struct suppress_entry e;
	char why[256] = "";
	double began = now_s();
	uint64_t n;
	int more;

	must(suppress_open(&d, path, SUPPRESS_READ, 2u << 20, 0, why,
		 sizeof(why)),
	    why);
	must(suppress_count(d, &n), suppress_why(d));
	s = suppress_set_new(SEED, n);
	w = suppress_walk(d, NULL);
	while ((more = suppress_next(w, &e)) > 0)
		suppress_set_add(s, &e);
	must(more, suppress_why(d));
	suppress_walk_end(w);
	suppress_close(d);
	printf("filter: %.1f MB, built in %.1f s\n",
	    (double)suppress_set_bytes(s) / 1e6, now_s() - began);
	return s;
}

static int
by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return x < y ? -1 : x > y;
}

static void
ask(struct suppress_desk *k, const char *what, const char *word, uint64_t n,
    bool is_there)
{
	static float took[ASKED];
	static char text[ASKED][64];
	struct suppress_hit hit;
	uint64_t wrong = 0, asked0, asked, vain;
	double cpu, t;

	for (uint32_t i = 0; i < ASKED; i++)
		address(text[i], sizeof(text[i]), hash_u64(i + 99) % n, word);
	suppress_desk_counts(k, &asked0, &vain);
	cpu = cpu_s();
	for (uint32_t i = 0; i < ASKED; i++) {
		t = now_s();
		wrong += suppress_ask(k, SL("ann"), slice_str(text[i]), NOW_S,
			     &hit) != is_there;
		if (i % TURN == TURN - 1)
			suppress_desk_rest(k);
		took[i] = (float)(now_s() - t);
	}
	cpu = cpu_s() - cpu;
	suppress_desk_counts(k, &asked, &vain);
	qsort(took, ASKED, sizeof(*took), by_value);
	printf("%s: %.3f us of CPU on average; wall clock p50 %.3f, p99 %.3f; "
	       "the file was asked %.2f times in 100; %llu wrong\n",
	    what, 1e6 * cpu / ASKED, 1e6 * (double)took[ASKED / 2],
	    1e6 * (double)took[ASKED / 100 * 99],
	    100.0 * (double)(asked - asked0) / ASKED,
	    (unsigned long long)wrong);
	if (wrong)
		exit(1);
}

int
main(int argc, char **argv)
{
	uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : ENTRIES;
	const char *tmp = getenv("TMP");
	size_t cache_mb = argc > 2 ? strtoull(argv[2], NULL, 10) : CACHE_MB;
	size_t mmap_mb = argc > 3 ? strtoull(argv[3], NULL, 10) : MMAP_MB;
	uint64_t all0, own0, all, own;
	struct suppress_desk *k;
	char why[256] = "";

	cache_bytes = cache_mb << 20;
	mmap_bytes = mmap_mb << 20;
	snprintf(path, sizeof(path), "%s/suppression.db", tmp ? tmp : "/tmp");
	if (access(path, F_OK) != 0)
		fill(n);
	/* Once before memory is looked at: the questions' own tables. */
	must(suppress_desk_open(&k, path, SEED, cache_bytes, mmap_bytes, why,
		 sizeof(why)),
	    why);
	ask(k, "without a filter, not there", "none", n, false);
	suppress_desk_close(k);
	memory("before", &all0, &own0);
	must(suppress_desk_open(&k, path, SEED, cache_bytes, mmap_bytes, why,
		 sizeof(why)),
	    why);
	suppress_desk_swap(k, build());
	ask(k, "not there", "none", n, false);
	ask(k, "there", "user", n, true);
	memory("after", &all, &own);
	printf("memory: %.1f MB more, of it %.1f MB the file's pages\n",
	    (double)(all - all0) / 1e3,
	    (double)((all - own) - (all0 - own0)) / 1e3);
	suppress_desk_close(k);
	return 0;
}
