/* Of a block that realloc has moved. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    char *block = hmalloc(100);
    char *behind = hmalloc(100);
    hrealloc(block, 5000);
    hfree(behind);
    hfree(block);
    return 0;
}
