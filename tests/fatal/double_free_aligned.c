/* Of an aligned block. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *block = haligned_alloc(4096, 100);
    hfree(block);
    hfree(block);
    return 0;
}
