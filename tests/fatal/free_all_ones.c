/* MAP_FAILED, as it comes from a mapping that nobody checked. */
#include <hmalloc/hmalloc.h>
#include <stdint.h>

int main(void)
{
    hfree((void *)UINTPTR_MAX);
    return 0;
}
