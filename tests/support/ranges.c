#include "support/ranges.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Index of the first range that ends at or behind `address`. */
static size_t lower_bound(const struct ranges *ranges, uintptr_t address)
{
    size_t low = 0;
    size_t high = ranges->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges->range[middle].end < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Puts `count` ranges in the place of `removed` ones. */
static void splice(struct ranges *ranges, size_t at, size_t removed, const struct range *with, size_t count)
{
    size_t new_count = ranges->count - removed + count;
    if (new_count > ranges->cap) {
        ranges->cap = new_count * 2 + 16;
        ranges->range = realloc(ranges->range, ranges->cap * sizeof(*with));
        if (ranges->range == NULL) {
            perror("ranges");
            abort();
        }
    }
    if (ranges->range == NULL) {
        return;
    }
    memmove(ranges->range + at + count, ranges->range + at + removed,
            (ranges->count - at - removed) * sizeof(*with));
    if (count > 0) {
        memcpy(ranges->range + at, with, count * sizeof(*with));
    }
    ranges->count = new_count;
}

void ranges_add(struct ranges *ranges, uintptr_t start, uintptr_t end)
{
    struct range joined = {start, end};
    size_t at = lower_bound(ranges, start);
    size_t last = at;
    for (; last < ranges->count && ranges->range[last].start <= end; last++) {
        const struct range *old = &ranges->range[last];
        joined.start = old->start < joined.start ? old->start : joined.start;
        joined.end = old->end > joined.end ? old->end : joined.end;
    }
    splice(ranges, at, last - at, &joined, 1);
}

void ranges_cut(struct ranges *ranges, uintptr_t start, uintptr_t end)
{
    struct range rest[2];
    size_t rests = 0;
    size_t at = lower_bound(ranges, start + 1);
    size_t last = at;
    for (; last < ranges->count && ranges->range[last].start < end; last++) {
        const struct range *old = &ranges->range[last];
        if (old->start < start) {
            rest[rests++] = (struct range){old->start, start};
        }
        if (old->end > end) {
            rest[rests++] = (struct range){end, old->end};
        }
    }
    splice(ranges, at, last - at, rest, rests);
}

bool ranges_cover(const struct ranges *ranges, uintptr_t start, uintptr_t end)
{
    size_t at = lower_bound(ranges, end);
    return at < ranges->count && ranges->range[at].start <= start;
}

size_t ranges_bytes(const struct ranges *ranges)
{
    size_t bytes = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        bytes += ranges->range[i].end - ranges->range[i].start;
    }
    return bytes;
}

void ranges_free(struct ranges *ranges)
{
    free(ranges->range);
    *ranges = (struct ranges){.range = NULL};
}
