/* A static variable. */
#include <hmalloc/hmalloc.h>

int main(void)
{
    static char buffer[64];
    hfree(hmalloc(10));
    hfree(buffer);
    return 0;
}
