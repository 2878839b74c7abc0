/*
 * relay/tail.h - the end of an event log, read back at a start: which
 * Receptions stand there.
 *
 * A 250 does not wait for its Reception line, so a kill may take the lines of
 * the last moments with it. Whoever starts reads the log's end, and has the
 * Receptions of what the spool holds and the log lacks written again
 * (core_receive_again). A line may tell of what arrived a while before, for a sync
 * took its time, and lines of several threads do not stand in the order of their
 * times; hence a window.
 */
#ifndef RELAY_TAIL_H
#define RELAY_TAIL_H

#include "base/base.h"

#define TAIL_WINDOW_US (30 * US_PER_S)

struct book_tail {
	/* Time of the log's last line; 0: there is none. What a start wrote is
	 * none: that start may not have come to its end. */
	int64_t last_us;
	int64_t since_us; /* what arrived from here on may be missing */
	/* event_id of the Receptions that stand there, and of the messages that
	 * were taken over, which have their Reception elsewhere */
	struct map ids;
};

void tail_init(struct book_tail *t);
void tail_free(struct book_tail *t);
/* The time that a line tells, 0 when it is none; and did a start write it? */
int64_t tail_line_us(struct slice line, bool *at_start);
/* The log's end, from the beginning of a line on; what is behind the last
 * newline is no line. Later parts first, if it is read in parts. */
void tail_read(struct book_tail *t, struct slice lines);
bool tail_has(const struct book_tail *t, uint64_t event_id);

#endif
