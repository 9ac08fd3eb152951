/* The movable heap that both of its backends keep their entries in. */
#ifndef HM_BENCH_KVSTORE_MOVABLE_H
#define HM_BENCH_KVSTORE_MOVABLE_H

#include <hmalloc/handle.h>

extern hm_heap *movable_heap;

/* Makes it, with a thread that compacts it. */
void movable_start(unsigned flags);
void movable_stop(void);

/* The end of what a read began. */
void movable_done(void);

/* What was moved, and what the heap's own data takes. */
void movable_report(void);

/* Ends the program: the heap contradicts what the index says. */
_Noreturn void movable_fail(const char *what);

#endif
