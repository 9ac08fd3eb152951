/* Into the record of a hole. */
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
    char *blocks[400];
    for (int i = 0; i < 400; i++) {
        blocks[i] = hmalloc(100);
    }
    for (int i = 0; i < 399; i++) {
        hfree(blocks[i]);
    }
    hmalloc_trim(0);
    /* When the rest of the chunk is used up, what was freed is swept into a hole. */
    for (int i = 0; i < 20; i++) {
        hmalloc(2000);
    }
    for (int i = 0; i < 399; i++) {
        scribble(blocks[i], 100);
    }
    hmalloc(3000);
    return 0;
}
