/*
 * world/recv_take.c - what a receiver took: recipients, content check, the
 * journal's lines, and messages as files.
 *
 * A message counts when its final dot is answered 250, not before; until then
 * its file is N.part.
 */
#include <unistd.h>

#include "world/recv_i.h"

#define RCPTS_BYTES (512u << 10)
#define DUMP_PATH_MAX 512

static void
dump_path(const struct sess *s, const char *end, char *dst)
{
	snprintf(dst, DUMP_PATH_MAX, "%s/%08llu.%s", s->r->conf.dump_dir,
	    (unsigned long long)s->dump_no, end);
}

static void
take_drop(struct sess *s)
{
	char path[DUMP_PATH_MAX];

	if (s->dump == NULL)
		return;
	fclose(s->dump);
	s->dump = NULL;
	dump_path(s, "part", path);
	unlink(path);
}

void
take_init(struct sess *s)
{
	buf_init(&s->rcpts, RCPTS_BYTES);
}

void
take_free(struct sess *s)
{
	take_drop(s);
	buf_free(&s->rcpts);
}

void
take_reset(struct sess *s)
{
	buf_reset(&s->rcpts);
	s->nrcpts = 0;
	s->rcpt_has_id = s->rcpt_is_mixed = false;
	take_drop(s);
}

void
take_rcpt(struct sess *s)
{
	struct slice address = s->srv.path.address;
	uint64_t id;
	uint32_t k;

	if (s->nrcpts++ > 0)
		(void)buf_addc(&s->rcpts, ',');
	journal_add_text(&s->rcpts, address);
	if (sim_rcpt_parse(address, &id, &k) != 0)
		return;
	if (s->rcpt_has_id && s->rcpt_id != id)
		s->rcpt_is_mixed = true;
	s->rcpt_has_id = true;
	s->rcpt_id = id;
}

/* Content and envelope must name the same message. */
static enum sim_verdict
sess_verdict(struct sess *s)
{
	enum sim_verdict v = sim_check_end(&s->check);

	if (v == SIM_HASH_NONE) {
		s->check.id = s->rcpt_id;
		return s->rcpt_has_id ? SIM_HASH_BAD : SIM_HASH_NONE;
	}
	if (s->rcpt_is_mixed || (s->rcpt_has_id && s->rcpt_id != s->check.id))
		return SIM_HASH_BAD;
	return v;
}

static void
add_id(struct buf *b, bool has_id, uint64_t id)
{
	char text[SIM_ID_DIGITS + 1] = "-";

	if (has_id)
		sim_id_format(text, id);
	(void)buf_addz(b, text);
}

static void
journal_received(struct sess *s, enum sim_verdict v)
{
	struct buf *b = journal_line(s->r->journal);

	if (b == NULL)
		return;
	(void)buf_addu(b, (uint64_t)loop_wall(s->r->loop));
	(void)buf_addz(b, " recv ");
	(void)buf_addz(b, sim_verdict_name(v));
	(void)buf_addc(b, ' ');
	add_id(b, v != SIM_HASH_NONE, s->check.id);
	(void)buf_addc(b, ' ');
	(void)buf_addz(b, s->peer);
	(void)buf_addc(b, ' ');
	(void)buf_adds(b, s->r->conf.name);
	(void)buf_addz(b, s->srv.is_tls ? " tls " : " clear ");
	(void)buf_addu(b, s->srv.body_bytes);
	(void)buf_addc(b, ' ');
	(void)buf_adds(b, buf_slice(&s->rcpts));
	journal_end(s->r->journal);
}

void
take_refusal(struct sess *s, enum sim_stage stage, const struct verdict *v)
{
	struct buf *b = journal_line(s->r->journal);
	bool at_eom = stage == AT_EOM && s->check.has_id;

	if (b == NULL)
		return;
	(void)buf_addu(b, (uint64_t)loop_wall(s->r->loop));
	(void)buf_addz(b, " refuse ");
	(void)buf_addz(b, sim_stage_name(stage));
	(void)buf_addc(b, ' ');
	add_id(b, at_eom, s->check.id);
	(void)buf_addf(b, " %s ", s->peer);
	(void)buf_adds(b, s->r->conf.name);
	(void)buf_addf(b, " %u ", v->code);
	if (stage == AT_RCPT)
		journal_add_text(b, s->srv.path.address);
	else
		(void)buf_addc(b, '-');
	journal_end(s->r->journal);
}

void
take_begin(struct sess *s)
{
	char path[DUMP_PATH_MAX];

	sim_check_init(&s->check);
	if (s->r->conf.dump_dir == NULL)
		return;
	s->dump_no = ++s->r->dumped;
	dump_path(s, "part", path);
	s->dump = fopen(path, "we");
	if (s->dump == NULL)
		perror(path);
}

/* The message as N.eml and, before it, its recipients as N.rcpt. */
static void
dump_keep(struct sess *s)
{
	char part[DUMP_PATH_MAX], path[DUMP_PATH_MAX];
	FILE *f;

	if (s->dump == NULL)
		return;
	fclose(s->dump);
	s->dump = NULL;
	dump_path(s, "rcpt", path);
	f = fopen(path, "we");
	if (f != NULL) {
		fprintf(f, "%.*s\n", SLF(buf_slice(&s->rcpts)));
		fclose(f);
	}
	dump_path(s, "part", part);
	dump_path(s, "eml", path);
	if (f == NULL || rename(part, path) != 0)
		perror(path);
}

void
take_message(struct sess *s)
{
	struct recv_counts *n = &s->r->n;
	enum sim_verdict v = sess_verdict(s);

	n->messages++;
	n->recipients += s->nrcpts;
	n->bytes += s->srv.body_bytes;
	n->good += v == SIM_HASH_OK;
	n->bad += v == SIM_HASH_BAD;
	n->foreign += v == SIM_HASH_NONE;
	journal_received(s, v);
	dump_keep(s);
	take_reset(s);
}

void
take_body(struct sess *s)
{
	sim_check_feed(&s->check, s->srv.body);
	if (s->dump != NULL)
		fwrite(s->srv.body.p, 1, s->srv.body.n, s->dump);
}
