/* own_strings: an executable whose string functions can't be called before it has initialised itself, as those of sanitizers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ready;

static void need_ready(void)
{
    if (!ready)
        abort();
}

int strcmp(const char *a, const char *b)
{
    need_ready();
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    need_ready();
    for (; n > 0 && *a != 0 && *a == *b; n--) {
        a++;
        b++;
    }
    return n == 0 ? 0 : (unsigned char)*a - (unsigned char)*b;
}

size_t strcspn(const char *string, const char *reject)
{
    size_t len = 0;
    need_ready();
    while (string[len] != 0 && strchr(reject, string[len]) == NULL)
        len++;
    return len;
}

size_t strspn(const char *string, const char *accept)
{
    size_t len = 0;
    need_ready();
    while (string[len] != 0 && strchr(accept, string[len]) != NULL)
        len++;
    return len;
}

char *strstr(const char *string, const char *part)
{
    need_ready();
    for (size_t len = strlen(part); *string != 0; string++)
        if (memcmp(string, part, len) == 0)
            return (char *)(size_t)string;
    return NULL;
}

#ifdef OWN_MALLOC
/* For those that look for it; the rest of the family stays libc's. */
extern void *__libc_malloc(size_t size);

void *malloc(size_t size)
{
    return __libc_malloc(size);
}
#endif

int main(void)
{
    ready = 1;
    char *block = malloc(100);
    strcpy(block, "ok");
    puts(block);
    free(block);
    return 0;
}
