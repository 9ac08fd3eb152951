/* Of a large block whose pages are free. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *block = hmalloc(500000);
    hfree(block);
    hfree(block);
    return 0;
}
