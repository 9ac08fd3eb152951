/* The handle is of another buffer. */
#include <hmalloc/handle.h>

int main(void)
{
    static char buffer[2][1024];
    hm_heap *heap = hm_movable_create_in(buffer[0], sizeof(buffer[0]), NULL);
    hm_heap *other = hm_movable_create_in(buffer[1], sizeof(buffer[1]), NULL);
    hm_handle_alloc(heap, 40);
    hm_handle_free(heap, hm_handle_alloc(other, 40));
    return 0;
}
