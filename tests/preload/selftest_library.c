/* A preload library that allocates nothing and reports what its environment asks for, to test the runner with. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The path that HMALLOC_CONF gives for statistics, with %p as the process id. */
static int open_report(void)
{
    char path[4096];
    const char *conf = getenv("HMALLOC_CONF");
    const char *file = conf == NULL ? NULL : strstr(conf, "stats_file:");
    if (file == NULL)
        return -1;
    file += strlen("stats_file:");
    const char *place = strstr(file, "%p");
    if (place == NULL)
        return -1;
    snprintf(path, sizeof path, "%.*s%d", (int)(place - file), file, (int)getpid());
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

__attribute__((destructor)) static void report(void)
{
    const char *mode = getenv("SELFTEST_MODE"), *blocks = getenv("SELFTEST_BLOCKS");
    if (mode != NULL && strcmp(mode, "silent") == 0)
        return;
    int file = open_report();
    if (file < 0)
        return;
    dprintf(file, "hmalloc 0 statistics\nmode: %s\nblocks served: %s\n", mode == NULL ? "active" : mode,
            blocks == NULL ? "1000000000" : blocks);
    close(file);
}
