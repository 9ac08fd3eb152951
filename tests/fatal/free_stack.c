/* A variable. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    char buffer[64];
    hfree(buffer);
    return 0;
}
