#include "runtime/valgrind.h"

#include <stddef.h>

#include "base/text.h"
#include "runtime/environment.h"

#define LIST_BYTES 4096

bool valgrind_in(const char *list)
{
    static const char prefix[] = "vgpreload_";
    for (; *list != 0; list++) {
        if (text_begins(list, prefix) && !text_begins(list + sizeof(prefix) - 1, "core")) {
            return true;
        }
    }
    return false;
}

bool valgrind_replaces_malloc(void)
{
    char buf[LIST_BYTES];
    const char *list = environment_untrusted() ? NULL : environment_get("LD_PRELOAD", buf, sizeof(buf));
    return list != NULL && valgrind_in(list);
}
