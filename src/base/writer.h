/* Formatted output to a file descriptor through a small buffer: no allocation, no lock, no cancellation point.
 *
 * After a write has failed nothing more is written, and errno is left as that write set it; what was written before is a prefix of the
 * whole. */
#ifndef HM_BASE_WRITER_H
#define HM_BASE_WRITER_H

#include "base/text.h"

#define WRITER_BYTES 1024 /* more than any single format call may give */

struct writer {
    int fd;
    bool failed;
    struct text text;
    char buf[WRITER_BYTES];
};

/* The instance must not be moved. */
void writer_init(struct writer *writer, int fd);
void writer_format(struct writer *writer, const char *format, ...) HM_PRINTF(2, 3);

/* A string of any length. */
void writer_put(struct writer *writer, const char *string);

/* Writes what is left. False: this or an earlier write failed. */
bool writer_finish(struct writer *writer);

#endif
