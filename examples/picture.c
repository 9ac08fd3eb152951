/* Draws a heap before and after compaction: picture BEFORE.svg AFTER.svg */
#include <hmalloc/handle.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCKS 3000

static bool draw(hm_heap *heap, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    bool drawn = fd >= 0 && hm_movable_dump(heap, fd, HM_DUMP_SVG);
    return fd >= 0 && close(fd) == 0 && drawn;
}

int main(int argc, char **argv)
{
    static hm_handle block[BLOCKS];
    hm_heap *heap = hm_movable_create(&(struct hm_movable_options){.name = "four of five deleted"});
    if (argc != 3) {
        fprintf(stderr, "usage: picture BEFORE.svg AFTER.svg\n");
        return 2;
    }
    for (int i = 0; i < BLOCKS; i++) {
        block[i] = hm_handle_alloc(heap, 100 + (size_t)rand() % 1900);
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (rand() % 5 != 0) {
            hm_handle_free(heap, block[i]);
        } else if (rand() % 200 == 0) {
            hm_pin(heap, block[i]);
        }
    }
    if (!draw(heap, argv[1])) {
        return 1;
    }
    hm_compact(heap, (struct hm_budget){0, 0});
    return draw(heap, argv[2]) ? 0 : 1;
}
