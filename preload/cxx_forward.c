/* The forms of new and delete that are defined in terms of others. In a file without these others, so that
 * the compiler can't know which function a call will reach. */
#define _GNU_SOURCE 1

#include "api/verbs.h"
#include "preload/cxx.h"
#include "preload/passive.h"

HM_PUBLIC void *_Znam(size_t size)
{
    return _Znwm(size);
}

HM_PUBLIC void *_ZnamSt11align_val_t(size_t size, size_t alignment)
{
    return _ZnwmSt11align_val_t(size, alignment);
}

extern __typeof__(_Znam) own_array __attribute__((alias("_Znam"), visibility("hidden")));
extern __typeof__(_ZnamSt11align_val_t) own_aligned_array
    __attribute__((alias("_ZnamSt11align_val_t"), visibility("hidden")));

const struct cxx_own cxx_own = {
    .new_plain = cxx_new,
    .new_array = own_array,
    .new_aligned = cxx_new_aligned,
    .new_aligned_array = own_aligned_array,
};

/* The nothrow forms are the throwing ones and a handler that returns NULL, which C can't write: the runtime's
 * own do that, when a form on the way isn't ours, or would throw. */
HM_COLD static void *nothrow_by_runtime(const char *name, size_t size, cxx_nothrow tag)
{
    union cxx_form form = cxx_runtime(name);
    return form.symbol != NULL ? form.new_nothrow(size, tag) : NULL;
}

HM_COLD static void *aligned_nothrow_by_runtime(const char *name, size_t size, size_t alignment,
                                                cxx_nothrow tag)
{
    union cxx_form form = cxx_runtime(name);
    return form.symbol != NULL ? form.new_aligned_nothrow(size, alignment, tag) : NULL;
}

HM_PUBLIC void *_ZnwmRKSt9nothrow_t(size_t size, cxx_nothrow tag)
{
    bool ours = _Znwm == cxx_own.new_plain && !passive_mode();
    void *block = HM_LIKELY(ours) ? verb_malloc(size) : NULL;
    return HM_LIKELY(block != NULL) ? block : nothrow_by_runtime("_ZnwmRKSt9nothrow_t", size, tag);
}

HM_PUBLIC void *_ZnamRKSt9nothrow_t(size_t size, cxx_nothrow tag)
{
    bool ours = _Znam == cxx_own.new_array && _Znwm == cxx_own.new_plain && !passive_mode();
    void *block = HM_LIKELY(ours) ? verb_malloc(size) : NULL;
    return HM_LIKELY(block != NULL) ? block : nothrow_by_runtime("_ZnamRKSt9nothrow_t", size, tag);
}

HM_PUBLIC void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, cxx_nothrow tag)
{
    static const char name[] = "_ZnwmSt11align_val_tRKSt9nothrow_t";
    bool ours = _ZnwmSt11align_val_t == cxx_own.new_aligned && !passive_mode();
    void *block = HM_LIKELY(ours && bits_is_power(alignment)) ? verb_aligned(alignment, size) : NULL;
    return HM_LIKELY(block != NULL) ? block : aligned_nothrow_by_runtime(name, size, alignment, tag);
}

HM_PUBLIC void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, cxx_nothrow tag)
{
    static const char name[] = "_ZnamSt11align_val_tRKSt9nothrow_t";
    bool ours = _ZnamSt11align_val_t == cxx_own.new_aligned_array &&
                _ZnwmSt11align_val_t == cxx_own.new_aligned && !passive_mode();
    void *block = HM_LIKELY(ours && bits_is_power(alignment)) ? verb_aligned(alignment, size) : NULL;
    return HM_LIKELY(block != NULL) ? block : aligned_nothrow_by_runtime(name, size, alignment, tag);
}

HM_PUBLIC void _ZdaPv(void *block)
{
    _ZdlPv(block);
}

HM_PUBLIC void _ZdlPvm(void *block, size_t size)
{
    (void)size;
    _ZdlPv(block);
}

HM_PUBLIC void _ZdaPvm(void *block, size_t size)
{
    (void)size;
    _ZdaPv(block);
}

HM_PUBLIC void _ZdlPvRKSt9nothrow_t(void *block, cxx_nothrow tag)
{
    (void)tag;
    _ZdlPv(block);
}

HM_PUBLIC void _ZdaPvRKSt9nothrow_t(void *block, cxx_nothrow tag)
{
    (void)tag;
    _ZdaPv(block);
}

HM_PUBLIC void _ZdaPvSt11align_val_t(void *block, size_t alignment)
{
    _ZdlPvSt11align_val_t(block, alignment);
}

HM_PUBLIC void _ZdlPvmSt11align_val_t(void *block, size_t size, size_t alignment)
{
    (void)size;
    _ZdlPvSt11align_val_t(block, alignment);
}

HM_PUBLIC void _ZdaPvmSt11align_val_t(void *block, size_t size, size_t alignment)
{
    (void)size;
    _ZdaPvSt11align_val_t(block, alignment);
}

HM_PUBLIC void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *block, size_t alignment, cxx_nothrow tag)
{
    (void)tag;
    _ZdlPvSt11align_val_t(block, alignment);
}

HM_PUBLIC void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *block, size_t alignment, cxx_nothrow tag)
{
    (void)tag;
    _ZdaPvSt11align_val_t(block, alignment);
}
