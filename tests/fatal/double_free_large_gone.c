/* Of a large block whose pages were given back. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *block = hmalloc(500000);
    hfree(block);
    hmalloc_trim(0);
    hfree(block);
    return 0;
}
