/* node.c - a request on one node: clipped to the node's size, aligned, passed to its driver */
/* SPDX-License-Identifier: MIT
 *
 * Requests come from io.c for the root of a tree, and from drivers and the layer for a child. A read past the end gives
 * zeroes; a write past the end makes a protocol's file longer.
 */
#include <errno.h>
#include <inttypes.h>
#include "block/layer.h"
#include "util/checked.h"

/* Of what is preallocated: how much is written, or asked of the file system, at once */
#define WRITE_PIECE (16 << 20)
#define ZERO_PIECE  (INT64_C(1) << 30)

const uint8_t block_zeroes[BLOCK_ZEROES] __attribute__((aligned(4096)));

bool bdrv_node_can_grow(BlockDriverState *node)
{
    while (node->file && !node->fixed_length) {
        node = node->file;
    }
    return !node->fixed_length;
}

/* Return whether a request must be alone before it comes to the filter @node: a format below may ask to be alone, and a
 * filter (which counts, logs, or fails once) must not see the same request twice */
static bool must_be_alone(BlockDriverState *node)
{
    return !node->drv->map && !node->priv->tree->alone && block_is_over_format(node);
}

int bdrv_node_readv(BlockDriverState *node, int64_t offset, BlockVec vec)
{
    int64_t have = CLAMP(bdrv_node_size(node) - offset, 0, vec.bytes);

    if (have < vec.bytes) {
        block_vec_zero(block_vec_slice(vec, have, vec.bytes - have));
        vec = block_vec_slice(vec, 0, have);
    }
    if (have == 0) {
        return 0;
    }
    return block_is_aligned(node, offset, vec) ? block_driver_read(node, offset, vec)
                                               : block_unaligned_read(node, offset, vec);
}

/* Make a format that is the child of another format longer: only protocols grow by a write. It is done alone */
static int grow_format(BlockDriverState *node, int64_t offset, int64_t bytes)
{
    int64_t end = offset + bytes;

    if (!node->drv->map || end <= bdrv_node_size(node)) {
        return 0;
    }
    if (node->fixed_length) {
        return -ENOSPC;
    }
    if (!node->priv->tree->alone) {
        return block_again(offset);
    }
    GError *err = NULL;
    if (bdrv_node_truncate(node, end, &err)) {
        return 0;
    }
    int ret = -bdrv_error_code(err);
    bdrv_warn(node, "grow", "%s", err->message);
    g_error_free(err);
    return ret;
}

int bdrv_node_writev(BlockDriverState *node, int64_t offset, BlockVec vec)
{
    if (vec.bytes == 0) {
        return 0;
    }
    if (!vec.iov) {
        return bdrv_node_zero(node, offset, vec.bytes, 0);
    }
    if (!(node->flags & BDRV_O_RDWR)) {
        return -EPERM;
    }
    if (!node->drv->map && offset > BLOCK_MAX_SIZE - vec.bytes) {
        return -EFBIG;
    }
    int ret = must_be_alone(node) ? block_again(offset) : grow_format(node, offset, vec.bytes);
    if (ret < 0) {
        return ret;
    }
    if (node->request_alignment <= 1) {
        return block_driver_write(node, offset, vec);
    }
    bool aligned = block_is_aligned(node, offset, vec);
    BlockRange range = block_range(node, offset, vec.bytes, !aligned);

    ranges_enter(&node->priv->writes, &range);
    ret = aligned ? block_driver_write(node, offset, vec) : block_unaligned_write(node, offset, vec);
    ranges_leave(&node->priv->writes, &range);
    return ret;
}

int bdrv_node_pread(BlockDriverState *node, int64_t offset, void *buf, int64_t bytes)
{
    struct iovec iov = { buf, (size_t)bytes };

    return bdrv_node_readv(node, offset, block_vec(&iov, 1));
}

int bdrv_node_pwrite(BlockDriverState *node, int64_t offset, const void *buf, int64_t bytes)
{
    struct iovec iov = { (void *)buf, (size_t)bytes };

    return bdrv_node_writev(node, offset, block_vec(&iov, 1));
}

static int write_zero_buffers(BlockDriverState *node, int64_t offset, int64_t bytes)
{
    struct iovec iov[16];
    int ret = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(iov); i++) {
        iov[i] = (struct iovec) { (void *)block_zeroes, BLOCK_ZEROES };
    }
    for (int64_t done = 0, n; done < bytes && ret == 0; done += n) {
        n = MIN(bytes - done, (int64_t)sizeof(block_zeroes) * (int64_t)G_N_ELEMENTS(iov));
        ret = bdrv_node_writev(node, offset + done, block_vec_slice(block_vec(iov, G_N_ELEMENTS(iov)), 0, n));
    }
    return ret;
}

/* Call the driver's zero(), which takes any range. The lock keeps a read-modify-write from writing old bytes back */
static int zero_beside_rmw(BlockDriverState *node, int64_t offset, int64_t bytes, unsigned flags)
{
    if (node->request_alignment <= 1) {
        return block_driver_zero(node, offset, bytes, flags);
    }
    BlockRange range = block_range(node, offset, bytes, false);

    ranges_enter(&node->priv->writes, &range);
    int ret = block_driver_zero(node, offset, bytes, flags);
    ranges_leave(&node->priv->writes, &range);
    return ret;
}

int bdrv_node_zero(BlockDriverState *node, int64_t offset, int64_t bytes, unsigned flags)
{
    if (bytes == 0) {
        return 0;
    }
    if (!(node->flags & BDRV_O_RDWR)) {
        return -EPERM;
    }
    if (!node->drv->map && offset > BLOCK_MAX_SIZE - bytes) {
        return -EFBIG;
    }
    int ret = must_be_alone(node) ? block_again(offset)
              : (flags & BLOCK_ZERO_DISCARD) ? 0 : grow_format(node, offset, bytes);
    if (ret < 0) {
        return ret;
    }
    ret = zero_beside_rmw(node, offset, bytes, flags);
    if (ret == -ENOTSUP && !(flags & (BLOCK_ZERO_DISCARD | BLOCK_ZERO_NO_FALLBACK))) {
        return write_zero_buffers(node, offset, bytes);
    }
    return ret;
}

static int flush_format(BlockDriverState *node)
{
    BlockPrivate *priv = node->priv;
    int ret = 0;

    pthread_mutex_lock(&priv->map_lock);
    if (priv->dirty_pages > 0 || node->needs_flush) {
        ret = priv->tree->alone ? block_answer(node, "flush", node->drv->flush(node)) : -EAGAIN;
    }
    pthread_mutex_unlock(&priv->map_lock);
    return ret;
}

/* Flush a protocol, unless nothing was written since its last flush. The first flush after open is always made */
static int flush_protocol(BlockDriverState *node)
{
    BlockPrivate *priv = node->priv;
    uint64_t written = __atomic_load_n(&priv->written, __ATOMIC_ACQUIRE);

    if ((node->flags & BDRV_O_NO_FLUSH) || !node->drv->flush ||
        written == __atomic_load_n(&priv->flushed, __ATOMIC_ACQUIRE)) {
        return 0;
    }
    int ret = block_from_driver(node, block_answer(node, "flush", node->drv->flush(node)));
    if (ret == 0) {
        __atomic_store_n(&priv->flushed, written, __ATOMIC_RELEASE);
    }
    return ret;
}

int bdrv_node_flush(BlockDriverState *node)
{
    if (node->drv->is_protocol) {
        return flush_protocol(node);
    }
    if (must_be_alone(node)) {
        return -EAGAIN;
    }
    int ret = 0;
    if (node->drv->map) {
        ret = flush_format(node);
    } else if (node->drv->flush && !(node->flags & BDRV_O_NO_FLUSH)) {
        ret = block_from_driver(node, node->drv->flush(node));
    }
    if (ret != 0) {
        return ret == 1 ? 0 : block_answer(node, "flush", ret);
    }
    return bdrv_node_flush(node->file);
}

static bool may_truncate(BlockDriverState *node, int64_t size, GError **errp)
{
    if (!(node->flags & BDRV_O_RDWR)) {
        bdrv_set_error(errp, EPERM, "the image is open for reading only");
        return false;
    }
    if (!node->drv->truncate) {
        bdrv_set_error(errp, ENOTSUP, "driver '%s' does not support resize", node->drv->name);
        return false;
    }
    if (node->drv->is_protocol && size > BLOCK_MAX_SIZE) {
        bdrv_set_error(errp, EFBIG, "size %" PRId64 " is more than the %" PRId64 " bytes that can be used", size,
                       BLOCK_MAX_SIZE);
        return false;
    }
    __atomic_add_fetch(&node->priv->written, 1, __ATOMIC_RELEASE);
    return true;
}

bool bdrv_node_truncate(BlockDriverState *node, int64_t size, GError **errp)
{
    return may_truncate(node, size, errp) &&
           block_says_why(node, "truncate", node->drv->truncate(node, size, errp), errp);
}

bool bdrv_node_resize(BlockDriverState *node, int64_t size, const void *opts, GError **errp)
{
    return may_truncate(node, size, errp) &&
           block_says_why(node, "resize", node->drv->resize(node, size, opts, errp), errp);
}

/* Allocate a hole by writes of zeroes, piece by piece. The program may cancel between two pieces */
static int allocate(BlockDriverState *node, int64_t offset, int64_t bytes, bool full)
{
    int64_t piece = full ? WRITE_PIECE : ZERO_PIECE;
    int ret = 0;

    for (int64_t done = 0, n; done < bytes && ret == 0; done += n) {
        n = MIN(bytes - done, piece);
        ret = full ? write_zero_buffers(node, offset + done, n) : bdrv_node_zero(node, offset + done, n, 0);
        if (ret == 0 && !bdrv_go_on(node, done + n, bytes)) {
            ret = -ECANCELED;
        }
    }
    return ret;
}

bool bdrv_node_preallocate(BlockDriverState *node, int64_t offset, int64_t bytes, bool full, GError **errp)
{
    if (node->drv->preallocate) {
        return block_says_why(node, "preallocate", node->drv->preallocate(node, offset, bytes, full, errp), errp);
    }
    if (node->drv->map) {
        bdrv_set_error(errp, ENOTSUP, "driver '%s' does not support preallocation", node->drv->name);
        return false;
    }
    int ret = allocate(node, offset, bytes, full);

    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not allocate %" PRId64 " bytes: %s", bytes, g_strerror(-ret));
    }
    return ret == 0;
}

/* Ask the driver of @node for the status. 1: ask st->leaf next, for st->bytes at st->leaf_offset */
static int status_here(BlockDriverState *node, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st)
{
    int64_t have = bdrv_node_size(node) - offset;

    if (have > 0) {
        return block_driver_status(node, offset, MIN(bytes, have), flags, st);
    }
    *st = (BlockStatus) { .bytes = bytes, .zero = true, .here = true, .leaf_offset = offset };
    st->leaf = node->drv->is_protocol ? node : NULL;
    return 0;
}

int bdrv_filter_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st)
{
    *st = (BlockStatus) { .bytes = bytes, .leaf = bs->file, .leaf_offset = offset };
    return 1;
}

/* Ask the images of a chain in a loop, not by recursion, because the chain may be long */
int bdrv_node_status(BlockDriverState *node, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st)
{
    unsigned depth = 0;
    int ret;

    while ((ret = status_here(node, offset, bytes, flags, st)) > 0) {
        depth += st->leaf == node->backing;
        node = st->leaf;
        offset = st->leaf_offset;
        bytes = st->bytes;
    }
    st->depth += depth;
    st->here = st->here && depth == 0;
    return ret;
}
