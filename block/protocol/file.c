/* file.c - regular files and block devices; file_open() locks them with file_lock() */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <glib.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include "block/drivers.h"
#include "block/protocol/file-lock.h"
#include "util/beneath.h"
#include "util/checked.h"

#define FILE_IOVECS 64              /* at most so many in one system call */
#define FILE_WORST_ALIGNMENT INT64_C(4096)  /* assumed for O_DIRECT if the real one cannot be found */

typedef struct FileState {
    int fd;                         /* -1: not open */
    int old_fd;                     /* from file_reopen() to file_reopen_done(): fd before; else -1 */
    FileLocking locking;            /* off for a temporary file */
    int buffered_fd;                /* atomic: of the same file, without O_DIRECT; -1: not opened so far */
    bool device;
    int flush_errno;                /* atomic: of the first flush that failed; 0: none did */
    pthread_mutex_t lock;           /* guards the next two */
    int64_t data_start, data_end;   /* known to be data: some file systems look at every page to find a hole */
    bool no_punch, no_zero_range, no_allocate;  /* atomic: the file system does not have this mode of fallocate() */
    bool created, made;             /* create() has succeeded; there was no such file before */
    dev_t made_dev;                 /* identity of that file, for remove() */
    ino_t made_ino;
} FileState;

static const char *const file_aio_words[] = { "threads", "native", "io_uring", NULL };
static const char *const file_locking_words[] = { "auto", "on", "off", NULL };

typedef struct FileOpenOptions {
    char *filename;
    int locking;                    /* FileLocking */
    int aio;
    bool temporary;
} FileOpenOptions;

static const BlockOption file_open_options[] = {
    { "filename", BLOCK_OPT_STRING, offsetof(FileOpenOptions, filename), NULL,
      .help = "the file or device" },
    { "locking", BLOCK_OPT_ENUM, offsetof(FileOpenOptions, locking), "auto", file_locking_words,
      .help = "keep other programs from changing it; auto: if the file system can, else with a warning" },
    { "aio", BLOCK_OPT_ENUM, offsetof(FileOpenOptions, aio), "", file_aio_words,
      .help = "accepted: requests here are made by the threads that call" },
    { "temporary", BLOCK_OPT_BOOL, offsetof(FileOpenOptions, temporary), "off",
      .help = "filename is a folder: a new file there, without a name and gone at close" },
    { NULL }
};

typedef struct FileCreateOptions {
    char *filename;
    int64_t size, extent_size_hint;
    int locking;                    /* FileLocking */
} FileCreateOptions;

static const BlockOption file_create_options[] = {
    { "filename", BLOCK_OPT_STRING, offsetof(FileCreateOptions, filename), NULL,
      .help = "the file or device" },
    { "size", BLOCK_OPT_SIZE, offsetof(FileCreateOptions, size), "0",
      .help = "length of the file" },
    { "extent_size_hint", BLOCK_OPT_SIZE, offsetof(FileCreateOptions, extent_size_hint), "0",
      .help = "bytes that the file system shall allocate at once, if it takes such a hint (XFS does); 0: no hint" },
    { "locking", BLOCK_OPT_ENUM, offsetof(FileCreateOptions, locking), "auto", file_locking_words,
      .help = "refuse a file that others use; auto: if the file system can tell" },
    { NULL }
};

/* Return whether @fd is a read-only device: it can be opened for writing, but every write fails */
static bool file_is_read_only_device(int fd, const struct stat *st)
{
    int read_only;

    return S_ISBLK(st->st_mode) && ioctl(fd, BLKROGET, &read_only) == 0 && read_only;
}

/* Return whether @drv is for this kind of file */
static bool file_is_for(const BlockDriver *drv, const struct stat *st)
{
    return drv == &bdrv_file ? S_ISREG(st->st_mode) : S_ISBLK(st->st_mode) || S_ISCHR(st->st_mode);
}

static bool file_is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Open the file that was found as @place, whatever has its name by now. -1 with errno set, or a descriptor. O_NOATIME,
 * which only the owner of a file may use, leaves its access time as it is: the file may turn out to be no parent */
static int file_open_place(int place, int flags)
{
    g_autofree char *name = g_strdup_printf("/proc/self/fd/%d", place);
    struct stat found, opened;
    int fd = open(name, flags | O_NOATIME);

    if (fd < 0 && errno == EPERM) {
        fd = open(name, flags);
    }
    if (fd >= 0 && (fstat(place, &found) < 0 || fstat(fd, &opened) < 0 || !file_is_same(&found, &opened))) {
        close(fd);
        fd = -1;
        errno = ENOENT;     /* this is not Linux's /proc */
    }
    return fd;
}

/* Return whether @filename is a device or FIFO that @drv is not for: opening some of them has effects */
static bool file_has_another_kind(const BlockDriver *drv, const char *filename, int flags)
{
    struct stat st;
    bool dangerous = (flags & O_TMPFILE) != O_TMPFILE && stat(filename, &st) == 0 &&
                     (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode));

    return dangerous && !file_is_for(drv, &st);
}

static const char *file_open_error(int err, int place, int flags)
{
    if (err == EINVAL && (flags & O_DIRECT)) {
        return "the file system does not support O_DIRECT";
    }
    return err == ENOENT && place >= 0 ? "it is opened by way of /proc/self/fd, which is not there"
                                       : g_strerror(err);
}

static void file_wrong_kind(const BlockDriver *drv, const char *filename, GError **errp)
{
    bdrv_set_error(errp, EINVAL, "'%s' driver requires '%s' to be %s", drv->name, filename,
                   drv == &bdrv_file ? "a regular file" : "either a character or block device");
}

/* Open a file. @place: bdrv_get_place(), or another descriptor of the file. @doing: "open" or "create", for errors. Return a descriptor, or -errno with
 * @errp set */
static int file_open_fd(const BlockDriver *drv, const char *filename, int place, const char *doing, int flags,
                        struct stat *st, GError **errp)
{
    const int always = O_NONBLOCK | O_CLOEXEC | O_NOCTTY;   /* O_NONBLOCK: do not wait for the writer of a FIFO */

    if (place < 0 && file_has_another_kind(drv, filename, flags)) {
        file_wrong_kind(drv, filename, errp);
        return -EINVAL;
    }
    int fd = place >= 0 ? file_open_place(place, flags | always) : open(filename, flags | always, 0644);
    int err = errno;

    if (fd < 0) {
        bdrv_set_error(errp, err, "Could not %s '%s': %s", doing, filename, file_open_error(err, place, flags));
        return -err;
    }
    if (fstat(fd, st) < 0 || fcntl(fd, F_SETFL, (fcntl(fd, F_GETFL) & O_NOATIME) | (flags & O_DIRECT)) < 0) {
        err = errno;
        bdrv_set_error(errp, err, "Could not %s '%s': %s", doing, filename, g_strerror(err));
    } else if (!file_is_for(drv, st)) {
        err = EINVAL;
        file_wrong_kind(drv, filename, errp);
    } else if ((flags & O_RDWR) && file_is_read_only_device(fd, st)) {
        err = EACCES;
        bdrv_set_error(errp, err, "Could not open '%s': the device is read-only", filename);
    } else {
        return fd;
    }
    close(fd);
    return -err;
}

/* Return the present length. -1 with errno set on failure */
static int64_t file_size(int fd, bool device)
{
    struct stat st;
    uint64_t bytes;

    if (!device) {
        return fstat(fd, &st) < 0 ? -1 : st.st_size;
    }
    if (ioctl(fd, BLKGETSIZE64, &bytes) == 0 && bytes <= INT64_MAX) {
        return (int64_t)bytes;
    }
    return lseek(fd, 0, SEEK_END);
}

/* Return the smallest unit with which a read with O_DIRECT succeeds; 0: none does, or the file is empty */
static int64_t file_try_alignments(int fd)
{
    void *memory;
    int64_t found = 0;

    if (posix_memalign(&memory, 2 * FILE_WORST_ALIGNMENT, 2 * FILE_WORST_ALIGNMENT)) {
        return 0;
    }
    for (int64_t unit = 512; unit <= FILE_WORST_ALIGNMENT && !found; unit *= 2) {
        /* memory + unit is aligned to unit and to no more */
        found = pread(fd, (char *)memory + unit, (size_t)unit, 0) > 0 ? unit : 0;
    }
    free(memory);
    return found;
}

static int64_t file_direct_alignment(int fd, bool device)
{
#ifdef STATX_DIOALIGN
    struct statx stx;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 && (stx.stx_mask & STATX_DIOALIGN) &&
        is_power_of_two(stx.stx_dio_offset_align) && is_power_of_two(stx.stx_dio_mem_align)) {
        return MAX(stx.stx_dio_offset_align, stx.stx_dio_mem_align);
    }
#endif
    int sector;

    if (device && ioctl(fd, BLKSSZGET, &sector) == 0 && is_power_of_two(sector)) {
        return sector;
    }
    int64_t tried = file_try_alignments(fd);
    return tried ? tried : FILE_WORST_ALIGNMENT;
}

static bool file_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    const FileOpenOptions *o = opts;
    FileState *s = bs->state;
    bool write = flags & BDRV_O_RDWR, direct = flags & BDRV_O_NOCACHE;
    struct stat st = { 0 };

    s->old_fd = -1;
    s->locking = o->temporary ? FILE_LOCKING_OFF : (FileLocking)o->locking;
    s->fd = file_open_fd(bs->drv, o->filename, bdrv_get_place(bs), flags & BLOCK_OPEN_TO_CREATE ? "create" : "open",
                         (write ? O_RDWR : O_RDONLY) | (direct ? O_DIRECT : 0) | (o->temporary ? O_TMPFILE : 0), &st,
                         errp);
    if (s->fd < 0) {
        return false;
    }
    s->device = bs->fixed_length = !S_ISREG(st.st_mode);
    s->buffered_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    if (!file_lock(bs, s->fd, -1, o->filename, write, s->locking, errp)) {
        return false;
    }
    bs->size = file_size(s->fd, s->device);
    if (bs->size < 0) {
        bdrv_set_error(errp, errno, "could not find the size of '%s': %s", o->filename, g_strerror(errno));
        return false;
    }
    bs->request_alignment = direct ? file_direct_alignment(s->fd, s->device) : 1;
    return true;
}

/* End a read at the end of the file, at @end. In the last unit of a file of @size bytes the rest is zeroes. If the file
 * has become shorter than @size, fail: zeroes would be wrong */
static int file_read_end(BlockDriverState *bs, int64_t end, int64_t size, BlockVec rest)
{
    const FileState *s = bs->state;

    if (end < size) {
        bdrv_warn(bs, "cut", "'%s' had %" PRId64 " bytes and has %" PRId64 " now, others have cut it: "
                  "byte %" PRId64 " can't be read", bs->filename, size, file_size(s->fd, s->device), end);
        return -EIO;
    }
    block_vec_zero(rest);
    return 0;
}

/* Read whole units: with O_DIRECT the kernel may stop inside a unit, but must not be asked to continue from there */
static int file_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    FileState *s = bs->state;
    const int64_t size = bdrv_node_size(bs);    /* before the read: another thread may make the file longer */
    struct iovec iov[FILE_IOVECS];
    int64_t bytes;

    while (vec.bytes > 0) {
        int niov = block_vec_iov(vec, iov, FILE_IOVECS, &bytes);
        ssize_t got = preadv(s->fd, iov, niov, offset);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        int64_t units = align_down(got, bs->request_alignment);
        if (units == 0) {
            return file_read_end(bs, offset + got, size, block_vec_slice(vec, got, vec.bytes - got));
        }
        offset += units;
        vec = block_vec_slice(vec, units, vec.bytes - units);
    }
    return 0;
}

/* Write, in multiples of @unit, for the same reason */
static int file_write_to(int fd, int64_t unit, int64_t offset, BlockVec vec)
{
    struct iovec iov[FILE_IOVECS];
    int64_t bytes;

    while (vec.bytes > 0) {
        int niov = block_vec_iov(vec, iov, FILE_IOVECS, &bytes);
        ssize_t put = pwritev(fd, iov, niov, offset);

        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return -errno;
        }
        int64_t units = align_down(put, unit);
        if (units == 0) {
            return -EIO;
        }
        offset += units;
        vec = block_vec_slice(vec, units, vec.bytes - units);
    }
    return 0;
}

static int file_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    FileState *s = bs->state;

    return file_write_to(s->fd, bs->request_alignment, offset, vec);
}

/* Write the last, partial unit of a file. O_DIRECT writes only whole units, so this goes through the page cache, and
 * the next flush writes it to disk. The layer makes one such call at a time, under the range lock */
static int file_write_end(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    FileState *s = bs->state;

    if (s->buffered_fd < 0) {
        g_autofree char *name = g_strdup_printf("/proc/self/fd/%d", s->fd);

        __atomic_store_n(&s->buffered_fd, open(name, O_RDWR | O_CLOEXEC), __ATOMIC_RELAXED);
    }
    return s->buffered_fd < 0 ? -errno : file_write_to(s->buffered_fd, 1, offset, vec);
}

static bool is_character_device(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode);
}

static int file_flush(BlockDriverState *bs)
{
    FileState *s = bs->state;
    int err = __atomic_load_n(&s->flush_errno, __ATOMIC_RELAXED);
    int ret;

    if (err) {
        return -err;
    }
    do {
        ret = fdatasync(s->fd);
    } while (ret < 0 && errno == EINTR);
    if (ret == 0 || (errno == EINVAL && is_character_device(s->fd))) {      /* /dev/null cannot be flushed */
        return 0;
    }
    err = errno;
    /* The page cache may have dropped the data that it could not write; the next fdatasync() would succeed */
    if (!(bs->flags & BDRV_O_NOCACHE) || __atomic_load_n(&s->buffered_fd, __ATOMIC_RELAXED) >= 0) {
        __atomic_store_n(&s->flush_errno, err, __ATOMIC_RELAXED);
    }
    return -err;
}

static void file_close(BlockDriverState *bs)
{
    FileState *s = bs->state;

    if (s->fd >= 0) {
        close(s->fd);
        if (s->buffered_fd >= 0) {
            close(s->buffered_fd);
        }
        pthread_mutex_destroy(&s->lock);
    }
    s->fd = -1;
}

/* Use @fd, with the locks of s->fd, from now on. False: s->fd is locked as it was */
static bool file_change_fd(BlockDriverState *bs, int fd, GError **errp)
{
    FileState *s = bs->state;
    bool write = bs->flags & BDRV_O_RDWR;

    if (!file_lock(bs, fd, s->fd, bs->filename, write, s->locking, errp)) {
        file_lock_back(bs, s->fd, !write, s->locking);
        return false;
    }
    s->old_fd = s->fd;
    s->fd = fd;
    return true;
}

/* Open the file once more, whatever has its name by now */
static bool file_reopen(BlockDriverState *bs, GError **errp)
{
    FileState *s = bs->state;
    int flags = (bs->flags & BDRV_O_RDWR ? O_RDWR : O_RDONLY) | (bs->flags & BDRV_O_NOCACHE ? O_DIRECT : 0);
    struct stat st;
    int fd = file_open_fd(bs->drv, bs->filename, s->fd, "open", flags, &st, errp);

    if (fd >= 0 && !file_change_fd(bs, fd, errp)) {
        close(fd);
        fd = -1;
    }
    return fd >= 0;
}

/* Drop the descriptor before, or, if not @ok, go back to it */
static void file_reopen_done(BlockDriverState *bs, bool ok)
{
    FileState *s = bs->state;
    int unused = ok ? s->old_fd : s->fd;

    if (!ok) {
        s->fd = s->old_fd;
        file_lock_back(bs, s->fd, bs->flags & BDRV_O_RDWR, s->locking);
    }
    s->old_fd = -1;
    close(unused);
}

/* Make the file, or open it if it exists. *@made: it did not exist, so that it may be removed again */
static int file_create_fd(const BlockDriver *drv, const char *filename, bool *made, struct stat *st, GError **errp)
{
    GError *err = NULL;
    int fd = file_open_fd(drv, filename, -1, "create", O_RDWR | O_CREAT | O_EXCL, st, &err);

    *made = fd >= 0;
    if (fd != -EEXIST) {
        if (err) {
            g_propagate_error(errp, err);
        }
        return fd;
    }
    g_error_free(err);
    return file_open_fd(drv, filename, -1, "create", O_RDWR, st, errp);
}

static bool file_set_size(int fd, const char *filename, int64_t size, GError **errp)
{
    int ret;

    do {
        ret = ftruncate(fd, size);
    } while (ret < 0 && errno == EINTR);
    if (ret < 0) {
        bdrv_set_error(errp, errno, "could not resize '%s' to %" PRId64 " bytes: %s", filename, size,
                       g_strerror(errno));
    }
    return ret == 0;
}

static bool file_fits_device(int fd, const char *filename, int64_t size, GError **errp)
{
    int64_t have = file_size(fd, true);

    if (have < size) {
        bdrv_set_error(errp, ENOSPC, "device '%s' has %" PRId64 " bytes, not the %" PRId64 " asked for",
                       filename, have, size);
        return false;
    }
    return true;
}

/* Give the file @size bytes of zeroes. If the first step fails, nothing is lost; the other steps are not expected to */
static bool file_make_zero(int fd, const char *filename, int64_t size, GError **errp)
{
    return file_set_size(fd, filename, size, errp) && file_set_size(fd, filename, 0, errp) &&
           (size == 0 || file_set_size(fd, filename, size, errp));
}

/* Set the extent size hint, against fragmentation. ext4 accepts a hint and forgets it, so it is read back */
static void file_hint_extents(BlockDriverState *bs, int fd, int64_t bytes)
{
    struct fsxattr attr;
    int ret = ioctl(fd, FS_IOC_FSGETXATTR, &attr);

    if (ret == 0) {
        attr.fsx_xflags |= FS_XFLAG_EXTSIZE;
        attr.fsx_extsize = (uint32_t)bytes;
        ret = ioctl(fd, FS_IOC_FSSETXATTR, &attr) < 0 ? -1 : ioctl(fd, FS_IOC_FSGETXATTR, &attr);
    }
    if (ret < 0 || attr.fsx_extsize != bytes) {
        bdrv_warn(bs, "ignored", "could not set the extent size hint of '%s' to %" PRId64 " bytes: %s", bs->filename,
                  bytes, g_strerror(ret < 0 ? errno : ENOTSUP));
    }
}

static bool file_create(BlockDriverState *bs, const void *opts, GError **errp)
{
    const FileCreateOptions *o = opts;
    FileState *s = bs->state;
    struct stat st = { 0 };
    GError *err = NULL;

    s->fd = -1;
    if (o->size > BLOCK_MAX_SIZE) {
        bdrv_set_error(errp, EFBIG, "size %" PRId64 " is more than the %" PRId64 " bytes that can be used", o->size,
                       BLOCK_MAX_SIZE);
        return false;
    }
    if (o->extent_size_hint > UINT32_MAX) {
        bdrv_set_error(errp, EFBIG, "extent size hint %" PRId64 " is more than the %u bytes that can be said",
                       o->extent_size_hint, UINT32_MAX);
        return false;
    }
    int fd = file_create_fd(bs->drv, o->filename, &s->made, &st, errp);
    if (fd < 0) {
        return false;
    }
    g_free(bs->filename);
    bs->filename = g_strdup(o->filename);
    s->made_dev = st.st_dev;
    s->made_ino = st.st_ino;
    /* Lock it first: an image that another program has open must not be emptied */
    if (file_lock(bs, fd, -1, o->filename, true, (FileLocking)o->locking, &err)) {
        s->created = S_ISREG(st.st_mode) ? file_make_zero(fd, o->filename, o->size, &err)
                                         : file_fits_device(fd, o->filename, o->size, &err);
    }
    if (s->created && o->extent_size_hint) {
        file_hint_extents(bs, fd, o->extent_size_hint);
    }
    if (err) {
        /* EAGAIN: another program has opened the new file in the meantime */
        if (s->made && bdrv_error_code(err) != EAGAIN) {
            unlink(o->filename);
        }
        g_propagate_error(errp, err);
    }
    close(fd);
    return s->created;
}

/* Return how many bytes from @offset on are known to be data; 0: ask the file system */
static int64_t file_known_data(FileState *s, int64_t offset)
{
    pthread_mutex_lock(&s->lock);
    int64_t bytes = offset >= s->data_start ? MAX(s->data_end - offset, 0) : 0;
    pthread_mutex_unlock(&s->lock);
    return bytes;
}

/* Remember that [@start, @end) is data. If another thread makes a hole there meanwhile, its zeroes are taken for data,
 * which is correct, and slower */
static void file_set_known_data(FileState *s, int64_t start, int64_t end)
{
    pthread_mutex_lock(&s->lock);
    s->data_start = start;
    s->data_end = end;
    pthread_mutex_unlock(&s->lock);
}

/* Describe the bytes from @offset on, where lseek() finds no more data: a hole up to the end of the file. If others
 * have cut the file to less than @size, the bytes behind its end count as data, so that reading them fails */
static void file_status_at_end(FileState *s, int64_t offset, int64_t size, BlockStatus *st)
{
    int64_t end = file_size(s->fd, s->device);

    st->zero = offset < end || offset >= size;
    if (offset < end && end < size) {
        st->bytes = MIN(st->bytes, end - offset);
    }
}

static int file_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st)
{
    FileState *s = bs->state;
    int64_t known = file_known_data(s, offset), size = bdrv_node_size(bs);

    *st = (BlockStatus) { bytes, .data = true, .here = true, .leaf = bs, .leaf_offset = offset };
    if (known > 0) {
        st->bytes = MIN(bytes, known);
        return 0;
    }
    off_t data = lseek(s->fd, offset, SEEK_DATA);
    st->zero = data > offset;
    if (data < 0 && errno == ENXIO) {
        file_status_at_end(s, offset, size, st);
    }
    st->data = !st->zero;
    off_t end = data == offset ? lseek(s->fd, offset, SEEK_HOLE) : data;

    if (end > offset) {
        st->bytes = MIN(bytes, end - offset);
    }
    if (data == offset && end > offset) {
        file_set_known_data(s, offset, end);
    }
    return 0;
}

/* Call fallocate() with @mode, unless *@missing says that the file system does not have it, and then -ENOTSUP */
static int file_fallocate(FileState *s, bool *missing, int mode, int64_t offset, int64_t bytes)
{
    int ret;

    if (__atomic_load_n(missing, __ATOMIC_RELAXED)) {
        return -ENOTSUP;
    }
    do {
        ret = fallocate(s->fd, mode, offset, bytes);
    } while (ret < 0 && errno == EINTR);
    if (ret == 0) {
        return 0;
    }
    if (errno == EOPNOTSUPP || errno == ENOSYS || errno == ENODEV) {
        __atomic_store_n(missing, true, __ATOMIC_RELAXED);
        return -ENOTSUP;
    }
    return errno == EINVAL ? -ENOTSUP : -errno;     /* EINVAL: a device wants whole sectors */
}

static int file_punch(FileState *s, int64_t offset, int64_t bytes)
{
    return file_fallocate(s, &s->no_punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
}

static int file_discard(FileState *s, int64_t offset, int64_t bytes)
{
    int64_t size = file_size(s->fd, s->device);

    if (size < 0) {
        return -errno;
    }
    return offset < size ? file_punch(s, offset, MIN(bytes, size - offset)) : 0;
}

/* Make the file at least @end bytes long. fallocate() never makes it shorter; ftruncate() could cut off bytes that
 * another thread has just written behind @end */
static int file_grow(FileState *s, int64_t end)
{
    int64_t size = file_size(s->fd, s->device);

    if (size < 0) {
        return -errno;
    }
    return size < end ? file_fallocate(s, &s->no_allocate, 0, end - 1, 1) : 0;
}

/* Allocate zeroes behind the end of the file, by plain fallocate() */
static int file_allocate_behind(FileState *s, int64_t offset, int64_t bytes)
{
    int64_t size = file_size(s->fd, s->device);

    if (size < 0) {
        return -errno;
    }
    return offset >= size ? file_fallocate(s, &s->no_allocate, 0, offset, bytes) : -ENOTSUP;
}

static int file_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    FileState *s = bs->state;
    int ret = -ENOTSUP;

    file_set_known_data(s, 0, 0);
    if (flags & BLOCK_ZERO_DISCARD) {
        return file_discard(s, offset, bytes);
    }
    if (flags & BLOCK_ZERO_PUNCH) {
        ret = file_grow(s, offset + bytes);
        ret = ret < 0 ? ret : file_punch(s, offset, bytes);
    }
    if (ret == -ENOTSUP) {
        ret = file_fallocate(s, &s->no_zero_range, FALLOC_FL_ZERO_RANGE, offset, bytes);
    }
    return ret == -ENOTSUP ? file_allocate_behind(s, offset, bytes) : ret;
}

/* Return whether @fd is the file that create() made or emptied, and no other program has it locked */
static bool file_is_ours(BlockDriverState *bs, int fd)
{
    FileState *s = bs->state;
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_dev == s->made_dev && st.st_ino == s->made_ino &&
           file_lock(bs, fd, -1, bs->filename, true, FILE_LOCKING_AUTO, NULL);
}

/* Remove the file if create() made it; if it existed before, empty it */
static void file_remove(BlockDriverState *bs)
{
    FileState *s = bs->state;
    int fd = s->created ? open(bs->filename, O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1;

    if (fd < 0) {
        return;
    }
    bool ours = file_is_ours(bs, fd);

    if (ours && (s->made ? unlink(bs->filename) : ftruncate(fd, 0)) < 0) {
        bdrv_warn(bs, "leftover", "'%s' was left behind half-made: %s", bs->filename, g_strerror(errno));
    } else if (ours && !s->made) {
        bdrv_warn(bs, "emptied", "'%s' is empty now: what was in it is lost", bs->filename);
    }
    close(fd);
}

static bool file_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    FileState *s = bs->state;

    if (s->device) {
        return file_fits_device(s->fd, bs->filename, size, errp);
    }
    file_set_known_data(s, 0, 0);
    if (!file_set_size(s->fd, bs->filename, size, errp)) {
        return false;
    }
    __atomic_store_n(&bs->size, size, __ATOMIC_RELEASE);
    return true;
}

/* Identify a block device by its number: several device files may name it */
static bool file_identify(BlockDriverState *bs, const char *filename, BlockIdentity *id)
{
    struct stat st;
    int place = bs ? bdrv_get_place(bs) : -1;
    int ret = !bs ? stat(filename, &st) : fstat(place >= 0 ? place : ((FileState *)bs->state)->fd, &st);

    if (ret < 0) {
        return false;
    }
    *id = (BlockIdentity) { st.st_dev, st.st_ino };
    if (S_ISBLK(st.st_mode)) {
        *id = (BlockIdentity) { UINT64_MAX, st.st_rdev };
    }
    return true;
}

/* Return the present path of @fd; NULL: not known. free() it */
static char *file_path(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    char *path = calloc(1, PATH_MAX);

    if (path && (readlink(link, path, PATH_MAX - 1) < 0 || path[0] != '/')) {
        free(path);
        path = NULL;
    }
    return path;
}

static bool file_get_facts(BlockDriverState *bs, BlockFileFacts *facts)
{
    FileState *s = bs->state;
    struct stat st;

    if (fstat(s->fd, &st) < 0) {
        return false;
    }
    *facts = (BlockFileFacts) { (int64_t)st.st_mtime, file_path(s->fd) };
    return true;
}

static bool file_info(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp)
{
    FileState *s = bs->state;
    struct stat st;

    if (fstat(s->fd, &st) < 0) {
        bdrv_set_error(errp, errno, "could not find what '%s' takes: %s", bs->filename, g_strerror(errno));
        return false;
    }
    info->actual_size = (int64_t)st.st_blocks * 512;
    return true;
}

static void file_not_found(int err, const char *root, const char *filename, GError **errp)
{
    if (err == EXDEV) {
        bdrv_set_error(errp, EACCES, "it is not inside the folder '%s'", root);
    } else if (err == ELOOP) {      /* not the loop of images that ELOOP means elsewhere */
        bdrv_set_error(errp, EACCES, "Could not open '%s': too many symbolic links, or one of /proc's magic ones",
                       filename);
    } else {
        bdrv_set_error(errp, err, "Could not open '%s': %s", filename, g_strerror(err));
    }
}

int bdrv_find_file(const char *root, bool by_image, const char *filename, GError **errp)
{
    int fd = root || by_image ? beneath_find(root, filename, true) : open(filename, O_PATH | O_CLOEXEC);
    int err = root || by_image ? -fd : errno;
    struct stat st;

    if (fd < 0) {
        file_not_found(err, root, filename, errp);
        return -1;
    }
    if (fstat(fd, &st) < 0) {
        file_not_found(errno, root, filename, errp);
    } else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        file_wrong_kind(&bdrv_file, filename, errp);
    } else if (by_image && S_ISREG(st.st_mode) && beneath_is_made_up(fd)) {
        bdrv_set_error(errp, EACCES, "'%s' is no file on a disk: the kernel makes it up", filename);
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

const BlockDriver *bdrv_driver_of_place(int place)
{
    struct stat st;

    return fstat(place, &st) == 0 && S_ISBLK(st.st_mode) ? &bdrv_host_device : &bdrv_file;
}

const BlockDriver *bdrv_driver_of_file(const char *filename, bool devices)
{
    struct stat st;
    bool device = filename && stat(filename, &st) == 0 && (S_ISBLK(st.st_mode) || (devices && S_ISCHR(st.st_mode)));

    return device ? &bdrv_host_device : &bdrv_file;
}

#define FILE_DRIVER(word, what) {                       \
    .name           = (word),                           \
    .description    = (what),                           \
    .is_protocol    = true,                             \
    .parallel       = true,                             \
    .state_size     = sizeof(FileState),                \
    .open_size      = sizeof(FileOpenOptions),          \
    .create_size    = sizeof(FileCreateOptions),        \
    .open_options   = file_open_options,                \
    .create_options = file_create_options,              \
    .open           = file_open,                        \
    .read           = file_read,                        \
    .write          = file_write,                       \
    .write_end      = file_write_end,                   \
    .flush          = file_flush,                       \
    .close          = file_close,                       \
    .create         = file_create,                      \
    .status         = file_status,                      \
    .zero           = file_zero,                        \
    .remove         = file_remove,                      \
    .truncate       = file_truncate,                    \
    .identify       = file_identify,                    \
    .info           = file_info,                        \
    .get_facts      = file_get_facts,                   \
    .reopen         = file_reopen,                      \
    .reopen_done    = file_reopen_done,                 \
    .prefixes       = (const char *const []) { word, NULL }, \
    .parse_name     = bdrv_parse_path_name,             \
}

const BlockDriver bdrv_file = FILE_DRIVER("file", "a regular file");
const BlockDriver bdrv_host_device = FILE_DRIVER("host_device", "a block or character device of the host");
const BlockDriver bdrv_host_cdrom = FILE_DRIVER("host_cdrom", "the same, by the name for a CD drive");
