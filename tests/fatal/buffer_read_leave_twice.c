/* A read section that is left twice, of a heap in a buffer. */
#include <hmalloc/handle.h>

int main(void)
{
    static char buffer[1024];
    hm_heap *heap =
        hm_movable_create_in(buffer, sizeof buffer, &(struct hm_movable_options){.name = "small"});
    hm_read_enter(heap);
    hm_read_leave(heap);
    hm_read_leave(heap);
    return 0;
}
