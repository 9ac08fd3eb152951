/* A pin in a heap that was destroyed. */
#include <hmalloc/handle.h>

int main(void)
{
    hm_heap *heap = hm_movable_create(NULL);
    hm_handle block = hm_handle_alloc(heap, 40);
    hm_movable_destroy(heap);
    hm_pin(heap, block);
    return 0;
}
