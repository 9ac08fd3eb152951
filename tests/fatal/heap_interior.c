/* An address inside of a heap. */
#include <hmalloc/handle.h>

int main(void)
{
    hm_heap *heap = hm_movable_create(NULL);
    void *variable;
    hm_slot_alloc((hm_heap *)(void *)((char *)heap + 1), &variable, 40);
    return 0;
}
