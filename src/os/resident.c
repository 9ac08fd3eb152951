#define _GNU_SOURCE 1

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"

/* open, read and close are cancellation points: these aren't. */
static size_t read_statm(char *buf, size_t cap)
{
    long fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    long got;
    do {
        got = syscall(SYS_read, fd, buf, cap);
    } while (got < 0 && errno == EINTR);
    syscall(SYS_close, fd);
    return got > 0 ? (size_t)got : 0;
}

/* Skips what is before the number; 0 when there is none. */
static size_t parse_number(const char **at, const char *end)
{
    size_t number = 0;
    while (*at < end && (**at < '0' || **at > '9')) {
        ++*at;
    }
    for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
        number = number * 10 + (size_t)(**at - '0');
    }
    return number;
}

/* statm counts pages: size, resident, shared (resident pages of files and shared memory), and more. */
size_t os_resident(void)
{
    char buf[128];
    int saved = errno;
    const char *at = buf;
    const char *end = buf + read_statm(buf, sizeof(buf));
    errno = saved;
    parse_number(&at, end);
    size_t resident = parse_number(&at, end);
    size_t shared = parse_number(&at, end);
    return resident > shared ? (resident - shared) * os_page_size() : 0;
}
