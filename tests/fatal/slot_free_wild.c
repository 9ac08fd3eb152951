/* A variable with an address from elsewhere. */
#include <hmalloc/handle.h>

int main(void)
{
    char *slot = (char *)&slot;
    hm_slot_free(NULL, &slot);
    return 0;
}
