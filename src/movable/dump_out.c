#define _GNU_SOURCE 1

#include "movable/dump_out.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

void dump_out_init(struct dump_out *out, int fd)
{
    out->fd = fd;
    out->failed = false;
    text_init(&out->text, out->buf, sizeof(out->buf));
}

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        long written = syscall(SYS_write, fd, bytes, len);
        if (written == 0) {
            errno = EIO;
            return false;
        }
        if (written < 0 && errno != EINTR) {
            return false;
        }
        bytes += written > 0 ? written : 0;
        len -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

static void flush(struct dump_out *out)
{
    if (!out->failed) {
        out->failed = !write_all(out->fd, out->buf, out->text.len);
    }
    text_init(&out->text, out->buf, sizeof(out->buf));
}

void dump_out_format(struct dump_out *out, const char *format, ...)
{
    size_t len = out->text.len;
    va_list args;
    va_start(args, format);
    text_vformat(&out->text, format, args);
    if (out->text.cut) {
        out->text.len = len;
        flush(out);
        text_vformat(&out->text, format, args);
        HM_ASSERT(!out->text.cut, "the buffer holds what one call formats");
    }
    va_end(args);
}

bool dump_out_finish(struct dump_out *out)
{
    flush(out);
    return !out->failed;
}
