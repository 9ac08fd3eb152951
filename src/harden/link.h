/* Words that lie in free memory, where a stray write of the program can reach them: encoded and sealed.
 *
 * A link is stored XORed with a secret; a record of links carries a seal over all its words, its address and
 * the secret, so that any change is noticed before a word of it is used. Not cryptography: it stops accidents
 * and blind overwrites. */
#ifndef HM_HARDEN_LINK_H
#define HM_HARDEN_LINK_H

#include "base/attr.h"

HM_INLINE uint64_t link_encode(uint64_t secret, const void *target)
{
    return (uint64_t)(uintptr_t)target ^ secret;
}

HM_INLINE void *link_decode(uint64_t secret, uint64_t word)
{
    return (void *)(uintptr_t)(word ^ secret);
}

/* Seal over three words of a record at `at`. */
HM_INLINE uint64_t link_seal(uint64_t secret, const void *at, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t x = (a ^ secret) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 32;
    x ^= (b + (uint64_t)(uintptr_t)at) * UINT64_C(0xc2b2ae3d27d4eb4f);
    x ^= (x >> 29) + c * UINT64_C(0x165667b19e3779f9);
    return x ^ (x >> 32);
}

#endif
