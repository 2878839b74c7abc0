/*
 * world/ident.h - how a message of the load is known again wherever it turns
 * up: its id, its recipients' addresses and its fingerprint.
 *
 * An id has 64 bits: the run in the upper half, a sequence number in the
 * lower. Recipient k of message ID is "rK.ID@domain", so every record that
 * names a recipient (a receiver's, a log's, a queue listing's) names the
 * message too. The header of a message carries
 *	X-Sim-Id: 3f2a10bc0000002a
 *	X-Sim-Hash: 9b0cd4f1/4102
 * where the hash is CRC32C over the id's 16 digits and then every octet
 * behind the X-Sim-Hash line, and the number counts those octets. What stands
 * before may grow (trace fields) or go (X-MTA- fields). With the length a
 * random change goes unnoticed once in 4 * 10^9; against malice it is nothing.
 */
#ifndef WORLD_IDENT_H
#define WORLD_IDENT_H

#include "base/base.h"

#define SIM_ID_DIGITS 16
#define SIM_RCPTS_MAX 100
#define SIM_HASH_FIELD 48 /* bytes that sim_hash_field writes at most */

static inline uint64_t
sim_id(uint32_t run, uint32_t seq)
{
	return (uint64_t)run << 32 | seq;
}

/* 16 hexadecimal digits and a NUL. */
void sim_id_format(char *dst, uint64_t id);
/* 0 or E_SYNTAX. */
int sim_id_parse(struct slice s, uint64_t *id);

/* "r3.3f2a10bc0000002a@", without the domain; dst of 32 bytes; its length. */
size_t sim_rcpt_format(char *dst, uint64_t id, uint32_t k);
/* From an address, with or without <>. 0, or E_SYNTAX when it is none of the
 * load's. */
int sim_rcpt_parse(struct slice address, uint64_t *id, uint32_t *k);

/* Fingerprint of what follows the X-Sim-Hash line. */
struct sim_hash {
	uint32_t crc;
	uint64_t bytes;
};
void sim_hash_init(struct sim_hash *h, uint64_t id);
void sim_hash_add(struct sim_hash *h, struct slice piece);
/* "X-Sim-Hash: 9b0cd4f1/4102\r\n"; its length. */
size_t sim_hash_field(char *dst, const struct sim_hash *h);

enum sim_verdict {
	SIM_HASH_NONE, /* not of the load */
	SIM_HASH_OK,
	SIM_HASH_BAD,
};
const char *sim_verdict_name(enum sim_verdict v);

/* Checks a message as it comes in, in pieces of any size. */
struct sim_check {
	uint64_t id;
	struct sim_hash want, have;
	uint16_t line_n;
	bool in_header, has_id, has_hash;
	char line[120]; /* the header line being read, cut */
};
void sim_check_init(struct sim_check *c);
void sim_check_feed(struct sim_check *c, struct slice piece);
/* c->id is good unless the verdict is NONE. */
enum sim_verdict sim_check_end(const struct sim_check *c);

#endif
