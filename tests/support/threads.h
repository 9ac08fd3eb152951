/* The threads of the process as the kernel sees them.
 *
 * A sanitizer takes locks of its own in a thread that starts or names itself, and doesn't reset them in a child: who forks
 * at that moment has a child that hangs. So tests wait for the threads that they started, by one of these two, before they fork. */
#ifndef HM_TESTS_SUPPORT_THREADS_H
#define HM_TESTS_SUPPORT_THREADS_H

#include <stdatomic.h>
#include <stdbool.h>

/* The threads that have the name. */
int threads_named(const char *name);

/* Waits until so many threads of the name sleep: a compactor's thread, which can't be asked, has started by then. False: they
 * don't within 20 seconds. */
bool threads_asleep(const char *name, int count);

/* Waits until as many threads of the test's own have counted themselves in `running`. */
void threads_run(const atomic_int *running, int count);

#endif
