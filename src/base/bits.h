/* Powers of two, logarithms and checked arithmetic on sizes. */
#ifndef HM_BASE_BITS_H
#define HM_BASE_BITS_H

#include "base/attr.h"

HM_INLINE bool bits_is_power(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* floor(log2(n)); n != 0. */
HM_INLINE unsigned bits_log2(uint64_t n)
{
    return 63u - (unsigned)__builtin_clzll(n);
}

/* Index of the lowest set bit; n != 0. */
HM_INLINE unsigned bits_lowest(uint64_t n)
{
    return (unsigned)__builtin_ctzll(n);
}

/* `align` is a power of two. The result wraps to 0 when n is within align - 1 of SIZE_MAX. */
HM_INLINE size_t bits_align_up(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

HM_INLINE size_t bits_align_down(size_t n, size_t align)
{
    return n & ~(align - 1);
}

/* True and *result = a + b (or a * b) when it fits a size_t. */
HM_INLINE bool bits_add(size_t a, size_t b, size_t *result)
{
    return !__builtin_add_overflow(a, b, result);
}

HM_INLINE bool bits_mul(size_t a, size_t b, size_t *result)
{
    return !__builtin_mul_overflow(a, b, result);
}

#endif
