/*
 * plan/calib.c - the record of a calibration, in and out of its file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"
#include "plan/calib.h"

#define FILE_NAME "mtasim/calibration.json"
#define RECORD_MAX 4096
#define PATH_BYTES 4096

static const struct {
	const char *name, *unit;
	int64_t bound;
} quantities[] = {
#define X(name, words, unit, bound) { words, unit, bound },
	CALIB_QUANTITIES(X)
#undef X
};

const char *
calib_name(enum calib_quantity q)
{
	return quantities[q].name;
}

const char *
calib_unit(enum calib_quantity q)
{
	return quantities[q].unit;
}

int64_t
calib_bound(enum calib_quantity q)
{
	return quantities[q].bound;
}

bool
calib_path(char *dst, size_t cap)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;

	/* The XDG specification: a relative path is to be ignored. */
	if (state && state[0] == '/')
		n = snprintf(dst, cap, "%s/" FILE_NAME, state);
	else if (home && home[0] == '/')
		n = snprintf(dst, cap, "%s/.local/state/" FILE_NAME, home);
	else
		return false;
	return n > 0 && (size_t)n < cap;
}

/* ---- reading ------------------------------------------------------------------- */

static bool
text_of(const struct yaml_node *map, const char *key, char *dst)
{
	const struct yaml_node *v = yaml_get(map, key);

	if (v == NULL || v->kind != YAML_SCALAR || v->text.n >= CALIB_TEXT_MAX)
		return false;
	for (size_t i = 0; i < v->text.n; i++)
		if ((unsigned char)v->text.p[i] < ' ' || v->text.p[i] == 0x7f)
			return false; /* it will be printed */
	slice_copy(v->text, dst, CALIB_TEXT_MAX);
	return true;
}

/* "2.125": thousandths. */
static bool
milli_of(const struct yaml_node *map, const char *key, int64_t *thousandths)
{
	const struct yaml_node *v = yaml_get(map, key);
	struct slice part, whole;
	uint64_t n, f = 0;

	if (v == NULL || v->kind != YAML_SCALAR)
		return false;
	part = v->text;
	whole = slice_cut(&part, '.');
	if (slice_u64(whole, UINT32_MAX, &n) != 0 || part.n > 3 ||
	    (part.n > 0 && slice_u64(part, 999, &f) != 0))
		return false;
	for (size_t i = part.n; i < 3; i++)
		f *= 10;
	*thousandths = (int64_t)(n * 1000 + f);
	return true;
}

static bool
take(const struct yaml_node *root, struct calib *c)
{
	const struct yaml_node *errors, *seconds;

	if (root->kind != YAML_MAP || !text_of(root, "date", c->date) ||
	    !text_of(root, "host", c->host) ||
	    !text_of(root, "scenario", c->scenario) ||
	    !text_of(root, "version", c->version))
		return false;
	seconds = yaml_get(root, "seconds");
	errors = yaml_get(root, "error");
	if (!seconds || slice_u64(seconds->text, UINT32_MAX, &c->seconds) ||
	    !errors || errors->kind != YAML_MAP)
		return false;
	for (int q = 0; q < CALIB_N; q++)
		if (!milli_of(errors, quantities[q].name, &c->error[q]))
			return false;
	return true;
}

bool
calib_load(const char *path, struct calib *c)
{
	struct conf_errors errs = { .report = NULL };
	struct yaml_doc *doc;
	bool ok;

	*c = (struct calib){ .seconds = 0 };
	if (access(path, R_OK) != 0)
		return false;
	doc = yaml_load(path, &errs);
	if (doc == NULL)
		return false;
	ok = take(yaml_root(doc), c);
	yaml_doc_free(doc);
	return ok;
}

/* ---- writing ------------------------------------------------------------------- */

void
calib_json(const struct calib *c, struct jsonw *w)
{
	if (c == NULL) {
		jw_null(w);
		return;
	}
	jw_open(w, '{');
	jw_kstr(w, "date", slice_str(c->date));
	jw_kstr(w, "host", slice_str(c->host));
	jw_kstr(w, "version", slice_str(c->version));
	jw_kstr(w, "scenario", slice_str(c->scenario));
	jw_ku64(w, "seconds", c->seconds);
	jw_key(w, "error");
	jw_open(w, '{');
	for (int q = 0; q < CALIB_N; q++) {
		jw_key(w, quantities[q].name);
		jw_milli(w, c->error[q]);
	}
	jw_close(w, '}');
	jw_close(w, '}');
}

void
calib_text(const struct calib *c, struct buf *out)
{
	if (c == NULL) {
		(void)buf_addz(out, "uncalibrated");
		return;
	}
	(void)buf_addf(out, "calibrated %s on %s, off by", c->date, c->host);
	for (int q = 0; q < CALIB_N; q++)
		(void)buf_addf(out, "%s %s %lld.%lld%s", q ? "," : "",
		    quantities[q].name, (long long)c->error[q] / 1000,
		    (long long)c->error[q] % 1000 / 100, quantities[q].unit);
}

/* Every directory above the last part. */
static void
make_parents(const char *path)
{
	char part[PATH_BYTES];

	for (size_t i = 1; path[i] && i < sizeof(part); i++)
		if (path[i] == '/') {
			memcpy(part, path, i);
			part[i] = '\0';
			(void)mkdir(part, 0777);
		}
}

int
calib_save(const char *path, const struct calib *c)
{
	char temp[PATH_BYTES];
	struct jsonw w;
	struct buf b;
	FILE *f;
	bool ok;

	if ((size_t)snprintf(temp, sizeof(temp), "%s.new", path) >=
	    sizeof(temp)) {
		errno = ENAMETOOLONG;
		return E_IO;
	}
	make_parents(path);
	f = fopen(temp, "we");
	if (f == NULL)
		return E_IO;
	buf_init(&b, RECORD_MAX);
	jw_init(&w, &b);
	calib_json(c, &w);
	(void)buf_addc(&b, '\n');
	ok = !b.failed && fwrite(buf_slice(&b).p, 1, b.n, f) == b.n;
	buf_free(&b);
	ok = fclose(f) == 0 && ok;
	if (ok && rename(temp, path) == 0)
		return 0;
	(void)unlink(temp);
	return E_IO;
}
