/* The statistics report: on request, and at exit as HMALLOC_CONF says (stats, stats_file).
 *
 * A file is opened when the report is due, in append mode, so that processes which share a name follow one
 * another in it. Forked children that exit normally report as well, each under its own process id. */
#ifndef HM_RUNTIME_REPORT_H
#define HM_RUNTIME_REPORT_H

#include "base/attr.h"

/* Writes the report of this process; of a passive one, that it is passive. False with errno when writing
 * fails. */
bool report_write(int fd, bool json);

/* What stats_file means in the process `pid`: %p is the id, %% a percent sign. False: it doesn't fit. */
bool report_path(const char *pattern, int pid, char *buf, size_t cap);

/* Does what is due at exit. */
void report_at_exit(void);

#endif
