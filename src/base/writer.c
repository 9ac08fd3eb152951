#define _GNU_SOURCE 1

#include "base/writer.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

void writer_init(struct writer *writer, int fd)
{
    writer->fd = fd;
    writer->failed = false;
    text_init(&writer->text, writer->buf, sizeof(writer->buf));
}

/* write() is a cancellation point: this isn't. */
static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        long written = syscall(SYS_write, fd, bytes, len);
        if (written > 0) {
            bytes += written;
            len -= (size_t)written;
        } else if (written == 0) {
            errno = EIO;
            return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static void flush(struct writer *writer)
{
    if (!writer->failed) {
        writer->failed = !write_all(writer->fd, writer->buf, writer->text.len);
    }
    text_init(&writer->text, writer->buf, sizeof(writer->buf));
}

void writer_format(struct writer *writer, const char *format, ...)
{
    size_t len = writer->text.len;
    va_list args;
    va_start(args, format);
    text_vformat(&writer->text, format, args);
    if (writer->text.cut) {
        writer->text.len = len;
        flush(writer);
        text_vformat(&writer->text, format, args);
        HM_ASSERT(!writer->text.cut, "the buffer holds what one call formats");
    }
    va_end(args);
}

void writer_put(struct writer *writer, const char *string)
{
    for (; *string != 0; string++) {
        if (writer->text.len + 1 == writer->text.cap) {
            flush(writer);
        }
        text_put_char(&writer->text, *string);
    }
}

bool writer_finish(struct writer *writer)
{
    flush(writer);
    return !writer->failed;
}
