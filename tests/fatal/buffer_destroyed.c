/* A buffer's heap that was destroyed; the buffer is there. */
#include <hmalloc/handle.h>

int main(void)
{
    static char buffer[1024];
    void *variable = NULL;
    hm_heap *heap = hm_movable_create_in(buffer, sizeof buffer, NULL);
    hm_movable_destroy(heap);
    hm_slot_alloc(heap, &variable, 40);
    return 0;
}
