/* call.c - calls of a driver's functions, and checks of what they return */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include "block/layer.h"
#include "util/checked.h"

#define MAX_ALIGNMENT (1 << 20)

int64_t bdrv_node_size(BlockDriverState *node)
{
    return __atomic_load_n(&node->size, __ATOMIC_ACQUIRE);
}

static void grow(BlockDriverState *bs, int64_t end)
{
    int64_t size = bdrv_node_size(bs);

    while (size < end && !__atomic_compare_exchange_n(&bs->size, &size, end, false, __ATOMIC_RELEASE,
                                                      __ATOMIC_ACQUIRE)) {
    }
}

static _Thread_local int64_t again_from;

int block_again(int64_t offset)
{
    again_from = offset;
    return -EAGAIN;
}

/* Clamp, because a request that was rounded out to units of request_alignment may have stopped outside of the range */
int64_t block_done(int64_t offset, int64_t bytes)
{
    return CLAMP(again_from - offset, 0, bytes);
}

int block_answer(BlockDriverState *bs, const char *name, int ret)
{
    if (is_zero_or_errno(ret)) {
        return ret;
    }
    bdrv_warn(bs, "driver", "driver '%s': %s() returned %d, which is neither 0 nor -errno", bs->drv->name, name, ret);
    return -EIO;
}

bool block_says_why(BlockDriverState *bs, const char *name, bool ok, GError **errp)
{
    if (!ok && errp && !*errp) {
        bdrv_set_error(errp, EIO, "driver '%s': %s() failed, and did not say why", bs->drv->name, name);
    }
    return ok;
}

bool block_opened_well(BlockDriverState *bs, GError **errp)
{
    bool aligned = bs->request_alignment > 1;

    if (aligned && (!is_power_of_two(bs->request_alignment) || bs->request_alignment > MAX_ALIGNMENT)) {
        bdrv_set_error(errp, EINVAL, "driver '%s': an alignment of %" PRId64 " is not a power of two up to %d",
                       bs->drv->name, bs->request_alignment, MAX_ALIGNMENT);
    } else if (bs->size < 0) {
        bdrv_set_error(errp, EINVAL, "driver '%s': size %" PRId64 " is negative", bs->drv->name, bs->size);
    } else if (bs->size > BLOCK_MAX_SIZE && (aligned || bs->drv->is_protocol)) {
        bdrv_set_error(errp, EFBIG, "driver '%s': size %" PRId64 " is more than the %" PRId64 " bytes that can be used",
                       bs->drv->name, bs->size, BLOCK_MAX_SIZE);
    } else {
        return true;
    }
    return false;
}

bool block_is_over_format(BlockDriverState *node)
{
    do {
        node = node->file;
    } while (node && !node->drv->map);
    return node != NULL;
}

static bool takes_turns(BlockDriverState *bs)
{
    return !bs->drv->parallel && !bs->drv->map;
}

static void lock_serial(BlockDriverState *bs)
{
    if (takes_turns(bs)) {
        pthread_mutex_lock(&bs->priv->serial);
    }
}

static void unlock_serial(BlockDriverState *bs)
{
    if (takes_turns(bs)) {
        pthread_mutex_unlock(&bs->priv->serial);
    }
}

int block_from_driver(BlockDriverState *bs, int ret)
{
    return ret == -EAGAIN && !bs->drv->map && !block_is_over_format(bs) ? -EIO : ret;
}

int block_driver_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    lock_serial(bs);
    int ret = block_answer(bs, "read", bs->drv->read(bs, offset, vec));
    unlock_serial(bs);
    return block_from_driver(bs, ret);
}

/* Count a write, and let the node grow to @end if it worked. How far a failed write made the file grow is not known */
static int note_write(BlockDriverState *bs, int64_t end, int ret)
{
    __atomic_add_fetch(&bs->priv->written, 1, __ATOMIC_RELEASE);
    if (ret == 0 && !bs->drv->map) {
        grow(bs, end);
    }
    return block_from_driver(bs, ret);
}

int block_driver_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    lock_serial(bs);
    int ret = block_answer(bs, "write", bs->drv->write(bs, offset, vec));
    unlock_serial(bs);
    return note_write(bs, offset + vec.bytes, ret);
}

/* Write the last, partial unit of a file */
int block_driver_write_end(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    if (!bs->drv->write_end) {
        return -ENOTSUP;
    }
    lock_serial(bs);
    int ret = block_answer(bs, "write_end", bs->drv->write_end(bs, offset, vec));
    unlock_serial(bs);
    return note_write(bs, offset + vec.bytes, ret);
}

int block_driver_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    if (!bs->drv->zero) {
        return -ENOTSUP;
    }
    lock_serial(bs);
    int ret = block_answer(bs, "zero", bs->drv->zero(bs, offset, bytes, flags));
    unlock_serial(bs);
    return ret == -ENOTSUP ? ret : note_write(bs, (flags & BLOCK_ZERO_DISCARD) ? 0 : offset + bytes, ret);
}

int block_driver_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st)
{
    *st = (BlockStatus) { .here = true };
    if (!bs->drv->status) {
        *st = (BlockStatus) { bytes, .data = true, .here = true, .leaf = bs, .leaf_offset = offset };
        return 0;
    }
    int ret = bs->drv->status(bs, offset, bytes, flags, st);
    bool further = ret == 1 && st->leaf;

    ret = further ? 0 : block_answer(bs, "status", ret);
    if (ret == 0 && st->bytes <= 0) {
        bdrv_warn(bs, "driver", "driver '%s': status() told of %" PRId64 " bytes", bs->drv->name, st->bytes);
        ret = -EIO;
    }
    st->bytes = CLAMP(st->bytes, 0, bytes);
    return ret == 0 && further ? 1 : block_from_driver(bs, ret);
}

/* Check that @ext keeps the driver's half of the contract of map() */
static bool is_sound(BlockDriverState *bs, int64_t offset, unsigned mode, const BlockExtent *ext)
{
    bool known = !ext->node || ext->node->priv->tree == bs->priv->tree;
    bool writable = ext->node == bs->file;

    return ext->bytes > 0 && ext->offset >= 0 && ext->offset <= offset && offset - ext->offset < ext->bytes &&
           ext->offset <= INT64_MAX - ext->bytes && ext->node_offset >= 0 &&
           ext->node_offset <= INT64_MAX - ext->bytes && known && (!(mode & BLOCK_MAP_WRITE) || writable);
}

int block_find_extent(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext)
{
    mode |= BLOCK_MAP_WAIT | (bs->priv->tree->alone ? BLOCK_MAP_EXCL : 0);
    pthread_mutex_lock(&bs->priv->map_lock);
    int ret = block_answer(bs, "map", bs->drv->map(bs, offset, bytes, mode, ext));
    pthread_mutex_unlock(&bs->priv->map_lock);

    if (ret == -EAGAIN) {
        return block_again(offset);
    }
    return ret == 0 && !is_sound(bs, offset, mode, ext) ? -EIO : ret;
}
