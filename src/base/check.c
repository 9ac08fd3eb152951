#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"

#define LINE_BYTES 512

/* The newline takes the place of the final 0, so the line has one even when it was cut. Not write(): that is
 * a cancellation point, and a thread that is cancelled inside malloc would leave locks held. */
HM_PRINTF(2, 0) static void report(const char *prefix, const char *format, va_list args)
{
    char line[LINE_BYTES];
    struct text text;
    text_init(&text, line, sizeof(line));
    text_put(&text, prefix);
    text_vformat(&text, format, args);
    line[text.len] = '\n';
    long written;
    do {
        written = syscall(SYS_write, STDERR_FILENO, line, text.len + 1);
    } while (written == -1 && errno == EINTR);
}

void panic(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report("hmalloc: ", format, args);
    va_end(args);
    abort();
}

void warn(const char *format, ...)
{
    int saved = errno;
    va_list args;
    va_start(args, format);
    report("hmalloc: warning: ", format, args);
    va_end(args);
    errno = saved;
}
