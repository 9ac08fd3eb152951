/* The process's movable heaps: their list and numbers, the default heap, and the read sections of its threads.
 *
 * Numbers: 1 to 1023, each living heap's own, taken in turn, so that one comes back as late as possible: handles of a heap that is gone
 * are told from those of the next 1022. The list's lock (LOCK_RANK_MOVABLE_LIST) comes before all other locks, and is held
 * around fork with those of all heaps. Whoever is passive (process.h) has a core for these heaps alone.
 *
 * Read sections: one instance for all heaps that grow, one record a thread, given back when the thread ends. Threads that can't
 * have one, or that are past their end, are counted instead (readers.h). */
#ifndef HM_RUNTIME_MOVABLES_H
#define HM_RUNTIME_MOVABLES_H

#include "movable/heap.h"
#include "movable/readers.h"

extern struct readers movables_readers;

/* New heaps with valid options (api/movable.c), in the list. NULL: no memory, or 1023 heaps live. */
struct hm_heap *movables_create(const struct hm_movable_options *options);
struct hm_heap *movables_create_in(void *buffer, size_t bytes, const struct hm_movable_options *options);

/* What the first heap does, for heaps that nobody has to know of (buffer_create_outside): compactors can be started after it. */
void movables_prepare(void);

/* Stops the heap's compactor and destroys it. A heap that isn't in the list keeps its number, which others have, too. If it was the default heap, there is none now. */
void movables_destroy(struct hm_heap *heap);

/* The default heap: the chosen one, else one of the process's own, which is made when it is first asked for. NULL: no memory. */
struct hm_heap *movables_default(void);

/* NULL: the process's own again. */
void movables_choose(struct hm_heap *heap);

/* Calls `act` for each heap, with the list's lock held. */
void movables_each(void (*act)(struct hm_heap *heap, void *context), void *context);

/* The calling thread's record, made if it has none; NULL: it can't have one. Keeps errno. */
struct reader *movables_own_reader(void);

/* Gives the calling thread's record back, unless it is in a section and this isn't its last chance. False: it is. */
bool movables_thread_end(bool last);

/* Around fork; the core's locks are taken after these and released before. */
void movables_fork_prepare(void);
void movables_fork_parent(void);
void movables_fork_child(void);

#endif
