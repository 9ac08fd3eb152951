#include "os/os.h"

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
    const char *at = buf;
    const char *end = buf + os_read("/proc/self/statm", buf, sizeof(buf));
    parse_number(&at, end);
    size_t resident = parse_number(&at, end);
    size_t shared = parse_number(&at, end);
    return resident > shared ? (resident - shared) * os_page_size() : 0;
}
