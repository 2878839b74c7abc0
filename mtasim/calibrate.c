/*
 * calibrate.c - `mtasim calibrate`: lives through a scenario with the real
 * mtad, plans the same, and keeps how far apart the two are.
 */
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "life/life.h"
#include "mtasim.h"
#include "plan/calib.h"
#include "plan/forecast.h"
#include "world/worldfile.h"

#define FEW 20     /* deliveries: fewer say nothing about quantiles */
#define COURSES 15 /* of a plan */
#define SHAKE_US (5 * US_PER_MS)
#define SOCKET_ROOM 90 /* a Unix socket below it has 108 bytes */
#define REPORT_MAX (1u << 20)

struct calibrate {
	/* options */
	const char *mtad, *out, *dir;
	bool is_json, tells;

	char self[LIFE_PATH_MAX], mtad_path[LIFE_PATH_MAX];
	char scenario[LIFE_PATH_MAX], out_path[LIFE_PATH_MAX];
	bool is_temporary; /* the directory */
	struct scen *s;
	struct forecast *plan;
	struct life life;
	struct calib record;
};

#define AT(field) offsetof(struct calibrate, field)

static const struct opt opts[] = {
	{ "mtad", "FILE", OPT_TEXT, AT(mtad), NULL,
	    "the daemon (mtad beside mtasim, then in PATH)" },
	{ "out", "FILE", OPT_TEXT, AT(out), NULL,
	    "where the result is kept, not where plans look for it" },
	{ "dir", "DIR", OPT_TEXT, AT(dir), NULL,
	    "where the run's files are kept (a directory that goes away)" },
	{ "json", NULL, OPT_FLAG, AT(is_json), NULL, "JSON instead of text" },
};

static const struct opt_table table = { "calibrate", "[SCENARIO] [OPTION ...]",
	"Runs a scenario with the real mtad on loopback, plans it too, and "
	"keeps how far\nthe plan was off, with date and host; each plan "
	"prints that. Takes as long as\nthe scenario says.",
	opts, ARRAY_LEN(opts),
	"Exit codes: 0, 1 (off by more than 5 % of throughput, 2 points of "
	"deferrals or\n10 % of p50 or p95), 2 (an error in the scenario), 3 "
	"(the run failed)." };

/* ---- where things are ---------------------------------------------------------- */

static bool
beside(const struct calibrate *c, const char *name, char *dst)
{
	char dir[LIFE_PATH_MAX];
	size_t n = strlen(c->self);

	while (n > 0 && c->self[n - 1] != '/')
		n--;
	slice_copy(slice_of(c->self, n), dir, sizeof(dir));
	return snprintf(dst, LIFE_PATH_MAX, "%s%s", dir, name) <
	    LIFE_PATH_MAX &&
	    access(dst, R_OK) == 0;
}

static int
find_files(struct calibrate *c, int noperands, char **operands)
{
	ssize_t n = readlink("/proc/self/exe", c->self, sizeof(c->self) - 1);

	c->self[n > 0 ? n : 0] = '\0';
	if (c->mtad)
		snprintf(c->mtad_path, sizeof(c->mtad_path), "%s", c->mtad);
	else if (!beside(c, "mtad", c->mtad_path) &&
	    !beside(c, "../sbin/mtad", c->mtad_path))
		return opt_fail(&table, "no mtad beside %s; see --mtad",
		    c->self);
	if (access(c->mtad_path, X_OK) != 0)
		return opt_fail(&table, "%s: %m", c->mtad_path);
	if (noperands == 1)
		snprintf(c->scenario, sizeof(c->scenario), "%s", operands[0]);
	else if (!beside(c, "../share/scenarios/calibrate.yml", c->scenario) &&
	    !beside(c, "../share/mtad/scenarios/calibrate.yml", c->scenario))
		return opt_fail(&table,
		    "no share/scenarios/calibrate.yml; give a SCENARIO");
	if (c->out)
		snprintf(c->out_path, sizeof(c->out_path), "%s", c->out);
	else if (!calib_path(c->out_path, sizeof(c->out_path)))
		return opt_fail(&table,
		    "neither XDG_STATE_HOME nor HOME is set; see --out");
	return -1;
}

/* The daemon has a directory of its own: paths are to be absolute. */
static int
use_dir(struct calibrate *c)
{
	char *full = NULL;
	bool fits;

	if (mkdir(c->dir, 0777) == 0 || errno == EEXIST)
		full = realpath(c->dir, NULL);
	if (full == NULL)
		return opt_fail(&table, "%s: %m", c->dir);
	fits = (size_t)snprintf(c->life.dir, sizeof(c->life.dir), "%s", full) <
	    SOCKET_ROOM;
	free(full);
	return fits ? -1 : opt_fail(&table, "%s is too long", c->dir);
}

static int
make_dir(struct calibrate *c)
{
	const char *tmp = getenv("TMPDIR");

	if (c->dir)
		return use_dir(c);
	snprintf(c->life.dir, sizeof(c->life.dir), "%s/mtasim-XXXXXX",
	    tmp && tmp[0] == '/' ? tmp : "/tmp");
	if (mkdtemp(c->life.dir) == NULL)
		return opt_fail(&table, "%s: %m", c->life.dir);
	c->is_temporary = true;
	return -1;
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st;
	(void)kind;
	(void)f;
	return remove(path);
}

/* ---- the two sides ------------------------------------------------------------- */

static volatile sig_atomic_t is_stopped;

static void
on_stop(int sig)
{
	(void)sig;
	is_stopped = 1;
}

static bool
tell(void *ctx, int64_t at_us)
{
	const struct calibrate *c = ctx;

	if (c->tells)
		fprintf(stderr, "\rliving: %lld of %lld s\033[K",
		    (long long)(at_us / US_PER_S),
		    (long long)(c->s->until_us / US_PER_S));
	return is_stopped != 0;
}

/* As the mail came, in its order, give or take what wakes of a life are late on
 * a machine that does other things too. */
static void
shake(struct demand *to, const struct demand *from, struct rng *rng)
{
	for (uint32_t i = 0; i < from->n; i++) {
		to->v[i] = from->v[i];
		to->v[i].at_us += (int64_t)rng_below(rng, SHAKE_US);
		if (i > 0)
			to->v[i].at_us =
			    MAX(to->v[i].at_us, to->v[i - 1].at_us);
	}
}

/* With the world's dice, and the mail as it came: chance, and how punctual the
 * load was, are no errors of the plan. Where small things decide who meets a
 * refusal, one course says little about the next: what is planned is the mean
 * of some that differ as two lives would. */
static void
foresee(struct calibrate *c)
{
	uint32_t n = c->s->nworkloads;
	struct demand *came = mem_get(n * sizeof(*came));
	struct rng rng;

	rng_seed(&rng, c->s->seed);
	for (uint32_t i = 0; i < n; i++) {
		came[i].n = came[i].cap = c->life.demand[i].n;
		came[i].v = mem_get(MAX(came[i].n, 1u) * sizeof(*came[i].v));
	}
	c->plan = forecast_new(c->s, c->s->seed, COURSES);
	for (uint32_t k = 0; k < COURSES; k++) {
		for (uint32_t i = 0; i < n; i++)
			shake(&came[i], &c->life.demand[i], &rng);
		forecast_add(c->plan, trial_run(c->s, c->s->seed, came, NULL));
	}
	forecast_close(c->plan);
	for (uint32_t i = 0; i < n; i++)
		mem_free(came[i].v);
	mem_free(came);
}

static int64_t
lived(const struct life_side *a, enum calib_quantity q)
{
	switch (q) {
	case CALIB_throughput:
		return a->last_us > a->first_us ?
		    (int64_t)((unsigned __int128)a->delivered * 1000 *
			US_PER_S / (uint64_t)(a->last_us - a->first_us)) :
		    0;
	case CALIB_deferrals:
		return a->attempts ?
		    (int64_t)(a->deferrals * 100000 / a->attempts) :
		    0;
	case CALIB_p50:
		return hist_quantile(&a->stay, 5000);
	case CALIB_p95:
		return hist_quantile(&a->stay, 9500);
	case CALIB_N:
		break;
	}
	return 0;
}

static const enum metric metric_of[CALIB_N] = {
	[CALIB_throughput] = METRIC_throughput,
	[CALIB_deferrals] = METRIC_deferral_share,
	[CALIB_p50] = METRIC_time_p50,
	[CALIB_p95] = METRIC_time_p95,
};

static int64_t
planned(const struct calibrate *c, uint32_t side, enum calib_quantity q)
{
	const int64_t *v = c->plan->sides[side].value[metric_of[q]];
	int64_t sum = 0;

	for (uint32_t k = 0; k < COURSES; k++)
		sum += v[k];
	return sum / COURSES;
}

/* In the units of struct calib. */
static int64_t
error_of(const struct calibrate *c, uint32_t side, enum calib_quantity q)
{
	int64_t real = lived(&c->life.sides[side], q);
	int64_t off = planned(c, side, q) - real;

	off = off < 0 ? -off : off;
	if (q == CALIB_deferrals)
		return off;
	return real ? off * 100000 / real : off ? 100000 : 0;
}

static void
make_record(struct calibrate *c)
{
	struct calib *r = &c->record;
	const char *slash = strrchr(c->scenario, '/');
	char host[CALIB_TEXT_MAX] = "";
	struct date d;

	date_of((int64_t)time(NULL) * US_PER_S, &d);
	snprintf(r->date, sizeof(r->date), "%04d-%02d-%02dT%02d:%02d:%02dZ",
	    d.year, d.mon, d.day, d.hour, d.min, d.sec);
	(void)gethostname(host, sizeof(host) - 1);
	snprintf(r->host, sizeof(r->host), "%s", host);
	snprintf(r->version, sizeof(r->version), "%s", mta_version());
	snprintf(r->scenario, sizeof(r->scenario), "%.100s",
	    slash ? slash + 1 : c->scenario);
	r->seconds = (uint64_t)(c->s->until_us / US_PER_S);
	for (uint32_t i = 0; i <= c->s->nproviders; i++) {
		if (c->life.sides[i].delivered < FEW)
			continue;
		for (int q = 0; q < CALIB_N; q++)
			r->error[q] = MAX(r->error[q],
			    error_of(c, i, (enum calib_quantity)q));
	}
}

static bool
is_good(const struct calib *r)
{
	for (int q = 0; q < CALIB_N; q++)
		if (r->error[q] > calib_bound((enum calib_quantity)q))
			return false;
	return true;
}

/* ---- what it says -------------------------------------------------------------- */

static void
print_text(const struct calibrate *c, struct buf *out)
{
	(void)buf_addf(out, "%-12s %-12s %14s %14s %12s\n", "", "", "life",
	    "plan", "off by");
	for (uint32_t i = 0; i <= c->s->nproviders; i++)
		for (int k = 0; k < CALIB_N; k++) {
			enum calib_quantity q = (enum calib_quantity)k;
			char life[32], plan[32];
			int64_t off = error_of(c, i, q);

			report_value(life, metric_of[q],
			    lived(&c->life.sides[i], q));
			report_value(plan, metric_of[q], planned(c, i, q));
			(void)buf_addf(out,
			    "%-12.*s %-12s %14s %14s %6lld.%lld%s\n",
			    SLF(k ? SL("") : c->plan->sides[i].name),
			    calib_name(q), life, plan, (long long)off / 1000,
			    (long long)off % 1000 / 100, calib_unit(q));
		}
	calib_text(&c->record, out);
	(void)buf_addf(out, "\nkept in %s\n", c->out_path);
}

static void
json_side(const struct calibrate *c, struct jsonw *w, uint32_t i)
{
	const struct life_side *a = &c->life.sides[i];

	jw_open(w, '{');
	jw_ku64(w, "arrived", a->arrived);
	jw_ku64(w, "delivered", a->delivered);
	jw_ku64(w, "attempts", a->attempts);
	jw_ku64(w, "deferred", a->deferrals);
	for (int k = 0; k < CALIB_N; k++) {
		enum calib_quantity q = (enum calib_quantity)k;
		int64_t unit = q == CALIB_p50 || q == CALIB_p95 ? 1000 : 1;

		jw_key(w, calib_name(q));
		jw_open(w, '{');
		jw_key(w, "life");
		jw_milli(w, lived(a, q) / unit);
		jw_key(w, "plan");
		jw_milli(w, planned(c, i, q) / unit);
		jw_key(w, "error");
		jw_milli(w, error_of(c, i, q));
		jw_close(w, '}');
	}
	jw_close(w, '}');
}

static void
print_json(const struct calibrate *c, struct buf *out)
{
	struct jsonw w;

	jw_init(&w, out);
	jw_open(&w, '{');
	jw_key(&w, "calibration");
	calib_json(&c->record, &w);
	jw_key(&w, "all");
	json_side(c, &w, c->s->nproviders);
	jw_key(&w, "provider");
	jw_open(&w, '{');
	for (uint32_t i = 0; i < c->s->nproviders; i++) {
		char name[NAME_MAX_BYTES + 1];

		slice_copy(c->s->providers[i].name, name, sizeof(name));
		jw_key(&w, name);
		json_side(c, &w, i);
	}
	jw_close(&w, '}');
	jw_close(&w, '}');
	(void)buf_addc(out, '\n');
}

/* ---- the command --------------------------------------------------------------- */

static int
live_and_plan(struct calibrate *c)
{
	struct buf out;

	if (life_run(&c->life) != 0) {
		(void)opt_fail(&table, "%s", c->life.why);
		/* What is there says why. */
		c->is_temporary &= is_stopped != 0;
		return SIM_UNREACHABLE;
	}
	foresee(c);
	make_record(c);
	if (calib_save(c->out_path, &c->record) != 0)
		return opt_fail(&table, "%s: %m", c->out_path);
	buf_init(&out, REPORT_MAX);
	if (c->is_json)
		print_json(c, &out);
	else
		print_text(c, &out);
	if (c->tells)
		fprintf(stderr, "\r\033[K");
	fwrite(buf_slice(&out).p, 1, out.n, stdout);
	buf_free(&out);
	return is_good(&c->record) ? SIM_PASS : SIM_SLO;
}

int
cmd_calibrate(int argc, char **argv)
{
	static struct calibrate c;
	struct conf_errors errs = { .report = world_report };
	struct sigaction stop = { .sa_handler = on_stop };
	char **operands;
	int n, rc = opt_parse(&table, argc, argv, &c, &operands, &n);

	if (rc >= 0)
		return rc;
	if (n > 1)
		return opt_fail(&table, "expected one scenario");
	rc = find_files(&c, n, operands);
	if (rc >= 0)
		return rc;
	c.s = scen_load(c.scenario, NULL, 0, &errs);
	if (c.s == NULL)
		return SIM_USAGE;
	rc = life_check(c.s, &errs) ? make_dir(&c) : SIM_USAGE;
	if (rc < 0) {
		sigaction(SIGINT, &stop, NULL);
		sigaction(SIGTERM, &stop, NULL);
		c.tells = isatty(STDERR_FILENO);
		c.life.s = c.s;
		c.life.scenario = c.scenario;
		c.life.mtad = c.mtad_path;
		c.life.mtasim = c.self;
		c.life.tell = tell;
		c.life.ctx = &c;
		rc = live_and_plan(&c);
		life_free(&c.life);
		if (c.plan)
			forecast_free(c.plan);
	}
	if (c.is_temporary)
		(void)nftw(c.life.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	scen_free(c.s);
	return rc;
}
