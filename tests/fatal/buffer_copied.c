/* A copy of a buffer is no heap: what is in it has addresses. */
#include <hmalloc/handle.h>
#include <stdalign.h>
#include <string.h>

int main(void)
{
    static alignas(8) char buffer[2][1024];
    hm_movable_create_in(buffer[0], sizeof buffer[0], NULL);
    memcpy(buffer[1], buffer[0], sizeof buffer[0]);
    hm_movable_verify((hm_heap *)(void *)buffer[1]);
    return 0;
}
