/* Destroyed twice in a row. */
#include <hmalloc/handle.h>

int main(void)
{
    hm_heap *heap = hm_movable_create(NULL);
    hm_movable_destroy(heap);
    hm_movable_destroy(heap);
    return 0;
}
