/* Inside the last page of a large block, which the page map knows. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    char *block = hmalloc(500000);
    hfree(block + 499984);
    return 0;
}
