/* A short moment in a loop that waits for another CPU. */
#ifndef HM_BASE_PAUSE_H
#define HM_BASE_PAUSE_H

#include "base/attr.h"

HM_INLINE void cpu_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#endif
