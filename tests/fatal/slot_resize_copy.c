/* A copy of a slot isn't one. */
#include <hmalloc/handle.h>

int main(void)
{
    char *slot = NULL;
    hm_slot_alloc(NULL, &slot, 40);
    char *copy = slot;
    hm_slot_resize(NULL, &copy, 50);
    return 0;
}
