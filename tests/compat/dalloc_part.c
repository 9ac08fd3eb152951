#include "dalloc.h"

heap_t *other_part(void);

heap_t *other_part(void)
{
    return dalloc_get_default_heap();
}
