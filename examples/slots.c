/* Blocks by slot, in a buffer: 7 KiB are free in pieces, and 4 KiB can be had. No other memory is used. */
#include <hmalloc/handle.h>

#include <stdio.h>
#include <string.h>

#define PIECES 14

int main(void)
{
    static char buffer[16 << 10];
    char *piece[PIECES] = {NULL};
    char *large = NULL;
    hm_heap *heap = hm_movable_create_in(buffer, sizeof buffer, NULL);

    /* The heap keeps these variables right when it moves their blocks. */
    if (!hm_slot_alloc_array(heap, piece, PIECES, 1024)) {
        return 1;
    }
    for (int i = 0; i < PIECES; i++) {
        snprintf(piece[i], 1024, "piece %d", i);
    }
    for (int i = 0; i < PIECES; i += 2) {
        hm_slot_free(heap, &piece[i]);
    }

    struct hm_movable_stats stats;
    hm_movable_stats_get(heap, &stats, sizeof stats);
    printf("free: %zu bytes, the largest piece: %zu\n", stats.free_bytes + stats.largest_free,
           stats.largest_free);

    char *before = piece[PIECES - 1];
    if (!hm_slot_alloc(heap, &large, 4096)) {
        return 1;
    }
    printf("4096 bytes at offset %td; \"%s\" went from %td to %td\n", large - buffer, piece[PIECES - 1],
           before - buffer, piece[PIECES - 1] - buffer);

    /* A block can be handed over to another variable. */
    char *last = NULL;
    hm_slot_move(heap, &piece[PIECES - 1], &last);
    printf("last: \"%s\", its old variable: %p\n", last, (void *)piece[PIECES - 1]);

    hm_movable_destroy(heap);
    return 0;
}
