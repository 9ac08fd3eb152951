#include <hmalloc/stats.h>

#include <string.h>

#include "base/attr.h"
#include "observe/stats.h"
#include "runtime/process.h"
#include "runtime/report.h"

HM_PUBLIC bool hm_stats_get(struct hm_stats *stats, size_t size)
{
    struct hm_stats all;
    memset(&all, 0, sizeof all);
    process_ready();
    if (process_other == NULL) {
        observe_stats(&process_core, &all);
    }
    memset(stats, 0, size);
    memcpy(stats, &all, size < sizeof all ? size : sizeof all);
    return true;
}

HM_PUBLIC bool hm_stats_write(int fd, bool json)
{
    return report_write(fd, json);
}
