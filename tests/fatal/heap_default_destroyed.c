/* What was destroyed can't be the default heap. */
#include <hmalloc/handle.h>

int main(void)
{
    hm_heap *heap = hm_movable_create(NULL);
    hm_movable_destroy(heap);
    hm_movable_set_default(heap);
    return 0;
}
