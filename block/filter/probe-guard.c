/* probe-guard.c - keeps a disk that was guessed to be raw from looking like another format */
/* SPDX-License-Identifier: MIT
 *
 * raw puts this filter between itself and a file whose format was guessed as QEMU guesses. Without it, a guest could
 * write the header of another format into the first sector of its disk. The next guess would find that format, and open
 * the files that the header names. Such a write fails with -EPERM.
 */
#include <errno.h>
#include <pthread.h>
#include <glib.h>
#include "block/drivers.h"

#define GUARDED 512                 /* bytes at the start of the file that QEMU's signatures lie in */

typedef struct GuardState {
    pthread_mutex_t head_lock;      /* around writes to the guarded bytes: two must not make a signature together */
    bool ready;                     /* head_lock is initialised */
} GuardState;

static bool guard_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    GuardState *s = bs->state;

    pthread_mutex_init(&s->head_lock, NULL);
    s->ready = true;
    bs->size = bdrv_node_size(bs->file);
    return true;
}

static void guard_close(BlockDriverState *bs)
{
    GuardState *s = bs->state;

    if (s->ready) {
        pthread_mutex_destroy(&s->head_lock);
    }
}

static int guard_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    return bdrv_node_readv(bs->file, offset, vec);
}

static int write_head(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    uint8_t head[BLOCK_PROBE_BYTES];
    int64_t bytes = MIN(vec.bytes, (int64_t)sizeof(head) - offset);
    int ret = bdrv_node_pread(bs->file, 0, head, sizeof(head));

    if (ret < 0) {
        return ret;
    }
    block_vec_to_buf(block_vec_slice(vec, 0, bytes), head + offset);
    return bdrv_other_format(head, NULL, bdrv_node_size(bs)) ? -EPERM : bdrv_node_writev(bs->file, offset, vec);
}

static int guard_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    GuardState *s = bs->state;

    if (offset >= GUARDED) {
        return bdrv_node_writev(bs->file, offset, vec);
    }
    pthread_mutex_lock(&s->head_lock);
    int ret = write_head(bs, offset, vec);
    pthread_mutex_unlock(&s->head_lock);
    return ret;
}

static int guard_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    return bdrv_node_zero(bs->file, offset, bytes, flags);
}

static bool guard_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    bool ok = bdrv_node_truncate(bs->file, size, errp);

    __atomic_store_n(&bs->size, bdrv_node_size(bs->file), __ATOMIC_RELEASE);
    return ok;
}

static bool guard_preallocate(BlockDriverState *bs, int64_t offset, int64_t bytes, bool full, GError **errp)
{
    return bdrv_node_preallocate(bs->file, offset, bytes, full, errp);
}

const BlockDriver bdrv_probe_guard = {
    .name        = "probe-guard",
    .description = "filter: a raw disk whose format was guessed stays one",
    .parallel    = true,
    .state_size  = sizeof(GuardState),
    .open        = guard_open,
    .close       = guard_close,
    .read        = guard_read,
    .write       = guard_write,
    .zero        = guard_zero,
    .status      = bdrv_filter_status,
    .truncate    = guard_truncate,
    .preallocate = guard_preallocate,
    .reopen      = bdrv_simple_reopen,
};
