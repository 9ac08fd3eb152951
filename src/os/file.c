#define _GNU_SOURCE 1

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"

/* open, read and close are cancellation points: these aren't. */
size_t os_read(const char *path, char *buf, size_t cap)
{
    int saved = errno;
    long got = -1;
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        do {
            got = syscall(SYS_read, fd, buf, cap);
        } while (got < 0 && errno == EINTR);
        syscall(SYS_close, fd);
    }
    errno = saved;
    return got > 0 ? (size_t)got : 0;
}
