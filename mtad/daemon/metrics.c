/*
 * daemon/metrics.c - the metrics of what stands around the core: spool, DNS,
 * connections, event log. One row of a table is one series with its HELP and
 * TYPE. On the core's thread.
 */
#include "daemon/daemon_i.h"
#include "daemon/keybook.h"

static void
metric(struct buf *out, const char *name, const char *help)
{
	bool is_counter = slice_has_isuffix(slice_str(name), SL("_total"));

	buf_addf(out, "# HELP mtad_%s %s\n# TYPE mtad_%s %s\nmtad_%s ", name,
	    help, name, is_counter ? "counter" : "gauge", name);
}

static void
metric_u64(struct buf *out, const char *name, const char *help, uint64_t v)
{
	metric(out, name, help);
	buf_addf(out, "%llu\n", (unsigned long long)v);
}

static void
metric_seconds(struct buf *out, const char *name, const char *help, uint64_t us)
{
	metric(out, name, help);
	buf_addf(out, "%llu.%06llu\n",
	    (unsigned long long)(us / (uint64_t)US_PER_S),
	    (unsigned long long)(us % (uint64_t)US_PER_S));
}

/* clang-format off */
#define SPOOL_METRICS(U, SEC) \
	U(messages, "messages", "Messages in the spool.") \
	U(bytes, "bytes", "Bytes of these messages.") \
	U(segments, "segments", "Segment files.") \
	U(segments_free, "segments_free", "Of these, ready to be used again.") \
	U(commits, "commits_total", "Messages made durable.") \
	U(outcomes, "outcomes_total", "Outcomes of recipients written.") \
	U(syncs, "syncs_total", "Calls of fdatasync.") \
	SEC(sync_us, "sync_seconds_total", "Time spent in them.") \
	SEC(sync_us_max, "sync_seconds_max", "The longest of them.") \
	U(written_bytes, "written_bytes_total", "Bytes written.") \
	U(recycled, "recycled_total", "Segments used again.") \
	U(compacted, "compacted_total", "Records moved by compaction.") \
	U(compacted_bytes, "compacted_bytes_total", "Bytes of these records.") \
	U(quarantined, "quarantined_total", "Damaged records set aside.") \
	U(sync_failures, "sync_failures_total", "Calls of fdatasync that failed.") \
	U(disk_free_bytes, "disk_free_bytes", "Space left on the spool's disk.")
/* clang-format on */

static void
spool_metrics(const struct spool_stats *st, struct buf *out)
{
#define U(name, metric_name, help)                                             \
	metric_u64(out, "spool_" metric_name, help, st->name);
#define SEC(name, metric_name, help)                                           \
	metric_seconds(out, "spool_" metric_name, help, st->name);
	SPOOL_METRICS(U, SEC)
#undef SEC
#undef U
}

static void
worker_metrics(const struct daemon *d, struct buf *out)
{
#define X(name, help)                                                          \
	do {                                                                   \
		uint64_t sum = 0;                                              \
		for (uint32_t i = 0; i < d->nworkers; i++)                     \
			sum += atomic_load(&d->worker[i].counters.name);       \
		metric_u64(out, #name "_total", help ".", sum);                \
	} while (0);
	WORKER_COUNTERS(X)
#undef X
}

static void
suppress_metrics(const struct suppressor *s, struct buf *out)
{
#define X(name, metric_name, help)                                             \
	metric_u64(out, "suppression_" metric_name, help ".",                  \
	    atomic_load(&s->name));
	if (s->db != NULL) {
		SUPPRESS_GAUGES(X)
	}
#undef X
}

/* Those that came in and are not read, or are still coming. */
static uint64_t
returned_waiting(const struct daemon *d)
{
	int64_t room = atomic_load(&d->gate.backs_free);

	return (uint64_t)MAX(BACKS_MAX - room, 0);
}

static void
pickup_metrics(const struct pickup *k, struct buf *out)
{
#define X(name, help)                                                          \
	metric_u64(out, "sendmail_" #name, help ".", atomic_load(&k->name));
	if (k->is_running) {
		PICKUP_GAUGES(X)
	}
#undef X
}

static void
key_metrics(struct keybook *b, struct buf *out)
{
	uint64_t n, bytes;

	keybook_count(b, &n, &bytes);
	metric_u64(out, "idempotency_keys", "Idempotency keys that are known.",
	    n);
	metric_u64(out, "idempotency_keys_bytes", "Memory of their index.",
	    bytes);
}

static void
returner_metrics(const struct daemon *d, struct buf *out)
{
	const struct returner *t = &d->returner;

#define X(name, metric_name, help)                                             \
	metric_u64(out, "returned_" metric_name, help ".",                     \
	    atomic_load(&t->name));
	RETURNER_COUNTERS(X)
#undef X
	metric_u64(out, "returned_waiting",
	    "Messages that came back and are not read yet.",
	    returned_waiting(d));
}

void
returner_view(const struct daemon *d, struct buf *out)
{
	const struct returner *t = &d->returner;
	struct jsonw w;

	if (d->conf->ninbound == 0 || out->n == 0)
		return;
	buf_cut(out, out->n - 1); /* the brace */
	(void)buf_addz(out, ",\"returned\":");
	jw_init(&w, out);
	jw_open(&w, '{');
#define X(name, metric_name, help)                                             \
	jw_ku64(&w, metric_name, atomic_load(&t->name));
	RETURNER_COUNTERS(X)
#undef X
	jw_ku64(&w, "waiting", returned_waiting(d));
	jw_close(&w, '}');
	(void)buf_addc(out, '}');
}

void
daemon_metrics(struct worker *w, struct buf *out)
{
	struct daemon *d = w->d;
	struct spool_stats st;
	struct dns_stats dn;

	pthread_mutex_lock(&d->spooler.lock);
	spool_stats_get(d->spooler.spool, &st);
	pthread_mutex_unlock(&d->spooler.lock);
	spool_metrics(&st, out);
	worker_metrics(d, out);
	suppress_metrics(&d->suppressor, out);
	pickup_metrics(&d->pickup, out);
	key_metrics(d->keybook, out);
	if (d->conf->ninbound > 0)
		returner_metrics(d, out);
	dns_stats_get(w->dns, &dn);
	metric_u64(out, "dns_lookups_total", "Look-ups begun.", dn.lookups);
	metric_u64(out, "dns_inflight", "Look-ups under way.", dn.inflight);
	metric_u64(out, "dns_queued", "Look-ups that wait.", dn.queued);
	metric_u64(out, "book_lost_bytes_total",
	    "Event log bytes that could not be written.",
	    atomic_load(&d->clerk.lost_bytes));
	metric_u64(out, "reloads_total", "Configurations taken over.",
	    atomic_load(&d->reloads));
	metric_seconds(out, "uptime_seconds", "Time since the start.",
	    (uint64_t)(clock_mono_us() - d->started_us));
}
