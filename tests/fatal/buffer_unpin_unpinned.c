/* One unpin more than there were pins, in a buffer. */
#include <hmalloc/handle.h>

int main(void)
{
    static char buffer[1024];
    hm_heap *heap = hm_movable_create_in(buffer, sizeof(buffer), NULL);
    hm_handle handle = hm_handle_alloc(heap, 40);
    hm_pin(heap, handle);
    hm_unpin(heap, handle);
    hm_unpin(heap, handle);
    return 0;
}
