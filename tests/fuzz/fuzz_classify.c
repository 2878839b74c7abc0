/*
 * fuzz_classify - hostile rules and hostile replies: bytes up to the first NUL
 * are a file of rules, those behind it are replies, as `mtad classify` reads
 * them. Every line belongs to exactly one reply; every answer is from a table;
 * asked twice, a classifier says the same.
 */
#include "conf/classify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
count(void *ctx, const char *line)
{
	(void)ctx;
	ASSERT(strlen(line) > 0);
	for (const char *p = line; *p; p++)
		ASSERT((unsigned char)*p >= 32); /* escaped */
}

static void
ask(const struct classifier *k, struct class_desk *d,
    const struct class_query *q)
{
	struct class_answer a, b;

	classify(k, d, q, &a);
	ASSERT(a.judgement.category < CATEGORY_N);
	ASSERT(a.judgement.kind < KIND_N);
	ASSERT(a.judgement.scope < SCOPE_N);
	ASSERT((a.line == 0) == (a.file == NULL));
	classify(k, d, q, &b);
	ASSERT(a.line == b.line && a.file == b.file);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of((const char *)data, size);
	struct slice rules = slice_cut(&rest, '\0');
	struct class_source file = { "fuzz.yml", slice_of("", 0) };
	struct conf_errors errs = { .report = count };
	struct classifier *k;
	struct class_desk *d;
	struct class_query q;
	char text[CLASS_TEXT_MAX];

	if (rules.n > 0)
		file.text = rules;
	k = classifier_new(&file, 1, &errs);
	ASSERT((k == NULL) == (errs.n > 0));
	if (k == NULL)
		return 0;
	d = class_desk_new(k);
	ASSERT(d != NULL);
	for (size_t before = rest.n + 1; class_read(&rest, text, &q);) {
		ASSERT(rest.n < before); /* it moves on */
		before = rest.n;
		ask(k, d, &q);
	}
	class_desk_free(d);
	classifier_free(k);
	return 0;
}
