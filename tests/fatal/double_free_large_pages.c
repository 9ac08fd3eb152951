/* Of a large block whose pages are free: the thread keeps younger ones. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    void *block = hmalloc(500000);
    void *younger = hmalloc(1000000);
    hfree(block);
    hfree(younger);
    hfree(block);
    return 0;
}
