/* A handle of another heap, whose entry would lie behind this heap's table. */
#include <hmalloc/handle.h>

int main(void)
{
    static char buffer[1024];
    hm_heap *small = hm_movable_create_in(buffer, sizeof buffer, NULL);
    hm_handle block = 0;
    for (int i = 0; i < 100000; i++) {
        block = hm_handle_alloc(NULL, 1);
    }
    hm_unpin(small, block);
    return 0;
}
