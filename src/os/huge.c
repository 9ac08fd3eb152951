#include <string.h>

#include "os/os.h"

/* The file names all settings; the one in force is in brackets. */
bool os_huge_allowed(void)
{
    char buf[128];
    size_t bytes = os_read("/sys/kernel/mm/transparent_hugepage/enabled", buf, sizeof(buf) - 1);
    buf[bytes] = 0;
    return strstr(buf, "[madvise]") != NULL || strstr(buf, "[always]") != NULL;
}
