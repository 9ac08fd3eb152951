#define _GNU_SOURCE 1

#include "runtime/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"

struct reader {
    int fd;
    size_t at;
    size_t len;
    char buf[512];
};

/* Raw calls, because libc's are cancellation points. -1 at the end or when reading fails. */
static int reader_next(struct reader *reader)
{
    if (reader->at == reader->len) {
        long got = syscall(SYS_read, reader->fd, reader->buf, sizeof(reader->buf));
        if (got <= 0) {
            return -1;
        }
        reader->at = 0;
        reader->len = (size_t)got;
    }
    return (unsigned char)reader->buf[reader->at++];
}

static void copy_value(struct reader *reader, char *buf, size_t cap)
{
    size_t len = 0;
    for (int c = reader_next(reader); c > 0; c = reader_next(reader)) {
        if (len + 1 < cap) {
            buf[len++] = (char)c;
        }
    }
    buf[len] = 0;
}

static bool find_in_stream(struct reader *reader, const char *name, char *buf, size_t cap)
{
    int c;
    do {
        const char *expected = name;
        c = reader_next(reader);
        while (c > 0 && *expected != 0 && c == (unsigned char)*expected) {
            expected++;
            c = reader_next(reader);
        }
        if (c == '=' && *expected == 0) {
            copy_value(reader, buf, cap);
            return true;
        }
        while (c > 0) {
            c = reader_next(reader);
        }
    } while (c == 0);
    return false;
}

bool environment_read(const char *path, const char *name, char *buf, size_t cap)
{
    int saved = errno;
    struct reader reader = {.fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0)};
    bool found = false;
    if (reader.fd >= 0) {
        found = find_in_stream(&reader, name, buf, cap);
        syscall(SYS_close, reader.fd);
    }
    errno = saved;
    return found;
}

static char **given;

void environment_give(char **variables)
{
    given = variables;
}

const char *environment_get(const char *name, char *buf, size_t cap)
{
    char **variables = environ != NULL ? environ : given;
    if (variables == NULL) {
        return buf != NULL && environment_read("/proc/self/environ", name, buf, cap) ? buf : NULL;
    }
    size_t len = strlen(name);
    for (char **entry = variables; *entry != NULL; entry++) {
        if (text_begins(*entry, name) && (*entry)[len] == '=') {
            return *entry + len + 1;
        }
    }
    return NULL;
}

bool environment_untrusted(void)
{
    int saved = errno;
    bool untrusted = getauxval(AT_SECURE) != 0;
    errno = saved;
    return untrusted;
}
