/* map.c - the loop: ask the driver where, move the bytes, commit */
/* SPDX-License-Identifier: MIT
 *
 * Reading, writing, zeroing and block status of every format are the same walk over the same answers
 * of the driver's map().
 */
#include <errno.h>
#include "block/layer.h"

#define FILL_BYTES (1 << 20)

static int64_t extent_end(const BlockExtent *ext)
{
    return ext->offset + ext->bytes;
}

/* Where @offset of the extent is in the child */
static int64_t in_child(const BlockExtent *ext, int64_t offset)
{
    return ext->child_offset + (offset - ext->offset);
}

/* What the child answered to a change of @bytes that the node has at @offset */
static int from_child(const BlockExtent *ext, int64_t offset, int64_t bytes, int ret)
{
    return ret == -EAGAIN ? block_again(offset + block_done(in_child(ext, offset), bytes)) : ret;
}

/* Where all that is left is in another format's disk, a parent most often, this goes on there */
int bdrv_mapped_read(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    int ret = 0;

    while (vec.bytes > 0 && ret == 0) {
        BlockExtent ext;

        ret = block_find_extent(block_shortcut(bs, offset, vec.bytes), offset, vec.bytes, 0, &ext);
        if (ret < 0) {
            break;
        }
        int64_t n = MIN(vec.bytes, extent_end(&ext) - offset), at = in_child(&ext, offset);
        BlockVec part = block_vec_slice(vec, 0, n);

        if (ext.child && n == vec.bytes && block_is_mapped(ext.child, at, n)) {
            bs = ext.child;
            offset = at;
            continue;
        }
        if (ext.child) {
            ret = bdrv_node_readv(ext.child, at, part);
        } else {
            block_vec_zero(part);
        }
        offset += n;
        vec = block_vec_slice(vec, n, vec.bytes - n);
    }
    return ret;
}

/* Copy what the node holds now at [@from, @to) to the new place */
static int fill(BlockDriverState *bs, const BlockExtent *ext, int64_t from, int64_t to)
{
    if (from >= to) {
        return 0;
    }
    int64_t size = MIN(to - from, FILL_BYTES);
    uint8_t *buf = g_try_malloc((gsize)size);
    int ret = buf ? 0 : -ENOMEM;

    for (int64_t n; from < to && ret == 0; from += n) {
        n = MIN(to - from, size);
        ret = bdrv_node_pread(bs, from, buf, n);
        if (ret == 0) {
            ret = bdrv_node_pwrite(ext->child, in_child(ext, from), buf, n);
        }
    }
    g_free(buf);
    return ret;
}

/* Bytes for a place that is not yet part of the disk; it is once all of it is there, and before that nothing is done */
static int write_new(BlockDriverState *bs, const BlockExtent *ext, int64_t offset, BlockVec part)
{
    int64_t end = offset + part.bytes;
    bool whole = offset == ext->offset && end == extent_end(ext);
    int ret = 0;

    if (!whole && !(ext->flags & BLOCK_EXTENT_ZEROED)) {
        if (!bs->layer->tree->alone) {
            return block_again(offset); /* another write could fill with what this one is about to change */
        }
        ret = fill(bs, ext, ext->offset, offset);
        ret = ret < 0 ? ret : fill(bs, ext, end, extent_end(ext));
    }
    if (ret == 0) {
        ret = bdrv_node_writev(ext->child, in_child(ext, offset), part);
    }
    if (ret == 0) {
        pthread_mutex_lock(&bs->layer->map_lock);
        ret = block_answer(bs, "commit", bs->drv->commit(bs, ext));
        pthread_mutex_unlock(&bs->layer->map_lock);
    }
    return ret == -EAGAIN ? block_again(offset) : ret;
}

int bdrv_mapped_write(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    int ret = 0;

    while (vec.bytes > 0 && ret == 0) {
        BlockExtent ext;

        ret = block_find_extent(bs, offset, vec.bytes, BLOCK_MAP_WRITE, &ext);
        if (ret < 0) {
            break;
        }
        int64_t n = MIN(vec.bytes, extent_end(&ext) - offset);
        BlockVec part = block_vec_slice(vec, 0, n);

        if (ext.flags & BLOCK_EXTENT_NEW) {
            ret = write_new(bs, &ext, offset, part);
        } else {
            ret = from_child(&ext, offset, n, bdrv_node_writev(ext.child, in_child(&ext, offset), part));
        }
        offset += n;
        vec = block_vec_slice(vec, n, vec.bytes - n);
    }
    return ret;
}

/* Zeroes that hide what a parent has; none where it has zeroes. How much was done, or -errno */
static int64_t hide_backing(BlockDriverState *bs, const BlockExtent *ext, int64_t offset, int64_t bytes)
{
    BlockStatus st;
    int ret = bdrv_node_status(ext->child, in_child(ext, offset), bytes, BDRV_STATUS_WANT_ZERO, &st);

    if (ret == 0 && !st.zero) {
        ret = bdrv_mapped_write(bs, offset, (BlockVec) { NULL, 0, st.bytes });
    }
    return ret < 0 ? ret : st.bytes;
}

/* Zero the first part of [@offset, @offset + @bytes); how much is the answer. A hole needs nothing, and
 * nobody discards what belongs to a parent; bytes that have a place are zeroed there. */
static int64_t zero_first(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    BlockExtent ext;
    int ret = block_find_extent(bs, offset, bytes, 0, &ext);

    if (ret < 0) {
        return ret;
    }
    bytes = MIN(bytes, extent_end(&ext) - offset);
    if (!ext.child || ((flags & BLOCK_ZERO_DISCARD) && ext.child != bs->file)) {
        return bytes;
    }
    if (ext.child != bs->file) {
        return hide_backing(bs, &ext, offset, bytes);
    }
    ret = block_find_extent(bs, offset, bytes, BLOCK_MAP_WRITE, &ext);
    if (ret < 0) {
        return ret;
    }
    bytes = MIN(bytes, extent_end(&ext) - offset);
    ret = from_child(&ext, offset, bytes, bdrv_node_zero(ext.child, in_child(&ext, offset), bytes, flags));
    return ret < 0 ? ret : bytes;
}

int bdrv_mapped_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    int64_t n = 0;

    for (; bytes > 0 && n >= 0; offset += n, bytes -= n) {
        n = zero_first(bs, offset, bytes, flags);
    }
    return n < 0 ? (int)n : 0;
}

/* An allotted place is data, whatever the storage thinks of it; a window shows the storage's own holes */
static int status_below(const BlockExtent *ext, int64_t offset, unsigned flags, BlockStatus *st)
{
    bool window = ext->flags & BLOCK_EXTENT_WINDOW;

    if (!window && !(flags & BDRV_STATUS_WANT_ZERO)) {
        st->data = true;
        st->leaf = ext->child;
        st->leaf_offset = in_child(ext, offset);
        return 0;
    }
    int ret = bdrv_node_status(ext->child, in_child(ext, offset), st->bytes, flags, st);

    st->data |= !window;
    return ret;
}

int bdrv_mapped_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st)
{
    BlockExtent ext = { 0 };
    int ret = block_find_extent(bs, offset, bytes, 0, &ext);
    bool known = ext.bytes > 0 && ext.offset <= offset && offset < extent_end(&ext);

    *st = (BlockStatus) { .bytes = known ? MIN(bytes, extent_end(&ext) - offset) : 0, .here = true };
    if (ret < 0) {
        return ret;
    }
    if (!ext.child) {
        st->zero = true;
    } else if (ext.child == bs->backing) {
        st->leaf = ext.child;
        st->leaf_offset = in_child(&ext, offset);
        ret = 1;
    } else {
        ret = status_below(&ext, offset, flags, st);
    }
    return ret;
}
