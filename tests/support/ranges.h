/* A sorted set of address ranges that don't touch each other: what a fake OS has mapped. Not thread safe. */
#ifndef HM_TESTS_SUPPORT_RANGES_H
#define HM_TESTS_SUPPORT_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
    uintptr_t start;
    uintptr_t end;
};

/* Zero-initialised is empty. */
struct ranges {
    struct range *range;
    size_t count;
    size_t cap;
};

/* Joins with ranges that it touches or overlaps. */
void ranges_add(struct ranges *ranges, uintptr_t start, uintptr_t end);

/* Cuts [start, end) out of whatever ranges it overlaps. */
void ranges_cut(struct ranges *ranges, uintptr_t start, uintptr_t end);

/* True when every byte of [start, end) is in the set. */
bool ranges_cover(const struct ranges *ranges, uintptr_t start, uintptr_t end);

/* Sum of the lengths. */
size_t ranges_bytes(const struct ranges *ranges);

void ranges_free(struct ranges *ranges);

#endif
