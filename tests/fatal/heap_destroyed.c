/* Used after it was destroyed. */
#include <hmalloc/handle.h>

int main(void)
{
    hm_heap *heap = hm_movable_create(NULL);
    hm_movable_destroy(heap);
    hm_movable_reset(heap);
    return 0;
}
