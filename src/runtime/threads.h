/* Thread exit: gives the heaps of ending threads back.
 *
 * A thread's end has phases: destructors of thread_local objects; up to four rounds of destructors of
 * thread-specific values, ours among them; then libc frees what it kept for the thread. All of them may
 * allocate and free. So our hook detaches the heap in the first round, and from then on a call that needs a
 * heap has one for as long as it takes (`one_call`). A thread that goes on making many calls gets a lasting
 * one again as long as another round must come. Freeing needs no heap at all. */
#ifndef HM_RUNTIME_THREADS_H
#define HM_RUNTIME_THREADS_H

#include "base/attr.h"

/* Creates the thread-specific key. */
void threads_init(void);

/* Sees to it that the exit hook runs when the calling thread ends. False: it won't, or has begun to. Keeps errno. */
bool threads_watch(void);

#endif
