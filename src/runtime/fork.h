/* fork: the child gets a heap that no lock is held in, and nobody deadlocks on the way.
 *
 * fork takes stdio's list lock after the handlers have run; flushing all files takes the list lock and then
 * each file's; reading a line takes a file's lock and then ours. So the handler takes the list lock first (it
 * is recursive), and ours after it. Handlers run in reverse order of registration before the fork: ours,
 * registered at load, comes last, when other handlers have done allocating. */
#ifndef HM_RUNTIME_FORK_H
#define HM_RUNTIME_FORK_H

/* Registers the handlers, once. May allocate. A fork of a process with threads initialises it, if nobody has. */
void fork_init(void);

#endif
