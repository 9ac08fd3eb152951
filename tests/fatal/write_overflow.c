/* Over the end of a block into the record of the hole behind it. */
#include <hmalloc/hmalloc.h>

/* The compiler may take a plain write for dead. */
static void scribble(volatile char *at, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        at[i] = 0x41;
    }
}

int main(void)
{
    /* The sanitizers would notice a pointer whose object they know. */
    char *volatile block = hmalloc(16384);
    scribble(block, 16384 + 1);
    hmalloc(9000);
    return 0;
}
