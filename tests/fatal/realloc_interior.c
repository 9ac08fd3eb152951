/* Inside a block. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    char *block = hmalloc(100);
    hrealloc(block + 16, 200);
    return 0;
}
