/* beneath.c - finds the file of a path without opening it, and without leaving a folder */
/* SPDX-License-Identifier: MIT
 *
 * A walk holds a descriptor of each folder on its way down, and ".." goes back to the descriptor before. So another
 * program that moves folders or exchanges links meanwhile cannot lead it elsewhere. The target of a symbolic link is
 * put in front of the rest of the path.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glib.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include "util/beneath.h"
#include "util/path.h"

#ifdef SYS_openat2
#include <linux/openat2.h>
#else
enum { RESOLVE_NO_MAGICLINKS = 2, RESOLVE_BENEATH = 8 };
#endif

#define MAX_LINKS   40              /* the same as in the kernel */
#define MAX_FOLDERS 256             /* each of them needs a descriptor */

/* Call openat2(). Return a descriptor, or -errno; -ENOSYS: the kernel does not have it */
static int ask_openat2(int folder, const char *path, uint64_t resolve)
{
#ifdef SYS_openat2
    static bool missing;            /* atomic: the kernel does not have the call */
    struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = resolve };

    if (__atomic_load_n(&missing, __ATOMIC_RELAXED)) {
        return -ENOSYS;
    }
    long fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));
    int err = errno;

    if (fd < 0 && err == ENOSYS) {
        __atomic_store_n(&missing, true, __ATOMIC_RELAXED);
    }
    return fd < 0 ? -err : (int)fd;
#else
    return -ENOSYS;
#endif
}

/* Return whether the result @ret of openat2() stands. If not, a walk is tried. EPERM: a container does not know the
 * call; EXDEV: perhaps an absolute link that leads back into the folder; EAGAIN: a folder was moved meanwhile */
static bool is_final(int ret)
{
    return ret != -ENOSYS && ret != -EPERM && ret != -EXDEV && ret != -EAGAIN;
}

typedef struct PathWalk {
    const char *names[2];           /* of the root folder, absolute: as given, and without symbolic links, or NULL */
    int folders[MAX_FOLDERS];       /* descriptors, from the root folder to the present one */
    int depth;                      /* of the present folder below the root folder */
    unsigned links;                 /* how many were followed */
    char *rest;                     /* the rest of the path */
    int found;                      /* a descriptor of the file; -1: not found yet */
} PathWalk;

static void go_up(PathWalk *w, int depth)
{
    while (w->depth > depth) {
        close(w->folders[w->depth--]);
    }
}

/* Return the part of @path behind the folder @root; NULL: @path is not inside it */
static const char *behind(const char *path, const char *root)
{
    size_t length = strcmp(root, "/") ? strlen(root) : 0;
    bool inside = !strncmp(path, root, length) && (!path[length] || path[length] == '/');

    return inside ? path + length + (path[length] == '/') : NULL;
}

static const char *behind_either(const char *path, const char *const names[2])
{
    const char *rest = behind(path, names[0]);

    return rest || !names[1] ? rest : behind(path, names[1]);
}

/* Return whether a link is a magic one of /proc. Those with relative targets need no test: their targets, such as
 * "pipe:[1]", do not exist */
static bool is_magic(int link, const char *target)
{
    struct statfs fs;

    return target[0] == '/' && (fstatfs(link, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC);
}

/* Put the target of @link in front of @rest, and close @link. 0 or -errno */
static int follow(PathWalk *w, int link, const char *rest)
{
    g_autofree char *target = g_malloc(PATH_MAX);
    ssize_t length = readlinkat(link, "", target, PATH_MAX);
    int ret = length < 0 ? -errno : length == PATH_MAX || strlen(rest) >= PATH_MAX ? -ENAMETOOLONG : 0;

    target[ret == 0 ? length : 0] = 0;
    if (ret == 0 && (++w->links > MAX_LINKS || is_magic(link, target))) {
        ret = -ELOOP;
    }
    close(link);
    const char *way = target;

    if (ret == 0 && target[0] == '/') {
        way = behind_either(target, w->names);
        go_up(w, 0);
    }
    if (ret < 0 || !way) {
        return ret < 0 ? ret : -EXDEV;
    }
    char *all = g_strconcat(way, "/", rest, NULL);

    g_free(w->rest);
    w->rest = all;
    return 0;
}

/* Enter the folder @fd, or follow it if it is a link. If @rest is empty, it is the file. Takes over @fd. 0 or -errno */
static int arrive(PathWalk *w, int fd, const char *rest)
{
    struct stat st;
    int ret = fstat(fd, &st) < 0 ? -errno : 0;

    if (ret == 0 && S_ISLNK(st.st_mode)) {
        return follow(w, fd, rest);
    }
    rest += strspn(rest, "/");
    if (ret == 0 && !*rest) {
        w->found = fd;
        return 0;
    }
    if (ret == 0 && !S_ISDIR(st.st_mode)) {
        ret = -ENOTDIR;
    } else if (ret == 0 && w->depth + 1 == MAX_FOLDERS) {
        ret = -ENAMETOOLONG;
    }
    if (ret < 0) {
        close(fd);
        return ret;
    }
    w->folders[++w->depth] = fd;
    memmove(w->rest, rest, strlen(rest) + 1);
    return 0;
}

/* Go to the parent folder; the parent of "/" is "/". 0 or -errno */
static int enter_parent(PathWalk *w)
{
    if (w->depth == 0 && strcmp(w->names[0], "/")) {
        return -EXDEV;
    }
    go_up(w, MAX(w->depth - 1, 0));
    return 0;
}

/* PathWalk along one part of the path. 0 or -errno */
static int step(PathWalk *w)
{
    char *name = w->rest + strspn(w->rest, "/"), *end = name + strcspn(name, "/");
    const char *rest = *end ? end + 1 : end;

    *end = 0;
    if (*name && strcmp(name, ".") && strcmp(name, "..")) {
        int fd = openat(w->folders[w->depth], name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

        return fd < 0 ? -errno : arrive(w, fd, rest);
    }
    int ret = strcmp(name, "..") ? 0 : enter_parent(w);

    if (ret == 0 && !*rest) {
        w->found = openat(w->folders[w->depth], ".", O_PATH | O_CLOEXEC);
        return w->found < 0 ? -errno : 0;
    }
    memmove(w->rest, rest, strlen(rest) + 1);
    return ret;
}

/* PathWalk along @path. Return a descriptor, or -errno */
static int walk(int root, const char *path, const char *const names[2])
{
    PathWalk *w = g_new(PathWalk, 1);
    int ret;

    *w = (PathWalk) { .names = { names[0], names[1] }, .folders = { root }, .rest = g_strdup(path), .found = -1 };
    do {
        ret = step(w);
    } while (ret == 0 && w->found < 0);
    ret = ret < 0 ? ret : w->found;
    go_up(w, 0);
    g_free(w->rest);
    g_free(w);
    return ret;
}

static int find_in(const char *root, const char *path, const char *const names[2], bool ask_kernel)
{
    int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0) {
        return -errno;
    }
    int ret = ask_kernel ? ask_openat2(folder, *path ? path : ".", RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS) : -ENOSYS;

    ret = is_final(ret) ? ret : walk(folder, path, names);
    close(folder);
    return ret;
}

int beneath_find(const char *root, const char *path, bool ask_kernel)
{
    int ret = !root && ask_kernel ? ask_openat2(AT_FDCWD, path, RESOLVE_NO_MAGICLINKS) : -ENOSYS;

    if (is_final(ret)) {
        return ret;
    }
    for (; path[0] == '/' && path[1] == '/'; path++) {
    }
    g_autofree char *cwd = path_resolve("."), *absolute = g_canonicalize_filename(path, cwd ? cwd : "/");
    g_autofree char *named = g_canonicalize_filename(root ? root : "/", cwd ? cwd : "/"), *real = path_resolve(named);
    const char *const names[2] = { named, real };
    const char *rest = behind_either(absolute, names);

    return rest ? find_in(named, rest, names, ask_kernel && root) : -EXDEV;
}

bool beneath_is_made_up(int fd)
{
    static const uint32_t kinds[] = {
        PROC_SUPER_MAGIC, SYSFS_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC, CGROUP_SUPER_MAGIC,
        CGROUP2_SUPER_MAGIC, EFIVARFS_MAGIC, PSTOREFS_MAGIC, BPF_FS_MAGIC,
    };
    struct statfs fs;
    int ret = fstatfs(fd, &fs);

    for (size_t i = 0; i < G_N_ELEMENTS(kinds) && ret == 0; i++) {
        if ((uint32_t)fs.f_type == kinds[i]) {
            return true;
        }
    }
    return ret < 0;
}
