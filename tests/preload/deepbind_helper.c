/* A library whose malloc and free are looked up in its own scope first when it is loaded with RTLD_DEEPBIND.
 */
#include <stdlib.h>
#include <string.h>

void *helper_allocate(size_t size);
void helper_release(void *block);
int helper_work(int rounds);

void *helper_allocate(size_t size)
{
    void *block = malloc(size);
    if (block != NULL)
        memset(block, 0x5a, size);
    return block;
}

void helper_release(void *block)
{
    free(block);
}

int helper_work(int rounds)
{
    for (int i = 1; i <= rounds; i++) {
        char *block = helper_allocate((size_t)i);
        block = realloc(block, (size_t)i * 3);
        if (block == NULL || block[i - 1] != 0x5a)
            return 0;
        helper_release(block);
    }
    return 1;
}
