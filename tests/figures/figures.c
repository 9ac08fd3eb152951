#include "figures/figures.h"

#include <fcntl.h>
#include <unistd.h>

static void read_text(const char *path, char *text, size_t bytes)
{
    size_t used = 0;
    ssize_t got;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        exit(2);
    while (used < bytes - 1 && (got = read(file, text + used, bytes - 1 - used)) > 0)
        used += (size_t)got;
    close(file);
    text[used] = '\0';
}

size_t figures_rollup(const char *key)
{
    static char text[4096];
    read_text("/proc/self/smaps_rollup", text, sizeof text);
    const char *line = strstr(text, key);
    if (line == NULL)
        exit(2);
    return strtoul(line + strlen(key), NULL, 10) * 1024;
}

/* In a mapping's paragraph the first line is the only one that has a path. */
size_t figures_resident(const char *file)
{
    static char text[1 << 17];
    size_t sum = 0;
    read_text("/proc/self/smaps", text, sizeof text);
    for (const char *at = text; (at = strstr(at, file)) != NULL;) {
        at = strstr(at, "\nRss:");
        if (at == NULL)
            exit(2);
        sum += strtoul(at + strlen("\nRss:"), NULL, 10) * 1024;
    }
    return sum;
}
