/* file-lock.c - locks of image files: one writer or many readers, the same locks as QEMU's */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <glib.h>
#include "block/protocol/file-lock.h"

/* What a program does with a file, and forbids others to do. The numbers are QEMU's: a read lock on byte 100 + n says
 * "I do n", one on byte 200 + n says "nobody else may do n" */
enum {
    FILE_CONSISTENT_READ = 1 << 0,
    FILE_WRITE           = 1 << 1,
    FILE_RESIZE          = 1 << 3,

    FILE_LOCKS           = 4,
    FILE_DOES            = 100,
    FILE_FORBIDS         = 200,
};

static const char *const file_lock_names[FILE_LOCKS] = {
    "consistent read", "write", "write unchanged", "resize",
};

/* Call fcntl() for a lock, again after a signal: a lock on a distant file server may take long. 0 or -errno */
static int file_lock_call(int fd, int cmd, struct flock *lock)
{
    int ret;

    do {
        ret = fcntl(fd, cmd, lock);
    } while (ret < 0 && errno == EINTR);
    return ret < 0 ? -errno : 0;
}

/* Set a lock that others may set, too. 0 or -errno */
static int file_share_lock(int fd, int byte)
{
    struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    return file_lock_call(fd, F_OFD_SETLK, &lock);
}

/* Test for a lock of another open file. -EAGAIN: there is one; 0 or another -errno */
static int file_test_lock(int fd, int byte)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
    int ret = file_lock_call(fd, F_OFD_GETLK, &lock);

    return ret < 0 || lock.l_type == F_UNLCK ? ret : -EAGAIN;
}

/* What a reader, or a writer, of a file forbids others to do */
#define FILE_EXCLUDES (FILE_WRITE | FILE_RESIZE)

static unsigned file_does(bool write)
{
    return FILE_CONSISTENT_READ | (write ? FILE_EXCLUDES : 0);
}

/* Set our locks. *@name: the lock that could not be set. 0 or -errno */
static int file_set_locks(int fd, unsigned does, const char **name)
{
    int ret = 0;

    for (int i = 0; i < FILE_LOCKS && ret == 0; i++) {
        ret = does & (1u << i) ? file_share_lock(fd, FILE_DOES + i) : 0;
        if (ret == 0 && (FILE_EXCLUDES & (1u << i))) {
            ret = file_share_lock(fd, FILE_FORBIDS + i);
        }
        *name = file_lock_names[i];
    }
    return ret;
}

static void file_drop_locks(int fd)
{
    struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = FILE_DOES,
                          .l_len = FILE_FORBIDS - FILE_DOES + FILE_LOCKS };

    file_lock_call(fd, F_OFD_SETLK, &lock);
}

/* Set our locks, then test for those of others. If two programs come at the same time, one or both are refused; they
 * never both succeed. *@name: the lock of another open file that does not go together with ours. @old: a descriptor of
 * this program, whose locks are dropped in between, so that @fd and @old together are locked at all times; -1: none */
static int file_take_locks(int fd, int old, unsigned does, const char **shared, const char **name)
{
    int ret = file_set_locks(fd, does, name);

    if (ret == 0 && old >= 0) {
        file_drop_locks(old);
    }
    for (int i = 0; i < FILE_LOCKS && ret == 0; i++) {
        *name = file_lock_names[i];
        *shared = "";
        ret = does & (1u << i) ? file_test_lock(fd, FILE_FORBIDS + i) : 0;
        if (ret == 0 && (FILE_EXCLUDES & (1u << i))) {
            *shared = "shared ";
            ret = file_test_lock(fd, FILE_DOES + i);
        }
    }
    return ret;
}

static bool is_locked(BlockDriverState *bs, FileLocking locking)
{
    return locking != FILE_LOCKING_OFF && !(bs->flags & BDRV_O_NO_LOCK);
}

bool file_lock(BlockDriverState *bs, int fd, int old, const char *filename, bool write, FileLocking locking,
               GError **errp)
{
    const char *name = "", *shared = "";

    if (!is_locked(bs, locking)) {
        return true;
    }
    int ret = file_take_locks(fd, old, file_does(write), &shared, &name);
    if (ret == -EAGAIN || ret == -EACCES) {
        bdrv_set_error(errp, EAGAIN, "Failed to get %s\"%s\" lock: another process is using '%s'", shared,
                       name, filename);
        return false;
    }
    if (ret < 0 && locking == FILE_LOCKING_ON) {
        bdrv_set_error(errp, -ret, "'%s' can't be locked, and locking=on asks for it: %s", filename, g_strerror(-ret));
        return false;
    }
    if (ret < 0) {
        bdrv_warn(bs, "lock", "'%s' is not locked, other programs may change it meanwhile: the file system says \"%s\" "
                  "(locking=off does not ask it)", filename, g_strerror(-ret));
    }
    return true;
}

void file_lock_back(BlockDriverState *bs, int fd, bool write, FileLocking locking)
{
    const char *name;

    if (is_locked(bs, locking)) {
        (void)file_set_locks(fd, file_does(write), &name);      /* shared locks, which @fd had before */
    }
}
