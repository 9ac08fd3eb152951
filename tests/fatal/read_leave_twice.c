/* A read section that is left twice. */
#include <hmalloc/handle.h>

int main(void)
{
    hm_read_enter(NULL);
    hm_read_leave(NULL);
    hm_read_leave(NULL);
    return 0;
}
