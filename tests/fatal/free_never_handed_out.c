/* Memory of a chunk that was in no block yet. */
#include <hmalloc/hmalloc.h>
#include <stdint.h>

int main(void)
{
    char *block = hmalloc(10);
    hfree((void *)(((uintptr_t)block & ~UINT64_C(65535)) + 60000));
    return 0;
}
