/* Says what is wrong with a pointer, and ends the process. */
#ifndef HM_HEAP_DIAGNOSE_H
#define HM_HEAP_DIAGNOSE_H

#include "heap/core.h"

/* `block` was given to `verb` ("free", "realloc", "malloc_usable_size") and isn't a block with the user. */
_Noreturn HM_COLD void diagnose(struct core *core, const void *block, const char *verb);

/* A block was freed twice at the same moment, by its owner and by another thread: neither saw the other, but the map
 * shows it afterwards. */
_Noreturn HM_COLD void diagnose_race(const void *block);

#endif
