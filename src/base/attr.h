/* Compiler attributes and build switches: the only header of macros besides check.h.
 *
 * Every build switch becomes a constant here, so that each branch of the code is compiled in every build. */
#ifndef HM_BASE_ATTR_H
#define HM_BASE_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HM_PUBLIC       __attribute__((visibility("default")))
#define HM_NOINLINE     __attribute__((noinline))
#define HM_COLD         __attribute__((cold, noinline))
#define HM_INLINE       static inline __attribute__((always_inline))
#define HM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define HM_LIKELY(x)    __builtin_expect(!!(x), 1)
#define HM_UNLIKELY(x)  __builtin_expect(!!(x), 0)
#define HM_CACHE_LINE   64

/* Makes the compiler forget what it knows about a value, for no instruction: it then folds an address into each
 * access, or an addition into memory, instead of keeping the sum in a register. */
#define HM_FORGET(value) __asm__("" : "+r"(value))

/* The same for a vector of 16 bytes. */
#if defined(__x86_64__)
#    define HM_FORGET_VECTOR(value) __asm__("" : "+x"(value))
#elif defined(__aarch64__)
#    define HM_FORGET_VECTOR(value) __asm__("" : "+w"(value))
#else
#    define HM_FORGET_VECTOR(value) ((void)0)
#endif

/* The same as HM_FORGET, and keeps the value where functions return it, so that it needn't be moved there. */
#ifdef __x86_64__
#    define HM_TO_RETURN(value) __asm__("" : "+a"(value))
#else
#    define HM_TO_RETURN(value) HM_FORGET(value)
#endif

/* Thread-local state must be reachable without a call and fit the static TLS surplus that dlopen leaves. */
#define HM_TLS _Thread_local __attribute__((tls_model("initial-exec")))

/* Reads that race by design and whose value is checked afterwards. Plain, so that they fold into the
 * instruction that uses them; atomic for TSan. The types may alias anything. */
typedef uintptr_t hm_word __attribute__((may_alias));
#define HM_RACY_WORD(at)                                                                                     \
    (HM_TSAN ? __atomic_load_n((const hm_word *)(uintptr_t)(at), __ATOMIC_RELAXED)                           \
             : *(const hm_word *)(uintptr_t)(at))
#define HM_RACY_BYTE(at)                                                                                     \
    (HM_TSAN ? __atomic_load_n((const uint8_t *)(uintptr_t)(at), __ATOMIC_RELAXED) : *(const uint8_t *)(at))

#ifndef HM_DEBUG
#    define HM_DEBUG 0
#endif

#if defined(__SANITIZE_THREAD__)
#    define HM_TSAN 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define HM_TSAN 1
#    endif
#endif
#ifndef HM_TSAN
#    define HM_TSAN 0
#endif

#endif
