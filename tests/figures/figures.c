#include "figures/figures.h"

#include <fcntl.h>
#include <unistd.h>

size_t figures_rollup(const char *key)
{
    static char text[4096];
    size_t used = 0;
    ssize_t got;
    int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        exit(2);
    while (used < sizeof text - 1 && (got = read(file, text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)got;
    close(file);
    text[used] = '\0';
    const char *line = strstr(text, key);
    if (line == NULL)
        exit(2);
    return strtoul(line + strlen(key), NULL, 10) * 1024;
}
