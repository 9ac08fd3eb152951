/* C++'s operators by their mangled names, in C: the library needs no C++ runtime.
 *
 * The standard defines most forms in terms of another one, which a program may replace alone: new[] calls
 * new, a sized delete calls the unsized one. So those calls go through the dynamic symbol (cxx_forward.c), as
 * they do in every C++ runtime. Only the four forms at the root (cxx.c) are served here.
 *
 * On exhaustion the form of the same name in the program's C++ runtime takes over: it asks us again, calls
 * the new_handler, and throws. It is looked for when it is needed, because it may be loaded later than we
 * are. */
#ifndef HM_PRELOAD_CXX_H
#define HM_PRELOAD_CXX_H

#include "base/attr.h"

/* std::nothrow_t is an empty class, passed by reference; std::align_val_t is a size_t. */
typedef const void *cxx_nothrow;

HM_PUBLIC void *_Znwm(size_t size);
HM_PUBLIC void *_ZnwmSt11align_val_t(size_t size, size_t alignment);
HM_PUBLIC void _ZdlPv(void *block);
HM_PUBLIC void _ZdlPvSt11align_val_t(void *block, size_t alignment);

HM_PUBLIC void *_Znam(size_t size);
HM_PUBLIC void *_ZnamSt11align_val_t(size_t size, size_t alignment);
HM_PUBLIC void *_ZnwmRKSt9nothrow_t(size_t size, cxx_nothrow tag);
HM_PUBLIC void *_ZnamRKSt9nothrow_t(size_t size, cxx_nothrow tag);
HM_PUBLIC void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, cxx_nothrow tag);
HM_PUBLIC void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, cxx_nothrow tag);

HM_PUBLIC void _ZdaPv(void *block);
HM_PUBLIC void _ZdlPvm(void *block, size_t size);
HM_PUBLIC void _ZdaPvm(void *block, size_t size);
HM_PUBLIC void _ZdlPvRKSt9nothrow_t(void *block, cxx_nothrow tag);
HM_PUBLIC void _ZdaPvRKSt9nothrow_t(void *block, cxx_nothrow tag);
HM_PUBLIC void _ZdaPvSt11align_val_t(void *block, size_t alignment);
HM_PUBLIC void _ZdlPvmSt11align_val_t(void *block, size_t size, size_t alignment);
HM_PUBLIC void _ZdaPvmSt11align_val_t(void *block, size_t size, size_t alignment);
HM_PUBLIC void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *block, size_t alignment, cxx_nothrow tag);
HM_PUBLIC void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *block, size_t alignment, cxx_nothrow tag);

/* Our own forms, whatever the dynamic symbols lead to. Read from memory, because a compiler may take two
 * functions of different names for different. */
struct cxx_own {
    void *(*new_plain)(size_t size);
    void *(*new_array)(size_t size);
    void *(*new_aligned)(size_t size, size_t alignment);
    void *(*new_aligned_array)(size_t size, size_t alignment);
};
extern const struct cxx_own cxx_own;

/* The root forms of it. */
void *cxx_new(size_t size);
void *cxx_new_aligned(size_t size, size_t alignment);

/* A form in the program's C++ runtime; NULL if there is no runtime. May allocate. */
union cxx_form {
    void *symbol;
    void *(*new_plain)(size_t size);
    void *(*new_aligned)(size_t size, size_t alignment);
    void *(*new_nothrow)(size_t size, cxx_nothrow tag);
    void *(*new_aligned_nothrow)(size_t size, size_t alignment, cxx_nothrow tag);
    void (*delete_plain)(void *block);
    void (*delete_aligned)(void *block, size_t alignment);
};
union cxx_form cxx_runtime(const char *name);

#endif
