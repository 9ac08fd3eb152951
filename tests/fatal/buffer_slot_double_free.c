/* The slot was freed, and its old contents put back, in a buffer. */
#include <hmalloc/handle.h>

int main(void)
{
    static char buffer[1024];
    hm_heap *heap = hm_movable_create_in(buffer, sizeof(buffer), NULL);
    char *slot = NULL;
    hm_slot_alloc(heap, &slot, 40);
    char *old = slot;
    hm_slot_free(heap, &slot);
    slot = old;
    hm_slot_free(heap, &slot);
    return 0;
}
