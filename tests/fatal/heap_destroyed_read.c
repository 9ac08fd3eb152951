/* A read section in a heap that was destroyed. */
#include <hmalloc/handle.h>

int main(void)
{
    hm_heap *heap = hm_movable_create(NULL);
    hm_movable_destroy(heap);
    hm_read_enter(heap);
    return 0;
}
