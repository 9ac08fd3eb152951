/* The statistics report, as text for people and as JSON for programs: every figure that any layer counts, named as in the code.
 *
 * The text begins with the lines "hmalloc VERSION statistics", "mode: active", "process: PID" and "blocks served: N"; the JSON is one object on one
 * line, with the members version, mode, pid, stats (struct hm_stats), pages (PAGEHEAP_STATS), heaps (all thread heaps together),
 * classes and thread_heaps. */
#ifndef HM_OBSERVE_REPORT_H
#define HM_OBSERVE_REPORT_H

#include "heap/core.h"

/* Allocates nothing and holds no lock while it writes. False with errno when writing fails; what was written is a prefix then. */
bool observe_write(struct core *core, int fd, bool json);

#endif
