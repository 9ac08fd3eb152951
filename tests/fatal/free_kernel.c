/* An address of the kernel. */
#include <hmalloc/hmalloc.h>
#include <stdint.h>

int main(void)
{
    hfree((void *)UINT64_C(0xffffffff81000000));
    return 0;
}
