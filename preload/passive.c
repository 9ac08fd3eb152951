#define _GNU_SOURCE 1

#include "preload/passive.h"

#include <dlfcn.h>

#include "runtime/valgrind.h"

/* glibc's allocator under names that nobody interposes. */
extern void *__libc_malloc(size_t size) __attribute__((weak));
extern void __libc_free(void *block) __attribute__((weak));
extern void *__libc_calloc(size_t count, size_t size) __attribute__((weak));
extern void *__libc_realloc(void *block, size_t size) __attribute__((weak));
extern void *__libc_memalign(size_t alignment, size_t size) __attribute__((weak));

void *passive_symbol(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static size_t next_usable(const void *block)
{
    union {
        void *symbol;
        size_t (*usable)(const void *);
    } next = {.symbol = passive_symbol("malloc_usable_size")};
    return next.usable != NULL ? next.usable(block) : 0;
}

static int next_trim(size_t keep)
{
    union {
        void *symbol;
        int (*trim)(size_t);
    } next = {.symbol = passive_symbol("malloc_trim")};
    return next.trim != NULL ? next.trim(keep) : 0;
}

static struct process_other other;

bool process_choose_early(void)
{
    return valgrind_replaces_malloc();
}

/* Filled here because the addresses of weak functions are known only after relocation. */
const struct process_other *process_choose(void)
{
    bool possible = __libc_malloc != NULL && __libc_free != NULL && __libc_calloc != NULL &&
                    __libc_realloc != NULL && __libc_memalign != NULL;
    if (!possible || !(executable_has_malloc() || valgrind_replaces_malloc())) {
        return NULL;
    }
    other.malloc = __libc_malloc;
    other.free = __libc_free;
    other.calloc = __libc_calloc;
    other.realloc = __libc_realloc;
    other.memalign = __libc_memalign;
    other.usable = next_usable;
    other.trim = next_trim;
    return &other;
}
