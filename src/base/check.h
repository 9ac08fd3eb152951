/* Failed checks end the process with one line; nothing here allocates, locks or changes errno on return.
 *
 * HM_CHECK is on in every build and guards what a caller or a stray write can break. HM_ASSERT is for our own
 * logic and exists in debug builds only. The text of an assertion states the invariant. */
#ifndef HM_BASE_CHECK_H
#define HM_BASE_CHECK_H

#include "base/attr.h"

/* Writes "hmalloc: <message>\n" to stderr with one write(2) and aborts. Formats as text_format (base/text.h).
 */
_Noreturn HM_COLD void panic(const char *format, ...) HM_PRINTF(1, 2);

/* Writes "hmalloc: warning: <message>\n" to stderr with one write(2). Keeps errno. */
HM_COLD void warn(const char *format, ...) HM_PRINTF(1, 2);

#define HM_CHECK(condition, text)                                                                            \
    do {                                                                                                     \
        if (HM_UNLIKELY(!(condition))) {                                                                     \
            panic("broken invariant: %s (%s:%d)", text, __FILE__, __LINE__);                                 \
        }                                                                                                    \
    } while (0)

#define HM_ASSERT(condition, text)                                                                           \
    do {                                                                                                     \
        if (HM_DEBUG && HM_UNLIKELY(!(condition))) {                                                         \
            panic("broken invariant: %s (%s:%d)", text, __FILE__, __LINE__);                                 \
        }                                                                                                    \
    } while (0)

#endif
