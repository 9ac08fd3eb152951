/* dlopen, for the sake of RTLD_DEEPBIND: a library opened so looks for malloc and free in libc before it looks
 * here, and its blocks and the program's meet in each other's free (PHP's extensions die of it). What such
 * libraries lose without the flag is that their own symbols come before the program's. */
#define _GNU_SOURCE 1

#include <dlfcn.h>

#include "preload/passive.h"

#ifdef RTLD_DEEPBIND
/* The last call is a jump (in optimised builds): the dynamic linker takes the caller's search paths and
 * namespace from the address that it returns to. */
HM_PUBLIC void *dlopen(const char *path, int mode)
{
    static void *_Atomic found;
    union {
        void *symbol;
        void *(*dlopen)(const char *path, int mode);
    } next = {.symbol = atomic_load_explicit(&found, memory_order_relaxed)};
    if (HM_UNLIKELY(next.symbol == NULL)) {
        next.symbol = passive_symbol("dlopen");
        atomic_store_explicit(&found, next.symbol, memory_order_relaxed);
    }
    if (next.symbol == NULL) {
        return NULL;
    }
    return next.dlopen(path, passive_mode() ? mode : mode & ~RTLD_DEEPBIND);
}
#endif
