/* Formatted output to a file descriptor through a small buffer: no allocation, no lock, no cancellation point.
 *
 * After a write has failed nothing more is written, and errno is left as that write set it. */
#ifndef HM_MOVABLE_DUMP_OUT_H
#define HM_MOVABLE_DUMP_OUT_H

#include "base/text.h"

#define DUMP_OUT_BYTES 1024 /* more than any single format call may give */

struct dump_out {
    int fd;
    bool failed;
    struct text text;
    char buf[DUMP_OUT_BYTES];
};

/* The instance must not be moved. */
void dump_out_init(struct dump_out *out, int fd);
void dump_out_format(struct dump_out *out, const char *format, ...) HM_PRINTF(2, 3);

/* Writes what is left. False: this or an earlier write failed. */
bool dump_out_finish(struct dump_out *out);

#endif
