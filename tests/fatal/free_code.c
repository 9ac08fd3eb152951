/* A function. */
#include <hmalloc/hmalloc.h>
#include <stdint.h>

int main(void);

int main(void)
{
    hfree((void *)(uintptr_t)&main);
    return 0;
}
