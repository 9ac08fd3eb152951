/* No address at all. */
#include <hmalloc/hmalloc.h>
#include <stdint.h>

int main(void)
{
    hfree(hmalloc(10));
    hfree((void *)UINT64_C(0x4141414141414141));
    return 0;
}
