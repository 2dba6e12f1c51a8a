/* Loaded before a program (LD_PRELOAD), this makes a folder behave like a slow network disk: each call that would go to its server
   waits first, and its files cannot be locked. SLOW_DISK names the folder, SLOW_DISK_US the microseconds. Linux with glibc. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define FILES 65536
static char ours[FILES];

static int below(const char *path) {
    const char *folder = getenv("SLOW_DISK");
    return folder && path && !strncmp(path, folder, strlen(folder));
}

static void pause_for_it(void) {
    const char *us = getenv("SLOW_DISK_US");
    if (us) usleep(atoi(us));
}

static int opened(int file, int slow) {
    if (file >= 0 && file < FILES) ours[file] = slow;
    return file;
}

#define ORIGINAL(name) static __typeof__(&name) original; if (!original) original = dlsym(RTLD_NEXT, #name)
#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        ORIGINAL(name); \
        va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \
        int slow = below(path); if (slow) pause_for_it(); \
        return opened(original(path, flags, mode), slow); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        ORIGINAL(name); \
        va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \
        int slow = below(path); if (slow) pause_for_it(); \
        return opened(original(at, path, flags, mode), slow); \
    }
OPENAT(openat)
OPENAT(openat64)

#define STAT(name, kind) int name(const char *path, struct kind *to) { ORIGINAL(name); if (below(path)) pause_for_it(); return original(path, to); }
STAT(stat, stat)
STAT(stat64, stat64)
STAT(lstat, stat)
STAT(lstat64, stat64)

#define READ(name, rest, args) \
    ssize_t name rest { ORIGINAL(name); if (file >= 0 && file < FILES && ours[file]) pause_for_it(); return original args; }
READ(read, (int file, void *to, size_t size), (file, to, size))
READ(pread, (int file, void *to, size_t size, off_t at), (file, to, size, at))
READ(pread64, (int file, void *to, size_t size, off64_t at), (file, to, size, at))

int close(int file) {
    ORIGINAL(close);
    opened(file, 0);
    return original(file);
}

static int locks(int command) {
    return command == F_SETLK || command == F_SETLKW;
}
#define FCNTL(name) \
    int name(int file, int command, ...) { \
        ORIGINAL(name); \
        va_list rest; va_start(rest, command); void *value = va_arg(rest, void *); va_end(rest); \
        if (file >= 0 && file < FILES && ours[file] && locks(command)) { errno = ENOLCK; return -1; } \
        return original(file, command, value); \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

int flock(int file, int operation) {
    ORIGINAL(flock);
    if (file >= 0 && file < FILES && ours[file]) { errno = ENOLCK; return -1; }
    return original(file, operation);
}
