/* Whether the process runs under a Valgrind tool that replaces malloc, such as memcheck: by the library that it preloads. Tools that only
 * watch instructions (callgrind, cachegrind) have none.
 *
 * Callable from any thread before the process is initialised; nothing here allocates. */
#ifndef HM_RUNTIME_VALGRIND_H
#define HM_RUNTIME_VALGRIND_H

#include <stdbool.h>

/* True when a list like LD_PRELOAD's has such a library. */
bool valgrind_in(const char *list);

/* Of this process; false if its environment isn't to be trusted. */
bool valgrind_replaces_malloc(void);

#endif
