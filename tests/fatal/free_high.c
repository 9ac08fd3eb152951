/* An address that the page map has no leaf for. */
#include <hmalloc/hmalloc.h>
#include <stdint.h>

int main(void)
{
    hfree((void *)(UINT64_C(1) << 46));
    return 0;
}
