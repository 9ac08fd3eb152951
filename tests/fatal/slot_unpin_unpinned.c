/* A block that has no pin. */
#include <hmalloc/handle.h>

int main(void)
{
    char *slot = NULL;
    hm_slot_alloc(NULL, &slot, 40);
    hm_slot_unpin(NULL, &slot);
    return 0;
}
