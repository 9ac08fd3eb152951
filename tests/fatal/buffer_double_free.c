/* By handle, in a buffer: the entry is kept, although its block is gone. */
#include <hmalloc/handle.h>

int main(void)
{
    static char buffer[1024];
    hm_heap *heap = hm_movable_create_in(buffer, sizeof(buffer), NULL);
    hm_handle handle = hm_handle_alloc(heap, 40);
    hm_handle_free(heap, handle);
    hm_handle_free(heap, handle);
    return 0;
}
