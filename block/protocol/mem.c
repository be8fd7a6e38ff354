/* mem.c - a disk in memory, or in functions of the program (BlockStorage) */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <glib.h>
#include <sys/mman.h>
#include "block/drivers.h"
#include "util/checked.h"

typedef struct MemState {
    const BlockStorage *storage;    /* the program's; NULL: the bytes are in memory */
    pthread_rwlock_t lock;          /* guards the rest. Shared: to use them; exclusive: to change them */
    bool ready;                     /* the lock is initialised */
    int64_t size;
    uint8_t *bytes;                 /* whole pages; those that were never written take no memory; zero behind size */
    size_t mapped;                  /* length of bytes; 0: there are none */
} MemState;

typedef struct MemOptions {
    int64_t size;                   /* -1: not given */
} MemOptions;

static const BlockOption mem_options[] = {
    { "size", BLOCK_OPT_SIZE, offsetof(MemOptions, size), "",
      .help = "length of the memory; not if the caller brought storage" },
    { NULL }
};

typedef struct MemCreateOptions {
    int64_t size;
} MemCreateOptions;

static const BlockOption mem_create_options[] = {
    { "size", BLOCK_OPT_SIZE, offsetof(MemCreateOptions, size), "0",
      .help = "how long the caller's storage has to be, or to become" },
    { NULL }
};

/* Return the result of a function of the program. A positive number is an error, also if it counts bytes: how much was
 * done is not clear then */
static int mem_answer(BlockDriverState *bs, const char *name, int ret)
{
    if (is_zero_or_errno(ret)) {
        return ret;
    }
    bdrv_warn(bs, "driver", "the program's %s function returned %d, must be 0 or -errno", name, ret);
    return -EIO;
}

static bool mem_reopen(BlockDriverState *bs, GError **errp)
{
    const MemState *s = bs->state;

    if ((bs->flags & BDRV_O_RDWR) && s->storage && !s->storage->write) {
        bdrv_set_error(errp, EACCES, "the storage is read-only");
        return false;
    }
    return true;
}

static bool mem_use_storage(BlockDriverState *bs, GError **errp)
{
    MemState *s = bs->state;

    if (!s->storage->read || s->storage->size < 0) {
        bdrv_set_error(errp, EINVAL, "the storage has %s",
                       s->storage->read ? "a negative size" : "no read function");
        return false;
    }
    if (!mem_reopen(bs, errp)) {
        return false;
    }
    s->size = bs->size = s->storage->size;
    bs->fixed_length = s->storage->write && !s->storage->truncate;
    return true;
}

static size_t mem_page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Change the length of the memory. New bytes are zero. The lock is held exclusively. 0 or -errno */
static int mem_remap(MemState *s, int64_t size)
{
    if (size > (int64_t)(PTRDIFF_MAX - mem_page())) {
        return -ENOMEM;
    }
    size_t want = (size_t)align_up(MAX(size, 1), (int64_t)mem_page());
    void *bytes = s->bytes;

    if (!s->mapped) {
        bytes = mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    } else if (want != s->mapped) {
        bytes = mremap(s->bytes, s->mapped, want, MREMAP_MAYMOVE);
    }
    if (bytes == MAP_FAILED) {
        return -errno;
    }
    s->bytes = bytes;
    s->mapped = want;
    if (size < s->size) {       /* else these bytes would come back when it grows again */
        memset(s->bytes + size, 0, (size_t)(MIN((int64_t)want, s->size) - size));
    }
    return 0;
}

/* Change the size. Storage of a fixed size keeps its size, if that is enough. The lock is held exclusively. 0 or
 * -errno */
static int mem_resize(BlockDriverState *bs, int64_t size)
{
    MemState *s = bs->state;
    int ret;

    if (s->storage && !s->storage->truncate) {
        return size > s->size ? -ENOSPC : 0;
    }
    ret = s->storage ? mem_answer(bs, "truncate", s->storage->truncate(s->storage->user, size)) : mem_remap(s, size);
    if (ret == 0) {
        s->size = size;
    }
    return ret;
}

static bool mem_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    const MemOptions *o = opts;
    MemState *s = bs->state;

    pthread_rwlock_init(&s->lock, NULL);
    s->ready = true;
    s->storage = bdrv_get_storage(bs);
    if ((s->storage != NULL) == (o->size >= 0)) {
        bdrv_set_error(errp, EINVAL, s->storage ? "storage has a size of its own, without size="
                                                : "driver 'mem' needs the option 'size'");
        return false;
    }
    if (s->storage) {
        return mem_use_storage(bs, errp);
    }
    int ret = mem_resize(bs, o->size);
    if (ret < 0) {
        bdrv_set_error(errp, -ret, "no memory for %" PRId64 " bytes: %s", o->size, g_strerror(-ret));
        return false;
    }
    bs->size = o->size;
    return true;
}

/* Move one iovec from or to [@offset, @offset + iov_len). 0 or -errno */
static int mem_move(BlockDriverState *bs, int64_t offset, struct iovec iov, bool write)
{
    MemState *s = bs->state;
    const BlockStorage *storage = s->storage;
    int64_t bytes = (int64_t)iov.iov_len;

    if (storage) {
        return write ? mem_answer(bs, "write", storage->write(storage->user, offset, iov.iov_base, bytes))
                     : mem_answer(bs, "read", storage->read(storage->user, offset, iov.iov_base, bytes));
    }
    if (write) {
        memcpy(s->bytes + offset, iov.iov_base, iov.iov_len);
    } else {
        memcpy(iov.iov_base, s->bytes + offset, iov.iov_len);
    }
    return 0;
}

static int mem_move_all(BlockDriverState *bs, int64_t offset, BlockVec vec, bool write)
{
    struct iovec iov;
    int64_t bytes;
    int ret = 0;

    while (vec.bytes > 0 && ret == 0) {
        block_vec_iov(vec, &iov, 1, &bytes);
        ret = mem_move(bs, offset, iov, write);
        offset += bytes;
        vec = block_vec_slice(vec, bytes, vec.bytes - bytes);
    }
    return ret;
}

static int mem_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    MemState *s = bs->state;

    pthread_rwlock_rdlock(&s->lock);
    int ret = mem_move_all(bs, offset, vec, false);
    pthread_rwlock_unlock(&s->lock);
    return ret;
}

/* Lock shared, and first make the size at least @end. The lock is held on failure, too */
static int mem_lock_grown(BlockDriverState *bs, int64_t end)
{
    MemState *s = bs->state;
    int ret = 0;

    pthread_rwlock_rdlock(&s->lock);
    if (s->size < end) {
        pthread_rwlock_unlock(&s->lock);
        pthread_rwlock_wrlock(&s->lock);
        ret = s->size < end ? mem_resize(bs, end) : 0;
        pthread_rwlock_unlock(&s->lock);
        pthread_rwlock_rdlock(&s->lock);
    }
    return ret;
}

static int mem_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    MemState *s = bs->state;
    int ret = mem_lock_grown(bs, offset + vec.bytes);

    if (ret == 0) {
        ret = mem_move_all(bs, offset, vec, true);
    }
    pthread_rwlock_unlock(&s->lock);
    return ret;
}

static int mem_flush(BlockDriverState *bs)
{
    const BlockStorage *storage = ((MemState *)bs->state)->storage;

    return storage && storage->flush ? mem_answer(bs, "flush", storage->flush(storage->user)) : 0;
}

static void mem_close(BlockDriverState *bs)
{
    MemState *s = bs->state;

    if (s->mapped) {
        munmap(s->bytes, s->mapped);
    }
    if (s->ready) {
        pthread_rwlock_destroy(&s->lock);
    }
}

/* Make sure that the storage can have @size bytes. Its contents are not lost yet */
static int mem_make_room(const BlockStorage *storage, int64_t size)
{
    if (size <= storage->size) {
        return 0;
    }
    return storage->truncate ? storage->truncate(storage->user, size) : -ENOSPC;
}

/* Set @errp by @ret, the result of a function of the program: there is no open image that could have a warning */
static void mem_say_why(GError **errp, int ret, const char *what)
{
    if (is_zero_or_errno(ret)) {
        bdrv_set_error(errp, -ret, "%s: %s", what, g_strerror(-ret));
    } else {
        bdrv_set_error(errp, EIO, "%s: the program's truncate function returned %d, must be 0 or -errno", what, ret);
    }
}

/* Empty the storage. If its size is fixed, it stays as it is */
static bool mem_create(BlockDriverState *bs, const void *opts, GError **errp)
{
    const MemCreateOptions *o = opts;
    BlockStorage *storage = bdrv_get_storage(bs);

    if (!storage) {
        bdrv_set_error(errp, ENOTSUP, "driver 'mem' keeps nothing, an image can't be created there");
        return false;
    }
    int ret = mem_make_room(storage, o->size);
    if (ret != 0) {
        g_autofree char *what = g_strdup_printf("the storage has %" PRId64 " bytes and can't have %" PRId64,
                                                storage->size, o->size);
        mem_say_why(errp, ret, what);
        return false;
    }
    ret = storage->truncate ? storage->truncate(storage->user, 0) : 0;
    if (ret != 0) {
        mem_say_why(errp, ret, "could not empty the storage");
        return false;
    }
    if (storage->truncate) {
        storage->size = 0;      /* the layer's copy, with which the storage is opened next */
    }
    return true;
}

/* Zero bytes. Whole pages are given back, which is always allowed because memory is not reserved */
static void mem_clear(MemState *s, int64_t offset, int64_t bytes)
{
    int64_t page = (int64_t)mem_page(), end = offset + bytes;
    int64_t first = MIN(align_up(offset, page), end), last = MAX(align_down(end, page), first);

    memset(s->bytes + offset, 0, (size_t)(first - offset));
    if (last > first && madvise(s->bytes + first, (size_t)(last - first), MADV_DONTNEED) < 0) {
        memset(s->bytes + first, 0, (size_t)(last - first));
    }
    memset(s->bytes + last, 0, (size_t)(end - last));
}

static int mem_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    MemState *s = bs->state;

    if (s->storage) {
        return -ENOTSUP;
    }
    int ret = mem_lock_grown(bs, flags & BLOCK_ZERO_DISCARD ? 0 : offset + bytes);
    if (ret == 0 && offset < s->size) {
        mem_clear(s, offset, MIN(bytes, s->size - offset));
    }
    pthread_rwlock_unlock(&s->lock);
    return ret;
}

static bool mem_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    MemState *s = bs->state;

    pthread_rwlock_wrlock(&s->lock);
    int64_t was = s->size;
    int ret = was == size ? 0 : mem_resize(bs, size);
    __atomic_store_n(&bs->size, s->size, __ATOMIC_RELEASE);
    pthread_rwlock_unlock(&s->lock);

    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not resize from %" PRId64 " to %" PRId64 " bytes: %s", was, size,
                       g_strerror(-ret));
    }
    return ret == 0;
}

/* Identify storage by its read function and user pointer: the program has no other name for it */
static bool mem_identify(BlockDriverState *bs, const char *filename, BlockIdentity *id)
{
    const BlockStorage *storage = bs ? ((MemState *)bs->state)->storage : NULL;

    if (storage) {
        *id = (BlockIdentity) { (uint64_t)(uintptr_t)storage->read, (uint64_t)(uintptr_t)storage->user };
    }
    return storage;
}

const BlockDriver bdrv_mem = {
    .name         = "mem",
    .description  = "memory, or the caller's own storage",
    .is_protocol  = true,
    .parallel     = true,
    .state_size   = sizeof(MemState),
    .open_size    = sizeof(MemOptions),
    .create_size  = sizeof(MemCreateOptions),
    .open_options = mem_options,
    .create_options = mem_create_options,
    .open         = mem_open,
    .read         = mem_read,
    .write        = mem_write,
    .flush        = mem_flush,
    .close        = mem_close,
    .create       = mem_create,
    .zero         = mem_zero,
    .truncate     = mem_truncate,
    .identify     = mem_identify,
    .reopen       = mem_reopen,
};
