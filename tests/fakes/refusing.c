/* Between a program and the system: refuses below REFUSING_ROOT what `volume.py` refuses there.

   For machines without FUSE only. Loaded by LD_PRELOAD; whatever reaches the system through the
   C library meets it. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(kind, name) ((kind)dlsym(RTLD_NEXT, name))

static const char *root(void) {
    const char *given = getenv("REFUSING_ROOT");
    return given && *given ? given : NULL;
}

static int is_below(const char *path) {
    const char *top = root();
    size_t size = top ? strlen(top) : 0;
    return size && !strncmp(path, top, size) && (path[size] == '/' || !path[size]);
}

/* Whether the file that `path` names, there or not, lies below the root; its place in `whole`. */
static int names_below(int folder, const char *path, char whole[PATH_MAX]) {
    char given[PATH_MAX], place[PATH_MAX], link[64];
    if (path[0] == '/' || folder == AT_FDCWD) {
        snprintf(given, sizeof given, "%s", path);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t size = readlink(link, place, sizeof place - 1);
        if (size < 0) return 0;
        place[size] = 0;
        if (snprintf(given, sizeof given, "%s/%s", place, path) >= (int)sizeof given) return 0;
    }
    char *last = strrchr(given, '/');
    const char *parent = last ? (last == given ? "/" : given) : ".";
    const char *name = last ? last + 1 : path;
    if (last) *last = 0;
    if (!realpath(parent, place)) return 0;
    return snprintf(whole, PATH_MAX, "%s/%s", place, name) < PATH_MAX && is_below(whole);
}

static int is_open_below(int fd, char whole[PATH_MAX]) {
    char link[64];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, whole, PATH_MAX - 1);
    errno = before;
    if (size < 0) return 0;
    whole[size] = 0;
    return is_below(whole);
}

static int refuse(const char *what, const char *path, int code) {
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s.refused", root());
    int log = REAL(int (*)(const char *, int, ...), "open")(
        name, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (log >= 0) {
        dprintf(log, "%s %s\n", what, path + strlen(root()));
        close(log);
    }
    errno = code;
    return -1;
}

/* The error that everything is told to fail with; 0 if it is not. */
static int fault(void) {
    char name[PATH_MAX], said[16] = "";
    int before = errno;
    snprintf(name, sizeof name, "%s.fault", root());
    int fd = REAL(int (*)(const char *, int, ...), "open")(name, O_RDONLY);
    if (fd < 0) {
        errno = before;
        return 0;
    }
    ssize_t size = read(fd, said, sizeof said - 1);
    close(fd);
    errno = before;
    return size > 0 ? atoi(said) : EIO;
}

static int may_open(int folder, const char *path, int flags) {
    char whole[PATH_MAX];
    if (!names_below(folder, path, whole)) return 0;
    if (flags & O_APPEND) return refuse("append", whole, EOPNOTSUPP);
    int code = (flags & O_ACCMODE) != O_RDONLY ? fault() : 0;
    if (code) errno = code;
    return code ? -1 : 0;
}

#define OPEN(name)                                                          \
    int name(const char *path, int flags, ...) {                            \
        va_list more;                                                       \
        va_start(more, flags);                                              \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, int) : 0; \
        va_end(more);                                                       \
        if (may_open(AT_FDCWD, path, flags)) return -1;                     \
        return REAL(int (*)(const char *, int, ...), #name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                        \
    int name(int folder, const char *path, int flags, ...) {                \
        va_list more;                                                       \
        va_start(more, flags);                                              \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, int) : 0; \
        va_end(more);                                                       \
        if (may_open(folder, path, flags)) return -1;                       \
        return REAL(int (*)(int, const char *, int, ...), #name)(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                         \
    FILE *name(const char *path, const char *mode) {                        \
        int flags = strchr(mode, 'a') ? O_APPEND | O_WRONLY                 \
                    : strpbrk(mode, "w+") ? O_WRONLY : O_RDONLY;            \
        if (may_open(AT_FDCWD, path, flags)) return NULL;                   \
        return REAL(FILE *(*)(const char *, const char *), #name)(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* Writes go on at the end of what is there, and nowhere else. */
static int may_write(int fd) {
    char whole[PATH_MAX];
    struct stat found;
    if (!root() || !is_open_below(fd, whole)) return 0;
    int code = fault();
    if (code) {
        errno = code;
        return -1;
    }
    if (fstat(fd, &found) || lseek(fd, 0, SEEK_CUR) != found.st_size)
        return refuse("write", whole, EOPNOTSUPP);
    return 0;
}

ssize_t write(int fd, const void *data, size_t size) {
    if (may_write(fd)) return -1;
    return REAL(ssize_t(*)(int, const void *, size_t), "write")(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (may_write(fd)) return -1;
    return REAL(ssize_t(*)(int, const struct iovec *, int), "writev")(fd, parts, count);
}

#define PWRITE(name, offset_type)                                           \
    ssize_t name(int fd, const void *data, size_t size, offset_type offset) { \
        char whole[PATH_MAX];                                               \
        if (root() && is_open_below(fd, whole)) return refuse("write", whole, EOPNOTSUPP); \
        return REAL(ssize_t(*)(int, const void *, size_t, offset_type), #name)( \
            fd, data, size, offset);                                        \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define ON_DESCRIPTOR(name, what, code, more, ...)                          \
    int name(int fd more) {                                                 \
        char whole[PATH_MAX];                                               \
        if (root() && is_open_below(fd, whole)) return refuse(what, whole, code); \
        return REAL(int (*)(int more), #name)(fd __VA_ARGS__);              \
    }
#define COMMA ,
ON_DESCRIPTOR(flock, "lock", EOPNOTSUPP, COMMA int how, COMMA how)
ON_DESCRIPTOR(ftruncate, "truncate", EOPNOTSUPP, COMMA off_t size, COMMA size)
ON_DESCRIPTOR(ftruncate64, "truncate", EOPNOTSUPP, COMMA off64_t size, COMMA size)
ON_DESCRIPTOR(fsync, "fsync", EINVAL, , )
ON_DESCRIPTOR(fdatasync, "fsync", EINVAL, , )

#define ON_PATH(name, size_type)                                            \
    int name(const char *path, size_type size) {                            \
        char whole[PATH_MAX];                                               \
        if (names_below(AT_FDCWD, path, whole)) return refuse("truncate", whole, EOPNOTSUPP); \
        return REAL(int (*)(const char *, size_type), #name)(path, size);   \
    }
ON_PATH(truncate, off_t)
ON_PATH(truncate64, off64_t)

#define ON_TWO(name, what)                                                  \
    int name(const char *one, const char *other) {                          \
        char whole[PATH_MAX];                                               \
        if (names_below(AT_FDCWD, other, whole) ||                          \
            (*what != 's' && names_below(AT_FDCWD, one, whole)))            \
            return refuse(what, whole, ENOSYS);                             \
        return REAL(int (*)(const char *, const char *), #name)(one, other); \
    }
ON_TWO(rename, "rename")
ON_TWO(link, "link")
ON_TWO(symlink, "symlink")

int renameat(int from, const char *one, int to, const char *other) {
    char whole[PATH_MAX];
    if (names_below(from, one, whole) || names_below(to, other, whole))
        return refuse("rename", whole, ENOSYS);
    return REAL(int (*)(int, const char *, int, const char *), "renameat")(from, one, to, other);
}

int linkat(int from, const char *one, int to, const char *other, int flags) {
    char whole[PATH_MAX];
    if (names_below(from, one, whole) || names_below(to, other, whole))
        return refuse("link", whole, ENOSYS);
    return REAL(int (*)(int, const char *, int, const char *, int), "linkat")(
        from, one, to, other, flags);
}

#define MKDIR_CHECK(folder)                                                 \
    char whole[PATH_MAX];                                                   \
    int code = names_below(folder, path, whole) ? fault() : 0;              \
    if (code) {                                                             \
        errno = code;                                                       \
        return -1;                                                          \
    }

int mkdir(const char *path, mode_t mode) {
    MKDIR_CHECK(AT_FDCWD)
    return REAL(int (*)(const char *, mode_t), "mkdir")(path, mode);
}

int unlink(const char *path) {
    char whole[PATH_MAX];
    int code = names_below(AT_FDCWD, path, whole) ? fault() : 0;
    if (code && code != ENOSPC) {
        errno = code;
        return -1;
    }
    return REAL(int (*)(const char *), "unlink")(path);
}
