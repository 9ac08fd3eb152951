#define _GNU_SOURCE 1

#include "runtime/report.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/text.h"
#include "base/writer.h"
#include "hmalloc/hmalloc.h"
#include "observe/report.h"
#include "runtime/process.h"

static bool write_passive(int fd, bool json)
{
    struct writer writer;
    writer_init(&writer, fd);
    writer_format(&writer,
                  json ? "{\"version\":\"%d.%d.%d\",\"mode\":\"passive\",\"pid\":%d}\n"
                       : "hmalloc %d.%d.%d statistics\nmode: passive\nprocess: %d\nblocks served: 0\n",
                  HM_VERSION_MAJOR, HM_VERSION_MINOR, HM_VERSION_PATCH, (int)getpid());
    return writer_finish(&writer);
}

bool report_write(int fd, bool json)
{
    process_ready();
    return process_other != NULL ? write_passive(fd, json) : observe_write(&process_core, fd, json);
}

bool report_path(const char *pattern, int pid, char *buf, size_t cap)
{
    struct text text;
    text_init(&text, buf, cap);
    for (; *pattern != 0; pattern++) {
        bool escape = *pattern == '%' && (pattern[1] == 'p' || pattern[1] == '%');
        pattern += escape;
        if (escape && *pattern == 'p') {
            text_format(&text, "%d", pid);
        } else {
            text_put_char(&text, *pattern);
        }
    }
    return !text.cut;
}

static void report_to_file(const char *pattern, bool json)
{
    char path[OPTIONS_PATH_MAX + 32];
    if (!report_path(pattern, (int)getpid(), path, sizeof(path))) {
        warn("stats_file is too long: %s", pattern);
        return;
    }
    int fd =
        (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0) {
        warn("no statistics: %s can't be opened (errno %d)", path, errno);
        return;
    }
    if (!report_write(fd, json)) {
        warn("no statistics: %s can't be written (errno %d)", path, errno);
    }
    syscall(SYS_close, fd);
}

void report_at_exit(void)
{
    bool due = atomic_load_explicit(&process_state, memory_order_acquire) == PROCESS_READY &&
               process_options.stats != STATS_NONE;
    if (!due) {
        return;
    }
    int saved = errno;
    bool json = process_options.stats == STATS_JSON;
    if (process_options.stats_file[0] != 0) {
        report_to_file(process_options.stats_file, json);
    } else {
        report_write(STDERR_FILENO, json);
    }
    errno = saved;
}
