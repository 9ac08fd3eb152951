/* A library that opens another one by a bare name, to be found in its own search path. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stddef.h>

void *opener_open(void);

void *opener_open(void)
{
    void *volatile plugin = dlopen("plugin.so", RTLD_NOW | RTLD_DEEPBIND);
    return plugin;
}
