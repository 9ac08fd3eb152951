/* A configuration file of the program's own. */
#include "dalloc.h"

#include "check.h"

int main(void)
{
    static _Alignas(16) uint8_t memory[4096];
    static uint8_t *data[51];
    CHECK(dalloc_register_heap(memory, sizeof(memory)));
    for (int i = 0; i < 51; i++) {
        def_dalloc(10, (void **)&data[i]);
        CHECK((data[i] != NULL) == (i < 50));
    }
    CHECK(data[1] == memory + 16 && MAX_NUM_OF_ALLOCATIONS == 50);
    memset(data[49], 0xaa, 10);
    def_dfree((void **)&data[49]);
    CHECK(memory[49 * 16] == 0xaa);
    print_def_dalloc_info();
    dump_def_dalloc_ptr_info();
    return 0;
}
