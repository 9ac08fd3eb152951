/* Blocks by handle: ten thousand texts, most of which are deleted at random; the memory comes back. */
#include <hmalloc/handle.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS 10000

static size_t held(hm_heap *heap)
{
    struct hm_movable_stats stats;
    hm_movable_stats_get(heap, &stats, sizeof stats);
    return stats.held_bytes / 1024;
}

int main(void)
{
    static hm_handle text[TEXTS];
    hm_heap *heap = hm_movable_create(NULL);

    for (int i = 0; i < TEXTS; i++) {
        text[i] = hm_handle_alloc(heap, 1000);
        /* A pin gives the address, and holds the block there. */
        char *at = hm_pin(heap, text[i]);
        if (at == NULL) {
            return 1;
        }
        snprintf(at, 1000, "text %d", i);
        hm_unpin(heap, text[i]);
    }
    size_t full = held(heap);

    for (int i = 0; i < TEXTS; i++) {
        if (rand() % 10 != 0) {
            hm_handle_free(heap, text[i]);
        }
    }
    size_t sparse = held(heap);

    /* In steps of 64 KiB or 100 microseconds; hm_compactor_start has a thread do the same. */
    struct hm_budget step = {.bytes = 64 << 10, .nanoseconds = 100000};
    while (!hm_compact(heap, step).done) {
    }
    printf("full: %zu KiB, a tenth of it: %zu KiB, compacted: %zu KiB\n", full, sparse, held(heap));

    /* Freed blocks are noticed; the others were moved, and still have their names and bytes. In a read section no pin
     * is needed to look at them. */
    int left = 0;
    hm_read_enter(heap);
    for (int i = 0; i < TEXTS; i++) {
        const char *at = hm_deref(heap, text[i]);
        if (at != NULL) {
            left += atoi(at + strlen("text ")) == i;
        }
    }
    hm_read_leave(heap);
    printf("%d texts are left\n", left);

    hm_movable_destroy(heap);
    return left > 0 ? 0 : 1;
}
