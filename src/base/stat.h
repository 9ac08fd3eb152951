/* Counters written by one thread at a time (or under a lock) and read by reports at any moment. */
#ifndef HM_BASE_STAT_H
#define HM_BASE_STAT_H

#include "base/attr.h"

HM_INLINE size_t stat_get(const size_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

HM_INLINE void stat_add(size_t *counter, size_t amount)
{
    __atomic_store_n(counter, stat_get(counter) + amount, __ATOMIC_RELAXED);
}

#endif
