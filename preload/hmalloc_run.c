/* hmalloc-run: starts a program with libhmalloc-preload.so under it.
 *
 * Ordinary code around the allocator: it runs on the allocator of libc, sets two environment variables and
 * becomes the program. It needs no fixed path, because it looks for the library from where it lies itself:
 * beside it (build tree), else in HM_RUN_LIBDIR seen from its own folder (installed). */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define LIBRARY "libhmalloc-preload.so"

/* As shells and env(1) do. */
enum { EXIT_USAGE = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

static const char usage[] =
    "Usage: hmalloc-run [--stats] [--conf KEY:VALUE,...] [--] PROGRAM [ARGS...]\n"
    "Run PROGRAM with libhmalloc as its memory allocator.\n"
    "\n"
    "  --stats               report statistics to stderr when PROGRAM ends (same as --conf stats:1)\n"
    "  --conf KEY:VALUE,...  options, added to those in HMALLOC_CONF; may be given more than once\n"
    "  --help                print this and exit\n"
    "\n"
    "An LD_PRELOAD that is already set is kept, after " LIBRARY ".\n"
    "Exit status: that of PROGRAM; 125 bad usage or no library, 126 PROGRAM can't be run, 127 PROGRAM not "
    "found.\n";

_Noreturn __attribute__((format(printf, 2, 3))) static void fail(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("hmalloc-run: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(status);
}

static char *format_new(const char *format, const char *a, const char *b)
{
    char *string;
    if (asprintf(&string, format, a, b) < 0) {
        fail(EXIT_USAGE, "out of memory");
    }
    return string;
}

/* Puts `value` and what the variable held before into the variable, in the order that `format` says. */
static void env_join(const char *name, const char *format, const char *first, const char *second)
{
    char *value = format_new(format, first, second);
    if (setenv(name, value, 1) != 0) {
        fail(EXIT_USAGE, "cannot set %s: %s", name, strerror(errno));
    }
    free(value);
}

/* Options given later win, so ours go behind what the environment says. */
static void conf_add(const char *options)
{
    const char *old = getenv("HMALLOC_CONF");
    if (old != NULL && *old != '\0') {
        env_join("HMALLOC_CONF", "%s,%s", old, options);
    } else {
        env_join("HMALLOC_CONF", "%s%s", options, "");
    }
}

/* The folder of this very file, without a slash at the end. /proc may be missing; then the kernel still knows
 * by which path we were started. */
static char *own_folder(void)
{
    char *path = realpath("/proc/self/exe", NULL);
    if (path == NULL) {
        path = realpath((const char *)getauxval(AT_EXECFN), NULL);
    }
    if (path == NULL) {
        fail(EXIT_USAGE, "cannot find out where I am: %s", strerror(errno));
    }
    *strrchr(path, '/') = '\0';
    return path;
}

static char *library_find(void)
{
    char *folder = own_folder();
    char *beside = format_new("%s/%s", folder, LIBRARY);
    char *installed = format_new("%s/%s/" LIBRARY, HM_RUN_LIBDIR[0] == '/' ? "" : folder, HM_RUN_LIBDIR);
    char *found = realpath(beside, NULL);
    if (found == NULL) {
        found = realpath(installed, NULL);
    }
    if (found == NULL) {
        fail(EXIT_USAGE, LIBRARY " is missing: neither %s nor %s", beside, installed);
    }
    if (strpbrk(found, " :") != NULL) {
        fail(EXIT_USAGE, "LD_PRELOAD cannot name a path with a space or a colon in it: %s", found);
    }
    free(folder);
    free(beside);
    free(installed);
    return found;
}

/* True if one of the paths in `list` is `path`. */
static int preload_has(const char *list, const char *path)
{
    size_t len = strlen(path);
    for (const char *at = list; (at = strstr(at, path)) != NULL; at++) {
        if ((at == list || strchr(" :", at[-1]) != NULL) && strchr(" :", at[len]) != NULL) {
            return 1;
        }
    }
    return 0;
}

static void preload_add(void)
{
    char *library = library_find();
    const char *old = getenv("LD_PRELOAD");
    if (old == NULL || *old == '\0') {
        env_join("LD_PRELOAD", "%s%s", library, "");
    } else if (!preload_has(old, library)) {
        env_join("LD_PRELOAD", "%s:%s", library, old);
    }
    free(library);
}

/* Takes the options off the front, returns the index of the program's name. */
static int options_read(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            return i + 1;
        }
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_USAGE);
        } else if (strcmp(argv[i], "--stats") == 0) {
            conf_add("stats:1");
        } else if (strncmp(argv[i], "--conf=", 7) == 0) {
            conf_add(argv[i] + 7);
        } else if (strcmp(argv[i], "--conf") == 0 && i + 1 < argc) {
            conf_add(argv[++i]);
        } else if (strcmp(argv[i], "--conf") == 0) {
            fail(EXIT_USAGE, "--conf needs KEY:VALUE,...");
        } else {
            fail(EXIT_USAGE, "unknown option %s (see hmalloc-run --help)", argv[i]);
        }
    }
    return i;
}

int main(int argc, char **argv)
{
    int program = options_read(argc, argv);
    if (program >= argc) {
        fail(EXIT_USAGE, "no program given (see hmalloc-run --help)");
    }
    preload_add();
    execvp(argv[program], argv + program);
    int status = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
    fail(status, "cannot run %s: %s", argv[program], strerror(errno));
}
