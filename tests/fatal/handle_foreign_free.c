/* A handle of another heap. */
#include <hmalloc/handle.h>

int main(void)
{
    hm_heap *heap = hm_movable_create(NULL);
    hm_handle_alloc(NULL, 40);
    hm_handle_free(NULL, hm_handle_alloc(heap, 40));
    return 0;
}
