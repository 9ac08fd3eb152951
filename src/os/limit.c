#include <errno.h>
#include <stdint.h>
#include <sys/resource.h>

#include "os/os.h"

size_t os_address_limit(void)
{
    struct rlimit limit;
    int saved = errno;
    bool known = getrlimit(RLIMIT_AS, &limit) == 0;
    errno = saved;
    return known && limit.rlim_cur != RLIM_INFINITY ? (size_t)limit.rlim_cur : SIZE_MAX;
}
