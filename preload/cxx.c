#define _GNU_SOURCE 1

#include "preload/cxx.h"

#include <dlfcn.h>
#include <errno.h>

#include "api/verbs.h"
#include "base/check.h"
#include "preload/passive.h"

/* A runtime that came in as a plugin's dependency isn't in the global scope, where RTLD_NEXT looks. */
union cxx_form cxx_runtime(const char *name)
{
    static const char *const libraries[] = {"libstdc++.so.6", "libc++abi.so.1", "libc++.so.1"};
    union cxx_form form = {.symbol = dlsym(RTLD_NEXT, name)};
    for (size_t i = 0; form.symbol == NULL && i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library != NULL) {
            form.symbol = dlsym(library, name);
        }
    }
    return form;
}

_Noreturn HM_COLD static void no_runtime(size_t size)
{
    panic("out of memory in operator new (%zu bytes), and no C++ runtime to throw std::bad_alloc", size);
}

HM_COLD static void *new_by_runtime(size_t size)
{
    union cxx_form form = cxx_runtime("_Znwm");
    if (form.symbol == NULL || form.new_plain == cxx_new) {
        no_runtime(size);
    }
    return form.new_plain(size);
}

HM_COLD static void *new_aligned_by_runtime(size_t size, size_t alignment)
{
    union cxx_form form = cxx_runtime("_ZnwmSt11align_val_t");
    if (form.symbol == NULL || form.new_aligned == cxx_new_aligned) {
        no_runtime(size);
    }
    return form.new_aligned(size, alignment);
}

HM_NOINLINE static void *new_general(size_t size)
{
    void *block = passive_mode() ? NULL : general_malloc(size);
    return HM_LIKELY(block != NULL) ? block : new_by_runtime(size);
}

HM_NOINLINE static void delete_general(void *block)
{
    if (HM_LIKELY(!passive_mode())) {
        general_free(block);
        return;
    }
    union cxx_form form = cxx_runtime("_ZdlPv");
    if (form.symbol != NULL) {
        form.delete_plain(block);
    } else {
        process_other->free(block);
    }
}

HM_PUBLIC void *_Znwm(size_t size)
{
    void *block = fast_alloc(process_heap, size);
    return HM_LIKELY(block != NULL) ? block : new_general(size);
}

HM_PUBLIC void _ZdlPv(void *block)
{
    if (HM_UNLIKELY(!fast_free(&process_core, process_heap, block))) {
        delete_general(block);
    }
}

HM_PUBLIC void *_ZnwmSt11align_val_t(size_t size, size_t alignment)
{
    void *block = NULL;
    if (HM_LIKELY(!passive_mode() && bits_is_power(alignment))) {
        block = verb_aligned(alignment, size);
    }
    return HM_LIKELY(block != NULL) ? block : new_aligned_by_runtime(size, alignment);
}

HM_PUBLIC void _ZdlPvSt11align_val_t(void *block, size_t alignment)
{
    if (HM_LIKELY(!passive_mode())) {
        verb_free(block);
        return;
    }
    union cxx_form form = cxx_runtime("_ZdlPvSt11align_val_t");
    if (form.symbol != NULL) {
        form.delete_aligned(block, alignment);
    } else {
        process_other->free(block);
    }
}

extern __typeof__(_Znwm) cxx_new __attribute__((alias("_Znwm"), visibility("hidden")));
extern __typeof__(_ZnwmSt11align_val_t) cxx_new_aligned
    __attribute__((alias("_ZnwmSt11align_val_t"), visibility("hidden")));
